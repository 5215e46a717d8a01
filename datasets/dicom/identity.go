package dicom

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	lib "github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"
)

// IdentifierKind says how a value that identifies somebody is compared.
type IdentifierKind int

// The kinds of identifiers.
const (
	PatientNames IdentifierKind = iota // person names (PN) of the patient and of relatives
	StaffNames                         // person names of those who ordered, made, read or drew
	BirthDates                         // dates, YYYYMMDD
	Codes                              // numbers of the patient, the request or the stay
	Addresses                          // addresses
	Telephones                         // telephone numbers
)

// Identifier is a value in the head of a file by which somebody can be known.
type Identifier struct {
	Kind    IdentifierKind
	Element string // name and tag: PatientName (0010,0010)
	Value   string // as the file has it, one of several values; never empty
}

// identifying are the elements that Identifiers reads. They are those of DICOM PS3.15,
// table E.1-1 (basic application level confidentiality profile) that name a person or
// are a number given to one person, request or stay. Left out of that table are: UIDs and
// PatientID, which the index reads; institutions and devices, which are the same for a
// cohort and often its name; StudyID, which is a count or a date, and part of each folder's
// name in what the public archives' program saves; dates other than birth, times, sex, age and size, which many
// people share; free text and private elements, which no output is made from.
var identifying = map[tag.Tag]IdentifierKind{
	tag.PatientName: PatientNames, tag.PatientBirthName: PatientNames, tag.PatientMotherBirthName: PatientNames,
	tag.OtherPatientNames: PatientNames, tag.ResponsiblePerson: PatientNames,

	tag.ReferringPhysicianName: StaffNames, tag.PhysiciansOfRecord: StaffNames, tag.PerformingPhysicianName: StaffNames,
	tag.NameOfPhysiciansReadingStudy: StaffNames, tag.OperatorsName: StaffNames, tag.RequestingPhysician: StaffNames,
	tag.ScheduledPerformingPhysicianName: StaffNames, tag.ReviewerName: StaffNames, tag.ROIInterpreter: StaffNames,
	tag.ContentCreatorName: StaffNames, tag.PersonName: StaffNames, tag.VerifyingObserverName: StaffNames,
	tag.NamesOfIntendedRecipientsOfResults: StaffNames, tag.OrderEnteredBy: StaffNames, tag.HumanPerformerName: StaffNames,

	tag.PatientBirthDate: BirthDates,

	tag.AccessionNumber: Codes, tag.OtherPatientIDs: Codes, tag.PatientID: Codes, // inside sequences: a former or another one
	tag.MedicalRecordLocator: Codes, tag.AdmissionID: Codes, tag.ServiceEpisodeID: Codes,
	tag.RequestedProcedureID: Codes, tag.PlacerOrderNumberImagingServiceRequest: Codes, tag.FillerOrderNumberImagingServiceRequest: Codes,

	tag.PatientAddress: Addresses, tag.ReferringPhysicianAddress: Addresses,
	tag.PatientTelephoneNumbers: Telephones, tag.ReferringPhysicianTelephoneNumbers: Telephones, tag.PersonTelephoneNumbers: Telephones,
}

// around are the sequences in which such elements lie.
var around = []tag.Tag{
	tag.OtherPatientIDsSequence, tag.ReferencedPatientSequence, tag.RequestAttributesSequence, tag.ReferencedRequestSequence,
	tag.ReferencedStudySequence, tag.RTROIObservationsSequence, tag.VerifyingObserverSequence, tag.ActualHumanPerformersSequence,
	tag.OriginalAttributesSequence, tag.ModifiedAttributesSequence, // what the values were before somebody changed them
	tag.ReferencedFrameOfReferenceSequence, tag.RTReferencedStudySequence, // a study that is told apart by more than its UID
	tag.OperatorIdentificationSequence, tag.PhysiciansOfRecordIdentificationSequence, tag.ContributingEquipmentSequence,
}

// identityTags are all of them; flatTags those outside of sequences.
var (
	flatTags     = tagSet(append(keysOf(identifying), tag.SpecificCharacterSet)...)
	identityTags = tagSet(append(keys(flatTags), around...)...)
	bareTags     = tagSet(keysOf(identifying)...) // values stay as bytes
)

func keysOf(of map[tag.Tag]IdentifierKind) (out []tag.Tag) {
	for t := range of {
		out = append(out, t)
	}
	return out
}

// Identifiers reads from the heads of files who is in them: what must not come out of
// what is made from the files. Each value stands there once, in a fixed order. They are
// for comparison in memory and never to be written.
//
// A file that breaks off gives what stood before the break. The error is of a file that
// cannot be read this far.
func Identifiers(files []string) ([]Identifier, error) {
	heads := map[string]bool{} // the slices of a series say the same, most of the time
	found := map[Identifier]bool{}
	for _, file := range files {
		stream, err := head(file, identityTags)
		if err != nil {
			// A sequence that nobody else reads must not cost the patient.
			if stream, err = head(file, flatTags); err != nil {
				return nil, err
			}
		}
		if len(stream) == 0 || heads[string(stream)] {
			continue
		}
		heads[string(stream)] = true
		said := map[Identifier]bool{}
		set, err := interpret(file, stream)
		if err == nil {
			identifiers(set, 0, said)
		}
		if err != nil || unreadable(said) { // values that are not in the character set they claim
			if stream, err = head(file, bareTags); err != nil {
				return nil, err
			}
			if set, err = interpret(file, stream); err != nil {
				return nil, err
			}
			identifiers(set, 0, said)
		}
		maps.Copy(found, said)
	}
	out := make([]Identifier, 0, len(found))
	for i := range found {
		out = append(out, i)
	}
	slices.SortFunc(out, func(a, b Identifier) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Element, b.Element), cmp.Compare(a.Value, b.Value))
	})
	return out, nil
}

// unreadable says whether a value has signs that could not be decoded.
func unreadable(said map[Identifier]bool) bool {
	for i := range said {
		if strings.ContainsRune(i.Value, utf8.RuneError) {
			return true
		}
	}
	return false
}

// head is the wanted elements of a file as the library reads them.
func head(file string, wanted map[tag.Tag]bool) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("dicom: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("dicom: %w", err)
	}
	g, err := admit(file, f, info.Size(), wanted)
	var cut *cutError
	var shape *shapeError
	switch {
	case errors.As(err, &shape):
		return nil, &FormatError{File: file, Reason: err.Error()}
	case err != nil && !errors.As(err, &cut):
		return nil, err
	case g == nil: // broke off before the first element
		return nil, nil
	}
	return g.stream, nil
}

// identifiers collects the values of a data set and of the sequences in it.
func identifiers(d dataset, depth int, into map[Identifier]bool) {
	for _, e := range d {
		one := dataset{e} // an element that stands there twice is read twice
		if e.Value.ValueType() == lib.Sequences {
			for _, item := range one.items(e.Tag) {
				identifiers(item, depth+1, into)
			}
			continue
		}
		kind, known := identifying[e.Tag]
		if !known || e.Tag == tag.PatientID && depth == 0 {
			continue
		}
		for _, v := range one.strings(e.Tag) {
			if v = readable(v); v != "" {
				into[Identifier{Kind: kind, Element: elementName(e.Tag), Value: v}] = true
			}
		}
	}
}

// readable is text in UTF-8: bytes of no stated character set are taken as Latin-1.
func readable(s string) string {
	if utf8.ValidString(s) {
		return strings.TrimSpace(s)
	}
	var b strings.Builder
	for _, c := range []byte(s) {
		b.WriteRune(rune(c))
	}
	return strings.TrimSpace(b.String())
}

// elementName is an element as a person knows it.
func elementName(t tag.Tag) string {
	number := fmt.Sprintf("(%04X,%04X)", t.Group, t.Element)
	if info, err := tag.Find(t); err == nil {
		return info.Name + " " + number
	}
	return number
}
