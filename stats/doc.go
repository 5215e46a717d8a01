// Package stats holds the statistics of a prognosis study as pure functions on
// plain slices. It knows nothing of tables, files or models, never changes its
// arguments, and gives the same answer for any number of processors.
//
// # Conventions
//
// Slices that describe patients have one element per patient, in the same order.
//
//   - score: predicted risk of death; HIGHER IS WORSE. No function turns a score
//     round to make its result look better: an AUC below 0.5 stays below 0.5.
//   - positive: the patient had the outcome that a high score predicts (dead at
//     two years).
//   - time: days from the start of follow-up to death or to the last contact; not
//     negative. event: true for a death, false for a patient censored at time.
//     A patient censored on the day of somebody's death was still at risk of it.
//   - level: the confidence level, between 0 and 1, such as 0.95.
//
// Values are tied when they are equal as float64; round beforehand where rounding
// noise should not tell patients apart (R's survival joins times closer than about
// 1.5e-8 of their size, which days never are).
//
// # Answers that do not exist
//
// Input that cannot be used (empty, NaN, infinite, one class only, slices of
// different length) ends in an [*InputError] that names function, argument, index,
// value and the next step. A number that the data leave undefined although the rest
// of the result is sound is NaN, and the field says when: the p value of an AUC
// whose estimated variance is zero, a median that the curve never reaches. JSON has
// neither NaN nor the infinities of a threshold or a tau: turn them into null or
// text before writing.
package stats
