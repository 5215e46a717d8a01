package nb

import (
	_ "embed"
	"fmt"
	"math"
	"slices"
	"strings"

	"hounsfield/datasets/table"
)

var (
	//go:embed explore.js
	exploreScript string
	//go:embed explore.css
	exploreStyle string
)

// Explorer is a set of panels, each a plot and a table of rows, under controls that pick
// which rows are seen. It answers in the browser, without a run of the cell.
type Explorer struct {
	Title    string
	Controls []Control
	Panels   []Panel
}

// The kinds of control.
const (
	Select = "select" // one value of a text column
	Checks = "checks" // any values of a text column
	Slider = "slider" // rows up to a value of a number column
)

// Control picks rows by the values of columns. It holds in every panel that has one of
// its columns; in a panel with several of them, each must have a picked value.
type Control struct {
	Kind    string // Select, Checks or Slider
	Label   string
	Columns []string
	Initial []string // picked at first; nil: Select the first value, Checks all, Slider the largest
}

// Panel is a plot over a table.
type Panel struct {
	Title  string
	Table  *table.Table
	Show   []string // columns of the table, in order; nil = all
	Digits int      // significant digits, as in View
	Plot   *Plot    // nil = the table only
}

// The kinds of plot.
const (
	Lines     = "lines"     // Y over X, a line for each value of Series
	Points    = "points"    // the same without lines
	Intervals = "intervals" // X with its interval, a row for each row of the table
)

// Plot says what of a panel's rows is drawn.
type Plot struct {
	Kind      string
	X         string
	Y         []string // Lines, Points: columns to choose among
	Low, High string   // Intervals
	Series    []string // columns whose values name a series (Lines, Points) or a row (Intervals)
	At        []Mark
}

// Mark is a line across a plot at a value that means something: of Y in Lines and
// Points, of X in Intervals.
type Mark struct {
	Value float64 `json:"value"`
	Name  string  `json:"name"`
}

// page is what the script reads.
type page struct {
	Title    string        `json:"title"`
	Controls []pageControl `json:"controls"`
	Panels   []pagePanel   `json:"panels"`
}

type pageControl struct {
	Kind    string   `json:"kind"`
	Label   string   `json:"label"`
	Columns []string `json:"columns"`
	Options []string `json:"options,omitempty"`
	Initial []string `json:"initial,omitempty"`
	Min     float64  `json:"min"`
	Max     float64  `json:"max"`
	Step    float64  `json:"step"`
}

type pagePanel struct {
	Title   string       `json:"title"`
	Columns []pageColumn `json:"columns"`
	Rows    [][]any      `json:"rows"` // values; null where there is none
	Texts   [][]string   `json:"texts"`
	Show    []int        `json:"show"`
	Plot    *pagePlot    `json:"plot,omitempty"`
}

type pageColumn struct {
	Name   string `json:"name"`
	Head   string `json:"head"`
	About  string `json:"about,omitempty"`
	Number bool   `json:"number"`
}

type pagePlot struct {
	Kind   string `json:"kind"`
	X      int    `json:"x"`
	Y      []int  `json:"y"`
	Low    int    `json:"low"` // -1 = none
	High   int    `json:"high"`
	Series []int  `json:"series"`
	At     []Mark `json:"at"`
}

// Explore shows an explorer.
func Explore(e Explorer) {
	p, err := e.page()
	Check(err)
	// What is seen without the script, and in a log: the rows picked at first.
	first, plain := "", ""
	if e.Title != "" {
		plain = e.Title + "\n\n"
	}
	for _, panel := range e.Panels {
		g := gridOf(panel.Table, View{Caption: panel.Title, Columns: panel.Show, Digits: panel.Digits, Rows: staticRows, Where: e.picked(panel.Table, p)})
		first += g.html()
		plain += g.plain() + "\n\n"
	}
	show(output{html: widget(p, exploreStyle, exploreScript, first), plain: strings.TrimRight(plain, "\n")})
}

// staticRows is how many rows of a panel stand there without the script.
const staticRows = 12

// picked is what the controls over text columns pick in a table at first.
func (e Explorer) picked(t *table.Table, p page) map[string][]string {
	where := map[string][]string{}
	for _, c := range p.Controls {
		wanted := c.Initial
		if c.Kind == Select && wanted == nil {
			wanted = c.Options[:1]
		}
		for _, name := range c.Columns {
			if c.Kind != Slider && wanted != nil && t.Has(name) {
				where[name] = wanted
			}
		}
	}
	return where
}

// page checks an explorer and turns it into what the script reads.
func (e Explorer) page() (page, error) {
	p := page{Title: e.Title, Controls: []pageControl{}}
	for _, panel := range e.Panels {
		pp, err := panel.page()
		if err != nil {
			return p, err
		}
		p.Panels = append(p.Panels, pp)
	}
	for _, c := range e.Controls {
		pc := pageControl{Kind: c.Kind, Label: c.Label, Columns: c.Columns, Initial: c.Initial}
		found := false
		for _, panel := range e.Panels {
			for _, name := range c.Columns {
				if !panel.Table.Has(name) {
					continue
				}
				column, _ := panel.Table.Schema().Column(name)
				if isNumber(column) != (c.Kind == Slider) {
					return p, fmt.Errorf("the control %q cannot be a %s: column %q holds %s", c.Label, c.Kind, name, column.Type)
				}
				if c.Kind == Slider {
					for _, x := range numbers(panel.Table, name) {
						if x == nil {
							continue
						}
						if !found {
							pc.Min, pc.Max = *x, *x
						}
						pc.Min, pc.Max, found = min(pc.Min, *x), max(pc.Max, *x), true
					}
					pc.Step = (pc.Max - pc.Min) / 100
					if column.Type == table.Int64 {
						pc.Step = 1
					}
					continue
				}
				found = true
				for _, text := range texted(panel.Table, name, 0) {
					if !slices.Contains(pc.Options, text) {
						pc.Options = append(pc.Options, text)
					}
				}
			}
		}
		if !found {
			return p, fmt.Errorf("no panel has a value in the columns %q of the control %q", c.Columns, c.Label)
		}
		for _, text := range c.Initial {
			if c.Kind != Slider && !slices.Contains(pc.Options, text) {
				return p, fmt.Errorf("the control %q cannot begin with %q: it offers %q", c.Label, text, pc.Options)
			}
		}
		p.Controls = append(p.Controls, pc)
	}
	return p, nil
}

func (panel Panel) page() (pagePanel, error) {
	t := panel.Table
	names := t.Schema().Names()
	out := pagePanel{Title: panel.Title, Show: []int{}, Rows: make([][]any, t.Rows()), Texts: make([][]string, t.Rows())}
	at := func(name string) (int, error) {
		i := slices.Index(names, name)
		if i < 0 {
			return i, fmt.Errorf("the panel %q has no column %q (did you mean %q?); it has: %s", panel.Title, name, table.NearestName(name, names), strings.Join(names, ", "))
		}
		return i, nil
	}
	all := func(wanted []string) ([]int, error) {
		out := []int{}
		for _, name := range wanted {
			i, err := at(name)
			if err != nil {
				return nil, err
			}
			out = append(out, i)
		}
		return out, nil
	}
	for _, c := range t.Schema().Columns {
		out.Columns = append(out.Columns, pageColumn{Name: c.Name, Head: head(c), About: about(c), Number: isNumber(c)})
		texts := texted(t, c.Name, panel.Digits)
		var values []*float64
		if isNumber(c) {
			values = numbers(t, c.Name)
		}
		for row := range texts {
			out.Texts[row] = append(out.Texts[row], texts[row])
			if values != nil {
				out.Rows[row] = append(out.Rows[row], values[row])
			} else {
				out.Rows[row] = append(out.Rows[row], texts[row])
			}
		}
	}
	shown := panel.Show
	if shown == nil {
		shown = names
	}
	var err error
	if out.Show, err = all(shown); err != nil || panel.Plot == nil {
		return out, err
	}
	plot := pagePlot{Kind: panel.Plot.Kind, Low: -1, High: -1, At: panel.Plot.At}
	if plot.At == nil {
		plot.At = []Mark{}
	}
	if plot.X, err = at(panel.Plot.X); err != nil {
		return out, err
	}
	if plot.Y, err = all(panel.Plot.Y); err != nil {
		return out, err
	}
	if plot.Series, err = all(panel.Plot.Series); err != nil {
		return out, err
	}
	switch plot.Kind {
	case Intervals:
		if plot.Low, err = at(panel.Plot.Low); err != nil {
			return out, err
		}
		if plot.High, err = at(panel.Plot.High); err != nil {
			return out, err
		}
	case Lines, Points:
		if len(plot.Y) == 0 {
			return out, fmt.Errorf("the plot of the panel %q names no column for its Y", panel.Title)
		}
	default:
		return out, fmt.Errorf("the plot of the panel %q is of the kind %q; there are %s, %s and %s", panel.Title, plot.Kind, Lines, Points, Intervals)
	}
	for _, i := range slices.Concat([]int{plot.X}, plot.Y) {
		if !out.Columns[i].Number {
			return out, fmt.Errorf("the plot of the panel %q cannot draw the column %q: it holds no numbers", panel.Title, names[i])
		}
	}
	out.Plot = &plot
	return out, nil
}

// numbers are a number column's finite values; nil where there is none.
func numbers(t *table.Table, name string) []*float64 {
	c, _ := t.Schema().Column(name)
	valid := t.Valid(name)
	out := make([]*float64, t.Rows())
	for i := range out {
		if !valid[i] {
			continue
		}
		var x float64
		switch c.Type {
		case table.Int64:
			x = float64(t.Int64s(name)[i])
		case table.Float32:
			x = float64(t.Float32s(name)[i])
		default:
			x = t.Float64s(name)[i]
		}
		if !math.IsInf(x, 0) { // JSON has no infinity
			out[i] = &x
		}
	}
	return out
}
