# Golden values for Calibration, its lines, and the Brier score with its parts.
# Run in this folder: Rscript calibration.R
suppressMessages({library(rms); source("emit.R")})

one <- function(name, p, y, groups, level, at) {
  strict <- glm.control(epsilon = 1e-15, maxit = 100)
  x <- qlogis(p)
  # Twice: glm takes its covariance from the weights before the last step.
  large <- glm(y ~ offset(x), binomial, control = strict)
  large <- glm(y ~ offset(x), binomial, control = strict, start = coef(large))
  line <- glm(y ~ x, binomial, control = strict)
  line <- glm(y ~ x, binomial, control = strict, start = coef(line))
  term <- function(fit, i, ideal) {
    e <- unname(coef(fit)[i]); se <- sqrt(vcov(fit)[i, i])
    list(estimate = e, se = se, low = e - qnorm((1 + level) / 2) * se, high = e + qnorm((1 + level) / 2) * se, p = 2 * pnorm(-abs((e - ideal) / se)))
  }
  val <- val.prob(p, y, pl = FALSE)
  new <- predict(line, data.frame(x = qlogis(at)), se.fit = TRUE)
  z <- qnorm((1 + level) / 2)
  # Murphy's parts and the two of Stephenson et al., straight from their definition.
  parts <- function(group) {
    n <- length(y); q <- mean(y)
    f <- ave(p, group); o <- ave(as.numeric(y), group)
    list(reliability = mean((f - o)^2), resolution = mean((o - q)^2), uncertainty = q * (1 - q),
      variance = mean((p - f)^2), covariance = 2 * mean((p - f) * (y - o)), groups = length(unique(group)))
  }
  edges <- quantile(p, (1:(groups - 1)) / groups, names = FALSE)
  list(name = name, risk = p, positive = y, groups = groups, level = level,
    large = term(large, 1, 0), intercept = term(line, 1, 0), slope = term(line, 2, 1), covariance = vcov(line)[1, 2],
    lr = unname(val["U:Chi-sq"]), lr_p = unname(val["U:p"]), expected = sum(p), ratio = sum(y) / sum(p),
    at = at, line = unname(plogis(new$fit)), low = unname(plogis(new$fit - z * new$se.fit)), high = unname(plogis(new$fit + z * new$se.fit)),
    recalibrated = unname(fitted(line)), in_the_large = unname(fitted(large)),
    brier = unname(val["Brier"]), brier_se = sd((p - y)^2) / sqrt(length(y)), z = unname(val["S:z"]), z_p = unname(val["S:p"]),
    each = parts(p), binned = parts(findInterval(p, edges, left.open = TRUE)))
}
random <- function(name, seed, n, a, b, digits, groups, level) {
  set.seed(seed)
  truth <- rnorm(n, -0.3, 1)
  y <- runif(n) < plogis(truth)
  one(name, round(plogis(a + b * truth + 0.5 * rnorm(n)), digits), y, groups, level, c(0.02, 0.3, 0.5, 0.77, 0.99))
}
emit("calibration", c("rms"),
  "by hand, and drawn by random(...) in the program; rounding makes the ties",
  list(
    one("by hand, with ties", c(0.1, 0.1, 0.2, 0.2, 0.5, 0.5, 0.7, 0.7, 0.9), c(FALSE, FALSE, FALSE, TRUE, FALSE, TRUE, TRUE, FALSE, TRUE), 3, 0.95, c(0.1, 0.6)),
    random("206 patients, too extreme", 51, 206, 0, 2, 12, 10, 0.95),
    random("300 patients, too low, in hundredths", 52, 300, -1, 0.6, 2, 5, 0.90),
    random("97 patients, next to 1", 53, 97, 6, 0.5, 6, 4, 0.95)))
