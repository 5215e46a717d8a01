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
	"slices"
	"strings"

	"github.com/google/renameio/v2"
	"golang.org/x/sync/errgroup"

	"hounsfield/datasets"
	"hounsfield/datasets/nifti"
	"hounsfield/datasets/radiomics"
	"hounsfield/datasets/table"
	"hounsfield/datasets/volume"
)

// The tables in the folder that Run fills.
const (
	ImagingFile    = "imaging.arrow"
	imagingParquet = "imaging.parquet"
	exclusionsFile = "exclusions.arrow"
)

var tableFiles = []string{ImagingFile, imagingParquet, exclusionsFile, FeaturesFile, featuresParquet}

// write writes the files of one contour and makes its row. of is the row of the scan that a
// reading was drawn on and shares the CT of, nil for the first. The cube is let go of.
func (o Options) write(ctx context.Context, p *Prepared, folder string, of *row) (*row, error) {
	switch {
	case p.Reader != "":
		folder += "/reader-" + safeName(p.Reader)
	case p.Scan > 1:
		folder += fmt.Sprintf("/scan-%d", p.Scan)
	}
	dir := filepath.Join(o.Out, filepath.FromSlash(folder))
	fail := func(err error) (*row, error) { return nil, &WriteError{Patient: p.PatientID, Err: err} }
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fail(err)
	}
	if err := removeUnfinished(dir, "cube.nii.gz", "qc.png", "ct_1mm.nii.gz", "mask_1mm.nii.gz"); err != nil {
		return fail(err)
	}
	r := newRow(p)
	r.cohort, r.contours = o.Cohort, relative(o.Root, p.Contours)
	r.cubeFile, r.qcFile = folder+"/cube.nii.gz", folder+"/qc.png"
	at := func(file string) string { return filepath.Join(o.Out, filepath.FromSlash(file)) }
	iso := p.CT.Grid.Isotropic(o.Cube.SpacingMM)
	// Two halves of about the same work, packing the 1 mm volume aside.
	var group errgroup.Group
	if o.KeepVolumes {
		r.ctFile, r.maskFile = folder+"/ct_1mm.nii.gz", folder+"/mask_1mm.nii.gz"
		if p.Reader != "" {
			r.ctFile, r.ctHash = of.ctFile, of.ctHash
		}
	}
	group.Go(func() (err error) {
		if err := nifti.Write(at(r.cubeFile), &volume.Volume{Grid: p.CubeGrid(), HU: p.Cube.HU}, nifti.Float32); err != nil {
			return err
		}
		if !o.KeepVolumes || r.ctHash != "" || ctx.Err() != nil {
			return nil
		}
		var as []nifti.Option
		if p.HUMin < math.MinInt16 || p.HUMax > math.MaxInt16 { // metal, on an odd scale
			as = append(as, nifti.Float32)
		}
		if err := nifti.Write(at(r.ctFile), volume.Resample(p.CT, iso), as...); err != nil {
			return err
		}
		r.ctHash, err = fileSHA256(at(r.ctFile))
		return err
	})
	group.Go(func() (err error) {
		if err := writeQC(at(r.qcFile), p); err != nil || !o.KeepVolumes || ctx.Err() != nil {
			return err
		}
		if err := nifti.WriteMask(at(r.maskFile), volume.ResampleMask(p.Mask, iso)); err != nil {
			return err
		}
		r.maskHash, err = fileSHA256(at(r.maskFile))
		return err
	})
	var err error
	if r.features, err = o.describe(ctx, p); err != nil {
		group.Wait()
		return nil, err
	}
	if err := group.Wait(); err != nil {
		return fail(err)
	}
	p.Cube.HU = nil
	return r, context.Cause(ctx)
}

// removeUnfinished takes away the temporary files of the named ones, which a process that
// was killed has left.
func removeUnfinished(dir string, names ...string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(e.Name(), "."+name) }) {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// release lets go of voxels, which the row of a patient no longer needs. Left to
// itself the collector waits until the heap has doubled, with the next patient's
// scan in it; voxels hold no pointers, so collecting at once costs next to nothing.
func (p *Prepared) release() {
	p.CT.HU, p.Mask.In = nil, nil
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
	for _, t := range tableFiles {
		taken[t] = true
	}
	out := make(map[string]string, len(ids))
	for _, id := range ids {
		name := safeName(id)
		if taken[strings.ToLower(name)] {
			name = hashedName(id)
			for taken[strings.ToLower(name)] {
				name += "x" // another patient bears this very name
			}
		}
		taken[strings.ToLower(name)] = true
		out[id] = name
	}
	return out
}

// safeName is a name that is its own, or cleaned and with a hash of what it was.
func safeName(id string) string {
	if name := cleanName(id); name == id {
		return name
	}
	return hashedName(id)
}

func hashedName(id string) string {
	sum := sha256.Sum256([]byte(id))
	return fmt.Sprintf("%s-%s", cleanName(id), hex.EncodeToString(sum[:4]))
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
	ctHash, maskHash                                     string // of the files as they lie there
	features                                             []radiomics.Feature

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
