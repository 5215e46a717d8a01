# Golden values for Cox with options, its residuals, tests and predictions.
# Run in this folder: Rscript coxmodel.R
library(survival); source("emit.R")
rows <- function(m) { m <- as.matrix(m); lapply(seq_len(nrow(m)), function(i) vec(unname(m[i, ]))) }
one <- function(name, seed, n, p, step, ties, level, stratified = FALSE, robust = FALSE, clusters = 0, shift = FALSE) {
  set.seed(seed)
  x <- matrix(round(rnorm(n * p), 2), n); x[, 1] <- x[, 1] > 0.2
  if (p > 1) x[, p] <- round(60 + 10 * x[, p])
  death <- rexp(n, exp(0.5 * x[, 1] + 0.2 * x[, min(2, p)] * (p > 2)) / 300); leave <- runif(n, 100, 1500)
  time <- ceiling(pmin(death, leave) / step) * step; event <- death <= leave
  s <- if (stratified) sample(c(3, 5, 9), n, replace = TRUE) else rep(0, n)
  if (shift) x[s == 5, 1] <- 1     # a covariate that is constant in one stratum
  id <- if (clusters > 0) sample.int(clusters, n, replace = TRUE) else seq_len(n)
  d <- data.frame(time, event, s, id, x)
  names(d) <- c("time", "event", "s", "id", paste0("x", seq_len(p)))
  right <- paste(paste0("x", seq_len(p)), collapse = " + ")
  if (stratified) right <- paste(right, "+ strata(s)")
  f <- as.formula(paste("Surv(time, event) ~", right))
  control <- coxph.control(eps = 1e-14, toler.chol = 1e-16, iter.max = 60)
  fit <- if (clusters > 0) coxph(f, d, ties = ties, control = control, cluster = id, model = TRUE, x = TRUE)
    else coxph(f, d, ties = ties, control = control, robust = robust, model = TRUE, x = TRUE)
  sum <- summary(fit, conf.int = level)
  zph <- lapply(c("km", "identity", "rank", "log"), function(g) {
    z <- cox.zph(fit, transform = g, terms = FALSE)
    list(transform = g, chisq = vec(unname(z$table[, "chisq"])), p = vec(unname(z$table[, "p"])), x = vec(z$x), y = rows(z$y))
  })
  base <- basehaz(fit, centered = FALSE)
  new <- d[c(1, 2, 7), ]; if (p > 1) new[[4 + p]] <- new[[4 + p]] + c(0, 25, -10)
  curves <- lapply(1:3, function(i) {
    lapply(c("log", "log-log", "plain"), function(type) {
      c <- survfit(fit, new[i, ], conf.type = type, conf.int = level)
      list(x = vec(unlist(new[i, 4 + seq_len(p)], use.names = FALSE)), stratum = new$s[i], interval = type,
        time = vec(c$time), hazard = vec(c$cumhaz), se = vec(c$std.err), survival = vec(c$surv), low = vec(c$lower), high = vec(c$upper))
    })
  })
  sch <- residuals(fit, "schoenfeld")
  list(name = name, ties = ties, level = level, time = vec(time), event = vec(event), x = rows(x),
    strata = if (stratified) vec(s) else vec(numeric(0)), cluster = if (clusters > 0) vec(id) else vec(numeric(0)), robust = robust || clusters > 0,
    coef = vec(unname(coef(fit))), covariance = rows(vcov(fit)), naive = rows(if (is.null(fit$naive.var)) fit$var else fit$naive.var),
    loglik = vec(fit$loglik), wald = fit$wald.test, score = fit$score, rscore = if (is.null(fit$rscore)) NA else fit$rscore,
    low = vec(unname(sum$conf.int[, 3])), high = vec(unname(sum$conf.int[, 4])),
    schoenfeld = rows(sch), zph = zph,
    base_stratum = if (stratified) vec(as.numeric(sub("s=", "", as.character(base$strata)))) else vec(rep(0, nrow(base))),
    base_time = vec(base$time), base_hazard = vec(base$hazard), curves = unlist(curves, recursive = FALSE),
    lp = vec(unname(predict(fit, d, type = "lp", reference = "zero"))))
}
emit("coxmodel", "survival", "drawn by one(...) in the program; rounding times up to `step` days makes the ties", list(
  one("efron", 1, 70, 3, 20, "efron", 0.95),
  one("breslow, heavy ties", 2, 60, 2, 90, "breslow", 0.90),
  one("efron, strata, robust", 3, 90, 3, 40, "efron", 0.95, stratified = TRUE, robust = TRUE),
  one("breslow, strata, clusters", 4, 90, 3, 40, "breslow", 0.99, stratified = TRUE, clusters = 25),
  one("efron, heavy ties, clusters", 5, 60, 2, 120, "efron", 0.95, clusters = 20),
  one("one covariate, robust", 6, 40, 1, 1, "efron", 0.95, robust = TRUE),
  one("efron, strata, one without variation", 7, 80, 3, 30, "efron", 0.95, stratified = TRUE, shift = TRUE)))
