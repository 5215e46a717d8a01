package fetch

import (
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
)

// NBIAServer is where The Cancer Imaging Archive answers.
const NBIAServer = "https://services.cancerimagingarchive.net/nbia-api/services/v1"

// NBIAQuery says which DICOM series of The Cancer Imaging Archive (TCIA) belong to a data set.
type NBIAQuery struct {
	Server      string   // address up to /v1, of TCIA or of another NBIA; empty = NBIAServer
	Folder      string   // below the data folder
	Collections []string // one or more; a contour that was published later is often a collection of its own
	Modalities  []string // CT, RTSTRUCT, SEG, ...; empty = all
	Patients    []string // by their DICOM PatientID; empty = all
}

// NBIA is the source of whole DICOM series from an archive that runs NBIA, by its REST API,
// version 1. Each series becomes a folder, FOLDER/PatientID/SeriesInstanceUID.
//
// Facts of the protocol are from the guide "NBIA Search REST API" (TCIA wiki) and from the server's
// published source (CBIIT/NBIA-TCIA, software/nbia-api, classes V1_getSeries, V1_getImage,
// V1_getImageWithMD5Hash, FormatOutput):
//
//   - getSeries answers a JSON list with SeriesInstanceUID, PatientID, Modality, ImageCount and,
//     today, FileSize (bytes of all its files) and LicenseName; with an empty body and status 200
//     when nothing matches. getSeriesSize answers the same numbers series by series, very slowly:
//     it is not asked.
//   - getImage and getImageWithMD5Hash make a zip while they send it: no length, no ranges, so a
//     broken transfer begins anew. When the server cannot read a file in the middle it closes the zip
//     properly: only the number of files, or the missing md5hashes.csv, which is written last, tells.
//   - getImageWithMD5Hash adds md5hashes.csv (Filename,MD5Hash) for every file; getImage adds LICENSE.
//   - A series that is unknown or not public is answered with status 400 and a sentence.
func NBIA(c *Client, q NBIAQuery) Source {
	if q.Server == "" {
		q.Server = NBIAServer
	}
	q.Server = strings.TrimSuffix(q.Server, "/")
	return &nbia{client: c, q: q}
}

type nbia struct {
	client *Client
	q      NBIAQuery
	noMD5  atomic.Bool // the server has no getImageWithMD5Hash
}

// The names that an NBIA zip holds besides the series' files.
const (
	hashList    = "md5hashes.csv"
	licenceFile = "LICENSE"
)

const maxList = 256 << 20 // bytes of a list of series: room for some 300,000 of them

func (s *nbia) Name() string { return "nbia" }

func (s *nbia) fail(problem, next string, err error) *AnswerError {
	return answerError("nbia", s.q.Server+"/getSeries", problem, next, err)
}

type nbiaSeries struct {
	SeriesInstanceUID, StudyInstanceUID, PatientID, Modality, Collection string

	ImageCount, FileSize                 number
	LicenseName, DateReleased, TimeStamp string
}

func (s *nbia) List(ctx context.Context) ([]Item, error) {
	var items []Item
	seen := map[string]bool{}
	wish := newWish(s.q.Modalities, s.q.Patients)
	for _, collection := range s.q.Collections {
		wanted, err := s.series(ctx, collection, wish)
		if err != nil {
			return nil, err
		}
		for _, r := range wanted {
			if !seen[r.SeriesInstanceUID] {
				seen[r.SeriesInstanceUID] = true
				items = append(items, s.item(r))
			}
		}
	}
	if problem, next := wish.unmet("collection "+strings.Join(quoted(s.q.Collections), ", "), len(items)); problem != "" {
		return nil, s.fail(problem, next, nil)
	}
	slices.SortStableFunc(items, func(a, b Item) int { return cmp.Compare(a.Path, b.Path) })
	return items, nil
}

// series are the wanted ones of a collection. The archive is asked for the whole of it, or for one
// patient where only one is wanted; the rest is chosen here.
func (s *nbia) series(ctx context.Context, collection string, wish *wish) ([]nbiaSeries, error) {
	v := url.Values{"Collection": {collection}, "format": {"json"}}
	one := len(s.q.Patients) == 1 && len(s.q.Collections) == 1
	if one {
		v.Set("PatientID", s.q.Patients[0])
	}
	wanted, err := ask(ctx, s.client, s.q.Server+"/getSeries?"+v.Encode(), maxList, func(body []byte) (wanted []nbiaSeries, err error) {
		if len(body) == 0 {
			what := fmt.Sprintf("the archive has nothing of a collection %q", collection)
			if one {
				what += fmt.Sprintf(" and a patient %q", s.q.Patients[0])
			}
			return nil, s.fail(what+" (its answer is empty)", "names are spelt exactly as on the archive's page; a collection that was withdrawn or moved is not there either", nil)
		}
		err = readList(body, func(n int, r nbiaSeries) error {
			if !wish.wants(r.Modality, r.PatientID) {
				return nil
			}
			if err := r.check(); err != nil {
				return s.fail(fmt.Sprintf("series %d of collection %q cannot be used", n, collection), "report it to the archive", err)
			}
			wanted = append(wanted, r)
			return nil
		})
		var answer *AnswerError
		if err != nil && !errors.As(err, &answer) {
			err = s.fail("the list of series cannot be read", "type the command again later; if it stays so the archive's interface has changed", err)
		}
		return wanted, err
	})
	var status *StatusError
	if errors.As(err, &status) {
		err = s.refused("the list of series", status, err)
	}
	return wanted, unlisted(ctx, "nbia", "the list of series of "+collection, err)
}

// refused adds the server's own sentence to a status.
func (s *nbia) refused(what string, status *StatusError, err error) error {
	if said := sentence(status); said != "" {
		return &AnswerError{Source: "nbia", From: status.URL, Problem: fmt.Sprintf("%s: the archive says %q", what, said), Err: told{status}}
	}
	return err
}

// sentence is the body of an error when it is a line of text.
func sentence(e *StatusError) string {
	kind, _, _ := strings.Cut(e.Header.Get("Content-Type"), ";")
	if kind != "text/plain" && kind != "application/json" || len(e.Body) < 8 || len(e.Body) > 500 || strings.ContainsAny(string(e.Body[:1]), "{[<") {
		return ""
	}
	return shortened(string(e.Body), 300)
}

func (r nbiaSeries) check() error {
	switch {
	case r.SeriesInstanceUID == "":
		return errors.New("it has no SeriesInstanceUID")
	case !isUID(r.SeriesInstanceUID):
		return fmt.Errorf("its SeriesInstanceUID %q is no DICOM identifier", shortened(r.SeriesInstanceUID, 80))
	case !isPlainName(r.PatientID):
		return fmt.Errorf("its PatientID %q cannot name a folder", shortened(r.PatientID, 80))
	case r.ImageCount < 0 || r.FileSize < 0:
		return fmt.Errorf("it has %d files and %d bytes", r.ImageCount, r.FileSize)
	}
	return nil
}

func (s *nbia) item(r nbiaSeries) Item {
	item := Item{
		Path: below(s.q.Folder, r.PatientID+"/"+r.SeriesInstanceUID), From: Redact(s.q.Server) + "/getImageWithMD5Hash?SeriesInstanceUID=" + r.SeriesInstanceUID,
		Size: -1, Files: int(r.ImageCount), Archive: true, Beside: []string{licenceFile, hashList},
		SeriesUID: r.SeriesInstanceUID, Patient: r.PatientID, Modality: r.Modality, Licence: r.LicenseName,
	}
	if r.FileSize > 0 {
		item.Size = int64(r.FileSize)
	}
	// NBIA has no revision numbers: what it says of a series together must do.
	item.Version = strings.Trim(fmt.Sprintf("%d files, %d bytes, %s %s", r.ImageCount, r.FileSize, r.DateReleased, r.TimeStamp), ", ")
	return item
}

// Open always begins at the beginning: the archive is made anew for every request.
func (s *nbia) Open(ctx context.Context, item Item, _ int64, _ string) (*Stream, error) {
	var status *StatusError
	if !s.noMD5.Load() {
		stream, err := s.open(ctx, "getImageWithMD5Hash", item)
		if err == nil {
			stream.Hashes = hashList
			return stream, nil
		}
		if !errors.As(err, &status) || status.Status != http.StatusNotFound && status.Status != http.StatusMethodNotAllowed && status.Status != http.StatusNotImplemented {
			return nil, err
		}
	}
	stream, err := s.open(ctx, "getImage", item)
	if err == nil && s.noMD5.CompareAndSwap(false, true) {
		s.client.o.Say(Redact(s.q.Server) + ": this server gives no MD5 of its files (getImageWithMD5Hash); number, size and CRC-32 of the files are checked")
	}
	return stream, err
}

func (s *nbia) open(ctx context.Context, call string, item Item) (*Stream, error) {
	stream, err := s.client.Open(ctx, s.q.Server+"/"+call+"?SeriesInstanceUID="+item.SeriesUID, 0, "")
	var status *StatusError
	if errors.As(err, &status) {
		return nil, s.refused("series "+item.SeriesUID, status, err)
	}
	if err != nil {
		return nil, err
	}
	stream.ETag = "" // an archive made anew is another one, whatever a proxy says of it
	return stream, nil
}

// parseHashes reads md5hashes.csv: the MD5 of every file by its name, in lower-case hexadecimal, or
// empty where the server has none. The file has no order and no quotes (class FormatOutput); older
// servers wrote the number without its leading zeros.
func parseHashes(r io.Reader) (map[string]string, error) {
	rows := csv.NewReader(r)
	rows.FieldsPerRecord = 2
	head, err := rows.Read()
	switch {
	case err == io.EOF:
		return nil, errors.New("it is empty")
	case err != nil:
		return nil, err
	case head[0] != "Filename" || head[1] != "MD5Hash":
		return nil, fmt.Errorf("line 1 is %.80q and should be Filename,MD5Hash", strings.Join(head, ","))
	}
	hashes := map[string]string{}
	for {
		row, err := rows.Read()
		if err == io.EOF {
			return hashes, nil
		}
		if err != nil {
			return nil, err
		}
		line, _ := rows.FieldPos(0)
		name, sum := row[0], strings.ToLower(strings.TrimSpace(row[1]))
		if _, twice := hashes[name]; twice {
			return nil, fmt.Errorf("line %d names %.80q again", line, name)
		}
		if sum != "" {
			sum = strings.Repeat("0", max(0, 32-len(sum))) + sum
			if !md5Hex.MatchString(sum) {
				return nil, fmt.Errorf("line %d: %.80q is no MD5", line, row[1])
			}
		}
		hashes[name] = sum
	}
}
