# Golden values for MRMR, straight from the definition (De Jay 2013): mRMRe is not in
# Debian. All mutual informations first, then the greedy search, nothing kept between
# steps. Run in this folder: Rscript mrmr.R
source("../../../stats/testdata/emit.R")
mrmr <- function(x, y, count, method) {
  x <- as.matrix(x)
  mi <- function(a, b) -0.5 * log(1 - cor(a, b, method = method)^2)
  chosen <- integer(0); relevance <- redundancy <- numeric(0)
  for (step in seq_len(count)) {
    score <- sapply(seq_len(ncol(x)), function(j) if (j %in% chosen) -Inf else {
      mi(x[, j], y) - if (step == 1) 0 else mean(sapply(chosen, function(k) mi(x[, j], x[, k])))
    })
    j <- which.max(score)
    relevance <- c(relevance, mi(x[, j], y)); redundancy <- c(redundancy, mi(x[, j], y) - score[j]); chosen <- c(chosen, j)
  }
  list(chosen = vec(chosen - 1), relevance = vec(relevance), redundancy = vec(redundancy))
}
case <- function(name, seed, n, p, count, method, binary) {
  set.seed(seed)
  x <- matrix(rnorm(n * p), n); for (j in 2:p) if (j %% 3 == 0) x[, j] <- x[, j - 1] + 0.4 * x[, j]
  x <- round(x, 2)
  y <- x[, 1] - x[, 2] + rnorm(n); y <- if (binary) as.numeric(y > 0) else round(y, 3)
  c(list(name = name, x = lapply(seq_len(p), function(j) vec(x[, j])), target = vec(y), count = count, method = method), mrmr(x, y, count, method))
}
emit("mrmr", "stats", "drawn by case(...) in the program; the same data lie in each case", list(
  case("a label, Pearson", 1, 60, 20, 12, "pearson", TRUE),
  case("a number, Pearson", 2, 40, 15, 15, "pearson", FALSE),
  case("a label, Spearman", 3, 60, 20, 12, "spearman", TRUE)))
