package prepare

import (
	"math"
	"strings"

	"hounsfield/datasets"
	"hounsfield/datasets/table"
	"hounsfield/datasets/volume"
)

// imagingColumn is a column of the imaging table and where its values come from.
type imagingColumn struct {
	table.Column
	value func(r *row) any // string, float64 or int64; "" is null
}

func imagingColumns() []imagingColumn {
	text := func(name, about string, v func(r *row) string) imagingColumn {
		return imagingColumn{table.Column{Name: name, Type: table.String, Description: about}, func(r *row) any { return v(r) }}
	}
	maybe := func(name, about string, v func(r *row) string) imagingColumn {
		c := text(name, about, v)
		c.Nullable = true
		return c
	}
	number := func(name, unit, about string, v func(r *row) float64) imagingColumn {
		return imagingColumn{table.Column{Name: name, Type: table.Float64, Unit: unit, Description: about}, func(r *row) any { return v(r) }}
	}
	count := func(name, unit, about string, v func(r *row) int) imagingColumn {
		return imagingColumn{table.Column{Name: name, Type: table.Int64, Unit: unit, Description: about}, func(r *row) any { return int64(v(r)) }}
	}
	after := number("after_minutes", "minutes", "how long after the first scan this one was acquired; null for the first and where the files do not say", func(r *row) float64 {
		if r.After == 0 {
			return math.NaN()
		}
		return r.After.Minutes()
	})
	after.Nullable = true
	out := []imagingColumn{
		text("patient_id", "PatientID of the DICOM files; with scan and reader it names the row", func(r *row) string { return r.PatientID }),
		maybe("cohort", "cohort the patient belongs to", func(r *row) string { return r.cohort }),
		count("scan", "", "1, or 2 for the repeat of the scan", func(r *row) int { return r.Scan }),
		maybe("reader", "whose contour it is; null for the reference", func(r *row) string { return r.Reader }),
		after,
		text("series_uid", "SeriesInstanceUID of the CT", func(r *row) string { return r.SeriesUID }),
		text("contour_file", "RTSTRUCT or SEG file, below the input folder", func(r *row) string { return r.contours }),
		text("roi", "region used, as the file spells it", func(r *row) string { return r.ROI.Name }),
		text("roi_rule", "entry of the ROI rule that it matched", func(r *row) string { return r.ROI.Rule }),
		text("roi_seen", "all regions of the file, parted by |", func(r *row) string { return strings.Join(r.ROI.Seen, "|") }),
		count("slices", "", "slices of the CT", func(r *row) int { return r.size[2] }),
	}
	for a, axis := range []string{"x", "y", "z"} {
		out = append(out, number("spacing_"+axis+"_mm", "mm", "distance of the scan's voxel centres", func(r *row) float64 { return r.spacing[a] }))
	}
	for a, axis := range []string{"x", "y", "z"} {
		out = append(out, count("size_"+axis, "voxels", "size of the scan", func(r *row) int { return r.size[a] }))
	}
	out = append(out,
		number("hu_min", "HU", "smallest value of the scan", func(r *row) float64 { return float64(r.HUMin) }),
		number("hu_max", "HU", "largest value of the scan", func(r *row) float64 { return float64(r.HUMax) }),
		count("scan_crc32", "", "CRC-32 (IEEE) of the scan in whole HU, int16 little-endian, z y x, z to the head", func(r *row) int { return int(r.CRC) }),
		count("mask_voxels", "voxels", "voxels of the mask on the scan's grid", func(r *row) int { return r.MaskVoxels }),
		number("mask_mm3", "mm3", "volume of the mask on the scan's grid", func(r *row) float64 { return r.Cube.VolumeMM3 }),
		count("mask_voxels_iso", "voxels", "voxels of the mask on the isotropic grid", func(r *row) int { return r.Cube.MaskVoxels }),
	)
	for a, axis := range []string{"x", "y", "z"} {
		out = append(out, number("com_"+axis, "voxels", "centre of mass of the mask, index on the isotropic grid", func(r *row) float64 { return r.Cube.CentreOfMass[a] }))
	}
	for a, axis := range []string{"x", "y", "z"} {
		out = append(out, count("centre_"+axis, "voxels", "centre of the cube: the centre of mass cut to whole voxels", func(r *row) int { return r.Cube.CentreIndex[a] }))
	}
	for a, axis := range []string{"x", "y", "z"} {
		out = append(out, number("com_"+axis+"_mm", "mm", "centre of mass in the patient (LPS: left, back, head)", func(r *row) float64 { return r.Cube.CentreMM[a] }))
	}
	return append(out,
		count("padded_voxels", "voxels", "voxels of the cube (without margin) outside the scan, filled with air", func(r *row) int { return r.padded }),
		number("cube_mean", "", "mean of the cube (without margin), normalised: (HU+1024)/4095", func(r *row) float64 { return r.mean }),
		number("cube_min", "", "smallest normalised value of the cube", func(r *row) float64 { return r.low }),
		number("cube_max", "", "largest normalised value of the cube", func(r *row) float64 { return r.high }),
		count("cube_margin", "voxels", "margin around the cube in cube_file", func(r *row) int { return r.Cube.Margin }),
		text("cube_sha256", "SHA-256 of the cube with its margin, HU as float32 little-endian, z y x", func(r *row) string { return r.hash }),
		text("cube_file", "cube with margin, NIfTI float32 HU, below this table's folder", func(r *row) string { return r.cubeFile }),
		text("qc_file", "picture to check the cube by", func(r *row) string { return r.qcFile }),
		maybe("ct_file", "CT on the isotropic grid", func(r *row) string { return r.ctFile }),
		maybe("ct_sha256", "SHA-256 of that file", func(r *row) string { return r.ctHash }),
		maybe("mask_file", "mask on the isotropic grid", func(r *row) string { return r.maskFile }),
		maybe("mask_sha256", "SHA-256 of that file", func(r *row) string { return r.maskHash }),
		maybe("notes", "what did not quite fit", func(r *row) string { return strings.Join(r.Notes, "; ") }),
	)
}

// ImagingSchema declares the imaging table.
func ImagingSchema() table.Schema {
	s := table.Schema{Name: "imaging"}
	for _, c := range imagingColumns() {
		s.Columns = append(s.Columns, c.Column)
	}
	return s
}

func imagingTable(rows []*row, origin map[string]string) (*table.Table, error) {
	data := map[string]any{}
	for _, c := range imagingColumns() {
		switch c.Type {
		case table.Float64:
			data[c.Name] = values[float64](c, rows)
		case table.Int64:
			data[c.Name] = values[int64](c, rows)
		default:
			texts := make([]datasets.Null[string], len(rows))
			for i, v := range values[string](c, rows) {
				texts[i] = datasets.Null[string]{V: v, Valid: v != "" || !c.Nullable}
			}
			data[c.Name] = texts
		}
	}
	return table.New(ImagingSchema(), origin, data)
}

func values[V any](c imagingColumn, rows []*row) []V {
	out := make([]V, len(rows))
	for i, r := range rows {
		out[i] = c.value(r).(V)
	}
	return out
}

// CubeOf is the cube of a row of the imaging table, with its place in the patient: hu are
// the voxels of the row's cube file, margin included. Padded and MaskOutside, which the
// table does not hold, are 0.
func CubeOf(imaging *table.Table, row int, hu []float32) *volume.Cube {
	c := &volume.Cube{
		Edge: int(math.Round(math.Cbrt(float64(len(hu))))), Margin: int(imaging.Int64s("cube_margin")[row]), HU: hu,
		MaskVoxels: int(imaging.Int64s("mask_voxels_iso")[row]), VolumeMM3: imaging.Float64s("mask_mm3")[row],
	}
	for a, axis := range []string{"x", "y", "z"} {
		c.CentreOfMass[a] = imaging.Float64s("com_" + axis)[row]
		c.CentreIndex[a] = int(imaging.Int64s("centre_" + axis)[row])
		c.CentreMM[a] = imaging.Float64s("com_" + axis + "_mm")[row]
	}
	return c
}
