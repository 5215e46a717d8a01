// Package linear fits logistic regression: by maximum likelihood with standard errors
// and tests ([Logistic]), and with ridge, lasso or mixed penalties ([Penalised]).
//
// Tables are x[feature][patient] (see package tabular); no value may be missing. y is
// the label of each patient: with true = died, probabilities rise with risk.
package linear
