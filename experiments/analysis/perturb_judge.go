package analysis

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat/distuv"

	"hounsfield/datasets"
	"hounsfield/datasets/table"
	"hounsfield/experiments/scoring"
	"hounsfield/stats"
)

// More names of measures, of changed contours.
const (
	meanDifference = "score_difference_mean"
	sideShare      = "other_side_share"
	meanShift      = "centre_shift_mean"
	tunePercentile = "tune_percentile"
)

// groupDrawn is the group of the contour as it was.
const groupDrawn = "as drawn"

// perturbations is what the changes of contours did.
type perturbations struct {
	*interReader
	changes  []change
	all      []perturbed // by patient
	chosen   []int       // with a score
	measures []Measure
}

// of are the draws of one change in one patient.
func (one perturbed) of(change int) []redrawn {
	var out []redrawn
	for _, r := range one.draws {
		if r.change == change {
			out = append(out, r)
		}
	}
	return out
}

func (p *perturbations) judge() error {
	m := &measuring{group: groupDrawn, level: p.Level}
	if tune := p.tuneScores(); len(p.chosen) == 1 && len(tune) > 0 {
		m.add(nil, tunePercentile, fmt.Sprintf("share of the tune role's %d scores that are not above it, in 100", len(tune)), 1,
			plain(percentile(tune, p.all[p.chosen[0]].score)), math.NaN())
	}
	p.measures = m.out
	for i, c := range p.changes {
		more, err := p.judgeChange(i, c)
		if err != nil {
			return fmt.Errorf("the analysis %s, contours %s: %w", p.analysis, c.words(), err)
		}
		p.measures = append(p.measures, more...)
	}
	return nil
}

// judgeChange measures one kind of change at one level, in the patients of whose contour
// something was left in all draws.
func (p *perturbations) judgeChange(i int, c change) ([]Measure, error) {
	m := &measuring{group: c.name(), level: p.Level}
	var ratings [][]float64
	var was, is, dices, shifts, same, across []float64
	for _, k := range p.chosen {
		one := p.all[k]
		var scores []float64
		var overlap, shift, alike, other float64
		for _, r := range one.of(i) {
			scores = append(scores, r.score)
			overlap, shift = overlap+r.dice, shift+r.shift
			if r.sameCube {
				alike++
			}
			if (r.score > p.Cut) != (one.score > p.Cut) {
				other++
			}
		}
		average := mean(scores)
		if !scoring.Known(average) {
			continue
		}
		n := float64(len(scores))
		was, is = append(was, one.score), append(is, average)
		dices, shifts = append(dices, overlap/n), append(shifts, shift/n)
		same, across = append(same, alike/n), append(across, other/n)
		if !c.random() {
			scores = append(scores, one.score)
		}
		ratings = append(ratings, scores)
	}
	if len(ratings) == 0 {
		return nil, nil
	}
	what := fmt.Sprintf("root of the mean square within patients of %d draws; exact CI by chi-square", c.draws)
	if !c.random() {
		what = "root of the mean square within patients of the two contours, as drawn and changed; exact CI by chi-square"
	}
	m.add(nil, withinSD, what, len(ratings), pooledSD(ratings, p.Level), math.NaN())
	m.try(func() error {
		b, err := stats.BlandAltman(is, was, p.Level, p.Level)
		m.add(err, meanDifference, "each patient's mean over the draws less the score as drawn; Student's t, p two-sided against 0", b.N, b.Bias, b.P)
		return err
	})
	if c.random() {
		m.oneICC(stats.ICC11, ratings, "draws")
	} else {
		m.oneICC(stats.ICC21, ratings, "contours, as drawn and changed")
	}
	m.otherSide(c, across, p.Input)
	m.mean(meanDice, dices, p.Input, "of each patient's mean over the draws, with the contour as drawn")
	m.mean(meanShift, shifts, p.Input, "of each patient's mean over the draws")
	m.mean(sameCubeShare, same, p.Input, "of each patient's draws: the centre stays in its voxel, so that the networks read the same cube")
	return m.out, m.err
}

// otherSide adds the share of draws on another side of the cut than the contour as drawn;
// across is that of each patient. Where all draws of a patient agree, so that a patient is
// one observation, the interval is Wilson's, and for a single patient it is that of the draws.
func (m *measuring) otherSide(c change, across []float64, in *Input) {
	const what = "of draws on another side of the cut than the contour as drawn"
	whole, sum := true, 0.0
	for _, x := range across {
		whole, sum = whole && (x == 0 || x == 1), sum+x
	}
	n := len(across)
	if n > 1 && !whole {
		m.mean(sideShare, across, in, what+", mean over patients")
		return
	}
	trials, method := n, what+", mean over patients; Wilson CI, a patient being one observation"
	if n == 1 {
		trials, sum, method = c.draws, sum*float64(c.draws), fmt.Sprintf("%s, %d of one patient; Wilson CI", what, c.draws)
	}
	m.try(func() error {
		share, err := stats.ProportionCI(int(math.Round(sum)), trials, stats.Wilson, m.level)
		m.add(err, sideShare, method, n, stats.Interval{Estimate: share.Estimate, Low: share.Low, High: share.High}, math.NaN())
		return err
	})
}

// pooledSD is the standard deviation within the rows, as stats.MeasurementError has it for
// two rows or more, with the exact interval for normal errors.
func pooledSD(ratings [][]float64, level float64) stats.Interval {
	sum, df := 0.0, 0.0
	for _, row := range ratings {
		m := mean(row)
		for _, v := range row {
			sum += (v - m) * (v - m)
		}
		df += float64(len(row) - 1)
	}
	if sum == 0 {
		return plain(0) // rows that are all alike say nothing of the spread of others
	}
	chi := distuv.ChiSquared{K: df}
	return stats.Interval{Estimate: math.Sqrt(sum / df), Low: math.Sqrt(sum / chi.Quantile(0.5+level/2)), High: math.Sqrt(sum / chi.Quantile(0.5-level/2))}
}

// tuneScores are the run's scores of the tune role.
func (p *perturbations) tuneScores() []float64 {
	var out []float64
	for i, patient := range p.Cohort.Patients {
		if patient.Role == datasets.Tune && scoring.Known(p.Scores[i]) {
			out = append(out, p.Scores[i])
		}
	}
	return out
}

// percentile is the share of scores that are not above v, in 100.
func percentile(scores []float64, v float64) float64 {
	n := 0
	for _, s := range scores {
		if s <= v {
			n++
		}
	}
	return 100 * float64(n) / float64(len(scores))
}

const perturbedTable = "inter_reader_perturbed"

// table has a row for each draw.
func (p *perturbations) table() (*table.Table, error) {
	type row struct {
		patient int
		redrawn
	}
	var rows []row
	for _, k := range p.chosen {
		for _, r := range p.all[k].draws {
			rows = append(rows, row{k, r})
		}
	}
	return table.New(table.Schema{Name: perturbedTable, Columns: []table.Column{
		{Name: "patient_id", Type: table.String},
		{Name: "kind", Type: table.String, Allowed: []string{jitter, dilate, erode, contour}, Description: "jitter: moved as a whole; dilate, erode: by a distance; contour: a smooth random wave of the surface"},
		{Name: "level", Type: table.Float64, Unit: "mm", Description: "how far; the standard deviation of the wave"},
		{Name: "draw", Type: table.Int64, Description: "from 1; dilate and erode have one"},
		{Name: "score", Type: table.Float64, Nullable: true, Direction: riskDirection, Description: "null where nothing is left of the contour"},
		{Name: "score_as_drawn", Type: table.Float64, Direction: riskDirection, Description: "of the contour as it was"},
		{Name: "risk_group", Type: table.String, Nullable: true, Allowed: []string{"low", "high"}, Description: "at the run's cut"},
		{Name: "dice", Type: table.Float64, Nullable: true, Range: table.Between(0, 1), Description: "with the contour as it was"},
		{Name: "centre_shift", Type: table.Float64, Nullable: true, Unit: "mm", Description: "of the centre of mass"},
		{Name: "same_cube", Type: table.Bool, Description: "the centre stays in its voxel, so that the networks read the same cube"},
	}}, p.Provenance, map[string]any{
		"patient_id":     table.ColumnOf(rows, func(r row) string { return p.patients[r.patient].id }),
		"kind":           table.ColumnOf(rows, func(r row) string { return p.changes[r.change].kind }),
		"level":          table.ColumnOf(rows, func(r row) float64 { return p.changes[r.change].mm }),
		"draw":           table.ColumnOf(rows, func(r row) int64 { return int64(r.draw) + 1 }),
		"score":          table.ColumnOf(rows, func(r row) float64 { return r.score }),
		"score_as_drawn": table.ColumnOf(rows, func(r row) float64 { return p.all[r.patient].score }),
		"risk_group": table.ColumnOf(rows, func(r row) table.Null[string] {
			return table.Null[string]{V: groupName(r.score > p.Cut), Valid: scoring.Known(r.score)}
		}),
		"dice":         table.ColumnOf(rows, func(r row) float64 { return r.dice }),
		"centre_shift": table.ColumnOf(rows, func(r row) float64 { return r.shift }),
		"same_cube":    table.ColumnOf(rows, func(r row) bool { return r.sameCube }),
	})
}
