package fetch

import (
	"errors"
	"net/url"
	"regexp"
	"strings"
)

// Redact is an address without what may be secret: user name, password, query and fragment.
func Redact(address string) string {
	if i := strings.IndexAny(address, "?#"); i >= 0 {
		address = address[:i]
	}
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok {
		return address
	}
	authority, path, slash := strings.Cut(rest, "/")
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		authority = authority[i+1:]
	} else if i := strings.LastIndexByte(authority, ':'); i >= 0 && !port.MatchString(authority[i:]) {
		// No port: it is a password with a slash in it, which ends at the last @, or at nothing.
		_, after, found := cutLast(path, "@")
		if !found {
			return scheme + "://"
		}
		return scheme + "://" + after
	}
	if slash {
		authority += "/"
	}
	return scheme + "://" + authority + path
}

var port = regexp.MustCompile(`^:[0-9]*\]?$|^:[0-9a-fA-F:.]*\]$`)

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

var address = regexp.MustCompile(`[a-zA-Z][a-zA-Z0-9+.-]*://[^\s"'<>]*`)

// scrubbed is an error whose words hold no secrets. What it wraps is for errors.Is.
type scrubbed struct {
	text string
	err  error
}

func (e *scrubbed) Error() string { return e.text }
func (e *scrubbed) Unwrap() error { return e.err }

// scrub takes credentials and queries out of an error's words. net/http's errors repeat the whole
// address, a proxy's password included.
func scrub(err error) error {
	for {
		var u *url.Error
		if !errors.As(err, &u) {
			break
		}
		err = u.Err
	}
	if err == nil {
		return nil
	}
	text := err.Error()
	if clean := address.ReplaceAllStringFunc(text, Redact); clean != text {
		return &scrubbed{clean, err}
	}
	return err
}
