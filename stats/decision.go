package stats

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
)

// DecisionCurveResult is a decision curve: slices of one length, a threshold each.
type DecisionCurveResult struct {
	Threshold  []float64 // risk from which one would treat; rising
	NetBenefit []float64 // of treating by the risk, in true positives per patient
	Low, High  []float64 // percentile interval of NetBenefit
	TreatAll   []float64 // of treating everybody; treating nobody has 0
	// NetBenefit less the better of treating everybody and nobody: only above 0 is the
	// risk worth having.
	Gain              []float64
	GainLow, GainHigh []float64 // percentile interval, both sides from the same resample
	Prevalence        float64
	Level             float64
	Resamples         int
	Seed              uint64
	N                 int
	Positives         int
}

// DecisionCurve gives the net benefit of treating the patients whose risk is at least
// the threshold t,
//
//	NB(t) = TP/N - FP/N t/(1-t),
//
// t/(1-t) being how many needless treatments one death prevented is worth. risk is a
// predicted probability and must be calibrated: the threshold has no other meaning. It
// may be 0 or 1. Thresholds are from 0 to below 1; nil means 0.01, 0.02, ..., 0.99.
// Net benefit depends on the prevalence, so the patients must be a cohort, not a
// case-control sample; the bootstrap therefore draws patients regardless of class.
// Intervals are percentiles (R's type 7) at ONE threshold, not of the whole curve. The
// same seed gives the same answer on any number of processors and for any order of the
// rows.
//
// In R: dcurves::dca; in Python: dcurves.dca; the interval up to the random draws.
//
// Errors: *InputError for empty input, unequal lengths, risks outside 0..1, one class
// only, thresholds outside 0 to below 1 or not rising, fewer than 2 resamples, a
// level outside 0..1.
//
// Vickers AJ, Elkin EB. Medical Decision Making 2006;26:565-574.
// doi:10.1177/0272989X06295361; Vickers AJ et al. BMC Medical Informatics and Decision
// Making 2008;8:53. doi:10.1186/1472-6947-8-53
func DecisionCurve(risk []float64, positive []bool, thresholds []float64, resamples int, seed uint64, level float64) (DecisionCurveResult, error) {
	return decisionCurve(risk, positive, thresholds, resamples, seed, level, runtime.GOMAXPROCS(0))
}

func decisionCurve(risk []float64, positive []bool, thresholds []float64, resamples int, seed uint64, level float64, workers int) (DecisionCurveResult, error) {
	const function = "DecisionCurve"
	if err := checkRisk(function, "risk", risk, positive, false); err != nil {
		return DecisionCurveResult{}, err
	}
	if err := checkBinary(function, "risk", risk, positive, 1); err != nil {
		return DecisionCurveResult{}, err
	}
	if err := checkResamples(function, resamples); err != nil {
		return DecisionCurveResult{}, err
	}
	if err := checkLevel(function, level); err != nil {
		return DecisionCurveResult{}, err
	}
	grid := slices.Clone(thresholds)
	if thresholds == nil {
		for i := 1; i < 100; i++ {
			grid = append(grid, float64(i)/100)
		}
	}
	for i, t := range grid {
		if !(t >= 0 && t < 1) || i > 0 && t <= grid[i-1] {
			return DecisionCurveResult{}, &InputError{function, "thresholds", i, fmt.Sprint(t), "risks from 0 to below 1 in rising order", "pass nil for 0.01, 0.02, ..., 0.99"}
		}
	}
	t := newTally(risk, positive)
	patients := make([]decisionPatient, len(risk))
	for i := range risk {
		// A patient is treated at the thresholds before the first one above the risk.
		treated, _ := slices.BinarySearchFunc(grid, risk[i], func(t, risk float64) int {
			if t <= risk {
				return -1
			}
			return 1
		})
		patients[i] = decisionPatient{treated, positive[i], t.place[i]}
	}
	slices.SortFunc(patients, func(a, b decisionPatient) int {
		return cmp.Or(cmp.Compare(a.place, b.place), compareBool(a.positive, b.positive))
	})
	k := len(grid)
	c := DecisionCurveResult{Threshold: grid, NetBenefit: make([]float64, k), Low: make([]float64, k), High: make([]float64, k),
		TreatAll: make([]float64, k), Gain: make([]float64, k), GainLow: make([]float64, k), GainHigh: make([]float64, k),
		Prevalence: float64(t.m) / float64(len(risk)), Level: level, Resamples: resamples, Seed: seed, N: len(risk), Positives: t.m}
	// positives[g] are the positives treated at exactly the first g thresholds.
	positives, negatives := make([]int, k+1), make([]int, k+1)
	for _, p := range patients {
		p.count(positives, negatives)
	}
	netBenefits(positives, negatives, grid, c.NetBenefit, c.TreatAll)
	for i := range grid {
		c.Gain[i] = c.NetBenefit[i] - max(0, c.TreatAll[i])
	}
	rows, gains := make([][]float64, k), make([][]float64, k)
	for i := range grid {
		rows[i], gains[i] = make([]float64, resamples), make([]float64, resamples)
	}
	forEachResample(resamples, workers, func() func(int) {
		positives, negatives := make([]int, k+1), make([]int, k+1)
		model, all := make([]float64, k), make([]float64, k)
		return func(b int) {
			clear(positives)
			clear(negatives)
			random := rand.New(rand.NewPCG(seed, uint64(b)))
			for range patients {
				patients[random.IntN(len(patients))].count(positives, negatives)
			}
			netBenefits(positives, negatives, grid, model, all)
			for i := range grid {
				rows[i][b], gains[i][b] = model[i], model[i]-max(0, all[i])
			}
		}
	})
	for i := range grid {
		slices.Sort(rows[i])
		slices.Sort(gains[i])
		c.Low[i], c.High[i] = quantile(rows[i], (1-level)/2), quantile(rows[i], (1+level)/2)
		c.GainLow[i], c.GainHigh[i] = quantile(gains[i], (1-level)/2), quantile(gains[i], (1+level)/2)
	}
	return c, nil
}

// decisionPatient is treated at the first `treated` thresholds of the grid.
type decisionPatient struct {
	treated  int
	positive bool
	place    int // place of the risk among the distinct ones
}

func (p decisionPatient) count(positives, negatives []int) {
	if p.positive {
		positives[p.treated]++
	} else {
		negatives[p.treated]++
	}
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	default:
		return 1
	}
}

// netBenefits fills model and all from the patients counted by how many thresholds
// they are treated at.
func netBenefits(positives, negatives []int, grid, model, all []float64) {
	m, n := 0, 0
	for g := range positives {
		m += positives[g]
		n += negatives[g]
	}
	size := float64(m + n)
	tp, fp := m, n
	for i, t := range grid {
		tp -= positives[i]
		fp -= negatives[i]
		odds := t / (1 - t)
		model[i] = float64(tp)/size - float64(fp)/size*odds
		all[i] = float64(m)/size - float64(n)/size*odds
	}
}
