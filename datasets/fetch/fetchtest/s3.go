package fetchtest

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// S3 speaks what anonymous readers need of Amazon S3's REST API: ListObjectsV2 with continuation
// tokens and encoding-type=url, and GET of objects with ranges and ETags; by path
// (host/bucket/key) and by virtual host (bucket.host/key). Errors are XML documents.
type S3 struct {
	*Server
	Base, TLSBase string // for a client that puts the bucket into the path
	pageSize      int    // objects in one answer to ListObjectsV2

	mu      sync.Mutex
	buckets map[string]map[string][]byte
}

// NewS3 starts a server with these objects by bucket and key; close it.
func NewS3(buckets map[string]map[string][]byte) *S3 {
	s := &S3{Server: &Server{}, pageSize: 2, buckets: buckets}
	s.start(s.handle)
	s.Base, s.TLSBase = s.URL, s.TLSURL
	return s
}

// IDC lays series out as the Imaging Data Commons does, <series uuid>/<instance uuid>.dcm, and says
// which uuid each series has, in order. The uuids are made of the UIDs.
func IDC(bucket string, series ...Series) (buckets map[string]map[string][]byte, uuids []string) {
	objects := map[string][]byte{}
	for _, s := range series {
		id := uuid(s.UID)
		uuids = append(uuids, id)
		for i, f := range s.Files {
			objects[join(id, uuid(fmt.Sprintf("%s/%d", s.UID, i))+".dcm")] = f.Data
		}
	}
	return map[string]map[string][]byte{bucket: objects}, uuids
}

func uuid(of string) string {
	h := sum([]byte(of))
	return strings.Join([]string{h[:8], h[8:12], "4" + h[13:16], "8" + h[17:20], h[20:]}, "-")
}

// Objects are all objects of a bucket by their key.
func (s *S3) Objects(bucket string) map[string][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	objects := map[string][]byte{}
	for k, v := range s.buckets[bucket] {
		objects[k] = v
	}
	return objects
}

// change gives every object of the first bucket other bytes.
func (s *S3) change() {
	s.mu.Lock()
	defer s.mu.Unlock()
	bucket := s.buckets[sortedKeys(s.buckets)[0]]
	for k, v := range bucket {
		v = bytes.Clone(v)
		v[len(v)-1] ^= 1
		bucket[k] = v
	}
}

type s3Object struct {
	Key          string
	LastModified string
	ETag         string
	Size         int
	StorageClass string
}

type s3List struct {
	XMLName               xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListBucketResult"`
	Name, Prefix          string
	KeyCount, MaxKeys     int
	EncodingType          string `xml:",omitempty"`
	IsTruncated           bool
	ContinuationToken     string `xml:",omitempty"`
	NextContinuationToken string `xml:",omitempty"`
	Contents              []s3Object
}

func s3Error(kind Kind, status int, code, message, more string) answer {
	return answer{kind: kind, status: status, header: header("application/xml"), body: []byte(
		`<?xml version="1.0" encoding="UTF-8"?>` + "\n<Error><Code>" + code + "</Code><Message>" + message + "</Message>" + more +
			"<RequestId>4442587FB7D0A2F9</RequestId></Error>")}
}

func (s *S3) handle(r *http.Request) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	path := strings.TrimPrefix(r.URL.Path, "/")
	bucket, key, _ := strings.Cut(path, "/")
	if host, _, ok := strings.Cut(r.Host, ".s3."); ok {
		bucket, key = host, path
	}
	q := r.URL.Query()
	kind := Content
	if q.Get("list-type") == "2" {
		kind = Listing
	}
	objects, ok := s.buckets[bucket]
	if !ok {
		return s3Error(kind, 404, "NoSuchBucket", "The specified bucket does not exist", "<BucketName>"+bucket+"</BucketName>")
	}
	if kind == Content {
		data, ok := objects[key]
		if !ok {
			return s3Error(kind, 404, "NoSuchKey", "The specified key does not exist.", "<Key>"+key+"</Key>")
		}
		return answer{kind: kind, header: header("application/dicom"), body: data, etag: `"` + sum(data) + `"`, ranges: true}
	}
	list := s3List{Name: bucket, Prefix: q.Get("prefix"), MaxKeys: s.pageSize, ContinuationToken: q.Get("continuation-token"), EncodingType: q.Get("encoding-type")}
	keys := slices.DeleteFunc(sortedKeys(objects), func(k string) bool { return !strings.HasPrefix(k, list.Prefix) })
	from := 0
	if list.ContinuationToken != "" {
		n, err := strconv.Atoi(strings.TrimPrefix(list.ContinuationToken, "at+/="))
		if err != nil || n > len(keys) {
			return s3Error(kind, 400, "InvalidArgument", "The continuation token provided is incorrect", "")
		}
		from = n
	}
	to := min(from+s.pageSize, len(keys))
	for _, k := range keys[from:to] {
		o := s3Object{Key: k, LastModified: "2023-04-09T11:49:55.000Z", ETag: `"` + sum(objects[k]) + `"`, Size: len(objects[k]), StorageClass: "INTELLIGENT_TIERING"}
		if list.EncodingType == "url" {
			o.Key = strings.ReplaceAll(url.QueryEscape(k), "%2F", "/")
		}
		list.Contents = append(list.Contents, o)
	}
	list.KeyCount = to - from
	if list.IsTruncated = to < len(keys); list.IsTruncated {
		list.NextContinuationToken = fmt.Sprintf("at+/=%d", to) // with what a query must escape
	}
	body, _ := xml.Marshal(list) // strings and numbers
	return answer{kind: kind, header: header("application/xml"), body: append([]byte(xml.Header), body...)}
}

// document is a fault that answers with an error document.
func document(on Kind, status int, code, message, more string, n int) Fault {
	return fault("error document "+code, on, n, func(x *exchange, _ int) { x.answer = s3Error(x.kind, status, code, message, more) })
}

// Faults are all that this server knows.
func (s *S3) Faults() []Fault {
	all := redone(append(common(), parts()...), map[string]Outcome{piecemeal: Whole})
	all = append(all,
		Changed(700, Refused, s.change),
		document(Listing, 403, "AccessDenied", "Access Denied", "", 0),
		document(Listing, 503, "SlowDown", "Please reduce your request rate.", "", 2),
		document(Content, 503, "SlowDown", "Please reduce your request rate.", "", 2),
		document(Listing, 301, "PermanentRedirect", "The bucket you are attempting to access must be addressed using the specified endpoint. Please send all future requests to this endpoint.",
			"<Bucket>idc-open-data</Bucket><Endpoint>s3.us-west-2.amazonaws.com</Endpoint>", 0),
		Replace("list: wrong MD5s", Listing, "<ETag>&#34;", "<ETag>&#34;0", 0).Named("list: no MD5s, but tags of another kind").ending(Whole),
		Fault{Name: "list: wrong MD5s", On: Listing, Ends: Refused, strike: func(x *exchange, _ int) {
			x.body = bytes.ReplaceAll(x.body, []byte("<ETag>&#34;"), []byte("<ETag>&#34;00000000000000000000000000000000&#34;</ETag><Was>"))
			x.body = bytes.ReplaceAll(x.body, []byte("&#34;</ETag><Size>"), []byte("</Was><Size>"))
		}},
		Replace("list: tags of uploads in parts", Listing, "&#34;</ETag><Size>", "-2&#34;</ETag><Size>", 0).ending(Whole),
		Replace("list: wrong sizes", Listing, "<Size>", "<Size>1", 0),
		Replace("list: sizes that are words", Listing, "<Size>", "<Size>many", 0),
		Replace("list: a key with ..", Listing, "</Key>", "/../../../evil.dcm</Key>", 0),
		Replace("list: a key of another series", Listing, "<Key>", "<Key>0", 0),
		Replace("list: more to come, without a token", Listing, "NextContinuationToken", "Nothing", 0),
		Replace("list: a token that leads back", Listing, "at+/=2", "at+/=0", 0),
		Replace("list: not closed", Listing, "</ListBucketResult>", "", 0),
		instead("list: another document", Listing, "application/xml", xml.Header+"<html><body/></html>", 0),
	)
	return all
}
