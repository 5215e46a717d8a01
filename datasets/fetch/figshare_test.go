package fetch

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"hounsfield/datasets/fetch/fetchtest"
)

func TestFigshareList(t *testing.T) {
	server := fetchtest.NewFigshare(7407125,
		fetchtest.FigshareFile{Name: "Maastro.csv", Data: fetchtest.Bytes(1, 900)},
		fetchtest.FigshareFile{Name: "weights.h5", Data: fetchtest.Bytes(2, 800)},
		fetchtest.FigshareFile{Name: "a/b: c?.csv", Data: fetchtest.Bytes(3, 700)},
		fetchtest.FigshareFile{Name: "README.txt", Data: fetchtest.Bytes(4, 600)},
		fetchtest.FigshareFile{Name: "readme.txt", Data: fetchtest.Bytes(5, 500)},
		fetchtest.FigshareFile{Name: "elsewhere", LinkOnly: true},
	)
	defer server.Close()
	server.Publish(fetchtest.FigshareFile{Name: "Maastro.csv", Data: fetchtest.Bytes(6, 901)})
	client := testClient(server.Server, nil)
	for _, c := range []struct {
		name  string
		q     FigshareQuery
		paths []string
	}{
		{"the newest", FigshareQuery{}, []string{"Maastro.csv"}},
		{"the archive's own address", FigshareQuery{Server: FigshareServer, Folder: "hosny"}, []string{"hosny/Maastro.csv"}},
		{"an older version, by name, over several pages", FigshareQuery{Version: 1, Names: []string{"weights.h5", "Maastro.csv"}}, []string{"Maastro.csv", "weights.h5"}},
		{"names that are none, names that are the same", FigshareQuery{Version: 1, Names: []string{"a/b: c?.csv", "readme.txt", "README.txt"}},
			[]string{"b_ c_.csv", "13000004-README.txt", "13000005-readme.txt"}},
	} {
		c.q.Article = 7407125
		if c.q.Server == "" {
			c.q.Server = server.Base
		}
		items, err := Figshare(client, c.q).List(t.Context())
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := paths(items); !slices.Equal(got, c.paths) {
			t.Errorf("%s: %q, want %q", c.name, got, c.paths)
		}
		for _, item := range items {
			if !md5Hex.MatchString(item.MD5) || item.Size < 500 || item.Licence != "CC BY 4.0" || badPath(item.Path) != "" {
				t.Errorf("%s: %+v", c.name, item)
			}
		}
	}
	for _, c := range []struct {
		q    FigshareQuery
		want string
	}{
		{FigshareQuery{Article: 1}, `article 1: figshare says "Article not found": status 404; check the numbers of article and version`},
		{FigshareQuery{Article: 7407125, Version: 9}, `figshare says "Version does not exist"`},
		{FigshareQuery{Article: 7407125, Names: []string{"weights.h5"}}, `the article has no file "weights.h5"; it has "Maastro.csv"`},
		{FigshareQuery{Article: 7407125, Version: 1}, `file "elsewhere" (number 13000006): it is only a link to https://elsewhere.example/data, which figshare does not hold; name the files to fetch`},
	} {
		c.q.Server = server.Base
		_, err := Figshare(client, c.q).List(t.Context())
		var answer *AnswerError
		if !errors.As(err, &answer) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v\nwant %q", err, c.want)
		}
	}
}

func TestFigshareWithoutSizesOrAnEnd(t *testing.T) {
	server := fetchtest.NewFigshare(7, fetchtest.FigshareFile{Name: "a.csv", Data: fetchtest.Bytes(1, 900)})
	defer server.Close()
	source := Figshare(testClient(server.Server, nil), FigshareQuery{Server: server.Base, Article: 7})
	server.Inject(fetchtest.Replace("no size", fetchtest.Listing, `"size"`, `"bytes"`, 0))
	if items, err := source.List(t.Context()); err != nil || len(items) != 1 || items[0].Size != -1 || items[0].MD5 == "" {
		t.Errorf("a file of unknown size: %+v, %v", items, err)
	}
	server.Clear()
	var row strings.Builder
	row.WriteString("[{\"id\":1}")
	for id := range 2 * figshareFiles {
		fmt.Fprintf(&row, ",{\"id\":%d}", id+2)
	}
	row.WriteString("]")
	server.Inject(fetchtest.Replace("endless", fetchtest.Listing, "[", row.String()[:row.Len()-1]+",", 0))
	var answer *AnswerError
	if _, err := source.List(t.Context()); !errors.As(err, &answer) || !strings.Contains(err.Error(), "it has no end") {
		t.Errorf("a list without an end: %v", err)
	}
}

// A file of a list that came encrypted is not fetched in the clear.
func TestFigshareKeepsToHTTPS(t *testing.T) {
	f := figshareFile{ID: 1, DownloadURL: "http://ndownloader.figshare.com/files/1", ComputedMD5: strings.Repeat("a", 32)}
	if err := f.check(true); err == nil || !strings.Contains(err.Error(), "without encryption") {
		t.Errorf("listed by https: %v", err)
	}
	if err := f.check(false); err != nil {
		t.Errorf("listed by http: %v", err)
	}
}

func TestSafeName(t *testing.T) {
	long := strings.Repeat("ä", 300) + ".csv.gz"
	for name, want := range map[string]string{
		"Maastro.csv":         "Maastro.csv",
		"Données é.csv":       "Données é.csv",
		"../../../etc/passwd": "passwd",
		`..\..\evil.exe`:      "evil.exe",
		"a/b.csv":             "b.csv",
		"":                    "file",
		"..":                  "file",
		".bashrc":             "bashrc",
		"-rf":                 "file_rf",
		"a\x00b\nc.csv":       "a_b_c.csv",
		"C:x.csv":             "C_x.csv",
		"x. .":                "x",
		"CON.txt":             "file_CON.txt",
		"<b>&\"'|*?.csv":      "file_b_______.csv",
	} {
		if got := safeName(name); got != want {
			t.Errorf("%q becomes %q, want %q", name, got, want)
		}
	}
	if got := safeName(long); len(got) > 255 || !strings.HasSuffix(got, "ä.gz") || badName(got) != "" {
		t.Errorf("a long name becomes %q", got)
	}
}

func FuzzSafeName(f *testing.F) {
	f.Add("../../x")
	f.Add("CON.txt")
	f.Add("\xd500 !")
	f.Fuzz(func(t *testing.T, name string) {
		got := safeName(name)
		if problem := badName(got); problem != "" {
			t.Fatalf("%q becomes %q, which %s", name, got, problem)
		}
		if again := safeName(got); again != got {
			t.Fatalf("%q becomes %q and then %q", name, got, again)
		}
	})
}
