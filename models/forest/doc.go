// Package forest grows random forests for a two-year label (Gini splits, probability
// leaves) and for survival (log-rank splits, cumulative hazard leaves).
//
// Tables are x[feature][patient] (see package tabular); NaN is a missing value. What
// a forest predicts rises with risk when true means "died": the share of true for
// [Classifier], the expected number of deaths for [Survival].
//
// # Splits
//
// At each node Options.Features features are drawn without replacement, and of all
// their cuts the best is taken; of equally good ones the first drawn, then the lowest
// cut. A value at or below the cut goes left. The cut lies midway between two
// neighbouring values of the node's patients. A feature with more than Options.Bins
// distinct values is first cut into as many bins of about equally many patients, and
// only borders of bins are tried; with no more distinct values, or Options.Exact, all
// cuts are.
//
// # Missing values
//
// Each cut is tried with the missing values on the right and on the left, and so is
// "known against missing"; the better stays. Where no value was missing in training,
// a missing value goes where more of the training patients went (right if equally
// many). This is scikit-learn's rule.
//
// # Categories
//
// A categorical feature's levels are numbers without order. Before growing they are
// put in order of the outcome among all patients given (share of true; observed over
// expected deaths for survival; equal levels by their number) and are then treated as
// ordered: ranger's respect.unordered.factors="order". For two classes this loses
// nothing at the root. As the order comes from all patients, out-of-bag estimates are
// slightly too good for features of many levels; cross-validation is not. A level
// that training did not have counts as missing.
//
// # Repeatability
//
// Tree t draws from a generator seeded by (Options.Seed, t): results are the same to
// the last bit for any number of workers.
//
// In R: ranger(probability=TRUE) and ranger(Surv(time, event) ~ .). Differences are
// stated at [Options], [Fit] and [FitSurvival].
//
// Breiman L. Machine Learning 2001;45:5-32. doi:10.1023/A:1010933404324; Malley JD et
// al. Methods Inf Med 2012;51:74-81. doi:10.3414/ME00-01-0052; Ishwaran H et al. Ann
// Appl Stat 2008;2:841-860. doi:10.1214/08-AOAS169; Wright MN, Ziegler A. J Stat Softw
// 2017;77(1). doi:10.18637/jss.v077.i01; Wright MN, König IR. PeerJ 2019;7:e6339.
// doi:10.7717/peerj.6339
package forest
