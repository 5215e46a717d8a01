package analysis

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"hounsfield/datasets"
	"hounsfield/datasets/volume"
)

// Perturb are the settings of the changed contours in inter_reader: the reference contour
// of each patient is moved, widened, narrowed or waved at random, and scored again.
type Perturb struct {
	Draws     int       `yaml:"draws"`      // of each random kind and level; 0 = no changed contours
	Patients  int       `yaml:"patients"`   // at most, picked by a hash of their ids; 0 = all
	JitterMM  []float64 `yaml:"jitter_mm"`  // the whole contour is moved so far, in a random direction
	DilateMM  []float64 `yaml:"dilate_mm"`  // everything within so much of the contour is added
	ErodeMM   []float64 `yaml:"erode_mm"`   // everything within so much of the outside is taken away
	ContourMM []float64 `yaml:"contour_mm"` // standard deviation of a random wave of the surface, outwards and inwards
	WaveMM    float64   `yaml:"wave_mm"`    // length of the wave, whose displacements at a distance d go together by exp(-d²/(2 length²))
	Seed      uint64    `yaml:"seed"`
}

func defaultPerturb() Perturb {
	return Perturb{JitterMM: []float64{1, 2, 4}, DilateMM: []float64{1, 3}, ErodeMM: []float64{1, 3}, ContourMM: []float64{1, 2}, WaveMM: 10, Seed: 1}
}

func (s Perturb) on() bool { return s.Draws > 0 }

func (s Perturb) check() error {
	wrong := func(field string, value any, allowed string) error {
		return &SettingError{Field: interReaderName + ".perturb." + field, Value: value, Allowed: allowed}
	}
	switch {
	case s.Draws == 1 || s.Draws < 0 || s.Draws > 1000:
		return wrong("draws", s.Draws, "0 for none, or 2 to 1000")
	case s.Patients < 0:
		return wrong("patients", s.Patients, "0 for all, or more")
	case !(s.WaveMM >= 1 && s.WaveMM <= 100):
		return wrong("wave_mm", s.WaveMM, "1 to 100 mm")
	case s.on() && len(s.changes()) == 0:
		return wrong("draws", s.Draws, "0 where no kind of change has a level")
	}
	for _, x := range []struct {
		field string
		mm    []float64
	}{{"jitter_mm", s.JitterMM}, {"dilate_mm", s.DilateMM}, {"erode_mm", s.ErodeMM}, {"contour_mm", s.ContourMM}} {
		for i, mm := range x.mm {
			if !(mm > 0 && mm <= 30) || slices.Contains(x.mm[:i], mm) {
				return wrong(fmt.Sprintf("%s[%d]", x.field, i), mm, "a level that does not stand there already, above 0 and at most 30 mm")
			}
		}
	}
	return nil
}

// The kinds of changes.
const (
	jitter  = "jitter"
	dilate  = "dilate"
	erode   = "erode"
	contour = "contour"
)

// change is one kind of change at one level.
type change struct {
	kind  string
	mm    float64
	draws int
}

func (c change) random() bool { return c.kind == jitter || c.kind == contour }

func (c change) name() string { return fmt.Sprintf("%s %g mm", c.kind, c.mm) }

// words name the change for people.
func (c change) words() string {
	switch c.kind {
	case jitter:
		return fmt.Sprintf("moved by %g mm", c.mm)
	case dilate:
		return fmt.Sprintf("widened by %g mm", c.mm)
	case erode:
		return fmt.Sprintf("narrowed by %g mm", c.mm)
	default:
		return fmt.Sprintf("waved, SD %g mm", c.mm)
	}
}

func (s Perturb) changes() []change {
	var out []change
	for _, x := range []struct {
		kind string
		mm   []float64
	}{{jitter, s.JitterMM}, {dilate, s.DilateMM}, {erode, s.ErodeMM}, {contour, s.ContourMM}} {
		for _, mm := range x.mm {
			c := change{kind: x.kind, mm: mm, draws: 1}
			if c.random() {
				c.draws = s.Draws
			}
			out = append(out, c)
		}
	}
	return out
}

// stream gives the generator of one draw: it depends on nothing but these.
func (s Perturb) stream(patient string, c change, draw int) *rand.Rand {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s %g %q", s.Seed, c.kind, c.mm, patient))
	return rand.New(rand.NewPCG(binary.LittleEndian.Uint64(sum[:]), binary.LittleEndian.Uint64(sum[8:])+uint64(draw)))
}

// outline is a patient's contour, made ready for changes.
type outline struct {
	mask        *volume.Mask
	first, last [3]int       // the box that changes stay in
	part        *volume.Mask // the mask there
	signed      []float32    // mm to its surface, below 0 inside
}

// newOutline makes the contour ready for changes of up to mm.
func newOutline(mask *volume.Mask, mm float64) (*outline, bool) {
	o := &outline{mask: mask}
	var ok bool
	if o.first, o.last, ok = mask.Around(mm); !ok {
		return nil, false
	}
	o.part = mask.Crop(o.first, o.last)
	o.signed = volume.SurfaceDistance(o.part)
	return o, true
}

// change cuts the cube by the changed contour, and gives the shift of the centre in mm and
// the Dice coefficient with the contour as it was. centre is that of the contour as it was.
func (o *outline) change(ct *volume.Volume, centre [3]float64, spec volume.CubeSpec, c change, length float64, r *rand.Rand) (cube *volume.Cube, shift, overlap float64, err error) {
	var changed *volume.Mask
	switch c.kind {
	case jitter:
		// The centre is moved and no mask: on a grid, a mask would move by whole voxels.
		by, to := direction(r), centre
		for a := range 3 {
			by[a] *= c.mm
			to[a] += by[a]
		}
		cube, err = volume.CutCubeAt(ct, to, spec)
		return cube, c.mm, o.overlapMoved(by), err
	case dilate:
		changed = o.mask.Dilate(c.mm)
	case erode:
		changed = o.mask.Dilate(-c.mm)
	default:
		changed = o.waved(newWave(c.mm, length, r))
	}
	overlap = dice(o.part, changed.Crop(o.first, o.last))
	if cube, err = volume.CutCube(ct, changed, spec); err != nil {
		return nil, math.NaN(), overlap, err
	}
	return cube, distance(cube.CentreMM, centre), overlap, nil
}

// waved is the contour on its whole grid with its surface displaced.
func (o *outline) waved(w *wave) *volume.Mask {
	out := &volume.Mask{Grid: o.mask.Grid, In: slices.Clone(o.mask.In)}
	field, g, i := w.on(o.part.Grid), o.part.Grid, 0
	for z := range g.Size[2] {
		for y := range g.Size[1] {
			at, begun := out.Grid.Offset(o.first[0], o.first[1]+y, o.first[2]+z), false
			for x := range g.Size[0] {
				signed := float64(o.signed[i])
				i++
				if math.Abs(signed) > w.most { // no displacement reaches so far
					continue
				}
				if !begun {
					field.row(y, z)
					begun = true
				}
				out.In[at+x] = 0
				if signed < field.at(x) {
					out.In[at+x] = 1
				}
			}
		}
	}
	return out
}

// overlapMoved is the Dice coefficient of the contour and itself moved by some mm of the
// patient's axes. The solids of voxels overlap by a volume that is linear along each axis
// between moves by whole voxels, so that eight of those give it exactly.
func (o *outline) overlapMoved(by [3]float64) float64 {
	g := o.part.Grid
	var low [3]int
	var part [3]float64
	for a := range 3 {
		steps := (g.Direction[a]*by[0] + g.Direction[3+a]*by[1] + g.Direction[6+a]*by[2]) / g.Spacing[a]
		low[a] = int(math.Floor(steps))
		part[a] = steps - float64(low[a])
	}
	both := 0.0
	for corner := range 8 {
		weight, n := 1.0, low
		for a := range 3 {
			if corner>>a&1 == 1 {
				n[a]++
				weight *= part[a]
			} else {
				weight *= 1 - part[a]
			}
		}
		if weight > 0 {
			both += weight * float64(shared(o.part, n))
		}
	}
	return both / float64(o.part.Count())
}

// shared counts the voxels of a mask that are also in the mask moved by whole voxels.
func shared(m *volume.Mask, by [3]int) int {
	n, size := 0, m.Grid.Size
	for z := max(0, by[2]); z < min(size[2], size[2]+by[2]); z++ {
		for y := max(0, by[1]); y < min(size[1], size[1]+by[1]); y++ {
			for x := max(0, by[0]); x < min(size[0], size[0]+by[0]); x++ {
				if m.In[m.Grid.Offset(x, y, z)] != 0 && m.In[m.Grid.Offset(x-by[0], y-by[1], z-by[2])] != 0 {
					n++
				}
			}
		}
	}
	return n
}

// dice is the overlap of two masks on one grid, NaN when either is empty.
func dice(a, b *volume.Mask) float64 {
	both, n := 0, 0
	for i, v := range a.In {
		if v != 0 {
			n++
		}
		if b.In[i] != 0 {
			n++
		}
		if v != 0 && b.In[i] != 0 {
			both++
		}
	}
	if both == 0 && n == 0 {
		return math.NaN()
	}
	return 2 * float64(both) / float64(n)
}

// direction draws a unit vector evenly over the sphere.
func direction(r *rand.Rand) [3]float64 {
	z := 2*r.Float64() - 1
	sin, cos := math.Sincos(2 * math.Pi * r.Float64())
	q := math.Sqrt(1 - z*z)
	return [3]float64{q * cos, q * sin, z}
}

// redrawn is a patient's contour changed once.
type redrawn struct {
	change, draw int     // change: place in the settings' changes
	score        float64 // NaN where nothing was left of the contour
	dice         float64
	shift        float64 // of the centre of mass, mm
	sameCube     bool    // as that of the contour as it was
	cube         int     // place among the patient's cubes; -1 where there is none
}

// perturbed is a patient whose contour was changed.
type perturbed struct {
	score  float64 // of the contour as it was
	differ float64 // of its cube from the run's, HU
	draws  []redrawn
	lost   []string // why the patient, or a kind of change, is lost
}

// perturb changes the reference contours and scores them. A cube that was scored before,
// because its centre is the same voxel, is not scored again. Nil when it is off.
func (t *interReader) perturb(ctx context.Context) (*perturbations, error) {
	s := t.set.Perturb
	if !s.on() {
		return nil, nil
	}
	p := &perturbations{interReader: t, changes: s.changes(), all: make([]perturbed, len(t.patients))}
	places := t.pick(s)
	draws := 0
	for _, c := range p.changes {
		draws += c.draws
	}
	err := t.scoreEach(ctx, "scoring changed contours: patients", places, draws, p.cut, func(k int, scores []float64) error {
		one := &p.all[k]
		one.score = scores[0]
		for i := range one.draws {
			one.draws[i].score = math.NaN()
			if c := one.draws[i].cube; c >= 0 {
				one.draws[i].score = scores[c]
			}
		}
		p.chosen = append(p.chosen, k)
		return t.scoreAsRun(k, one.differ, scores[0])
	})
	if err != nil {
		return nil, err
	}
	if len(p.chosen) == 0 {
		return nil, t.unfit(fmt.Sprintf("none of the %d scans of %s can be read: %s", len(places), t.whose(), p.all[places[0]].lost[0]), "mend the first of them")
	}
	return p, p.judge()
}

// pick are the places of the patients to change, in the order of the images.
func (t *interReader) pick(s Perturb) []int {
	places := make([]int, len(t.patients))
	for k := range places {
		places[k] = k
	}
	if s.Patients == 0 || s.Patients >= len(places) {
		return places
	}
	hash := func(k int) uint64 {
		sum := sha256.Sum256(fmt.Appendf(nil, "%d %q", s.Seed, t.patients[k].id))
		return binary.LittleEndian.Uint64(sum[:])
	}
	slices.SortFunc(places, func(a, b int) int {
		return cmp.Or(cmp.Compare(hash(a), hash(b)), cmp.Compare(a, b))
	})
	places = places[:s.Patients]
	slices.Sort(places)
	return places
}

// cut changes the contour of patient k and makes the cubes that are not alike, that of the
// contour as it was first.
func (p *perturbations) cut(ctx context.Context, k int) ([]*volume.Cube, error) {
	one, s := &p.all[k], p.set.Perturb
	lose := func(err error) ([]*volume.Cube, error) {
		*one = perturbed{lost: []string{"changed contours: " + err.Error()}}
		return nil, ctx.Err()
	}
	ct, mask, err := p.images.Scan(ctx, p.patients[k].image)
	if err != nil {
		return lose(err)
	}
	whole, err := volume.CutCube(ct, mask, p.spec)
	if err != nil {
		return lose(err)
	}
	if one.differ, err = p.asRun(k, whole); err != nil {
		return nil, err
	}
	o, ok := newOutline(mask, s.reach())
	if !ok {
		return lose(&volume.EmptyMaskError{Reason: "no voxel is inside"})
	}
	cubes := []*volume.Cube{whole}
	at := map[[3]int]int{whole.CentreIndex: 0}
	for i, c := range p.changes {
		gone := 0
		var why error
		for d := range c.draws {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			cube, shift, overlap, err := o.change(ct, whole.CentreMM, p.spec, c, s.WaveMM, s.stream(p.patients[k].id, c, d))
			r := redrawn{change: i, draw: d, dice: overlap, shift: shift, cube: -1}
			if err != nil {
				gone, why = gone+1, err
				one.draws = append(one.draws, r)
				continue
			}
			r.sameCube = cube.CentreIndex == whole.CentreIndex
			if r.cube, ok = at[cube.CentreIndex]; !ok {
				r.cube = len(cubes)
				at[cube.CentreIndex], cubes = r.cube, append(cubes, cube)
			}
			one.draws = append(one.draws, r)
		}
		if gone > 0 {
			one.lost = append(one.lost, fmt.Sprintf("contour %s: not to be scored in %d of %d draws, so that the patient does not count there: %v", c.words(), gone, c.draws, why))
		}
	}
	return cubes, nil
}

// reach is how far from the contour any change can go, mm.
func (s Perturb) reach() float64 {
	most := 0.0
	for _, c := range s.changes() {
		mm := c.mm
		if c.kind == contour {
			mm *= waveMost
		}
		most = max(most, mm)
	}
	return most
}

// exclusions are the scans that cannot be read, and contours of which nothing was left.
func (p *perturbations) exclusions() []datasets.Exclusion {
	var out []datasets.Exclusion
	for k, one := range p.all {
		for _, why := range one.lost {
			out = append(out, p.lost(k, why))
		}
	}
	return out
}
