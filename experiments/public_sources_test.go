package experiments

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hounsfield/datasets/catalog"
	"hounsfield/datasets/fetch"
	"hounsfield/datasets/fetch/fetchtest"
)

// patient makes the client of a test, all of whose requests go to one server.
func patient(server *fetchtest.Server) fetch.ClientOptions {
	return fetch.ClientOptions{RequestsPerSecond: 1e6, Retries: -1, Transport: server.Transport()}
}

// Scans by IDC's manifest, with the archive's own address and with another server's.
func TestFetchIDC(t *testing.T) {
	series := fetchtest.Cohort("nsclc_radiomics", "LUNG1-001", "LUNG1-002")
	buckets, ids := fetchtest.IDC("idc-open-data-cr", series...)
	server := fetchtest.NewS3(buckets)
	t.Cleanup(server.Close)
	manifest := filepath.Join(t.TempDir(), "cohort.s5cmd")
	var lines strings.Builder
	for _, id := range ids {
		fmt.Fprintf(&lines, "cp s3://idc-open-data-cr/%s/* .\n", id)
	}
	putFile(t, manifest, lines.String())
	for _, o := range []FetchOptions{{Source: "idc"}, {}, {Source: "idc", Server: server.Base}, {Source: "idc", Server: "https://{bucket}.s3.eu-west-1.amazonaws.com"}} {
		o.Dest, o.Manifest, o.Only, o.AcceptLicence = t.TempDir(), manifest, OnlyImages, true
		out, err := fetchInto(t, "nsclc-radiomics", patient(server.Server), o)
		if err != nil {
			t.Fatalf("%+v: %v", o, err)
		}
		got := map[string]int{}
		for _, data := range tree(t, o.Dest) {
			got[string(data)]++
		}
		n := 0
		for _, s := range series {
			for _, f := range s.Files {
				n++
				if got[string(f.Data)] != 1 {
					t.Errorf("%+v: a file of %s is there %d times", o, s.Patient, got[string(f.Data)])
				}
			}
		}
		if len(got) != n || !strings.Contains(out, fmt.Sprintf("%d items fetched", n)) {
			t.Errorf("%+v: %d files of %d; %s", o, len(got), n, out)
		}
	}
}

// Another NBIA server, by --server.
func TestFetchServer(t *testing.T) {
	server := fetchtest.NewNBIA(fetchtest.Cohort("NSCLC-Radiomics", "LUNG1-001")...)
	t.Cleanup(server.Close)
	dest := t.TempDir()
	if _, err := fetchInto(t, "nsclc-radiomics", fetch.ClientOptions{RequestsPerSecond: 1e6}, FetchOptions{Dest: dest, Server: server.Base, Only: OnlyImages, AcceptLicence: true}); err != nil {
		t.Fatal(err)
	}
	want := map[string][]byte{}
	for p, data := range server.Files() {
		want["nsclc-radiomics/dicom/"+p] = data
	}
	same(t, tree(t, dest), want)
}

func TestFetchFigshare(t *testing.T) {
	server := fetchtest.NewFigshare(7407125, fetchtest.FigshareFile{Name: "S1 Data.csv", Data: []byte("a,b\n1,2\n")}, fetchtest.FigshareFile{Name: "S2.pdf", Data: fetchtest.Bytes(7, 5000)})
	t.Cleanup(server.Close)
	dest := t.TempDir()
	out, err := fetchInto(t, "figshare-7407125", patient(server.Server), FetchOptions{Dest: dest, AcceptLicence: true})
	if err != nil {
		t.Fatal(err)
	}
	contains(t, out, "the archive's MD5 (2 items)", "hounsfield datasets figshare-7407125")
	want := map[string][]byte{}
	for name, data := range server.Files() {
		want["figshare-7407125/"+name] = data
	}
	same(t, tree(t, dest), want)
}

// RIDER's scans are those in two lists of series, which lie on the archive's pages.
func TestFetchByLists(t *testing.T) {
	all := fetchtest.Cohort("RIDER Lung CT", "RIDER-1", "RIDER-2", "RIDER-3")
	nbia := fetchtest.NewNBIA(all...)
	t.Cleanup(nbia.Close)
	head := "downloadServerUrl=https://nlst.cancerimagingarchive.net/nbia-download/servlet/DownloadServlet\nincludeAnnotation=true\nnoOfrRetry=4\nmanifestVersion=3.0\nListOfSeriesToDownload=\n"
	entry, err := catalog.Load("rider-lung-ct")
	if err != nil {
		t.Fatal(err)
	}
	lists := entry.Images.Sources[0].Manifests
	pages := map[string][]byte{}
	for i, s := range []fetchtest.Series{all[0], all[3]} { // a scan, and a contour of another patient
		_, p, _ := strings.Cut(strings.TrimPrefix(lists[i], "https://"), "/")
		pages["/"+p] = []byte(head + s.UID + "\n")
	}
	plain := fetchtest.NewPlain(pages)
	t.Cleanup(plain.Close)
	client := fetch.ClientOptions{RequestsPerSecond: 1e6, Retries: -1, Transport: hosts{"services.cancerimagingarchive.net": nbia.Transport(), "www.cancerimagingarchive.net": plain.Transport()}}
	dest := t.TempDir()
	if _, err := fetchInto(t, "rider-lung-ct", client, FetchOptions{Dest: dest, AcceptLicence: true}); err != nil {
		t.Fatal(err)
	}
	want := map[string][]byte{}
	for p, data := range nbia.Files() {
		if strings.HasPrefix(p, "RIDER-1/"+all[0].UID+"/") || strings.HasPrefix(p, "RIDER-2/"+all[3].UID+"/") {
			want["rider-lung-ct/dicom/"+p] = data
		}
	}
	same(t, tree(t, dest), want)
	mine := filepath.Join(t.TempDir(), "mine.tcia")
	putFile(t, mine, head+all[4].UID+"\n")
	dest = t.TempDir()
	if _, err := fetchInto(t, "rider-lung-ct", client, FetchOptions{Dest: dest, AcceptLicence: true, Manifest: mine}); err != nil {
		t.Fatal(err)
	}
	if got := tree(t, dest); len(got) != 3 {
		t.Errorf("a list of one scan brings %d files", len(got))
	}
	plain.Inject(fetchtest.Status(fetchtest.Any, http.StatusNotFound, "", 0))
	if _, err := fetchInto(t, "rider-lung-ct", client, FetchOptions{Dest: dest, AcceptLicence: true}); !errors.As(err, new(*fetch.StatusError)) || !strings.Contains(err.Error(), "--manifest FILE") {
		t.Errorf("a list that is gone: %v", err)
	}
}

func TestReadTCIA(t *testing.T) {
	for text, want := range map[string]int{
		"ListOfSeriesToDownload=\n1.2.3\n4.5.6\n":                    2,
		"a=b\r\nListOfSeriesToDownload=\r\n1.2.3\r\n\r\n":            1,
		"ListOfSeriesToDownload=1.2.3\n4.5.6":                        2,
		"1.2.3\n":                                                    -1, // no head: perhaps another file
		"ListOfSeriesToDownload=\n":                                  -1,
		"ListOfSeriesToDownload=\n<html>\n":                          -1,
		"ListOfSeriesToDownload=\n../../etc\n":                       -1,
		"ListOfSeriesToDownload=\n" + strings.Repeat("1.", 40) + "1": -1,
		"": -1,
	} {
		got, err := readTCIA("list.tcia", []byte(text))
		if want < 0 && (err == nil || !strings.Contains(err.Error(), "list.tcia")) || want >= 0 && (err != nil || len(got) != want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

func FuzzReadTCIA(f *testing.F) {
	f.Add([]byte("noOfrRetry=4\nListOfSeriesToDownload=\n1.2.3\n"))
	f.Add([]byte("ListOfSeriesToDownload=1\n\xff\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		uids, err := readTCIA("list.tcia", text)
		if (err == nil) != (len(uids) > 0) {
			t.Fatalf("%d UIDs, %v", len(uids), err)
		}
		for _, u := range uids {
			if len(u) > 64 || strings.Trim(u, "0123456789.") != "" {
				t.Fatalf("%q is no UID", u)
			}
		}
	})
}

// Every shipped entry can be asked for: its sources are built and none of its words is a fault.
func TestGatherAll(t *testing.T) {
	client := fetch.NewClient(fetch.ClientOptions{Transport: hosts{}, Retries: -1})
	want := map[string]string{
		"figshare-7407125": "figshare", "hosny2018": "http", "idc-replication": "http", "lungct-diagnosis": "nbia", "nsclc-radiogenomics": "http+geo+nbia",
		"nsclc-radiomics": "http+nbia", "nsclc-radiomics-genomics": "http+geo+nbia", "nsclc-radiomics-interobserver1": "nbia", "reactome": "http",
	}
	for _, name := range catalog.Names() {
		entry, err := catalog.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		g, err := gather(t.Context(), entry, t.TempDir(), client, FetchOptions{})
		if name == "rider-lung-ct" { // which asks for its lists first
			if err == nil || !strings.Contains(err.Error(), "a test asks www.cancerimagingarchive.net") {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil || g.source.Name() != want[name] || len(g.absent) > 0 {
			t.Errorf("%s: %+v, %v", name, g, err)
		}
	}
}

// A mirror in the layout of the data folder serves tables, scans and what came from archives.
func TestFetchFromFetched(t *testing.T) {
	a := newSmallArchive(t, "P-1", "P-2")
	mirror, dest := t.TempDir(), t.TempDir()
	if _, err := a.fetch(t, FetchOptions{Dest: mirror, AcceptLicence: true}); err != nil {
		t.Fatal(err)
	}
	a.client.Transport = hosts{}
	if _, err := a.fetch(t, FetchOptions{Dest: dest, Mirror: mirror, AcceptLicence: true}); err != nil {
		t.Fatal(err)
	}
	same(t, tree(t, dest), a.want)
	dest = t.TempDir()
	if _, err := a.fetch(t, FetchOptions{Dest: dest, Mirror: mirror, AcceptLicence: true, Only: OnlyImages, Patients: []string{"P-2"}}); err != nil {
		t.Fatal(err)
	}
	for p := range a.want {
		if !strings.HasPrefix(p, "small/dicom/P-2/") {
			delete(a.want, p)
		}
	}
	same(t, tree(t, dest), a.want)
	if err := os.Remove(filepath.Join(mirror, "small", "clinical.csv")); err != nil {
		t.Fatal(err)
	}
	if _, err := a.fetch(t, FetchOptions{Dest: t.TempDir(), Mirror: mirror, AcceptLicence: true}); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "clinical.csv") {
		t.Errorf("a mirror that lacks a file: %v", err)
	}
}
