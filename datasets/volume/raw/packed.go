package raw

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"io"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/google/renameio/v2"
)

// Written is a file as it was written.
type Written struct {
	Bytes  int64
	SHA256 string // of the file as it lies there, hex
}

// CreatePacked makes a gzip file out of parts, which are made and packed side by side and
// written one after the other: neither the file nor what it holds is ever whole in memory.
// worker is called once for each goroutine; what it returns appends part i to the bytes it is
// given, 16-bit words for the most part. The first part's error in order is returned, and no
// file is left. The file does not depend on the number of goroutines.
func CreatePacked(path string, parts int, worker func() func(to []byte, i int) ([]byte, error)) (Written, error) {
	file, err := renameio.NewPendingFile(path, renameio.WithTempDir(filepath.Dir(path)), renameio.WithPermissions(0o644))
	if err != nil {
		return Written{}, err
	}
	defer file.Cleanup() // does nothing once the file has its name
	sum := sha256.New()
	out := bufio.NewWriterSize(io.MultiWriter(file, sum), 1<<16) // long parts go past it
	w := Written{}
	write := func(b []byte) error {
		w.Bytes += int64(len(b))
		_, err := out.Write(b)
		return err
	}
	if err := write([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255}); err != nil { // fastest, of no time and no system
		return Written{}, err
	}
	var crc, size uint32
	err = inOrder(parts, worker, func(p *part) error {
		crc = crc32.Update(crc, crc32.IEEETable, p.raw)
		size += uint32(len(p.raw))
		return write(p.packed)
	})
	if err != nil {
		return Written{}, err
	}
	end := []byte{3, 0} // the last block, of no bytes
	end = binary.LittleEndian.AppendUint32(end, crc)
	end = binary.LittleEndian.AppendUint32(end, size)
	if err := write(end); err != nil {
		return Written{}, err
	}
	if err := out.Flush(); err != nil {
		return Written{}, err
	}
	w.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return w, file.CloseAtomicallyReplace()
}

// part is a stretch of a file.
type part struct {
	raw, packed []byte
	err         error
}

// Kept between files: what a goroutine that packs needs, and room for parts.
var (
	packers = sync.Pool{New: func() any { return new(packer) }}
	pieces  = sync.Pool{New: func() any { return new(part) }}
)

// inOrder makes parts on as many goroutines as there are processors and hands them on in
// order. A part is not kept longer than each looks at it.
func inOrder(parts int, worker func() func(to []byte, i int) ([]byte, error), each func(*part) error) error {
	type job struct {
		i    int
		done chan *part
	}
	workers := min(runtime.GOMAXPROCS(0), parts)
	jobs := make(chan job)
	queue := make(chan chan *part, workers) // bounds how far the work runs ahead
	stop := make(chan struct{})
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			p := packers.Get().(*packer)
			defer packers.Put(p)
			var fill func(to []byte, i int) ([]byte, error)
			for j := range jobs {
				if fill == nil {
					fill = worker()
				}
				x := pieces.Get().(*part)
				if x.raw, x.err = fill(x.raw[:0], j.i); x.err == nil {
					x.packed = p.pack(x.packed[:0], x.raw)
				}
				j.done <- x
			}
		})
	}
	running.Go(func() {
		defer close(jobs)
		defer close(queue)
		for i := range parts {
			done := make(chan *part, 1)
			select {
			case queue <- done:
			case <-stop:
				return
			}
			jobs <- job{i, done}
		}
	})
	defer running.Wait()
	defer close(stop)
	for done := range queue {
		x := <-done
		err := x.err
		if err == nil {
			err = each(x)
		}
		pieces.Put(x)
		if err != nil {
			return err
		}
	}
	return nil
}
