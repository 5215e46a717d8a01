package fetch

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// IDCSeries is a series of the Imaging Data Commons, as a manifest names it.
type IDCSeries struct {
	Bucket string // of Amazon S3
	UUID   string // of this version of the series (crdc_series_uuid): the folder in the bucket
	// The rest is known from a table, not from a list of commands; empty, 0, where it is not.
	Patient, SeriesUID, Modality, Licence string

	Files int     // instanceCount
	MB    float64 // series_size_MB, millions of bytes, rounded
	Line  int     // of the manifest
}

// ManifestError is a manifest of series that cannot be read.
type ManifestError struct {
	File    string
	Line    int // 0: the file as a whole
	Column  string
	Problem string
	Next    string
	Err     error
}

func (e *ManifestError) Error() string {
	s := e.File
	if e.Line > 0 {
		s += fmt.Sprintf(", line %d", e.Line)
	}
	if e.Column != "" {
		s += ", column " + e.Column
	}
	s += ": " + e.Problem
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	if e.Next != "" {
		s += "; " + e.Next
	}
	return s
}

func (e *ManifestError) Unwrap() error { return e.Err }

const manifestForms = "a manifest is either a list with lines like cp s3://idc-open-data/SERIES-UUID/* . (the portal's s5cmd manifest), " +
	"or a table (CSV or tab-separated) with a column series_aws_url or crdc_series_uuid"

// IDCBucket holds most series of the Imaging Data Commons; idc-open-data-two those that may show
// faces, idc-open-data-cr those whose licence forbids commercial use (as of 2024).
const IDCBucket = "idc-open-data"

// ReadIDCManifest reads which series to fetch from a file that a user brings. There are two ways
// to such a file:
//
//   - the portal, https://portal.imaging.datacommons.cancer.gov: choose a collection, add the cohort
//     to the cart, "Manifest" and there the s5cmd form;
//   - the Python package idc-index, whose index is a table of all series:
//     IDCClient().sql_query("SELECT series_aws_url, PatientID, SeriesInstanceUID, Modality,
//     instanceCount, series_size_MB FROM index WHERE collection_id = 'nsclc_radiomics'").to_csv("m.csv").
//
// The table is better: with it folders bear the names of patients and series, and the number of
// files is checked. A uuid names one version of a series for ever, so a manifest pins the data.
func ReadIDCManifest(file string) ([]IDCSeries, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, &ManifestError{File: file, Problem: "it cannot be opened", Err: err}
	}
	defer f.Close()
	return ParseIDCManifest(file, f)
}

// ParseIDCManifest reads a manifest from r; file is its name in errors, all *ManifestError. A series
// that is named twice counts once.
func ParseIDCManifest(file string, r io.Reader) ([]IDCSeries, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, &ManifestError{File: file, Problem: "it cannot be read", Err: err}
	}
	if looksLikeHTML(data) {
		return nil, &ManifestError{File: file, Problem: "it is a web page, not a manifest", Next: manifestForms}
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	var all []IDCSeries
	if delimiter, table := tabular(data); table {
		all, err = manifestTable(file, data, delimiter)
	} else {
		all, err = manifestCommands(file, data)
	}
	if err != nil {
		return nil, err
	}
	var unique []IDCSeries
	at := map[string]int{}
	for _, s := range all {
		key := s.Bucket + "/" + s.UUID
		first, twice := at[key]
		if !twice {
			at[key] = len(unique)
			unique = append(unique, s)
			continue
		}
		if a, b := unique[first], s; a.Patient != b.Patient || a.SeriesUID != b.SeriesUID || a.Files != b.Files {
			return nil, &ManifestError{File: file, Line: b.Line, Problem: fmt.Sprintf("it names the series of line %d again, and says something else of it", a.Line), Next: "take one of the two lines out"}
		}
	}
	if len(unique) == 0 {
		return nil, &ManifestError{File: file, Problem: "it names no series", Next: manifestForms}
	}
	return unique, nil
}

// tabular says whether the first line that says something heads a table, and what parts its columns.
func tabular(data []byte) (rune, bool) {
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if strings.Contains(line, "s3://") {
			return 0, false
		}
		if strings.Contains(line, "\t") {
			return '\t', true
		}
		return ',', strings.Contains(line, ",") || line == "series_aws_url" || line == "crdc_series_uuid"
	}
	return 0, false
}

// manifestCommands reads a list of s5cmd's commands, or of addresses alone. It is never run.
func manifestCommands(file string, data []byte) ([]IDCSeries, error) {
	var all []IDCSeries
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 1<<20)
	n := 0
	for lines.Scan() {
		n++
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		words := strings.Fields(line)
		if len(words) > 1 {
			if words[0] != "cp" && words[0] != "sync" {
				return nil, &ManifestError{File: file, Line: n, Problem: fmt.Sprintf("the command %q is not known here", shortened(words[0], 40)), Next: manifestForms}
			}
			words = words[1:]
		}
		// Options of s5cmd stand between the command and the address.
		for len(words) > 1 && strings.HasPrefix(words[0], "-") {
			words = words[1:]
		}
		bucket, id, err := seriesURL(strings.Trim(words[0], `"'`))
		if err != nil {
			return nil, &ManifestError{File: file, Line: n, Problem: err.Error(), Next: manifestForms}
		}
		all = append(all, IDCSeries{Bucket: bucket, UUID: id, Line: n})
	}
	if err := lines.Err(); err != nil {
		return nil, &ManifestError{File: file, Line: n + 1, Problem: "the line cannot be read", Err: err}
	}
	return all, nil
}

// Names of Amazon S3's buckets (its user guide, "Bucket naming rules"), and UUIDs.
var (
	bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	uuidForm   = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
)

func isBucket(s string) bool { return bucketName.MatchString(s) && !strings.Contains(s, "..") }

// seriesURL takes s3://BUCKET/UUID/* apart; the star, or slash and star, may be missing.
func seriesURL(s string) (bucket, id string, err error) {
	rest, ok := strings.CutPrefix(s, "s3://")
	if !ok {
		if strings.HasPrefix(s, "gs://") {
			return "", "", fmt.Errorf("%.120q is in Google's storage; take the manifest for Amazon (AWS)", s)
		}
		return "", "", fmt.Errorf("%.120q is no address of a series", s)
	}
	bucket, rest, _ = strings.Cut(rest, "/")
	id = strings.TrimSuffix(strings.TrimSuffix(rest, "*"), "/")
	if !isBucket(bucket) {
		return "", "", fmt.Errorf("%.120q: %.80q is no bucket", s, bucket)
	}
	if !uuidForm.MatchString(id) {
		return "", "", fmt.Errorf("%.120q: %.80q is not the uuid of a series", s, id)
	}
	return bucket, id, nil
}

// manifestTable reads a table by the names of its columns, those of idc-index and of the portal.
func manifestTable(file string, data []byte, delimiter rune) ([]IDCSeries, error) {
	rows := csv.NewReader(bytes.NewReader(data))
	rows.Comma, rows.Comment = delimiter, '#'
	head, err := rows.Read()
	if err != nil {
		return nil, tableError(file, err)
	}
	at := map[string]int{}
	for i, name := range head {
		name = strings.TrimSpace(name)
		if name == "modality" { // the portal's spelling
			name = "Modality"
		}
		if _, twice := at[name]; twice && name != "" {
			return nil, &ManifestError{File: file, Line: 1, Column: name, Problem: "the column is there twice"}
		}
		at[name] = i
	}
	_, byURL := at["series_aws_url"]
	_, byUUID := at["crdc_series_uuid"]
	if !byURL && !byUUID {
		return nil, &ManifestError{File: file, Problem: fmt.Sprintf("its columns are %s; none of them says where a series is", shortened(strings.Join(head, ", "), 200)), Next: manifestForms}
	}
	var all []IDCSeries
	for {
		row, err := rows.Read()
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return nil, tableError(file, err)
		}
		line, _ := rows.FieldPos(0)
		get := func(column string) string {
			if i, ok := at[column]; ok {
				return strings.TrimSpace(row[i])
			}
			return ""
		}
		s, column, err := seriesRow(get, byURL)
		if err != nil {
			return nil, &ManifestError{File: file, Line: line, Column: column, Problem: err.Error()}
		}
		s.Line = line
		all = append(all, s)
	}
}

func tableError(file string, err error) error {
	var parse *csv.ParseError
	if errors.As(err, &parse) {
		return &ManifestError{File: file, Line: parse.Line, Problem: "the table is broken here", Err: parse.Err}
	}
	return &ManifestError{File: file, Problem: "the table cannot be read", Err: err}
}

// seriesRow reads a row; the column is that of the error.
func seriesRow(get func(string) string, byURL bool) (s IDCSeries, column string, err error) {
	if byURL {
		if s.Bucket, s.UUID, err = seriesURL(get("series_aws_url")); err != nil {
			return s, "series_aws_url", err
		}
	}
	if id := get("crdc_series_uuid"); id != "" || !byURL {
		if !uuidForm.MatchString(id) {
			return s, "crdc_series_uuid", fmt.Errorf("%.80q is no uuid", id)
		}
		if byURL && id != s.UUID {
			return s, "crdc_series_uuid", fmt.Errorf("%s is another series than the address, %s", id, s.UUID)
		}
		s.UUID = id
	}
	if !byURL {
		if s.Bucket = get("aws_bucket"); s.Bucket == "" {
			s.Bucket = IDCBucket
		}
		if !isBucket(s.Bucket) {
			return s, "aws_bucket", fmt.Errorf("%.80q is no bucket", s.Bucket)
		}
	}
	s.Patient, s.SeriesUID, s.Modality, s.Licence = get("PatientID"), get("SeriesInstanceUID"), get("Modality"), get("license_short_name")
	if s.Patient != "" && !isPlainName(s.Patient) {
		return s, "PatientID", fmt.Errorf("%.80q cannot name a folder", s.Patient)
	}
	if s.SeriesUID != "" && !isUID(s.SeriesUID) {
		return s, "SeriesInstanceUID", fmt.Errorf("%.80q is no DICOM identifier", s.SeriesUID)
	}
	if v := get("instanceCount"); v != "" {
		// pandas writes whole numbers with a fraction where the column has gaps.
		n, err := strconv.Atoi(strings.TrimSuffix(v, ".0"))
		if err != nil || n <= 0 {
			return s, "instanceCount", fmt.Errorf("%.40q is no number of files", v)
		}
		s.Files = n
	}
	if v := get("series_size_MB"); v != "" {
		if s.MB, err = strconv.ParseFloat(v, 64); err != nil || !(s.MB >= 0 && s.MB < 1e9) {
			return s, "series_size_MB", fmt.Errorf("%.40q is no size", v)
		}
	}
	return s, "", nil
}
