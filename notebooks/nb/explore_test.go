package nb

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"hounsfield/datasets/table"
)

func explorer(t *testing.T) Explorer {
	return Explorer{
		Title: "Patients",
		Controls: []Control{
			{Kind: Select, Label: "Who", Columns: []string{"dead"}, Initial: []string{"no"}},
			{Kind: Checks, Label: "Ids", Columns: []string{"id"}},
			{Kind: Slider, Label: "Days up to", Columns: []string{"days"}},
		},
		Panels: []Panel{
			{Title: "Points", Table: patients(t), Plot: &Plot{Kind: Points, X: "days", Y: []string{"score", "weight"}, Series: []string{"id"}, At: []Mark{{Value: 0.5, Name: "half"}}}},
			{Title: "Intervals", Table: patients(t), Show: []string{"id", "score"}, Plot: &Plot{Kind: Intervals, X: "days", Low: "score", High: "weight", Series: []string{"id"}}},
		},
	}
}

func TestExploreWithoutScriptShowsWhatIsPickedFirst(t *testing.T) {
	shown, err := shownBy(t, func() { Explore(explorer(t)) })
	if err != nil {
		t.Fatal(err)
	}
	if p := shown[0].plain; !strings.Contains(p, "0.1235") || strings.Contains(p, "</script>") {
		t.Errorf("the rows with dead = no are not what stands there at first:\n%s", p)
	}
	// The data hold "</script>", which must not end the element.
	if n := strings.Count(shown[0].html, "</script>"); n != 2 {
		t.Errorf("%d ends of script elements, not 2", n)
	}
	for _, word := range []string{"http:", "https:", "import(", "fetch("} {
		if strings.Contains(strings.ReplaceAll(shown[0].html, "http://www.w3.org/2000/svg", ""), word) {
			t.Errorf("the page may ask for something outside: it has %q", word)
		}
	}
}

func TestExploreRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Explorer)
		want   string
	}{
		"unknown column of a control": {func(e *Explorer) { e.Controls[0].Columns = []string{"alive"} }, `no panel has a value in the columns ["alive"]`},
		"unknown first value":         {func(e *Explorer) { e.Controls[0].Initial = []string{"maybe"} }, `cannot begin with "maybe"`},
		"slider over text":            {func(e *Explorer) { e.Controls[2].Columns = []string{"id"} }, "cannot be a slider"},
		"checks over numbers":         {func(e *Explorer) { e.Controls[1].Columns = []string{"days"} }, "cannot be a checks"},
		"unknown column of a plot":    {func(e *Explorer) { e.Panels[0].Plot.X = "day" }, `did you mean "days"`},
		"text on an axis":             {func(e *Explorer) { e.Panels[0].Plot.X = "id" }, "it holds no numbers"},
		"no Y":                        {func(e *Explorer) { e.Panels[0].Plot.Y = nil }, "names no column for its Y"},
		"unknown kind":                {func(e *Explorer) { e.Panels[0].Plot.Kind = "pie" }, `of the kind "pie"`},
		"unknown shown column":        {func(e *Explorer) { e.Panels[1].Show = []string{"scor"} }, `did you mean "score"`},
	} {
		e := explorer(t)
		c.change(&e)
		if _, err := shownBy(t, func() { Explore(e) }); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestExploreAnswersInABrowser clicks the controls in headless Chromium, under a policy
// that lets the page fetch nothing.
func TestExploreAnswersInABrowser(t *testing.T) {
	shown, err := shownBy(t, func() { Explore(explorer(t)) })
	if err != nil {
		t.Fatal(err)
	}
	const driver = `
const said = [];
const rows = (k) => [...document.querySelectorAll("section")[k].querySelectorAll("tbody tr")].map((r) => r.cells[0].textContent).join(" ");
const marks = (k) => document.querySelectorAll("section")[k].querySelectorAll("svg[role=img] g[role=img]").length;
const say = (what) => said.push(what + ": " + rows(0) + " / " + marks(0) + " marks / " + rows(1) + " / " + marks(1) + " marks");
say("first");
const pick = document.querySelector("select"); pick.value = "yes"; pick.dispatchEvent(new Event("change")); say("select");
pick.value = "no"; pick.dispatchEvent(new Event("change"));
document.querySelector("input[type=checkbox]").click(); say("checks");
document.querySelector("input[type=checkbox]").click();
const slider = document.querySelector("input[type=range]"); slider.value = 800; slider.dispatchEvent(new Event("input")); say("slider");
slider.value = 4000; slider.dispatchEvent(new Event("input"));
document.querySelectorAll("th button")[2].click(); document.querySelectorAll("th button")[2].click(); say("sorted down");
const drawn = document.querySelectorAll("section select")[0]; drawn.value = 1; drawn.dispatchEvent(new Event("change"));
said.push(document.querySelector("svg[role=img]").getAttribute("aria-label"));
return said;`
	want := strings.Join([]string{
		"first: a c / 2 marks / a c / 2 marks",
		"select: </script><b> / 0 marks / </script><b> / 1 marks", // it has no score to draw
		"checks: c / 1 marks / c / 1 marks",
		"slider: a / 1 marks / a / 1 marks",
		"sorted down: c a / 2 marks / a c / 2 marks",
		"weight (kg) over days (days)",
	}, "\n")
	if got := inBrowser(t, shown[0].html, driver); got != want {
		t.Errorf("the page says\n%s\nnot\n%s", got, want)
	}
}

func TestNumbersLeaveOutWhatJSONCannotHold(t *testing.T) {
	made, err := table.New(table.Schema{Name: "x", Columns: []table.Column{{Name: "v", Type: table.Float64, Nullable: true}}}, nil,
		map[string]any{"v": []float64{1, math.Inf(1), math.Inf(-1)}})
	if err != nil {
		t.Fatal(err)
	}
	if got := numbers(made, "v"); got[0] == nil || *got[0] != 1 || got[1] != nil || got[2] != nil {
		t.Errorf("got %s", fmt.Sprint(got))
	}
}
