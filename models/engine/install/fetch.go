package install

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"
	"net/http"
	neturl "net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// client gives up on a server that does not answer, never on a slow download that goes on.
var client = &http.Client{Transport: &http.Transport{
	Proxy:                 http.ProxyFromEnvironment,
	DialContext:           (&net.Dialer{Timeout: 15 * time.Second}).DialContext,
	TLSHandshakeTimeout:   15 * time.Second,
	ResponseHeaderTimeout: 30 * time.Second,
	ForceAttemptHTTP2:     true,
}}

// stall is how long a download may bring nothing.
const stall = 60 * time.Second

// get asks for url and returns the answer's body and its length, -1 if unknown.
func get(ctx context.Context, url, accept string) (io.ReadCloser, int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, 0, err
	}
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	answer, err := client.Do(req)
	if err != nil {
		return nil, 0, err
	}
	if answer.StatusCode != http.StatusOK {
		answer.Body.Close()
		return nil, 0, fmt.Errorf("%s answers %s", shown(url), answer.Status)
	}
	return answer.Body, answer.ContentLength, nil
}

// shown is an address as messages have it: without the name and password that a registry's may hold.
func shown(url string) string {
	u, err := neturl.Parse(url)
	if err != nil {
		return "the address"
	}
	u.User = nil
	return u.String()
}

// download writes what url holds to file and compares its checksum: "sha256-HEX" or "sha512-BASE64", as the registries
// write them, "" when there is none to compare with.
func download(ctx context.Context, url, file, checksum string, say func(what string, done, total int64)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	body, total, err := get(ctx, url, "")
	if err != nil {
		return err
	}
	defer body.Close()
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer out.Close()
	sum := newChecksum(checksum)
	watch := time.AfterFunc(stall, func() { cancel(fmt.Errorf("nothing has come for %v", stall)) })
	defer watch.Stop()
	base, done := filepath.Base(url), int64(0)
	buffer := make([]byte, 1<<20)
	for {
		n, err := body.Read(buffer)
		if n > 0 {
			watch.Reset(stall)
			sum.Write(buffer[:n])
			if _, err := out.Write(buffer[:n]); err != nil {
				return err
			}
			done += int64(n)
			say(base, done, total)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("%s broke off after %d of %d bytes: %w", shown(url), done, total, errors.Join(context.Cause(ctx), err))
		}
	}
	if total >= 0 && done != total {
		return fmt.Errorf("%s broke off after %d of %d bytes", shown(url), done, total)
	}
	if err := sum.check(); err != nil {
		return fmt.Errorf("%s: %w", shown(url), err)
	}
	return out.Close()
}

// checksum compares what is written to it with what it should be.
type checksum struct {
	hash.Hash
	kind, want string
}

func newChecksum(text string) *checksum {
	kind, want, _ := strings.Cut(text, "-")
	if kind == "sha512" {
		return &checksum{sha512.New(), kind, want}
	}
	return &checksum{sha256.New(), "sha256", want}
}

func (c *checksum) check() error {
	got := hex.EncodeToString(c.Sum(nil))
	if c.kind == "sha512" {
		got = base64.StdEncoding.EncodeToString(c.Sum(nil))
	}
	if c.want != "" && got != c.want {
		return fmt.Errorf("its %s is %s, it should be %s: it was changed on the way or where it is kept; nothing is installed", c.kind, got, c.want)
	}
	return nil
}

// unpack takes files out of a package in zip or gzipped tar form. name maps a file's name in it to its name in dir, or
// to "" for what is not wanted. It returns how many files it wrote.
func unpack(file, dir string, name func(string) string) (int, error) {
	written := 0
	write := func(inside string, from io.Reader) error {
		to := name(inside)
		if to == "" {
			return nil
		}
		if !filepath.IsLocal(to) {
			return fmt.Errorf("%s holds a file with the name %s, which leads outside", file, inside)
		}
		to = filepath.Join(dir, to)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
		if err != nil {
			return err
		}
		_, err = io.Copy(out, from)
		written++
		return errors.Join(err, out.Close())
	}
	if err := eachFile(file, write); err != nil {
		return written, fmt.Errorf("unpacking %s: %w", file, err)
	}
	return written, nil
}

func eachFile(file string, write func(name string, from io.Reader) error) error {
	if packed, err := zip.OpenReader(file); err == nil {
		defer packed.Close()
		for _, f := range packed.File {
			if !f.Mode().IsRegular() {
				continue
			}
			in, err := f.Open()
			if err != nil {
				return err
			}
			err = write(f.Name, in)
			if err := errors.Join(err, in.Close()); err != nil {
				return err
			}
		}
		return nil
	} else if !errors.Is(err, zip.ErrFormat) {
		return err
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	for packed := tar.NewReader(unzipped); ; {
		head, err := packed.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if head.Typeflag == tar.TypeReg {
			if err := write(head.Name, packed); err != nil {
				return err
			}
		}
	}
}

// isPackage tells whether a file is a package to unpack, by its name.
func isPackage(file string) bool {
	return slices.ContainsFunc([]string{".tgz", ".tar.gz", ".whl", ".zip"}, func(end string) bool { return strings.HasSuffix(file, end) })
}
