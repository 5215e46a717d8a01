package nb

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"hounsfield/datasets/table"
)

// shownBy collects what a cell shows; an error that ends it comes back.
func shownBy(t *testing.T, cell func()) (shown []output, failed error) {
	t.Helper()
	oldShow, oldExit := show, exit
	t.Cleanup(func() { show, exit = oldShow, oldExit })
	show = func(o output) { shown = append(shown, o) }
	type ended struct{ err error }
	exit = func(err error) { panic(ended{err}) }
	defer func() {
		show, exit = oldShow, oldExit
		switch r := recover().(type) {
		case nil:
		case ended:
			failed = r.err
		default:
			panic(r)
		}
	}()
	cell()
	return shown, nil
}

// patients is a small table with all types, a null, and text that must be escaped.
func patients(t *testing.T) *table.Table {
	t.Helper()
	made, err := table.New(table.Schema{Name: "patients", Columns: []table.Column{
		{Name: "id", Type: table.String, Description: "who"},
		{Name: "score", Type: table.Float64, Nullable: true, Direction: "higher = higher risk of death"},
		{Name: "days", Type: table.Int64, Unit: "days"},
		{Name: "dead", Type: table.Bool},
		{Name: "weight", Type: table.Float32, Unit: "kg"},
	}}, nil, map[string]any{
		"id":     []string{"a", "</script><b>", "c"},
		"score":  []table.Null[float64]{table.Some(0.123456), {}, table.Some(0.9)},
		"days":   []int64{730, 12, 4000},
		"dead":   []bool{false, true, false},
		"weight": []float32{70.25, 81, 64.5},
	})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestTableShowsAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "patients.arrow")
	if err := patients(t).Write(file); err != nil {
		t.Fatal(err)
	}
	shown, err := shownBy(t, func() { Table(file, View{Caption: "Patients", Rows: 2}) })
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{
		"Patients",
		"id             score  days (days)  dead  weight (kg)",
		"a             0.1235          730  no          70.25",
		"</script><b>       –           12  yes            81",
		"1 more rows are not shown",
	}, "\n")
	if shown[0].plain != want {
		t.Errorf("plain form is\n%s\nnot\n%s", shown[0].plain, want)
	}
	for _, part := range []string{"<caption", `scope="col"`, "days (days)", "&lt;/script&gt;&lt;b&gt;", "higher = higher risk of death", "1 more rows"} {
		if !strings.Contains(shown[0].html, part) {
			t.Errorf("the page lacks %q", part)
		}
	}
	if strings.Contains(shown[0].html, "<b>") {
		t.Error("a value of the table is markup in the page")
	}
}

func TestTablePicksRowsAndColumns(t *testing.T) {
	shown, err := shownBy(t, func() {
		TableOf(patients(t), View{Columns: []string{"days", "id"}, Where: map[string][]string{"dead": {"no"}}, Digits: 2})
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := "days (days)  id\n        730  a\n       4000  c"; shown[0].plain != want {
		t.Errorf("got\n%s\nwant\n%s", shown[0].plain, want)
	}
}

func TestTableNamesTheNearestColumn(t *testing.T) {
	for name, v := range map[string]View{"shown": {Columns: []string{"scores"}}, "picked by": {Where: map[string][]string{"scores": {"1"}}}} {
		_, err := shownBy(t, func() { TableOf(patients(t), v) })
		if err == nil || !strings.Contains(err.Error(), `did you mean "score"`) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReadSaysWhichCellWritesTheFile(t *testing.T) {
	_, err := shownBy(t, func() { Read(filepath.Join(t.TempDir(), "none.arrow")) })
	if err == nil || !strings.Contains(err.Error(), "the cell that runs the experiment writes it") {
		t.Error(err)
	}
}

func TestRounded(t *testing.T) {
	for _, c := range []struct {
		x    float64
		want string
	}{{0.81747, "0.8175"}, {2175, "2175"}, {12345.678, "12346"}, {-208.14, "-208.1"}, {6.04e-25, "6.0e-25"}, {0, "0"}, {0.0001234567, "0.0001235"}, {49.507, "49.51"}} {
		if got := rounded(c.x, 4); got != c.want {
			t.Errorf("%v is shown as %s, not %s", c.x, got, c.want)
		}
	}
}

func TestFigureIsAPictureWithWords(t *testing.T) {
	svg := []byte(`<svg xmlns="http://www.w3.org/2000/svg"><title id="title">ROC &amp; more</title><desc id="desc">AUC 0.8.</desc></svg>`)
	shown, err := shownBy(t, func() { SVG(svg, "A caption") })
	if err != nil {
		t.Fatal(err)
	}
	if want := "A caption\nROC & more: AUC 0.8."; shown[0].plain != want {
		t.Errorf("plain form is %q, not %q", shown[0].plain, want)
	}
	if h := shown[0].html; !strings.Contains(h, `alt="ROC &amp; more: AUC 0.8."`) || strings.Contains(h, `id="title"`) {
		t.Errorf("the drawing is not a picture by itself: %s", h)
	}
}

func TestCheckEndsTheCell(t *testing.T) {
	cause := errors.New("no such thing")
	if _, err := shownBy(t, func() { Must(1, cause) }); !errors.Is(err, cause) {
		t.Errorf("got %v", err)
	}
	if _, err := shownBy(t, func() { Check(nil) }); err != nil {
		t.Errorf("no error ended the cell: %v", err)
	}
}
