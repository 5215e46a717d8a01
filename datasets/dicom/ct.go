package dicom

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"hounsfield/datasets/volume"
)

// toleranceMM is how far a slice may lie from its place: exporters round
// positions to a tenth of a millimetre.
const toleranceMM = 0.1

// Series is one CT series: the files that share a SeriesInstanceUID.
type Series struct {
	UID, PatientID, StudyUID, FrameOfReferenceUID string

	// Acquired is when the first of the images was made, by the scanner's own clock; zero
	// where no file says it.
	Acquired time.Time

	Files []string // sorted by name; Read sorts by position

	slices []*slice
}

// Voxels is how many voxels the series has, by what its first slice says.
func (s Series) Voxels() int { return s.slices[0].rows * s.slices[0].cols * len(s.slices) }

// Read is ReadCT on the files of a series that Index has found.
//
// The volume is in HU, stored z, y, x, with float32 values slope*stored+intercept
// of each slice's own tags; nothing is clipped, padding values are kept as they
// are. Slices rise along the normal of the images (row direction x column
// direction), which is towards the head for an axial head-first scan; for
// feet-first and oblique scans Grid.Direction says where the axes point.
//
// Errors: the types of this package; the file or the two files at fault are in
// them. A series is never repaired: no slice is filled in, moved or left out.
func (s Series) Read() (*volume.Volume, error) {
	for _, sl := range s.slices {
		if sl.err != nil {
			return nil, sl.err
		}
	}
	order, grid, err := arrange(s.slices)
	if err != nil {
		return nil, err
	}
	v := volume.NewVolume(grid)
	plane := grid.Size[0] * grid.Size[1]
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	// A worker takes a run of neighbouring slices and keeps its buffers between them.
	const run = 4
	for from := 0; from < len(order); from += run {
		group.Go(func() error {
			b := pixelBuffers.Get().(*buffers)
			defer pixelBuffers.Put(b)
			for i := from; i < min(from+run, len(order)); i++ {
				if err := order[i].decode(v.HU[i*plane:(i+1)*plane], b); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return v, nil
}

// ReadCT reads the files of ONE CT series, in any order; see Series.Read for the
// volume and its errors. Two series in the list are a *MixedSeriesError: Index
// tells them apart.
func ReadCT(files []string) (*volume.Volume, error) {
	s, err := openSeries(files)
	if err != nil {
		return nil, err
	}
	return s.Read()
}

// openSeries reads the heads of the files of one series.
func openSeries(files []string) (Series, error) {
	if len(files) == 0 {
		return Series{}, errors.New("dicom: no files were given; list the slices of one CT series")
	}
	found := make([]*slice, len(files))
	errs := make([]error, len(files))
	forEach(len(files), func(i int) {
		o, err := open(files[i], headTags)
		if o == nil {
			errs[i] = err
			return
		}
		found[i] = newSlice(o, err)
		errs[i] = found[i].err
	})
	if err := firstOf(errs); err != nil {
		return Series{}, err
	}
	return newSeries(found), nil
}

// firstOf is the first error of a list: the same one whatever the workers' order.
func firstOf(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// newSeries groups slices that are meant to be one series.
func newSeries(found []*slice) Series {
	slices.SortFunc(found, func(a, b *slice) int { return cmp.Compare(a.file, b.file) })
	first := found[0]
	s := Series{UID: first.series, PatientID: first.patient, StudyUID: first.study, FrameOfReferenceUID: first.frame, slices: found}
	for _, sl := range found {
		s.Files = append(s.Files, sl.file)
		if !sl.acquired.IsZero() && (s.Acquired.IsZero() || sl.acquired.Before(s.Acquired)) {
			s.Acquired = sl.acquired
		}
	}
	return s
}

// instances are the SOP instance UIDs of the slices.
func (s Series) instances() map[string]bool {
	out := make(map[string]bool, len(s.slices))
	for _, sl := range s.slices {
		out[sl.instance] = true
	}
	return out
}

// forEach runs work(0..n-1) on a bounded number of workers. Twice the processors:
// on network drives the workers mostly wait.
func forEach(n int, work func(i int)) {
	var group errgroup.Group
	group.SetLimit(2 * runtime.GOMAXPROCS(0))
	for i := range n {
		group.Go(func() error { work(i); return nil })
	}
	_ = group.Wait() // the work returns no error
}

// arrange checks that slices make one volume and sorts them along the normal.
func arrange(found []*slice) ([]*slice, volume.Grid, error) {
	var grid volume.Grid
	if len(found) == 0 {
		return nil, grid, errors.New("dicom: a series without files")
	}
	first := found[0]
	for _, s := range found[1:] {
		if err := alike(first, s); err != nil {
			return nil, grid, err
		}
	}
	if len(found) < 2 {
		return nil, grid, &TagError{File: first.file, Patient: first.patient, Tag: "number of slices", Value: "1", Allowed: "at least 2: one slice has no spacing"}
	}
	normal := first.normal()
	at := make(map[*slice]float64, len(found))
	for _, s := range found {
		at[s] = dot(s.position[:], normal[:])
	}
	order := slices.Clone(found)
	slices.SortStableFunc(order, func(a, b *slice) int { return cmp.Compare(at[a], at[b]) })
	first = order[0]
	last := order[len(order)-1]
	spacing, err := evenly(order, at)
	if err != nil {
		return nil, grid, err
	}
	r, c := first.orientation[:3], first.orientation[3:]
	grid = volume.Grid{
		Size:    [3]int{first.cols, first.rows, len(order)},
		Origin:  first.position,
		Spacing: [3]float64{first.spacing[0], first.spacing[1], spacing},
	}
	for a := range 3 {
		grid.Direction[3*a], grid.Direction[3*a+1], grid.Direction[3*a+2] = r[a], c[a], normal[a]
	}
	// The stack must rise along the normal: a tilted gantry shears it.
	for i, s := range order {
		place := grid.Position([3]float64{0, 0, float64(i)})
		off := 0.0
		for a := range 3 {
			off += (place[a] - s.position[a]) * (place[a] - s.position[a])
		}
		if off = math.Sqrt(off); off > 2*tolerance(spacing) { // as much again for the place along the normal
			return nil, grid, &MismatchError{
				Patient: s.patient, Series: s.series, Field: "the place of the slice in its own plane (a tilted gantry?)",
				Values: [2]string{fmt.Sprint(first.position), fmt.Sprintf("%v, %.2f mm off the line from %s to %s", s.position, off, first.file, last.file)},
				Files:  [2]string{first.file, s.file},
			}
		}
	}
	if err := grid.Check(); err != nil {
		return nil, grid, fmt.Errorf("dicom: patient %s, series %s: %w", orUnknown(first.patient), first.series, err)
	}
	return order, grid, nil
}

func tolerance(spacing float64) float64 { return max(toleranceMM, 0.02*spacing) }

// alike says whether two slices can be of one volume.
func alike(a, b *slice) error {
	if a.series != b.series {
		return &MixedSeriesError{Patient: b.patient, Series: [2]string{a.series, b.series}, Files: [2]string{a.file, b.file}}
	}
	differ := func(field string, x, y any) error {
		return &MismatchError{Patient: b.patient, Series: b.series, Field: field, Values: [2]string{fmt.Sprint(x), fmt.Sprint(y)}, Files: [2]string{a.file, b.file}}
	}
	if a.patient != b.patient {
		return differ("PatientID", a.patient, b.patient)
	}
	if a.rows != b.rows || a.cols != b.cols {
		return differ("size (rows, columns)", [2]int{a.rows, a.cols}, [2]int{b.rows, b.cols})
	}
	if a.frame != b.frame {
		return differ("FrameOfReferenceUID", a.frame, b.frame)
	}
	for i := range a.orientation {
		if math.Abs(a.orientation[i]-b.orientation[i]) > 1e-4 {
			return differ("orientation", a.orientation, b.orientation)
		}
	}
	for i := range a.spacing {
		if math.Abs(a.spacing[i]-b.spacing[i]) > 1e-4*a.spacing[i] {
			return differ("pixel spacing (x, y)", a.spacing, b.spacing)
		}
	}
	return nil
}

// evenly is the spacing of sorted slices, or the reason why there is none.
func evenly(order []*slice, at map[*slice]float64) (float64, error) {
	first := order[0]
	gaps := make([]float64, len(order)-1)
	for i := range gaps {
		a, b := order[i], order[i+1]
		gaps[i] = at[b] - at[a]
		if gaps[i] < 0.001 {
			return 0, &DuplicateSliceError{
				Patient: a.patient, Series: a.series, Files: [2]string{a.file, b.file}, PositionMM: at[a],
				SameInstance: a.instance == b.instance,
			}
		}
	}
	sorted := slices.Sorted(slices.Values(gaps))
	middle := sorted[len(sorted)/2]
	for i, gap := range gaps {
		// A hole is a whole number of spacings wide; anything else is uneven.
		n := math.Round(gap / middle)
		if n >= 2 && math.Abs(gap-n*middle) <= n*tolerance(middle) {
			return 0, &MissingSliceError{
				Patient: first.patient, Series: first.series, Before: order[i].file, After: order[i+1].file,
				Missing: int(n) - 1, SpacingMM: middle, DistanceMM: gap,
			}
		}
	}
	spacing, start := line(order, at)
	worst, off := first, 0.0
	for i, s := range order {
		if d := at[s] - start - float64(i)*spacing; math.Abs(d) > math.Abs(off) {
			worst, off = s, d
		}
	}
	if math.Abs(off) > tolerance(spacing) {
		return 0, &UnevenSpacingError{
			Patient: first.patient, Series: first.series, File: worst.file, OffMM: off,
			SpacingMM: spacing, MinMM: sorted[0], MaxMM: sorted[len(sorted)-1],
		}
	}
	return spacing, nil
}

// line fits evenly spaced places to the slices (least squares): where positions are
// rounded, the two ends alone would give a spacing that is a little off. The spacing
// is rounded to a millionth of a millimetre, as positions are written in decimals.
func line(order []*slice, at map[*slice]float64) (spacing, start float64) {
	n := float64(len(order))
	first := at[order[0]] // taken off, to keep the sums small
	var sum, moment float64
	for i, s := range order {
		sum += at[s] - first
		moment += (float64(i) - (n-1)/2) * (at[s] - first)
	}
	spacing = math.Round(1e6*moment*12/(n*(n*n-1))) / 1e6
	return spacing, first + sum/n - spacing*(n-1)/2
}

// bytes reads the stretches of a slice's file that hold its pixels, one after the
// other, into b (which grows when needed).
func (s *slice) bytes(b []byte) ([]byte, error) {
	if s.packed {
		o, err := open(s.file, headTags)
		if err != nil {
			return nil, err
		}
		if o.body == nil || o.pixel == nil {
			return nil, &PixelError{File: s.file, Patient: s.patient, Reason: "the file changed while it was read"}
		}
		b = b[:0]
		for _, p := range o.pixel.parts {
			b = append(b, o.body[p.offset:p.offset+p.length]...)
		}
		return b, nil
	}
	f, err := os.Open(s.file)
	if err != nil {
		return nil, fmt.Errorf("dicom: %w", err)
	}
	defer f.Close()
	total := int64(0)
	for _, p := range s.pixel.parts {
		total += p.length
	}
	b = slices.Grow(b[:0], int(total))[:total]
	to := b
	for _, p := range s.pixel.parts {
		n, err := f.ReadAt(to[:p.length], p.offset)
		switch {
		case int64(n) == p.length: // io.EOF may come with the last byte
		case errors.Is(err, io.EOF):
			return nil, &TruncatedError{File: s.file, Patient: s.patient, What: "pixel data", Needs: p.offset + p.length, Has: p.offset + int64(n)}
		default:
			return nil, fmt.Errorf("dicom: %s: %w", s.file, err)
		}
		to = to[p.length:]
	}
	return b, nil
}
