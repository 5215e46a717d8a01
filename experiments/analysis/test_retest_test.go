package analysis

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"hounsfield/datasets/volume"
)

// again is a second scan of a patient, all of it denser by hu, its contour dx voxels on.
func again(s drawnScan, hu float64, dx int) *drawnScan {
	ct := volume.NewVolume(s.ct.Grid)
	for i, v := range s.ct.HU {
		ct.HU[i] = v + float32(hu)
	}
	return &drawnScan{ct: ct, mask: ball(ct.Grid, 15+dx, 14, 13, 4)}
}

func retested(t *testing.T, scans drawnScans) (*testRetest, *Result, error) {
	t.Helper()
	r := &testRetest{imaged: opened(t, drawnInput(t, scans), testRetestName, "test")}
	found, err := r.run(t.Context())
	return r, found, err
}

// scannedTwice are n patients with a second scan each.
func scannedTwice(n int, hu float64, dx int) drawnScans {
	var scans drawnScans
	for i := range n {
		s := patientScan(i)
		s.second = again(s, hu, dx)
		scans = append(scans, s)
	}
	return scans
}

// A second scan that is the first: everything agrees to the last bit.
func TestRetestOfTheSame(t *testing.T) {
	r, found, err := retested(t, scannedTwice(6, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	measures, err := r.measures()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{ICC1, ICCA1, ICCC1, ICCK, ICCAK, ICCCK, Spearman, concordance, GroupKappa} {
		near(t, measures, name, groupScore, 6, 1)
	}
	for _, name := range []string{Bias, LowerLimit, UpperLimit, withinSD, repeatability, Moved, MovedShare} {
		near(t, measures, name, groupScore, 6, 0)
	}
	// All tumours are alike: their volumes have no ICC, but no error either.
	near(t, measures, withinSD, groupVolume, 6, 0)
	near(t, measures, withinCV, groupVolume, 6, 0)
	if _, ok := measured(measures, ICC1, groupVolume); ok {
		t.Error("volumes that are all the same have an ICC")
	}
	if len(found.Exclusions) != 0 || len(found.Tables) != 2 || len(found.Figures) != 2 || len(found.Lines) != 1 {
		t.Errorf("%d exclusions, %d tables, %d figures, lines %v", len(found.Exclusions), len(found.Tables), len(found.Figures), found.Lines)
	}
	scores := found.Tables[1]
	if scores.Name != "test_retest_scores" || scores.Rows() != 6 || !reflect.DeepEqual(scores.Float64s("score_first"), scores.Float64s("score_second")) {
		t.Errorf("table %s of %d rows", scores.Name, scores.Rows())
	}
	if got := scores.Float64s("volume_first")[0]; got != r.all[0].mm3[0] || got < 200 {
		t.Errorf("volume %v mm3", got)
	}
}

// 4 HU more everywhere and a contour two voxels on: 0.006 more in each score.
func TestRetestShift(t *testing.T) {
	scans := scannedTwice(5, 4, 2)
	scans = append(scans, patientScan(5)) // scanned once: no exclusion
	r, found, err := retested(t, scans)
	if err != nil {
		t.Fatal(err)
	}
	measures, err := r.measures()
	if err != nil {
		t.Fatal(err)
	}
	approx := func(name string, want float64) {
		t.Helper()
		if m, ok := measured(measures, name, groupScore); !ok || m.N != 5 || !(math.Abs(m.Value-want) <= 1e-9) {
			t.Errorf("%s %v of %d, want %v", name, m.Value, m.N, want)
		}
	}
	approx(Bias, 0.006)
	approx(ICCC1, 1)
	approx(withinSD, 0.006/math.Sqrt2)
	// Scores run 0.0145 (the cube's middle is 14.5 voxels on), 0.0345, 0.0545, ...: with the
	// cut at 0.05 only a score between 0.044 and 0.05 would change sides.
	approx(Moved, 0)
	if len(found.Exclusions) != 0 {
		t.Errorf("exclusions %+v", found.Exclusions)
	}
	r.Cut = 0.0375
	if measures, err = r.measures(); err != nil {
		t.Fatal(err)
	}
	approx(Moved, 1)
	if m, _ := measured(measures, MovedShare, groupScore); m.Value != 0.2 || !m.Low.Valid {
		t.Errorf("share %+v", m)
	}
}

// Scans that cannot be read are exclusions with the reason; the rest goes on.
func TestRetestExclusions(t *testing.T) {
	scans := scannedTwice(6, 0, 0)
	scans[1].second = &drawnScan{err: errors.New("second.dcm is cut")}
	scans[2].second.mask = volume.NewMask(scans[2].ct.Grid)
	scans[4].err = errors.New("first.dcm is gone")
	r, found, err := retested(t, scans)
	if err != nil {
		t.Fatal(err)
	}
	want := []struct{ id, part string }{{"p01", "second.dcm is cut"}, {"p02", "second scan: empty mask"}, {"p04", "first.dcm is gone"}}
	if len(found.Exclusions) != len(want) || len(r.chosen) != 3 {
		t.Fatalf("exclusions %+v, %d patients left", found.Exclusions, len(r.chosen))
	}
	for i, w := range want {
		if e := found.Exclusions[i]; e.Patient != w.id || e.Stage != "analysis test_retest" || !strings.Contains(e.Reason, w.part) {
			t.Errorf("exclusion %+v, want %s: %s", e, w.id, w.part)
		}
	}
}

// Too few patients are told with the next step, before training and after.
func TestRetestTooFew(t *testing.T) {
	for n, says := range map[int]string{0: "0 of the 4 patients", 2: "2 of the 4 patients"} {
		scans := scannedTwice(n, 0, 0)
		for i := n; i < 4; i++ {
			scans = append(scans, patientScan(i))
		}
		_, _, err := retested(t, scans)
		var unfit *UnfitError
		if !errors.As(err, &unfit) || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "analysis.test_retest.imaging") {
			t.Errorf("%d patients scanned twice: %v", n, err)
		}
		if err := Ready(testRetestName, drawnInput(t, scans)); !errors.As(err, &unfit) || !strings.Contains(err.Error(), says) {
			t.Errorf("%d patients scanned twice, before training: %v", n, err)
		}
	}
	scans := scannedTwice(3, 0, 0)
	scans[1].second.mask = volume.NewMask(scans[1].ct.Grid)
	if _, _, err := retested(t, scans); err == nil || !strings.Contains(err.Error(), "(1 could not be used, the first p01: second scan: empty mask") {
		t.Errorf("a scan that is lost leaves two: %v", err)
	}
	if err := Ready(testRetestName, drawnInput(t, scannedTwice(3, 0, 0))); err != nil {
		t.Error(err)
	}
}

// The run's own score must come back from the first scan.
func TestRetestFindsFaults(t *testing.T) {
	scans := scannedTwice(4, 0, 0)
	in := drawnInput(t, scans)
	in.Scores[2] += 1e-4
	if _, err := (&testRetest{imaged: opened(t, in, testRetestName, "test")}).run(t.Context()); err == nil || !strings.Contains(err.Error(), "patient p02") {
		t.Errorf("a score that is not the run's: %v", err)
	}
	in = drawnInput(t, scans)
	in.Cubes[1] = in.Cubes[0]
	if _, err := (&testRetest{imaged: opened(t, in, testRetestName, "test")}).run(t.Context()); err == nil || !strings.Contains(err.Error(), "patient p01") {
		t.Errorf("a cube that is not the run's: %v", err)
	}
}
