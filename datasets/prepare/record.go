package prepare

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/google/renameio/v2"

	"hounsfield/datasets"
	"hounsfield/datasets/dicom"
	"hounsfield/datasets/radiomics"
)

// What is known of a patient between runs lies in the patient's folder:
//
//	record.json  what is in the folder: each file with its hash and the key of what it
//	             depends on, the values of the tables' rows, and why something was left out.
//	             The same input and settings give the same bytes.
//	seen.json    sizes and times of files when that was so, to save reading them again. It
//	             may be deleted: then everything is hashed once.
const (
	recordFile    = "record.json"
	seenFile      = "seen.json"
	recordVersion = 1
)

// record is record.json.
type record struct {
	Version  int             `json:"version"`
	Patient  string          `json:"patient"`
	Settings string          `json:"settings"` // under which Used and Lost hold
	Contours []contourRecord `json:"contours"`
	Lost     []lostRecord    `json:"lost"`
}

// contourRecord is what there is of one contour.
type contourRecord struct {
	Scan     int                     `json:"scan"`
	Reader   string                  `json:"reader,omitempty"`
	Used     bool                    `json:"used"` // by the settings; others may be again
	Outputs  map[string]outputRecord `json:"outputs"`
	Row      rowRecord               `json:"row"`
	Features *featuresRecord         `json:"features,omitempty"`
}

// outputRecord is a file that was made.
type outputRecord struct {
	Key    string `json:"key"`
	File   string `json:"file"` // below the prepared folder, with slashes
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// rowRecord are the values of a row of the imaging table, as text.
type rowRecord struct {
	Key    string            `json:"key"`
	Values map[string]string `json:"values"`
}

// featuresRecord are the features of a contour, or why it has none.
type featuresRecord struct {
	Key     string          `json:"key"`
	Problem string          `json:"problem,omitempty"`
	Values  []featureRecord `json:"values,omitempty"`
}

type featureRecord struct {
	Image  string `json:"image"`
	Family string `json:"family"`
	Name   string `json:"name"`
	IBSI   string `json:"ibsi,omitempty"`
	Unit   string `json:"unit,omitempty"`
	Value  string `json:"value"`
}

// lostRecord is a row of the exclusions table.
type lostRecord struct {
	Stage  string `json:"stage"`
	Reason string `json:"reason"`
	File   string `json:"file,omitempty"`
}

// seen is seen.json.
type seen struct {
	Record  string                 `json:"record"` // hash of the record.json that it goes with
	Inputs  string                 `json:"inputs"` // stamp of all files of the patient
	Digests map[string]string      `json:"digests"`
	Outputs map[string]dicom.Stamp `json:"outputs"` // by file
}

// folder is what an earlier run left of a patient.
type folder struct {
	record record
	seen   seen
}

// readFolder reads what an earlier run left; what cannot be understood counts as nothing.
func readFolder(dir string) (f folder) {
	text, err := os.ReadFile(filepath.Join(dir, recordFile))
	if err != nil || json.Unmarshal(text, &f.record) != nil || f.record.Version != recordVersion {
		f.record = record{}
	}
	times, err := os.ReadFile(filepath.Join(dir, seenFile))
	if err != nil || json.Unmarshal(times, &f.seen) != nil || f.seen.Record != hashOf(text) {
		f.seen = seen{}
	}
	if f.seen.Outputs == nil {
		f.seen.Outputs = map[string]dicom.Stamp{}
	}
	return f
}

// write puts both files into the patient's folder, the record first: times that belong to
// another record are not believed.
func (f *folder) write(dir string) error {
	text, err := json.MarshalIndent(f.record, "", " ")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	f.seen.Record = hashOf(text)
	times, err := json.MarshalIndent(f.seen, "", " ")
	if err != nil {
		return err
	}
	for _, file := range []struct {
		name string
		text []byte
	}{{recordFile, text}, {seenFile, append(times, '\n')}} {
		path := filepath.Join(dir, file.name)
		if was, err := os.ReadFile(path); err == nil && bytes.Equal(was, file.text) {
			continue
		}
		if err := renameio.WriteFile(path, file.text, 0o644, renameio.WithTempDir(dir)); err != nil {
			return err
		}
	}
	return nil
}

// lostRecords are rows of the exclusions table without what the table is of.
func lostRecords(rows []datasets.Exclusion) []lostRecord {
	out := []lostRecord{}
	for _, r := range rows {
		out = append(out, lostRecord{r.Stage, r.Reason, r.File})
	}
	return out
}

func hashOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// at is the contour of a place, nil where there is none.
func (r *record) at(scan int, reader string) *contourRecord {
	for i := range r.Contours {
		if c := &r.Contours[i]; c.Scan == scan && c.Reader == reader {
			return c
		}
	}
	return nil
}

// withRow is the contour whose row has a key, nil where there is none.
func (r *record) withRow(key string) *contourRecord {
	for i := range r.Contours {
		if c := &r.Contours[i]; c.Row.Key == key {
			return c
		}
	}
	return nil
}

// used are the contours that rows are made of, in order.
func (r *record) used() (out []contourRecord) {
	for _, c := range r.Contours {
		if c.Used {
			out = append(out, c)
		}
	}
	return out
}

// keep takes over the contours of an earlier record whose places are not taken: their keys
// say what they are of, and they may be wanted again.
func (r *record) keep(earlier []contourRecord) {
	var rest []contourRecord
	for _, c := range earlier {
		if r.at(c.Scan, c.Reader) == nil {
			c.Used = false
			rest = append(rest, c)
		}
	}
	slices.SortFunc(rest, func(a, b contourRecord) int {
		return cmp.Or(cmp.Compare(a.Scan, b.Scan), cmp.Compare(a.Reader, b.Reader))
	})
	r.Contours = append(r.Contours, rest...)
}

// whole says whether a file is there as it was made: by its size and time, and where these
// differ, or full is set, by its hash. stamps holds those that were found, afterwards too.
func (out outputRecord) whole(root string, stamps map[string]dicom.Stamp, full bool) bool {
	path := filepath.Join(root, filepath.FromSlash(out.File))
	is, err := dicom.StampOf(path)
	if err != nil || is.Bytes != out.Bytes {
		return false
	}
	if was, known := stamps[out.File]; known && was == is && !full {
		return true
	}
	if sum, err := fileSHA256(path); err != nil || sum != out.SHA256 {
		return false
	}
	stamps[out.File] = is
	return true
}

// rowValues are the values of a row of the imaging table, as text.
func rowValues(r *row) map[string]string {
	out := map[string]string{}
	for _, c := range imagingColumns() {
		switch v := c.value(r).(type) {
		case float64:
			out[c.Name] = strconv.FormatFloat(v, 'g', -1, 64)
		case int64:
			out[c.Name] = strconv.FormatInt(v, 10)
		case string:
			out[c.Name] = v
		}
	}
	return out
}

func featureRecords(features []radiomics.Feature) (out []featureRecord) {
	for _, f := range features {
		out = append(out, featureRecord{f.Image, f.Family, f.Name, f.IBSI, f.Unit, strconv.FormatFloat(f.Value, 'g', -1, 64)})
	}
	return out
}

// features are the features of a record.
func (f *featuresRecord) features() ([]radiomics.Feature, error) {
	if f == nil {
		return nil, nil
	}
	var out []radiomics.Feature
	for _, v := range f.Values {
		value, err := strconv.ParseFloat(v.Value, 64)
		if err != nil {
			return nil, fmt.Errorf("feature %s: %w", v.Name, err)
		}
		if math.IsInf(value, 0) {
			value = math.NaN()
		}
		out = append(out, radiomics.Feature{Image: v.Image, Family: v.Family, Name: v.Name, IBSI: v.IBSI, Unit: v.Unit, Value: value})
	}
	return out, nil
}
