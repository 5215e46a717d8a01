package crossval

import (
	"context"
	"fmt"

	"hounsfield/models/tabular"
)

// Candidate is one of several ways of fitting, such as one strength of a penalty.
type Candidate struct {
	Name string
	Fit  Fit
}

// Chosen is a model whose way of fitting was itself chosen by cross-validation.
type Chosen struct {
	Model
	Name string
	// Inner are the candidates' mean AUCs in the inner cross-validation, in their
	// order. The best of them flatters: it was chosen for being best.
	Inner []float64
}

// Nested makes one way of fitting of several: it cross-validates each candidate on the
// training patients, all on the same folds, takes the one with the highest mean AUC
// (the first of equals) and fits it to all training patients. Validated by [Run] it is
// nested cross-validation: the choice happens anew inside each outer fold. inner.Seed
// is not used, the fit's is.
func Nested(candidates []Candidate, inner Options) Fit {
	return func(ctx context.Context, train Data, seed uint64) (Model, error) {
		if len(candidates) == 0 {
			return nil, tabular.Refuse("crossval.Nested", "candidates", "empty", "at least one", "list the ways of fitting to choose from")
		}
		inner := inner
		inner.Seed = seed
		chosen, best := &Chosen{}, 0
		for k, c := range candidates {
			r, err := Run(ctx, train, c.Fit, inner)
			if err != nil {
				return nil, fmt.Errorf("candidate %s: %w", c.Name, err)
			}
			chosen.Inner = append(chosen.Inner, r.MeanAUC)
			if r.MeanAUC > chosen.Inner[best] {
				best = k
			}
		}
		chosen.Name = candidates[best].Name
		model, err := candidates[best].Fit(ctx, train, seed)
		if err != nil {
			return nil, fmt.Errorf("candidate %s: %w", chosen.Name, err)
		}
		chosen.Model = model
		return chosen, nil
	}
}
