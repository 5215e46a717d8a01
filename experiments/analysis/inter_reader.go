package analysis

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"hounsfield/datasets"
	"hounsfield/datasets/volume"
)

// InterReader are the settings of the analysis inter_reader.
type InterReader struct {
	// Imaging is a folder that `hounsfield prepare` wrote, with contours of several readers,
	// such as NSCLC-Radiomics-Interobserver1's; all of its patients are taken. Empty: the
	// run's own.
	Imaging string `yaml:"imaging"`
	// Role is whose patients of the run's cohort: test, tune, train or all.
	Role string `yaml:"role"`
	// Readers are the names to compare; empty is all there are.
	Readers []string `yaml:"readers"`
	// Perturb changes the reference contour at random, as a reader might.
	Perturb Perturb `yaml:"perturb"`
}

func defaultInterReader() InterReader {
	return InterReader{Role: string(datasets.Test), Readers: []string{}, Perturb: defaultPerturb()}
}

const interReaderName = "inter_reader"

var interReaderStep = step{
	words: "whether scores of one scan agree when several readers drew the tumour, and what small changes of a contour do",
	needs: needs{images: true, networks: true},
	check: checkInterReader,
	files: func(s Settings) []string { return imagingFiles(s.InterReader.Imaging) },
	ready: readyInterReader,
	run:   runInterReader,
}

func checkInterReader(all Settings) error {
	s := all.InterReader
	if err := checkRepeats(interReaderName, s.Imaging, s.Role); err != nil {
		return err
	}
	for i, name := range s.Readers {
		if name == "" || name == reference || slices.Contains(s.Readers[:i], name) {
			return &SettingError{Field: fmt.Sprintf("%s.readers[%d]", interReaderName, i), Value: fmt.Sprintf("%q", name),
				Allowed: "the name of a reader that does not stand there already; the reference contour always takes part"}
		}
	}
	return s.Perturb.check()
}

// readyInterReader looks for readers, and for those that the settings name, before networks
// are trained.
func readyInterReader(in *Input) error {
	s := in.Settings.InterReader
	m, err := openImaged(in, interReaderName, s.Imaging, s.Role)
	if err != nil || s.Perturb.on() && len(s.Readers) == 0 {
		return err
	}
	drew := map[string]bool{}
	for _, p := range m.patients {
		all, err := m.images.Readings(context.Background(), p.image)
		if err != nil {
			continue // that patient is lost when the scans are read
		}
		for _, x := range all {
			drew[x.Reader] = true
		}
		if len(all) > 0 && !slices.ContainsFunc(s.Readers, func(name string) bool { return !drew[name] }) {
			return nil
		}
	}
	if len(drew) == 0 && !s.Perturb.on() {
		return m.noReaders("")
	}
	return s.unknownReader(slices.Sorted(maps.Keys(drew)))
}

// unknownReader is about the first of the settings' readers who drew nobody; nil without one.
func (s InterReader) unknownReader(drew []string) error {
	allowed := "left out, because these patients have no contours of other readers"
	if len(drew) > 0 {
		allowed = "a reader of these patients: " + strings.Join(drew, ", ")
	}
	for i, name := range s.Readers {
		if !slices.Contains(drew, name) {
			return &SettingError{Field: fmt.Sprintf("%s.readers[%d]", interReaderName, i), Value: fmt.Sprintf("%q", name), Allowed: allowed}
		}
	}
	return nil
}

// noReaders says that there is nobody to compare; why may be empty.
func (m *imaged) noReaders(why string) error {
	next := "name a folder with several contours of each scan, such as one made by `hounsfield prepare` from the data set nsclc-radiomics-interobserver1, in analysis.inter_reader.imaging, or set analysis.inter_reader.perturb.draws, which needs one contour"
	return m.unfit(fmt.Sprintf("none of the %d patients of %s has contours of other readers that can be read%s", len(m.patients), m.whose(), why), next)
}

// reference names the contour that the run itself used.
const reference = "reference"

// read is one contour of a patient.
type read struct {
	reader string
	mask   *volume.Mask // until it has been compared
	score  float64      // risk of death
	mm3    float64      // inside the contour
	centre [3]float64   // of mass, mm, LPS
	index  [3]int       // the voxel that the cube is centred on
}

// overlap is what two contours of a patient have in common.
type overlap struct {
	dice, hausdorff95 float64 // mm
}

// readings are all contours of a patient: the reference first, the readers by name.
type readings struct {
	reads    []read
	overlaps map[[2]int]overlap // of places in reads, the lower first
	named    []string           // the readers who drew, those not compared included
	lost     []string           // why the patient, or a contour, is lost
	differ   float64            // of the reference's cube from the run's, HU
}

func (r *readings) of(reader string) *read {
	for i := range r.reads {
		if r.reads[i].reader == reader {
			return &r.reads[i]
		}
	}
	return nil
}

// between is the overlap of two readers' contours.
func (r *readings) between(a, b string) overlap {
	i := slices.IndexFunc(r.reads, func(x read) bool { return x.reader == a })
	j := slices.IndexFunc(r.reads, func(x read) bool { return x.reader == b })
	return r.overlaps[[2]int{min(i, j), max(i, j)}]
}

// interReader is the analysis under way.
type interReader struct {
	*imaged
	set     InterReader
	all     []readings     // by patient
	scored  []int          // patients with a score of the reference and of another reader
	readers []string       // whose contours are compared, without the reference, sorted
	drew    map[string]int // patients by reader, those not compared included
}

func runInterReader(ctx context.Context, in *Input) (*Result, error) {
	m, err := openImaged(in, interReaderName, in.Settings.InterReader.Imaging, in.Settings.InterReader.Role)
	if err != nil {
		return nil, err
	}
	return (&interReader{imaged: m, set: in.Settings.InterReader}).run(ctx)
}

func (t *interReader) run(ctx context.Context) (*Result, error) {
	if err := t.read(ctx); err != nil {
		return nil, err
	}
	if len(t.scored) == 0 && !t.set.Perturb.on() {
		return nil, t.noReaders(firstLost(t.exclusions()))
	}
	f := &readerFindings{}
	if len(t.scored) > 0 {
		var err error
		if f, err = t.judge(); err != nil {
			return nil, fmt.Errorf("the analysis %s: %w", t.analysis, err)
		}
	}
	p, err := t.perturb(ctx)
	if err != nil {
		return nil, err
	}
	return t.result(f, p)
}

// read scores all contours of all patients.
func (t *interReader) read(ctx context.Context) error {
	t.all, t.drew = make([]readings, len(t.patients)), map[string]int{}
	places := make([]int, len(t.patients))
	for k := range places {
		places[k] = k
	}
	most := 4 // the reference and three readers
	if err := t.scoreEach(ctx, "scoring contours of several readers: patients", places, most, t.cut, func(k int, scores []float64) error {
		r := &t.all[k]
		for i := range r.reads {
			r.reads[i].score = scores[i]
		}
		t.scored = append(t.scored, k)
		return t.scoreAsRun(k, r.differ, scores[0])
	}); err != nil {
		return err
	}
	compared := map[string]bool{}
	for _, k := range t.scored {
		for _, x := range t.all[k].reads[1:] {
			compared[x.reader] = true
		}
	}
	t.readers = slices.Sorted(maps.Keys(compared))
	for _, r := range t.all {
		for _, name := range slices.Compact(slices.Clone(r.named)) { // they are sorted
			t.drew[name]++
		}
	}
	return t.set.unknownReader(slices.Sorted(maps.Keys(t.drew)))
}

// cut makes the cubes of all contours of patient k, and compares the contours.
func (t *interReader) cut(ctx context.Context, k int) ([]*volume.Cube, error) {
	r, p := &t.all[k], t.patients[k]
	lose := func(what string, err error) ([]*volume.Cube, error) {
		*r = readings{named: r.named, lost: append(r.lost, fmt.Sprintf("%s: %v", what, err))}
		return nil, ctx.Err()
	}
	others, err := t.images.Readings(ctx, p.image)
	if err != nil {
		return lose("contours of other readers", err)
	}
	slices.SortStableFunc(others, func(a, b datasets.Reading) int { return cmp.Compare(a.Reader, b.Reader) })
	for _, x := range others {
		r.named = append(r.named, x.Reader)
	}
	others = slices.DeleteFunc(others, func(x datasets.Reading) bool {
		return len(t.set.Readers) > 0 && !slices.Contains(t.set.Readers, x.Reader)
	})
	if len(others) == 0 {
		return nil, nil
	}
	for i, x := range others {
		if x.Reader == reference || i > 0 && x.Reader == others[i-1].Reader {
			return lose("contours", fmt.Errorf("two are of the reader %q: which of them counts cannot be told", x.Reader))
		}
	}
	ct, mask, err := t.images.Scan(ctx, p.image)
	if err != nil {
		return lose("scan", err)
	}
	var cubes []*volume.Cube
	for i, x := range append([]datasets.Reading{{Reader: reference, Mask: mask}}, others...) {
		c, err := volume.CutCube(ct, x.Mask, t.spec)
		switch {
		case err != nil && i == 0:
			return lose("the reference contour", err)
		case err != nil:
			r.lost = append(r.lost, fmt.Sprintf("the contour of the reader %q: %v", x.Reader, err))
			continue
		case i == 0:
			if r.differ, err = t.asRun(k, c); err != nil {
				return nil, err
			}
		}
		cubes = append(cubes, c)
		r.reads = append(r.reads, read{reader: x.Reader, mask: x.Mask, mm3: c.VolumeMM3, centre: c.CentreMM, index: c.CentreIndex})
	}
	if len(r.reads) < 2 {
		r.reads = nil
		return nil, nil
	}
	if err := r.compare(ct.Grid); err != nil {
		return lose("contours", err)
	}
	return cubes, nil
}

// compare sets all contours against one another, and forgets them.
func (r *readings) compare(scan volume.Grid) error {
	r.overlaps = map[[2]int]overlap{}
	for i := range r.reads {
		if r.reads[i].mask.Grid != scan { // readers may have drawn on grids of their own
			r.reads[i].mask = volume.ResampleMask(r.reads[i].mask, scan)
		}
	}
	for j := range r.reads {
		for i := range j {
			o, err := volume.CompareMasks(r.reads[i].mask, r.reads[j].mask)
			if err != nil {
				return fmt.Errorf("contours of %s and %s: %w", r.reads[i].reader, r.reads[j].reader, err)
			}
			r.overlaps[[2]int{i, j}] = overlap{dice: o.Dice, hausdorff95: o.Hausdorff95}
		}
	}
	for i := range r.reads {
		r.reads[i].mask = nil
	}
	return nil
}

// distance is that of two points, mm.
func distance(a, b [3]float64) float64 {
	return math.Hypot(math.Hypot(a[0]-b[0], a[1]-b[1]), a[2]-b[2])
}
