package dicom

import (
	"errors"
	"fmt"

	lib "github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"

	"hounsfield/datasets/volume"
)

// References say what a structure set or a segmentation was drawn on.
// Each list may be empty: files differ in what they say.
type References struct {
	Series []string // SeriesInstanceUIDs
	Images []string // SOP instance UIDs of the images under the contours
	Listed []string // SOP instance UIDs of all images that the file lists, drawn on or not
	Frames []string // FrameOfReferenceUIDs
}

// StructureSet is an RTSTRUCT file.
type StructureSet struct {
	File, PatientID string
	ROIs            []ROI // in the order of the file

	references References // of the whole file
}

// ROI is one region of a structure set.
type ROI struct {
	Number   int
	Name     string
	Contours []volume.Contour // the closed planar ones, mm, LPS
	Skipped  []string         // why the others were left out, one reason each

	frame  string          // FrameOfReferenceUID
	images map[string]bool // SOP instance UIDs of the images under the contours
}

// ReadStructures reads an RTSTRUCT file. Contours that are not closed and planar
// (points, open lines) and such with less than three corners enclose nothing; they
// are left out and ROI.Skipped says why.
//
// Errors: *FormatError, *TruncatedError, *TagError. That a region is empty is no
// error here but in Choose.
func ReadStructures(file string) (*StructureSet, error) {
	o, err := open(file, bodyTags)
	if err != nil {
		return nil, err
	}
	return newStructureSet(o)
}

func newStructureSet(o *object) (*StructureSet, error) {
	if class := o.set.text(tag.SOPClassUID); class != classStructures {
		return nil, o.bad(tag.SOPClassUID, orUnknown(class), classStructures+" (RT structure set)")
	}
	s := &StructureSet{File: o.file, PatientID: o.set.text(tag.PatientID), references: structureReferences(o.set)}
	place := map[int]int{}
	for _, item := range o.set.items(tag.StructureSetROISequence) {
		n, err := o.integer(item, tag.ROINumber, -1<<31, 1<<31-1)
		if err != nil {
			return nil, err
		}
		if _, twice := place[n]; twice {
			return nil, o.bad(tag.ROINumber, fmt.Sprint(n), "each number once")
		}
		place[n] = len(s.ROIs)
		s.ROIs = append(s.ROIs, ROI{Number: n, Name: item.text(tag.ROIName), frame: item.text(tag.ReferencedFrameOfReferenceUID)})
	}
	for _, item := range o.set.items(tag.ROIContourSequence) {
		n, err := o.integer(item, tag.ReferencedROINumber, -1<<31, 1<<31-1)
		if err != nil {
			return nil, err
		}
		i, known := place[n]
		if !known {
			return nil, o.bad(tag.ReferencedROINumber, fmt.Sprint(n), "the number of a ROI that the file names")
		}
		roi := &s.ROIs[i]
		for k, c := range item.items(tag.ContourSequence) {
			contour, reason, err := o.contour(c)
			if err != nil {
				return nil, fmt.Errorf("contour %d of ROI %q: %w", k, roi.Name, err)
			}
			if reason != "" {
				roi.Skipped = append(roi.Skipped, fmt.Sprintf("contour %d %s", k, reason))
				continue
			}
			roi.Contours = append(roi.Contours, contour)
			for _, ref := range c.items(tag.ContourImageSequence) {
				if uid := ref.text(tag.ReferencedSOPInstanceUID); uid != "" {
					if roi.images == nil {
						roi.images = map[string]bool{}
					}
					roi.images[uid] = true
				}
			}
		}
	}
	return s, nil
}

// References say what a region of the set was drawn on: its own frame of reference
// and images where it names them, the file's otherwise.
func (s *StructureSet) References(r ROI) References {
	refs := s.references
	if r.frame != "" {
		refs.Frames = []string{r.frame}
	}
	refs.Images = refs.Listed
	if len(r.images) > 0 {
		refs.Images = sortedNames(r.images)
	}
	return refs
}

// structureReferences reads the references that stand before the contours.
func structureReferences(d dataset) References {
	frames, series, images := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, frame := range d.items(tag.ReferencedFrameOfReferenceSequence) {
		frames[frame.text(tag.FrameOfReferenceUID)] = true
		for _, study := range frame.items(tag.RTReferencedStudySequence) {
			for _, s := range study.items(tag.RTReferencedSeriesSequence) {
				series[s.text(tag.SeriesInstanceUID)] = true
				for _, image := range s.items(tag.ContourImageSequence) {
					images[image.text(tag.ReferencedSOPInstanceUID)] = true
				}
			}
		}
	}
	return References{Series: sortedNames(series), Listed: sortedNames(images), Frames: sortedNames(frames)}
}

// contour reads one contour; reason is set when it encloses nothing.
func (o *object) contour(d dataset) (c volume.Contour, reason string, err error) {
	switch kind := d.text(tag.ContourGeometricType); kind {
	case "CLOSED_PLANAR", "CLOSEDPLANAR_XOR":
	case "":
		return c, "", o.bad(tag.ContourGeometricType, "", "CLOSED_PLANAR")
	default:
		return c, "is of type " + kind + ", which encloses nothing", nil
	}
	if v := d.strings(tag.ContourOffsetVector); len(v) > 0 && v[0] != "" {
		if off, ok := parseDecimals(nil, v); !ok || len(off) != 3 || off[0] != 0 || off[1] != 0 || off[2] != 0 {
			return c, "", o.bad(tag.ContourOffsetVector, fmt.Sprint(v), `0\0\0: contours that are to be shifted are not supported`)
		}
	}
	v := d.find(tag.ContourData)
	if v == nil {
		return c, "has no points", nil
	}
	text, _ := v.GetValue().([]string)
	if len(text) == 1 && len(text[0]) == 0 {
		return c, "has no points", nil
	}
	if v.ValueType() != lib.Strings || len(text)%3 != 0 {
		return c, "", o.bad(tag.ContourData, fmt.Sprintf("a list of %d values", len(text)), "x, y, z for each point")
	}
	points := len(text) / 3
	if n := d.text(tag.NumberOfContourPoints); n != "" {
		if want, err := o.integer(d, tag.NumberOfContourPoints, 0, 1<<31-1); err != nil {
			return c, "", err
		} else if want != points {
			return c, "", o.bad(tag.NumberOfContourPoints, n, fmt.Sprintf("%d, the number of points in the contour data", points))
		}
	}
	if points < 3 {
		return c, fmt.Sprintf("has %d point(s), which enclose nothing", points), nil
	}
	c.Points = make([][3]float64, points)
	var xyz [3]float64
	for i := range c.Points {
		if _, ok := parseDecimals(xyz[:0], text[3*i:3*i+3]); !ok {
			return c, "", o.bad(tag.ContourData, fmt.Sprintf("%q", text[3*i:3*i+3]), "finite numbers of mm")
		}
		c.Points[i] = xyz
	}
	return c, "", nil
}

// Names are the names of the regions, as the file spells them.
func (s *StructureSet) Names() []string {
	out := make([]string, len(s.ROIs))
	for i, r := range s.ROIs {
		out[i] = r.Name
	}
	return out
}

// Choose is the region that a rule names. Errors: *ROIError when the rule chooses
// none or more than one, *EmptyROIError when the chosen one has no usable contour.
func (s *StructureSet) Choose(rule ROIRule) (ROI, Choice, error) {
	c, err := choose(rule, s.Names(), s.File, s.PatientID)
	if err != nil {
		return ROI{}, c, err
	}
	roi := s.ROIs[c.Index]
	if len(roi.Contours) == 0 {
		return ROI{}, c, &EmptyROIError{File: s.File, Patient: s.PatientID, ROI: roi.Name, Reasons: roi.Skipped}
	}
	return roi, c, nil
}

// choose is ROIRule.Choose with the file and the patient in its error.
func choose(rule ROIRule, names []string, file, patient string) (Choice, error) {
	c, err := rule.Choose(names)
	var roi *ROIError
	if errors.As(err, &roi) {
		roi.File, roi.Patient = file, patient
	}
	return c, err
}
