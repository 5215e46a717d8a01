# Golden values of the concordance of two cohorts, by R. Constructed tables of NES and of
# which sets were found.
library(stats)
cases <- list()
make <- function(name, n, seed, k1, k2, both, rho) {
  set.seed(seed)
  a <- round(rnorm(n), 3)
  b <- round(rho * a + sqrt(1 - rho^2) * rnorm(n), 3)
  here <- rep(FALSE, n); there <- rep(FALSE, n)
  order <- sample(n)
  here[order[seq_len(k1)]] <- TRUE
  if (both > 0) there[order[seq_len(both)]] <- TRUE
  if (k2 > both) there[order[k1 + seq_len(k2 - both)]] <- TRUE
  m <- matrix(c(sum(here & there), sum(!here & there), sum(here & !there), sum(!here & !there)), 2)
  p <- fisher.test(m, alternative = "greater")$p.value
  stopifnot(isTRUE(all.equal(p, phyper(both - 1, k2, n - k2, k1, lower.tail = FALSE))))
  r <- cor(a, b, method = "spearman")
  z <- qnorm(0.975) * sqrt((1 + r^2 / 2) / (n - 3))
  same <- sum((a < 0) == (b < 0))
  w <- suppressWarnings(prop.test(same, n, correct = FALSE))$conf.int
  num <- function(x) paste0("[", paste(format(x, digits = 6, trim = TRUE), collapse = ","), "]")
  bool <- function(x) paste0("[", paste(ifelse(x, "true", "false"), collapse = ","), "]")
  f <- function(x) format(x, digits = 17)
  sprintf('{"name":"%s","here":%s,"there":%s,"foundHere":%s,"foundThere":%s,"both":%d,"p":%s,"spearman":%s,"low":%s,"high":%s,"same":%d,"wilsonLow":%s,"wilsonHigh":%s}',
    name, num(a), num(b), bool(here), bool(there), both, f(p), f(r), f(tanh(atanh(r) - z)), f(tanh(atanh(r) + z)), same, f(w[1]), f(w[2]))
}
cases <- c(
  make("all four of sixty", 60, 1, 4, 4, 4, 0.4),
  make("as by chance", 50, 2, 10, 10, 2, 0),
  make("none in both", 40, 3, 5, 6, 0, -0.3),
  make("many", 669, 4, 60, 45, 20, 0.6),
  make("few sets", 5, 5, 2, 3, 2, 0.5))
md5 <- tools::md5sum("gene_sets.R")
cat(sprintf('{"source":{"tool":"R","version":"%s","command":"Rscript gene_sets.R > gene_sets.json","program":"gene_sets.R","program_md5":"%s","data":"constructed in the program"},\n"cases":[\n%s\n]}\n',
  paste(R.version$major, R.version$minor, sep = "."), md5, paste(cases, collapse = ",\n")))
