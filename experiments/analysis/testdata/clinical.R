# What R makes of the clinical parameters beside the published score of the Maastro
# patients. The folder HOUNSFIELD_MIRROR holds the tables, stats/testdata has emit.R.
# Run in this folder: HOUNSFIELD_MIRROR=... Rscript clinical.R
suppressMessages({library(survival); library(pROC); source("../../../stats/testdata/emit.R")})
mirror <- Sys.getenv("HOUNSFIELD_MIRROR")
strict <- coxph.control(eps = 1e-11, toler.chol = 1e-12, iter.max = 50)
clinical <- read.csv(file.path(mirror, "nsclc-radiomics", "clinical.csv"), strip.white = TRUE)
released <- function(name) read.csv(file.path(mirror, "hosny2018", paste0(name, ".csv")), strip.white = TRUE)
d <- merge(released("Maastro")[, c("id", "logit_0", "original_shape_Volume")], clinical, by.x = "id", by.y = "PatientID")
d <- d[order(d$id), ]
cut <- median(released("Radboud")$logit_0)
# Some ages are taken away, so that there is something missing.
d$age[as.integer(sub("LUNG1-", "", d$id)) %% 10 == 0] <- NA

code <- function(d) {
  d$time <- d$Survival.time; d$event <- d$deadstatus.event
  d$network <- d$logit_0 / sd(d$logit_0)
  d$risk_group <- factor(ifelse(d$logit_0 > cut, "high", "low"), levels = c("low", "high"))
  d$age <- d$age / 10
  d$sex <- factor(d$gender, levels = c("male", "female"))
  d$stage <- factor(toupper(d$Overall.Stage), levels = c("I", "II", "IIIA", "IIIB"))
  d$t <- factor(d$clinical.T.Stage)
  # One patient has N 4: joined with N 3.
  d$n <- factor(ifelse(d$Clinical.N.Stage >= 3, "3 or 4", d$Clinical.N.Stage))
  # The most frequent first.
  d$histology <- relevel(factor(d$Histology), "squamous cell carcinoma")
  d$volume <- log2(d$original_shape_Volume)
  d
}
w <- code(d)
fit <- function(formula, data) do.call(coxph, list(formula = formula, data = data, ties = "efron", control = strict))
of <- function(f) {
  zph <- cox.zph(f, transform = "km", terms = FALSE)$table
  s <- summary(f)
  list(n = f$n, events = f$nevent, coef = vec(unname(coef(f))), se = vec(unname(sqrt(diag(vcov(f))))), low = vec(unname(s$conf.int[, 3])), high = vec(unname(s$conf.int[, 4])),
    p = vec(unname(s$coefficients[, 5])), proportional = vec(unname(zph[seq_along(coef(f)), 3])), global = unname(zph[nrow(zph), 3]), lr = unname(s$logtest[3]))
}
alone <- lapply(c("network", "risk_group", "age", "sex", "stage", "t", "n", "histology", "volume"), function(v)
  c(list(variable = v), of(fit(as.formula(paste("Surv(time, event) ~", v)), w))))
whole <- w[complete.cases(w[, c("age", "sex", "stage", "histology", "volume")]), ]
sets <- list("clinical" = "age + sex + stage + histology", "clinical + network" = "age + sex + stage + histology + network",
  "clinical + risk group" = "age + sex + stage + histology + risk_group", "clinical + volume" = "age + sex + stage + histology + volume",
  "clinical + volume + network" = "age + sex + stage + histology + volume + network")
fits <- lapply(sets, function(s) fit(as.formula(paste("Surv(time, event) ~", s)), whole))
lrt <- function(a, b) { r <- anova(a, b); list(chisq = r[2, "Chisq"], df = r[2, "Df"], p = r[2, ncol(r)]) }
tests <- list(lrt(fits[[1]], fits[[2]]), lrt(fits[[1]], fits[[3]]), lrt(fits[[4]], fits[[5]]), lrt(fits[[2]], fits[[5]]))
drop <- lapply(c("sex", "stage", "histology"), function(v) list(variable = v, p = anova(update(fits[[2]], as.formula(paste(". ~ . -", v))), fits[[2]])[2, 4]))
by <- function(v) suppressWarnings(cor.test(w$network, as.numeric(w[[v]]), method = "spearman"))
spearman <- vec(vapply(c("age", "stage", "t", "n", "volume"), function(v) unname(by(v)$estimate), 0, USE.NAMES = FALSE))
kruskal <- vec(vapply(c("sex", "histology"), function(v) kruskal.test(w$network, w[[v]])$p.value, 0, USE.NAMES = FALSE))
y <- Surv(w$time, w$event)
stages <- survdiff(y ~ w$stage)
within <- survdiff(y ~ w$risk_group + strata(w$stage))

# Dealt by turns, in the order of the ids, to train, tune and test; nothing is missing.
d$age <- clinical$age[match(d$id, clinical$PatientID)]
role <- (seq_len(nrow(d)) - 1) %% 3
e <- code(d)
role[is.na(e$volume)] <- NA
e <- e[!is.na(role), ]; role <- role[!is.na(role)]
train <- e[role == 0, ]; tune <- e[role == 1, ]; test <- e[role == 2, ]
sum <- fit(Surv(time, event) ~ age + sex + stage + histology, train)
lp <- function(x) predict(sum, x, type = "lp", reference = "zero")
tune$clinical <- lp(tune); test$clinical <- lp(test)
dead <- ifelse(test$time <= 730 & test$event == 1, 1, ifelse(test$time > 730, 0, NA))
known <- !is.na(dead)
yt <- Surv(test$time, test$event)
second <- list("clinical" = "clinical", "network" = "network", "clinical + network" = "clinical + network", "clinical + volume" = "clinical + volume", "clinical + volume + network" = "clinical + volume + network")
forecast <- lapply(second, function(s) {
  f <- fit(as.formula(paste("Surv(time, event) ~", s)), tune)
  risk <- 1 - as.numeric(summary(survfit(f, newdata = test, se.fit = FALSE), times = 730)$surv)
  list(fit = f, lp = predict(f, test, type = "lp", reference = "zero"), risk = risk)
})
thresholds <- c(0.3, 0.5, 0.7)
forecasts <- Map(function(name, f) {
  harrell <- concordance(yt ~ f$lp, reverse = TRUE)
  r <- f$risk[known]; z <- dead[known]
  list(name = name, c = unname(harrell$concordance), se = sqrt(harrell$var), auc = as.numeric(roc(z, f$lp[known], direction = "<", levels = c(0, 1), quiet = TRUE)$auc),
    brier = mean((r - z)^2), slope = unname(coef(glm(z ~ qlogis(r), family = binomial, control = list(epsilon = 1e-14)))[2]),
    large = unname(coef(glm(z ~ offset(qlogis(r)), family = binomial, control = list(epsilon = 1e-14)))[1]),
    benefit = vec(vapply(thresholds, function(t) mean(r >= t & z == 1) - mean(r >= t & z == 0) * t / (1 - t), 0)))
}, names(forecast), forecast)
paired <- function(a, b) {
  x <- forecast[[a]]$lp; z <- forecast[[b]]$lp
  both <- concordance(forecast[[a]]$fit, forecast[[b]]$fit, newdata = test)
  v <- vcov(both)
  r <- roc.test(roc(dead[known], x[known], direction = "<", levels = c(0, 1), quiet = TRUE), roc(dead[known], z[known], direction = "<", levels = c(0, 1), quiet = TRUE), paired = TRUE, method = "delong")
  list(difference = unname(both$concordance[1] - both$concordance[2]), se = sqrt(v[1, 1] + v[2, 2] - 2 * v[1, 2]), auc_p = r$p.value)
}
emit("clinical", c("survival", "pROC"), "hosny2018/Maastro.csv, Radboud.csv and nsclc-radiomics/clinical.csv of the mirror, not copied here",
  list(list(name = "Maastro", alone = alone, models = unname(Map(function(name, f) c(list(name = name), of(f)), names(sets), fits)), tests = tests, drop = drop,
    spearman = spearman, kruskal = kruskal, stages = stages$chisq, within = within$chisq,
    forecasts = unname(forecasts), gains = list(paired("clinical + network", "clinical"), paired("network", "clinical"), paired("clinical + network", "network"), paired("clinical + volume + network", "clinical + volume")))))
