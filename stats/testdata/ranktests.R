# Golden values for MannWhitney, WilcoxonSignedRank, HodgesLehmann and HodgesLehmannPaired.
# Run in this folder: Rscript ranktests.R
suppressMessages({library(coin); library(exactRankTests); source("emit.R")})
sides <- c("two.sided", "greater", "less")
p <- function(f) vapply(sides, function(s) suppressWarnings(f(s)), 0, USE.NAMES = FALSE)

unpaired <- function(name, x, y) {
  g <- factor(rep(1:2, c(length(x), length(y)))); v <- c(x, y)
  tied <- any(duplicated(v))
  r <- suppressWarnings(wilcox.test(x, y, conf.int = TRUE, conf.level = 0.9, exact = TRUE))
  list(paired = FALSE, name = name, x = vec(x), y = vec(y), statistic = unname(r$statistic), tied = tied,
    auto = p(function(s) wilcox.test(x, y, alternative = s)$p.value),
    corrected = p(function(s) wilcox.test(x, y, alternative = s, exact = FALSE, correct = TRUE)$p.value),
    uncorrected = p(function(s) wilcox.test(x, y, alternative = s, exact = FALSE, correct = FALSE)$p.value),
    exact = p(function(s) as.numeric(pvalue(wilcox_test(v ~ g, distribution = "exact", alternative = s)))),
    shift = if (tied) NA else c(unname(r$estimate), r$conf.int))
}
paired <- function(name, x, y) {
  d <- x - y
  tied <- any(duplicated(abs(d))) || any(d == 0)
  r <- suppressWarnings(wilcox.test(x, y, paired = TRUE, conf.int = TRUE, conf.level = 0.9, exact = TRUE))
  list(paired = TRUE, name = name, x = vec(x), y = vec(y), statistic = unname(r$statistic), tied = tied,
    auto = p(function(s) wilcox.test(x, y, paired = TRUE, alternative = s)$p.value),
    corrected = p(function(s) wilcox.test(x, y, paired = TRUE, alternative = s, exact = FALSE, correct = TRUE)$p.value),
    uncorrected = p(function(s) wilcox.test(x, y, paired = TRUE, alternative = s, exact = FALSE, correct = FALSE)$p.value),
    exact = p(function(s) wilcox.exact(x, y, paired = TRUE, alternative = s, exact = TRUE)$p.value),
    shift = if (tied) NA else c(unname(r$estimate), r$conf.int))
}
draw <- function(seed, n, shift, digits) { set.seed(seed); round(rnorm(n, shift, 2), digits) }
emit("ranktests", c("coin", "exactRankTests"), "drawn by draw(seed, n, shift, digits) in the program; rounding makes ties and zeros",
  list(
    unpaired("7 and 9, no ties", draw(1, 7, 1, 6), draw(2, 9, 0, 6)),
    unpaired("3 and 2", draw(3, 3, 0, 6), draw(4, 2, 4, 6)),
    unpaired("12 and 8, ties", draw(5, 12, 1, 0), draw(6, 8, 0, 0)),
    unpaired("45 and 40, no ties", draw(7, 45, 1, 6), draw(8, 40, 0, 6)),
    unpaired("70 and 60, ties", draw(9, 70, 0.8, 1), draw(10, 60, 0, 1)),
    paired("8, no ties", draw(11, 8, 1, 6), draw(12, 8, 0, 6)),
    paired("20, ties and zeros", draw(13, 20, 1, 0), draw(14, 20, 0, 0)),
    paired("49, no ties", draw(15, 49, 0.3, 6), draw(16, 49, 0, 6)),
    paired("120, ties and zeros", draw(17, 120, 0.2, 0), draw(18, 120, 0, 0))))
