package prepare

import (
	"fmt"
	"math"
	"strconv"
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
	later := func(*row) string { return "" } // tableRow puts it in
	after := number("after_minutes", "minutes", "how long after the first scan this one was acquired; null for the first and where the files do not say", func(r *row) float64 {
		if r.After == 0 {
			return math.NaN()
		}
		return r.After.Minutes()
	})
	after.Nullable = true
	out := []imagingColumn{
		text("patient_id", "PatientID of the files, or what stands for it; with scan and reader it names the row", func(r *row) string { return r.PatientID }),
		maybe("cohort", "cohort the patient belongs to", later),
		count("scan", "", "1, or 2 for the repeat of the scan", func(r *row) int { return r.Scan }),
		maybe("reader", "whose contour it is; null for the reference", func(r *row) string { return r.Reader }),
		after,
		text("series_uid", "SeriesInstanceUID of the CT, or sha256: and the hash of the scan's file; with pseudonyms a UID that stands for either", func(r *row) string { return r.SeriesUID }),
		text("contour_file", "RTSTRUCT, SEG or mask file, below the input folder; (withheld) where its name says who the patient is, with pseudonyms file- and a keyed hash", func(r *row) string { return r.contours }),
		text("roi", "region used, as the file spells it, or labels of a mask", func(r *row) string { return r.ROI.Name }),
		text("roi_rule", "entry of the ROI rule that it matched, or labels asked for", func(r *row) string { return r.ROI.Rule }),
		text("roi_seen", "all regions of the file, parted by |; empty with pseudonyms", func(r *row) string { return strings.Join(r.ROI.Seen, "|") }),
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
	contours := func(name, about string, v func(volume.RasterReport) int) imagingColumn {
		return count(name, "", about+"; 0 where the region is no set of contours", func(r *row) int { return v(r.Raster) })
	}
	skin := number("skin_mm", "mm", "distance of the centre of mass to the air around the patient in its slice, 0 within that air; null where the slice shows none", func(r *row) float64 {
		if r.quality.SkinMM < 0 {
			return math.NaN()
		}
		return r.quality.SkinMM
	})
	skin.Nullable = true
	out = append(out,
		number("tumour_hu", "HU", "median of the scan within the mask", func(r *row) float64 { return r.quality.TumourHU }),
		count("mask_parts", "", "pieces of the mask; voxels that touch at a corner are one piece", func(r *row) int { return r.quality.Parts }),
		number("mask_main_share", "", "part of the mask's voxels that its largest piece holds", func(r *row) float64 { return r.quality.MainShare }),
		number("mask_gap_mm", "mm", "how far, at least, the farthest piece is from the largest: the distance of the boxes around them", func(r *row) float64 { return r.quality.GapMM }),
		number("com_off_mask_mm", "mm", "distance of the centre of mass to the nearest voxel of the mask, 0 within it", func(r *row) float64 { return r.quality.OffMaskMM }),
		number("mask_beyond_cube", "", "part of the mask's voxels outside the cube (without margin)", func(r *row) float64 { return r.quality.BeyondCube }),
		count("mask_edge_voxels", "voxels", "voxels of the mask in the outermost layer of its grid", func(r *row) int { return r.quality.EdgeVoxels }),
		count("mask_outside_voxels", "voxels", "voxels of the mask whose centre lies outside the scan", func(r *row) int { return r.quality.Outside }),
		skin,
		contours("contours", "contours of the region", func(r volume.RasterReport) int { return r.Contours }),
		contours("contours_outside", "contours wholly outside the scan, left out", func(r volume.RasterReport) int { return r.Outside }),
		contours("contours_clipped", "contours partly beside the scan", func(r volume.RasterReport) int { return r.Clipped }),
		contours("contours_off_plane", "contours not on a slice plane, put on the nearest", func(r volume.RasterReport) int { return r.OffPlane }),
		contours("slices_gap", "slices without a contour between the first and the last that has one", func(r volume.RasterReport) int { return r.GapSlices }),
	)
	return append(out,
		count("padded_voxels", "voxels", "voxels of the cube (without margin) outside the scan, filled with air", func(r *row) int { return r.padded }),
		number("cube_mean", "", "mean of the cube (without margin), normalised: (HU+1024)/4095", func(r *row) float64 { return r.mean }),
		number("cube_min", "", "smallest normalised value of the cube", func(r *row) float64 { return r.low }),
		number("cube_max", "", "largest normalised value of the cube", func(r *row) float64 { return r.high }),
		count("cube_margin", "voxels", "margin around the cube in cube_file", func(r *row) int { return r.Cube.Margin }),
		text("cube_sha256", "SHA-256 of the cube with its margin, HU as float32 little-endian, z y x", func(r *row) string { return r.hash }),
		text("cube_file", "cube with margin, NIfTI float32 HU, below this table's folder", later),
		text("qc_file", "picture to check the cube by", later),
		maybe("ct_file", "CT on the isotropic grid", later),
		maybe("ct_sha256", "SHA-256 of that file", later),
		maybe("mask_file", "mask on the isotropic grid", later),
		maybe("mask_sha256", "SHA-256 of that file", later),
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

// imagingTable makes the table of rows whose values are text (rowValues).
func imagingTable(rows []tableRow, origin map[string]string) (*table.Table, error) {
	data := map[string]any{}
	for _, c := range imagingColumns() {
		var err error
		switch c.Type {
		case table.Float64:
			data[c.Name], err = parseColumn(rows, c.Name, func(s string) (float64, error) { return strconv.ParseFloat(s, 64) })
		case table.Int64:
			data[c.Name], err = parseColumn(rows, c.Name, func(s string) (int64, error) { return strconv.ParseInt(s, 10, 64) })
		default:
			data[c.Name], err = parseColumn(rows, c.Name, func(s string) (datasets.Null[string], error) {
				return datasets.Null[string]{V: s, Valid: s != "" || !c.Nullable}, nil
			})
		}
		if err != nil {
			return nil, err
		}
	}
	return table.New(ImagingSchema(), origin, data)
}

func parseColumn[V any](rows []tableRow, name string, parse func(string) (V, error)) ([]V, error) {
	out := make([]V, len(rows))
	for i, r := range rows {
		var err error
		if out[i], err = parse(r.values[name]); err != nil {
			return nil, fmt.Errorf("prepare: patient %s, %s: %w; delete the patient's %s and run again", r.patient, name, err, recordFile)
		}
	}
	return out, nil
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
