package fetch

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// StatusError is an answer that is not the thing asked for.
type StatusError struct {
	URL        string // without credentials and query
	Status     int
	RetryAfter time.Duration // how long the server asks to wait; 0 = it does not say
	Header     http.Header
	Body       []byte // its beginning, 4 KB at most: some servers explain themselves there
}

func (e *StatusError) Error() string {
	s := fmt.Sprintf("%s answered %d", e.URL, e.Status)
	if text := http.StatusText(e.Status); text != "" {
		s += " " + text
	}
	if meaning := meanings[e.Status]; meaning != "" {
		s += " (" + meaning + ")"
	}
	if e.RetryAfter > 0 {
		s += ", and asks to come back in " + e.RetryAfter.Round(time.Second).String()
	}
	return s
}

var meanings = map[int]string{
	http.StatusNoContent:           "it has nothing under this address",
	http.StatusUnauthorized:        "it wants a login; public data sets need none, so the address or the access has changed",
	http.StatusForbidden:           "it does not give this to everybody, or a firewall or proxy on the way refuses",
	http.StatusNotFound:            "there is nothing under this address any more, or the address is wrong",
	http.StatusGone:                "it was taken away for good",
	http.StatusProxyAuthRequired:   "the proxy of this network wants a login; set it in HTTPS_PROXY",
	http.StatusTooManyRequests:     "too many requests",
	http.StatusServiceUnavailable:  "busy, or closed for a while",
	http.StatusInternalServerError: "a fault of the server",
	http.StatusBadGateway:          "a fault between its servers",
	http.StatusGatewayTimeout:      "one of its servers is too slow",
}

// TransferError is an item that did not arrive. What was under its name before is still there.
type TransferError struct {
	Source string // nbia, idc, http, ...
	Path   string // below the data folder
	From   string // an address without credentials, or a file
	Next   string // what to do
	Err    error
}

func (e *TransferError) Error() string {
	s, why := "fetch "+e.Path, e.Err.Error()
	if e.From != "" && !strings.Contains(why, e.From) {
		s += " from " + e.From
	}
	s += ": " + why
	if e.Next != "" {
		s += "; " + e.Next
	}
	return s
}

func (e *TransferError) Unwrap() error { return e.Err }

// ChecksumError is a whole transfer of other bytes than the ones that are expected.
type ChecksumError struct {
	Kind      string // SHA-256, MD5 or bytes (the number of them)
	Want, Got string
}

func (e *ChecksumError) Error() string {
	if e.Kind == kindBytes {
		return fmt.Sprintf("it has %s bytes and should have %s", e.Got, e.Want)
	}
	return fmt.Sprintf("its %s is %s and should be %s", e.Kind, e.Got, e.Want)
}

const kindBytes = "bytes"

// SpaceError says that the disk has too little room. Nothing was transferred.
type SpaceError struct {
	Dir        string
	Need, Free int64 // bytes
}

func (e *SpaceError) Error() string {
	return fmt.Sprintf("%s has %s free, and %s are needed; make room, or name a folder on another disk with --dest",
		e.Dir, Bytes(e.Free), Bytes(e.Need))
}

// BusyError says that another process fetches the same data set into the same folder.
type BusyError struct{ Dataset, Dir string }

func (e *BusyError) Error() string {
	return fmt.Sprintf("another process is fetching %s into %s; wait until it is done, then type the command again", e.Dataset, e.Dir)
}

// LicenceError says that nobody has accepted the licence yet.
type LicenceError struct{ Dataset string }

func (e *LicenceError) Error() string {
	return "the licence of " + e.Dataset + " has not been accepted; read it with hounsfield datasets " + e.Dataset + " and accept it with --accept-licence"
}

// ListError is a listing of a source that cannot be carried out.
type ListError struct {
	Source  string
	Path    string // the item; empty: the listing as a whole
	Problem string
	Next    string
	Err     error
}

func (e *ListError) Error() string {
	s := "the list of " + e.Source
	if e.Path != "" {
		s += fmt.Sprintf(", item %q", e.Path)
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

func (e *ListError) Unwrap() error { return e.Err }

// JournalError is a journal that cannot be read or written.
type JournalError struct {
	File    string
	Line    int // 0: the file as a whole
	Problem string
	Next    string
	Err     error
}

func (e *JournalError) Error() string {
	s := e.File
	if e.Line > 0 {
		s += fmt.Sprintf(", line %d", e.Line)
	}
	s += ": " + e.Problem
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s + "; " + e.Next
}

func (e *JournalError) Unwrap() error { return e.Err }

// ArchiveError is a zip that is broken, or that would do harm.
type ArchiveError struct {
	Entry   string // empty: the archive as a whole
	Problem string
	Err     error
}

func (e *ArchiveError) Error() string {
	s := "the zip archive"
	if e.Entry != "" {
		s += fmt.Sprintf(", entry %q", e.Entry)
	}
	s += ": " + e.Problem
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *ArchiveError) Unwrap() error { return e.Err }

// localError is trouble with this machine's disk: no other try helps.
type localError struct{ err error }

func (e *localError) Error() string { return e.err.Error() }
func (e *localError) Unwrap() error { return e.err }

// errChanged says that the item at the source is not the one a transfer began with.
var errChanged = errors.New("it has changed at the source since the transfer began")

// Bytes is a number of bytes for people: 1023 B, 1.5 kB, 32 GB (powers of 1000).
func Bytes(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	f, units := float64(n)/1000, "kMGTPE"
	for f >= 999.5 && len(units) > 1 {
		f, units = f/1000, units[1:]
	}
	if f < 9.95 {
		return fmt.Sprintf("%.1f %cB", f, units[0])
	}
	return fmt.Sprintf("%.0f %cB", f, units[0])
}
