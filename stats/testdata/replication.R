# What R makes of the published scores against those of the independent re-run, for the same
# patients; the folder HOUNSFIELD_MIRROR holds both tables.
# Run in this folder: HOUNSFIELD_MIRROR=... Rscript replication.R
suppressMessages({library(psych); library(epiR); library(pROC); source("emit.R")})
mirror <- Sys.getenv("HOUNSFIELD_MIRROR")
old <- read.csv(file.path(mirror, "hosny2018", "Maastro.csv"), strip.white = TRUE)[, c("id", "surv2yr", "logit_0")]
new <- read.csv(file.path(mirror, "idc-replication", "nsclc-radiomics_reproducibility.csv"), strip.white = TRUE)
d <- merge(old, new, by.x = "id", by.y = "PatientID")
one <- function(name, d) {
  x <- d$logit_0; y <- d$CNN_logit0; n <- length(x)
  r <- suppressWarnings(ICC(data.frame(x, y), lmer = FALSE)$results)
  lin <- epi.ccc(x, y, ci = "z-transform")
  ba <- x - y; q <- suppressWarnings(qt(c(0.025, 0.975), n - 1, qnorm(0.975) * sqrt(n))) * sd(ba) / sqrt(n)
  k <- suppressWarnings(cor.test(x, y, method = "kendall"))
  w <- suppressWarnings(wilcox.test(x, y, paired = TRUE))
  list(name = name, n = n, same = sum(abs(x - d$baseline_logit0) < 1e-6),
    icc = r$ICC, low = r[["lower bound"]], high = r[["upper bound"]],
    ccc = unlist(lin$rho.c, use.names = FALSE), bias = mean(ba), upper = c(mean(ba) + qnorm(0.975) * sd(ba), mean(ba) + q),
    pearson = unname(cor(x, y)), spearman = cor(x, y, method = "spearman"), kendall = unname(k$estimate), kendall_p = k$p.value,
    v = unname(w$statistic), v_p = w$p.value,
    auc = as.numeric(auc(roc(d$surv2yr.x, x, direction = ">", levels = c(0, 1), quiet = TRUE))) -
      as.numeric(auc(roc(d$surv2yr.x, y, direction = ">", levels = c(0, 1), quiet = TRUE))))
}
emit("replication", c("psych", "epiR", "pROC"), "hosny2018/Maastro.csv and idc-replication/nsclc-radiomics_reproducibility.csv of the mirror, not copied here",
  list(one("all linked patients", d), one("without LUNG1-236", d[d$id != "LUNG1-236", ])))
