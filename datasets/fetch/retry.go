package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Waits between tries: doubled each time from the first to the longest, a quarter more or less;
// a server's own wish is heeded up to a limit.
const (
	firstWait     = time.Second
	longestWait   = time.Minute
	longestWished = 10 * time.Minute
)

// worthRetrying says whether the same question may be answered better the next time.
func worthRetrying(err error) bool {
	var (
		status   *StatusError
		redirect *redirectError
		bad      *badAddress
		long     *tooLong
		packed   *encodedError
		local    *localError
		cert     *tls.CertificateVerificationError
		file     *fs.PathError
		wrong    *wrongError
	)
	switch {
	case errors.As(err, &status):
		switch status.Status {
		case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests, http.StatusInternalServerError,
			http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return true
		}
		return false
	case errors.Is(err, context.Canceled), errors.As(err, &redirect), errors.As(err, &bad), errors.As(err, &long),
		errors.As(err, &packed), errors.As(err, &local), errors.As(err, &cert), errors.As(err, &file), errors.As(err, &wrong):
		return false
	}
	return true
}

// again repeats a try as long as that may help. A try says whether it got further than any before:
// then the count of tries begins anew, so that a large file arrives over a bad line.
func (c *Client) again(ctx context.Context, what string, try func() (further bool, err error)) error {
	for failed := 0; ; {
		further, err := try()
		if err == nil {
			return nil
		}
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		if further {
			failed = 0
		}
		failed++
		if !worthRetrying(err) {
			return err
		}
		if failed > c.o.Retries {
			if c.o.Retries > 0 {
				return fmt.Errorf("%w (tried %d times)", err, failed)
			}
			return err
		}
		d := c.pause(failed, err)
		why := scrub(err).Error()
		if !strings.HasPrefix(why, what) {
			why = what + ": " + why
		}
		c.o.Say(fmt.Sprintf("%s; again in %s", why, d.Round(100*time.Millisecond)))
		if err := c.o.Sleep(ctx, d); err != nil {
			return err
		}
	}
}

// pause is how long to wait after a number of failed tries in a row.
func (c *Client) pause(failed int, err error) time.Duration {
	var status *StatusError
	if errors.As(err, &status) && status.RetryAfter > 0 {
		return min(status.RetryAfter, longestWished)
	}
	c.mu.Lock()
	c.waits++
	n := c.waits
	c.mu.Unlock()
	// Multiples of the golden ratio spread evenly: workers that failed together do not come back together.
	_, spread := math.Modf(float64(n) * math.Phi)
	d := min(longestWait, firstWait<<min(failed-1, 16))
	return time.Duration(float64(d) * (0.75 + 0.5*spread))
}

// retryAfter reads the header of that name: seconds, or a date (RFC 9110, 10.2.3). 0 = nothing
// that can be read, or a time that is past.
func retryAfter(s string, now time.Time) time.Duration {
	s = strings.TrimSpace(s)
	if s == "" {
		return 0
	}
	if digits(s) {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n > int64(math.MaxInt64/time.Second) {
			return math.MaxInt64 // more seconds than a number holds
		}
		return time.Duration(n) * time.Second
	}
	t, err := http.ParseTime(s)
	if err != nil {
		return 0
	}
	return max(0, t.Sub(now))
}

func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// contentRange reads "bytes 10-19/100" (RFC 9110, 14.4): first and last byte, and how many the
// whole has, -1 where it is unknown.
func contentRange(s string) (from, to, total int64, err error) {
	bad := fmt.Errorf("it says which part it sends in words that cannot be read: Content-Range %.80q", s)
	unit, rest, ok := strings.Cut(strings.TrimSpace(s), " ")
	if !ok || !strings.EqualFold(unit, "bytes") {
		return 0, 0, 0, bad
	}
	part, whole, ok := strings.Cut(strings.TrimSpace(rest), "/")
	first, last, ok2 := strings.Cut(part, "-")
	if !ok || !ok2 || !digits(first) || !digits(last) || whole != "*" && !digits(whole) {
		return 0, 0, 0, bad
	}
	from, err1 := strconv.ParseInt(first, 10, 64)
	to, err2 := strconv.ParseInt(last, 10, 64)
	total = -1
	var err3 error
	if whole != "*" {
		total, err3 = strconv.ParseInt(whole, 10, 64)
	}
	if errors.Join(err1, err2, err3) != nil || from > to || total >= 0 && to >= total || to == math.MaxInt64 {
		return 0, 0, 0, bad
	}
	return from, to, total, nil
}

// unsatisfied reads the total of "bytes */100", which goes with the answer 416; -1 where there is none.
func unsatisfied(s string) int64 {
	unit, rest, ok := strings.Cut(strings.TrimSpace(s), " ")
	whole, ok2 := strings.CutPrefix(strings.TrimSpace(rest), "*/")
	if !ok || !ok2 || !strings.EqualFold(unit, "bytes") || !digits(whole) {
		return -1
	}
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// validator is what an answer can be resumed by: a strong ETag, else a time of change that is
// surely over (RFC 9110, 8.8.2.2); empty where there is neither.
func validator(h http.Header) string {
	if tag := h.Get("ETag"); isETag(tag) {
		return tag
	}
	changed, err := http.ParseTime(h.Get("Last-Modified"))
	date, err2 := http.ParseTime(h.Get("Date"))
	if err != nil || err2 != nil || date.Sub(changed) < time.Minute {
		return ""
	}
	return h.Get("Last-Modified")
}

func isETag(s string) bool { return len(s) > 2 && s[0] == '"' && s[len(s)-1] == '"' }
