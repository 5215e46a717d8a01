package experiments

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"hounsfield/datasets/intake"
	"hounsfield/datasets/table"
)

// summary prints how many patients there are of each state.
func (in *cohortIntake) summary(w io.Writer) {
	rows, sights := 0, 0
	var bytes int64
	for _, m := range in.matches {
		if m.Row != nil {
			rows++
		}
		for _, s := range m.Sights {
			sights++
			bytes += s.Bytes
		}
	}
	fmt.Fprintf(w, "cohort %s: %d rows in the clinical table, images of %d patients (%.1f GB)\n", in.m.Cohort, len(in.table.Rows), sights, float64(bytes)/1e9)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	count := intake.Count(in.matches)
	for _, state := range intake.States {
		if count[state] > 0 {
			fmt.Fprintf(t, "  %d\t%s\t%s\n", count[state], state, stateWords[state])
		}
	}
	t.Flush()
}

var stateWords = map[string]string{
	intake.Matched:     "row and images have the same id and can be used",
	intake.BadImages:   "there is a row; the images cannot be used",
	intake.BadRow:      "there are images; the row cannot be used",
	intake.NoImages:    "a row whose id no images have",
	intake.NoRow:       "images whose id no row has",
	intake.NoID:        "a row or images without an id, or one that fits no pattern",
	intake.SeveralSame: "images of several spellings that the map makes one id",
	intake.Lost:        "could not be prepared",
}

// most is how many patients of a kind are printed, and half of how many reasons and values; the
// report has all.
const most = 10

// dryRun says what would be matched and what not, and why.
func (in *cohortIntake) dryRun(w io.Writer) error {
	in.summary(w)
	for _, state := range intake.States {
		in.printState(state, w)
	}
	in.printCells(w)
	in.printHints(w)
	in.printRegions(w)
	in.printMatched(w)
	if n := len(in.table.Unused); n > 0 {
		fmt.Fprintf(w, "\ncolumns of the clinical table that are not carried over: %s\n", strings.Join(in.table.Unused, ", "))
	}
	if in.table.Blank > 0 {
		fmt.Fprintf(w, "empty rows, passed over: %d\n", in.table.Blank)
	}
	if in.other > 0 {
		fmt.Fprintf(w, "files below the folder of images that are of no use here: %d\n", in.other)
	}
	matched, files := 0, 0
	var size int64
	for _, m := range in.matches {
		if m.Usable() {
			matched++
			files += m.Sights[0].Files
			size += m.Sights[0].Bytes
		}
	}
	if matched == 0 {
		return errors.Join(in.report(w), in.none())
	}
	fmt.Fprintf(w, "\nA run would import %d patients: %d files, %.1f GB to read, about %s on two idle cores, %.1f GB to write.\nNothing was written.\n",
		matched, files, float64(size)/1e9, in.estimate(matched, size).Round(time.Second), in.written(matched, size)/1e9)
	return in.report(w)
}

// printState prints the patients of a state by the reasons that they share.
func (in *cohortIntake) printState(state string, w io.Writer) {
	if state == intake.Matched {
		return
	}
	who := map[string][]string{}
	for _, m := range in.matches {
		if m.State != state {
			continue
		}
		name := cmp.Or(m.ID, "no id")
		if m.Row != nil {
			name += " (" + m.Row.Where + ")"
		}
		reason := m.Reason
		for _, s := range m.Sights {
			reason = strings.TrimPrefix(strings.ReplaceAll(reason, fmt.Sprintf(" (patient %s)", s.Spelled), ""), fmt.Sprintf("patient %s: ", s.Spelled))
		}
		who[reason] = append(who[reason], name)
	}
	if len(who) == 0 {
		return
	}
	reasons := slices.SortedFunc(maps.Keys(who), func(a, b string) int { return cmp.Or(cmp.Compare(len(who[b]), len(who[a])), cmp.Compare(a, b)) })
	fmt.Fprintf(w, "\n%s:\n", state)
	for _, reason := range reasons[:min(len(reasons), 2*most)] {
		fmt.Fprintf(w, "  %s\n    %s\n", reason, shortList(who[reason]))
	}
	if n := len(reasons) - 2*most; n > 0 {
		fmt.Fprintf(w, "  and %d more reasons\n", n)
	}
}

// shown is a text of the files as it is printed: not when it tells who a patient is. Ids are
// shown as they are, for they must be compared.
func (in *cohortIntake) shown(text string) string {
	if err := in.guard.Check("", "the screen", "", text); err != nil {
		return "(not shown: it tells who the patient is)"
	}
	return text
}

// printCells prints the spellings that the map does not know, so that it can be completed.
func (in *cohortIntake) printCells(w io.Writer) {
	type cell struct{ column, text string }
	count := map[cell]int{}
	for _, r := range in.table.Rows {
		if r.Column != "" {
			count[cell{r.Column, r.Cell}]++
		}
	}
	if len(count) == 0 {
		return
	}
	cells := slices.SortedFunc(maps.Keys(count), func(a, b cell) int {
		return cmp.Or(cmp.Compare(a.column, b.column), cmp.Compare(count[b], count[a]), cmp.Compare(a.text, b.text))
	})
	fmt.Fprintln(w, "\nvalues of the clinical table that are not allowed, and in how many rows:")
	for _, c := range cells[:min(len(cells), 2*most)] {
		text := []rune(c.text)
		if len(text) > 40 {
			text = append(text[:40], '…')
		}
		fmt.Fprintf(w, "  %s: %s (%d)\n", c.column, in.shown(fmt.Sprintf("%q", string(text))), count[c])
	}
	if n := len(cells) - 2*most; n > 0 {
		fmt.Fprintf(w, "  and %d more\n", n)
	}
}

// printHints prints the ids that look alike.
func (in *cohortIntake) printHints(w io.Writer) {
	n := 0
	for _, m := range in.matches {
		if m.Hint == "" || m.Row == nil {
			continue
		}
		if n++; n == 1 {
			fmt.Fprintln(w, "\nids that look alike (nothing is matched by that; say it with id.pattern or images.id.pattern if they are the same):")
		}
		if n <= most {
			fmt.Fprintf(w, "  table %q, images %q: %s\n", m.Spelled(), m.Alike, m.Hint)
		}
	}
	if n > most {
		fmt.Fprintf(w, "  and %d more\n", n-most)
	}
}

// printRegions prints the names of the regions and of how many patients they are.
func (in *cohortIntake) printRegions(w io.Writer) {
	count := map[string]int{}
	for _, m := range in.matches {
		for _, s := range m.Sights {
			for _, name := range s.ROIs {
				count[name]++
			}
		}
	}
	if len(count) == 0 {
		return
	}
	names := slices.SortedFunc(maps.Keys(count), func(a, b string) int { return cmp.Or(cmp.Compare(count[b], count[a]), cmp.Compare(a, b)) })
	fmt.Fprintln(w, "\nregions drawn, and of how many patients (images.roi names the tumour's):")
	for _, name := range names[:min(len(names), 4*most)] {
		fmt.Fprintf(w, "  %s: %d\n", in.shown(fmt.Sprintf("%q", name)), count[name])
	}
	if n := len(names) - 4*most; n > 0 {
		fmt.Fprintf(w, "  and %d more\n", n)
	}
}

// Speeds and sizes for estimates, as seen on two idle cores with a warm disk: 36 scans of 1.6 MB
// took 3.1 s, one of 58 MB 0.6 s; with volumes kept the folders are 1.5 times the scans.
const (
	bytesPerSecond = 110e6
	perPatient     = 70 * time.Millisecond
	cubeBytes      = 2e6 // written a patient without volumes
	volumeShare    = 1.5 // of the scan's bytes, for its volume at 1 mm and the mask
)

// estimate is about how long a run takes.
func (in *cohortIntake) estimate(patients int, size int64) time.Duration {
	return time.Duration(patients)*perPatient + time.Duration(float64(size)/bytesPerSecond*float64(time.Second)) + time.Second
}

// written is about how much a run writes, bytes.
func (in *cohortIntake) written(patients int, size int64) float64 {
	out := float64(patients) * cubeBytes
	if !in.NoVolumes {
		out += float64(size) * volumeShare
	}
	return out
}

// shortList is a list that is cut when it is long.
func shortList(names []string) string {
	if n := len(names) - most; n > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), n)
	}
	return strings.Join(names, ", ")
}

// printMatched prints what is to be known of patients who would be imported.
func (in *cohortIntake) printMatched(w io.Writer) {
	var several []string
	lost := map[string][]string{}
	for _, m := range in.matches {
		if !m.Usable() {
			continue
		}
		if s := m.Sights[0]; s.Series > 1 {
			several = append(several, fmt.Sprintf("%s (%d)", m.ID, s.Series))
		}
		for _, note := range m.Sights[0].Notes {
			lost[note] = append(lost[note], m.ID)
		}
	}
	if several != nil {
		fmt.Fprintf(w, "\npatients with several CT series; the one that the contour was drawn on is used: %s\n", shortList(several))
	}
	if len(lost) > 0 {
		fmt.Fprintln(w, "\nlost of patients who would be imported:")
	}
	for _, note := range slices.Sorted(maps.Keys(lost)) {
		fmt.Fprintf(w, "  %s\n    %s\n", note, shortList(lost[note]))
	}
}

// report writes the matching into a file, where one is named.
func (in *cohortIntake) report(w io.Writer) error {
	if in.Report == "" {
		return nil
	}
	t, err := in.matching()
	if err != nil {
		return err
	}
	if filepath.Ext(in.Report) == ".csv" {
		err = writeCSV(in.Report, t)
	} else {
		err = t.Write(in.Report)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "The matching, patient by patient: %s\n", in.Report)
	return err
}

// writeCSV writes a table as text; null is an empty cell.
func writeCSV(path string, t *table.Table) error {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	columns := t.Schema().Columns
	err := w.Write(t.Schema().Names())
	for row := range t.Rows() {
		cells := make([]string, len(columns))
		for i, c := range columns {
			switch c.Type {
			case table.Int64:
				cells[i] = fmt.Sprint(t.Int64s(c.Name)[row])
			case table.Float64:
				cells[i] = fmt.Sprintf("%.3f", t.Float64s(c.Name)[row])
			default:
				cells[i] = t.Strings(c.Name)[row]
			}
		}
		err = errors.Join(err, w.Write(cells))
	}
	w.Flush()
	if err := errors.Join(err, w.Error()); err != nil {
		return err
	}
	return writeFile(path, b.Bytes())
}

// next says what is there and what to type now.
func (in *cohortIntake) next(w io.Writer, config []byte, rows int) error {
	at := func(name string) string { return filepath.Join(in.Out, name) }
	fmt.Fprintf(w, "catalog entry:  %s (%d patients)\ncohort table:   %s\nmatching:       %s\nids:            %s\nages:           %s\n",
		at("entry.yaml"), rows, at("cohort.arrow"), at("matching.arrow"), in.idWords(), in.ageWords())
	if in.Crosswalk != "" {
		fmt.Fprintf(w, "crosswalk:      %s (keep it secret, like the key)\n", in.Crosswalk)
	}
	fmt.Fprintln(w, "not done:       text burned into pixels is not looked for; faces are not taken out of scans of the head")
	if config == nil {
		_, err := fmt.Fprintf(w, "\nThe cohort has one role, %s: score it with a trained run (`hounsfield predict RUN %s --roi NAME`).\n", in.m.Role, in.Images)
		return err
	}
	_, err := fmt.Fprintf(w, "\n%s holds:\n\n%s\nTrain on it: hounsfield run %s\n", at("run.yaml"), indented(string(config)), at("run.yaml"))
	return err
}

func indented(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n  ") + "\n"
}
