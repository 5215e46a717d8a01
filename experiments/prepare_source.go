package experiments

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"hounsfield/datasets"
	"hounsfield/datasets/catalog"
	"hounsfield/datasets/dicom"
	"hounsfield/datasets/prepare"
	"hounsfield/datasets/radiomics"
	"hounsfield/datasets/table"
	"hounsfield/experiments/slurm"
)

// preparation is what a command asks to prepare, found and checked.
type preparation struct {
	PrepareOptions
	cohort   string // its name
	named    string // the source as a task on another machine is told it: the entry's name, or an absolute path
	folder   string // of DICOM
	root     string // the data folder; "" where a folder was given
	rule     dicom.ROIRule
	repeats  prepare.Repeats
	features *radiomics.Settings
	clinical *datasets.Cohort // nil where there is no clinical table
	tables   []string         // the files it was read from, below root
}

// open finds what there is to prepare, fetches what is not here where that was asked for, reads
// the clinical table, so that one that is broken is found before hours of work, and prints
// what will be done.
func (o PrepareOptions) open(ctx context.Context, w io.Writer) (*preparation, error) {
	p := &preparation{PrepareOptions: o}
	cohort, err := p.isCohort(w)
	if err != nil {
		return nil, err
	}
	var entry catalog.Entry
	if cohort {
		entry, err = p.openCohort()
	} else {
		err = p.openFolder()
	}
	if err != nil {
		return nil, err
	}
	if p.rule, err = roiRule(p.Dataset, p.ROI); err != nil {
		return nil, err
	}
	if p.repeats, err = repeatsRule(p.Dataset, p.Repeats); err != nil {
		return nil, err
	}
	if cohort {
		if err := p.find(ctx, entry, w); err != nil {
			return nil, err
		}
	}
	fmt.Fprintf(w, "ROI rule: %s (exact, case and blanks do not count)\n", strings.Join(p.rule.Exact, ", then "))
	if p.repeats.Kind != prepare.RepeatsNone {
		fmt.Fprintf(w, "repeats:  %s\n", p.repeats)
	}
	if p.Features {
		s := radiomics.Published()
		p.features = &s
		fmt.Fprintf(w, "features: %s; Laplacians of Gaussian of %v mm\n", s, s.LoGMM)
	}
	return p, p.makeOut()
}

// isCohort says whether the source is a cohort of the catalog, and makes sure that it is that
// or a folder.
func (p *preparation) isCohort(w io.Writer) (bool, error) {
	info, err := os.Stat(p.Source)
	switch {
	case slices.Contains(catalog.Names(), p.Source):
		if err == nil && info.IsDir() {
			fmt.Fprintf(w, "%s is a cohort of the catalog and a folder here: this is the cohort; for the folder type .%c%s\n", p.Source, filepath.Separator, p.Source)
		}
		return true, nil
	case err == nil && !info.IsDir():
		if filepath.Ext(p.Source) == ".yaml" {
			return true, nil
		}
		return false, fmt.Errorf("%s is a file; name a cohort, the .yaml of an entry, or a folder of DICOM files", p.Source)
	case errors.Is(err, fs.ErrNotExist) && !strings.ContainsRune(p.Source, filepath.Separator):
		problem := fmt.Sprintf("%q is neither a cohort of the catalog nor a folder here", p.Source)
		if near := table.NearestName(p.Source, catalog.Names()); near != "" {
			problem += fmt.Sprintf(" (did you mean %q?)", near)
		}
		return false, fmt.Errorf("%s; name one of %s, or a folder of DICOM files", problem, strings.Join(withImages(), ", "))
	case err != nil:
		return false, fmt.Errorf("%w; name a cohort, the .yaml of an entry, or a folder of DICOM files", err)
	}
	return false, nil
}

// withImages are the cohorts of the catalog that have scans.
func withImages() []string {
	return slices.DeleteFunc(catalog.Names(), func(name string) bool {
		e, err := catalog.Load(name)
		return err != nil || e.Images == nil
	})
}

func (p *preparation) openFolder() error {
	switch {
	case p.Fetch != nil:
		return fmt.Errorf("--fetch is for a cohort of the catalog, and %s is a folder; leave it out, or name one of %s", p.Source, strings.Join(withImages(), ", "))
	case p.Mirror != "":
		return fmt.Errorf("--mirror is for a cohort of the catalog, and %s is a folder; leave it out", p.Source)
	case p.Dataset == "":
		p.Dataset = "nsclc-radiomics"
	}
	if p.Out == "" {
		p.Out = "prepared"
	}
	p.cohort, p.folder = p.Dataset, p.Source
	if _, err := os.Stat(filepath.Join(p.Source, prepare.ImagingFile)); err == nil {
		return fmt.Errorf("%s is what an earlier command prepared; name the folder of the DICOM files that it was made from", p.Source)
	}
	in, err := os.Stat(p.Source)
	if err != nil {
		return err
	}
	if out, err := os.Stat(p.Out); err == nil && os.SameFile(in, out) {
		return fmt.Errorf("--out %s is the folder of the scans: what is prepared would lie among them; name another, which may be in it", p.Out)
	}
	p.named, err = filepath.Abs(p.Source)
	return err
}

// openCohort reads the cohort's entry.
func (p *preparation) openCohort() (catalog.Entry, error) {
	if p.Dataset != "" && p.Dataset != p.Source {
		return catalog.Entry{}, fmt.Errorf("--dataset %s: the cohort %s has its own rules; leave --dataset out, which is for folders, or name the folder", p.Dataset, p.Source)
	}
	entry, err := catalog.Load(p.Source)
	if err != nil {
		return entry, err
	}
	if entry.Images == nil {
		return entry, fmt.Errorf("data set %s has tables and no scans: there is nothing to prepare; those with scans are %s", entry.Name, strings.Join(withImages(), ", "))
	}
	p.Dataset, p.cohort, p.named = p.Source, entry.Name, p.Source
	if filepath.Ext(p.Source) == ".yaml" {
		if p.named, err = filepath.Abs(p.Source); err != nil {
			return entry, err
		}
	}
	if p.Out == "" {
		p.Out = filepath.Join("prepared", entry.Name)
	}
	return entry, nil
}

// find finds the scans and the clinical table of a cohort, fetched first where that was asked for.
func (p *preparation) find(ctx context.Context, entry catalog.Entry, w io.Writer) (err error) {
	if err := p.fetch(ctx, entry, w); err != nil {
		return err
	}
	var how string
	if p.root, how, err = catalog.Locate(entry, p.Mirror); err != nil {
		if fetchable(entry) && p.Fetch == nil {
			err = fmt.Errorf("%w; or let this command fetch it, with --fetch", err)
		}
		return err
	}
	p.folder = filepath.Join(p.root, filepath.FromSlash(entry.Images.Folder))
	if info, err := os.Stat(p.folder); err != nil || !info.IsDir() {
		next := "put them there: " + strings.TrimSpace(entry.Images.Obtain)
		if len(entry.Images.Sources) > 0 && p.Fetch == nil {
			next = fmt.Sprintf("fetch the scans with `hounsfield prepare %s --fetch`, or %s", slurm.Quote(p.Source), next)
		}
		return &catalog.NotFoundError{Entry: entry.Name, Root: p.root, How: how, Missing: []string{entry.Images.Folder}, Next: next}
	}
	if _, err := os.Stat(filepath.Join(p.folder, prepare.ImagingFile)); err == nil {
		return fmt.Errorf("cohort %s is prepared already, in %s: train on it with data.source: prepared and data.prepared.imaging: %s; to prepare it with other settings, make it again with `hounsfield import`", entry.Name, p.folder, p.folder)
	}
	fmt.Fprintf(w, "cohort:   %s, scans in %s\n", entry.Name, p.folder)
	if len(entry.Tables) == 0 {
		fmt.Fprintln(w, "clinical: none; nobody's outcome is known")
		return nil
	}
	for _, t := range entry.Tables {
		p.tables = append(p.tables, t.File)
	}
	if p.clinical, err = datasets.ReadClinical(p.root, entry); err != nil {
		return err
	}
	fmt.Fprintf(w, "clinical: %d patients in %s\n", len(p.clinical.Patients), strings.Join(p.tables, ", "))
	return nil
}

// fetch brings what is not here into the data folder, which is then the one to prepare from,
// also where a mirror was the source.
func (p *preparation) fetch(ctx context.Context, entry catalog.Entry, w io.Writer) (err error) {
	if p.Fetch == nil {
		return nil
	}
	f := *p.Fetch
	f.Mirror = p.Mirror
	p.Mirror, err = f.fetch(ctx, entry, p.Source, w)
	return err
}

// The cohort table in a prepared folder.
const (
	cohortFile    = "cohort.arrow"
	cohortParquet = "cohort.parquet"
)

// writeCohort writes the clinical table beside the imaging table, with all outcomes. A run
// folder seals those of test patients, because what it holds may be looked at while something
// is still chosen; a prepared folder comes before all choices, roles in it are only the
// catalog's, and without the outcomes nobody could ever evaluate from it. Whoever reads the
// file back finds the test role sealed again (datasets.ReadCohort).
func (p *preparation) writeCohort() error {
	files := []string{filepath.Join(p.Out, cohortFile), filepath.Join(p.Out, cohortParquet)}
	for _, file := range files {
		if p.clinical == nil { // an earlier run may have had one
			if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			continue
		}
		if err := p.clinical.Export(file, map[string]string{"data_set": p.cohort, "files": strings.Join(p.tables, ", ")}); err != nil {
			return &prepare.WriteError{Err: err}
		}
	}
	return nil
}

// Stages of the exclusions table for those who stand on one side only; a run on prepared scans
// uses the same words.
const (
	stageNoScan   = "image"
	stageClinical = "clinical"
)

// unmatched are rows of the exclusions table for clinical rows without a scan and for scans
// without a clinical row, by patient: so that one table accounts for everybody who is on
// either side. found are all patients whose scans were found, prepared those that have a cube.
func (p *preparation) unmatched(found []string, prepared map[string]bool) []datasets.Exclusion {
	if p.clinical == nil {
		return nil
	}
	scanned, known := map[string]bool{}, map[string]bool{}
	for _, id := range found {
		scanned[id] = true
	}
	var rows []datasets.Exclusion
	for _, patient := range p.clinical.Patients {
		known[patient.ID] = true
		if !scanned[patient.ID] {
			rows = append(rows, datasets.Exclusion{Patient: patient.ID, Cohort: p.cohort, Stage: stageNoScan, Reason: "the clinical table has this patient, and there is no scan"})
		}
	}
	for _, id := range found {
		if known[id] {
			continue
		}
		reason := "the clinical table does not have this patient"
		if prepared[id] {
			reason += ": the scan is prepared, and the outcome is not known"
		}
		rows = append(rows, datasets.Exclusion{Patient: id, Cohort: p.cohort, Stage: stageClinical, Reason: reason, File: p.tables[0]})
	}
	slices.SortFunc(rows, func(a, b datasets.Exclusion) int { return strings.Compare(a.Patient, b.Patient) })
	return rows
}
