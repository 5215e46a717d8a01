package experiments

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hounsfield/datasets/catalog"
	"hounsfield/datasets/fetch"
	"hounsfield/datasets/fetch/fetchtest"
	"hounsfield/experiments/progress"
)

// secret stands in an address of the made entry, as in a pre-signed one: nobody may see it again.
const secret = "TOKEN5e0d11"

// smallArchive is a made data set whose parts lie on three servers, as those of real ones do.
type smallArchive struct {
	entry  string // the YAML file
	text   string // what stands in it
	nbia   *fetchtest.NBIA
	geo    *fetchtest.Tree
	plain  *fetchtest.Tree
	client fetch.ClientOptions
	want   map[string][]byte // by path below the data folder
}

// hosts leads each archive's own address to its server here.
type hosts map[string]http.RoundTripper

func (h hosts) RoundTrip(r *http.Request) (*http.Response, error) {
	if t := h[r.URL.Hostname()]; t != nil {
		return t.RoundTrip(r)
	}
	return nil, fmt.Errorf("a test asks %s", r.URL.Host)
}

func newSmallArchive(t *testing.T, patients ...string) *smallArchive {
	t.Helper()
	table := []byte("id,days\nP-1,100\n")
	genes := fetchtest.Gzip([]byte("!Series_title\t\"small\"\n!series_matrix_table_begin\n\"ID_REF\"\t\"GSM1\"\n\"g1\"\t1.5\n!series_matrix_table_end\n"))
	symbols := fetchtest.Gzip([]byte("g1\tTP53\n"))
	a := &smallArchive{
		nbia:  fetchtest.NewNBIA(fetchtest.Cohort("Small", patients...)...),
		geo:   fetchtest.NewGEO(map[string][]byte{"GSE1234/matrix/GSE1234_series_matrix.txt.gz": genes}),
		plain: fetchtest.NewPlain(map[string][]byte{"/clinical.csv": table, "/symbols.gz": symbols}),
	}
	t.Cleanup(a.nbia.Close)
	t.Cleanup(a.geo.Close)
	t.Cleanup(a.plain.Close)
	a.client = fetch.ClientOptions{RequestsPerSecond: 1e6, Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
		Transport: hosts{"services.cancerimagingarchive.net": a.nbia.Transport(), "ftp.ncbi.nlm.nih.gov": a.geo.Transport(), "example.org": a.plain.Transport()}}
	a.want = map[string][]byte{"small/clinical.csv": table, "small/symbols.gz": symbols, "small/expression/GSE1234_series_matrix.txt.gz": genes}
	for p, data := range a.nbia.Files() {
		a.want["small/dicom/"+p] = data
	}
	a.entry = filepath.Join(t.TempDir(), "small.yaml")
	a.text = fmt.Sprintf(`name: small
title: A small data set
what: for tests
study: none
licence: CC BY 9.9
terms: {commercial: "no", redistribution: "yes"}
cite: ["Nobody, doi:10.1/1"]
files:
  - {path: small/clinical.csv, size: %d, sha256: %x, url: "https://example.org/clinical.csv?key=%s", what: survival}
  - {path: small/symbols.gz, verify: gzip, why: it is revised, url: "https://example.org/symbols.gz", optional: true, what: names}
sources:
  - {kind: geo, series: GSE1234, files: [GSE1234_series_matrix.txt.gz], folder: small/expression}
tables:
  - file: small/clinical.csv
    cohort: S
    role: test
    rows: 1
    columns: {patient_id: {header: id}}
images:
  folder: small/dicom
  modality: CT, RTSTRUCT
  layout: any
  obtain: ask
  patients: %d
  roi: {exact: [GTV-1], why: it is the tumour}
  sources:
    - {kind: nbia, collections: [Small]}
`, len(table), sha256.Sum256(table), secret, len(patients))
	a.write(t)
	return a
}

func (a *smallArchive) write(t *testing.T) {
	t.Helper()
	putFile(t, a.entry, a.text)
}

func putFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// fetch runs a fetch of the made entry and gives what was printed.
func (a *smallArchive) fetch(t *testing.T, o FetchOptions) (string, error) {
	t.Helper()
	return fetchInto(t, a.entry, a.client, o)
}

func fetchInto(t *testing.T, name string, client fetch.ClientOptions, o FetchOptions) (string, error) {
	t.Helper()
	o.client = &client
	var out bytes.Buffer
	err := Fetch(t.Context(), name, o, &out)
	words := out.String()
	if err != nil {
		words += err.Error()
	}
	if strings.Contains(words, secret) {
		t.Errorf("a secret is told: %s", words)
	}
	return out.String(), err
}

// tree are all files below a folder but the fetcher's own.
func tree(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte(secret)) {
			t.Errorf("%s holds a secret", rel)
		}
		if !strings.HasPrefix(d.Name(), ".") && d.Name() != fetch.JournalName && d.Name() != "md5hashes.csv" && d.Name() != "LICENSE" {
			files[filepath.ToSlash(rel)] = data
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return files
}

func same(t *testing.T, got, want map[string][]byte) {
	t.Helper()
	for p, data := range want {
		if !bytes.Equal(got[p], data) {
			t.Errorf("%s: %d bytes here, %d at the archive", p, len(got[p]), len(data))
		}
	}
	for p := range got {
		if _, ok := want[p]; !ok {
			t.Errorf("%s came from nowhere", p)
		}
	}
}

func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("it does not say %q:\n%s", p, text)
		}
	}
}

// The way of a user: how much is it; may I; fetch it; again.
func TestFetchDataset(t *testing.T) {
	a := newSmallArchive(t, "P-1", "P-2")
	dest := filepath.Join(t.TempDir(), "data")

	out, err := a.fetch(t, FetchOptions{Dest: dest, DryRun: true, Typed: "hounsfield fetch small.yaml --dry-run --jobs 2"})
	if err != nil {
		t.Fatal(err)
	}
	contains(t, out, "CC BY 9.9", "No commercial use", "to fetch  7 items", "patients  2 with scans", "here      0 items", "not accepted yet", "free in "+dest, "to do it  hounsfield fetch small.yaml --jobs 2\n")
	if got := tree(t, dest); len(got) > 0 {
		t.Errorf("a dry run wrote %v", got)
	}

	_, err = a.fetch(t, FetchOptions{Dest: dest, Typed: "hounsfield fetch small.yaml --dest d"})
	if err == nil || !strings.Contains(err.Error(), "type: hounsfield fetch small.yaml --dest d --accept-licence") {
		t.Errorf("without anybody to ask: %v", err)
	}
	asked := 0
	answer := false
	ask := func(question string) (bool, error) {
		asked++
		return answer, nil
	}
	if _, err := a.fetch(t, FetchOptions{Dest: dest, Ask: ask}); err == nil || !strings.Contains(err.Error(), "not accepted; nothing was fetched") || asked != 1 {
		t.Errorf("after a no (%d asked): %v", asked, err)
	}
	if got := tree(t, dest); len(got) > 0 {
		t.Errorf("without a licence there is %v", got)
	}

	answer = true
	out, err = a.fetch(t, FetchOptions{Dest: dest, Ask: ask})
	if err != nil || asked != 2 {
		t.Fatalf("after a yes (%d asked): %v", asked, err)
	}
	same(t, tree(t, dest), a.want)
	contains(t, out, "7 items fetched", "a SHA-256 known before (1 item)", "the checksum in the gzip file (2 items)", "their zip", "as the archive states it: Creative Commons Attribution 3.0 Unported License (4 items)",
		"next: hounsfield prepare "+a.entry+" --mirror "+dest+"\n") // its name alone is not known to prepare
	journal, err := os.ReadFile(filepath.Join(dest, "small", fetch.JournalName))
	if err != nil {
		t.Fatal(err)
	}
	contains(t, string(journal), "CC BY 9.9", "answered yes", `"patient":"P-2"`)

	before := a.nbia.Stats().Bytes
	out, err = a.fetch(t, FetchOptions{Dest: dest, Ask: func(string) (bool, error) { t.Error("asked again"); return false, nil }})
	if err != nil {
		t.Fatal(err)
	}
	contains(t, out, "CC BY 9.9, accepted on", "0 items fetched, 7 were here")
	if sent := a.nbia.Stats().Bytes - before; sent > 5000 {
		t.Errorf("%d bytes were sent again", sent)
	}

	// Other words are another licence.
	putFile(t, a.entry, strings.Replace(a.text, "CC BY 9.9", "CC BY 10", 1))
	if _, err := a.fetch(t, FetchOptions{Dest: dest}); err == nil || !strings.Contains(err.Error(), "has not been accepted") {
		t.Errorf("a changed licence: %v", err)
	}
}

// What the archive says of its own files comes late, but it counts.
func TestStatedLicence(t *testing.T) {
	stricter := func(commercial catalog.Answer, stated string) bool {
		var out bytes.Buffer
		printStated(catalog.Entry{Licence: "CC BY 3.0", Terms: catalog.Terms{Commercial: commercial}}, fetch.Plan{Items: []fetch.Planned{{Item: fetch.Item{Licence: stated}}, {}}}, &out)
		if !strings.Contains(out.String(), stated+" (1 item)") {
			t.Errorf("%q", out.String())
		}
		return strings.Contains(out.String(), "the stricter one holds")
	}
	for _, c := range []struct {
		commercial catalog.Answer
		stated     string
		want       bool
	}{
		{catalog.Yes, "Creative Commons Attribution-NonCommercial 3.0 Unported License", true},
		{catalog.Yes, "CC BY-NC 4.0", true},
		{catalog.Yes, "Creative Commons Attribution 3.0 Unported License", false},
		{catalog.No, "CC BY-NC 4.0", false},
	} {
		if got := stricter(c.commercial, c.stated); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

// By default the files go beside the YAML file of a user's own entry.
func TestFetchPart(t *testing.T) {
	a := newSmallArchive(t, "P-1", "P-2", "P-3")
	if _, err := a.fetch(t, FetchOptions{AcceptLicence: true, Only: OnlyTables}); err != nil {
		t.Fatal(err)
	}
	home := filepath.Dir(a.entry)
	want := map[string][]byte{}
	for p, data := range a.want {
		if !strings.HasPrefix(p, "small/dicom/") {
			want[p] = data
		}
	}
	os.Remove(a.entry) // which holds the secret
	got := tree(t, home)
	same(t, got, want)
	a.write(t)
	dest := t.TempDir()
	if _, err := a.fetch(t, FetchOptions{Dest: dest, AcceptLicence: true, Only: OnlyImages, Patients: []string{"P-1", "P-3"}}); err != nil {
		t.Fatal(err)
	}
	want = map[string][]byte{}
	for p, data := range a.want {
		if strings.HasPrefix(p, "small/dicom/P-1/") || strings.HasPrefix(p, "small/dicom/P-3/") {
			want[p] = data
		}
	}
	if len(want) != 8 {
		t.Fatalf("the test wants %d files", len(want))
	}
	same(t, tree(t, dest), want)
	if _, err := a.fetch(t, FetchOptions{Dest: dest, AcceptLicence: true, Only: OnlyImages, Patients: []string{"P-1", "P1"}}); err == nil || !strings.Contains(err.Error(), "no patient P1") {
		t.Errorf("a patient who is not there: %v", err)
	}
}

// A connection that breaks: what arrived stays, the error names each item and the command, and
// that command fetches the rest alone.
func TestFetchGoesOn(t *testing.T) {
	var patients []string
	for i := range 13 {
		patients = append(patients, fmt.Sprintf("P-%02d", i))
	}
	a := newSmallArchive(t, patients...)
	dest := t.TempDir()
	a.client.Retries = -1
	a.nbia.Inject(fetchtest.Cut(fetchtest.Content, 700, 0)) // every time
	o := FetchOptions{Dest: dest, AcceptLicence: true, Jobs: 1, Typed: "hounsfield fetch small.yaml"}
	_, err := a.fetch(t, o)
	var bad *FetchError
	if !errors.As(err, &bad) || len(bad.Errs) == 0 || bad.Of != 29 || bad.Here != 3 || len(bad.Whole) != 1 {
		t.Fatalf("%T: %+v", err, bad)
	}
	contains(t, err.Error(), "3 of 29 items of small are here, 26 are not", "small/dicom/P-00/", "one item after the other", "type the same command to go on with the rest: hounsfield fetch small.yaml")
	here := tree(t, dest)
	for p, data := range here {
		if !bytes.Equal(data, a.want[p]) {
			t.Errorf("%s lies there and is not whole", p)
		}
	}
	a.nbia.Clear()
	out, err := a.fetch(t, o)
	if err != nil {
		t.Fatal(err)
	}
	contains(t, out, fmt.Sprintf("%d were here", bad.Here))
	same(t, tree(t, dest), a.want)
}

// Of many errors ten are told, and how many more there are.
func TestFetchError(t *testing.T) {
	e := &FetchError{Name: "small", Here: 1, Of: 14, Whole: []error{errors.New("the disk is full")}, Command: "hounsfield fetch small"}
	for i := range 12 {
		e.Errs = append(e.Errs, &fetch.TransferError{Path: "small/x", Next: "wait a day", Err: fmt.Errorf("fault %d", i)})
	}
	words := e.Error()
	contains(t, words, "1 of 14 items of small are here, 13 are not:\n  fetch small/x: fault 0\n", "fault 9\n  ... and 2 more\n  the disk is full\nwait a day\ntype the same command")
	if strings.Contains(words, "fault 10") || strings.Count(words, "wait a day") != 1 || len(e.Unwrap()) != 13 {
		t.Errorf("%s", words)
	}
}

func TestFetchRefuses(t *testing.T) {
	a := newSmallArchive(t, "P-1")
	mirror := t.TempDir()
	for _, c := range []struct {
		name string
		o    FetchOptions
		says []string
	}{
		{a.entry, FetchOptions{Only: "scans"}, []string{"--only scans", "tables or images"}},
		{"hosny2018", FetchOptions{Only: OnlyImages}, []string{"no scans"}},
		{"rider-lung-ct", FetchOptions{Only: OnlyTables}, []string{"no tables"}},
		{a.entry, FetchOptions{Only: OnlyTables, Patients: []string{"P-1"}}, []string{"--patients"}},
		{a.entry, FetchOptions{Mirror: mirror, Source: "nbia"}, []string{"--mirror", "--source"}},
		{a.entry, FetchOptions{Source: "idc"}, []string{"--source idc", "nbia"}},
		{"hosny2018", FetchOptions{Source: "nbia"}, []string{"--source nbia", "leave it out"}},
		{a.entry, FetchOptions{Server: "http://archive.example.org"}, []string{"unencrypted", "https://"}},
		{a.entry, FetchOptions{Server: "https://me:" + secret + "@example.org"}, []string{"--server", "without a login"}},
		{a.entry, FetchOptions{Server: "archive"}, []string{"--server archive"}},
		{a.entry, FetchOptions{Server: "https://{bucket}.example.org"}, []string{"{bucket}", "--source idc"}},
		{"hosny2018", FetchOptions{Server: "https://{bucket}.example.org"}, []string{"{bucket}"}},
		{"hosny2018", FetchOptions{Manifest: "x.s5cmd"}, []string{"--manifest lists scans"}},
		{a.entry, FetchOptions{Jobs: -1}, []string{"--jobs -1"}},
		{"nsclc-radiomics", FetchOptions{Source: "idc"}, []string{"nsclc_radiomics", "--manifest FILE"}},
		{"nsclc-radiomics", FetchOptions{Manifest: filepath.Join(mirror, "none.tcia")}, []string{"none.tcia", "--manifest"}},
		{"nsclc-radiomix", FetchOptions{}, []string{`did you mean "nsclc-radiomics"`}},
		{a.entry, FetchOptions{Mirror: mirror}, []string{"small/clinical.csv", "not there"}},
	} {
		c.o.Dest, c.o.AcceptLicence = t.TempDir(), true
		_, err := fetchInto(t, c.name, a.client, c.o)
		if err == nil {
			t.Errorf("%s %+v: nothing is refused", c.name, c.o)
			continue
		}
		contains(t, err.Error(), c.says...)
	}
	if n := a.nbia.Stats().Requests; n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

// What no archive has is told with the way to get it; all the rest arrives.
func TestFetchByHand(t *testing.T) {
	a := newSmallArchive(t, "P-1")
	putFile(t, a.entry, strings.Replace(a.text, `url: "https://example.org/clinical.csv?key=`+secret+`", `, "", 1)+"obtain: Write to the owner.\n")
	dest := t.TempDir()
	_, err := a.fetch(t, FetchOptions{Dest: dest, AcceptLicence: true})
	var bad *FetchError
	if !errors.As(err, &bad) || len(bad.Errs) != 0 {
		t.Fatalf("%v", err)
	}
	contains(t, err.Error(), "small/clinical.csv", "Write to the owner.")
	want := a.want["small/clinical.csv"]
	delete(a.want, "small/clinical.csv")
	same(t, tree(t, dest), a.want)
	putFile(t, filepath.Join(dest, "small", "clinical.csv"), string(want))
	if _, err := a.fetch(t, FetchOptions{Dest: dest}); err != nil {
		t.Errorf("with the file put there by hand: %v", err)
	}
}

// A stop in the middle is no fault, and says how to go on.
func TestFetchStopped(t *testing.T) {
	a := newSmallArchive(t, "P-1")
	ctx, cancel := context.WithCancel(t.Context())
	a.client.Transport.(hosts)["services.cancerimagingarchive.net"] = roundTrip(func(r *http.Request) (*http.Response, error) {
		if strings.Contains(r.URL.Path, "getImage") {
			cancel()
		}
		return a.nbia.Transport().RoundTrip(r)
	})
	err := Fetch(ctx, a.entry, FetchOptions{Dest: t.TempDir(), AcceptLicence: true, client: &a.client, Typed: "hounsfield fetch small.yaml"}, &bytes.Buffer{})
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "the same command goes on: hounsfield fetch small.yaml") {
		t.Errorf("%v", err)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// The mirror of real data: what is in it arrives, and says so.
func TestFetchMirror(t *testing.T) {
	mirror := os.Getenv(catalog.MirrorVariable)
	if mirror == "" {
		t.Skipf("no data folder: set %s to one", catalog.MirrorVariable)
	}
	dest := t.TempDir()
	out, err := fetchInto(t, "nsclc-radiogenomics", fetch.ClientOptions{}, FetchOptions{Mirror: mirror, Dest: dest, AcceptLicence: true, Only: OnlyTables})
	if err != nil {
		t.Fatal(err)
	}
	contains(t, out, "a SHA-256 known before (2 items)", "next: hounsfield datasets nsclc-radiogenomics --mirror "+dest+"\n")
	entry, err := catalog.Load("nsclc-radiogenomics")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range entry.Verify(dest) {
		if row.Status != catalog.Present {
			t.Errorf("%+v", row)
		}
	}
	os.Remove(filepath.Join(dest, "nsclc-radiogenomics", "clinical.csv"))
	out, err = fetchInto(t, "nsclc-radiogenomics", fetch.ClientOptions{}, FetchOptions{Mirror: mirror, Dest: dest, Only: OnlyTables})
	if err != nil {
		t.Fatal(err)
	}
	contains(t, out, "1 item fetched", "1 were here")
	if _, err := fetchInto(t, "nsclc-radiomics", fetch.ClientOptions{}, FetchOptions{Mirror: mirror, Dest: dest, DryRun: true, Patients: []string{"LUNG1-003"}}); err == nil || !strings.Contains(err.Error(), `"LUNG1-003" (did you mean "LUNG1-002"?)`) {
		t.Errorf("a patient who is not in the mirror: %v", err)
	}
	out, err = fetchInto(t, "nsclc-radiomics", fetch.ClientOptions{}, FetchOptions{Mirror: mirror, Dest: dest, DryRun: true, Patients: []string{" LUNG1-002"}})
	if err != nil {
		t.Fatal(err)
	}
	contains(t, out, "to fetch  113 items")
}

// The list: what is here by names and sizes; the card: each file, and with Verify each checksum.
func TestShowDatasets(t *testing.T) {
	a := newSmallArchive(t, "P-1", "P-2")
	home := filepath.Dir(a.entry)
	card := func(o ShowOptions) string {
		t.Helper()
		var out bytes.Buffer
		if err := ShowDataset(t.Context(), a.entry, o, &out); err != nil {
			fmt.Fprintf(&out, "error: %v", err)
		}
		return out.String()
	}
	contains(t, card(ShowOptions{}), "missing  small/clinical.csv", "scans of 0 of 2 patients", "hounsfield fetch "+a.entry, "beside its YAML file")
	contains(t, card(ShowOptions{Verify: true}), "no checksums of scans are known")
	if _, err := a.fetch(t, FetchOptions{AcceptLicence: true}); err != nil {
		t.Fatal(err)
	}
	contains(t, card(ShowOptions{Verify: true, Progress: (*progress.Progress)(nil)}), "present  small/clinical.csv\n", "present  small/symbols.gz  nobody has published a checksum: it is whole by its own",
		"present  small/expression/GSE1234_series_matrix.txt.gz", "scans of 2 of 2 patients, 4 series", "licence accepted on", "files are what they were when they came")
	entry, err := catalog.Load(a.entry)
	if err != nil {
		t.Fatal(err)
	}
	h, err := hold(entry, "")
	if err != nil || h.files() != "2 of 2" || h.patients != 2 || h.scans != 4 || h.bytes < 8000 {
		t.Errorf("%+v, %v", h, err)
	}
	var slice string
	for p := range a.want {
		if strings.HasPrefix(p, "small/dicom/P-2/") {
			slice = p
		}
	}
	data := bytes.Clone(a.want[slice])
	data[len(data)-1] ^= 1
	putFile(t, filepath.Join(home, slice), string(data))
	putFile(t, filepath.Join(home, "small", "clinical.csv"), "id\n")
	out := card(ShowOptions{Verify: true})
	contains(t, out, "changed  small/clinical.csv  it has 3 bytes", "changed  "+slice, "error: 2 of ")
	if h, err = hold(entry, ""); err != nil || h.files() != "1 of 2, 1 changed" {
		t.Errorf("%q, %v", h.files(), err)
	}
	var list bytes.Buffer
	if err := ListDatasets(home, &list); err != nil {
		t.Fatal(err)
	}
	contains(t, list.String(), "nsclc-radiomics ", "0 of 422", "CC BY-NC 3.0", "tune, surgery (MUMC)", "Looked in "+home+" (--mirror)")
	if n := strings.Count(list.String(), "\n"); n != len(catalog.Names())+4 {
		t.Errorf("%d lines", n)
	}
}
