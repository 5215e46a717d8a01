package stats

import (
	"fmt"
	"math"
	"slices"
)

// SchoenfeldResiduals are the covariates of each death less their weighted mean over
// the patients at risk then: one row per death, by stratum (ascending label), within
// it by time, within a time in the order of the patients.
type SchoenfeldResiduals struct {
	Patient []int       // index into the slices given to Cox
	Time    []float64   // days
	Stratum []int       // label; 0 when not stratified
	Value   [][]float64 // a row per death, a column per covariate, in its units
}

// Schoenfeld gives the residuals of the fit. At tied deaths Efron's mean of the means
// is taken, or Breslow's mean. Each column sums to zero.
//
// In R: residuals(fit, "schoenfeld"), whose rows tie in the order of the data too.
//
// Errors: *InputError for a result that [Cox] did not return.
//
// Schoenfeld D. Biometrika 1982;69:239-241. doi:10.1093/biomet/69.1.239
func (r CoxResult) Schoenfeld() (SchoenfeldResiduals, error) {
	if err := r.checkFitted("Schoenfeld"); err != nil {
		return SchoenfeldResiduals{}, err
	}
	out, _ := r.fitted.schoenfeld()
	for _, row := range out.Value {
		for j := range row {
			row[j] *= r.fitted.data.scale[j]
		}
	}
	return out, nil
}

func (r CoxResult) checkFitted(function string) error {
	if r.fitted != nil {
		return nil
	}
	return &InputError{function, "fit", -1, "not a fit", "a result that Cox returned in this program", "fit the model again"}
}

// schoenfeld gives the residuals in scaled units, and the tie of each.
func (f *coxFit) schoenfeld() (out SchoenfeldResiduals, ties []int) {
	c, s, p := f.data, f.state, f.data.columns
	flat := make([]float64, c.events*p)
	// Strata ascend in the data, times within them descend.
	for from := 0; from < len(c.ties); {
		to := from + 1
		for to < len(c.ties) && !c.ties[to].first {
			to++
		}
		for g := to - 1; g >= from; g-- {
			mean, times := make([]float64, p), 0.0
			for k := s.from[g]; k < s.from[g+1]; k++ {
				times += s.terms[k].times
				for j, v := range s.means[k*p : (k+1)*p] {
					mean[j] += s.terms[k].times * v
				}
			}
			for i := c.ties[g].start; i < c.ties[g].deathEnd; i++ {
				row := flat[len(ties)*p : (len(ties)+1)*p]
				for j := range row {
					row[j] = c.x[i*p+j] - mean[j]/times
				}
				out.Patient = append(out.Patient, c.index[i])
				out.Time = append(out.Time, c.time[i])
				out.Stratum = append(out.Stratum, c.labels[c.stratum[g]])
				out.Value = append(out.Value, row)
				ties = append(ties, g)
			}
		}
		from = to
	}
	return out, ties
}

// TimeTransform is the function of time against which coefficients may drift.
type TimeTransform string

// The transforms, as cox.zph names them.
const (
	KMTime       TimeTransform = "km"       // 1 - Kaplan-Meier of all patients just before the time; even for outliers in time
	IdentityTime TimeTransform = "identity" // days
	RankTime     TimeTransform = "rank"     // midrank among all times, censored ones included
	LogTime      TimeTransform = "log"      // natural logarithm of days
)

// ProportionalityResult tests whether hazards are proportional. The slices X, Time
// and Residual have one element per death, ordered as [SchoenfeldResiduals].
type ProportionalityResult struct {
	Transform TimeTransform
	Terms     []ChiSquareTest // one per covariate, 1 degree of freedom each
	Global    ChiSquareTest   // all together
	Time      []float64       // days
	X         []float64       // transformed time
	// Residual is the scaled Schoenfeld residual plus the coefficient: smoothed over X
	// it draws the coefficient as a function of time (rows: deaths; columns:
	// covariates). NaN where the covariate is constant in the death's stratum.
	Residual [][]float64
}

// ProportionalHazards tests, for each covariate and all together, whether the
// coefficient drifts with a transform g of time (survival's default and the study's is
// [KMTime]): the score test of adding x g(t) to the model, exact in the information at
// the fit (not the older approximation by correlations). A small p means that the
// hazards are not proportional; the sign of the drift is seen in Residual over X.
//
// In R: cox.zph(fit, transform, terms=FALSE) of survival 3.x.
//
// Errors: *InputError for a result that [Cox] did not return, an unknown transform, a
// death on day 0 with [LogTime], and where the test does not exist (all deaths at one
// time).
//
// Grambsch PM, Therneau TM. Biometrika 1994;81:515-526. doi:10.1093/biomet/81.3.515
func (r CoxResult) ProportionalHazards(transform TimeTransform) (ProportionalityResult, error) {
	const function = "ProportionalHazards"
	if err := r.checkFitted(function); err != nil {
		return ProportionalityResult{}, err
	}
	f := r.fitted
	c, p := f.data, f.data.columns
	g, err := c.transformed(transform)
	if err != nil {
		return ProportionalityResult{}, err
	}
	residuals, ties := f.schoenfeld()
	out := ProportionalityResult{Transform: transform, Time: residuals.Time}
	centre := 0.0
	for _, t := range ties {
		out.X = append(out.X, g[t])
		centre += g[t] / float64(len(ties))
	}
	slope := make([]float64, p) // the score: sum of (g - centre) times residual
	for k, t := range ties {
		for j, v := range residuals.Value[k] {
			slope[j] += (g[t] - centre) * v
		}
	}
	squared, spread := make([]float64, len(g)), 0.0
	for t := range g {
		g[t] -= centre
		squared[t] = g[t] * g[t]
	}
	for _, t := range ties {
		spread += squared[t]
	}
	noTest := &InputError{function, "time", -1, "the same for all deaths that tell anything", "deaths at two or more times", "wait for longer follow-up"}
	if !(spread > 0) {
		return ProportionalityResult{}, noTest
	}
	plain := mirrored(c.information(f.state, nil))
	cross := mirrored(c.information(f.state, g))
	drift := mirrored(c.information(f.state, squared))
	// The information about the drift that is left once the coefficients are known.
	left := newMatrix(p)
	for i := range p {
		for j := range p {
			left[i][j] = drift[i][j]
			for a := range p {
				for b := range p {
					left[i][j] -= cross[i][a] * f.model[a][b] * cross[b][j]
				}
			}
		}
	}
	for j := range p {
		if !(left[j][j] > 1e-10*drift[j][j]) {
			return ProportionalityResult{}, noTest
		}
		out.Terms = append(out.Terms, newChiSquareTest(square(slope[j])/left[j][j], 1))
	}
	if factorise(left) >= 0 {
		return ProportionalityResult{}, noTest
	}
	out.Global = newChiSquareTest(quadraticForm(left, slope), p)
	out.Residual = f.scaledSchoenfeld(residuals, plain)
	return out, nil
}

// transformed gives g of each tie's time.
func (c coxData) transformed(transform TimeTransform) ([]float64, error) {
	const function = "ProportionalHazards"
	value := map[float64]float64{}
	steps := instants(c.time, c.event)
	survival, before := 1.0, 0
	for _, s := range steps {
		n := s.deaths + s.censored
		switch transform {
		case KMTime:
			value[s.time] = 1 - survival
			survival *= float64(s.atRisk-s.deaths) / float64(s.atRisk)
		case IdentityTime:
			value[s.time] = s.time
		case RankTime:
			value[s.time] = float64(before) + float64(n+1)/2
		case LogTime:
			value[s.time] = math.Log(s.time)
			if s.time == 0 && s.deaths == 0 {
				value[s.time] = 0 // not used: nobody died
			}
		default:
			return nil, &InputError{function, "transform", -1, fmt.Sprintf("%q", string(transform)), "km, identity, rank or log", "use km"}
		}
		if math.IsInf(value[s.time], 0) {
			return nil, &InputError{function, "transform", -1, "log with a death on day 0", "km, identity or rank here", "use km"}
		}
		before += n
	}
	g := make([]float64, len(c.ties))
	for t, tie := range c.ties {
		g[t] = value[c.time[tie.start]]
	}
	return g, nil
}

// scaledSchoenfeld divides the residuals of each stratum by the mean variance of the
// covariates that vary in it, adds the coefficient and returns to the caller's units.
func (f *coxFit) scaledSchoenfeld(residuals SchoenfeldResiduals, information [][]float64) [][]float64 {
	c, p := f.data, f.data.columns
	varies := make([][]bool, len(c.labels))
	deaths := make([]float64, len(c.labels))
	for g, t := range c.ties {
		n := c.stratum[g]
		if t.first {
			varies[n] = make([]bool, p)
		}
		deaths[n] += float64(t.deathEnd - t.start)
		for i := t.start; i < t.end; i++ {
			for j := range p {
				varies[n][j] = varies[n][j] || c.x[i*p+j] != c.x[t.start*p+j]
			}
		}
		if !t.first {
			for j := range p {
				varies[n][j] = varies[n][j] || c.x[t.start*p+j] != c.x[c.ties[g-1].start*p+j]
			}
		}
	}
	// The mean variance: information per death of the strata in which both vary.
	mean := newMatrix(p)
	for i := range p {
		for j := range p {
			informative := 0.0
			for n, v := range varies {
				if v[i] && v[j] {
					informative += deaths[n]
				}
			}
			if informative > 0 {
				mean[i][j] = information[i][j] / informative
			}
		}
	}
	factors := make([][][]float64, len(c.labels))
	out := make([][]float64, len(residuals.Value))
	for k, row := range residuals.Value {
		n, _ := slices.BinarySearch(c.labels, residuals.Stratum[k])
		var used []int
		for j := range p {
			if varies[n][j] {
				used = append(used, j)
			}
		}
		out[k] = make([]float64, p)
		for j := range p {
			out[k][j] = math.NaN()
		}
		if factors[n] == nil {
			m := newMatrix(len(used))
			for a, i := range used {
				for b, j := range used {
					m[a][b] = mean[i][j]
				}
			}
			factorise(m) // of full rank: it is part of the information of a fit
			factors[n] = m
		}
		for a, v := range solve(factors[n], pick(row, used)) {
			j := used[a]
			out[k][j] = (v + f.beta[j]) / c.scale[j]
		}
	}
	return out
}
