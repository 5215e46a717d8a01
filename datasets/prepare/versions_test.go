package prepare

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"image/png"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"hounsfield/datasets/radiomics"
)

// what is in a file, whatever packed it.
func inside(t *testing.T, path string) []byte {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Ext(path) == ".png" {
		img, err := png.Decode(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Append(nil, img)
	}
	z, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// What is made of a known patient is what it was, or the version of its stage was raised:
// only so may records of earlier runs be believed. testdata/stages.json holds the hashes of
// what is in the files (not of how it is packed) and the row; it says nothing about whether
// they are right, which other tests do. After a change that is meant, raise the version in
// stages.go and put what this test prints into the file.
func TestStageVersions(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the last digits of floating point are those of amd64")
	}
	root := t.TempDir()
	addPatient(t, root, "a", "P1")
	o := options(root, t.TempDir())
	o.panel = 0
	o.KeepVolumes, o.Features = true, &radiomics.Settings{SpacingMM: 3, BSpline: true, BinWidth: 25, LoGMM: []float64{2}}
	run(t, o)
	r := readFolder(filepath.Join(o.Out, "P1")).record.Contours[0]
	type known struct {
		Source   string            `json:"source"`
		Versions map[string]int    `json:"versions"`
		Hashes   map[string]string `json:"hashes"`
		Row      map[string]string `json:"row"`
	}
	got := known{Versions: versions, Hashes: map[string]string{}, Row: r.Row.Values}
	for stage, out := range r.Outputs {
		sum := sha256.Sum256(inside(t, filepath.Join(o.Out, out.File)))
		got.Hashes[stage] = hex.EncodeToString(sum[:])
	}
	features, err := json.Marshal(r.Features.Values)
	if err != nil {
		t.Fatal(err)
	}
	got.Hashes[stageFeatures] = hashOf(features)
	raw, err := os.ReadFile(filepath.Join("testdata", "stages.json"))
	if err != nil {
		t.Fatal(err)
	}
	var want known
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	if want.Source == "" {
		t.Error("the known results do not say where they are from")
	}
	for stage, hash := range got.Hashes {
		if want.Hashes[stage] != hash {
			t.Errorf("%s is not what it was; raise its version, or that of scan or contour, in stages.go", stage)
		}
	}
	for column, value := range want.Row { // one that was added makes other keys by itself
		if now, ok := got.Row[column]; ok && now != value {
			t.Errorf("column %s is %q and was %q; raise the version of row, scan or contour in stages.go", column, now, value)
		}
	}
	if !maps.Equal(want.Versions, versions) {
		t.Errorf("versions %v, known are results of %v", versions, want.Versions)
	}
	if t.Failed() {
		got.Source = want.Source
		text, err := json.MarshalIndent(got, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("testdata/stages.json of now:\n%s", text)
	}
}
