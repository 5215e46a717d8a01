package nb

import (
	"bytes"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html"
	"image"
	"image/png"
	"math"
	"slices"
	"strings"

	"hounsfield/datasets/volume"
)

var (
	//go:embed slices.js
	slicesScript string
	//go:embed slices.css
	slicesStyle string
)

// Scan is a CT to be looked at slice by slice, in the axial, coronal and sagittal planes of
// the patient. Nothing in it is changed.
type Scan struct {
	Title    string
	CT       *volume.Volume
	Contours []Contour // outlined; at most 8
	Overlays []Overlay // laid over the CT, one at a time
	// Centre of what is shown, mm, LPS; nil = the centre of mass of the first contour, or
	// the middle of the scan where there is none.
	Centre  *[3]float64
	EdgeMM  float64  // edge of the cube that is shown; 0 = 100
	Windows []Window // to choose among, the first one at first; nil = lung, soft tissue, bone
}

// Contour is a mask with the name of who drew it. It may lie on a grid of its own.
type Contour struct {
	Name string
	Mask *volume.Mask
}

// Overlay is a map of numbers, such as what a network looked at. It may lie on a grid of its
// own; outside it there is 0. Maps with negative numbers get a scale with 0 in its middle.
type Overlay struct {
	Name   string
	Unit   string // "" for a number without one
	Values *volume.Volume
}

// Window is what of a CT is shown between black and white.
type Window struct {
	Name    string `json:"name"`
	LevelHU int    `json:"level"` // the middle
	WidthHU int    `json:"width"`
}

// Windows of the radiologist's console.
var consoleWindows = []Window{{"Lung", -600, 1500}, {"Soft tissue", 40, 400}, {"Bone", 400, 1800}}

const (
	defaultEdgeMM = 100
	finestMM      = 1
	mostVoxels    = 144 // along an edge: three million in all, two or three megabytes in the page
	mostContours  = 8   // a bit each
)

// slicesPage is what the script reads. Pictures are PNGs of n axial slices side by side,
// from the feet up, each with the patient's right on its left and the front on top.
type slicesPage struct {
	Title    string         `json:"title"`
	Size     int            `json:"size"`    // voxels along an edge, n
	Columns  int            `json:"columns"` // slices in a row of a picture
	MM       float64        `json:"mm"`      // between slices, and between pixels
	Origin   [3]float64     `json:"origin"`  // of the first voxel, mm
	Start    [3]int         `json:"start"`   // voxel to begin at
	CT       string         `json:"ct"`      // codes
	HU       []int          `json:"hu"`      // by code
	Masks    string         `json:"masks"`   // bit i = inside contour i
	Contours []slicesLine   `json:"contours"`
	Overlays []slicesColour `json:"overlays"`
	Windows  []Window       `json:"windows"`
}

type slicesLine struct {
	Name   string `json:"name"`
	Colour string `json:"colour"`
}

type slicesColour struct {
	Name string   `json:"name"`
	Unit string   `json:"unit"`
	PNG  string   `json:"png"`
	Zero int      `json:"zero"` // code of 0
	Step float64  `json:"step"` // between codes
	Low  string   `json:"low"`  // ends of the scale, as text
	High string   `json:"high"`
	Ramp [][3]int `json:"ramp"` // colours of codes 0 to 255, in equal steps
}

// Bright on a dark picture; a contour is told apart by its dash too.
var lineColours = []string{"#00d8ff", "#ffe14d", "#ff7be5", "#8cff66"}

var (
	heat      = [][3]int{{0, 0, 4}, {87, 16, 110}, {188, 55, 84}, {249, 142, 9}, {252, 255, 164}}
	diverging = [][3]int{{5, 80, 200}, {120, 180, 255}, {247, 247, 247}, {255, 150, 110}, {210, 20, 20}}
)

// Slices shows a CT to be leafed through: sliders over three planes, contours, a coloured
// overlay whose opacity can be set, and the window. It needs no kernel once it is shown.
// Values in HU are kept in steps of 5 (soft tissue) to 30 (bone).
func Slices(s Scan) {
	v, err := s.view()
	Check(err)
	p := v.page()
	alt := s.Title
	if alt == "" {
		alt = "CT"
	}
	still := `<img class="hnb-still" alt="` + html.EscapeString(alt+", axial, coronal and sagittal plane through the middle") + `" src="data:image/png;base64,` + v.still() + `">`
	show(output{html: widget(p, exploreStyle+slicesStyle, slicesScript, still), plain: v.plain()})
}

// slicesView is a scan cut to what is shown, on a grid along the patient's axes.
type slicesView struct {
	Scan
	grid     volume.Grid
	n        int
	codes    []uint8     // of the CT; 0 outside the scan
	inside   []uint8     // bit i = inside contour i
	overlays [][]float64 // by voxel
}

func (s Scan) view() (*slicesView, error) {
	if s.CT == nil {
		return nil, fmt.Errorf("there is no CT to show; give nb.Scan its CT")
	}
	if err := s.CT.Grid.Check(); err != nil {
		return nil, err
	}
	if len(s.Contours) > mostContours {
		return nil, fmt.Errorf("%d contours are more than the %d that can be told apart; show fewer at once", len(s.Contours), mostContours)
	}
	if s.Windows == nil {
		s.Windows = consoleWindows
	}
	if s.EdgeMM == 0 {
		s.EdgeMM = defaultEdgeMM
	}
	if !(s.EdgeMM >= 10*finestMM && s.EdgeMM <= 1000) {
		return nil, fmt.Errorf("an edge of %g mm cannot be shown; EdgeMM may be 10 to 1000", s.EdgeMM)
	}
	centre, err := s.centre()
	if err != nil {
		return nil, err
	}
	mm := max(finestMM, s.EdgeMM/mostVoxels)
	v := &slicesView{Scan: s, n: int(math.Round(s.EdgeMM / mm))}
	v.grid = volume.Grid{Size: [3]int{v.n, v.n, v.n}, Spacing: [3]float64{mm, mm, mm}, Direction: volume.Identity}
	for a := range 3 {
		v.grid.Origin[a] = centre[a] - mm*float64(v.n/2)
	}
	hu, scanned := volume.Resample(s.CT, v.grid), v.within(s.CT.Grid)
	v.codes, v.inside = make([]uint8, v.grid.Len()), make([]uint8, v.grid.Len())
	for i, x := range hu.HU {
		if scanned[i] != 0 {
			v.codes[i] = huCode(float64(x))
		}
	}
	for k, c := range s.Contours {
		if c.Mask == nil {
			return nil, fmt.Errorf("the contour %q has no mask", c.Name)
		}
		for i, in := range volume.ResampleMask(c.Mask, v.grid).In {
			v.inside[i] |= in << k
		}
	}
	for _, o := range s.Overlays {
		if o.Values == nil {
			return nil, fmt.Errorf("the overlay %q has no values", o.Name)
		}
		values, there := volume.Resample(o.Values, v.grid), v.within(o.Values.Grid)
		x := make([]float64, len(there))
		for i := range x {
			if x[i] = float64(values.HU[i]); there[i] == 0 {
				x[i] = 0
			}
			if math.IsNaN(x[i]) || math.IsInf(x[i], 0) {
				return nil, fmt.Errorf("the overlay %q holds a value that is no finite number", o.Name)
			}
		}
		v.overlays = append(v.overlays, x)
	}
	return v, nil
}

// within marks the voxels of the view that lie on a grid.
func (v *slicesView) within(g volume.Grid) []uint8 {
	all := volume.NewMask(g)
	for i := range all.In {
		all.In[i] = 1
	}
	return volume.ResampleMask(all, v.grid).In
}

func (s Scan) centre() (mm [3]float64, err error) {
	g := s.CT.Grid
	index := [3]float64{float64(g.Size[0]-1) / 2, float64(g.Size[1]-1) / 2, float64(g.Size[2]-1) / 2}
	switch {
	case s.Centre != nil:
		return *s.Centre, nil
	case len(s.Contours) > 0 && s.Contours[0].Mask != nil:
		g = s.Contours[0].Mask.Grid
		if index, err = s.Contours[0].Mask.CentreOfMass(); err != nil {
			return mm, fmt.Errorf("the contour %q: %w", s.Contours[0].Name, err)
		}
	}
	return g.Position(index), nil
}

// huSteps are the ranges in which codes are equally far apart: fine where windows are
// narrow. Code 0 is kept for what lies outside the scan.
var huSteps = []struct{ from, step, codes int }{{-1024, 8, 97}, {-248, 5, 120}, {352, 30, 38}}

// huOf is the value of each code.
func huOf() []int {
	out := []int{volume.HUMin}
	for _, s := range huSteps {
		for k := range s.codes {
			out = append(out, s.from+k*s.step)
		}
	}
	return out
}

// huCode is the code next to a value; the ends stand for what lies beyond.
func huCode(hu float64) uint8 {
	first := 1
	for i, s := range huSteps {
		if i+1 == len(huSteps) || hu < float64(huSteps[i+1].from)-float64(s.step)/2 {
			k := int(math.Round((hu - float64(s.from)) / float64(s.step)))
			return uint8(first + min(max(k, 0), s.codes-1))
		}
		first += s.codes
	}
	panic("huSteps is empty")
}

func (v *slicesView) page() slicesPage {
	p := slicesPage{
		Title: v.Title, Size: v.n, Columns: int(math.Ceil(math.Sqrt(float64(v.n)))), MM: v.grid.Spacing[0], Origin: v.grid.Origin,
		Start: [3]int{v.n / 2, v.n / 2, v.n / 2}, HU: huOf(), Windows: v.Windows, Contours: []slicesLine{}, Overlays: []slicesColour{},
	}
	p.CT = v.sheet(v.codes, p.Columns)
	for i, c := range v.Contours {
		p.Contours = append(p.Contours, slicesLine{Name: c.Name, Colour: lineColours[i%len(lineColours)]})
	}
	if len(p.Contours) > 0 {
		p.Masks = v.sheet(v.inside, p.Columns)
	}
	for i := range v.Overlays {
		c, codes := v.coloured(i)
		c.PNG = v.sheet(codes, p.Columns)
		p.Overlays = append(p.Overlays, c)
	}
	return p
}

// coloured turns an overlay into codes.
func (v *slicesView) coloured(i int) (slicesColour, []uint8) {
	o, values := v.Overlays[i], v.overlays[i]
	c := slicesColour{Name: o.Name, Unit: o.Unit, Ramp: heat, Step: 1}
	low, high := slices.Min(values), slices.Max(values)
	if low < 0 {
		c.Zero, c.Ramp = 128, diverging
		high = max(high, -low)
		low = -high
	} else {
		low = 0
	}
	if high > 0 {
		c.Step = high / float64(255-c.Zero)
	}
	c.Low, c.High = rounded(low, 3), rounded(high, 3)
	codes := make([]uint8, len(values))
	for k, x := range values {
		codes[k] = uint8(min(max(c.Zero+int(math.Round(x/c.Step)), 0), 255))
	}
	return c, codes
}

// sheet is a PNG, in base64, of the axial slices side by side.
func (v *slicesView) sheet(codes []uint8, columns int) string {
	n := v.n
	picture := image.NewGray(image.Rect(0, 0, columns*n, (n+columns-1)/columns*n))
	for z := range n {
		for y := range n {
			at := picture.PixOffset(z%columns*n, z/columns*n+y)
			copy(picture.Pix[at:at+n], codes[(z*n+y)*n:])
		}
	}
	return encoded(picture)
}

func encoded(picture image.Image) string {
	var b bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	Check(encoder.Encode(&b, picture))
	return base64.StdEncoding.EncodeToString(b.Bytes())
}

// plain says what there is to see.
func (v *slicesView) plain() string {
	middle := v.grid.Position([3]float64{float64(v.n / 2), float64(v.n / 2), float64(v.n / 2)})
	var lines []string
	if v.Title != "" {
		lines = append(lines, v.Title)
	}
	lines = append(lines, fmt.Sprintf("CT, %g mm along each edge in steps of %.3g mm around x, y, z %s mm", v.EdgeMM, v.grid.Spacing[0], point(middle)))
	for _, c := range v.Contours {
		lines = append(lines, fmt.Sprintf("contour %s: %.2f ml", c.Name, c.Mask.VolumeMM3()/1000))
	}
	for i, o := range v.Overlays {
		c, _ := v.coloured(i)
		values := v.overlays[i]
		top := 0
		for k, x := range values {
			if math.Abs(x) > math.Abs(values[top]) {
				top = k
			}
		}
		n := v.n
		where := v.grid.Position([3]float64{float64(top % n), float64(top / n % n), float64(top / n / n)})
		line := fmt.Sprintf("overlay %s: %s to %s", o.Name, c.Low, strings.TrimSpace(c.High+" "+o.Unit))
		if values[top] != 0 {
			line += fmt.Sprintf(", strongest at x, y, z %s mm", point(where))
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func point(p [3]float64) string { return fmt.Sprintf("%.1f, %.1f, %.1f", p[0], p[1], p[2]) }
