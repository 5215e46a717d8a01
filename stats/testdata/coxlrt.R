# Golden values for CoxLikelihoodRatio. Run in this folder: Rscript coxlrt.R
suppressMessages({library(survival); source("emit.R")})
case <- function(name, seed, n, digits, ties) {
  set.seed(seed)
  x <- matrix(round(rnorm(4 * n), 3), n)
  t <- round(rexp(n, exp(x %*% c(0.6, 0, 0.3, 0)) / 100), digits) + 10^-digits
  e <- as.integer(runif(n) < 0.7)
  a <- coxph(Surv(t, e) ~ x[, 1:2], ties = ties, control = coxph.control(eps = 1e-11, toler.chol = 1e-12))
  b <- coxph(Surv(t, e) ~ x, ties = ties, control = coxph.control(eps = 1e-11, toler.chol = 1e-12))
  r <- anova(a, b)
  list(name = name, time = vec(as.numeric(t)), event = vec(e == 1), x = lapply(seq_len(n), function(i) vec(x[i, ])), ties = ties, chisq = r[2, "Chisq"], df = r[2, "Df"], p = r[2, ncol(r)])
}
emit("coxlrt", "survival", "drawn by case(name, seed, n, digits, ties) in the program; rounding makes ties",
  list(case("no ties", 1, 60, 4, "efron"), case("ties, Efron", 2, 80, -1, "efron"), case("ties, Breslow", 3, 80, -1, "breslow")))
