package prepare

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"runtime"

	"hounsfield/datasets/dicom"
	"hounsfield/datasets/radiomics"
	"hounsfield/datasets/volume"
	"hounsfield/datasets/volume/raw"
)

// wording says how what an error holds of the input is written: paths, the patient's id,
// UIDs, names of readers, and what people typed (names of regions, values of elements).
type wording struct {
	file, patient, uid, reader, typed func(string) string
	free                              func(string) string // what is wrong with a file, perhaps in the words of a library
}

// alike writes all of it as the same word; "" as nothing.
func alike(word string) wording {
	f := func(s string) string {
		if s == "" {
			return ""
		}
		return word
	}
	return wording{f, f, f, f, f, f}
}

func written(list []string, as func(string) string) []string {
	if list == nil {
		return nil
	}
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = as(s)
	}
	return out
}

func both(pair [2]string, as func(string) string) [2]string {
	return [2]string{as(pair[0]), as(pair[1])}
}

// reworded is an error's text in other words; known is false for an error of which it is
// not known what it holds. What was put around a known error is left out.
func reworded(err error, w wording) (text string, known bool) {
	for ; err != nil; err = errors.Unwrap(err) {
		if as := reword(err, w); as != nil {
			return as.Error(), true
		}
	}
	return "", false
}

// technical are values of elements that nobody typed: numbers, DICOM's own UIDs, modalities.
var technical = regexp.MustCompile(`^(-?[0-9. \[\],\\+]{1,40}|1\.2\.840\.10008[0-9.]*|CT|MR|PT|NM|US|CR|DX|XA|MG|SC|OT|SR|KO|PR|REG|SEG|RTIMAGE|RTDOSE|RTPLAN|RTSTRUCT|RTRECORD)$`)

func (w wording) value(s string) string {
	if technical.MatchString(s) {
		return s
	}
	return w.typed(s)
}

// reword is a copy of an error in other words; nil when the type is not known here.
func reword(err error, w wording) error {
	switch e := err.(type) {
	case *dicom.FormatError:
		return &dicom.FormatError{File: w.file(e.File), Reason: w.free(e.Reason)}
	case *dicom.TruncatedError:
		c := *e
		c.File, c.Patient = w.file(e.File), w.patient(e.Patient)
		return &c
	case *dicom.TagError:
		c := *e
		c.File, c.Patient, c.Value = w.file(e.File), w.patient(e.Patient), w.value(e.Value)
		return &c
	case *dicom.SyntaxError:
		c := *e
		c.File, c.Patient = w.file(e.File), w.patient(e.Patient)
		return &c
	case *dicom.PixelError:
		return &dicom.PixelError{File: w.file(e.File), Patient: w.patient(e.Patient), Reason: e.Reason}
	case *dicom.NotCTError:
		return &dicom.NotCTError{File: w.file(e.File), Patient: w.patient(e.Patient), Modality: w.value(e.Modality), Class: w.value(e.Class)}
	case *dicom.MissingSliceError:
		c := *e
		c.Patient, c.Series, c.Before, c.After = w.patient(e.Patient), w.uid(e.Series), w.file(e.Before), w.file(e.After)
		return &c
	case *dicom.DuplicateSliceError:
		c := *e
		c.Patient, c.Series, c.Files = w.patient(e.Patient), w.uid(e.Series), both(e.Files, w.file)
		return &c
	case *dicom.UnevenSpacingError:
		c := *e
		c.Patient, c.Series, c.File = w.patient(e.Patient), w.uid(e.Series), w.file(e.File)
		return &c
	case *dicom.MixedSeriesError:
		return &dicom.MixedSeriesError{Patient: w.patient(e.Patient), Series: both(e.Series, w.uid), Files: both(e.Files, w.file)}
	case *dicom.MismatchError: // its values may hold ids and paths
		return &dicom.MismatchError{Patient: w.patient(e.Patient), Series: w.uid(e.Series), Field: e.Field, Values: both(e.Values, w.value), Files: both(e.Files, w.file)}
	case *dicom.ReferenceError:
		return &dicom.ReferenceError{File: w.file(e.File), Patient: w.patient(e.Patient), Wants: written(e.Wants, w.uid), Has: written(e.Has, w.uid), Reason: e.Reason}
	case *dicom.ROIError:
		return &dicom.ROIError{File: w.file(e.File), Patient: w.patient(e.Patient), Rule: e.Rule, Matched: written(e.Matched, w.typed), Seen: written(e.Seen, w.typed)}
	case *dicom.EmptyROIError:
		return &dicom.EmptyROIError{File: w.file(e.File), Patient: w.patient(e.Patient), ROI: w.typed(e.ROI), Reasons: written(e.Reasons, w.free)}
	case *fs.PathError:
		return &fs.PathError{Op: e.Op, Path: w.file(e.Path), Err: e.Err}

	case *volume.EmptyMaskError, *volume.OutsideScanError, *volume.ContourError, *volume.GeometryError, *radiomics.RegionError:
		return e // nothing of the input but numbers
	case *volume.FileError:
		c := &volume.FileError{Path: w.file(e.Path), Field: e.Field, Value: w.value(e.Value), Allowed: e.Allowed}
		var labels *raw.LabelsError
		var value *raw.ValueError
		var short *raw.ShortError
		if errors.As(e.Err, &labels) || errors.As(e.Err, &value) || errors.As(e.Err, &short) { // numbers
			c.Err = e.Err
		}
		return c

	case *NoContoursError:
		return &NoContoursError{Patient: w.patient(e.Patient)}
	case *NoCTError:
		return &NoCTError{Patient: w.patient(e.Patient), Others: written(e.Others, w.value)}
	case *SeveralContoursError:
		return &SeveralContoursError{Patient: w.patient(e.Patient), Files: written(e.Files, w.file), OneScan: e.OneScan}
	case *TooManyScansError:
		return &TooManyScansError{Patient: w.patient(e.Patient), Series: written(e.Series, w.uid)}
	case *ScanOrderError:
		return &ScanOrderError{Patient: w.patient(e.Patient), With: w.uid(e.With), Without: w.uid(e.Without)}
	case *ScansApartError:
		c := *e
		c.Patient, c.Series = w.patient(e.Patient), w.uid(e.Series)
		return &c
	case *ReaderError:
		return e.reword(w)
	case *MissingReadersError:
		return &MissingReadersError{File: w.file(e.File), Patient: w.patient(e.Patient), Missing: written(e.Missing, w.reader), Why: e.Why, Unknown: written(e.Unknown, w.typed)}
	case *PairError:
		return newPairError(w.patient(e.Patient), written(e.Files, w.file), e.problem, e.args...)
	case *ChangingError:
		return &ChangingError{File: w.file(e.File)}
	case *IdentityError:
		return e // clean as it is
	case *faultError:
		c := *e
		if _, runtimes := e.value.(runtime.Error); !runtimes {
			c.value = w.typed(fmt.Sprint(e.value))
		}
		return &c
	}
	return nil
}
