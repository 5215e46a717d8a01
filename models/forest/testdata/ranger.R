# Golden values for Fit and FitSurvival. A forest is random, so what is compared is what
# many trees agree on: predictions averaged over 40 forests of 500 trees, and the spread
# of the single forests' out-of-bag errors. Run in this folder: Rscript ranger.R
suppressMessages({library(ranger); library(survival); source("../../../stats/testdata/emit.R")})
# ranger seeds tree i of a forest with seed * i: forests with seeds 1 and 2 share trees.
# Primes above the number of trees share none.
seeds <- c(1009, 1013, 1019, 1021, 1031, 1033, 1039, 1049, 1051, 1061, 1063, 1069, 1087, 1091, 1093, 1097, 1103, 1109, 1117, 1123, 1129, 1151, 1153, 1163, 1171, 1181, 1187, 1193, 1201, 1213, 1217, 1223, 1229, 1231, 1237, 1249, 1259, 1277, 1279, 1283)
columns <- function(x) lapply(seq_len(ncol(x)), function(j) vec(as.numeric(x[[j]])))
table_of <- function(seed, n, p, category) {
  set.seed(seed)
  x <- as.data.frame(round(matrix(rnorm(n * p), n), 2))
  if (category) x[[3]] <- sample.int(6, n, replace = TRUE)
  x
}
effect <- function(x, category) x[[1]] - 0.7 * x[[2]] + if (category) c(1, -1, 0.5, -0.5, 2, -2)[x[[3]]] else 0
factored <- function(x, category) { if (category) x[[3]] <- factor(x[[3]]); x }

classify <- function(name, seed, n, p, category = FALSE, ...) {
  x <- table_of(seed, n, p, category); y <- effect(x, category) + rnorm(n) > 0
  new <- table_of(seed + 1000, 60, p, category)
  runs <- lapply(seeds, function(s) {
    f <- function(importance) ranger(x = factored(x, category), y = factor(y), probability = TRUE, num.trees = 500, seed = s, importance = importance,
      scale.permutation.importance = FALSE, respect.unordered.factors = "order", num.threads = 2, ...)
    a <- f("impurity"); b <- f("permutation")
    list(oob = a$prediction.error, impurity = a$variable.importance, permutation = b$variable.importance,
      predicted = predict(a, factored(new, category))$predictions[, "TRUE"])
  })
  mean_of <- function(k) vec(unname(rowMeans(sapply(runs, `[[`, k))))
  oob <- sapply(runs, `[[`, "oob")
  list(name = name, x = columns(x), y = vec(y), new = columns(new), oob = mean(oob), oob_sd = sd(oob),
    predicted = mean_of("predicted"), impurity = mean_of("impurity"), permutation = mean_of("permutation"))
}
survive <- function(name, seed, n, p, category = FALSE, ...) {
  x <- table_of(seed, n, p, category); set.seed(seed + 1)
  death <- rexp(n, exp(effect(x, category)) / 300); leave <- runif(n, 100, 1500)
  time <- ceiling(pmin(death, leave) / 20) * 20; event <- death <= leave
  new <- table_of(seed + 1000, 15, p, category)
  grid <- sort(unique(time[event]))
  runs <- lapply(seeds, function(s) {
    f <- ranger(x = factored(x, category), y = cbind(time = time, status = as.integer(event)), num.trees = 500, seed = s, importance = "permutation",
      scale.permutation.importance = FALSE, respect.unordered.factors = "order", num.threads = 2, ...)
    r <- predict(f, factored(new, category))
    list(oob = 1 - f$prediction.error, permutation = f$variable.importance, hazard = r$chf[, match(grid, r$unique.death.times)])
  })
  oob <- sapply(runs, `[[`, "oob")
  hazard <- Reduce(`+`, lapply(runs, `[[`, "hazard")) / length(runs)
  list(name = name, x = columns(x), time = vec(time), event = vec(event), new = columns(new), oob = mean(oob), oob_sd = sd(oob), times = vec(grid),
    hazard = lapply(seq_len(nrow(hazard)), function(i) vec(round(hazard[i, ], 6))),
    permutation = vec(unname(rowMeans(sapply(runs, `[[`, "permutation")))))
}
emit("ranger", c("ranger"), "drawn by table_of(seed, n, p, category) and effect() in the program; the same data lie in each case", list(
  classify("numbers", 1, 150, 8),
  classify("numbers, small nodes, all features", 2, 120, 5, min.node.size = 1, mtry = 5),
  classify("subsamples, depth three", 3, 150, 6, replace = FALSE, sample.fraction = 0.5, max.depth = 3),
  classify("a category of six levels", 4, 200, 5, TRUE),
  survive("survival", 5, 150, 8),
  survive("survival, nodes of ten", 6, 150, 6, min.node.size = 10)))
