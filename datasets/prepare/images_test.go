package prepare

import (
	"context"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"hounsfield/datasets"
	"hounsfield/datasets/dicom"
	"hounsfield/datasets/table"
	"hounsfield/datasets/volume"
)

// sameAsScan holds a 1 mm volume against the scan it was made from, at voxels that both
// have: every 3 mm along x, 13 along y, 5 along z.
func sameAsScan(t *testing.T, ct *volume.Volume, at [3]float64) {
	t.Helper()
	native := scan(chest, at, 9)
	if want := chest.Isotropic(1); ct.Grid.Size != want.Size {
		t.Fatalf("scan of %v, want %v", ct.Grid.Size, want.Size)
	}
	for z := 0; z < chest.Size[2]; z += 2 {
		for y := 0; y < chest.Size[1]; y += 10 {
			for x := 0; x < chest.Size[0]; x += 2 {
				want := native.HU[chest.Offset(x, y, z)]
				index := [3]int{x * 3 / 2, y * 13 / 10, z * 5 / 2}
				if got := ct.HU[ct.Grid.Offset(index[0], index[1], index[2])]; got != want {
					t.Fatalf("voxel %v is %v HU, the scan has %v", index, got, want)
				}
				for a, p := range ct.Grid.Position([3]float64{float64(index[0]), float64(index[1]), float64(index[2])}) {
					if q := chest.Position([3]float64{float64(x), float64(y), float64(z)})[a]; math.Abs(p-q) > 1e-4 {
						t.Fatalf("voxel %v lies at %v along axis %d, in the scan at %v", index, p, a, q)
					}
				}
			}
		}
	}
}

// aroundBall holds a mask against the ball that was drawn.
func aroundBall(t *testing.T, m *volume.Mask, at [3]float64, radius float64) {
	t.Helper()
	index, err := m.CentreOfMass()
	if err != nil {
		t.Fatal(err)
	}
	for a, p := range m.Grid.Position(index) {
		if math.Abs(p-at[a]) > 0.4 {
			t.Errorf("centre %v along axis %d, drawn at %v", p, a, at[a])
		}
	}
	if want := 4.0 / 3 * math.Pi * radius * radius * radius; math.Abs(m.VolumeMM3()-want) > 0.1*want {
		t.Errorf("%.0f mm3, the ball has %.0f", m.VolumeMM3(), want)
	}
}

// What was prepared comes back: both scans, readings by name, the same to every caller.
func TestOpenImages(t *testing.T) {
	scans, readers := t.TempDir(), t.TempDir()
	addScan(t, scans, "B", "first", noon, here, "GTV-1")
	addScan(t, scans, "B", "second", noon.Add(time.Hour), there, "GTV-1")
	addScan(t, scans, "A", "first", noon, there, "GTV-1")
	addScan(t, readers, "A", "first", noon, here, "GTV-1", "by vis-2", "by vis-1")
	o := options(scans, t.TempDir())
	o.KeepVolumes, o.Repeats.Kind = true, RepeatsScans
	run(t, o)
	pairs, err := OpenImages(o.Out)
	if err != nil {
		t.Fatal(err)
	}
	if got := pairs.IDs(); !slices.Equal(got, []string{"A", "B"}) {
		t.Fatalf("patients %q", got)
	}
	ctx := t.Context()
	ct, mask, err := pairs.Scan(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	sameAsScan(t, ct, here)
	aroundBall(t, mask, here, 8)
	if alone, err := datasets.Contour(ctx, pairs, 1); err != nil || !slices.Equal(alone.In, mask.In) || alone.Grid != mask.Grid {
		t.Errorf("the contour alone is another: %v", err)
	}
	second, mask2, err := pairs.SecondScan(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	sameAsScan(t, second, there)
	aroundBall(t, mask2, there, 8)
	if ct, mask, err := pairs.SecondScan(ctx, 0); ct != nil || mask != nil || err != nil {
		t.Errorf("a second scan of who has none: error %v", err)
	}
	if none, err := pairs.Readings(ctx, 1); len(none) != 0 || err != nil {
		t.Errorf("%d readings, error %v", len(none), err)
	}

	o = options(readers, t.TempDir())
	o.KeepVolumes = true
	o.Repeats = Repeats{Kind: RepeatsReaders, Readers: mustReaders(t, nil, "^by(?P<reader>vis-[0-9])$")}
	run(t, o)
	read, err := OpenImages(o.Out)
	if err != nil {
		t.Fatal(err)
	}
	var group errgroup.Group
	for range 4 {
		group.Go(func() error {
			all, err := read.Readings(ctx, 0)
			if err != nil || len(all) != 2 {
				return errors.Join(err, errors.New("not two readings"))
			}
			for i, reader := range []string{"vis-1", "vis-2"} { // vis-1 was drawn last and widest
				if all[i].Reader != reader {
					t.Errorf("reader %q, want %q", all[i].Reader, reader)
				}
				aroundBall(t, all[i].Mask, here, 9-float64(i)/2)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, _, err := read.Scan(cancelled, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// A folder that cannot give scans says why, and what to do.
func TestOpenImagesRefuses(t *testing.T) {
	root := t.TempDir()
	addScan(t, root, "A", "first", noon, here, "GTV-1")
	o := options(root, t.TempDir())
	var missing *NotPreparedError
	if _, err := OpenImages(o.Out); !errors.As(err, &missing) || !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "hounsfield prepare") {
		t.Errorf("an empty folder: %v", err)
	}
	run(t, o)
	var none *NoVolumesError
	if _, err := OpenImages(o.Out); !errors.As(err, &none) || none.Patient != "A" || !strings.Contains(err.Error(), "--no-volumes") {
		t.Errorf("without volumes: %v", err)
	}
	o.KeepVolumes = true
	_, tab, _ := run(t, o)
	images, err := OpenImages(o.Out)
	if err != nil {
		t.Fatal(err)
	}
	for _, column := range []string{"ct_file", "mask_file"} {
		file := filepath.Join(o.Out, tab.Strings(column)[0])
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		raw[len(raw)-1] ^= 1
		if err := os.WriteFile(file, raw, 0o644); err != nil {
			t.Fatal(err)
		}
		var changed *ChangedError
		if _, _, err := images.Scan(t.Context(), 0); !errors.As(err, &changed) || changed.File != file || changed.Patient != "A" {
			t.Errorf("%s with a byte changed: %v", column, err)
		}
		raw[len(raw)-1] ^= 1
		if err := os.WriteFile(file, raw, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(filepath.Join(o.Out, "A", "ct_1mm.nii.gz")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := images.Scan(t.Context(), 0); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "prepare this patient again") {
		t.Errorf("a scan that is gone: %v", err)
	}
	// Tables that nobody wrote.
	for name, change := range map[string]func(map[string]any){
		"stands there twice":       func(map[string]any) {},
		"no row for the reference": func(data map[string]any) { data["scan"] = []int64{2, 3} },
		"readings are of the first": func(data map[string]any) {
			data["scan"], data["reader"] = []int64{1, 2}, []table.Null[string]{{}, table.Some("vis-1")}
		},
	} {
		data := map[string]any{}
		for _, c := range ImagingSchema().Columns {
			switch c.Type {
			case table.String:
				v := table.Nulls[string](tab, c.Name)[0]
				data[c.Name] = []table.Null[string]{v, v}
			case table.Int64:
				v := tab.Int64s(c.Name)[0]
				data[c.Name] = []int64{v, v}
			default:
				v := tab.Float64s(c.Name)[0]
				data[c.Name] = []float64{v, v}
			}
		}
		change(data)
		made, err := table.New(ImagingSchema(), nil, data)
		if err != nil {
			t.Fatal(err)
		}
		if err := made.Write(filepath.Join(o.Out, ImagingFile)); err != nil {
			t.Fatal(err)
		}
		var row *RowError
		if _, err := OpenImages(o.Out); !errors.As(err, &row) || row.Patient != "A" || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// One of an earlier version, without the columns for repeats.
	old, err := table.New(table.Schema{Name: "imaging", Columns: []table.Column{{Name: "patient_id", Type: table.String}}}, nil, map[string]any{"patient_id": []string{"A"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := old.Write(filepath.Join(o.Out, ImagingFile)); err != nil {
		t.Fatal(err)
	}
	var column *table.ColumnError
	if _, err := ReadImaging(o.Out); !errors.As(err, &column) || !strings.Contains(err.Error(), "earlier version") {
		t.Errorf("an old table: %v", err)
	}
}

// The rows that stand for their patients.
func TestReferences(t *testing.T) {
	root := t.TempDir()
	addScan(t, root, "A", "first", noon, here, "GTV-1")
	addScan(t, root, "A", "second", noon.Add(time.Hour), there, "GTV-1")
	addScan(t, root, "B", "first", noon, here, "GTV-1")
	o := options(root, t.TempDir())
	o.Repeats.Kind = RepeatsScans
	_, tab, _ := run(t, o)
	if got := References(tab); len(got) != 2 || got["A"] != 0 || got["B"] != 2 {
		t.Errorf("rows %v", got)
	}
	// The cube of a row with its place in the patient.
	tree, err := dicom.Index(root)
	if err != nil {
		t.Fatal(err)
	}
	o.Rule = rule
	found, _, err := o.find(tree.Patients[1])
	if err != nil {
		t.Fatal(err)
	}
	p, err := found[0].read(spec)
	if err != nil {
		t.Fatal(err)
	}
	got := CubeOf(tab, 2, p.Cube.HU)
	if CubeHash(got) != tab.Strings("cube_sha256")[2] || got.Grid(p.CT.Grid, spec.SpacingMM) != p.CubeGrid() || got.CentreMM != p.Cube.CentreMM || got.MaskVoxels != p.Cube.MaskVoxels {
		t.Errorf("cube %+v at %v, want it at %v", got.CentreIndex, got.CentreMM, p.Cube.CentreMM)
	}
}
