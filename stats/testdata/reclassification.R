# Golden values for NRI and IDI. The categorical NRI is improveProb of the category's number.
# Run in this folder: Rscript reclassification.R
suppressMessages({library(Hmisc); source("emit.R")})

one <- function(name, before, after, y, cuts, level) {
  z <- qnorm((1 + level) / 2)
  term <- function(e, se) list(estimate = e, se = se, low = e - z * se, high = e + z * se, z = e / se, p = 2 * pnorm(-abs(e / se)))
  take <- function(r) list(nri = term(r$nri, r$se.nri), positives = term(r$nri.ev, r$se.nri.ev), negatives = term(r$nri.ne, r$se.nri.ne),
    up = c(round(r$pup.ev * r$na), round(r$pup.ne * r$nb)), down = c(round(r$pdown.ev * r$na), round(r$pdown.ne * r$nb)))
  free <- improveProb(before, after, as.numeric(y))
  k <- length(cuts)
  cb <- findInterval(before, cuts); ca <- findInterval(after, cuts)
  counts <- function(of) lapply(0:k, function(i) vec(vapply(0:k, function(j) sum(cb[of] == i & ca[of] == j), 0)))
  list(name = name, before = before, after = after, positive = y, cuts = vec(cuts), level = level,
    continuous = take(free), categorical = take(improveProb(cb / (k + 1), ca / (k + 1), as.numeric(y))),
    positive_table = counts(y), negative_table = counts(!y),
    idi = term(free$idi, free$se.idi), positives_change = free$improveSens, negatives_change = free$improveSpec,
    slope = mean(before[y]) - mean(before[!y]))
}
random <- function(name, seed, n, digits, cuts, level) {
  set.seed(seed)
  truth <- rnorm(n); marker <- rnorm(n)
  y <- runif(n) < plogis(truth + marker)
  one(name, round(plogis(truth), digits), round(plogis(truth + 0.7 * marker), digits), y, cuts, level)
}
emit("reclassification", c("Hmisc"),
  "by hand, and drawn by random(...) in the program; rounding puts risks on the cuts and leaves some unmoved",
  list(
    one("by hand", c(0.1, 0.3, 0.5, 0.7, 0.2, 0.4, 0.6, 0.3), c(0.2, 0.5, 0.4, 0.9, 0.1, 0.4, 0.3, 0.6), c(TRUE, TRUE, TRUE, TRUE, FALSE, FALSE, FALSE, FALSE), c(0.25, 0.5), 0.95),
    random("206 patients, tenths", 61, 206, 1, c(0.2, 0.5), 0.90),
    random("150 patients", 62, 150, 12, 0.4, 0.95)))
