# Writes golden values as JSON without any package: numbers with 17 digits, NA and NaN as
# null. A vector of length one is a number unless wrapped in vec().
vec <- function(x) structure(x, class = "vec")
json <- function(x) {
  if (inherits(x, "vec")) return(paste0("[", paste(json_atoms(unclass(x)), collapse = ", "), "]"))
  if (is.list(x)) {
    parts <- vapply(x, json, "")
    if (is.null(names(x))) return(paste0("[", paste(parts, collapse = ",\n"), "]"))
    return(paste0("{", paste0("\"", names(x), "\": ", parts, collapse = ",\n"), "}"))
  }
  atoms <- json_atoms(x)
  if (length(atoms) == 1) atoms else paste0("[", paste(atoms, collapse = ", "), "]")
}
json_atoms <- function(x) {
  if (is.character(x)) return(encodeString(x, quote = "\""))
  if (is.logical(x) && !all(is.na(x))) return(ifelse(x, "true", "false"))
  ifelse(is.finite(x), sprintf("%.17g", x), "null")
}
# emit writes <name>.json beside <name>.R, which must run in this folder.
emit <- function(name, packages, data, cases) {
  program <- paste0(name, ".R")
  versions <- vapply(packages, function(p) paste(p, packageVersion(p)), "")
  source <- list(
    tool = paste("R", paste(packages, collapse = ", ")),
    version = paste(c(paste0("R ", getRversion()), versions), collapse = ", "),
    command = paste("Rscript", program),
    program = program,
    program_md5 = unname(tools::md5sum(program)),
    data = data)
  writeLines(json(list(source = source, cases = cases)), paste0(name, ".json"))
}
