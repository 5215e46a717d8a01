package qcsheet

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hounsfield/datasets"
	"hounsfield/datasets/prepare"
	"hounsfield/datasets/table"
)

// names are the rules that hold for a contour, in the table's order.
func (c *contour) names() (out []string) {
	for _, h := range c.hits {
		out = append(out, h.rule.name)
	}
	return out
}

func judged(t testing.TB, rows []row, lost ...datasets.Exclusion) *cohort {
	t.Helper()
	all, err := read(folderOf(t, rows, lost...))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// byPatient finds the card of a patient's contour.
func (all *cohort) find(t testing.TB, patient string, scan int64, reader string) *contour {
	t.Helper()
	for _, c := range all.contours {
		if c.patient == patient && c.scan == scan && c.reader == reader {
			return c
		}
	}
	t.Fatalf("no card of %s, scan %d, reader %q", patient, scan, reader)
	return nil
}

// A sound cohort has no suspicion, with whatever numbers its patients have, large or small;
// its cards go by patient.
func TestSoundCohort(t *testing.T) {
	for _, n := range []int{1, 7, 8, 60, 422} {
		all := judged(t, cohortOf(n, nil))
		var ids []string
		for _, c := range all.contours {
			if len(c.hits) > 0 || c.score != 0 || c.level != none {
				t.Errorf("of %d, %s: %q", n, c.patient, c.hits[0].reason)
			}
			ids = append(ids, c.patient)
		}
		if len(ids) != n || !slices.IsSorted(ids) {
			t.Errorf("of %d: cards %q", n, ids)
		}
	}
}

// fault is a case for a rule.
type fault struct {
	rule   string
	change row   // of P003
	more   []row // rows besides
	lost   []datasets.Exclusion
	on     [2]string // scan and reader of the card, when it is not the first
	also   []string  // P003's other rules that the same fault wakes
	shared string    // the patient who has the same reason
	reason string
}

func faults() []fault {
	again := row{"patient_id": "P003", "scan": int64(2), "series_uid": "1.2.again", "qc_file": "P003/scan-2/qc.png", "scan_crc32": int64(77)}
	reader := row{"patient_id": "P003", "reader": "1", "qc_file": "P003/reader-1/qc.png"}
	third := sound(3)
	at := func(dx float64) row { return row{"com_x_mm": third["com_x_mm"].(float64) + dx} }
	return []fault{
		{rule: "scan of two patients", change: row{"scan_crc32": int64(1005)}, shared: "P005", reason: "the same scan, voxel by voxel, also stands under patient P005"},
		{rule: "series of two patients", change: row{"series_uid": "1.2.P005"}, shared: "P005", reason: "the same CT series (by its UID) also stands under patient P005"},
		{rule: "second scan is the first", more: []row{third.with(again).with(row{"scan_crc32": int64(1003)})}, on: [2]string{"2", ""}, reason: "the second scan is the first one again"},
		{rule: "contour of two patients", change: row{"com_x_mm": sound(5)["com_x_mm"], "com_y_mm": sound(5)["com_y_mm"], "com_z_mm": sound(5)["com_z_mm"], "mask_mm3": sound(5)["mask_mm3"]}, shared: "P005", reason: "patient P005 has exactly the same centre"},
		{rule: "same voxel in two patients", change: row{"centre_x": sound(5)["centre_x"], "centre_y": sound(5)["centre_y"], "centre_z": sound(5)["centre_z"]}, shared: "P005", reason: "the cube of patient P005"},
		{rule: "centre in the air around the patient", change: row{"skin_mm": 0.0}, reason: "in the air around the patient"},
		{rule: "centre near the skin", change: row{"skin_mm": 9.3}, reason: "only 9.3 mm from the skin"},
		{rule: "centre far from its mask", change: row{"com_off_mask_mm": 22.0}, reason: "22 mm outside the contour"},
		{rule: "centre beside its mask", change: row{"com_off_mask_mm": 2.0}, reason: "2 mm outside the contour"},
		{rule: "tumour beyond the cube", change: row{"mask_beyond_cube": 0.65}, reason: "65 % of the tumour"},
		{rule: "mask beyond the scan", change: row{"mask_outside_voxels": int64(40)}, reason: "40 voxels of the mask"},
		{rule: "contours beyond the scan", change: row{"contours_outside": int64(3), "notes": "3 contour(s) outside the scan left out"}, reason: "3 contours lie outside"},
		{rule: "tumour cut by the scan", change: row{"mask_edge_voxels": int64(120)}, reason: "(120 voxels): the tumour may be cut"},
		{rule: "contours partly beside the scan", change: row{"contours_clipped": int64(2), "notes": "2 contour(s) partly beside the scan"}, reason: "2 contours lie partly beside"},
		{rule: "tiny tumour", change: row{"mask_mm3": 60.0}, reason: "tiny: 0.06 cm³"},
		{rule: "enormous tumour", change: row{"mask_mm3": 2.1e6}, reason: "enormous: 2100 cm³"},
		{rule: "huge tumour", change: row{"mask_mm3": 6e5}, reason: "huge: 600 cm³"},
		{rule: "volume unlike the cohort's", change: row{"mask_mm3": 2000.0}, reason: "unusually small for this cohort: tumour volume 2 cm³; the middle half has 2"},
		{rule: "pieces far apart", change: row{"mask_gap_mm": 55.0, "mask_parts": int64(2), "mask_main_share": 0.6}, reason: "in 2 pieces, at least 55 mm apart"},
		{rule: "pieces apart", change: row{"mask_gap_mm": 12.0, "mask_parts": int64(3), "mask_main_share": 0.95}, reason: "in 3 pieces, 12 mm apart"},
		{rule: "much in small pieces", change: row{"mask_gap_mm": 3.0, "mask_parts": int64(3), "mask_main_share": 0.8}, reason: "the largest holds 80 %"},
		{rule: "no air in the scan", change: row{"hu_min": 0.0}, reason: "its darkest voxel has 0 HU"},
		{rule: "no bone in the scan", change: row{"hu_max": 90.0}, reason: "its brightest voxel has 90 HU"},
		{rule: "beyond a scanner's range", change: row{"hu_max": 12000.0}, reason: "12000 HU"},
		{rule: "darker than air in the cube", change: row{"cube_min": -0.25}, reason: "darker than air (−2048 HU)"},
		{rule: "metal in the cube", change: row{"cube_max": 0.95}, reason: "2866 HU"},
		{rule: "cube not of a chest", change: row{"cube_mean": 0.4}, reason: "averages 614 HU"},
		{rule: "cube unlike the cohort's", change: row{"cube_mean": 0.028}, reason: "unusually dark for this cohort"},
		{rule: "contour on air", change: row{"tumour_hu": -930.0}, reason: "below −930 HU"},
		{rule: "tumour of unlikely density", change: row{"tumour_hu": 420.0}, reason: "is 420 HU"},
		{rule: "density unlike the cohort's", change: row{"tumour_hu": -200.0}, reason: "unusually dark for this cohort: median within the tumour −200 HU"},
		{rule: "thick slices", change: row{"spacing_z_mm": 7.5}, reason: "7.5 mm apart"},
		{rule: "slices without a contour", change: row{"slices_gap": int64(2), "notes": "2 slice(s) without a contour inside the region"}, reason: "2 slices inside the tumour"},
		{rule: "contours off the slices", change: row{"contours_off_plane": int64(11), "notes": "11 contour(s) off the slice planes put on the nearest"}, reason: "11 contours do not lie on a slice"},
		{rule: "cube mostly beyond the scan", change: row{"padded_voxels": int64(70000)}, reason: "56 % of the cube"},
		{rule: "cube leaves the scan", change: row{"padded_voxels": int64(2500)}, reason: "2500 voxels are filled"},
		{rule: "second scan elsewhere", more: []row{third.with(again).with(at(140))}, on: [2]string{"2", ""}, reason: "140 mm from where"},
		{rule: "reader far from the reference", more: []row{third.with(reader).with(at(-60))}, on: [2]string{"1", "1"}, reason: "60 mm from the reference"},
		{rule: "reader off the reference", more: []row{third.with(reader).with(at(20))}, on: [2]string{"1", "1"}, reason: "20 mm from the reference"},
		{rule: "volume unlike the first's", change: row{"mask_mm3": 30000.0}, more: []row{third.with(reader).with(row{"mask_mm3": 5000.0})}, on: [2]string{"1", "1"}, also: []string{"volume unlike the cohort's"}, reason: "6-fold"},
		{rule: "volume differs from the first's", change: row{"mask_mm3": 21000.0}, more: []row{third.with(again).with(row{"mask_mm3": 50000.0})}, on: [2]string{"2", ""}, reason: "2.38-fold"},
		{rule: "notes of the preparation", change: row{"notes": "one of 3 CT series of the patient"}, reason: "one of 3 CT series"},
		{rule: "something left out", lost: []datasets.Exclusion{{Patient: "P003", Stage: "read CT", Reason: "a slice is missing"}, {Patient: "X", Stage: "s", Reason: "r"}}, reason: `left out at "read CT": a slice is missing`},
	}
}

// Every rule holds for a fault of its kind and says so in words, and for that contour alone.
func TestEveryRule(t *testing.T) {
	for _, c := range faults() {
		t.Run(c.rule, func(t *testing.T) {
			all := judged(t, append(cohortOf(40, map[int]row{3: c.change}), c.more...), c.lost...)
			scan, who := int64(1), c.on[1]
			if c.on[0] == "2" {
				scan = 2
			}
			card := all.find(t, "P003", scan, who)
			want := append(slices.Clone(c.also), c.rule)
			got := slices.Sorted(slices.Values(card.names()))
			if !slices.Equal(got, slices.Sorted(slices.Values(want))) {
				t.Fatalf("rules %q, want %q", got, want)
			}
			i := slices.IndexFunc(card.hits, func(h hit) bool { return h.rule.name == c.rule })
			if h := card.hits[i]; !strings.Contains(h.reason, c.reason) {
				t.Errorf("it says %q, not %q", h.reason, c.reason)
			}
			for _, other := range all.contours {
				if other != card && len(other.hits) > 0 && other.patient != c.shared {
					t.Errorf("%s, scan %d, reader %q: %q", other.patient, other.scan, other.reader, other.names())
				}
			}
			if c.shared != "" && !slices.Equal(all.find(t, c.shared, 1, "").names(), []string{c.rule}) {
				t.Errorf("%s shares it and has %q", c.shared, all.find(t, c.shared, 1, "").names())
			}
		})
	}
}

// The table of rules holds together, and each of them has its case above.
func TestRules(t *testing.T) {
	cases := table.ColumnOf(faults(), func(f fault) string { return f.rule })
	seen := map[string]bool{}
	for _, r := range rules {
		if !slices.Contains(cases, r.name) {
			t.Errorf("rule %q has no case among the faults", r.name)
		}
		if seen[r.name] || r.why == "" || r.limit() == "" || strings.Contains(r.name, "|") {
			t.Errorf("rule %q: twice, or without a why, a limit", r.name)
		}
		seen[r.name] = true
		if (r.level == wrong) != (r.weight > 4) || r.level != wrong && r.level != look {
			t.Errorf("rule %q: level %q with weight %v", r.name, r.level, r.weight)
		}
	}
	// Of the rules about one thing the stronger stand first.
	for i, r := range rules {
		for _, later := range rules[i+1:] {
			if later.about == r.about && later.weight > r.weight {
				t.Errorf("%q stands before %q, which weighs more", r.name, later.name)
			}
		}
	}
}

// Planted faults come on top, the worst first; equals by patient, scan, reader.
func TestOrder(t *testing.T) {
	all := judged(t, append(cohortOf(30, map[int]row{
		20: {"hu_min": 0.0, "hu_max": 90.0},                // 12
		11: {"scan_crc32": int64(1004)},                    // 10, and P004 too
		25: {"skin_mm": 0.0, "spacing_z_mm": 6.0},          // 10
		2:  {"mask_mm3": 50.0},                             // 5
		17: {"padded_voxels": int64(10), "skin_mm": 10.0},  // 5, though only to be looked at
		9:  {"mask_gap_mm": 12.0, "mask_parts": int64(2)},  // 2
		1:  {"notes": "one of 2 CT series of the patient"}, // 1
	}), sound(1).with(row{"reader": "b", "notes": "x"}), sound(1).with(row{"reader": "a", "notes": "x"})),
		datasets.Exclusion{Patient: "P999", Stage: "read CT", Reason: "no CT"})
	var got []string
	for _, c := range all.contours[:11] {
		got = append(got, fmt.Sprintf("%s%s %g %s", c.patient, c.reader, c.score, c.level))
	}
	want := []string{"P020 12 wrong?", "P004 10 wrong?", "P011 10 wrong?", "P025 10 wrong?", "P002 5 wrong?", "P017 5 look",
		"P009 2 look", "P001 1 look", "P001a 1 look", "P001b 1 look", "P000 0 "}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

// What is noted of most patients says what the cohort is; it is said once, and held against nobody.
// A note that a rule of its own names is not held against the patient twice.
func TestUsualNotes(t *testing.T) {
	changes := map[int]row{}
	for i := range 25 {
		changes[i] = row{"notes": fmt.Sprintf("one of %d CT series of the patient", 2+i%3)}
	}
	changes[3] = row{"notes": "one of 2 CT series of the patient; a note of its own"}
	changes[5] = row{"notes": "2 contour(s) partly beside the scan; one of 4 CT series of the patient", "contours_clipped": int64(2)}
	all := judged(t, cohortOf(40, changes))
	for _, c := range all.contours {
		want := []string(nil)
		switch c.patient {
		case "P003":
			want = []string{"notes of the preparation"}
		case "P005":
			want = []string{"contours partly beside the scan"}
		}
		if !slices.Equal(c.names(), want) {
			t.Errorf("%s: %q, want %q", c.patient, c.names(), want)
		}
	}
	if r := all.find(t, "P003", 1, "").hits[0].reason; r != "noted while preparing: a note of its own" {
		t.Errorf("P003: %q", r)
	}
	s, err := Write(folderOf(t, cohortOf(40, changes)))
	if err != nil || s.Look != 2 {
		t.Fatalf("%+v, %v", s, err)
	}
	page, err := os.ReadFile(s.File)
	if err != nil || !strings.Contains(string(page), "Noted of 25 of 40 patients, and so not held against any: one of ") {
		t.Errorf("the page does not say what is usual (%v)", err)
	}
	// Half of the patients is not most, and a few patients do not say what is usual.
	for n, noted := range map[int]int{40: 20, 7: 7} {
		changes := map[int]row{}
		for i := range noted {
			changes[i] = row{"notes": "no second scan with a contour"}
		}
		if s, err := Write(folderOf(t, cohortOf(n, changes))); err != nil || s.Look != noted {
			t.Errorf("%d of %d: %+v, %v", noted, n, s, err)
		}
	}
}

// Seven patients do not say what is usual; absolute limits hold all the same.
func TestSmallCohortHasNoOutliers(t *testing.T) {
	odd := map[int]row{3: {"mask_mm3": 900.0, "tumour_hu": -300.0, "cube_mean": 0.03}}
	if got := judged(t, cohortOf(7, odd)).find(t, "P003", 1, "").names(); got != nil {
		t.Errorf("of seven: %q", got)
	}
	want := []string{"volume unlike the cohort's", "cube unlike the cohort's", "density unlike the cohort's"}
	if got := judged(t, cohortOf(8, odd)).find(t, "P003", 1, "").names(); !slices.Equal(got, want) {
		t.Errorf("of eight: %q, want %q", got, want)
	}
}

func TestWrite(t *testing.T) {
	rows := cohortOf(12, map[int]row{4: {"mask_mm3": 50.0}, 7: {"spacing_z_mm": 6.0, "patient_id": `<b>"P&7"</b>`, "notes": "a </script><script>alert(1)</script>"}})
	folder := folderOf(t, rows, datasets.Exclusion{Patient: "LOST", Cohort: "made", Stage: "read CT", Reason: "uneven spacing", File: "a/b.dcm"})
	if err := os.Remove(filepath.Join(folder, "P002", "qc.png")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "P003", "qc.png"), []byte("no picture"), 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := Write(folder)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Summary{File: filepath.Join(folder, "qc.html"), Contours: 12, Wrong: 1, Look: 1}, s); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
	first, err := os.ReadFile(s.File)
	if err != nil {
		t.Fatal(err)
	}
	text := string(first)
	for _, want := range []string{"Contact sheet: made", "The picture P002/qc.png is missing", "The picture P003/qc.png cannot be read", "LOST", "uneven spacing",
		`src="P001/qc.png" width="120" height="80" loading="lazy"`, "&lt;b&gt;", "none of 12 is lower", "1 of 12 are lower",
		"at least a factor of 1.5 (tumour volume), 25 HU (median within the tumour), 60 HU (mean of the cube)", "from 8 patients on"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if n := strings.Count(text, "<script"); n != 1 || strings.Contains(text, "<b>\"P&7") {
		t.Errorf("%d scripts: what the tables say is not only text", n)
	}
	for _, far := range []string{"http://", "https://", "//cdn", "@import", "url("} {
		if strings.Contains(text, far) {
			t.Errorf("the page refers to %q", far)
		}
	}
	if _, err := Write(folder); err != nil {
		t.Fatal(err)
	}
	if again, err := os.ReadFile(s.File); err != nil || !bytes.Equal(first, again) {
		t.Errorf("a second sheet has other bytes (%v)", err)
	}
	if entries, err := filepath.Glob(filepath.Join(folder, ".*")); err != nil || len(entries) > 0 {
		t.Errorf("left behind: %q", entries)
	}
}

func TestWriteErrors(t *testing.T) {
	empty := t.TempDir()
	var not *prepare.NotPreparedError
	if _, err := Write(empty); !errors.As(err, &not) {
		t.Errorf("of a folder without tables: %v", err)
	}
	folder := folderOf(t, cohortOf(2, nil))
	if err := os.Remove(filepath.Join(folder, exclusionsFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := Write(folder); err == nil || !strings.Contains(err.Error(), "run it again") {
		t.Errorf("without exclusions: %v", err)
	}
	// Nobody prepared is a sheet too: it says why.
	s, err := Write(folderOf(t, nil, datasets.Exclusion{Patient: "A", Stage: "read contours", Reason: "none"}))
	if err != nil || s.Contours != 0 {
		t.Errorf("of nobody: %+v, %v", s, err)
	}
	page, err := os.ReadFile(s.File)
	if err != nil || !strings.Contains(string(page), "No contour was prepared") {
		t.Errorf("the page of nobody does not say so (%v)", err)
	}
}
