package analysis

import (
	"bytes"
	"context"
	"errors"
	"image/png"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"

	"hounsfield/datasets/nifti"
	"hounsfield/datasets/table"
	"hounsfield/experiments/figure"
)

// shown is a patient whose maps are written down.
type shown struct {
	row         int
	why         string
	score, odds float64
	change, gap float64
	picture     []byte // PNG
	folder      string // relative to the run's
	looked      []pointed
}

// activationPanel is the edge of a panel of the pictures, pixels.
const activationPanel = 150

// show makes the maps of the patients who are shown and writes them below the run's folder.
func (a *activation) show(ctx context.Context) ([]shown, error) {
	if err := os.RemoveAll(filepath.Join(a.Dir, activationName)); err != nil {
		return nil, err
	}
	rows, why := a.pictured()
	var all []shown
	err := a.each(ctx, rows, "activation: the patients shown", func(k int, e *Explanation) error {
		s := shown{row: rows[k], why: why[k], score: e.Score, odds: e.LogOdds, change: e.change, gap: e.gap, folder: path.Join(activationName, fileName(e.Patient))}
		var b bytes.Buffer
		if err := png.Encode(&b, e.Picture(activationPanel)); err != nil {
			return err
		}
		s.picture = b.Bytes()
		if err := e.write(filepath.Join(a.Dir, filepath.FromSlash(s.folder)), s.picture); err != nil {
			return err
		}
		regions := a.regions(e)
		for _, m := range e.Maps {
			s.looked = append(s.looked, point(m.Method, m.OnCube, regions))
		}
		all = append(all, s)
		return nil
	})
	return all, err
}

// fileName is an id as the name of a folder.
func fileName(id string) string {
	s := url.PathEscape(id)
	if strings.HasPrefix(s, ".") {
		s = "%2E" + s[1:]
	}
	return s
}

// write puts scan, contour and maps into a folder, all on the scan's own voxels within the
// cube, and the cube that the networks read on its own.
func (e *Explanation) write(dir string, picture []byte) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	all := []error{
		renameio.WriteFile(filepath.Join(dir, "planes.png"), picture, fs.FileMode(0o644)),
		nifti.Write(filepath.Join(dir, "ct.nii.gz"), e.CT, nifti.Float32),
		nifti.WriteMask(filepath.Join(dir, "tumour.nii.gz"), e.Tumour),
		nifti.Write(filepath.Join(dir, "cube.nii.gz"), e.Cube, nifti.Float32),
	}
	for _, m := range e.Maps {
		all = append(all, nifti.Write(filepath.Join(dir, m.Method+".nii.gz"), m.OnScan, nifti.Float32))
	}
	return errors.Join(all...)
}

func (a *activation) result(shown []shown, played []player, sane []randomised) (*Result, error) {
	measures, err := a.pointingMeasures(played)
	if err != nil {
		return nil, err
	}
	measures = append(measures, a.sanityMeasures(sane)...)
	r := &Result{Exclusions: a.lost}
	for _, t := range []struct {
		name string
		make func() (*table.Table, error)
	}{
		{activationName, func() (*table.Table, error) { return MeasuresTable(activationName, measures, a.Provenance) }},
		{activationPatients, func() (*table.Table, error) { return a.patientsTable(shown, played) }},
		{activationSanity, func() (*table.Table, error) { return a.sanityTable(sane) }},
	} {
		made, err := t.make()
		if err != nil {
			return nil, err
		}
		r.Tables = append(r.Tables, Table{t.name, made})
	}
	if r.Figures, err = a.figures(measures, sane); err != nil {
		return nil, err
	}
	r.Section, r.Lines = a.section(shown, measures, len(played), r.Figures), a.lines(measures, len(played))
	return r, nil
}

const (
	activationPatients = "activation_patients"
	activationSanity   = "activation_sanity"
)

// patientsTable has a row for each patient and method: the sample, and who is shown.
func (a *activation) patientsTable(pictures []shown, played []player) (*table.Table, error) {
	type line struct {
		row     int
		folder  string
		sampled bool
		pointed
	}
	var lines []line
	folders := map[int]string{}
	for _, s := range pictures {
		folders[s.row] = s.folder
	}
	inSample := map[int]bool{}
	for _, p := range played {
		inSample[p.row] = true
		for _, l := range p.looked {
			lines = append(lines, line{p.row, folders[p.row], true, l})
		}
	}
	for _, s := range pictures {
		for _, l := range s.looked {
			if !inSample[s.row] {
				lines = append(lines, line{s.row, s.folder, false, l})
			}
		}
	}
	schema := table.Schema{Name: activationPatients, Columns: []table.Column{
		{Name: "patient_id", Type: table.String}, {Name: "role", Type: table.String}, {Name: "score", Type: table.Float64, Nullable: true, Direction: riskDirection},
		{Name: "method", Type: table.String, Allowed: activationNames()},
		{Name: "sampled", Type: table.Bool, Description: "plays the pointing game"},
		{Name: "folder", Type: table.String, Nullable: true, Description: "of the maps, where the patient is shown"},
		{Name: "empty", Type: table.Bool, Description: "the map is 0 everywhere"},
		{Name: "x", Type: table.Float64, Nullable: true, Unit: "mm", Description: "of the map's largest size, patient system (LPS); none for an empty map"},
		{Name: "y", Type: table.Float64, Nullable: true, Unit: "mm"}, {Name: "z", Type: table.Float64, Nullable: true, Unit: "mm"},
	}}
	columns := map[string]any{
		"patient_id": table.ColumnOf(lines, func(l line) string { return a.Cohort.Patients[l.row].ID }),
		"role":       table.ColumnOf(lines, func(l line) string { return string(a.Cohort.Patients[l.row].Role) }),
		"score":      table.ColumnOf(lines, func(l line) table.Null[float64] { return table.Finite(a.Scores[l.row]) }),
		"method":     table.ColumnOf(lines, func(l line) string { return l.method }),
		"sampled":    table.ColumnOf(lines, func(l line) bool { return l.sampled }),
		"folder":     table.ColumnOf(lines, func(l line) table.Null[string] { return table.Null[string]{V: l.folder, Valid: l.folder != ""} }),
		"empty":      table.ColumnOf(lines, func(l line) bool { return l.empty }),
	}
	for axis, name := range []string{"x", "y", "z"} {
		columns[name] = table.ColumnOf(lines, func(l line) table.Null[float64] { return table.Null[float64]{V: l.mm[axis], Valid: !l.empty} })
	}
	for _, region := range a.regionNames() {
		id := strings.ReplaceAll(region, " ", "_")
		schema.Columns = append(schema.Columns, table.Column{Name: "hit_" + id, Type: table.Bool, Description: "the largest size lies in the " + region},
			table.Column{Name: "energy_" + id, Type: table.Float64, Nullable: true, Description: "share of the map's sizes inside"})
		columns["hit_"+id] = table.ColumnOf(lines, func(l line) bool { return l.hit[region] })
		columns["energy_"+id] = table.ColumnOf(lines, func(l line) table.Null[float64] { return table.Finite(l.energy[region]) })
	}
	return table.New(schema, a.Provenance, columns)
}

// sanityTable has a row for each method and each way to take knowledge away.
func (a *activation) sanityTable(all []randomised) (*table.Table, error) {
	number := func(of func(r randomised) []float64) []table.Null[float64] {
		return table.ColumnOf(all, func(r randomised) table.Null[float64] {
			if len(r.patient) == 0 {
				return table.Null[float64]{}
			}
			return table.Finite(mean(r.byPatient(of(r))))
		})
	}
	return table.New(table.Schema{Name: activationSanity, Columns: []table.Column{
		{Name: "method", Type: table.String, Allowed: activationNames()},
		{Name: "mode", Type: table.String, Allowed: []string{randomCascade, randomAlone, otherSeed}},
		{Name: "layer", Type: table.String, Nullable: true, Description: "the lowest whose weights are random"},
		{Name: "random_layers", Type: table.Int64},
		{Name: "n", Type: table.Int64, Description: "patients whose map of the trained network is not even"},
		{Name: "spearman", Type: table.Float64, Nullable: true, Description: "of the sizes of both maps, mean over patients"},
		{Name: "ssim", Type: table.Float64, Nullable: true, Description: "structural similarity of the sizes"},
	}}, a.Provenance, map[string]any{
		"method":        table.ColumnOf(all, func(r randomised) string { return r.method }),
		"mode":          table.ColumnOf(all, func(r randomised) string { return r.mode }),
		"layer":         table.ColumnOf(all, func(r randomised) table.Null[string] { return table.Null[string]{V: r.layer, Valid: r.layer != ""} }),
		"random_layers": table.ColumnOf(all, func(r randomised) int64 { return int64(r.depth) }),
		"n":             table.ColumnOf(all, func(r randomised) int64 { return int64(len(r.byPatient(r.rank))) }),
		"spearman":      number(func(r randomised) []float64 { return r.rank }),
		"ssim":          number(func(r randomised) []float64 { return r.ssim }),
	})
}

func methodTitle(name string) string {
	for _, m := range activationMethods {
		if m.name == name {
			return m.title
		}
	}
	return name
}

// figures are the pointing game and the curve of the check.
func (a *activation) figures(measures []Measure, sane []randomised) ([]Figure, error) {
	var out []Figure
	game := figure.ForestPlot{Title: "Pointing game", Axis: "Share of patients"}
	for _, region := range a.regionNames() {
		for _, m := range measures {
			by, of, ok := strings.Cut(m.Group, ", ")
			if m.Name == pointingGame && ok && of == region {
				row := figure.ForestRow{Group: "in the " + region, Name: methodTitle(by), Estimate: m.estimate(), N: m.N}
				game.Rows = append(game.Rows, row)
			}
		}
		if m, ok := measured(measures, regionShare, byCentre+", "+region); ok {
			game.Rows = append(game.Rows, figure.ForestRow{Group: "in the " + region, Name: "chance", Estimate: figure.Estimate{Value: m.Value}, N: m.N})
		}
	}
	if len(game.Rows) > 0 {
		svg, err := figure.Forest(game)
		if err != nil {
			return nil, err
		}
		out = append(out, Figure{Name: "activation-pointing", SVG: svg,
			Caption: "Share of patients whose map has its largest size in the region. Chance is the region's share of the whole cube; for maps that have values in a part of it only, as Grad-CAM in the middle, it is higher (see the table). A map that always points to the middle of the cube does well too, because the cube is cut around the tumour: a method says more than that only where it lies above both."})
	}
	trend := figure.TrendPlot{Title: "Maps of randomised networks", X: "layers with random weights, from the logits down", Y: "rank correlation with the trained network's",
		Lines: []figure.ForestLine{{Name: "bound at the deepest", At: a.settings.Sanity.Bound}}}
	for _, m := range a.methods {
		s := figure.TrendSeries{Name: m.title, Points: []figure.TrendPoint{{At: 0, Estimate: figure.Estimate{Value: 1}}}}
		for _, r := range sane {
			if r.method == m.name && r.mode == randomCascade && len(r.patient) > 0 {
				e := a.meanOf("", "", r.byPatient(r.rank), "").estimate()
				s.Points = append(s.Points, figure.TrendPoint{At: float64(r.depth), Estimate: e})
			}
		}
		if len(s.Points) > 1 {
			trend.Series = append(trend.Series, s)
		}
	}
	if len(trend.Series) > 0 {
		svg, err := figure.Trend(trend)
		if err != nil {
			return nil, err
		}
		out = append(out, Figure{Name: "activation-sanity", SVG: svg,
			Caption: "How alike the sizes of the maps stay when layer after layer, from the logits down, gets random weights: Spearman's correlation, mean over patients. A map of what the network learned must fall; one that stays shows the scan and not the network."})
	}
	return out, nil
}
