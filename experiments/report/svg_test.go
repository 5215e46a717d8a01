package report

import (
	"strings"
	"testing"
)

func TestInlineSVGRefuses(t *testing.T) {
	for name, row := range map[string]struct{ svg, part string }{
		"script":           {`<svg viewBox="0 0 1 1"><title>t</title><script>x</script></svg>`, "<script> does not draw"},
		"foreign":          {`<svg viewBox="0 0 1 1"><title>t</title><foreignObject/></svg>`, "<foreignObject> does not draw"},
		"style":            {`<svg viewBox="0 0 1 1"><title>t</title><style>*{}</style></svg>`, "<style> does not draw"},
		"animation":        {`<svg viewBox="0 0 1 1"><title>t</title><set attributeName="href" to="x"/></svg>`, "<set> does not draw"},
		"html":             {`<html><title>t</title></html>`, "<html> does not draw"},
		"html by prefix":   {`<svg viewBox="0 0 1 1"><title>t</title><h:path xmlns:h="http://www.w3.org/1999/xhtml"/></svg>`, "<path> does not draw"},
		"not an svg":       {`<g><title>t</title></g>`, "where one <svg> is expected"},
		"two":              {`<svg viewBox="0 0 1 1"><title>t</title></svg><svg viewBox="0 0 1 1"/>`, "where one <svg> is expected"},
		"handler":          {`<svg viewBox="0 0 1 1" ONload="x"><title>t</title></svg>`, "runs a script"},
		"outside picture":  {`<svg viewBox="0 0 1 1"><title>t</title><image href="https://example.org/x.png"/></svg>`, "outside the drawing"},
		"outside xlink":    {`<svg viewBox="0 0 1 1" xmlns:xlink="x"><title>t</title><use xlink:href="other.svg#a"/></svg>`, "outside the drawing"},
		"svg in data":      {`<svg viewBox="0 0 1 1"><title>t</title><image href="data:image/svg+xml;base64,AA"/></svg>`, "outside the drawing"},
		"outside style":    {`<svg viewBox="0 0 1 1"><title>t</title><path style="fill:url(https://example.org/)"/></svg>`, "outside the drawing"},
		"outside fill":     {`<svg viewBox="0 0 1 1"><title>t</title><path fill="URL( //example.org/)"/></svg>`, "outside the drawing"},
		"no size":          {`<svg><title>t</title></svg>`, "no viewBox"},
		"unclosed":         {`<svg viewBox="0 0 1 1"><title>t</title><g></svg>`, "</svg> closes what is not open"},
		"ends early":       {`<svg viewBox="0 0 1 1"><title>t</title><g>`, "ends before"},
		"not XML":          {`<svg viewBox="0 0 1 1"><title>t</title><path d=M0/></svg>`, "unquoted"},
		"unknown entity":   {`<!DOCTYPE svg [<!ENTITY a "b">]><svg viewBox="0 0 1 1"><title>t</title><text>&a;</text></svg>`, "entity"},
		"hostile name":     {"<svg viewBox=\"0 0 1 1\" a:b=\"c\" \u00e9=\"1\"><title>t</title></svg>", "is not one of SVG's"},
		"nothing":          {``, "Alt is empty"},
		"text, no drawing": {`<title`, "XML syntax error"},
	} {
		out, err := inlineSVG([]byte(row.svg), "f-", "")
		if err == nil || !strings.Contains(err.Error(), row.part) {
			t.Errorf("%s: %q, error %v; want %q", name, out, err, row.part)
		}
	}
}

func TestInlineSVGPrefixes(t *testing.T) {
	in := `<?xml version="1.0"?><!-- comment --><svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 1 1" aria-labelledby="t d">
<title id="t">a &lt; b</title><desc id="d">"x"</desc><defs><clipPath id="c"><rect width="1"/></clipPath></defs>
<g clip-path="url(#c)" style="fill:url('#c');stroke:#000"><use xlink:href="#c"/></g></svg>`
	want := `<svg viewBox="0 0 1 1" aria-labelledby="f-t f-d">
<title id="f-t">a &lt; b</title><desc id="f-d">&#34;x&#34;</desc><defs><clipPath id="f-c"><rect width="1"></rect></clipPath></defs>
<g clip-path="url(#f-c)" style="fill:url(#f-c);stroke:#000"><use href="#f-c"></use></g></svg>`
	got, err := inlineSVG([]byte(in), "f-", "")
	if err != nil || string(got) != want {
		t.Errorf("error %v, got\n%s\nwant\n%s", err, got, want)
	}
}

func FuzzInlineSVG(f *testing.F) {
	f.Add(`<svg viewBox="0 0 1 1"><title>t</title><path d="M0,0L1,1" style="fill:url(#a)"/></svg>`)
	f.Add(`<svg viewBox="0 0 1 1"><title>t</title><script>x</script></svg>`)
	f.Add(`<svg viewBox="0 0 1 1"><title>t</title><text>&#60;script&#62;</text><image href="data:image/png;base64,AA"/></svg>`)
	f.Add(`<svg><title`)
	f.Fuzz(func(t *testing.T, svg string) {
		out, err := inlineSVG([]byte(svg), "f-", "")
		if err != nil {
			return
		}
		s := strings.ToLower(string(out))
		for _, never := range []string{"<script", "<!--", "<style", "<html", "<foreignobject", "javascript:", " onload=", "@import"} {
			// What was text stays text: only markup matters, and text holds no raw "<".
			if strings.Contains(s, never) && (never[0] == '<' || strings.Contains(attributesOf(s), never)) {
				t.Errorf("%q passes as %q", svg, out)
			}
		}
		// What passes once passes again unchanged but for its prefix.
		if _, err := inlineSVG([]byte(out), "g-", ""); err != nil {
			t.Errorf("%q is refused the second time: %v", out, err)
		}
	})
}

// attributesOf keeps what stands between < and >.
func attributesOf(s string) string {
	var b strings.Builder
	inside := false
	for _, r := range s {
		switch {
		case r == '<':
			inside = true
		case r == '>':
			inside = false
		case inside:
			b.WriteRune(r)
		}
	}
	return b.String()
}
