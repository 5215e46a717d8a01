package experiments

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"hounsfield/datasets"
	"hounsfield/datasets/phantom"
	"hounsfield/datasets/prepare"
)

// writePhantoms writes the DICOM of some phantom patients below a folder and gives their ids.
func writePhantoms(t testing.TB, folder string, n int) []string {
	t.Helper()
	p, err := phantom.New(phantom.Default())
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for i := range n {
		if err := p.WriteDICOM(folder, 40*i); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, p.Subject(40*i).Patient.ID)
	}
	return ids
}

// dataFolder is a data folder of nsclc-radiomics: a clinical table that begins with the patients
// named, and the scans of some phantoms.
func dataFolder(t testing.TB, scans int, named func(scanned []string) []string) (root string, scanned []string) {
	t.Helper()
	root = t.TempDir()
	scanned = writePhantoms(t, filepath.Join(root, "nsclc-radiomics", "dicom"), scans)
	clinical := "PatientID,age,clinical.T.Stage,Clinical.N.Stage,Clinical.M.Stage,Overall.Stage,Histology,gender,Survival.time,deadstatus.event\n"
	if err := os.MkdirAll(filepath.Join(root, "nsclc-radiomics"), 0o755); err != nil {
		t.Fatal(err)
	}
	ids := named(scanned)
	for i := range 422 {
		id := fmt.Sprintf("LUNG1-%03d", i+1)
		if i < len(ids) {
			id = ids[i]
		}
		clinical += fmt.Sprintf("%s,70,2,1,0,II,nos,male,%d,1\n", id, 200+i%3*600)
	}
	if err := os.WriteFile(filepath.Join(root, "nsclc-radiomics", "clinical.csv"), []byte(clinical), 0o644); err != nil {
		t.Fatal(err)
	}
	return root, scanned
}

// A cohort is prepared by its name: its tables account for everybody who has a scan or a
// clinical row, the clinical table lies beside with its outcomes, and the test role is sealed
// when it is read.
func TestPrepareCohort(t *testing.T) {
	root, scanned := dataFolder(t, 11, func(ids []string) []string { return ids[:10] })
	t.Chdir(t.TempDir())
	if err := os.Mkdir("nsclc-radiomics", 0o755); err != nil { // a folder of that name is not meant
		t.Fatal(err)
	}
	var said strings.Builder
	if err := Prepare(t.Context(), PrepareOptions{Source: "nsclc-radiomics", Mirror: root, NoVolumes: true}, &said); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join("prepared", "nsclc-radiomics")
	for _, want := range []string{"is a cohort of the catalog and a folder here: this is the cohort; for the folder type ./nsclc-radiomics", "clinical: 422 patients in nsclc-radiomics/clinical.csv",
		"11 of 11 patients prepared", "image     412   LUNG1-011: the clinical table has this patient, and there is no scan",
		"clinical  1     " + scanned[10] + ": the clinical table does not have this patient: the scan is prepared, and the outcome is not known",
		"contours to check: " + filepath.Join(out, "qc.html"), filepath.Join(out, "cohort.arrow")} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("%q is not said:\n%s", want, said.String())
		}
	}
	if n := strings.Count(said.String(), "\n"); n > 15 {
		t.Errorf("%d lines for 11 who are prepared and 413 who were lost:\n%s", n, said.String())
	}
	lost, err := datasets.ReadExclusions(filepath.Join(out, "exclusions.arrow"))
	if err != nil || len(lost) != 413 || !slices.IsSortedFunc(lost, func(a, b datasets.Exclusion) int { return strings.Compare(a.Patient, b.Patient) }) {
		t.Errorf("%d exclusions, %v", len(lost), err)
	}
	for _, name := range []string{"cohort.arrow", "cohort.parquet"} {
		cohort, err := datasets.ReadCohort(filepath.Join(out, name), "lung1")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := cohort.Outcomes(datasets.Test); err == nil {
			t.Errorf("%s: the test role is not sealed when it is read", name)
		}
		outcomes, err := cohort.OpenTest(func() error { return nil })
		if err != nil || len(outcomes) != 422 || outcomes[0].SurvivalDays.V != 200 || cohort.Patients[0].ID != scanned[0] {
			t.Errorf("%s: %d outcomes of %v: %v", name, len(outcomes), cohort.Patients[0], err)
		}
	}
	// A clinical table of an earlier command does not stay beside scans that were prepared without one.
	if err := Prepare(t.Context(), PrepareOptions{Source: filepath.Join(root, "nsclc-radiomics", "dicom"), Out: out, NoVolumes: true}, io.Discard); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(out, "cohort.arrow")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the cohort table of an earlier command: %v", err)
	}
	if lost, err := datasets.ReadExclusions(filepath.Join(out, "exclusions.arrow")); err != nil || len(lost) != 0 {
		t.Errorf("exclusions of the folder %v, %v", lost, err)
	}
}

// What cannot be prepared says what can.
func TestPrepareWhat(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "scan.dcm")
	if err := os.WriteFile(file, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	root, _ := dataFolder(t, 0, func(ids []string) []string { return ids })
	imported := filepath.Join(t.TempDir(), "entry.yaml") // as `hounsfield import` makes it
	putFile(t, filepath.Join(filepath.Dir(imported), "prepared", prepare.ImagingFile), "")
	putFile(t, imported, `{name: ours, title: t, what: w, study: none, licence: none, terms: {commercial: "no", redistribution: "no"}, cite: [us],
  images: {folder: prepared, modality: CT, layout: any, obtain: it is prepared, patients: 3, role: train, roi: {exact: [GTV-1], why: w}}}`)
	for _, c := range []struct {
		o    PrepareOptions
		says string
	}{
		{PrepareOptions{Source: "nsclc-radiomic"}, `neither a cohort of the catalog nor a folder here (did you mean "nsclc-radiomics"?)`},
		{PrepareOptions{Source: "hosny2018"}, "tables and no scans"},
		{PrepareOptions{Source: file}, "is a file; name a cohort"},
		{PrepareOptions{Source: filepath.Join(folder, "gone")}, "or a folder of DICOM files"},
		{PrepareOptions{Source: filepath.Join(folder, "entry.yaml")}, "the .yaml of an entry"},
		{PrepareOptions{Source: filepath.Join(filepath.Dir(imported), "prepared")}, "an earlier command prepared; name the folder of the DICOM files"},
		{PrepareOptions{Source: folder, Out: folder}, "is the folder of the scans"},
		{PrepareOptions{Source: imported}, "prepared already, in " + filepath.Join(filepath.Dir(imported), "prepared")},
		{PrepareOptions{Source: folder, Mirror: root}, "--mirror is for a cohort"},
		{PrepareOptions{Source: folder, Fetch: &FetchOptions{}}, "--fetch is for a cohort"},
		{PrepareOptions{Source: "nsclc-radiomics", Dataset: "rider-lung-ct"}, "leave --dataset out"},
		{PrepareOptions{Source: "nsclc-radiomics", Mirror: root}, "`hounsfield prepare nsclc-radiomics --fetch`"},
		{PrepareOptions{Source: "nsclc-radiomics", Mirror: folder}, "with --fetch"},
	} {
		c.o.Out = cmp.Or(c.o.Out, filepath.Join(folder, "out"))
		if err := Prepare(t.Context(), c.o, io.Discard); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v, want %q", c.o, err, c.says)
		}
	}
	if _, err := os.Stat(filepath.Join(folder, "out")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder was made for nothing: %v", err)
	}
}

// Shards of one division work side by side, each once; nobody writes the tables beside them.
func TestShardLocks(t *testing.T) {
	t.Parallel() // it waits most of the time
	out := t.TempDir()
	first, err := lockShard(out, 0, 4)
	if err != nil {
		t.Fatal(err)
	}
	second, err := lockShard(out, 1, 4)
	if err != nil {
		t.Fatal(err)
	}
	var busy *BusyError
	var all sync.WaitGroup // each waits a while
	for what, try := range map[string]func() (io.Closer, error){
		"the same shard":   func() (io.Closer, error) { return lockShard(out, 1, 4) },
		"another division": func() (io.Closer, error) { return lockShard(out, 2, 5) },
		"all patients": func() (io.Closer, error) {
			return (&preparation{PrepareOptions: PrepareOptions{Out: out}}).lockWhole(t.Context())
		},
	} {
		all.Go(func() {
			var busy *BusyError
			if _, err := try(); !errors.As(err, &busy) {
				t.Errorf("%s beside two shards: %v", what, err)
			}
		})
	}
	all.Wait()
	if err := errors.Join(first.Close(), second.Close()); err != nil {
		t.Fatal(err)
	}
	other, err := lockShard(out, 2, 5)
	if err != nil {
		t.Fatal(err)
	}
	other.Close()
	whole, err := (&preparation{PrepareOptions: PrepareOptions{Out: out}}).lockWhole(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockShard(out, 0, 4); !errors.As(err, &busy) {
		t.Errorf("a shard beside all patients: %v", err)
	}
	whole.Close()
	if left, err := filepath.Glob(filepath.Join(out, shardsDir, "*.lock")); err != nil || len(left) > 0 {
		t.Errorf("locks left behind: %v, %v", left, err)
	}
}

// Shards one after the other and then the command without them leave what one run leaves.
func TestPrepareShards(t *testing.T) {
	scans, whole, parted := t.TempDir(), t.TempDir(), t.TempDir()
	writePhantoms(t, scans, 3)
	if err := Prepare(t.Context(), PrepareOptions{Source: scans, Out: whole}, io.Discard); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		var said strings.Builder
		if err := Prepare(t.Context(), PrepareOptions{Source: scans, Out: parted, Shard: i, Shards: 2}, &said); err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("shard %d of 2: %d of its %d patients prepared", i+1, 2-i, 2-i); !strings.Contains(said.String(), want) {
			t.Errorf("%q is not said:\n%s", want, said.String())
		}
		if _, err := os.Stat(filepath.Join(parted, prepare.ImagingFile)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a shard wrote the table: %v", err)
		}
	}
	var said strings.Builder
	if err := Prepare(t.Context(), PrepareOptions{Source: scans, Out: parted}, &said); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(said.String(), "3 of 3 patients prepared (3 kept from before, 0 made anew)") {
		t.Errorf("the merge says:\n%s", said.String())
	}
	samePrepared(t, parted, whole)
	if err := Prepare(t.Context(), PrepareOptions{Source: scans, Out: parted, Shard: 2, Shards: 2}, io.Discard); err == nil || !strings.Contains(err.Error(), "must be 1 to 2") {
		t.Errorf("a shard that is none: %v", err)
	}
}

// ofTime says whether a file of a prepared folder holds the times of other files, and so is
// never twice the same.
func ofTime(name string) bool {
	return filepath.Base(name) == "seen.json" || filepath.Base(name) == "index.json"
}

// samePrepared holds two prepared folders against each other byte by byte.
func samePrepared(t testing.TB, got, want string) {
	t.Helper()
	a, b := treeOf(t, got), treeOf(t, want)
	for _, files := range []map[string]string{a, b} {
		for name := range files {
			if strings.HasPrefix(name, ".") || ofTime(name) {
				delete(files, name)
			}
		}
	}
	if len(b) < 5 {
		t.Errorf("only %d files to compare", len(b))
	}
	for name := range b {
		if a[name] == "" {
			t.Errorf("%s is not there", name)
		} else if a[name] != b[name] {
			t.Errorf("%s differs", name)
		}
	}
	for name := range a {
		if b[name] == "" {
			t.Errorf("%s is more", name)
		}
	}
}

// treeOf are the hashes of the files below a folder by their names.
func treeOf(t testing.TB, folder string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if err == nil {
			files[filepath.ToSlash(name)], err = fileSHA256(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
