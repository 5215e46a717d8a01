package prepare

import (
	"cmp"
	"context"
	"errors"
	"path/filepath"
	"slices"

	"golang.org/x/sync/semaphore"

	"hounsfield/datasets"
	"hounsfield/datasets/dicom"
)

// input is what there is to prepare.
type input struct {
	subjects []subject // by id
	guard    *Guard
	problems []datasets.Exclusion // files that could not be used
	tree     *dicom.Tree          // nil where the files are none of DICOM
	folders  map[string]string    // of the patients, below Out
	space    *semaphore.Weighted  // bytes that scans in work may take
}

// open finds the patients below Root, or of the list of pairs; index is where the heads of
// DICOM files are kept, empty for nowhere.
func (o Options) open(index string) (in *input, err error) {
	var tree *dicom.Tree
	switch {
	case o.Pairs != nil:
		in, err = o.inputOf(nil)
	case index == "":
		if tree, err = dicom.Index(o.Root); err == nil {
			in, err = o.inputOf(tree)
		}
	default:
		var settings error
		tree, _, err = dicom.IndexKept(o.Root, index, o.Verify, func(t *dicom.Tree) bool {
			in, settings = o.inputOf(t)
			return settings == nil && (!within(o.Out, index) || in.indexable(o))
		})
		if errors.Is(err, dicom.ErrKeptIndex) {
			err = &WriteError{Err: err}
		}
		err = cmp.Or(settings, err)
	}
	if err != nil {
		return nil, err
	}
	in.tree, in.space = tree, semaphore.NewWeighted(o.memoryLimit())
	return in, nil
}

func (o Options) memoryLimit() int64 { return cmp.Or(o.Memory, 1<<30) }

// room waits until there is memory for a scan of so many voxels, and says how to give it back.
func (in *input) room(ctx context.Context, o Options) func(voxels int) (release func(), err error) {
	return func(voxels int) (func(), error) {
		n := min(o.memory(voxels), o.memoryLimit()) // more than there is: alone
		if err := in.space.Acquire(ctx, n); err != nil {
			return nil, context.Cause(ctx)
		}
		return func() { in.space.Release(n) }, nil
	}
}

// visit is what is to be done with the contours of a patient.
type visit struct {
	// done says that nothing is to be done with a contour; it need not be read. May be nil.
	done func(contour) (bool, error)
	// keep is called for each contour in order, with nil for those that were done.
	keep func(*Prepared, contour) error
	// lost is told of each error that becomes a row of the exclusions table. May be nil.
	lost func(error)
	// room waits until there is memory for a scan. May be nil.
	room func(voxels int) (release func(), err error)
}

// each prepares what there is of one patient and hands it on, one contour after the other:
// the reference of the first scan, its readings, the second scan; as outputs call it, and
// only what the guard lets pass. The patient is refused, and called otherwise, where the heads
// of all files show that the id says who it is. Voxels of scan and mask are let go of
// afterwards. What is lost becomes rows of the exclusions table; the error is that of keep and
// room, but for faults of the program.
func (o Options) each(patient *subject, v visit) (ex []datasets.Exclusion, readers *readersSeen, err error) {
	if o.Pairs == nil && patient.refused == nil {
		if patient.refused = patient.who.meet(patient.files); patient.refused == nil {
			patient.judge()
		}
	}
	note := func(err error) {
		if v.lost != nil {
			v.lost(err)
		}
		ex = append(ex, o.exclusion(*patient, err))
	}
	if patient.refused != nil {
		note(patient.refused)
		return ex, nil, nil
	}
	var scans []*exam
	var lost []error
	if err := guarded(func() (err error) { scans, lost, err = patient.find(); return err }); err != nil {
		note(err)
		scans = nil
	}
	for _, l := range lost {
		note(l)
	}
	kept := 0
	for i, s := range scans {
		all := []contour{{exam: s, source: s.reference, scan: kept + 1, late: kept == 0 && (i > 0 || s.late)}}
		for _, r := range s.readings {
			all = append(all, contour{exam: s, source: r.source, reading: &r, scan: kept + 1})
		}
		ok, err := o.scan(*patient, all, v, note)
		if err != nil {
			return ex, nil, err
		}
		if ok {
			kept++
			readers = s.readers
		}
	}
	return ex, readers, nil
}

// scan prepares the contours of one scan, the reference first; ok is false where it cannot
// be used.
func (o Options) scan(patient subject, all []contour, v visit, note func(error)) (ok bool, err error) {
	if all, err = o.passing(patient, all, note); len(all) == 0 {
		return false, nil
	}
	done := make([]bool, len(all))
	if v.done != nil {
		for i, c := range all {
			if done[i], err = v.done(c); err != nil {
				note(err)
				return false, nil
			}
		}
	}
	c := all[0]
	var p *Prepared
	if slices.Contains(done, false) {
		if v.room != nil {
			release, err := v.room(c.exam.voxels())
			if err != nil {
				return false, err
			}
			defer release()
		}
		if err := guarded(func() (err error) { p, err = c.exam.read(o.Cube); return err }); err != nil {
			note(err)
			return false, nil
		}
		defer p.release()
		p.Scan = c.scan
		if c.late {
			p.After, p.Notes = 0, append(p.Notes, "the patient's earlier scan could not be used")
		}
		if err := o.named(patient, p, nil); err != nil {
			note(err)
			return false, nil
		}
	}
	for i, c := range all {
		q := p
		switch {
		case done[i]:
			q = nil
		case c.reading != nil:
			err := guarded(func() (err error) { q, err = c.exam.reading(p, *c.reading); return err })
			if err == nil {
				err = o.named(patient, q, c.reading)
			}
			if err != nil {
				note(err)
				continue
			}
		}
		err := guarded(func() error { return v.keep(q, c) })
		var fault *stageError
		switch {
		case errors.As(err, &fault): // the patient's own
			note(err)
			if i == 0 {
				return false, nil
			}
		case err != nil:
			return false, err
		}
		if q != nil && c.reading != nil {
			q.Mask.In = nil
		}
	}
	return true, nil
}

// within says whether a file lies below a folder.
func within(folder, file string) bool {
	a, errA := filepath.Abs(folder)
	b, errB := filepath.Abs(file)
	r, err := filepath.Rel(a, b)
	return errA == nil && errB == nil && err == nil && filepath.IsLocal(r)
}
