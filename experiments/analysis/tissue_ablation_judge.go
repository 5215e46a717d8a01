package analysis

import (
	"errors"
	"fmt"
	"math"

	"hounsfield/datasets/phantom"
	"hounsfield/datasets/table"
	"hounsfield/stats"
)

// tissueJudged is one arm, scored in one way, held against the whole cube. What these
// patients do not have (one class only, no deaths) is nil.
type tissueJudged struct {
	*tissueScores
	auc      *stats.AUCResult
	harrell  *stats.ConcordanceResult
	over     tissueContrast // the arm less the whole cube; without results for the whole cube itself
	shift    stats.Interval // mean of the arm's score less the whole cube's; ends NaN for one patient
	spearman *stats.CorrelationResult
}

// tissueContrast is the difference of two arms scored in the same patients.
type tissueContrast struct {
	arm, less TissueArm
	way       string
	auc       *stats.PairedAUCResult
	harrell   *stats.PairedConcordanceResult
	holm      float64 // p of the difference in AUC, adjusted for all contrasts scored in that way; NaN where there is none
}

// words name the contrast for people.
func (c tissueContrast) words() string { return c.arm.words() + " against " + c.less.words() }

// tissueVerdict is all that was computed.
type tissueVerdict struct {
	arms  []tissueJudged
	gains []tissueContrast // a shell given back: tumour and shell less tumour only
	tests map[string]int   // contrasts that Holm's adjustment counts, by way
	truth *tissueTruth     // nil for real patients
}

// tissueTruth is what the phantom's true hazard says about how much there is to lose, in
// the test patients with a label.
type tissueTruth struct {
	all  stats.AUCResult       // the whole hazard
	seen stats.AUCResult       // without age and stage, which no scan shows
	halo stats.PairedAUCResult // the same without the halo as well, less the same with it
}

// endpoints are the outcomes of the test patients that figures stand on.
type endpoints struct {
	labelled, followed []int // places among the test patients
	dead               []bool
	days               []float64
	event              []bool
}

func (t *tissueAblation) endpoints() endpoints {
	var e endpoints
	for k, i := range t.test {
		o := t.Outcomes[i]
		if o.Alive2yr.Valid {
			e.labelled, e.dead = append(e.labelled, k), append(e.dead, !o.Alive2yr.V)
		}
		if o.Followed() {
			e.followed, e.days, e.event = append(e.followed, k), append(e.days, o.SurvivalDays.V), append(e.event, o.Event.V)
		}
	}
	return e
}

func valuesAt(values []float64, places []int) []float64 {
	out := make([]float64, len(places))
	for i, k := range places {
		out[i] = values[k]
	}
	return out
}

// orNil is a result, or nil where these patients do not have it.
func orNil[R any](r R, err error) (*R, error) {
	var none *stats.InputError
	switch {
	case errors.As(err, &none):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return &r, nil
}

func (t *tissueAblation) judge(all []tissueScores) (*tissueVerdict, error) {
	e := t.endpoints()
	v := &tissueVerdict{}
	whole := all[0].scores
	var contrasts []*tissueContrast
	for k := range all {
		j := tissueJudged{tissueScores: &all[k]}
		var err error
		if j.auc, err = orNil(stats.DeLong(valuesAt(j.scores, e.labelled), e.dead, t.Level)); err != nil {
			return nil, err
		}
		if j.harrell, err = orNil(stats.HarrellC(e.days, e.event, valuesAt(j.scores, e.followed), t.Level)); err != nil {
			return nil, err
		}
		j.shift = stats.Interval{Low: math.NaN(), High: math.NaN()}
		for i := range whole {
			j.shift.Estimate += (j.scores[i] - whole[i]) / float64(len(whole))
		}
		b, err := orNil(stats.BlandAltman(j.scores, whole, 0.95, t.Level))
		if err != nil {
			return nil, err
		}
		if b != nil {
			j.shift = b.Bias
		}
		if j.spearman, err = orNil(stats.Spearman(j.scores, whole, t.Level)); err != nil {
			return nil, err
		}
		if k > 0 {
			if j.over, err = t.contrast(e, &all[k], &all[0]); err != nil {
				return nil, err
			}
		}
		v.arms = append(v.arms, j)
	}
	for k := range v.arms {
		if k > 0 {
			contrasts = append(contrasts, &v.arms[k].over)
		}
	}
	for k := range all {
		for m := range all {
			if all[k].arm.Kind == tumourAndShell && all[m].arm.Kind == tumourOnly && all[k].way == all[m].way {
				g, err := t.contrast(e, &all[k], &all[m])
				if err != nil {
					return nil, err
				}
				v.gains = append(v.gains, g)
			}
		}
	}
	for k := range v.gains {
		contrasts = append(contrasts, &v.gains[k])
	}
	var err error
	if v.tests, err = adjustContrasts(contrasts); err != nil {
		return nil, err
	}
	v.truth, err = t.truth(e)
	return v, err
}

// contrast holds arm a against arm b.
func (t *tissueAblation) contrast(e endpoints, a, b *tissueScores) (tissueContrast, error) {
	c := tissueContrast{arm: a.arm, less: b.arm, way: a.way, holm: math.NaN()}
	var err error
	if c.auc, err = orNil(stats.DeLongPaired(valuesAt(a.scores, e.labelled), valuesAt(b.scores, e.labelled), e.dead, t.Level)); err != nil {
		return c, err
	}
	c.harrell, err = orNil(stats.HarrellCPaired(e.days, e.event, valuesAt(a.scores, e.followed), valuesAt(b.scores, e.followed), t.Level))
	return c, err
}

// adjustContrasts fills in Holm's p values over all differences in AUC that have one, those
// of re-scoring and of re-training each by themselves, because they answer two questions;
// it says how many each are.
func adjustContrasts(all []*tissueContrast) (map[string]int, error) {
	counted := map[string]int{}
	for _, way := range []string{tissueRescored, tissueRetrained} {
		var p []float64
		var of []*tissueContrast
		for _, c := range all {
			if c.way == way && c.auc != nil && !math.IsNaN(c.auc.P) {
				p, of = append(p, c.auc.P), append(of, c)
			}
		}
		if len(p) == 0 {
			continue
		}
		adjusted, err := stats.Adjust(p, stats.Holm)
		if err != nil {
			return nil, err
		}
		for k := range adjusted {
			of[k].holm = adjusted[k]
		}
		counted[way] = len(p)
	}
	return counted, nil
}

// aucs are the AUCs of the run's networks on whole cubes, which differ by seed only; nil
// where these patients have none.
func (t *tissueAblation) aucs(byNetwork [][]float64) []float64 {
	e := t.endpoints()
	var out []float64
	for _, scores := range byNetwork {
		auc, err := stats.DeLong(valuesAt(scores, e.labelled), e.dead, t.Level)
		if err != nil {
			return nil
		}
		out = append(out, auc.AUC)
	}
	return out
}

// truth asks the phantom how much of the AUC hangs on the halo.
func (t *tissueAblation) truth(e endpoints) (*tissueTruth, error) {
	if t.Phantom == nil {
		return nil, nil
	}
	of := func(change func(*phantom.Hazard)) []float64 {
		return valuesAt(valuesAt(t.Phantom.RiskHad(change), t.test), e.labelled)
	}
	full := of(func(*phantom.Hazard) {})
	seen := of(func(h *phantom.Hazard) { h.Age, h.Stage = 0, 0 })
	rest := of(func(h *phantom.Hazard) { h.Age, h.Stage, h.Halo = 0, 0, 0 })
	all, err := orNil(stats.DeLong(full, e.dead, t.Level))
	if err != nil || all == nil {
		return nil, err
	}
	image, err := stats.DeLong(seen, e.dead, t.Level)
	if err != nil {
		return nil, err
	}
	halo, err := stats.DeLongPaired(rest, seen, e.dead, t.Level)
	return &tissueTruth{all: *all, seen: image, halo: halo}, err
}

// detectable is the smallest true difference that a two-sided test at 5% finds with a power
// of 80%, given the standard error that was seen.
func detectable(r *stats.PairedAUCResult) float64 { return (1.959964 + 0.841621) * r.SE }

// measures are the rows of the analysis' main table.
func (t *tissueAblation) measures(v *tissueVerdict) []Measure {
	var out []Measure
	nan := math.NaN()
	add := func(name, group, method string, n int, value, low, high, p float64) {
		out = append(out, Measure{Name: name, Group: group, N: n, Value: value, Low: table.Finite(low), High: table.Finite(high), P: table.Finite(p), Method: method})
	}
	contrast := func(c tissueContrast) {
		group := fmt.Sprintf("%s less %s, %s", c.arm.name(), c.less.name(), c.way)
		if d := c.auc; d != nil {
			add("auc_difference", group, "paired DeLong; p two-sided, not adjusted", d.N, d.Difference, d.Low, d.High, d.P)
			add("auc_difference_p_holm", group, fmt.Sprintf("Holm over the %d differences of cubes %s", v.tests[c.way], c.way), d.N, c.holm, nan, nan, c.holm)
			add("auc_difference_detectable", group, "true difference found with a power of 80% at two-sided 5%, from the standard error seen", d.N, detectable(d), nan, nan, nan)
		}
		if d := c.harrell; d != nil {
			add("harrell_c_difference", group, "infinitesimal jackknife, paired; p two-sided, not adjusted", d.A.N, d.Difference, d.Low, d.High, d.P)
		}
	}
	for _, j := range v.arms {
		group := j.arm.name() + ", " + j.way
		if r := j.auc; r != nil {
			add("auc", group, "DeLong; p two-sided against 0.5", r.N, r.AUC, r.Low, r.High, r.P)
		}
		if r := j.harrell; r != nil {
			add("harrell_c", group, "Harrell; score ties count one half", r.N, r.C, r.Low, r.High, nan)
		}
		if j.arm.Kind == tissueWhole {
			for k, auc := range t.noise {
				add("auc", fmt.Sprintf("%s, network %d alone", tissueWhole, k+1), "DeLong", j.auc.N, auc, nan, nan, nan)
			}
			continue
		}
		contrast(j.over)
		add("mean_score_shift", group, "mean of score less that of the whole cube, Student's t CI", len(j.scores), j.shift.Estimate, j.shift.Low, j.shift.High, nan)
		if r := j.spearman; r != nil {
			add("spearman_to_whole", group, r.Method, r.N, r.R, r.Low, r.High, r.P)
		}
		add("share_changed", group, "voxels of the networks' input that the arm changes, mean over patients", len(j.scores), j.filled, nan, nan, nan)
		add("patients_hardly_changed", group, "patients in whom the arm changes less than 1% of the voxels", len(j.scores), float64(j.hardly), nan, nan, nan)
	}
	for _, g := range v.gains {
		contrast(g)
	}
	if w := v.truth; w != nil {
		add("auc", "true hazard", "DeLong; p two-sided against 0.5", w.all.N, w.all.AUC, w.all.Low, w.all.High, w.all.P)
		add("auc", "true hazard without age and stage", "DeLong; p two-sided against 0.5", w.seen.N, w.seen.AUC, w.seen.Low, w.seen.High, w.seen.P)
		add("auc_difference", "true hazard without age, stage and halo less without age and stage", "paired DeLong; p two-sided", w.halo.N, w.halo.Difference, w.halo.Low, w.halo.High, w.halo.P)
	}
	return out
}
