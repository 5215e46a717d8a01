# What R makes of the published tables; the folder HOUNSFIELD_MIRROR holds them.
# Run in this folder: HOUNSFIELD_MIRROR=... Rscript published.R
suppressMessages({library(survival); library(pROC); source("emit.R")})
mirror <- Sys.getenv("HOUNSFIELD_MIRROR")
cohort <- function(name) read.csv(file.path(mirror, "hosny2018", paste0(name, ".csv")), strip.white = TRUE)[, c("id", "surv2yr", "logit_0", "logit_1")]
clinical <- read.csv(file.path(mirror, "nsclc-radiomics", "clinical.csv"), strip.white = TRUE)

aucs <- lapply(c("HarvardRT", "Radboud", "Maastro", "Moffitt", "MUMC", "M-SPORE"), function(name) {
  d <- cohort(name)
  r <- roc(d$surv2yr, d$logit_1, direction = "<", levels = c(0, 1), quiet = TRUE)
  ci <- ci.auc(r)
  list(name = name, n = nrow(d), auc = as.numeric(r$auc), low = ci[1], high = ci[3])
})
cut <- median(cohort("Radboud")$logit_0)
d <- merge(cohort("Maastro"), clinical, by.x = "id", by.y = "PatientID")
high <- d$logit_0 > cut
y <- Surv(d$Survival.time, d$deadstatus.event)
fit <- summary(survfit(y ~ high, conf.type = "log-log"))$table
test <- survdiff(y ~ high)
cox <- coxph(y ~ high, control = coxph.control(eps = 1e-14))
area <- function(tau) { t <- survival:::survmean(survfit(y ~ high), rmean = tau)$matrix; c(t[2, 5] - t[1, 5], sqrt(sum(t[, 6]^2))) }
harrell <- concordance(y ~ d$logit_0, reverse = TRUE)
uno <- concordance(y ~ d$logit_0, reverse = TRUE, timewt = "n/G2")
uno2 <- concordance(y ~ d$logit_0, reverse = TRUE, timewt = "n/G2", ymax = 730)
emit("published", c("survival", "pROC"),
  "hosny2018/*.csv and nsclc-radiomics/clinical.csv of the mirror, not copied here",
  list(list(name = "published tables", aucs = aucs, cut = cut, linked = nrow(d), high = sum(high),
    median_low = unname(fit[1, c("median", "0.95LCL", "0.95UCL")]), median_high = unname(fit[2, c("median", "0.95LCL", "0.95UCL")]),
    chisq = test$chisq, p = test$pvalue, hr = unname(exp(coef(cox))), hr_ci = unname(exp(confint(cox))[1, ]),
    harrell = c(unname(harrell$concordance), sqrt(harrell$var)),
    uno = c(unname(uno$concordance), sqrt(uno$var)), uno_730 = c(unname(uno2$concordance), sqrt(uno2$var)),
    rmst_730 = unname(area(730)), rmst_730.5 = unname(area(730.5)))))
