# Golden values for Logistic. Run in this folder: Rscript glm.R
source("../../../stats/testdata/emit.R")
# epsilon far below the default: the default stops while the eighth digit still moves.
fit <- function(name, x, y, level = 0.95) {
  x <- as.matrix(x); dimnames(x) <- NULL
  f <- glm(y ~ x, family = binomial, control = glm.control(epsilon = 1e-15, maxit = 100))
  # Once more from there: R's standard errors are those of the step before the last.
  f <- glm(y ~ x, family = binomial, start = coef(f), control = glm.control(epsilon = 1e-15, maxit = 100))
  s <- summary(f)$coefficients; ci <- confint.default(f, level = level)
  lr <- f$null.deviance - f$deviance
  list(name = name, x = lapply(seq_len(ncol(x)), function(j) vec(x[, j])), y = vec(as.logical(y)), level = level,
    coef = vec(unname(s[, 1])), se = vec(unname(s[, 2])), z = vec(unname(s[, 3])), p = vec(unname(s[, 4])),
    low = vec(unname(exp(ci[, 1]))), high = vec(unname(exp(ci[, 2]))), covariance = lapply(seq_len(ncol(x) + 1), function(i) vec(unname(vcov(f)[i, ]))),
    deviance = f$deviance, null = f$null.deviance, aic = f$aic, lr = lr, lr_p = pchisq(lr, ncol(x), lower.tail = FALSE),
    fitted = vec(unname(head(fitted(f), 10))))
}
random <- function(name, seed, n, p, level) {
  set.seed(seed)
  x <- matrix(round(rnorm(n * p), 3), n); x[, 1] <- x[, 1] > 0.3; x[, p] <- round(60 + 10 * x[, p])
  fit(name, x, runif(n) < plogis(-1 + x[, 1] + 0.05 * (x[, p] - 60)), level)
}
emit("glm", "stats", "infert of R's datasets package (Trichopoulos 1976), by hand, and drawn by random(...) in the program", list(
  fit("infert", infert[, c("spontaneous", "induced", "age", "parity")], infert$case == 1),
  fit("by hand, one group indicator", c(0, 0, 0, 0, 1, 1, 1, 1, 1), c(FALSE, FALSE, FALSE, TRUE, TRUE, TRUE, FALSE, TRUE, FALSE), 0.9),
  random("60 patients, two features", 1, 60, 2, 0.95),
  random("300 patients, eight features", 2, 300, 8, 0.99)))
