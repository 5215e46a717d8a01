package fetchtest

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Outcome is what a good fetcher makes of a fault.
type Outcome int

// The outcomes.
const (
	Whole   Outcome = iota // all data, verified, in the same run
	Refused                // an error that says so, and nothing wrong under a final name
)

// Fault is a way to misbehave.
type Fault struct {
	Name  string
	On    Kind
	Times int // how often it strikes; 0 = until Clear
	Ends  Outcome
	TLS   bool // it needs a client that came by https

	// undo, if given, is what Clear does besides.
	undo func()
	// when, if given, says whether the exchange is one to strike; n is how often it has struck.
	when func(x *exchange, n int) bool
	// strike spoils the n-th struck exchange, from 0.
	strike func(x *exchange, n int)
}

// Named is the fault under another name.
func (f Fault) Named(name string) Fault { f.Name = name; return f }

// ending is the fault with another outcome.
func (f Fault) ending(o Outcome) Fault { f.Ends = o; return f }

func times(n int) string {
	switch n {
	case 0:
		return "always"
	case 1:
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// usual is the outcome of what passes when one only tries again.
func usual(n int) Outcome {
	if n == 0 {
		return Refused
	}
	return Whole
}

func fault(name string, on Kind, n int, strike func(x *exchange, n int)) Fault {
	return Fault{Name: name + ", " + times(n), On: on, Times: n, Ends: usual(n), strike: strike}
}

// Cut breaks the connection after so many bytes of the body.
func Cut(on Kind, after, n int) Fault {
	return fault(fmt.Sprintf("connection cut after %d bytes", after), on, n, func(x *exchange, _ int) { x.cut = after })
}

// Length sends a wrong Content-Length: add above 0 promises more than comes, below 0 the answer is
// well formed and lacks its end.
func Length(on Kind, add int64, n int) Fault {
	name := "Content-Length too long"
	if add < 0 {
		name = "ends too early, well formed"
	}
	return fault(name, on, n, func(x *exchange, _ int) { x.length = add })
}

// Status answers with an error; retryAfter is the header, if any, word for word.
func Status(on Kind, status int, retryAfter string, n int) Fault {
	name := fmt.Sprintf("status %d", status)
	if retryAfter != "" {
		name += ", Retry-After " + retryAfter
	}
	return fault(name, on, n, func(x *exchange, _ int) {
		x.status, x.body, x.ranges, x.etag, x.stream = status, []byte("no\n"), false, "", nil
		x.header.Set("Content-Type", "text/plain")
		if retryAfter != "" {
			x.header.Set("Retry-After", retryAfter)
		}
	})
}

// laterByDate is 503 with a Retry-After that is a date, so long from now.
func laterByDate(on Kind, wait time.Duration, n int) Fault {
	f := Status(on, http.StatusServiceUnavailable, "", n)
	inner := f.strike
	f.strike = func(x *exchange, k int) {
		inner(x, k)
		x.header.Set("Retry-After", time.Now().Add(wait).UTC().Format(http.TimeFormat))
	}
	return f.Named("status 503, Retry-After a date, " + times(n))
}

func (x *exchange) redirect(status int, to string) {
	x.status, x.body, x.ranges, x.etag, x.stream = status, nil, false, "", nil
	if to != "" {
		x.header.Set("Location", to)
	}
}

// Redirect sends the client to the same file on another host.
func Redirect(on Kind) Fault {
	f := fault("redirect to another host", on, 0, func(x *exchange, _ int) {
		x.redirect(http.StatusFound, x.s.TLSURL+x.r.URL.RequestURI())
	}).ending(Whole)
	f.when = func(x *exchange, _ int) bool { return x.r.TLS == nil }
	return f
}

// Loop redirects to the same address for ever.
func Loop(on Kind) Fault {
	return fault("redirect in a circle", on, 0, func(x *exchange, _ int) {
		x.redirect(http.StatusFound, x.r.URL.RequestURI())
	})
}

// nowhere is a redirect that does not say where to.
func nowhere(on Kind) Fault {
	return fault("redirect without an address", on, 0, func(x *exchange, _ int) { x.redirect(http.StatusMovedPermanently, "") })
}

// downgrade redirects from https to http, where anybody on the way can change the file.
func downgrade(on Kind) Fault {
	f := fault("redirect from https to http", on, 0, func(x *exchange, _ int) {
		x.redirect(http.StatusFound, x.s.URL+x.r.URL.RequestURI())
	})
	f.when = func(x *exchange, _ int) bool { return x.r.TLS != nil }
	f.TLS = true
	return f
}

// Silence keeps the connection and sends nothing more after so many bytes; below 0 nothing at all,
// not even a status.
func Silence(on Kind, after, n int) Fault {
	name := fmt.Sprintf("silent after %d bytes", after)
	if after < 0 {
		name = "silent from the beginning"
	}
	return fault(name, on, n, func(x *exchange, _ int) { x.stall, x.mute = after, after < 0 })
}

// resumed is a fault that cuts the first transfer and spoils the requests for the rest.
func resumed(name string, on Kind, after int, spoil func(x *exchange, n int)) Fault {
	f := fault(name, on, 0, func(x *exchange, n int) {
		if n == 0 {
			x.cut = after
			return
		}
		spoil(x, n)
	})
	f.when = func(x *exchange, n int) bool { return n == 0 || x.r.Header.Get("Range") != "" }
	return f.ending(Whole).Named(name)
}

// noRange cuts a transfer and then sends all of the file whatever part is asked for.
func noRange(after int) Fault {
	return resumed("cut, then no Range support", Content, after, func(x *exchange, _ int) { x.noRange = true })
}

// wrongRange cuts a transfer and then answers, once, with another part than was asked for.
func wrongRange(after int) Fault {
	f := resumed("cut, then a wrong Content-Range", Content, after, func(x *exchange, _ int) { x.badRange = true })
	f.Times = 2
	return f
}

// unsatisfiable cuts a transfer and then says, once, that the rest does not exist.
func unsatisfiable(after int) Fault {
	f := resumed("cut, then status 416", Content, after, func(x *exchange, _ int) {
		x.status, x.body, x.ranges = http.StatusRequestedRangeNotSatisfiable, nil, false
		x.header.Set("Content-Range", "bytes */1")
	})
	f.Times = 2
	return f
}

// Flip changes one bit of one byte, in the middle.
func Flip(on Kind, n int) Fault {
	return fault("a flipped bit", on, n, func(x *exchange, _ int) {
		x.body = bytes.Clone(x.body)
		if len(x.body) > 0 {
			x.body[len(x.body)/2] ^= 0x10
		}
	})
}

// instead sends another body with status 200.
func instead(name string, on Kind, contentType, body string, n int) Fault {
	return fault(name, on, n, func(x *exchange, _ int) {
		x.body, x.stream, x.ranges, x.etag, x.status, x.open = []byte(body), nil, false, "", 0, false
		x.header.Set("Content-Type", contentType)
	})
}

// Page is an error page in HTML with status 200, as proxies of hospitals send it.
func Page(on Kind, n int) Fault {
	return instead("an HTML page with status 200", on, "text/html",
		"<!DOCTYPE html><html><head><title>Access blocked</title></head><body>Your institution blocks this site.</body></html>", n)
}

// Empty is an empty body with status 200.
func Empty(on Kind, n int) Fault {
	return instead("an empty answer with status 200", on, "text/plain", "", n)
}

// Changed cuts a transfer; when the client comes back the file is another one, which change does.
func Changed(after int, end Outcome, change func()) Fault {
	return Fault{
		Name: "the file changes at the source after a cut", On: Content, Times: 1, Ends: end,
		strike: func(x *exchange, _ int) { x.cut = after; change() },
	}
}

// Replace puts other text for some text of the answer.
func Replace(name string, on Kind, old, new string, n int) Fault {
	f := fault(name, on, n, func(x *exchange, _ int) {
		x.body = []byte(strings.ReplaceAll(string(x.body), old, new))
	})
	f.when = func(x *exchange, _ int) bool { return bytes.Contains(x.body, []byte(old)) }
	return f
}

// half sends the first half of the answer, well formed as HTTP goes.
func half(on Kind, n int) Fault {
	return fault("only the first half, well formed", on, n, func(x *exchange, _ int) { x.body = x.body[:len(x.body)/2] })
}

// common are the faults of the way, which all protocols know.
func common() []Fault {
	var all []Fault
	for _, on := range []Kind{Listing, Content} {
		of := " [list]"
		if on == Content {
			of = " [file]"
		}
		for _, f := range []Fault{
			Cut(on, 0, 2), Cut(on, 100, 2), Cut(on, 200, 0),
			Length(on, 7, 1), Length(on, 7, 0), Length(on, -7, 1), Length(on, -7, 0),
			half(on, 1), half(on, 0),
			Status(on, http.StatusTooManyRequests, "3", 2), Status(on, http.StatusServiceUnavailable, "2", 2),
			laterByDate(on, 90*time.Second, 1), Status(on, http.StatusTooManyRequests, "", 0),
			Status(on, http.StatusInternalServerError, "", 3), Status(on, http.StatusInternalServerError, "", 0),
			Status(on, http.StatusBadGateway, "", 2), Status(on, http.StatusForbidden, "", 0), Status(on, http.StatusNotFound, "", 0),
			Redirect(on), Loop(on), nowhere(on), downgrade(on),
			Silence(on, -1, 1), Silence(on, 50, 1), Silence(on, 0, 0),
			Page(on, 1), Page(on, 0), Empty(on, 1), Empty(on, 0),
		} {
			all = append(all, f.Named(f.Name+of))
		}
	}
	return append(all,
		Flip(Content, 1).Named("a flipped bit, once [file]"),
		Flip(Content, 0).Named("a flipped bit, always [file]"))
}

// piecemeal is a fault that a server with ranges does not stop: each try brings some bytes more.
const piecemeal = "connection cut after 200 bytes, always [file]"

// parts are the faults of asking for the rest of a file.
func parts() []Fault { return []Fault{noRange(700), wrongRange(700), unsatisfiable(700)} }

// redone is the list of faults with some changed: a protocol may make more of a fault, or less.
func redone(all []Fault, change map[string]Outcome) []Fault {
	for i, f := range all {
		if o, ok := change[f.Name]; ok {
			all[i].Ends = o
			delete(change, f.Name)
		}
	}
	if len(change) > 0 {
		panic("fetchtest: no such faults: " + strconv.Quote(fmt.Sprint(change)))
	}
	return all
}
