package dicom

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/suyashkumar/dicom/pkg/tag"

	"hounsfield/datasets/volume"
)

func TestReaderRule(t *testing.T) {
	names := []ReaderROI{{"AB", "GTV ab"}, {"cd ", "GTV-cd"}}
	for _, c := range []struct {
		named        []ReaderROI
		pattern      string
		name, reader string
	}{
		{names, "", "gtvAB", "ab"}, {names, "", " GTV-CD\x00", "cd"}, {names, "", "GTV-ab", ""}, {names, "", "", ""},
		{nil, `^GTV-1vis-(?P<reader>[0-9])$`, "gtv-1 VIS-3", "3"}, {nil, `^GTV-1vis-(?P<reader>[0-9])$`, "GTV-1vis-12", ""},
		{nil, `^GTV-1vis-(?P<reader>[0-9])$`, "my GTV-1vis-1", ""},
		// Anchors inside an alternative do not free the other one.
		{nil, `^GTV-(?P<reader>a|b)|GTV$`, "GTV-axx", ""}, {nil, `^GTV-(?P<reader>a|b)|GTV$`, "xGTV", ""}, {nil, `^GTV-(?P<reader>a|b)|GTV$`, "GTV-B", "b"},
		{nil, `^GTV(?P<reader>[a-z]*)$`, "GTV", ""}, // nobody's name
	} {
		r, err := NewReaderRule(c.named, c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Reader(c.name); got != c.reader {
			t.Errorf("%v: %q is by %q, want %q", r, c.name, got, c.reader)
		}
	}
	if r, err := NewReaderRule(names, ""); err != nil || !slices.Equal(r.Readers(), []string{"ab", "cd"}) || r.String() != "ab drew GTV ab, cd drew GTV-cd" {
		t.Errorf("readers %q of %v, error %v", r.Readers(), r, err)
	}
	if (ReaderRule{}).Reader("GTV") != "" {
		t.Error("the zero rule knows somebody")
	}
	for _, c := range []struct {
		named   []ReaderROI
		pattern string
		says    string
	}{
		{nil, "", "neither"}, {names, "^(?P<reader>.)$", "both given"}, {nil, "(?P<reader>.)$", "begin with ^"}, {nil, "^(?P<reader>.)", "end in $"},
		{nil, "^(?P<reader>.$", "missing closing"}, {nil, "^GTV$", "0 groups"}, {nil, "^GTV (?P<reader>.)$", "has a blank"}, {nil, "^(?P<reader>a)(?P<reader>b)$", "reader"},
		{[]ReaderROI{{"a", ""}}, "", "empty"}, {[]ReaderROI{{" ", "GTV"}}, "", "empty"}, {[]ReaderROI{{"a", "x"}, {"A ", "y"}}, "", `"a" stands there twice`},
		{[]ReaderROI{{"a", "G T V"}, {"b", "gtv"}}, "", `"gtv" stands there twice`},
	} {
		var bad *ReaderRuleError
		if _, err := NewReaderRule(c.named, c.pattern); !errors.As(err, &bad) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v %q: error %v, want %q", c.named, c.pattern, err, c.says)
		}
	}
}

func TestAcquired(t *testing.T) {
	at := time.Date(2006, 9, 20, 12, 15, 30, 0, time.UTC)
	for _, c := range []struct {
		both, date, clock string
		want              time.Time
	}{
		{"", "20060920", "121530", at}, {"", "20060920", "121530.250000 ", at.Add(250 * time.Millisecond)}, {"", "2006.09.20", "12:15:30", at},
		{"", "20060920", "1215", at.Add(-30 * time.Second)}, {"", "20060920", "12", at.Add(-15*time.Minute - 30*time.Second)},
		{"20060920121530.5+0100", "19990101", "000000", at.Add(500 * time.Millisecond)},
		{"20060920121530-0500", "", "", at},
		{"", "20060920", "", time.Time{}}, {"", "", "121530", time.Time{}}, {"", "20060920", "noon", time.Time{}}, {"", "20061320", "121530", time.Time{}}, {"20060920", "", "", time.Time{}},
	} {
		e := elements{}
		for _, v := range []struct {
			t    tag.Tag
			text string
		}{{tag.AcquisitionDateTime, c.both}, {tag.AcquisitionDate, c.date}, {tag.AcquisitionTime, c.clock}} {
			if v.text != "" {
				e.text(v.t, v.text)
			}
		}
		if got := acquired(dataset(e)); !got.Equal(c.want) {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

// A series was acquired when its first image was; a series that does not say is at no time.
func TestSeriesAcquired(t *testing.T) {
	dir := t.TempDir()
	g := volume.Grid{Size: [3]int{4, 4, 3}, Spacing: [3]float64{1, 1, 1}, Direction: volume.Identity}
	at := time.Date(2006, 9, 20, 12, 15, 30, 0, time.UTC)
	for name, when := range map[string]time.Time{"said": at, "silent": {}} {
		if err := WriteCT(filepath.Join(dir, name), volume.NewVolume(g), Meta{PatientID: name, Acquired: when}); err != nil {
			t.Fatal(err)
		}
	}
	tree, err := Index(dir)
	if err != nil || len(tree.Patients) != 2 {
		t.Fatal(err)
	}
	for i, want := range []time.Time{at, {}} {
		if got := tree.Patients[i].Series[0].Acquired; !got.Equal(want) {
			t.Errorf("%s: acquired %v", tree.Patients[i].ID, got)
		}
	}
	late, early := &slice{acquired: at.Add(time.Second)}, &slice{acquired: at}
	if s := newSeries([]*slice{late, {}, early}); !s.Acquired.Equal(at) {
		t.Errorf("acquired %v", s.Acquired)
	}
}
