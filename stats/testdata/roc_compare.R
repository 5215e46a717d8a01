# Golden values for DeLongUnpaired, BootstrapPaired, BootstrapUnpaired, PartialAUC and the cuts.
# Run in this folder: Rscript roc_compare.R
suppressMessages({library(pROC); source("emit.R")})

curve <- function(y, s) roc(y, s, direction = "<", levels = c(FALSE, TRUE), quiet = TRUE)

partial <- function(r, axis, from, to) {
  raw <- auc(r, partial.auc = c(to, from), partial.auc.focus = axis)
  corrected <- suppressWarnings(auc(r, partial.auc = c(to, from), partial.auc.focus = axis, partial.auc.correct = TRUE))
  set.seed(3)
  ci <- ci.auc(raw, method = "bootstrap", boot.n = 4000, progress = "none")
  list(axis = axis, from = from, to = to, area = as.numeric(raw), corrected = as.numeric(corrected), low = ci[1], high = ci[3])
}

# A row of coords as counts, with the exact and the score interval of each proportion.
cut <- function(co, level) {
  share <- function(k, n) {
    if (n == 0) return(list(k = k, n = n, estimate = NA, wilson = vec(c(NA, NA)), exact = vec(c(NA, NA))))
    list(k = k, n = n, estimate = k / n,
      wilson = vec(suppressWarnings(prop.test(k, n, correct = FALSE, conf.level = level))$conf.int),
      exact = vec(binom.test(k, n, conf.level = level)$conf.int))
  }
  n <- lapply(co[c("tp", "fp", "tn", "fn")], function(x) round(x))
  list(threshold = co$threshold, tp = n$tp, fp = n$fp, tn = n$tn, fn = n$fn,
    sensitivity = share(n$tp, n$tp + n$fn), specificity = share(n$tn, n$tn + n$fp),
    ppv = share(n$tp, n$tp + n$fp), npv = share(n$tn, n$tn + n$fn))
}

one <- function(name, a, ya, b, yb, other, level) {
  ra <- curve(ya, a); rb <- curve(yb, b); ro <- curve(ya, other)
  t <- roc.test(ra, rb, method = "delong", paired = FALSE)
  se <- sqrt(var(ra) + var(rb))
  set.seed(2)
  bp <- roc.test(ra, ro, method = "bootstrap", paired = TRUE, boot.n = 4000, progress = "none")
  bu <- roc.test(ra, rb, method = "bootstrap", paired = FALSE, boot.n = 4000, progress = "none")
  all <- coords(ra, "all", ret = c("threshold", "tp", "fp", "tn", "fn", "sensitivity", "specificity"))
  all <- all[order(all$threshold), ]
  j <- all$sensitivity + all$specificity
  best <- which(abs(j - max(j)) < 1e-12)
  stopifnot(all.equal(sort(unlist(coords(ra, "best", best.method = "youden", ret = "threshold"))), all$threshold[best], check.attributes = FALSE))
  given <- coords(ra, median(a), ret = c("threshold", "tp", "fp", "tn", "fn"))
  list(name = name, a = a, positive_a = ya, b = b, positive_b = yb, other = other, level = level,
    unpaired = list(a = as.numeric(ra$auc), b = as.numeric(rb$auc), t = unname(t$statistic), df = unname(t$parameter), p = t$p.value, se = se,
      low = as.numeric(ra$auc - rb$auc) - qt((1 + level) / 2, t$parameter) * se, high = as.numeric(ra$auc - rb$auc) + qt((1 + level) / 2, t$parameter) * se),
    boot_paired_z = unname(bp$statistic), boot_unpaired_z = unname(bu$statistic),
    partial = list(partial(ra, "specificity", 0.8, 1), partial(ra, "specificity", 0.33, 0.71), partial(ra, "sensitivity", 0.9, 1),
      partial(ra, "sensitivity", 0, 0.45), partial(ra, "specificity", 0, 1)),
    median = median(a), given = cut(given, level),
    youden = cut(all[max(best), ], level), youden_tied = length(best) - 1,
    sensitive = cut(tail(all[all$sensitivity >= 0.9 - 1e-12, ], 1), level),
    specific = cut(head(all[all$specificity >= 0.85 - 1e-12, ], 1), level))
}
simulate <- function(seed, n, effect, digits) {
  set.seed(seed)
  y <- runif(n) < 0.4
  trait <- rnorm(n) + effect * y
  list(a = round(trait + rnorm(n), digits), other = round(trait + 2 * rnorm(n), digits), y = y)
}
random <- function(name, seed, n, m, effect, digits, level) {
  d <- simulate(seed, n, effect, digits); e <- simulate(seed + 100, m, 0.5, digits)
  one(name, d$a, d$y, e$a, e$y, d$other, level)
}
emit("roc_compare", c("pROC"),
  "by hand, and drawn by simulate(seed, n, effect, digits) in the program; rounding makes the ties",
  list(
    one("by hand, with ties", c(1, 2, 2, 3, 3, 3, 4, 5, 5, 6), c(FALSE, FALSE, TRUE, FALSE, TRUE, FALSE, TRUE, FALSE, TRUE, TRUE),
      c(1, 1, 2, 2, 3, 4, 4), c(FALSE, TRUE, FALSE, FALSE, TRUE, TRUE, TRUE), c(2, 1, 2, 2, 5, 3, 3, 4, 6, 6), 0.95),
    random("60 and 90 patients, heavy ties", 41, 60, 90, 1, 0, 0.95),
    random("206 and 97 patients, no ties", 42, 206, 97, 0.8, 12, 0.90),
    random("80 and 50 patients, wrong way round", 43, 80, 50, -1, 1, 0.95)))
