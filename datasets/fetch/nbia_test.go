package fetch

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"hounsfield/datasets/fetch/fetchtest"
)

// testClient asks without waiting.
func testClient(s *fetchtest.Server, say func(string)) *Client {
	return NewClient(ClientOptions{Transport: s.Transport(), RequestsPerSecond: 1e6, Silence: 200 * time.Millisecond, Say: say,
		Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }})
}

func TestNBIAList(t *testing.T) {
	series := append(fetchtest.Cohort("RIDER Lung CT", "RIDER-1", "RIDER-2"), fetchtest.Cohort("RIDER-LungCT-Seg", "RIDER-2")[1])
	series[4].UID, series[4].Modality = "1.3.6.1.4.1.99.9.1", "SEG"
	server := fetchtest.NewNBIA(series...)
	defer server.Close()
	client := testClient(server.Server, nil)
	both := []string{"RIDER Lung CT", "RIDER-LungCT-Seg"}
	for _, c := range []struct {
		name  string
		q     NBIAQuery
		paths []string
	}{
		{"everything", NBIAQuery{Server: server.Base, Folder: "rider/dicom", Collections: both}, []string{
			"rider/dicom/RIDER-1/1.3.6.1.4.1.99.1.1", "rider/dicom/RIDER-1/1.3.6.1.4.1.99.1.2",
			"rider/dicom/RIDER-2/1.3.6.1.4.1.99.2.1", "rider/dicom/RIDER-2/1.3.6.1.4.1.99.2.2", "rider/dicom/RIDER-2/1.3.6.1.4.1.99.9.1"}},
		{"the archive's own address", NBIAQuery{Collections: both[1:]}, []string{"RIDER-2/1.3.6.1.4.1.99.9.1"}},
		{"some modalities", NBIAQuery{Server: server.Base + "/", Collections: both, Modalities: []string{"CT", "SEG"}}, []string{
			"RIDER-1/1.3.6.1.4.1.99.1.1", "RIDER-2/1.3.6.1.4.1.99.2.1", "RIDER-2/1.3.6.1.4.1.99.9.1"}},
		{"one patient of two collections", NBIAQuery{Server: server.Base, Collections: both, Patients: []string{"RIDER-1"}}, []string{
			"RIDER-1/1.3.6.1.4.1.99.1.1", "RIDER-1/1.3.6.1.4.1.99.1.2"}},
		{"one patient of one", NBIAQuery{Server: server.Base, Collections: both[:1], Patients: []string{"RIDER-2"}, Modalities: []string{"CT"}}, []string{"RIDER-2/1.3.6.1.4.1.99.2.1"}},
		{"a collection twice", NBIAQuery{Server: server.Base, Collections: []string{both[1], both[1]}}, []string{"RIDER-2/1.3.6.1.4.1.99.9.1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			items, err := NBIA(client, c.q).List(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got := paths(items); !slices.Equal(got, c.paths) {
				t.Errorf("listed %q, want %q", got, c.paths)
			}
		})
	}
	items, err := NBIA(client, NBIAQuery{Server: server.Base, Collections: both[:1]}).List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var size int64
	for _, f := range series[0].Files {
		size += int64(len(f.Data))
	}
	want := Item{
		Path: "RIDER-1/1.3.6.1.4.1.99.1.1", From: server.Base + "/getImageWithMD5Hash?SeriesInstanceUID=1.3.6.1.4.1.99.1.1", Size: size, Archive: true,
		Files: 3, Beside: []string{"LICENSE", "md5hashes.csv"}, Version: items[0].Version, SeriesUID: "1.3.6.1.4.1.99.1.1", Patient: "RIDER-1", Modality: "CT",
		Licence: "Creative Commons Attribution 3.0 Unported License",
	}
	if got := items[0]; !sameItem(got, want) || got.Version == "" {
		t.Errorf("the first item is\n%+v\nand should be\n%+v", got, want)
	}
}

func paths(items []Item) []string {
	var p []string
	for _, i := range items {
		p = append(p, i.Path)
	}
	return p
}

func sameItem(a, b Item) bool {
	beside := slices.Equal(a.Beside, b.Beside)
	a.Beside, b.Beside = nil, nil
	return beside && a.Path == b.Path && a.From == b.From && a.Size == b.Size && a.SHA256 == b.SHA256 && a.MD5 == b.MD5 && a.Gzip == b.Gzip &&
		a.Archive == b.Archive && a.Files == b.Files && a.Version == b.Version && a.SeriesUID == b.SeriesUID && a.Patient == b.Patient &&
		a.Modality == b.Modality && a.Licence == b.Licence
}

func TestNBIAQuestionsWithoutAnAnswer(t *testing.T) {
	series := fetchtest.Cohort("RIDER Lung CT", "RIDER-1", "RIDER-2", "RIDER-3")
	series[5].Modality = "SEG" // of RIDER-3 only
	server := fetchtest.NewNBIA(series...)
	defer server.Close()
	for _, c := range []struct {
		q    NBIAQuery
		want string
	}{
		{NBIAQuery{Collections: []string{"RIDER"}}, `the archive has nothing of a collection "RIDER" (its answer is empty); names are spelt exactly as on the archive's page`},
		{NBIAQuery{Collections: []string{"RIDER Lung CT"}, Patients: []string{"R1"}}, `nothing of a collection "RIDER Lung CT" and a patient "R1"`},
		{NBIAQuery{Collections: []string{"RIDER Lung CT"}, Patients: []string{"RIDER-1", "R1", "R2"}}, `holds no patient R1, R2; patient ids are spelt`},
		{NBIAQuery{Collections: []string{"RIDER Lung CT"}, Modalities: []string{"MR", "PT"}}, `holds no series of the modality MR or PT; it holds CT, RTSTRUCT, SEG`},
		{NBIAQuery{Collections: []string{"RIDER Lung CT"}, Patients: []string{"RIDER-1", "RIDER-2"}, Modalities: []string{"SEG"}}, `holds no series of the modality SEG of RIDER-1, RIDER-2; it holds of theirs CT, RTSTRUCT`},
	} {
		c.q.Server = server.Base
		_, err := NBIA(testClient(server.Server, nil), c.q).List(t.Context())
		var answer *AnswerError
		if !errors.As(err, &answer) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v\nwant an AnswerError with %q", c.q, err, c.want)
		}
	}
}

// A server must not choose paths: it is refused before anything else looks at its list.
func TestNBIAEvilLists(t *testing.T) {
	for want, change := range map[string]func(*fetchtest.Series){
		`its SeriesInstanceUID "../../1.2" is no DICOM identifier`: func(s *fetchtest.Series) { s.UID = "../../1.2" },
		`its SeriesInstanceUID "1.2/3" is no DICOM identifier`:     func(s *fetchtest.Series) { s.UID = "1.2/3" },
		`its SeriesInstanceUID "1..2" is no DICOM identifier`:      func(s *fetchtest.Series) { s.UID = "1..2" },
		`is no DICOM identifier`:                                   func(s *fetchtest.Series) { s.UID = strings.Repeat("1", 65) },
		`its PatientID "../etc" cannot name a folder`:              func(s *fetchtest.Series) { s.Patient = "../etc" },
		`its PatientID "a/b" cannot name a folder`:                 func(s *fetchtest.Series) { s.Patient = "a/b" },
		`its PatientID ".hidden" cannot name a folder`:             func(s *fetchtest.Series) { s.Patient = ".hidden" },
		`its PatientID "" cannot name a folder`:                    func(s *fetchtest.Series) { s.Patient = "" },
	} {
		series := fetchtest.Cohort("A", "P1")
		change(&series[1])
		server := fetchtest.NewNBIA(series...)
		_, err := NBIA(testClient(server.Server, nil), NBIAQuery{Server: server.Base, Collections: []string{"A"}}).List(t.Context())
		server.Close()
		var answer *AnswerError
		if !errors.As(err, &answer) || !strings.Contains(err.Error(), `series 2 of collection "A" cannot be used: `) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nwant %q", err, want)
		}
	}
}

// What is wrong with a series that nobody wants does not matter, nor does one without numbers.
func TestNBIAListsWhatCanBeUsed(t *testing.T) {
	series := fetchtest.Cohort("A", "P1", "P2", "P3")
	series[2].Patient, series[5].UID = "../P2", "no UID"
	server := fetchtest.NewNBIA(series...)
	defer server.Close()
	server.Inject(fetchtest.Replace("no counts", fetchtest.Listing, `"ImageCount":3`, `"ImageCount":null`, 0), fetchtest.Replace("no sizes", fetchtest.Listing, `"FileSize"`, `"Size"`, 0))
	items, err := NBIA(testClient(server.Server, nil), NBIAQuery{Server: server.Base, Collections: []string{"A"}, Modalities: []string{"CT"}, Patients: []string{"P1", "P3"}}).List(t.Context())
	if err != nil || len(items) != 2 || items[0].Patient != "P1" || items[1].Patient != "P3" {
		t.Fatalf("%+v, %v", items, err)
	}
	if items[0].Files != 0 || items[0].Size != -1 {
		t.Errorf("%d files, %d bytes of a series whose numbers are not known", items[0].Files, items[0].Size)
	}
}

func TestNBIAUnknownSeriesIsRefusedInTheServersWords(t *testing.T) {
	server := fetchtest.NewNBIA()
	defer server.Close()
	_, err := NBIA(testClient(server.Server, nil), NBIAQuery{Server: server.Base}).Open(t.Context(), Item{SeriesUID: "1.2.3"}, 0, "")
	var answer *AnswerError
	var status *StatusError
	if !errors.As(err, &answer) || !errors.As(err, &status) || status.Status != 400 || !strings.Contains(err.Error(), "1.2.3, is not in public domain") {
		t.Errorf("%v", err)
	}
}

func TestNBIAFallsBackWhereThereIsNoMD5(t *testing.T) {
	server := fetchtest.NewNBIA(fetchtest.Cohort("A", "P1", "P2")...)
	defer server.Close()
	server.WithoutMD5()
	var said []string
	src := NBIA(testClient(server.Server, func(s string) { said = append(said, s) }), NBIAQuery{Server: server.Base, Collections: []string{"A"}})
	items, err := src.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range items {
		stream, err := src.Open(t.Context(), item, 0, "")
		if err != nil {
			t.Fatal(err)
		}
		stream.Body.Close()
		if stream.Hashes != "" || stream.Offset != 0 {
			t.Errorf("%s: %+v", item.Path, stream)
		}
	}
	if len(said) != 1 || !strings.Contains(said[0], "no MD5") {
		t.Errorf("it should say once that there are no MD5s, and said %q", said)
	}
	if n := server.Stats().Requests; n != 1+len(items)+1 {
		t.Errorf("%d requests for %d series: it should ask for the MD5s once", n, len(items))
	}
}

func TestWithoutInternetTheMessageSaysWhatToDo(t *testing.T) {
	server := fetchtest.NewNBIA()
	base := server.Base
	client := testClient(server.Server, nil)
	server.Close() // nobody listens there any more
	_, err := NBIA(client, NBIAQuery{Server: base, Collections: []string{"A"}}).List(t.Context())
	var answer *AnswerError
	if !errors.As(err, &answer) || !strings.Contains(err.Error(), "the list of series of A cannot be had: ") || !strings.HasSuffix(err.Error(), "set HTTPS_PROXY; without internet, take the data set from a copy with --mirror DIR") {
		t.Error(err)
	}
}

func TestParseHashes(t *testing.T) {
	const full = "00000001.dcm,d41d8cd98f00b204e9800998ecf8427e\n"
	for _, c := range []struct {
		name, text, want string // want: of the error
	}{
		{"plain", "Filename,MD5Hash\n" + full, ""},
		{"carriage returns", "Filename,MD5Hash\r\n00000001.dcm,D41D8CD98F00B204E9800998ECF8427E\r\n", ""},
		{"none for a file", "Filename,MD5Hash\n" + full + "2.dcm,\n", ""},
		{"leading zeros lost", "Filename,MD5Hash\n" + full + "3.dcm,abc\n", ""},
		{"empty", "", "it is empty"},
		{"no head", full, "line 1"},
		{"a page", "<html><body>no</body></html>", "wrong number of fields"},
		{"twice", "Filename,MD5Hash\n" + full + full, "line 3 names"},
		{"no MD5", "Filename,MD5Hash\n1.dcm,nothing\n", `line 2: "nothing" is no MD5`},
		{"too long", "Filename,MD5Hash\n1.dcm,0" + strings.Repeat("a", 32) + "\n", "is no MD5"},
		{"three columns", "Filename,MD5Hash\n1.dcm,a,b\n", "wrong number of fields"},
	} {
		got, err := parseHashes(strings.NewReader(c.text))
		if c.want != "" {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want %q", c.name, err, c.want)
			}
			continue
		}
		if err != nil || got["00000001.dcm"] != "d41d8cd98f00b204e9800998ecf8427e" {
			t.Errorf("%s: %v, %v", c.name, got, err)
		}
		if s, ok := got["2.dcm"]; ok && s != "" {
			t.Errorf("%s: %v", c.name, got)
		}
		if s, ok := got["3.dcm"]; ok && s != "00000000000000000000000000000abc" {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func FuzzParseHashes(f *testing.F) {
	f.Add("Filename,MD5Hash\n00000001.dcm,d41d8cd98f00b204e9800998ecf8427e\n")
	f.Add("Filename,MD5Hash\n1.dcm,abc\n\"a\nb\",\n")
	f.Fuzz(func(t *testing.T, text string) {
		hashes, err := parseHashes(strings.NewReader(text))
		for name, sum := range hashes {
			if err != nil || sum != "" && (!md5Hex.MatchString(sum) || sum != strings.ToLower(sum)) {
				t.Fatalf("%q: %q with error %v", name, sum, err)
			}
		}
	})
}
