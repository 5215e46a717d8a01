package experiments

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/google/renameio/v2"

	"hounsfield/datasets"
	"hounsfield/datasets/catalog"
	"hounsfield/datasets/intake"
	"hounsfield/datasets/table"
)

// The files of an imported cohort, besides those of the preparation. The entry comes last and
// goes first: a folder with it is whole.
var intakeFiles = []string{"entry.yaml", "run.yaml", "clinical.csv", "cohort.arrow", "cohort.parquet", "matching.arrow", "matching.parquet"}

// matched is a row of the matching table, as it is written.
type matchedRow struct {
	id, state, reason, hint, row, rois string
	series, files                      int64
	megabytes                          float64
}

func matchingSchema() table.Schema {
	text := func(name, about string) table.Column {
		return table.Column{Name: name, Type: table.String, Nullable: true, Description: about}
	}
	return table.Schema{Name: "matching", Columns: []table.Column{
		text("patient_id", "id by the map's rules, or its pseudonym; null where there is none or it would tell who the patient is"),
		{Name: "state", Type: table.String, Allowed: append(slices.Clone(intake.States), withheld), Description: "what became of the patient"},
		text("reason", "why it is not in the cohort"),
		text("hint", "an id of the other side that looks alike; nothing was matched by it"),
		text("row", "of the clinical table; null with pseudonyms"),
		{Name: "series", Type: table.Int64, Description: "CT series, or scans, with this id"},
		{Name: "files", Type: table.Int64, Description: "files of them, contours included"},
		{Name: "megabytes", Type: table.Float64, Unit: "MB", Description: "size of these files, in 1e6 bytes"},
		text("roi_seen", "regions drawn, parted by |; null with pseudonyms"),
	}}
}

// withheld is the state of a row that would tell who the patient is.
const withheld = "withheld"

// rows are the matches as they are written, sorted by id: with pseudonyms their order tells
// nothing of that of the clinical table. A row with a text that the guard knows loses its
// texts, and the patient is left out of the cohort.
func (in *cohortIntake) rows() []matchedRow {
	var out []matchedRow
	for _, m := range in.matches {
		r := matchedRow{id: in.id(m.ID), state: m.State, reason: m.Reason, hint: m.Hint}
		var rois []string
		for _, s := range m.Sights {
			r.series += int64(s.Series)
			r.files += int64(s.Files)
			r.megabytes += float64(s.Bytes) / 1e6
			rois = append(rois, s.ROIs...)
		}
		if in.key == nil {
			slices.Sort(rois)
			rois = slices.Compact(rois)
			for i, name := range rois {
				if in.guard.Check(r.id, "matching.arrow", "roi_seen", name) != nil {
					rois[i] = "(withheld)"
				}
			}
			r.rois = strings.Join(rois, "|")
			if m.Row != nil {
				r.row = m.Row.Where
			}
		}
		// Reasons are the program's own words, or have passed the guard when they were found.
		if err := in.leak(m.ID); err != nil {
			r = matchedRow{state: withheld, reason: "the id would say who the patient is; import with --pseudonymise, or give the patient another id", series: r.series, files: r.files, megabytes: r.megabytes}
		}
		out = append(out, r)
	}
	slices.SortStableFunc(out, func(a, b matchedRow) int {
		return cmp.Or(cmp.Compare(a.id, b.id), cmp.Compare(a.state, b.state), cmp.Compare(a.row, b.row), cmp.Compare(a.reason, b.reason))
	})
	return out
}

// leak is the error of an id that tells who the patient is.
func (in *cohortIntake) leak(id string) error {
	if in.key != nil {
		return nil // outputs hold its pseudonym
	}
	return in.guard.Check(id, "clinical.csv", "patient_id", id)
}

// matching is the matching table.
func (in *cohortIntake) matching() (*table.Table, error) {
	rows := in.rows()
	text := func(cell func(matchedRow) string) []datasets.Null[string] {
		return table.ColumnOf(rows, func(r matchedRow) datasets.Null[string] {
			v := cell(r)
			return datasets.Null[string]{V: v, Valid: v != ""}
		})
	}
	return table.New(matchingSchema(), in.origin(), map[string]any{
		"patient_id": text(func(r matchedRow) string { return r.id }),
		"state":      table.ColumnOf(rows, func(r matchedRow) string { return r.state }),
		"reason":     text(func(r matchedRow) string { return r.reason }),
		"hint":       text(func(r matchedRow) string { return r.hint }),
		"row":        text(func(r matchedRow) string { return r.row }),
		"series":     table.ColumnOf(rows, func(r matchedRow) int64 { return r.series }),
		"files":      table.ColumnOf(rows, func(r matchedRow) int64 { return r.files }),
		"megabytes":  table.ColumnOf(rows, func(r matchedRow) float64 { return r.megabytes }),
		"roi_seen":   text(func(r matchedRow) string { return r.rois }),
	})
}

// origin is what the tables say of where they come from.
func (in *cohortIntake) origin() map[string]string {
	return map[string]string{"cohort": in.m.Cohort, "made_by": "hounsfield import", "ids": in.idWords(), "ages": in.ageWords()}
}

func (in *cohortIntake) idWords() string {
	if in.key == nil {
		return "those of the hospital's files"
	}
	return "pseudonyms by HMAC-SHA-256, fingerprint of the key " + in.key.Fingerprint()
}

func (in *cohortIntake) ageWords() string {
	if in.Ages90 {
		return "years; every age above 89 is written as 90"
	}
	return "years, as they are"
}

// exclusions are the matches that are not in the cohort, as rows of the exclusions table.
func (in *cohortIntake) exclusions() []datasets.Exclusion {
	var out []datasets.Exclusion
	for i, r := range in.rows() {
		if r.state == intake.Matched || r.state == intake.Lost {
			continue
		}
		e := datasets.Exclusion{Patient: cmp.Or(r.id, fmt.Sprintf("no-id-%d", i+1)), Cohort: in.m.Cohort, Stage: "import", Reason: r.state}
		if r.reason != "" {
			e.Reason += ": " + r.reason
		}
		out = append(out, e)
	}
	return out
}

// clinical are the patients that stand in the cohort's table, by id: all whose row can be used,
// with images or without, so that a run can say whom it lacks.
func (in *cohortIntake) clinical() (patients []datasets.Patient, outcomes []datasets.Outcome) {
	usable := slices.DeleteFunc(slices.Clone(in.matches), func(m intake.Match) bool {
		return m.Row == nil || m.Row.Problem != "" || m.Row.ID == "" || in.leak(m.ID) != nil
	})
	slices.SortFunc(usable, func(a, b intake.Match) int { return cmp.Compare(in.id(a.ID), in.id(b.ID)) })
	for _, m := range usable {
		p := m.Row.Patient
		p.ID = in.id(m.ID)
		if in.m.Role != "" {
			p.Role = datasets.Role(in.m.Role)
		}
		if in.Ages90 && p.Age.Valid && p.Age.V > 89 {
			p.Age.V = 90
		}
		patients, outcomes = append(patients, p), append(outcomes, m.Row.Outcome)
	}
	return patients, outcomes
}

// clinicalCSV is the clinical table as text, under our names; an empty cell is null.
func clinicalCSV(patients []datasets.Patient, outcomes []datasets.Outcome) ([]byte, error) {
	number := func(v datasets.Null[float64]) string {
		if !v.Valid {
			return ""
		}
		return strconv.FormatFloat(v.V, 'g', -1, 64)
	}
	truth := func(v datasets.Null[bool]) string {
		if !v.Valid {
			return ""
		}
		return strconv.FormatBool(v.V)
	}
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	err := w.Write(importedColumns)
	for i, p := range patients {
		o := outcomes[i]
		err = errors.Join(err, w.Write([]string{p.ID, number(p.Age), p.Sex.V, p.Histology.V, p.T.V, p.N.V, p.M.V, p.Stage.V,
			number(o.SurvivalDays), truth(o.Event), truth(o.Alive2yr)}))
	}
	w.Flush()
	return b.Bytes(), errors.Join(err, w.Error())
}

var importedColumns = []string{"patient_id", "age", "sex", "histology", "t", "n", "m", "stage", "survival_days", "event", "alive_2yr"}

// write writes what stands beside the prepared images, the catalog entry last, and says how a
// run is started.
func (in *cohortIntake) write(w io.Writer) error {
	patients, outcomes := in.clinical()
	text, err := clinicalCSV(patients, outcomes)
	if err != nil {
		return err
	}
	cohort, err := datasets.NewCohort(in.m.Cohort, patients, outcomes, nil)
	if err != nil {
		return err
	}
	if s := in.m.Split; s != nil {
		if cohort, err = cohort.Assign(datasets.Split{Tune: s.TuneFraction, Test: s.TestFraction, Seed: s.Seed}); err != nil {
			return err
		}
	}
	matching, err := in.matching()
	if err != nil {
		return err
	}
	at := func(name string) string { return filepath.Join(in.Out, name) }
	err = errors.Join(
		writeFile(at("clinical.csv"), text),
		cohort.Export(at("cohort.arrow"), in.origin()), cohort.Export(at("cohort.parquet"), in.origin()),
		matching.Write(at("matching.arrow")), matching.Write(at("matching.parquet")),
		in.writeCrosswalk(),
	)
	if err != nil {
		return err
	}
	config, err := in.config()
	if err != nil {
		return err
	}
	if config != nil {
		if err := writeFile(at("run.yaml"), config); err != nil {
			return err
		}
	}
	entry, err := in.entry(text, len(patients))
	if err != nil {
		return err
	}
	if _, err := catalog.Parse(in.m.Cohort+".yaml", entry); err != nil {
		return fmt.Errorf("the entry made of the map is none, a fault of this program: %w", err)
	}
	if err := writeFile(at("entry.yaml"), entry); err != nil {
		return err
	}
	return in.next(w, config, len(patients))
}

// entry is the catalog's description of the cohort.
func (in *cohortIntake) entry(clinical []byte, rows int) ([]byte, error) {
	m := in.m
	role := cmp.Or(m.Role, string(datasets.Train))
	columns := yaml.MapSlice{}
	for _, name := range importedColumns {
		columns = append(columns, yaml.MapItem{Key: name, Value: yaml.MapSlice{{Key: "header", Value: name}}})
	}
	images := yaml.MapSlice{
		{Key: "folder", Value: "prepared"},
		{Key: "modality", Value: map[string]string{intake.DICOM: "CT, RTSTRUCT or SEG", intake.NIfTI: "CT and mask, NIfTI"}[m.Images.Kind]},
		{Key: "layout", Value: "as `hounsfield prepare` writes it: one folder per patient beside imaging.arrow"},
		{Key: "roi", Value: yaml.MapSlice{{Key: "exact", Value: orElse(m.Images.ROI, in.labels())}, {Key: "why", Value: "named in the map of the import"}}},
		{Key: "obtain", Value: "prepared already, by `hounsfield import`"},
	}
	if r := m.Images.Repeats; r != nil {
		given := *r
		given.Why = cmp.Or(given.Why, "said so in the map of the import")
		images = append(images, yaml.MapItem{Key: "repeats", Value: given})
	}
	quirks := []string{
		"Ids are " + in.idWords() + ".",
		"Ages are in " + in.ageWords() + ". No dates are written, only ages and durations.",
		"Text burned into the pixels was not looked for, and faces were not taken out of scans of the head: look before passing scans on.",
	}
	if s := m.Split; s != nil {
		quirks = append(quirks, fmt.Sprintf("Roles are dealt out by a hash of the id: %g tune, %g test, seed %d.", s.TuneFraction, s.TestFraction, s.Seed))
	}
	return yaml.Marshal(yaml.MapSlice{
		{Key: "name", Value: m.Cohort},
		{Key: "title", Value: cmp.Or(m.Title, "Imported cohort "+m.Cohort)},
		{Key: "what", Value: cmp.Or(m.What, "Patients of a hospital, imported by `hounsfield import`.")},
		{Key: "study", Value: "none: a cohort of the user's own"},
		{Key: "licence", Value: m.Licence},
		{Key: "terms", Value: yaml.MapSlice{{Key: "commercial", Value: "unclear"}, {Key: "redistribution", Value: "unclear"}, {Key: "note", Value: "as the licence says, in the words of who imported it"}}},
		{Key: "cite", Value: orElse(m.Cite, "not published")},
		{Key: "obtain", Value: "made by `hounsfield import` from a hospital's own files"},
		{Key: "files", Value: []yaml.MapSlice{{{Key: "path", Value: "clinical.csv"}, {Key: "size", Value: len(clinical)}, {Key: "sha256", Value: digest(clinical)}, {Key: "what", Value: "clinical table, under the names of the cohort's columns"}}}},
		{Key: "tables", Value: []yaml.MapSlice{{
			{Key: "file", Value: "clinical.csv"}, {Key: "cohort", Value: m.Cohort}, {Key: "role", Value: role}, {Key: "treatment", Value: m.Treatment}, {Key: "rows", Value: rows}, {Key: "columns", Value: columns},
		}}},
		{Key: "images", Value: images},
		{Key: "quirks", Value: quirks},
	})
}

// labels are the values of NIfTI masks, as the imaging table names them.
func (in *cohortIntake) labels() string {
	many := ""
	if len(in.m.Images.Labels) > 1 {
		many = "s"
	}
	return "label" + many + " " + strings.Trim(strings.ReplaceAll(fmt.Sprint(in.m.Images.Labels), " ", ", "), "[]")
}

func orElse(list []string, otherwise string) []string {
	if len(list) > 0 {
		return list
	}
	return []string{otherwise}
}

// config is the experiment that trains on the cohort; nil for a cohort with one role.
func (in *cohortIntake) config() ([]byte, error) {
	s := in.m.Split
	if s == nil {
		return nil, nil
	}
	name := strings.Trim(notForNames.ReplaceAllString(strings.ToLower(in.m.Cohort), "-"), "-")
	return yaml.Marshal(yaml.MapSlice{
		{Key: "experiment", Value: name},
		{Key: "description", Value: "A network trained on the imported cohort " + in.m.Cohort + "."},
		{Key: "data", Value: yaml.MapSlice{
			{Key: "source", Value: SourcePrepared},
			{Key: "prepared", Value: yaml.MapSlice{
				{Key: "imaging", Value: filepath.Join(in.Out, "prepared")}, {Key: "dataset", Value: filepath.Join(in.Out, "entry.yaml")},
				{Key: "tune_fraction", Value: s.TuneFraction}, {Key: "test_fraction", Value: s.TestFraction}, {Key: "split_seed", Value: s.Seed},
			}},
		}},
	})
}

const crosswalkTitle = "id,pseudonym\n"

// crosswalkFree refuses to write the crosswalk over anything but one.
func (in *cohortIntake) crosswalkFree() error {
	if in.Crosswalk == "" {
		return nil
	}
	text, err := os.ReadFile(in.Crosswalk)
	if err == nil && !bytes.HasPrefix(text, []byte(crosswalkTitle)) {
		return &IntakeError{"--crosswalk " + in.Crosswalk, "is there and is no crosswalk", "name another file", nil}
	}
	return nil
}

// writeCrosswalk writes the ids beside their pseudonyms, for its owner alone.
func (in *cohortIntake) writeCrosswalk() error {
	if in.Crosswalk == "" {
		return nil
	}
	var b bytes.Buffer
	b.WriteString(crosswalkTitle)
	w := csv.NewWriter(&b)
	for _, m := range in.matches {
		if m.ID != "" && m.State != intake.NoID {
			if err := w.Write([]string{m.ID, in.id(m.ID)}); err != nil {
				return err
			}
		}
	}
	w.Flush()
	if err := renameio.WriteFile(in.Crosswalk, b.Bytes(), 0o600, renameio.WithPermissions(0o600)); err != nil {
		return &IntakeError{"--crosswalk " + in.Crosswalk, "cannot be written", "name a place that can be written to", err}
	}
	return nil
}
