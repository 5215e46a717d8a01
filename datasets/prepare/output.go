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

	"hounsfield/datasets/nifti"
	"hounsfield/datasets/radiomics"
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
