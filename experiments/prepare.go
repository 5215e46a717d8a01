package experiments

import (
	"context"
	"fmt"
	"io"
	"strings"

	"hounsfield/datasets"
	"hounsfield/datasets/catalog"
	"hounsfield/datasets/dicom"
	"hounsfield/datasets/prepare"
	"hounsfield/experiments/progress"
)

// PrepareOptions are the choices of `hounsfield prepare`.
type PrepareOptions struct {
	Folder, Out string
	Dataset     string   // catalog entry whose ROI rule holds; its name is the cohort's
	ROI         []string // overrides the entry's rule
	NoVolumes   bool
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
	fmt.Fprintf(w, "ROI rule: %s (exact, case and blanks do not count)\n", strings.Join(rule.Exact, ", then "))
	cfg := Default()
	done, err := prepare.Run(ctx, prepare.Options{
		Root: o.Folder, Out: o.Out, Cohort: o.Dataset, Rule: rule, Cube: cfg.cubeSpec(), KeepVolumes: !o.NoVolumes, Jobs: o.Jobs,
		Progress: func(done, total int, patient string) { o.Progress.Say("prepared %d of %d: %s", done, total, patient) },
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%d of %d patients prepared\n", done.Prepared, done.Patients)
	if err := printPrepared(done.Imaging, w); err != nil {
		return err
	}
	lost, err := datasets.ReadExclusions(done.Exclusions)
	if err != nil {
		return err
	}
	printExclusions(lost, w)
	fmt.Fprintf(w, "imaging table: %s\nexclusions:    %s\n", done.Imaging, done.Exclusions)
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

func printPrepared(imaging string, w io.Writer) error {
	t, err := readImaging(imaging)
	if err != nil {
		return err
	}
	for i, id := range t.Strings("patient_id") {
		fmt.Fprintf(w, "%s: ROI %q, tumour %.1f cm3, centre of mass x %.1f y %.1f z %.1f mm, cube mean %.6f, %d voxels padded\n",
			id, t.Strings("roi")[i], t.Float64s("mask_mm3")[i]/1000, t.Float64s("com_x_mm")[i], t.Float64s("com_y_mm")[i], t.Float64s("com_z_mm")[i],
			t.Float64s("cube_mean")[i], t.Int64s("padded_voxels")[i])
	}
	return nil
}

func printExclusions(lost []datasets.Exclusion, w io.Writer) {
	for _, e := range lost {
		fmt.Fprintf(w, "left out: %s (%s): %s\n", e.Patient, e.Stage, e.Reason)
	}
}
