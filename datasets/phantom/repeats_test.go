package phantom

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"hounsfield/datasets"
	"hounsfield/datasets/dicom"
	"hounsfield/datasets/prepare"
	"hounsfield/datasets/volume"
)

// second is a subject that was scanned twice, or once.
func second(t *testing.T, p *Phantom, twice bool) int {
	t.Helper()
	for i := range p.Len() {
		if p.HasSecondScan(i) == twice {
			return i
		}
	}
	t.Fatal("no such subject")
	return 0
}

func prepared(t *testing.T, root, roi string, repeats prepare.Repeats) datasets.Images {
	t.Helper()
	out := t.TempDir()
	s, err := prepare.Run(t.Context(), prepare.Options{Root: root, Out: out, Rule: dicom.ROIRule{Exact: []string{roi}}, Repeats: repeats,
		Cube: volume.CubeSpec{Size: 50, SpacingMM: 1}, KeepVolumes: true})
	if err != nil || s.Excluded != 0 || s.Problems != 0 {
		t.Fatalf("%+v, error %v", s, err)
	}
	images, err := prepare.OpenImages(out)
	if err != nil {
		t.Fatal(err)
	}
	return images
}

func sameMask(t *testing.T, what string, got, drawn *volume.Mask) {
	t.Helper()
	if want := volume.ResampleMask(drawn, drawn.Grid.Isotropic(1)); !slices.Equal(got.In, want.In) {
		t.Errorf("%s: %d voxels came back, %d were drawn", what, got.Count(), want.Count())
	}
}

// Second scans and readers go through DICOM files and `hounsfield prepare` and come back as
// the phantom has them.
func TestRepeatsThroughDICOM(t *testing.T) {
	p := phantom(t, nil)
	twice, once := second(t, p, true), second(t, p, false)
	root := t.TempDir()
	for _, i := range []int{twice, once} {
		if err := p.WriteScanPair(root, i, [2]string{ROIName, ROIName}); err != nil {
			t.Fatal(err)
		}
	}
	pairs := prepared(t, root, ROIName, prepare.Repeats{Kind: prepare.RepeatsScans})
	place := func(i int) int { return slices.Index(pairs.IDs(), p.Subject(i).Patient.ID) }
	for k, read := range []func() (*volume.Volume, *volume.Mask, error){
		func() (*volume.Volume, *volume.Mask, error) { return pairs.Scan(t.Context(), place(twice)) },
		func() (*volume.Volume, *volume.Mask, error) { return pairs.SecondScan(t.Context(), place(twice)) },
	} {
		ct, mask := p.Scan(twice)
		if k == 1 {
			ct, mask = p.SecondScan(twice)
		}
		got, gotMask, err := read()
		if err != nil {
			t.Fatal(err)
		}
		sameMask(t, fmt.Sprint("scan ", k+1), gotMask, mask)
		for v, hu := range volume.Resample(ct, ct.Grid.Isotropic(1)).HU {
			if d := got.HU[v] - hu; d > 0.51 || d < -0.51 {
				t.Fatalf("scan %d, voxel %d: %v HU, made with %v", k+1, v, got.HU[v], hu)
			}
		}
	}
	if ct, _, err := pairs.SecondScan(t.Context(), place(once)); ct != nil || err != nil {
		t.Errorf("a second scan of who was scanned once, error %v", err)
	}

	root = filepath.Join(t.TempDir(), "readers")
	if err := p.WriteReaders(root, once, []string{"GTV-1", "GTV-1vis-1", "", "GTV-1vis-3"}); err != nil {
		t.Fatal(err)
	}
	rule, err := dicom.NewReaderRule(nil, "^GTV-1vis-(?P<reader>[0-9])$")
	if err != nil {
		t.Fatal(err)
	}
	read := prepared(t, root, "GTV-1", prepare.Repeats{Kind: prepare.RepeatsReaders, Readers: rule})
	readings, err := read.Readings(t.Context(), 0)
	if err != nil || len(readings) != 2 {
		t.Fatalf("%d readings, error %v", len(readings), err)
	}
	for k, reader := range []int{0, 2} {
		if readings[k].Reader != fmt.Sprint(reader+1) {
			t.Errorf("reader %q", readings[k].Reader)
		}
		sameMask(t, readings[k].Reader, readings[k].Mask, p.ReaderMask(once, reader))
	}
	_, mask := p.Scan(once)
	contour, err := datasets.Contour(t.Context(), read, 0)
	if err != nil {
		t.Fatal(err)
	}
	sameMask(t, "reference", contour, mask)
}
