package dicom

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/suyashkumar/dicom/pkg/tag"

	"hounsfield/datasets/volume"
)

// Segmentation is a DICOM SEG file of type BINARY: one bit per voxel, one frame
// per segment and plane; planes without a voxel are usually not in the file.
type Segmentation struct {
	File, PatientID string
	References      References
	Segments        []Segment // in the order of the file

	grid   volume.Grid // of the planes of all segments together
	frames []segFrame
	bits   []byte // all frames, lowest bit first, without padding between them
}

// Segment is one region of a segmentation.
type Segment struct {
	Number             int // as the frames refer to it, from 1
	Label, Description string
}

type segFrame struct {
	segment  int
	position [3]float64 // of the centre of the first pixel
	order    int        // of the frame in the file
}

// ReadSegmentation reads a DICOM SEG file.
//
// Errors: *FormatError, *TruncatedError, *TagError (a segmentation that is not
// binary among them), *SyntaxError, *PixelError.
func ReadSegmentation(file string) (*Segmentation, error) {
	o, err := open(file, bodyTags)
	if err != nil {
		return nil, err
	}
	return newSegmentation(o)
}

func newSegmentation(o *object) (*Segmentation, error) {
	if class := o.set.text(tag.SOPClassUID); class != classSegmentation {
		return nil, o.bad(tag.SOPClassUID, orUnknown(class), classSegmentation+" (segmentation)")
	}
	if kind := o.set.text(tag.SegmentationType); kind != "BINARY" {
		return nil, o.bad(tag.SegmentationType, kind, "BINARY; export the segmentation as binary")
	}
	s := &Segmentation{File: o.file, PatientID: o.set.text(tag.PatientID)}
	s.References = segmentationReferences(o.set)
	for _, item := range o.set.items(tag.SegmentSequence) {
		n, err := o.integer(item, tag.SegmentNumber, 1, 1<<16-1)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(s.Segments, func(x Segment) bool { return x.Number == n }) {
			return nil, o.bad(tag.SegmentNumber, fmt.Sprint(n), "each number once")
		}
		s.Segments = append(s.Segments, Segment{Number: n, Label: item.text(tag.SegmentLabel), Description: item.text(tag.SegmentDescription)})
	}
	if err := s.readFrames(o); err != nil {
		return nil, err
	}
	return s, s.readBits(o)
}

func segmentationReferences(d dataset) References {
	series := map[string]bool{}
	for _, item := range d.items(tag.ReferencedSeriesSequence) {
		series[item.text(tag.SeriesInstanceUID)] = true
	}
	return References{Series: sortedNames(series), Frames: sortedNames(map[string]bool{d.text(tag.FrameOfReferenceUID): true})}
}

// readFrames reads the planes: what is not in a frame's own group of attributes is
// in the shared one.
func (s *Segmentation) readFrames(o *object) error {
	cols, err := o.integer(o.set, tag.Columns, 1, 1<<14)
	if err != nil {
		return err
	}
	rows, err := o.integer(o.set, tag.Rows, 1, 1<<14)
	if err != nil {
		return err
	}
	n, err := o.integer(o.set, tag.NumberOfFrames, 1, 1<<20)
	if err != nil {
		return err
	}
	own := o.set.items(tag.PerFrameFunctionalGroupsSequence)
	if len(own) != n {
		return o.bad(tag.NumberOfFrames, fmt.Sprint(n), fmt.Sprintf("%d, the number of per-frame groups", len(own)))
	}
	shared := o.set.item(tag.SharedFunctionalGroupsSequence)
	var orientation, spacing []float64
	for i, group := range own {
		within := func(sequence tag.Tag) dataset {
			if d := group.item(sequence); d != nil {
				return d
			}
			return shared.item(sequence)
		}
		number, err := o.integer(within(tag.SegmentIdentificationSequence), tag.ReferencedSegmentNumber, 1, 1<<16-1)
		if err != nil {
			return fmt.Errorf("frame %d: %w", i, err)
		}
		position, err := o.decimals(within(tag.PlanePositionSequence), tag.ImagePositionPatient, 3)
		if err != nil {
			return fmt.Errorf("frame %d: %w", i, err)
		}
		turn, err := o.decimals(within(tag.PlaneOrientationSequence), tag.ImageOrientationPatient, 6)
		if err != nil {
			return fmt.Errorf("frame %d: %w", i, err)
		}
		step, err := o.decimals(within(tag.PixelMeasuresSequence), tag.PixelSpacing, 2)
		if err != nil {
			return fmt.Errorf("frame %d: %w", i, err)
		}
		if i == 0 {
			orientation, spacing = turn, step
		}
		if !slices.Equal(turn, orientation) || !slices.Equal(step, spacing) {
			return o.bad(tag.ImageOrientationPatient, fmt.Sprintf("%v %v", turn, step), fmt.Sprintf("%v %v as in the first frame", orientation, spacing))
		}
		s.frames = append(s.frames, segFrame{segment: number, position: [3]float64(position), order: i})
	}
	s.grid.Size[0], s.grid.Size[1] = cols, rows
	s.grid.Spacing[0], s.grid.Spacing[1] = spacing[1], spacing[0]
	return s.stack(o, shared, [6]float64(orientation))
}

// stack finds the grid of the planes: their spacing is stated, or it is the
// smallest distance between two of them.
func (s *Segmentation) stack(o *object, shared dataset, orientation [6]float64) error {
	normal := (&slice{orientation: orientation}).normal()
	at := func(f segFrame) float64 { return dot(f.position[:], normal[:]) }
	byHeight := slices.Clone(s.frames)
	slices.SortStableFunc(byHeight, func(a, b segFrame) int { return cmp.Compare(at(a), at(b)) })
	first, last := byHeight[0], byHeight[len(byHeight)-1]
	step := math.Inf(1)
	for i := range len(byHeight) - 1 {
		if gap := at(byHeight[i+1]) - at(byHeight[i]); gap > 0.01 {
			step = min(step, gap)
		}
	}
	if v, err := o.decimals(shared.item(tag.PixelMeasuresSequence), tag.SpacingBetweenSlices, 1); err == nil && v[0] > 0 {
		step = v[0]
	} else if math.IsInf(step, 1) {
		return o.bad(tag.SpacingBetweenSlices, "", "the distance of planes, in mm, where all frames lie in one plane")
	}
	n := math.Round((at(last)-at(first))/step) + 1
	// Planes without a voxel are not in the file: a small one can claim a huge stack.
	if most := maxValue / (s.grid.Size[0] * s.grid.Size[1]); !(n <= float64(most)) {
		return o.bad(tag.SpacingBetweenSlices, fmt.Sprint(step), fmt.Sprintf("at most %d planes from %.1f to %.1f mm", most, at(first), at(last)))
	}
	s.grid.Size[2], s.grid.Spacing[2], s.grid.Origin = int(n), step, first.position
	for a := range 3 {
		s.grid.Direction[3*a], s.grid.Direction[3*a+1], s.grid.Direction[3*a+2] = orientation[a], orientation[3+a], normal[a]
	}
	if err := s.grid.Check(); err != nil {
		return fmt.Errorf("%s (patient %s): %w", s.File, orUnknown(s.PatientID), err)
	}
	for _, f := range s.frames {
		if i, ok := onGrid(s.grid, s.grid.Index(f.position)); !ok || i[0] != 0 || i[1] != 0 || i[2] < 0 || i[2] >= s.grid.Size[2] {
			return o.bad(tag.ImagePositionPatient, fmt.Sprint(f.position), fmt.Sprintf("a plane of the stack that starts at %v with steps of %g mm", first.position, step))
		}
	}
	return nil
}

// onGrid is the whole index nearest to a continuous one, and whether that is near
// enough to call it the same place.
func onGrid(g volume.Grid, index [3]float64) ([3]int, bool) {
	var whole [3]int
	for a := range 3 {
		r := math.Round(index[a])
		if !(math.Abs(index[a]-r)*g.Spacing[a] <= tolerance(g.Spacing[a])) || math.Abs(r) > 1<<30 {
			return whole, false
		}
		whole[a] = int(r)
	}
	return whole, true
}

func (s *Segmentation) readBits(o *object) error {
	sl := &slice{file: o.file, patient: s.PatientID, syntax: o.syntax, pixel: o.pixel, packed: o.body != nil}
	for _, want := range []struct {
		tag       tag.Tag
		low, high int
	}{{tag.SamplesPerPixel, 1, 1}, {tag.BitsAllocated, 1, 1}} {
		if _, err := o.integer(o.set, want.tag, want.low, want.high); err != nil {
			return err
		}
	}
	if o.pixel == nil {
		return sl.broken("there is none")
	}
	if next, compressed := sl.remedy(); compressed || o.pixel.encapsulated {
		if next == "" {
			next = "gdcmconv --raw IN OUT"
		}
		return &SyntaxError{File: o.file, Patient: s.PatientID, UID: o.syntax, Name: "compressed segmentation", Next: next}
	}
	var err error
	if s.bits, err = sl.bytes(nil); err != nil {
		return err
	}
	if o.swap && o.pixel.words {
		swapPairs(s.bits)
	}
	need := (int64(len(s.frames))*int64(s.grid.Size[0])*int64(s.grid.Size[1]) + 7) / 8
	if have := int64(len(s.bits)); have < need || have > need+1 {
		return sl.broken("%d bytes for %d frames of %d x %d bits, %d expected", have, len(s.frames), s.grid.Size[0], s.grid.Size[1], need)
	}
	return nil
}

// Names are the labels of the segments.
func (s *Segmentation) Names() []string {
	out := make([]string, len(s.Segments))
	for i, g := range s.Segments {
		out[i] = g.Label
	}
	return out
}

// Choose is the segment that a rule names by its label or, where no label matches,
// by its description. Error: *ROIError.
func (s *Segmentation) Choose(rule ROIRule) (Segment, Choice, error) {
	c, err := choose(rule, s.Names(), s.File, s.PatientID)
	var roi *ROIError
	if errors.As(err, &roi) && len(roi.Matched) == 0 {
		descriptions := make([]string, len(s.Segments))
		for i, g := range s.Segments {
			descriptions[i] = g.Description
		}
		if d, derr := rule.Choose(descriptions); derr == nil {
			return s.Segments[d.Index], d, nil
		}
	}
	if err != nil {
		return Segment{}, c, err
	}
	return s.Segments[c.Index], c, nil
}

// Mask is one segment, by its number, as a mask: on the given grid, or on the
// file's own when the grid is nil. Where the planes of the file are planes of the
// grid the bits are copied; otherwise the nearest voxel of the file is taken.
//
// Errors: *EmptyROIError when the segment has no voxel, or none on the grid.
func (s *Segmentation) Mask(number int, on *volume.Grid) (*volume.Mask, error) {
	name := ""
	for _, g := range s.Segments {
		if g.Number == number {
			name = g.Label
		}
	}
	empty := func(reason string) error {
		return &EmptyROIError{File: s.File, Patient: s.PatientID, ROI: strings.TrimSpace(fmt.Sprintf("%d %s", number, name)), Reasons: []string{reason}}
	}
	grid := s.grid
	if on != nil {
		if err := on.Check(); err != nil {
			return nil, err
		}
		if s.samePlanes(*on) {
			grid = *on
		}
	}
	m := volume.NewMask(grid)
	inside := 0
	for _, f := range s.frames {
		if f.segment == number {
			inside += s.copyFrame(m, f)
		}
	}
	if inside == 0 {
		return nil, empty("it has no voxel")
	}
	if on != nil && grid != *on {
		m = volume.ResampleMask(m, *on)
	}
	if _, _, ok := m.Bounds(); !ok {
		return nil, empty("it has no voxel inside the scan")
	}
	return m, nil
}

// samePlanes says whether every voxel of the file's planes is a voxel of g, or
// lies outside it.
func (s *Segmentation) samePlanes(g volume.Grid) bool {
	for i := range g.Direction {
		if math.Abs(g.Direction[i]-s.grid.Direction[i]) > 1e-4 {
			return false
		}
	}
	for a := range 2 {
		if math.Abs(g.Spacing[a]-s.grid.Spacing[a]) > 1e-4*g.Spacing[a] {
			return false
		}
	}
	for _, f := range s.frames {
		if _, ok := onGrid(g, g.Index(f.position)); !ok {
			return false
		}
	}
	return true
}

// copyFrame puts the bits of one frame where they lie on the mask's grid and says
// how many were set, inside the grid or not.
func (s *Segmentation) copyFrame(m *volume.Mask, f segFrame) int {
	cols, rows := s.grid.Size[0], s.grid.Size[1]
	at, _ := onGrid(m.Grid, m.Grid.Index(f.position))
	bit := f.order * cols * rows
	n := 0
	for r := range rows {
		for c := range cols {
			if s.bits[bit>>3]>>(bit&7)&1 == 1 {
				n++
				x, y := at[0]+c, at[1]+r
				if x >= 0 && x < m.Grid.Size[0] && y >= 0 && y < m.Grid.Size[1] && at[2] >= 0 && at[2] < m.Grid.Size[2] {
					m.In[m.Grid.Offset(x, y, at[2])] = 1
				}
			}
			bit++
		}
	}
	return n
}
