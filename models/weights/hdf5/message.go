package hdf5

import (
	"bytes"
	"math"
	"strings"
)

// Kinds of messages in an object's header.
const (
	kindDataspace    = 0x01
	kindLinkInfo     = 0x02
	kindDatatype     = 0x03
	kindLink         = 0x06
	kindLayout       = 0x08
	kindFilters      = 0x0b
	kindAttribute    = 0x0c
	kindContinuation = 0x10
	kindSymbolTable  = 0x11
	kindManyAttrs    = 0x15
)

// message is one entry of an object's header.
type message struct {
	kind uint16
	at   uint64 // address of the data
	data []byte
}

func (m message) cursor(f *file, what string) *cursor {
	return &cursor{f: f, at: m.at, what: what, b: m.data}
}

// header reads an object's header, with its continuations.
func (f *file) header(at uint64) ([]message, error) {
	c, err := f.cursor(at, 16, "an object's header")
	if err != nil {
		return nil, err
	}
	if string(c.b[:4]) == "OHDR" {
		return nil, f.fail(at, rewrite, "an object's header is of version 2, which is not read here")
	}
	version := c.u8()
	c.take(1)
	count := int(c.u16())
	c.take(4)
	size := c.u32()
	if version != 1 {
		return nil, f.fail(at, damaged, "an object's header has the unknown version %d", version)
	}
	type block struct{ at, size uint64 }
	blocks := []block{{at + 16, uint64(size)}}
	var messages []message
	for b := 0; b < len(blocks) && len(messages) < count; b++ {
		c, err := f.cursor(blocks[b].at, blocks[b].size, "an object's messages")
		if err != nil {
			return nil, err
		}
		for len(messages) < count && len(c.b)-c.i >= 8 {
			kind, n, flags := c.u16(), c.u16(), c.u8()
			c.take(3)
			m := message{kind: kind, at: c.here(), data: c.take(int(n))}
			if c.err != nil {
				return nil, c.err
			}
			const shared = 2
			if flags&shared != 0 {
				return nil, f.fail(m.at, rewrite, "an object shares a message (kind %d) with others, which is not read here", kind)
			}
			messages = append(messages, m)
			if kind == kindContinuation {
				next := m.cursor(f, "a continuation")
				blocks = append(blocks, block{next.u64(), next.u64()})
				if next.err != nil {
					return nil, next.err
				}
			}
		}
	}
	if len(messages) < count {
		return nil, f.fail(at, damaged, "an object's header announces %d messages and has %d", count, len(messages))
	}
	return messages, nil
}

// maxElements bounds an array: 268 million numbers are 38 times the study's largest.
const maxElements = 1 << 28

// dataspace reads an array's dimensions, nil for a single value, and how many values that makes.
func (c *cursor) dataspace() (dims []int, elements int, err error) {
	at := c.here()
	version, rank := c.u8(), c.u8()
	c.take(1)
	kind := c.u8()
	if version == 1 {
		c.take(4)
		kind = min(rank, 1)
	}
	if c.err != nil {
		return nil, 0, c.err
	}
	if version < 1 || version > 2 || rank > 32 || kind > 2 {
		return nil, 0, c.f.fail(at, damaged, "dimensions of version %d, rank %d and kind %d are not known", version, rank, kind)
	}
	elements = 1
	for range rank {
		n := c.u64()
		if n > maxElements || n > 0 && elements > maxElements/int(n) {
			return nil, 0, c.f.fail(at, damaged, "an array has more than %d values", maxElements)
		}
		dims, elements = append(dims, int(n)), elements*int(n)
	}
	if kind == 2 {
		elements = 0
	}
	return dims, elements, c.err
}

// Classes of types that are told apart.
const (
	classFloat  = 1
	classString = 3
	classVaries = 9
)

// datatype is the type of an array's values.
type datatype struct {
	class     byte
	size      int
	bigEndian bool
	bits      int  // of a floating-point number in IEEE 754: 32 or 64; 0 for others
	text      bool // of classVaries: a string, in the file's global heap
}

func (c *cursor) datatype() (datatype, error) {
	at := c.here()
	class := c.u8()
	flags := c.take(3)
	t := datatype{class: class & 15, bigEndian: flags[0]&1 != 0}
	size := c.u32()
	if c.err == nil && (size == 0 || size > math.MaxInt32) {
		return t, c.f.fail(at, damaged, "values of %d bytes", size)
	}
	t.size = int(size)
	switch t.class {
	case classFloat:
		offset, precision := c.u16(), c.u16()
		exponentAt, exponentBits, mantissaAt, mantissaBits := c.u8(), c.u8(), c.u8(), c.u8()
		layout := [...]int{t.size, int(offset), int(precision), int(exponentAt), int(exponentBits), int(mantissaAt), int(mantissaBits), int(c.u32())}
		switch layout {
		case [...]int{4, 0, 32, 23, 8, 0, 23, 127}:
			t.bits = 32
		case [...]int{8, 0, 64, 52, 11, 0, 52, 1023}:
			t.bits = 64
		}
		const vax = 64
		if flags[0]&vax != 0 {
			t.bits = 0
		}
	case classVaries:
		t.text = flags[0]&15 == 1
	}
	return t, c.err
}

// attribute is a named value of a group.
type attribute struct {
	name     string
	at       uint64
	datatype datatype
	elements int
	data     []byte
}

func (f *file) attributes(messages []message) ([]attribute, error) {
	var list []attribute
	for _, m := range messages {
		switch m.kind {
		case kindAttribute:
			a, err := f.attribute(m)
			if err != nil {
				return nil, err
			}
			list = append(list, a)
		case kindManyAttrs:
			return nil, f.fail(m.at, rewrite, "attributes are kept in a heap, which is not read here")
		}
	}
	return list, nil
}

func (f *file) attribute(m message) (attribute, error) {
	c := m.cursor(f, "an attribute")
	a := attribute{at: m.at}
	version, flags := c.u8(), c.u8()
	nameSize, typeSize, spaceSize := int(c.u16()), int(c.u16()), int(c.u16())
	if version == 3 {
		c.take(1) // character set of the name: ASCII is UTF-8 too
	}
	if c.err == nil && (version < 1 || version > 3 || version > 1 && flags != 0) {
		return a, f.fail(m.at, rewrite, "an attribute of version %d with flags %d is not read here", version, flags)
	}
	// part takes one of the three parts, which version 1 fills up to eight bytes.
	part := func(n int, what string) *cursor {
		p := &cursor{f: f, at: c.here(), what: what, b: c.take(n)}
		if version == 1 {
			c.take((8 - n%8) % 8)
		}
		return p
	}
	name, _, _ := bytes.Cut(part(nameSize, "an attribute's name").b, []byte{0})
	a.name = string(name)
	kind, space := part(typeSize, "an attribute's type"), part(spaceSize, "an attribute's dimensions")
	if c.err != nil {
		return a, c.err
	}
	var err error
	if a.datatype, err = kind.datatype(); err != nil {
		return a, err
	}
	if _, a.elements, err = space.dataspace(); err != nil {
		return a, err
	}
	if a.elements > (len(c.b)-c.i)/a.datatype.size {
		return a, f.fail(m.at, damaged, "attribute %q ends too early", a.name)
	}
	a.data = c.take(a.elements * a.datatype.size)
	return a, c.err
}

// Strings returns an attribute that is a string or a list of strings; ok tells whether the group has it.
func (g *Group) Strings(name string) (list []string, ok bool, err error) {
	for _, a := range g.attributes {
		if a.name != name {
			continue
		}
		if a.elements == 0 { // h5py writes an empty list as an empty list of numbers
			return nil, true, nil
		}
		if a.datatype.class != classString && !(a.datatype.class == classVaries && a.datatype.text && a.datatype.size == 16) {
			return nil, true, g.f.fail(a.at, damaged, "attribute %q of %s is not made of strings", name, g.path)
		}
		for i := range a.elements {
			value := a.data[i*a.datatype.size : (i+1)*a.datatype.size]
			if a.datatype.class == classVaries {
				if value, err = g.f.global(&cursor{f: g.f, at: a.at, what: "a string's place", b: value}); err != nil {
					return nil, true, err
				}
			}
			text, _, _ := bytes.Cut(value, []byte{0})
			list = append(list, strings.TrimRight(string(text), " "))
		}
		return list, true, nil
	}
	return nil, false, nil
}

// global finds a string of varying length in its collection of the global heap.
func (f *file) global(place *cursor) ([]byte, error) {
	length, at, index := place.u32(), place.u64(), place.u32()
	if place.err != nil {
		return nil, place.err
	}
	head, err := f.cursor(at, 16, "a global heap")
	if err != nil {
		return nil, err
	}
	head.sign("GCOL")
	head.take(4)
	size := head.u64()
	if head.err == nil && size < 16 {
		return nil, f.fail(at, damaged, "a global heap of %d bytes", size)
	}
	if head.err != nil {
		return nil, head.err
	}
	c, err := f.cursor(at+16, size-16, "a global heap's strings")
	if err != nil {
		return nil, err
	}
	for len(c.b)-c.i >= 16 {
		found := c.u16()
		c.take(6)
		n := c.u64()
		if n > uint64(len(c.b)-c.i) {
			break
		}
		data := c.take(int(n))
		if uint32(found) == index && index != 0 {
			if uint64(length) > n {
				break
			}
			return data[:length], nil
		}
		c.take(min(int(-n&7), len(c.b)-c.i))
	}
	return nil, f.fail(at, damaged, "a global heap lacks string %d", index)
}
