package stats

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mathext"
)

// IntervalMethod names an interval for a proportion.
type IntervalMethod string

const (
	// Wilson is the score interval: coverage close to the level on average.
	Wilson IntervalMethod = "Wilson"
	// ClopperPearson is the exact interval: coverage never below the level, so wider.
	ClopperPearson IntervalMethod = "Clopper-Pearson"
)

// Proportion is a share of patients with its interval. Where Trials is 0 the estimate
// and the interval are NaN.
type Proportion struct {
	Estimate  float64 // Successes / Trials
	Low, High float64
	Successes int
	Trials    int
}

// ProportionCI gives a proportion with its interval. With z the normal quantile and p
// the estimate of k out of n, Wilson's ends are
//
//	(p + z^2/2n +- z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n),
//
// 0 at k = 0 and 1 at k = n exactly; Clopper and Pearson's are the quantiles
// (1-level)/2 of Beta(k, n-k+1) and (1+level)/2 of Beta(k+1, n-k).
//
// In R: prop.test(k, n, correct=FALSE), binom.test(k, n).
// In Python: statsmodels proportion_confint(k, n, method="wilson" or "beta").
//
// Errors: *InputError for no trial, successes outside 0..trials, an unknown method, a
// level outside 0..1.
//
// Wilson EB. JASA 1927;22:209-212. doi:10.1080/01621459.1927.10502953; Clopper CJ, Pearson
// ES. Biometrika 1934;26:404-413. doi:10.1093/biomet/26.4.404
func ProportionCI(successes, trials int, method IntervalMethod, level float64) (Proportion, error) {
	const function = "ProportionCI"
	if trials < 1 {
		return Proportion{}, &InputError{function, "trials", -1, fmt.Sprint(trials), "one or more", "leave the proportion out: nobody can be counted"}
	}
	if successes < 0 || successes > trials {
		return Proportion{}, &InputError{function, "successes", -1, fmt.Sprint(successes), fmt.Sprintf("0 to %d, the trials", trials), "check the counts"}
	}
	if err := checkProportionMethod(function, method, level); err != nil {
		return Proportion{}, err
	}
	return proportion(successes, trials, method, level), nil
}

func checkProportionMethod(function string, method IntervalMethod, level float64) error {
	if method != Wilson && method != ClopperPearson {
		return &InputError{function, "method", -1, fmt.Sprintf("%q", string(method)), "Wilson or ClopperPearson", "use one of the constants"}
	}
	return checkLevel(function, level)
}

func proportion(successes, trials int, method IntervalMethod, level float64) Proportion {
	nan := math.NaN()
	r := Proportion{Estimate: nan, Low: nan, High: nan, Successes: successes, Trials: trials}
	if trials == 0 {
		return r
	}
	k, n := float64(successes), float64(trials)
	p := k / n
	r.Estimate = p
	if method == ClopperPearson {
		r.Low, r.High = 0, 1
		if successes > 0 {
			r.Low = mathext.InvRegIncBeta(k, n-k+1, (1-level)/2)
		}
		if successes < trials {
			r.High = mathext.InvRegIncBeta(k+1, n-k, (1+level)/2)
		}
		return r
	}
	z := normalQuantile(level)
	middle, half := p+z*z/(2*n), z*math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	r.Low, r.High = (middle-half)/(1+z*z/n), (middle+half)/(1+z*z/n)
	if successes == 0 {
		r.Low = 0
	}
	if successes == trials {
		r.High = 1
	}
	return r
}

// CutResult says what a cut does to the patients it is applied to.
type CutResult struct {
	// How the threshold came about: "given", or the rule that chose it on these very
	// patients, which makes the proportions below too good.
	Choice    string
	Threshold float64 // a patient is called positive when score >= Threshold; +Inf calls nobody

	TruePositives, FalsePositives, TrueNegatives, FalseNegatives int

	Sensitivity Proportion // of the positives, those called positive
	Specificity Proportion // of the negatives, those called negative
	PPV         Proportion // of those called positive, the positives; NaN if nobody is called so
	NPV         Proportion // of those called negative, the negatives; NaN if nobody is called so
	Youden      float64    // Sensitivity + Specificity - 1
	Tied        int        // YoudenCut: other cuts that reach the same Youden
	Method      IntervalMethod
	Level       float64
}

// CutAt applies a threshold that was fixed beforehand, such as one from the tune
// cohort: score >= threshold is called positive (for score > t pass
// math.Nextafter(t, math.Inf(1))). PPV and NPV hold only where the outcome is as
// frequent as here.
//
// In R: pROC::coords(roc, threshold, ret=c("sensitivity", "specificity", "ppv", "npv")),
// whose rule is the same; intervals as in [ProportionCI], each by itself.
//
// Errors: *InputError as for [ROC], for a NaN threshold, an unknown method, a level
// outside 0..1.
//
// Altman DG, Bland JM. BMJ 1994;308:1552. doi:10.1136/bmj.308.6943.1552; BMJ 1994;309:102.
// doi:10.1136/bmj.309.6947.102
func CutAt(scores []float64, positive []bool, threshold float64, method IntervalMethod, level float64) (CutResult, error) {
	const function = "CutAt"
	if err := checkCut(function, scores, positive, method, level); err != nil {
		return CutResult{}, err
	}
	if math.IsNaN(threshold) {
		return CutResult{}, &InputError{function, "threshold", -1, "NaN", "a number", "take the threshold from the tune cohort"}
	}
	t := newTally(scores, positive)
	tp, fp := 0, 0
	for g := len(t.score) - 1; g >= 0 && t.score[g] >= threshold; g-- {
		tp += t.positives[g]
		fp += t.negatives[g]
	}
	return t.cut("given", threshold, tp, fp, method, level), nil
}

// YoudenCut chooses, among the scores of these patients and +Inf, the threshold with
// the highest Youden index, sensitivity + specificity - 1. Of equal ones it takes the
// highest threshold, the most specific, and Tied counts the others. A score that
// separates nothing may choose +Inf. The proportions are of the patients that chose
// the cut and too good; apply the cut to others with [CutAt].
//
// In R: pROC::coords(roc, "best", best.method="youden"), which puts the threshold
// halfway to the next lower score and lists ties.
//
// Errors: *InputError as for [CutAt].
//
// Youden WJ. Cancer 1950;3:32-35. doi:10.1002/1097-0142(1950)3:1<32::AID-CNCR2820030106>3.0.CO;2-3;
// the optimism: Leeflang MMG et al. Clinical Chemistry 2008;54:729-737. doi:10.1373/clinchem.2007.096032
func YoudenCut(scores []float64, positive []bool, method IntervalMethod, level float64) (CutResult, error) {
	if err := checkCut("YoudenCut", scores, positive, method, level); err != nil {
		return CutResult{}, err
	}
	t := newTally(scores, positive)
	// Youden times m times n is a whole number: equal is equal.
	best, bestTP, bestFP, threshold, tied := 0, 0, 0, math.Inf(1), 0
	tp, fp := 0, 0
	for g := len(t.score) - 1; g >= 0; g-- {
		tp += t.positives[g]
		fp += t.negatives[g]
		switch j := tp*t.n - fp*t.m; {
		case j > best:
			best, bestTP, bestFP, threshold, tied = j, tp, fp, t.score[g], 0
		case j == best:
			tied++
		}
	}
	r := t.cut("highest Youden index of these patients", threshold, bestTP, bestFP, method, level)
	r.Tied = tied
	return r, nil
}

// CutForSensitivity chooses the highest threshold, the most specific, whose sensitivity
// in these patients is at least `least`; it is at best just reached, so in other
// patients sensitivity will be below it about every second time. Further as
// [YoudenCut].
//
// In R: the last row of pROC::coords(roc, "all") whose sensitivity is at least that.
//
// Errors: *InputError as for [CutAt], and unless 0 < least <= 1.
//
// Robin X et al. BMC Bioinformatics 2011;12:77. doi:10.1186/1471-2105-12-77
func CutForSensitivity(scores []float64, positive []bool, least float64, method IntervalMethod, level float64) (CutResult, error) {
	const function = "CutForSensitivity"
	if err := checkLeast(function, scores, positive, least, method, level); err != nil {
		return CutResult{}, err
	}
	t := newTally(scores, positive)
	tp, fp, g := 0, 0, len(t.score)
	for float64(tp) < least*float64(t.m)-1e-9 {
		g--
		tp += t.positives[g]
		fp += t.negatives[g]
	}
	return t.cut(fmt.Sprintf("highest threshold with sensitivity >= %v in these patients", least), t.score[g], tp, fp, method, level), nil
}

// CutForSpecificity chooses the lowest threshold, the most sensitive, whose specificity
// in these patients is at least `least`; +Inf where no score is so specific. Further as
// [CutForSensitivity].
//
// In R: the first row of pROC::coords(roc, "all") whose specificity is at least that.
//
// Errors: *InputError as for [CutForSensitivity].
//
// Robin X et al. BMC Bioinformatics 2011;12:77. doi:10.1186/1471-2105-12-77
func CutForSpecificity(scores []float64, positive []bool, least float64, method IntervalMethod, level float64) (CutResult, error) {
	const function = "CutForSpecificity"
	if err := checkLeast(function, scores, positive, least, method, level); err != nil {
		return CutResult{}, err
	}
	t := newTally(scores, positive)
	tp, fp, threshold := 0, 0, math.Inf(1)
	for g := len(t.score) - 1; g >= 0 && float64(t.n-fp-t.negatives[g]) >= least*float64(t.n)-1e-9; g-- {
		tp += t.positives[g]
		fp += t.negatives[g]
		threshold = t.score[g]
	}
	return t.cut(fmt.Sprintf("lowest threshold with specificity >= %v in these patients", least), threshold, tp, fp, method, level), nil
}

func checkCut(function string, scores []float64, positive []bool, method IntervalMethod, level float64) error {
	if err := checkBinary(function, "scores", scores, positive, 1); err != nil {
		return err
	}
	return checkProportionMethod(function, method, level)
}

func checkLeast(function string, scores []float64, positive []bool, least float64, method IntervalMethod, level float64) error {
	if err := checkCut(function, scores, positive, method, level); err != nil {
		return err
	}
	if !(least > 0 && least <= 1) {
		return &InputError{function, "least", -1, fmt.Sprint(least), "more than 0 and at most 1", "use 0.9 for 90%"}
	}
	return nil
}

func (t tally) cut(choice string, threshold float64, tp, fp int, method IntervalMethod, level float64) CutResult {
	r := CutResult{Choice: choice, Threshold: threshold, Method: method, Level: level,
		TruePositives: tp, FalsePositives: fp, TrueNegatives: t.n - fp, FalseNegatives: t.m - tp}
	r.Sensitivity = proportion(tp, t.m, method, level)
	r.Specificity = proportion(t.n-fp, t.n, method, level)
	r.PPV = proportion(tp, tp+fp, method, level)
	r.NPV = proportion(t.n-fp, t.m+t.n-tp-fp, method, level)
	r.Youden = float64(tp*t.n-fp*t.m) / (float64(t.m) * float64(t.n))
	return r
}
