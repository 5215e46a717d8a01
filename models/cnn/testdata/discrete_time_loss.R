# Golden values for the discrete-time loss on a linear logit of the hazard with an intercept for each interval: logistic
# regression on one row for each patient and each interval he is seen in. Run in this folder: Rscript discrete_time_loss.R
source("../../../stats/testdata/emit.R")
rows <- function(x, time, event, ends) {
  starts <- c(0, head(ends, -1)); middle <- (starts + ends) / 2
  do.call(rbind, lapply(seq_along(time), function(i) {
    survived <- if (event[i]) ends <= time[i] else middle <= time[i]
    dies <- event[i] & starts <= time[i] & time[i] < ends
    seen <- which(survived | dies)
    if (length(seen) == 0) NULL else data.frame(interval = seen, died = dies[seen], x = I(x[rep(i, length(seen)), , drop = FALSE]))
  }))
}
one <- function(name, seed, n, p, step, ends) {
  set.seed(seed)
  x <- matrix(round(rnorm(n * p), 3), n)
  death <- rexp(n, exp(x %*% seq(0.8, -0.4, length.out = p)) / 400); leave <- runif(n, 10, 2000)
  time <- ceiling(pmin(death, leave) / step) * step; event <- death <= leave
  r <- rows(x, time, event, ends)
  r$interval <- factor(r$interval, seq_along(ends)); X <- unclass(r$x); dimnames(X) <- NULL
  a <- seq(-2, 0.5, length.out = length(ends)); b <- seq(-0.5, 0.7, length.out = p)
  z <- a[as.integer(r$interval)] + drop(X %*% b)
  f <- glm(r$died ~ 0 + r$interval + X, family = binomial, control = glm.control(epsilon = 1e-15, maxit = 100))
  list(name = name, x = lapply(seq_len(n), function(i) vec(x[i, ])), time = vec(time), event = vec(event), ends = vec(ends),
    a = vec(a), b = vec(b), loglik = sum(dbinom(r$died, 1, plogis(z), log = TRUE)),
    fitted_a = vec(unname(head(coef(f), length(ends)))), fitted_b = vec(unname(tail(coef(f), p))), best = as.numeric(logLik(f)))
}
emit("discrete_time_loss", "stats", "drawn in the program; times on multiples of `step` days fall on ends and middles of intervals", list(
  one("60 patients, half years", 1, 60, 2, 1, 182.625 * 1:6),
  one("80 patients, uneven intervals, times on their ends and middles", 2, 80, 1, 50, c(100, 300, 600, 1000))))
