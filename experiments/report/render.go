package report

import (
	"bytes"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"image/png"
	"net/url"
	"regexp"
	"strings"
	"unicode"
)

//go:embed style.css
var styleSheet string

//go:embed page.gohtml
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

// Style is the style sheet of reports, for other pages that are to look like them.
func Style() string { return styleSheet }

// NotADevice stands at the foot of every report.
const NotADevice = "Research software, not a medical device. Nothing here may guide the care of a patient."

// Render writes the document as one HTML file in UTF-8. A block that cannot be written (a
// table whose rows are not as long as its columns, an SVG that is not drawing only, a link
// of a kind that a report does not use, an anchor used twice or pointing nowhere) gives a
// *DocumentError that says where it stands.
func Render(doc Document) ([]byte, error) {
	w := &writer{ids: map[string]bool{"main": true}}
	v := documentView{
		Title: doc.Title, Subtitle: doc.Subtitle, Software: doc.Software, Date: doc.Date,
		Style: template.CSS(styleSheet), NotADevice: NotADevice,
	}
	w.place = "document"
	if strings.TrimSpace(doc.Title) == "" {
		return nil, w.fail("has no title; give one")
	}
	if strings.TrimSpace(doc.Software) == "" {
		return nil, w.fail("does not say what software made it; give its name and version")
	}
	// Anchors first, so that a link may point forward.
	for i, s := range doc.Sections {
		if strings.TrimSpace(s.Title) == "" {
			w.place = fmt.Sprintf("section %d", i+1)
			return nil, w.fail("has no title; give one")
		}
		if s.ID == "" {
			s.ID = slug(s.Title)
		}
		w.place = fmt.Sprintf("section %q", s.Title)
		if !validID.MatchString(s.ID) {
			return nil, w.fail("its ID %q is no anchor; use letters, digits and hyphens, a letter first", s.ID)
		}
		if err := w.claim(s.ID); err != nil {
			return nil, err
		}
		v.Sections = append(v.Sections, sectionView{ID: s.ID, Title: s.Title})
	}
	var err error
	if v.Lead, err = w.blocks("lead", doc.Lead); err != nil {
		return nil, err
	}
	for i, s := range doc.Sections {
		if v.Sections[i].Blocks, err = w.blocks(fmt.Sprintf("section %q", s.Title), s.Blocks); err != nil {
			return nil, err
		}
	}
	w.place = "footer"
	for _, p := range doc.Footer {
		if err := w.paragraph(p); err != nil {
			return nil, err
		}
		v.Footer = append(v.Footer, p)
	}
	for _, l := range w.anchors {
		if !w.ids[l.id] {
			return nil, &DocumentError{Place: l.place, Problem: fmt.Sprintf("the link to #%s leads nowhere; give a section that ID", l.id)}
		}
	}
	var out bytes.Buffer
	if err := page.Execute(&out, v); err != nil {
		return nil, fmt.Errorf("writing the report: %w", err)
	}
	// No markup holds a control character, so whatever does came from outside.
	return bytes.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return unicode.ReplacementChar
		}
		return r
	}, bytes.ToValidUTF8(out.Bytes(), []byte("\uFFFD"))), nil
}

var validID = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]*$`)

// slug makes an anchor from a title.
func slug(title string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(title) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9' && b.Len() > 0:
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	if s := strings.TrimSuffix(b.String(), "-"); s != "" {
		return s
	}
	return "section"
}

type documentView struct {
	Title, Subtitle, Software, Date, NotADevice string
	Style                                       template.CSS
	Lead                                        []blockView
	Sections                                    []sectionView
	Footer                                      []Paragraph
}

type sectionView struct {
	ID, Title string
	Blocks    []blockView
}

// blockView is a block as the template sees it: its kind, and what that kind needs.
type blockView struct {
	Kind   string
	Block  Block
	Number int // of a figure or table, counted through the document
	ID     string

	Drawing       template.HTML // figure
	Image         template.URL  // picture
	Width, Height int           // picture, in pixels
	Differs       bool          // table with a row that differs
	Inner         []blockView   // folded
}

// writer walks through a document, checks it and numbers its figures and tables.
type writer struct {
	place           string
	ids             map[string]bool
	anchors         []anchor
	figures, tables int
}

// anchor is a link within the document and where it stands.
type anchor struct{ id, place string }

func (w *writer) fail(format string, args ...any) error {
	return &DocumentError{Place: w.place, Problem: fmt.Sprintf(format, args...)}
}

func (w *writer) claim(id string) error {
	if w.ids[id] {
		return w.fail("the anchor %q is taken; give the section another ID", id)
	}
	w.ids[id] = true
	return nil
}

func (w *writer) blocks(place string, blocks []Block) ([]blockView, error) {
	var views []blockView
	for i, b := range blocks {
		w.place = fmt.Sprintf("%s, block %d, %s", place, i+1, kind(b))
		v, err := w.view(b)
		if err != nil {
			return nil, err
		}
		views = append(views, v)
	}
	return views, nil
}

// kind names a block as the template and the error messages do.
func kind(b Block) string {
	switch b.(type) {
	case Paragraph:
		return "paragraph"
	case List:
		return "list"
	case Subheading:
		return "subheading"
	case KeyFigures:
		return "key figures"
	case Figure:
		return "figure"
	case Picture:
		return "picture"
	case Table:
		return "table"
	case Callout:
		return "callout"
	case Code:
		return "code"
	case Folded:
		return "folded"
	}
	return fmt.Sprintf("%T", b)
}

func (w *writer) view(b Block) (v blockView, err error) {
	v = blockView{Kind: kind(b), Block: b}
	switch b := b.(type) {
	case Paragraph:
		err = w.paragraph(b)
	case List:
		err = w.paragraphs(b)
	case Subheading:
		if strings.TrimSpace(string(b)) == "" {
			err = w.fail("is empty; give it a text")
		}
	case KeyFigures:
		for _, k := range b {
			if k.Label == "" || k.Value == "" {
				return v, w.fail("%q with value %q lacks one of the two", k.Label, k.Value)
			}
		}
	case Figure:
		w.figures++
		v.Number, v.ID = w.figures, fmt.Sprintf("figure-%d", w.figures)
		if err = w.claim(v.ID); err != nil {
			return v, err
		}
		drawing, problem := inlineSVG(b.SVG, v.ID+"-", b.Alt)
		if problem != nil {
			return v, &DocumentError{Place: w.place, Problem: "its SVG cannot be used", Err: problem}
		}
		v.Drawing = drawing
		err = w.captioned(b.Caption, b.File)
	case Picture:
		w.figures++
		v.Number, v.ID = w.figures, fmt.Sprintf("figure-%d", w.figures)
		if err = w.claim(v.ID); err != nil {
			return v, err
		}
		if strings.TrimSpace(b.Alt) == "" {
			return v, w.fail("has no Alt; say in a sentence what it shows")
		}
		size, problem := png.DecodeConfig(bytes.NewReader(b.PNG))
		if problem != nil {
			return v, &DocumentError{Place: w.place, Problem: "its bytes are no PNG; encode the picture with image/png", Err: problem}
		}
		v.Width, v.Height = size.Width, size.Height
		v.Image = template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(b.PNG))
		err = w.captioned(b.Caption, b.File)
	case Table:
		w.tables++
		v.Number, v.ID = w.tables, fmt.Sprintf("table-%d", w.tables)
		if err = w.claim(v.ID); err != nil {
			return v, err
		}
		v.Differs, err = w.table(b)
	case Callout:
		if strings.TrimSpace(b.Title) == "" {
			return v, w.fail("has no title; give one")
		}
		err = w.paragraphs(b.Body)
	case Code:
		if b.Label == "" {
			err = w.fail("has no label; say what it is, such as config.yaml")
		}
	case Folded:
		if strings.TrimSpace(b.Title) == "" {
			return v, w.fail("has no title; give one")
		}
		v.Inner, err = w.blocks(w.place, b.Blocks)
	default:
		err = w.fail("is no block of this package")
	}
	return v, err
}

func (w *writer) table(t Table) (differs bool, err error) {
	if len(t.Columns) == 0 {
		return false, w.fail("has no columns")
	}
	if len(t.Caption) == 0 {
		return false, w.fail("has no caption; say what its rows are")
	}
	for i, r := range t.Rows {
		if len(r.Cells) != len(t.Columns) {
			return false, w.fail("row %d has %d cells for %d columns", i+1, len(r.Cells), len(t.Columns))
		}
		if err := w.paragraph(r.Cells); err != nil {
			return false, err
		}
		differs = differs || r.Differs
	}
	for _, f := range t.Files {
		if err := w.link(f); err != nil {
			return false, err
		}
	}
	if err := w.paragraph(t.Note); err != nil {
		return false, err
	}
	return differs, w.paragraph(t.Caption)
}

func (w *writer) captioned(caption Paragraph, file string) error {
	if file != "" {
		if err := w.link(file); err != nil {
			return err
		}
	}
	return w.paragraph(caption)
}

func (w *writer) paragraphs(ps []Paragraph) error {
	for _, p := range ps {
		if err := w.paragraph(p); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) paragraph(p Paragraph) error {
	for _, s := range p {
		if s.Link == "" {
			continue
		}
		if strings.TrimSpace(s.Text) == "" {
			return w.fail("the link to %q has no text", s.Link)
		}
		if err := w.link(s.Link); err != nil {
			return err
		}
	}
	return nil
}

// link refuses what is neither a web address nor a file beside the report nor an anchor.
func (w *writer) link(to string) error {
	if id, ok := strings.CutPrefix(to, "#"); ok {
		w.anchors = append(w.anchors, anchor{id, w.place})
		return nil
	}
	u, err := url.Parse(to)
	if err != nil {
		return &DocumentError{Place: w.place, Problem: fmt.Sprintf("the link %q cannot be read", to), Err: err}
	}
	switch {
	case u.Scheme == "http" || u.Scheme == "https":
		if u.Host != "" {
			return nil
		}
	case u.Scheme == "" && u.Host == "" && u.Path != "" && !strings.HasPrefix(u.Path, "/") && !strings.Contains(u.Path, `\`):
		return nil
	}
	return w.fail("the link %q is none that a report uses; give a web address, a path relative to the report, or #ID", to)
}
