package prepare

import (
	"context"
	"errors"
	"maps"
	"slices"

	"hounsfield/datasets"
	"hounsfield/datasets/dicom"
)

// Sight is what is seen of one patient without reading a voxel.
type Sight struct {
	Key    string   // the id in the input
	Series int      // CT series, or scans of a list of pairs
	Files  []string // all of the patient's, contours included
	ROIs   []string // names of the regions in the contour files that were looked into, sorted
	// Lost are what Run would write into the exclusions table, as far as it shows by now.
	// Usable says that a scan with its contour is left.
	Lost   []datasets.Exclusion
	Usable bool
}

// Look finds what Run would prepare, by the same way: see is called for each patient, in the
// order of the ids that outputs would have. What only shows in the voxels (slices that are
// missing, a contour beside the scan) or in the heads of all files it cannot tell. Nothing is
// written but Options.IndexFile, where one is named. The list returned is of files that belong
// to no patient, as rows of the exclusions table.
//
// Errors: those of Run before any work, and the context's.
func Look(ctx context.Context, o Options, see func(done, total int, s Sight)) ([]datasets.Exclusion, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	in, err := o.open(o.IndexFile)
	if err != nil {
		return nil, err
	}
	for i, patient := range in.subjects {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		see(i+1, len(in.subjects), o.look(patient))
	}
	return in.problems, nil
}

func (o Options) look(patient subject) Sight {
	s := Sight{Key: patient.key, Series: patient.series, Files: patient.files}
	names := map[string]bool{}
	note := func(err error) {
		var roi *dicom.ROIError
		if errors.As(err, &roi) {
			for _, n := range roi.Seen {
				names[n] = true
			}
		}
		s.Lost = append(s.Lost, o.exclusion(patient, err))
	}
	if patient.refused != nil {
		note(patient.refused)
		return s
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
	for _, scan := range scans {
		for _, n := range scan.reference.choice.Seen {
			names[n] = true
		}
		if err := o.passes(patient, contour{exam: scan, source: scan.reference, scan: 1}); err != nil {
			note(err)
			continue
		}
		s.Usable = true
	}
	s.ROIs = slices.Sorted(maps.Keys(names))
	return s
}
