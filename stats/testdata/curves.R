# Golden values for KaplanMeier's other intervals, NelsonAalen and LogRank with strata
# and Fleming-Harrington weights. Run in this folder: Rscript curves.R
library(survival); source("emit.R")
km <- function(time, event, level, type) {
  fit <- survfit(Surv(time, event) ~ 1, conf.type = type, conf.int = level)
  med <- summary(fit)$table
  list(interval = type, low = vec(fit$lower), high = vec(fit$upper),
    median = vec(unname(med[c("median", paste0(level, "LCL"), paste0(level, "UCL"))])))
}
# The interval of a hazard H is that of exp(-H): log-log there is log here, and log is
# plain, but for survfit's cut of exp(-H) at 1, which is the cut of H at 0.
na <- function(time, event, level) {
  f <- function(type) survfit(Surv(time, event) ~ 1, stype = 2, ctype = 1, conf.type = type, conf.int = level)
  a <- f("log-log"); b <- f("log")
  list(hazard = vec(a$cumhaz), se = vec(a$std.chaz), log_low = vec(-log(a$upper)), log_high = vec(-log(a$lower)),
    plain_low = vec(-log(b$upper)), plain_high = vec(-log(b$lower)))
}
test <- function(time, event, group, strata, rho) {
  f <- if (is.null(strata)) survdiff(Surv(time, event) ~ group, rho = rho) else survdiff(Surv(time, event) ~ group + strata(strata), rho = rho)
  total <- function(m) if (is.matrix(m)) rowSums(m) else m
  list(rho = rho, gamma = 0, stratified = !is.null(strata), chisq = f$chisq, df = length(f$n) - 1, p = pchisq(f$chisq, length(f$n) - 1, lower.tail = FALSE),
    observed = vec(unname(total(f$obs))), expected = vec(unname(total(f$exp))))
}
# survdiff has no gamma. From the definition (Fleming and Harrington 1991, 7.2), a 2 x k
# table at each death time; the pooled curve comes from survfit.
fh <- function(time, event, group, strata, rho, gamma) {
  g <- sort(unique(group)); s <- if (is.null(strata)) rep(1, length(time)) else strata
  o <- e <- numeric(length(g)); v <- matrix(0, length(g), length(g))
  for (h in unique(s)) {
    i <- s == h; fit <- survfit(Surv(time[i], event[i]) ~ 1)
    for (u in fit$time[fit$n.event > 0]) {
      before <- c(1, fit$surv)[match(u, fit$time)]
      w <- before^rho * (1 - before)^gamma
      n <- sapply(g, function(k) sum(time[i] >= u & group[i] == k)); N <- sum(n)
      d <- sapply(g, function(k) sum(time[i] == u & event[i] & group[i] == k)); D <- sum(d)
      o <- o + w * d; e <- e + w * D * n / N
      if (N > 1) v <- v + w^2 * D * (N - D) / (N - 1) * (diag(n / N, length(g)) - outer(n / N, n / N))
    }
  }
  x <- drop((o - e)[-1] %*% solve(v[-1, -1]) %*% (o - e)[-1])
  list(rho = rho, gamma = gamma, stratified = !is.null(strata), chisq = x, df = length(g) - 1, p = pchisq(x, length(g) - 1, lower.tail = FALSE), observed = vec(o), expected = vec(e))
}
one <- function(name, time, event, group, strata, level) {
  list(name = name, time = vec(time), event = vec(event), group = vec(group), strata = vec(strata), level = level,
    km = lapply(c("log", "log-log", "plain"), function(type) km(time, event, level, type)), na = na(time, event, level),
    tests = if (length(unique(group)) < 2) list() else list(test(time, event, group, NULL, 0), test(time, event, group, NULL, 1), test(time, event, group, NULL, 0.5),
      test(time, event, group, strata, 0), test(time, event, group, strata, 1),
      fh(time, event, group, NULL, 1, 0), fh(time, event, group, NULL, 0, 1), fh(time, event, group, NULL, 0.5, 2), fh(time, event, group, strata, 1, 1)))
}
random <- function(name, seed, n, groups, step, level) {
  set.seed(seed)
  group <- sample.int(groups, n, replace = TRUE); strata <- sample(c(2, 4, 8), n, replace = TRUE)
  death <- rexp(n, exp(0.4 * group + 0.1 * strata) / 800); leave <- runif(n, 100, 1500)
  one(name, ceiling(pmin(death, leave) / step) * step, death <= leave, group, strata, level)
}
emit("curves", "survival", "aml of R's survival package (Miller 1997), by hand, and drawn by random(...) in the program; rounding times up to `step` days makes the ties", list(
  one("aml", aml$time, aml$status == 1, as.integer(aml$x), rep(c(1, 2), length.out = 23), 0.95),
  one("ends with a death, starts with censoring", c(1, 2, 3, 3, 4, 5, 5, 6), c(FALSE, TRUE, TRUE, FALSE, TRUE, TRUE, FALSE, TRUE), c(1, 2, 1, 2, 1, 2, 1, 2), c(1, 1, 1, 1, 2, 2, 2, 2), 0.90),
  one("everybody censored", c(5, 3, 3), c(FALSE, FALSE, FALSE), c(1, 1, 1), c(1, 1, 1), 0.95),
  one("a single death", 7, TRUE, 1, 1, 0.95),
  random("60 patients, heavy ties", 51, 60, 2, 100, 0.95),
  random("150 patients, three groups", 52, 150, 3, 10, 0.99)))
