package fetch

import (
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// GEOServer is where NCBI keeps the files of the Gene Expression Omnibus.
const GEOServer = "https://ftp.ncbi.nlm.nih.gov/geo"

// GEOQuery says which files of a series of the Gene Expression Omnibus (GEO) belong to a data set.
type GEOQuery struct {
	Server string // address up to /geo; empty = GEOServer
	Folder string // below the data folder
	Series string // GSE58661
	Matrix bool   // the series matrices: one for each platform
	Soft   bool   // the family file in SOFT form, with all samples and platforms
	// Supplements are patterns of names of supplementary files (path.Match: *_RAW.tar), each of which
	// must fit a file.
	Supplements []string
	// Platforms are those whose annotation is wanted (GPL570): GEO's own where it has made one, else
	// the depositor's table, as a SOFT file.
	Platforms []string
}

// GEO is the source of a series' files, by HTTPS: FOLDER/NAME, as GEO names them.
//
// Facts are from GEO's description of its site (README of ftp.ncbi.nlm.nih.gov/geo, "Construct a
// URL": series/GSE58nnn/GSE58661/{matrix,soft,suppl}/, platforms/GPLnnn/GPL570/{annot,soft}/; the
// last three digits become nnn) and from the programs GEOquery and GEOparse, which read the same
// folders. A folder is a page of Apache's httpd; one that is empty or missing answers 403 or 404.
// GEO publishes no checksums: the length that the server gives and the checksum inside the gzip are
// what a file is held against.
func GEO(c *Client, q GEOQuery) Source {
	if q.Server == "" {
		q.Server = GEOServer
	}
	q.Server = strings.TrimSuffix(q.Server, "/")
	return &geo{client: c, q: q}
}

type geo struct {
	client *Client
	q      GEOQuery
	urls   map[string]string // by item path, after List
}

func (s *geo) Name() string { return "geo" }

func (s *geo) fail(from, problem, next string, err error) *AnswerError {
	return answerError("geo", from, problem, next, err)
}

const geoList = 32 << 20 // bytes of a folder's page, or of a list of supplements

var accession = regexp.MustCompile(`^(GSE|GPL)([0-9]{1,9})$`)

// geoFolder is the folder of a series or platform: GSE58661 lies in series/GSE58nnn/GSE58661/, and
// GPL96 in platforms/GPLnnn/GPL96/.
func geoFolder(name string) (string, error) {
	m := accession.FindStringSubmatch(name)
	if m == nil {
		return "", fmt.Errorf("%.40q is no series (GSE and a number) or platform (GPL and a number) of GEO", name)
	}
	kind := map[string]string{"GSE": "series", "GPL": "platforms"}[m[1]]
	return kind + "/" + m[1] + m[2][:max(0, len(m[2])-3)] + "nnn/" + name + "/", nil
}

// geoFile is a file that was found in a folder.
type geoFile struct {
	dir, name     string
	atMin, atMost int64 // bytes that the folder's page allows: it rounds
	size          int64 // -1 = not known yet
}

func (s *geo) List(ctx context.Context) ([]Item, error) {
	folder, err := geoFolder(s.q.Series)
	if err != nil || !strings.HasPrefix(s.q.Series, "GSE") {
		return nil, s.fail("", fmt.Sprintf("%.40q is no series of GEO", s.q.Series), "series have names like GSE58661", nil)
	}
	series := s.q.Server + "/" + folder
	var files []geoFile
	if s.q.Matrix {
		found, err := s.pick(ctx, series+"matrix/", regexp.MustCompile(`^`+s.q.Series+`(-GPL[0-9]+)?_series_matrix(-[0-9]+)?\.txt\.gz$`), "series matrix")
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	if s.q.Soft {
		found, err := s.pick(ctx, series+"soft/", regexp.MustCompile(`^`+s.q.Series+`_family\.soft\.gz$`), "family file")
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	if len(s.q.Supplements) > 0 {
		found, err := s.supplements(ctx, series+"suppl/")
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	for _, p := range s.q.Platforms {
		found, err := s.platform(ctx, p)
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	if len(files) == 0 {
		return nil, s.fail(series, "nothing is asked for", "ask for the matrix, the SOFT file, supplements or platforms", nil)
	}
	return s.items(ctx, files)
}

// pick are the files of a folder that fit; there must be one at least.
func (s *geo) pick(ctx context.Context, dir string, fits *regexp.Regexp, what string) ([]geoFile, error) {
	all, err := s.folder(ctx, dir)
	if err != nil {
		return nil, err
	}
	var files []geoFile
	for _, f := range all {
		if fits.MatchString(f.name) {
			files = append(files, f)
		}
	}
	if files == nil {
		return nil, s.fail(dir, fmt.Sprintf("there is no %s in this folder", what), "it holds "+holds(all), nil)
	}
	return files, nil
}

func (s *geo) supplements(ctx context.Context, dir string) ([]geoFile, error) {
	all, err := s.folder(ctx, dir)
	if err != nil {
		return nil, err
	}
	sizes := map[string]int64{}
	if slices.ContainsFunc(all, func(f geoFile) bool { return f.name == "filelist.txt" }) {
		if sizes, err = ask(ctx, s.client, dir+"filelist.txt", geoList, func(body []byte) (map[string]int64, error) {
			sizes, err := parseFileList(body)
			if err != nil {
				return nil, s.fail(dir+"filelist.txt", "the list of supplements cannot be read", "type the command again later", err)
			}
			return sizes, nil
		}); err != nil {
			return nil, unlisted(ctx, "geo", "the list of supplements", err)
		}
	}
	wanted := map[string]bool{}
	for _, pattern := range s.q.Supplements {
		fits := false
		for _, f := range all {
			ok, err := path.Match(pattern, f.name)
			if err != nil {
				return nil, s.fail(dir, fmt.Sprintf("%q is no pattern of file names", pattern), "write it like *_RAW.tar", err)
			}
			fits = fits || ok
			wanted[f.name] = wanted[f.name] || ok
		}
		if !fits {
			return nil, s.fail(dir, fmt.Sprintf("no supplement fits %q", pattern), "the series has "+holds(all), nil)
		}
	}
	var files []geoFile
	for _, f := range all {
		if wanted[f.name] {
			if size, ok := sizes[f.name]; ok {
				f.size = size
			}
			files = append(files, f)
		}
	}
	return files, nil
}

// platform is GEO's annotation of a platform, or the depositor's table.
func (s *geo) platform(ctx context.Context, name string) ([]geoFile, error) {
	folder, err := geoFolder(name)
	if err != nil || !strings.HasPrefix(name, "GPL") {
		return nil, s.fail("", fmt.Sprintf("%.40q is no platform of GEO", name), "platforms have names like GPL570", nil)
	}
	folder = s.q.Server + "/" + folder
	files, err := s.pick(ctx, folder+"annot/", regexp.MustCompile(`^`+name+`\.annot\.gz$`), "annotation")
	if err == nil || !absent(err) {
		return files, err
	}
	return s.pick(ctx, folder+"soft/", regexp.MustCompile(`^`+name+`_family\.soft\.gz$`), "family file")
}

// absent says whether a folder is not there.
func absent(err error) bool {
	var status *StatusError
	return errors.As(err, &status) && (status.Status == http.StatusNotFound || status.Status == http.StatusForbidden)
}

// statusOf is the bare status of a refusal.
func statusOf(err error) error {
	var status *StatusError
	if errors.As(err, &status) {
		return told{status}
	}
	return err
}

// folder is the files of a folder.
func (s *geo) folder(ctx context.Context, dir string) ([]geoFile, error) {
	files, err := ask(ctx, s.client, dir, geoList, func(body []byte) ([]geoFile, error) {
		u, err := url.Parse(dir)
		if err != nil {
			return nil, err
		}
		files, err := parseFolder(body, u.Path)
		if err != nil {
			return nil, s.fail(dir, "the folder cannot be read", "type the command again later; if it stays so the server's pages have changed", err)
		}
		for i := range files {
			files[i].dir = dir
		}
		return files, nil
	})
	if absent(err) {
		return nil, s.fail(dir, "there is no such folder, or it is empty", "check the name; a series that is not public yet has no folders", statusOf(err))
	}
	return files, unlisted(ctx, "geo", "the folder", err)
}

// holds is what a folder has, for a message.
func holds(files []geoFile) string {
	if len(files) == 0 {
		return "no files"
	}
	var names []string
	for _, f := range files {
		names = append(names, f.name)
	}
	return listed(quoted(names))
}

var (
	pageList = regexp.MustCompile(`(?is)<pre>(.*)</pre>`)
	pageLink = regexp.MustCompile(`(?is)<a\s+href\s*=\s*("[^"]*"|'[^']*')[^>]*>([^<]*</a>[^<]*)?`)
	anyLink  = regexp.MustCompile(`(?i)<a[\s>]|href`)
	pageSize = regexp.MustCompile(`\s([0-9]+(?:\.[0-9])?)([KMGT]?)\s*$`)
)

// parseFolder reads the page that Apache's httpd (mod_autoindex) makes of the folder dir, a path
// that ends in a slash: its files, without folders. Links to sort it and to the folder above are
// passed over. Any other link that is not to a name right here makes the page unusable.
func parseFolder(page []byte, dir string) ([]geoFile, error) {
	said := title.FindSubmatch(page)
	if said == nil {
		return nil, errors.New("the answer is no page")
	}
	if got, want := html.UnescapeString(strings.TrimSpace(string(said[1]))), "Index of "+strings.TrimSuffix(dir, "/"); strings.TrimSuffix(got, "/") != want {
		return nil, fmt.Errorf("the page is called %s and should be called %q", pageTitle(page), want)
	}
	list := pageList.FindSubmatch(page)
	if list == nil {
		return nil, errors.New("the page ends in the middle")
	}
	if anyLink.Match(pageLink.ReplaceAll(list[1], nil)) {
		return nil, errors.New("the page holds links that cannot be read")
	}
	up := path.Dir(strings.TrimSuffix(dir, "/"))
	seen := map[string]bool{}
	var files []geoFile
	for _, m := range pageLink.FindAllSubmatch(list[1], -1) {
		link := html.UnescapeString(string(m[1][1 : len(m[1])-1]))
		if strings.HasPrefix(link, "?") || link == up || link == up+"/" || link == "../" {
			continue
		}
		name, err := url.PathUnescape(link)
		if err != nil || !isPlainName(strings.TrimSuffix(name, "/")) {
			return nil, fmt.Errorf("the page links to %q, which is no file of this folder", shortened(link, 100))
		}
		if strings.HasSuffix(name, "/") || seen[name] {
			continue
		}
		seen[name] = true
		f := geoFile{name: name, atMost: -1, size: -1}
		f.atMin, f.atMost = roundedSize(string(m[2]))
		files = append(files, f)
	}
	return files, nil
}

// roundedSize reads the size at the end of a line of the page: 973, 3.1K, 61M. The bytes that it may
// stand for lie between the two numbers (one unit of the last digit up and down); most is -1 where
// there is none.
func roundedSize(line string) (least, most int64) {
	m := pageSize.FindStringSubmatch(line)
	if m == nil {
		return 0, -1
	}
	v, err := strconv.ParseFloat(m[1], 64)
	if err != nil || v > 1e6 {
		return 0, -1
	}
	unit := map[string]float64{"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}[m[2]]
	slack := unit
	switch {
	case m[2] == "":
		slack = 0
	case strings.Contains(m[1], "."):
		slack = unit / 10
	}
	return int64(max(0, v*unit-slack)), int64(v*unit + slack + 1)
}

// parseFileList reads filelist.txt of a folder of supplements: the sizes in bytes of the files that
// lie in the folder itself (its other lines are about what is inside the archives).
func parseFileList(data []byte) (map[string]int64, error) {
	rows := csv.NewReader(strings.NewReader(string(data)))
	rows.Comma, rows.LazyQuotes, rows.FieldsPerRecord = '\t', true, -1
	head, err := rows.Read()
	if err != nil || len(head) < 4 || head[0] != "#Archive/File" || head[1] != "Name" || head[3] != "Size" {
		return nil, fmt.Errorf("line 1 should begin with #Archive/File, Name, Time, Size, parted by tabs, and is %q", shortened(strings.Join(head, " "), 80))
	}
	sizes := map[string]int64{}
	archived := false
	for {
		row, err := rows.Read()
		if err == io.EOF {
			return sizes, nil
		}
		if err != nil {
			return nil, err
		}
		line, _ := rows.FieldPos(0)
		if len(row) < 4 || row[0] != "Archive" && row[0] != "File" {
			return nil, fmt.Errorf("line %d is neither about an archive nor about a file", line)
		}
		archived = archived || row[0] == "Archive"
		if row[0] == "File" && archived {
			continue // inside the archive of the line above
		}
		n, err := strconv.ParseInt(row[3], 10, 64)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("line %d: %q is no size", line, shortened(row[3], 40))
		}
		sizes[row[1]] = n
	}
}

// items asks for the size of each file that is not known. The question is a transfer that is given
// up at once: GEO's server has been seen not to answer HEAD.
func (s *geo) items(ctx context.Context, files []geoFile) ([]Item, error) {
	s.urls = map[string]string{}
	var items []Item
	for _, f := range files {
		address := f.dir + (&url.URL{Path: f.name}).EscapedPath()
		item := Item{Path: below(s.q.Folder, f.name), From: Redact(address), Size: f.size, Gzip: strings.HasSuffix(f.name, ".gz")}
		if s.urls[item.Path] != "" {
			return nil, s.fail(f.dir, fmt.Sprintf("%s is in two folders", f.name), "report it to GEO", nil)
		}
		s.urls[item.Path] = address
		err := s.client.again(ctx, Redact(address), func() (bool, error) {
			stream, err := s.client.Open(ctx, address, 0, "")
			if err != nil {
				return false, err
			}
			defer stream.Body.Close()
			if n := stream.Size; n >= 0 {
				if f.atMost >= 0 && (n < f.atMin || n > f.atMost) || f.size >= 0 && n != f.size {
					return false, s.fail(address, fmt.Sprintf("the file has %s, which is not the size in the folder's list", Bytes(n)), "type the command again later", nil)
				}
				item.Size = n
			}
			item.Version = stream.ETag
			return true, nil
		})
		if err != nil {
			return nil, unlisted(ctx, "geo", "the size of "+f.name, s.gone(f.name, err))
		}
		items = append(items, item)
	}
	slices.SortStableFunc(items, func(a, b Item) int { return cmp.Compare(a.Path, b.Path) })
	return items, nil
}

// gone adds what to do when a file that is in the folder's page cannot be had.
func (s *geo) gone(name string, err error) error {
	if absent(err) {
		return &AnswerError{Source: "geo", Problem: name + " is in the folder's list and cannot be had", Next: "type the command again later; NCBI also answers so when it is asked too often", Err: statusOf(err)}
	}
	return err
}

func (s *geo) Open(ctx context.Context, item Item, offset int64, etag string) (*Stream, error) {
	address, ok := s.urls[item.Path]
	if !ok {
		return nil, s.fail("", item.Path+" was never listed", "", nil)
	}
	stream, err := s.client.Open(ctx, address, offset, etag)
	if err != nil {
		return nil, s.gone(path.Base(item.Path), err)
	}
	return stream, nil
}
