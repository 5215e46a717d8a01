package nb

import (
	"fmt"
	"html"
	"slices"
	"strings"

	"hounsfield/datasets"
	"hounsfield/datasets/volume"
	"hounsfield/experiments"
	"hounsfield/experiments/analysis"
)

// Patient is one patient with the run whose networks score him.
type Patient struct {
	ID  string
	run *experiments.Opened
	in  *analysis.Input
}

// PatientOf is a patient of a run's cohort, such as TEST-0004.
func PatientOf(done *experiments.Done, id string) *Patient {
	said, end := follow()
	run := Must(experiments.OpenRun(done.Dir, env(said))) // closed with the cell's process
	in, err := run.Input(Context())
	end()
	Check(err)
	in.Progress = nil
	return &Patient{ID: id, run: run, in: in}
}

// PatientIn is the one patient in a folder of DICOM: a CT series and the contours. The tumour
// is chosen by the rule of the catalog's data set, or by the names in roi where there are any.
func PatientIn(done *experiments.Done, folder, dataset string, roi ...string) *Patient {
	run := Must(experiments.OpenRun(done.Dir, env(nil)))
	in := Must(run.PatientIn(Context(), folder, dataset, roi...))
	return &Patient{ID: in.Cohort.Patients[0].ID, run: run, in: in}
}

// Scan is the CT with the contour, and with those of other readers where there are any.
func (p *Patient) Scan() Scan {
	s, i := p.scan()
	for _, r := range Must(p.in.Images.Readings(Context(), i)) {
		if len(s.Contours) < mostContours {
			s.Contours = append(s.Contours, Contour{Name: r.Reader, Mask: r.Mask})
		}
	}
	return s
}

// scan is the CT with the contour that the networks' cube was cut by, and its place among
// the images.
func (p *Patient) scan() (Scan, int) {
	i := slices.Index(p.in.Images.IDs(), p.ID)
	if i < 0 {
		Check(fmt.Errorf("there is no scan of the patient %s; there are those of %s and so on", p.ID, p.in.Images.IDs()[0]))
	}
	ct, mask, err := p.in.Images.Scan(Context(), i)
	Check(err)
	return Scan{Title: p.ID, CT: ct, Contours: []Contour{{Name: "tumour", Mask: mask}}}, i
}

// Cube is what the networks read: the part of the scan around the tumour, on their grid.
func (p *Patient) Cube() Scan {
	s, _ := p.scan()
	cube := p.in.Cubes[slices.IndexFunc(p.in.Cohort.Patients, func(q datasets.Patient) bool { return q.ID == p.ID })]
	if cube == nil {
		Check(fmt.Errorf("the patient %s has no cube; the run's exclusions say why", p.ID))
	}
	c := p.run.Config.Cube
	s.Title += ", what the networks read"
	s.CT = &volume.Volume{Grid: cube.Grid(s.CT.Grid, c.SpacingMM), HU: cube.HU}
	s.Centre, s.EdgeMM = &cube.CentreMM, float64(c.Size)*c.SpacingMM
	return s
}

// Activation is the scan with what the networks look at in it, by the methods and settings
// of the analysis activation.
func (p *Patient) Activation() Scan {
	e := Must(analysis.Explain(Context(), p.in, p.ID))
	s, _ := p.scan()
	s.Title, s.Centre = p.ID+", what the networks look at", &e.Centre
	for _, m := range e.Maps {
		s.Overlays = append(s.Overlays, Overlay{Name: m.Title, Unit: m.Unit, Values: m.OnCube})
	}
	return s
}

// Score shows what the networks make of the patient, as `hounsfield predict` does.
func (p *Patient) Score() {
	words, scored, err := p.run.Verdict(Context(), p.in, p.ID)
	Check(err)
	plain := strings.Join(words, "\n")
	show(output{html: `<pre style="` + textStyle + `">` + html.EscapeString(plain) + `</pre>`, plain: plain})
	TableOf(scored, View{})
}
