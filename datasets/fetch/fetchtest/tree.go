package fetchtest

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"html"
	"maps"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
)

// Tree serves files by their path, with ranges and ETags, and folders as the pages that Apache's
// httpd makes of them. It is GEO's server (NewGEO) and a plain one.
type Tree struct {
	*Server
	Base, TLSBase string // of GEO: the address up to /geo; of a plain server: without a path

	mu    sync.Mutex
	files map[string][]byte // by path, beginning with a slash
}

// NewPlain starts a server of files by their path; close it.
func NewPlain(files map[string][]byte) *Tree { return newTree("", files) }

// NewGEO starts a server with the files of series (GSE...) and platforms (GPL...), each by folder
// and name: "GSE58661/matrix/GSE58661_series_matrix.txt.gz". Close it.
func NewGEO(files map[string][]byte) *Tree {
	all := map[string][]byte{}
	for p, data := range files {
		accession, rest, _ := strings.Cut(p, "/")
		stem := "nnn"
		if n := len(accession) - 3; n > 3 {
			stem = accession[3:n] + "nnn"
		}
		kind := "series"
		if strings.HasPrefix(accession, "GPL") {
			kind = "platforms"
		}
		all[join("", "geo", kind, accession[:3]+stem, accession, rest)] = data
	}
	return newTree("/geo", all)
}

func newTree(base string, files map[string][]byte) *Tree {
	t := &Tree{Server: &Server{}, files: files}
	t.start(t.handle)
	t.Base, t.TLSBase = t.URL+base, t.TLSURL+base
	return t
}

// Gzip packs data.
func Gzip(data []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(data)
	w.Close()
	return b.Bytes()
}

// Files are all files by the last part of their path.
func (t *Tree) Files() map[string][]byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	files := map[string][]byte{}
	for p, data := range t.files {
		files[path.Base(p)] = data
	}
	return files
}

// change gives every file other bytes of the same kind: a gzip stays one.
func (t *Tree) change() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for p, data := range t.files {
		t.files[p] = other(p, data)
	}
}

// other is other bytes of the same kind: a gzip stays one.
func other(name string, data []byte) []byte {
	if strings.HasSuffix(name, ".gz") {
		return Gzip(Bytes(uint64(len(data)), 3000))
	}
	data = bytes.Clone(data)
	data[0] ^= 1
	return data
}

func (t *Tree) handle(r *http.Request) answer {
	t.mu.Lock()
	defer t.mu.Unlock()
	if data, ok := t.files[r.URL.Path]; ok {
		kind := "application/octet-stream"
		if strings.HasSuffix(r.URL.Path, ".gz") {
			kind = "application/x-gzip"
		}
		return answer{kind: Content, header: header(kind), body: data, etag: `"` + sum(data) + `"`, ranges: true}
	}
	if strings.HasSuffix(r.URL.Path, "/") {
		return t.folder(r.URL.Path)
	}
	return notFound(Content)
}

// folder is the page of a folder, or 403 when there is none, which is what GEO's server says.
func (t *Tree) folder(dir string) answer {
	var names []string
	for p := range t.files {
		if rest, ok := strings.CutPrefix(p, dir); ok {
			name, _, sub := strings.Cut(rest, "/")
			if sub {
				name += "/"
			}
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	if names == nil {
		return answer{kind: Listing, status: 403, header: header("text/html"), body: []byte("<html><head><title>Access forbidden!</title></head><body><h1>Access forbidden!</h1></body></html>")}
	}
	slices.Sort(names)
	title := "Index of " + strings.TrimSuffix(dir, "/")
	var b strings.Builder
	fmt.Fprintf(&b, "<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 3.2 Final//EN\">\n<html>\n <head>\n  <title>%s</title>\n </head>\n <body>\n<h1>%s</h1>\n", title, title)
	fmt.Fprintf(&b, "<pre>Name                             Last modified      Size  <hr><a href=\"%s/\">Parent Directory</a>                                      -\n", path.Dir(strings.TrimSuffix(dir, "/")))
	for _, n := range names {
		size := fmt.Sprintf("%.1fK", float64(len(t.files[dir+n]))/1024)
		fmt.Fprintf(&b, "<a href=\"%s\">%s</a>   2026-07-12 00:35  %s\n", (&url.URL{Path: n}).EscapedPath(), html.EscapeString(n), size)
	}
	b.WriteString("<hr></pre>\n<a href=\"https://www.hhs.gov/vulnerability-disclosure-policy/index.html\">HHS Vulnerability Disclosure</a>\n</body></html>\n")
	return answer{kind: Listing, header: header("text/html;charset=UTF-8"), body: []byte(b.String())}
}

// GEOFaults are those of a server with folders.
func (t *Tree) GEOFaults() []Fault {
	all := redone(append(common(), parts()...), map[string]Outcome{
		piecemeal: Whole,
		"ends too early, well formed, always [list]": Whole, // what is lost comes after the list
		// A little more or less is within the rounding of the folder's page: the file's own length is
		// asked for once and believed, and the next run asks again.
		"Content-Length too long, once [file]":     Refused,
		"ends too early, well formed, once [file]": Refused,
	})
	return append(all,
		Changed(700, Refused, t.change),
		Replace("folder: a link to a path", Listing, `<a href="GSE`, `<a href="../../../GSE`, 0),
		Replace("folder: a link to another host", Listing, `<a href="GSE`, `<a href="https://elsewhere.example/GSE`, 0),
		Replace("folder: a link to a coded path", Listing, `<a href="GSE`, `<a href="%2e%2e%2fGSE`, 0),
		Replace("folder: another folder's page", Listing, `<title>Index of /geo/series`, `<title>Index of /geo/other`, 0),
		Replace("folder: the list does not end", Listing, `</pre>`, ``, 0),
		Replace("folder: nothing in it", Listing, `<a href="GSE`, `<b title="GSE`, 0),
	)
}

// PlainFaults are those of a server of files only.
func (t *Tree) PlainFaults() []Fault {
	var all []Fault
	for _, f := range redone(append(common(), parts()...), map[string]Outcome{piecemeal: Whole}) {
		if f.On == Content {
			all = append(all, f)
		}
	}
	// Its files are known by their checksums: others are never taken, however often they are offered.
	changed := Changed(700, Refused, t.change)
	t.mu.Lock()
	former := maps.Clone(t.files)
	t.mu.Unlock()
	changed.undo = func() { t.mu.Lock(); t.files = former; t.mu.Unlock() }
	return append(all, changed)
}
