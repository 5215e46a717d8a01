package fetch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// AnswerError is an answer of an archive that is not what its protocol says, or that says that
// there is nothing of what was asked for.
type AnswerError struct {
	Source  string // the archive: nbia, idc, figshare, geo
	From    string // the address asked, without a query
	Problem string
	Next    string // what to do
	Err     error
}

func (e *AnswerError) Error() string {
	s := e.Source
	if e.From != "" {
		s += ", " + e.From
	}
	s += ": " + e.Problem
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	if e.Next != "" {
		s += "; " + e.Next
	}
	return s
}

func (e *AnswerError) Unwrap() error { return e.Err }

// answerError is an AnswerError about an address, which may be one that a user gave with a password
// in it.
func answerError(source, address, problem, next string, err error) *AnswerError {
	return &AnswerError{Source: source, From: Redact(address), Problem: problem, Next: next, Err: err}
}

// told is a status whose meaning the archive has told in words of its own.
type told struct{ *StatusError }

func (e told) Error() string { return fmt.Sprintf("status %d", e.Status) }
func (e told) Unwrap() error { return e.StatusError }

// unlisted is the error when a list cannot be had, unless it says so itself.
func unlisted(ctx context.Context, source, what string, err error) error {
	var answer *AnswerError
	if err == nil || ctx.Err() != nil || errors.As(err, &answer) {
		return err
	}
	next := "type the command again later, or take the data set from a copy with --mirror DIR"
	var status *StatusError
	var op *net.OpError
	if !errors.As(err, &status) && errors.As(err, &op) && op.Op == "dial" {
		next = "is this machine on the internet? Behind a proxy, set HTTPS_PROXY; without internet, take the data set from a copy with --mirror DIR"
	}
	return &AnswerError{Source: source, Problem: what + " cannot be had", Err: err, Next: next}
}

// Lists are asked for again when they cannot be read, since a proxy's page or a short answer is
// often gone the next time; but not as often as a transfer.
const readTries = 3

// ask gets a list and reads it.
func ask[T any](ctx context.Context, c *Client, address string, limit int64, read func([]byte) (T, error)) (T, error) {
	for try := 1; ; try++ {
		body, err := c.Small(ctx, address, nil, limit)
		if err != nil {
			var none T
			return none, err
		}
		v, err := read(body)
		if err == nil || try == readTries || c.o.Retries < 0 {
			return v, err
		}
		d := c.pause(try, err)
		c.o.Say(fmt.Sprintf("%v; again in %s", err, d.Round(100*time.Millisecond)))
		if err := c.o.Sleep(ctx, d); err != nil {
			return v, err
		}
	}
}

// readJSON decodes a whole answer; its words for what it cannot read are for people.
func readJSON(body []byte, v any) error {
	return decode(body, func(d *json.Decoder) error { return d.Decode(v) })
}

// readList hands on what a list in JSON holds, one by one and each with its number from 1: a long
// list of nonsense ends at the first of it, and never is in the memory as a whole.
func readList[T any](body []byte, take func(n int, v T) error) error {
	return decode(body, func(d *json.Decoder) error {
		first, err := d.Token()
		if err != nil {
			return err
		}
		if first != json.Delim('[') {
			return &jsonError{"the answer is no list"}
		}
		for n := 1; d.More(); n++ {
			var v T
			if err := d.Decode(&v); err != nil {
				return err
			}
			if err := take(n, v); err != nil {
				return &taken{err}
			}
		}
		_, err = d.Token()
		return err
	})
}

// taken is the error of whoever a list was handed to, which is passed on as it is.
type taken struct{ error }

func decode(body []byte, read func(*json.Decoder) error) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return errors.New("the answer is empty")
	}
	if looksLikeHTML(body) {
		return errors.New("the answer is a web page, not data: " + pageTitle(body))
	}
	d := json.NewDecoder(bytes.NewReader(body))
	err := read(d)
	if err == nil {
		if _, more := d.Token(); more != io.EOF {
			return errors.New("the answer goes on after its end")
		}
		return nil
	}
	var typed *json.UnmarshalTypeError
	var words *jsonError
	var theirs *taken
	switch {
	case errors.As(err, &theirs):
		return theirs.error
	case errors.As(err, &words):
		return words
	case errors.Is(err, io.ErrUnexpectedEOF), err == io.EOF:
		return fmt.Errorf("the answer ends in the middle, after %d bytes", len(body))
	case errors.As(err, &typed):
		where := ""
		if typed.Field != "" {
			where = " in the field " + typed.Field
		}
		return fmt.Errorf("the answer holds a %s%s, where something else belongs", typed.Value, where)
	}
	return fmt.Errorf("the answer is no JSON: %w", err)
}

// jsonError is JSON of another kind than is wanted.
type jsonError struct{ problem string }

func (e *jsonError) Error() string { return e.problem }

// number is a whole number in JSON, also one written as a string, as some of NBIA's versions do; 0
// where there is none.
type number int64

func (n *number) UnmarshalJSON(b []byte) error {
	text := b
	if len(b) > 2 && b[0] == '"' && b[len(b)-1] == '"' {
		text = b[1 : len(b)-1]
	}
	var v int64 // null leaves it as it is
	if err := json.Unmarshal(text, &v); err != nil {
		return &jsonError{"the answer holds " + shortened(string(b), 40) + " where a whole number belongs"}
	}
	*n = number(v)
	return nil
}

// wish is which series of a list are wanted, by modality and patient; no modality or no patient
// wants all of them.
type wish struct {
	modalities, patients []string

	there map[string]bool // modalities that the wanted patients have
	met   map[string]bool // wanted patients who are in the list
}

func newWish(modalities, patients []string) *wish {
	return &wish{modalities: modalities, patients: patients, there: map[string]bool{}, met: map[string]bool{}}
}

// wants is asked about every series of a list.
func (w *wish) wants(modality, patient string) bool {
	if len(w.patients) > 0 {
		if !slices.Contains(w.patients, patient) {
			return false
		}
		w.met[patient] = true
	}
	w.there[modality] = true
	return len(w.modalities) == 0 || slices.Contains(w.modalities, modality)
}

// unmet says what the list does not hold, and what to do; empty = it holds what is wanted.
func (w *wish) unmet(list string, series int) (problem, next string) {
	var unknown []string
	for _, p := range w.patients {
		if !w.met[p] {
			unknown = append(unknown, p)
		}
	}
	switch {
	case len(unknown) > 0:
		return fmt.Sprintf("%s holds no patient %s", list, listed(unknown)), "patient ids are spelt as in the DICOM files"
	case series == 0 && len(w.there) == 0:
		return list + " holds no series", ""
	case series == 0:
		of, they := "", "it holds "
		if len(w.patients) > 0 {
			of, they = " of "+listed(w.patients), "it holds of theirs "
		}
		return fmt.Sprintf("%s holds no series of the modality %s%s", list, strings.Join(w.modalities, " or "), of),
			they + strings.Join(slices.Sorted(maps.Keys(w.there)), ", ")
	}
	return "", ""
}

func looksLikeHTML(body []byte) bool {
	b := bytes.ToLower(bytes.TrimSpace(body[:min(len(body), 512)]))
	return bytes.HasPrefix(b, []byte("<!doctype html")) || bytes.HasPrefix(b, []byte("<html"))
}

var title = regexp.MustCompile(`(?is)<title[^>]*>(.*?)</title>`)

// pageTitle is what a web page calls itself, which is often the reason in words.
func pageTitle(body []byte) string {
	if m := title.FindSubmatch(body); m != nil && len(bytes.TrimSpace(m[1])) > 0 {
		return strconv.Quote(shortened(strings.Join(strings.Fields(string(m[1])), " "), 100))
	}
	return "without a title"
}

// shortened is the beginning of what somebody else wrote, printable and on one line.
func shortened(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if utf8.RuneCountInString(s) > n {
		s = string([]rune(s)[:n]) + "..."
	}
	return strings.TrimSpace(s)
}

// uid is a DICOM unique identifier: numbers with dots between them, at most 64 characters
// (DICOM PS3.5, 9.1; leading zeros, which it forbids and some devices write, are let through).
var uid = regexp.MustCompile(`^[0-9]+(\.[0-9]+)*$`)

func isUID(s string) bool { return len(s) <= 64 && uid.MatchString(s) }

// plainName is what a server may choose for a part of a path: letters, digits and a few marks,
// beginning with a letter or a digit and ending with no dot or blank.
var plainName = regexp.MustCompile(`^[\pL\pN][\pL\pN\pM ._,+=@^()\[\]-]*$`)

func isPlainName(s string) bool {
	return len(s) <= 128 && plainName.MatchString(s) && !strings.HasSuffix(s, ".") && !strings.HasSuffix(s, " ")
}

var md5Hex = regexp.MustCompile(`^[0-9a-fA-F]{32}$`)

// below is a path in a folder; an empty folder is the data folder itself.
func below(folder, rest string) string {
	if folder == "" {
		return rest
	}
	return strings.TrimSuffix(folder, "/") + "/" + rest
}

// listed is a number of names for a message: the first few and how many there are.
func listed(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// quoted are names of somebody else's, each in quotation marks.
func quoted(names []string) []string {
	q := make([]string, len(names))
	for i, n := range names {
		q[i] = fmt.Sprintf("%q", shortened(n, 60))
	}
	return q
}
