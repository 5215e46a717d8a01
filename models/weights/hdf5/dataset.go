package hdf5

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"io"
	"math"
)

// Dataset is an array of floating-point numbers.
type Dataset struct {
	Path string
	Dims []int // nil for a single number

	f        *file
	at       uint64
	elements int
	datatype datatype
	layout   *cursor
	filters  []filter
}

// Filters that are undone.
const (
	filterGzip    = 1
	filterShuffle = 2
)

type filter struct {
	id   uint16
	size int // filterShuffle: bytes of a value
}

// dataset reads an array's header.
func (f *file) dataset(at uint64, path string) (*Dataset, error) {
	messages, err := f.header(at)
	if err != nil {
		return nil, err
	}
	d := &Dataset{Path: path, f: f, at: at}
	var space, kind bool
	for _, m := range messages {
		switch m.kind {
		case kindDataspace:
			d.Dims, d.elements, err = m.cursor(f, "an array's dimensions").dataspace()
			space = true
		case kindDatatype:
			d.datatype, err = m.cursor(f, "an array's type").datatype()
			kind = true
		case kindLayout:
			d.layout = m.cursor(f, "an array's layout")
		case kindFilters:
			d.filters, err = m.cursor(f, "an array's filters").filters()
		}
		if err != nil {
			return nil, err
		}
	}
	if !space || !kind || d.layout == nil {
		return nil, f.fail(at, "compare with the file that was meant", "%s is not an array", path)
	}
	if d.datatype.bits == 0 {
		return nil, f.fail(at, "save the weights as float32", "%s is not made of floating-point numbers of 32 or 64 bits", path)
	}
	return d, nil
}

func (c *cursor) filters() ([]filter, error) {
	at := c.here()
	version, count := c.u8(), int(c.u8())
	if version == 1 {
		c.take(6)
	}
	if c.err == nil && (version < 1 || version > 2) {
		return nil, c.f.fail(at, damaged, "filters of the unknown version %d", version)
	}
	var list []filter
	for range count {
		fl := filter{id: c.u16()}
		name := 0
		if version == 1 || fl.id >= 256 {
			name = int(c.u16())
		}
		c.take(2)
		values := int(c.u16())
		if version == 1 {
			name = (name + 7) / 8 * 8
		}
		c.take(name)
		for i := range values {
			if v := c.u32(); i == 0 {
				fl.size = int(v)
			}
		}
		if version == 1 && values%2 == 1 {
			c.take(4)
		}
		if c.err != nil {
			return nil, c.err
		}
		if fl.id != filterGzip && fl.id != filterShuffle {
			return nil, c.f.fail(at, rewrite, "filter %d is not undone here, only gzip (1) and shuffle (2)", fl.id)
		}
		list = append(list, fl)
	}
	return list, nil
}

// Read returns the array's values, the last axis fastest; numbers of 64 bits are rounded to 32.
func (d *Dataset) Read() ([]float32, error) {
	c := *d.layout // a copy: Read may be called again
	size := uint64(d.datatype.size)
	version, class := c.u8(), c.u8()
	if c.err == nil && version != 3 {
		return nil, d.f.fail(d.layout.at, rewrite, "the layout of %s has version %d, which is not read here", d.Path, version)
	}
	const (
		compact    = 0
		contiguous = 1
		chunked    = 2
	)
	var raw []byte
	var err error
	switch class {
	case compact:
		c.take(2)
		raw = c.take(d.elements * d.datatype.size)
	case contiguous:
		at := c.u64()
		if c.err == nil && at == undefined && d.elements > 0 {
			return nil, d.f.fail(d.at, "save the weights again", "%s was made but never filled", d.Path)
		}
		if c.err == nil && d.elements > 0 {
			raw, err = d.f.bytes(at, uint64(d.elements)*size, "array "+d.Path)
		}
	case chunked:
		raw, err = d.chunks(&c)
	default:
		err = d.f.fail(d.layout.at, rewrite, "the layout of %s is of kind %d, which is not read here", d.Path, class)
	}
	if c.err != nil {
		return nil, c.err
	}
	if err != nil {
		return nil, err
	}
	return d.numbers(raw), nil
}

func (d *Dataset) numbers(raw []byte) []float32 {
	var order binary.ByteOrder = binary.LittleEndian
	if d.datatype.bigEndian {
		order = binary.BigEndian
	}
	out := make([]float32, d.elements)
	for i := range out {
		if d.datatype.bits == 64 {
			out[i] = float32(math.Float64frombits(order.Uint64(raw[8*i:])))
		} else {
			out[i] = math.Float32frombits(order.Uint32(raw[4*i:]))
		}
	}
	return out
}

// mostByGzip is more than how many times gzip can make bytes fewer.
const mostByGzip = 1100

// chunks puts an array together from its chunks.
func (d *Dataset) chunks(c *cursor) ([]byte, error) {
	rank := len(d.Dims)
	if n := int(c.u8()); c.err == nil && n != rank+1 || rank == 0 {
		return nil, d.f.fail(d.layout.at, damaged, "the chunks of %s do not have its rank %d", d.Path, rank)
	}
	tree := c.u64()
	chunk, grid := make([]int, rank), make([]int, rank)
	bytesOfChunk, cells := uint64(d.datatype.size), uint64(1)
	for i := range chunk {
		n := uint64(c.u32())
		if c.err == nil && (n == 0 || bytesOfChunk*n > maxElements*8) { // no overflow: the one below 2^32, the other at most 2^31
			return nil, d.f.fail(d.layout.at, damaged, "the chunks of %s are empty or too large", d.Path)
		}
		if c.err != nil {
			return nil, c.err
		}
		chunk[i] = int(n)
		bytesOfChunk *= n
		grid[i] = (d.Dims[i] + int(n) - 1) / int(n)
		cells *= uint64(grid[i])
	}
	if d.elements == 0 {
		return nil, nil
	}
	total := uint64(d.elements) * uint64(d.datatype.size)
	if tree == undefined {
		return nil, d.f.fail(d.at, "save the weights again", "%s was made but never filled", d.Path)
	}
	if total > mostByGzip*uint64(d.f.size) {
		return nil, d.f.fail(d.at, damaged, "%s has more values than a file of %d bytes can hold", d.Path, d.f.size)
	}
	out := make([]byte, total)
	seen := map[int]bool{}
	err := d.f.tree(tree, treeOfChunks, 8+8*(rank+1), func(key *cursor, at uint64) error {
		stored, skipped := key.u32(), key.u32()
		start := make([]int, rank)
		cell := 0
		for i := range start {
			v := key.u64()
			if v >= uint64(d.Dims[i]) || v%uint64(chunk[i]) != 0 {
				return d.f.fail(key.at, damaged, "a chunk of %s lies outside of it", d.Path)
			}
			start[i] = int(v)
			cell = cell*grid[i] + int(v)/chunk[i]
		}
		if key.err != nil {
			return key.err
		}
		if seen[cell] {
			return d.f.fail(key.at, damaged, "a chunk of %s stands there twice", d.Path)
		}
		seen[cell] = true
		raw, err := d.f.bytes(at, uint64(stored), "a chunk of "+d.Path)
		if err != nil {
			return err
		}
		if raw, err = d.unfilter(raw, skipped, bytesOfChunk, at); err != nil {
			return err
		}
		place(out, d.Dims, raw, chunk, start, d.datatype.size)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if uint64(len(seen)) != cells {
		return nil, d.f.fail(d.at, damaged, "%s has %d of its %d chunks", d.Path, len(seen), cells)
	}
	return out, nil
}

// unfilter undoes the filters of a chunk, the last one first, but those whose bit is set in skipped.
func (d *Dataset) unfilter(raw []byte, skipped uint32, size uint64, at uint64) ([]byte, error) {
	for i := len(d.filters) - 1; i >= 0; i-- {
		if i < 32 && skipped>>i&1 == 1 {
			continue
		}
		switch fl := d.filters[i]; fl.id {
		case filterGzip:
			z, err := zlib.NewReader(bytes.NewReader(raw))
			if err == nil {
				raw, err = io.ReadAll(io.LimitReader(z, int64(size)+1))
			}
			if err != nil {
				return nil, d.f.fail(at, damaged, "a chunk of %s cannot be decompressed (%v)", d.Path, err)
			}
		case filterShuffle:
			if fl.size < 1 {
				return nil, d.f.fail(d.at, damaged, "%s is shuffled by values of %d bytes", d.Path, fl.size)
			}
			raw = unshuffle(raw, fl.size)
		}
	}
	if uint64(len(raw)) != size {
		return nil, d.f.fail(at, damaged, "a chunk of %s has %d bytes, not %d", d.Path, len(raw), size)
	}
	return raw, nil
}

// unshuffle puts the bytes of each value together again; shuffled, all first bytes stand before all second ones. Bytes
// at the end that fill no value stay where they are.
func unshuffle(raw []byte, size int) []byte {
	count := len(raw) / size
	out := bytes.Clone(raw)
	for i := range count {
		for b := range size {
			out[i*size+b] = raw[b*count+i]
		}
	}
	return out
}

// place copies the part of a chunk that lies inside of the array: runs along the last axis, of values of size bytes.
func place(array []byte, dims []int, raw []byte, chunk, start []int, size int) {
	last := len(dims) - 1
	run := min(chunk[last], dims[last]-start[last]) * size
	index := make([]int, last) // in the chunk
	for {
		to, from := 0, 0
		inside := true
		for i, k := range index {
			to, from = to*dims[i]+start[i]+k, from*chunk[i]+k
			inside = inside && start[i]+k < dims[i]
		}
		if inside {
			to, from = (to*dims[last]+start[last])*size, from*chunk[last]*size
			copy(array[to:to+run], raw[from:from+run])
		}
		i := last - 1
		for ; i >= 0; i-- {
			if index[i]++; index[i] < chunk[i] {
				break
			}
			index[i] = 0
		}
		if i < 0 {
			return
		}
	}
}
