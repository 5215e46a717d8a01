# Golden values for MetaAnalysis, FisherCombined, StoufferCombined, Adjust and QValues.
# Run in this folder: Rscript combine.R
suppressMessages({library(metafor); library(metap); library(qvalue); source("emit.R")})

# survcomp's definitions, from its documentation: tau2 with U = (k-1)(wbar - s2w/(k wbar)).
survcomp <- function(x, se, hetero) {
  k <- length(x); w <- se^-2
  Q <- sum(w * x^2) - sum(w * x)^2 / sum(w)
  if (hetero) {
    U <- (k - 1) * (mean(w) - var(w) / (k * mean(w)))
    w <- 1 / (se^2 + max(0, (Q - (k - 1)) / U))
  }
  c(sum(w * x) / sum(w), sqrt(1 / sum(w)), Q, pchisq(Q, k - 1, lower.tail = FALSE))
}
meta <- function(name, x, se, level) {
  f <- rma(x, sei = se, method = "FE", level = 100 * level); r <- rma(x, sei = se, method = "DL", level = 100 * level)
  one <- function(m, h) list(metafor = c(m$b, m$se, m$ci.lb, m$ci.ub, m$zval, m$pval), survcomp = survcomp(x, se, h))
  k <- length(x)
  list(kind = "meta", name = name, x = x, se = se, level = level, fixed = one(f, FALSE), random = one(r, TRUE),
    q = r$QE, qp = r$QEp, tau2 = r$tau2, i2 = max(0, (r$QE - (k - 1)) / r$QE), weights = unname(weights(r)) / 100)
}
combine <- function(name, p, w) {
  z <- qnorm(p, lower.tail = FALSE)
  q <- sum(w * (z - mean(z))^2)
  s <- sumz(p, w); f <- sumlog(p)
  list(kind = "combine", name = name, p = p, weights = w, fisher = f$chisq, fisher_p = f$p, z = s$z[1, 1], z_p = s$p[1, 1],
    q = q, qp = pchisq(q, length(p) - 1, lower.tail = FALSE))
}
adjust <- function(name, p, pi0 = TRUE) {
  q <- function(method) { r <- qvalue(p, pi0.method = method, lfdr.out = FALSE); list(pi0 = r$pi0, q = r$qvalues, at = r$pi0.lambda) }
  list(kind = "adjust", name = name, p = p, bonferroni = p.adjust(p, "bonferroni"), holm = p.adjust(p, "holm"),
    bh = p.adjust(p, "BH"), by = p.adjust(p, "BY"), smoother = if (pi0) q("smoother") else NA, bootstrap = if (pi0) q("bootstrap") else NA)
}
some <- function(seed, m, share, digits) { set.seed(seed); round(ifelse(runif(m) < share, runif(m), rbeta(m, 0.3, 6)), digits) }
emit("combine", c("metafor", "metap", "qvalue"), "by hand, and drawn by some(seed, m, share, digits) in the program",
  list(
    meta("two treatments", c(0.701656, 0.708088), c(0.0381513, 0.0575904), 0.95),
    meta("six studies that disagree, 90%", c(0.57, 0.70, 0.70, 0.55, 0.79, 0.71) - 0.5, c(0.03, 0.05, 0.04, 0.04, 0.05, 0.06), 0.90),
    meta("five log hazard ratios", c(-0.1, 0.4, 1.1, 0.2, -0.7), c(0.2, 0.15, 0.3, 0.25, 0.4), 0.95),
    combine("two", c(6e-8, 1.5e-4), c(1, 1)),
    combine("five, weights", c(0.01, 0.2, 0.7, 0.04, 0.5), sqrt(c(10, 40, 20, 100, 5))),
    combine("far out", c(1e-20, 1e-30, 1e-9), c(1, 2, 3)),
    adjust("seven by hand, ties", c(0.01, 0.04, 0.04, 0.2, 0.001, 1, 0.8), FALSE),
    adjust("674 sets", some(1, 674, 0.8, 4)),
    adjust("300 tests, most of them real", some(2, 300, 0.3, 8)),
    adjust("400 tests, none real", some(3, 400, 1, 3))))
