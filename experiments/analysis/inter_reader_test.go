package analysis

import (
	"errors"
	"math"
	"strings"
	"testing"

	"hounsfield/datasets"
	"hounsfield/datasets/volume"
	"hounsfield/experiments/report"
)

// drawnBy are n patients whom each reader drew dx(patient, reader) voxels on.
func drawnBy(n int, names []string, dx func(i, reader int) int) drawnScans {
	var scans drawnScans
	for i := range n {
		s := patientScan(i)
		for r, name := range names {
			s.readings = append(s.readings, datasets.Reading{Reader: name, Mask: ball(s.ct.Grid, 15+dx(i, r), 14, 13, 4)})
		}
		scans = append(scans, s)
	}
	return scans
}

func readBy(t *testing.T, scans drawnScans, readers ...string) (*interReader, *Result, error) {
	t.Helper()
	in := drawnInput(t, scans)
	in.Settings.InterReader.Readers = readers
	r := &interReader{imaged: opened(t, in, interReaderName, "test"), set: in.Settings.InterReader}
	found, err := r.run(t.Context())
	return r, found, err
}

func judged(t *testing.T, r *interReader) []Measure {
	t.Helper()
	f, err := r.judge()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range f.measures {
		if repeatWords[m.Name] == "" {
			t.Errorf("%s has no words for the report", m.Name)
		}
	}
	return f.measures
}

// Readers who draw the same contour agree to the last bit.
func TestReadersAlike(t *testing.T) {
	r, found, err := readBy(t, drawnBy(6, []string{"B", "A"}, func(int, int) int { return 0 }))
	if err != nil {
		t.Fatal(err)
	}
	all := judged(t, r)
	for _, group := range []string{groupReaders, groupAllContours} {
		for _, name := range []string{ICC1, ICCA1, ICCC1, ICCK, ICCAK, ICCCK, meanSpearman, GroupKappa} {
			near(t, all, name, group, 6, 1)
		}
		for _, name := range []string{withinSD, repeatability, Moved, MovedShare} {
			near(t, all, name, group, 6, 0)
		}
	}
	near(t, all, meanDice, groupContourPairs, 6, 1)
	near(t, all, meanDistance, groupContourPairs, 6, 0)
	near(t, all, sameCubeShare, groupContourPairs, 6, 1)
	for _, pair := range []string{"reference and A", "reference and B", "A and B"} {
		near(t, all, Spearman, pair, 6, 1)
		near(t, all, meanDice, pair, 6, 1)
		near(t, all, MovedShare, pair, 6, 0)
	}
	if len(found.Exclusions) != 0 || len(found.Tables) != 3 || len(found.Figures) != 2 || len(found.Lines) != 1 {
		t.Errorf("%d exclusions, %d tables, %d figures, lines %v", len(found.Exclusions), len(found.Tables), len(found.Figures), found.Lines)
	}
	if n := found.Tables[1].Rows(); n != 18 {
		t.Errorf("%d rows of scores, want 3 for each of 6 patients", n)
	}
	if n := found.Tables[2].Rows(); n != 18 {
		t.Errorf("%d rows of pairs, want 3 for each of 6 patients", n)
	}
}

// A reader whose contours lie 0, 1, 2, 3, 4 voxels on: each voxel is 1 mm and 0.001.
func TestReadersApart(t *testing.T) {
	r, found, err := readBy(t, drawnBy(5, []string{"A"}, func(i, _ int) int { return i }))
	if err != nil {
		t.Fatal(err)
	}
	all := judged(t, r)
	near(t, all, meanDistance, groupContourPairs, 5, 2)
	near(t, all, sameCubeShare, groupContourPairs, 5, 0.2)
	near(t, all, distanceSpearman, groupContourPairs, 5, 1)
	near(t, all, diceSpearman, groupContourPairs, 5, -1)
	// Within-patient variance: (0+1+4+9+16)/2 of 5 patients, in millionths.
	near(t, all, withinSD, groupAllContours, 5, math.Sqrt(3e-6))
	if _, ok := measured(all, ICC1, groupReaders); ok {
		t.Error("one reader is no group")
	}
	pairs := found.Tables[2]
	for i, want := range []float64{0, 1, 2, 3, 4} {
		if got := pairs.Float64s("centre_distance")[i]; math.Abs(got-want) > 1e-9 {
			t.Errorf("patient %d: centres %v mm apart, want %v", i, got, want)
		}
		if got := pairs.Float64s("score_difference")[i]; math.Abs(got-want/1000) > 1e-9 {
			t.Errorf("patient %d: scores differ by %v, want %v", i, got, want/1000)
		}
		if got := pairs.Bools("same_cube")[i]; got != (want == 0) {
			t.Errorf("patient %d: the same cube %t", i, got)
		}
		overlap, err := volume.CompareMasks(ball(slope(0, 0).Grid, 15, 14, 13, 4), ball(slope(0, 0).Grid, 15+i, 14, 13, 4))
		if err != nil {
			t.Fatal(err)
		}
		if got := pairs.Float64s("dice")[i]; math.Abs(got-overlap.Dice) > 1e-12 {
			t.Errorf("patient %d: Dice %v, want %v", i, got, overlap.Dice)
		}
	}
	// The third score, 0.0545, lies above the cut of 0.05 for both; at 0.0555 the reader's
	// score, 0.0565, alone is above it.
	near(t, all, Moved, groupAllContours, 5, 0)
	r.Cut = 0.0555
	near(t, judged(t, r), Moved, groupAllContours, 5, 1)
}

// Names that disagree are told and not matched; a reader on a grid of its own is compared
// all the same.
func TestReadersUneven(t *testing.T) {
	scans := drawnBy(6, []string{"A", "B"}, func(int, int) int { return 1 })
	scans[1].readings[1].Reader = "b"
	scans[2].readings[1].Reader = "B "
	scans[3].readings = scans[3].readings[:1]
	fine := scans[0].ct.Grid.Isotropic(0.5)
	scans[0].readings[0].Mask = volume.ResampleMask(scans[0].readings[0].Mask, fine)
	r, found, err := readBy(t, scans)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(r.readers, "|"); got != "A|B|B |b" {
		t.Errorf("readers %s", got)
	}
	if len(found.Lines) != 1 || strings.Contains(found.Lines[0], "NaN") {
		t.Errorf("lines %q", found.Lines)
	}
	all := judged(t, r)
	near(t, all, MovedShare, "reference and A", 6, 0)
	near(t, all, MovedShare, "A and B", 3, 0)
	if _, ok := measured(all, ICC1, groupAllContours); ok {
		t.Error("no patient was drawn by all, and yet there is an ICC")
	}
	said := text(found.Section.Blocks)
	for _, want := range []string{"A 6, B 3, B  1, b 1", "need patients whom all readers drew: 0", "analysis.inter_reader.readers"} {
		if !strings.Contains(said, want) {
			t.Errorf("the report does not say %q:\n%s", want, said)
		}
	}
	// Named readers alone count.
	if r, found, err = readBy(t, scans, "A", "B"); err != nil {
		t.Fatal(err)
	}
	near(t, judged(t, r), ICCC1, groupReaders, 3, 1)
	if said := text(found.Section.Blocks); strings.Contains(said, "analysis.inter_reader.readers") || !strings.Contains(said, "A 6, B 3") {
		t.Error(said)
	}
	var wrong *SettingError
	if _, _, err := readBy(t, scans, "A", "C"); !errors.As(err, &wrong) || !strings.Contains(err.Error(), "readers[1]") || !strings.Contains(err.Error(), "A, B, B , b") {
		t.Errorf("a reader who is not there: %v", err)
	}
}

// Contours that cannot be used are exclusions; patients without readers are none.
func TestReadersExclusions(t *testing.T) {
	scans := drawnBy(6, []string{"A", "B"}, func(int, int) int { return 0 })
	scans[0].readings[0].Mask = volume.NewMask(scans[0].ct.Grid)
	scans[1].readings[1].Reader = "A" // twice, once of nothing
	scans[1].readings[0].Mask = volume.NewMask(scans[1].ct.Grid)
	scans[2].err = errors.New("scan.dcm is gone")
	scans[3].readings = nil
	r, found, err := readBy(t, scans)
	if err != nil {
		t.Fatal(err)
	}
	if r.drew["A"] != 4 || r.drew["B"] != 3 { // p02 and p03 have none, p01 has two of A
		t.Errorf("patients by reader %v", r.drew)
	}
	want := []struct{ id, part string }{{"p00", `reader "A": empty mask`}, {"p01", `two are of the reader "A"`}, {"p02", "scan.dcm is gone"}}
	if len(found.Exclusions) != len(want) || len(r.scored) != 3 {
		t.Fatalf("exclusions %+v, %d patients left", found.Exclusions, len(r.scored))
	}
	for i, w := range want {
		if e := found.Exclusions[i]; e.Patient != w.id || e.Stage != "analysis inter_reader" || !strings.Contains(e.Reason, w.part) {
			t.Errorf("exclusion %+v, want %s: %s", e, w.id, w.part)
		}
	}
}

// A reader whom nobody knows is told before training.
func TestReadersNamed(t *testing.T) {
	in := drawnInput(t, drawnBy(3, []string{"A", "B"}, func(int, int) int { return 0 }))
	in.Settings.InterReader.Readers = []string{"B", "C"}
	for _, in.Settings.InterReader.Perturb.Draws = range []int{0, 2} {
		var wrong *SettingError
		if err := Ready(interReaderName, in); !errors.As(err, &wrong) || !strings.Contains(err.Error(), "readers[1]") || !strings.Contains(err.Error(), "A, B") {
			t.Errorf("%d draws: %v", in.Settings.InterReader.Perturb.Draws, err)
		}
	}
	in.Settings.InterReader.Readers = []string{"B", "A"}
	if err := Ready(interReaderName, in); err != nil {
		t.Error(err)
	}
}

// Patients of the cohort whom the networks learned from are told of, those looked at alone.
func TestReadersLearnedFrom(t *testing.T) {
	scans := drawnBy(5, []string{"A"}, func(int, int) int { return 0 })
	scans[4].readings = nil
	in := drawnInput(t, scans)
	for _, i := range []int{1, 2, 4} {
		in.Cohort.Patients[i].Role = datasets.Train
	}
	r := &interReader{imaged: opened(t, in, interReaderName, roleAll), set: in.Settings.InterReader}
	found, err := r.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if said := text(found.Section.Blocks); !strings.Contains(said, "2 of these patients stand in the run's train or tune role (p01, p02)") {
		t.Error(said)
	}
}

// Nobody drew a second contour: the next step is told, before training and after.
func TestReadersNone(t *testing.T) {
	scans := drawnScans{patientScan(0), patientScan(1)}
	_, _, err := readBy(t, scans)
	var unfit *UnfitError
	if !errors.As(err, &unfit) || !strings.Contains(err.Error(), "analysis.inter_reader.perturb.draws") {
		t.Errorf("got %v", err)
	}
	in := drawnInput(t, scans)
	if err := Ready(interReaderName, in); !errors.As(err, &unfit) {
		t.Errorf("before training: %v", err)
	}
	in.Settings.InterReader.Perturb.Draws = 2
	if err := Ready(interReaderName, in); err != nil {
		t.Error(err)
	}
}

// text is what blocks of a report say.
func text(blocks []report.Block) string {
	var b strings.Builder
	say := func(p report.Paragraph) {
		for _, s := range p {
			b.WriteString(s.Text + "\n")
		}
	}
	for _, block := range blocks {
		switch x := block.(type) {
		case report.Paragraph:
			say(x)
		case report.List:
			for _, p := range x {
				say(p)
			}
		case report.Callout:
			for _, p := range x.Body {
				say(p)
			}
		case report.Table:
			say(x.Note)
			for _, row := range x.Rows {
				say(row.Cells)
			}
		}
	}
	return b.String()
}
