# Golden values for ROC, AUC, DeLong, DeLongPaired, Noether, BootstrapAUC and ROCBand.
# Run in this folder: Rscript roc.R
suppressMessages({library(pROC); source("emit.R")})

# Noether's interval, straight from its definition: all pairs, no sorting.
noether <- function(s, y, level) {
  N <- length(s)
  ahead <- outer(s, s, ">")
  con <- dis <- numeric(N)
  for (i in seq_len(N)) for (j in seq_len(N)) if (y[i] != y[j] && s[i] != s[j]) {
    if (ahead[i, j] == (y[i] > y[j])) con[i] <- con[i] + 1 else dis[i] <- dis[i] + 1
  }
  pc <- sum(con) / (N * (N - 1)); pd <- sum(dis) / (N * (N - 1))
  k <- N * (N - 1) * (N - 2)
  pcc <- sum(con * (con - 1)) / k; pdd <- sum(dis * (dis - 1)) / k; pcd <- sum(con * dis) / k
  C <- pc / (pc + pd)
  se <- sqrt(4 / (pc + pd)^4 * (pd^2 * pcc - 2 * pc * pd * pcd + pc^2 * pdd) / N)
  z <- qnorm(1 - (1 - level) / 2)
  list(auc = C, se = se, low = max(0, C - z * se), high = min(1, C + z * se), p = 2 * pnorm(-abs((C - 0.5) / se)))
}

one <- function(name, a, b, y, level) {
  ra <- roc(y, a, direction = "<", levels = c(FALSE, TRUE), quiet = TRUE)
  rb <- roc(y, b, direction = "<", levels = c(FALSE, TRUE), quiet = TRUE)
  ci <- ci.auc(ra, conf.level = level, method = "delong")
  se <- sqrt(var(ra, method = "delong"))
  test <- roc.test(ra, rb, method = "delong", paired = TRUE, conf.level = level)
  grid <- seq(0, 20) / 20
  set.seed(1)
  boot <- ci.auc(ra, conf.level = level, method = "bootstrap", boot.n = 20000, progress = "none")
  band <- ci.se(ra, specificities = 1 - grid, conf.level = level, boot.n = 5000, progress = "none")
  list(name = name, scores = a, other = b, positive = y, level = level,
    roc_fpr = rev(1 - ra$specificities), roc_tpr = rev(ra$sensitivities),
    auc = as.numeric(ra$auc),
    delong = list(auc = ci[2], se = se, low = ci[1], high = ci[3], p = 2 * pnorm(-abs((ci[2] - 0.5) / se))),
    paired = list(a = as.numeric(ra$auc), b = as.numeric(rb$auc), difference = as.numeric(ra$auc) - as.numeric(rb$auc),
      z = unname(test$statistic), p = test$p.value, low = test$conf.int[1], high = test$conf.int[2]),
    noether = noether(a, y, level),
    bootstrap = list(low = boot[1], high = boot[3]),
    grid = grid,
    grid_tpr = coords(ra, 1 - grid, input = "specificity", ret = "sensitivity")[, 1],
    band_low = unname(band[, 1]), band_high = unname(band[, 3]))
}

simulate <- function(seed, n, effect, digits) {
  set.seed(seed)
  y <- runif(n) < 0.4
  trait <- rnorm(n) + effect * y
  list(a = round(trait + rnorm(n), digits), b = round(trait + 2 * rnorm(n), digits), y = y)
}
random <- function(name, seed, n, effect, digits, level) {
  d <- simulate(seed, n, effect, digits)
  one(name, d$a, d$b, d$y, level)
}
emit("roc", c("pROC"),
  "by hand, and drawn by simulate(seed, n, effect, digits) in the program; rounding makes the ties",
  list(
    one("by hand, with ties", c(1, 2, 2, 3, 3, 3, 4, 5, 5, 6), c(2, 1, 2, 2, 5, 3, 3, 4, 6, 6),
      c(FALSE, FALSE, TRUE, FALSE, TRUE, FALSE, TRUE, FALSE, TRUE, TRUE), 0.95),
    random("60 patients, heavy ties", 11, 60, 1, 0, 0.95),
    random("60 patients, some ties, 90%", 12, 60, 0.7, 1, 0.90),
    random("206 patients, no ties", 13, 206, 0.8, 12, 0.95),
    random("80 patients, wrong way round", 14, 80, -1, 1, 0.99)))
