# What R makes of the re-run's scores against the released ones: the figures of the shipped
# experiment published-replication. The folder HOUNSFIELD_MIRROR holds the tables.
# Run in this folder: HOUNSFIELD_MIRROR=... Rscript agreement.R
suppressMessages({library(psych); library(pROC)})
setwd("../../stats/testdata"); source("emit.R"); setwd("../../experiments/testdata")
mirror <- Sys.getenv("HOUNSFIELD_MIRROR")
whole <- read.csv(file.path(mirror, "idc-replication", "nsclc-radiomics_reproducibility_whole.csv"))
clinical <- read.csv(file.path(mirror, "nsclc-radiomics", "clinical.csv"))
radboud <- read.csv(file.path(mirror, "hosny2018", "Radboud.csv"))
cut <- median(radboud$logit_0)
d <- merge(whole, clinical, by = "PatientID")
d$dead <- ifelse(d$Survival.time > 730, 0, ifelse(d$deadstatus.event == 1, 1, NA))
seen <- d[!is.na(d$baseline_logit0), ]
new <- d[is.na(d$baseline_logit0), ]
complete <- new[!is.na(new$age) & !is.na(new$Overall.Stage) & !is.na(new$Histology) & new$Histology != "nos", ]
z <- qnorm(0.975)
one <- function(name, d) {
  x <- d$baseline_logit0; y <- d$CNN_logit0; n <- nrow(d); out <- list()
  add <- function(metric, value, low = NA, high = NA, p = NA, count = n) {
    row <- list(group = name, metric = metric, n = count, value = value)
    for (k in c("low", "high", "p")) if (!is.na(get(k))) row[[k]] <- get(k)
    out[[length(out) + 1]] <<- row
  }
  l <- d[!is.na(d$dead), ]; m <- nrow(l)
  curve <- function(s) roc(l$dead, s, direction = "<", levels = c(0, 1), quiet = TRUE)
  b <- curve(l$CNN_logit0); ci <- as.numeric(ci.auc(b, method = "delong"))
  add("auc_rerun", as.numeric(auc(b)), ci[1], ci[3], 2 * pnorm(-abs((ci[2] - 0.5) / sqrt(var(b, method = "delong")))), m)
  alive <- prop.test(sum(l$dead == 0), m, correct = FALSE)
  add("alive_2yr", unname(alive$estimate), alive$conf.int[1], alive$conf.int[2], count = m)
  if (all(is.na(x))) return(out)
  a <- curve(l$baseline_logit0); ca <- as.numeric(ci.auc(a, method = "delong"))
  add("auc_original", as.numeric(auc(a)), ca[1], ca[3], 2 * pnorm(-abs((ca[2] - 0.5) / sqrt(var(a, method = "delong")))), m)
  test <- roc.test(b, a, method = "delong", paired = TRUE)
  add("auc_difference", as.numeric(auc(b)) - as.numeric(auc(a)), test$conf.int[1], test$conf.int[2], test$p.value, m)
  r <- suppressWarnings(ICC(data.frame(x, y), lmer = FALSE)$results)
  names <- c("ICC(1)", "ICC(A,1)", "ICC(C,1)", "ICC(k)", "ICC(A,k)", "ICC(C,k)")
  for (i in 1:6) add(names[i], r$ICC[i], r[["lower bound"]][i], r[["upper bound"]][i], r$p[i])
  ba <- y - x; t <- t.test(ba); q <- suppressWarnings(qt(c(0.025, 0.975), n - 1, z * sqrt(n))) * sd(ba) / sqrt(n)
  add("bland_altman_bias", mean(ba), t$conf.int[1], t$conf.int[2], t$p.value)
  add("bland_altman_lower", mean(ba) - z * sd(ba), mean(ba) - q[2], mean(ba) - q[1])
  add("bland_altman_upper", mean(ba) + z * sd(ba), mean(ba) + q[1], mean(ba) + q[2])
  s <- suppressWarnings(cor.test(x, y, method = "spearman", exact = FALSE)); rho <- unname(s$estimate); half <- z * sqrt((1 + rho^2 / 2) / (n - 3))
  # Student's t for the ranks; cor.test takes an Edgeworth series below 1,290 patients without ties
  p <- 2 * pt(-abs(rho * sqrt((n - 2) / (1 - rho^2))), n - 2)
  add("spearman", rho, tanh(atanh(rho) - half), tanh(atanh(rho) + half), p)
  moved <- sum((x > cut) != (y > cut)); w <- prop.test(moved, n, correct = FALSE)
  add("risk_group_changes", moved)
  add("risk_group_change_share", moved / n, w$conf.int[1], w$conf.int[2])
  add("risk_group_kappa", suppressWarnings(cohen.kappa(data.frame(x > cut, y > cut))$kappa))
  out
}
apart <- function() {
  f <- function(d) { l <- d[!is.na(d$dead), ]; roc(l$dead, l$CNN_logit0, direction = "<", levels = c(0, 1), quiet = TRUE) }
  test <- roc.test(f(new), f(seen), method = "delong", paired = FALSE)
  list(list(group = "new", metric = "auc_rerun_less_released", n = 420, value = unname(diff(rev(test$estimate))), p = test$p.value))
}
emit("agreement", c("psych", "pROC"), "hosny2018/Radboud.csv, idc-replication/nsclc-radiomics_reproducibility_whole.csv and nsclc-radiomics/clinical.csv of the mirror, not copied here",
  c(one("released", seen), one("released without LUNG1-236", seen[seen$PatientID != "LUNG1-236", ]), one("new", new), one("new, complete record", complete), apart()))
