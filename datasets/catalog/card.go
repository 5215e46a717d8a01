package catalog

import (
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"unicode/utf8"
)

// words are the rule without its reason.
func (r Repeats) words() string {
	if r.Kind == Scans {
		within := ""
		if r.WithinHours > 0 {
			within = fmt.Sprintf(", the second at most %g hours after the first", r.WithinHours)
		}
		return "one or two scans a patient, by time of acquisition, then UID" + within
	}
	rule, err := r.ReaderRule()
	if err != nil {
		panic(fmt.Sprintf("catalog: a rule that was checked is none: %v", err))
	}
	return "several readers of a scan: " + rule.String()
}

// words say what a source is and which part of it is meant.
func (s Source) words() string {
	name := map[string]string{
		NBIA:     "The Cancer Imaging Archive (NBIA's REST API)",
		IDC:      "Imaging Data Commons (its public bucket)",
		Figshare: fmt.Sprintf("figshare, article %d", s.Article),
		GEO:      fmt.Sprintf("Gene Expression Omnibus, series %s: %s", s.Series, strings.Join(s.Files, ", ")),
	}[s.Kind]
	if len(s.Collections) > 0 {
		name += ", collection " + strings.Join(s.Collections, ", ")
	}
	if len(s.Modalities) > 0 {
		name += ", only " + strings.Join(s.Modalities, ", ")
	}
	switch n := len(s.Manifests); {
	case n > 0:
		name += fmt.Sprintf(", only the series in %s", count(n, "list", "lists"))
	case s.Kind == IDC:
		name += "; it needs a list of series, --manifest FILE"
	}
	if s.Note != "" {
		name += ". " + strings.TrimSpace(s.Note)
	}
	return name
}

// count is a number with its noun, thousands apart.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	digits := fmt.Sprint(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits + " " + many
}

// width of a card in characters. Only what has no blank to break at is wider.
const width = 100

// card is text in sections.
type card struct{ strings.Builder }

func (c *card) put(label, text string) { c.WriteString(Paragraph(label, text)) }

// Paragraph writes a text behind a label in lines of 100 characters, further lines below the
// first word.
func Paragraph(label, text string) string {
	var b strings.Builder
	indent := utf8.RuneCountInString(label)
	at := indent
	b.WriteString(label)
	for i, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case at+1+n > width:
			b.WriteString("\n" + strings.Repeat(" ", indent))
			at = indent
		default:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at += n
	}
	b.WriteByte('\n')
	return b.String()
}

func (c *card) section(title string) { c.WriteString("\n" + title + "\n") }

// Describe writes the entry for a person to read, in 100 columns.
func (e Entry) Describe(w io.Writer) error {
	var c card
	c.put("", e.Name+": "+e.Title)
	c.WriteByte('\n')
	c.put("  ", e.What)

	c.section("Role in the study")
	c.put("  ", e.Study)
	c.WriteByte('\n')
	e.describeLicences(&c)
	c.section("What it holds")
	e.describeFiles(&c)
	e.describeTables(&c)
	e.describeImages(&c)
	e.describeSources(&c)
	if len(e.Quirks) > 0 {
		c.section("Know before you use it")
		for _, q := range e.Quirks {
			c.put("  - ", q)
		}
	}
	_, err := io.WriteString(w, c.String())
	return err
}

// DescribeLicences writes what a person has to know before accepting: the licences, what
// follows from them, and what to cite.
func (e Entry) DescribeLicences(w io.Writer) error {
	var c card
	e.describeLicences(&c)
	_, err := io.WriteString(w, c.String())
	return err
}

func (e Entry) describeLicences(c *card) {
	c.WriteString("Licence, and what follows from it\n")
	for _, l := range e.Licences() {
		name := l.Licence
		if l.Of != "" {
			name = l.Of + ": " + name
		}
		c.put("  ", name)
		for _, s := range l.Terms.Consequences() {
			c.put("    - ", s)
		}
	}
	c.section("Cite")
	for _, cite := range e.Cite {
		c.put("  - ", cite)
	}
}

// longestPath is the length up to which what a file is stands beside its path.
const longestPath = 48

func (e Entry) describeFiles(c *card) {
	longest := 0
	for _, f := range e.Files {
		longest = max(longest, len(f.Path))
	}
	for _, f := range e.Files {
		size := "size unknown"
		if f.Size > 0 {
			size = kilobytes(f.Size)
		}
		what := f.What
		if f.Optional {
			what += " (optional)"
		}
		if f.Why != "" {
			what += "; not verified by SHA-256: " + strings.TrimSpace(f.Why)
		}
		if longest <= longestPath {
			c.put(fmt.Sprintf("  %-*s %7s  ", longest, f.Path, size), what)
			continue
		}
		c.put("  ", f.Path+", "+size)
		c.put("      ", what)
	}
	for _, s := range e.Sources {
		c.put("  "+s.Folder+"/: ", "what comes from "+s.Kind+", see below")
	}
}

// kilobytes is a number of bytes for people, in powers of 1000.
func kilobytes(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	case n < 1e6:
		return fmt.Sprintf("%.0f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}

func (e Entry) describeTables(c *card) {
	for _, t := range e.Tables {
		text := "role " + t.Role
		if t.Treatment != "" {
			text += ", " + t.Treatment
		}
		text += fmt.Sprintf(", %s of %s", count(t.Rows, "row", "rows"), t.File)
		if t.Link != "" {
			text += fmt.Sprintf("; survival from %s, by patient id", t.Link)
		}
		if t.Features != nil {
			text += "; features: " + t.Features.Source
		}
		c.put("  cohort "+t.Cohort+": ", text)
	}
}

func (e Entry) describeImages(c *card) {
	im := e.Images
	if im == nil {
		return
	}
	text := im.Modality + " under " + im.Folder + ", " + im.Layout
	var counts []string
	if im.Patients > 0 {
		counts = append(counts, count(im.Patients, "patient", "patients"))
	}
	if im.Series > 0 {
		counts = append(counts, count(im.Series, "series", "series"))
	}
	if im.Gigabytes > 0 {
		counts = append(counts, fmt.Sprintf("about %.3g GB", im.Gigabytes))
	}
	if im.Role != "" {
		counts = append(counts, "role "+im.Role)
	}
	if len(counts) > 0 {
		text += "; " + strings.Join(counts, ", ")
		if im.Counted != "" {
			text += " (" + strings.TrimSpace(im.Counted) + ")"
		}
	}
	c.put("  scans: ", text)
	if im.ROI.None != "" {
		c.put("  tumour contour: ", "none. "+strings.TrimSpace(im.ROI.None))
	} else {
		c.put("  tumour contour: ", fmt.Sprintf("%s (%s)", strings.Join(im.ROI.Exact, ", then "), strings.TrimSpace(im.ROI.Why)))
	}
	if r := im.Repeats; r != nil {
		c.put("  repeats: ", fmt.Sprintf("%s (%s)", r.words(), strings.TrimSpace(r.Why)))
	}
}

func (e Entry) describeSources(c *card) {
	c.section("Where it comes from")
	var bases []string
	for _, f := range e.Files {
		base := strings.TrimSuffix(f.URL, path.Base(f.URL))
		if f.URL != "" && !slices.Contains(bases, base) {
			bases = append(bases, base)
			c.put("  files: ", base)
		}
	}
	for _, s := range e.Sources {
		c.put("  "+s.Kind+": ", s.words())
	}
	if e.Images != nil {
		for i, s := range e.Images.Sources {
			label := "  scans, --source " + s.Kind
			if i == 0 {
				label += " (the default)"
			}
			c.put(label+": ", s.words())
		}
	}
	if e.Obtain != "" {
		c.put("  by hand: ", e.Obtain)
	}
	if e.Images != nil {
		c.put("  scans by hand: ", e.Images.Obtain)
	}
}
