package experiments

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"hounsfield/datasets/catalog"
	"hounsfield/datasets/table"
)

// subItems is how many lettered points each of the 27 items has; 1 is the item itself.
// Counted in the statement's table (Collins 2024, doi:10.1136/bmj-2023-078378, table 2).
var subItems = [27]int{1, 1, 3, 1, 2, 3, 1, 3, 3, 1, 1, 7, 1, 1, 1, 1, 1, 6, 1, 3, 1, 1, 2, 1, 1, 1, 3}

func TestTripodItemsComplete(t *testing.T) {
	var want []string
	for i, n := range subItems {
		for k := range n {
			number := fmt.Sprint(i + 1)
			if n > 1 {
				number += string(rune('a' + k))
			}
			want = append(want, number)
		}
	}
	only := map[string]string{}
	for _, number := range strings.Fields("9a 12a 12b 12c 15 22 27a 27b") {
		only[number] = development
	}
	for _, number := range strings.Fields("12f 12g 20c 24") {
		only[number] = assessment
	}
	var got []string
	for _, item := range tripodItems {
		got = append(got, item.number)
		applies := both
		if a, ok := only[item.number]; ok {
			applies = a
		}
		if item.applies != applies {
			t.Errorf("item %s is said to apply to %s, want %s", item.number, item.applies, applies)
		}
		if item.topic == "" || item.part == "" {
			t.Errorf("item %s has no topic or part", item.number)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("items %v\nwant  %v", got, want)
	}
}

// Every item has an answer of a known kind, for every kind of run: a place when there is
// one, a reason when not.
func TestTripodAnswers(t *testing.T) {
	figures := []string{"roc", "kaplan-meier", "scores", "auc-by-role", "flow"}
	for _, f := range []tripodFacts{
		{source: SourcePhantom, trained: true, cohorts: 1, train: 9, seeds: []int64{1, 2}, figures: append(slices.Clone(figures), lossesName)},
		{source: SourcePublished, cohorts: 3, train: 9, paper: true, figures: figures, treatment: "surgery", licence: "some", absent: []string{"age"}, oneSided: []string{"sex"}},
		{source: SourcePublished, cohorts: 3, train: 9, treatment: "radiotherapy", licence: "some", rivals: true},
		{source: SourcePublished, cohorts: 3, train: 9, treatment: "radiotherapy", licence: "some", rivals: true, pooled: true, analyses: []tripodPlace{{text: "Rivals", link: "#r", path: "report.html#r"}}},
		{source: SourceReplication, cohorts: 2, treatment: "radiotherapy", licence: "some", figures: figures},
		{source: SourcePrepared, trained: true, cohorts: 2, train: 9, seeds: []int64{7}, figures: figures, licence: "some"},
		{source: SourcePrepared, trained: true, cohorts: 1, train: 9, seeds: []int64{7}, treatment: "radiotherapy", licence: "some", clinical: true, metrics: []string{"calibration slope", "net benefit at 0.5"}},
	} {
		for _, item := range tripodItems {
			a := f.answerTo(item)
			place, reason := len(a.where) > 0, a.remark != ""
			ok := false
			switch a.status {
			case answered:
				ok = place
			case inPart:
				ok = place && reason
			case notApplicable:
				ok = reason
			case notAvailable:
				ok = reason && !place
			}
			if !ok {
				t.Errorf("%s run, item %s: %+v", f.source, item.number, a)
			}
			if item.applies == development && !f.trained && a.status != notApplicable {
				t.Errorf("%s run, item %s on development: %+v", f.source, item.number, a)
			}
			for _, p := range a.where {
				if p.text == "" || p.link == "" || p.path == "" {
					t.Errorf("%s run, item %s points nowhere: %+v", f.source, item.number, p)
				}
			}
		}
	}
}

// checkTripod holds the checklist of a finished run against its folder: every place
// that an item names is there.
func checkTripod(t *testing.T, done *Done) {
	t.Helper()
	list, err := table.Read(filepath.Join(done.Dir, "tables/tripod.arrow"), tripodSchema(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if list.Rows() != len(tripodItems) {
		t.Errorf("%d items in the file, want %d", list.Rows(), len(tripodItems))
	}
	page, err := os.ReadFile(filepath.Join(done.Dir, "report.html"))
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]map[string]any{}
	for _, name := range []string{"config.yaml", manifestFile} { // JSON is YAML
		text, err := os.ReadFile(filepath.Join(done.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		m := map[string]any{}
		if err := yaml.Unmarshal(text, &m); err != nil {
			t.Fatal(err)
		}
		keys[name] = m
	}
	there := func(place string) error {
		if name, key, ok := strings.Cut(place, ": "); ok {
			var at any = keys[name]
			for _, k := range strings.Split(key, ".") {
				m, _ := at.(map[string]any)
				if at, ok = m[k]; !ok {
					return fmt.Errorf("%s has no key %s", name, key)
				}
			}
			return nil
		}
		file, section, anchored := strings.Cut(place, "#")
		heading := fmt.Sprintf(`<h2 id="%s">%s`, section, sectionTitles[section])
		if sectionTitles[section] != "" {
			heading += "</h2>"
		}
		if anchored && !strings.Contains(string(page), heading) {
			return fmt.Errorf("the report has no section %s called %q", section, sectionTitles[section])
		}
		_, err := os.Stat(filepath.Join(done.Dir, filepath.FromSlash(file)))
		return err
	}
	for i := range list.Rows() {
		number := list.Strings("item")[i]
		for _, place := range strings.Split(list.Strings("where")[i]+"; "+list.Strings("also")[i], "; ") {
			if place == "" {
				continue
			}
			if err := there(place); err != nil {
				t.Errorf("item %s: %v", number, err)
			}
		}
	}
	if !strings.Contains(string(page), `href="https://doi.org/10.1136/bmj-2023-078378"`) {
		t.Error("the report does not name the statement")
	}
	if err := there("report.html#nowhere"); err == nil {
		t.Error("a section that is not there is found")
	}
	if err := there("config.yaml: training.nothing"); err == nil {
		t.Error("a key that is not there is found")
	}
}

// The network run again has no train patients and an analysis of its own.
func TestTripodOfReplication(t *testing.T) {
	if os.Getenv(catalog.MirrorVariable) == "" {
		t.Skip("HOUNSFIELD_MIRROR is not set: the study's tables are not here")
	}
	cfg, err := Load("published-replication", "evaluation.bootstrap=100")
	if err != nil {
		t.Fatal(err)
	}
	done := run(t, cfg, tinyEnv(t))
	checkTripod(t, done)
	list, err := table.Read(filepath.Join(done.Dir, "tables/tripod.arrow"), tripodSchema(), nil)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.Index(list.Strings("item"), "23a")
	if !strings.Contains(list.Strings("also")[i], "report.html#agreement") {
		t.Errorf("the agreement with the released scores is not named: %s", list.Strings("also")[i])
	}
}

func TestTripodOfRun(t *testing.T) {
	done := run(t, tiny(t), tinyEnv(t))
	checkTripod(t, done)
	rows, err := table.Read(filepath.Join(done.Dir, "tables/table1.arrow"), tableOneSchema(), nil)
	if err != nil {
		t.Fatal(err)
	}
	// The volumes are those of the cubes.
	if v := one(t, rows, "tumour_volume", "", "test"); v.n != 16 || v.missing != 0 || !(v.low > 100 && v.high < 60000) {
		t.Errorf("tumour volumes of the test role: %+v", v)
	}
}

// What the analysis clinical provides is in the checklist: calibration and clinical
// utility are judged, and every place is there.
func checkTripodOfClinical(t *testing.T, done *Done) {
	t.Helper()
	checkTripod(t, done)
	list, err := table.Read(filepath.Join(done.Dir, "tables/tripod.arrow"), tripodSchema(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for k, item := range list.Strings("item") {
		where := list.Strings("where")[k] + list.Strings("also")[k]
		switch item {
		case "12e":
			if list.Strings("answer")[k] != answered || !strings.Contains(where, "#clinical") {
				t.Errorf("item 12e: %s, %s, %s", list.Strings("answer")[k], where, list.Strings("remark")[k])
			}
		case "10", "11", "22":
			if !strings.Contains(where, "tables/clinical") {
				t.Errorf("item %s: %s", item, where)
			}
		}
	}
}
