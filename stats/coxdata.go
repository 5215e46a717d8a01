package stats

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// coxData are the patients stratum by stratum, in each from the last time to the
// first, the deaths of a time before its censorings. The covariates are centred and
// divided by their standard deviation, so that neither exp() nor the tolerances depend
// on their units.
type coxData struct {
	time    []float64
	event   []bool
	index   []int     // place in the caller's slices
	x       []float64 // row by row, `columns` wide
	mean    []float64 // of each column before
	scale   []float64 // standard deviation of each column before
	ties    []coxTie
	labels  []int // of the strata, ascending; one 0 when not stratified
	stratum []int // number of the stratum, per tie
	columns int
	events  int
	breslow bool
}

// coxTie is the patients of one stratum with one time: rows start..deathEnd died.
type coxTie struct {
	start, deathEnd, end int
	first                bool // the last time of a stratum: nobody is at risk yet
}

func (c coxData) strataCount() int { return len(c.labels) }

func newCoxData(time []float64, event []bool, x [][]float64, o coxOptions) (coxData, error) {
	var c coxData
	if err := checkSurvival("Cox", time, event); err != nil {
		return c, err
	}
	n := len(time)
	if len(x) != n {
		return c, wrongLength("Cox", "x", len(x), n)
	}
	c.columns = len(x[0])
	if c.columns == 0 {
		return c, &InputError{"Cox", "x", 0, "empty", "at least one covariate", "use KaplanMeier for a curve without covariates"}
	}
	if err := checkCovariates("Cox", x, c.columns); err != nil {
		return c, err
	}
	if err := checkSomeEvent("Cox", event); err != nil {
		return c, err
	}
	if o.stratified && len(o.strata) != n {
		return c, wrongLength("Cox", "strata", len(o.strata), n)
	}
	if o.clustered && len(o.cluster) != n {
		return c, wrongLength("Cox", "cluster", len(o.cluster), n)
	}
	if o.ties != Efron && o.ties != Breslow {
		return c, &InputError{"Cox", "ties", -1, fmt.Sprintf("%q", string(o.ties)), "efron or breslow", "use Efron"}
	}
	c.breslow = o.ties == Breslow
	if err := c.standardise(x); err != nil {
		return c, err
	}
	member := make([]int, n)
	c.labels = []int{0}
	if o.stratified {
		c.labels, member = labelled(o.strata)
	}
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		if member[a] != member[b] {
			return cmp.Compare(member[a], member[b])
		}
		if time[a] != time[b] {
			return cmp.Compare(time[b], time[a])
		}
		if event[a] != event[b] {
			if event[a] {
				return -1
			}
			return 1
		}
		return cmp.Compare(a, b)
	})
	c.index, c.time, c.event = order, pick(time, order), pick(event, order)
	c.x = make([]float64, 0, n*c.columns)
	for k, i := range order {
		for j, v := range x[i] {
			c.x = append(c.x, (v-c.mean[j])/c.scale[j])
		}
		newStratum := k == 0 || member[i] != member[order[k-1]]
		if newStratum || c.time[k] != c.time[k-1] {
			c.ties = append(c.ties, coxTie{start: k, deathEnd: k, first: newStratum})
			c.stratum = append(c.stratum, member[i])
		}
		t := &c.ties[len(c.ties)-1]
		t.end = k + 1
		if c.event[k] {
			t.deathEnd = k + 1
			c.events++
		}
	}
	return c, nil
}

// checkCovariates accepts finite rows of `columns` values.
func checkCovariates(function string, x [][]float64, columns int) error {
	for i, row := range x {
		if len(row) != columns {
			return &InputError{function, "x", i, fmt.Sprintf("%d long", len(row)), fmt.Sprintf("%d covariates, as in row 0", columns), nextAlign}
		}
		for j, v := range row {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return &InputError{function, "x", i, fmt.Sprintf("%v in column %d", v, j), "a finite number", nextExclude}
			}
		}
	}
	return nil
}

// standardise finds the mean and the standard deviation of each column.
func (c *coxData) standardise(x [][]float64) error {
	n := float64(len(x))
	c.mean, c.scale = make([]float64, c.columns), make([]float64, c.columns)
	constant := make([]bool, c.columns)
	for j := range constant {
		constant[j] = true
	}
	for _, row := range x {
		for j, v := range row {
			c.mean[j] += v / n
			constant[j] = constant[j] && v == x[0][j]
		}
	}
	for _, row := range x {
		for j, v := range row {
			c.scale[j] += square(v-c.mean[j]) / n
		}
	}
	for j := range c.scale {
		c.scale[j] = math.Sqrt(c.scale[j])
		if constant[j] || c.scale[j] == 0 {
			return c.collinear(j)
		}
	}
	return nil
}

func (c coxData) collinear(column int) error {
	return &InputError{"Cox", "x", column, "a column that is constant among those at risk or a combination of the columns before it",
		"columns that each say something new", "remove column " + fmt.Sprint(column)}
}

// factorise is the Cholesky factor of an information matrix, or the column about
// which it holds none: the columns have variance 1, so that an event that tells
// anything about one adds about 1 to the diagonal.
func (c coxData) factorise(information [][]float64) int {
	for j := range information {
		if !(information[j][j] > 1e-10*float64(c.events)) {
			return j
		}
	}
	return factorise(information)
}

// riskTerm is a factor 1/(W - f D) of the partial likelihood: W the weight of all at
// risk, D that of the dying, f = k/d of whom Efron takes out. Breslow's d equal
// factors are one term, d times.
type riskTerm struct{ inverse, fraction, times float64 }

// coxState is the model at one value of the coefficients.
type coxState struct {
	logLikelihood float64
	gradient      []float64
	weight        []float64 // exp(x . beta) of each row
	terms         []riskTerm
	means         []float64 // weighted mean of x over each term's risk set
	from          []int     // terms of tie g: from[g] .. from[g+1]
}

func (c coxData) newState() *coxState {
	return &coxState{
		gradient: make([]float64, c.columns), weight: make([]float64, len(c.time)),
		from: make([]int, len(c.ties)+1), terms: make([]riskTerm, 0, c.events), means: make([]float64, 0, c.events*c.columns),
	}
}

// at evaluates the log partial likelihood and its gradient at beta in one sweep over
// each stratum from the last time to the first, as patients join the risk set.
func (c coxData) at(s *coxState, beta []float64) {
	p := c.columns
	s.logLikelihood, s.terms, s.means = 0, s.terms[:0], s.means[:0]
	clear(s.gradient)
	var risk, dying float64
	riskX, dyingX := make([]float64, p), make([]float64, p)
	for g, t := range c.ties {
		s.from[g] = len(s.terms)
		if t.first {
			risk = 0
			clear(riskX)
		}
		dying = 0
		clear(dyingX)
		for i := t.start; i < t.end; i++ {
			x := c.x[i*p : (i+1)*p]
			eta := 0.0
			for j, v := range x {
				eta += v * beta[j]
			}
			w := math.Exp(eta)
			s.weight[i] = w
			risk += w
			for j, v := range x {
				riskX[j] += w * v
			}
			if i < t.deathEnd {
				dying += w
				s.logLikelihood += eta
				for j, v := range x {
					dyingX[j] += w * v
					s.gradient[j] += v
				}
			}
		}
		deaths := t.deathEnd - t.start
		if deaths == 0 {
			continue
		}
		terms, times := deaths, 1.0
		if c.breslow {
			terms, times = 1, float64(deaths)
		}
		for k := range terms {
			f := float64(k) / float64(deaths)
			inverse := 1 / (risk - f*dying)
			s.logLikelihood += times * math.Log(inverse)
			s.terms = append(s.terms, riskTerm{inverse, f, times})
			for j, v := range riskX {
				mean := (v - f*dyingX[j]) * inverse
				s.means = append(s.means, mean)
				s.gradient[j] -= times * mean
			}
		}
	}
	s.from[len(c.ties)] = len(s.terms)
}

// information is the negative second derivative (lower triangle only): over the terms,
// the sum of the variance of x in the risk set, each times factor[tie] (nil: 1).
//
// That is the sum over patients of x x' times weight times the cumulative hazard up to
// their time, less the sum over terms of mean mean': a row per patient and a row per
// term instead of a matrix per death.
func (c coxData) information(s *coxState, factor []float64) [][]float64 {
	p := c.columns
	update := newRankUpdate(p)
	hazard := 0.0
	for g := len(c.ties) - 1; g >= 0; g-- {
		t := c.ties[g]
		if g == len(c.ties)-1 || c.ties[g+1].first {
			hazard = 0
		}
		f := 1.0
		if factor != nil {
			f = factor[g]
		}
		ofDying := hazard
		for k := s.from[g]; k < s.from[g+1]; k++ {
			term := s.terms[k]
			h := f * term.times * term.inverse
			hazard += h
			ofDying += h * (1 - term.fraction)
			update.add(s.means[k*p:(k+1)*p], -f*term.times)
		}
		for i := t.start; i < t.end; i++ {
			a := hazard
			if i < t.deathEnd {
				a = ofDying
			}
			if a != 0 {
				update.add(c.x[i*p:(i+1)*p], s.weight[i]*a)
			}
		}
	}
	return update.matrix()
}

// rankUpdate adds up weight times x x', four rows at a time: so each element of the
// sum is loaded and stored once for four products.
type rankUpdate struct {
	sum     []float64 // lower triangle, row by row
	rows    [4][]float64
	weights [4]float64
	waiting int
	columns int
}

func newRankUpdate(columns int) *rankUpdate {
	return &rankUpdate{sum: make([]float64, columns*(columns+1)/2), columns: columns}
}

// add takes x as it is now: a row waits for three more, unless it is changed before.
func (u *rankUpdate) add(x []float64, weight float64) {
	if u.rows[u.waiting] == nil {
		u.rows[u.waiting] = make([]float64, u.columns)
	}
	copy(u.rows[u.waiting], x)
	u.weights[u.waiting] = weight
	if u.waiting++; u.waiting == len(u.rows) {
		u.flush()
	}
}

func (u *rankUpdate) flush() {
	if u.waiting < len(u.rows) { // the rest: three rows at most
		for r := range u.waiting {
			k := 0
			for i, xi := range u.rows[r] {
				a := u.weights[r] * xi
				for j := range i + 1 {
					u.sum[k+j] += a * u.rows[r][j]
				}
				k += i + 1
			}
		}
		u.waiting = 0
		return
	}
	u.waiting = 0
	x0, x1, x2, x3 := u.rows[0], u.rows[1], u.rows[2], u.rows[3]
	k := 0
	for i := range u.columns {
		a0, a1, a2, a3 := u.weights[0]*x0[i], u.weights[1]*x1[i], u.weights[2]*x2[i], u.weights[3]*x3[i]
		row := u.sum[k : k+i+1]
		y0, y1, y2, y3 := x0[:len(row)], x1[:len(row)], x2[:len(row)], x3[:len(row)]
		for j := range row {
			row[j] += (a0*y0[j] + a1*y1[j]) + (a2*y2[j] + a3*y3[j])
		}
		k += i + 1
	}
}

// matrix is the sum, lower triangle filled.
func (u *rankUpdate) matrix() [][]float64 {
	u.flush()
	m := newMatrix(u.columns)
	k := 0
	for i := range m {
		copy(m[i][:i+1], u.sum[k:k+i+1])
		k += i + 1
	}
	return m
}

// mirrored fills the upper triangle from the lower one.
func mirrored(m [][]float64) [][]float64 {
	for i := range m {
		for j := range i {
			m[j][i] = m[i][j]
		}
	}
	return m
}
