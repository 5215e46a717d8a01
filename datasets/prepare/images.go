package prepare

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"hounsfield/datasets"
	"hounsfield/datasets/nifti"
	"hounsfield/datasets/table"
	"hounsfield/datasets/volume"
)

// NotPreparedError is a folder without an imaging table.
type NotPreparedError struct {
	Folder string
	Err    error
}

func (e *NotPreparedError) Error() string {
	return fmt.Sprintf("%s holds no %s: it was never prepared, or a run over it was stopped; make it with `hounsfield prepare FOLDER --out %s`", e.Folder, ImagingFile, e.Folder)
}

func (e *NotPreparedError) Unwrap() error { return e.Err }

// NoVolumesError is a prepared folder whose scans were not kept.
type NoVolumesError struct {
	Folder, Patient string // the first patient without
}

func (e *NoVolumesError) Error() string {
	return fmt.Sprintf("%s holds cubes and no scans (patient %s is the first without): it was prepared with --no-volumes; run `hounsfield prepare FOLDER --out %s` again without that option", e.Folder, e.Patient, e.Folder)
}

// RowError is an imaging table that Run did not write: rows that do not go together.
type RowError struct {
	File, Patient, Problem string
}

func (e *RowError) Error() string {
	return fmt.Sprintf("%s, patient %s: %s; prepare the folder again", e.File, e.Patient, e.Problem)
}

// ChangedError is a file that is not what was prepared.
type ChangedError struct {
	Patient, File string
	SHA256, Want  string // of the file, and as the imaging table has it
}

func (e *ChangedError) Error() string {
	return fmt.Sprintf("patient %s: %s has changed since it was prepared (sha256 %.12s, the imaging table says %.12s); prepare this patient again", e.Patient, e.File, e.SHA256, e.Want)
}

// ReadImaging reads the imaging table of a folder that Run filled; other columns that a
// person added are ignored. Errors: *NotPreparedError, *RowError, those of package table.
func ReadImaging(folder string) (*table.Table, error) {
	file := filepath.Join(folder, ImagingFile)
	t, err := table.Read(file, ImagingSchema(), table.Ignore)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &NotPreparedError{Folder: folder, Err: err}
	case err != nil:
		return nil, fmt.Errorf("%w; a folder that an earlier version prepared must be prepared again", err)
	}
	type key struct {
		patient, reader string
		scan            int64
	}
	seen := map[key]bool{}
	ids, scans, readers := t.Strings("patient_id"), t.Int64s("scan"), t.Strings("reader")
	for i, id := range ids {
		k := key{id, readers[i], scans[i]}
		if seen[k] {
			return nil, &RowError{File: file, Patient: id, Problem: fmt.Sprintf("scan %d, reader %q stands there twice", k.scan, k.reader)}
		}
		seen[k] = true
	}
	for _, id := range ids {
		if !seen[key{patient: id, scan: 1}] {
			return nil, &RowError{File: file, Patient: id, Problem: "there is no row for the reference contour of the first scan"}
		}
	}
	return t, nil
}

// References are the rows of an imaging table that stand for their patients: the first
// scan with the reference contour, by patient.
func References(imaging *table.Table) map[string]int {
	rows := map[string]int{}
	scans, readers := imaging.Int64s("scan"), imaging.Strings("reader")
	for i, id := range imaging.Strings("patient_id") {
		if scans[i] == 1 && readers[i] == "" {
			rows[id] = i
		}
	}
	return rows
}

// OpenImages gives the scans in a folder that Run filled with KeepVolumes: on the isotropic
// grid, CT in whole HU, patients in the order of the imaging table. SecondScan has the
// patients with two scans, Readings the contours of other readers; the reference contour
// is not repeated among them. Each file is held against the hash in the imaging table when
// it is read: *ChangedError.
//
// Errors: *NotPreparedError, *NoVolumesError, *RowError, those of package table.
func OpenImages(folder string) (datasets.Images, error) {
	t, err := ReadImaging(folder)
	if err != nil {
		return nil, err
	}
	m := &images{folder: folder}
	ct, ctSum := t.Strings("ct_file"), t.Strings("ct_sha256")
	mask, maskSum := t.Strings("mask_file"), t.Strings("mask_sha256")
	scans, readers := t.Int64s("scan"), t.Strings("reader")
	at := map[string]int{}
	for i, id := range t.Strings("patient_id") {
		if ct[i] == "" || mask[i] == "" {
			return nil, &NoVolumesError{Folder: folder, Patient: id}
		}
		if _, known := at[id]; !known {
			at[id] = len(m.ids)
			m.ids, m.of = append(m.ids, id), append(m.of, patientFiles{})
		}
		p := &m.of[at[id]]
		ctFile, maskFile := file{ct[i], ctSum[i]}, file{mask[i], maskSum[i]}
		switch {
		case readers[i] != "" && scans[i] != 1:
			return nil, &RowError{File: filepath.Join(folder, ImagingFile), Patient: id, Problem: fmt.Sprintf("reader %s drew on scan %d; readings are of the first", readers[i], scans[i])}
		case readers[i] != "":
			p.readings = append(p.readings, readingFile{readers[i], maskFile})
		case scans[i] == 1:
			p.first = scanFiles{ctFile, maskFile}
		default:
			p.second = &scanFiles{ctFile, maskFile}
		}
	}
	return m, nil
}

// images are datasets.Images from the files of a prepared folder.
type images struct {
	folder string
	ids    []string
	of     []patientFiles // aligned with ids
}

type patientFiles struct {
	first    scanFiles
	second   *scanFiles
	readings []readingFile
}

type scanFiles struct{ ct, mask file }

type readingFile struct {
	reader string
	mask   file
}

// file is a path below the folder, with slashes, and the SHA-256 of what is in it.
type file struct{ path, sha256 string }

func (m *images) IDs() []string { return append([]string(nil), m.ids...) }

func (m *images) Scan(ctx context.Context, i int) (*volume.Volume, *volume.Mask, error) {
	return m.scan(ctx, i, m.of[i].first)
}

func (m *images) SecondScan(ctx context.Context, i int) (*volume.Volume, *volume.Mask, error) {
	if m.of[i].second == nil {
		return nil, nil, ctx.Err()
	}
	return m.scan(ctx, i, *m.of[i].second)
}

func (m *images) scan(ctx context.Context, i int, s scanFiles) (*volume.Volume, *volume.Mask, error) {
	path, err := m.whole(ctx, i, s.ct)
	if err != nil {
		return nil, nil, err
	}
	ct, err := nifti.Read(path)
	if err != nil {
		return nil, nil, fmt.Errorf("patient %s: %w", m.ids[i], err)
	}
	mask, err := m.mask(ctx, i, s.mask)
	if err != nil {
		return nil, nil, err
	}
	if ct.Grid != mask.Grid {
		return nil, nil, &RowError{File: path, Patient: m.ids[i], Problem: fmt.Sprintf("the scan has %v voxels and %s %v, or they lie elsewhere", ct.Grid.Size, filepath.Base(s.mask.path), mask.Grid.Size)}
	}
	return ct, mask, nil
}

// Contour is for datasets.Contour.
func (m *images) Contour(ctx context.Context, i int) (*volume.Mask, error) {
	return m.mask(ctx, i, m.of[i].first.mask)
}

func (m *images) Readings(ctx context.Context, i int) ([]datasets.Reading, error) {
	var all []datasets.Reading
	for _, r := range m.of[i].readings {
		mask, err := m.mask(ctx, i, r.mask)
		if err != nil {
			return nil, err
		}
		all = append(all, datasets.Reading{Reader: r.reader, Mask: mask})
	}
	return all, nil
}

func (m *images) mask(ctx context.Context, i int, f file) (*volume.Mask, error) {
	path, err := m.whole(ctx, i, f)
	if err != nil {
		return nil, err
	}
	mask, err := nifti.ReadMask(path)
	if err != nil {
		return nil, fmt.Errorf("patient %s: %w", m.ids[i], err)
	}
	return mask, nil
}

// whole is the path of a file that is what was prepared.
func (m *images) whole(ctx context.Context, i int, f file) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	path := filepath.Join(m.folder, filepath.FromSlash(f.path))
	sum, err := fileSHA256(path)
	if err != nil {
		return "", fmt.Errorf("patient %s: %w; prepare this patient again", m.ids[i], err)
	}
	if sum != f.sha256 {
		return "", &ChangedError{Patient: m.ids[i], File: path, SHA256: sum, Want: f.sha256}
	}
	return path, nil
}

func fileSHA256(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
