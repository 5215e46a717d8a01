package experiments

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"hounsfield/datasets/catalog"
	"hounsfield/datasets/fetch"
	"hounsfield/datasets/table"
)

// What of a data set is fetched, beside "" for all of it.
const (
	OnlyTables = "tables"
	OnlyImages = "images"
)

// gathered is what will be fetched of an entry, as one source.
type gathered struct {
	source fetch.Source
	// absent are files that no archive has and that are not here; optional ones are left
	// out without a word, as nothing needs them.
	absent []string
	notes  []string // what is not fetched, and why
}

// gather puts an entry's files, sources and scans together.
func gather(ctx context.Context, e catalog.Entry, dest string, client *fetch.Client, o FetchOptions) (gathered, error) {
	if err := o.check(e); err != nil {
		return gathered{}, err
	}
	o.Patients = slices.Clone(o.Patients)
	for i, id := range o.Patients {
		o.Patients[i] = strings.TrimSpace(id) // LUNG1-001, LUNG1-002
	}
	if o.Mirror != "" {
		return gatherMirror(e, o)
	}
	var g gathered
	all := &joined{patients: o.Patients}
	if o.Only != OnlyImages {
		server := o.Server
		if wantsScans(e, o) {
			server = "" // it is the scans'
		}
		if err := g.files(e, dest, server, client, all); err != nil {
			return gathered{}, err
		}
		for _, s := range e.Sources {
			if s.Kind == catalog.Figshare {
				all.add(fetch.Figshare(client, fetch.FigshareQuery{Server: server, Folder: s.Folder, Article: s.Article}), nil)
			} else {
				all.add(fetch.GEO(client, geoQuery(s, server)), nil)
			}
		}
	}
	if wantsScans(e, o) {
		if err := addScans(ctx, e, client, o, all); err != nil {
			return gathered{}, err
		}
	} else if e.Images != nil && o.Only != OnlyTables {
		g.notes = append(g.notes, "its scans are in no archive that this program knows. "+strings.TrimSpace(e.Images.Obtain))
	}
	if len(all.parts) > 0 {
		g.source = all
	}
	return g, nil
}

func wantsScans(e catalog.Entry, o FetchOptions) bool {
	return e.Images != nil && len(e.Images.Sources) > 0 && o.Only != OnlyTables
}

// check refuses options that cannot be meant.
func (o FetchOptions) check(e catalog.Entry) error {
	scans := e.Images != nil
	switch {
	case o.Only != "" && o.Only != OnlyTables && o.Only != OnlyImages:
		return fmt.Errorf("--only %s: it must be %s or %s", o.Only, OnlyTables, OnlyImages)
	case o.Only == OnlyImages && !scans:
		return fmt.Errorf("%s has no scans; leave out --only images", e.Name)
	case o.Only == OnlyTables && len(e.Files)+len(e.Sources) == 0:
		return fmt.Errorf("%s has no tables; leave out --only tables", e.Name)
	case len(o.Patients) > 0 && (!scans || o.Only == OnlyTables):
		return errors.New("--patients picks scans, and none would be fetched; leave it out")
	case o.Mirror != "" && (o.Source != "" || o.Server != "" || o.Manifest != ""):
		return errors.New("--mirror copies from a folder: --source, --server and --manifest are for archives; leave them out")
	case o.Source != "" && !wantsScans(e, o):
		return fmt.Errorf("--source %s: no scans of %s would be fetched from an archive; leave it out", o.Source, e.Name)
	case o.Manifest != "" && !wantsScans(e, o):
		return fmt.Errorf("--manifest lists scans, and none of %s would be fetched from an archive; leave it out", e.Name)
	case o.Jobs < 0:
		return fmt.Errorf("--jobs %d: give how many transfers there may be at a time, 1 or more", o.Jobs)
	case strings.Contains(o.Server, anyBucket) && !wantsScans(e, o):
		return notABucket(o.Server)
	case o.Server != "":
		return checkServer(o.Server)
	}
	return nil
}

// anyBucket stands for the bucket's name in the address of a store such as IDC's.
const anyBucket = "{bucket}"

func notABucket(server string) error {
	return fmt.Errorf("--server %s: only the Imaging Data Commons has buckets; add --source idc, or give an address without %s", server, anyBucket)
}

// checkServer takes encrypted addresses, and plain ones of this machine.
func checkServer(server string) error {
	u, err := url.Parse(strings.ReplaceAll(server, anyBucket, "bucket"))
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" {
		return fmt.Errorf("--server %s is no address of a server, such as https://nbia.example.org/nbia-api/services/v1 (without a login in it)", fetch.Redact(server))
	}
	host := u.Hostname()
	ip := net.ParseIP(host)
	if u.Scheme != "https" && !(u.Scheme == "http" && (host == "localhost" || ip != nil && ip.IsLoopback())) {
		return fmt.Errorf("--server %s: patients' scans do not travel unencrypted; give an address that begins with https:// (http:// is for this machine only)", server)
	}
	return nil
}

// files adds what has an address of its own.
func (g *gathered) files(e catalog.Entry, dest, server string, client *fetch.Client, all *joined) error {
	var items []fetch.Item
	urls := map[string]string{}
	here := map[string]bool{}
	for i, row := range e.Verify(dest) {
		here[e.Files[i].Path] = row.Status == catalog.Present
	}
	for _, f := range e.Files {
		switch {
		case f.URL != "":
			address, err := at(server, f.URL)
			if err != nil {
				return err
			}
			items, urls[f.Path] = append(items, itemOf(f)), address
		case !f.Optional && !here[f.Path]:
			g.absent = append(g.absent, f.Path)
		}
	}
	if len(items) > 0 {
		all.add(fetch.HTTPFiles(client, items, urls), nil)
	}
	return nil
}

// at is an address on another server.
func at(server, address string) (string, error) {
	if server == "" {
		return address, nil
	}
	u, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(server, "/") + u.RequestURI(), nil
}

func itemOf(f catalog.File) fetch.Item {
	it := fetch.Item{Path: f.Path, Size: -1, SHA256: f.SHA256, Gzip: f.Verify == catalog.VerifyGzip}
	if f.Size > 0 {
		it.Size = f.Size
	}
	return it
}

// geoQuery sorts the names of a series' files by the folder of the archive that they lie in.
func geoQuery(s catalog.Source, server string) fetch.GEOQuery {
	q := fetch.GEOQuery{Server: server, Folder: s.Folder, Series: s.Series}
	for _, name := range s.Files {
		switch {
		case strings.HasSuffix(name, "_series_matrix.txt.gz"):
			q.Matrix = true
		case name == s.Series+"_family.soft.gz":
			q.Soft = true
		default:
			q.Supplements = append(q.Supplements, name)
		}
	}
	return q
}

// addScans adds the archive that holds the scans: the one asked for, else the entry's first.
func addScans(ctx context.Context, e catalog.Entry, client *fetch.Client, o FetchOptions, all *joined) error {
	im := e.Images
	i := 0
	if o.Source != "" {
		var kinds []string
		for _, s := range im.Sources {
			kinds = append(kinds, s.Kind)
		}
		if i = slices.Index(kinds, o.Source); i < 0 {
			return fmt.Errorf("--source %s: the scans of %s are at %s", o.Source, e.Name, strings.Join(kinds, ", "))
		}
	}
	from := im.Sources[i]
	if o.Manifest != "" && o.Source == "" && from.Kind != catalog.IDC && !strings.HasSuffix(o.Manifest, ".tcia") {
		if j := slices.IndexFunc(im.Sources, func(s catalog.Source) bool { return s.Kind == catalog.IDC }); j >= 0 {
			from = im.Sources[j] // a list of its bucket's addresses is what IDC gives
		}
	}
	patients := func(it fetch.Item) bool { return len(o.Patients) == 0 || slices.Contains(o.Patients, it.Patient) }
	if from.Kind == catalog.IDC {
		if o.Manifest == "" {
			return fmt.Errorf("a fetch from IDC, the Imaging Data Commons, needs a list of series: choose the collection %s at portal.imaging.datacommons.cancer.gov, download its manifest (s5cmd), and give it with --manifest FILE",
				strings.Join(from.Collections, ", "))
		}
		series, err := fetch.ReadIDCManifest(o.Manifest)
		if err != nil {
			return err
		}
		all.add(fetch.IDC(client, fetch.IDCQuery{Server: o.Server, Folder: im.Folder, Series: series, Patients: o.Patients}), nil)
		return nil
	}
	if strings.Contains(o.Server, anyBucket) {
		return notABucket(o.Server)
	}
	only, err := seriesLists(ctx, client, from, o)
	if err != nil {
		return err
	}
	all.add(fetch.NBIA(client, fetch.NBIAQuery{Server: o.Server, Folder: im.Folder, Collections: from.Collections, Modalities: from.Modalities, Patients: o.Patients}),
		func(it fetch.Item) bool { return patients(it) && (only == nil || only[it.SeriesUID]) })
	return nil
}

const longestList = 16 << 20 // bytes, of a list of series: some 250,000 of them

// seriesLists are the UIDs in the lists of an NBIA source, or in the one given; nil = all.
func seriesLists(ctx context.Context, client *fetch.Client, from catalog.Source, o FetchOptions) (map[string]bool, error) {
	lists := from.Manifests
	if o.Manifest != "" {
		lists = []string{o.Manifest}
	}
	if len(lists) == 0 {
		return nil, nil
	}
	only := map[string]bool{}
	for _, name := range lists {
		var text []byte
		var err error
		if strings.HasPrefix(name, "https://") {
			if o.Server != "" { // the whole archive is another
				if name, err = at(hostOf(o.Server), name); err != nil {
					return nil, err
				}
			}
			text, err = client.Small(ctx, name, nil, longestList)
		} else {
			text, err = os.ReadFile(name)
		}
		if err != nil {
			return nil, fmt.Errorf("the list of series to fetch: %w; take one from the collection's page and give it with --manifest FILE", err)
		}
		uids, err := readTCIA(name, text)
		if err != nil {
			return nil, err
		}
		for _, uid := range uids {
			only[uid] = true
		}
	}
	return only, nil
}

// hostOf is a server's address without the path.
func hostOf(server string) string {
	u, err := url.Parse(server)
	if err != nil {
		return server
	}
	return u.Scheme + "://" + u.Host
}

var uid = regexp.MustCompile(`^[0-9]+(\.[0-9]+)+$`)

// readTCIA reads a list of series as TCIA's pages give it (.tcia): settings as key=value, then,
// behind ListOfSeriesToDownload=, a UID a line.
func readTCIA(name string, text []byte) ([]string, error) {
	var uids []string
	begun := false
	for n, line := range bytes.Split(text, []byte("\n")) {
		word := strings.TrimSpace(string(line))
		switch {
		case strings.HasPrefix(word, "ListOfSeriesToDownload="):
			begun = true
			word = strings.TrimPrefix(word, "ListOfSeriesToDownload=")
			fallthrough
		case begun:
			if word == "" {
				continue
			}
			if len(word) > 64 || !uid.MatchString(word) {
				return nil, fmt.Errorf("%s, line %d: %.70q is no series UID; a list of series is a file that ends in .tcia", fetch.Redact(name), n+1, word)
			}
			uids = append(uids, word)
		}
	}
	if len(uids) == 0 {
		return nil, fmt.Errorf("%s holds no list of series (no line ListOfSeriesToDownload= with UIDs below it); take the .tcia file from the collection's page", fetch.Redact(name))
	}
	return uids, nil
}

// gatherMirror takes from a copy what it has. A file that the data set needs and the copy lacks
// is an error of the listing.
func gatherMirror(e catalog.Entry, o FetchOptions) (gathered, error) {
	var g gathered
	var items []fetch.Item
	var folders []string
	there := func(p string) bool {
		_, err := os.Stat(filepath.Join(o.Mirror, filepath.FromSlash(p)))
		return err == nil
	}
	if o.Only != OnlyImages {
		for _, f := range e.Files {
			if !f.Optional || there(f.Path) {
				items = append(items, itemOf(f))
			}
		}
		for _, s := range e.Sources {
			if s.Kind == catalog.Figshare && there(s.Folder) {
				folders = append(folders, s.Folder)
			}
			for _, name := range s.Files {
				if p := path.Join(s.Folder, name); there(p) {
					items = append(items, fetch.Item{Path: p, Size: -1, Gzip: strings.HasSuffix(p, ".gz")})
				} else {
					g.notes = append(g.notes, fmt.Sprintf("%s is not in the mirror %s", p, o.Mirror))
				}
			}
		}
	}
	if e.Images != nil && o.Only != OnlyTables {
		if there(e.Images.Folder) {
			folders = append(folders, e.Images.Folder)
		} else {
			g.notes = append(g.notes, fmt.Sprintf("there are no scans in the mirror %s (no folder %s)", o.Mirror, e.Images.Folder))
		}
	}
	if len(items)+len(folders) == 0 {
		return g, nil
	}
	all := &joined{patients: o.Patients}
	if e.Images != nil {
		all.folder = e.Images.Folder
	}
	all.add(fetch.Mirror(o.Mirror, e.Name, items, folders), func(it fetch.Item) bool {
		return len(o.Patients) == 0 || e.Images == nil || !strings.HasPrefix(it.Path, e.Images.Folder+"/") || ofPatients(it, e.Images.Folder, o.Patients) != ""
	})
	g.source = all
	return g, nil
}

// ofPatients is the one of the patients that an item below the scans' folder belongs to: by what
// is known of it, else by the folders it lies in.
func ofPatients(it fetch.Item, folder string, patients []string) string {
	if slices.Contains(patients, it.Patient) {
		return it.Patient
	}
	for _, part := range strings.Split(strings.TrimPrefix(it.Path, folder+"/"), "/") {
		if slices.Contains(patients, part) {
			return part
		}
	}
	return ""
}

// joined makes several sources one, so that they share one plan, one bar and one journal.
type joined struct {
	parts    []part
	patients []string                // that must be there
	folder   string                  // of scans, where the sources know patients by folders below it alone
	by       map[string]fetch.Source // path -> its source
}

type part struct {
	source fetch.Source
	keep   func(fetch.Item) bool // nil = all
}

func (j *joined) add(s fetch.Source, keep func(fetch.Item) bool) {
	j.parts = append(j.parts, part{s, keep})
}

// Name is that of the parts, each once: http+nbia.
func (j *joined) Name() string {
	var names []string
	for _, p := range j.parts {
		if n := p.source.Name(); !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return strings.Join(names, "+")
}

// List gives the parts' items, one part after the other. A patient that was asked for and is in
// none is an error.
func (j *joined) List(ctx context.Context) ([]fetch.Item, error) {
	var items []fetch.Item
	j.by = map[string]fetch.Source{}
	found, known := map[string]bool{}, map[string]bool{}
	for _, p := range j.parts {
		list, err := p.source.List(ctx)
		if err != nil {
			return nil, err
		}
		for _, it := range list {
			known[it.Patient] = true
			if below, ok := strings.CutPrefix(it.Path, j.folder+"/"); ok && j.folder != "" {
				patient, _, _ := strings.Cut(below, "/")
				known[patient] = true
			}
			if p.keep != nil && !p.keep(it) {
				continue
			}
			found[it.Patient] = true
			if j.folder != "" {
				found[ofPatients(it, j.folder, j.patients)] = true
			}
			it.Source = p.source.Name()
			j.by[it.Path] = p.source
			items = append(items, it)
		}
	}
	for _, id := range j.patients {
		if !found[id] {
			delete(known, "")
			problem := fmt.Sprintf("there is no scan of patient %q", id)
			if near := table.NearestName(id, slices.Sorted(maps.Keys(known))); near != "" {
				problem += fmt.Sprintf(" (did you mean %q?)", near)
			}
			return nil, &fetch.ListError{Source: j.Name(), Problem: problem, Next: "give ids as the data set writes them with --patients, commas between them"}
		}
	}
	return items, nil
}

// Open opens an item at the part that listed it.
func (j *joined) Open(ctx context.Context, item fetch.Item, offset int64, etag string) (*fetch.Stream, error) {
	s := j.by[item.Path]
	if s == nil {
		return nil, fmt.Errorf("%s was not listed", item.Path)
	}
	return s.Open(ctx, item, offset, etag)
}
