# Golden values for the sample sizes. Run in this folder: Rscript samplesize.R
suppressMessages({library(pROC); source("emit.R")})
single <- function(auc, kappa, alpha, power, cases, controls) {
  n <- power.roc.test(auc = auc, sig.level = alpha, power = power, kappa = kappa)
  p <- power.roc.test(auc = auc, sig.level = alpha, ncases = cases, ncontrols = controls)
  list(name = paste("one AUC,", auc), a = auc, ratio = kappa, alpha = alpha, power = power, positives = cases, negatives = controls,
    ncases = n$ncases, ncontrols = n$ncontrols, reached = p$power)
}
# Hanley and McNeil's standard error and unpaired sample size, from their formulas.
planned <- function(a, b, alpha, power, cases, controls) {
  q1 <- function(t) t / (2 - t); q2 <- function(t) 2 * t^2 / (1 + t)
  v <- function(t) q1(t) + q2(t) - 2 * t^2
  n <- (qnorm(1 - alpha / 2) * sqrt(2 * v(a)) + qnorm(power) * sqrt(v(a) + v(b)))^2 / (a - b)^2
  se <- sqrt((a * (1 - a) + (cases - 1) * (q1(a) - a^2) + (controls - 1) * (q2(a) - a^2)) / (cases * controls))
  list(name = paste("two cohorts,", a, b), a = a, b = b, alpha = alpha, power = power, positives = cases, negatives = controls, se = se, ncases = n)
}
paired <- function(a, b, sa, sb, ra, rn, kappa, alpha, power, cases, controls) {
  par <- list(A1 = qnorm(a) * sqrt(1 + sa^2), B1 = sa, A2 = qnorm(b) * sqrt(1 + sb^2), B2 = sb, rn = rn, ra = ra, delta = a - b)
  n <- power.roc.test(par, sig.level = alpha, power = power, kappa = kappa)
  p <- power.roc.test(par, sig.level = alpha, ncases = cases, ncontrols = controls)
  list(name = paste("two scores,", a, b), a = a, b = b, spread_a = sa, spread_b = sb, ra = ra, rn = rn, ratio = kappa, alpha = alpha, power = power,
    positives = cases, negatives = controls, ncases = n$ncases, ncontrols = n$ncontrols, reached = p$power)
}
emit("samplesize", c("pROC"), "designs written in the program", list(
  single(0.7, 1, 0.05, 0.8, 30, 30), single(0.62, 2.5, 0.01, 0.9, 100, 250), single(0.35, 0.4, 0.1, 0.95, 60, 20),
  planned(0.7, 0.75, 0.1, 0.8, 145, 61), planned(0.85, 0.9, 0.05, 0.9, 40, 90),
  paired(0.7, 0.64, 1, 1, 0.5, 0.5, 0.42, 0.05, 0.8, 145, 61), paired(0.8, 0.9, 0.7, 1.3, 0.3, 0.6, 2, 0.01, 0.9, 50, 100)))
