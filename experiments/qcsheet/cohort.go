package qcsheet

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"hounsfield/datasets"
	"hounsfield/datasets/prepare"
	"hounsfield/datasets/table"
	"hounsfield/datasets/volume"
)

// contour is one row of the imaging table: a card of the sheet.
type contour struct {
	patient, reader string // reader "" is the reference
	scan            int64
	texts           map[string]string  // by column
	numbers         map[string]float64 // by column; NaN where null
	notes           []string
	left            []datasets.Exclusion // what was left out of this patient, at the reference

	hits  []hit
	score float64
	level level
}

func (c *contour) number(column string) float64 {
	v, ok := c.numbers[column]
	if !ok {
		panic("qcsheet: the imaging table has no number " + column)
	}
	return v
}

func (c *contour) cm3() float64 { return c.number("mask_mm3") / 1000 }

// hu turns a normalised value of the cube back.
func (c *contour) hu(column string) float64 {
	return c.number(column)*(volume.HUMax-volume.HUMin) + volume.HUMin
}

// apart is the distance of the centres of mass of two contours, mm.
func (c *contour) apart(other *contour) float64 {
	sum := 0.0
	for _, axis := range []string{"com_x_mm", "com_y_mm", "com_z_mm"} {
		d := c.number(axis) - other.number(axis)
		sum += d * d
	}
	return math.Sqrt(sum)
}

// base says whether the contour stands for its patient: the first scan, the reference.
func (c *contour) base() bool { return c.scan == 1 && c.reader == "" }

// cohort is a prepared folder, read.
type cohort struct {
	name       string
	contours   []*contour // by suspicion
	exclusions []datasets.Exclusion
	patients   int                            // prepared ones
	cubeSize   float64                        // edge of the cube, voxels; NaN where the table does not say
	first      map[string]*contour            // of every patient the reference on the first scan: prepare.ReadImaging refuses a table without
	sharing    map[string]map[string][]string // column -> value -> patients that have it, each once
	spread     map[string]spread              // by name of the measure
	usual      []usualNote
}

// usualNote is a note of the preparation that most patients have: it says what the cohort is, and
// nothing against any of them.
type usualNote struct {
	Text     string // of the first patient who has it
	Patients int
}

var digits = regexp.MustCompile(`[0-9]+`)

// likeness is a note without its numbers, by which "one of 2 series" and "one of 3 series" are alike.
func likeness(note string) string { return digits.ReplaceAllString(note, "0") }

// usualNotes are the notes that more than half of the patients' reference contours have, if these
// are enough to say what is usual.
func usualNotes(all []*contour, patients int) (out []usualNote) {
	if patients < leastPatients {
		return nil
	}
	at := map[string]int{}
	var seen []usualNote
	for _, c := range all {
		if !c.base() {
			continue
		}
		for _, note := range c.notes {
			i, ok := at[likeness(note)]
			if !ok {
				i = len(seen)
				at[likeness(note)], seen = i, append(seen, usualNote{Text: note})
			}
			seen[i].Patients++
		}
	}
	for _, n := range seen {
		if 2*n.Patients > patients {
			out = append(out, n)
		}
	}
	return out
}

// ruledNotes are words of the preparation's notes about which there are rules of their own.
var ruledNotes = []string{"outside the scan left out", "partly beside the scan", "off the slice planes", "without a contour inside the region"}

// ownNotes are the notes of a contour that no rule of its own names and that are not usual here.
func (all *cohort) ownNotes(c *contour) (own []string) {
	for _, note := range c.notes {
		ruled := slices.ContainsFunc(ruledNotes, func(words string) bool { return strings.Contains(note, words) })
		usual := slices.ContainsFunc(all.usual, func(u usualNote) bool { return likeness(u.Text) == likeness(note) })
		if !ruled && !usual {
			own = append(own, note)
		}
	}
	return own
}

// measure is a number that a cohort is laid out by.
type measure struct {
	name, unit string
	log        bool // compared by ratios
	// least is the smallest robust SD that is believed, in the unit or, of ratios, as their
	// logarithm: a few patients can be alike by chance, and what differs by less than three
	// times that is not worth anybody's time.
	least float64
	value func(*contour) float64
}

var measures = []measure{
	{"tumour volume", "cm³", true, math.Log(1.5), (*contour).cm3},
	{"median within the tumour", "HU", false, 25, func(c *contour) float64 { return c.number("tumour_hu") }},
	{"mean of the cube", "HU", false, 60, func(c *contour) float64 { return c.hu("cube_mean") }},
	{"distance of slices", "mm", false, 1, func(c *contour) float64 { return c.number("spacing_z_mm") }},
}

func (m *measure) scaled(v float64) float64 {
	if m.log {
		return math.Log(v)
	}
	return v
}

// spread is how a measure lies among the patients' reference contours.
type spread struct {
	sorted         []float64
	median, madSD  float64 // of scaled values; madSD is 1.4826 median absolute deviations, at least the measure's least
	lower, upper   float64 // quartiles, of the values as they are
	smallest, span float64 // of scaled values
}

// leastPatients is from how many on a cohort says what is usual in it.
const leastPatients = 8

func newSpread(m measure, all []*contour) (s spread) {
	for _, c := range all {
		if v := m.value(c); c.base() && !math.IsInf(m.scaled(v), 0) && !math.IsNaN(m.scaled(v)) {
			s.sorted = append(s.sorted, v)
		}
	}
	if len(s.sorted) == 0 {
		return s
	}
	slices.Sort(s.sorted)
	scaled := table.ColumnOf(s.sorted, m.scaled)
	s.median = middle(scaled)
	off := table.ColumnOf(scaled, func(v float64) float64 { return math.Abs(v - s.median) })
	slices.Sort(off)
	s.madSD = max(1.4826*middle(off), m.least)
	n := len(s.sorted)
	s.lower, s.upper = s.sorted[(n-1)/4], s.sorted[n-1-(n-1)/4]
	s.smallest, s.span = scaled[0], scaled[n-1]-scaled[0]
	return s
}

// middle is the median of sorted values.
func middle(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// robustZ is how many robust standard deviations a contour lies from the cohort's median;
// NaN for a cohort too small to say.
func (all *cohort) robustZ(name string, c *contour) float64 {
	m := measureOf(name)
	s := all.spread[name]
	if len(s.sorted) < leastPatients {
		return math.NaN()
	}
	return (m.scaled(m.value(c)) - s.median) / s.madSD
}

func measureOf(name string) *measure {
	for i := range measures {
		if measures[i].name == name {
			return &measures[i]
		}
	}
	panic("qcsheet: no measure " + name)
}

// others are the other patients that have this contour's value of a column.
func (all *cohort) others(column string, c *contour) []string {
	return slices.DeleteFunc(slices.Clone(all.sharing[column][c.shared(column)]), func(id string) bool { return id == c.patient })
}

// The values that patients must not share, beside columns of the table.
const (
	sharedContour = "contour" // where the centre of mass lies to a millionth of a mm, and the volume
	sharedVoxel   = "voxel"   // the voxel that the cube is centred on
)

func (c *contour) shared(column string) string {
	join := func(columns ...string) string {
		return strings.Join(table.ColumnOf(columns, func(name string) string { return fmt.Sprintf("%.6f", c.number(name)) }), " ")
	}
	switch column {
	case sharedContour:
		return join("com_x_mm", "com_y_mm", "com_z_mm", "mask_mm3")
	case sharedVoxel:
		return join("centre_x", "centre_y", "centre_z")
	case "series_uid":
		return c.texts[column]
	}
	return join(column)
}

// read reads the tables of a prepared folder and judges every contour.
func read(folder string) (*cohort, error) {
	t, err := prepare.ReadImaging(folder)
	if err != nil {
		return nil, err
	}
	lost, err := datasets.ReadExclusions(filepath.Join(folder, exclusionsFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s holds no %s: a preparation was stopped while it wrote its tables; run it again", folder, exclusionsFile)
	case err != nil:
		return nil, err
	}
	return newCohort(t, lost), nil
}

const exclusionsFile = "exclusions.arrow"

func newCohort(t *table.Table, lost []datasets.Exclusion) *cohort {
	all := &cohort{exclusions: lost, first: map[string]*contour{}, sharing: map[string]map[string][]string{}, spread: map[string]spread{}}
	var err error
	if all.cubeSize, err = strconv.ParseFloat(t.Provenance()["cube_size"], 64); err != nil {
		all.cubeSize = math.NaN()
	}
	for row := range t.Rows() {
		all.contours = append(all.contours, newContour(t, row))
	}
	for _, c := range all.contours {
		if c.base() {
			all.first[c.patient] = c
			all.patients++
			all.name = cmp.Or(all.name, c.texts["cohort"])
		}
	}
	for _, e := range lost {
		if c := all.first[e.Patient]; c != nil {
			c.left = append(c.left, e)
		}
	}
	for _, column := range []string{"scan_crc32", "series_uid", sharedContour, sharedVoxel} {
		having := map[string][]string{}
		for _, c := range all.contours {
			if v := c.shared(column); v != "" && !slices.Contains(having[v], c.patient) {
				having[v] = append(having[v], c.patient)
			}
		}
		all.sharing[column] = having
	}
	for _, m := range measures {
		all.spread[m.name] = newSpread(m, all.contours)
	}
	all.usual = usualNotes(all.contours, all.patients)
	for _, c := range all.contours {
		c.judge(all)
	}
	slices.SortStableFunc(all.contours, func(a, b *contour) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.patient, b.patient), cmp.Compare(a.scan, b.scan), cmp.Compare(a.reader, b.reader))
	})
	return all
}

func newContour(t *table.Table, row int) *contour {
	c := &contour{texts: map[string]string{}, numbers: map[string]float64{}}
	for _, column := range t.Schema().Columns {
		null := !t.Valid(column.Name)[row]
		switch column.Type {
		case table.String:
			c.texts[column.Name] = t.Strings(column.Name)[row]
		case table.Float64:
			c.numbers[column.Name] = t.Float64s(column.Name)[row]
		case table.Int64:
			c.numbers[column.Name] = float64(t.Int64s(column.Name)[row])
		}
		if _, number := c.numbers[column.Name]; number && null {
			c.numbers[column.Name] = math.NaN()
		}
	}
	c.patient, c.reader, c.scan = c.texts["patient_id"], c.texts["reader"], t.Int64s("scan")[row]
	if c.texts["notes"] != "" {
		c.notes = strings.Split(c.texts["notes"], "; ")
	}
	return c
}
