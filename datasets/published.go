package datasets

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"hounsfield/datasets/catalog"
	"hounsfield/datasets/table"
)

// Published is the release of Hosny et al. 2018 for one treatment: three cohorts
// with the network's scores.
type Published struct {
	// Cohort holds all patients; their Cohort and Role say which table each comes from.
	Cohort *Cohort
	// Scores are the published scores, aligned with Cohort.Patients.
	Scores []float64
	// ScoreColumn declares Scores for tables that hold them.
	ScoreColumn table.Column
	// Exclusions are the test patients without survival times (stage "survival"):
	// they count for the two-year AUC and not for survival curves.
	Exclusions []Exclusion
	// Files are the files read, as paths under the data folder.
	Files []string
}

// PublishedScore declares a score of the release. The release calls it logit_0; it
// is the softmax's probability of DEATH within two years, so it needs no turning
// round. logit_1 is the probability of being alive.
func PublishedScore() table.Column {
	return table.Column{Name: "score", Type: table.Float64, Unit: "probability", Range: table.Between(0, 1),
		Direction:   "higher = higher risk of death",
		Source:      "Hosny et al. 2018, release, column logit_0",
		Description: "published as a probability of death within two years (called logit_0 there); not calibrated"}
}

func publishedSchema() table.Schema {
	return table.Schema{Name: "published scores", Columns: []table.Column{
		{Name: "patient_id", Type: table.String, Nullable: true, Unique: true},
		{Name: "alive_2yr", Type: table.Bool},
		PublishedScore(),
		{Name: "p_alive", Type: table.Float64, Range: table.Between(0, 1)},
	}}
}

// ReadPublished reads the released tables of one treatment, "radiotherapy"
// (HarvardRT train, Radboud tune, Maastro test) or "surgery" (Moffitt, MUMC,
// M-SPORE), from a data folder. The label is the release's; Maastro's patients get
// clinical columns and survival from the table of nsclc-radiomics, and it is an
// error (*LabelError) when the label is not "survived more than 730 days" there.
//
// Ids are made unique: those of a public collection stay (LUNG1-002); a row number
// becomes HarvardRT-0151; a row without id gets its number in the file, Maastro-0179.
//
// If the table of nsclc-radiomics is not in the folder, all Maastro patients become
// exclusions of stage "survival" that say so; the scores do not need it.
func ReadPublished(dir, treatment string) (*Published, error) {
	entry, err := catalog.Load("hosny2018")
	if err != nil {
		return nil, err
	}
	return readPublished(dir, treatment, entry, catalog.Load)
}

func readPublished(dir, treatment string, entry catalog.Entry, load func(string) (catalog.Entry, error)) (*Published, error) {
	p := &Published{ScoreColumn: PublishedScore()}
	var patients []Patient
	var outcomes []Outcome
	var all []Feature
	var treatments []string
	for _, from := range entry.Tables {
		if !slices.Contains(treatments, from.Treatment) {
			treatments = append(treatments, from.Treatment)
		}
		if from.Treatment != treatment {
			continue
		}
		t, err := readTable(dir, from, publishedSchema())
		if err != nil {
			return nil, err
		}
		link, err := p.link(dir, from, load)
		if err != nil {
			return nil, err
		}
		p.Files = append(p.Files, from.File)
		label, score, alive := t.Bools("alive_2yr"), t.Float64s("score"), t.Float64s("p_alive")
		given := t.Strings("patient_id")
		for r := range t.Rows() {
			// The two are a softmax of single precision, printed with nine decimals.
			if math.Abs(score[r]+alive[r]-1) > 1e-6 {
				return nil, &table.ValueError{File: from.File, Table: "published scores", Line: t.Line(r), Row: r, Column: from.Columns["p_alive"].Header,
					Patient: given[r], Value: fmt.Sprint(alive[r]), Allowed: fmt.Sprintf("1 less %v, the probability of death", score[r])}
			}
			patient := Patient{ID: publishedID(from.Cohort, given[r], r+1)}
			outcome := Outcome{Alive2yr: table.Some(label[r])}
			reason, file := link.join(&patient, &outcome)
			if err := outcome.settle(patient.ID); err != nil {
				e := labelError(err)
				e.File, e.Line = from.File, t.Line(r)
				return nil, e
			}
			patient.Cohort, patient.Role = from.Cohort, Role(from.Role)
			if reason != "" && patient.Role == Test {
				p.Exclusions = append(p.Exclusions, Exclusion{Patient: patient.ID, Cohort: from.Cohort, Stage: "survival", Reason: reason, File: file})
			}
			patients, outcomes, p.Scores = append(patients, patient), append(outcomes, outcome), append(p.Scores, score[r])
		}
		if all, err = appendFeatures(all, features(t, publishedSchema()), len(patients) == t.Rows(), from.File); err != nil {
			return nil, err
		}
	}
	if len(patients) == 0 {
		return nil, &catalog.EntryError{File: entry.Name, Problem: fmt.Sprintf("no table has the treatment %q", treatment), Allowed: strings.Join(treatments, ", ")}
	}
	var err error
	p.Cohort, err = NewCohort(entry.Name+" "+treatment, patients, outcomes, all)
	return p, err
}

func publishedID(cohort, given string, row int) string {
	if given == "" {
		return fmt.Sprintf("%s-%04d", cohort, row)
	}
	if n, err := strconv.Atoi(given); err == nil {
		return fmt.Sprintf("%s-%04d", cohort, n)
	}
	return given
}

// survivalLink looks patients up in another entry's clinical table.
type survivalLink struct {
	cohort  *Cohort
	rows    map[string]int
	absent  string // why there is no table to look into
	file    string
	byThere string // the other entry's title
}

// link opens the clinical table that a released table names; its absence is told,
// not an error.
func (p *Published) link(dir string, from catalog.Table, load func(string) (catalog.Entry, error)) (survivalLink, error) {
	if from.Link == "" {
		return survivalLink{absent: "no survival times of " + from.Cohort + " have been released, only the label at two years", file: from.File}, nil
	}
	e, err := load(from.Link)
	if err != nil {
		return survivalLink{}, err
	}
	l := survivalLink{file: e.Tables[0].File, byThere: e.Title}
	if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(l.file))); errors.Is(err, os.ErrNotExist) {
		l.absent = fmt.Sprintf("the table with survival times, %s, is not in the data folder. %s", l.file, strings.TrimSpace(e.Obtain))
		return l, nil
	}
	if l.cohort, err = ReadClinical(dir, e); err != nil {
		return survivalLink{}, err
	}
	p.Files = append(p.Files, l.file)
	l.rows = make(map[string]int, len(l.cohort.Patients))
	for i, patient := range l.cohort.Patients {
		l.rows[patient.ID] = i
	}
	return l, nil
}

// join adds clinical columns and survival to a patient, or says why it cannot and
// which file is at fault.
func (l survivalLink) join(patient *Patient, outcome *Outcome) (reason, file string) {
	if l.cohort == nil {
		return l.absent, l.file
	}
	i, ok := l.rows[patient.ID]
	if !ok {
		return "the id is not in " + l.byThere + ": no survival time can be linked", l.file
	}
	*patient = l.cohort.Patients[i]
	outcome.SurvivalDays, outcome.Event = l.cohort.outcomes[i].SurvivalDays, l.cohort.outcomes[i].Event
	return "", ""
}
