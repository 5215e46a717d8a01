package fetch

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
	"time"
)

// ClientOptions say how politely and how patiently a Client asks.
type ClientOptions struct {
	Transport         http.RoundTripper // nil = one that heeds the proxy of the environment
	RequestsPerSecond float64           // 0 = 10
	BytesPerSecond    int64             // of all transfers together; 0 = as fast as they come
	Silence           time.Duration     // how long a server may send nothing; 0 = one minute
	// Retries is how often a failed try is repeated without any progress; 0 = 5, below 0 = never.
	Retries int
	// Sleep waits; nil = really. It ends with the context's error when that is done.
	Sleep func(ctx context.Context, d time.Duration) error
	// Say is told, in one line, why something is tried again; nil = nobody is. It may be called from
	// several goroutines at once.
	Say func(string)
}

// Client asks servers: not too often, not for ever, and without repeating secrets in its errors.
// It may be used by several goroutines.
type Client struct {
	o        ClientOptions
	http     *http.Client
	requests pace
	bytes    pace
	mu       sync.Mutex
	waits    uint64 // counts them, for the jitter
}

// NewClient makes a client.
func NewClient(o ClientOptions) *Client {
	if o.Transport == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxIdleConnsPerHost = 16
		o.Transport = t
	}
	if o.RequestsPerSecond == 0 {
		o.RequestsPerSecond = 10
	}
	if o.Silence == 0 {
		o.Silence = time.Minute
	}
	if o.Retries == 0 {
		o.Retries = 5
	}
	if o.Sleep == nil {
		o.Sleep = sleep
	}
	if o.Say == nil {
		o.Say = func(string) {}
	}
	c := &Client{o: o, http: &http.Client{Transport: o.Transport, CheckRedirect: follow}}
	c.requests.perSecond, c.bytes.perSecond = o.RequestsPerSecond, float64(o.BytesPerSecond)
	return c
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// maxRedirects is how many addresses in a row are followed.
const maxRedirects = 10

// redirectError is an address that a server sends us to and that is not followed.
type redirectError struct{ problem string }

func (e *redirectError) Error() string { return e.problem }

func follow(req *http.Request, via []*http.Request) error {
	last := via[len(via)-1].URL
	switch {
	case len(via) > maxRedirects:
		return &redirectError{fmt.Sprintf("it sends from one address to the next, more than %d times", maxRedirects)}
	case req.URL.Scheme != "http" && req.URL.Scheme != "https":
		return &redirectError{fmt.Sprintf("it sends to an address that begins with %q", req.URL.Scheme)}
	case last.Scheme == "https" && req.URL.Scheme == "http":
		return &redirectError{"it sends from https to http, " + Redact(req.URL.String()) + ", where anybody on the way could change the file"}
	}
	req.Header.Del("Referer") // it would tell the next server the former address, signature and all
	return nil
}

// Get asks once, and keeps the pace. The answer is 200 or 206; anything else is a *StatusError,
// and the body of what comes ends with an error when the server falls silent. The caller closes it.
func (c *Client) Get(ctx context.Context, address string, header http.Header) (*http.Response, error) {
	if err := c.requests.wait(ctx, 1, c.o.Sleep); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		cancel(nil)
		return nil, &badAddress{fmt.Errorf("%s is no address: %w", Redact(address), scrub(err))}
	}
	for k, v := range header {
		req.Header[http.CanonicalHeaderKey(k)] = v
	}
	if req.Header.Get("Accept-Encoding") == "" {
		req.Header.Set("Accept-Encoding", "identity") // the bytes as they are, which have the length and checksum that are known
	}
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", "hounsfield")
	}
	watch := newWatch(c.o.Silence, cancel)
	watch.start()
	res, err := c.http.Do(req)
	watch.stop()
	if err != nil {
		err = because(ctx, scrub(err))
		cancel(nil)
		return nil, fmt.Errorf("%s: %w", Redact(address), err)
	}
	if res.StatusCode != http.StatusOK && res.StatusCode != http.StatusPartialContent {
		err := &StatusError{URL: Redact(res.Request.URL.String()), Status: res.StatusCode, Header: res.Header,
			RetryAfter: retryAfter(res.Header.Get("Retry-After"), time.Now())}
		watch.start()
		err.Body, _ = io.ReadAll(io.LimitReader(res.Body, 4096)) // what can be read of it; the status is the answer
		watch.stop()
		total := int64(-1)
		if res.StatusCode == http.StatusRequestedRangeNotSatisfiable {
			total = unsatisfied(res.Header.Get("Content-Range"))
		}
		res.Body.Close()
		cancel(nil)
		if total >= 0 {
			return nil, &rangeError{err, total}
		}
		return nil, err
	}
	res.Body = &body{ReadCloser: res.Body, ctx: ctx, cancel: cancel, watch: watch, client: c, from: Redact(address)}
	return res, nil
}

// badAddress is an address that cannot be asked at all.
type badAddress struct{ error }

// rangeError is the answer 416: there is nothing at that offset, as the whole has total bytes.
type rangeError struct {
	*StatusError
	total int64
}

func (e *rangeError) Unwrap() error { return e.StatusError }

// watch cancels a request when nothing comes for too long.
type watch struct {
	timer *time.Timer
	limit time.Duration
}

func newWatch(limit time.Duration, cancel context.CancelCauseFunc) *watch {
	w := &watch{limit: limit}
	w.timer = time.AfterFunc(limit, func() { cancel(fmt.Errorf("the server sent nothing for %s", limit)) })
	w.timer.Stop()
	return w
}

func (w *watch) start() { w.timer.Reset(w.limit) }
func (w *watch) stop()  { w.timer.Stop() }

// body is an answer on its way: watched while it is waited for, held back to the pace.
type body struct {
	io.ReadCloser
	ctx    context.Context
	cancel context.CancelCauseFunc
	watch  *watch
	client *Client
	from   string
}

func (b *body) Read(p []byte) (int, error) {
	c := b.client
	if limit := c.bytes.perSecond; limit > 0 {
		p = p[:min(len(p), int(max(1, limit/8)))] // small steps, so that the pace is even
	}
	b.watch.start()
	n, err := b.ReadCloser.Read(p)
	b.watch.stop()
	if n > 0 && c.bytes.perSecond > 0 {
		if slow := c.bytes.wait(b.ctx, n, c.o.Sleep); slow != nil && err == nil {
			err = slow
		}
	}
	if err == io.ErrUnexpectedEOF {
		err = &scrubbed{"the connection was cut", err}
	}
	if err != nil && err != io.EOF {
		err = fmt.Errorf("%s: %w", b.from, because(b.ctx, scrub(err)))
	}
	return n, err
}

func (b *body) Close() error {
	b.watch.stop()
	b.cancel(nil)
	return b.ReadCloser.Close()
}

// because puts the reason for a cancelled request in the place of net/http's words.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		return cause
	}
	return err
}

// pace lets things through at a rate.
type pace struct {
	mu        sync.Mutex
	perSecond float64 // 0 = no limit
	next      time.Time
}

func (p *pace) wait(ctx context.Context, n int, sleep func(context.Context, time.Duration) error) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if p.perSecond <= 0 {
		return nil
	}
	p.mu.Lock()
	now := time.Now()
	if p.next.Before(now) {
		p.next = now
	}
	d := p.next.Sub(now)
	p.next = p.next.Add(time.Duration(float64(n) / p.perSecond * float64(time.Second)))
	p.mu.Unlock()
	if d <= 0 {
		return nil
	}
	return sleep(ctx, d)
}

// Small gets a short answer as a whole, repeated where that may help: also when it was cut or is
// shorter than announced. More than limit bytes is an error.
func (c *Client) Small(ctx context.Context, address string, header http.Header, limit int64) ([]byte, error) {
	var out []byte
	err := c.again(ctx, Redact(address), func() (bool, error) {
		res, err := c.Get(ctx, address, header)
		if err != nil {
			return false, err
		}
		defer res.Body.Close()
		if err := encoded(res, address); err != nil {
			return false, err
		}
		if res.ContentLength > limit {
			return false, &tooLong{Redact(address), limit}
		}
		var b bytes.Buffer
		n, err := io.Copy(&b, io.LimitReader(res.Body, limit+1))
		switch {
		case err != nil:
			return false, err
		case n > limit:
			return false, &tooLong{Redact(address), limit}
		}
		out = b.Bytes()
		return true, nil
	})
	return out, err
}

// tooLong is an answer that nobody wants to hold in memory.
type tooLong struct {
	from  string
	limit int64
}

func (e *tooLong) Error() string {
	return fmt.Sprintf("%s sends more than %s where a short answer is due; the address has probably changed", e.from, Bytes(e.limit))
}

// encodedError is an answer in another form than the bytes themselves.
type encodedError struct{ from, encoding string }

func (e *encodedError) Error() string {
	return fmt.Sprintf("%s sends the file packed (%s) though it was asked not to, so its length and checksum cannot be checked", e.from, e.encoding)
}

// encoded refuses an answer packed on the way. Some servers say of a .gz that it is one: that is
// the file itself.
func encoded(res *http.Response, address string) error {
	e := strings.ToLower(res.Header.Get("Content-Encoding"))
	if e == "" || e == "identity" {
		return nil
	}
	if u, err := url.Parse(address); err == nil && path.Ext(u.Path) == ".gz" && (e == "gzip" || e == "x-gzip") {
		return nil
	}
	return &encodedError{Redact(address), e}
}

// Open begins a download at an offset, if the file is still the one that etag names (empty:
// whichever it is). The stream begins at 0 where the server cannot begin elsewhere or the file has
// changed. It is tried once.
func (c *Client) Open(ctx context.Context, address string, offset int64, etag string) (*Stream, error) {
	header := http.Header{}
	if offset > 0 {
		header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
		if etag != "" {
			header.Set("If-Range", etag)
		}
	}
	res, err := c.Get(ctx, address, header)
	if err != nil {
		var none *rangeError
		if errors.As(err, &none) && offset > 0 {
			if none.total == offset { // all of it is here, which nobody knew
				return &Stream{Body: io.NopCloser(strings.NewReader("")), Offset: offset, Size: offset, ETag: etag}, nil
			}
			return nil, fmt.Errorf("%s has %d bytes, and %d came before: %w", Redact(address), none.total, offset, errChanged)
		}
		return nil, err
	}
	s, err := streamOf(res, offset, etag)
	if err == nil {
		err = encoded(res, address)
	}
	if err == nil {
		err = noPage(s, res.Header.Get("Content-Type"), address)
	}
	if err != nil {
		res.Body.Close()
		return nil, fmt.Errorf("%s: %w", Redact(address), err)
	}
	return s, nil
}

// pageError is a web page in the place of a file.
type pageError struct{ title string }

func (e *pageError) Error() string {
	return fmt.Sprintf("a web page came in the place of the file (%s): a proxy or firewall on the way may have answered", e.title)
}

// noPage refuses a web page that nobody asked for. What it reads for that is put back.
func noPage(s *Stream, contentType, address string) error {
	kind, _, err := mime.ParseMediaType(contentType)
	ext := strings.ToLower(path.Ext(Redact(address)))
	if err != nil || kind != "text/html" || s.Offset > 0 || ext == ".html" || ext == ".htm" {
		return nil
	}
	r := bufio.NewReaderSize(s.Body, 4096)
	head, _ := r.Peek(4096) // an error comes again when it is read
	if looksLikeHTML(head) {
		return &pageError{pageTitle(head)}
	}
	s.Body = struct {
		io.Reader
		io.Closer
	}{r, s.Body}
	return nil
}

func streamOf(res *http.Response, offset int64, etag string) (*Stream, error) {
	now := validator(res.Header)
	if res.StatusCode == http.StatusOK {
		unframed := res.ContentLength < 0 && res.ProtoMajor < 2 && len(res.TransferEncoding) == 0
		return &Stream{Body: res.Body, Size: res.ContentLength, ETag: now, Unframed: unframed}, nil
	}
	if offset == 0 {
		return nil, &protocolError{"it sends a part where the whole was asked for"}
	}
	said := res.Header.Get("Content-Range")
	if said == "" {
		return nil, &protocolError{"it sends a part without saying which (no Content-Range)"}
	}
	from, to, total, err := contentRange(said)
	switch {
	case err != nil:
		return nil, &protocolError{err.Error()}
	case from != offset:
		return nil, &protocolError{fmt.Sprintf("it sends what begins at byte %d, and %d was asked for", from, offset)}
	case etag != "" && now != "" && now != etag && isETag(now) == isETag(etag):
		return nil, errChanged
	}
	if etag != "" && now != "" && isETag(now) != isETag(etag) {
		now = etag // a proof of another kind, which says nothing against it
	}
	return &Stream{Body: &exactly{ReadCloser: res.Body, left: to - from + 1}, Offset: offset, Size: total, ETag: now}, nil
}

// protocolError is an answer that contradicts itself or the question.
type protocolError struct{ problem string }

func (e *protocolError) Error() string { return e.problem }

// exactly is a part that must have as many bytes as were announced.
type exactly struct {
	io.ReadCloser
	left int64
}

func (e *exactly) Read(p []byte) (int, error) {
	n, err := e.ReadCloser.Read(p)
	e.left -= int64(n)
	switch {
	case e.left < 0:
		return n, &protocolError{"it sends more than the part that it announced"}
	case err == io.EOF && e.left > 0:
		return n, io.ErrUnexpectedEOF
	}
	return n, err
}
