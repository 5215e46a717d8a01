# Golden values for Penalised. Run in this folder: Rscript glmnet.R
suppressMessages({library(glmnet); source("../../../stats/testdata/emit.R")})
# thresh far below the default, which stops at the third or fourth digit.
fit <- function(name, seed, n, p, alpha, standardize, lambda) {
  set.seed(seed)
  x <- matrix(round(rnorm(n * p), 2), n); x[, 2] <- round(x[, 1] + 0.5 * x[, 2], 2); x[, 3] <- 10 * x[, 3]
  y <- runif(n) < plogis(x[, 1] - 0.5 * x[, 4] + 0.05 * x[, 3])
  f <- glmnet(x, factor(y), family = "binomial", alpha = alpha, standardize = standardize, lambda = lambda, thresh = 1e-22, maxit = 1e8)
  auto <- glmnet(x, factor(y), family = "binomial", alpha = alpha, standardize = standardize)$lambda
  list(name = name, x = lapply(seq_len(p), function(j) vec(x[, j])), y = vec(y), alpha = alpha, as_given = !standardize, lambda = vec(lambda),
    intercept = vec(unname(f$a0)), coef = lapply(seq_along(lambda), function(k) vec(unname(as.matrix(f$beta)[, k]))),
    deviance = vec((1 - f$dev.ratio) * f$nulldev), null = f$nulldev, auto = vec(auto[1:10]))
}
strengths <- c(0.2, 0.1, 0.05, 0.02, 0.005)
emit("glmnet", "glmnet", "drawn by fit(...) in the program; the same data lie in each case", list(
  fit("lasso", 1, 80, 8, 1, TRUE, strengths),
  fit("lasso, as given", 2, 80, 8, 1, FALSE, strengths),
  fit("ridge", 3, 80, 8, 0, TRUE, strengths),
  fit("ridge, as given", 4, 80, 8, 0, FALSE, strengths),
  fit("half and half", 5, 80, 8, 0.5, TRUE, strengths),
  fit("more features than patients", 6, 30, 50, 1, TRUE, strengths)))
