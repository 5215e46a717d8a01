package prepare

import (
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"hounsfield/datasets/dicom"
	"hounsfield/datasets/volume"
)

// The kinds of repeats.
const (
	RepeatsNone    = ""        // a patient has one scan and one contour of the tumour
	RepeatsScans   = "scans"   // one or two scans, each with a contour that the ROI rule names
	RepeatsReaders = "readers" // one scan; besides the contour that the ROI rule names, the reference, those of other readers
)

// Repeats say in what patients of a cohort may differ from one scan with one contour, and
// how the repeats are told apart. What the rule does not tell is an exclusion, no guess.
type Repeats struct {
	Kind string
	// Within is how long after the first scan a second one is still its repeat; 0 is any time.
	Within time.Duration
	// Readers names the other readers by their regions, in files of the same kind (RTSTRUCT
	// or SEG) as the reference's. A reader who drew the reference itself is not repeated.
	Readers dicom.ReaderRule
}

// String is the rule as it stands in the tables' metadata.
func (r Repeats) String() string {
	switch r.Kind {
	case RepeatsScans:
		within := ""
		if r.Within > 0 {
			within = fmt.Sprintf(", the second at most %v after the first", r.Within)
		}
		return "scans: one or two CT series with a contour, by time of acquisition, then UID" + within
	case RepeatsReaders:
		return "readers: " + r.Readers.String()
	}
	return "none"
}

// TooManyScansError is a patient with more scans than a pair.
type TooManyScansError struct {
	Patient string
	Series  []string
}

func (e *TooManyScansError) Error() string {
	return fmt.Sprintf("patient %s: %d CT series have a contour that the ROI rule names (%s) and a pair has two; take the others' contours away", e.Patient, len(e.Series), strings.Join(e.Series, ", "))
}

// ScanOrderError is a pair of scans whose first is not known.
type ScanOrderError struct {
	Patient, With, Without string // UIDs of the series that says when it was acquired, and of the one that does not
}

func (e *ScanOrderError) Error() string {
	return fmt.Sprintf("patient %s: series %s says when it was acquired and %s does not, so which scan came first is not known; export both with AcquisitionDate and AcquisitionTime, or both without (then the UIDs order them)", e.Patient, e.With, e.Without)
}

// ScansApartError is a later scan that is no repeat of the first.
type ScansApartError struct {
	Patient, Series string
	Apart, Within   time.Duration
}

func (e *ScansApartError) Error() string {
	return fmt.Sprintf("patient %s: series %s was acquired %v after the first scan; a repeat is at most %v later (the rule's within_hours)", e.Patient, e.Series, e.Apart, e.Within)
}

// ReaderError is a reader's contour that cannot be used.
type ReaderError struct {
	File, Patient, Reader, Problem string

	problem string // as a format, and what stands in it: numbers, UIDs, names of regions
	args    []any
}

// seriesUID is an argument of a problem that is a UID.
type seriesUID string

func newReaderError(file, patient, reader, problem string, args ...any) *ReaderError {
	return &ReaderError{File: file, Patient: patient, Reader: reader, Problem: fmt.Sprintf(problem, args...), problem: problem, args: args}
}

func (e *ReaderError) reword(w wording) *ReaderError {
	args := slices.Clone(e.args)
	for i, a := range args {
		switch a := a.(type) {
		case string:
			args[i] = w.typed(a)
		case seriesUID:
			args[i] = seriesUID(w.uid(string(a)))
		}
	}
	return newReaderError(w.file(e.File), w.patient(e.Patient), w.reader(e.Reader), e.problem, args...)
}

func (e *ReaderError) Error() string {
	return fmt.Sprintf("%s (patient %s): reader %s: %s", e.File, e.Patient, e.Reader, e.Problem)
}

// MissingReadersError is a patient whose contours lack readers that the rule names, or that
// the rest of the cohort has.
type MissingReadersError struct {
	File, Patient string
	Missing       []string
	Why           string   // who expects them
	Unknown       []string // names of regions that the rule gives to nobody
}

func (e *MissingReadersError) Error() string {
	names := "every ROI name there is known"
	if len(e.Unknown) > 0 {
		names = fmt.Sprintf("ROI names that the rule gives to nobody: %q; if one of them is meant, put it into the rule", e.Unknown)
	}
	return fmt.Sprintf("%s (patient %s): no contour by reader %s, %s; %s", e.File, e.Patient, strings.Join(e.Missing, ", "), e.Why, names)
}

// exam is one scan of a patient with its contours, before any voxel is read.
type exam struct {
	patient   dicom.PatientTree
	series    dicom.Series
	pair      string // the scan's file where it is one of a pair; then there is no series
	reference *source
	notes     []string
	after     time.Duration // after the first scan; 0 for the first and where not known
	readings  []reading
	readers   *readersSeen // nil unless the cohort has readers
	late      bool         // an earlier scan of the patient could not be used

	native volume.Grid // of the files, once read
}

// reading is the contour of another reader.
type reading struct {
	reader string
	*source
	note string
}

// readersSeen are the readers of one patient, to be held against the rest of the cohort.
type readersSeen struct {
	file    string
	drew    map[string]bool // the reference's too
	unknown []string
}

// find looks for the scans and contours of a patient. The list of errors is of files and
// contours that could not be used although the patient could.
func (o Options) find(patient dicom.PatientTree) ([]*exam, []error, error) {
	if len(patient.Series) == 0 {
		e := &NoCTError{Patient: patient.ID}
		for _, f := range patient.Others {
			e.Others = append(e.Others, f.Modality)
		}
		slices.Sort(e.Others)
		e.Others = slices.Compact(e.Others)
		return nil, nil, &stageError{stage: stageCT, err: e}
	}
	if o.Repeats.Kind == RepeatsScans {
		return findScans(patient, o.Rule, o.Repeats.Within)
	}
	from, lost, err := choose(patient, o.Rule)
	if err != nil {
		return nil, lost, err
	}
	s, err := newExam(patient, from)
	if err != nil {
		return nil, lost, err
	}
	if o.Repeats.Kind == RepeatsReaders {
		lost = append(lost, s.findReadings(o.Repeats.Readers)...)
	}
	return []*exam{s}, lost, nil
}

// newExam is the scan that a contour was drawn on.
func newExam(patient dicom.PatientTree, from *source) (*exam, error) {
	series, note, err := patient.SeriesOf(from.file, from.references)
	if err != nil {
		return nil, &stageError{stageMatch, from.file, err}
	}
	s := &exam{patient: patient, series: series, reference: from}
	if note != "" {
		s.notes = append(s.notes, note)
	}
	return s, nil
}

// findScans finds a patient's pair of scans: every CT series on which the wanted region was
// drawn. Segmentations are looked at for series without a structure set only.
func findScans(patient dicom.PatientTree, rule dicom.ROIRule, within time.Duration) ([]*exam, []error, error) {
	var failed []error
	drawn := map[string][]*exam{} // by UID of the series
	add := func(from *source, err error) {
		var s *exam
		if err == nil {
			s, err = newExam(patient, from)
		}
		if err != nil {
			failed = append(failed, err)
			return
		}
		drawn[s.series.UID] = append(drawn[s.series.UID], s)
	}
	for _, file := range patient.Structures {
		add(fromStructures(file, rule))
	}
	structured := slices.Collect(maps.Keys(drawn))
	for _, file := range patient.Segmentations {
		seg, err := dicom.ReadSegmentation(file)
		if err == nil {
			series, _, err := patient.SeriesOf(file, seg.References)
			if err == nil && slices.Contains(structured, series.UID) {
				continue
			}
		}
		add(fromSegmentation(file, rule))
	}
	for _, uid := range slices.Sorted(maps.Keys(drawn)) {
		if same := drawn[uid]; len(same) > 1 {
			e := &SeveralContoursError{Patient: patient.ID, OneScan: true}
			for _, s := range same {
				e.Files = append(e.Files, s.reference.file)
			}
			return nil, failed, &stageError{stage: stageROI, file: e.Files[1], err: e}
		}
	}
	switch {
	case len(drawn) > 2:
		return nil, failed, &stageError{stage: stagePair, err: &TooManyScansError{Patient: patient.ID, Series: slices.Sorted(maps.Keys(drawn))}}
	case len(drawn) == 0 && len(failed) == 0:
		return nil, nil, &stageError{stage: stageContours, err: &NoContoursError{Patient: patient.ID}}
	case len(drawn) == 0:
		return nil, failed[1:], failed[0]
	}
	var scans []*exam
	for _, uid := range slices.Sorted(maps.Keys(drawn)) {
		scans = append(scans, drawn[uid][0])
	}
	if len(scans) == 1 {
		scans[0].notes = append(scans[0].notes, "no second scan with a contour")
		return scans, failed, nil
	}
	ordered, late, err := pair(patient.ID, scans[0], scans[1], within)
	if late != nil {
		failed = append(failed, late)
	}
	return ordered, failed, err
}

// pair puts two scans, sorted by UID, into their order. late is set when the second is no
// repeat of the first.
func pair(patient string, a, b *exam, within time.Duration) (scans []*exam, late, err error) {
	ta, tb := a.series.Acquired, b.series.Acquired
	switch {
	case ta.IsZero() != tb.IsZero():
		e := &ScanOrderError{Patient: patient, With: a.series.UID, Without: b.series.UID}
		if ta.IsZero() {
			e.With, e.Without = e.Without, e.With
		}
		return nil, nil, &stageError{stage: stagePair, err: e}
	case ta.Equal(tb):
		why := "both scans say they were acquired at the same time"
		if ta.IsZero() {
			why = "neither scan says when it was acquired"
		}
		for _, s := range []*exam{a, b} {
			s.notes = append(s.notes, why+": ordered by UID")
		}
		return []*exam{a, b}, nil, nil
	case tb.Before(ta):
		a, b = b, a
	}
	b.after = b.series.Acquired.Sub(a.series.Acquired)
	if within > 0 && b.after > within {
		return []*exam{a}, &stageError{stage: stagePair, file: b.reference.file, err: &ScansApartError{Patient: patient, Series: b.series.UID, Apart: b.after, Within: within}}, nil
	}
	return []*exam{a, b}, nil, nil
}

// findReadings finds the other readers' contours of a scan, in the order of their names.
// The errors are of readers that are lost; the patient is not.
func (s *exam) findReadings(rule dicom.ReaderRule) (failed []error) {
	files, read := s.patient.Structures, regionsOfStructures
	if !slices.Contains(files, s.reference.file) {
		files, read = s.patient.Segmentations, regionsOfSegmentation
	}
	s.readers = &readersSeen{file: s.reference.file, drew: map[string]bool{}}
	found := map[string][]reading{}
	for _, file := range files {
		regions, err := read(file, rule)
		if err != nil {
			continue // said when the reference was looked for
		}
		for i, region := range regions {
			reader := rule.Reader(region.choice.Name)
			switch {
			case file == s.reference.file && i == s.reference.choice.Index:
				if reader != "" {
					s.readers.drew[reader] = true
				}
			case reader == "":
				s.readers.unknown = append(s.readers.unknown, region.choice.Name)
			default:
				found[reader] = append(found[reader], reading{reader: reader, source: region})
			}
		}
	}
	lose := func(stage string, r reading, problem string, args ...any) {
		failed = append(failed, &stageError{stage, r.file, newReaderError(r.file, s.patient.ID, r.reader, problem, args...)})
	}
	for _, reader := range slices.Sorted(maps.Keys(found)) {
		all := found[reader]
		r := all[0]
		switch {
		case s.readers.drew[reader]:
			lose(stageROI, r, "ROI %q is a second contour of who drew the reference (%q); keep one of them", r.choice.Name, s.reference.choice.Name)
			continue
		case len(all) > 1:
			var names []string
			for _, a := range all {
				names = append(names, fmt.Sprintf("%q in %s", a.choice.Name, filepath.Base(a.file)))
			}
			lose(stageROI, r, "has %d contours: %s; keep one of them", len(all), strings.Join(names, ", "))
			s.readers.drew[reader] = true // there, though not to be used
			continue
		}
		s.readers.drew[reader] = true
		series, note, err := s.patient.SeriesOf(r.file, r.references)
		switch {
		case err != nil:
			failed = append(failed, &stageError{stageMatch, r.file, err})
		case series.UID != s.series.UID:
			lose(stageMatch, r, "drew on series %s and the reference contour is on %s; readings are of one scan", seriesUID(series.UID), seriesUID(s.series.UID))
		default:
			r.note = note
			s.readings = append(s.readings, r)
		}
	}
	order := rule.Readers()
	slices.SortStableFunc(s.readings, func(a, b reading) int {
		return cmp.Compare(slices.Index(order, a.reader), slices.Index(order, b.reader))
	})
	return failed
}

// regionsOfStructures are all regions of a structure set.
func regionsOfStructures(file string, _ dicom.ReaderRule) ([]*source, error) {
	set, err := dicom.ReadStructures(file)
	if err != nil {
		return nil, err
	}
	var out []*source
	for i, roi := range set.ROIs {
		out = append(out, structureSource(set, roi, dicom.Choice{Index: i, Name: roi.Name, Rule: "repeats", Seen: set.Names()}))
	}
	return out, nil
}

// regionsOfSegmentation are all segments of a file, under the label or, where the rule
// knows only that, the description.
func regionsOfSegmentation(file string, rule dicom.ReaderRule) ([]*source, error) {
	seg, err := dicom.ReadSegmentation(file)
	if err != nil {
		return nil, err
	}
	var out []*source
	for i, segment := range seg.Segments {
		name := segment.Label
		if rule.Reader(name) == "" && rule.Reader(segment.Description) != "" {
			name = segment.Description
		}
		out = append(out, segmentSource(seg, segment, dicom.Choice{Index: i, Name: name, Rule: "repeats", Seen: seg.Names()}))
	}
	return out, nil
}

// missing are the readers of each patient that are not there and should be: those that the
// rule names, or, where it is a pattern, those that other patients of the cohort have.
// Entries of all are nil for patients without a scan.
func (o Options) missing(patients []string, all []*readersSeen) []error {
	expected, why := o.Repeats.Readers.Readers(), "whom the rule names"
	if expected == nil {
		why = "whom other patients have"
		union := map[string]bool{}
		for _, seen := range all {
			if seen != nil {
				maps.Copy(union, seen.drew)
			}
		}
		expected = slices.Sorted(maps.Keys(union))
	}
	out := make([]error, len(all))
	for i, seen := range all {
		if seen == nil {
			continue
		}
		e := &MissingReadersError{File: seen.file, Patient: patients[i], Why: why, Unknown: seen.unknown}
		for _, reader := range expected {
			if !seen.drew[reader] {
				e.Missing = append(e.Missing, reader)
			}
		}
		if len(e.Missing) > 0 {
			out[i] = &stageError{stageROI, seen.file, e}
		}
	}
	return out
}
