// Package dicom reads and writes the DICOM files of a radiotherapy scan: CT series,
// structure sets (RTSTRUCT) and segmentations (SEG). They end in a volume.Volume, in
// contours and in a volume.Mask, with their place in the patient.
//
// Elements are parsed by github.com/suyashkumar/dicom behind a gate (gate.go) that
// checks the structure of a file first; pixel data is located by the gate and
// decoded here, native in every byte order, RLE, JPEG lossless and 8-bit JPEG.
// What cannot be believed is an error that names file, patient and the way out:
// nothing is guessed, filled in or repaired.
package dicom

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/suyashkumar/dicom/pkg/tag"
)

// Tree is what a folder tree holds, sorted by the UIDs in the files, never by
// their names. Lists are in a fixed order: patients by ID, the rest by UID or path.
type Tree struct {
	Root     string
	Patients []PatientTree
	Problems []Problem // files that belong to no patient's data, and why

	stamps map[string]Stamp // of the files, as they were before they were read
}

// Stamp tells a file that was written again from the one that was there: by its size and by
// when it was modified, in nanoseconds since 1970.
type Stamp struct {
	Bytes    int64
	Modified int64
}

// StampOf is the stamp of a file, links followed.
func StampOf(file string) (Stamp, error) {
	info, err := os.Stat(file)
	if err != nil {
		return Stamp{}, fmt.Errorf("dicom: %w", err)
	}
	return Stamp{Bytes: info.Size(), Modified: info.ModTime().UnixNano()}, nil
}

// Stamp is the stamp that a file of the tree had before it was read.
func (t *Tree) Stamp(file string) (Stamp, bool) {
	s, ok := t.stamps[file]
	return s, ok
}

// PatientTree is what there is of one patient.
type PatientTree struct {
	ID            string // PatientID; "no-patient-id-..." with a hash of the study's UID when it is empty
	Series        []Series
	Structures    []string // RTSTRUCT files
	Segmentations []string // DICOM SEG files
	Others        []Other  // DICOM files of no use here (dose, plan, other modalities)
}

// Files are all files of the patient that could be read.
func (p PatientTree) Files() (out []string) {
	for _, s := range p.Series {
		out = append(out, s.Files...)
	}
	out = append(append(out, p.Structures...), p.Segmentations...)
	for _, o := range p.Others {
		out = append(out, o.File)
	}
	return out
}

// Other is a readable DICOM file that is neither CT nor contour.
type Other struct {
	File, Modality string
}

// Problem is a file that could not be used.
type Problem struct {
	File    string
	Patient string // whose it is: from the file, or the only patient in its folder; may be empty
	Err     error
}

// Index walks a folder tree once and tells patients, series, structure sets and
// segmentations apart by what is in the files. Links are followed, each folder is
// visited once. Names that begin with a dot, and the files LICENSE and md5hashes.csv that
// TCIA's archive adds to a series, are passed over. Pixel data and contours are not read.
//
// A file that cannot be used becomes a row of Problems and stops nothing. A CT
// slice that is cut off but still says which series it is of stays in it, and
// Series.Read refuses that series. The error is only for a root that cannot be read.
func Index(root string) (*Tree, error) {
	t, _, err := index(root, nil)
	return t, err
}

// index is Index with what is known of the files already. It returns what it knows then.
func index(root string, before map[string]looked) (*Tree, []looked, error) {
	files, problems, err := walk(root)
	if err != nil {
		return nil, nil, err
	}
	all := make([]looked, len(files))
	forEach(len(files), func(i int) { all[i] = seen(root, files[i], before) })
	t := &Tree{Root: root, Problems: problems, stamps: make(map[string]Stamp, len(files))}
	entries := make([]entry, len(all))
	for i, k := range all {
		entries[i] = k.entry
		if k.stamp.Modified != 0 {
			t.stamps[k.file] = k.stamp
		}
	}
	t.sort(entries)
	return t, all, nil
}

// Patient is the patient with an ID.
func (t *Tree) Patient(id string) (PatientTree, bool) {
	for _, p := range t.Patients {
		if p.ID == id {
			return p, true
		}
	}
	return PatientTree{}, false
}

// beside says whether a name below the root is none of a scan's: names that begin with a dot,
// under which a fetch keeps what is not whole yet, and what TCIA's archive puts into each
// series' zip besides the images.
func beside(name string) bool {
	return strings.HasPrefix(name, ".") || name == "LICENSE" || name == "md5hashes.csv"
}

// walk lists the files below root in a fixed order.
func walk(root string) (files []string, problems []Problem, err error) {
	info, err := os.Stat(root)
	if err != nil {
		return nil, nil, fmt.Errorf("dicom: %w; give a folder of DICOM files", err)
	}
	if !info.IsDir() {
		return nil, nil, &FormatError{File: root, Reason: "not a folder but a file; give the folder it is in"}
	}
	seen := map[string]bool{}
	var visit func(dir string)
	visit = func(dir string) {
		real, err := filepath.EvalSymlinks(dir)
		if err == nil && seen[real] {
			return
		}
		seen[real] = true
		var list []fs.DirEntry
		if err == nil {
			list, err = os.ReadDir(dir)
		}
		if err != nil {
			problems = append(problems, Problem{File: dir, Err: fmt.Errorf("dicom: %w", err)})
		}
		for _, e := range list {
			if beside(e.Name()) {
				continue
			}
			path := filepath.Join(dir, e.Name())
			folder := e.IsDir()
			if e.Type()&fs.ModeSymlink != 0 {
				info, err := os.Stat(path)
				if err != nil {
					problems = append(problems, Problem{File: path, Err: fmt.Errorf("dicom: %w", err)})
					continue
				}
				folder = info.IsDir()
			}
			if folder {
				visit(path)
			} else {
				files = append(files, path)
			}
		}
	}
	visit(root)
	return files, problems, nil
}

// entry is one file of the tree.
type entry struct {
	file, patient, study, class, modality string
	slice                                 *slice
	err                                   error
}

// look reads the head of a file.
func look(file string) entry {
	o, err := open(file, headTags)
	if o == nil {
		return entry{file: file, err: err}
	}
	e := entry{
		file: file, patient: o.set.text(tag.PatientID), study: o.set.text(tag.StudyInstanceUID),
		class: o.set.text(tag.SOPClassUID), modality: o.set.text(tag.Modality), err: err,
	}
	if e.class == classCT && o.set.text(tag.SeriesInstanceUID) != "" {
		e.slice, e.err = newSlice(o, err), nil
	} else if e.err == nil && e.class == "" {
		e.err = o.bad(tag.SOPClassUID, "", "the UID that says what the file is")
	}
	if e.patient == "" && e.study != "" {
		e.patient = fmt.Sprintf("no-patient-id-%x", sha256.Sum256([]byte(e.study)))[:22]
	}
	return e
}

// sort puts the files under their patients.
func (t *Tree) sort(entries []entry) {
	type series struct{ patient, uid string }
	patients := map[string]*PatientTree{}
	stacks := map[series][]*slice{}
	inFolder := map[string]map[string]bool{} // the patients of each folder
	for _, e := range entries {
		if e.patient == "" {
			continue
		}
		p := patients[e.patient]
		if p == nil {
			p = &PatientTree{ID: e.patient}
			patients[e.patient] = p
		}
		dir := filepath.Dir(e.file)
		if inFolder[dir] == nil {
			inFolder[dir] = map[string]bool{}
		}
		inFolder[dir][e.patient] = true
		switch {
		case e.err != nil: // below
		case e.slice != nil:
			key := series{e.patient, e.slice.series}
			stacks[key] = append(stacks[key], e.slice)
		case e.class == classStructures:
			p.Structures = append(p.Structures, e.file)
		case e.class == classSegmentation:
			p.Segmentations = append(p.Segmentations, e.file)
		case e.class == classDirectory: // a table of contents, of no patient
		default:
			p.Others = append(p.Others, Other{File: e.file, Modality: e.modality})
		}
	}
	for _, e := range entries {
		if e.err == nil && (e.patient != "" || e.class == classDirectory) {
			continue
		}
		pr := Problem{File: e.file, Patient: e.patient, Err: e.err}
		if pr.Err == nil {
			pr.Err = &TagError{File: e.file, Tag: tag.DebugString(tag.PatientID), Allowed: "a patient ID or at least a study UID"}
		}
		if owners := inFolder[filepath.Dir(e.file)]; pr.Patient == "" && len(owners) == 1 {
			for id := range owners {
				pr.Patient = id
			}
		}
		t.Problems = append(t.Problems, pr)
	}
	slices.SortStableFunc(t.Problems, func(a, b Problem) int { return cmp.Compare(a.File, b.File) })
	for key, found := range stacks {
		s := newSeries(found)
		s.PatientID = key.patient
		patients[key.patient].Series = append(patients[key.patient].Series, s)
	}
	for _, id := range slices.Sorted(maps.Keys(patients)) {
		p := *patients[id]
		slices.SortFunc(p.Series, func(a, b Series) int { return cmp.Compare(a.UID, b.UID) })
		t.Patients = append(t.Patients, p)
	}
}

// SeriesOf is the CT series of the patient that a structure set or segmentation
// refers to: by the UID of the series; where the file names none, by the UIDs of
// the images under its contours; where it names none either, the patient's only
// series in its frame of reference. The note is empty, or says what did not quite
// fit: images that the file refers to and the series does not have.
//
// A file of another series, or in another frame of reference, is a *ReferenceError:
// its contours would lie anywhere.
func (p PatientTree) SeriesOf(file string, r References) (s Series, note string, err error) {
	refuse := func(wants, has []string, reason string) error {
		return &ReferenceError{File: file, Patient: p.ID, Wants: wants, Has: has, Reason: reason}
	}
	only := func(wants []string, is func(Series) bool, none, many string) (Series, error) {
		var hits []Series
		var all []string
		for _, x := range p.Series {
			all = append(all, x.UID)
			if is(x) {
				hits = append(hits, x)
			}
		}
		switch len(hits) {
		case 0:
			return Series{}, refuse(wants, all, none)
		case 1:
			return hits[0], nil
		}
		return Series{}, refuse(wants, all, many)
	}
	switch {
	case len(r.Series) > 0:
		s, err = only(r.Series, func(x Series) bool { return slices.Contains(r.Series, x.UID) },
			"it was drawn on a series that is not here", "it refers to several CT series")
	case len(r.Images) > 0:
		s, err = only(r.Images, func(x Series) bool { return x.missing(r.Images) < len(r.Images) },
			"it was drawn on images that are not here", "its images are in several CT series")
	default:
		s, err = only(r.Frames, func(x Series) bool { return slices.Contains(r.Frames, x.FrameOfReferenceUID) },
			"no CT series is in its frame of reference", "several CT series are in its frame of reference and it does not say which")
	}
	if err != nil {
		return Series{}, "", err
	}
	if len(r.Frames) > 0 && s.FrameOfReferenceUID != "" && !slices.Contains(r.Frames, s.FrameOfReferenceUID) {
		return Series{}, "", refuse(r.Frames, []string{s.FrameOfReferenceUID}, "its frame of reference is not that of the CT series")
	}
	drawn, listed := s.missing(r.Images), s.missing(r.Listed)
	switch {
	case drawn > 0 && drawn == len(r.Images):
		return Series{}, "", refuse(r.Images, slices.Sorted(maps.Keys(s.instances())), "none of its images is in the CT series it names")
	case drawn > 0:
		note = fmt.Sprintf("%d of the %d images under the contours of %s are not in the CT series", drawn, len(r.Images), filepath.Base(file))
	case listed > 0:
		note = fmt.Sprintf("%d of the %d images that %s lists are not in the CT series", listed, len(r.Listed), filepath.Base(file))
	}
	return s, note, nil
}

// missing counts the images that are not in the series.
func (s Series) missing(images []string) (n int) {
	have := s.instances()
	for _, uid := range images {
		if !have[uid] {
			n++
		}
	}
	return n
}

// sortedNames lists a set in order, without the empty name.
func sortedNames(set map[string]bool) []string {
	delete(set, "")
	return slices.Sorted(maps.Keys(set))
}
