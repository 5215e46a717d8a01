package nb

import (
	"encoding/base64"
	"fmt"
	"html"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"hounsfield/experiments"
)

// Figure shows an SVG file of a run folder.
func Figure(file, caption string) {
	SVG(Must(os.ReadFile(file)), caption)
}

// Figures shows all figures of a run folder whose names begin with a word, such as
// test-retest, in the order of their names. None is an error.
func Figures(done *experiments.Done, word string) {
	found := Must(filepath.Glob(File(done, "figures", word+"*.svg")))
	if len(found) == 0 {
		Check(fmt.Errorf("the run in %s has no figure whose name begins with %q; it may lack the analysis (analyses: in its config)", done.Dir, word))
	}
	slices.Sort(found)
	for _, file := range found {
		Figure(file, "")
	}
}

// SVG shows a drawing. It is embedded as a picture, so that two drawings on one page
// cannot mix their names and styles; its description is the text for screen readers.
func SVG(svg []byte, caption string) {
	show(figureOutput(svg, caption))
}

func figureOutput(svg []byte, caption string) output {
	said := described(svg)
	var b strings.Builder
	b.WriteString(`<figure style="margin:.5em 0;max-width:760px"><img style="max-width:100%;background:#fff" alt="` + html.EscapeString(said) +
		`" src="data:image/svg+xml;base64,` + base64.StdEncoding.EncodeToString(svg) + `">`)
	if caption != "" {
		b.WriteString(`<figcaption style="font-size:13px">` + html.EscapeString(caption) + `</figcaption>`)
	}
	b.WriteString(`</figure>`)
	return output{html: b.String(), plain: strings.TrimSpace(caption + "\n" + said)}
}

var descriptions = regexp.MustCompile(`(?s)<(title|desc)[^>]*>(.*?)</(?:title|desc)>`)

// described is the title and the description of a drawing.
func described(svg []byte) string {
	var parts []string
	for _, m := range descriptions.FindAllSubmatch(svg, 2) {
		if text := strings.Join(strings.Fields(html.UnescapeString(string(m[2]))), " "); text != "" {
			parts = append(parts, text)
		}
	}
	return strings.Join(parts, ": ")
}
