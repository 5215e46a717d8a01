package dicom

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	lib "github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"
	"github.com/suyashkumar/dicom/pkg/uid"
)

// named is a file that says who the patient is, at the top and inside sequences. Values of
// set replace those of the file.
func named(t testing.TB, syntax string, set elements) []byte {
	t.Helper()
	inner := func(e elements) *lib.Element { return e[0] }
	var deep, former, request, twin elements
	deep.text(tag.PatientName, "Vorher^Vera")
	former.add(tag.ModifiedAttributesSequence, [][]*lib.Element{{inner(deep)}})
	request.text(tag.RequestedProcedureID, "RP-1")
	twin.text(tag.PatientID, "OLD-7")
	e := Meta{PatientID: "P1", Seed: "identity"}.common(classStructures, "1.2.3", "RTSTRUCT", "1.2.4", syntax)
	e.text(tag.PatientBirthDate, "19310203") // besides the empty one
	e.text(tag.OtherPatientIDs, "A-1", "", "A-2")
	e.text(tag.OperatorsName, "Knopf^Else", "Taste^Tim")
	e.text(tag.ReviewerName, "Siegel^Ansgar")
	e.text(tag.InstitutionName, "Hospital")
	e.text(tag.StudyID, "4711")
	e.add(tag.OtherPatientIDsSequence, [][]*lib.Element{{inner(twin)}})
	e.add(tag.RequestAttributesSequence, [][]*lib.Element{{inner(request)}})
	e.add(tag.OriginalAttributesSequence, [][]*lib.Element{{inner(former)}})
	var out elements
	for _, x := range e {
		replaced := false
		for _, s := range set {
			replaced = replaced || s.Tag == x.Tag
		}
		if !replaced {
			out = append(out, x)
		}
	}
	raw, err := append(out, set...).encode()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func store(t testing.TB, raw []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "x.dcm")
	if err := os.WriteFile(file, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// All that identifies is found, wherever it stands, once; the PatientID, institutions and
// study numbers are not among it.
func TestIdentifiers(t *testing.T) {
	want := []Identifier{
		{PatientNames, "PatientName (0010,0010)", "P1"},
		{PatientNames, "PatientName (0010,0010)", "Vorher^Vera"},
		{StaffNames, "OperatorsName (0008,1070)", "Knopf^Else"},
		{StaffNames, "OperatorsName (0008,1070)", "Taste^Tim"},
		{StaffNames, "ReviewerName (300E,0008)", "Siegel^Ansgar"},
		{BirthDates, "PatientBirthDate (0010,0030)", "19310203"},
		{Codes, "OtherPatientIDs (0010,1000)", "A-1"},
		{Codes, "OtherPatientIDs (0010,1000)", "A-2"},
		{Codes, "PatientID (0010,0020)", "OLD-7"},
		{Codes, "RequestedProcedureID (0040,1001)", "RP-1"},
	}
	for _, syntax := range []string{uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian} {
		file := store(t, named(t, syntax, nil))
		got, err := Identifiers([]string{file, file})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", syntax, diff)
		}
	}
}

// Every standard element in the list is one that the gate lets through implicit files too.
func TestIdentifyingAreKnown(t *testing.T) {
	for of := range identityTags {
		if _, err := tag.Find(of); err != nil {
			t.Errorf("%s: %v", of, err)
		}
	}
}

// Names in other alphabets, and such that are not in the character set they claim.
func TestIdentifiersCharacterSets(t *testing.T) {
	for _, test := range []struct{ charset, bytes, want string }{
		{"ISO_IR 192", "Müller^Jürgen", "Müller^Jürgen"},
		{"ISO_IR 100", "M\xfcller^J\xfcrgen", "Müller^Jürgen"},
		{"", "M\xfcller^J\xfcrgen", "Müller^Jürgen"},
		{"ISO_IR 999", "M\xfcller^J\xfcrgen", "Müller^Jürgen"},
		{"ISO_IR 192", "M\xfcller^J\xfcrgen", "Müller^Jürgen"},
	} {
		var set elements
		set.text(tag.SpecificCharacterSet, test.charset)
		set.text(tag.PatientName, strings.Repeat("x", len(test.bytes)))
		raw := named(t, uid.ExplicitVRLittleEndian, set)
		raw = bytes.Replace(raw, bytes.Repeat([]byte("x"), len(test.bytes)), []byte(test.bytes), 1)
		got, err := Identifiers([]string{store(t, raw)})
		if err != nil {
			t.Errorf("%q: %v", test.charset, err)
			continue
		}
		found := false
		for _, i := range got {
			found = found || i.Value == test.want
		}
		if !found {
			t.Errorf("%q: %q is not among %v", test.charset, test.want, got)
		}
	}
}

// A file that breaks off says what stood before; a sequence that cannot be walked costs what
// is in it and no more; a file that is none is an error.
func TestIdentifiersOfBrokenFiles(t *testing.T) {
	raw := named(t, uid.ExplicitVRLittleEndian, nil)
	count := func(raw []byte) int {
		t.Helper()
		got, err := Identifiers([]string{store(t, raw)})
		if err != nil {
			t.Fatal(err)
		}
		return len(got)
	}
	if n := count(raw[:bytes.Index(raw, []byte("19310203"))+3]); n != 3 { // two operators, the name
		t.Errorf("%d identifiers before the birth date", n)
	}
	if n := count(raw[:140]); n != 0 {
		t.Errorf("%d identifiers in a header", n)
	}
	// The item of the request is said to be longer than its sequence.
	broken := bytes.Clone(raw)
	at := bytes.Index(broken, []byte("RP-1")) - 8 // the element's head
	copy(broken[at:], []byte{0xfe, 0xff, 0x33, 0x33})
	if n := count(broken); n < 7 {
		t.Errorf("%d identifiers beside a broken sequence", n)
	}
	for _, none := range [][]byte{nil, []byte("no DICOM file"), bytes.Repeat([]byte{7}, 500)} {
		if _, err := Identifiers([]string{store(t, none)}); err == nil {
			t.Errorf("%.20q: no error", none)
		}
	}
	if _, err := Identifiers([]string{filepath.Join(t.TempDir(), "none")}); err == nil {
		t.Error("no error for a file that is not there")
	}
}

// The patient of the real files: a pseudonym for a name, and an accession number.
func TestIdentifiersOfRealPatient(t *testing.T) {
	mirror := os.Getenv("HOUNSFIELD_MIRROR")
	if mirror == "" {
		t.Skip("HOUNSFIELD_MIRROR names no folder of real data")
	}
	files, err := filepath.Glob(filepath.Join(mirror, "nsclc-radiomics", "dicom", "LUNG1-002", "*", "*"))
	if err != nil || len(files) != 112 {
		t.Fatalf("%d files, error %v", len(files), err)
	}
	got, err := Identifiers(files)
	if err != nil {
		t.Fatal(err)
	}
	// dcmdump 3.6.7 +P PatientName +P AccessionNumber +P PatientBirthDate, of each file.
	want := []Identifier{{PatientNames, "PatientName (0010,0010)", "LUNG1-002"}, {Codes, "AccessionNumber (0008,0050)", "2615788742648199"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func FuzzIdentifiers(f *testing.F) {
	f.Add(named(f, uid.ImplicitVRLittleEndian, nil))
	f.Add(named(f, uid.ExplicitVRLittleEndian, nil))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) > 1<<16 {
			return
		}
		got, _ := Identifiers([]string{store(t, raw)})
		for _, i := range got {
			if i.Value == "" || i.Element == "" {
				t.Errorf("%+v", i)
			}
		}
	})
}
