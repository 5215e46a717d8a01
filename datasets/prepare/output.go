package prepare

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/google/renameio/v2"
	"golang.org/x/sync/errgroup"

	"hounsfield/datasets"
	"hounsfield/datasets/nifti"
	"hounsfield/datasets/table"
	"hounsfield/datasets/volume"
)

// write writes the files of one patient and makes its row. The scan is let go of
// on the way, to make room for the volumes: p is spent afterwards.
func (o Options) write(ctx context.Context, p *Prepared, folder string) (*row, error) {
	dir := filepath.Join(o.Out, folder)
	fail := func(err error) (*row, error) { return nil, &WriteError{Patient: p.PatientID, Err: err} }
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fail(err)
	}
	defer p.release()
	r := newRow(p)
	r.cohort, r.contours = o.Cohort, relative(o.Root, p.Contours)
	r.cubeFile, r.qcFile = folder+"/cube.nii.gz", folder+"/qc.png"
	file := func(name string) string { return filepath.Join(dir, name) }
	cube := &volume.Volume{Grid: p.CubeGrid(), HU: p.Cube.HU}
	iso := p.CT.Grid.Isotropic(o.Cube.SpacingMM)
	if o.KeepVolumes {
		r.ctFile, r.maskFile = folder+"/ct_1mm.nii.gz", folder+"/mask_1mm.nii.gz"
	}
	// Two halves of about the same work, packing the 1 mm volume aside.
	var group errgroup.Group
	group.Go(func() error {
		if err := nifti.Write(file("cube.nii.gz"), cube, nifti.Float32); err != nil || !o.KeepVolumes || ctx.Err() != nil {
			return err
		}
		ct := volume.Resample(p.CT, iso)
		if p.HUMin < math.MinInt16 || p.HUMax > math.MaxInt16 { // metal, on an odd scale
			return nifti.Write(file("ct_1mm.nii.gz"), ct, nifti.Float32)
		}
		return nifti.Write(file("ct_1mm.nii.gz"), ct)
	})
	group.Go(func() error {
		if err := writeQC(file("qc.png"), p); err != nil || !o.KeepVolumes || ctx.Err() != nil {
			return err
		}
		return nifti.WriteMask(file("mask_1mm.nii.gz"), volume.ResampleMask(p.Mask, iso))
	})
	if err := group.Wait(); err != nil {
		return fail(err)
	}
	return r, context.Cause(ctx)
}

// release lets go of voxels, which the row of a patient no longer needs. Left to
// itself the collector waits until the heap has doubled, with the next patient's
// scan in it; voxels hold no pointers, so collecting at once costs next to nothing.
func (p *Prepared) release() {
	p.CT.HU, p.Mask.In, p.Cube.HU = nil, nil, nil
	runtime.GC()
}

func writeQC(path string, p *Prepared) error {
	f, err := renameio.NewPendingFile(path, renameio.WithTempDir(filepath.Dir(path)), renameio.WithPermissions(0o644))
	if err != nil {
		return err
	}
	defer f.Cleanup() // does nothing once the file has its name
	encoder := png.Encoder{CompressionLevel: png.BestSpeed}
	if err := encoder.Encode(f, volume.QCPicture(p.CT, p.Mask, p.Cube, p.Spec)); err != nil {
		return err
	}
	return f.CloseAtomicallyReplace()
}

// folderNames gives each patient a folder of its own. A PatientID that is a safe
// name on every file system is its own folder; any other is cleaned and gets a
// hash of the ID, so that no two patients share one.
func folderNames(ids []string) map[string]string {
	taken := map[string]bool{}
	for _, t := range []string{"imaging.arrow", "imaging.parquet", "exclusions.arrow"} {
		taken[t] = true
	}
	out := make(map[string]string, len(ids))
	for _, id := range ids {
		name := cleanName(id)
		if name != id || taken[strings.ToLower(name)] {
			sum := sha256.Sum256([]byte(id))
			name = fmt.Sprintf("%s-%s", name, hex.EncodeToString(sum[:4]))
			for taken[strings.ToLower(name)] {
				name += "x" // another patient bears this very name
			}
		}
		taken[strings.ToLower(name)] = true
		out[id] = name
	}
	return out
}

// cleanName keeps letters, digits, and - _ . inside the name.
func cleanName(id string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.' {
			return r
		}
		return '_'
	}, id)
	name = strings.Trim(name, ".")
	name = name[:min(len(name), 64)]
	if name == "" {
		name = "patient"
	}
	return name
}

// row is one row of the imaging table.
type row struct {
	*Prepared
	cohort, contours, cubeFile, qcFile, ctFile, maskFile string

	hash            string
	mean, low, high float64
	padded          int
	spacing         [3]float64
	size            [3]int
}

func newRow(p *Prepared) *row {
	r := &row{Prepared: p, hash: CubeHash(p.Cube), padded: p.centralPadded(), spacing: p.CT.Grid.Spacing, size: p.CT.Grid.Size}
	r.mean, r.low, r.high = inputStats(p.Cube, p.Spec.Size)
	return r
}

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
	id := text("patient_id", "PatientID of the DICOM files", func(r *row) string { return r.PatientID })
	id.Unique = true
	out := []imagingColumn{
		id,
		maybe("cohort", "cohort the patient belongs to", func(r *row) string { return r.cohort }),
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
		maybe("mask_file", "mask on the isotropic grid", func(r *row) string { return r.maskFile }),
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
