package fetchtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Secret is in the address of every file that a Figshare server redirects to: it must not appear
// in any message, journal or error.
const Secret = "AKIASECRET4f9ac1e0"

// Figshare speaks the public part of figshare's API, version 2 (articles, their versions and files,
// page by page), and its way to a file: the download address answers with a redirect to a
// pre-signed one on the blob store. Version 1 of the article is what NewFigshare was given.
type Figshare struct {
	*Server
	Base, TLSBase string // for a client: the address up to /v2
	Article       int64
	pageLimit     int // files on a page, at most

	mu       sync.Mutex
	versions [][]FigshareFile
}

// FigshareFile is a file of an article.
type FigshareFile struct {
	Name     string
	Data     []byte
	LinkOnly bool
}

const firstID = 13000001

// NewFigshare starts a server with one article; close it.
func NewFigshare(article int64, files ...FigshareFile) *Figshare {
	f := &Figshare{Server: &Server{}, Article: article, pageLimit: 2, versions: [][]FigshareFile{files}}
	f.start(f.handle)
	f.Base, f.TLSBase = f.URL+"/v2", f.TLSURL+"/v2"
	return f
}

// Publish makes another version of the article.
func (f *Figshare) Publish(files ...FigshareFile) {
	f.mu.Lock()
	f.versions = append(f.versions, files)
	f.mu.Unlock()
}

// Files are the files of the newest version by name.
func (f *Figshare) Files() map[string][]byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	files := map[string][]byte{}
	for _, x := range f.versions[len(f.versions)-1] {
		if !x.LinkOnly {
			files[x.Name] = x.Data
		}
	}
	return files
}

// change gives the first file other bytes, without a new version: what figshare never does.
func (f *Figshare) change() {
	f.mu.Lock()
	defer f.mu.Unlock()
	last := len(f.versions) - 1
	files := slices.Clone(f.versions[last])
	for i := range files {
		files[i].Data = other(files[i].Name, files[i].Data)
	}
	f.versions[last] = files
}

// record is a file as the API shows it.
func (f *Figshare) record(base string, version, i int) map[string]any {
	x := f.versions[version][i]
	id := firstID + 1000*version + i
	m := map[string]any{
		"id": id, "name": x.Name, "size": len(x.Data), "is_link_only": x.LinkOnly,
		"download_url": fmt.Sprintf("%s/files/%d", base, id), "supplied_md5": sum(x.Data), "computed_md5": sum(x.Data), "mimetype": "application/octet-stream",
	}
	if x.LinkOnly {
		m["download_url"], m["size"], m["supplied_md5"], m["computed_md5"] = "https://elsewhere.example/data", 0, "", ""
	}
	return m
}

func refuse(kind Kind, status int, message string) answer {
	body, _ := json.Marshal(map[string]any{"message": message, "code": "EntityNotFound"}) // strings
	return answer{kind: kind, status: status, header: header("application/json"), body: body}
}

func (f *Figshare) handle(r *http.Request) answer {
	f.mu.Lock()
	defer f.mu.Unlock()
	base := f.URL
	if r.TLS != nil {
		base = f.TLSURL
	}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case len(parts) >= 3 && parts[0] == "v2" && parts[1] == "articles":
		return f.article(base, parts[2:], r)
	case len(parts) == 2 && parts[0] == "files", len(parts) == 4 && parts[0] == "v2" && parts[1] == "file" && parts[2] == "download":
		id := parts[len(parts)-1]
		return answer{kind: Way, status: http.StatusFound, header: http.Header{"Location": {base + "/blob/" + id + "/data?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=" + Secret}}}
	case len(parts) == 3 && parts[0] == "blob":
		n, err := strconv.Atoi(parts[1])
		n -= firstID
		if err != nil || n < 0 || n/1000 >= len(f.versions) || n%1000 >= len(f.versions[n/1000]) || f.versions[n/1000][n%1000].LinkOnly {
			return s3Error(Content, 404, "NoSuchKey", "The specified key does not exist.", "")
		}
		if r.URL.Query().Get("X-Amz-Signature") != Secret {
			return s3Error(Content, 403, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided.", "")
		}
		data := f.versions[n/1000][n%1000].Data
		return answer{kind: Content, header: header("application/octet-stream"), body: data, etag: `"` + sum(data) + `"`, ranges: true}
	}
	return refuse(Listing, 404, "Not found")
}

// article answers below /v2/articles.
func (f *Figshare) article(base string, parts []string, r *http.Request) answer {
	if parts[0] != strconv.FormatInt(f.Article, 10) {
		return refuse(Listing, 404, "Article not found")
	}
	version := len(f.versions)
	parts = parts[1:]
	if len(parts) >= 2 && parts[0] == "versions" {
		n, err := strconv.Atoi(parts[1])
		if err != nil || n < 1 || n > version {
			return refuse(Listing, 404, "Version does not exist")
		}
		version, parts = n, parts[2:]
	}
	files := f.versions[version-1]
	switch {
	case len(parts) == 1 && parts[0] == "files":
		q := r.URL.Query()
		page, _ := strconv.Atoi(q.Get("page"))
		size, _ := strconv.Atoi(q.Get("page_size"))
		if page < 1 || size < 1 {
			page, size = 1, 10
		}
		size = min(size, f.pageLimit)
		rows := []map[string]any{}
		for i := (page - 1) * size; i < min(page*size, len(files)); i++ {
			rows = append(rows, f.record(base, version-1, i))
		}
		body, _ := json.Marshal(rows) // strings and numbers
		return answer{kind: Listing, header: header("application/json"), body: body}
	case len(parts) == 0:
		rows := []map[string]any{}
		for i := range min(len(files), 10) {
			rows = append(rows, f.record(base, version-1, i))
		}
		body, _ := json.Marshal(map[string]any{ // strings and numbers
			"id": f.Article, "title": "Deep learning for lung cancer prognostication", "version": version, "files": rows,
			"license": map[string]any{"value": 1, "name": "CC BY 4.0", "url": "https://creativecommons.org/licenses/by/4.0/"},
			"doi":     fmt.Sprintf("10.6084/m9.figshare.%d.v%d", f.Article, version),
		})
		return answer{kind: Listing, header: header("application/json"), body: body}
	}
	return refuse(Listing, 404, "Not found")
}

// Faults are all that this server knows.
func (f *Figshare) Faults() []Fault {
	firewall := fault("status 202, the firewall wants a browser", Way, 0, func(x *exchange, _ int) {
		x.status, x.body = http.StatusAccepted, nil
		x.header.Del("Location")
		x.header.Set("X-Amzn-Waf-Action", "challenge")
	})
	half := firewall.Named("status 202 at the download address only").ending(Whole)
	half.when = func(x *exchange, _ int) bool { return !strings.HasPrefix(x.r.URL.Path, "/v2/") }
	unsigned := fault("a signature that has expired", Way, 0, func(x *exchange, n int) {
		x.header.Set("Location", strings.Replace(x.header.Get("Location"), "Signature="+Secret, "Signature=old"+Secret, 1))
	})
	unpaged := fault("pages that are all the same", Listing, 0, func(x *exchange, _ int) {
		q := x.r.URL.Query()
		q.Del("page")
		r := x.r.Clone(x.r.Context())
		r.URL.RawQuery = q.Encode()
		f.mu.Lock()
		limit := f.pageLimit
		f.pageLimit = 100
		f.mu.Unlock()
		x.body = f.handle(r).body
		f.mu.Lock()
		f.pageLimit = limit
		f.mu.Unlock()
	}).ending(Whole)
	return append(redone(append(common(), parts()...), map[string]Outcome{piecemeal: Whole}),
		Changed(700, Refused, f.change),
		firewall, half, unsigned, unpaged,
		Replace("list: wrong MD5s", Listing, `_md5":"`, `_md5":"0000`, 0),
		Replace("list: MD5s of other files", Listing, `"computed_md5":"`, `"computed_md5":"00000000000000000000000000000000","was":"`, 0),
		Replace("list: no MD5s", Listing, `_md5":"`, `_was":"`, 0),
		Replace("list: wrong sizes", Listing, `"size":`, `"size":1`, 0),
		Replace("list: sizes that are words", Listing, `"size":`, `"size":"many","was":`, 0),
		Replace("list: an object for a list", Listing, `[{`, `{"error":[{`, 0),
		Replace("list: link only", Listing, `"is_link_only":false`, `"is_link_only":true`, 0),
		Replace("list: a download address that is a file", Listing, `"download_url":"http`, `"download_url":"file`, 0),
		Replace("list: a name that is a path", Listing, `"name":"`, `"name":"../../`, 0).ending(Whole),
	)
}
