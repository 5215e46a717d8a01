# Golden values for TimeAUC, SurvivalBrier, HarrellCPaired and UnoCPaired.
# Run in this folder: Rscript ipcw.R
suppressMessages({library(survival); library(prodlim); library(pec); library(riskRegression)}); source("emit.R")
rows <- function(m) { m <- as.matrix(m); lapply(seq_len(nrow(m)), function(i) vec(unname(m[i, ]))) }
# The covariance is the sum of products of the two indices' dfbeta; vcov(concordance(fitA,
# fitB)) is the same where it runs (not with timewt in this version), which is checked.
held <- function(s, d) coxph(Surv(time, event) ~ x, data.frame(d, x = s), init = 1, control = coxph.control(iter.max = 0))
pair <- function(d, check, ...) {
  index <- function(s) concordancefit(Surv(d$time, d$event), s, reverse = TRUE, influence = 1, ...)
  a <- index(d$a); b <- index(d$b); infl <- cbind(a$dfbeta, b$dfbeta); v <- crossprod(infl)
  if (check) stopifnot(all.equal(v, vcov(concordance(held(d$a, d), held(d$b, d))), check.attributes = FALSE, tolerance = 1e-12))
  diff <- unname(a$concordance - b$concordance); se <- sqrt(v[1, 1] + v[2, 2] - 2 * v[1, 2])
  list(c = vec(unname(c(a$concordance, b$concordance))), se = vec(sqrt(diag(v))), covariance = v[1, 2], difference = diff, se_difference = se, p = 2 * pnorm(-abs(diff / se)))
}
one <- function(name, seed, n, step, digits, times, tau) {
  set.seed(seed)
  a <- round(rnorm(n), digits); b <- round(0.6 * a + 0.8 * rnorm(n), digits)
  death <- rexp(n, exp(0.7 * a) / 400); leave <- runif(n, 50, 1500)
  d <- data.frame(time = ceiling(pmin(death, leave) / step) * step, event = as.numeric(death <= leave), a, b)
  survival <- exp(-outer(exp(0.5 * a), times / 500))
  s <- suppressWarnings(Score(list(model = 1 - survival), Hist(time, event) ~ 1, data = d, times = times, metrics = c("auc", "brier"), cens.model = "km", null.model = TRUE, se.fit = TRUE, conf.int = TRUE))
  auc <- as.data.frame(s$AUC$score); brier <- as.data.frame(s$Brier$score)
  p <- pec(list(model = cbind(1, survival)), Surv(time, event) ~ 1, data = d, times = c(0, times), exact = FALSE, cens.model = "marginal", verbose = FALSE)
  list(name = name, time = vec(d$time), event = vec(d$event == 1), a = vec(a), b = vec(b), times = vec(times), tau = tau, survival = rows(survival),
    auc = vec(auc$AUC), auc_se = vec(auc$se), brier = vec(brier$Brier[brier$model == "model"]), brier_se = vec(brier$se[brier$model == "model"]),
    null = vec(brier$Brier[brier$model == "Null model"]), pec = vec(p$AppErr$model[-1]), pec_null = vec(p$AppErr$Reference[-1]),
    harrell = pair(d, TRUE), uno = pair(d, FALSE, timewt = "n/G2", ymax = tau))
}
emit("ipcw", c("survival", "riskRegression", "pec"), "drawn by one(...) in the program; rounding times up to `step` days makes the ties", list(
  one("60 patients, heavy ties", 71, 60, 100, 0, c(200, 400, 650), 700),
  one("200 patients, some ties", 72, 200, 20, 1, c(150, 365, 730), 730),
  one("400 patients, few ties", 73, 400, 1, 8, c(150, 365, 730), 730)))
