package fetch

import (
	"compress/gzip"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"
	"strconv"
)

// hashes are the checksums of what flows through.
type hashes struct {
	sum hash.Hash
	old hash.Hash // MD5; nil = not wanted
	n   int64
}

func newHashes(withMD5 bool) *hashes {
	h := &hashes{sum: sha256.New()}
	if withMD5 {
		h.old = md5.New()
	}
	return h
}

func (h *hashes) Write(p []byte) (int, error) {
	h.n += int64(len(p))
	if h.old != nil {
		h.old.Write(p) // a hash never fails
	}
	return h.sum.Write(p)
}

func (h *hashes) sha256() string { return hex.EncodeToString(h.sum.Sum(nil)) }

func (h *hashes) md5() string {
	if h.old == nil {
		return ""
	}
	return hex.EncodeToString(h.old.Sum(nil))
}

// compare holds a whole transfer against what the source says of it.
func (h *hashes) compare(item Item) error {
	switch {
	case !item.Archive && item.Size >= 0 && h.n != item.Size:
		return wrongSize(item.Size, h.n)
	case item.SHA256 != "" && h.sha256() != item.SHA256:
		return &ChecksumError{Kind: "SHA-256", Want: item.SHA256, Got: h.sha256()}
	case item.MD5 != "" && h.md5() != item.MD5:
		return &ChecksumError{Kind: "MD5", Want: item.MD5, Got: h.md5()}
	}
	return nil
}

func wrongSize(want, got int64) error {
	return &ChecksumError{Kind: kindBytes, Want: strconv.FormatInt(want, 10), Got: strconv.FormatInt(got, 10)}
}

// compareFile holds a file that lies here against what the journal says.
func compareFile(m member, size int64, sum string) error {
	switch {
	case size != m.Bytes:
		return wrongSize(m.Bytes, size)
	case sum != m.SHA256:
		return &ChecksumError{Kind: "SHA-256", Want: m.SHA256, Got: sum}
	}
	return nil
}

// hashFile gives the checksums of a file.
func hashFile(path string, withMD5 bool) (*hashes, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	h := newHashes(withMD5)
	_, err = io.CopyBuffer(h, struct{ io.Reader }{f}, make([]byte, 1<<18))
	return h, err
}

// checkGzip reads a gzip to its end, where its own checksum and length stand.
func checkGzip(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return &localError{err}
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err == nil {
		_, err = io.Copy(io.Discard, z)
	}
	if err != nil {
		return &gzipError{err}
	}
	return nil
}

// gzipError is a .gz that is broken.
type gzipError struct{ err error }

func (e *gzipError) Error() string { return fmt.Sprintf("it is no whole gzip file: %v", e.err) }
func (e *gzipError) Unwrap() error { return e.err }
