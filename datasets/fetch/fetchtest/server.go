// Package fetchtest is the archives' servers in small: they speak the same protocols on 127.0.0.1
// (NBIA, S3, figshare, GEO's folders, plain files), hold made data, and misbehave to order: cut
// connections, wrong lengths, too many requests, redirects, silence, changed files, archives that
// bite. They count what was asked, what was done wrong and what was sent.
//
// A test gives its HTTP client the Transport of the server: every host name, the archives' real
// ones included, then leads to this server, so that no test reaches the network.
package fetchtest

import (
	"context"
	"crypto/md5"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Kind is what a request asks for; faults strike by it.
type Kind int

// The kinds of requests.
const (
	Any     Kind = iota // of faults only: all of them
	Listing             // what there is: JSON, XML, a folder's page
	Content             // a file or an archive
	Way                 // the answer that only says where the content is
)

// Stats is what a server did so far.
type Stats struct {
	Requests int   // received
	Faults   int   // answered wrongly, on purpose
	Bytes    int64 // of bodies sent
	Most     int   // requests under way at a time, at most
}

// Server is what the servers of all protocols are built on.
type Server struct {
	URL    string // http://127.0.0.1:PORT
	TLSURL string // https://127.0.0.1:PORT: the same server, for a client with Transport

	plain, tls *httptest.Server
	answer     func(*http.Request) answer
	release    chan struct{} // closed when silent answers must end

	mu     sync.Mutex
	faults []*armed
	stats  Stats
	now    int // requests under way
}

// armed is a fault in force.
type armed struct {
	Fault
	struck int
}

// answer is what a server without faults would send.
type answer struct {
	kind   Kind
	status int // 0 = 200
	header http.Header
	body   []byte
	stream func(io.Writer) error // instead of a body: without a length, as it is made
	etag   string                // quoted; empty = none
	ranges bool                  // a part may be asked for
	open   bool                  // without a Content-Length
}

// start opens the two listeners.
func (s *Server) start(answer func(*http.Request) answer) {
	s.answer, s.release = answer, make(chan struct{})
	quiet := log.New(io.Discard, "", 0)
	s.plain = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.plain.Config.ErrorLog = quiet
	s.plain.Start()
	s.tls = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.tls.Config.ErrorLog = quiet
	s.tls.StartTLS()
	s.URL, s.TLSURL = s.plain.URL, s.tls.URL
}

// Close ends the server; answers that are silent end too.
func (s *Server) Close() {
	close(s.release)
	s.plain.CloseClientConnections()
	s.tls.CloseClientConnections()
	s.plain.Close()
	s.tls.Close()
}

// Transport leads every address to this server: the host name stays what the client believes.
func (s *Server) Transport() *http.Transport {
	plain, secure := s.plain.Listener.Addr().String(), s.tls.Listener.Addr().String()
	return &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			switch _, port, _ := net.SplitHostPort(addr); {
			case addr == plain || addr == secure:
			case port == "443":
				addr = secure
			default:
				addr = plain
			}
			return new(net.Dialer).DialContext(ctx, network, addr)
		},
		// The certificate is made for 127.0.0.1 and example.com only.
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
		ForceAttemptHTTP2: false,
	}
}

// Inject puts faults in force beside those that are.
func (s *Server) Inject(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range faults {
		s.faults = append(s.faults, &armed{Fault: f})
	}
}

// Clear ends all faults.
func (s *Server) Clear() {
	s.mu.Lock()
	over := s.faults
	s.faults = nil
	s.mu.Unlock()
	for _, f := range over {
		if f.undo != nil && f.struck > 0 {
			f.undo()
		}
	}
}

// Stats is what the server did so far.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// exchange is a request and the answer that is being spoiled.
type exchange struct {
	s *Server
	r *http.Request
	answer
	cut      int   // break the connection after so many bytes of the body; -1 = do not
	stall    int   // be silent after so many; -1 = do not
	mute     bool  // be silent before the first byte
	length   int64 // added to the Content-Length; below 0 so much of the body is left out too
	noRange  bool  // send all of it whatever was asked for
	badRange bool  // send the part that was asked for under another name
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.stats.Requests++
	s.now++
	s.stats.Most = max(s.stats.Most, s.now)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.now--
		s.mu.Unlock()
	}()

	x := &exchange{s: s, r: r, answer: s.answer(r), cut: -1, stall: -1}
	x.header = maps.Clone(x.header)
	if x.header == nil {
		x.header = http.Header{}
	}
	for _, strike := range s.strikes(x) {
		strike()
	}
	x.write(w)
}

// strikes are the faults that this exchange suffers. What they do happens outside of the lock,
// since it may ask the protocol's server to change its files.
func (s *Server) strikes(x *exchange) []func() {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []func()
	for _, f := range s.faults {
		if f.On != Any && f.On != x.kind || f.Times > 0 && f.struck >= f.Times || f.when != nil && !f.when(x, f.struck) {
			continue
		}
		n := f.struck
		f.struck++
		s.stats.Faults++
		all = append(all, func() { f.strike(x, n) })
	}
	return all
}

// write sends the answer, as spoiled as it is.
func (x *exchange) write(w http.ResponseWriter) {
	if x.mute {
		x.silence()
	}
	for k, v := range x.header {
		w.Header()[k] = v
	}
	status, body := x.status, x.body
	if status == 0 {
		status = http.StatusOK
	}
	if x.etag != "" {
		w.Header().Set("ETag", x.etag)
	}
	if x.ranges && !x.noRange && status == http.StatusOK {
		w.Header().Set("Accept-Ranges", "bytes")
		from, asked := x.from()
		switch {
		case asked && from >= len(body):
			w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", len(body)))
			status, body = http.StatusRequestedRangeNotSatisfiable, nil
		case asked:
			said := from
			if x.badRange {
				said++
			}
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", said, len(body)-1, len(body)))
			status, body = http.StatusPartialContent, body[from:]
		}
	}
	out := &counter{w: w, s: x.s}
	if x.stream != nil {
		w.WriteHeader(status)
		if x.r.Method != http.MethodHead {
			x.stream(out) // the other side hangs up, as it should
		}
		return
	}
	declared := max(int64(len(body))+x.length, 0)
	if x.length < 0 {
		body = body[:declared]
	}
	if !x.open || x.length > 0 {
		w.Header().Set("Content-Length", strconv.FormatInt(declared, 10))
	}
	w.WriteHeader(status)
	if x.r.Method == http.MethodHead {
		return
	}
	switch {
	case x.stall >= 0:
		out.Write(body[:min(x.stall, len(body))])
		http.NewResponseController(w).Flush()
		x.silence()
	case x.cut >= 0:
		out.Write(body[:min(x.cut, len(body))])
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	default:
		out.Write(body)
	}
}

// from is where the request wants the body to begin, unless it wants it only as it was once.
func (x *exchange) from() (int, bool) {
	rest, ok := strings.CutPrefix(x.r.Header.Get("Range"), "bytes=")
	if !ok {
		return 0, false
	}
	if tag := x.r.Header.Get("If-Range"); tag != "" && tag != x.etag {
		return 0, false
	}
	first, _, _ := strings.Cut(rest, "-")
	n, err := strconv.Atoi(first)
	return n, err == nil
}

// silence says nothing until the other side hangs up, or the server ends, and then hangs up too.
func (x *exchange) silence() {
	select {
	case <-x.r.Context().Done():
	case <-x.s.release:
	case <-time.After(time.Minute): // a client that waits for ever must not hang the tests
	}
	panic(http.ErrAbortHandler)
}

type counter struct {
	w io.Writer
	s *Server
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.s.mu.Lock()
	c.s.stats.Bytes += int64(n)
	c.s.mu.Unlock()
	return n, err
}

func sum(data []byte) string {
	h := md5.Sum(data)
	return hex.EncodeToString(h[:])
}
