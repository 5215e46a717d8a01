// Package report turns a document made of plain blocks into one self-contained HTML file:
// figures first, every number with its patients and interval, config and manifest folded at
// the end. The file asks nothing of the network, needs no script, and reads on a wide
// screen, on a phone and on paper. Everything that is not markup of this package is
// escaped, patient names and file names included; figures are read as XML and written
// anew, so that only drawing elements pass. The bytes depend on the document only: no
// clock and no machine name is looked at.
package report

import "fmt"

// Document is one report: of a run, of a comparison of runs, of a patient.
type Document struct {
	Title    string // required
	Subtitle string
	Lead     []Block // before the first section: the numbers and the figure that matter most
	Sections []Section
	Software string // name and version of what made the results; required
	Date     string // as it is to be read; none is written when empty
	Footer   []Paragraph
}

// Section is a part of the document with an entry in its navigation.
type Section struct {
	ID     string // anchor, letters, digits and hyphens; made from the title when empty
	Title  string // required
	Blocks []Block
}

// Block is a piece of a section: Paragraph, List, Subheading, KeyFigures, Figure, Picture,
// Table, Callout, Code or Folded.
type Block interface{ block() }

// Span is a run of text. Link makes it a link: a web address (http or https), a path
// relative to the report such as tables/metrics.arrow, or #ID of a section.
type Span struct {
	Text   string
	Link   string
	Strong bool
	Code   bool
}

// Paragraph is text with links and emphasis.
type Paragraph []Span

// Text makes a paragraph of plain text.
func Text(s string) Paragraph { return Paragraph{{Text: s}} }

// List is a bulleted list.
type List []Paragraph

// Subheading starts a part of a section, one level below the section's title.
type Subheading string

// KeyFigure is one number large enough to be seen first. N is the number of patients
// behind it (0 for not stated), Interval its confidence interval as text and Note what to
// read it against.
type KeyFigure struct {
	Label    string
	Value    string
	Interval string
	N        int
	Note     string
}

// KeyFigures is a row of key figures.
type KeyFigures []KeyFigure

// Figure is a drawing in SVG, as package figure makes them. The SVG's own <title> is its
// text for screen readers; Alt takes its place for an SVG without one.
type Figure struct {
	SVG     []byte
	Alt     string
	Caption Paragraph
	File    string // path of the same figure as a file, relative to the report; may be empty
}

// Picture is a PNG, such as a quality control picture of a patient.
type Picture struct {
	PNG     []byte
	Alt     string // what there is to see, for those who do not see it; required
	Caption Paragraph
	File    string // path of the same picture as a file, relative to the report; may be empty
}

// Column is a column of a table. Numbers are set flush right, in figures of equal width.
type Column struct {
	Title  string
	Number bool
}

// Row is a row of a table; its first cell is the row's heading. Differs marks the row, by
// a sign and not by colour alone, as one in which the things compared are not the same.
// Strong sets it in bold, as for a total.
type Row struct {
	Cells   []Span
	Differs bool
	Strong  bool
}

// Cells makes the cells of a row from plain texts.
func Cells(texts ...string) []Span {
	cells := make([]Span, len(texts))
	for i, s := range texts {
		cells[i].Text = s
	}
	return cells
}

// Table is a table of texts that the caller has formatted. Note stands below it, and Files
// are the files that hold the same rows, such as tables/metrics.arrow.
type Table struct {
	Caption Paragraph // required: what the rows are
	Columns []Column
	Rows    []Row
	Note    Paragraph
	Files   []string
}

// Tone is the weight of a callout.
type Tone int

// The tones of a callout.
const (
	Info Tone = iota
	Warning
)

// Callout is a boxed remark.
type Callout struct {
	Tone  Tone
	Title string
	Body  []Paragraph
}

// Code is text to be read as it stands, such as YAML or JSON.
type Code struct {
	Label string // what it is, for screen readers, such as config.yaml
	Text  string
}

// Folded holds blocks that open on a click; on paper they are open.
type Folded struct {
	Title  string
	Blocks []Block
}

func (Paragraph) block()  {}
func (List) block()       {}
func (Subheading) block() {}
func (KeyFigures) block() {}
func (Figure) block()     {}
func (Picture) block()    {}
func (Table) block()      {}
func (Callout) block()    {}
func (Code) block()       {}
func (Folded) block()     {}

// DocumentError says which block of a document cannot be written, and why.
type DocumentError struct {
	Place   string // such as: section "Results", block 3, table
	Problem string // what is wrong and the next step
	Err     error  // what lies below; may be nil
}

func (e *DocumentError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("report, %s: %s: %v", e.Place, e.Problem, e.Err)
	}
	return fmt.Sprintf("report, %s: %s", e.Place, e.Problem)
}

// Unwrap gives the error below.
func (e *DocumentError) Unwrap() error { return e.Err }
