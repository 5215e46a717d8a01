# Golden values for CumulativeIncidence and GrayTest. Run in this folder: Rscript competing.R
library(survival); library(cmprsk); source("emit.R")
curve <- function(f, times, level) {
  at <- function(v) sapply(times, function(t) v[max(which(f$time <= t))])  # corners: the upper one is later
  est <- at(f$est); se <- sqrt(at(f$var)); z <- qnorm(1 - (1 - level) / 2)
  none <- est == 0 | est == 1; e <- ifelse(none, NA, est)
  list(est = vec(est), se = vec(se), low = vec(e^exp(-z * se / (e * log(e)))), high = vec(e^exp(z * se / (e * log(e)))),
    log_low = vec(ifelse(est == 0, NA, est * exp(-z * se / est))), log_high = vec(ifelse(est == 0, NA, pmin(1, est * exp(z * se / est)))),
    plain_low = vec(pmax(0, est - z * se)), plain_high = vec(pmin(1, est + z * se)))
}
one <- function(name, time, cause, group, strata, level) {
  times <- sort(unique(time)); causes <- sort(unique(cause[cause > 0]))
  all <- cuminc(time, cause)
  state <- survfit(Surv(time, factor(cause, c(0, causes))) ~ 1)   # a second estimate
  for (k in seq_along(causes)) stopifnot(all.equal(state$pstate[, k + 1], unclass(curve(all[[k]], times, level)$est)))
  tests <- list()
  if (length(unique(group)) > 1) for (rho in c(0, 1)) for (st in c(FALSE, TRUE)) {
    t <- if (st) cuminc(time, cause, group, strata, rho = rho)$Tests else cuminc(time, cause, group, rho = rho)$Tests
    for (k in seq_along(causes)) tests[[length(tests) + 1]] <- list(cause = causes[k], rho = rho, stratified = st, chisq = unname(t[k, "stat"]),
      p = pchisq(unname(t[k, "stat"]), t[k, "df"], lower.tail = FALSE), df = unname(t[k, "df"]))
  }
  list(name = name, time = vec(time), cause = vec(cause), group = vec(group), strata = vec(strata), level = level, causes = vec(causes),
    curves = lapply(seq_along(causes), function(k) curve(all[[k]], times, level)), tests = tests)
}
random <- function(name, seed, n, groups, step, level, causes = 2) {
  set.seed(seed)
  group <- sample.int(groups, n, replace = TRUE); strata <- sample(c(1, 6), n, replace = TRUE)
  t <- sapply(seq_len(causes), function(k) rexp(n, exp(0.4 * group * (k == 1)) / (300 * k))); leave <- runif(n, 50, 900)
  first <- apply(t, 1, which.min); death <- apply(t, 1, min)
  one(name, ceiling(pmin(death, leave) / step) * step, ifelse(death <= leave, first, 0), group, strata, level)
}
emit("competing", c("survival", "cmprsk"), "by hand, and drawn by random(...) in the program; rounding times up to `step` days makes the ties", list(
  one("by hand", c(1, 2, 2, 3, 3, 4, 5, 6, 6, 7), c(1, 2, 1, 0, 1, 1, 2, 2, 0, 1), c(1, 2, 1, 2, 1, 2, 1, 2, 1, 2), rep(c(1, 6), each = 5), 0.90),
  one("ends with the last death, one cause", c(1, 2, 2, 3, 5), c(1, 1, 0, 1, 1), c(1, 1, 1, 1, 1), c(1, 1, 1, 1, 1), 0.95),
  random("80 patients, heavy ties", 81, 80, 2, 60, 0.95),
  random("150 patients, three groups, three causes", 82, 150, 3, 15, 0.99, 3),
  random("200 patients, few ties", 83, 200, 2, 1, 0.95)))
