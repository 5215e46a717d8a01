package fetch

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"hounsfield/datasets/fetch/fetchtest"
)

func TestGEOFolder(t *testing.T) {
	for name, want := range map[string]string{
		"GSE1":       "series/GSEnnn/GSE1/",
		"GSE567":     "series/GSEnnn/GSE567/",
		"GSE1234":    "series/GSE1nnn/GSE1234/",
		"GSE58661":   "series/GSE58nnn/GSE58661/",
		"GSE103584":  "series/GSE103nnn/GSE103584/",
		"GPL96":      "platforms/GPLnnn/GPL96/",
		"GPL15048":   "platforms/GPL15nnn/GPL15048/",
		"GSM1":       "",
		"GSE":        "",
		"gse58661":   "",
		"GSE58661/":  "",
		"GSE../58":   "",
		"GSE1234567": "series/GSE1234nnn/GSE1234567/",
	} {
		got, err := geoFolder(name)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s lies in %q (%v), want %q", name, got, err, want)
		}
	}
}

func TestGEOList(t *testing.T) {
	matrix := fetchtest.Gzip(fetchtest.Bytes(1, 4000))
	server := fetchtest.NewGEO(map[string][]byte{
		"GSE58661/matrix/GSE58661_series_matrix.txt.gz":         matrix,
		"GSE103584/matrix/GSE103584-GPL96_series_matrix.txt.gz": matrix,
		"GSE103584/matrix/GSE103584-GPL97_series_matrix.txt.gz": matrix,
		"GSE103584/matrix/GSE103584-GPL97_other.txt.gz":         matrix,
		"GSE58661/soft/GSE58661_family.soft.gz":                 matrix,
		"GSE58661/suppl/GSE58661_RAW.tar":                       fetchtest.Bytes(2, 10240),
		"GSE58661/suppl/GSE58661_a b+c.csv.gz":                  matrix,
		"GSE58661/suppl/filelist.txt": []byte("#Archive/File\tName\tTime\tSize\tType\r\nArchive\tGSE58661_RAW.tar\t02/01/2015 10:00:00\t10240\tTAR\r\n" +
			"File\tGSM1.CEL.gz\t02/01/2015 10:00:00\t77\tCEL\r\n"),
		"GPL570/annot/GPL570.annot.gz":          matrix,
		"GPL15048/soft/GPL15048_family.soft.gz": matrix,
	})
	defer server.Close()
	client := testClient(server.Server, nil)
	for _, c := range []struct {
		name  string
		q     GEOQuery
		paths []string
	}{
		{"the matrix", GEOQuery{Series: "GSE58661", Matrix: true, Folder: "lung3/expression"}, []string{"lung3/expression/GSE58661_series_matrix.txt.gz"}},
		{"two platforms", GEOQuery{Series: "GSE103584", Matrix: true}, []string{"GSE103584-GPL96_series_matrix.txt.gz", "GSE103584-GPL97_series_matrix.txt.gz"}},
		{"the family file", GEOQuery{Series: "GSE58661", Soft: true}, []string{"GSE58661_family.soft.gz"}},
		{"supplements", GEOQuery{Series: "GSE58661", Supplements: []string{"*_RAW.tar", "*.csv.gz"}}, []string{"GSE58661_RAW.tar", "GSE58661_a b+c.csv.gz"}},
		{"annotations, GEO's and the depositor's", GEOQuery{Series: "GSE58661", Platforms: []string{"GPL570", "GPL15048"}}, []string{"GPL15048_family.soft.gz", "GPL570.annot.gz"}},
		{"the archive's own address", GEOQuery{Series: "GSE58661", Matrix: true, Server: GEOServer}, []string{"GSE58661_series_matrix.txt.gz"}},
	} {
		if c.q.Server == "" {
			c.q.Server = server.Base
		}
		items, err := GEO(client, c.q).List(t.Context())
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := paths(items); !slices.Equal(got, c.paths) {
			t.Errorf("%s: %q, want %q", c.name, got, c.paths)
		}
		for _, item := range items {
			if n := int64(len(matrix)); item.Gzip != strings.HasSuffix(item.Path, ".gz") || item.Version == "" || item.Gzip && item.Size != n || !item.Gzip && item.Size != 10240 {
				t.Errorf("%s: %+v", c.name, item)
			}
		}
	}
	for _, c := range []struct {
		q    GEOQuery
		want string
	}{
		{GEOQuery{Series: "GSE2", Matrix: true}, "there is no such folder, or it is empty: status 403; check the name"},
		{GEOQuery{Series: "GPL570", Matrix: true}, `"GPL570" is no series of GEO; series have names like GSE58661`},
		{GEOQuery{Series: "GSE58661"}, "nothing is asked for"},
		{GEOQuery{Series: "GSE58661", Supplements: []string{"*.h5"}}, `no supplement fits "*.h5"; the series has "GSE58661_RAW.tar", "GSE58661_a b+c.csv.gz", "filelist.txt"`},
		{GEOQuery{Series: "GSE58661", Supplements: []string{"["}}, `"[" is no pattern`},
		{GEOQuery{Series: "GSE58661", Platforms: []string{"570"}}, `"570" is no platform of GEO`},
		{GEOQuery{Series: "GSE58661", Platforms: []string{"GPL1"}}, "there is no such folder"},
	} {
		c.q.Server = server.Base
		_, err := GEO(client, c.q).List(t.Context())
		var answer *AnswerError
		if !errors.As(err, &answer) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v\nwant %q", err, c.want)
		}
	}
}

// apachePage is what ftp.ncbi.nlm.nih.gov sends for a folder, the sort links of other servers of
// the same kind added.
func apachePage(dir, rows string) []byte {
	return fmt.Appendf(nil, "<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 3.2 Final//EN\">\n<html>\n <head>\n  <title>Index of %[1]s</title>\n </head>\n <body>\n<h1>Index of %[1]s</h1>\n"+
		"<pre><a href=\"?C=N;O=D\">Name</a>      <a href=\"?C=M;O=A\">Last modified</a>      <a href=\"?C=S;O=A\">Size</a>  <hr>%[2]s<hr></pre>\n"+
		"<a href=\"https://www.hhs.gov/vulnerability-disclosure-policy/index.html\">HHS Vulnerability Disclosure</a>\n</body></html>\n", strings.TrimSuffix(dir, "/"), rows)
}

func TestParseFolder(t *testing.T) {
	const dir = "/geo/series/GSE58nnn/GSE58661/matrix/"
	const up = "<a href=\"/geo/series/GSE58nnn/GSE58661/\">Parent Directory</a>                                      -\n"
	got, err := parseFolder(apachePage(dir, up+
		"<a href=\"GSE58661_series_matrix.txt.gz\">GSE58661_series_matrix.txt.gz</a>   2026-07-12 00:35  3.1K\n"+
		"<a href=\"big%20one.tar\">big one.tar</a>   2026-07-12 00:35   61M\n"+
		"<A HREF='tiny.txt'>tiny.txt</A>   2026-07-12 00:35  973 \n"+
		"<a href=\"sub/\">sub/</a>   2026-07-12 00:35    -\n"), dir)
	want := []geoFile{
		{name: "GSE58661_series_matrix.txt.gz", atMin: 3072, atMost: 3277, size: -1},
		{name: "big one.tar", atMin: 60 << 20, atMost: 62<<20 + 1, size: -1},
		{name: "tiny.txt", atMin: 973, atMost: 974, size: -1},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%+v (%v), want %+v", got, err, want)
	}
	for _, c := range []struct{ name, page, want string }{
		{"a path", string(apachePage(dir, up+`<a href="../../x">x</a>`)), `links to "../../x", which is no file of this folder`},
		{"a coded path", string(apachePage(dir, up+`<a href="%2e%2e%2fx">x</a>`)), "which is no file of this folder"},
		{"another host", string(apachePage(dir, up+`<a href="https://elsewhere/x">x</a>`)), "which is no file of this folder"},
		{"a bad code", string(apachePage(dir, up+`<a href="%zz">x</a>`)), "which is no file of this folder"},
		{"a hidden name", string(apachePage(dir, up+`<a href=".x">x</a>`)), "which is no file of this folder"},
		{"a link without quotes", string(apachePage(dir, up+`<a href=x>x</a>`)), "links that cannot be read"},
		{"another folder", string(apachePage("/geo/series/", "")), `is called "Index of /geo/series" and should be called "Index of /geo/series/GSE58nnn/GSE58661/matrix"`},
		{"a cut page", strings.Split(string(apachePage(dir, up)), "</pre>")[0], "the page ends in the middle"},
		{"words", "no", "the answer is no page"},
		{"forbidden", "<html><head><title>Access forbidden!</title></head></html>", `the page is called "Access forbidden!"`},
	} {
		if _, err := parseFolder([]byte(c.page), dir); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func FuzzParseFolder(f *testing.F) {
	const dir = "/geo/a/b/"
	f.Add(string(apachePage(dir, "<a href=\"x.gz\">x.gz</a> 2026-07-12 00:35  3.1K\n")))
	f.Fuzz(func(t *testing.T, page string) {
		files, err := parseFolder([]byte(page), dir)
		if err != nil {
			return
		}
		for _, x := range files {
			if x.name == "" || strings.ContainsAny(x.name, `/\:`) || strings.HasPrefix(x.name, ".") {
				t.Fatalf("%+v", x)
			}
			u, err := url.Parse("https://h" + dir + (&url.URL{Path: x.name}).EscapedPath())
			if err != nil || u.Path != dir+x.name || u.RawQuery != "" {
				t.Fatalf("%q leads to %v (%v)", x.name, u, err)
			}
		}
	})
}

func TestParseFileList(t *testing.T) {
	got, err := parseFileList([]byte("#Archive/File\tName\tTime\tSize\tType\nFile\tGSE1_counts.txt.gz\tt\t99\tTXT\nArchive\tGSE1_RAW.tar\tt\t71618560\tTAR\nFile\tGSM1.CEL.gz\tt\t10\tCEL\n"))
	if err != nil || len(got) != 2 || got["GSE1_RAW.tar"] != 71618560 || got["GSE1_counts.txt.gz"] != 99 {
		t.Errorf("%v, %v", got, err)
	}
	for _, text := range []string{"", "Name\tSize\n", "#Archive/File\tName\tTime\tSize\tType\nArchive\tx\tt\tmany\tTAR\n", "#Archive/File\tName\tTime\tSize\tType\nx\n"} {
		if got, err := parseFileList([]byte(text)); err == nil {
			t.Errorf("%q gives %v", text, got)
		}
	}
}
