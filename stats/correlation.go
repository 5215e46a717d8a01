package stats

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// CorrelationResult is a correlation coefficient with its test and interval.
type CorrelationResult struct {
	Method    string  // "Pearson", "Spearman" or "Kendall tau-b"
	R         float64 // -1..1
	Low, High float64 // confidence interval; NaN for too few patients
	Level     float64
	Statistic float64 // t, S = sum of squared rank differences, or Kendall's S = concordant - discordant pairs
	P         float64 // two-sided test of no association
	Exact     bool    // P counts permutations; otherwise it is approximate
	N         int
}

// Pearson gives the linear correlation of x and y, the t test of 0 with n-2 degrees of
// freedom (NaN for two patients) and Fisher's interval, tanh(atanh r +- z/sqrt(n-3)),
// for four patients or more. Points on a line have R = Low = High = +-1 and P 0, up
// to the rounding of their sums.
//
// In R: cor.test(x, y).
//
// Errors: *InputError for fewer than two patients, unequal lengths, NaN or infinities,
// a variable that is the same for everybody, a level outside 0..1.
//
// Fisher RA. Metron 1921;1:3-32.
func Pearson(x, y []float64, level float64) (CorrelationResult, error) {
	m, err := newPairMoments("Pearson", "x", x, "y", y, 2)
	if err != nil {
		return CorrelationResult{}, err
	}
	if err := checkLevel("Pearson", level); err != nil {
		return CorrelationResult{}, err
	}
	n := float64(len(x))
	r := CorrelationResult{Method: "Pearson", R: m.correlation(), Level: level, N: len(x)}
	r.Statistic, r.P = correlationT(r.R, n)
	r.Low, r.High = fisherInterval(r.R, 1/(n-3), level)
	return r, nil
}

// correlationT is t = r sqrt((n-2)/(1-r^2)) and its two-sided p value.
func correlationT(r, n float64) (t, p float64) {
	if n < 3 {
		return math.NaN(), math.NaN()
	}
	t = r * math.Sqrt((n-2)/((1-r)*(1+r)))
	return t, studentTwoSided(t, n-2)
}

// fisherInterval is the interval on the scale of atanh with the given variance there;
// NaN where the variance is not positive.
func fisherInterval(r, variance, level float64) (low, high float64) {
	if !(variance > 0) || math.IsInf(variance, 0) {
		return math.NaN(), math.NaN()
	}
	half := normalQuantile(level) * math.Sqrt(variance)
	return math.Tanh(math.Atanh(r) - half), math.Tanh(math.Atanh(r) + half)
}

// Spearman gives the rank correlation: Pearson's of the midranks, so tied values share
// the mean of their ranks and the coefficient depends only on the order of x and of y.
//
// P: up to nine patients without ties it counts all orders of the ranks (Exact);
// otherwise it is the t test of [Pearson] on the ranks. The interval is Bonett and
// Wright's, tanh(atanh r +- z sqrt((1+r^2/2)/(n-3))), for four patients or more.
//
// In R: cor.test(x, y, method="spearman", exact=FALSE) (without a choice R takes an
// Edgeworth series from ten patients on); up to nine patients exact=TRUE.
//
// Errors: *InputError as for [Pearson].
//
// Spearman C. American Journal of Psychology 1904;15:72-101. doi:10.2307/1412159; Bonett
// DG, Wright TA. Psychometrika 2000;65:23-28. doi:10.1007/BF02294183
func Spearman(x, y []float64, level float64) (CorrelationResult, error) {
	if err := checkTwoVariables("Spearman", "x", x, "y", y, 2); err != nil {
		return CorrelationResult{}, err
	}
	if err := checkLevel("Spearman", level); err != nil {
		return CorrelationResult{}, err
	}
	rx, tx := midranks(x)
	ry, ty := midranks(y)
	m, err := newPairMoments("Spearman", "x", rx, "y", ry, 2)
	if err != nil {
		return CorrelationResult{}, err
	}
	n := float64(len(x))
	r := CorrelationResult{Method: "Spearman", R: m.correlation(), Level: level, N: len(x)}
	for i := range rx {
		r.Statistic += square(rx[i] - ry[i])
	}
	if len(x) < 10 && len(tx) == 0 && len(ty) == 0 {
		r.P, r.Exact = spearmanExact(len(x), int(r.Statistic)), true
	} else {
		_, r.P = correlationT(r.R, n)
	}
	r.Low, r.High = fisherInterval(r.R, (1+r.R*r.R/2)/(n-3), level)
	return r, nil
}

// spearmanExact is twice the smaller tail of the sum of squared rank differences over
// all orders of n ranks.
func spearmanExact(n, s int) float64 {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	var all, below, above int
	var place func(k, sum int)
	place = func(k, sum int) {
		if k == n {
			all++
			if sum <= s {
				below++
			}
			if sum >= s {
				above++
			}
			return
		}
		for i := k; i < n; i++ {
			order[k], order[i] = order[i], order[k]
			d := order[k] - k
			place(k+1, sum+d*d)
			order[k], order[i] = order[i], order[k]
		}
	}
	place(0, 0)
	return math.Min(1, 2*float64(min(below, above))/float64(all))
}

// Kendall gives Kendall's tau-b: concordant less discordant pairs of patients over the
// root of the pairs not tied in x times the pairs not tied in y. O(n log n).
//
// P: below 50 patients without ties it counts all orders (Exact); otherwise it is
// normal with the variance for ties, without continuity correction. The interval is
// that of Fieller, Hartley and Pearson, tanh(atanh tau +- z sqrt(0.437/(n-4))), for five
// patients or more; it is best for |tau| up to 0.8 and knows nothing of ties.
//
// In R: cor.test(x, y, method="kendall").
//
// Errors: *InputError as for [Pearson].
//
// Kendall MG. Biometrika 1945;33:239-251. doi:10.1093/biomet/33.3.239; Fieller EC et al.
// Biometrika 1957;44:470-481. doi:10.1093/biomet/44.3-4.470; Knight WR. JASA
// 1966;61:436-439. doi:10.1080/01621459.1966.10480879
func Kendall(x, y []float64, level float64) (CorrelationResult, error) {
	if err := checkTwoVariables("Kendall", "x", x, "y", y, 2); err != nil {
		return CorrelationResult{}, err
	}
	if err := checkLevel("Kendall", level); err != nil {
		return CorrelationResult{}, err
	}
	count := len(x)
	n := float64(count)
	_, tx := midranks(x)
	_, ty := midranks(y)
	// By x, then y: pairs tied in x are in order of y and never count as swaps.
	order := make([]int, count)
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Or(cmp.Compare(x[a], x[b]), cmp.Compare(y[a], y[b])) })
	sorted := make([]float64, count)
	both, run := 0, 0 // pairs tied in both
	for k, i := range order {
		sorted[k] = y[i]
		if k > 0 && x[order[k-1]] == x[i] && y[order[k-1]] == y[i] {
			run++
			both += run
		} else {
			run = 0
		}
	}
	discordant := inversions(sorted, make([]float64, count))
	all := count * (count - 1) / 2
	pairs := func(ties []int) (pairs int, triples, weighted float64) {
		for _, t := range ties {
			pairs += t * (t - 1) / 2
			triples += float64(t) * float64(t-1) * float64(t-2)
			weighted += float64(t) * float64(t-1) * float64(2*t+5)
		}
		return
	}
	px, x3, xw := pairs(tx)
	py, y3, yw := pairs(ty)
	s := all - px - py + both - 2*discordant
	r := CorrelationResult{Method: "Kendall tau-b", Statistic: float64(s), Level: level, N: count,
		R: float64(s) / (math.Sqrt(float64(all-px)) * math.Sqrt(float64(all-py)))}
	// A perfect order comes out of the two roots as 1 or the float beside it.
	if (px == 0 && py == 0 || all-px == all-py) && max(s, -s) == all-px {
		r.R = math.Copysign(1, float64(s))
	}
	if px == 0 && py == 0 && count < 50 {
		r.P, r.Exact = kendallExact(count, discordant), true
	} else {
		variance := (n*(n-1)*(2*n+5)-xw-yw)/18 + 2*float64(px)*float64(py)/(n*(n-1))
		if count > 2 {
			variance += x3 * y3 / (9 * n * (n - 1) * (n - 2))
		}
		_, r.P = wald(float64(s), math.Sqrt(variance))
	}
	r.Low, r.High = fisherInterval(r.R, 0.437/(n-4), level)
	return r, nil
}

// inversions sorts x by merging and counts the pairs that stood in the wrong order.
func inversions(x, spare []float64) int {
	if len(x) < 2 {
		return 0
	}
	half := len(x) / 2
	count := inversions(x[:half], spare[:half]) + inversions(x[half:], spare[half:])
	i, j := 0, half
	for k := range spare {
		if j == len(x) || i < half && x[i] <= x[j] {
			spare[k] = x[i]
			i++
		} else {
			spare[k] = x[j]
			j++
			count += half - i
		}
	}
	copy(x, spare)
	return count
}

// kendallExact is twice the smaller tail of the number of inversions over all orders
// of n values. Shares, not counts, are added up: 49! has 63 digits.
func kendallExact(n, discordant int) float64 {
	share := []float64{1} // by number of inversions among the first k values
	for k := 2; k <= n; k++ {
		next := make([]float64, len(share)+k-1)
		for i, v := range share {
			for j := range k {
				next[i+j] += v / float64(k)
			}
		}
		share = next
	}
	low, high := 0.0, 0.0
	for i, v := range share {
		if i <= discordant {
			low += v
		}
		if i >= discordant {
			high += v
		}
	}
	return math.Min(1, 2*math.Min(low, high))
}

// midranks are ranks from 1, tied values sharing the mean of theirs, and the sizes of
// the groups of two or more tied values.
func midranks(x []float64) (rank []float64, ties []int) {
	order := ranked(x)
	rank = make([]float64, len(x))
	for from := 0; from < len(order); {
		to := from + 1
		for to < len(order) && order[to].value == order[from].value {
			to++
		}
		for _, o := range order[from:to] {
			rank[o.index] = float64(from+to+1) / 2
		}
		if to-from > 1 {
			ties = append(ties, to-from)
		}
		from = to
	}
	return rank, ties
}

// checkPaired accepts two finite slices of one length with at least `least` elements.
func checkPaired(function, nameX string, x []float64, nameY string, y []float64, least int) error {
	if len(x) == 0 {
		return empty(function, nameX)
	}
	if len(y) != len(x) {
		return wrongLength(function, nameY, len(y), len(x))
	}
	if err := checkFinite(function, nameX, x); err != nil {
		return err
	}
	if err := checkFinite(function, nameY, y); err != nil {
		return err
	}
	if len(x) < least {
		return &InputError{function, nameX, -1, fmt.Sprintf("%d long", len(x)), fmt.Sprintf("at least %d patients", least), "choose a larger cohort"}
	}
	return nil
}

// checkTwoVariables wants each of them to vary, too.
func checkTwoVariables(function, nameX string, x []float64, nameY string, y []float64, least int) error {
	if err := checkPaired(function, nameX, x, nameY, y, least); err != nil {
		return err
	}
	for i, v := range [2][]float64{x, y} {
		if slices.Min(v) == slices.Max(v) {
			return &InputError{function, [2]string{nameX, nameY}[i], -1, fmt.Sprintf("%v for every patient", v[0]), "values that differ between patients",
				"check that the column is the one you meant"}
		}
	}
	return nil
}

// pairMoments are sums of squares and products about the means.
type pairMoments struct {
	meanX, meanY float64
	xx, yy, xy   float64
	identical    bool // every x is its y
}

func newPairMoments(function, nameX string, x []float64, nameY string, y []float64, least int) (pairMoments, error) {
	if err := checkTwoVariables(function, nameX, x, nameY, y, least); err != nil {
		return pairMoments{}, err
	}
	m := pairMoments{meanX: shiftedMean(x), meanY: shiftedMean(y), identical: slices.Equal(x, y)}
	for i := range x {
		dx, dy := x[i]-m.meanX, y[i]-m.meanY
		m.xx += dx * dx
		m.yy += dy * dy
		m.xy += dx * dy
	}
	return m, nil
}

func (m pairMoments) correlation() float64 {
	return math.Max(-1, math.Min(1, m.xy/math.Sqrt(m.xx*m.yy)))
}
