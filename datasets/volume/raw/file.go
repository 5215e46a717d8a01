package raw

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
	"github.com/klauspost/compress/gzip"
)

// IsGzip says whether bytes begin a gzip stream.
func IsGzip(head []byte) bool { return bytes.HasPrefix(head, []byte{0x1f, 0x8b}) }

// Gunzip unpacks a gzip stream.
func Gunzip(r io.Reader) (io.Reader, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("gzip: %w", err)
	}
	return z, nil
}

// Open opens a file for reading and says how long it is. What is not a plain file
// (a folder, a pipe that nobody writes to) is refused.
func Open(path string) (file *os.File, length int64, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("%s is not a plain file", path)
	}
	file, err = os.Open(path)
	return file, info.Size(), err
}

// Create makes a file that appears under its name only when body has written all
// of it; after an error nothing is left. It is packed by gzip where asked.
// header is written first and is never packed.
func Create(path string, header []byte, zipped bool, body func(io.Writer) error) error {
	file, err := renameio.NewPendingFile(path, renameio.WithTempDir(filepath.Dir(path)), renameio.WithPermissions(0o644))
	if err != nil {
		return err
	}
	defer file.Cleanup() // does nothing once the file has its name
	buffered := bufio.NewWriterSize(file, 1<<20)
	if _, err := buffered.Write(header); err != nil {
		return err
	}
	if zipped {
		z, err := gzip.NewWriterLevel(buffered, gzip.BestSpeed)
		if err != nil {
			return err
		}
		if err := body(z); err != nil {
			return err
		}
		if err := z.Close(); err != nil {
			return err
		}
	} else if err := body(buffered); err != nil {
		return err
	}
	if err := buffered.Flush(); err != nil {
		return err
	}
	return file.CloseAtomicallyReplace()
}
