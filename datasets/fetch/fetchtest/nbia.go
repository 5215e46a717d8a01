package fetchtest

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// NBIA speaks the REST API, version 1, of TCIA's archive: getSeries, getImage and
// getImageWithMD5Hash. As the real one it makes each zip while it sends it (no length, no ranges,
// and a zip that is well formed even where a file could not be read), answers an unknown collection
// with an empty body and status 200, and an unknown series with status 400 and a sentence.
type NBIA struct {
	*Server
	Base, TLSBase string // for a client: the address up to /v1

	mu     sync.Mutex
	series []Series
	noMD5  bool // getImageWithMD5Hash does not exist
}

// NewNBIA starts a server with these series; close it.
func NewNBIA(series ...Series) *NBIA {
	n := &NBIA{Server: &Server{}, series: slices.Clone(series)}
	n.start(n.handle)
	const path = "/nbia-api/services/v1"
	n.Base, n.TLSBase = n.URL+path, n.TLSURL+path
	return n
}

// WithoutMD5 takes getImageWithMD5Hash away, as older servers do not have it.
func (n *NBIA) WithoutMD5() { n.mu.Lock(); n.noMD5 = true; n.mu.Unlock() }

// Files are all files by their path below a folder: patient/series/name.
func (n *NBIA) Files() map[string][]byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	files := map[string][]byte{}
	for _, s := range n.series {
		for i, f := range s.Files {
			files[join(s.Patient, s.UID, fmt.Sprintf("%08d.dcm", i+1))] = f.Data
		}
	}
	return files
}

// change puts another file into the first series.
func (n *NBIA) change() {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.series[0]
	s.Files = slices.Clone(s.Files)
	s.Files[0].Data = append(bytes.Clone(s.Files[0].Data), Bytes(99, 64)...)
	n.series[0] = s
}

func (n *NBIA) handle(r *http.Request) answer {
	n.mu.Lock()
	defer n.mu.Unlock()
	call, ok := strings.CutPrefix(r.URL.Path, "/nbia-api/services/v1/")
	q := r.URL.Query()
	switch {
	case !ok:
		return notFound(Listing)
	case call == "getSeries":
		return n.list(q.Get("Collection"), q.Get("PatientID"))
	case call == "getImage" || call == "getImageWithMD5Hash" && !n.noMD5:
		for _, s := range n.series {
			if s.UID == q.Get("SeriesInstanceUID") {
				return archive(s.entries(call == "getImageWithMD5Hash"))
			}
		}
		return answer{kind: Content, status: 400, header: header("application/json"),
			body: []byte("Image with given SeriesInstanceUID," + q.Get("SeriesInstanceUID") + ", is not in public domain.")}
	}
	return notFound(Content)
}

func (n *NBIA) list(collection, patient string) answer {
	var rows []map[string]any
	for _, s := range n.series {
		if collection != "" && s.Collection != collection || patient != "" && s.Patient != patient {
			continue
		}
		rows = append(rows, map[string]any{
			"SeriesInstanceUID": s.UID, "StudyInstanceUID": s.Study, "Modality": s.Modality,
			"SeriesDate": "2010-01-01 00:00:00.0", "SeriesNumber": 1, "AnnotationsFlag": false,
			"Collection": s.Collection, "PatientID": s.Patient, "ImageCount": len(s.Files), "FileSize": s.size(),
			"LicenseName": s.Licence, "LicenseURI": "http://creativecommons.org/licenses/by/3.0/", "DateReleased": "2014-05-16",
		})
	}
	a := answer{kind: Listing, header: header("application/json")}
	if rows != nil {
		a.body, _ = json.Marshal(rows) // maps of strings and numbers
	}
	return a
}

// entry is one of a zip; raw ones are written as they are.
type entry struct {
	zip.FileHeader
	data []byte
	raw  func(io.Writer) // the compressed bytes, with sizes and checksum in the header
}

func plainEntry(name string, data []byte) entry {
	return entry{FileHeader: zip.FileHeader{Name: name, Method: zip.Deflate}, data: data}
}

// entries are those of the archive that the server makes of a series.
func (s Series) entries(hashes bool) []entry {
	var all []entry
	list := "Filename,MD5Hash\n"
	if !hashes {
		all = append(all, plainEntry("LICENSE", []byte("This is the licence of "+s.Collection+": "+s.Licence+"\n")))
	}
	for i, f := range s.Files {
		name := fmt.Sprintf("%08d.dcm", i+1)
		all = append(all, plainEntry(name, f.Data))
		list += name + "," + sum(f.Data) + "\n"
	}
	if hashes {
		all = append(all, plainEntry("md5hashes.csv", []byte(list)))
	}
	return all
}

// pack makes a zip.
func pack(w io.Writer, entries []entry) {
	z := zip.NewWriter(w)
	for _, e := range entries {
		if e.raw != nil {
			out, err := z.CreateRaw(&e.FileHeader)
			if err != nil {
				return
			}
			e.raw(out)
			continue
		}
		out, err := z.CreateHeader(&e.FileHeader)
		if err != nil {
			return
		}
		out.Write(e.data)
	}
	z.Close()
}

func archive(entries []entry) answer {
	var b bytes.Buffer
	pack(&b, entries)
	return answer{kind: Content, header: header("application/octet-stream"), body: b.Bytes(), open: true}
}

// repack is a fault that changes what the archive of a series holds.
func (n *NBIA) repack(name string, times int, change func(entries []entry) []entry) Fault {
	return fault(name, Content, times, func(x *exchange, _ int) {
		n.mu.Lock()
		var all []entry
		for _, s := range n.series {
			if s.UID == x.r.URL.Query().Get("SeriesInstanceUID") {
				all = s.entries(strings.HasSuffix(x.r.URL.Path, "MD5Hash"))
			}
		}
		n.mu.Unlock()
		all = change(all)
		if slices.ContainsFunc(all, func(e entry) bool { return e.raw != nil }) {
			x.body, x.stream = nil, func(w io.Writer) error { pack(w, all); return nil }
			return
		}
		x.body = archive(all).body
	})
}

// Faults are all that this server knows.
func (n *NBIA) Faults() []Fault {
	evil := func(name string) func([]entry) []entry {
		return func(all []entry) []entry { return append(all, plainEntry(name, []byte("gotcha\n"))) }
	}
	link := func(all []entry) []entry {
		e := plainEntry("00000009.dcm", []byte("/etc/passwd"))
		e.SetMode(0o777 | fs.ModeSymlink)
		return append(all, e)
	}
	last := func(all []entry) []entry { return all[:len(all)-1] }
	wrong := func(all []entry) []entry {
		e := &all[len(all)-1]
		e.data = bytes.ReplaceAll(e.data, []byte("dcm,"), []byte("dcm,0"))
		return all
	}
	// Bombs are thrown once a run only: each is 10 MB on the way.
	bomb := func(name string, change func([]entry) []entry) Fault {
		f := n.repack(name, 0, change)
		f.when = func(x *exchange, _ int) bool {
			n.mu.Lock()
			defer n.mu.Unlock()
			return x.r.URL.Query().Get("SeriesInstanceUID") == n.series[0].UID
		}
		return f
	}
	all := common()
	all = append(all,
		Changed(50, Refused, n.change),
		n.repack("zip entry ../../evil.dcm", 0, evil("../../evil.dcm")),
		n.repack("zip entry /evil.dcm", 0, evil("/evil.dcm")),
		n.repack(`zip entry ..\evil.dcm`, 0, evil(`..\evil.dcm`)),
		n.repack("zip entry a/../../evil.dcm", 0, evil("a/../../evil.dcm")),
		n.repack("zip entry C:evil.dcm", 0, evil("C:evil.dcm")),
		n.repack("zip entry twice", 0, evil("00000001.dcm")),
		n.repack("zip entry that is a link", 0, link),
		n.repack("zip entry too many", 0, evil("00000009.dcm")),
		n.repack("zip entry too few, no md5hashes.csv (a file that the server could not read)", 0, func(all []entry) []entry { return last(last(all)) }),
		n.repack("zip without md5hashes.csv", 1, last),
		n.repack("zip without md5hashes.csv", 0, last),
		n.repack("md5hashes.csv wrong", 0, wrong),
		n.repack("md5hashes.csv wrong", 1, wrong),
		n.repack("md5hashes.csv that is none", 0, func(all []entry) []entry { all[len(all)-1].data = []byte("<html>\x00"); return all }),
		bomb("zip entry of 10 GB of zeros", func(all []entry) []entry { all[0] = zeros(all[0].Name, true); return all }),
		bomb("zip entry of 10 GB of zeros that says 3 kB", func(all []entry) []entry { all[0] = zeros(all[0].Name, false); return all }),
		bomb("zip with a LICENSE of 10 GB of zeros that says 3 kB", func(all []entry) []entry { return append(all, zeros("LICENSE", false)) }),
		n.repack("empty zip", 0, func([]entry) []entry { return nil }),
		Replace("list: numbers that are words", Listing, `"FileSize":`, `"FileSize":"many","x":`, 0),
		Replace("list: a UID that is a path", Listing, `"SeriesInstanceUID":"1.`, `"SeriesInstanceUID":"../../1.`, 0),
		Replace("list: a patient that is a path", Listing, `"PatientID":"`, `"PatientID":"../../`, 0),
		Replace("list: no UID", Listing, `"SeriesInstanceUID"`, `"Series"`, 0),
		Replace("list: an object for a list", Listing, `[`, `{"error":[`, 0),
		Replace("list: other files than are counted", Listing, `"ImageCount":3`, `"ImageCount":4`, 0),
	)
	missing := Status(Content, http.StatusNotFound, "", 0).Named("no getImageWithMD5Hash (older server)").ending(Whole)
	missing.when = func(x *exchange, _ int) bool { return strings.HasSuffix(x.r.URL.Path, "WithMD5Hash") }
	return append(all, missing)
}
