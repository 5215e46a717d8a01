package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var keep = flag.String("keep", "", "write the sample reports into this folder, to be looked at")

const hostile = `<script>alert("LUNG1-002")</script>`

// figures reads the golden drawings of package figure.
func figures(t *testing.T) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob("../figure/testdata/*.svg")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no drawings found (%v)", err)
	}
	out := map[string][]byte{}
	for _, p := range paths {
		svg, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		out[strings.TrimSuffix(filepath.Base(p), ".svg")] = svg
	}
	return out
}

func checker(t *testing.T) []byte {
	t.Helper()
	img := image.NewGray(image.Rect(0, 0, 480, 160))
	for i := range img.Pix {
		img.Pix[i] = uint8(40 + 60*(i/40%2) + 60*(i/480/40%2))
	}
	img.Set(3, 3, color.White)
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// runReport has every kind of block, as the report of a run does.
func runReport(t *testing.T) Document {
	f := figures(t)
	return Document{
		Title:    "phantom-default",
		Subtitle: "A small network on the phantom cohort, three seeds",
		Software: "hounsfield v0.1.0 (3f2a1c9)",
		Date:     "2 March 2026",
		Lead: []Block{
			KeyFigures{
				{Label: "Test AUC, mean score of three seeds", Value: "0.73", Interval: "95% CI 0.65 to 0.80", N: 160, Note: "DeLong"},
				{Label: "Test AUC of the true hazard", Value: "0.85", Interval: "95% CI 0.79 to 0.91", N: 160, Note: "no honest model can beat it"},
				{Label: "Hazard ratio, high against low risk", Value: "1.75", Interval: "95% CI 1.25 to 2.44", N: 206, Note: "log-rank p < 0.001"},
			},
			Figure{SVG: f["roc"], Caption: Text("ROC curves on the test role, opened once, with pointwise 95% confidence bands."), File: "figures/roc.svg"},
			Figure{SVG: f["kaplan-meier-years"], Caption: Text("Survival by risk group. The cut is the median score of the tune role."), File: "figures/kaplan-meier.svg"},
		},
		Sections: []Section{
			{Title: "Patients", Blocks: []Block{
				Text("Every patient lost on the way has a row in the exclusions table."),
				Figure{SVG: f["flow"], Caption: Text("Flow of patients.")},
				Folded{Title: "All exclusions", Blocks: []Block{Table{
					Caption: Text("Excluded patients."),
					Columns: []Column{{Title: "Patient"}, {Title: "Stage"}, {Title: "Reason"}},
					Rows:    []Row{{Cells: Cells(hostile, "prepare", "slice missing at z = 12.0 mm")}, {Cells: Cells("LUNG1-128", "prepare", "no tumour contour")}},
					Files:   []string{"tables/exclusions.arrow"},
				}}},
				Picture{PNG: checker(t), Alt: "Three planes through the tumour of patient P-001 with its contour and the cube", Caption: Text("Quality control picture of P-001."), File: "figures/qc-P-001.png"},
			}},
			{Title: "Performance", Blocks: []Block{
				Table{
					Caption: Text("AUC by role and seed."),
					Columns: []Column{{Title: "Role"}, {Title: "Seed"}, {Title: "n", Number: true}, {Title: "AUC", Number: true}, {Title: "95% CI", Number: true}, {Title: "p", Number: true}},
					Rows: []Row{
						{Cells: Cells("tune", "1", "120", "0.741", "0.651 to 0.832", "0.0001")},
						{Cells: Cells("test", "1", "160", "0.722", "0.641 to 0.803", "0.0002")},
						{Cells: Cells("test", "mean", "160", "0.731", "0.652 to 0.804", "0.0001"), Strong: true},
					},
					Note:  Text("DeLong intervals; p against 0.5, two-sided."),
					Files: []string{"tables/metrics.arrow", "tables/predictions.arrow"},
				},
				Subheading("By seed"),
				Figure{SVG: f["forest"], Caption: Text("AUC by role, seed and baseline.")},
				Figure{SVG: f["scores"], Caption: Text("Scores by outcome at two years.")},
			}},
			{ID: "training", Title: "Training", Blocks: []Block{
				Figure{SVG: f["history"], Caption: Paragraph{{Text: "Loss and tune AUC. See "}, {Text: "Performance", Link: "#performance"}, {Text: "."}}},
				List{Text("Early stopping reads the tune role only."), {{Text: "Seeds are written to "}, {Text: "run.json", Code: true}, {Text: "."}}},
			}},
			{Title: "Limits", Blocks: []Block{
				Callout{Tone: Warning, Title: "2 of 160 test patients have no label", Body: []Paragraph{Text("They were censored before 730 days.")}},
				Callout{Title: "The cohort is synthetic", Body: []Paragraph{Text("Its truth is known, so results can be checked.")}},
				Callout{Tone: Info, Title: "A title alone"},
				Paragraph{{Text: "Method: "}, {Text: "Hosny et al. 2018", Link: "https://doi.org/10.1371/journal.pmed.1002711"}, {Text: ", "}, {Text: "strongly", Strong: true}, {Text: " followed."}},
			}},
			{Title: "Provenance", Blocks: []Block{
				Folded{Title: "Configuration", Blocks: []Block{Code{Label: "config.yaml", Text: "experiment: phantom-default\nseeds: [1, 2, 3]\nnote: \"" + hostile + "\"\n"}}},
				Folded{Title: "Manifest", Blocks: []Block{Code{Label: "run.json", Text: "{\n  \"status\": \"done\",\n  \"inputs\": {\"" + strings.Repeat("9f", 32) + "\": true}\n}\n"}}},
			}},
		},
		Footer: []Paragraph{{{Text: "Cite "}, {Text: "doi:10.1371/journal.pmed.1002711", Link: "https://doi.org/10.1371/journal.pmed.1002711"}, {Text: "."}}},
	}
}

// comparison is what a comparison of runs is built from: the same blocks.
func comparison(t *testing.T) Document {
	return Document{
		Title: "Comparison of 2 runs", Software: "hounsfield v0.1.0 (3f2a1c9)",
		Sections: []Section{
			{Title: "Configuration", Blocks: []Block{Table{
				Caption: Text("Settings; those that differ come first."),
				Columns: []Column{{Title: "Setting"}, {Title: "phantom-default-1a2b3c"}, {Title: "phantom-no-halo-4d5e6f"}},
				Rows: []Row{
					{Cells: []Span{{Text: "cube.shell_mm", Code: true}, {Text: "8"}, {Text: "0"}}, Differs: true},
					{Cells: []Span{{Text: "training.batch", Code: true}, {Text: "16"}, {Text: "16"}}},
				},
			}}},
			{Title: "Metrics", Blocks: []Block{
				Figure{SVG: figures(t)["forest"], Caption: Text("AUC of both runs.")},
				Table{Caption: Text("Metrics side by side."), Columns: []Column{{Title: "Metric"}, {Title: "phantom-default-1a2b3c", Number: true}, {Title: "phantom-no-halo-4d5e6f", Number: true}},
					Rows: []Row{{Cells: []Span{{Text: "test AUC (95% CI)"}, {Text: "0.731 (0.652 to 0.804)", Link: "../phantom-default-1a2b3c/report.html"}, {Text: "0.689 (0.604 to 0.771)", Link: "../phantom-no-halo-4d5e6f/report.html"}}}}},
			}},
		},
	}
}

func mustRender(t *testing.T, doc Document) []byte {
	t.Helper()
	b, err := Render(doc)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// node is an element of the page with the text directly in it and in all it holds.
type node struct {
	name   string
	attr   map[string]string
	text   string
	parent *node
}

// read checks that the page nests properly, which this package's markup does as XML too,
// and lists its elements.
func read(t *testing.T, page []byte) []*node {
	t.Helper()
	body, ok := bytes.CutPrefix(bytes.TrimSpace(page), []byte("<!DOCTYPE html>"))
	if !ok {
		t.Fatal("no doctype")
	}
	dec := xml.NewDecoder(bytes.NewReader(body))
	var all []*node
	var at *node
	for {
		tok, err := dec.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("the page does not nest: %v", err)
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			n := &node{name: tok.Name.Local, attr: map[string]string{}, parent: at}
			for _, a := range tok.Attr {
				if _, twice := n.attr[a.Name.Local]; twice {
					t.Errorf("<%s> has %s twice", n.name, a.Name.Local)
				}
				n.attr[a.Name.Local] = a.Value
			}
			all, at = append(all, n), n
		case xml.EndElement:
			at = at.parent
		case xml.CharData:
			for n := at; n != nil; n = n.parent {
				n.text += string(tok)
			}
		}
	}
	return all
}

func named(all []*node, name string) []*node {
	var out []*node
	for _, n := range all {
		if n.name == name {
			out = append(out, n)
		}
	}
	return out
}

func samples(t *testing.T) map[string]Document {
	return map[string]Document{"run": runReport(t), "comparison": comparison(t), "bare": {Title: "Bare", Software: "hounsfield"}}
}

func TestReportsAreSound(t *testing.T) {
	for name, doc := range samples(t) {
		t.Run(name, func(t *testing.T) {
			page := mustRender(t, doc)
			if *keep != "" {
				if err := os.WriteFile(filepath.Join(*keep, name+".html"), page, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if again := mustRender(t, doc); !bytes.Equal(page, again) {
				t.Error("rendering twice gives other bytes")
			}
			if bytes.Contains(page, []byte("ZgotmplZ")) {
				t.Error("the template refused a value")
			}
			all := read(t, page)
			checkIDs(t, all)
			checkNetwork(t, page, all)
			checkAccessible(t, all)
			text := all[0].text
			for _, want := range []string{NotADevice, doc.Software, doc.Title, doc.Date} {
				if !strings.Contains(text, want) {
					t.Errorf("the page does not say %q", want)
				}
			}
		})
	}
}

// Every id is there once, and every reference finds one.
func checkIDs(t *testing.T, all []*node) {
	ids := map[string]bool{}
	for _, n := range all {
		if id := n.attr["id"]; id != "" {
			if ids[id] {
				t.Errorf("id %q is there twice", id)
			}
			ids[id] = true
		}
	}
	for _, n := range all {
		refs := strings.Fields(n.attr["aria-labelledby"])
		if id, ok := strings.CutPrefix(n.attr["href"], "#"); ok {
			refs = append(refs, id)
		}
		for _, m := range localURL.FindAllStringSubmatch(n.attr["style"], -1) {
			refs = append(refs, m[1])
		}
		for _, id := range refs {
			if !ids[id] {
				t.Errorf("<%s> refers to %q, which is nowhere", n.name, id)
			}
		}
	}
}

// Nothing is loaded: no script, no style sheet, picture or font from elsewhere. Links are
// for the reader to follow.
func checkNetwork(t *testing.T, page []byte, all []*node) {
	for _, n := range all {
		switch n.name {
		case "script", "iframe", "object", "embed", "base", "form", "audio", "video", "source":
			t.Errorf("the page holds <%s>", n.name)
		}
		for key, value := range n.attr {
			loads := key == "src" || key == "srcset" || key == "data" || key == "poster" || key == "background" || key == "href" && n.name != "a"
			if loads && !strings.HasPrefix(value, "data:") && !strings.HasPrefix(value, "#") {
				t.Errorf("<%s %s=%q> loads something", n.name, key, value)
			}
			if strings.HasPrefix(key, "on") {
				t.Errorf("<%s> has %s", n.name, key)
			}
			if strings.Contains(value, "http") && (n.name != "a" || key != "href") {
				t.Errorf("<%s %s=%q> names an address", n.name, key, value)
			}
		}
	}
	css := named(all, "style")
	if len(css) != 1 || strings.Contains(css[0].text, "http:") || strings.Contains(css[0].text, "https:") || strings.Contains(css[0].text, "url(") || strings.Contains(css[0].text, "@import") {
		t.Error("the style sheet is not one, or loads something")
	}
	if !bytes.Contains(page, []byte("default-src 'none'")) {
		t.Error("no content security policy")
	}
}

// Headings in order, tables with scopes and captions, pictures and drawings with text,
// scrolling parts within reach of the keyboard.
func checkAccessible(t *testing.T, all []*node) {
	if n := len(named(all, "h1")); n != 1 {
		t.Errorf("%d first-level headings", n)
	}
	level := 0
	for _, n := range all {
		if len(n.name) == 2 && n.name[0] == 'h' && n.name[1] >= '1' && n.name[1] <= '6' {
			now := int(n.name[1] - '0')
			if now > level+1 {
				t.Errorf("heading %q jumps from level %d to %d", n.text, level, now)
			}
			level = now
		}
		switch n.name {
		case "th":
			if n.attr["scope"] == "" {
				t.Errorf("heading cell %q has no scope", n.text)
			}
		case "img":
			if n.attr["alt"] == "" || n.attr["width"] == "" {
				t.Errorf("picture %v lacks alt or size", n.attr["width"])
			}
		case "svg":
			if n.attr["role"] != "img" || n.attr["aria-labelledby"] == "" && n.attr["aria-label"] == "" {
				t.Errorf("drawing without a label: %v", n.attr)
			}
		}
		if n.attr["class"] == "scroll" && n.attr["tabindex"] != "0" {
			t.Error("a scrolling part is out of reach of the keyboard")
		}
	}
	if len(named(all, "caption")) != len(named(all, "table")) {
		t.Error("a table has no caption")
	}
	if lang := all[0].attr["lang"]; lang != "en" {
		t.Errorf("language %q", lang)
	}
}

func TestEverythingIsEscaped(t *testing.T) {
	cell := []Span{{Text: hostile, Strong: true, Code: true}}
	doc := Document{
		Title: hostile, Subtitle: hostile, Software: hostile, Date: hostile,
		Lead: []Block{
			Text(hostile), List{Text(hostile)}, Subheading(hostile), KeyFigures{{Label: hostile, Value: hostile, Interval: hostile, Note: hostile}},
			Figure{SVG: []byte(`<svg viewBox="0 0 1 1"><text>&lt;script&gt;</text></svg>`), Alt: hostile + `" onload="x`, Caption: Text(hostile), File: "a<b>.svg"},
			Picture{PNG: checker(t), Alt: hostile + `" onload="x`, Caption: Text(hostile)},
			Table{Caption: Text(hostile), Columns: []Column{{Title: hostile}}, Rows: []Row{{Cells: cell}}, Note: Text(hostile), Files: []string{"<script>.csv"}},
			Callout{Title: hostile, Body: []Paragraph{Text(hostile)}},
			Code{Label: hostile, Text: "</code></pre>" + hostile},
			Folded{Title: hostile, Blocks: []Block{Text(hostile)}},
		},
		Sections: []Section{{Title: hostile}},
		Footer:   []Paragraph{Text(hostile), {{Text: hostile, Link: "https://example.org/?q=<script>\"'"}}},
	}
	all := read(t, mustRender(t, doc))
	checkNetwork(t, []byte("default-src 'none'"), all)
	if n := strings.Count(all[0].text, hostile); n < 20 {
		t.Errorf("the hostile text is there %d times as text", n)
	}
	control := read(t, mustRender(t, Document{Title: "MLH1\x1c\x00 \xff\xfe", Software: "x"}))
	if got := named(control, "h1")[0].text; got != "MLH1\uFFFD\uFFFD \uFFFD" {
		t.Errorf("control characters give %q", got)
	}
}

func TestRefusals(t *testing.T) {
	svg := []byte(`<svg viewBox="0 0 1 1"><title>t</title></svg>`)
	table := func(rows ...Row) Table {
		return Table{Caption: Text("c"), Columns: []Column{{Title: "a"}, {Title: "b"}}, Rows: rows}
	}
	link := func(to string) Paragraph { return Paragraph{{Text: "x", Link: to}} }
	for name, row := range map[string]struct {
		block Block
		part  string
	}{
		"short row":        {table(Row{Cells: Cells("1")}), "row 1 has 1 cells for 2 columns"},
		"no columns":       {Table{Caption: Text("c")}, "has no columns"},
		"no caption":       {Table{Columns: []Column{{Title: "a"}}}, "has no caption"},
		"empty PNG":        {Picture{Alt: "a"}, "no PNG"},
		"picture, no alt":  {Picture{PNG: checker(t)}, "has no Alt"},
		"empty SVG":        {Figure{}, "Alt is empty"},
		"cut SVG":          {Figure{SVG: svg[:30]}, "its SVG cannot be used"},
		"key without text": {KeyFigures{{Label: "AUC"}}, "lacks one of the two"},
		"empty heading":    {Subheading(" "), "is empty"},
		"callout untitled": {Callout{}, "has no title"},
		"folded untitled":  {Folded{}, "has no title"},
		"code unlabelled":  {Code{Text: "x"}, "has no label"},
		"script link":      {link("javascript:alert(1)"), "is none that a report uses"},
		"data link":        {link("data:text/html,x"), "is none that a report uses"},
		"file link":        {link("file:///etc/passwd"), "is none that a report uses"},
		"absolute path":    {link("/root/run"), "is none that a report uses"},
		"other host":       {link("//example.org/x"), "is none that a report uses"},
		"no host":          {link("https:"), "is none that a report uses"},
		"unreadable link":  {link("http://[::1"), "cannot be read"},
		"lost anchor":      {link("#nowhere"), "leads nowhere"},
		"link, no text":    {Paragraph{{Link: "https://example.org"}}, "has no text"},
		"bad file":         {Table{Caption: Text("c"), Columns: []Column{{Title: "a"}}, Files: []string{"/abs.csv"}}, "is none that a report uses"},
		"nested":           {Folded{Title: "f", Blocks: []Block{Subheading("")}}, "block 1, folded, block 1, subheading"},
		"nil block":        {nil, "is no block of this package"},
	} {
		_, err := Render(Document{Title: "t", Software: "s", Sections: []Section{{Title: "Results", Blocks: []Block{row.block}}}})
		var e *DocumentError
		if !errors.As(err, &e) || !strings.Contains(err.Error(), row.part) || !strings.Contains(err.Error(), `section "Results", block 1`) {
			t.Errorf("%s: error %v, want a *DocumentError with %q", name, err, row.part)
		}
	}
	for name, row := range map[string]struct {
		doc  Document
		part string
	}{
		"no title":       {Document{Software: "s"}, "has no title"},
		"no software":    {Document{Title: "t"}, "what software made it"},
		"untitled":       {Document{Title: "t", Software: "s", Sections: []Section{{}}}, "section 1: has no title"},
		"same title":     {Document{Title: "t", Software: "s", Sections: []Section{{Title: "A"}, {Title: "a"}}}, `anchor "a" is taken`},
		"bad ID":         {Document{Title: "t", Software: "s", Sections: []Section{{Title: "A", ID: "a b"}}}, "is no anchor"},
		"figure's ID":    {Document{Title: "t", Software: "s", Sections: []Section{{Title: "A", ID: "figure-1", Blocks: []Block{Figure{SVG: svg}}}}}, `anchor "figure-1" is taken`},
		"link in footer": {Document{Title: "t", Software: "s", Footer: []Paragraph{link("x:y")}}, "footer"},
	} {
		_, err := Render(row.doc)
		var e *DocumentError
		if !errors.As(err, &e) || !strings.Contains(err.Error(), row.part) {
			t.Errorf("%s: error %v, want a *DocumentError with %q", name, err, row.part)
		}
	}
}

func TestNumbersAndMarks(t *testing.T) {
	all := read(t, mustRender(t, runReport(t)))
	var captions []string
	for _, n := range all {
		if n.name == "figcaption" || n.name == "caption" {
			captions = append(captions, strings.SplitAfter(n.text, ".")[0])
		}
	}
	want := "[Figure 1. Figure 2. Figure 3. Table 1. Figure 4. Table 2. Figure 5. Figure 6. Figure 7.]"
	if got := fmt.Sprint(captions); got != want {
		t.Errorf("captions %s, want %s", got, want)
	}
	marked := 0
	for _, n := range named(read(t, mustRender(t, comparison(t))), "tr") {
		if n.attr["class"] == "differs" {
			marked++
			if !strings.Contains(n.text, "≠") || !strings.Contains(n.text, "differs") {
				t.Errorf("a row that differs is marked by colour alone: %q", n.text)
			}
		}
	}
	if marked != 1 {
		t.Errorf("%d rows marked, want 1", marked)
	}
	empty := mustRender(t, Document{Title: "t", Software: "s", Lead: []Block{Table{Caption: Text("c"), Columns: []Column{{Title: "a"}, {Title: "b"}}}}})
	if !bytes.Contains(empty, []byte(`<td colspan="2" class="none">No rows.</td>`)) {
		t.Error("an empty table says nothing")
	}
}

func TestSlug(t *testing.T) {
	for title, want := range map[string]string{"Patients": "patients", "2-year AUC (95% CI)": "year-auc-95-ci", "Überleben": "berleben", "???": "section"} {
		if got := slug(title); got != want || !validID.MatchString(got) {
			t.Errorf("slug(%q) = %q, want %q", title, got, want)
		}
	}
}
