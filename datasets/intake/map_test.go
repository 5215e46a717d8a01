package intake

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
)

// small is a map with nothing wrong and nothing besides what is needed.
const small = `
cohort: north
licence: none
role: test
id: {column: Patient}
columns:
  age: {header: Age}
  survival_days: {header: Days}
  event: {header: Dead, values: {y: "true", n: "false"}}
images: {kind: dicom, roi: [GTV-1]}
`

func parse(t *testing.T, text string) Map {
	t.Helper()
	m, err := ParseMap("map.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestExample(t *testing.T) {
	m := parse(t, Example)
	for _, c := range []struct {
		spelling Spelling
		from, id string
	}{
		{m.ID.Spelling, "NH-0017", "17"}, {m.ID.Spelling, "NH-0", "0"}, {m.Images.ID, "0017", "17"}, {m.Images.ID, "17", "17"},
	} {
		if id, ok := c.spelling.ID(c.from); !ok || id != c.id {
			t.Errorf("%q becomes %q, want %q", c.from, id, c.id)
		}
	}
	if _, ok := m.ID.ID("xNH-0017"); ok {
		t.Error("a pattern must fit the whole spelling")
	}
	if f := m.Columns["survival_days"].factor("survival_days"); f != 30.4375 {
		t.Errorf("a month has %v days", f)
	}
	// What the comments offer must be as good as what stands there.
	for _, c := range []struct{ from, to string }{
		{"split:\n  tune_fraction: 0.2\n  test_fraction: 0.3\n  split_seed: 1", "role: test"},
		{"survival_days:\n    header: OS_months\n    unit: months              # of 30.4375 days", "survival_days: {absent: true, else_dates: {start: First fraction, end: Last seen, layout: DD.MM.YYYY}}"},
		{"  # repeats: {kind: scans", "  repeats: {kind: scans"},
		{"  # repeats: {kind: readers", "  repeats: {kind: readers"},
		{"  # template", "  template"},
		{"images:\n  kind: dicom", "skipped:\n  kind: dicom"},
	} {
		text := strings.Replace(Example, c.from, c.to, 1)
		if c.to == "skipped:\n  kind: dicom" {
			at := strings.Index(Example, "# images:\n#   kind: nifti")
			text = Example[:strings.Index(Example, c.from)] + strings.TrimPrefix(strings.ReplaceAll(Example[at:], "\n# ", "\n"), "# ")
		}
		if text == Example {
			t.Errorf("the example does not hold %q", c.from)
		}
		if m, err := ParseMap("map.yaml", []byte(text)); err != nil {
			t.Errorf("with %s: %v\n%s", c.to, err, text)
		} else if strings.HasPrefix(c.to, "skipped") && m.Images.Kind != NIfTI {
			t.Errorf("no NIfTI: %+v", m.Images)
		}
	}
}

func TestMapErrors(t *testing.T) {
	change := func(from, to string) string {
		if !strings.Contains(small, from) {
			t.Fatalf("the small map has no %q", from)
		}
		return strings.Replace(small, from, to, 1)
	}
	for _, c := range []struct {
		text string
		says []string
	}{
		{"", []string{"it holds 0 maps"}},
		{"# nothing\n", []string{"it holds 0 maps"}},
		{"a: 1\n---\nb: 2\n", []string{"it holds 2 maps"}},
		{"cohort: [", []string{"cannot be read as YAML"}},
		{"just words", []string{"must have keys below it"}},
		{change("cohort: north", "cohort: ../north"), []string{`line 2, cohort: "../north" is no name for a folder`}},
		{change("cohort: north", "cohort: nsclc-radiomics"), []string{"is the name of a public data set"}},
		{change("licence: none", "license: none"), []string{`line 3, license: unknown key; did you mean "licence"?`, "licence: is missing"}},
		{change("role: test", ""), []string{"split: is missing"}},
		{change("role: test", "role: testing"), []string{`line 4, role: "testing" is not known; did you mean "test"? (allowed: train, tune, test)`}},
		{change("role: test", "role: test\nsplit: {tune_fraction: 0.2, test_fraction: 0.2, split_seed: 1}"), []string{"together with split"}},
		{change("role: test", "split: {tune_fraction: 0.5, test_fraction: 0.5}"), []string{"leave patients to train on"}},
		{change("{column: Patient}", "{colum: Patient}"), []string{`line 5, id.colum: unknown key; did you mean "column"?`, "id.column: is missing"}},
		{change("{column: Patient}", `{column: Patient, pattern: "x(["}`), []string{"id.pattern", "is no regular expression"}},
		{change("{column: Patient}", `{column: Patient, pattern: "x[0-9]+"}`), []string{"names no group (?P<patient>...)"}},
		{change("{column: Patient}", `{column: Patient, pattern: "x(?P<n>[0-9]+)", template: "${m}"}`), []string{"${m} is no group"}},
		{change("{column: Patient}", `{column: Patient, pattern: "x(?P<n>[0-9]+)", template: "$n"}`), []string{"written as ${patient}"}},
		{change("{column: Patient}", `{column: Patient, template: "7"}`), []string{"without a pattern"}},
		{change("age: {header: Age}", "ages: {header: Age}"), []string{`columns.ages: is no column of a cohort; did you mean "age"?`}},
		{change("age: {header: Age}", "patient_id: {header: Age}"), []string{"is said by id.column"}},
		{change("age: {header: Age}", "role: {header: Age}"), []string{"is said by role at the beginning"}},
		{change("age: {header: Age}", "age: Age"), []string{"columns.age: must have keys below it"}},
		{change("age: {header: Age}", "age: {header: Age, unit: weeks}"), []string{`"weeks" is not known`, "(allowed: days, months, years)"}},
		{change("age: {header: Age}", "sex: {header: Sex, unit: years}"), []string{"is for columns with a unit"}},
		{change("age: {header: Age}", "sex: {header: Sex, values: {W: weiblich}}"), []string{`columns.sex.values.W: "weiblich" is not known`, "(allowed: male, female)"}},
		{change("age: {header: Age}", "histology: {header: Type}"), []string{"free text is not carried over"}},
		{change("age: {header: Age}", "age: {header: Age, values: {old: 70}}"), []string{"give numbers their unit"}},
		{change("age: {header: Age}", "age: {header: Age, absent: true}"), []string{"keep one of the two"}},
		{change("age: {header: Age}", "age: {header: Age, else_dates: {start: Born, end: Scan, layout: DD.MM.YYYY}}"), []string{"must be in days itself"}},
		{change("age: {header: Age}", "age: {absent: true, else_dates: {start: Born, end: Scan, layout: DD.MM.YY}}"), []string{"years need four digits"}},
		{change("age: {header: Age}", "age: {absent: true, else_dates: {start: Born, layout: YYYY-MM-DD}}"), []string{"needs start, end and layout"}},
		{change("age: {header: Age}", "t: {absent: true, else_dates: {start: Born, end: Scan, layout: YYYY-MM-DD}}"), []string{"times between two dates"}},
		{change("  event", "  evnt"), []string{`did you mean "event"?`, "nobody's outcome is known"}},
		{change("role: test", "role: test\nclinical: {identity: [Age]}"), []string{`"Age" tells who a patient is, and columns.age writes it`}},
		{change("role: test", "role: test\nclinical: {separator: ';', encoding: utf8, decimal: \",\"}"), []string{"clinical.separator", "clinical.encoding", "clinical.decimal"}},
		{change("kind: dicom", "kind: dcm"), []string{`images.kind: "dcm" is not known`}},
		{change("kind: dicom, roi: [GTV-1]", "kind: dicom"), []string{"images.roi: is missing"}},
		{change("roi: [GTV-1]", "roi: GTV-1"), []string{"images.roi: must be a list"}},
		{change("roi: [GTV-1]", "roi: [GTV-1], scan: x"), []string{"are for kind: nifti"}},
		{change("roi: [GTV-1]", "roi: [GTV-1], repeats: {kind: scan}"), []string{`did you mean "scans"?`}},
		{change("roi: [GTV-1]", "roi: [GTV-1], repeats: {kind: readers}"), []string{"images.repeats"}},
		{change("kind: dicom, roi: [GTV-1]", "kind: nifti, scan: 'ct/.*', labels: [0]"), []string{"images.scan: names no group", "images.mask: is missing", "0 is no value of a region"}},
		{change("kind: dicom, roi: [GTV-1]", "kind: nifti, labels: [one]"), []string{"images.labels[0]: must be a whole number"}},
		{change("role: test", "role: &x test"), []string{"anchors, aliases and tags"}},
	} {
		_, err := ParseMap("map.yaml", []byte(c.text))
		var bad *MapError
		if !errors.As(err, &bad) {
			t.Errorf("no error for:%s\n(wanted %q)", c.text, c.says)
			continue
		}
		for _, says := range c.says {
			if !strings.Contains(err.Error(), says) {
				t.Errorf("%q is not in: %v", says, err)
			}
		}
	}
}

func TestMapErrorHasEverything(t *testing.T) {
	text := strings.NewReplacer("cohort: north", "cohort: n/n", "role: test", "role: tes", "GTV-1", "", "header: Age", "heder: Age", "Patient", "").Replace(small)
	_, err := ParseMap("map.yaml", []byte(text))
	var bad *MapError
	if !errors.As(err, &bad) || len(bad.Problems) != 5 || !strings.HasPrefix(err.Error(), "map map.yaml: 5 things to correct\n") {
		t.Fatal(err)
	}
	if !slices.IsSortedFunc(bad.Problems, func(a, b Problem) int { return a.Line - b.Line }) {
		t.Error("not in the order of the file:", err)
	}
}

// Spellings are text, whatever YAML would make of them.
func TestSpellingsAreText(t *testing.T) {
	text := strings.Replace(small, `values: {y: "true", n: "false"}`, `values: {1: true, 0: false, 07: true, 1.50: true, yes: true, "2": "false"}, nulls: [99, 9.90, no]`, 1)
	got := parse(t, strings.Replace(text, "Patient", "2024", 1))
	want := map[string]string{"1": "true", "0": "false", "07": "true", "1.50": "true", "yes": "true", "2": "false"}
	if e := got.Columns["event"]; !maps.Equal(e.Values, want) || !slices.Equal(e.Nulls, []string{"99", "9.90", "no"}) || got.ID.Column != "2024" {
		t.Errorf("%q %q %q", e.Values, e.Nulls, got.ID.Column)
	}
}

func TestDateLayouts(t *testing.T) {
	for text, want := range map[string]string{
		"DD.MM.YYYY": "02.01.2006", "YYYY-MM-DD": "2006-01-02", "M/D/YYYY": "1/2/2006", "DD MMM YYYY": "02 Jan 2006", "YYYYMMDD": "20060102", "1/2/2006": "1/2/2006",
		"DD.MM": "", "DD.MM.YY": "", "dd.mm.yyyy": "", "DD.MM.YYYY hh": "", "DD.DD.YYYY": "", "": "",
	} {
		if got, problem := dateLayout(text); got != want || (want == "") != (problem != "") {
			t.Errorf("%q becomes %q (%s), want %q", text, got, problem, want)
		}
	}
}

func FuzzParseMap(f *testing.F) {
	f.Add(Example)
	f.Add(small)
	f.Add("a: &b [*b]\n")
	f.Add("? {a: b}\n: !x 0\n")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := ParseMap("map.yaml", []byte(text))
		var bad *MapError
		if err != nil && (!errors.As(err, &bad) || len(bad.Problems) == 0) {
			t.Fatalf("%T %v", err, err)
		}
		if err == nil && (m.Cohort == "" || m.ID.Column == "") {
			t.Fatalf("accepted: %+v", m)
		}
	})
}
