package dicom

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// losslessJPEG decodes one grey image of JPEG process 14 (ITU-T T.81, annex H):
// Huffman-coded differences from a prediction by the neighbours. CT archives are
// often stored this way, and Go's decoder knows only the lossy processes.
func losslessJPEG(samples []uint16, cols, rows int, data []byte) error {
	d := &losslessDecoder{cols: cols, rows: rows}
	if len(data) < 4 || data[0] != 0xFF || data[1] != 0xD8 {
		return errors.New("no start of image")
	}
	pos := 2
	for {
		if pos+4 > len(data) {
			return errors.New("it breaks off before the scan")
		}
		if data[pos] != 0xFF {
			return fmt.Errorf("byte %d is not a marker", pos)
		}
		marker := data[pos+1]
		if marker == 0xFF { // fill byte
			pos++
			continue
		}
		length := int(binary.BigEndian.Uint16(data[pos+2:]))
		if length < 2 || pos+2+length > len(data) {
			return fmt.Errorf("marker %02x is longer than the data", marker)
		}
		body := data[pos+4 : pos+2+length]
		pos += 2 + length
		var err error
		switch {
		case marker == 0xC3:
			err = d.frame(body)
		case marker == 0xC4:
			err = d.tables(body)
		case marker == 0xDD:
			if len(body) < 2 {
				return errors.New("the restart interval is short")
			}
			d.restart = int(binary.BigEndian.Uint16(body))
		case marker == 0xDA:
			if err = d.scan(body); err == nil {
				d.bits = bitReader{data: data[pos:]}
				err = d.decode(samples)
			}
			return err
		case marker >= 0xC0 && marker <= 0xCF && marker != 0xC8 && marker != 0xCC:
			err = fmt.Errorf("process %02x is not lossless Huffman", marker)
		}
		if err != nil {
			return err
		}
	}
}

type losslessDecoder struct {
	cols, rows int
	precision  int // bits of a sample; 0 before the frame header
	restart    int // samples between restarts; 0 for none
	predictor  int
	transform  int // low bits that were dropped
	huffman    [4]*huffmanTable
	table      *huffmanTable
	bits       bitReader
}

func (d *losslessDecoder) frame(b []byte) error {
	if len(b) < 9 {
		return errors.New("the frame header is short")
	}
	rows, cols := int(binary.BigEndian.Uint16(b[1:])), int(binary.BigEndian.Uint16(b[3:]))
	switch {
	case rows != d.rows || cols != d.cols:
		return fmt.Errorf("the image is %d x %d, the slice %d x %d", cols, rows, d.cols, d.rows)
	case b[5] != 1:
		return fmt.Errorf("%d components, 1 expected", b[5])
	case b[0] < 2 || b[0] > 16:
		return fmt.Errorf("precision %d, 2 to 16 expected", b[0])
	}
	d.precision = int(b[0])
	return nil
}

func (d *losslessDecoder) scan(b []byte) error {
	if len(b) < 6 || b[0] != 1 {
		return errors.New("the scan header is not of one component")
	}
	d.table = d.huffman[b[2]>>4&3]
	d.predictor, d.transform = int(b[3]), int(b[5]&15)
	switch {
	case d.precision == 0:
		return errors.New("a scan before its frame header")
	case d.table == nil:
		return errors.New("a scan without its Huffman table")
	case d.predictor < 1 || d.predictor > 7:
		return fmt.Errorf("predictor %d, 1 to 7 expected", d.predictor)
	case d.transform >= d.precision:
		return fmt.Errorf("point transform %d at precision %d", d.transform, d.precision)
	}
	return nil
}

// huffmanTable maps the next 16 bits to the length of the code and its value;
// 128 KB that make a decoded symbol one look-up.
type huffmanTable [1 << 16]struct{ length, value uint8 }

func (d *losslessDecoder) tables(b []byte) error {
	for len(b) > 0 {
		if len(b) < 17 {
			return errors.New("a Huffman table is short")
		}
		id, counts, values := b[0]&3, b[1:17], b[17:]
		t := new(huffmanTable)
		code, used := 0, 0
		for i, n := range counts {
			length := i + 1
			for range n {
				if used >= len(values) || code>>length != 0 {
					return errors.New("a Huffman table holds more codes than there can be")
				}
				if values[used] > 16 {
					return fmt.Errorf("a Huffman table holds a difference of %d bits", values[used])
				}
				from := code << (16 - length)
				for k := range 1 << (16 - length) {
					t[from+k].length, t[from+k].value = uint8(length), values[used]
				}
				used++
				code++
			}
			code <<= 1
		}
		d.huffman[id] = t
		b = values[used:]
	}
	return nil
}

// bitReader reads bits, highest first, of entropy-coded data: a zero byte after
// each FF is stuffing, any other byte after FF is a marker.
type bitReader struct {
	data   []byte
	pos    int
	acc    uint64
	n      int // bits in acc
	marker bool
	past   int // bits handed out after the end
}

// peek makes the next 16 bits ready; after the end they are zeros.
func (r *bitReader) peek() uint16 {
	for r.n < 16 {
		v := byte(0)
		switch {
		case r.marker || r.pos >= len(r.data):
			r.marker = true
			r.past += 8
		case r.data[r.pos] != 0xFF:
			v = r.data[r.pos]
			r.pos++
		case r.pos+1 < len(r.data) && r.data[r.pos+1] == 0:
			v = 0xFF
			r.pos += 2
		default:
			r.marker = true
			r.past += 8
		}
		r.acc = r.acc<<8 | uint64(v)
		r.n += 8
	}
	return uint16(r.acc >> (r.n - 16))
}

func (r *bitReader) take(k int) int {
	v := int(r.peek()) >> (16 - k)
	r.n -= k
	return v
}

// exhausted says whether bits were used that are not in the data.
func (r *bitReader) exhausted() bool { return r.past > r.n }

// resume skips to after the next restart marker.
func (r *bitReader) resume() error {
	for r.pos+1 < len(r.data) {
		if r.data[r.pos] == 0xFF && r.data[r.pos+1] >= 0xD0 && r.data[r.pos+1] <= 0xD7 {
			*r = bitReader{data: r.data, pos: r.pos + 2}
			return nil
		}
		if r.data[r.pos] == 0xFF && r.data[r.pos+1] != 0 && r.data[r.pos+1] != 0xFF {
			break
		}
		r.pos++
	}
	return errors.New("a restart marker is missing")
}

// difference is the next Huffman-coded difference.
func (d *losslessDecoder) difference() (int, error) {
	e := d.table[d.bits.peek()]
	if e.length == 0 {
		return 0, errors.New("a code that is in no table")
	}
	d.bits.n -= int(e.length)
	switch k := int(e.value); k {
	case 0:
		return 0, nil
	case 16:
		return 1 << 15, nil
	default:
		v := d.bits.take(k)
		if v < 1<<(k-1) {
			v -= 1<<k - 1
		}
		return v, nil
	}
}

func (d *losslessDecoder) decode(samples []uint16) error {
	cols := d.cols
	middle := 1 << (d.precision - d.transform - 1)
	first := 0 // the sample after a restart, predicted like the image's first
	for i := range samples {
		if d.restart > 0 && i > 0 && i%d.restart == 0 {
			if err := d.bits.resume(); err != nil {
				return err
			}
			first = i
		}
		diff, err := d.difference()
		if err != nil {
			return err
		}
		if d.bits.exhausted() {
			return fmt.Errorf("it breaks off at sample %d of %d", i, len(samples))
		}
		var p int
		switch {
		case i == first:
			p = middle
		case i < first+cols: // the first line knows only its left neighbour
			p = int(samples[i-1])
		case i%cols == 0:
			p = int(samples[i-cols])
		default:
			p = predict(d.predictor, int(samples[i-1]), int(samples[i-cols]), int(samples[i-cols-1]))
		}
		samples[i] = uint16(p + diff)
	}
	if d.transform > 0 {
		for i := range samples {
			samples[i] <<= d.transform
		}
	}
	return nil
}

// predict is the prediction from the left, upper and upper left neighbour.
func predict(predictor, left, up, corner int) int {
	switch predictor {
	case 1:
		return left
	case 2:
		return up
	case 3:
		return corner
	case 4:
		return left + up - corner
	case 5:
		return left + (up-corner)>>1
	case 6:
		return up + (left-corner)>>1
	default:
		return (left + up) >> 1
	}
}
