package intake

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestMatchUp(t *testing.T) {
	m := parse(t, small)
	clinical := &Table{Rows: []Row{
		{Where: "line 2", Spelled: "a", ID: "a"},
		{Where: "line 3", Spelled: "b", ID: "b"},
		{Where: "line 4", Spelled: "c", ID: "c", Problem: "the age"},
		{Where: "line 5", Spelled: "HN 07", ID: "HN 07"},
		{Where: "line 6", Spelled: "", Problem: "no id"},
		{Where: "line 7", Spelled: "d", ID: "d", Problem: "its id stands in line 8 too"},
		{Where: "line 8", Spelled: "d", ID: "d", Problem: "its id stands in line 7 too"},
		{Where: "line 9", Spelled: "e", ID: "e", Problem: "the stage"},
	}}
	got := MatchUp(clinical, []Sight{{Spelled: "a"}, {Spelled: "b", Problem: "no contour"}, {Spelled: "c"}, {Spelled: "hn007"}, {Spelled: "d"}, {Spelled: "A"}}, m)
	type line struct{ id, state, reason, hint, alike string }
	var lines []line
	for _, x := range got {
		lines = append(lines, line{x.ID, x.State, x.Reason, x.Hint, x.Alike})
	}
	const several = "case, blanks, leading zeros or the signs between the parts"
	want := []line{
		{"", NoID, "no id", "", ""},
		{"A", NoRow, "no row of the clinical table has this id", "", ""},
		{"HN 07", NoImages, "no images have this id", "images with an id that differs by " + several + " only", "hn007"},
		{"a", Matched, "", "", ""},
		{"b", BadImages, "no contour", "", ""},
		{"c", BadRow, "the age", "", ""},
		{"d", BadRow, "its id stands in line 8 too", "", ""},
		{"e", NoImages, "no images have this id; besides, the row cannot be used: the stage", "", ""},
		{"hn007", NoRow, "no row of the clinical table has this id", "a clinical row with an id that differs by " + several + " only", "HN 07"},
	}
	if !reflect.DeepEqual(lines, want) {
		t.Errorf("%+v\nwant\n%+v", lines, want)
	}
	if n := Count(got); n[Matched] != 1 || n[NoRow] != 2 || n[BadRow] != 2 {
		t.Error(n)
	}
}

// Two spellings that the map makes one id are two patients until a person says otherwise.
func TestSeveralOfOneID(t *testing.T) {
	m := parse(t, small)
	w := &walker{lines: map[string]int{}}
	m.Images.ID = Spelling{Pattern: "0*(?P<patient>[0-9]+)"}
	m.Images.ID.check("images.id", w)
	got := MatchUp(&Table{Rows: []Row{{ID: "7", Spelled: "7"}}}, []Sight{{Spelled: "007"}, {Spelled: "7"}, {Spelled: "x7"}}, m)
	if len(w.problems) > 0 || len(got) != 2 || got[0].State != SeveralSame || len(got[0].Sights) != 2 || got[1].State != NoID || got[1].ID != "x7" {
		t.Errorf("%+v", got)
	}
}

func TestDifferences(t *testing.T) {
	for _, c := range []struct{ a, b, what string }{
		{"hn1", "HN1", "case"}, {"HN 1", "HN1", "blanks"}, {"HN01", "HN1", "leading zeros"}, {"7", "007", "leading zeros"}, {"HN-1", "HN_1", "signs between the parts"},
	} {
		all := []*Match{{nearly: c.a, State: NoImages, Row: &Row{Spelled: c.a}}, {nearly: c.b, State: NoRow}}
		hint(all)
		if want := "images with an id that differs by " + c.what + " only"; all[0].Hint != want || all[1].Alike != c.a {
			t.Errorf("%q and %q: %q, want %q", c.a, c.b, all[0].Hint, want)
		}
	}
	for _, c := range [][2]string{{"1", "10"}, {"HN1", "HM1"}, {"1-1", "11-"}, {"", "-"}, {"2-01", "20-1"}} {
		all := []*Match{{nearly: c[0], State: NoImages, Row: &Row{}}, {nearly: c[1], State: NoRow}}
		hint(all)
		if c[0] == "1-1" { // without signs both are 11: told, for a person to judge
			continue
		}
		if all[0].Hint != "" {
			t.Errorf("%q and %q: %q", c[0], c[1], all[0].Hint)
		}
	}
}

// An id that misses its pattern by case alone is told too.
func TestHintBesideThePattern(t *testing.T) {
	m := parse(t, strings.Replace(small, "{column: Patient}", "{column: Patient, pattern: 'NH-(?P<patient>[0-9]+)'}", 1))
	clinical, err := ReadClinical(write(t, "a.csv", "Patient,Age,Days,Dead\nnh- 17,60,900,y\n"), m)
	if err != nil {
		t.Fatal(err)
	}
	got := MatchUp(clinical, []Sight{{Spelled: "17"}}, m)
	if len(got) != 2 || got[0].Alike != "nh- 17" || got[1].Alike != "17" || got[1].Hint != "images with an id that differs by case or blanks only" {
		t.Errorf("%+v", got)
	}
}

func TestPairs(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"a/ct.nii.gz", "a/mask.nii.gz", "b/ct.nii.gz", "c/mask.nii.gz", "d/ct.nii.gz", "d/x/ct.nii.gz", "d/mask.nii.gz", "readme.txt"} {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text := small[:len(small)-len("images: {kind: dicom, roi: [GTV-1]}\n")] + `images: {kind: nifti, scan: '(?P<patient>[^/]+)/(x/)?ct\.nii\.gz', mask: '(?P<patient>[^/]+)/mask\.nii\.gz', labels: [1]}`
	pairs, other, err := parse(t, text).Images.Pairs(root)
	if err != nil {
		t.Fatal(err)
	}
	want := []Pair{
		{Spelled: "a", Scan: filepath.Join(root, "a", "ct.nii.gz"), Mask: filepath.Join(root, "a", "mask.nii.gz")},
		{Spelled: "b", Problem: "there is a scan and no mask"},
		{Spelled: "c", Problem: "there is a mask and no scan"},
		{Spelled: "d", Problem: "2 files fit images.scan; one is needed"},
	}
	if !reflect.DeepEqual(pairs, want) || !reflect.DeepEqual(other, []string{"readme.txt"}) {
		t.Errorf("%+v %v", pairs, other)
	}
}
