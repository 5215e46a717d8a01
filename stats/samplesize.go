package stats

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// HanleyMcNeilSE is the standard error expected of an AUC with so many patients of
// either class, for planning; for data there is [DeLong]. With Q1 = A/(2-A) and
// Q2 = 2A^2/(1+A),
//
//	SE^2 = (A(1-A) + (m-1)(Q1-A^2) + (n-1)(Q2-A^2)) / (m n).
//
// It holds exactly for exponential scores and closely for normal ones.
//
// In R: the formula itself; no function of pROC gives it.
//
// Errors: *InputError unless 0 < auc < 1 and there is a patient of either class.
//
// Hanley JA, McNeil BJ. Radiology 1982;143:29-36. doi:10.1148/radiology.143.1.7063747
func HanleyMcNeilSE(auc float64, positives, negatives int) (float64, error) {
	const function = "HanleyMcNeilSE"
	if err := checkExpectedAUC(function, "auc", auc); err != nil {
		return 0, err
	}
	if err := checkClassSizes(function, positives, negatives); err != nil {
		return 0, err
	}
	return hanleyMcNeilSE(auc, float64(positives), float64(negatives)), nil
}

func hanleyMcNeilSE(auc, m, n float64) float64 {
	q1, q2 := hanleyMcNeilMoments(auc)
	return math.Sqrt((auc*(1-auc) + (m-1)*(q1-auc*auc) + (n-1)*(q2-auc*auc)) / (m * n))
}

func hanleyMcNeilMoments(auc float64) (q1, q2 float64) {
	return auc / (2 - auc), 2 * auc * auc / (1 + auc)
}

func checkExpectedAUC(function, argument string, auc float64) error {
	if auc > 0 && auc < 1 {
		return nil
	}
	return &InputError{function, argument, -1, fmt.Sprint(auc), "an AUC between 0 and 1, both excluded", "use the AUC that you expect, such as 0.7"}
}

func checkClassSizes(function string, positives, negatives int) error {
	if positives < 1 {
		return &InputError{function, "positives", -1, fmt.Sprint(positives), "one or more", "plan for at least one patient of each class"}
	}
	if negatives < 1 {
		return &InputError{function, "negatives", -1, fmt.Sprint(negatives), "one or more", "plan for at least one patient of each class"}
	}
	return nil
}

func checkRatio(function string, ratio float64) error {
	if ratio > 0 && !math.IsInf(ratio, 1) {
		return nil
	}
	return &InputError{function, "ratio", -1, fmt.Sprint(ratio), "negatives per positive, more than 0", "use (1 - prevalence) / prevalence"}
}

// checkAlpha also gives its two-sided normal quantile.
func checkAlpha(function string, alpha float64) (z float64, err error) {
	if !(alpha > 0 && alpha < 1) {
		return 0, &InputError{function, "alpha", -1, fmt.Sprint(alpha), "a number between 0 and 1, both excluded", "use 0.05"}
	}
	return distuv.UnitNormal.Quantile(1 - alpha/2), nil
}

// checkDesign also gives the normal quantiles of either risk of error.
func checkDesign(function string, alpha, power float64) (zAlpha, zBeta float64, err error) {
	zAlpha, err = checkAlpha(function, alpha)
	if err != nil {
		return 0, 0, err
	}
	// Below alpha/2 chance alone does better.
	if !(power > alpha/2 && power < 1) {
		return 0, 0, &InputError{function, "power", -1, fmt.Sprint(power), "more than half of alpha and less than 1", "use 0.8 or 0.9"}
	}
	return zAlpha, distuv.UnitNormal.Quantile(power), nil
}

// SampleSize is how many patients of either class a study needs.
type SampleSize struct {
	Positives, Negatives           int     // rounded up
	ExactPositives, ExactNegatives float64 // as the formula gives them
}

func newSampleSize(positives, ratio float64) SampleSize {
	return SampleSize{
		// The slack keeps 100.00000000001, which is rounding, at 100.
		Positives: int(math.Ceil(positives - 1e-9)), Negatives: int(math.Ceil(positives*ratio - 1e-9)),
		ExactPositives: positives, ExactNegatives: positives * ratio,
	}
}

// AUCSampleSize is the number of patients with which a TWO-SIDED test of AUC = 0.5 at
// alpha finds an AUC of auc with the given power; twice alpha gives the one-sided
// test. ratio is negatives per positive (pROC's kappa). With
// A = 1.414 normal quantile of auc,
//
//	V0 = 0.0792 (1 + 1/ratio),
//	VA = 0.0099 exp(-A^2/2) (5A^2 + 8 + (A^2 + 8)/ratio),
//	positives = (z_alpha sqrt(V0) + z_beta sqrt(VA))^2 / (auc - 0.5)^2.
//
// The rounded constants are those of the paper and of pROC.
//
// In R: pROC::power.roc.test(auc=auc, sig.level=alpha, power=power, kappa=ratio).
//
// Errors: *InputError unless 0 < auc < 1, auc is not 0.5, ratio > 0, 0 < alpha < 1 and
// alpha/2 < power < 1.
//
// Obuchowski NA, Lieber ML, Wians FH. Clinical Chemistry 2004;50:1118-1125.
// doi:10.1373/clinchem.2004.031823
func AUCSampleSize(auc, ratio, alpha, power float64) (SampleSize, error) {
	const function = "AUCSampleSize"
	if err := checkNotChance(function, auc); err != nil {
		return SampleSize{}, err
	}
	if err := checkRatio(function, ratio); err != nil {
		return SampleSize{}, err
	}
	zAlpha, zBeta, err := checkDesign(function, alpha, power)
	if err != nil {
		return SampleSize{}, err
	}
	v0, va := obuchowskiVariances(auc, ratio)
	return newSampleSize(designPositives(zAlpha, zBeta, v0, va, auc-0.5), ratio), nil
}

// AUCPower is the power of the test of [AUCSampleSize] with so many patients.
//
// In R: pROC::power.roc.test(auc=auc, ncases=positives, ncontrols=negatives,
// sig.level=alpha).
//
// Errors: *InputError as for [AUCSampleSize], and for a class without patients.
//
// Obuchowski NA, Lieber ML, Wians FH. Clinical Chemistry 2004;50:1118-1125.
// doi:10.1373/clinchem.2004.031823
func AUCPower(auc float64, positives, negatives int, alpha float64) (float64, error) {
	const function = "AUCPower"
	if err := checkNotChance(function, auc); err != nil {
		return 0, err
	}
	if err := checkClassSizes(function, positives, negatives); err != nil {
		return 0, err
	}
	zAlpha, err := checkAlpha(function, alpha)
	if err != nil {
		return 0, err
	}
	v0, va := obuchowskiVariances(auc, float64(negatives)/float64(positives))
	return designPower(float64(positives), zAlpha, v0, va, auc-0.5), nil
}

func checkNotChance(function string, auc float64) error {
	if err := checkExpectedAUC(function, "auc", auc); err != nil {
		return err
	}
	if auc == 0.5 {
		return &InputError{function, "auc", -1, "0.5", "an AUC other than 0.5", "use the AUC that you expect, such as 0.7"}
	}
	return nil
}

// obuchowskiVariances are the variances of an AUC times the number of positives, if it
// is 0.5 and if it is auc.
func obuchowskiVariances(auc, ratio float64) (chance, expected float64) {
	a := distuv.UnitNormal.Quantile(auc) * 1.414
	return 0.0792 * (1 + 1/ratio), 0.0099 * math.Exp(-a*a/2) * ((5*a*a + 8) + (a*a+8)/ratio)
}

func designPositives(zAlpha, zBeta, v0, va, delta float64) float64 {
	return square(zAlpha*math.Sqrt(v0)+zBeta*math.Sqrt(va)) / square(delta)
}

func designPower(positives, zAlpha, v0, va, delta float64) float64 {
	return distuv.UnitNormal.CDF((math.Abs(delta)*math.Sqrt(positives) - zAlpha*math.Sqrt(v0)) / math.Sqrt(va))
}

// AUCPrecisionSampleSize is the smallest number of positives, with ratio negatives for
// each, for which the normal interval AUC +- z [HanleyMcNeilSE] reaches no farther than
// halfWidth either side: planning for a width instead of a test. ExactPositives is that
// whole number.
//
// In R: the formula itself; no function of pROC gives it.
//
// Errors: *InputError unless 0 < auc < 1, ratio > 0, 0 < halfWidth < 1; for a level
// outside 0..1 and when more than a thousand million positives would be needed.
//
// Hanley JA, McNeil BJ. Radiology 1982;143:29-36. doi:10.1148/radiology.143.1.7063747
func AUCPrecisionSampleSize(auc, ratio, halfWidth, level float64) (SampleSize, error) {
	const function, most = "AUCPrecisionSampleSize", 1_000_000_000
	if err := checkExpectedAUC(function, "auc", auc); err != nil {
		return SampleSize{}, err
	}
	if err := checkRatio(function, ratio); err != nil {
		return SampleSize{}, err
	}
	if !(halfWidth > 0 && halfWidth < 1) {
		return SampleSize{}, &InputError{function, "halfWidth", -1, fmt.Sprint(halfWidth), "a number between 0 and 1, both excluded", "use 0.05 for an AUC known to within 0.05"}
	}
	if err := checkLevel(function, level); err != nil {
		return SampleSize{}, err
	}
	z := normalQuantile(level)
	enough := func(m int) bool {
		return z*hanleyMcNeilSE(auc, float64(m), math.Ceil(ratio*float64(m)-1e-9)) <= halfWidth
	}
	if !enough(most) {
		return SampleSize{}, &InputError{function, "halfWidth", -1, fmt.Sprint(halfWidth), "a width that fewer than 1e9 positives reach", "accept a wider interval"}
	}
	low, high := 0, most // high is enough, low is not: more patients never widen the interval
	for low+1 < high {
		if middle := (low + high) / 2; enough(middle) {
			high = middle
		} else {
			low = middle
		}
	}
	return newSampleSize(float64(high), ratio), nil
}

// UnpairedAUCSampleSize is the number of patients in EACH of two different cohorts, as
// many positives as negatives in each, with which a two-sided test at alpha finds the
// difference between the AUCs a and b with the given power; twice alpha gives the
// one-sided test, for which the paper's table is made. With V = Q1 + Q2 - 2A^2 of
// [HanleyMcNeilSE] for either,
//
//	n = (z_alpha sqrt(2 VA) + z_beta sqrt(VA + VB))^2 / (a - b)^2,
//
// a being the AUC that both would have without a difference.
//
// In R: the formula itself; pROC plans for paired scores only.
//
// Errors: *InputError unless both AUCs are within 0..1 and differ, 0 < alpha < 1 and
// alpha/2 < power < 1.
//
// Hanley JA, McNeil BJ. Radiology 1982;143:29-36. doi:10.1148/radiology.143.1.7063747
func UnpairedAUCSampleSize(a, b, alpha, power float64) (SampleSize, error) {
	const function = "UnpairedAUCSampleSize"
	if err := checkTwoAUCs(function, a, b); err != nil {
		return SampleSize{}, err
	}
	zAlpha, zBeta, err := checkDesign(function, alpha, power)
	if err != nil {
		return SampleSize{}, err
	}
	variance := func(auc float64) float64 {
		q1, q2 := hanleyMcNeilMoments(auc)
		return q1 + q2 - 2*auc*auc
	}
	return newSampleSize(designPositives(zAlpha, zBeta, 2*variance(a), variance(a)+variance(b), a-b), 1), nil
}

func checkTwoAUCs(function string, a, b float64) error {
	if err := checkExpectedAUC(function, "a", a); err != nil {
		return err
	}
	if err := checkExpectedAUC(function, "b", b); err != nil {
		return err
	}
	if a == b {
		return &InputError{function, "b", -1, fmt.Sprint(b), "an AUC other than a", "plan for the smallest difference that matters"}
	}
	return nil
}

// PairedAUCDesign describes two scores of the same patients under the binormal model:
// each score is normal in either class.
type PairedAUCDesign struct {
	A, B float64 // the AUCs expected of the two scores
	// Standard deviation in the negatives / in the positives, of either score; 0 stands
	// for 1.
	SpreadA, SpreadB float64
	// Correlation of the two scores in either class: the higher, the fewer patients.
	PositiveCorrelation, NegativeCorrelation float64
}

// variances are those of A - B times the number of positives, if both AUCs were A and
// as they are.
func (d PairedAUCDesign) variances(ratio float64) (same, different float64) {
	part := func(auc, spread float64) (a, b, f, g float64) {
		b = spread
		if b == 0 {
			b = 1
		}
		s := 1 + b*b
		a = distuv.UnitNormal.Quantile(auc) * math.Sqrt(s)
		f = math.Exp(-a*a/(2*s)) / math.Sqrt(2*math.Pi*s)
		return a, b, f, -f * a * b / s
	}
	a1, b1, f1, g1 := part(d.A, d.SpreadA)
	a2, b2, f2, g2 := part(d.B, d.SpreadB)
	variance := func(a, b, f, g float64) float64 {
		return f*f*(1+b*b/ratio+a*a/2) + g*g*b*b*(1+ratio)/(2*ratio)
	}
	rp, rn := d.PositiveCorrelation, d.NegativeCorrelation
	covariance := f1*f2*(rp+rn*b1*b2/ratio+rp*rp*a1*a2/2) +
		g1*g2*b1*b2*(rn*rn+ratio*rp*rp)/(2*ratio) +
		f1*g2*rp*rp*a1*b2/2 + f2*g1*rp*rp*a2*b1/2
	v1, v2 := variance(a1, b1, f1, g1), variance(a2, b2, f2, g2)
	return 2*v1 - 2*covariance, v1 + v2 - 2*covariance
}

func (d PairedAUCDesign) check(function string) error {
	if err := checkTwoAUCs(function, d.A, d.B); err != nil {
		return err
	}
	for _, f := range []struct {
		name  string
		value float64
	}{{"SpreadA", d.SpreadA}, {"SpreadB", d.SpreadB}} {
		if !(f.value >= 0) || math.IsInf(f.value, 1) {
			return &InputError{function, f.name, -1, fmt.Sprint(f.value), "a ratio of standard deviations, 0 for 1", "leave it out if you do not know it"}
		}
	}
	for _, f := range []struct {
		name  string
		value float64
	}{{"PositiveCorrelation", d.PositiveCorrelation}, {"NegativeCorrelation", d.NegativeCorrelation}} {
		if !(f.value > -1 && f.value < 1) {
			return &InputError{function, f.name, -1, fmt.Sprint(f.value), "a correlation between -1 and 1, both excluded", "take it from a pilot, or use 0, which asks for the most patients"}
		}
	}
	return nil
}

// PairedAUCSampleSize is the number of patients, each with both scores, with which a
// TWO-SIDED test at alpha finds the difference between two AUCs with the given power;
// twice alpha gives the one-sided test. ratio is negatives per positive. The variances
// are the binormal ones of Obuchowski and McClish, whose null is both AUCs being A.
//
// In R: pROC::power.roc.test(list(A1=, B1=, A2=, B2=, rn=, ra=, delta=), power=, kappa=),
// with A = normal quantile of AUC times sqrt(1 + B^2), B the spread, delta = A - B here.
//
// Errors: *InputError for AUCs outside 0..1 or equal, unusable spreads or
// correlations, ratio, alpha or power as for [AUCSampleSize].
//
// Obuchowski NA, McClish DK. Statistics in Medicine 1997;16:1529-1542.
// doi:10.1002/(SICI)1097-0258(19970715)16:13<1529::AID-SIM565>3.0.CO;2-H
func PairedAUCSampleSize(design PairedAUCDesign, ratio, alpha, power float64) (SampleSize, error) {
	const function = "PairedAUCSampleSize"
	if err := design.check(function); err != nil {
		return SampleSize{}, err
	}
	if err := checkRatio(function, ratio); err != nil {
		return SampleSize{}, err
	}
	zAlpha, zBeta, err := checkDesign(function, alpha, power)
	if err != nil {
		return SampleSize{}, err
	}
	v0, va := design.variances(ratio)
	return newSampleSize(designPositives(zAlpha, zBeta, v0, va, design.A-design.B), ratio), nil
}

// PairedAUCPower is the power of the test of [PairedAUCSampleSize] with so many patients.
//
// In R: pROC::power.roc.test(list(...), ncases=positives, ncontrols=negatives,
// sig.level=alpha).
//
// Errors: *InputError as for [PairedAUCSampleSize], and for a class without patients.
//
// Obuchowski NA, McClish DK. Statistics in Medicine 1997;16:1529-1542.
// doi:10.1002/(SICI)1097-0258(19970715)16:13<1529::AID-SIM565>3.0.CO;2-H
func PairedAUCPower(design PairedAUCDesign, positives, negatives int, alpha float64) (float64, error) {
	const function = "PairedAUCPower"
	if err := design.check(function); err != nil {
		return 0, err
	}
	if err := checkClassSizes(function, positives, negatives); err != nil {
		return 0, err
	}
	zAlpha, err := checkAlpha(function, alpha)
	if err != nil {
		return 0, err
	}
	v0, va := design.variances(float64(negatives) / float64(positives))
	return designPower(float64(positives), zAlpha, v0, va, design.A-design.B), nil
}
