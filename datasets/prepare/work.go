package prepare

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"image/png"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/google/renameio/v2"
	"golang.org/x/sync/errgroup"

	"hounsfield/datasets"
	"hounsfield/datasets/dicom"
	"hounsfield/datasets/nifti"
	"hounsfield/datasets/volume"
	"hounsfield/datasets/volume/raw"
)

// outcome is what came of one patient.
type outcome struct {
	rows    []tableRow
	lost    []datasets.Exclusion
	readers *readersSeen
	kept    bool // there are rows, and nothing had to be made for them
	counts  counts
}

// work is the preparation of one patient into its folder.
type work struct {
	Options
	in      *input
	patient subject
	folder  string       // below Out
	changes func() error // to be called before the first file is written over

	old, now folder
	keysOf   map[*source]keys
	counts   counts
}

func (w *work) dir() string { return filepath.Join(w.Out, w.folder) }

func (w *work) fail(err error) error { return &WriteError{Patient: w.patient.id, Err: err} }

// stands says whether what an earlier run left is what this one would make, by sizes and
// times alone. inputs is the stamp of the patient's files.
func (w *work) stands() (inputs string, ok bool) {
	w.old = readFolder(w.dir())
	if w.old.record.Patient != w.patient.id { // who had this folder's name before
		w.old = folder{seen: seen{Outputs: map[string]dicom.Stamp{}}}
	}
	inputs, err := w.in.stamped(w.Options, w.patient.files)
	if err != nil || w.old.seen.Inputs != inputs || w.old.record.Settings != w.settings(w.patient) {
		return inputs, false
	}
	for _, c := range w.old.record.used() {
		for stage, out := range c.Outputs {
			if w.wants(stage, c.Reader != "") && !out.whole(w.Out, w.old.seen.Outputs, false) {
				return inputs, false
			}
		}
	}
	return inputs, w.stillPasses()
}

// do prepares the patient, or finds that nothing needs to be done. The error is one that ends
// the run.
func (w *work) do(ctx context.Context) (outcome, error) {
	w.counts, w.keysOf = newCounts(), map[*source]keys{}
	if err := w.tidy(); err != nil {
		return outcome{}, w.fail(err)
	}
	inputs, ok := w.stands()
	if ok && !w.Verify && !w.withReaders() { // who drew what is not in the record
		for _, c := range w.old.record.used() {
			w.count(c.Reader != "", nil)
		}
		return w.outcome(w.old.record, nil)
	}
	w.now.record = record{Version: recordVersion, Patient: w.patient.id, Settings: w.settings(w.patient), Contours: []contourRecord{}}
	w.now.seen = seen{Inputs: inputs, Digests: map[string]string{}, Outputs: map[string]dicom.Stamp{}}
	id := w.patient.id
	lost, readers, err := w.each(&w.patient, visit{done: w.done, lost: w.missed, room: w.in.room(ctx, w.Options), keep: func(p *Prepared, c contour) error {
		if p == nil {
			w.takeOver(c)
			return nil
		}
		return w.make(ctx, p, c)
	}})
	if err != nil {
		return outcome{}, err
	}
	if w.patient.id != id { // which must not be written: neither folder nor record
		w.now.record.Lost = lostRecords(lost)
		return w.outcome(w.now.record, nil)
	}
	if err := w.in.unchanged(w.patient.files); err != nil {
		// The files in the folder may be of one state or the other: they count as nothing.
		w.now.record.Contours = []contourRecord{}
		lost, readers = []datasets.Exclusion{w.exclusion(w.patient, err)}, nil
		w.now.seen.Inputs = ""
		w.old.record.Contours = nil
	}
	w.now.record.Lost = lostRecords(lost)
	w.now.record.keep(w.old.record.Contours)
	for _, c := range w.now.record.Contours {
		for _, out := range c.Outputs {
			if s, ok := w.old.seen.Outputs[out.File]; ok && w.now.seen.Outputs[out.File] == (dicom.Stamp{}) {
				w.now.seen.Outputs[out.File] = s
			}
		}
	}
	// Of who was never prepared nothing is kept: the reason is found anew each time.
	if len(w.now.record.Contours) > 0 || w.old.record.Version > 0 {
		if err := w.now.write(w.dir()); err != nil {
			return outcome{}, w.fail(err)
		}
	}
	return w.outcome(w.now.record, readers)
}

// missed is told why something was lost. What may be there the next time is looked for again
// then, though no file has changed: after an error of the system (a drive that was away, no
// memory), a fault of the program, or a refusal by the guard, whose knowledge is in no record.
func (w *work) missed(err error) {
	var system syscall.Errno
	var at *stageError
	if errors.As(err, &system) || errors.As(err, &at) && (at.stage == stageFault || at.stage == stageGuard) {
		w.now.seen.Inputs = ""
	}
}

// tidy takes away what a process that was killed has left of files it had not finished.
func (w *work) tidy() error {
	return filepath.WalkDir(w.dir(), func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil || !d.IsDir():
			return err
		}
		return removeUnfinished(path, slices.Concat(slices.Collect(maps.Values(fileNames)), []string{recordFile, seenFile})...)
	})
}

// digest is a hash of what is in files. As long as their stamps are the same, they are not
// read again.
func (w *work) digest(files []string) (string, error) {
	stamp, err := w.in.stamped(w.Options, files)
	if err != nil {
		return "", err
	}
	if d, ok := w.now.seen.Digests[stamp]; ok {
		return d, nil
	}
	d, ok := w.old.seen.Digests[stamp]
	if !ok || w.Verify {
		if d, err = contentHash(files); err != nil {
			return "", err
		}
	}
	w.now.seen.Digests[stamp] = d
	return d, nil
}

// done says whether all that is wanted of a contour is there.
func (w *work) done(c contour) (bool, error) {
	k, err := w.keys(w.patient, c, w.digest)
	if err != nil {
		return false, &stageError{stageFile, c.source.file, err}
	}
	w.keysOf[c.source] = k
	old := w.old.record.withRow(k.of[stageRow])
	return old != nil && len(w.lacking(old, k, c.reading != nil)) == 0, nil
}

// lacking are the wanted stages of a contour whose results are not there, or of something
// else.
func (w *work) lacking(old *contourRecord, k keys, reading bool) (out []string) {
	for _, stage := range stages {
		if !w.wants(stage, reading) {
			continue
		}
		var there bool
		switch stage {
		case stageRow:
			there = old.Row.Key == k.of[stage]
		case stageFeatures:
			there = old.Features != nil && old.Features.Key == k.of[stage]
		default:
			file, ok := old.Outputs[stage]
			there = ok && file.Key == k.of[stage] && file.whole(w.Out, w.old.seen.Outputs, w.Verify)
		}
		if !there {
			out = append(out, stage)
		}
	}
	return out
}

func (w *work) count(reading bool, lacking []string) {
	for _, stage := range stages {
		switch {
		case slices.Contains(lacking, stage):
			w.counts[stage].Made++
		case w.wants(stage, reading):
			w.counts[stage].Kept++
		}
	}
}

// takeOver keeps a contour of which nothing is lacking.
func (w *work) takeOver(c contour) {
	r := *w.old.record.withRow(w.keysOf[c.source].of[stageRow])
	r.Used = true
	w.now.record.Contours = append(w.now.record.Contours, r)
	w.count(c.reading != nil, nil)
}

// make writes what is lacking of a contour. The cube is let go of.
func (w *work) make(ctx context.Context, p *Prepared, c contour) error {
	k := w.keysOf[c.source]
	r := contourRecord{Scan: p.Scan, Reader: p.Reader, Used: true, Outputs: map[string]outputRecord{}}
	if old := w.old.record.at(p.Scan, p.Reader); old != nil {
		r.Row, r.Features = old.Row, old.Features
		maps.Copy(r.Outputs, old.Outputs)
	}
	lacking := w.lacking(&r, k, c.reading != nil)
	w.count(c.reading != nil, lacking)
	if len(lacking) > 0 {
		if err := w.changes(); err != nil {
			return err
		}
		if err := w.files(ctx, p, k, lacking, &r); err != nil {
			return err
		}
	}
	if slices.Contains(lacking, stageFeatures) {
		var err error
		if r.Features, err = w.describe(ctx, p); err != nil {
			return err
		}
		r.Features.Key = k.of[stageFeatures]
	}
	if slices.Contains(lacking, stageRow) {
		r.Row = rowRecord{Key: k.of[stageRow], Values: rowValues(w.newRow(p))}
	}
	w.now.record.Contours = append(w.now.record.Contours, r)
	p.Cube.HU = nil
	return context.Cause(ctx)
}

// fileNames are what the files are called, by stage.
var fileNames = map[string]string{stageCTFile: "ct_1mm.nii.gz", stageMaskFile: "mask_1mm.nii.gz", stageCubeFile: "cube.nii.gz", stagePicture: "qc.png"}

// files writes the files that are lacking and puts them into the record.
func (w *work) files(ctx context.Context, p *Prepared, k keys, lacking []string, r *contourRecord) error {
	folder := contourFolder(w.folder, p)
	dir := filepath.Join(w.Out, filepath.FromSlash(folder))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return w.fail(err)
	}
	written := map[string]*raw.Written{}
	for _, stage := range lacking {
		if fileNames[stage] != "" {
			written[stage] = &raw.Written{}
		}
	}
	iso := p.CT.Grid.Isotropic(w.Cube.SpacingMM)
	makers := map[string]func(path string) (raw.Written, error){
		stageCubeFile: func(path string) (raw.Written, error) {
			if err := nifti.Write(path, &volume.Volume{Grid: p.CubeGrid(), HU: p.Cube.HU}, nifti.Float32); err != nil {
				return raw.Written{}, err
			}
			return writtenAt(path)
		},
		stageCTFile: func(path string) (raw.Written, error) {
			var as []nifti.Option
			if p.HUMin < math.MinInt16 || p.HUMax > math.MaxInt16 { // metal, on an odd scale
				as = append(as, nifti.Float32)
			}
			return nifti.WriteResampled(path, p.CT, iso, as...)
		},
		stageMaskFile: func(path string) (raw.Written, error) { return nifti.WriteMaskResampled(path, p.Mask, iso) },
		stagePicture:  func(path string) (raw.Written, error) { return writePicture(path, p, cmp.Or(w.panel, volume.QCPixels)) },
	}
	// Two halves of about the same work.
	var group errgroup.Group
	for _, half := range [][]string{{stageCubeFile, stageCTFile}, {stagePicture, stageMaskFile}} {
		group.Go(func() error {
			return guarded(func() error {
				for _, stage := range half {
					to := written[stage]
					if to == nil || ctx.Err() != nil {
						continue
					}
					var err error
					if *to, err = makers[stage](filepath.Join(dir, fileNames[stage])); err != nil {
						return err
					}
				}
				return nil
			})
		})
	}
	if err := group.Wait(); err != nil {
		var fault *stageError
		if errors.As(err, &fault) {
			return err
		}
		return w.fail(err)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for stage, file := range written {
		name := folder + "/" + fileNames[stage]
		r.Outputs[stage] = outputRecord{Key: k.of[stage], File: name, Bytes: file.Bytes, SHA256: file.SHA256}
		stamp, err := dicom.StampOf(filepath.Join(dir, fileNames[stage]))
		if err != nil {
			return w.fail(err)
		}
		w.now.seen.Outputs[name] = stamp
	}
	return nil
}

// contourFolder is where the files of a contour lie, below the prepared folder.
func contourFolder(folder string, p *Prepared) string {
	switch {
	case p.Reader != "":
		return folder + "/reader-" + safeName(p.Reader)
	case p.Scan > 1:
		return fmt.Sprintf("%s/scan-%d", folder, p.Scan)
	}
	return folder
}

// writtenAt is what is in a file.
func writtenAt(path string) (raw.Written, error) {
	sum, err := fileSHA256(path)
	if err != nil {
		return raw.Written{}, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return raw.Written{}, err
	}
	return raw.Written{Bytes: info.Size(), SHA256: sum}, nil
}

func writePicture(path string, p *Prepared, pixels int) (raw.Written, error) {
	var out bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestSpeed}
	if err := encoder.Encode(&out, volume.QCPicture(p.CT, p.Mask, p.Cube, p.Spec, pixels)); err != nil {
		return raw.Written{}, err
	}
	if err := renameio.WriteFile(path, out.Bytes(), 0o644, renameio.WithTempDir(filepath.Dir(path))); err != nil {
		return raw.Written{}, err
	}
	return raw.Written{Bytes: int64(out.Len()), SHA256: hashOf(out.Bytes())}, nil
}

// outcome is what a record says, as rows of the tables.
func (w *work) outcome(r record, readers *readersSeen) (outcome, error) {
	out := outcome{readers: readers, counts: w.counts}
	for _, l := range r.Lost {
		out.lost = append(out.lost, datasets.Exclusion{Patient: w.patient.id, Cohort: w.Cohort, Stage: l.Stage, Reason: l.Reason, File: l.File})
	}
	made := 0
	for _, n := range w.counts {
		made += n.Made
	}
	used := r.used()
	out.kept = len(used) > 0 && made == 0
	for _, c := range used {
		row, err := w.tableRow(c, used)
		if err != nil {
			return outcome{}, fmt.Errorf("prepare: %s of patient %s: %w; delete the file and run again", recordFile, w.patient.id, err)
		}
		out.rows = append(out.rows, row)
	}
	return out, nil
}
