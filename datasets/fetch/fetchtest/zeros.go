package fetchtest

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"io"
)

// tenGB and its CRC-32, by Python 3: functools.reduce(lambda c, _: zlib.crc32(bytes(1<<20), c), range(10240), 0).
const (
	tenGB    = 10 << 30
	tenGBCRC = 0xf41d912f
)

// zeros is an entry of 10 GB of zeros, made while it is sent: 10 MB on the way. An honest one says
// how large it is; the other claims what a small file has.
func zeros(name string, honest bool) entry {
	const step = 16 << 20
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.BestCompression) // the level is a known one
	w.Write(make([]byte, step))
	w.Flush() // ends on a byte: the same block can be sent again and again
	block := b.Bytes()
	end := []byte{0x03, 0x00} // a last, empty block (RFC 1951, 3.2.6)
	e := entry{FileHeader: zip.FileHeader{Name: name, Method: zip.Deflate}}
	e.CRC32 = tenGBCRC
	e.UncompressedSize64 = tenGB
	e.CompressedSize64 = uint64(tenGB/step*len(block) + len(end))
	if !honest {
		e.UncompressedSize64 = 3000
	}
	e.raw = func(w io.Writer) {
		for range tenGB / step {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
		w.Write(end)
	}
	return e
}
