package fetch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"hounsfield/datasets/fetch/fetchtest"
)

func TestReadList(t *testing.T) {
	type row struct{ ID number }
	for text, want := range map[string]string{
		`[{"ID":1},{"ID":"2"},{"ID":null},{}]`: "",
		`[]`:                                   "",
		"":                                     "the answer is empty",
		`[`:                                    "ends in the middle, after 1 bytes",
		`[{"ID":1}`:                            "ends in the middle",
		`[{"ID":1},{"I`:                        "ends in the middle",
		`[{"ID":1}]]`:                          "goes on after its end",
		`{"error":[]}`:                         "the answer is no list",
		`null`:                                 "the answer is no list",
		`[{"ID":"many"}]`:                      `the answer holds "many" where a whole number belongs`,
		`[{"ID":1.5}]`:                         "the answer holds 1.5 where a whole number belongs",
		`[7]`:                                  "the answer holds a number, where something else belongs",
		`[{"ID":1} {"ID":2}]`:                  "the answer is no JSON",
		"<!DOCTYPE html><title>No</title>":     `the answer is a web page, not data: "No"`,
	} {
		err := readList([]byte(text), func(int, row) error { return nil })
		if got := fmt.Sprint(err); want == "" && err != nil || want != "" && !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %q", text, got, want)
		}
	}
	// A long list of nonsense ends where the nonsense begins.
	asked, bad := 0, errors.New("no")
	err := readList([]byte("["+strings.Repeat("{},", 1000)+"{}]"), func(n int, _ row) error {
		if asked++; n == 3 {
			return bad
		}
		return nil
	})
	if err != bad || asked != 3 {
		t.Errorf("%v after %d elements", err, asked)
	}
}

// A server that a user names with a password in its address is asked with it, and nothing that is
// said, listed or written down has it.
func TestNoPasswordOfAServerIsSaid(t *testing.T) {
	const secret = "hunter2"
	cohort := fetchtest.Cohort("A", "P1")
	buckets, uuids := fetchtest.IDC(IDCBucket, cohort...)
	nbia, s3 := fetchtest.NewNBIA(cohort...), fetchtest.NewS3(buckets)
	figshare := fetchtest.NewFigshare(7, fetchtest.FigshareFile{Name: "a.csv", Data: fetchtest.Bytes(1, 900)})
	geo := fetchtest.NewGEO(map[string][]byte{"GSE1/matrix/GSE1_series_matrix.txt.gz": fetchtest.Gzip(fetchtest.Bytes(1, 900))})
	with := func(base string) string { return strings.Replace(base, "://", "://me:"+secret+"@", 1) }
	series := []IDCSeries{{Bucket: IDCBucket, UUID: uuids[0]}}
	for name, c := range map[string]struct {
		server *fetchtest.Server
		source func(*Client) Source
	}{
		"nbia":     {nbia.Server, func(c *Client) Source { return NBIA(c, NBIAQuery{Server: with(nbia.Base), Collections: []string{"A"}}) }},
		"idc":      {s3.Server, func(c *Client) Source { return IDC(c, IDCQuery{Server: with(s3.Base), Series: series}) }},
		"figshare": {figshare.Server, func(c *Client) Source { return Figshare(c, FigshareQuery{Server: with(figshare.Base), Article: 7}) }},
		"geo":      {geo.Server, func(c *Client) Source { return GEO(c, GEOQuery{Server: with(geo.Base), Series: "GSE1", Matrix: true}) }},
	} {
		defer c.server.Close()
		var said strings.Builder
		source := c.source(NewClient(ClientOptions{Transport: c.server.Transport(), RequestsPerSecond: 1e6, Say: func(s string) { said.WriteString(s) },
			Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }}))
		items, err := source.List(t.Context())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		fmt.Fprintf(&said, "%+v", items)
		for _, fault := range []fetchtest.Fault{fetchtest.Page(fetchtest.Any, 0), fetchtest.Status(fetchtest.Any, 404, "", 0), fetchtest.Empty(fetchtest.Any, 0)} {
			c.server.Inject(fault)
			_, err := source.List(t.Context())
			_, err2 := source.Open(t.Context(), items[0], 0, "")
			fmt.Fprint(&said, err, err2)
			c.server.Clear()
		}
		if _, err := source.Open(t.Context(), Item{Path: "never listed", SeriesUID: "1.2.3"}, 0, ""); err == nil {
			t.Errorf("%s opens what it has never listed", name)
		} else {
			fmt.Fprint(&said, err)
		}
		if !strings.Contains(said.String(), "127.0.0.1") || strings.Contains(said.String(), secret) {
			t.Errorf("%s says %s", name, said.String())
		}
	}
}
