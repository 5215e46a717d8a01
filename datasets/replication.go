package datasets

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"hounsfield/datasets/catalog"
	"hounsfield/datasets/table"
)

// Replication is the published network run again by others, on the same scans with
// contours read anew (Bontempi et al. 2024), beside the scores first released.
type Replication struct {
	// Cohort holds the patients of Lung1 that were run again (role test) with clinical
	// columns and survival, and before them those of Radboud (role tune): a cut between
	// low and high risk comes from Radboud, as in the study.
	Cohort *Cohort
	// Scores are those of the re-run, aligned with Cohort.Patients. Radboud was not run
	// again and has its released scores here.
	Scores []float64
	// Original are the released scores, aligned with Cohort.Patients; NaN for the
	// patients of Lung1 without one, whom the first study did not report.
	Original []float64
	// ScoreColumn declares Scores for tables that hold them.
	ScoreColumn table.Column
	// Exclusions are the patients of the clinical table that were not run again (stage
	// "score"), those without survival times (stage "survival") and those last seen alive
	// within two years (stage "label"), who have scores and no part in an AUC.
	Exclusions []Exclusion
	// Files are the files read, as paths under the data folder.
	Files []string
}

// rerunScore declares a score of the re-run, a probability of death within two years
// like the released one.
func rerunScore() table.Column {
	c := PublishedScore()
	c.Source = "Bontempi et al. 2024, column CNN_logit0; Radboud: " + c.Source
	c.Description = "from the published weights, as a probability of death within two years; not calibrated"
	return c
}

func replicationSchema() table.Schema {
	released := PublishedScore()
	released.Name, released.Nullable = "published_score", true
	return table.Schema{Name: "replication", Columns: []table.Column{
		{Name: "patient_id", Type: table.String, Unique: true},
		{Name: "alive_2yr", Type: table.Bool, Nullable: true},
		rerunScore(),
		released,
	}}
}

// ReadReplication reads the re-run of the published network on Lung1 from a data
// folder: the tables of idc-replication, joined by patient id with the clinical table
// of nsclc-radiomics, and the released tables of hosny2018.
//
// The label is that of the table where it has one and follows from survival elsewhere;
// a label that contradicts survival is a *LabelError. The larger table counts; a row of
// the smaller one that is not the same there, and a released score or label that is not
// that of the release itself, is a *table.ValueError.
//
// If the table of nsclc-radiomics is not in the folder, all patients of Lung1 become
// exclusions of stage "survival" that say so, and only those whose label the table gives
// have one.
func ReadReplication(dir string) (*Replication, error) { return readReplication(dir, catalog.Load) }

func readReplication(dir string, load func(string) (catalog.Entry, error)) (*Replication, error) {
	entry, err := load("idc-replication")
	if err != nil {
		return nil, err
	}
	release, err := load("hosny2018")
	if err != nil {
		return nil, err
	}
	whole := slices.MaxFunc(entry.Tables, func(a, b catalog.Table) int { return a.Rows - b.Rows })
	released, err := readPublished(dir, whole.Treatment, release, load)
	if err != nil {
		return nil, fmt.Errorf("the released scores beside the re-run: %w", err)
	}
	link, err := released.link(dir, whole, load)
	if err != nil {
		return nil, err
	}
	t, err := readTable(dir, whole, replicationSchema())
	if err != nil {
		return nil, err
	}
	r := &Replication{ScoreColumn: rerunScore()}
	for _, f := range append(released.Files, whole.File) {
		if !slices.Contains(r.Files, f) {
			r.Files = append(r.Files, f)
		}
	}
	rows := replicated{t}
	for _, from := range entry.Tables {
		if from.File == whole.File {
			continue
		}
		part, err := readTable(dir, from, replicationSchema())
		if err != nil {
			return nil, err
		}
		if err := (replicated{part}).within(rows, from, whole.File); err != nil {
			return nil, err
		}
		r.Files = append(r.Files, from.File)
	}
	if err := rows.released(released, whole); err != nil {
		return nil, err
	}

	var patients []Patient
	var outcomes []Outcome
	add := func(p Patient, o Outcome, score, original float64) {
		patients, outcomes = append(patients, p), append(outcomes, o)
		r.Scores, r.Original = append(r.Scores, score), append(r.Original, original)
	}
	for _, i := range released.Cohort.Of(Tune) {
		add(released.Cohort.Patients[i], released.Cohort.outcomes[i], released.Scores[i], released.Scores[i])
	}
	label, score, original := table.Nulls[bool](t, "alive_2yr"), t.Float64s("score"), table.Nulls[float64](t, "published_score")
	there := map[string]bool{}
	lost := func(id, stage, reason, file string) {
		r.Exclusions = append(r.Exclusions, Exclusion{Patient: id, Cohort: whole.Cohort, Stage: stage, Reason: reason, File: file})
	}
	for i, id := range t.Strings("patient_id") {
		patient, outcome := Patient{ID: id}, Outcome{Alive2yr: label[i]}
		reason, file := link.join(&patient, &outcome)
		if err := outcome.settle(id); err != nil {
			e := labelError(err)
			e.File, e.Line = whole.File, t.Line(i)
			return nil, e
		}
		patient.Cohort, patient.Role = whole.Cohort, Role(whole.Role)
		there[id] = true
		switch {
		case reason != "":
			lost(id, "survival", reason, file)
		case !outcome.Alive2yr.Valid:
			lost(id, "label", fmt.Sprintf("last seen alive on day %g: no two-year label, so no part in an AUC", outcome.SurvivalDays.V), link.file)
		}
		before := math.NaN()
		if original[i].Valid {
			before = original[i].V
		}
		add(patient, outcome, score[i], before)
	}
	if link.cohort != nil {
		for _, p := range link.cohort.Patients {
			if !there[p.ID] {
				lost(p.ID, "score", "the re-run has no score of this patient", whole.File)
			}
		}
	}
	r.Cohort, err = NewCohort(entry.Name, patients, outcomes, nil)
	return r, err
}

// replicated is a table of the re-run.
type replicated struct{ *table.Table }

// cells are what one row holds besides the id, as they are compared.
func (t replicated) cells(row int) map[string]string {
	text := func(column string, v any, valid bool) string {
		if !valid {
			return ""
		}
		return fmt.Sprint(v)
	}
	return map[string]string{
		"alive_2yr":       text("alive_2yr", t.Bools("alive_2yr")[row], t.Valid("alive_2yr")[row]),
		"score":           fmt.Sprint(t.Float64s("score")[row]),
		"published_score": text("published_score", t.Float64s("published_score")[row], t.Valid("published_score")[row]),
	}
}

func (t replicated) fault(row int, from catalog.Table, column, value, allowed string) error {
	return &table.ValueError{File: from.File, Table: t.Schema().Name, Line: t.Line(row), Row: row, Column: from.Columns[column].Header,
		Patient: t.Strings("patient_id")[row], Value: value, Allowed: allowed}
}

// within refuses a row that does not stand in the larger table as it stands here.
func (t replicated) within(whole replicated, from catalog.Table, file string) error {
	at := map[string]int{}
	for i, id := range whole.Strings("patient_id") {
		at[id] = i
	}
	for i, id := range t.Strings("patient_id") {
		k, ok := at[id]
		if !ok {
			return t.fault(i, from, "patient_id", id, "a patient of "+file)
		}
		here, there := t.cells(i), whole.cells(k)
		for _, column := range []string{"alive_2yr", "score", "published_score"} {
			if here[column] != there[column] {
				return t.fault(i, from, column, here[column], fmt.Sprintf("%q, as in %s", there[column], file))
			}
		}
	}
	return nil
}

// released refuses a released score or label that is not the release's own. Ids are
// compared as the release spells them; patients without one there cannot be.
func (t replicated) released(p *Published, from catalog.Table) error {
	at := map[string]int{}
	for i, patient := range p.Cohort.Patients {
		at[patient.ID] = i
	}
	score, label := table.Nulls[float64](t.Table, "published_score"), table.Nulls[bool](t.Table, "alive_2yr")
	for i, id := range t.Strings("patient_id") {
		k, ok := at[id]
		if !ok || !score[i].Valid {
			continue
		}
		// Printed with nine digits in both.
		if want := p.Scores[k]; math.Abs(score[i].V-want) > 1e-9 {
			return t.fault(i, from, "published_score", fmt.Sprint(score[i].V), fmt.Sprintf("%v, the score in %s", want, strings.Join(p.Files, ", ")))
		}
		if want := p.Cohort.outcomes[k].Alive2yr; label[i].Valid && want.Valid && label[i].V != want.V {
			return t.fault(i, from, "alive_2yr", fmt.Sprint(label[i].V), fmt.Sprintf("%t, the label in %s", want.V, strings.Join(p.Files, ", ")))
		}
	}
	return nil
}
