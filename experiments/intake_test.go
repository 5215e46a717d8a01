package experiments

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"hounsfield/datasets"
	"hounsfield/datasets/catalog"
	"hounsfield/datasets/intake"
	"hounsfield/datasets/nifti"
	"hounsfield/datasets/phantom"
	"hounsfield/datasets/prepare"
	"hounsfield/datasets/table"
)

const intakeMap = `
cohort: north
licence: ethics approval 17
split: {tune_fraction: 0.3, test_fraction: 0.3, split_seed: 1}
clinical: {identity: [Name, Born, Case]}
id: {column: Patient, pattern: 'NH-(?P<patient>.+)'}
columns:
  age: {header: Age}
  sex: {header: Sex, values: {m: male, f: female}}
  histology: {header: Type, values: {A: adenocarcinoma}}
  survival_days: {header: Months, unit: months}
  event: {header: Dead, values: {y: "true", n: "false"}}
images: {kind: dicom, roi: [GTV-1]}
`

// person is a made patient, with what must not come out.
type person struct {
	subject                    int // of the phantom
	family, given, born, order string
}

func (p person) secrets() []string {
	y, m, d := p.born[:4], p.born[4:6], p.born[6:]
	return []string{p.family, p.given, p.order, p.born, y + "-" + m + "-" + d, d + "." + m + "." + y}
}

var people = []person{
	{200, "Zwiebelkuchen", "Adelheid", "19310203", "ACC77135"},
	{201, "Quastenflosser", "Burkhard", "19420615", "ACC88246"},
	{202, "Haubentaucher", "Notburga", "19511127", "ACC99357"},
	{203, "Wanderdune", "Korbinian", "19601009", "ACC66024"},
	{204, "Niemandsland", "Nikoline", "19200101", "ACC11111"}, // whose row spells the id otherwise
}

// maidenName stands in the clinical table alone, and in the name of a region.
const maidenName = "Schneckengrun"

// hospital makes a cohort as a hospital has it: folders and files that bear names, heads that
// hold names, birth dates and accession numbers, a clinical table with all of that.
func hospital(t *testing.T) (images, clinical, mapFile string, ids []string) {
	t.Helper()
	p, err := phantom.New(phantom.Default())
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	images = filepath.Join(root, "images")
	rows := [][]string{{"Patient", "Name", "Born", "Case", "Age", "Sex", "Type", "Months", "Dead", "Remarks"}}
	for i, who := range people {
		dir := filepath.Join(images, who.family+"_"+who.given)
		regions := []string{phantom.ROIName}
		switch i {
		case 1:
			regions = append(regions, "GTV "+who.family)
		case 2:
			regions = append(regions, "GTV "+maidenName)
		}
		if err := p.WriteReaders(dir, who.subject, regions); err != nil {
			t.Fatal(err)
		}
		plantIdentity(t, dir, who)
		id := p.Subject(who.subject).Patient.ID
		ids = append(ids, id)
		row := []string{"NH-" + id, who.family + ", " + who.given, who.born, who.order, fmt.Sprint([]float64{60, 75, 89.5, 70, 70}[i]), "m", "A", fmt.Sprint(10 * (i + 1)), "y", "Mr " + who.family}
		switch i {
		case 2:
			row[1] += " geb. " + maidenName
		case 3:
			row[6] = who.family // in a column that is carried over
		case 4:
			row[0] = "nh-" + id
		}
		rows = append(rows, row)
	}
	// Without images, and the id is a name.
	rows = append(rows, []string{"NH-" + people[0].family + " " + people[0].given, "", "", "", "95", "f", "A", "3", "n", ""})
	var b bytes.Buffer
	if err := csv.NewWriter(&b).WriteAll(rows); err != nil {
		t.Fatal(err)
	}
	clinical, mapFile = filepath.Join(root, "Table of "+people[0].family+".csv"), filepath.Join(root, "map.yaml")
	if err := errors.Join(os.WriteFile(clinical, b.Bytes(), 0o644), os.WriteFile(mapFile, []byte(intakeMap), 0o644)); err != nil {
		t.Fatal(err)
	}
	return images, clinical, mapFile, ids
}

// plantIdentity puts a person into the heads of all files below a folder: CT (explicit) and
// structure sets (implicit).
func plantIdentity(t *testing.T, root string, who person) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, p := range []struct{ tag, vr, value string }{
			{"\x10\x00\x10\x00", "PN", who.family + "^" + who.given}, {"\x10\x00\x30\x00", "DA", who.born}, {"\x08\x00\x50\x00", "SH", who.order},
		} {
			head, width := []byte(p.tag+p.vr), 2
			at := bytes.Index(raw, head)
			if at < 0 {
				head, width = []byte(p.tag), 4
				if at = bytes.Index(raw, head); at < 0 {
					t.Fatalf("%s has no element %x", path, p.tag)
				}
			}
			at += len(head)
			rest := raw[at+width+int(binary.LittleEndian.Uint16(raw[at:])):]
			value := p.value + strings.Repeat(" ", len(p.value)%2)
			length := binary.LittleEndian.AppendUint32(nil, uint32(len(value)))[:width]
			raw = slices.Concat(raw[:at], length, []byte(value), rest)
		}
		return os.WriteFile(path, raw, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// searchOutputs looks for texts in every file below a folder and complains of each place.
func searchOutputs(t *testing.T, root string, secrets []string) (files int) {
	t.Helper()
	files, found := search(t, root, secrets)
	for _, places := range found {
		t.Error(places)
	}
	return files
}

// search looks for texts in every file below a folder, its name included, as UTF-8 and UTF-16,
// in capitals and small letters: as it lies there, unpacked, and of tables every cell and all
// metadata. It gives the places by text.
func search(t *testing.T, root string, secrets []string) (files int, found map[string][]string) {
	t.Helper()
	found = map[string][]string{}
	look := func(path, where string, raw []byte) {
		low := bytes.ToLower(raw)
		for _, s := range secrets {
			s = strings.ToLower(s)
			for order, text := range map[string][]byte{"UTF-8": []byte(s), "UTF-16LE": utf16Bytes(s, binary.LittleEndian), "UTF-16BE": utf16Bytes(s, binary.BigEndian)} {
				if bytes.Contains(low, text) {
					found[s] = append(found[s], fmt.Sprintf("%s (%s) holds %q in %s", path, where, s, order))
				}
			}
		}
	}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil || d.IsDir() {
			look(path, "its name", []byte(rel))
			return err
		}
		files++
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		look(path, "its name", []byte(rel))
		look(path, "as it lies there", raw)
		switch filepath.Ext(path) {
		case ".gz":
			z, err := gzip.NewReader(bytes.NewReader(raw))
			if err != nil {
				return err
			}
			if raw, err = io.ReadAll(z); err != nil {
				return err
			}
			look(path, "unpacked", raw)
		case ".arrow", ".parquet":
			have, err := table.ReadAny(path)
			if err != nil {
				return err
			}
			look(path, "metadata", []byte(fmt.Sprint(have.Provenance(), have.Schema())))
			for _, c := range have.Schema().Columns {
				if c.Type == table.String {
					look(path, "column "+c.Name, []byte(strings.Join(have.Strings(c.Name), "\n")))
				}
			}
		case ".png":
			for rest := raw[8:]; len(rest) >= 12; rest = rest[12+binary.BigEndian.Uint32(rest):] {
				if kind := string(rest[4:8]); kind != "IHDR" && kind != "IDAT" && kind != "IEND" && kind != "PLTE" && kind != "tRNS" {
					t.Errorf("%s has a chunk %s, which may hold text", path, kind)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files, found
}

func utf16Bytes(s string, order binary.AppendByteOrder) (out []byte) {
	for _, unit := range utf16.Encode([]rune(s)) {
		out = order.AppendUint16(out, unit)
	}
	return out
}

func readAny(t *testing.T, path string) *table.Table {
	t.Helper()
	have, err := table.ReadAny(path)
	if err != nil {
		t.Fatal(err)
	}
	return have
}

func TestImportCohort(t *testing.T) {
	images, clinical, mapFile, ids := hospital(t)
	secrets := []string{maidenName}
	for _, p := range people {
		secrets = append(secrets, p.secrets()...)
	}
	if _, found := search(t, filepath.Dir(images), secrets); len(found) < 4*len(people) {
		t.Fatalf("the search finds only %d of what was planted", len(found))
	}
	secrets = append(secrets, filepath.Dir(images))
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	out, apart := filepath.Join(t.TempDir(), "out"), t.TempDir()
	o := IntakeOptions{Images: images, Clinical: clinical, Map: mapFile, Out: out}

	t.Run("dry run", func(t *testing.T) {
		o := o
		o.DryRun, o.Report = true, filepath.Join(apart, "report.csv")
		var said bytes.Buffer
		if err := ImportCohort(t.Context(), o, &said); err != nil {
			t.Fatal(err, said.String())
		}
		for _, want := range []string{"A run would import 3 patients", `regions drawn`, `"GTV-1": `,
			`column "Type" holds a value that is not allowed`, `table "nh-` + ids[4] + `", images "` + ids[4] + `"`, "differs by case or blanks only", "that are not carried over: Name, Born, Case, Remarks", "Nothing was written."} {
			if !strings.Contains(said.String(), want) {
				t.Errorf("%q is not in:\n%s", want, said.String())
			}
		}
		if _, err := os.Stat(out); !errors.Is(err, fs.ErrNotExist) {
			t.Error("a dry run has made its folder")
		}
		searchOutputs(t, apart, secrets)
		if strings.Contains(strings.ToLower(said.String()), "wanderdune") {
			t.Error("a name that stands in a column that is carried over is printed")
		}
	})

	t.Run("with ids", func(t *testing.T) {
		var said bytes.Buffer
		if err := ImportCohort(t.Context(), o, &said); err != nil {
			t.Fatal(err, said.String())
		}
		searchOutputs(t, out, secrets)
		matching := readAny(t, filepath.Join(out, "matching.parquet"))
		got := map[string]string{}
		for i, id := range matching.Strings("patient_id") {
			got[id] = matching.Strings("state")[i]
		}
		if len(got) != 7 || got[ids[4]] != intake.NoRow || got[ids[0]] != intake.Matched || got[ids[1]] != intake.Matched || got[ids[2]] != intake.Matched || got[ids[3]] != intake.BadRow ||
			got["nh-"+ids[4]] != intake.NoID || got[""] != withheld {
			t.Errorf("%v", got)
		}
		if rois := matching.Strings("roi_seen"); !slices.Contains(rois, "(withheld)|GTV-1") {
			t.Errorf("%q", rois)
		}
		// What a run reads is what was imported.
		entry, err := catalog.Load(filepath.Join(out, "entry.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		root, _, err := catalog.Locate(entry, "")
		if err != nil {
			t.Fatal(err)
		}
		cohort, err := datasets.ReadClinical(root, entry)
		if err != nil {
			t.Fatal(err)
		}
		cfg, err := Load(filepath.Join(out, "run.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		src, err := openSource(cfg, Env{Cache: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		s, err := src.study(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		cubes := 0
		for i, p := range s.cohort.Patients {
			if s.cubes[i] != nil {
				cubes++
			}
			if want := []float64{60, 75, 89.5}[slices.Index(ids, p.ID)]; p.Age.V != want {
				t.Errorf("%s is %v years old, want %v", p.ID, p.Age.V, want)
			}
		}
		if len(cohort.Patients) != 3 || cubes != 3 {
			t.Errorf("%d patients, %d cubes", len(cohort.Patients), cubes)
		}
		// The roles that the run deals out are those in the cohort's table.
		frozen, err := datasets.ReadCohort(filepath.Join(out, "cohort.arrow"), "north")
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range frozen.Patients {
			if q := s.cohort.Patients[i]; p.ID != q.ID || p.Role != q.Role {
				t.Errorf("%s is %s in the table, %s %s in a run", p.ID, p.Role, q.ID, q.Role)
			}
		}
		// Again: the same. With pseudonyms: another folder.
		if err := ImportCohort(t.Context(), o, &said); err != nil {
			t.Error(err)
		}
		again := o
		again.Pseudonymise, again.Key, again.NewKey = true, filepath.Join(apart, "other key"), true
		var bad *IntakeError
		if err := ImportCohort(t.Context(), again, &said); !errors.As(err, &bad) || !strings.Contains(err.Error(), "another key") {
			t.Error(err)
		}
	})

	t.Run("pseudonyms", func(t *testing.T) {
		o := o
		o.Out, o.Pseudonymise, o.Key, o.NewKey, o.Crosswalk, o.Ages90, o.Jobs = filepath.Join(t.TempDir(), "first"), true, filepath.Join(apart, "key"), true, filepath.Join(apart, "crosswalk.csv"), true, 1
		o.NoVolumes = true
		var said bytes.Buffer
		if err := ImportCohort(t.Context(), o, &said); err != nil {
			t.Fatal(err, said.String())
		}
		key, err := os.ReadFile(o.Key)
		if err != nil {
			t.Fatal(err)
		}
		all := slices.Concat(secrets, ids, []string{strings.Fields(string(key[bytes.IndexByte(key, '\n'):]))[0]})
		plain := readAny(t, filepath.Join(out, "prepared", prepare.ImagingFile))
		all = append(all, plain.Strings("series_uid")...)
		if n := searchOutputs(t, o.Out, all); n < 20 {
			t.Errorf("only %d files", n)
		}
		for _, s := range all {
			if strings.Contains(said.String(), s) {
				t.Errorf("%q is printed", s)
			}
		}
		walk, err := os.ReadFile(o.Crosswalk)
		if err != nil {
			t.Fatal(err)
		}
		pseudonyms := map[string]string{}
		for _, row := range strings.Split(strings.TrimSpace(string(walk)), "\n")[1:] {
			id, pseudonym, _ := strings.Cut(row, ",")
			pseudonyms[id] = pseudonym
		}
		if info, err := os.Stat(o.Crosswalk); err != nil || info.Mode().Perm() != 0o600 || len(pseudonyms) != 6 {
			t.Error(info.Mode(), err, pseudonyms)
		}
		told := readAny(t, filepath.Join(o.Out, "matching.arrow"))
		for _, column := range []string{"roi_seen", "row"} {
			if slices.Contains(told.Valid(column), true) {
				t.Errorf("column %s of the matching holds %q", column, told.Strings(column))
			}
		}
		// The ROI's name that is a name is left out with pseudonyms, and the patient stays.
		hidden := readAny(t, filepath.Join(o.Out, "prepared", prepare.ImagingFile))
		cube := map[string]string{}
		for i, id := range hidden.Strings("patient_id") {
			cube[id] = hidden.Strings("cube_sha256")[i]
		}
		if len(cube) != 3 || cube[pseudonyms[ids[1]]] == "" {
			t.Errorf("%v", cube)
		}
		for i, id := range plain.Strings("patient_id") {
			if cube[pseudonyms[id]] != plain.Strings("cube_sha256")[i] {
				t.Errorf("%s has another cube under its pseudonym", id)
			}
		}
		frozen, err := datasets.ReadCohort(filepath.Join(o.Out, "cohort.parquet"), "north")
		if err != nil {
			t.Fatal(err)
		}
		ages := map[float64]int{}
		for _, p := range frozen.Patients {
			ages[p.Age.V]++
			if want, known := map[string]float64{pseudonyms[ids[0]]: 60, pseudonyms[ids[1]]: 75, pseudonyms[ids[2]]: 90}[p.ID]; known && p.Age.V != want {
				t.Errorf("%s is %v years old, want %v", p.ID, p.Age.V, want)
			}
		}
		if len(frozen.Patients) != 4 || ages[60] != 1 || ages[75] != 1 || ages[90] != 2 { // 89.5 and 95
			t.Errorf("ages %v", ages)
		}
		// The same key and another number of workers give the same bytes.
		second := o
		second.Out, second.NewKey, second.Jobs = filepath.Join(t.TempDir(), "second"), false, 3
		if err := ImportCohort(t.Context(), second, &said); err != nil {
			t.Fatal(err)
		}
		for _, name := range append(slices.DeleteFunc(slices.Clone(intakeFiles), func(n string) bool { return n == "run.yaml" }), "prepared/imaging.arrow", "prepared/exclusions.arrow", "prepared/qc.html") {
			a, errA := os.ReadFile(filepath.Join(o.Out, name))
			b, errB := os.ReadFile(filepath.Join(second.Out, name))
			if errA != nil || errB != nil || !bytes.Equal(a, b) {
				t.Errorf("%s differs (%d and %d bytes, %v %v)", name, len(a), len(b), errA, errB)
			}
		}
	})
}

// A scan and a mask as NIfTI files give the cube that the same scan gives as DICOM.
func TestImportNIfTI(t *testing.T) {
	p, err := phantom.New(phantom.Default())
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	images, scans := filepath.Join(root, "nifti"), filepath.Join(root, "dicom")
	const subject = 200
	ct, mask := p.Scan(subject)
	if err := errors.Join(p.WriteDICOM(scans, subject), os.MkdirAll(filepath.Join(images, "NH7"), 0o755), os.MkdirAll(filepath.Join(images, "NH8"), 0o755)); err != nil {
		t.Fatal(err)
	}
	clinical, mapFile := filepath.Join(root, "c.csv"), filepath.Join(root, "map.yaml")
	text := strings.Replace(intakeMap, "images: {kind: dicom, roi: [GTV-1]}", `images: {kind: nifti, id: {pattern: 'NH(?P<patient>.+)'}, scan: '(?P<patient>[^/]+)/ct\.nii\.gz', mask: '(?P<patient>[^/]+)/tumour\.nii\.gz', labels: [1]}`, 1)
	text = strings.Replace(text, "split: {tune_fraction: 0.3, test_fraction: 0.3, split_seed: 1}", "role: test", 1)
	err = errors.Join(
		nifti.Write(filepath.Join(images, "NH7", "ct.nii.gz"), ct, nifti.Float32), nifti.WriteMask(filepath.Join(images, "NH7", "tumour.nii.gz"), mask),
		nifti.Write(filepath.Join(images, "NH8", "ct.nii.gz"), ct, nifti.Float32),
		os.WriteFile(clinical, []byte("Patient,Name,Born,Case,Age,Sex,Type,Months,Dead\nNH-7,,,,60,m,A,30,n\nNH-8,,,,61,m,A,30,n\n"), 0o644),
		os.WriteFile(mapFile, []byte(text), 0o644),
	)
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(root, "out")
	var said bytes.Buffer
	if err := ImportCohort(t.Context(), IntakeOptions{Images: images, Clinical: clinical, Map: mapFile, Out: out, NoVolumes: true}, &said); err != nil {
		t.Fatal(err, said.String())
	}
	o := prepare.Options{Root: scans, Out: filepath.Join(root, "prepared"), Cohort: "dicom", Cube: Default().cubeSpec()}
	o.Rule.Exact = []string{phantom.ROIName}
	if _, err := prepare.Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	got, want := readAny(t, filepath.Join(out, "prepared", prepare.ImagingFile)), readAny(t, filepath.Join(root, "prepared", prepare.ImagingFile))
	if got.Rows() != 1 || got.Strings("patient_id")[0] != "7" || got.Strings("cube_sha256")[0] != want.Strings("cube_sha256")[0] {
		t.Errorf("%d rows, patient %q, cubes %s and %s", got.Rows(), got.Strings("patient_id"), got.Strings("cube_sha256"), want.Strings("cube_sha256"))
	}
	matching := readAny(t, filepath.Join(out, "matching.arrow"))
	if r := matching.Strings("reason"); matching.Rows() != 2 || r[1] != "there is a scan and no mask" {
		t.Errorf("%q", r)
	}
	if entry, err := catalog.Load(filepath.Join(out, "entry.yaml")); err != nil || entry.Tables[0].Role != "test" {
		t.Error(entry.Tables, err)
	}
	if _, err := os.Stat(filepath.Join(out, "run.yaml")); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(said.String(), "The cohort has one role, test") {
		t.Error("a cohort of one role has a config to train on it", err)
	}
}

func TestIntakeChoices(t *testing.T) {
	root := t.TempDir()
	images, mapFile, clinical := filepath.Join(root, "images"), filepath.Join(root, "map.yaml"), filepath.Join(root, "c.csv")
	err := errors.Join(os.MkdirAll(filepath.Join(root, "foreign"), 0o755), os.Mkdir(images, 0o755), os.WriteFile(mapFile, []byte(intakeMap), 0o644), os.WriteFile(clinical, []byte("Patient,Name,Born,Case,Age,Sex,Type,Months,Dead\n"), 0o644),
		os.WriteFile(filepath.Join(root, "foreign", "thesis.doc"), nil, 0o644), os.WriteFile(filepath.Join(root, "list.csv"), []byte("a,b\n"), 0o644),
		os.Symlink(images, filepath.Join(root, "link")))
	if err != nil {
		t.Fatal(err)
	}
	at := func(name string) string { return filepath.Join(root, name) }
	for _, c := range []struct {
		change func(o *IntakeOptions)
		says   string
	}{
		{func(o *IntakeOptions) {}, "could be matched"},
		{func(o *IntakeOptions) { o.DryRun = true }, "could be matched"},
		{func(o *IntakeOptions) { o.Map = at("none.yaml") }, "--example"},
		{func(o *IntakeOptions) { o.Images = clinical }, "is no folder"},
		{func(o *IntakeOptions) { o.Clinical = at("none.csv") }, "none.csv"},
		{func(o *IntakeOptions) { o.Out = filepath.Join(images, "out") }, "lies in their folder"},
		{func(o *IntakeOptions) { o.Out = at("link/out") }, "lies in their folder"},
		{func(o *IntakeOptions) { o.Out = root }, "holds the images"},
		{func(o *IntakeOptions) { o.Report = at("r.csv") }, "is for --dry-run"},
		{func(o *IntakeOptions) { o.DryRun, o.Report = true, at("r.xlsx") }, ".csv, .arrow or .parquet"},
		{func(o *IntakeOptions) { o.Key = at("key") }, "add --pseudonymise"},
		{func(o *IntakeOptions) { o.Pseudonymise = true }, "--key FILE"},
		{func(o *IntakeOptions) { o.Pseudonymise, o.Key = true, at("key") }, "is not there"},
		{func(o *IntakeOptions) { o.Pseudonymise, o.Key, o.NewKey = true, at("out/key"), true }, "would be passed on"},
		{func(o *IntakeOptions) { o.Pseudonymise, o.Key, o.NewKey = true, at("link/key"), true }, "would be passed on"},
		{func(o *IntakeOptions) {
			o.Pseudonymise, o.Key, o.NewKey, o.Crosswalk = true, at("key"), true, at("out/x.csv")
		}, "would be passed on"},
		{func(o *IntakeOptions) {
			o.Pseudonymise, o.Key, o.NewKey, o.Crosswalk = true, at("key"), true, at("list.csv")
		}, "is no crosswalk"},
		{func(o *IntakeOptions) { o.Pseudonymise, o.Key, o.NewKey, o.DryRun = true, at("key"), true, true }, "a dry run writes none"},
	} {
		o := IntakeOptions{Images: images, Clinical: clinical, Map: mapFile, Out: at("out")}
		c.change(&o)
		if err := ImportCohort(t.Context(), o, io.Discard); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v, want %q", o, err, c.says)
		}
		for _, name := range []string{"out", "key"} {
			if _, err := os.Stat(at(name)); err == nil {
				t.Fatalf("%+v: %s was made", o, name)
			}
		}
	}
}
