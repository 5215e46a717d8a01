# The 40 features that MRMR chooses on the published tune cohorts, from the definition as
# in mrmr.R. Features missing in any patient are left out. The folder HOUNSFIELD_MIRROR
# holds the tables. Run in this folder: HOUNSFIELD_MIRROR=... Rscript published.R
source("../../../stats/testdata/emit.R")
program <- readLines("mrmr.R"); eval(parse(text = program[grep("^mrmr", program):(grep("^case", program) - 1)]))
one <- function(name) {
  d <- read.csv(file.path(Sys.getenv("HOUNSFIELD_MIRROR"), "hosny2018", paste0(name, ".csv")), na.strings = c("N/A", "", "nan"), check.names = FALSE)
  x <- as.matrix(d[, -(1:13)]); x <- x[, colSums(is.na(x)) == 0]
  r <- mrmr(x, d$surv2yr, 40, "pearson")
  list(cohort = name, patients = nrow(x), features = ncol(x), names = vec(colnames(x)[r$chosen + 1]), relevance = r$relevance, redundancy = r$redundancy)
}
emit("published", "stats", "hosny2018/*.csv of the mirror, not copied here", list(one("Radboud"), one("MUMC")))
