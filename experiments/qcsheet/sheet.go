// Package qcsheet makes the contact sheet of a prepared cohort: one HTML page with the
// picture of every contour, the most suspicious first, on which a reader says of each
// whether it is what the study needs.
//
// # The marks
//
// A reader's marks stay in the browser and are saved as a CSV file in UTF-8, which any sheet
// of the same cohort reads back. Its columns are
//
//	patient_id  as in the imaging table
//	scan        1, or 2 for the repeat of the scan
//	reader      whose contour it is; empty for the reference
//	verdict     ok, bad, or empty where there is only a note
//	note        the reader's words; may be empty
//
// one row per contour that was marked. In the browser a mark holds for the cube it was given
// for: when the preparation changes the cube, it counts as not given.
package qcsheet

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"image/png"
	"io/fs"
	"maps"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"github.com/google/renameio/v2"

	"hounsfield/datasets"
	"hounsfield/datasets/prepare"
	"hounsfield/experiments/report"
)

// File is the name of the sheet in a prepared folder.
const File = "qc.html"

//go:embed sheet.css
var styleSheet string

//go:embed sheet.js
var script string

//go:embed sheet.gohtml
var pageText string

var page = template.Must(template.New("sheet").Funcs(template.FuncMap{"number": signed}).Parse(pageText))

// Summary says what is on a sheet.
type Summary struct {
	File        string // the page
	Contours    int    // cards
	Wrong, Look int    // cards whose strongest reason is of that level
}

// Write makes the sheet of a folder that package prepare has filled: qc.html, whole or not at
// all, from imaging.arrow, exclusions.arrow and the pictures beside them, which it links to.
// The page needs no network and no server. Cards are sorted by suspicion (the sum of the
// weights of the rules that hold), then by patient, scan and reader; equal tables give equal
// bytes. A picture that is missing is said on its card.
//
// Errors: those of prepare.ReadImaging and package table, and of the file system.
func Write(folder string) (Summary, error) {
	all, err := read(folder)
	if err != nil {
		return Summary{}, err
	}
	v, err := all.view(folder)
	if err != nil {
		return Summary{}, err
	}
	var out bytes.Buffer
	if err := page.Execute(&out, v); err != nil {
		return Summary{}, fmt.Errorf("writing the sheet: %w", err)
	}
	s := Summary{File: filepath.Join(folder, File), Contours: len(all.contours), Wrong: v.Wrong, Look: v.Look}
	if err := renameio.WriteFile(s.File, out.Bytes(), 0o644, renameio.WithTempDir(folder)); err != nil {
		return Summary{}, fmt.Errorf("cannot write the contact sheet: %w; make room in the folder, or give another, and run again", err)
	}
	return s, nil
}

type sheetView struct {
	Title, NotADevice, Source string
	Policy                    string
	Style                     template.CSS
	Script                    template.HTML
	Patients, Wrong, Look     int
	Clear                     int
	Cards                     []cardView
	Reasons                   []reasonView
	Strips                    []stripView
	Lost                      int // rows of the exclusions table
	Stages                    []stageView
	Repeats                   bool // there are second scans or other readers
	Usual                     []usualNote
	Leasts                    string // smallest robust SDs, in words
	LeastPatients             int
}

type cardView struct {
	Number           int
	Patient, Reader  string
	Scan             int64
	Level            level
	Score            float64
	Hits             []hitView
	Names            string // of the rules that hold, parted by |
	Picture, Missing string
	Width, Height    int
	Cube             string // its hash, short
	Volume           string
	Marks            []markView
	Notes            []string
	Facts            []factView
}

type hitView struct {
	Level  level
	Reason string
}

// markView is where a contour lies on the strip of a measure.
type markView struct {
	Strip, Name, Value string
	At                 float64 // 0..1000 along the strip
	Place              string  // in words
}

type factView struct{ Name, Value string }

type reasonView struct {
	Name, Limit, Why string
	Level            level
	Weight           float64
	Cards            int
}

type stripView struct {
	ID   string
	Path string // a tick for every patient, 1000 wide and 20 high
}

// stageView are the exclusions of one step; a few lie open.
type stageView struct {
	Stage string
	Rows  []datasets.Exclusion
	Open  bool
}

func (all *cohort) view(folder string) (*sheetView, error) {
	sum := sha256.Sum256([]byte(script))
	v := &sheetView{
		Title: "Contact sheet", NotADevice: report.NotADevice, Patients: all.patients, Lost: len(all.exclusions),
		Usual: all.usual, Leasts: leasts(), LeastPatients: leastPatients,
		// Pictures lie beside the page; a browser may hold that a file's origin is nobody's, and so not 'self'.
		Policy: "default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'unsafe-inline'; img-src 'self' file: data:; " +
			"script-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'",
		Style: template.CSS(report.Style() + styleSheet), Script: template.HTML("<script>" + script + "</script>"),
	}
	if all.name != "" {
		v.Title += ": " + all.name
	}
	table, err := os.ReadFile(filepath.Join(folder, prepare.ImagingFile))
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256(table)
	v.Source = fmt.Sprintf("%s, sha256 %s", prepare.ImagingFile, hex.EncodeToString(hash[:6]))
	for i, m := range measures {
		if s := all.spread[m.name]; len(s.sorted) >= leastPatients && s.span > 0 {
			v.Strips = append(v.Strips, stripView{ID: fmt.Sprintf("strip-%d", i), Path: s.ticks(m)})
		}
	}
	holding := map[*rule]int{}
	for i, c := range all.contours {
		switch c.level {
		case wrong:
			v.Wrong++
		case look:
			v.Look++
		default:
			v.Clear++
		}
		for _, h := range c.hits {
			holding[h.rule]++
		}
		v.Repeats = v.Repeats || !c.base()
		v.Cards = append(v.Cards, all.card(folder, i+1, c))
	}
	for i := range rules {
		r := &rules[i]
		v.Reasons = append(v.Reasons, reasonView{Name: r.name, Limit: r.limit(), Why: r.why, Level: r.level, Weight: r.weight, Cards: holding[r]})
	}
	stages := map[string][]datasets.Exclusion{}
	for _, e := range all.exclusions {
		stages[e.Stage] = append(stages[e.Stage], e)
	}
	for _, stage := range slices.Sorted(maps.Keys(stages)) {
		v.Stages = append(v.Stages, stageView{stage, stages[stage], len(stages[stage]) <= 20})
	}
	return v, nil
}

func (all *cohort) card(folder string, number int, c *contour) cardView {
	cube := c.texts["cube_sha256"]
	v := cardView{
		Number: number, Patient: c.patient, Reader: c.reader, Scan: c.scan, Level: c.level, Score: c.score,
		Cube: cube[:min(12, len(cube))], Volume: fmt.Sprint(c.cm3()), Notes: c.notes,
	}
	var names []string
	for _, h := range c.hits {
		v.Hits = append(v.Hits, hitView{h.rule.level, h.reason})
		names = append(names, h.rule.name)
	}
	v.Names = strings.Join(names, "|")
	file := c.texts["qc_file"]
	width, height, err := pictureSize(filepath.Join(folder, filepath.FromSlash(file)))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		v.Missing = fmt.Sprintf("The picture %s is missing: prepare this patient again.", file)
	case err != nil:
		v.Missing = fmt.Sprintf("The picture %s cannot be read (%v): prepare this patient again.", file, err)
	default:
		v.Picture, v.Width, v.Height = (&url.URL{Path: file}).String(), width, height
	}
	for i, m := range measures {
		mark := markView{Name: m.name, Value: signed(m.value(c)) + " " + m.unit}
		if s := all.spread[m.name]; len(s.sorted) >= leastPatients && s.span > 0 {
			mark.Strip, mark.At, mark.Place = fmt.Sprintf("strip-%d", i), s.at(m, m.value(c)), s.place(m.value(c))
		}
		v.Marks = append(v.Marks, mark)
	}
	n := c.number
	v.Facts = []factView{
		{"region", fmt.Sprintf("%s (rule %s), of %s", c.texts["roi"], c.texts["roi_rule"], strings.ReplaceAll(c.texts["roi_seen"], "|", ", "))},
		{"contour file", c.texts["contour_file"]},
		{"series", c.texts["series_uid"]},
		{"scan", fmt.Sprintf("%.0f × %.0f × %.0f voxels of %s × %s × %s mm, %s to %s HU", n("size_x"), n("size_y"), n("size_z"),
			signed(n("spacing_x_mm")), signed(n("spacing_y_mm")), signed(n("spacing_z_mm")), signed(n("hu_min")), signed(n("hu_max")))},
		{"contour", fmt.Sprintf("%.0f voxels in %.0f piece(s); %.0f of %.0f contours off the slices", n("mask_voxels"), n("mask_parts"), n("contours_off_plane"), n("contours"))},
		{"centre", fmt.Sprintf("x %.1f, y %.1f, z %.1f mm (left, back, head)%s", n("com_x_mm"), n("com_y_mm"), n("com_z_mm"), skinWords(n("skin_mm")))},
		{"cube", fmt.Sprintf("%s to %s HU, %.0f voxels outside the scan, %.0f %% of the tumour beyond it", signed(c.hu("cube_min")), signed(c.hu("cube_max")), n("padded_voxels"), 100*n("mask_beyond_cube"))},
	}
	return v
}

// leasts are the smallest robust SDs of the measures, in words.
func leasts() string {
	var parts []string
	for _, m := range measures {
		least := signed(m.least) + " " + m.unit
		if m.log {
			least = "a factor of " + signed(math.Exp(m.least))
		}
		parts = append(parts, fmt.Sprintf("%s (%s)", least, m.name))
	}
	return strings.Join(parts, ", ")
}

func skinWords(mm float64) string {
	if math.IsNaN(mm) {
		return ""
	}
	return fmt.Sprintf(", %.0f mm from the skin", mm)
}

func pictureSize(path string) (width, height int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	size, err := png.DecodeConfig(f)
	return size.Width, size.Height, err
}

// ticks draws a line for every patient.
func (s *spread) ticks(m measure) string {
	var b strings.Builder
	last := -1.0
	for _, value := range s.sorted {
		if at := math.Round(s.at(m, value)); at != last { // ticks that fall together are one
			fmt.Fprintf(&b, "M%.0f 5v10", at)
			last = at
		}
	}
	return b.String()
}

// at is where a value lies on the strip, from 10 to 990; beyond the cohort's at its ends.
func (s *spread) at(m measure, value float64) float64 {
	return math.Round(10 + 980*max(0, min(1, (m.scaled(value)-s.smallest)/s.span)))
}

// place says how many patients have less.
func (s *spread) place(value float64) string {
	switch less, n := sort.SearchFloat64s(s.sorted, value), len(s.sorted); less {
	case 0:
		return fmt.Sprintf("none of %d is lower", n)
	case n:
		return fmt.Sprintf("all %d are lower", n)
	default:
		return fmt.Sprintf("%d of %d are lower", less, n)
	}
}
