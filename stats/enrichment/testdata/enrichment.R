# Golden values for package enrichment. Run here: Rscript enrichment.R
# fgsea is not in Debian 12: the enrichment score, NES, p and FDR are written out from the
# definitions in Subramanian et al. 2005 (and fgsea's manual for its p), as plainly as can be.
suppressMessages({library(limma); library(survival)})
source("../../testdata/emit.R")
set.seed(20240501)

rows <- function(m) lapply(seq_len(nrow(m)), function(i) vec(m[i, ]))

metrics <- function(name, genes, patients, common, flat = FALSE) {
  sd <- if (common) rep(1, genes) else sqrt(0.5 * 4 / rchisq(genes, 4))
  x <- round(8 + matrix(rnorm(genes * patients), genes) * sd, 2)
  positive <- rep(c(TRUE, FALSE, FALSE), length.out = patients)
  x[1:8, positive] <- x[1:8, positive] + 1.5
  x[9, ] <- round(x[9, ]) # ties within a gene
  if (flat) x[10, ] <- 8 + positive # varies between classes and not within
  outcome <- round(rnorm(patients) + 0.3 * positive, 1)
  time <- round(rexp(patients, exp(0.4 * (x[1, ] - 8)) / 600)) + 1
  event <- runif(patients) < 0.7
  s2n <- apply(x, 1, function(v) {
    a <- v[positive]; b <- v[!positive]
    noise <- function(v) { s <- max(stats::sd(v), 0.2 * abs(mean(v))); if (s == 0) 0.2 else s }
    (mean(a) - mean(b)) / (noise(a) + noise(b))
  })
  fit <- eBayes(lmFit(x, model.matrix(~positive)))
  cox <- apply(x, 1, function(v) summary(coxph(Surv(time, event) ~ v))$coefficients[, "z"])
  list(name = name, values = rows(x), outcome = vec(outcome), positive = vec(positive), time = vec(time), event = vec(event),
    pearson = vec(as.vector(cor(t(x), outcome))),
    spearman = vec(as.vector(cor(t(x), outcome, method = "spearman"))),
    spearman_class = vec(as.vector(cor(t(x), as.numeric(positive), method = "spearman"))),
    s2n = vec(s2n), t = vec(unname(fit$t[, 2])), p = vec(unname(fit$p.value[, 2])),
    prior_df = min(fit$df.prior, 1e300), prior_variance = fit$s2.prior, df = unname(fit$df.total[1]), cox = vec(unname(cox)))
}

es_of <- function(stats, member, weight) {
  hit <- ifelse(member, abs(stats)^weight, 0)
  curve <- cumsum(hit / sum(hit) - (!member) / sum(!member))
  high <- max(curve); low <- min(curve)
  if (high > -low) list(es = high, edge = which(member & seq_along(stats) <= which.max(curve)))
  else list(es = low, edge = rev(which(member & seq_along(stats) > which.min(curve))))
}
running <- function(weight) {
  stats <- sort(round(rnorm(150), 4), decreasing = TRUE)
  sizes <- c(1, 2, 3, 5, 8, 20, 60, 149)
  sets <- lapply(sizes, function(k) sort(sample(150, k, prob = exp(c(1, -1, 0)[k %% 3 + 1] * stats))))
  found <- lapply(sets, function(s) es_of(stats, seq_along(stats) %in% s, weight))
  list(weight = weight, scores = vec(stats), sets = lapply(sets, function(s) vec(s - 1)),
    es = vec(sapply(found, `[[`, "es")), edges = lapply(found, function(f) vec(f$edge - 1)))
}

# One null matrix for all: null[[k]] are the random scores of size k.
given_null <- function(sets, permutations) {
  sizes <- c(5, 9, 20, 44)
  null <- t(sapply(sizes, function(m) {
    s <- sign(runif(permutations) - 0.45) * rbeta(permutations, 6, 3 + m / 2)
    round(s, 3) # ties with the observed scores
  }))
  at <- sample(length(sizes), sets, replace = TRUE)
  es <- round(sign(runif(sets) - 0.4) * rbeta(sets, 6, 3 + sizes[at] / 4), 3)
  es[1] <- null[at[1], 3]
  up <- function(v) mean(v[v >= 0]); down <- function(v) mean(abs(v[v <= 0]))
  normal <- function(v, k) ifelse(v >= 0, v / up(null[k, ]), v / down(null[k, ]))
  nes <- mapply(normal, es, at)
  phi <- t(sapply(at, function(k) normal(null[k, ], k)))
  p <- strict <- q <- numeric(sets)
  for (i in seq_len(sets)) {
    v <- null[at[i], ]
    if (es[i] >= 0) {
      p[i] <- (1 + sum(v >= es[i])) / (1 + sum(v >= 0)); strict[i] <- sum(v > es[i]) / sum(v >= 0)
    } else {
      p[i] <- (1 + sum(v <= es[i])) / (1 + sum(v <= 0)); strict[i] <- sum(v < es[i]) / sum(v <= 0)
    }
    share <- function(x) {
      if (nes[i] >= 0) { if (any(x >= 0)) sum(x >= nes[i]) / sum(x >= 0) else 0 }
      else if (any(x < 0)) sum(x <= nes[i]) / sum(x < 0) else 0
    }
    q[i] <- min(1, mean(apply(phi, 2, share)) / share(nes))
  }
  list(sizes = vec(sizes), null = rows(null), at = vec(at - 1), es = vec(es), nes = vec(nes), p = vec(p), strict = vec(strict),
    bh = vec(p.adjust(p, "BH")), q = vec(q))
}

over <- function() {
  universe <- c(10, 200, 20000, 20000, 20000, 30, 20000)
  set <- c(4, 40, 150, 500, 30, 10, 500)
  selected <- c(5, 25, 300, 1000, 2000, 25, 400)
  overlap <- c(3, 5, 12, 20, 0, 6, 150)
  p <- phyper(overlap - 1, set, universe - set, selected, lower.tail = FALSE)
  list(universe = vec(universe), set = vec(set), selected = vec(selected), overlap = vec(overlap), p = vec(p), bh = vec(p.adjust(p, "BH")))
}

cases <- list(list(
  metrics = list(metrics("unequal variances", 60, 24, FALSE), metrics("one variance", 40, 15, TRUE),
    metrics("a gene without variance", 50, 18, FALSE, TRUE)),
  running = lapply(c(0, 1, 1.5, 2), running),
  given_null = list(given_null(12, 60), given_null(25, 40), given_null(1, 30)),
  over = over(),
  trigamma = list(x = vec(c(0.02, 0.5, 1, 7.5, 300)), y = vec(trigamma(c(0.02, 0.5, 1, 7.5, 300))),
    inverse_of = vec(c(1e-7, 1e-3, 0.3, 5, 1e4, 1e8)), inverse = vec(trigammaInverse(c(1e-7, 1e-3, 0.3, 5, 1e4, 1e8))))))
emit("enrichment", c("limma", "survival"), "drawn by set.seed(20240501) in the program", cases)
