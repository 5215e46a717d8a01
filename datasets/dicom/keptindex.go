package dicom

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/renameio/v2"
)

// keptVersion is of what a kept index holds. Raise it with every change of what newSlice or
// look take from a file: an index of another version is made anew.
const keptVersion = 1

// settled is how long ago a file must have been modified for its stamp to be believed: one
// that is written again at once, in the same tick of its file system's clock, would bear the
// same.
const settled = 2 * time.Second

// ErrKeptIndex is a kept index that cannot be written.
var ErrKeptIndex = errors.New("the index of the DICOM files cannot be written")

// Indexed counts what IndexKept did.
type Indexed struct {
	Files int // below the root
	Read  int // of them, those whose heads were read because nothing was kept of them, or they had changed
}

// IndexKept is Index with a memory: what the heads of the files say is kept in a file, and
// where size and time of modification of a file are still the same, its head is not read
// again. A file that is there and is no index, or that of another version of this program,
// is made anew. The result is that of Index.
//
// With fresh no kept index is believed, and one is made anew: a file that was written over may
// bear the size and time it had.
//
// The kept index holds the PatientIDs and UIDs of all files; of their paths, which people's
// names may be part of, it holds hashes. may, when given, is asked before it is written;
// where it must not be, an earlier one goes. Errors: as Index, and those of writing the kept index
// (ErrKeptIndex).
func IndexKept(root, kept string, fresh bool, may func(*Tree) bool) (*Tree, Indexed, error) {
	before, was := readKept(kept)
	if fresh {
		before = nil
	}
	t, all, err := index(root, before)
	if err != nil {
		return nil, Indexed{}, err
	}
	count := Indexed{Files: len(all)}
	for _, k := range all {
		if k.read {
			count.Read++
		}
	}
	if may != nil && !may(t) {
		if err := os.Remove(kept); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, Indexed{}, fmt.Errorf("dicom: %w: %w", ErrKeptIndex, err)
		}
		return t, count, nil
	}
	text := keptText(root, all)
	if bytes.Equal(text, was) {
		return t, count, nil
	}
	if err := renameio.WriteFile(kept, text, 0o600, renameio.WithTempDir(filepath.Dir(kept))); err != nil {
		return nil, Indexed{}, fmt.Errorf("dicom: %w to %s: %w", ErrKeptIndex, kept, err)
	}
	return t, count, nil
}

// looked is a file with what its head says.
type looked struct {
	entry
	stamp   Stamp // of before it was read; zero where there is none
	read    bool  // now, not earlier
	settled bool
}

// seen looks at a file below root, or finds it among those that are known.
func seen(root, file string, before map[string]looked) looked {
	info, err := os.Stat(file)
	if err != nil {
		return looked{entry: entry{file: file, err: fmt.Errorf("dicom: %w", err)}, read: true}
	}
	stamp := Stamp{Bytes: info.Size(), Modified: info.ModTime().UnixNano()}
	if k, ok := before[hashedPath(root, file)]; ok && k.stamp == stamp {
		k.file = file
		if k.slice != nil {
			k.slice.file = file
		}
		return k
	}
	age := time.Since(info.ModTime())
	return looked{entry: look(file), stamp: stamp, read: true, settled: age > settled}
}

// keptIndex is the file. The series' part is said once.
type keptIndex struct {
	Version int        `json:"version"`
	Stacks  []keptHead `json:"stacks"`
	Files   []keptFile `json:"files"`
}

// keptHead is what the slices of a series have in common; of other files, who they are of.
type keptHead struct {
	Patient     string     `json:"patient"`
	Study       string     `json:"study,omitempty"`
	Class       string     `json:"class"`
	Modality    string     `json:"modality,omitempty"`
	Slice       bool       `json:"slice,omitempty"`
	Given       string     `json:"given,omitempty"` // the slice's own PatientID, empty where the study's stands in for it
	Series      string     `json:"series,omitempty"`
	Frame       string     `json:"frame,omitempty"`
	Orientation [6]float64 `json:"orientation"`
	Spacing     [2]float64 `json:"spacing"`
	Rows        int        `json:"rows,omitempty"`
	Cols        int        `json:"cols,omitempty"`
	Allocated   int        `json:"allocated,omitempty"`
	Stored      int        `json:"stored,omitempty"`
	High        int        `json:"high,omitempty"`
	Signed      bool       `json:"signed,omitempty"`
	Slope       float64    `json:"slope,omitempty"`
	Intercept   float64    `json:"intercept,omitempty"`
	Syntax      string     `json:"syntax,omitempty"`
	Swap        bool       `json:"swap,omitempty"`
	Words       bool       `json:"words,omitempty"`
	Fragments   bool       `json:"fragments,omitempty"`
	Packed      bool       `json:"packed,omitempty"`
}

type keptFile struct {
	File     string     `json:"f"` // hash of the path below the root
	Bytes    int64      `json:"b"`
	Modified int64      `json:"t"`
	Head     int        `json:"h"` // place in Stacks
	Instance string     `json:"i,omitempty"`
	Position [3]float64 `json:"p,omitzero"`
	Acquired *time.Time `json:"a,omitempty"`
	Pixels   [][2]int64 `json:"x,omitempty"` // offsets and lengths
}

// keptText is the file's text: a line with the hash of the rest, and the rest. Files with an
// error are not in it, and are read again each time.
func keptText(root string, all []looked) []byte {
	out := keptIndex{Version: keptVersion, Stacks: []keptHead{}, Files: []keptFile{}}
	place := map[keptHead]int{}
	for _, k := range all {
		if k.err != nil || k.slice != nil && k.slice.err != nil || !k.settled {
			continue
		}
		f := keptFile{File: hashedPath(root, k.file), Bytes: k.stamp.Bytes, Modified: k.stamp.Modified}
		h := keptHead{Patient: k.patient, Study: k.study, Class: k.class, Modality: k.modality}
		if s := k.slice; s != nil {
			h.Slice, h.Given, h.Series, h.Frame, h.Orientation, h.Spacing = true, s.patient, s.series, s.frame, s.orientation, s.spacing
			h.Rows, h.Cols, h.Allocated, h.Stored, h.High, h.Signed = s.rows, s.cols, s.allocated, s.stored, s.high, s.signed
			h.Slope, h.Intercept, h.Syntax, h.Swap, h.Packed = s.slope, s.intercept, s.syntax, s.swap, s.packed
			h.Words, h.Fragments = s.pixel.words, s.pixel.encapsulated
			f.Instance, f.Position = s.instance, s.position
			if !s.acquired.IsZero() {
				f.Acquired = &s.acquired
			}
			for _, p := range s.pixel.parts {
				f.Pixels = append(f.Pixels, [2]int64{p.offset, p.length})
			}
		}
		at, there := place[h]
		if !there {
			at = len(out.Stacks)
			place[h] = at
			out.Stacks = append(out.Stacks, h)
		}
		f.Head = at
		out.Files = append(out.Files, f)
	}
	slices.SortFunc(out.Files, func(a, b keptFile) int { return cmp.Compare(a.File, b.File) })
	text, err := json.Marshal(out)
	if err != nil {
		panic(err) // numbers that are no numbers do not pass newSlice
	}
	return append(hashLine(text), text...)
}

func hashLine(text []byte) []byte {
	sum := sha256.Sum256(text)
	return append(hex.AppendEncode(nil, sum[:]), '\n')
}

// hashedPath stands for a path below root.
func hashedPath(root, file string) string {
	if r, err := filepath.Rel(root, file); err == nil {
		file = r
	}
	sum := sha256.Sum256([]byte(filepath.ToSlash(file)))
	return hex.EncodeToString(sum[:16])
}

// readKept reads what is kept of files, by the hashes of their paths. Nothing is known where
// the file is not there or not what keptText wrote.
func readKept(file string) (before map[string]looked, text []byte) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, nil // where it is there and cannot be read, writing it says so
	}
	hash, rest, _ := bytes.Cut(text, []byte("\n"))
	var in keptIndex
	if !bytes.Equal(append(hash[:len(hash):len(hash)], '\n'), hashLine(rest)) || json.Unmarshal(rest, &in) != nil || in.Version != keptVersion {
		return nil, text
	}
	before = make(map[string]looked, len(in.Files))
	for _, f := range in.Files {
		if f.Head < 0 || f.Head >= len(in.Stacks) {
			return nil, text
		}
		h := &in.Stacks[f.Head]
		k := looked{
			entry: entry{patient: h.Patient, study: h.Study, class: h.Class, modality: h.Modality},
			stamp: Stamp{Bytes: f.Bytes, Modified: f.Modified}, settled: true,
		}
		if h.Slice {
			s := &slice{
				patient: h.Given, study: h.Study, series: h.Series, instance: f.Instance, frame: h.Frame,
				position: f.Position, orientation: h.Orientation, spacing: h.Spacing, rows: h.Rows, cols: h.Cols,
				allocated: h.Allocated, stored: h.Stored, high: h.High, signed: h.Signed, slope: h.Slope, intercept: h.Intercept,
				syntax: h.Syntax, swap: h.Swap, packed: h.Packed, pixel: &pixelExtent{encapsulated: h.Fragments, words: h.Words},
			}
			if f.Acquired != nil {
				s.acquired = *f.Acquired
			}
			for _, p := range f.Pixels {
				s.pixel.parts = append(s.pixel.parts, extent{p[0], p[1]})
			}
			k.slice = s
		}
		before[f.File] = k
	}
	return before, text
}
