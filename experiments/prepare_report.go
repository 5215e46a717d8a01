package experiments

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"hounsfield/datasets"
	"hounsfield/datasets/prepare"
	"hounsfield/datasets/table"
	"hounsfield/experiments/qcsheet"
)

// linesFor is up to how many patients, or rows of the exclusions table, each is printed.
const linesFor = 10

// report prints what was prepared: a line for each patient of a small cohort, counts of a large
// one, and the files to open next.
func (p *preparation) report(done prepare.Summary, qc qcsheet.Summary, w io.Writer) error {
	fmt.Fprintf(w, "%d of %d patients prepared", done.Prepared, done.Patients)
	switch p.repeats.Kind {
	case prepare.RepeatsScans:
		fmt.Fprintf(w, ", %d with a second scan", done.SecondScans)
	case prepare.RepeatsReaders:
		fmt.Fprintf(w, ", %d contours by other readers", done.Readings)
	}
	fmt.Fprintln(w, p.kept(done))
	imaging, err := prepare.ReadImaging(p.Out)
	if err != nil {
		return err
	}
	if done.Prepared <= linesFor {
		printPrepared(imaging, w)
	}
	lost, err := datasets.ReadExclusions(done.Exclusions)
	if err != nil {
		return err
	}
	if len(lost) <= linesFor {
		p.printLost(lost, imaging, w)
	} else if err := countLost(lost, w); err != nil {
		return err
	}
	if qc.Contours > 0 {
		fmt.Fprintf(w, "to look at: %d contours are likely wrong, %d worth a look, of %d\n", qc.Wrong, qc.Look, qc.Contours)
	}
	if n := len(done.Gone); n > 0 {
		fmt.Fprintf(w, "no longer among the scans: %d patients, whose folders are left as they are (%s)\n", n, someOf(done.Gone))
	}
	p.printFiles(done, qc, w)
	if done.Prepared == 0 {
		return fmt.Errorf("no patient of %s could be prepared; the reasons stand above and in %s", p.folder, done.Exclusions)
	}
	return nil
}

// kept says how much of it an earlier run had made.
func (p *preparation) kept(done prepare.Summary) string {
	switch {
	case done.Kept == 0:
		return ""
	case p.Verify:
		return fmt.Sprintf(" (%d kept, their files and inputs hashed again; %d made anew)", done.Kept, done.Redone)
	}
	return fmt.Sprintf(" (%d kept from before, %d made anew)", done.Kept, done.Redone)
}

// someOf are the first few of many names.
func someOf(names []string) string {
	if len(names) > linesFor {
		names = append(slices.Clone(names[:linesFor]), "...")
	}
	return strings.Join(names, ", ")
}

// printLost prints a line for each row of the exclusions table: first those of patients who are
// prepared all the same.
func (p *preparation) printLost(lost []datasets.Exclusion, imaging *table.Table, w io.Writer) {
	have := prepare.References(imaging)
	var gone []datasets.Exclusion
	for _, e := range lost {
		if _, ok := have[e.Patient]; ok {
			fmt.Fprintf(w, "lost of %s, who is prepared (%s): %s\n", e.Patient, e.Stage, e.Reason)
		} else {
			gone = append(gone, e)
		}
	}
	printExclusions(gone, w)
}

// countLost prints the rows of the exclusions table by stage, with whom and why for an example.
func countLost(lost []datasets.Exclusion, w io.Writer) error {
	var stages []string
	by := map[string][]datasets.Exclusion{}
	for _, e := range lost {
		if by[e.Stage] == nil {
			stages = append(stages, e.Stage)
		}
		by[e.Stage] = append(by[e.Stage], e)
	}
	slices.SortStableFunc(stages, func(a, b string) int { return len(by[b]) - len(by[a]) })
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "lost at\trows\tfor example")
	for _, stage := range stages {
		const most = 120
		first := by[stage][0]
		reason := []rune(strings.Join(strings.Fields(first.Reason), " "))
		if len(reason) > most {
			reason = append(reason[:most-1], '…')
		}
		fmt.Fprintf(t, "%s\t%d\t%s: %s\n", stage, len(by[stage]), first.Patient, string(reason))
	}
	return t.Flush()
}

// printFiles names the files to open next.
func (p *preparation) printFiles(done prepare.Summary, qc qcsheet.Summary, w io.Writer) {
	fmt.Fprintf(w, "contours to check: %s\nimaging table:     %s\nexclusions:        %s\n", qc.File, done.Imaging, done.Exclusions)
	if p.clinical != nil {
		fmt.Fprintf(w, "cohort table:      %s\n", filepath.Join(p.Out, cohortFile))
	}
	if p.features != nil {
		fmt.Fprintf(w, "features:          %s\n", filepath.Join(p.Out, prepare.FeaturesFile))
	}
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
