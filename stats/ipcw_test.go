package stats

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"hounsfield/stats/golden"
)

type pairGolden struct {
	C, SE         []number
	Covariance    float64
	Difference, P float64
	SEDifference  float64 `json:"se_difference"`
}

type ipcwCase struct {
	Name                  string
	Time                  []float64
	Event                 []bool
	A, B, Times           []float64
	Tau                   float64
	Survival              [][]float64
	AUC, Brier, Null, PEC []number
	AUCSE                 []float64 `json:"auc_se"`
	BrierSE               []float64 `json:"brier_se"`
	PECNull               []number  `json:"pec_null"`
	Harrell, Uno          pairGolden
}

func TestIPCWAgainstR(t *testing.T) {
	for _, c := range golden.Cases[ipcwCase](t, "ipcw") {
		t.Run(c.Name, func(t *testing.T) {
			auc, err := TimeAUC(c.Time, c.Event, c.A, c.Times, 0.95)
			if err != nil {
				t.Fatal(err)
			}
			nearAll(t, "AUC", auc.AUC, c.AUC, exact)
			brier, err := SurvivalBrier(c.Time, c.Event, c.Survival, c.Times, 0.95)
			if err != nil {
				t.Fatal(err)
			}
			nearAll(t, "Brier", brier.Brier, c.Brier, exact)
			nearAll(t, "Brier of the curve", brier.Null, c.Null, exact)
			nearAll(t, "Brier, pec", brier.Brier, c.PEC, exact)
			nearAll(t, "Brier of the curve, pec", brier.Null, c.PECNull, exact)
			for k := range c.Times {
				// riskRegression divides the influences' variance by n-1 before n. Its influence
				// of G is the limit, ours the derivative at these data (checked below against
				// finite differences): for the Brier score they are some 1/n apart.
				n := float64(len(c.Time))
				near(t, "SE of AUC, ratio", auc.SE[k]/c.AUCSE[k]*math.Sqrt(n/(n-1)), 1, 5e-4)
				near(t, "SE of Brier, ratio", brier.SE[k]/c.BrierSE[k]*math.Sqrt(n/(n-1)), 1, 4/n)
			}
			check := func(got PairedConcordanceResult, err error, want pairGolden) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
				nearAll(t, "C", []float64{got.A.C, got.B.C}, want.C, exact)
				nearAll(t, "SE", []float64{got.A.SE, got.B.SE}, want.SE, exact)
				near(t, "covariance", got.Covariance, want.Covariance, exact)
				near(t, "difference", got.Difference, want.Difference, exact)
				near(t, "SE of the difference", got.SE, want.SEDifference, exact)
				nearP(t, "difference", got.P, want.P)
			}
			pair, err := HarrellCPaired(c.Time, c.Event, c.A, c.B, 0.95)
			check(pair, err, c.Harrell)
			pair, err = UnoCPaired(c.Time, c.Event, c.A, c.B, c.Tau, 0.95)
			check(pair, err, c.Uno)
		})
	}
}

func TestIPCWAgainstScikitSurvival(t *testing.T) {
	type sksurvCase struct {
		Name                  string
		Time                  []float64
		Event                 []bool
		Score, Times          []float64
		Survival              [][]float64
		AUC, Brier            []number
		Mean, One, Integrated float64
	}
	for _, c := range golden.Cases[sksurvCase](t, "sksurv_ipcw") {
		t.Run(c.Name, func(t *testing.T) {
			auc, err := TimeAUC(c.Time, c.Event, c.Score, c.Times, 0.95)
			if err != nil {
				t.Fatal(err)
			}
			nearAll(t, "AUC", auc.AUC, c.AUC, exact)
			near(t, "mean AUC", auc.Mean, c.Mean, exact)
			if auc, err = TimeAUC(c.Time, c.Event, c.Score, c.Times[:1], 0.95); err != nil {
				t.Fatal(err)
			}
			near(t, "mean of one AUC", auc.Mean, c.One, exact)
			brier, err := SurvivalBrier(c.Time, c.Event, c.Survival, c.Times, 0.95)
			if err != nil {
				t.Fatal(err)
			}
			nearAll(t, "Brier", brier.Brier, c.Brier, exact)
			near(t, "integrated Brier", brier.Integrated, c.Integrated, exact)
		})
	}
}

// weightedG is G(s), or G(s-) if before, from its definition with case weights.
func weightedG(time []float64, event []bool, weight []float64, s float64, before bool) float64 {
	g := 1.0
	for _, u := range uniqueTimes(time) {
		if u > s || before && u == s {
			break
		}
		left, rest := 0.0, 0.0
		for i := range time {
			if time[i] > u || time[i] == u && !event[i] {
				rest += weight[i]
			}
			if time[i] == u && !event[i] {
				left += weight[i]
			}
		}
		if rest > 0 {
			g *= 1 - left/rest
		}
	}
	return g
}

func slowTimeAUC(time []float64, event []bool, score, weight []float64, t float64) float64 {
	above, all := 0.0, 0.0
	for i := range time {
		if !event[i] || time[i] > t {
			continue
		}
		w := weight[i] / weightedG(time, event, weight, time[i], true)
		for j := range time {
			if time[j] <= t {
				continue
			}
			all += w * weight[j]
			if score[i] > score[j] {
				above += w * weight[j]
			} else if score[i] == score[j] {
				above += w * weight[j] / 2
			}
		}
	}
	return above / all
}

func slowBrier(time []float64, event []bool, survival, weight []float64, t float64) float64 {
	sum, all := 0.0, 0.0
	for i := range time {
		all += weight[i]
		if time[i] > t {
			sum += weight[i] * square(1-survival[i]) / weightedG(time, event, weight, t, false)
		} else if event[i] {
			sum += weight[i] * square(survival[i]) / weightedG(time, event, weight, time[i], true)
		}
	}
	return sum / all
}

// jackknife is the infinitesimal jackknife by finite differences in the case weights.
func jackknife(n int, statistic func(weight []float64) float64) float64 {
	const h = 1e-5
	weight := slices.Repeat([]float64{1}, n)
	sum := 0.0
	for i := range weight {
		weight[i] = 1 + h
		up := statistic(weight)
		weight[i] = 1 - h
		down := statistic(weight)
		weight[i] = 1
		sum += square((up - down) / (2 * h))
	}
	return math.Sqrt(sum)
}

func TestIPCWEqualsSlow(t *testing.T) {
	for seed := range uint64(6) {
		time, event, _, score := survivalData(1100+seed, 24+int(seed)*4, []float64{1, 60, 120}[seed%3])
		n := len(time)
		times := []float64{120, 300, 480}
		one := slices.Repeat([]float64{1}, n)
		auc, err := TimeAUC(time, event, score, times, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		survival := make([][]float64, n)
		for i := range survival {
			for _, u := range times {
				survival[i] = append(survival[i], math.Exp(-u/500*math.Exp(score[i]/2)))
			}
		}
		brier, err := SurvivalBrier(time, event, survival, times, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		for k, u := range times {
			near(t, "AUC", auc.AUC[k], slowTimeAUC(time, event, score, one, u), 1e-12)
			near(t, "SE of AUC", auc.SE[k], jackknife(n, func(w []float64) float64 { return slowTimeAUC(time, event, score, w, u) }), 1e-7)
			column := make([]float64, n)
			for i := range column {
				column[i] = survival[i][k]
			}
			near(t, "Brier", brier.Brier[k], slowBrier(time, event, column, one, u), 1e-12)
			near(t, "SE of Brier", brier.SE[k], jackknife(n, func(w []float64) float64 { return slowBrier(time, event, column, w, u) }), 1e-7)
		}
		near(t, "SE of the integral", brier.IntegratedSE, jackknife(n, func(w []float64) float64 {
			sum := 0.0
			for k, share := range []float64{0.25, 0.5, 0.25} {
				column := make([]float64, n)
				for i := range column {
					column[i] = survival[i][k]
				}
				sum += share * slowBrier(time, event, column, w, times[k])
			}
			return sum
		}), 1e-7)
	}
}

func TestIPCWProperties(t *testing.T) {
	random := rand.New(rand.NewPCG(12, 1))
	for seed := range uint64(10) {
		time, event, _, score := survivalData(1200+seed, 60, []float64{1, 50}[seed%2])
		other := make([]float64, len(time))
		turned, mapped := make([]float64, len(time)), make([]float64, len(time))
		for i, s := range score {
			other[i] = math.Round(s + random.NormFloat64())
			turned[i], mapped[i] = -s, s*s*s+2*s
		}
		times := []float64{100, 350}
		a, err := TimeAUC(time, event, score, times, 0.9)
		if err != nil {
			t.Fatal(err)
		}
		back, _ := TimeAUC(time, event, turned, times, 0.9)
		same, _ := TimeAUC(time, event, mapped, times, 0.9)
		order := random.Perm(len(time))
		shuffled, _ := TimeAUC(pick(time, order), pick(event, order), pick(score, order), times, 0.9)
		for k := range times {
			near(t, "AUC(-s)", back.AUC[k], 1-a.AUC[k], 1e-13)
			near(t, "SE of AUC(-s)", back.SE[k], a.SE[k], 1e-12)
			near(t, "mapped", same.AUC[k], a.AUC[k], 0)
			near(t, "shuffled", shuffled.AUC[k], a.AUC[k], 1e-12)
			near(t, "shuffled SE", shuffled.SE[k], a.SE[k], 1e-12)
			if !(0 <= a.Low[k] && a.Low[k] <= a.AUC[k] && a.AUC[k] <= a.High[k] && a.High[k] <= 1) {
				t.Errorf("seed %d: %+v", seed, a)
			}
		}
		// Exchanging the scores turns the comparison round; a score against itself is nothing.
		p, err := HarrellCPaired(time, event, score, other, 0.9)
		if err != nil {
			t.Fatal(err)
		}
		q, _ := HarrellCPaired(time, event, other, score, 0.9)
		if p.Difference != -q.Difference || p.SE != q.SE || p.P != q.P {
			t.Errorf("seed %d: %+v, %+v", seed, p, q)
		}
		near(t, "variance of a difference", square(p.SE), square(p.A.SE)+square(p.B.SE)-2*p.Covariance, 1e-13)
		single, _ := HarrellC(time, event, score, 0.9)
		if p.A != single {
			t.Errorf("seed %d: paired %+v, alone %+v", seed, p.A, single)
		}
		if z, err := UnoCPaired(time, event, score, mapped, 500, 0.9); err != nil || z.Difference != 0 || z.SE != 0 || z.P != 1 {
			t.Errorf("seed %d: a score against its map: %+v, %v", seed, z, err)
		}
		// Nobody censored: the AUC is the plain one and the Brier score a mean square, and
		// the Kaplan-Meier forecast has the variance of the outcome.
		dead := make([]bool, len(time))
		for i := range event {
			event[i] = true
			dead[i] = time[i] <= 350
		}
		full, err := TimeAUC(time, event, score, times, 0.9)
		if err != nil {
			t.Fatal(err)
		}
		plain, _ := AUC(score, dead)
		near(t, "uncensored AUC", full.AUC[1], plain, 1e-13)
		forecast := make([][]float64, len(time))
		mean, share := 0.0, 0.0
		for i := range forecast {
			s := 1 / (1 + math.Exp(score[i]))
			forecast[i] = []float64{s}
			alive := 1.0
			if dead[i] {
				alive = 0
			}
			mean += square(alive-s) / float64(len(time))
			share += alive / float64(len(time))
		}
		b, err := SurvivalBrier(time, event, forecast, times[1:], 0.9)
		if err != nil {
			t.Fatal(err)
		}
		near(t, "uncensored Brier", b.Brier[0], mean, 1e-13)
		near(t, "uncensored null", b.Null[0], share*(1-share), 1e-13)
		if !math.IsNaN(b.Integrated) || !math.IsNaN(b.IntegratedScaled) {
			t.Errorf("integral over a single time: %+v", b)
		}
	}
}

func TestIPCWErrors(t *testing.T) {
	time, event, score := []float64{1, 2, 3, 4}, []bool{true, false, true, false}, []float64{4, 3, 2, 1}
	half := [][]float64{{0.5}, {0.5}, {0.5}, {0.5}}
	at, nan := []float64{2.5}, math.NaN()
	brier := func(s [][]float64, times []float64, level float64) func() error {
		return func() error { _, err := SurvivalBrier(time, event, s, times, level); return err }
	}
	auc := func(s, times []float64, level float64) func() error {
		return func() error { _, err := TimeAUC(time, event, s, times, level); return err }
	}
	for name, call := range map[string]func() error{
		"empty":              func() error { _, err := TimeAUC(nil, nil, nil, at, 0.95); return err },
		"NaN score":          auc([]float64{1, nan, 2, 3}, at, 0.95),
		"short score":        auc(score[:2], at, 0.95),
		"no times":           auc(score, nil, 0.95),
		"falling times":      auc(score, []float64{2, 1}, 0.95),
		"NaN time":           auc(score, []float64{nan}, 0.95),
		"nobody dead yet":    auc(score, []float64{0.5}, 0.95),
		"nobody alive":       auc(score, []float64{4}, 0.95),
		"level":              auc(score, at, 1),
		"all censored":       func() error { _, err := TimeAUC(time, make([]bool, 4), score, at, 0.95); return err },
		"Brier empty":        func() error { _, err := SurvivalBrier(nil, nil, nil, at, 0.95); return err },
		"Brier short":        brier(half[:2], at, 0.95),
		"Brier ragged":       brier([][]float64{{0.5}, {}, {0.5}, {0.5}}, at, 0.95),
		"Brier above 1":      brier([][]float64{{0.5}, {1.5}, {0.5}, {0.5}}, at, 0.95),
		"Brier NaN":          brier([][]float64{{0.5}, {nan}, {0.5}, {0.5}}, at, 0.95),
		"Brier level":        brier(half, at, 0),
		"Brier past the end": brier(half, []float64{4}, 0.95),
		"Brier no times":     brier([][]float64{{}, {}, {}, {}}, nil, 0.95),
		"pair, short b":      func() error { _, err := HarrellCPaired(time, event, score, score[:1], 0.95); return err },
		"pair, NaN b":        func() error { _, err := UnoCPaired(time, event, score, []float64{1, 2, 3, nan}, 3, 0.95); return err },
		"pair, tau":          func() error { _, err := UnoCPaired(time, event, score, score, 0, 0.95); return err },
		"pair, early tau":    func() error { _, err := UnoCPaired(time, event, score, score, 0.5, 0.95); return err },
		"pair, level":        func() error { _, err := HarrellCPaired(time, event, score, score, 2); return err },
	} {
		var input *InputError
		if err := call(); !errors.As(err, &input) || input.Next == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Everybody censored, some of them later: the forecast is judged on those.
	r, err := SurvivalBrier(time, make([]bool, 4), half, at, 0.95)
	if err != nil || math.Abs(r.Brier[0]-0.25) > 1e-15 || !math.IsNaN(r.Scaled[0]) {
		t.Errorf("all censored: %+v, %v", r, err)
	}
}
