# Golden values for the edges of KaplanMeier, where nothing can be compared.
# Run in this folder: Rscript kaplanmeier.R
library(survival); source("emit.R")
km <- function(name, time, event, level = 0.95) {
  fit <- survfit(Surv(time, event) ~ 1, conf.type = "log-log", conf.int = level)
  med <- summary(fit)$table
  list(name = name, time = vec(time), event = vec(event), level = level,
    km = list(time = vec(fit$time), risk = vec(fit$n.risk), events = vec(fit$n.event), censored = vec(fit$n.censor),
      survival = vec(fit$surv), se = vec(ifelse(fit$surv == 0, NA, fit$surv * fit$std.err)),
      low = vec(fit$lower), high = vec(fit$upper),
      median = vec(unname(med[c("median", "0.95LCL", "0.95UCL")])),
      probe = vec(c(0, time, 1e6)), probe_risk = vec(summary(fit, times = c(0, time, 1e6), extend = TRUE)$n.risk)))
}
emit("kaplanmeier", c("survival"), "by hand", list(
  km("all censored", c(5, 7, 7, 9), c(FALSE, FALSE, FALSE, FALSE)),
  km("one patient, dead", 12, TRUE),
  km("one patient, censored", 12, FALSE),
  km("death at time zero", c(0, 3, 5), c(TRUE, FALSE, TRUE)),
  km("everybody dies", 1:10, rep(TRUE, 10)),
  km("one half as the last step", c(1, 2, 3, 4, 5, 6), c(TRUE, TRUE, TRUE, FALSE, FALSE, FALSE))))
