package qcsheet

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"hounsfield/datasets"
	"hounsfield/datasets/prepare"
	"hounsfield/datasets/table"
)

// row is a row of a made imaging table: what differs from a sound contour, by column.
type row map[string]any

// sound is a contour that no rule has a word against, with numbers that vary as those of
// patients do.
func sound(i int) row {
	r := rand.New(rand.NewPCG(uint64(i), 11))
	id := fmt.Sprintf("P%03d", i)
	return row{
		"patient_id": id, "cohort": "made", "scan": int64(1), "series_uid": "1.2." + id, "contour_file": id + "/RTSTRUCT.dcm",
		"roi": "GTV-1", "roi_rule": "GTV-1", "roi_seen": "GTV-1|Heart", "slices": int64(100),
		"spacing_x_mm": 0.977, "spacing_y_mm": 0.977, "spacing_z_mm": 3.0, "size_x": int64(512), "size_y": int64(512), "size_z": int64(100),
		"hu_min": -1024.0, "hu_max": 1600 + 900*r.Float64(), "scan_crc32": int64(1000 + i),
		"mask_voxels": int64(9000), "mask_mm3": 20000 + 20000*r.Float64(), "mask_voxels_iso": int64(30000),
		"com_x": 100.0, "com_y": 100.0, "com_z": 100.0, "centre_x": int64(r.IntN(400)), "centre_y": int64(r.IntN(400)), "centre_z": int64(r.IntN(400)),
		"com_x_mm": -80 + 160*r.Float64(), "com_y_mm": -50 + 100*r.Float64(), "com_z_mm": -200 + 100*r.Float64(),
		"tumour_hu": 20 + 30*r.Float64(), "mask_parts": int64(1), "mask_main_share": 1.0, "skin_mm": 40 + 40*r.Float64(),
		"contours": int64(12), "cube_mean": 0.12 + 0.1*r.Float64(), "cube_min": 0.02, "cube_max": 0.5, "cube_margin": int64(10),
		"cube_sha256": fmt.Sprintf("%064x", i+1), "cube_file": id + "/cube.nii.gz", "qc_file": id + "/qc.png",
	}
}

func (r row) with(changes row) row {
	out := maps.Clone(r)
	maps.Copy(out, changes)
	return out
}

// cohortOf makes n sound contours and the changes of some, by number.
func cohortOf(n int, changes map[int]row) []row {
	rows := make([]row, n)
	for i := range rows {
		rows[i] = sound(i).with(changes[i])
	}
	return rows
}

// folderOf writes a prepared folder: both tables, and a small picture for every contour.
func folderOf(t testing.TB, rows []row, lost ...datasets.Exclusion) string {
	t.Helper()
	folder := t.TempDir()
	data := map[string]any{}
	for _, c := range prepare.ImagingSchema().Columns {
		switch c.Type {
		case table.String:
			data[c.Name] = table.ColumnOf(rows, func(r row) datasets.Null[string] {
				v, _ := r[c.Name].(string)
				return datasets.Null[string]{V: v, Valid: v != "" || !c.Nullable}
			})
		case table.Int64:
			data[c.Name] = table.ColumnOf(rows, func(r row) int64 { v, _ := r[c.Name].(int64); return v })
		default:
			data[c.Name] = table.ColumnOf(rows, func(r row) datasets.Null[float64] {
				v, ok := r[c.Name].(float64)
				return datasets.Null[float64]{V: v, Valid: ok || !c.Nullable}
			})
		}
	}
	made, err := table.New(prepare.ImagingSchema(), map[string]string{"cube_size": "50"}, data)
	if err != nil {
		t.Fatal(err)
	}
	if err := made.Write(filepath.Join(folder, prepare.ImagingFile)); err != nil {
		t.Fatal(err)
	}
	if err := datasets.WriteExclusions(filepath.Join(folder, exclusionsFile), lost, nil); err != nil {
		t.Fatal(err)
	}
	picture := image.NewGray(image.Rect(0, 0, 120, 80))
	for i := range picture.Pix {
		picture.SetGray(i%120, i/120, color.Gray{Y: uint8(i * 7)})
	}
	var b bytes.Buffer
	if err := png.Encode(&b, picture); err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		file := filepath.Join(folder, filepath.FromSlash(r["qc_file"].(string)))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}
