package nb

import (
	"fmt"
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
	p := &Patient{ID: id, run: open(done)}
	p.in = Must(p.run.Input(Context()))
	return p
}

// PatientIn is the one patient in a folder of DICOM: a CT series and the contours. The tumour
// is chosen by the rule of the catalog's data set, or by the names in roi where there are any.
func PatientIn(done *experiments.Done, folder, dataset string, roi ...string) *Patient {
	p := &Patient{run: open(done)}
	p.in = Must(p.run.PatientIn(Context(), folder, dataset, roi...))
	p.ID = p.in.Cohort.Patients[0].ID
	return p
}

// open opens a run with its networks. They are closed with the cell's process.
func open(done *experiments.Done) *experiments.Opened {
	p, _ := follow() // what it says stands below the cell when it comes to its end
	return Must(experiments.OpenRun(done.Dir, env(p)))
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
	TableOf(scored, View{Caption: strings.Join(words, "\n")})
}
