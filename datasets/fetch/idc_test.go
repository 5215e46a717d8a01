package fetch

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"hounsfield/datasets/fetch/fetchtest"
)

const (
	uuid1 = "040fd3e1-0088-4bb0-b0c4-6bbcd0a3cc15"
	uuid2 = "e127d258-37c2-47bb-a7d1-1faa7f47f47a"
)

func TestParseIDCManifest(t *testing.T) {
	const s1, s2 = "s3://idc-open-data/" + uuid1 + "/*", "s3://idc-open-data-cr/" + uuid2 + "/*"
	plain := []IDCSeries{{Bucket: "idc-open-data", UUID: uuid1}, {Bucket: "idc-open-data-cr", UUID: uuid2}}
	full := IDCSeries{Bucket: "idc-open-data", UUID: uuid1, Patient: "LUNG1-001", SeriesUID: "1.2.3", Modality: "CT", Licence: "CC BY-NC 3.0", Files: 134, MB: 70.66}
	for _, c := range []struct {
		name, text string
		want       []IDCSeries
	}{
		{"the portal's commands", "# To obtain images in this manifest\n# s5cmd --no-sign-request run FILE\n\ncp " + s1 + " .\ncp '" + s2 + "' ./out\n", plain},
		{"with options", "cp --show-progress " + s1 + " .\nsync " + s2 + " x/\n", plain},
		{"addresses alone", s1 + "\r\n" + strings.TrimSuffix(s2, "*") + "\r\n", plain},
		{"without stars", strings.TrimSuffix(s1, "/*") + "\n" + s2, plain},
		{"twice", s1 + "\n" + s2 + "\n" + s1 + "\n", plain},
		{"a table of addresses", "series_aws_url\n" + s1 + "\n" + s2 + "\n", plain},
		{"a table of uuids", "crdc_series_uuid,aws_bucket\n" + uuid1 + ",\n" + uuid2 + ",idc-open-data-cr\n", plain},
		{"a full table", "\ufeff,series_aws_url,PatientID,SeriesInstanceUID,Modality,instanceCount,series_size_MB,license_short_name,Other\n" +
			"0," + s1 + ",LUNG1-001,1.2.3,CT,134.0,70.66,CC BY-NC 3.0,\"a, b\"\n", []IDCSeries{full}},
		{"tabs, the portal's spelling", "# manifest\nmodality\tcrdc_series_uuid\tPatientID\nSEG\t" + uuid1 + "\tR01-001\n",
			[]IDCSeries{{Bucket: "idc-open-data", UUID: uuid1, Patient: "R01-001", Modality: "SEG"}}},
		{"both ways the same", "series_aws_url,crdc_series_uuid\n" + s1 + "," + uuid1 + "\n", plain[:1]},
	} {
		got, err := ParseIDCManifest("m", strings.NewReader(c.text))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		for i := range got {
			if got[i].Line == 0 {
				t.Errorf("%s: series %d has no line", c.name, i)
			}
			got[i].Line = 0
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestBrokenManifestsNameTheLine(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "m: it names no series; a manifest is either"},
		{"comments only", "# a\n", "m: it names no series"},
		{"a page", "<!DOCTYPE html><html></html>", "m: it is a web page"},
		{"words", "hello\n", `m, line 1: "hello" is no address of a series; a manifest is either`},
		{"another command", "# x\nrm s3://idc-open-data/" + uuid1 + "/* .\n", `m, line 2: the command "rm" is not known here`},
		{"Google", "cp gs://public-datasets-idc/" + uuid1 + "/* .\ncp s3://x/y .", `m, line 1: "gs://public-datasets-idc/` + uuid1 + `/*" is in Google's storage; take`},
		{"no uuid", "cp s3://idc-open-data/../* .\n", `m, line 1: "s3://idc-open-data/../*": ".." is not the uuid of a series`},
		{"a deep path", "cp s3://idc-open-data/" + uuid1 + "/" + uuid2 + ".dcm .\n", `is not the uuid of a series`},
		{"bucket with a path", "cp s3://../" + uuid1 + "/* .\n", `".." is no bucket`},
		{"other columns", "PatientID,SeriesInstanceUID\nA,1.2\n", "m: its columns are PatientID, SeriesInstanceUID; none of them says where a series is"},
		{"a column twice", "series_aws_url,PatientID,PatientID\n", "m, line 1, column PatientID: the column is there twice"},
		{"a ragged row", "crdc_series_uuid,PatientID\n" + uuid1 + ",A\n" + uuid2 + "\n", "m, line 3: the table is broken here: wrong number of fields"},
		{"an evil patient", "crdc_series_uuid,PatientID\n" + uuid1 + ",../../etc\n", `m, line 2, column PatientID: "../../etc" cannot name a folder`},
		{"an evil UID", "crdc_series_uuid,SeriesInstanceUID\n" + uuid1 + ",1.2/..\n", `m, line 2, column SeriesInstanceUID: "1.2/.." is no DICOM identifier`},
		{"no count", "crdc_series_uuid,instanceCount\n" + uuid1 + ",many\n", `column instanceCount: "many" is no number of files`},
		{"no size", "crdc_series_uuid,series_size_MB\n" + uuid1 + ",-1\n", `column series_size_MB: "-1" is no size`},
		{"two opinions", "series_aws_url,crdc_series_uuid\ns3://idc-open-data/" + uuid1 + "/*," + uuid2 + "\n", "is another series than the address"},
		{"two rows, two opinions", "crdc_series_uuid,instanceCount\n" + uuid1 + ",3\n" + uuid1 + ",4\n", "m, line 3: it names the series of line 2 again, and says something else"},
		{"a gap", "crdc_series_uuid,PatientID\n,A\n", `m, line 2, column crdc_series_uuid: "" is no uuid`},
	} {
		_, err := ParseIDCManifest("m", strings.NewReader(c.text))
		var m *ManifestError
		if !errors.As(err, &m) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v\nwant %q", c.name, err, c.want)
		}
	}
	var m *ManifestError
	if _, err := ReadIDCManifest(t.TempDir() + "/none.csv"); !errors.As(err, &m) || !strings.Contains(err.Error(), "cannot be opened") {
		t.Errorf("a missing file: %v", err)
	}
}

func FuzzParseIDCManifest(f *testing.F) {
	f.Add("cp s3://idc-open-data/" + uuid1 + "/* .\n")
	f.Add("series_aws_url,PatientID,instanceCount\ns3://idc-open-data/" + uuid1 + "/*,A,3.0\n")
	f.Fuzz(func(t *testing.T, text string) {
		all, err := ParseIDCManifest("m", strings.NewReader(text))
		if err != nil {
			var m *ManifestError
			if !errors.As(err, &m) || strings.ContainsAny(err.Error(), "\n") && m.Err == nil {
				t.Fatalf("%#v", err)
			}
			return
		}
		for _, s := range all {
			if !uuidForm.MatchString(s.UUID) || !bucketName.MatchString(s.Bucket) || s.Patient != "" && badPath(s.Patient) != "" || s.SeriesUID != "" && badPath(s.SeriesUID) != "" {
				t.Fatalf("%+v", s)
			}
		}
	})
}

func TestIDCList(t *testing.T) {
	cohort := fetchtest.Cohort("A", "P1", "P2")
	buckets, uuids := fetchtest.IDC("idc-open-data", cohort...)
	for i := range 23 { // more than some pages
		buckets["idc-open-data"][uuids[0]+fmt.Sprintf("/%08d+x.dcm", i)] = fetchtest.Bytes(uint64(i), 100)
	}
	buckets["idc-open-data"][uuids[0]+"/"] = nil // some tools make an object for the folder
	server := fetchtest.NewS3(buckets)
	defer server.Close()
	var series []IDCSeries
	for i, s := range cohort {
		series = append(series, IDCSeries{Bucket: "idc-open-data", UUID: uuids[i], Patient: s.Patient, SeriesUID: s.UID, Modality: s.Modality, Line: i + 1})
	}
	client := testClient(server.Server, nil)
	var before []Item
	for _, base := range []string{server.Base, "https://{bucket}.s3.eu-central-1.amazonaws.com", ""} {
		items, err := IDC(client, IDCQuery{Server: base, Folder: "f", Series: series}).List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(items) != 8+23 {
			t.Fatalf("%d items with %q", len(items), base)
		}
		for i, item := range items {
			if item.MD5 == "" || item.Size < 100 || item.Version != item.MD5 || !strings.HasPrefix(item.Path, "f/P") || strings.Contains(item.From, "?") {
				t.Errorf("%+v", item)
			}
			if before != nil && (item.Path != before[i].Path || item.MD5 != before[i].MD5) {
				t.Errorf("%s with %q, %s otherwise", item.Path, base, before[i].Path)
			}
		}
		before = items
	}
	if got, want := before[0].From, "https://idc-open-data.s3.amazonaws.com/"+uuids[0]+"/"; !strings.HasPrefix(got, want) {
		t.Errorf("it comes from %s, want %s", got, want)
	}

	items, err := IDC(client, IDCQuery{Server: server.Base, Series: series, Modalities: []string{"RTSTRUCT"}, Patients: []string{"P2"}}).List(t.Context())
	if err != nil || len(items) != 1 || items[0].Patient != "P2" || items[0].Modality != "RTSTRUCT" {
		t.Errorf("one contour of one patient: %+v, %v", items, err)
	}
	for _, s := range series {
		s.Patient, s.SeriesUID, s.Modality = "", "", ""
		items, err := IDC(client, IDCQuery{Server: server.Base, Series: []IDCSeries{s}}).List(t.Context())
		if err != nil || !strings.HasPrefix(items[0].Path, s.UUID+"/") {
			t.Errorf("without names: %+v, %v", items, err)
		}
	}
}

func TestIDCRefusals(t *testing.T) {
	cohort := fetchtest.Cohort("A", "P1")
	buckets, uuids := fetchtest.IDC("idc-open-data", cohort...)
	server := fetchtest.NewS3(buckets)
	defer server.Close()
	one := IDCSeries{Bucket: "idc-open-data", UUID: uuids[0], Line: 7}
	with := func(change func(*IDCSeries)) []IDCSeries { s := one; change(&s); return []IDCSeries{s} }
	for _, c := range []struct {
		name string
		q    IDCQuery
		want string
	}{
		{"an unknown bucket", IDCQuery{Series: with(func(s *IDCSeries) { s.Bucket = "idc-none" })}, "The specified bucket does not exist (NoSuchBucket): status 404; the bucket's name in the manifest is wrong"},
		{"an unknown series", IDCQuery{Series: with(func(s *IDCSeries) { s.UUID = uuid2 })}, "there is nothing of series " + uuid2},
		{"another number of files", IDCQuery{Series: with(func(s *IDCSeries) { s.Files = 4 })}, "has 3 files there, and 4 in the manifest"},
		{"another size", IDCQuery{Series: with(func(s *IDCSeries) { s.MB = 1.5 })}, "kB there, and 1.5 MB in the manifest"},
		{"no modality known", IDCQuery{Series: []IDCSeries{one}, Modalities: []string{"CT"}}, "line 7 of the manifest does not say the modality, and only CT is wanted"},
		{"no patient known", IDCQuery{Series: []IDCSeries{one}, Patients: []string{"P1"}}, "line 7 of the manifest does not say the patient"},
		{"no such patient", IDCQuery{Series: with(func(s *IDCSeries) { s.Patient = "P1" }), Patients: []string{"P2"}}, "the manifest holds no patient P2"},
		{"no such modality", IDCQuery{Series: with(func(s *IDCSeries) { s.Modality = "CT" }), Modalities: []string{"MR"}}, "no series of the modality MR; it holds CT"},
	} {
		c.q.Server = server.Base
		_, err := IDC(testClient(server.Server, nil), c.q).List(t.Context())
		var answer *AnswerError
		if !errors.As(err, &answer) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v\nwant %q", c.name, err, c.want)
		}
	}
}

func TestReadS3ListRefusesEvilKeys(t *testing.T) {
	list := func(key string) []byte {
		return []byte("<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>false</IsTruncated><Contents><Key>" + key + "</Key><Size>1</Size></Contents></ListBucketResult>")
	}
	if page, err := readS3List(list(uuid1+"/"+uuid2+".dcm"), uuid1+"/"); err != nil || len(page.Contents) != 1 || page.Contents[0].Size != 1 {
		t.Fatalf("%+v, %v", page, err)
	}
	for _, key := range []string{uuid2 + "/a.dcm", "../" + uuid1 + "/a.dcm", uuid1 + "/../a.dcm", uuid1 + "/..", uuid1 + "/.a", uuid1 + "/%2e%2e%2fa.dcm", uuid1 + "/a/b.dcm", uuid1 + "/a%5cb.dcm", uuid1 + "/%zz", ""} {
		if page, err := readS3List(list(key), uuid1+"/"); err == nil {
			t.Errorf("the key %q is taken: %+v", key, page.Contents)
		}
	}
}

func TestIDCAnotherRegion(t *testing.T) {
	s := IDC(NewClient(ClientOptions{}), IDCQuery{}).(*idc)
	for _, c := range []struct{ body, region, want string }{
		{"<Error><Code>PermanentRedirect</Code><Message>m</Message><Endpoint>s3.us-west-2.amazonaws.com</Endpoint></Error>", "", "give it with --server https://s3.us-west-2.amazonaws.com"},
		{"<Error><Code>PermanentRedirect</Code><Message>m</Message><Bucket>my-b</Bucket><Endpoint>my-b.s3.us-west-2.amazonaws.com</Endpoint></Error>", "eu-north-1", "give it with --server https://{bucket}.s3.us-west-2.amazonaws.com"},
		{"", "eu-north-1", "give it with --server https://{bucket}.s3.eu-north-1.amazonaws.com"},
		{"", "", "the store does not say which"},
	} {
		status := &StatusError{URL: "https://b/", Status: 301, Header: http.Header{}, Body: []byte(c.body)}
		if c.region != "" {
			status.Header.Set("x-amz-bucket-region", c.region)
		}
		err := s.refused("the list", fmt.Errorf("in vain: %w", status))
		var again *StatusError
		if !errors.As(err, &again) || again != status || !strings.Contains(err.Error(), "the list: the bucket is answered for at another address: status 301; "+c.want) {
			t.Errorf("%q, %q: %v, want %q", c.body, c.region, err, c.want)
		}
	}
}

func FuzzReadS3List(f *testing.F) {
	f.Add(`<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>` + uuid1 + `/a.dcm</Key><Size>3</Size></Contents></ListBucketResult>`)
	f.Fuzz(func(t *testing.T, text string) {
		page, err := readS3List([]byte(text), uuid1+"/")
		if err != nil {
			return
		}
		for _, o := range page.Contents {
			name, ok := strings.CutPrefix(o.Key, uuid1+"/")
			if !ok || strings.ContainsAny(name, `/\`) || o.Size < 0 || strings.HasPrefix(name, ".") {
				t.Fatalf("%+v", o)
			}
		}
	})
}
