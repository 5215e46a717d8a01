package fetch

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"unicode"
)

// FigshareServer is where figshare's API answers.
const FigshareServer = "https://api.figshare.com/v2"

// FigshareQuery says which files of a figshare article belong to a data set.
type FigshareQuery struct {
	Server  string // address up to /v2; empty = FigshareServer
	Folder  string // below the data folder
	Article int64
	Version int      // of the article; 0 = the newest, which may change from one day to the next
	Names   []string // of the files to fetch, as figshare spells them; empty = all
}

// Figshare is the source of the files of an article, by figshare's API, version 2. Each becomes
// FOLDER/NAME; marks that do not belong into file names become underscores, and files of one name
// get their number in front.
//
// Facts are from the API's description (docs.figshare.com: articles/{id}, articles/{id}/files,
// articles/{id}/versions/{v}, PublicFile; page_size at most 1,000): each file has an id, size in
// bytes, computed_md5 (figshare's) and supplied_md5 (the depositor's), and download_url, which
// redirects to an address on the object store that is signed for a short time: it is asked for anew
// for each try, and appears in no message. Before November 2024 the list of files had no pages;
// servers that ignore the page number are noticed. figshare.com/ndownloader answers with status 202
// and nothing to programs that are no browser (reports since 2025): then file/download/{id} of the
// API, which leads to the same file, is asked.
func Figshare(c *Client, q FigshareQuery) Source {
	if q.Server == "" {
		q.Server = FigshareServer
	}
	q.Server = strings.TrimSuffix(q.Server, "/")
	return &figshare{client: c, q: q}
}

type figshare struct {
	client *Client
	q      FigshareQuery
	files  map[string]figshareFile // by item path, after List
}

type figshareFile struct {
	ID          number
	Name        string
	Size        number
	IsLinkOnly  bool   `json:"is_link_only"`
	DownloadURL string `json:"download_url"`
	ComputedMD5 string `json:"computed_md5"`
	SuppliedMD5 string `json:"supplied_md5"`
}

type figshareArticle struct {
	ID      number
	Title   string
	Version number
	License struct{ Name string }
}

func (s *figshare) Name() string { return "figshare" }

// address is that of the article, or of the version that is wanted.
func (s *figshare) address(version int) string {
	a := fmt.Sprintf("%s/articles/%d", s.q.Server, s.q.Article)
	if version > 0 {
		a += fmt.Sprintf("/versions/%d", version)
	}
	return a
}

func (s *figshare) fail(problem, next string, err error) *AnswerError {
	return answerError("figshare", s.address(s.q.Version), problem, next, err)
}

const (
	figsharePage  = 100      // files a page
	figshareBytes = 16 << 20 // of an answer; a page of files takes some 50 kB
	figshareFiles = 10_000   // of an article
)

func (s *figshare) List(ctx context.Context) ([]Item, error) {
	const later = "type the command again later; if it stays so figshare's interface has changed"
	article, err := ask(ctx, s.client, s.address(s.q.Version), figshareBytes, func(body []byte) (figshareArticle, error) {
		var a figshareArticle
		if err := readJSON(body, &a); err != nil {
			return a, s.fail("the article cannot be read", later, err)
		}
		if int64(a.ID) != s.q.Article || a.Version < 1 {
			return a, s.fail(fmt.Sprintf("the answer is about article %d, version %d", a.ID, a.Version), later, nil)
		}
		return a, nil
	})
	if err != nil {
		what := fmt.Sprintf("article %d", s.q.Article)
		return nil, unlisted(ctx, "figshare", what, s.refused(what, err))
	}
	// The newest version may be replaced while it is listed: from here on it is this one.
	version := int(article.Version)
	var all []figshareFile
	seen := map[number]bool{}
	for page := 1; ; page++ {
		v := url.Values{"page": {fmt.Sprint(page)}, "page_size": {fmt.Sprint(figsharePage)}}
		files, err := ask(ctx, s.client, s.address(version)+"/files?"+v.Encode(), figshareBytes, func(body []byte) (files []figshareFile, err error) {
			if err = readList(body, func(_ int, f figshareFile) error {
				files = append(files, f)
				if len(files) > figshareFiles {
					return errors.New("it has no end")
				}
				return nil
			}); err != nil {
				return nil, s.fail("the list of files cannot be read", later, err)
			}
			return files, nil
		})
		if err != nil {
			what := fmt.Sprintf("the list of the files of article %d", s.q.Article)
			return nil, unlisted(ctx, "figshare", what, s.refused(what, err))
		}
		fresh := 0
		for _, f := range files {
			if !seen[f.ID] {
				seen[f.ID] = true
				fresh++
				all = append(all, f)
			}
		}
		if len(all) > figshareFiles {
			return nil, s.fail("the list of files has no end", later, nil)
		}
		// A server may hold fewer files on a page than it was asked for: only an empty page is the end.
		if fresh == 0 {
			break
		}
	}
	return s.items(article, all)
}

// items are the wanted files as items.
func (s *figshare) items(article figshareArticle, all []figshareFile) ([]Item, error) {
	if len(all) == 0 {
		return nil, s.fail("the article has no files", "", nil)
	}
	count, named := map[string]int{}, map[string]bool{}
	var names []string
	for _, f := range all {
		count[strings.ToLower(safeName(f.Name))]++
		named[f.Name] = true
		names = append(names, f.Name)
	}
	for _, n := range s.q.Names {
		if !named[n] {
			return nil, s.fail(fmt.Sprintf("the article has no file %q", n), "it has "+listed(quoted(names)), nil)
		}
	}
	s.files = map[string]figshareFile{}
	var items []Item
	for _, f := range all {
		if len(s.q.Names) > 0 && !slices.Contains(s.q.Names, f.Name) {
			continue
		}
		if err := f.check(strings.HasPrefix(s.q.Server, "https://")); err != nil {
			return nil, s.fail(fmt.Sprintf("file %q (number %d)", shortened(f.Name, 80), f.ID), "name the files to fetch, without this one, or report it to figshare", err)
		}
		name := safeName(f.Name)
		if count[strings.ToLower(name)] > 1 {
			name = fmt.Sprintf("%d-%s", f.ID, name)
		}
		item := Item{
			Path: below(s.q.Folder, name), From: Redact(f.DownloadURL), Size: cmp.Or(int64(f.Size), -1), MD5: f.md5(), Gzip: strings.HasSuffix(name, ".gz"),
			Version: fmt.Sprintf("file %d", f.ID), Licence: article.License.Name,
		}
		s.files[item.Path] = f
		items = append(items, item)
	}
	return items, nil
}

// md5 is figshare's own, or else the depositor's.
func (f figshareFile) md5() string {
	if f.ComputedMD5 != "" {
		return strings.ToLower(f.ComputedMD5)
	}
	return strings.ToLower(f.SuppliedMD5)
}

// check says why a file cannot be fetched; secure = the list came by https.
func (f figshareFile) check(secure bool) error {
	u, err := url.Parse(f.DownloadURL)
	switch {
	case f.ID <= 0:
		return errors.New("it has no number")
	case f.IsLinkOnly:
		return fmt.Errorf("it is only a link to %s, which figshare does not hold", Redact(f.DownloadURL))
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
		return fmt.Errorf("its download address %q is none of the web", shortened(Redact(f.DownloadURL), 80))
	case secure && u.Scheme == "http":
		return fmt.Errorf("its download address, %s, is without encryption, and the list came with it", Redact(f.DownloadURL))
	case f.Size < 0:
		return fmt.Errorf("it has %d bytes", f.Size)
	case f.md5() == "":
		return errors.New("figshare gives no MD5 of it")
	case !md5Hex.MatchString(f.md5()):
		return fmt.Errorf("its MD5 is %q", shortened(f.md5(), 40))
	case f.ComputedMD5 != "" && f.SuppliedMD5 != "" && !strings.EqualFold(f.ComputedMD5, f.SuppliedMD5):
		return fmt.Errorf("figshare holds other bytes (MD5 %s) than the depositor sent (%s)", shortened(f.ComputedMD5, 40), shortened(f.SuppliedMD5, 40))
	}
	return nil
}

// safeName is a server's name as the name of a file: its last part, with an underscore for what
// does not belong there.
func safeName(s string) string {
	s = path.Base("/" + strings.ReplaceAll(s, `\`, "/"))
	s = strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsMark(r) || strings.ContainsRune(" ._,+=@^()[]-", r) {
			return r
		}
		return '_'
	}, strings.ToValidUTF8(s, "_"))
	s = strings.Trim(s, ". ")
	if !plainName.MatchString(s) || badName(s[:min(len(s), 200)]) != "" {
		s = strings.TrimSuffix("file_"+strings.Trim(s, "._- "), "_")
	}
	if len(s) > 120 { // keep the ending, which says what it is
		ext := path.Ext(s)
		if len(ext) > 12 {
			ext = ""
		}
		s = strings.TrimRight(strings.ToValidUTF8(s[:120-len(ext)], ""), ". ") + ext
	}
	return s
}

func (s *figshare) Open(ctx context.Context, item Item, offset int64, etag string) (*Stream, error) {
	f, ok := s.files[item.Path]
	if !ok {
		return nil, s.fail(item.Path+" was never listed", "", nil)
	}
	what := fmt.Sprintf("file %q", f.Name)
	stream, err := s.client.Open(ctx, f.DownloadURL, offset, etag)
	var status *StatusError
	if errors.As(err, &status) && (status.Status == http.StatusAccepted || status.Status == http.StatusForbidden) {
		again, err2 := s.client.Open(ctx, fmt.Sprintf("%s/file/download/%d", s.q.Server, f.ID), offset, etag)
		if err2 == nil || errors.Is(err2, context.Canceled) {
			return again, err2
		}
	}
	if err != nil {
		return nil, s.refused(what, err)
	}
	return stream, nil
}

// refused adds what figshare says to a status.
func (s *figshare) refused(what string, err error) error {
	var status *StatusError
	if !errors.As(err, &status) {
		return err
	}
	if status.Status == http.StatusAccepted || status.Header.Get("X-Amzn-Waf-Action") != "" {
		return &AnswerError{Source: "figshare", From: status.URL, Problem: what + ": figshare's firewall asks for a browser", Err: told{status},
			Next: "download the file with a browser into the folder of a copy (--mirror), or try from another network"}
	}
	var said struct{ Message string }
	if json.Unmarshal(status.Body, &said) != nil || said.Message == "" {
		return err
	}
	next := ""
	if status.Status == http.StatusNotFound {
		next = "check the numbers of article and version"
	}
	return &AnswerError{Source: "figshare", From: status.URL, Problem: fmt.Sprintf("%s: figshare says %q", what, shortened(said.Message, 200)), Next: next, Err: told{status}}
}
