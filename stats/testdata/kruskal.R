# Golden values for KruskalWallis. Run in this folder: Rscript kruskal.R
source("emit.R")
draw <- function(seed, sizes, shift, digits) { set.seed(seed); lapply(seq_along(sizes), function(k) round(rnorm(sizes[k], shift * k, 2), digits)) }
case <- function(name, groups) {
  r <- kruskal.test(groups)
  rank <- split(rank(unlist(groups)), rep(seq_along(groups), lengths(groups)))
  list(name = name, groups = lapply(groups, vec), h = unname(r$statistic), df = unname(r$parameter), p = r$p.value, mean_rank = vec(unname(sapply(rank, mean))))
}
emit("kruskal", "stats", "drawn by draw(seed, sizes, shift, digits) in the program; rounding makes ties",
  list(
    case("two groups", draw(1, c(9, 12), 0.5, 6)),
    case("four groups, no ties", draw(2, c(8, 15, 6, 20), 0.7, 6)),
    case("four groups, many ties", draw(3, c(30, 25, 6, 40), 0.4, 0)),
    case("a group of one", draw(4, c(1, 7, 5), 1, 1)),
    case("far apart", draw(5, c(20, 20, 20), 6, 2))))
