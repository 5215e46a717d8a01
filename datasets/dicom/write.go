package dicom

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/google/renameio/v2"
	lib "github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"
	"github.com/suyashkumar/dicom/pkg/uid"

	"hounsfield/datasets/volume"
)

// Meta is what written files say besides voxels and contours. Every UID is a hash
// of it: the same Meta gives the same UIDs, so structures find their scan.
type Meta struct {
	PatientID string // a pseudonym; the patient's name is the same, nothing else is said of the patient
	Seed      string // tells two studies apart that use the same pseudonyms
	Scan      string // which scan of the patient; a second scan is another study in another frame of reference
	Reader    string // who drew a structure set; empty in CT files

	Acquired time.Time // of all slices of a CT; zero = not said, and never in a UID

	Manufacturer, Model, Kernel string // of the scanner; may be empty
	Unsigned                    bool   // store samples unsigned with intercept -1024, not signed with 0
}

// RangeError is a value that 16 bits cannot hold.
type RangeError struct {
	Patient string
	Index   [3]int // voxel x, y, z
	Value   float32
	Allowed string
}

func (e *RangeError) Error() string {
	return fmt.Sprintf("patient %s: voxel %v is %v HU; DICOM files hold %s", orUnknown(e.Patient), e.Index, e.Value, e.Allowed)
}

// uid is a UID derived from a UUID (2.25., PS3.5 B.2) that is a hash of its parts.
func (m Meta) uid(parts ...string) string {
	h := sha256.New()
	for _, p := range append([]string{"hounsfield", m.Seed, m.PatientID, m.Scan}, parts...) {
		fmt.Fprintf(h, "%d:%s;", len(p), p)
	}
	id := h.Sum(nil)[:16]
	id[6] = id[6]&0x0F | 0x80 // a UUID of version 8: by its maker's own rule
	id[8] = id[8]&0x3F | 0x80
	return "2.25." + new(big.Int).SetBytes(id).String()
}

func (m Meta) image(z int) string { return m.uid("image", strconv.Itoa(z)) }

// WriteCT writes a volume as a CT series, one file per slice, explicit
// little-endian, into a folder that does not exist yet or is empty. The folder
// appears with all its files or not at all. HU are rounded to whole numbers.
//
// Files are numbered from the last slice down, as many archives have it.
// Errors: *RangeError, *volume.GeometryError, and those of the file system.
func WriteCT(dir string, v *volume.Volume, m Meta) (err error) {
	if err := v.Grid.Check(); err != nil {
		return fmt.Errorf("patient %s: %w", orUnknown(m.PatientID), err)
	}
	if len(v.HU) != v.Grid.Len() {
		panic(fmt.Sprintf("dicom: %d voxels for a grid of %d", len(v.HU), v.Grid.Len()))
	}
	dir = filepath.Clean(dir)
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return fmt.Errorf("dicom: %w", err)
	}
	temp, err := os.MkdirTemp(filepath.Dir(dir), ".ct-*")
	if err != nil {
		return fmt.Errorf("dicom: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(temp) // the first error counts
		}
	}()
	n := v.Grid.Size[2]
	errs := make([]error, n)
	forEach(n, func(z int) {
		file := filepath.Join(temp, fmt.Sprintf("1-%03d.dcm", n-z))
		var set elements
		if set, errs[z] = m.slice(v, z); errs[z] != nil {
			return
		}
		raw, err := set.encode()
		if err == nil {
			// Not synced one by one, which would take longer than all the rest: after a
			// power cut a scan that was made is made again.
			err = os.WriteFile(file, raw, 0o644)
		}
		if err != nil {
			errs[z] = fmt.Errorf("dicom: %s: %w", file, err)
		}
	})
	if err := firstOf(errs); err != nil {
		return err
	}
	if err := os.Chmod(temp, 0o755); err != nil {
		return fmt.Errorf("dicom: %w", err)
	}
	if err := os.Rename(temp, dir); err != nil {
		return fmt.Errorf("dicom: %w; give a folder that is empty or does not exist", err)
	}
	return nil
}

// slice is the elements of one CT slice.
func (m Meta) slice(v *volume.Volume, z int) (elements, error) {
	g := v.Grid
	plane := g.Size[0] * g.Size[1]
	intercept, low, high, representation := 0, -1<<15, 1<<15-1, 1
	if m.Unsigned {
		intercept, low, high, representation = -1024, -1024, 1<<16-1-1024, 0
	}
	pixels := make([]byte, 2*plane, 2*plane+1)
	for i, hu := range v.HU[z*plane : (z+1)*plane] {
		whole := math.Round(float64(hu))
		if !(whole >= float64(low) && whole <= float64(high)) {
			return nil, &RangeError{Patient: m.PatientID, Index: [3]int{i % g.Size[0], i / g.Size[0], z}, Value: hu, Allowed: fmt.Sprintf("%d to %d", low, high)}
		}
		binary.LittleEndian.PutUint16(pixels[2*i:], uint16(int(whole)-intercept))
	}
	position := g.Position([3]float64{0, 0, float64(z)})
	var row, column [3]float64
	for a := range 3 {
		row[a], column[a] = g.Direction[3*a], g.Direction[3*a+1]
	}
	e := m.common(classCT, m.image(z), "CT", m.uid("series"), uid.ExplicitVRLittleEndian)
	e.text(tag.ImageType, "DERIVED", "SECONDARY", "AXIAL")
	e.text(tag.SeriesNumber, "1")
	e.text(tag.SeriesDescription, m.Scan)
	e.text(tag.AcquisitionNumber, "")
	if !m.Acquired.IsZero() {
		e.text(tag.AcquisitionDate, m.Acquired.Format("20060102"))
		e.text(tag.AcquisitionTime, m.Acquired.Format("150405.000000"))
	}
	e.text(tag.InstanceNumber, strconv.Itoa(g.Size[2]-z))
	e.text(tag.PatientPosition, "")
	e.text(tag.KVP, "")
	e.text(tag.ConvolutionKernel, m.Kernel)
	e.text(tag.SliceThickness, decimal(g.Spacing[2]))
	e.text(tag.FrameOfReferenceUID, m.uid("frame"))
	e.text(tag.PositionReferenceIndicator, "")
	e.text(tag.ImagePositionPatient, decimals(position[:])...)
	e.text(tag.ImageOrientationPatient, decimals(append(row[:], column[:]...))...)
	e.text(tag.PixelSpacing, decimal(g.Spacing[1]), decimal(g.Spacing[0]))
	e.ints(tag.SamplesPerPixel, 1)
	e.text(tag.PhotometricInterpretation, "MONOCHROME2")
	e.ints(tag.Rows, g.Size[1])
	e.ints(tag.Columns, g.Size[0])
	e.ints(tag.BitsAllocated, 16)
	e.ints(tag.BitsStored, 16)
	e.ints(tag.HighBit, 15)
	e.ints(tag.PixelRepresentation, representation)
	e.text(tag.RescaleIntercept, strconv.Itoa(intercept))
	e.text(tag.RescaleSlope, "1")
	e.text(tag.RescaleType, "HU")
	e.add(tag.PixelData, lib.PixelDataInfo{IntentionallyUnprocessed: true, UnprocessedValueData: pixels})
	return e, nil
}

// WriteStructures writes regions as an RTSTRUCT of the scan that WriteCT wrote
// with the same grid and the same Meta (Reader aside). A region's Number counts
// from 1 in the order given when it is 0. The file is implicit little-endian, the
// form in which a long contour fits. It appears whole or not at all.
func WriteStructures(file string, rois []ROI, g volume.Grid, m Meta) error {
	if err := g.Check(); err != nil {
		return fmt.Errorf("patient %s: %w", orUnknown(m.PatientID), err)
	}
	e := m.common(classStructures, m.uid("structures", m.Reader), "RTSTRUCT", m.uid("structure series", m.Reader), uid.ImplicitVRLittleEndian)
	e.text(tag.SeriesNumber, "2")
	e.text(tag.SeriesDescription, m.Reader)
	e.text(tag.StructureSetLabel, "contours")
	e.text(tag.StructureSetDate, "")
	e.text(tag.StructureSetTime, "")

	var images [][]*lib.Element
	for z := range g.Size[2] {
		images = append(images, m.reference(z))
	}
	series := elements{}
	series.text(tag.SeriesInstanceUID, m.uid("series"))
	series.add(tag.ContourImageSequence, images)
	study := elements{}
	study.text(tag.ReferencedSOPClassUID, "1.2.840.10008.3.1.2.3.1")
	study.text(tag.ReferencedSOPInstanceUID, m.uid("study"))
	study.add(tag.RTReferencedSeriesSequence, [][]*lib.Element{series.sorted()})
	frame := elements{}
	frame.text(tag.FrameOfReferenceUID, m.uid("frame"))
	frame.add(tag.RTReferencedStudySequence, [][]*lib.Element{study.sorted()})
	e.add(tag.ReferencedFrameOfReferenceSequence, [][]*lib.Element{frame.sorted()})

	var names, shapes, observations [][]*lib.Element
	for i, r := range rois {
		number := r.Number
		if number == 0 {
			number = i + 1
		}
		name := elements{}
		name.text(tag.ROINumber, strconv.Itoa(number))
		name.text(tag.ReferencedFrameOfReferenceUID, m.uid("frame"))
		name.text(tag.ROIName, r.Name)
		name.text(tag.ROIGenerationAlgorithm, "")
		names = append(names, name.sorted())

		shape := elements{}
		shape.text(tag.ROIDisplayColor, "255", "128", "0")
		shape.text(tag.ReferencedROINumber, strconv.Itoa(number))
		if contours := m.contours(r, g); len(contours) > 0 {
			shape.add(tag.ContourSequence, contours)
		}
		shapes = append(shapes, shape.sorted())

		observed := elements{}
		observed.text(tag.ObservationNumber, strconv.Itoa(i+1))
		observed.text(tag.ReferencedROINumber, strconv.Itoa(number))
		observed.text(tag.RTROIInterpretedType, "")
		observed.text(tag.ROIInterpreter, "")
		observations = append(observations, observed.sorted())
	}
	e.add(tag.StructureSetROISequence, names)
	e.add(tag.ROIContourSequence, shapes)
	e.add(tag.RTROIObservationsSequence, observations)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("dicom: %w", err)
	}
	raw, err := e.encode()
	if err == nil {
		err = renameio.WriteFile(file, raw, 0o644)
	}
	if err != nil {
		return fmt.Errorf("dicom: %s: %w", file, err)
	}
	return nil
}

func (m Meta) reference(z int) []*lib.Element {
	e := elements{}
	e.text(tag.ReferencedSOPClassUID, classCT)
	e.text(tag.ReferencedSOPInstanceUID, m.image(z))
	return e.sorted()
}

func (m Meta) contours(r ROI, g volume.Grid) [][]*lib.Element {
	var out [][]*lib.Element
	for _, c := range r.Contours {
		if len(c.Points) == 0 {
			continue
		}
		text := make([]string, 0, 3*len(c.Points))
		for _, p := range c.Points {
			text = append(text, decimals(p[:])...)
		}
		e := elements{}
		e.text(tag.ContourGeometricType, "CLOSED_PLANAR")
		e.text(tag.NumberOfContourPoints, strconv.Itoa(len(c.Points)))
		e.text(tag.ContourData, text...)
		z := math.Floor(g.Index(c.Points[0])[2] + 0.5)
		if z >= 0 && z < float64(g.Size[2]) {
			e.add(tag.ContourImageSequence, [][]*lib.Element{m.reference(int(z))})
		}
		out = append(out, e.sorted())
	}
	return out
}

// elements is a data set in the making.
type elements []*lib.Element

// common is what every object says: the file header, the patient, study, series
// and equipment.
func (m Meta) common(class, instance, modality, series, syntax string) elements {
	e := elements{}
	e.add(tag.FileMetaInformationVersion, []byte{0, 1})
	e.text(tag.MediaStorageSOPClassUID, class)
	e.text(tag.MediaStorageSOPInstanceUID, instance)
	e.text(tag.TransferSyntaxUID, syntax)
	e.text(tag.ImplementationClassUID, Meta{}.uid("implementation"))
	e.text(tag.ImplementationVersionName, "HOUNSFIELD")
	e.text(tag.SpecificCharacterSet, "ISO_IR 192")
	e.text(tag.SOPClassUID, class)
	e.text(tag.SOPInstanceUID, instance)
	for _, t := range []tag.Tag{
		tag.StudyDate, tag.StudyTime, tag.AccessionNumber, tag.ReferringPhysicianName, tag.StudyID,
		tag.PatientBirthDate, tag.PatientSex, tag.OperatorsName,
	} {
		e.text(t, "")
	}
	e.text(tag.Modality, modality)
	e.text(tag.Manufacturer, m.Manufacturer)
	e.text(tag.ManufacturerModelName, m.Model)
	e.text(tag.PatientName, m.PatientID)
	e.text(tag.PatientID, m.PatientID)
	e.text(tag.PatientIdentityRemoved, "YES")
	e.text(tag.DeidentificationMethod, "made without a patient's identity")
	e.text(tag.StudyInstanceUID, m.uid("study"))
	e.text(tag.SeriesInstanceUID, series)
	return e
}

func (e *elements) add(t tag.Tag, value any) {
	el, err := lib.NewElement(t, value)
	if err != nil {
		panic(fmt.Sprintf("dicom: element %s cannot hold %T: %v", t, value, err)) // this file's own mistake
	}
	*e = append(*e, el)
}

func (e *elements) text(t tag.Tag, values ...string) { e.add(t, values) }
func (e *elements) ints(t tag.Tag, values ...int)    { e.add(t, values) }

// sorted puts the elements into the order of their tags, as DICOM wants them.
func (e elements) sorted() []*lib.Element {
	slices.SortStableFunc(e, func(a, b *lib.Element) int {
		return cmp.Or(cmp.Compare(a.Tag.Group, b.Tag.Group), cmp.Compare(a.Tag.Element, b.Tag.Element))
	})
	return e
}

// encode is the file that holds the elements.
func (e elements) encode() ([]byte, error) {
	var b bytes.Buffer
	err := lib.Write(&b, lib.Dataset{Elements: e.sorted()})
	return b.Bytes(), err
}

// decimal is a number in the 16 characters that DICOM gives it.
func decimal(x float64) string {
	const most = 16
	s := strconv.FormatFloat(x, 'f', -1, 64)
	for digits := 14; len(s) > most && digits > 0; digits-- {
		s = strconv.FormatFloat(x, 'f', digits, 64)
	}
	if len(s) > most || x != 0 && math.Abs(x) < 1e-9 {
		s = strconv.FormatFloat(x, 'g', 9, 64)
	}
	return s
}

func decimals(x []float64) []string {
	out := make([]string, len(x))
	for i := range x {
		out[i] = decimal(x[i])
	}
	return out
}
