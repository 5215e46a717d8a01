package dicom

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"

	lib "github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"
)

// SOP classes told apart here.
const (
	classCT           = "1.2.840.10008.5.1.4.1.1.2"
	classStructures   = "1.2.840.10008.5.1.4.1.1.481.3"
	classSegmentation = "1.2.840.10008.5.1.4.1.1.66.4"
	classDirectory    = "1.2.840.10008.1.3.10"
)

// headTags is all that Index reads; bodyTags are the contours and frames besides. Of
// the patient only the PatientID is among them: what is not read cannot come out.
var headTags = tagSet(
	tag.SpecificCharacterSet, tag.SOPClassUID, tag.SOPInstanceUID, tag.Modality,
	tag.PatientID, tag.StudyInstanceUID, tag.SeriesInstanceUID,
	tag.AcquisitionDate, tag.AcquisitionTime, tag.AcquisitionDateTime,
	tag.ImagePositionPatient, tag.ImageOrientationPatient, tag.FrameOfReferenceUID,
	tag.SamplesPerPixel, tag.PhotometricInterpretation, tag.NumberOfFrames, tag.Rows, tag.Columns, tag.PixelSpacing,
	tag.BitsAllocated, tag.BitsStored, tag.HighBit, tag.PixelRepresentation,
	tag.RescaleIntercept, tag.RescaleSlope, tag.RescaleType,
	tag.ReferencedSeriesSequence, tag.ReferencedFrameOfReferenceSequence, tag.RTReferencedStudySequence,
	tag.RTReferencedSeriesSequence, tag.ContourImageSequence, tag.ReferencedSOPInstanceUID,
	tag.StructureSetROISequence, tag.ROINumber, tag.ROIName, tag.ReferencedFrameOfReferenceUID,
	tag.SegmentSequence, tag.SegmentNumber, tag.SegmentLabel, tag.SegmentDescription,
)

var bodyTags = tagSet(append(keys(headTags),
	tag.ROIContourSequence, tag.ReferencedROINumber, tag.ContourSequence, tag.ContourGeometricType,
	tag.NumberOfContourPoints, tag.ContourData, tag.ContourOffsetVector,
	tag.SegmentationType, tag.SharedFunctionalGroupsSequence, tag.PerFrameFunctionalGroupsSequence,
	tag.PixelMeasuresSequence, tag.SpacingBetweenSlices, tag.PlaneOrientationSequence, tag.PlanePositionSequence,
	tag.SegmentIdentificationSequence, tag.ReferencedSegmentNumber,
)...)

func tagSet(tags ...tag.Tag) map[tag.Tag]bool {
	set := make(map[tag.Tag]bool, len(tags))
	for _, t := range tags {
		set[t] = true
	}
	return set
}

func keys(set map[tag.Tag]bool) []tag.Tag {
	var out []tag.Tag
	for t := range set {
		out = append(out, t)
	}
	return out
}

// object is a file as far as this package reads it.
type object struct {
	file   string
	size   int64
	syntax string
	swap   bool // big-endian samples
	set    dataset
	pixel  *pixelExtent
	body   []byte // what pixel refers to; nil when it refers to the file
}

// dataset is the elements of an object or of a sequence item.
type dataset []*lib.Element

// firstRead is how much of a file is read at first: the head of a CT slice is a
// few kilobytes.
const firstRead = 16 << 10

// open reads the wanted elements of a file; pixel data is only located. A file
// that breaks off gives what stood before the break, and a *TruncatedError.
func open(file string, wanted map[tag.Tag]bool) (*object, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("dicom: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("dicom: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, &FormatError{File: file, Reason: "not a regular file"}
	}
	return read(file, f, info.Size(), wanted)
}

// read is open on bytes that need not lie in a file.
func read(file string, r io.ReaderAt, size int64, wanted map[tag.Tag]bool) (*object, error) {
	g, err := admit(file, r, size, wanted)
	var cut *cutError
	if err != nil && !errors.As(err, &cut) {
		var shape *shapeError
		if errors.As(err, &shape) {
			err = &FormatError{File: file, Reason: err.Error()}
		}
		return nil, err
	}
	o := &object{file: file, size: size}
	if g != nil {
		o.syntax, o.pixel, o.body = g.syntax, g.pixel, g.body
		o.swap = g.order.String() == "BigEndian"
		set, perr := interpret(file, g.stream)
		if perr != nil {
			return nil, perr
		}
		o.set = set
	}
	if cut != nil {
		return o, &TruncatedError{File: file, Patient: o.set.text(tag.PatientID), What: cut.what, Needs: cut.needs, Has: cut.has}
	}
	return o, nil
}

// admit passes as much of a file through the gate as the wanted elements take. Errors as
// in pass, and of reading.
func admit(file string, r io.ReaderAt, size int64, wanted map[tag.Tag]bool) (*gated, error) {
	head := int64(firstRead)
	for {
		data := make([]byte, min(head, size))
		if n, err := r.ReadAt(data, 0); err != nil && !(errors.Is(err, io.EOF) && n == len(data)) {
			return nil, fmt.Errorf("dicom: %s: %w", file, err)
		}
		g, err := pass(data, size, wanted)
		if !errors.Is(err, errMore) {
			return g, err
		}
		head *= 8
	}
}

// interpret lets the library read what passed the gate. A panic in it is the
// file's fault, not the program's, and ends here.
func interpret(file string, stream []byte) (set dataset, err error) {
	defer func() {
		if r := recover(); r != nil {
			set, err = nil, &FormatError{File: file, Reason: fmt.Sprintf("the elements cannot be interpreted (%v)", r)}
		}
	}()
	// The library peeks at 132 bytes before it reads any; the header alone has more.
	parsed, err := lib.Parse(bytes.NewReader(stream), int64(len(stream)), nil, lib.SkipPixelData())
	if err != nil {
		return nil, &FormatError{File: file, Reason: err.Error()}
	}
	return parsed.Elements, nil
}

func (d dataset) find(t tag.Tag) lib.Value {
	for _, e := range d {
		if e.Tag == t {
			return e.Value
		}
	}
	return nil
}

// strings are the values of a text element without the padding around each.
func (d dataset) strings(t tag.Tag) []string {
	v := d.find(t)
	if v == nil || v.ValueType() != lib.Strings {
		return nil
	}
	s, _ := v.GetValue().([]string)
	out := make([]string, len(s))
	for i := range s {
		out[i] = strings.Trim(s[i], " \x00\t\r\n")
	}
	return out
}

// text is a text element of one value; empty when it is missing.
func (d dataset) text(t tag.Tag) string {
	return strings.Join(d.strings(t), `\`)
}

// items are the items of a sequence.
func (d dataset) items(t tag.Tag) []dataset {
	v := d.find(t)
	if v == nil || v.ValueType() != lib.Sequences {
		return nil
	}
	list, _ := v.GetValue().([]*lib.SequenceItemValue)
	out := make([]dataset, 0, len(list))
	for _, i := range list {
		if e, ok := i.GetValue().([]*lib.Element); ok {
			out = append(out, e)
		}
	}
	return out
}

// item is the first item of a sequence, empty when there is none.
func (d dataset) item(t tag.Tag) dataset {
	if list := d.items(t); len(list) > 0 {
		return list[0]
	}
	return nil
}

// bad is the error for an element that is missing or cannot be.
func (o *object) bad(t tag.Tag, value, allowed string) error {
	if len(value) > 80 {
		value = value[:80] + "..."
	}
	return &TagError{File: o.file, Patient: o.set.text(tag.PatientID), Tag: tag.DebugString(t), Value: value, Allowed: allowed}
}

// integer is a whole number that must be there (US, UL, SS, SL or IS).
func (o *object) integer(d dataset, t tag.Tag, low, high int) (int, error) {
	allowed := fmt.Sprintf("a whole number from %d to %d", low, high)
	v := d.find(t)
	if v == nil {
		return 0, o.bad(t, "", allowed)
	}
	n, known := 0, false
	switch x := v.GetValue().(type) {
	case []int:
		if len(x) == 1 {
			n, known = x[0], true
		}
	case []string:
		if len(x) == 1 {
			p, err := strconv.Atoi(strings.TrimSpace(x[0]))
			n, known = p, err == nil
		}
	}
	if text := strings.Trim(v.String(), "[] "); text == "" {
		return 0, o.bad(t, "", allowed)
	} else if !known || n < low || n > high {
		return 0, o.bad(t, text, allowed)
	}
	return n, nil
}

// decimals are n finite numbers that must be there (DS, FL or FD).
func (o *object) decimals(d dataset, t tag.Tag, n int) ([]float64, error) {
	allowed := fmt.Sprintf("%d finite number(s)", n)
	v := d.find(t)
	if v == nil {
		return nil, o.bad(t, "", allowed)
	}
	text := strings.Trim(v.String(), "[] ")
	if text == "" {
		return nil, o.bad(t, "", allowed)
	}
	out, ok := v.GetValue().([]float64)
	if s, isText := v.GetValue().([]string); isText {
		if out, ok = parseDecimals(make([]float64, 0, n), s); !ok {
			return nil, o.bad(t, text, allowed)
		}
	}
	if !ok || len(out) != n {
		return nil, o.bad(t, text, allowed)
	}
	for _, x := range out {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return nil, o.bad(t, text, allowed)
		}
	}
	return out, nil
}

// parseDecimals appends numbers written as text; ok is false when one is not finite.
func parseDecimals(to []float64, text []string) (out []float64, ok bool) {
	for _, s := range text {
		x, err := strconv.ParseFloat(strings.Trim(s, " \x00\t\r\n"), 64)
		if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
			return to, false
		}
		to = append(to, x)
	}
	return to, true
}
