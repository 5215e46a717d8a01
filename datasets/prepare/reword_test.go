package prepare

import (
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"strings"
	"testing"

	"hounsfield/datasets/dicom"
	"hounsfield/datasets/table"
	"hounsfield/datasets/volume"
)

// fill puts a word into every text of an error that says something of the input.
func fill(err error, word string, spare ...string) error {
	v := reflect.ValueOf(err).Elem()
	for i := range v.NumField() {
		f, name := v.Field(i), v.Type().Field(i).Name
		if !f.CanSet() {
			continue
		}
		spared := false
		for _, s := range spare {
			spared = spared || s == name
		}
		switch {
		case spared:
		case f.Kind() == reflect.String:
			f.SetString(word)
		case f.Kind() == reflect.Slice && f.Type().Elem().Kind() == reflect.String:
			f.Set(reflect.ValueOf([]string{word, word}))
		case f.Kind() == reflect.Array && f.Type().Elem().Kind() == reflect.String:
			f.Index(0).SetString(word)
			f.Index(1).SetString(word)
		}
	}
	return err
}

// No error gives away what it holds of the input, whatever is put around it. The fields
// spared are the program's own words.
func TestReworded(t *testing.T) {
	const secret = "Zwiebelfisch"
	all := []error{
		fill(&dicom.FormatError{}, secret, "Reason"),
		fill(&dicom.TruncatedError{}, secret, "What"),
		fill(&dicom.TagError{}, secret, "Tag", "Allowed"),
		fill(&dicom.SyntaxError{}, secret, "UID", "Name", "Next"),
		fill(&dicom.PixelError{}, secret, "Reason"),
		fill(&dicom.NotCTError{}, secret),
		fill(&dicom.MissingSliceError{}, secret),
		fill(&dicom.DuplicateSliceError{}, secret),
		fill(&dicom.UnevenSpacingError{}, secret),
		fill(&dicom.MixedSeriesError{}, secret),
		fill(&dicom.MismatchError{}, secret, "Field"),
		fill(&dicom.ReferenceError{}, secret, "Reason"),
		fill(&dicom.ROIError{}, secret),
		fill(&dicom.EmptyROIError{}, secret, "Reasons"),
		fill(&fs.PathError{Op: "open", Err: fs.ErrPermission}, secret, "Op"),
		fill(&volume.FileError{Err: errors.New(secret)}, secret, "Field", "Allowed"),
		fill(&NoContoursError{}, secret),
		fill(&NoCTError{}, secret),
		fill(&SeveralContoursError{}, secret),
		fill(&TooManyScansError{}, secret),
		fill(&ScanOrderError{}, secret),
		fill(&ScansApartError{}, secret),
		fill(newReaderError("", "", "", "drew %d of %s on %s", 2, secret, seriesUID(secret)), secret, "Problem"),
		fill(&MissingReadersError{}, secret, "Why"),
		fill(&ChangingError{}, secret),
		fill(newPairError("", nil, "has %d voxels", 3), secret, "Problem"),
		&faultError{value: errors.New(secret), at: "prepare.go:1"},
	}
	o := Options{Pseudonyms: newKey(t)}
	for _, err := range all {
		if !strings.Contains(err.Error(), secret) {
			t.Fatalf("%T: %v holds no secret: the test shows nothing", err, err)
		}
		for _, wrapped := range []error{err, &stageError{stageCT, secret, err}, fmt.Errorf("contour 3 of ROI %q: %w", secret, err)} {
			text, known := reworded(wrapped, o.wording(subject{id: "P-1", key: secret}))
			if !known || strings.Contains(text, secret) || len(text) < 10 {
				t.Errorf("%T: known %v, %q", err, known, text)
			}
			reason, file := o.reason(&Guard{}, subject{id: "P-1", key: secret}, wrapped, secret)
			if strings.Contains(reason+file, secret) {
				t.Errorf("%T: reason %q, file %q", err, reason, file)
			}
		}
	}
	unknown := errors.New(secret)
	if reason, _ := o.reason(&Guard{}, subject{id: "P-1"}, unknown, ""); strings.Contains(reason, secret) || !strings.Contains(reason, "withheld") {
		t.Errorf("unknown error: %q", reason)
	}
	// A fault of the run time keeps its words: they help to mend it.
	err := guarded(func() error { return []error{}[len(all)] })
	if text, known := reworded(err, o.wording(subject{})); !known || !strings.Contains(text, "index out of range") {
		t.Errorf("%v, %q", known, text)
	}
}

// Every column of text in the imaging table is either looked at by the guard or holds nothing
// of what people typed. A new one must be put here, and into named or passes if it can.
func TestGuardKnowsColumns(t *testing.T) {
	looked := map[string]bool{}
	for _, name := range []string{
		"patient_id", "series_uid", "contour_file", "roi", "roi_seen", "reader", "notes", // by the guard
		"cohort", "roi_rule", // settings, by checkSettings
		"cube_sha256", "ct_sha256", "mask_sha256", // computed
		"cube_file", "qc_file", "ct_file", "mask_file", // made of patient_id and reader
	} {
		looked[name] = true
	}
	for _, c := range imagingColumns() {
		if c.Type == table.String && !looked[c.Name] {
			t.Errorf("column %s may say who the patient is", c.Name)
		}
	}
}
