package experiments

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"hounsfield/datasets"
	"hounsfield/datasets/dicom"
	"hounsfield/datasets/intake"
	"hounsfield/datasets/prepare"
	"hounsfield/datasets/pseudonym"
	"hounsfield/datasets/radiomics"
	"hounsfield/experiments/progress"
	"hounsfield/experiments/qcsheet"
)

// IntakeOptions are the choices of `hounsfield import` for a cohort.
type IntakeOptions struct {
	Images, Clinical, Map string // folder, table, YAML
	Out                   string // folder to fill; "" = imported/<cohort>
	DryRun                bool   // say what would be matched, write nothing but Report
	Report                string // with DryRun: file for the matching, .csv, .arrow or .parquet; "" = none

	// Pseudonymise replaces ids by keyed hashes; Key is the key's file, made anew with NewKey.
	// Crosswalk, when given, is a file for the ids beside their pseudonyms.
	Pseudonymise   bool
	Key, Crosswalk string
	NewKey         bool
	Ages90         bool // write every age above 89 as 90

	NoVolumes, Features bool
	Jobs                int
	Progress            *progress.Progress
}

// IntakeError is a choice for `hounsfield import` that cannot be.
type IntakeError struct {
	What, Problem, Next string
	Err                 error
}

func (e *IntakeError) Error() string {
	s := e.What + " " + e.Problem
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s + "; " + e.Next
}

func (e *IntakeError) Unwrap() error { return e.Err }

// cohortIntake is a cohort on its way in.
type cohortIntake struct {
	IntakeOptions
	m       intake.Map
	key     *pseudonym.Key // nil without pseudonyms
	table   *intake.Table
	pairs   []intake.Pair
	other   int // files below the folder of images that are of no use
	matches []intake.Match
	guard   *prepare.Guard
}

// ImportCohort reads a hospital's own cohort into a folder that a run trains on (data.source:
// prepared): a catalog entry, the clinical table in our columns, the prepared images, and what
// was matched and what not. With DryRun it says what would be matched and writes nothing.
//
// Errors: *IntakeError, *intake.MapError, *pseudonym.KeyError, those of intake.ReadClinical and
// prepare.Run, and *prepare.IdentityError for anything that tells who a patient is and would
// stand in an output.
func ImportCohort(ctx context.Context, o IntakeOptions, w io.Writer) error {
	in, err := newIntake(o)
	if err != nil {
		return err
	}
	if in.table, err = intake.ReadClinical(o.Clinical, in.m); err != nil {
		return err
	}
	if err := in.look(ctx); err != nil {
		return err
	}
	if o.DryRun {
		return in.dryRun(w)
	}
	return in.run(ctx, w)
}

// newIntake checks everything that can be checked before a file is read in earnest.
func newIntake(o IntakeOptions) (*cohortIntake, error) {
	text, err := os.ReadFile(o.Map)
	if err != nil {
		return nil, &IntakeError{"--map", "cannot be read", "`hounsfield import --example` prints a map to start from", err}
	}
	in := &cohortIntake{IntakeOptions: o, guard: new(prepare.Guard)}
	if in.m, err = intake.ParseMap(o.Map, text); err != nil {
		return nil, err
	}
	if in.Out == "" {
		in.Out = filepath.Join("imported", in.m.Cohort)
	}
	if info, err := os.Stat(o.Images); err != nil || !info.IsDir() {
		return nil, &IntakeError{"--images " + o.Images, "is no folder", "name the folder that holds the images", err}
	}
	switch {
	case within(in.Out, o.Images), within(o.Images, in.Out):
		return nil, &IntakeError{"--out " + in.Out, "holds the images or lies in their folder", "name a folder outside it with --out", nil}
	case o.Report != "" && !o.DryRun:
		return nil, &IntakeError{"--out-report", "is for --dry-run", "leave it out: the folder that is made holds the matching", nil}
	case o.Report != "" && !slices.Contains([]string{".csv", ".arrow", ".parquet"}, filepath.Ext(o.Report)):
		return nil, &IntakeError{"--out-report " + o.Report, "names no kind of table", "let it end in .csv, .arrow or .parquet", nil}
	case !o.Pseudonymise && (o.Key != "" || o.NewKey || o.Crosswalk != ""):
		return nil, &IntakeError{"--key, --new-key and --crosswalk", "are for pseudonyms", "add --pseudonymise, or leave them out", nil}
	case o.Pseudonymise && o.Key == "":
		return nil, &IntakeError{"--pseudonymise", "needs a key", "give the file of your key with --key FILE, and --new-key to have it made", nil}
	case o.NewKey && o.DryRun:
		return nil, &IntakeError{"--new-key", "would write a file, and a dry run writes none", "leave --pseudonymise out for the dry run", nil}
	case o.Crosswalk != "" && o.DryRun:
		return nil, &IntakeError{"--crosswalk", "would write a file, and a dry run writes none", "leave it out for the dry run", nil}
	}
	for _, f := range [][2]string{{"--key", o.Key}, {"--crosswalk", o.Crosswalk}} {
		if f[1] == "" {
			continue
		}
		if within(f[1], in.Out) || within(f[1], o.Images) {
			return nil, &IntakeError{f[0] + " " + f[1], "lies in the folder of the images or in the one that is made, and would be passed on with it", "name a place apart from both", nil}
		}
	}
	if err := in.crosswalkFree(); err != nil {
		return nil, err
	}
	switch {
	case o.NewKey:
		if in.key, err = pseudonym.Make(o.Key); err != nil {
			return nil, err
		}
	case o.Pseudonymise:
		if in.key, err = pseudonym.Read(o.Key); err != nil {
			return nil, err
		}
	}
	return in, nil
}

// within says whether a file is or lies below a folder, links followed as far as they lead to
// something that is there.
func within(file, folder string) bool {
	a, b := realPath(folder), realPath(file)
	rel, err := filepath.Rel(a, b)
	return err == nil && filepath.IsLocal(rel)
}

func realPath(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	for rest := ""; ; {
		if real, err := filepath.EvalSymlinks(abs); err == nil {
			return filepath.Join(real, rest)
		}
		up := filepath.Dir(abs)
		if up == abs {
			return filepath.Join(abs, rest)
		}
		rest, abs = filepath.Join(filepath.Base(abs), rest), up
	}
}

// options are those of the preparation, the same for the look before it.
func (in *cohortIntake) options() (prepare.Options, error) {
	cfg := Default()
	o := prepare.Options{
		Root: in.Images, Out: filepath.Join(in.Out, "prepared"), Cohort: in.m.Cohort, Rule: dicom.ROIRule{Exact: in.m.Images.ROI},
		Cube: cfg.cubeSpec(), KeepVolumes: !in.NoVolumes, Jobs: in.Jobs, Guard: in.guard, Pseudonyms: in.key,
		Provenance: map[string]string{"title": in.m.Title, "what": in.m.What, "licence": in.m.Licence, "cite": strings.Join(in.m.Cite, "; "), "treatment": in.m.Treatment},
	}
	if in.Features {
		s := radiomics.Published()
		o.Features = &s
	}
	if in.m.Images.Kind == intake.NIfTI {
		o.Pairs = []prepare.Pair{}
		for _, p := range in.pairs {
			if p.Problem == "" {
				o.Pairs = append(o.Pairs, prepare.Pair{Patient: p.Spelled, CT: p.Scan, Mask: p.Mask, Labels: in.m.Images.Labels})
			}
		}
		return o, nil
	}
	var err error
	if r := in.m.Images.Repeats; r != nil {
		o.Repeats, err = repeatsOf(*r)
	}
	return o, err
}

// look finds what there is among the images and holds it against the clinical table.
func (in *cohortIntake) look(ctx context.Context) error {
	for _, row := range in.table.Rows {
		in.identify("", &row)
	}
	var sights []intake.Sight
	if in.m.Images.Kind == intake.NIfTI {
		pairs, other, err := in.m.Images.Pairs(in.Images)
		if err != nil {
			return err
		}
		in.pairs, in.other = pairs, len(other)
		for _, p := range pairs {
			if p.Problem != "" {
				sights = append(sights, intake.Sight{Spelled: p.Spelled, Problem: p.Problem})
			}
		}
	}
	o, err := in.options()
	if err != nil {
		return err
	}
	if o.Pairs == nil || len(o.Pairs) > 0 {
		var bar *progress.Bar
		lost, err := prepare.Look(ctx, o, func(done, total int, s prepare.Sight) {
			if done == 1 {
				bar = in.Progress.Bar(total, "looking at the images of patients")
			}
			bar.Add(1)
			sights = append(sights, sight(s))
		})
		if err != nil {
			return err
		}
		if bar != nil {
			bar.Done()
		}
		in.other += len(lost)
	}
	in.matches = intake.MatchUp(in.table, sights, in.m)
	for _, m := range in.matches {
		if m.Row != nil && len(m.Sights) > 0 { // now it is known whose they are
			in.identify(m.Sights[0].Spelled, m.Row)
		}
	}
	return nil
}

func sight(s prepare.Sight) intake.Sight {
	out := intake.Sight{Spelled: s.Key, Series: s.Series, Files: len(s.Files), ROIs: s.ROIs}
	for _, f := range s.Files {
		if info, err := os.Stat(f); err == nil {
			out.Bytes += info.Size()
		}
	}
	for i, l := range s.Lost {
		if i == 0 && !s.Usable {
			out.Problem = l.Reason
			continue
		}
		out.Notes = append(out.Notes, l.Reason)
	}
	return out
}

// identify tells the guard what the clinical table says of who a patient is, by the id that the
// images have; "" is for one that is not known.
func (in *cohortIntake) identify(spelled string, row *intake.Row) {
	for _, i := range row.Identity {
		in.guard.Add(spelled, fmt.Sprintf("column %q of the clinical table", i.Column), i.Value)
	}
}

// id is a patient's id in the outputs.
func (in *cohortIntake) id(id string) string {
	if in.key == nil || id == "" {
		return id
	}
	return in.key.Patient(id)
}

// run makes the folder.
func (in *cohortIntake) run(ctx context.Context, w io.Writer) error {
	count := intake.Count(in.matches)
	if count[intake.Matched] == 0 {
		in.summary(w)
		return in.none()
	}
	if err := os.MkdirAll(in.Out, 0o755); err != nil {
		return &IntakeError{"--out " + in.Out, "cannot be made", "name a place that can be written to", err}
	}
	lock, err := LockFolder(in.Out)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := in.claim(); err != nil {
		return err
	}
	in.summary(w)
	o, err := in.options()
	if err != nil {
		return err
	}
	o.Patients = map[string]string{}
	for _, m := range in.matches {
		if m.Usable() {
			o.Patients[m.Sights[0].Spelled] = m.ID
		}
	}
	o.Also = func([]string, map[string]bool) []datasets.Exclusion { return in.exclusions() }
	bar := in.Progress.Bar(count[intake.Matched], "preparing patients")
	o.Progress = func(int, int, string) { bar.Add(1) }
	done, err := prepare.Run(ctx, o)
	if err != nil {
		return err
	}
	bar.Done()
	fmt.Fprintf(w, "%d of %d matched patients prepared\n", done.Prepared, done.Patients)
	imaging, err := prepare.ReadImaging(o.Out)
	if err != nil {
		return err
	}
	prepared := prepare.References(imaging)
	for i, m := range in.matches {
		if _, ok := prepared[in.id(m.ID)]; m.Usable() && !ok {
			in.matches[i].State, in.matches[i].Reason = intake.Lost, "see prepared/exclusions.arrow"
		}
	}
	if done.Prepared == 0 {
		return fmt.Errorf("no patient could be prepared; the reasons stand in %s", done.Exclusions)
	}
	sheet, err := qcsheet.Write(o.Out)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "look at every contour once: %s\n", filepath.Join(o.Out, filepath.Base(sheet.File)))
	return in.write(w)
}

// none is the error when nobody can be imported.
func (in *cohortIntake) none() error {
	return &IntakeError{"nobody of " + in.Clinical, "could be matched with usable images", "the reasons stand above; correct the map, and look with --dry-run", nil}
}

// intakeFile says what a folder was made from, as far as it must not change under it.
const intakeFile = "import.json"

type intakeRecord struct {
	Cohort     string `json:"cohort"`
	Pseudonyms string `json:"pseudonyms"` // fingerprint of the key, or none
	IDs        string `json:"ids"`        // SHA-256 of the rules that make ids
	Ages90     bool   `json:"ages_above_89_are_90"`
}

// claim makes sure that the folder is new or was made by this very import: what an earlier one
// with other ids has left, or with ids where now pseudonyms are wanted, must not stay beside.
func (in *cohortIntake) claim() error {
	rules, err := json.Marshal([]intake.Spelling{in.m.ID.Spelling, in.m.Images.ID})
	if err != nil {
		return err
	}
	sum := sha256.Sum256(rules)
	now := intakeRecord{Cohort: in.m.Cohort, Pseudonyms: "none", IDs: hex.EncodeToString(sum[:]), Ages90: in.Ages90}
	if in.key != nil {
		now.Pseudonyms = in.key.Fingerprint()
	}
	next := "name another folder with --out, or take this one away first"
	path := filepath.Join(in.Out, intakeFile)
	text, err := os.ReadFile(path)
	if err == nil {
		var before intakeRecord
		if json.Unmarshal(text, &before) != nil || before != now {
			return &IntakeError{"--out " + in.Out, "holds an import with another name, other rules for ids, another key or other ages", next, nil}
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	} else {
		files, err := os.ReadDir(in.Out)
		if err != nil {
			return err
		}
		for _, f := range files {
			if !strings.HasPrefix(f.Name(), ".") {
				return &IntakeError{"--out " + in.Out, fmt.Sprintf("holds %s and was not made by an import", f.Name()), next, nil}
			}
		}
		if text, err = json.MarshalIndent(now, "", "  "); err != nil {
			return err
		}
		if err := writeFile(path, append(text, '\n')); err != nil {
			return err
		}
	}
	// A table must not lie beside images of another run.
	for _, name := range intakeFiles {
		if err := os.Remove(filepath.Join(in.Out, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return &IntakeError{"--out " + in.Out, "cannot be written to", next, err}
		}
	}
	return nil
}
