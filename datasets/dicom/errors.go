package dicom

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// The errors of this package. Each names the file (or the series) and what to do
// next. Where an error has a Patient field it is the PatientID, empty when the
// file broke before it.

// FormatError is a file that is no DICOM file, or whose structure no DICOM file has.
type FormatError struct {
	File, Reason string
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("%s: not readable as DICOM: %s; take it out of the folder or fetch it again", e.File, e.Reason)
}

// TruncatedError is a file that ends too early.
type TruncatedError struct {
	File, Patient string
	What          string // the element that breaks off
	Needs, Has    int64  // bytes of the file
}

func (e *TruncatedError) Error() string {
	return fmt.Sprintf("%s (patient %s): truncated: %s needs the file to have %d bytes, it has %d; fetch it again", e.File, orUnknown(e.Patient), e.What, e.Needs, e.Has)
}

// TagError is an element that is missing (Value empty) or has a value that it cannot have.
type TagError struct {
	File, Patient string
	Tag           string // group, element and name
	Value         string
	Allowed       string
}

func (e *TagError) Error() string {
	if e.Value == "" {
		return fmt.Sprintf("%s (patient %s): %s is missing; needed: %s; it is not guessed: export the series again with it", e.File, orUnknown(e.Patient), e.Tag, e.Allowed)
	}
	return fmt.Sprintf("%s (patient %s): %s is %q; allowed: %s", e.File, orUnknown(e.Patient), e.Tag, e.Value, e.Allowed)
}

// SyntaxError is pixel data in a form that is not decoded here.
type SyntaxError struct {
	File, Patient string
	UID, Name     string // the transfer syntax
	Next          string // a command that converts the file
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%s (patient %s): pixel data in transfer syntax %s (%s) is not decoded; convert each file of the series first: %s", e.File, orUnknown(e.Patient), e.UID, e.Name, e.Next)
}

// PixelError is pixel data that does not fit what the file says about it.
type PixelError struct {
	File, Patient, Reason string
}

func (e *PixelError) Error() string {
	return fmt.Sprintf("%s (patient %s): pixel data: %s; fetch the file again", e.File, orUnknown(e.Patient), e.Reason)
}

// NotCTError is a file that is something else than a CT slice.
type NotCTError struct {
	File, Patient, Modality, Class string
}

func (e *NotCTError) Error() string {
	return fmt.Sprintf("%s (patient %s): not a CT slice but modality %s, class %s; give the files of one CT series", e.File, orUnknown(e.Patient), orUnknown(e.Modality), orUnknown(e.Class))
}

// MissingSliceError is a hole in a series, between the slices of two files.
type MissingSliceError struct {
	Patient, Series       string
	Before, After         string // files on both sides of the hole
	Missing               int    // slices that are not there
	SpacingMM, DistanceMM float64
}

func (e *MissingSliceError) Error() string {
	return fmt.Sprintf("patient %s, series %s: %d slice(s) missing between %s and %s (%.3f mm apart, spacing %.3f mm); fetch the series again", orUnknown(e.Patient), e.Series, e.Missing, e.Before, e.After, e.DistanceMM, e.SpacingMM)
}

// DuplicateSliceError is two files at one position.
type DuplicateSliceError struct {
	Patient, Series string
	Files           [2]string
	PositionMM      float64 // along the normal
	SameInstance    bool    // the files have the same SOP instance UID: one is a copy
}

func (e *DuplicateSliceError) Error() string {
	how := "two different images"
	if e.SameInstance {
		how = "a copy of the same image"
	}
	return fmt.Sprintf("patient %s, series %s: %s and %s lie at the same position (%.3f mm along the normal), %s; keep one of them", orUnknown(e.Patient), e.Series, e.Files[0], e.Files[1], e.PositionMM, how)
}

// UnevenSpacingError is a series whose slices are not equally far apart.
type UnevenSpacingError struct {
	Patient, Series string
	File            string  // the slice furthest out of place
	OffMM           float64 // how far
	SpacingMM       float64 // mean distance of neighbours
	MinMM, MaxMM    float64 // smallest and largest distance of neighbours
}

func (e *UnevenSpacingError) Error() string {
	return fmt.Sprintf("patient %s, series %s: uneven spacing: %s lies %.3f mm from its place; neighbours are %.3f to %.3f mm apart, %.3f on average; resample the series to even slices first", orUnknown(e.Patient), e.Series, e.File, e.OffMM, e.MinMM, e.MaxMM, e.SpacingMM)
}

// MixedSeriesError is two series where one was asked for.
type MixedSeriesError struct {
	Patient string
	Series  [2]string
	Files   [2]string
}

func (e *MixedSeriesError) Error() string {
	return fmt.Sprintf("patient %s: two series mixed: %s is of series %s, %s of %s; give the files of one (Index tells them apart)", orUnknown(e.Patient), e.Files[0], e.Series[0], e.Files[1], e.Series[1])
}

// MismatchError is two slices of one series that cannot be one volume.
type MismatchError struct {
	Patient, Series string
	Field           string // what differs
	Values, Files   [2]string
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("patient %s, series %s: %s differs: %s in %s, %s in %s; split the series", orUnknown(e.Patient), e.Series, e.Field, e.Values[0], e.Files[0], e.Values[1], e.Files[1])
}

// ReferenceError is a structure set or segmentation of another series.
type ReferenceError struct {
	File, Patient string
	Wants         []string // what the file refers to
	Has           []string // what there is
	Reason        string
}

func (e *ReferenceError) Error() string {
	return fmt.Sprintf("%s (patient %s): %s; it refers to %s, there is %s; add the CT series it was drawn on", e.File, orUnknown(e.Patient), e.Reason, listed(e.Wants), listed(e.Has))
}

// ROIError is a rule that chose no region, or more than one.
type ROIError struct {
	File, Patient string
	Rule          ROIRule
	Matched       []string // more than one name when the rule is ambiguous, none when nothing matched
	Seen          []string // all names in the file
}

func (e *ROIError) Error() string {
	what := "no ROI is named " + strings.Join(e.Rule.Exact, " or ")
	if len(e.Matched) > 0 {
		what = "the names " + listed(e.Matched) + " all match the ROI rule " + strings.Join(e.Rule.Exact, ", ")
	}
	return fmt.Sprintf("%s (patient %s): %s; names seen: %s; put the right name into the rule", e.File, orUnknown(e.Patient), what, listed(e.Seen))
}

// EmptyROIError is a chosen region without a usable contour.
type EmptyROIError struct {
	File, Patient, ROI string
	Reasons            []string // why each contour was left out; empty when there was none
}

func (e *EmptyROIError) Error() string {
	why := "it has no contour"
	if len(e.Reasons) > 0 {
		why = strings.Join(e.Reasons, "; ")
	}
	return fmt.Sprintf("%s (patient %s): ROI %q is empty: %s; draw it, or choose another ROI", e.File, orUnknown(e.Patient), e.ROI, why)
}

// FileOf is the file that an error of this package is about; of two files the one
// that came second. It is empty when the error names none.
func FileOf(err error) string {
	var about interface{ about() string }
	if errors.As(err, &about) {
		return about.about()
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Path
	}
	return ""
}

func (e *FormatError) about() string         { return e.File }
func (e *TruncatedError) about() string      { return e.File }
func (e *TagError) about() string            { return e.File }
func (e *SyntaxError) about() string         { return e.File }
func (e *PixelError) about() string          { return e.File }
func (e *NotCTError) about() string          { return e.File }
func (e *MissingSliceError) about() string   { return e.After }
func (e *DuplicateSliceError) about() string { return e.Files[1] }
func (e *UnevenSpacingError) about() string  { return e.File }
func (e *MixedSeriesError) about() string    { return e.Files[1] }
func (e *MismatchError) about() string       { return e.Files[1] }
func (e *ReferenceError) about() string      { return e.File }
func (e *ROIError) about() string            { return e.File }
func (e *EmptyROIError) about() string       { return e.File }

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

// listed quotes names for a person to read, and cuts a long list.
func listed(names []string) string {
	const most = 20
	if len(names) == 0 {
		return "nothing"
	}
	var b strings.Builder
	for i, n := range names {
		if i == most {
			fmt.Fprintf(&b, " and %d more", len(names)-most)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%q", n)
	}
	return b.String()
}
