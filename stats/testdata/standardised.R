# Golden values for StandardisedMean, StandardisedProportion and StandardisedCategories: the
# formulas of Austin (2009) and of Yang and Dalton (2012), written out patient by patient;
# the packages tableone, smd and stddiff are not in Debian. Run in this folder: Rscript standardised.R
source("emit.R")
mean_smd <- function(a, b) (mean(a) - mean(b)) / sqrt((var(a) + var(b)) / 2)
share_smd <- function(a, b) {
  p <- mean(a); q <- mean(b)
  (p - q) / sqrt((p * (1 - p) + q * (1 - q)) / 2)
}
# One indicator column per level but the first; the covariance is that of the indicators
# with the denominator n.
level_smd <- function(a, b, levels) {
  indicators <- function(x) outer(x, levels[-1], "==") * 1
  A <- indicators(a); B <- indicators(b)
  scatter <- function(M) { C <- sweep(M, 2, colMeans(M)); crossprod(C) / nrow(M) }
  S <- (scatter(A) + scatter(B)) / 2
  keep <- diag(S) > 0
  d <- (colMeans(A) - colMeans(B))[keep]
  sqrt(drop(t(d) %*% MASS::ginv(S[keep, keep, drop = FALSE]) %*% d))
}
counts <- function(x, levels) vec(as.integer(table(factor(x, levels))))
one <- function(name, a, b) list(name = name, kind = "mean", a = vec(a), b = vec(b), smd = mean_smd(a, b))
two <- function(name, a, b) list(name = name, kind = "proportion", a = vec(as.numeric(a)), b = vec(as.numeric(b)), smd = share_smd(a, b))
many <- function(name, a, b, levels) list(name = name, kind = "categories", a = counts(a, levels), b = counts(b, levels), smd = level_smd(a, b, levels))

set.seed(11)
stages <- c("I", "II", "IIIA", "IIIB", "IV")
a <- sample(stages, 293, TRUE, c(4, 2, 3, 3, 1)); b <- sample(stages, 104, TRUE, c(1, 2, 3, 4, 2))
rare <- sample(c("x", "y", "z"), 40, TRUE, c(30, 9, 1))
emit("standardised", c("MASS"), "by hand, and drawn by set.seed(11) in the program", list(
  one("ages", round(rnorm(293, 68, 9), 1), round(rnorm(104, 66, 11), 1)),
  one("two patients each", c(1, 4), c(2, 9)),
  one("large values, small spread", 1e9 + c(1, 2, 3, 4), 1e9 + c(2, 2, 5, 6)),
  two("sex", runif(293) < 0.68, runif(104) < 0.55),
  two("one group all true", c(TRUE, TRUE, TRUE), c(TRUE, FALSE, TRUE, TRUE)),
  many("stages", a, b, stages),
  many("the same shares", c("x", "y"), c("x", "y", "x", "y"), c("x", "y")),
  many("a level that nobody has", a, b, c("I", "0", "II", "IIIA", "IIIB", "IV")),
  many("a level in one group only", c("x", "x", "y", "z", "z", "z"), rare, c("z", "y", "x")),
  many("two levels", c("m", "m", "f"), c("m", "f", "f", "f"), c("f", "m"))))
