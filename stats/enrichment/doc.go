// Package enrichment asks which gene sets gather at one end of a ranking of genes:
// metrics that rank genes by their association with an outcome, preranked gene set
// enrichment analysis (GSEA) and the over-representation test. Like package stats
// it holds pure functions on plain slices.
//
// # Conventions
//
// A ranking runs from the highest score to the lowest. Scores against the risk of
// death (the network's score, dead = true) make a POSITIVE enrichment score mean
// "higher expression in patients who die"; scores against a probability of
// survival mean the opposite.
//
// Gene identifiers are compared byte for byte: no case is folded, nothing is
// trimmed. A gene listed twice, in a ranking or in a set, and a score that is not
// a finite number are refused with an [*InputError] that names them: which of two
// values of one gene counts is a decision of the study.
//
// Tied scores have no order of their own. [Ranking] says which rule ordered them
// and [SetResult] the range of enrichment scores over all orders of tied genes.
//
// # What the null hypothesis is
//
// A preranked analysis draws random genes. It asks whether a set lies higher than
// as many genes taken at random (a competitive null hypothesis), and takes genes
// as independent of each other. Genes of a pathway are correlated, so its p values
// are too small as statements about new patients: treat them as a ranking of sets,
// and confirm in another cohort.
//
// Goeman JJ, Buehlmann P. Bioinformatics 2007;23:980-987. doi:10.1093/bioinformatics/btm051
package enrichment
