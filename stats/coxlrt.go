package stats

import (
	"fmt"
	"math"
)

// CoxLikelihoodRatio tests whether the covariates that a larger model has beyond a smaller
// one say anything: twice the gain in log partial likelihood against the chi-square
// distribution, with as many degrees of freedom as covariates were added. The covariates
// of the smaller model must be among those of the larger (or combinations of them), and
// both must be fitted to the same patients; of that, the numbers of patients and deaths,
// the rule for ties and the likelihood without covariates are checked.
//
// In R: anova(smaller, larger) of package survival.
//
// Errors: *InputError for models of other patients, for a larger model without more
// covariates or with a smaller likelihood, and for one with robust standard errors of
// clustered rows, whose likelihood is none.
//
// Cox DR, Oakes D. Analysis of Survival Data. Chapman and Hall 1984, chapter 8.
func CoxLikelihoodRatio(smaller, larger CoxResult) (ChiSquareTest, error) {
	const function = "CoxLikelihoodRatio"
	refuse := func(argument, value, allowed, next string) (ChiSquareTest, error) {
		return ChiSquareTest{}, &InputError{function, argument, -1, value, allowed, next}
	}
	added := len(larger.Terms) - len(smaller.Terms)
	gain := larger.LogLikelihood - smaller.LogLikelihood
	size := math.Max(1, math.Abs(smaller.LogLikelihood))
	switch {
	case smaller.N != larger.N || smaller.Events != larger.Events || smaller.Ties != larger.Ties || smaller.Strata != larger.Strata ||
		math.Abs(smaller.NullLikelihood-larger.NullLikelihood) > 1e-9*size:
		return refuse("larger", fmt.Sprintf("fitted to %d patients with %d deaths", larger.N, larger.Events),
			fmt.Sprintf("the %d patients with %d deaths of the smaller model, with its ties and strata", smaller.N, smaller.Events),
			"fit both to the patients who have all covariates")
	case added < 1:
		return refuse("larger", fmt.Sprintf("of %d covariates", len(larger.Terms)), fmt.Sprintf("more than the %d of the smaller model", len(smaller.Terms)), "give the smaller model first")
	case gain < -1e-9*size:
		return refuse("larger", "less likely than the smaller", "a model that holds the covariates of the smaller one", "add covariates, and take none away")
	case larger.Robust && larger.Clusters < larger.N:
		return refuse("larger", "fitted to clustered rows", "independent patients", "use the Wald test")
	}
	return newChiSquareTest(math.Max(0, 2*gain), added), nil
}
