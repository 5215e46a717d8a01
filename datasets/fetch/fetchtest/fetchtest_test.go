package fetchtest

import (
	"archive/zip"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"
)

func TestDICOMIsRead(t *testing.T) {
	data := DICOM("P1", "1.2", "1.2.3", "1.2.3.4", "CT", 501)
	set, err := dicom.Parse(bytes.NewReader(data), int64(len(data)), nil, dicom.SkipPixelData())
	if err != nil {
		t.Fatal(err)
	}
	for want, where := range map[string]tag.Tag{"P1": tag.PatientID, "1.2": tag.StudyInstanceUID, "1.2.3": tag.SeriesInstanceUID, "1.2.3.4": tag.SOPInstanceUID, "CT": tag.Modality} {
		e, err := set.FindElementByTag(where)
		if err != nil {
			t.Fatal(err)
		}
		if got := dicom.MustGetStrings(e.Value)[0]; strings.TrimSpace(got) != want {
			t.Errorf("%v is %q, want %q", where, got, want)
		}
	}
}

// The archive of zeros must be a good one but for what it claims: else it would be refused for
// another reason than its size. Its CRC-32 is not computed again here: that takes half a minute.
func TestZerosAreAWholeArchive(t *testing.T) {
	for _, honest := range []bool{true, false} {
		var b bytes.Buffer
		pack(&b, []entry{zeros("z", honest)})
		z, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
		if err != nil {
			t.Fatal(err)
		}
		f := z.File[0]
		if claims := f.UncompressedSize64 == 10<<30; claims != honest || b.Len() > 12<<20 {
			t.Errorf("honest %v: it claims %d bytes and takes %d", honest, f.UncompressedSize64, b.Len())
		}
		raw, err := f.OpenRaw()
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, raw); err != nil || uint64(n) != f.CompressedSize64 {
			t.Errorf("%d compressed bytes, %d claimed (%v)", n, f.CompressedSize64, err)
		}
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		part := make([]byte, 40<<20) // across two of the blocks it is made of
		if n, err := io.ReadFull(r, part); err != nil && honest {
			t.Errorf("after %d bytes: %v", n, err)
		}
		if bytes.ContainsFunc(part, func(c rune) bool { return c != 0 }) {
			t.Error("these are no zeros")
		}
	}
}

func TestEveryHostLeadsToTheServer(t *testing.T) {
	s := NewPlain(map[string][]byte{"/a": []byte("content")})
	defer s.Close()
	client := &http.Client{Transport: s.Transport()}
	for _, url := range []string{s.URL, s.TLSURL, "https://services.cancerimagingarchive.net", "http://idc-open-data.s3.amazonaws.com"} {
		res, err := client.Get(url + "/a")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if string(body) != "content" || err != nil {
			t.Errorf("%s: %q, %v", url, body, err)
		}
	}
	if got := s.Stats(); got.Requests != 4 || got.Bytes != 28 || got.Faults != 0 || got.Most != 1 {
		t.Errorf("%+v", got)
	}
}

func TestFaultsStrikeAsOftenAsTheySay(t *testing.T) {
	s := NewPlain(map[string][]byte{"/a": bytes.Repeat([]byte("x"), 1000)})
	defer s.Close()
	client := &http.Client{Transport: s.Transport()}
	get := func(header string) (int, int, error) {
		req, _ := http.NewRequest(http.MethodGet, s.URL+"/a", nil) // the address is a good one
		if header != "" {
			req.Header.Set("Range", header)
		}
		res, err := client.Do(req)
		if err != nil {
			return 0, 0, err
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		return res.StatusCode, len(body), err
	}
	s.Inject(Cut(Content, 100, 2))
	for i, want := range []int{100, 100, 1000} {
		if _, n, err := get(""); n != want || (err == nil) != (want == 1000) {
			t.Errorf("request %d gives %d bytes (%v), want %d", i, n, err, want)
		}
	}
	s.Clear()
	if code, n, err := get("bytes=990-"); code != 206 || n != 10 || err != nil {
		t.Errorf("a part: %d, %d bytes, %v", code, n, err)
	}
	if code, _, _ := get("bytes=1000-"); code != 416 {
		t.Errorf("a part that is not there: %d", code)
	}
	s.Inject(Length(Content, -7, 1))
	if _, n, err := get(""); n != 993 || err != nil {
		t.Errorf("too short: %d bytes, %v", n, err)
	}
	s.Inject(Status(Listing, 500, "", 0), Status(Content, 503, "7", 1))
	if code, _, _ := get(""); code != 503 {
		t.Errorf("status %d, want 503", code)
	}
	if got := s.Stats().Faults; got != 4 {
		t.Errorf("%d faults counted, and 4 were done", got)
	}
}
