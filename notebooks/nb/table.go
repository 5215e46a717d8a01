package nb

import (
	"cmp"
	"errors"
	"fmt"
	"html"
	"io/fs"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"hounsfield/datasets/table"
)

// View says how a table is shown. The zero View shows the first rows of all columns.
type View struct {
	Caption string
	Columns []string            // in this order; nil = all
	Where   map[string][]string // column -> values: only rows that have one of them, in every column named
	Rows    int                 // at most so many; 0 = 20
	Digits  int                 // significant digits of fractional numbers; 0 = 4
}

const (
	defaultRows   = 20
	defaultDigits = 4
)

// Table shows a table of a run folder (.arrow or .parquet), with units in the heads and
// what is known of the columns folded below. Numbers are rounded for the eye; the file
// has them whole.
func Table(file string, v View) {
	TableOf(Read(file), v)
}

// TableOf shows a table that is not in a file.
func TableOf(t *table.Table, v View) {
	g := gridOf(t, v)
	show(output{html: g.html(), plain: g.plain()})
}

// Read reads a whole table file.
func Read(file string) *table.Table {
	return Must(readTable(file))
}

// readTable reads a table file whatever its columns are.
func readTable(file string) (*table.Table, error) {
	t, err := table.ReadAny(file)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w; the cell that runs the experiment writes it", err)
	}
	return t, err
}

// grid is a table as text, ready to be shown.
type grid struct {
	caption string
	columns []table.Column
	cells   [][]string // by row
	numbers []bool     // by column
	left    int        // rows that are not shown
}

// gridOf picks rows and columns. A column that is not there ends the cell.
func gridOf(t *table.Table, v View) grid {
	names := v.Columns
	if names == nil {
		names = t.Schema().Names()
	}
	for _, name := range slices.Concat(names, slices.Sorted(maps.Keys(v.Where))) {
		if !t.Has(name) {
			Check(fmt.Errorf("the table has no column %q (did you mean %q?); it has: %s", name, table.NearestName(name, t.Schema().Names()), strings.Join(t.Schema().Names(), ", ")))
		}
	}
	g := grid{caption: v.Caption}
	var texts [][]string // by column
	for _, name := range names {
		c, _ := t.Schema().Column(name)
		g.columns = append(g.columns, c)
		g.numbers = append(g.numbers, isNumber(c))
		texts = append(texts, texted(t, name, v.Digits))
	}
	limit := v.Rows
	if limit == 0 {
		limit = defaultRows
	}
	for _, row := range matching(t, v.Where) {
		if len(g.cells) == limit {
			g.left++
			continue
		}
		cells := make([]string, len(names))
		for k := range names {
			cells[k] = texts[k][row]
		}
		g.cells = append(g.cells, cells)
	}
	return g
}

// matching are the rows that have one of the wanted values in every column named.
func matching(t *table.Table, where map[string][]string) []int {
	var rows []int
	texts := map[string][]string{}
	for name := range where {
		texts[name] = texted(t, name, 17)
	}
	for row := range t.Rows() {
		in := true
		for name, wanted := range where {
			in = in && slices.Contains(wanted, texts[name][row])
		}
		if in {
			rows = append(rows, row)
		}
	}
	return rows
}

func isNumber(c table.Column) bool {
	return c.Type == table.Float64 || c.Type == table.Float32 || c.Type == table.Int64
}

// nullText stands where a table has no value.
const nullText = "–"

// texted writes a column's cells for people.
func texted(t *table.Table, name string, digits int) []string {
	if digits == 0 {
		digits = defaultDigits
	}
	valid := t.Valid(name)
	out := make([]string, t.Rows())
	c, _ := t.Schema().Column(name)
	for i := range out {
		switch {
		case !valid[i]:
			out[i] = nullText
		case c.Type == table.String:
			out[i] = t.Strings(name)[i]
		case c.Type == table.Int64:
			out[i] = strconv.FormatInt(t.Int64s(name)[i], 10)
		case c.Type == table.Bool:
			out[i] = map[bool]string{true: "yes", false: "no"}[t.Bools(name)[i]]
		case c.Type == table.Float32:
			out[i] = rounded(float64(t.Float32s(name)[i]), digits)
		default:
			out[i] = rounded(t.Float64s(name)[i], digits)
		}
	}
	return out
}

// rounded writes a number with so many significant digits. Whole digits are never
// rounded away, whole numbers get no decimals, and very small ones keep their power of ten.
func rounded(x float64, digits int) string {
	if x == math.Trunc(x) && math.Abs(x) < 1e15 {
		return strconv.FormatFloat(x, 'f', 0, 64)
	}
	if math.IsInf(x, 0) || math.IsNaN(x) {
		return strconv.FormatFloat(x, 'g', -1, 64)
	}
	magnitude := int(math.Floor(math.Log10(math.Abs(x))))
	if magnitude < -4 {
		return strconv.FormatFloat(x, 'e', max(digits-3, 0), 64)
	}
	return strconv.FormatFloat(x, 'f', max(digits-1-magnitude, 0), 64)
}

// head is a column's title with its unit.
func head(c table.Column) string {
	if c.Unit == "" {
		return c.Name
	}
	return c.Name + " (" + c.Unit + ")"
}

// about says what is known of a column.
func about(c table.Column) string {
	var parts []string
	for _, p := range []string{c.Description, c.Direction, c.Source} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	return strings.Join(parts, "; ")
}

const (
	tableStyle = "border-collapse:collapse;font-size:13px;font-variant-numeric:tabular-nums"
	cellStyle  = "padding:.2em .7em;border-bottom:1px solid #bbb;vertical-align:top;"
)

func align(number bool) string {
	if number {
		return cellStyle + "text-align:right;white-space:nowrap"
	}
	return cellStyle + "text-align:left"
}

func (g grid) html() string {
	var b strings.Builder
	b.WriteString(`<div style="overflow-x:auto" tabindex="0" role="region" aria-label="` + html.EscapeString(cmp.Or(g.caption, "table")) + `"><table style="` + tableStyle + `">`)
	if g.caption != "" {
		b.WriteString(`<caption style="text-align:left;caption-side:top;padding:.2em 0;font-weight:600">` + html.EscapeString(g.caption) + `</caption>`)
	}
	b.WriteString("<thead><tr>")
	for k, c := range g.columns {
		fmt.Fprintf(&b, `<th scope="col" style="%s" title="%s">%s</th>`, align(g.numbers[k]), html.EscapeString(about(c)), html.EscapeString(head(c)))
	}
	b.WriteString("</tr></thead><tbody>")
	for _, row := range g.cells {
		b.WriteString("<tr>")
		for k, cell := range row {
			fmt.Fprintf(&b, `<td style="%s">%s</td>`, align(g.numbers[k]), html.EscapeString(cell))
		}
		b.WriteString("</tr>")
	}
	b.WriteString("</tbody></table></div>")
	if g.left > 0 {
		fmt.Fprintf(&b, `<p style="font-size:13px">%d more rows are not shown.</p>`, g.left)
	}
	var known strings.Builder
	for _, c := range g.columns {
		if text := about(c); text != "" {
			known.WriteString(`<dt style="font-weight:600">` + html.EscapeString(c.Name) + `</dt><dd>` + html.EscapeString(text) + `</dd>`)
		}
	}
	if known.Len() > 0 {
		b.WriteString(`<details style="font-size:13px"><summary>What the columns mean</summary><dl>` + known.String() + `</dl></details>`)
	}
	return b.String()
}

func (g grid) plain() string {
	widths := make([]int, len(g.columns))
	rows := [][]string{{}}
	for _, c := range g.columns {
		rows[0] = append(rows[0], head(c))
	}
	rows = append(rows, g.cells...)
	for _, row := range rows {
		for k, cell := range row {
			widths[k] = max(widths[k], len([]rune(cell)))
		}
	}
	var b strings.Builder
	if g.caption != "" {
		b.WriteString(g.caption + "\n")
	}
	for _, row := range rows {
		var line strings.Builder
		for k, cell := range row {
			pad := strings.Repeat(" ", widths[k]-len([]rune(cell)))
			if g.numbers[k] {
				line.WriteString(pad + cell + "  ")
			} else {
				line.WriteString(cell + pad + "  ")
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	if g.left > 0 {
		fmt.Fprintf(&b, "%d more rows are not shown\n", g.left)
	}
	return strings.TrimRight(b.String(), "\n")
}
