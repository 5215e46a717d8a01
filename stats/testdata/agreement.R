# Golden values for ICC, MeasurementError, BlandAltman, LinCCC, Pearson, Spearman, Kendall,
# CohenKappa and FleissKappa. Run in this folder: Rscript agreement.R
suppressMessages({library(psych); library(epiR); library(vcd); source("emit.R")})
flat <- function(m) lapply(seq_len(nrow(m)), function(i) vec(unname(m[i, ])))

icc <- function(name, x, level) {
  r <- suppressWarnings(ICC(as.data.frame(x), alpha = 1 - level, lmer = FALSE)$results)
  n <- nrow(x); k <- ncol(x)
  d <- data.frame(y = as.vector(x), s = factor(rep(1:n, k)), r = factor(rep(1:k, each = n)))
  ms <- summary(aov(y ~ s + r, d))[[1]][["Mean Sq"]]
  within <- summary(aov(y ~ s, d))[[1]][["Mean Sq"]][2]
  # The denominator of irr::icc for agreement, from McGraw and Wong's a and b at the estimate.
  satterthwaite <- function(rho) {
    a <- k * rho / (n * (1 - rho)); b <- 1 + k * rho * (n - 1) / (n * (1 - rho))
    (a * ms[2] + b * ms[3])^2 / ((a * ms[2])^2 / (k - 1) + (b * ms[3])^2 / ((n - 1) * (k - 1)))
  }
  df2 <- r$df2; df2[c(2, 5)] <- sapply(r$ICC[c(2, 5)], satterthwaite)
  sem <- function(v, df) sqrt(c(v, v * df / qchisq(c((1 + level) / 2, (1 - level) / 2), df)))
  list(kind = "icc", name = name, level = level, ratings = flat(x),
    icc = r$ICC, f = r$F, df1 = r$df1, df2 = r$df2, low = r[["lower bound"]], high = r[["upper bound"]],
    p = pf(r$F, r$df1, r$df2, lower.tail = FALSE), psych_p = r$p,
    irr_df2 = df2, irr_p = pf(r$F, r$df1, df2, lower.tail = FALSE),
    ms = c(ms[1], within, ms[2], ms[3]),
    sem_agreement = sem(within, n * (k - 1)), sem_consistency = sem(ms[3], (n - 1) * (k - 1)),
    sdc_agreement = qnorm((1 + level) / 2) * sqrt(2 * within))
}

pairs <- function(name, x, y, level) {
  n <- length(x); d <- x - y; z <- qnorm(0.975); tail <- c((1 - level) / 2, (1 + level) / 2)
  bias <- t.test(x, y, paired = TRUE, conf.level = level)
  q <- qt(tail, n - 1, z * sqrt(n)) * sd(d) / sqrt(n)
  lin <- epi.ccc(x, y, ci = "z-transform", conf.level = level)
  pearson <- cor.test(x, y, conf.level = level)
  small <- n < 10 && !any(duplicated(x)) && !any(duplicated(y))
  spearman <- suppressWarnings(cor.test(x, y, method = "spearman", exact = small))
  kendall <- suppressWarnings(cor.test(x, y, method = "kendall"))
  zq <- qnorm((1 + level) / 2); rs <- unname(spearman$estimate); tau <- unname(kendall$estimate)
  # R has no interval for rank correlations: the two papers' formulas.
  around <- function(r, v) tanh(atanh(r) + c(-1, 1) * zq * sqrt(v))
  rx <- rank(x); ry <- rank(y)
  list(kind = "pairs", name = name, level = level, x = x, y = y,
    bias = c(mean(d), bias$conf.int), t = unname(bias$statistic), t_p = bias$p.value, sd = sd(d),
    lower = c(mean(d) - z * sd(d), mean(d) - rev(q)), upper = c(mean(d) + z * sd(d), mean(d) + q),
    ccc = unlist(lin$rho.c, use.names = FALSE), scale = lin$s.shift, location = lin$l.shift, accuracy = lin$C.b,
    pearson = c(unname(pearson$estimate), pearson$conf.int), pearson_t = unname(pearson$statistic), pearson_p = pearson$p.value,
    spearman = c(rs, around(rs, (1 + rs^2 / 2) / (n - 3))), spearman_s = sum((rx - ry)^2), spearman_p = spearman$p.value,
    kendall = c(tau, around(tau, 0.437 / (n - 4))), kendall_p = kendall$p.value)
}

kappa <- function(name, a, b, categories, level) {
  both <- cbind(a, b)
  tab <- table(factor(a, 0:(categories - 1)), factor(b, 0:(categories - 1)))
  w <- list(linear = "Equal-Spacing", quadratic = "Fleiss-Cohen")
  plain <- Kappa(tab)
  k <- list(unweighted = c(plain$Unweighted), linear = c(Kappa(tab, weights = "Equal-Spacing")$Weighted),
    quadratic = c(Kappa(tab, weights = "Fleiss-Cohen")$Weighted))
  zq <- qnorm((1 + level) / 2)
  list(kind = "kappa", name = name, level = level, categories = categories, a = a, b = b,
    value = sapply(k, `[`, 1, USE.NAMES = FALSE), se = sapply(k, `[`, 2, USE.NAMES = FALSE),
    low = sapply(k, function(v) v[1] - zq * v[2], USE.NAMES = FALSE))
}

ratings <- function(seed, n, k, subject, rater, noise, digits) {
  set.seed(seed)
  round(outer(rnorm(n, 0, subject), rnorm(k, 0, rater), "+") + rnorm(n * k, 0, noise), digits)
}
draw <- function(seed, n, slope, digits) {
  set.seed(seed)
  x <- rnorm(n, 50, 10)
  list(x = round(x, digits), y = round(slope * x + rnorm(n, 3, 8), digits))
}
shrout <- matrix(c(9, 6, 8, 7, 10, 6, 2, 1, 4, 1, 5, 2, 5, 3, 6, 2, 6, 4, 8, 2, 8, 6, 9, 7), 6)
d7 <- draw(31, 7, 0.6, 9); d9 <- draw(36, 9, -0.4, 9); d40 <- draw(32, 40, 0.8, 9); d60 <- draw(33, 60, 0.8, 0); d206 <- draw(34, 206, 0.9, 1); d30 <- draw(35, 30, -0.7, 0)
set.seed(41); ka <- sample(0:3, 120, TRUE, c(4, 3, 2, 1)); kb <- ifelse(runif(120) < 0.6, ka, sample(0:3, 120, TRUE))
emit("agreement", c("psych", "epiR", "vcd"),
  "Shrout and Fleiss 1979, table 2; the rest drawn by ratings(), draw() and sample() in the program with the seeds given there",
  list(
    icc("Shrout and Fleiss", shrout, 0.95),
    icc("206 patients, two runs, a shift", ratings(21, 206, 2, 1, 0.8, 0.6, 9), 0.95),
    icc("12 patients, five raters, 90%", ratings(22, 12, 5, 1, 0.3, 1.5, 1), 0.90),
    icc("no agreement", ratings(23, 15, 3, 0.01, 0.1, 1, 3), 0.95),
    pairs("7 patients", d7$x, d7$y, 0.95),
    pairs("9 patients", d9$x, d9$y, 0.99),
    pairs("40 patients, no ties, 90%", d40$x, d40$y, 0.90),
    pairs("60 patients, ties", d60$x, d60$y, 0.95),
    pairs("206 patients, some ties", d206$x, d206$y, 0.95),
    pairs("30 patients, falling, ties", d30$x, d30$y, 0.95),
    kappa("four categories", ka, kb, 4, 0.95),
    kappa("five categories, one unused", ka, kb, 5, 0.90)))
