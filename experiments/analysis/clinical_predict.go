package analysis

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"hounsfield/datasets"
	"hounsfield/models/crossval"
	"hounsfield/models/tabular"
	"hounsfield/stats"
)

// clinicalPredictions are forecasts for test patients by models that never saw them.
type clinicalPredictions struct {
	how      string // where the models were fitted, in words
	patients []int  // of the test role, all of whom every model forecasts
	models   []forecast
	gains    []gain
}

// forecast is what one model says of each patient, and how well that turned out.
type forecast struct {
	name string
	risk []float64 // of death by two years, 0..1
	log  []float64 // log hazard against the model's average patient; higher is worse

	c           stats.ConcordanceResult
	auc         stats.AUCResult // of those with a two-year label
	brier       stats.BrierResult
	calibration *stats.CalibrationResult // nil where there is none
	benefit     stats.DecisionCurveResult
}

// gain compares two forecasts of the same patients.
type gain struct {
	more, less string
	c          stats.PairedConcordanceResult
	auc        stats.PairedAUCResult
	n, labels  int
}

// cannotPredict says why clinical forecasts cannot be made of these patients.
type cannotPredict struct{ why string }

func (e *cannotPredict) Error() string { return e.why }

// leastDeaths of train and of tune let the models be fitted there.
const leastDeaths = 20

// chartSet is the clinical model's variables as coded in some patients.
func (w *clinicalWork) chartSet(patients []int) []coding {
	var out []coding
	for _, v := range chartVariables {
		if !slices.Contains(w.settings.Variables, v.name) {
			continue
		}
		if c := v.code(w.in.Cohort.Patients, patients, w.settings.LeastLevel); c.columns() > 0 && c.known(patients) > 0 {
			out = append(out, c)
		}
	}
	return out
}

// predict makes the forecasts: with train and tune where those have clinical columns, else
// by cross-validation inside the test role. Errors: *cannotPredict.
func (w *clinicalWork) predict(ctx context.Context) (*clinicalPredictions, error) {
	train, tune := w.followed(datasets.Train), w.followed(datasets.Tune)
	chart := w.chartSet(train)
	volume := w.volumeSet()
	all := slices.Concat(chart, volume, []coding{w.score})
	var p *clinicalPredictions
	var err error
	if len(chart) > 0 && w.deaths(charted(train, slices.Concat(chart, volume))) >= leastDeaths && w.deaths(charted(tune, all)) >= leastDeaths {
		p, err = w.stacked(charted(train, slices.Concat(chart, volume)), charted(tune, all), chart, volume)
	} else {
		chart = w.chartSet(w.patients)
		p, err = w.crossFitted(ctx, chart, volume)
	}
	if err == nil {
		err = w.judge(p)
	}
	var climb *stats.ConvergenceError
	var input *stats.InputError
	var folds *tabular.InputError
	switch {
	case errors.As(err, &climb), errors.As(err, &input), errors.As(err, &folds):
		return nil, &cannotPredict{err.Error()}
	case err != nil:
		return nil, err
	}
	return p, nil
}

func (w *clinicalWork) volumeSet() []coding {
	if w.volume == nil {
		return nil
	}
	return []coding{*w.volume}
}

// followed are the patients of train or tune who have survival times.
func (w *clinicalWork) followed(role datasets.Role) []int {
	var out []int
	for _, i := range w.in.Cohort.Of(role) {
		if w.in.Outcomes[i].Followed() {
			out = append(out, i)
		}
	}
	return out
}

func (w *clinicalWork) deaths(patients []int) int {
	n := 0
	for _, i := range patients {
		if w.in.Outcomes[i].Event.V {
			n++
		}
	}
	return n
}

// stacked fits the clinical variables on train, and then, on tune, how much weight their
// sum, the network's score or both deserve: networks know train patients too well for a
// weight to be found there.
func (w *clinicalWork) stacked(train, tune []int, chart, volume []coding) (*clinicalPredictions, error) {
	test := charted(w.patients, slices.Concat(chart, volume, []coding{w.score}))
	p := &clinicalPredictions{patients: test,
		how: fmt.Sprintf("coefficients of the clinical variables from %d train patients (%d deaths), weights of their sum, of the volume and of the network from %d tune patients (%d deaths)",
			len(train), w.deaths(train), len(tune), w.deaths(tune))}
	days, died := survivalOf(w.in.Outcomes, train)
	sum, err := stats.Cox(days, died, covariates(train, chart), w.in.Level)
	if err != nil {
		return nil, err
	}
	everybody := slices.Concat(tune, test)
	of, err := sum.LinearPredictor(covariates(everybody, chart))
	if err != nil {
		return nil, err
	}
	clinical := coding{name: modelClinical, numbers: make([]float64, len(w.in.Scores))}
	for k, i := range everybody {
		clinical.numbers[i] = of[k]
	}
	return p, w.forecasts(p, tune, test, []coding{clinical}, volume)
}

// forecasts fits each model to some patients and forecasts others.
func (w *clinicalWork) forecasts(p *clinicalPredictions, fit, on []int, chart, volume []coding) error {
	days, died := survivalOf(w.in.Outcomes, fit)
	for _, m := range w.sets(chart, volume) {
		model, err := stats.Cox(days, died, covariates(fit, m.codings), w.in.Level)
		if err != nil {
			return fmt.Errorf("the model %s: %w", m.name, err)
		}
		x := covariates(on, m.codings)
		alive, err := model.PredictSurvival(x, nil, []float64{datasets.TwoYears})
		if err != nil {
			return err
		}
		sums, err := model.LinearPredictor(slices.Concat(x, covariates(fit, m.codings)))
		if err != nil {
			return err
		}
		// Against the mean of those it was fitted to, so that folds compare.
		mean := 0.0
		for _, v := range sums[len(on):] {
			mean += v / float64(len(fit))
		}
		f := forecast{name: m.name}
		for k := range on {
			f.risk, f.log = append(f.risk, 1-alive[k][0]), append(f.log, sums[k]-mean)
		}
		p.models = append(p.models, f)
	}
	return nil
}

type codingSet struct {
	name    string
	codings []coding
}

// sets are the models that are forecast with.
func (w *clinicalWork) sets(chart, volume []coding) []codingSet {
	score := []coding{w.score}
	out := []codingSet{{modelClinical, chart}, {modelScore, score}, {modelClinicalScore, slices.Concat(chart, score)}}
	if len(volume) > 0 {
		out = append(out, codingSet{modelClinicalVolume, slices.Concat(chart, volume)}, codingSet{modelAll, slices.Concat(chart, volume, score)})
	}
	return out
}

// crossFitted forecasts each test patient by models of the other folds, and takes the mean
// over the repeats.
func (w *clinicalWork) crossFitted(ctx context.Context, chart, volume []coding) (*clinicalPredictions, error) {
	if len(chart) == 0 {
		return nil, &cannotPredict{"none of the clinical model's variables can be used"}
	}
	test := charted(w.patients, slices.Concat(chart, volume, []coding{w.score}))
	s := w.settings
	p := &clinicalPredictions{patients: test, how: fmt.Sprintf("out of fold by %d times repeated %d-fold cross-validation inside the test role (%d patients, %d deaths), because train and tune have no clinical columns, or too few deaths",
		s.Repeats, s.Folds, len(test), w.deaths(test))}
	for _, m := range w.sets(chart, volume) {
		p.models = append(p.models, forecast{name: m.name, risk: make([]float64, len(test)), log: make([]float64, len(test))})
	}
	_, died := survivalOf(w.in.Outcomes, test)
	for repeat := range s.Repeats {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		fold, err := crossval.Stratified(died, s.Folds, w.in.Seed+uint64(repeat))
		if err != nil {
			return nil, err
		}
		for number := range s.Folds {
			var fit, on, at []int
			for k, i := range test {
				if fold[k] == number {
					on, at = append(on, i), append(at, k)
				} else {
					fit = append(fit, i)
				}
			}
			part := &clinicalPredictions{}
			if err := w.forecasts(part, fit, on, chart, volume); err != nil {
				return nil, fmt.Errorf("fold %d of repeat %d: %w", number+1, repeat+1, err)
			}
			for m := range part.models {
				for j, k := range at {
					p.models[m].risk[k] += part.models[m].risk[j] / float64(s.Repeats)
					p.models[m].log[k] += part.models[m].log[j] / float64(s.Repeats)
				}
			}
		}
	}
	return p, nil
}

// judge holds the forecasts against what became of the patients. Errors: *stats.InputError
// where too few of them have a label, or all the same one.
func (w *clinicalWork) judge(p *clinicalPredictions) error {
	days, died := survivalOf(w.in.Outcomes, p.patients)
	var labelled []int // places in p.patients
	var dead []bool
	for k, i := range p.patients {
		if a := w.in.Outcomes[i].Alive2yr; a.Valid {
			labelled, dead = append(labelled, k), append(dead, !a.V)
		}
	}
	level := w.in.Level
	var none *stats.InputError
	for k := range p.models {
		f := &p.models[k]
		risk := placed(f.risk, labelled)
		var err error
		if f.c, err = stats.HarrellC(days, died, f.log, level); err == nil {
			f.auc, err = stats.DeLong(placed(f.log, labelled), dead, level)
		}
		if err == nil {
			f.brier, err = stats.Brier(risk, dead, 10, level)
		}
		if err == nil {
			f.benefit, err = stats.DecisionCurve(risk, dead, w.settings.Thresholds, w.in.Bootstrap, w.in.Seed, level)
		}
		if err != nil {
			return err
		}
		for j, r := range risk {
			risk[j] = min(max(r, 1e-7), 1-1e-7)
		}
		switch c, err := stats.Calibration(risk, dead, level); {
		case err == nil:
			f.calibration = &c
		case !errors.As(err, &none):
			return err
		}
	}
	pairs := [][2]string{{modelClinicalScore, modelClinical}, {modelScore, modelClinical}, {modelClinicalScore, modelScore}}
	if w.volume != nil {
		pairs = append(pairs, [2]string{modelAll, modelClinicalVolume})
	}
	for _, pair := range pairs {
		a, b := p.find(pair[0]), p.find(pair[1])
		g := gain{more: pair[0], less: pair[1], n: len(p.patients), labels: len(labelled)}
		var err error
		if g.c, err = stats.HarrellCPaired(days, died, a.log, b.log, level); err != nil {
			return err
		}
		if g.auc, err = stats.DeLongPaired(placed(a.log, labelled), placed(b.log, labelled), dead, level); err != nil {
			return err
		}
		p.gains = append(p.gains, g)
	}
	return nil
}

func (p *clinicalPredictions) find(name string) *forecast {
	k := slices.IndexFunc(p.models, func(f forecast) bool { return f.name == name })
	return &p.models[k]
}

func placed(values []float64, places []int) []float64 {
	out := make([]float64, len(places))
	for k, i := range places {
		out[k] = values[i]
	}
	return out
}

// association is how the score goes with one clinical variable, without any outcome.
type association struct {
	title    string
	n        int
	test     string
	value    float64 // Spearman's rho, or epsilon squared
	low      float64 // NaN where there is no interval
	high     float64
	p        float64
	adjusted float64 // by Holm over all variables
}

// associate asks of each variable of the chart, and the volume, whether the score goes with
// it in the test role.
func (w *clinicalWork) associate() ([]association, error) {
	var out []association
	for _, c := range append(slices.Clone(w.chart), w.volumeSet()...) {
		known := charted(w.patients, []coding{c})
		scores := placed(w.in.Scores, known)
		a := association{title: c.title, n: len(known), low: math.NaN(), high: math.NaN()}
		var err error
		if c.ordered {
			ranks := make([]float64, len(known))
			for k, i := range known {
				ranks[k] = c.rank(i)
			}
			var r stats.CorrelationResult
			r, err = stats.Spearman(scores, ranks, w.in.Level)
			a.test, a.value, a.low, a.high, a.p = "Spearman's rho", r.R, r.Low, r.High, r.P
		} else {
			groups := make([][]float64, len(c.levels))
			for k, i := range known {
				groups[c.level[i]] = append(groups[c.level[i]], scores[k])
			}
			var r stats.KruskalWallisResult
			r, err = stats.KruskalWallis(groups)
			a.test, a.value, a.p = "Kruskal-Wallis, epsilon squared", r.EpsilonSquare, r.P
		}
		var none *stats.InputError
		if errors.As(err, &none) || err == nil && math.IsNaN(a.p) {
			continue // too few patients with a value
		}
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	if len(out) == 0 {
		return nil, nil
	}
	p := make([]float64, len(out))
	for k := range out {
		p[k] = out[k].p
	}
	adjusted, err := stats.Adjust(p, stats.Holm)
	if err != nil {
		return nil, err
	}
	for k := range out {
		out[k].adjusted = adjusted[k]
	}
	return out, nil
}
