package stats

import "math"

// placements are, for each distinct score, the share of negatives that a positive
// there beats and the share of positives that beat a negative there, ties one half.
func (t tally) placements() (positive, negative []float64, theta float64) {
	positive = make([]float64, len(t.score))
	negative = make([]float64, len(t.score))
	below, above := 0, t.m
	for g := range t.score {
		above -= t.positives[g]
		positive[g] = (float64(below) + float64(t.negatives[g])/2) / float64(t.n)
		negative[g] = (float64(above) + float64(t.positives[g])/2) / float64(t.m)
		below += t.negatives[g]
	}
	return positive, negative, auc(t.positives, t.negatives, t.m, t.n)
}

// DeLong gives the AUC with DeLong's variance,
//
//	Var = S10/m + S01/n,
//
// S10 and S01 being the sample variances of the placements of the m positives
// among the negatives and of the n negatives among the positives. The interval is
// AUC +- z SE, cut to 0..1; P is two-sided against 0.5. Ties count one half.
// Direction: higher score = positive. O(n log n).
//
// Scores that separate the classes without error have SE 0, Low = High = AUC and P
// NaN: the variance cannot be estimated from such data. Scores that are all equal
// have AUC 0.5, SE 0 and P NaN too.
//
// In R: pROC::ci.auc(roc, method="delong"), direction="<"; sqrt(pROC::var(roc)).
//
// Errors: *InputError as for [ROC], for fewer than two patients in a class, and for
// a level outside 0..1.
//
// DeLong ER et al. Biometrics 1988;44:837-845. doi:10.2307/2531595; computed as in
// Sun X, Xu W. IEEE Signal Processing Letters 2014;21:1389-1393. doi:10.1109/LSP.2014.2337313
func DeLong(scores []float64, positive []bool, level float64) (AUCResult, error) {
	if err := checkBinary("DeLong", "scores", scores, positive, 2); err != nil {
		return AUCResult{}, err
	}
	if err := checkLevel("DeLong", level); err != nil {
		return AUCResult{}, err
	}
	t := newTally(scores, positive)
	v10, v01, theta := t.placements()
	s10, s01 := 0.0, 0.0
	for g := range v10 {
		s10 += float64(t.positives[g]) * square(v10[g]-theta)
		s01 += float64(t.negatives[g]) * square(v01[g]-theta)
	}
	return newAUCResult("DeLong", theta, delongVariance(s10, s01, t), level, t), nil
}

func delongVariance(s10, s01 float64, t tally) float64 {
	m, n := float64(t.m), float64(t.n)
	return s10/((m-1)*m) + s01/((n-1)*n)
}

func square(x float64) float64 { return x * x }

// PairedAUCResult compares two scores of the same patients.
type PairedAUCResult struct {
	A, B       float64 // the two AUCs
	Difference float64 // A - B
	SE         float64 // standard error of the difference
	Low, High  float64 // confidence interval of the difference, not cut
	Level      float64
	Z          float64 // Difference / SE; 0 where both are 0, NaN where only SE is
	P          float64 // two-sided; 1 where both are 0, NaN where only SE is
	N          int
	Positives  int
}

// DeLongPaired compares the AUCs of scores a and b of the SAME patients, taking
// into account that they are correlated. Positive Difference: a separates better.
// The variance is DeLong's with the placements replaced by their differences; the
// test is two-sided and normal. Ties and direction as in [DeLong].
//
// In R: pROC::roc.test(rocA, rocB, method="delong", paired=TRUE).
//
// Errors: *InputError as for [DeLong].
//
// DeLong ER et al. Biometrics 1988;44:837-845. doi:10.2307/2531595
func DeLongPaired(a, b []float64, positive []bool, level float64) (PairedAUCResult, error) {
	if err := checkBinary("DeLongPaired", "a", a, positive, 2); err != nil {
		return PairedAUCResult{}, err
	}
	if len(b) != len(a) {
		return PairedAUCResult{}, wrongLength("DeLongPaired", "b", len(b), len(a))
	}
	if err := checkFinite("DeLongPaired", "b", b); err != nil {
		return PairedAUCResult{}, err
	}
	if err := checkLevel("DeLongPaired", level); err != nil {
		return PairedAUCResult{}, err
	}
	ta, tb := newTally(a, positive), newTally(b, positive)
	a10, a01, thetaA := ta.placements()
	b10, b01, thetaB := tb.placements()
	// Differences first: two scores with the same order then give exactly zero.
	s10, s01 := 0.0, 0.0
	for i, p := range positive {
		ga, gb := ta.place[i], tb.place[i]
		if p {
			s10 += square((a10[ga] - thetaA) - (b10[gb] - thetaB))
		} else {
			s01 += square((a01[ga] - thetaA) - (b01[gb] - thetaB))
		}
	}
	r := PairedAUCResult{
		A: thetaA, B: thetaB, Difference: thetaA - thetaB,
		SE: math.Sqrt(delongVariance(s10, s01, ta)), Level: level, N: len(a), Positives: ta.m,
	}
	half := normalQuantile(level) * r.SE
	r.Low, r.High = r.Difference-half, r.Difference+half
	r.Z, r.P = wald(r.Difference, r.SE)
	return r, nil
}

// wald is the two-sided normal test of estimate = 0. Without spread there is no
// evidence against zero when the estimate is zero, and no test at all otherwise.
func wald(estimate, se float64) (z, p float64) {
	switch {
	case se > 0:
		z = estimate / se
		return z, twoSided(z)
	case estimate == 0:
		return 0, 1
	default:
		return math.NaN(), math.NaN()
	}
}

// Noether gives the concordance of a score with a binary outcome and Noether's
// interval, as published for the study's AUCs.
//
// For each patient let c and d be the concordant and discordant patients of the
// other class; pairs tied in score are left out of both, so with ties AUC here
// differs from [AUC]. With N patients of both classes together
//
//	pc = sum c / (N(N-1)),  pcc = sum c(c-1) / (N(N-1)(N-2)),
//	pd, pdd likewise,       pcd = sum c d / (N(N-1)(N-2)),
//	C = pc/(pc+pd),  Var = 4/(pc+pd)^4 (pd^2 pcc - 2 pc pd pcd + pc^2 pdd) / N.
//
// The interval is C +- z SE, cut to 0..1. P is TWO-SIDED against 0.5: that is the
// form of the published p values (Maastro 1.25e-7, M-SPORE 3.02e-4). Some versions
// of survcomp print the one-sided tail on the side of the estimate, half of it.
// Where the formula gives no positive variance (scores that separate the classes
// without error, or very few patients) SE, Low, High and P are NaN; survcomp gives NA
// there. Direction: higher score = positive.
//
// In R: survcomp::concordance.index(scores, cl=positive, method="noether").
//
// Errors: *InputError as for [ROC], for fewer than three patients, for scores tied
// in every pair of the two classes, and for a level outside 0..1.
//
// Noether GE. Elements of Nonparametric Statistics. Wiley 1967; Pencina MJ, D'Agostino RB.
// Statistics in Medicine 2004;23:2109-2123. doi:10.1002/sim.1802; survcomp: Schröder MS
// et al. Bioinformatics 2011;27:3206-3208. doi:10.1093/bioinformatics/btr511
func Noether(scores []float64, positive []bool, level float64) (AUCResult, error) {
	if err := checkBinary("Noether", "scores", scores, positive, 1); err != nil {
		return AUCResult{}, err
	}
	if len(scores) < 3 {
		return AUCResult{}, &InputError{"Noether", "scores", -1, "2 long", "at least 3 patients", "choose a larger cohort"}
	}
	if err := checkLevel("Noether", level); err != nil {
		return AUCResult{}, err
	}
	t := newTally(scores, positive)
	var c1, d1, cc, dd, cd float64
	add := func(patients, concordant, discordant int) {
		k, c, d := float64(patients), float64(concordant), float64(discordant)
		c1 += k * c
		d1 += k * d
		cc += k * c * (c - 1)
		dd += k * d * (d - 1)
		cd += k * c * d
	}
	negBelow, posBelow := 0, 0
	for g := range t.score {
		p, n := t.positives[g], t.negatives[g]
		add(p, negBelow, t.n-negBelow-n)
		add(n, t.m-posBelow-p, posBelow)
		negBelow += n
		posBelow += p
	}
	if c1+d1 == 0 {
		return AUCResult{}, &InputError{"Noether", "scores", -1, "the same for every patient", "scores that differ between the classes",
			"check that the model's output is not constant"}
	}
	size := float64(len(scores))
	pairs := size * (size - 1)
	triples := pairs * (size - 2)
	pc, pd := c1/pairs, d1/pairs
	pcc, pdd, pcd := cc/triples, dd/triples, cd/triples
	variance := 4 / math.Pow(pc+pd, 4) * (pd*pd*pcc - 2*pc*pd*pcd + pc*pc*pdd) / size
	if !(variance > 0) {
		variance = math.NaN()
	}
	return newAUCResult("Noether", c1/(c1+d1), variance, level, t), nil
}
