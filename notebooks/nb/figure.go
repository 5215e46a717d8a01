package nb

import (
	"encoding/base64"
	"html"
	"os"
	"regexp"
	"strings"
)

// Figure shows an SVG file of a run folder.
func Figure(file, caption string) {
	SVG(Must(os.ReadFile(file)), caption)
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
