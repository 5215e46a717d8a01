# What ranger makes of the published tables: forests on the
# published features, trained on the train cohort, tested on the test cohort. Patients
# without any feature are left out, then features missing in any patient of the two. The folder HOUNSFIELD_MIRROR holds the tables.
# Run in this folder: HOUNSFIELD_MIRROR=... Rscript published.R
suppressMessages({library(ranger); library(pROC); source("../../../stats/testdata/emit.R")})
# ranger seeds tree i with seed * i; primes above the number of trees share no tree.
primes <- c(1009, 1013, 1019, 1021, 1031, 1033, 1039, 1049, 1051, 1061, 1063, 1069, 1087, 1091, 1093, 1097, 1103, 1109, 1117, 1123)
mirror <- Sys.getenv("HOUNSFIELD_MIRROR")
cohort <- function(name) {
  d <- read.csv(file.path(mirror, "hosny2018", paste0(name, ".csv")), na.strings = c("N/A", "", "nan"), check.names = FALSE)
  x <- as.matrix(d[, -(1:13)]); keep <- rowSums(!is.na(x)) > 0
  list(x = x[keep, ], died = d$surv2yr[keep] == 0)
}
area <- function(died, score) as.numeric(roc(died, score, direction = "<", levels = c(FALSE, TRUE), quiet = TRUE)$auc)
one <- function(name, train, test) {
  a <- cohort(train); b <- cohort(test)
  known <- colSums(is.na(a$x)) + colSums(is.na(b$x)) == 0
  a$x <- a$x[, known]; b$x <- b$x[, known]
  runs <- lapply(primes, function(s) {
    f <- ranger(x = a$x, y = factor(a$died), probability = TRUE, num.trees = 500, seed = s, num.threads = 2)
    p <- predict(f, b$x)$predictions[, "TRUE"]
    list(oob = f$prediction.error, oob_auc = area(a$died, f$predictions[, "TRUE"]), auc = area(b$died, p), predicted = p)
  })
  get <- function(k) sapply(runs, `[[`, k)
  list(name = name, train = train, test = test, patients = c(nrow(a$x), nrow(b$x)), features = sum(known), oob = mean(get("oob")), oob_sd = sd(get("oob")),
    oob_auc = mean(get("oob_auc")), oob_auc_sd = sd(get("oob_auc")), auc = mean(get("auc")), auc_sd = sd(get("auc")),
    predicted = vec(round(rowMeans(get("predicted")), 5)))
}
emit("published", c("ranger", "pROC"), "hosny2018/*.csv of the mirror, not copied here",
  list(one("radiotherapy", "HarvardRT", "Maastro"), one("surgery", "Moffitt", "M-SPORE")))
