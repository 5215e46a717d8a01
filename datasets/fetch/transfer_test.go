package fetch

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// a fault is what a server does wrong, and how the fetch ends: whole (all bytes as they should be,
// nothing else there) or with an error, and nothing under the name.
type fault struct {
	name  string
	edit  func(*Item)                                                                  // what the list knows; nil = size and SHA-256
	do    func(w http.ResponseWriter, r *http.Request, whole []byte, from, n int) bool // for the n-th request
	says  []string                                                                     // the error; nil = it ends whole
	tries int                                                                          // requests in all; 0 = not counted
	waits []time.Duration                                                              // the first ones, where the server wishes them
	kept  bool                                                                         // a partial file stays for the next time
}

// other is as many other bytes.
func other(b []byte) []byte {
	out := bytes.Clone(b)
	for i := range out {
		out[i] ^= 0x5a
	}
	return out
}

func bare(it *Item)  { it.Size, it.SHA256 = -1, "" }
func sized(it *Item) { it.SHA256 = "" }

func first(do func(w http.ResponseWriter, whole []byte, from int)) func(http.ResponseWriter, *http.Request, []byte, int, int) bool {
	return func(w http.ResponseWriter, r *http.Request, whole []byte, from, n int) bool {
		if n == 1 {
			do(w, whole, from)
		}
		return n == 1
	}
}

// afterCut cuts the first answer half-way and lets a fault answer the request for the rest.
func afterCut(times int, do func(w http.ResponseWriter, r *http.Request, whole []byte, from int)) func(http.ResponseWriter, *http.Request, []byte, int, int) bool {
	return func(w http.ResponseWriter, r *http.Request, whole []byte, from, n int) bool {
		if n == 1 {
			w.Header().Set("ETag", `"one"`)
			cut(w, whole, 0, len(whole)/2)
		}
		if n <= 1+times {
			do(w, r, whole, from)
			return true
		}
		return false
	}
}

func status(code int, header ...string) func(w http.ResponseWriter, whole []byte, from int) {
	return func(w http.ResponseWriter, _ []byte, _ int) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
	}
}

func always(do func(w http.ResponseWriter, whole []byte, from int)) func(http.ResponseWriter, *http.Request, []byte, int, int) bool {
	return func(w http.ResponseWriter, r *http.Request, whole []byte, from, n int) bool {
		do(w, whole, from)
		return true
	}
}

func faults() []fault {
	part := func(w http.ResponseWriter, said string, b []byte) {
		w.Header().Set("ETag", `"one"`)
		if said != "" {
			w.Header().Set("Content-Range", said)
		}
		w.WriteHeader(http.StatusPartialContent)
		w.Write(b)
	}
	wrong := func(w http.ResponseWriter, whole []byte, _ int) { w.Write(other(whole)) }
	endless := func(w http.ResponseWriter, whole []byte, _ int) {
		for range 400 { // 60 MB, as no test should fill a disk when the limit is broken
			if _, err := w.Write(whole); err != nil {
				return
			}
		}
	}
	unframed := func(n int) func(w http.ResponseWriter, whole []byte, _ int) {
		return func(w http.ResponseWriter, whole []byte, _ int) {
			conn, buf, err := w.(http.Hijacker).Hijack()
			if err != nil {
				panic(err)
			}
			defer conn.Close()
			fmt.Fprint(buf, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
			buf.Write(whole[:min(n, len(whole))])
			buf.Flush()
		}
	}
	return []fault{
		{name: "cut at the first byte", do: first(func(w http.ResponseWriter, b []byte, from int) { cut(w, b, from, 0) }), tries: 2},
		{name: "cut half-way", do: first(func(w http.ResponseWriter, b []byte, from int) { cut(w, b, from, 70_000) })},
		{name: "cut half-way, nothing known", edit: bare, do: first(func(w http.ResponseWriter, b []byte, from int) { cut(w, b, from, 70_000) })},
		{name: "cut again and again, always further", do: func(w http.ResponseWriter, r *http.Request, b []byte, from, n int) bool {
			if from+9_000 < len(b) {
				w.Header().Set("ETag", `"one"`)
				cut(w, b, from, 9_000)
			}
			return false
		}},
		{name: "cut always at the same place by a server that cannot resume", do: func(w http.ResponseWriter, r *http.Request, b []byte, from, n int) bool {
			cut(w, b, 0, 9_000)
			return true
		}, says: []string{"the connection was cut", "tried 6 times", "goes on from here"}, kept: true},
		{name: "cut in the middle of a chunk", edit: bare, do: first(func(w http.ResponseWriter, b []byte, _ int) {
			w.Write(b[:50_000])
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		})},
		{name: "never answers", do: first(func(w http.ResponseWriter, _ []byte, _ int) { time.Sleep(400 * time.Millisecond) }), tries: 2},
		{name: "falls silent", do: first(func(w http.ResponseWriter, b []byte, _ int) {
			w.Header().Set("Content-Length", fmt.Sprint(len(b)))
			w.Write(b[:100])
			w.(http.Flusher).Flush()
			time.Sleep(400 * time.Millisecond)
		}), tries: 2},
		{name: "always silent", do: always(func(w http.ResponseWriter, _ []byte, _ int) { time.Sleep(250 * time.Millisecond) }),
			says: []string{"sent nothing for 100ms", "--mirror"}},
		{name: "429 with seconds", do: first(status(429, "Retry-After", "23")), tries: 2, waits: []time.Duration{23 * time.Second}},
		{name: "503 with a date", do: first(status(503, "Retry-After", time.Now().Add(48*time.Hour).UTC().Format(http.TimeFormat))), tries: 2, waits: []time.Duration{10 * time.Minute}},
		{name: "503 with nonsense", do: first(status(503, "Retry-After", "soon")), tries: 2},
		{name: "500", do: first(status(500)), tries: 2},
		{name: "502", do: first(status(502)), tries: 2},
		{name: "504", do: first(status(504)), tries: 2},
		{name: "408", do: first(status(408)), tries: 2},
		{name: "always 503", do: always(status(503)), says: []string{"503", "busy", "tried 6 times", "--mirror"}, tries: 6},
		{name: "401", do: always(status(401)), says: []string{"401", "wants a login"}, tries: 1},
		{name: "403", do: always(status(403)), says: []string{"403", "does not give this to everybody"}, tries: 1},
		{name: "404", do: always(status(404)), says: []string{"404", "nothing under this address"}, tries: 1},
		{name: "410", do: always(status(410)), says: []string{"410", "taken away for good"}, tries: 1},
		{name: "202 and nothing", do: always(status(202)), says: []string{"202"}, tries: 1},
		{name: "a login page", do: always(func(w http.ResponseWriter, _ []byte, _ int) { fmt.Fprint(w, "<html>log in") }),
			says: []string{"a web page came in the place of the file", "tried 6 times"}, tries: 6},
		{name: "other bytes, once", do: first(wrong), tries: 2},
		{name: "other bytes, always", do: always(wrong), says: []string{"SHA-256 is " + sumOf(other(noise(1, 150_000))) + " and should be " + sumOf(noise(1, 150_000)), "twice in a row", "--mirror"}, tries: 2},
		{name: "other bytes, by MD5", edit: func(it *Item) {
			sum := md5.Sum(noise(1, 150_000))
			it.SHA256, it.MD5 = "", hex.EncodeToString(sum[:])
		}, do: always(wrong), says: []string{"MD5", "twice in a row"}, tries: 2},
		{name: "too long, announced", do: always(func(w http.ResponseWriter, b []byte, _ int) {
			w.Header().Set("Content-Length", "150001")
			w.Write(append(b, 'x'))
		}), says: []string{"150001 bytes and should have 150000"}, tries: 2},
		{name: "too short, announced", do: always(func(w http.ResponseWriter, b []byte, _ int) {
			w.Header().Set("Content-Length", "149999")
			w.Write(b[:149_999])
		}), says: []string{"149999 bytes and should have 150000"}, tries: 2},
		{name: "too short, not announced", do: always(func(w http.ResponseWriter, b []byte, _ int) {
			w.Write(b[:100_000])
			w.(http.Flusher).Flush()
			w.Write(b[100_000:149_999])
		}), says: []string{"149999 bytes and should have 150000"}, tries: 2},
		{name: "endless", do: always(endless), says: []string{"or more bytes and should have 150000"}, tries: 2},
		{name: "cut, but nobody can tell", edit: bare, do: always(unframed(70_000)), says: []string{"does not say how long"}},
		{name: "cut, and only the size tells", edit: sized, do: first(unframed(70_000)), tries: 2},
		{name: "packed on the way", do: always(func(w http.ResponseWriter, b []byte, _ int) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(b)
		}), says: []string{"packed (gzip)"}, tries: 1},
		{name: "from https to ... to nowhere", do: always(func(w http.ResponseWriter, _ []byte, _ int) {
			w.Header().Set("Location", "/a?hush")
			w.WriteHeader(302)
		}), says: []string{"more than 10 times"}, tries: 11},
		{name: "a redirect to another address", do: first(func(w http.ResponseWriter, _ []byte, _ int) {
			w.Header().Set("Location", "/a?X-Signature=hush")
			w.WriteHeader(307)
		}), tries: 2},
		// What may go wrong when the rest is asked for.
		{name: "200 to a Range", do: afterCut(1, func(w http.ResponseWriter, _ *http.Request, b []byte, _ int) { w.Write(b) }), tries: 2},
		{name: "changed since", do: func(w http.ResponseWriter, r *http.Request, b []byte, from, n int) bool {
			if n == 1 {
				w.Header().Set("ETag", `"zero"`)
				cut(w, other(b), 0, 70_000)
			}
			return false
		}, tries: 2},
		{name: "changed since, nothing known", edit: bare, do: func(w http.ResponseWriter, r *http.Request, b []byte, from, n int) bool {
			if n == 1 {
				w.Header().Set("ETag", `"zero"`)
				cut(w, other(b), 0, 70_000)
			}
			return false
		}, tries: 2},
		{name: "changed since, and the server does not look at If-Range", edit: bare, do: func(w http.ResponseWriter, r *http.Request, b []byte, from, n int) bool {
			r.Header.Del("If-Range")
			if n == 1 {
				w.Header().Set("ETag", `"zero"`)
				cut(w, other(b), 0, 70_000)
			}
			return false
		}, tries: 3},
		{name: "nothing to resume by, only the size known", edit: func(it *Item) { it.SHA256, it.Version = "", "" }, do: func(w http.ResponseWriter, r *http.Request, b []byte, from, n int) bool {
			if n == 1 {
				cut(w, other(b), 0, 70_000)
			}
			return false
		}, tries: 2},
		{name: "a part from elsewhere", do: afterCut(1, func(w http.ResponseWriter, _ *http.Request, b []byte, from int) {
			part(w, fmt.Sprintf("bytes %d-%d/%d", from+5, len(b)-1, len(b)), b[from+5:])
		}), tries: 3},
		{name: "always a part from elsewhere", do: func(w http.ResponseWriter, r *http.Request, b []byte, from, n int) bool {
			if from > 0 {
				part(w, fmt.Sprintf("bytes %d-%d/%d", from-5, len(b)-1, len(b)), b[from-5:])
			} else if n == 1 {
				cut(w, b, 0, 70_000)
			} else {
				w.Write(b)
			}
			return true
		}, tries: 4},
		{name: "206 without Content-Range", do: afterCut(1, func(w http.ResponseWriter, _ *http.Request, b []byte, from int) { part(w, "", b[from:]) }), tries: 3},
		{name: "206 with an unreadable one", do: afterCut(1, func(w http.ResponseWriter, _ *http.Request, b []byte, from int) { part(w, "bytes some", b[from:]) }), tries: 3},
		{name: "206 to no Range", do: always(func(w http.ResponseWriter, b []byte, _ int) {
			part(w, fmt.Sprintf("bytes 0-%d/%d", len(b)-1, len(b)), b)
		}),
			says: []string{"a part where the whole was asked for"}},
		{name: "a part of another length than it says", do: afterCut(1, func(w http.ResponseWriter, _ *http.Request, b []byte, from int) {
			part(w, fmt.Sprintf("bytes %d-%d/%d", from, len(b)-1, len(b)), b[from:len(b)-9])
		}), tries: 3},
		{name: "a part of another file", do: afterCut(1, func(w http.ResponseWriter, _ *http.Request, b []byte, from int) {
			part(w, fmt.Sprintf("bytes %d-%d/%d", from, len(b)-1, len(b)), other(b[from:]))
		}), tries: 3},
		{name: "a part of another total", edit: bare, do: afterCut(1, func(w http.ResponseWriter, _ *http.Request, b []byte, from int) {
			part(w, fmt.Sprintf("bytes %d-%d/%d", from, len(b)+6, len(b)+7), append(b[from:], "1234567"...))
		}), tries: 3},
		{name: "416", do: afterCut(1, func(w http.ResponseWriter, _ *http.Request, b []byte, from int) { w.WriteHeader(416) }), says: []string{"416"}, tries: 2, kept: true},
		{name: "all came but its end, and 416 says so", edit: bare, do: func(w http.ResponseWriter, r *http.Request, b []byte, from, n int) bool {
			if n == 1 {
				w.Header().Set("ETag", `"one"`)
				w.Write(b)
				w.(http.Flusher).Flush()
				panic(http.ErrAbortHandler)
			}
			if from != len(b) {
				return false
			}
			w.Header().Set("Content-Range", "bytes */150000")
			w.WriteHeader(416)
			return true
		}, tries: 2},
		{name: "a part of nobody knows which version", edit: bare, do: afterCut(1, func(w http.ResponseWriter, _ *http.Request, b []byte, from int) {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(b)-1, len(b)))
			w.WriteHeader(http.StatusPartialContent)
			w.Write(other(b[from:]))
		}), tries: 3},
		{name: "a part that ends early, of unknown total", edit: bare, do: afterCut(1, func(w http.ResponseWriter, _ *http.Request, b []byte, from int) {
			w.Header().Set("ETag", `"one"`)
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/*", from, len(b)-1))
			w.WriteHeader(http.StatusPartialContent)
			w.Write(b[from : from+100])
			w.(http.Flusher).Flush()
			w.Write(b[from+100 : from+200])
		}), tries: 3},
		{name: "416 of a shorter file", do: afterCut(1, func(w http.ResponseWriter, _ *http.Request, b []byte, from int) {
			w.Header().Set("Content-Range", "bytes */1000")
			w.WriteHeader(416)
		}), tries: 3},
	}
}

// Every fault ends in the right bytes, or in an error that says what to do and a state from which the
// same call goes on once the server has come to itself; what was under the name before stays.
func TestFaults(t *testing.T) {
	whole := noise(1, 150_000)
	injected, survived, refused, lost := 0, 0, 0, 0
	var mu sync.Mutex
	for _, f := range faults() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			s := newShelf(t, map[string][]byte{"a": whole})
			s.etags["a"] = `"one"`
			count := 0
			s.fault = func(w http.ResponseWriter, r *http.Request, name string, n int) bool {
				from := 0
				fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from)
				mu.Lock()
				count++
				mu.Unlock()
				return f.do(w, r, append([]byte(nil), whole...), from, n)
			}
			c := newImpatient(ClientOptions{Silence: 100 * time.Millisecond})
			o := Options{Dest: t.TempDir(), Client: c.Client, Acceptance: accepted}
			// An older one lies there, which the journal knows.
			old := noise(9, 1000)
			os.MkdirAll(filepath.Join(o.Dest, "set"), 0o755)
			os.WriteFile(filepath.Join(o.Dest, "set", "a"), old, 0o644)
			j, _ := openJournal(&known{file: journalFile(o.Dest, "set")})
			j.write(record{Record: recordItem, Path: "set/a", Bytes: 1000, SHA256: sumOf(old), Version: "old", Source: "http"})
			j.Close()
			o.Refresh = true
			src := func() Source {
				return s.source(c.Client, s.items(), func(it *Item) {
					if it.Version = "new"; f.edit != nil {
						f.edit(it)
					}
				})
			}
			r, err := Run(context.Background(), "set", src(), o)
			requests := s.count("a")
			got := mustRead(t, filepath.Join(o.Dest, "set", "a"))
			if f.says == nil {
				if err != nil || r.Fetched != 1 {
					t.Fatalf("it should end whole: %v", err)
				}
				wantTree(t, o.Dest, map[string][]byte{"set/a": whole})
			} else {
				says(t, err, append(f.says, "set/a")...)
				fault := (*TransferError)(nil)
				if !errors.As(err, &fault) || fault.Path != "set/a" || fault.Source != "http" || r.Rows[0].State != Failed {
					t.Errorf("got %T, %+v", err, r.Rows)
				}
				if !bytes.Equal(got, old) {
					t.Error("what was there before is gone")
				}
				if partial := exists(filepath.Join(o.Dest, "set", ".a.partial.json")); partial != f.kept {
					t.Errorf("a partial file is kept: %v", partial)
				}
			}
			if f.tries > 0 && requests != f.tries {
				t.Errorf("%d requests, want %d", requests, f.tries)
			}
			for i, d := range f.waits {
				if len(c.waited) <= i || c.waited[i] != d {
					t.Errorf("waited %v, want %v", c.waited, f.waits)
				}
			}
			// The server is well again: the same call ends it.
			s.mu.Lock()
			s.fault = nil
			s.mu.Unlock()
			if _, err := Run(context.Background(), "set", src(), o); err != nil {
				t.Fatalf("the next run: %v", err)
			}
			wantTree(t, o.Dest, map[string][]byte{"set/a": whole})
			wantJournal(t, o.Dest, "set/a")
			mu.Lock()
			defer mu.Unlock()
			injected += max(1, min(requests, count))
			if f.says == nil {
				survived++
			} else {
				refused++
			}
			if !bytes.Equal(mustRead(t, filepath.Join(o.Dest, "set", "a")), whole) {
				lost += len(whole)
			}
		})
	}
	t.Cleanup(func() {
		t.Logf("%d kinds of faults, %d requests under them: %d kinds survived, %d refused with a message; bytes lost: %d", survived+refused, injected, survived, refused, lost)
	})
}

// A .gz of which nobody knows a checksum is held against its own.
func TestGzip(t *testing.T) {
	var b bytes.Buffer
	for range 2 { // two members after one another are a gzip too
		z := gzip.NewWriter(&b)
		z.Write(noise(1, 20_000))
		z.Close()
	}
	whole := b.Bytes()
	for name, send := range map[string][]byte{"whole": whole, "cut": whole[:30_000], "cut in the trailer": whole[:len(whole)-3], "damaged": append(append([]byte(nil), whole[:10_000]...), other(whole[10_000:])...), "no gzip": []byte("<html>")} {
		s := newShelf(t, map[string][]byte{"a.gz": send})
		s.fault = func(w http.ResponseWriter, r *http.Request, name string, n int) bool {
			w.Header().Set("Content-Encoding", "x-gzip") // as some servers say of every .gz
			return false
		}
		o := options(t, t.TempDir())
		_, err := Run(context.Background(), "set", s.source(o.Client, s.items(), func(it *Item) { it.Size, it.SHA256, it.Gzip = -1, "", true }), o)
		if name == "whole" {
			if err != nil {
				t.Error(err)
			}
			wantTree(t, o.Dest, map[string][]byte{"set/a.gz": whole})
			continue
		}
		says(t, err, "no whole gzip file", "twice in a row")
		wantTree(t, o.Dest, nil)
		if s.count("a.gz") != 2 {
			t.Errorf("%s: %d requests", name, s.count("a.gz"))
		}
	}
}

// When one item after the other fails the source is left alone; a missing file here and there is
// none of its faults.
func TestGivesUp(t *testing.T) {
	files := make(map[string][]byte)
	for i := range 40 {
		files[fmt.Sprintf("f%02d", i)] = noise(uint64(i), 100)
	}
	s := newShelf(t, files)
	s.fault = func(w http.ResponseWriter, r *http.Request, name string, n int) bool {
		w.WriteHeader(503)
		return true
	}
	o := options(t, t.TempDir())
	o.Jobs = 2
	r, err := Run(context.Background(), "set", s.source(o.Client, s.items(), nil), o)
	if !errors.Is(err, errGivenUp) || r.Fetched != 0 {
		t.Errorf("%v, %+v", err, r.Rows)
	}
	says(t, err, "37 items were not tried")
	s.mu.Lock()
	s.fault = func(w http.ResponseWriter, r *http.Request, name string, n int) bool {
		if strings.HasSuffix(name, "0") || name < "f10" {
			w.WriteHeader(404)
			return true
		}
		return false
	}
	s.mu.Unlock()
	r, err = Run(context.Background(), "set", s.source(o.Client, s.items(), nil), o)
	if r.Fetched != 27 || errors.Is(err, errGivenUp) {
		t.Errorf("%d fetched, %v", r.Fetched, err)
	}
	if n := strings.Count(err.Error(), "404"); n != 13 {
		t.Errorf("%d of 13 errors", n)
	}
}
