package fetch

import (
	"bytes"
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"math"
	"net/url"
	"path"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
)

// IDCServer is where Amazon keeps the public buckets of the Imaging Data Commons.
const IDCServer = "https://{bucket}.s3.amazonaws.com"

// IDCQuery says which series of NCI's Imaging Data Commons (IDC) belong to a data set.
type IDCQuery struct {
	// Server is the address of the object store: with {bucket} in it (a virtual host), or without
	// (the bucket becomes the first part of the path, as at https://s3.us-east-1.amazonaws.com);
	// empty = IDCServer.
	Server     string
	Folder     string      // below the data folder
	Series     []IDCSeries // see ReadIDCManifest
	Modalities []string    // CT, RTSTRUCT, SEG, ...; empty = all
	Patients   []string    // by their DICOM PatientID; empty = all
}

// IDC is the source of DICOM files from IDC's public buckets, by plain HTTPS and without an account.
// Each object becomes a file, FOLDER/PatientID/SeriesInstanceUID/UUID.dcm; where the manifest knows
// no names, FOLDER/SERIES-UUID/UUID.dcm.
//
// Facts are from IDC's documentation ("Files and metadata": <series uuid>/<instance uuid>.dcm, one
// uuid for each version) and from Amazon S3's API reference (ListObjectsV2, Object, "Error
// responses", "Request redirection"): a list comes in pages of at most 1,000; an ETag is the MD5 of
// an object that was put as a whole and is not encrypted with a key of its owner's, and that
// of an upload in parts ends in -N and is none. Objects that anybody may read are not encrypted so.
// For an object without an MD5 the size alone is checked.
func IDC(c *Client, q IDCQuery) Source {
	if q.Server == "" {
		q.Server = IDCServer
	}
	q.Server = strings.TrimSuffix(q.Server, "/")
	return &idc{client: c, q: q}
}

type idc struct {
	client *Client
	q      IDCQuery
	urls   map[string]string // by item path, after List
}

func (s *idc) Name() string { return "idc" }

// bucket is the address of a bucket, with a slash at the end.
func (s *idc) bucket(name string) string {
	if strings.Contains(s.q.Server, "{bucket}") {
		return strings.ReplaceAll(s.q.Server, "{bucket}", name) + "/"
	}
	return s.q.Server + "/" + name + "/"
}

func (s *idc) fail(bucket, problem, next string, err error) *AnswerError {
	return answerError("idc", s.bucket(bucket), problem, next, err)
}

// listsAtATime is how many lists are asked for side by side: a collection has a thousand series, and
// each list is a small answer from far away.
const listsAtATime = 8

func (s *idc) List(ctx context.Context) ([]Item, error) {
	wanted, err := s.wanted()
	if err != nil {
		return nil, err
	}
	found := make([][]s3Object, len(wanted))
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(listsAtATime)
	for i, series := range wanted {
		group.Go(func() (err error) {
			if err := within.Err(); err != nil {
				return err
			}
			found[i], err = s.objects(within, series)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	s.urls = map[string]string{}
	var items []Item
	for i, series := range wanted {
		for _, o := range found[i] {
			address := s.bucket(series.Bucket) + (&url.URL{Path: o.Key}).EscapedPath()
			item := s.item(series, o, address)
			s.urls[item.Path] = address
			items = append(items, item)
		}
	}
	slices.SortStableFunc(items, func(a, b Item) int { return cmp.Compare(a.Path, b.Path) })
	return items, nil
}

// wanted are the manifest's series after the choice of modalities and patients.
func (s *idc) wanted() ([]IDCSeries, error) {
	refuse := func(problem, next string) ([]IDCSeries, error) {
		return nil, &AnswerError{Source: "idc", Problem: problem, Next: next}
	}
	var wanted []IDCSeries
	wish := newWish(s.q.Modalities, s.q.Patients)
	for _, r := range s.q.Series {
		switch {
		case len(s.q.Modalities) > 0 && r.Modality == "":
			return refuse(fmt.Sprintf("line %d of the manifest does not say the modality, and only %s is wanted", r.Line, strings.Join(s.q.Modalities, " or ")),
				"take a table with a column Modality, or fetch all modalities")
		case len(s.q.Patients) > 0 && r.Patient == "":
			return refuse(fmt.Sprintf("line %d of the manifest does not say the patient, and only some are wanted", r.Line),
				"take a table with a column PatientID, or fetch all patients")
		}
		if wish.wants(r.Modality, r.Patient) {
			wanted = append(wanted, r)
		}
	}
	if problem, next := wish.unmet("the manifest", len(wanted)); problem != "" {
		return refuse(problem, next)
	}
	return wanted, nil
}

type s3Object struct {
	Key  string
	ETag string
	Size number64
}

// number64 is a size in XML.
type number64 int64

func (n *number64) UnmarshalText(b []byte) error {
	var v int64
	if _, err := fmt.Sscanf(string(b)+"\n", "%d\n", &v); err != nil || v < 0 || fmt.Sprint(v) != string(b) {
		return fmt.Errorf("%q is no size", shortened(string(b), 40))
	}
	*n = number64(v)
	return nil
}

type s3List struct {
	XMLName               xml.Name `xml:"ListBucketResult"`
	Prefix                string
	EncodingType          string
	IsTruncated           *bool
	NextContinuationToken string
	Contents              []s3Object
}

const (
	s3Page      = 16 << 20 // bytes; 1,000 objects take some 500 kB
	mostPages   = 1000     // of one series
	mostObjects = 100_000  // of one series
)

// objects lists the objects of a series.
func (s *idc) objects(ctx context.Context, series IDCSeries) ([]s3Object, error) {
	prefix := series.UUID + "/"
	var all []s3Object
	seen := map[string]bool{}
	token := ""
	for range mostPages {
		v := url.Values{"list-type": {"2"}, "prefix": {prefix}, "encoding-type": {"url"}}
		if token != "" {
			v.Set("continuation-token", token)
		}
		page, err := ask(ctx, s.client, s.bucket(series.Bucket)+"?"+v.Encode(), s3Page, func(body []byte) (s3List, error) {
			page, err := readS3List(body, prefix)
			if err != nil {
				return page, s.fail(series.Bucket, "the list of series "+series.UUID+" cannot be read", "type the command again later", err)
			}
			return page, nil
		})
		if err != nil {
			what := "the list of series " + series.UUID
			return nil, unlisted(ctx, "idc", what, s.refused(what, err))
		}
		for _, o := range page.Contents {
			if seen[o.Key] {
				return nil, s.fail(series.Bucket, "the list of series "+series.UUID+" names "+o.Key+" twice", "type the command again later", nil)
			}
			seen[o.Key] = true
			if o.Key != prefix { // an object in the place of the folder itself, which some tools make
				all = append(all, o)
			}
		}
		if !*page.IsTruncated {
			return all, s.complete(series, all)
		}
		if len(all) > mostObjects {
			break
		}
		token = page.NextContinuationToken
	}
	return nil, s.fail(series.Bucket, "the list of series "+series.UUID+" has no end", "report it to IDC", nil)
}

func readS3List(body []byte, prefix string) (s3List, error) {
	var page s3List
	if looksLikeHTML(body) {
		return page, errors.New("the answer is a web page, not a list: " + pageTitle(body))
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return page, errors.New("the answer is empty")
	}
	if err := xml.Unmarshal(body, &page); err != nil {
		var broken *xml.SyntaxError
		if errors.As(err, &broken) && broken.Msg == "unexpected EOF" {
			return page, fmt.Errorf("the answer ends in the middle, after %d bytes", len(body))
		}
		return page, fmt.Errorf("the answer is no list of S3's: %w", err)
	}
	switch {
	case page.IsTruncated == nil:
		return page, errors.New("the answer does not say whether there is more (IsTruncated)")
	case *page.IsTruncated && page.NextContinuationToken == "":
		return page, errors.New("there is more, and the answer does not say where (NextContinuationToken)")
	}
	for i, o := range page.Contents {
		if page.EncodingType == "url" {
			key, err := url.QueryUnescape(o.Key)
			if err != nil {
				return page, fmt.Errorf("the key %.80q cannot be read", o.Key)
			}
			o.Key = key
		}
		name, ok := strings.CutPrefix(o.Key, prefix)
		if !ok || name != "" && !isPlainName(name) {
			return page, fmt.Errorf("the key %q is no file of this series", shortened(o.Key, 120))
		}
		page.Contents[i] = o
	}
	return page, nil
}

// complete compares a list with what the manifest says.
func (s *idc) complete(series IDCSeries, objects []s3Object) error {
	var bytes int64
	for _, o := range objects {
		bytes += int64(o.Size)
	}
	next := "take a new manifest, or report it to IDC"
	switch {
	case len(objects) == 0:
		return s.fail(series.Bucket, "there is nothing of series "+series.UUID, "the uuid or the bucket in the manifest is wrong (see aws_bucket in IDC's index)", nil)
	case series.Files > 0 && len(objects) != series.Files:
		return s.fail(series.Bucket, fmt.Sprintf("series %s has %d files there, and %d in the manifest", series.UUID, len(objects), series.Files), next, nil)
	case series.MB > 0 && math.Abs(float64(bytes)/1e6-series.MB) > 0.1+0.01*series.MB: // it is rounded
		return s.fail(series.Bucket, fmt.Sprintf("series %s has %s there, and %g MB in the manifest", series.UUID, Bytes(bytes), series.MB), next, nil)
	}
	return nil
}

func (s *idc) item(series IDCSeries, o s3Object, address string) Item {
	folder := series.UUID
	if series.Patient != "" && series.SeriesUID != "" {
		folder = series.Patient + "/" + series.SeriesUID
	}
	item := Item{
		Path: below(s.q.Folder, folder+"/"+path.Base(o.Key)), From: Redact(address), Size: int64(o.Size),
		Version: strings.Trim(o.ETag, `"`), SeriesUID: series.SeriesUID, Patient: series.Patient, Modality: series.Modality, Licence: series.Licence,
	}
	if md5Hex.MatchString(item.Version) {
		item.MD5 = strings.ToLower(item.Version)
	}
	return item
}

func (s *idc) Open(ctx context.Context, item Item, offset int64, etag string) (*Stream, error) {
	address, ok := s.urls[item.Path]
	if !ok {
		return nil, answerError("idc", s.q.Server, item.Path+" was never listed", "", nil)
	}
	stream, err := s.client.Open(ctx, address, offset, etag)
	if err != nil {
		return nil, s.refused("the file", err)
	}
	return stream, nil
}

// s3Refusal is the document that S3 answers an error with.
type s3Refusal struct {
	XMLName  xml.Name `xml:"Error"`
	Code     string
	Message  string
	Endpoint string
	Bucket   string
}

// refused adds what S3 says to a status.
func (s *idc) refused(what string, err error) error {
	var status *StatusError
	if !errors.As(err, &status) {
		return err
	}
	e := &AnswerError{Source: "idc", From: status.URL, Err: told{status}}
	var said s3Refusal
	if xml.Unmarshal(status.Body, &said) != nil || said.Code == "" {
		if status.Status/100 != 3 {
			return err
		}
	} else {
		e.Problem = fmt.Sprintf("%s: the store says %s (%s)", what, shortened(said.Message, 200), shortened(said.Code, 40))
	}
	switch {
	case status.Status/100 == 3:
		// https://docs.aws.amazon.com/AmazonS3/latest/userguide/Redirects.html: without an address to go
		// to, the document or a header says which one is right.
		e.Problem = what + ": the bucket is answered for at another address"
		where := shortened(said.Endpoint, 80)
		if region := status.Header.Get("X-Amz-Bucket-Region"); where == "" && region != "" {
			where = "{bucket}.s3." + shortened(region, 40) + ".amazonaws.com"
		}
		if said.Bucket != "" && strings.HasPrefix(where, said.Bucket+".") {
			where = "{bucket}" + strings.TrimPrefix(where, said.Bucket)
		}
		e.Next = "the store does not say which; give the right one with --server"
		if where != "" {
			e.Next = "give it with --server https://" + where
		}
	case said.Code == "NoSuchBucket":
		e.Next = "the bucket's name in the manifest is wrong; IDC's at Amazon are idc-open-data, idc-open-data-two and idc-open-data-cr (idc-open-idc1, idc-open-cr and public-datasets-idc are Google's: take the manifest for AWS)"
	case said.Code == "AccessDenied":
		e.Next = "the bucket is not public, or a network on the way forbids it"
	case said.Code == "NoSuchKey":
		e.Next = "the file was taken away after it was listed; type the command again"
	}
	return e
}
