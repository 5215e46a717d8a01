# Golden values for KaplanMeier, LogRank, HarrellC, UnoC, RMST and RMSTDifference.
# Run in this folder: Rscript survival.R
library(survival); source("emit.R")

km <- function(time, event, level) {
  fit <- survfit(Surv(time, event) ~ 1, conf.type = "log-log", conf.int = level)
  s <- summary(fit, times = fit$time, censored = TRUE)
  med <- s$table
  probe <- c(0, sort(unique(time))[2], mean(time), max(time))
  list(time = vec(fit$time), risk = vec(fit$n.risk), events = vec(fit$n.event), censored = vec(fit$n.censor),
    survival = vec(fit$surv), se = vec(ifelse(fit$surv == 0, NA, fit$surv * fit$std.err)),
    low = vec(fit$lower), high = vec(fit$upper),
    median = vec(unname(med[c("median", paste0(level, "LCL"), paste0(level, "UCL"))])),
    probe = probe, probe_risk = summary(fit, times = probe, extend = TRUE)$n.risk)
}
index <- function(time, event, score, level, ...) {
  c <- concordance(Surv(time, event) ~ score, reverse = TRUE, ...)
  se <- sqrt(c$var); z <- qnorm(1 - (1 - level) / 2)
  n <- unname(c$count)
  list(c = unname(c$concordance), se = se, low = max(0, c$concordance - z * se), high = min(1, c$concordance + z * se),
    concordant = n[1], discordant = n[2], tied_score = n[3], tied_time = n[4] + n[5])
}
area <- function(time, event, tau) {
  t <- survival:::survmean(survfit(Surv(time, event) ~ 1), rmean = tau)$matrix
  unname(t[c("rmean", "se(rmean)")])
}
one <- function(name, time, event, group, score, tau, level = 0.95) {
  test <- survdiff(Surv(time, event) ~ group)
  exposed <- group == max(group)
  a <- area(time[exposed], event[exposed], tau); b <- area(time[!exposed], event[!exposed], tau)
  d <- a[1] - b[1]; se <- sqrt(a[2]^2 + b[2]^2); z <- qnorm(1 - (1 - level) / 2)
  list(name = name, time = time, event = event, group = group, score = score, tau = tau, level = level,
    km = km(time, event, level),
    logrank = list(chisq = test$chisq, df = length(test$n) - 1, p = test$pvalue, observed = test$obs, expected = test$exp),
    harrell = index(time, event, score, level),
    uno = index(time, event, score, level, timewt = "n/G2"),
    uno_tau = index(time, event, score, level, timewt = "n/G2", ymax = tau),
    rmst = area(time, event, tau),
    rmst_difference = list(difference = d, se = se, low = d - z * se, high = d + z * se, p = 2 * pnorm(-abs(d / se))))
}
random <- function(name, seed, n, groups, step, digits, tau, level) {
  set.seed(seed)
  group <- sample.int(groups, n, replace = TRUE)
  trait <- rnorm(n) + 0.4 * group
  death <- rexp(n, exp(0.7 * trait) / 300); leave <- runif(n, 100, 1500)
  one(name, ceiling(pmin(death, leave) / step) * step, death <= leave, group, round(trait, digits), tau, level)
}
emit("survival", c("survival"),
  "aml of R's survival package (Miller 1997), by hand, and drawn by random(...) in the program; rounding times up to `step` days makes the ties",
  list(
    one("aml", aml$time, aml$status == 1, as.integer(aml$x), c(3, 1, 2, 2, 5, 1, 3, 2, 1, 4, 1, 5, 6, 2, 4, 6, 3, 3, 5, 4, 2, 6, 5), 40),
    one("by hand: S reaches one half exactly", c(1, 2, 3, 3, 4, 5, 5, 6), c(TRUE, TRUE, TRUE, FALSE, TRUE, TRUE, FALSE, TRUE), c(1, 2, 1, 2, 1, 2, 1, 2), c(8, 7, 7, 2, 5, 5, 2, 1), 5, 0.90),
    random("40 patients, heavy ties", 21, 40, 2, 100, 0, 500, 0.95),
    random("120 patients, three groups", 22, 120, 3, 10, 1, 730, 0.95),
    random("200 patients, few ties", 23, 200, 2, 1, 6, 730, 0.99)))
