# Golden values for the Cox loss on a linear log hazard. Run in this folder: Rscript cox_loss.R
library(survival); source("../../../stats/testdata/emit.R")
one <- function(name, x, time, event, b) {
  x <- as.matrix(x); dimnames(x) <- NULL
  s <- Surv(time, event)
  at <- coxph(s ~ x, ties = "breslow", init = b, control = coxph.control(iter.max = 0))
  fit <- coxph(s ~ x, ties = "breslow", control = coxph.control(eps = 1e-14, toler.chol = 1e-15, iter.max = 100))
  score <- coxph.detail(at)$score
  list(name = name, x = lapply(seq_len(nrow(x)), function(i) vec(x[i, ])), time = vec(time), event = vec(event), b = vec(b),
    loglik = at$loglik[1], score = vec(if (is.matrix(score)) colSums(score) else sum(score)), coef = vec(unname(coef(fit))), best = fit$loglik[2])
}
random <- function(name, seed, n, p, step) {
  set.seed(seed)
  x <- matrix(round(rnorm(n * p), 3), n)
  death <- rexp(n, exp(x %*% seq(0.8, -0.4, length.out = p)) / 300); leave <- runif(n, 100, 1500)
  one(name, x, ceiling(pmin(death, leave) / step) * step, death <= leave, seq(-0.5, 0.7, length.out = p))
}
emit("cox_loss", "survival", "by hand, and drawn by random(...) in the program; rounding times up to `step` days makes the ties", list(
  one("by hand: deaths and censorings on the same days", c(1, -1, 0.5, 2, 0, -0.5), c(3, 3, 5, 5, 5, 9), c(TRUE, TRUE, TRUE, FALSE, TRUE, FALSE), 0.3),
  random("16 patients, few ties", 1, 16, 2, 1),
  random("40 patients, heavy ties", 2, 40, 3, 100)))
