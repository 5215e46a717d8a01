package prepare

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	lib "github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"

	"hounsfield/datasets"
	"hounsfield/datasets/dicom"
	"hounsfield/datasets/pseudonym"
	"hounsfield/datasets/table"
	"hounsfield/datasets/volume"
)

// planted is what the files of a patient say of it; %s is a letter of the patient's own, %d
// a number of two digits.
var planted = map[tag.Tag]string{
	tag.PatientName: "Zwiebel%sfisch^Ottokar^Emil^Dr", tag.PatientBirthDate: "193102%d", tag.AccessionNumber: "ACC-7713%s5",
	tag.OtherPatientIDs: "KH-4711%s", tag.OtherPatientNames: "Quittenbrot%s^Ottokar", tag.PatientMotherBirthName: "Gurkensalat%s^Rosa",
	tag.PatientBirthName: "Rettichsuppe%s^Ottokar", tag.PatientAddress: "Rosenweg %d, Entenhausen", tag.PatientTelephoneNumbers: "0228-55512%d",
	tag.ReferringPhysicianName: "Husten%s^Sebastian", tag.PerformingPhysicianName: "Pflaster%s^Marianne", tag.OperatorsName: "Knopfdruck^Else",
	tag.ReviewerName: "Siegel%s^Ansgar", tag.AdmissionID: "AUF-99821%s",
}

// secrets are those values as one might find them.
var secrets = []string{
	"zwiebel", "ottokar", "193102", "1931-02", "02.1931", "acc-7713", "kh-4711", "quittenbrot", "gurkensalat", "rettichsuppe",
	"rosenweg", "entenhausen", "55512", "husten", "sebastian", "pflaster", "marianne", "knopfdruck", "siegel", "ansgar", "auf-99821", "vorname",
}

// plant puts the planted elements into the header of every file below a folder: CT (explicit)
// and structure sets (implicit), some of them also inside sequences.
func plant(t testing.TB, root string, n int) {
	t.Helper()
	own := strings.NewReplacer("%s", string(rune('a'+n)), "%d", fmt.Sprintf("%02d", n+1))
	files := 0
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		set, err := lib.ParseFile(path, nil)
		if err != nil {
			return err
		}
		put := func(tg tag.Tag, value any) {
			e, err := lib.NewElement(tg, value)
			if err != nil {
				t.Fatal(err)
			}
			set.Elements = slices.DeleteFunc(set.Elements, func(e *lib.Element) bool { return e.Tag == tg })
			set.Elements = append(set.Elements, e)
		}
		inner := func(tg tag.Tag, value string) *lib.Element {
			e, err := lib.NewElement(tg, []string{value})
			if err != nil {
				t.Fatal(err)
			}
			return e
		}
		for tg, value := range planted {
			put(tg, []string{own.Replace(value)})
		}
		put(tag.RequestAttributesSequence, [][]*lib.Element{{inner(tag.RequestedProcedureID, own.Replace("ANF-5567%s"))}})
		former, err := lib.NewElement(tag.ModifiedAttributesSequence, [][]*lib.Element{{inner(tag.PatientName, own.Replace("Vorname%s^Frueher"))}})
		if err != nil {
			t.Fatal(err)
		}
		put(tag.OriginalAttributesSequence, [][]*lib.Element{{former}})
		slices.SortStableFunc(set.Elements, func(a, b *lib.Element) int {
			return cmp.Or(cmp.Compare(a.Tag.Group, b.Tag.Group), cmp.Compare(a.Tag.Element, b.Tag.Element))
		})
		var b bytes.Buffer
		if err := lib.Write(&b, set, lib.SkipVRVerification()); err != nil {
			return err
		}
		return os.WriteFile(path, b.Bytes(), 0o644)
	})
	if err != nil || files == 0 {
		t.Fatalf("%d files, error %v", files, err)
	}
}

// spoken are all texts of an output folder: names of files and folders, bytes as they are
// and unpacked, cells, column names and metadata of tables.
func spoken(t testing.TB, out string) (texts map[string]string) {
	t.Helper()
	texts = map[string]string{}
	err := filepath.WalkDir(out, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := relative(out, path)
		texts["name of "+name] = name
		if d.IsDir() {
			return nil
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		texts[name] = string(raw)
		switch filepath.Ext(path) {
		case ".gz":
			z, err := gzip.NewReader(bytes.NewReader(raw))
			if err != nil {
				return err
			}
			if raw, err = io.ReadAll(z); err != nil {
				return err
			}
			texts[name+", unpacked"] = string(raw)
		case ".png": // text would be in chunks of its own
			for at := 8; at < len(raw); at += 12 + int(binary.BigEndian.Uint32(raw[at:])) {
				if kind := string(raw[at+4 : at+8]); kind != "IHDR" && kind != "IDAT" && kind != "IEND" {
					t.Errorf("%s has a chunk %s", path, kind)
				}
			}
		case ".arrow", ".parquet":
			tab, err := table.ReadAny(path)
			if err != nil {
				return err
			}
			var b strings.Builder
			fmt.Fprintln(&b, tab.Provenance())
			for _, c := range tab.Schema().Columns {
				fmt.Fprintln(&b, c.Name, c.Description)
				if c.Type == table.String {
					fmt.Fprintln(&b, strings.Join(tab.Strings(c.Name), "\n"))
				}
			}
			texts[name+", read"] = b.String()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return texts
}

// search counts the places of an output folder that hold one of the words.
func search(t testing.TB, out string, words []string) (texts, hits int) {
	t.Helper()
	all := spoken(t, out)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		low := strings.ToLower(all[name])
		for _, w := range words {
			if strings.Contains(low, strings.ToLower(w)) {
				hits++
				t.Errorf("%s holds %s", name, w)
			}
		}
	}
	return len(all), hits
}

// ownCache keeps out of the user's cache folder what would be kept there.
func ownCache(t testing.TB) {
	t.Helper()
	for _, name := range []string{"XDG_CACHE_HOME", "HOME", "LocalAppData"} {
		t.Setenv(name, t.TempDir())
	}
}

// newKey is always the same key: the digits of a random one's UIDs would hold a planted number
// now and then.
func newKey(t testing.TB) *pseudonym.Key {
	t.Helper()
	ownCache(t)
	file := filepath.Join(t.TempDir(), "key")
	if _, err := pseudonym.Make(file); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	title, _, _ := strings.Cut(string(text), "\n")
	if err := os.WriteFile(file, []byte(title+"\n"+strings.Repeat("07", 32)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	k, err := pseudonym.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// A patient whose files are named after nothing is prepared, and nothing but the PatientID
// comes out: not in a picture, a volume or a table, and not in the reason why somebody was
// left out, where a file breaks off in the middle of the name too.
func TestNoIdentityInOutputs(t *testing.T) {
	root := t.TempDir()
	addPatient(t, root, "a", "P1")
	cut, _ := addPatient(t, root, "b", "P2")
	addPatient(t, root, "c", "P3")
	for i, folder := range []string{"a", "b", "c"} {
		plant(t, filepath.Join(root, folder), i)
	}
	if err := os.Truncate(filepath.Join(cut, "1-007.dcm"), 3000); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(root, "c", "CT", "1-007.dcm")
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, int64(bytes.Index(raw, []byte("Zwiebel"))+8)); err != nil {
		t.Fatal(err)
	}
	for _, key := range []*pseudonym.Key{nil, newKey(t)} {
		o := options(root, t.TempDir())
		o.KeepVolumes, o.Pseudonyms = true, key
		s, tab, ex := run(t, o)
		if s.Prepared != 1 || s.Patients != 3 || len(ex) < 2 {
			t.Fatalf("summary %+v, rows %+v", s, ex)
		}
		texts, hits := search(t, o.Out, secrets)
		t.Logf("%d texts searched for %d words: %d hits", texts, len(secrets), hits)
		if texts < 20 {
			t.Errorf("only %d texts", texts)
		}
		if id := tab.Strings("patient_id")[0]; key == nil && id != "P1" || key != nil && id != key.Patient("P1") {
			t.Errorf("patient %q", id)
		}
	}
}

// leak is a patient whose files say the name where an output would repeat it.
type leak struct {
	id, folder string
	rois       []string
	element    string // found in column; empty: nothing is
	column     string // patient_id: the patient is refused; otherwise the cell is withheld
}

var leaks = []leak{
	{"L01", "Zwiebelafisch_Ottokar", nil, "PatientName (0010,0010)", "contour_file"},
	{"L02", "ZWIEBELBFISCH", nil, "PatientName (0010,0010)", "contour_file"},
	{"L03", "x/ottokar.zwiebelcfisch/y", nil, "PatientName (0010,0010)", "contour_file"},
	{"L04", "born 1931-02-04", nil, "PatientBirthDate (0010,0030)", "contour_file"},
	{"L05", "05.02.1931", nil, "PatientBirthDate (0010,0030)", "contour_file"},
	{"L06", "19310206", nil, "PatientBirthDate (0010,0030)", "contour_file"},
	{"L07", "acc_7713g5", nil, "AccessionNumber (0008,0050)", "contour_file"},
	{"L08", "KH4711h", nil, "OtherPatientIDs (0010,1000)", "contour_file"},
	{"L09", "drawn by Husteni Sebastian", nil, "ReferringPhysicianName (0008,0090)", "contour_file"},
	{"L10", "Siegelj", nil, "ReviewerName (300E,0008)", "contour_file"},
	{"L11", "anf5567k", nil, "RequestedProcedureID (0040,1001)", "contour_file"},
	{"L12", "once Vornamel", nil, "PatientName (0010,0010)", "contour_file"},
	{"L13", "roi", []string{"Heart", "GTV Zwiebelmfisch", "GTV-1"}, "PatientName (0010,0010)", "roi_seen"},
	{"ZWIEBELNFISCH-14", "id", nil, "PatientName (0010,0010)", "patient_id"},
	{"150231-1234", "id 2", nil, "PatientBirthDate (0010,0030)", "patient_id"},
	{"5551216", "id 3", nil, "PatientTelephoneNumbers (0010,2154)", "patient_id"},
	{"L17", "plain", []string{"Heart", "gtv-1"}, "", ""},
	{"L18", "left back head", nil, "", ""}, // words of the program's own notes
}

// leakyTree writes the patients above, each with elements of its own.
func leakyTree(t testing.TB) (root string) {
	root = t.TempDir()
	for i, l := range leaks {
		_, rt := addPatient(t, root, l.folder, l.id)
		if l.rois != nil {
			writeStructures(t, rt, dicom.Meta{PatientID: l.id, Seed: "prepare"}, balls(centre, l.rois...)...)
		}
		plant(t, filepath.Join(root, l.folder), i)
	}
	return root
}

// Where a name would come out by a path or another region's name, the cell is withheld and
// a note names the element; where by the id, the patient is not written, and the reason names
// the element and the way out. The value stands nowhere.
func TestGuardRefuses(t *testing.T) {
	root := leakyTree(t)
	o := options(root, t.TempDir())
	guard := &Guard{}
	guard.Add("L17", "column Case of the clinical table", "Fall 88-1713")
	o.Guard = guard
	s, tab, ex := run(t, o)
	refused, hidden := 0, 0
	for i, l := range leaks {
		at := slices.Index(tab.Strings("patient_id"), l.id)
		if (at >= 0) != (l.column != "patient_id") {
			t.Errorf("%d %s: row %d", i, l.folder, at)
			continue
		}
		switch l.column {
		case "":
			if note := tab.Strings("notes")[at]; note != "" {
				t.Errorf("%d %s: notes %q", i, l.folder, note)
			}
		case "patient_id":
			refused++
			found := slices.ContainsFunc(ex, func(e datasets.Exclusion) bool {
				return e.Stage == stageGuard && strings.HasPrefix(e.Patient, "withheld-") && strings.Contains(e.Reason, l.element) &&
					strings.Contains(e.Reason, "patient_id of imaging.arrow") && strings.Contains(e.Reason, "--pseudonymise")
			})
			if !found {
				t.Errorf("%d %s: exclusions %+v", i, l.folder, ex)
			}
		case "contour_file":
			hidden++
			if cell, note := tab.Strings(l.column)[at], tab.Strings("notes")[at]; cell != withheld || !strings.Contains(note, "contour_file withheld: it has what "+l.element) {
				t.Errorf("%d %s: cell %q, notes %q", i, l.folder, cell, note)
			}
		default:
			hidden++
			if cell, note := tab.Strings(l.column)[at], tab.Strings("notes")[at]; cell != "Heart|(withheld)|GTV-1" || !strings.Contains(note, "roi_seen withheld") {
				t.Errorf("%d %s: cell %q, notes %q", i, l.folder, cell, note)
			}
		}
	}
	if s.Prepared != 15 || refused != 3 || hidden != 13 || len(ex) != 3 {
		t.Errorf("summary %+v, %d refused, %d hidden, exclusions %+v", s, refused, hidden, ex)
	}
	texts, hits := search(t, o.Out, append(slices.Clone(secrets), "150231"))
	t.Logf("%d patients refused, %d cells withheld; %d texts searched: %d hits", refused, hidden, texts, hits)
	// What others write beside the tables.
	for cell, want := range map[string]bool{"Ottokar Zwiebelqfisch": true, "Zwiebelqfisch": true, "1931-02-17": true, "fall_88_1713": true, "by siegelq": true, "adenocarcinoma": false, "2 of 3 slices": false} {
		if err := guard.Check("L17", "cohort.csv", "histology", cell); (err != nil) != want || err != nil && (strings.Contains(err.Error(), cell) || !strings.Contains(err.Error(), "cohort.csv")) {
			t.Errorf("%q: error %v", cell, err)
		}
	}
	for cell, want := range map[string]bool{"Zwiebelafisch, Ottokar": true, "Heart": false} { // another patient's full name
		if err := guard.Check("L17", "cohort.csv", "histology", cell); (err != nil) != want {
			t.Errorf("%q: error %v", cell, err)
		}
	}
}

// A name that a single slice in the middle of a scan holds, and one that only a SEG has.
func TestGuardLooksEverywhere(t *testing.T) {
	root := t.TempDir()
	ct, _ := addPatient(t, root, "Zwiebelbfisch", "P1")
	plant(t, filepath.Join(ct, "1-009.dcm"), 1)
	if err := os.Rename(segmented(t), filepath.Join(root, "Siegelcs")); err != nil {
		t.Fatal(err)
	}
	seg := filepath.Join(root, "Siegelcs", "seg.dcm")
	raw, err := os.ReadFile(seg)
	if err != nil {
		t.Fatal(err)
	}
	head := []byte("\x10\x00\x10\x00PN") // with a length of two bytes
	at := bytes.Index(raw, head) + len(head)
	rest := raw[at+2+int(binary.LittleEndian.Uint16(raw[at:])):]
	raw = slices.Concat(raw[:at], []byte("\x0e\x00Siegelc^Ansgar"), rest)
	if err := os.WriteFile(filepath.Join(root, "Siegelcs", "by Siegelc.dcm"), raw, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(seg); err != nil {
		t.Fatal(err)
	}
	o := options(root, t.TempDir())
	o.Cube = volume.CubeSpec{Size: 10, SpacingMM: 1}
	s, tab, ex := run(t, o)
	if s.Prepared != 2 || !slices.Equal(tab.Strings("contour_file"), []string{withheld, withheld}) {
		t.Errorf("summary %+v, contours %q, exclusions %+v", s, tab.Strings("contour_file"), ex)
	}
	search(t, o.Out, secrets)
}

// A second run, which finds everything done, is as clean, and does not bring back what a
// record holds that was made when less was known.
func TestGuardOfRecords(t *testing.T) {
	root := t.TempDir()
	addPatient(t, root, "one/Quark", "P1")
	addPatient(t, root, "two", "P2")
	o := options(root, t.TempDir())
	_, tab, _ := run(t, o)
	if got := tab.Strings("contour_file"); !slices.Equal(got, []string{"one/Quark/RT/rt.dcm", "two/RT/rt.dcm"}) {
		t.Fatalf("contours %q", got)
	}
	o.Guard = &Guard{}
	o.Guard.Add("P1", "column Name", "Quark, Konrad")
	for range 2 {
		s, tab, _ := run(t, o)
		if got := tab.Strings("contour_file"); !slices.Equal(got, []string{withheld, "two/RT/rt.dcm"}) || s.Prepared != 2 {
			t.Errorf("contours %q, summary %+v", got, s)
		}
		search(t, o.Out, []string{"quark"})
	}
	o.Guard.Add("P2", "column Case", "P2")
	o.Guard.Add("P1", "column Case", "X-P1-1713")
	if s, _, _ := run(t, o); s.Prepared != 2 {
		t.Errorf("summary %+v", s) // the id itself may stand there
	}
}

// A reader's name that a pattern finds may be anybody's: also the patient's.
func TestGuardOfReaders(t *testing.T) {
	root := t.TempDir()
	_, rt := addPatient(t, root, "a", "P1")
	writeStructures(t, rt, dicom.Meta{PatientID: "P1", Seed: "prepare"}, balls(centre, "GTV-1", "GTV-Meier", "GTV-Zwiebelafisch")...)
	plant(t, root, 0)
	pattern, err := dicom.NewReaderRule(nil, "^GTV-(?P<reader>.+)$")
	if err != nil {
		t.Fatal(err)
	}
	o := options(root, t.TempDir())
	o.Repeats = Repeats{Kind: RepeatsReaders, Readers: pattern}
	_, tab, ex := run(t, o)
	if got := keysOf(tab); !slices.Equal(got, []string{"P1/1/", "P1/1/meier"}) || len(ex) != 1 || !strings.Contains(ex[0].Reason, "reader of imaging.arrow would hold the value that PatientName") {
		t.Errorf("rows %v, exclusions %+v", got, ex)
	}
	search(t, o.Out, secrets)
	o.Out, o.Pseudonyms = t.TempDir(), newKey(t)
	if _, tab, ex = run(t, o); tab.Rows() != 3 || len(ex) != 0 {
		t.Errorf("%d rows, exclusions %+v", tab.Rows(), ex)
	}
	search(t, o.Out, append(slices.Clone(secrets), "meier"))
}

// With pseudonyms the same patients are all prepared, and neither names nor ids, UIDs,
// paths or what people typed come out.
func TestPseudonyms(t *testing.T) {
	root := leakyTree(t)
	words := slices.Clone(secrets)
	tree, err := dicom.Index(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range tree.Patients {
		words = append(words, p.Series[0].UID, p.Series[0].StudyUID)
		if len(p.ID) > 3 {
			words = append(words, p.ID)
		}
	}
	words = append(words, "left back", "heart", filepath.Base(filepath.Dir(root)), "rt.dcm")
	o := options(root, t.TempDir())
	o.Pseudonyms = newKey(t)
	var progress []string
	o.Progress = func(_, _ int, patient string) { progress = append(progress, patient) }
	s, tab, ex := run(t, o)
	if s.Prepared != len(leaks) || len(ex) != 0 {
		t.Fatalf("summary %+v, exclusions %+v", s, ex)
	}
	texts, hits := search(t, o.Out, words)
	t.Logf("%d texts searched for %d words: %d hits", texts, len(words), hits)
	ids := tab.Strings("patient_id")
	if !slices.IsSorted(ids) {
		t.Errorf("the order %v is not that of the pseudonyms", ids)
	}
	for _, l := range leaks {
		if !slices.Contains(ids, o.Pseudonyms.Patient(l.id)) || slices.Contains(progress, l.id) {
			t.Errorf("%s: ids %v, progress %v", l.id, ids, progress)
		}
	}
	at := slices.Index(ids, o.Pseudonyms.Patient("L17"))
	p, _ := tree.Patient("L17")
	want := []string{o.Pseudonyms.UID(p.Series[0].UID), "file-" + o.Pseudonyms.Text("file", "plain/RT/rt.dcm")[:16], "gtv-1", "GTV-1", ""}
	var got []string
	for _, c := range []string{"series_uid", "contour_file", "roi", "roi_rule", "roi_seen"} {
		got = append(got, tab.Strings(c)[at])
	}
	if !slices.Equal(got, want) {
		t.Errorf("row %q, want %q", got, want)
	}
	if tab.Provenance()["pseudonym_key"] != o.Pseudonyms.Fingerprint() {
		t.Errorf("provenance %v", tab.Provenance())
	}
}

// Pseudonyms beside the ids of an earlier run would be none.
func TestPseudonymsBesideIDs(t *testing.T) {
	root := t.TempDir()
	addPatient(t, root, "a", "P1")
	o := options(root, t.TempDir())
	run(t, o)
	o.Pseudonyms = newKey(t)
	var option *OptionError
	if _, err := Run(t.Context(), o); !errors.As(err, &option) || option.Option != "Out" {
		t.Errorf("error %v", err)
	}
	o.Out = t.TempDir()
	run(t, o)
	addPatient(t, root, "b", "P2")
	if err := os.RemoveAll(filepath.Join(root, "a")); err != nil {
		t.Fatal(err)
	}
	if s, _, _ := run(t, o); s.Prepared != 1 || !slices.Equal(s.Gone, []string{o.Pseudonyms.Patient("P1")}) {
		t.Errorf("summary %+v", s)
	}
}

// Each fault with pseudonyms: the rows still say what is wrong, and nothing of the input.
func TestPseudonymsOfFaults(t *testing.T) {
	root := t.TempDir()
	wants := faults(t, root)
	words := slices.Clone(secrets)
	tree, err := dicom.Index(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range tree.Patients {
		for _, s := range p.Series {
			words = append(words, s.UID)
		}
		if p.ID != "NAMES" { // "names seen" are the program's own words
			words = append(words, p.ID)
		}
	}
	words = append(words, "gtv-2", "gtv-10", "rt.dcm", "copy of 7", ".dcm", filepath.Base(filepath.Dir(root)))
	words = slices.DeleteFunc(words, func(w string) bool {
		return slices.Contains([]string{"EMPTY", "OUTSIDE", "SAME", "CUT", "HOLE", "TWICE", "GOOD", "STRANGER"}, w)
	})
	o := options(root, t.TempDir())
	o.Pseudonyms = newKey(t)
	_, _, ex := run(t, o)
	search(t, o.Out, words)
	for id, w := range wants {
		reason := w.reason
		if before, _, found := strings.Cut(reason, "; names seen"); found {
			reason = before
		}
		found := slices.ContainsFunc(ex, func(e datasets.Exclusion) bool {
			return e.Patient == o.Pseudonyms.Patient(id) && e.Stage == w.stage && strings.Contains(e.Reason, reason) && (e.File == "") == (w.file == "")
		})
		if !found {
			t.Errorf("%s: no row %+v among %+v", id, w, ex)
		}
	}
}

// An id that turns out to say who the patient is only when all slices are read is as little
// written as one that the first look finds: by no file, table, index, progress or row of others.
func TestGuardOfIDsSeenLate(t *testing.T) {
	root := t.TempDir()
	ct, _ := addPatient(t, root, "a", "Zwiebelbfisch")
	addPatient(t, root, "b", "P2")
	o := options(root, t.TempDir())
	run(t, o) // before anything is known of the name
	plant(t, filepath.Join(ct, "1-009.dcm"), 1)
	aged(t, root)
	fresh := o
	fresh.Out = t.TempDir()
	fresh.Progress = func(_, _ int, patient string) {
		if strings.Contains(patient, "Zwiebel") {
			t.Errorf("progress of %s", patient)
		}
	}
	fresh.Also = func(ids []string, _ map[string]bool) []datasets.Exclusion {
		if !slices.Equal(ids, []string{"P2", "withheld-2"}) {
			t.Errorf("others are told of %q", ids)
		}
		return nil
	}
	for range 2 {
		s, tab, ex := run(t, fresh)
		if s.Prepared != 1 || tab.Rows() != 1 || len(ex) != 1 || ex[0].Patient != "withheld-2" || ex[0].Stage != stageGuard {
			t.Errorf("%+v, exclusions %+v", s, ex)
		}
		search(t, fresh.Out, secrets)
	}
	if s, _, ex := run(t, o); s.Prepared != 1 || len(ex) != 1 || ex[0].Patient != "withheld-2" || !slices.Equal(s.Gone, []string{"Zwiebelbfisch"}) {
		t.Errorf("%+v, exclusions %+v", s, ex)
	}
}

// What a record says of regions and of what was lost is held against what is known by now.
func TestGuardOfRecordedWords(t *testing.T) {
	root := t.TempDir()
	_, rt := addPatient(t, root, "a", "P1")
	other := filepath.Join(root, "a", "Quark.dcm")
	writeStructures(t, other, dicom.Meta{PatientID: "P1", Seed: "prepare"}, balls(centre, "Heart")...)
	_, second := addPatient(t, root, "b", "P2")
	writeStructures(t, second, dicom.Meta{PatientID: "P2", Seed: "prepare"}, balls(centre, "GTV-1", "Heart")...)
	aged(t, root)
	o := options(root, t.TempDir())
	_, _, ex := run(t, o)
	if len(ex) != 1 || !strings.Contains(ex[0].Reason, "Quark") || rt == "" {
		t.Fatalf("exclusions %+v", ex)
	}
	o.Guard = &Guard{}
	o.Guard.Add("P1", "column Name", "Quark, Konrad")
	if s, _, _ := run(t, o); s.Prepared != 2 {
		t.Errorf("%+v", s)
	}
	search(t, o.Out, []string{"quark"})
}
