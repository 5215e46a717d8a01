package dicom

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/suyashkumar/dicom/pkg/tag"
)

// slice is one CT image: what its head says, and where its pixels are.
type slice struct {
	file, patient, study, series, instance, frame string

	acquired time.Time // zero where the file does not say

	position    [3]float64 // of the centre of the first pixel, mm, LPS
	orientation [6]float64 // direction in which columns rise, then rows
	spacing     [2]float64 // between columns (x), between rows (y), mm
	rows, cols  int

	allocated, stored, high int // bits of a sample
	signed                  bool
	slope, intercept        float64

	syntax string
	swap   bool
	pixel  *pixelExtent
	packed bool // the data set is deflated: pixel does not refer to the file

	err error // why this slice cannot be used
}

// newSlice reads the head of a CT image. What is missing or broken is kept in
// err, so that the series it belongs to can say so; opened is the error of open.
func newSlice(o *object, opened error) *slice {
	s := &slice{
		file: o.file, patient: o.set.text(tag.PatientID), study: o.set.text(tag.StudyInstanceUID),
		series: o.set.text(tag.SeriesInstanceUID), instance: o.set.text(tag.SOPInstanceUID),
		frame: o.set.text(tag.FrameOfReferenceUID), acquired: acquired(o.set),
		syntax: o.syntax, swap: o.swap, pixel: o.pixel, packed: o.body != nil, err: opened,
	}
	if s.err == nil {
		s.err = s.geometry(o)
	}
	if s.err == nil {
		s.err = s.samples(o)
	}
	return s
}

func (s *slice) geometry(o *object) error {
	if class := o.set.text(tag.SOPClassUID); class != classCT {
		return &NotCTError{File: o.file, Patient: s.patient, Modality: o.set.text(tag.Modality), Class: class}
	}
	if s.series == "" {
		return o.bad(tag.SeriesInstanceUID, "", "the UID that tells one series from another")
	}
	var err error
	numbers := func(t tag.Tag, into []float64) {
		if err != nil {
			return
		}
		var v []float64
		if v, err = o.decimals(o.set, t, len(into)); err == nil {
			copy(into, v)
		}
	}
	whole := func(t tag.Tag, into *int, low, high int) {
		if err == nil {
			*into, err = o.integer(o.set, t, low, high)
		}
	}
	var rowColumn [2]float64
	numbers(tag.ImagePositionPatient, s.position[:])
	numbers(tag.ImageOrientationPatient, s.orientation[:])
	numbers(tag.PixelSpacing, rowColumn[:])
	whole(tag.Rows, &s.rows, 1, 1<<14)
	whole(tag.Columns, &s.cols, 1, 1<<14)
	if err != nil {
		return err
	}
	// PixelSpacing is the distance of ROWS first, which is the step along y.
	s.spacing = [2]float64{rowColumn[1], rowColumn[0]}
	if !(s.spacing[0] > 0 && s.spacing[1] > 0) {
		return o.bad(tag.PixelSpacing, fmt.Sprint(rowColumn), "two positive numbers of mm")
	}
	r, c := s.orientation[:3], s.orientation[3:]
	if !near(dot(r, r), 1) || !near(dot(c, c), 1) || !near(dot(r, c), 0) {
		return o.bad(tag.ImageOrientationPatient, fmt.Sprint(s.orientation), "two orthogonal unit vectors")
	}
	return nil
}

func (s *slice) samples(o *object) error {
	if n := o.set.text(tag.NumberOfFrames); n != "" && n != "1" {
		return o.bad(tag.NumberOfFrames, n, "1: a CT slice is one frame")
	}
	if p := o.set.text(tag.PhotometricInterpretation); !strings.HasPrefix(p, "MONOCHROME") {
		// MONOCHROME1 and 2 differ in how a screen shows them, not in HU.
		return o.bad(tag.PhotometricInterpretation, p, "MONOCHROME1 or MONOCHROME2")
	}
	var err error
	whole := func(t tag.Tag, low, high int) (n int) {
		if err == nil {
			n, err = o.integer(o.set, t, low, high)
		}
		return n
	}
	whole(tag.SamplesPerPixel, 1, 1)
	s.allocated = whole(tag.BitsAllocated, 8, 16)
	s.stored = whole(tag.BitsStored, 1, s.allocated)
	s.high = whole(tag.HighBit, max(s.stored-1, 0), max(s.allocated-1, 0))
	s.signed = whole(tag.PixelRepresentation, 0, 1) == 1
	if err != nil {
		return err
	}
	if s.allocated != 8 && s.allocated != 16 {
		return o.bad(tag.BitsAllocated, strconv.Itoa(s.allocated), "8 or 16")
	}
	for _, v := range []struct {
		tag  tag.Tag
		into *float64
	}{{tag.RescaleSlope, &s.slope}, {tag.RescaleIntercept, &s.intercept}} {
		x, err := o.decimals(o.set, v.tag, 1)
		if err != nil {
			return err
		}
		*v.into = x[0]
	}
	if s.slope == 0 {
		return o.bad(tag.RescaleSlope, "0", "a number that is not 0")
	}
	if t := o.set.text(tag.RescaleType); t != "" && t != "HU" {
		return o.bad(tag.RescaleType, t, "HU, or nothing (then HU is meant)")
	}
	if s.pixel == nil {
		return &PixelError{File: s.file, Patient: s.patient, Reason: "there is none"}
	}
	return nil
}

// normal is the direction in which slices are sorted: row direction x column
// direction. For an axial head-first scan it points to the head.
func (s *slice) normal() [3]float64 {
	r, c := s.orientation[:3], s.orientation[3:]
	return [3]float64{r[1]*c[2] - r[2]*c[1], r[2]*c[0] - r[0]*c[2], r[0]*c[1] - r[1]*c[0]}
}

func dot(a, b []float64) float64 { return a[0]*b[0] + a[1]*b[1] + a[2]*b[2] }

// near compares cosines: exporters keep four to six digits of them.
func near(a, b float64) bool { return a-b < 1e-3 && b-a < 1e-3 }

// acquired is when an image was made by the scanner's own clock: AcquisitionDateTime, or
// AcquisitionDate and AcquisitionTime where both are there. A date alone, or text that is
// no time, is zero: it would put an image at midnight. A time zone is not applied, as the
// other two elements have none.
func acquired(d dataset) time.Time {
	text := d.text(tag.AcquisitionDateTime)
	if text == "" {
		// The forms of old files, 2006.09.20 and 12:15:30, too.
		date, clock := strings.ReplaceAll(d.text(tag.AcquisitionDate), ".", ""), strings.ReplaceAll(d.text(tag.AcquisitionTime), ":", "")
		if date == "" || clock == "" {
			return time.Time{}
		}
		text = date + clock
	}
	if i := strings.IndexAny(text, "+-"); i >= 0 {
		text = text[:i]
	}
	for _, layout := range []string{"20060102150405", "200601021504", "2006010215"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t
		}
	}
	return time.Time{}
}
