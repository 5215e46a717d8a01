package experiments

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"hounsfield/datasets"
	"hounsfield/datasets/catalog"
	"hounsfield/datasets/dicom"
	"hounsfield/datasets/prepare"
	"hounsfield/datasets/radiomics"
	"hounsfield/datasets/table"
	"hounsfield/experiments/progress"
)

// PrepareOptions are the choices of `hounsfield prepare`.
type PrepareOptions struct {
	Folder, Out string
	Dataset     string   // catalog entry whose ROI rule holds; its name is the cohort's
	ROI         []string // overrides the entry's rule
	Repeats     string   // overrides the entry's: none, scans, or readers=PATTERN; "" = the entry's
	NoVolumes   bool
	Features    bool // also compute engineered features, with the settings of the published tables
	Jobs        int
	Progress    *progress.Progress
}

// Prepare turns a folder tree of DICOM into cubes, pictures and tables and prints
// what it found and where it is. Patients that could not be used are rows of the
// exclusions table, and are named.
func Prepare(ctx context.Context, o PrepareOptions, w io.Writer) error {
	rule, err := roiRule(o.Dataset, o.ROI)
	if err != nil {
		return err
	}
	repeats, err := repeatsRule(o.Dataset, o.Repeats)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "ROI rule: %s (exact, case and blanks do not count)\n", strings.Join(rule.Exact, ", then "))
	if repeats.Kind != prepare.RepeatsNone {
		fmt.Fprintf(w, "repeats:  %s\n", repeats)
	}
	if _, err := os.Stat(o.Folder); err != nil {
		return fmt.Errorf("%w; name a folder of DICOM files", err)
	}
	if err := os.MkdirAll(o.Out, 0o755); err != nil {
		return fmt.Errorf("cannot make the folder for what is prepared: %w; name a place that can be written to with --out", err)
	}
	lock, err := LockFolder(o.Out)
	if err != nil {
		return err
	}
	defer lock.Close()
	cfg := Default()
	var features *radiomics.Settings
	if o.Features {
		s := radiomics.Published()
		features = &s
		fmt.Fprintf(w, "features: %s; Laplacians of Gaussian of %v mm\n", s, s.LoGMM)
	}
	done, err := prepare.Run(ctx, prepare.Options{
		Features: features,
		Root:     o.Folder, Out: o.Out, Cohort: o.Dataset, Rule: rule, Repeats: repeats, Cube: cfg.cubeSpec(), KeepVolumes: !o.NoVolumes, Jobs: o.Jobs,
		Progress: func(done, total int, patient string) { o.Progress.Say("prepared %d of %d: %s", done, total, patient) },
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%d of %d patients prepared", done.Prepared, done.Patients)
	switch repeats.Kind {
	case prepare.RepeatsScans:
		fmt.Fprintf(w, ", %d with a second scan", done.SecondScans)
	case prepare.RepeatsReaders:
		fmt.Fprintf(w, ", %d contours by other readers", done.Readings)
	}
	fmt.Fprintln(w)
	prepared, err := prepare.ReadImaging(o.Out)
	if err != nil {
		return err
	}
	printPrepared(prepared, w)
	lost, err := datasets.ReadExclusions(done.Exclusions)
	if err != nil {
		return err
	}
	have := prepare.References(prepared)
	kept, gone := []datasets.Exclusion{}, []datasets.Exclusion{}
	for _, e := range lost {
		if _, ok := have[e.Patient]; ok {
			kept = append(kept, e)
		} else {
			gone = append(gone, e)
		}
	}
	for _, e := range kept {
		fmt.Fprintf(w, "lost of %s, who is prepared (%s): %s\n", e.Patient, e.Stage, e.Reason)
	}
	printExclusions(gone, w)
	fmt.Fprintf(w, "imaging table: %s\nexclusions:    %s\n", done.Imaging, done.Exclusions)
	if o.Features {
		fmt.Fprintf(w, "features:      %s\n", filepath.Join(o.Out, prepare.FeaturesFile))
	}
	if done.Prepared == 0 {
		return fmt.Errorf("no patient of %s could be prepared; the reasons stand above", o.Folder)
	}
	return nil
}

// roiRule is the catalog's rule for the tumour's contour, or the names given.
func roiRule(dataset string, names []string) (dicom.ROIRule, error) {
	if len(names) > 0 {
		return dicom.ROIRule{Exact: names}, nil
	}
	entry, err := catalog.Load(dataset)
	if err != nil {
		return dicom.ROIRule{}, err
	}
	if entry.Images == nil {
		return dicom.ROIRule{}, fmt.Errorf("data set %s has no images and so no ROI rule; name the tumour's ROI with --roi NAME", dataset)
	}
	return dicom.ROIRule{Exact: entry.Images.ROI.Exact}, nil
}

// repeatsRule is the catalog's rule for patients with several scans or readers, or the one
// given.
func repeatsRule(dataset, given string) (prepare.Repeats, error) {
	rule := catalog.Repeats{Kind: given}
	switch pattern, readers := strings.CutPrefix(given, catalog.Readers+"="); {
	case given == "none":
		return prepare.Repeats{}, nil
	case given == catalog.Scans:
	case readers:
		rule = catalog.Repeats{Kind: catalog.Readers, Pattern: pattern}
	case given != "":
		return prepare.Repeats{}, fmt.Errorf("--repeats %s: it must be none, scans, or readers=PATTERN such as 'readers=^GTV-1vis-(?P<reader>[0-9])$'", given)
	default:
		entry, err := catalog.Load(dataset)
		if err != nil || entry.Images == nil || entry.Images.Repeats == nil {
			return prepare.Repeats{}, err
		}
		rule = *entry.Images.Repeats
	}
	readers, err := rule.ReaderRule()
	if err != nil {
		return prepare.Repeats{}, fmt.Errorf("--repeats: %w", err)
	}
	return prepare.Repeats{Kind: rule.Kind, Within: time.Duration(rule.WithinHours * float64(time.Hour)), Readers: readers}, nil
}

// printPrepared prints a line for each scan, with the readers who drew on it besides.
func printPrepared(t *table.Table, w io.Writer) {
	scans, readers, after, mm3 := t.Int64s("scan"), t.Strings("reader"), t.Float64s("after_minutes"), t.Float64s("mask_mm3")
	ids := t.Strings("patient_id")
	for i := 0; i < len(ids); {
		name := ids[i]
		if scans[i] > 1 {
			name += fmt.Sprintf(", scan %d", scans[i])
		}
		if after[i] > 0 {
			name += fmt.Sprintf(" (%.0f minutes later)", after[i])
		}
		fmt.Fprintf(w, "%s: ROI %q, tumour %.1f cm3, centre of mass x %.1f y %.1f z %.1f mm, cube mean %.6f, %d voxels padded",
			name, t.Strings("roi")[i], mm3[i]/1000, t.Float64s("com_x_mm")[i], t.Float64s("com_y_mm")[i], t.Float64s("com_z_mm")[i],
			t.Float64s("cube_mean")[i], t.Int64s("padded_voxels")[i])
		first := i + 1 // its readings follow it
		for i = first; i < len(ids) && readers[i] != ""; {
			i++
		}
		if i > first {
			fmt.Fprintf(w, "; %d other readers (%s), tumour %.1f to %.1f cm3", i-first, strings.Join(readers[first:i], ", "), slices.Min(mm3[first:i])/1000, slices.Max(mm3[first:i])/1000)
		}
		fmt.Fprintln(w)
	}
}

func printExclusions(lost []datasets.Exclusion, w io.Writer) {
	for _, e := range lost {
		fmt.Fprintf(w, "left out: %s (%s): %s\n", e.Patient, e.Stage, e.Reason)
	}
}
