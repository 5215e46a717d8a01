# Exact p values of the paired permutation test of two AUCs, over all exchanges of the two
# midranks of each patient. Run in this folder: Rscript permutation.R
source("emit.R")
auc <- function(s, y) { d <- outer(s[y], s[!y], "-"); mean((d > 0) + (d == 0) / 2) }
one <- function(name, a, b, y) {
  ra <- rank(a); rb <- rank(b); n <- length(a)
  all <- vapply(0:(2^n - 1), function(code) {
    swap <- bitwAnd(code, 2^(0:(n - 1))) != 0
    auc(ifelse(swap, rb, ra), y) - auc(ifelse(swap, ra, rb), y)
  }, 0)
  observed <- auc(a, y) - auc(b, y)
  list(name = name, a = a, b = b, positive = y, observed = observed, all = all,
    greater = mean(all >= observed - 1e-12), less = mean(all <= observed + 1e-12))
}
set.seed(5); y <- c(TRUE, FALSE, TRUE, TRUE, FALSE, FALSE, TRUE, FALSE)
emit("permutation", "base", "by hand, and rnorm with seed 5 in the program",
  list(one("8 patients", rnorm(8) + 2 * y, 100 * rnorm(8), y),
    one("8 patients, ties", c(1, 2, 2, 3, 1, 1, 3, 2), c(10, 10, 30, 20, 20, 10, 30, 40), y),
    one("5 patients", c(5, 1, 4, 3, 2), c(1, 5, 2, 3, 4), c(TRUE, FALSE, TRUE, FALSE, TRUE))))
