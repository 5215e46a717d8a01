package stats

import (
	"fmt"
	"math"
)

// BrierResult is a Brier score, lower being better, with its parts.
type BrierResult struct {
	Brier     float64 // mean squared distance of risk and outcome; 0 perfect
	SE        float64 // standard deviation of the squared distances / sqrt(N); NaN for one patient
	Low, High float64 // Brier +- z SE, cut to 0..1; NaN with SE
	Level     float64
	Scaled    float64 // 1 - Brier / Uncertainty: 0 for the prevalence as everybody's risk; NaN for one class

	// Brier = Reliability - Resolution + Uncertainty + WithinVariance - WithinCovariance.
	Reliability      float64 // mean squared distance of risk and share of positives in the group; 0 is best
	Resolution       float64 // spread of the groups' shares around the prevalence; more is better
	Uncertainty      float64 // prevalence (1 - prevalence): of the patients, not of the model
	WithinVariance   float64 // of the risks inside groups; 0 when each risk is a group
	WithinCovariance float64 // twice that of risk and outcome inside groups; 0 when each risk is a group
	Groups           int     // groups that hold a patient

	// Spiegelhalter's test that the risks are the patients' true ones; NaN where every
	// risk is 0, 1 or one half.
	SpiegelhalterZ float64 // above 0: worse than the risks themselves promise
	SpiegelhalterP float64 // two-sided
	N              int
	Positives      int
}

// Brier gives the Brier score, the mean of (risk - outcome)^2, and Murphy's
// decomposition. risk is the predicted probability of the outcome.
//
// With groups = 0 the patients who share one risk are a group, as in Murphy's paper:
// the decomposition is exact, but where hardly any risk occurs twice Reliability and
// Resolution only say that. With groups = 10 the groups are those of
// [CalibrationCurve], and the two terms inside groups of Stephenson et al. make up
// the sum.
//
// In Python: sklearn.metrics.brier_score_loss; in R: the Brier, S:z and S:p of
// rms::val.prob. The decomposition has no function there: testdata/calibration.R writes
// its definition out.
//
// Errors: *InputError for empty input, unequal lengths, risks outside 0..1, a
// negative number of groups, a level outside 0..1. A single patient and one class are
// allowed.
//
// Brier GW. Monthly Weather Review 1950;78:1-3. doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2;
// Murphy AH. Journal of Applied Meteorology 1973;12:595-600.
// doi:10.1175/1520-0450(1973)012<0595:ANVPOT>2.0.CO;2; Stephenson DB et al. Weather and
// Forecasting 2008;23:752-757. doi:10.1175/2007WAF2006116.1; Spiegelhalter DJ. Statistics
// in Medicine 1986;5:421-433. doi:10.1002/sim.4780050506
func Brier(risk []float64, positive []bool, groups int, level float64) (BrierResult, error) {
	const function = "Brier"
	if err := checkRisk(function, "risk", risk, positive, false); err != nil {
		return BrierResult{}, err
	}
	if groups < 0 {
		return BrierResult{}, &InputError{function, "groups", -1, fmt.Sprint(groups), "zero or more", "use 0 for a group per distinct risk, 10 for tenths"}
	}
	if err := checkLevel(function, level); err != nil {
		return BrierResult{}, err
	}
	n := float64(len(risk))
	r := BrierResult{Level: level, N: len(risk), Scaled: math.NaN(), SE: math.NaN(), Low: math.NaN(), High: math.NaN(),
		SpiegelhalterZ: math.NaN(), SpiegelhalterP: math.NaN()}
	distance := make([]float64, len(risk))
	above, spread := 0.0, 0.0
	for i, p := range risk {
		outcome := 0.0
		if positive[i] {
			outcome = 1
			r.Positives++
		}
		distance[i] = square(p - outcome)
		r.Brier += distance[i] / n
		above += (outcome - p) * (1 - 2*p)
		spread += square(1-2*p) * p * (1 - p)
	}
	prevalence := float64(r.Positives) / n
	r.Uncertainty = prevalence * (1 - prevalence)
	if r.Uncertainty > 0 {
		r.Scaled = 1 - r.Brier/r.Uncertainty
	}
	if len(risk) > 1 {
		r.SE = standardDeviation(distance) / math.Sqrt(n)
		r.Low, r.High = clippedInterval(r.Brier, r.SE, level)
	}
	if spread > 0 {
		r.SpiegelhalterZ = above / math.Sqrt(spread)
		r.SpiegelhalterP = twoSided(r.SpiegelhalterZ)
	}
	byGroup := riskGroups(risk, groups)
	r.Groups = len(byGroup)
	for _, members := range byGroup {
		mean, positives := groupMeans(risk, positive, members)
		size := float64(len(members))
		share := float64(positives) / size
		r.Reliability += size * square(mean-share) / n
		r.Resolution += size * square(share-prevalence) / n
		for _, i := range members {
			outcome := 0.0
			if positive[i] {
				outcome = 1
			}
			r.WithinVariance += square(risk[i]-mean) / n
			r.WithinCovariance += 2 * (risk[i] - mean) * (outcome - share) / n
		}
	}
	return r, nil
}

// riskGroups lists the patients of each group in ascending order of risk: groups of
// equal risk for 0, otherwise the quantile groups of CalibrationCurve without those
// that nobody is in.
func riskGroups(risk []float64, groups int) [][]int {
	order := ranked(risk)
	var out [][]int
	var members []int
	group := 1
	for i, o := range order {
		if i > 0 && order[i-1].value != o.value {
			next := false
			if groups == 0 {
				next = true
			} else {
				for group < groups && o.value > quantileEdge(order, group, groups) {
					group++
					next = true
				}
			}
			if next {
				out = append(out, members)
				members = nil
			}
		}
		members = append(members, o.index)
	}
	return append(out, members)
}

// quantileEdge is the k-th of the edges that divide the sorted values into groups of
// equal size: the quantile k/groups of type 7, exactly a value where it falls on one.
func quantileEdge(order []valueIndex, k, groups int) float64 {
	at := k * (len(order) - 1)
	i, part := at/groups, float64(at%groups)/float64(groups)
	if part == 0 {
		return order[i].value
	}
	return order[i].value + part*(order[i+1].value-order[i].value)
}

func groupMeans(risk []float64, positive []bool, members []int) (mean float64, positives int) {
	for _, i := range members {
		mean += risk[i]
		if positive[i] {
			positives++
		}
	}
	return mean / float64(len(members)), positives
}

// CalibrationGroups is a binned calibration curve: slices of one length, a group each,
// in ascending order of risk.
type CalibrationGroups struct {
	MeanRisk  []float64 // mean predicted risk
	Observed  []float64 // share of positives; equal to MeanRisk if calibrated
	Low, High []float64 // Wilson interval of Observed
	N         []int     // patients
	Positives []int
	LowRisk   []float64 // lowest and highest predicted risk in the group
	HighRisk  []float64
	Level     float64
}

// CalibrationCurve divides the patients at the quantiles of their risk into groups of
// about equal size and compares predicted with observed in each. Edges are the
// quantiles k/groups (R's type 7); a patient on an edge belongs to the lower group, so
// equal risks are never divided, and groups that ties leave empty are dropped. The
// interval is Wilson's (see [ProportionCI]). How the curve looks depends on the number
// of groups; [CalibrationResult.Line] has none.
//
// In Python: sklearn.calibration.calibration_curve(strategy="quantile").
//
// Errors: *InputError for empty input, unequal lengths, risks outside 0..1, fewer than
// one group, a level outside 0..1. One class is allowed.
//
// Van Calster B et al. Journal of Clinical Epidemiology 2016;74:167-176.
// doi:10.1016/j.jclinepi.2015.12.005; Wilson EB. JASA 1927;22:209-212.
// doi:10.1080/01621459.1927.10502953
func CalibrationCurve(risk []float64, positive []bool, groups int, level float64) (CalibrationGroups, error) {
	const function = "CalibrationCurve"
	if err := checkRisk(function, "risk", risk, positive, false); err != nil {
		return CalibrationGroups{}, err
	}
	if groups < 1 {
		return CalibrationGroups{}, &InputError{function, "groups", -1, fmt.Sprint(groups), "one or more", "use 10, or 5 for fewer than 200 patients"}
	}
	if err := checkLevel(function, level); err != nil {
		return CalibrationGroups{}, err
	}
	c := CalibrationGroups{Level: level}
	for _, members := range riskGroups(risk, groups) {
		mean, positives := groupMeans(risk, positive, members)
		share := proportion(positives, len(members), Wilson, level)
		c.MeanRisk = append(c.MeanRisk, mean)
		c.Observed = append(c.Observed, share.Estimate)
		c.Low, c.High = append(c.Low, share.Low), append(c.High, share.High)
		c.N, c.Positives = append(c.N, len(members)), append(c.Positives, positives)
		// members are in ascending order of risk.
		c.LowRisk = append(c.LowRisk, risk[members[0]])
		c.HighRisk = append(c.HighRisk, risk[members[len(members)-1]])
	}
	return c, nil
}
