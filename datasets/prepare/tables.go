package prepare

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"hounsfield/datasets"
	"hounsfield/datasets/radiomics"
)

// The tables in the folder that Run fills.
const (
	ImagingFile    = "imaging.arrow"
	imagingParquet = "imaging.parquet"
	exclusionsFile = "exclusions.arrow"
)

// tableFiles are in the order in which they come into the folder: the imaging table, by
// which a prepared folder is known, last.
var tableFiles = []string{exclusionsFile, FeaturesFile, featuresParquet, imagingParquet, ImagingFile}

// newTables is where tables are written before they take the place of those of an earlier
// run.
const newTables = ".tables"

// tableRow is a contour as a row of the tables.
type tableRow struct {
	patient, reader string
	scan            int
	values          map[string]string // of the imaging table, as text
	features        []radiomics.Feature
}

// tableRow makes a row of a record: what was kept of its values, and what is not the
// contour's own. used are all contours of the patient.
func (w *work) tableRow(c contourRecord, used []contourRecord) (tableRow, error) {
	out := tableRow{patient: w.patient.id, scan: c.Scan, reader: c.Reader, values: maps.Clone(c.Row.Values)}
	if out.values == nil {
		return tableRow{}, errors.New("it holds no row")
	}
	set := func(stage, file, hash string) {
		f := c.Outputs[stage]
		if stage == stageCTFile && c.Reader != "" { // of the scan it was drawn on
			for _, scan := range used {
				if scan.Scan == c.Scan && scan.Reader == "" {
					f = scan.Outputs[stage]
				}
			}
		}
		if !w.wants(stage, false) {
			f = outputRecord{}
		}
		out.values[file] = f.File
		if hash != "" {
			out.values[hash] = f.SHA256
		}
	}
	out.values["cohort"] = w.Cohort
	set(stageCubeFile, "cube_file", "")
	set(stagePicture, "qc_file", "")
	set(stageCTFile, "ct_file", "ct_sha256")
	set(stageMaskFile, "mask_file", "mask_sha256")
	if w.Features != nil && c.Features != nil {
		if c.Features.Problem != "" {
			out.values["notes"] = strings.TrimPrefix(out.values["notes"]+"; no engineered features: "+c.Features.Problem, "; ")
		}
		var err error
		if out.features, err = c.Features.features(); err != nil {
			return tableRow{}, err
		}
	}
	return out, nil
}

// removeTables takes away the tables of an earlier run.
func (o Options) removeTables() error {
	for _, name := range slices.Backward(tableFiles) {
		if err := os.Remove(filepath.Join(o.Out, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return &WriteError{Err: err}
		}
	}
	return nil
}

// tables writes the tables. Those that are there and the same already stay; where one is
// not, all go before the first comes: a folder never holds tables of two runs.
func (o Options) tables(s *Summary, rows []tableRow, exclusions []datasets.Exclusion) error {
	dir := filepath.Join(o.Out, newTables)
	if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o755)); err != nil {
		return &WriteError{Err: err}
	}
	defer os.RemoveAll(dir) // a leftover is removed by the next run
	if err := removeUnfinished(o.Out, append(tableFiles[:len(tableFiles):len(tableFiles)], indexFile)...); err != nil {
		return &WriteError{Err: err}
	}
	origin := o.provenance()
	t, err := imagingTable(rows, origin)
	if err != nil {
		return err
	}
	writes := []error{
		t.Write(filepath.Join(dir, ImagingFile)), t.Write(filepath.Join(dir, imagingParquet)),
		datasets.WriteExclusions(filepath.Join(dir, exclusionsFile), exclusions, origin),
	}
	if o.Features != nil {
		f, err := featuresTable(rows, *o.Features, origin)
		if err != nil {
			return err
		}
		writes = append(writes, f.Write(filepath.Join(dir, FeaturesFile)), f.Write(filepath.Join(dir, featuresParquet)))
	}
	if err := errors.Join(writes...); err != nil {
		return &WriteError{Err: err}
	}
	s.Imaging, s.Exclusions = filepath.Join(o.Out, ImagingFile), filepath.Join(o.Out, exclusionsFile)
	if s.Unchanged = o.sameTables(dir); s.Unchanged {
		return nil
	}
	if err := o.removeTables(); err != nil {
		return err
	}
	for _, name := range tableFiles {
		err := os.Rename(filepath.Join(dir, name), filepath.Join(o.Out, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return &WriteError{Err: err}
		}
	}
	return nil
}

// sameTables says whether the tables in a folder are those of the prepared folder.
func (o Options) sameTables(dir string) bool {
	for _, name := range tableFiles {
		a, errA := os.ReadFile(filepath.Join(dir, name))
		b, errB := os.ReadFile(filepath.Join(o.Out, name))
		if errors.Is(errA, fs.ErrNotExist) && errors.Is(errB, fs.ErrNotExist) {
			continue
		}
		if errA != nil || errB != nil || !bytes.Equal(a, b) {
			return false
		}
	}
	return true
}

func (o Options) provenance() map[string]string {
	out := map[string]string{
		"roi_rule":        strings.Join(o.Rule.Exact, ", then "),
		"repeats":         o.Repeats.String(),
		"cube_size":       fmt.Sprint(o.Cube.Size),
		"cube_spacing_mm": fmt.Sprint(o.Cube.SpacingMM),
		"cube_margin":     fmt.Sprint(o.Cube.Margin),
		"grid": "isotropic, first sample at the centre of the scan's first voxel; CT linear, mask nearest; " +
			"cube centred on the mask's centre of mass cut to whole voxels; air outside the scan",
		"go": runtime.Version(),
	}
	if o.Pairs != nil {
		out["roi_rule"], out["repeats"] = "labels of each mask", "as the list of pairs has them"
	}
	if o.Pseudonyms != nil {
		out["pseudonym_key"] = o.Pseudonyms.Fingerprint()
	}
	for k, v := range o.Provenance {
		out[k] = v
	}
	return out
}
