package experiments

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hounsfield/datasets"
	"hounsfield/datasets/dicom"
	"hounsfield/datasets/fetch"
	"hounsfield/datasets/fetch/fetchtest"
)

// archived puts the DICOM files of phantoms into an archive that speaks NBIA's protocol.
func archived(t *testing.T, patients int) (*fetchtest.NBIA, []string) {
	t.Helper()
	folder := t.TempDir()
	writePhantoms(t, folder, patients)
	tree, err := dicom.Index(folder)
	if err != nil {
		t.Fatal(err)
	}
	var all []fetchtest.Series
	var ids []string
	for i, p := range tree.Patients {
		ids = append(ids, p.ID)
		scan := fetchtest.Series{Collection: "Small", Patient: p.ID, Study: fmt.Sprintf("1.2.%d", i), UID: p.Series[0].UID, Modality: "CT", Licence: "CC BY 9.9"}
		contours := scan
		contours.UID, contours.Modality = fmt.Sprintf("1.2.%d.2", i), "RTSTRUCT"
		add := func(to *fetchtest.Series, files ...string) {
			for _, file := range files {
				data, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				to.Files = append(to.Files, fetchtest.File{Name: fmt.Sprintf("%08d.dcm", len(to.Files)+1), Data: data})
			}
		}
		slices, err := filepath.Glob(filepath.Join(folder, p.ID, "CT", "*"))
		if err != nil {
			t.Fatal(err)
		}
		add(&scan, slices...)
		add(&contours, p.Structures...)
		all = append(all, scan, contours)
	}
	server := fetchtest.NewNBIA(all...)
	t.Cleanup(server.Close)
	return server, ids
}

// One command goes from nothing to a prepared cohort, scans and clinical table fetched from
// archives; typed again it fetches and makes nothing.
func TestPrepareFetches(t *testing.T) {
	nbia, ids := archived(t, 2)
	clinical := []byte("id,age,sex,days,event\n" + ids[0] + ",70,male,400,true\n" + ids[1] + ",61,female,900,false\nNOBODY,50,male,20,true\n")
	plain := fetchtest.NewPlain(map[string][]byte{"/clinical.csv": clinical})
	t.Cleanup(plain.Close)
	entry := filepath.Join(t.TempDir(), "small.yaml")
	putFile(t, entry, fmt.Sprintf(`name: small
title: A small cohort
what: for tests
study: none
licence: CC BY 9.9
terms: {commercial: "no", redistribution: "yes"}
cite: ["Nobody, doi:10.1/1"]
files:
  - {path: small/clinical.csv, size: %d, sha256: %x, url: "https://example.org/clinical.csv", what: survival}
tables:
  - file: small/clinical.csv
    cohort: S
    role: train
    rows: 3
    columns:
      patient_id: {header: id}
      age: {header: age}
      sex: {header: sex}
      survival_days: {header: days}
      event: {header: event}
      histology: {absent: true}
      t: {absent: true}
      n: {absent: true}
      m: {absent: true}
      stage: {absent: true}
      alive_2yr: {absent: true}
images:
  folder: small/dicom
  modality: CT, RTSTRUCT
  layout: any
  obtain: ask
  patients: 2
  roi: {exact: [GTV-1], why: it is the tumour}
  sources:
    - {kind: nbia, collections: [Small]}
`, len(clinical), sha256.Sum256(clinical)))
	t.Chdir(t.TempDir())
	client := fetch.ClientOptions{RequestsPerSecond: 1e6, Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
		Transport: hosts{"services.cancerimagingarchive.net": nbia.Transport(), "example.org": plain.Transport()}}
	o := PrepareOptions{Source: entry, NoVolumes: true, Fetch: &FetchOptions{Dest: filepath.Join(t.TempDir(), "data"), Typed: "hounsfield prepare small.yaml --fetch", client: &client}}
	var said strings.Builder
	if err := Prepare(t.Context(), o, &said); err == nil || !strings.Contains(err.Error(), "--accept-licence") {
		t.Fatalf("without a word on the licence: %v", err)
	}
	o.Fetch.AcceptLicence = true
	said.Reset()
	if err := Prepare(t.Context(), o, &said); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"CC BY 9.9", "5 items fetched", "clinical: 3 patients in small/clinical.csv", "2 of 2 patients prepared",
		"left out: NOBODY (image): the clinical table has this patient, and there is no scan", filepath.Join("prepared", "small", "qc.html")} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("%q is not said:\n%s", want, said.String())
		}
	}
	cohort, err := datasets.ReadCohort(filepath.Join("prepared", "small", "cohort.arrow"), "small")
	if err != nil {
		t.Fatal(err)
	}
	outcomes, err := cohort.Outcomes(datasets.Train)
	if err != nil || !slices.Equal([]string{cohort.Patients[0].ID, cohort.Patients[1].ID}, ids) || outcomes[1].SurvivalDays.V != 900 {
		t.Errorf("%v of %v, %v", outcomes, cohort.Patients, err)
	}
	if strings.Contains(said.String(), "next:") {
		t.Errorf("in the middle it says what to do next:\n%s", said.String())
	}
	before := treeOf(t, "prepared")
	said.Reset()
	if err := Prepare(t.Context(), o, &said); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(said.String(), "(2 kept from before, 0 made anew)") || !strings.Contains(said.String(), "0 items fetched, 5 were here") {
		t.Errorf("typed again it says:\n%s", said.String())
	}
	for name, sum := range treeOf(t, "prepared") {
		if before[name] != sum && !ofTime(name) {
			t.Errorf("typed again it changed %s", name)
		}
	}
}
