package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestRedact(t *testing.T) {
	for in, want := range map[string]string{
		"https://host/a/b.zip":                          "https://host/a/b.zip",
		"https://host:8443/a?X-Amz-Signature=hush#hush": "https://host:8443/a",
		"https://user:hush@host/a@1/b":                  "https://host/a@1/b",
		"http://hush@host":                              "http://host",
		"http://u:hu@sh@host:80/p":                      "http://host:80/p",
		"http://u:hush/hush@host:80/p":                  "http://host:80/p",
		"http://u:hush":                                 "http://",
		"http://[::1]:8080/p?hush":                      "http://[::1]:8080/p",
		"http://[::1]/p":                                "http://[::1]/p",
		"/mnt/usb/copy":                                 "/mnt/usb/copy",
		"a?hush":                                        "a",
		"":                                              "",
	} {
		if got := Redact(in); got != want {
			t.Errorf("%q is shown as %q, want %q", in, got, want)
		}
	}
	err := scrub(&url.Error{Op: "Get", URL: "https://x/?hush", Err: fmt.Errorf(`proxy "http://u:hush@proxy:3128": %w; ftp://a:hush@b`, io.EOF)})
	if err.Error() != `proxy "http://proxy:3128": EOF; ftp://b` || !errors.Is(err, io.EOF) {
		t.Errorf("scrubbed to %q", err)
	}
}

// Whatever a password is made of, it is not shown; what shows that there is one may be.
func FuzzRedact(f *testing.F) {
	f.Add("user", "pass/word@:", "host.org", "/a/b", "sig=1")
	f.Add("", "", "h", "", "")
	f.Fuzz(func(t *testing.T, user, pass, host, path, query string) {
		secret := "SECRET" + pass + "SECRET"
		u := url.URL{Scheme: "https", User: url.UserPassword(user, secret), Host: "archive.org", Path: "/" + path, RawQuery: "s=SECRET" + query}
		for _, address := range []string{u.String(), "https://" + "u:" + secret + "@archive.org/x"} {
			if strings.ContainsAny(secret, "?# \t\n\r\f\v\"'<>") {
				address = u.String() // others end an address
			}
			if got := Redact(address); strings.Contains(got, "SECRET") && !strings.Contains(path, "SECRET") {
				t.Errorf("%q is shown as %q", address, got)
			}
			if got := scrub(errors.New("x " + address + " y")).Error(); strings.Contains(got, "SECRET") && !strings.Contains(path, "SECRET") {
				t.Errorf("%q is shown as %q", address, got)
			}
		}
	})
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for in, want := range map[string]time.Duration{
		"": 0, "0": 0, "120": 2 * time.Minute, " 7 ": 7 * time.Second, "-1": 0, "1.5": 0, "soon": 0, "99999999999999999999": math.MaxInt64, "9999999999999": math.MaxInt64,
		"Sun, 01 Mar 2026 12:00:30 GMT": 30 * time.Second, "Sunday, 01-Mar-26 12:01:00 GMT": time.Minute, "Sun Mar  1 12:00:05 2026": 5 * time.Second,
		"Sun, 01 Mar 2026 11:00:00 GMT": 0, "Sun, 01 Mar 2026": 0,
	} {
		if got := retryAfter(in, now); got != want {
			t.Errorf("%q is %s, want %s", in, got, want)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"120", "Sun, 01 Mar 2026 12:00:30 GMT", "-5", "0x10", "١"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d := retryAfter(s, time.Unix(1e9, 0)); d < 0 {
			t.Errorf("%q is %s", s, d)
		}
	})
}

func TestContentRange(t *testing.T) {
	for in, want := range map[string][3]int64{
		"bytes 10-19/100": {10, 19, 100}, "bytes 0-0/1": {0, 0, 1}, "Bytes 5-6/*": {5, 6, -1}, "bytes  1-2/3": {1, 2, 3},
		"bytes 0-9223372036854775806/9223372036854775807": {0, math.MaxInt64 - 1, math.MaxInt64},
	} {
		from, to, total, err := contentRange(in)
		if got := [3]int64{from, to, total}; got != want || err != nil {
			t.Errorf("%q is %v (%v), want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "bytes", "bytes 10-19", "bytes */100", "lines 1-2/3", "bytes 5-4/10", "bytes 5-10/10", "bytes -1-2/3", "bytes 1-+2/3",
		"bytes 1-2/-3", "bytes 1--2/3", "bytes 0-9223372036854775807/*", "bytes 99999999999999999999-999999999999999999999/*", "bytes=1-2/3", "bytes 1-2/3/4"} {
		if _, _, _, err := contentRange(in); err == nil {
			t.Errorf("%q is taken", in)
		}
	}
	for in, want := range map[string]int64{"bytes */100": 100, "bytes */0": 0, "": -1, "bytes */*": -1, "bytes 1-2/3": -1, "bytes */-1": -1, "bytes */99999999999999999999": -1} {
		if got := unsatisfied(in); got != want {
			t.Errorf("%q is %d, want %d", in, got, want)
		}
	}
}

// What is read back from a header is what stands there.
func FuzzContentRange(f *testing.F) {
	for _, s := range []string{"bytes 10-19/100", "bytes 5-6/*", "bytes */100", "bytes 5-4/10"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		from, to, total, err := contentRange(s)
		if err != nil {
			return
		}
		if from < 0 || to < from || total >= 0 && total <= to {
			t.Errorf("%q is %d-%d/%d", s, from, to, total)
		}
		whole := "*"
		if total >= 0 {
			whole = fmt.Sprint(total)
		}
		a, b, c, err := contentRange(fmt.Sprintf("bytes %d-%d/%s", from, to, whole))
		if a != from || b != to || c != total || err != nil {
			t.Errorf("%q is %d-%d/%d, which is %d-%d/%d", s, from, to, total, a, b, c)
		}
	})
}

func TestValidator(t *testing.T) {
	for _, test := range []struct{ etag, changed, date, want string }{
		{`"abc"`, "Sun, 01 Mar 2026 12:00:00 GMT", "Sun, 01 Mar 2026 13:00:00 GMT", `"abc"`},
		{`W/"abc"`, "Sun, 01 Mar 2026 12:00:00 GMT", "Sun, 01 Mar 2026 13:00:00 GMT", "Sun, 01 Mar 2026 12:00:00 GMT"},
		{"", "Sun, 01 Mar 2026 12:59:30 GMT", "Sun, 01 Mar 2026 13:00:00 GMT", ""}, // it may change again within this second
		{"", "Sun, 01 Mar 2026 12:00:00 GMT", "", ""},
		{`W/"abc"`, "", "", ""},
		{"abc", "yesterday", "Sun, 01 Mar 2026 13:00:00 GMT", ""},
	} {
		h := http.Header{"Etag": {test.etag}, "Last-Modified": {test.changed}, "Date": {test.date}}
		if got := validator(h); got != test.want {
			t.Errorf("%+v gives %q", test, got)
		}
	}
}

func handler(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func TestGetAddresses(t *testing.T) {
	c := newImpatient(ClientOptions{Retries: -1})
	ctx := context.Background()
	for _, address := range []string{"http://u:hush@127.0.0.1:1/a?hush=1", "http://u:hush@%zz/?hush", "gopher://u:hush@x/?hush", "http://u:hu sh@x/"} {
		_, err := c.Get(ctx, address, nil)
		if err == nil {
			t.Errorf("%q is asked", address)
		} else if strings.Contains(err.Error(), "hu") {
			t.Errorf("%q tells the password", err)
		}
	}
	url := handler(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") != "identity" || r.Header.Get("X-A") != "b" || r.Header.Get("Referer") != "" {
			t.Errorf("headers %v", r.Header)
		}
		if r.URL.Path == "/from" {
			http.Redirect(w, r, "/to?hush", http.StatusFound)
			return
		}
		w.Header().Set("Retry-After", "30")
		http.Error(w, "no such series", http.StatusNotFound)
	})
	_, err := c.Get(ctx, url+"/from?hush", http.Header{"x-a": {"b"}})
	status := (*StatusError)(nil)
	if !errors.As(err, &status) || status.Status != 404 || string(status.Body) != "no such series\n" || status.URL != url+"/to" || status.RetryAfter != 30*time.Second {
		t.Errorf("%+v", status)
	}
	says(t, err, "404 Not Found", "nothing under this address", "30s", url+"/to")
}

// Proxies have passwords too, and net/http's errors repeat them.
func TestProxyPassword(t *testing.T) {
	for _, proxy := range []string{"http://me:hush@127.0.0.1:1", "http://me:hush@127.0.0.1:1/%zz", "http://me:hu\x7fsh@127.0.0.1:1"} {
		tr := &http.Transport{Proxy: func(*http.Request) (*url.URL, error) {
			u, err := url.Parse(proxy)
			if err != nil {
				return nil, fmt.Errorf("invalid proxy address %q: %w", proxy, err)
			}
			return u, nil
		}}
		c := newImpatient(ClientOptions{Retries: 1, Transport: tr})
		_, err := c.Small(context.Background(), "http://archive.example/x", nil, 10)
		says(t, err, "archive.example")
		if strings.Contains(err.Error(), "sh@") || strings.Contains(strings.Join(c.said, ""), "hush") {
			t.Errorf("%q, said %q", err, c.said)
		}
	}
}

func TestRedirects(t *testing.T) {
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://"+r.Host+"/plain?hush", http.StatusFound)
	}))
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	defer secure.Close()
	c := newImpatient(ClientOptions{Transport: secure.Client().Transport})
	_, err := c.Small(context.Background(), secure.URL+"/x?hush", nil, 100)
	says(t, err, "from https to http", "/plain")
	if len(c.waited) != 0 {
		t.Error("it was tried again")
	}
	url := handler(t, func(w http.ResponseWriter, r *http.Request) {
		switch n := 0; {
		case r.URL.Path == "/file":
			http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
		case strings.HasPrefix(r.URL.Path, "/n"):
			fmt.Sscanf(r.URL.Path, "/n%d", &n)
			if n == 0 {
				fmt.Fprint(w, "here")
				return
			}
			http.Redirect(w, r, fmt.Sprintf("/n%d", n-1), http.StatusTemporaryRedirect)
		case r.URL.Path == "/empty":
			w.WriteHeader(http.StatusMovedPermanently)
		}
	})
	if b, err := c.Small(context.Background(), url+"/n10", nil, 100); string(b) != "here" {
		t.Errorf("ten redirects: %v", err)
	}
	_, err = c.Small(context.Background(), url+"/n11", nil, 100)
	says(t, err, "more than 10 times")
	_, err = c.Small(context.Background(), url+"/file", nil, 100)
	says(t, err, `begins with "file"`)
	_, err = c.Small(context.Background(), url+"/empty", nil, 100)
	says(t, err, "301")
	// A server whose certificate nobody knows is not asked again.
	c = newImpatient(ClientOptions{})
	_, err = c.Small(context.Background(), secure.URL, nil, 100)
	says(t, err, "certificate")
	if len(c.waited) != 0 {
		t.Error("it was tried again")
	}
}

func TestSmall(t *testing.T) {
	var mu sync.Mutex
	asked := map[string]int{}
	url := handler(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked[r.URL.Path]++
		n := asked[r.URL.Path]
		mu.Unlock()
		if n > 2 && r.URL.Path != "/always" {
			fmt.Fprint(w, "whole")
			return
		}
		switch r.URL.Path {
		case "/cut":
			w.Header().Set("Content-Length", "5")
			fmt.Fprint(w, "who")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		case "/cutchunk":
			fmt.Fprint(w, "who")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		case "/silent":
			<-r.Context().Done()
		case "/429":
			w.Header().Set("Retry-After", "17")
			w.WriteHeader(429)
		case "/far":
			w.Header().Set("Retry-After", time.Now().Add(9*time.Hour).UTC().Format(http.TimeFormat))
			w.WriteHeader(503)
		case "/always":
			w.WriteHeader(502)
		case "/long":
			fmt.Fprint(w, strings.Repeat("x", 200))
		case "/endless":
			for {
				if _, err := fmt.Fprint(w, strings.Repeat("x", 200)); err != nil {
					return
				}
			}
		case "/packed":
			w.Header().Set("Content-Encoding", "gzip")
			fmt.Fprint(w, "x")
		}
	})
	for path, want := range map[string]string{"/cut": "0.7s to 2.5s", "/cutchunk": "", "/silent": "", "/429": "17s", "/far": "10m"} {
		c := newImpatient(ClientOptions{Silence: 100 * time.Millisecond})
		b, err := c.Small(context.Background(), url+path+"?hush", nil, 100)
		if string(b) != "whole" || err != nil || len(c.waited) != 2 || len(c.said) != 2 {
			t.Errorf("%s: %q, %v, waited %v, said %q", path, b, err, c.waited, c.said)
			continue
		}
		for i, d := range c.waited {
			lo, hi := time.Duration(750<<i)*time.Millisecond, time.Duration(1250<<i)*time.Millisecond
			if want == "17s" {
				lo, hi = 17*time.Second, 17*time.Second
			} else if want == "10m" {
				lo, hi = 10*time.Minute, 10*time.Minute
			}
			if d < lo || d > hi {
				t.Errorf("%s: waited %v", path, c.waited)
			}
		}
		if strings.Contains(c.said[0], "hush") || !strings.Contains(c.said[0], url+path) {
			t.Errorf("said %q", c.said)
		}
	}
	for path, word := range map[string]string{"/long": "more than 100 B", "/endless": "more than 100 B", "/packed": "packed (gzip)"} {
		c := newImpatient(ClientOptions{})
		_, err := c.Small(context.Background(), url+path, nil, 100)
		says(t, err, word)
		if len(c.waited) != 0 {
			t.Errorf("%s was tried again", path)
		}
	}
	c := newImpatient(ClientOptions{Retries: 3})
	_, err := c.Small(context.Background(), url+"/always", nil, 100)
	says(t, err, "502", "tried 4 times")
	if len(c.waited) != 3 {
		t.Errorf("waited %v", c.waited)
	}
	c = newImpatient(ClientOptions{Retries: -1})
	_, err = c.Small(context.Background(), url+"/always", nil, 100)
	if len(c.waited) != 0 || strings.Contains(err.Error(), "tried") {
		t.Errorf("waited %v, %v", c.waited, err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(os.ErrDeadlineExceeded)
	if _, err = c.Small(ctx, url+"/long", nil, 100); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("stopped: %v", err)
	}
}

// Waits grow and are never all alike.
func TestPause(t *testing.T) {
	c := newImpatient(ClientOptions{})
	seen := make(map[time.Duration]bool)
	for failed := 1; failed <= 80; failed++ {
		d := c.pause(failed, io.EOF)
		full := min(time.Minute, time.Second<<min(failed-1, 16))
		if d < full*3/4 || d > full*5/4 || seen[d] {
			t.Errorf("after %d: %s", failed, d)
		}
		seen[d] = true
	}
}

// The pace holds whatever the number of workers: the waits add up to what the rate demands.
func TestPace(t *testing.T) {
	var mu sync.Mutex
	var longest time.Duration
	c := NewClient(ClientOptions{RequestsPerSecond: 100, BytesPerSecond: 1000, Sleep: func(ctx context.Context, d time.Duration) error {
		mu.Lock()
		defer mu.Unlock()
		longest = max(longest, d)
		return nil
	}})
	url := handler(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, strings.Repeat("x", 500)) })
	for range 8 {
		if _, err := c.Small(context.Background(), url, nil, 1000); err != nil {
			t.Fatal(err)
		}
	}
	// 4,000 bytes at 1,000 a second, the last step of 125 not waited for; the test itself takes a while.
	if longest < 3*time.Second || longest > 4*time.Second {
		t.Errorf("the last byte waits for %s", longest)
	}
	c.bytes.perSecond, longest = 0, 0
	for range 50 {
		c.requests.wait(context.Background(), 1, c.o.Sleep)
	}
	if longest < 400*time.Millisecond || longest > 600*time.Millisecond {
		t.Errorf("the last of 50 requests waits for %s", longest)
	}
}

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 1549: "1.5 kB", 9949: "9.9 kB", 9950: "10 kB", 999_499: "999 kB", 999_500: "1.0 MB", 32_000_000_000: "32 GB", math.MaxInt64: "9.2 EB"} {
		if got := Bytes(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
}

// A web page in the place of a file is refused by its name; a file that is only called one comes whole.
func TestWebPageInThePlaceOfAFile(t *testing.T) {
	body := "<!DOCTYPE html><html><head><title>Access blocked</title></head></html>"
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, body)
	}))
	defer s.Close()
	c := NewClient(ClientOptions{})
	if _, err := c.Open(t.Context(), s.URL+"/a.csv?x=.html", 0, ""); err == nil || !strings.Contains(err.Error(), `"Access blocked"`) {
		t.Errorf("got %v", err)
	}
	for _, get := range []string{"/a.html", "/b.csv"} {
		if get == "/b.csv" {
			body = strings.Repeat("id,age\n1,2\n", 1000)
		}
		stream, err := c.Open(t.Context(), s.URL+get, 0, "")
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(stream.Body)
		if err != nil || string(text) != body {
			t.Errorf("%s: %d bytes, %v", get, len(text), err)
		}
		stream.Body.Close()
	}
}
