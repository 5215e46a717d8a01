package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"html"
	"html/template"
	"io"
	"regexp"
	"strings"
)

// drawingElements are the SVG elements that draw or describe; none of them runs, loads or
// styles anything outside the drawing.
var drawingElements = map[string]bool{
	"svg": true, "g": true, "defs": true, "title": true, "desc": true,
	"path": true, "rect": true, "circle": true, "ellipse": true, "line": true, "polyline": true, "polygon": true,
	"text": true, "tspan": true, "image": true, "use": true, "symbol": true, "marker": true,
	"clipPath": true, "mask": true, "pattern": true, "linearGradient": true, "radialGradient": true, "stop": true,
}

var (
	localURL   = regexp.MustCompile(`url\(\s*['"]?#([^'")]+)['"]?\s*\)`)
	anyURL     = regexp.MustCompile(`(?i)url\s*\(|@import|expression\s*\(|javascript:`)
	inlineData = regexp.MustCompile(`^data:image/(png|jpeg|jpg);base64,[A-Za-z0-9+/=\s]*$`)
)

// inlineSVG reads an SVG document and writes it anew for use inside an HTML page: elements
// that draw only, without comments and namespaces, with every id and every reference to one
// prefixed, so that two figures on a page never share an id. An SVG with a <title> is
// labelled by it; alt is the label of one without.
func inlineSVG(svg []byte, prefix, alt string) (template.HTML, error) {
	dec := xml.NewDecoder(bytes.NewReader(svg))
	var out strings.Builder
	var open []string
	titled := bytes.Contains(svg, []byte("<title"))
	if !titled && strings.TrimSpace(alt) == "" {
		return "", errors.New("it has no <title>, and Alt is empty; say in a sentence what it shows")
	}
	closed := false
	for {
		tok, err := dec.RawToken()
		if err == io.EOF {
			break
		}
		if err != nil {
			return "", err
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			name := tok.Name.Local
			switch {
			case tok.Name.Space != "" && tok.Name.Space != "svg" || !drawingElements[name]:
				return "", fmt.Errorf("element <%s> does not draw", name)
			case len(open) == 0 && (name != "svg" || closed):
				return "", fmt.Errorf("<%s> stands where one <svg> is expected", name)
			}
			attrs, err := attributes(tok.Attr, prefix)
			if err != nil {
				return "", fmt.Errorf("element <%s>: %w", name, err)
			}
			if len(open) == 0 {
				if !strings.Contains(attrs, ` viewBox="`) {
					return "", errors.New("its <svg> has no viewBox, without which it cannot be scaled")
				}
				if !titled {
					attrs += ` role="img" aria-label="` + html.EscapeString(alt) + `"`
				}
			}
			fmt.Fprintf(&out, "<%s%s>", name, attrs)
			open = append(open, name)
		case xml.EndElement:
			if len(open) == 0 || open[len(open)-1] != tok.Name.Local {
				return "", fmt.Errorf("</%s> closes what is not open", tok.Name.Local)
			}
			open = open[:len(open)-1]
			closed = len(open) == 0
			fmt.Fprintf(&out, "</%s>", tok.Name.Local)
		case xml.CharData:
			if len(open) > 0 {
				out.WriteString(html.EscapeString(string(tok)))
			}
		}
	}
	if !closed || len(open) > 0 {
		return "", errors.New("it ends before its <svg> does")
	}
	return template.HTML(out.String()), nil
}

// attributes writes an element's attributes, less namespaces.
func attributes(attrs []xml.Attr, prefix string) (string, error) {
	var out strings.Builder
	for _, a := range attrs {
		name, value := a.Name.Local, a.Value
		switch {
		case a.Name.Space == "xmlns" || name == "xmlns":
			continue
		case strings.HasPrefix(strings.ToLower(name), "on"):
			return "", fmt.Errorf("attribute %s runs a script", name)
		case !attributeName.MatchString(name):
			return "", fmt.Errorf("attribute name %q is not one of SVG's", name)
		case name == "id":
			value = prefix + value
		case name == "href":
			if id, ok := strings.CutPrefix(value, "#"); ok {
				value = "#" + prefix + id
			} else if !inlineData.MatchString(value) {
				return "", errors.New("refers to something outside the drawing")
			}
		case name == "aria-labelledby" || name == "aria-describedby":
			ids := strings.Fields(value)
			for i := range ids {
				ids[i] = prefix + ids[i]
			}
			value = strings.Join(ids, " ")
		default:
			if anyURL.MatchString(localURL.ReplaceAllString(value, "")) {
				return "", fmt.Errorf("attribute %s refers to something outside the drawing", name)
			}
			value = localURL.ReplaceAllString(value, "url(#"+prefix+"$1)")
		}
		fmt.Fprintf(&out, ` %s="%s"`, name, html.EscapeString(value))
	}
	return out.String(), nil
}

var attributeName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]*$`)
