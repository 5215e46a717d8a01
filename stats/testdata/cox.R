# Golden values for Cox. Run in this folder: Rscript cox.R
library(survival); source("emit.R")
# eps far below the default: the default stops while the eighth digit still moves.
fit <- function(name, time, event, x, level = 0.95) {
  x <- as.matrix(x); dimnames(x) <- NULL
  f <- coxph(Surv(time, event) ~ x, ties = "efron", control = coxph.control(eps = 1e-14, toler.chol = 1e-16, iter.max = 60))
  s <- summary(f, conf.int = level)
  list(name = name, time = time, event = event, level = level,
    x = lapply(seq_len(nrow(x)), function(i) vec(x[i, ])),
    coef = vec(unname(coef(f))), se = vec(unname(s$coefficients[, "se(coef)"])), hr = vec(unname(s$conf.int[, 1])),
    low = vec(unname(s$conf.int[, 3])), high = vec(unname(s$conf.int[, 4])), p = vec(unname(s$coefficients[, "Pr(>|z|)"])),
    covariance = lapply(seq_len(ncol(x)), function(i) vec(unname(vcov(f)[i, ]))),
    loglik = f$loglik,
    lr = unname(s$logtest), wald = c(f$wald.test, s$waldtest[2:3]), score = c(f$score, s$sctest[2:3]))
}
random <- function(name, seed, n, p, step, level) {
  set.seed(seed)
  x <- matrix(round(rnorm(n * p), 3), n); x[, 1] <- x[, 1] > 0.3; x[, p] <- round(60 + 10 * x[, p])
  death <- rexp(n, exp(0.6 * x[, 1] + 0.03 * (x[, p] - 60)) / 300); leave <- runif(n, 100, 1500)
  fit(name, ceiling(pmin(death, leave) / step) * step, death <= leave, x, level)
}
emit("cox", c("survival"), "aml of R's survival package (Miller 1997), and drawn by random(...) in the program", list(
  fit("aml, one group indicator", aml$time, aml$status == 1, as.numeric(aml$x == "Nonmaintained")),
  random("60 patients, heavy ties", 31, 60, 2, 100, 0.95),
  random("150 patients, five covariates", 32, 150, 5, 1, 0.90)))
