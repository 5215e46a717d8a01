package experiments

import (
	"fmt"
	"math"
	"path/filepath"

	"hounsfield/datasets"
	"hounsfield/datasets/table"
	"hounsfield/experiments/figure"
	"hounsfield/experiments/report"
	"hounsfield/stats"
)

// judged is one patient of a finished run with score and outcome.
type judged struct {
	cohort, role string
	score        float64 // risk of death, higher is worse; NaN where there is none
	alive, event table.Null[bool]
	days         table.Null[float64]
}

// same says whether two runs tell the same of a patient, the score left out. An id alone is
// not enough: TEST-0001 is somebody else in each synthetic cohort.
func (j judged) same(o judged) bool {
	return j.cohort == o.cohort && j.role == o.role && j.alive == o.alive && j.event == o.event && j.days == o.days
}

// readJudged reads the predictions of a finished run, by patient.
func readJudged(run string) (map[string]judged, error) {
	t, err := table.Read(filepath.Join(run, tablesDir, predictionsTable+".arrow"), table.Schema{Name: predictionsTable, Columns: []table.Column{
		{Name: "patient_id", Type: table.String, Unique: true}, {Name: "cohort", Type: table.String}, {Name: "role", Type: table.String},
		{Name: "score", Type: table.Float64, Nullable: true}, {Name: "survival_days", Type: table.Float64, Nullable: true},
		{Name: "event", Type: table.Bool, Nullable: true}, {Name: "alive_2yr", Type: table.Bool, Nullable: true}}}, table.Ignore)
	if err != nil {
		return nil, err
	}
	alive, event, days := table.Nulls[bool](t, "alive_2yr"), table.Nulls[bool](t, "event"), table.Nulls[float64](t, "survival_days")
	out := map[string]judged{}
	for i, id := range t.Strings("patient_id") {
		out[id] = judged{cohort: t.Strings("cohort")[i], role: t.Strings("role")[i], score: t.Float64s("score")[i],
			alive: alive[i], event: event[i], days: days[i]}
	}
	return out, nil
}

// difference is what one run's scores gain over another's on the same patients.
type difference struct {
	role  string
	of    string // the run
	over  string // the run it is held against
	found stats.PairedAUCResult
	lacks string // why there is no such figure; "" where there is
}

// differences hold each run against the first, on the patients that both judged.
func differences(all []compared) []difference {
	var out []difference
	for _, c := range all[1:] {
		for _, role := range []datasets.Role{datasets.Test, datasets.Tune} {
			out = append(out, differ(c, all[0], role))
		}
	}
	return out
}

// differ holds one run against another on the patients of a role that both judged.
func differ(of, over compared, role datasets.Role) difference {
	d := difference{role: string(role), of: of.name, over: over.name}
	var a, b []float64
	var dead []bool
	for _, id := range over.ids {
		one := over.judged[id]
		if one.role != d.role {
			continue
		}
		other, ok := of.judged[id]
		if !ok {
			continue
		}
		if !one.same(other) {
			d.lacks = notTheSame
			return d
		}
		if one.alive.Valid && !math.IsNaN(one.score) && !math.IsNaN(other.score) {
			a, b, dead = append(a, other.score), append(b, one.score), append(dead, !one.alive.V)
		}
	}
	if len(a) == 0 {
		d.lacks = notTheSame
		return d
	}
	var err error
	if d.found, err = stats.DeLongPaired(a, b, dead, Level); err != nil {
		d.lacks = err.Error()
	}
	return d
}

const notTheSame = "not the same patients"

// text is the difference in words.
func (d difference) text() string {
	if d.lacks != "" {
		return "none: " + d.lacks
	}
	f := d.found
	return fmt.Sprintf("%+.3f (%+.3f to %+.3f), %s, n=%d, %d dead at two years", f.Difference, f.Low, f.High, figure.PValue(f.P), f.N, f.Positives)
}

// differencesBlock is the table of the comparison page; nil where no two runs share patients.
func differencesBlock(all []difference) []report.Block {
	t := report.Table{
		Caption: report.Text("AUC of one run less that of the other on the same patients, with 95% interval: paired DeLong, two-sided. Above 0, the first separates the dead from the living better."),
		Columns: []report.Column{{Title: "Run"}, {Title: "less run"}, {Title: "Role"}, {Title: "Difference"}},
	}
	some := false
	for _, d := range all {
		some = some || d.lacks == ""
		t.Rows = append(t.Rows, report.Row{Cells: report.Cells(d.of, d.over, d.role, d.text()), Strong: d.role == string(datasets.Test)})
	}
	if !some {
		return nil
	}
	return []report.Block{t}
}
