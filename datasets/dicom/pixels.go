package dicom

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/jpeg"
	"slices"
	"sync"

	"github.com/suyashkumar/dicom/pkg/uid"
)

// Transfer syntaxes whose pixel data is decoded here, besides the native ones.
const (
	syntaxRLE           = "1.2.840.10008.1.2.5"
	syntaxJPEGBaseline  = "1.2.840.10008.1.2.4.50"
	syntaxJPEGLossless  = "1.2.840.10008.1.2.4.57"
	syntaxJPEGLossless1 = "1.2.840.10008.1.2.4.70"
)

// buffers are what decoding one slice after another needs.
type buffers struct {
	file    []byte
	samples []uint16
}

// pixelBuffers keeps them between slices and patients.
var pixelBuffers = sync.Pool{New: func() any { return new(buffers) }}

// decode reads the pixels of a slice into dst (rows*cols, row by row) in HU.
func (s *slice) decode(dst []float32, b *buffers) error {
	next, compressed := s.remedy()
	if compressed != s.pixel.encapsulated && next == "" {
		return s.broken("encapsulated: %v, but transfer syntax %s", s.pixel.encapsulated, s.syntax)
	}
	if next != "" {
		name := "unknown"
		if info, err := uid.Lookup(s.syntax); err == nil {
			name = info.Name
		}
		return &SyntaxError{File: s.file, Patient: s.patient, UID: s.syntax, Name: name, Next: next}
	}
	raw, err := s.bytes(b.file)
	if err != nil {
		return err
	}
	b.file = raw
	n := s.rows * s.cols
	if cap(b.samples) < n {
		b.samples = make([]uint16, n)
	}
	samples := b.samples[:n]
	switch {
	case !compressed:
		err = s.native(samples, raw)
	case s.syntax == syntaxRLE:
		err = s.runLength(samples, raw)
	case s.syntax == syntaxJPEGBaseline:
		err = s.baseline(samples, raw)
	default:
		err = s.lossless(samples, raw)
	}
	if err != nil {
		return err
	}
	s.rescale(dst, samples)
	return nil
}

// remedy says whether pixel data of the slice's transfer syntax is compressed, and
// how to convert it when it is not decoded here.
func (s *slice) remedy() (next string, compressed bool) {
	switch s.syntax {
	case uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian, uid.DeflatedExplicitVRLittleEndian:
		return "", false
	case syntaxRLE, syntaxJPEGLossless, syntaxJPEGLossless1:
		return "", true
	case syntaxJPEGBaseline, "1.2.840.10008.1.2.4.51":
		if s.syntax == syntaxJPEGBaseline && s.allocated == 8 {
			return "", true
		}
		return "dcmdjpeg IN OUT", true
	case "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81":
		return "dcmdjpls IN OUT", true
	}
	return "gdcmconv --raw IN OUT", true
}

func (s *slice) broken(format string, args ...any) error {
	return &PixelError{File: s.file, Patient: s.patient, Reason: fmt.Sprintf(format, args...)}
}

// native takes samples as they lie in the file.
func (s *slice) native(samples []uint16, raw []byte) error {
	need := len(samples) * s.allocated / 8
	// An odd number of bytes is padded to an even one.
	if len(raw) != need && len(raw) != need+need%2 {
		return s.broken("%d bytes for %d x %d samples of %d bits, %d expected", len(raw), s.cols, s.rows, s.allocated, need)
	}
	if s.allocated == 8 {
		if s.swap && s.pixel.words {
			swapPairs(raw)
		}
		for i := range samples {
			samples[i] = uint16(raw[i])
		}
		return nil
	}
	raw = raw[:2*len(samples)]
	if s.swap {
		for i := range samples {
			samples[i] = binary.BigEndian.Uint16(raw[2*i:])
		}
		return nil
	}
	for i := range samples {
		samples[i] = binary.LittleEndian.Uint16(raw[2*i:])
	}
	return nil
}

// swapPairs puts bytes that were written as big-endian 16-bit words into order.
func swapPairs(b []byte) {
	for i := 0; i+1 < len(b); i += 2 {
		b[i], b[i+1] = b[i+1], b[i]
	}
}

// runLength undoes RLE lossless (DICOM PS3.5, annex G): one segment per byte of a
// sample, the high byte first, each a list of literal and repeated runs.
func (s *slice) runLength(samples []uint16, raw []byte) error {
	per := s.allocated / 8
	if len(raw) < 64 {
		return s.broken("the RLE header needs 64 bytes, there are %d", len(raw))
	}
	if n := binary.LittleEndian.Uint32(raw); int(n) != per {
		return s.broken("%d RLE segments for samples of %d bits", n, s.allocated)
	}
	clear(samples)
	for k := range per {
		start := int64(binary.LittleEndian.Uint32(raw[4+4*k:]))
		end := int64(len(raw))
		if k+1 < per {
			end = int64(binary.LittleEndian.Uint32(raw[8+4*k:]))
		}
		if start < 64 || start > end || end > int64(len(raw)) {
			return s.broken("RLE segment %d runs from byte %d to %d of %d", k, start, end, len(raw))
		}
		if n := unpackRuns(samples, raw[start:end], 8*(per-1-k)); n != len(samples) {
			return s.broken("RLE segment %d holds %d of %d samples", k, n, len(samples))
		}
	}
	return nil
}

// unpackRuns ors the bytes of one RLE segment into the samples and says how many
// samples it filled.
func unpackRuns(samples []uint16, seg []byte, shift int) int {
	n := 0
	for i := 0; i < len(seg) && n < len(samples); {
		code := int(int8(seg[i]))
		i++
		switch {
		case code >= 0:
			for k := 0; k <= code && i < len(seg) && n < len(samples); k++ {
				samples[n] |= uint16(seg[i]) << shift
				i++
				n++
			}
		case code > -128 && i < len(seg):
			v := uint16(seg[i]) << shift
			i++
			for k := 0; k <= -code && n < len(samples); k++ {
				samples[n] |= v
				n++
			}
		}
	}
	return n
}

// baseline decodes 8-bit JPEG with Go's own decoder.
func (s *slice) baseline(samples []uint16, raw []byte) error {
	// The head first: a few bytes can claim a huge image.
	head, err := jpeg.DecodeConfig(bytes.NewReader(raw))
	if err != nil {
		return s.broken("JPEG: %v", err)
	}
	if head.Width != s.cols || head.Height != s.rows {
		return s.broken("the JPEG image is %d x %d, the slice %d x %d", head.Width, head.Height, s.cols, s.rows)
	}
	img, err := jpeg.Decode(bytes.NewReader(raw))
	if err != nil {
		return s.broken("JPEG: %v", err)
	}
	grey, ok := img.(*image.Gray)
	if !ok {
		return s.broken("the JPEG image is in colour")
	}
	for y := range s.rows {
		for x, v := range grey.Pix[y*grey.Stride : y*grey.Stride+s.cols] {
			samples[y*s.cols+x] = uint16(v)
		}
	}
	return nil
}

// lossless decodes JPEG lossless (process 14).
func (s *slice) lossless(samples []uint16, raw []byte) error {
	// A sample takes at least one bit: a short file cannot hold a large image.
	if len(samples) > 8*len(raw) {
		return s.broken("%d bytes of JPEG cannot hold %d samples", len(raw), len(samples))
	}
	if err := losslessJPEG(samples, s.cols, s.rows, raw); err != nil {
		return s.broken("JPEG lossless: %v", err)
	}
	return nil
}

// rescale turns stored samples into HU. Bits above HighBit are not part of the
// sample (old overlays live there) and are cut off.
func (s *slice) rescale(dst []float32, samples []uint16) {
	left, right := 15-s.high, 16-s.stored
	slope, intercept := s.slope, s.intercept
	dst = slices.Clip(dst[:len(samples)])
	whole := float32(intercept)
	switch plain := slope == 1 && float64(whole) == intercept; {
	case plain && s.signed: // float32 holds every sum of the two exactly
		for i, v := range samples {
			dst[i] = float32(int16(v<<left)>>right) + whole
		}
	case s.signed:
		for i, v := range samples {
			dst[i] = float32(float64(int16(v<<left)>>right)*slope + intercept)
		}
	case plain:
		for i, v := range samples {
			dst[i] = float32(v<<left>>right) + whole
		}
	default:
		for i, v := range samples {
			dst[i] = float32(float64(v<<left>>right)*slope + intercept)
		}
	}
}
