package prepare

import (
	"strings"
	"testing"

	"hounsfield/datasets/dicom"
)

const (
	nameElement  = "PatientName (0010,0010)"
	birthElement = "PatientBirthDate (0010,0030)"
)

// What is found of whom in which text, and what is not.
func TestMarks(t *testing.T) {
	name := func(v string) dicom.Identifier {
		return dicom.Identifier{Kind: dicom.PatientNames, Element: nameElement, Value: v}
	}
	staff := func(v string) dicom.Identifier {
		return dicom.Identifier{Kind: dicom.StaffNames, Element: "OperatorsName (0008,1070)", Value: v}
	}
	code := func(v string) dicom.Identifier {
		return dicom.Identifier{Kind: dicom.Codes, Element: "AccessionNumber (0008,0050)", Value: v}
	}
	birth := func(v string) dicom.Identifier {
		return dicom.Identifier{Kind: dicom.BirthDates, Element: birthElement, Value: v}
	}
	phone := dicom.Identifier{Kind: dicom.Telephones, Element: "PatientTelephoneNumbers (0010,2154)", Value: "+49 228 555-1234"}
	street := dicom.Identifier{Kind: dicom.Addresses, Element: "PatientAddress (0010,1040)", Value: "Rosenweg 12, Entenhausen"}
	for _, test := range []struct {
		is        dicom.Identifier
		id        string // the patient's
		text, own string
		found     bool
	}{
		// Names, in any order and spelling.
		{name("SMITH^JOHN"), "7", "scans/John_Smith/rt.dcm", "", true},
		{name("SMITH^JOHN"), "7", "scans/smithjohn/rt.dcm", "", true},
		{name("SMITH^JOHN"), "7", "scans/SmithJ2/rt.dcm", "", true},
		{name("SMITH JOHN"), "7", "smith", "", true},
		{name("Smith, John"), "7", "JOHN", "", true},
		{name("SMITH^JOHN"), "7", "scans/Jo/Smit/rt.dcm", "", false},
		{name("Müller^Jürgen"), "7", "Mueller_Juergen", "", true},
		{name("Mueller^Jürgen"), "7", "MÜLLER", "", true},
		{name("Mu\u0308ller"), "7", "muller", "", true},
		{name("Łukasiewicz^Zoë"), "7", "lukasiewicz", "", true},
		{name("Yamada^Tarou=山田^太郎"), "7", "scans/山田/rt.dcm", "", true},
		{name("O'Brien^Mary-Ann"), "7", "brien", "", true},
		{name("van der Berg^Jan"), "7", "van/der/rt.dcm", "", false},
		{name("van der Berg^Jan"), "7", "jan_berg", "", true},
		{name("Smith^J^^Dr"), "7", "dr/j/rt.dcm", "", false}, // titles and initials are nobody's
		// Short names count as whole words only.
		{name("Li^Wei"), "7", "scans/Li/rt.dcm", "", true},
		{name("Li^Wei"), "7", "scans/li_1/rt.dcm", "", true},
		{name("Li^Wei"), "7", "lists/weights/rt.dcm", "", false},
		// The program's own words are not from the files; the file's are.
		{name("Head^Left"), "7", "turned to the patient's left, back and head", "turned to the patient's left, back and head", false},
		{name("Head^Left"), "7", "head.dcm: turned to the patient's left, back and head", ": turned to the patient's left, back and head", true},
		// A name that is the id, and what stands where a name was taken away.
		{name("LUNG1-002"), "LUNG1-002", "LUNG1-002", "", false},
		{name("LUNG1-002"), "LUNG1-002", "lung1/LUNG1-002/rt.dcm", "", false},
		{name("LUNG1^002"), "LUNG1-002", "LUNG1-002", "", false},
		{name("LUNG1-002"), "", "LUNG1-002", "", true}, // with pseudonyms
		{name("MUELLER^HANS"), "MUELLER^HANS", "MUELLER^HANS", "", true},
		{name("SMITH^JOHN"), "SMITH-7", "SMITH-7", "", true},
		{name("ANON"), "7", "anon/rt.dcm", "", false},
		{name("Anonymous^Patient"), "7", "patient anonymous", "", false},
		{name(""), "7", "a", "", false},
		// Staff: words of four letters and more, whole.
		{staff("CT"), "7", "CT/rt.dcm", "", false},
		{staff("Knopf^Else"), "7", "by knopf/rt.dcm", "", true},
		{staff("Knopf^Else"), "7", "knopfloch/rt.dcm", "", false},
		// Dates, parted by anything; short ones as in national numbers.
		{birth("19310203"), "7", "x19310203y", "", true},
		{birth("19310203"), "7", "1931-02-03", "", true},
		{birth("19310203"), "7", "1931_02_03", "", true},
		{birth("19310203"), "7", "03.02.1931", "", true},
		{birth("19310203"), "7", "02/03/1931", "", true},
		{birth("1931.02.03"), "7", "03021931", "", true},
		{birth("19310203"), "7", "030231-1234", "", true},
		{birth("19310203"), "7", "scanned 1931", "", false},
		{birth("19310203"), "7", "1.3.6.1.4.1.32722.99.99.298991776521342375010861296712563382046", "", false},
		{birth("19000101"), "7", "19000101", "", false},
		{birth("19310000"), "7", "1931", "", false},
		// Numbers.
		{code("2615788742648199"), "LUNG1-002", "LUNG1-002/2615788742648199/rt.dcm", "", true},
		{code("0077135"), "7", "acc 77135", "", true},
		{code("77135"), "7", "177135", "", false},
		{code("ACC-77135"), "7", "acc_77135", "", true},
		{code("ACC-77135"), "7", "77135/rt.dcm", "", true},
		{code("12"), "7", "12 contour(s) outside the scan left out", "12 contour(s) outside the scan left out", false},
		{code("12"), "7", "study 12/rt.dcm", "", true},
		{code("12"), "7", "study 120/rt.dcm", "", false},
		{code("1"), "7", "GTV-1", "", false},
		{code("LUNG1-002"), "LUNG1-002", "LUNG1-002", "", false},
		{code("NONE"), "7", "none", "", false},
		{phone, "7", "tel 0228 5551234", "", true},
		{phone, "7", "5551234.dcm", "", false}, // the last seven digits are in two pieces
		{phone, "7", "+492285551234", "", true},
		{street, "7", "rosenweg_12_entenhausen", "", true},
		{street, "7", "rosenweg", "", false},
	} {
		found := false
		for _, m := range newMarks(test.is, test.id) {
			text := newText(test.text, test.own)
			found = found || m.strong(text) || m.weak(text)
		}
		if found != test.found {
			t.Errorf("%q (patient %q) in %q: found %v", test.is.Value, test.id, test.text, found)
		}
	}
}

// Values that all patients share, three at least, identify nobody; each by element.
func TestSharedValues(t *testing.T) {
	of := func(name, birth string) []dicom.Identifier {
		return []dicom.Identifier{{Kind: dicom.PatientNames, Element: nameElement, Value: name}, {Kind: dicom.BirthDates, Element: birthElement, Value: birth}}
	}
	three := shared([][]dicom.Identifier{of("Removed^Site", "19310203"), of("Removed^Site", "19400101"), nil, of("Removed^Site", "19310203")})
	if len(three) != 1 || !three[of("Removed^Site", "")[0]] {
		t.Errorf("shared %v", three)
	}
	if two := shared([][]dicom.Identifier{of("Smith^John", "19310203"), of("Smith^John", "19310203")}); len(two) != 0 {
		t.Errorf("shared %v by two patients, who may be one person", two)
	}
}

// What others make known is looked for in the forms of its kind.
func TestGuardAdd(t *testing.T) {
	g := &Guard{}
	g.Add("7", "column Name", "Smith, John")
	g.Add("7", "column Born", "3.2.1931")
	g.Add("7", "column Case", "88-1713")
	g.Add("", "column Sender", "Zwiebelfisch Ottokar")
	g.learn([]subject{{id: "P7", key: "7"}, {id: "P8", key: "8"}}, false)
	g.index([]subject{{id: "P7", who: g.all[0]}, {id: "P8", who: g.all[1]}})
	g.Add("8", "column Name", "Wiesel, Wilma") // known at once
	for _, test := range []struct {
		patient, text string
		found         bool
	}{
		{"P8", "wiesel", true}, {"P7", "wiesel", false}, {"P7", "Wilma Wiesel", true},
		{"P7", "smith", true}, {"P8", "smith", false}, {"P8", "John Smith", true}, {"", "smith", true},
		{"P7", "1931-02-03", true}, {"P7", "1931-03-02", true}, {"P8", "1931-02-03", false}, {"", "19310203", true},
		{"P7", "881713", true}, {"P8", "881713", false},
		{"P8", "Ottokar Zwiebelfisch", true}, {"P8", "Ottokar", false}, {"", "ottokar", true}, {"", "stage IIIa", false},
	} {
		if err := g.Check(test.patient, "cohort.csv", "notes", test.text); (err != nil) != test.found {
			t.Errorf("%q of %q: error %v", test.text, test.patient, err)
		}
	}
}

// Who was refused by what is no longer known is prepared again: a refusal is in no record.
func TestGuardForgets(t *testing.T) {
	root := t.TempDir()
	addPatient(t, root, "a", "P1")
	aged(t, root)
	o := options(root, t.TempDir())
	_, tab, _ := run(t, o)
	uid := tab.Strings("series_uid")[0]
	o.Guard = &Guard{}
	o.Guard.Add("P1", "column Case", uid[strings.LastIndex(uid, ".")+1:])
	if s, _, ex := run(t, o); s.Prepared != 0 || len(ex) != 1 || ex[0].Stage != stageGuard {
		t.Fatalf("%+v, exclusions %+v", s, ex)
	}
	o.Guard = nil
	if s, _, ex := run(t, o); s.Prepared != 1 || made(s) != "" || len(ex) != 0 {
		t.Errorf("%+v, exclusions %+v", s, ex)
	}
}
