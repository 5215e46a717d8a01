// Package hdf5 reads the weight files that Keras writes with h5py: old-style groups, arrays of floating-point numbers
// (contiguous, compact or in chunks, plain or with gzip and shuffle), and attributes that are lists of strings.
//
// Other parts of HDF5 (superblocks 2 and 3, new-style groups, other types and filters) are refused by name. The format
// is the HDF Group's "HDF5 File Format Specification Version 3.0". The Go package github.com/scigolib/hdf5 was tried
// first: its v0.13.1 opens such a file without an error and finds neither its attributes nor its arrays.
package hdf5

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
)

// FormatError says what in a file cannot be read, and where.
type FormatError struct {
	File    string
	Offset  int64  // byte of the file at which the trouble stands
	Problem string // what stands there
	Next    string // what to do about it
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("HDF5 file %s, byte %d: %s; %s", e.File, e.Offset, e.Problem, e.Next)
}

const (
	damaged = "the file is damaged: get it again"
	rewrite = "write the weights again with h5py's defaults (no libver, no track_order), which Keras uses"
)

const signature = "\x89HDF\r\n\x1a\n"

// undefined is the address of what does not exist.
const undefined = ^uint64(0)

// file is an open file. All addresses in it count from its first byte.
type file struct {
	name string
	r    io.ReaderAt
	size int64
}

func (f *file) fail(at uint64, next, format string, args ...any) error {
	return &FormatError{File: f.name, Offset: int64(min(at, 1<<62)), Problem: fmt.Sprintf(format, args...), Next: next}
}

// bytes reads n bytes at an address; what names them in the error. It never takes more memory than the file has
// bytes.
func (f *file) bytes(at, n uint64, what string) ([]byte, error) {
	if at > uint64(f.size) || n > uint64(f.size)-at {
		return nil, f.fail(at, damaged, "%s of %d bytes reaches past the end, which is at %d", what, n, f.size)
	}
	b := make([]byte, n)
	if _, err := f.r.ReadAt(b, int64(at)); err != nil && err != io.EOF {
		return nil, fmt.Errorf("reading HDF5 file %s: %w", f.name, err)
	}
	return b, nil
}

// cursor reads numbers from bytes of the file, one after the other. After the end it gives zeros and keeps an error.
type cursor struct {
	f    *file
	at   uint64 // address of the first byte
	what string
	b    []byte
	i    int
	err  error
}

func (f *file) cursor(at, n uint64, what string) (*cursor, error) {
	b, err := f.bytes(at, n, what)
	return &cursor{f: f, at: at, what: what, b: b}, err
}

// here is the address of the next byte.
func (c *cursor) here() uint64 { return c.at + uint64(c.i) }

func (c *cursor) take(n int) []byte {
	if c.err == nil && (n < 0 || n > len(c.b)-c.i) {
		c.err = c.f.fail(c.here(), damaged, "%s ends too early", c.what)
	}
	if c.err != nil {
		return make([]byte, min(max(n, 0), 8))
	}
	c.i += n
	return c.b[c.i-n : c.i]
}

func (c *cursor) u8() byte    { return c.take(1)[0] }
func (c *cursor) u16() uint16 { return binary.LittleEndian.Uint16(c.take(2)) }
func (c *cursor) u32() uint32 { return binary.LittleEndian.Uint32(c.take(4)) }
func (c *cursor) u64() uint64 { return binary.LittleEndian.Uint64(c.take(8)) }

// sign takes the four letters that begin most structures.
func (c *cursor) sign(want string) {
	at := c.here()
	if got := c.take(4); c.err == nil && string(got) != want {
		c.err = c.f.fail(at, damaged, "%s should begin with %q, but begins with %q", c.what, want, got)
	}
}

// Group is a folder in the file, with attributes.
type Group struct {
	f          *file
	path       string
	at         uint64
	members    map[string]uint64 // name to address of the object's header
	attributes []attribute
}

// Open reads the root group of a file of that many bytes; name stands in errors.
//
// Errors, of this and of all that reads from the group: *FormatError, or the reader's own, wrapped.
func Open(r io.ReaderAt, size int64, name string) (*Group, error) {
	f := &file{name: name, r: r, size: size}
	c, err := f.cursor(0, uint64(min(size, 96)), "the superblock")
	if err != nil {
		return nil, err
	}
	if string(c.take(8)) != signature {
		return nil, f.fail(0, "name a weights file that Keras saved", "this is no HDF5 file")
	}
	version := c.u8()
	if version > 1 && c.err == nil {
		return nil, f.fail(8, rewrite, "superblock version %d is not read here", version)
	}
	c.take(4)
	if offsets, lengths := c.u8(), c.u8(); c.err == nil && (offsets != 8 || lengths != 8) {
		return nil, f.fail(13, rewrite, "addresses of %d and lengths of %d bytes are not read here", offsets, lengths)
	}
	c.take(9)
	if version == 1 {
		c.take(4)
	}
	if base := c.u64(); c.err == nil && base != 0 {
		return nil, f.fail(c.here()-8, rewrite, "the file begins at byte %d of another", base)
	}
	c.take(8)
	if end := c.u64(); c.err == nil && end > uint64(size) {
		return nil, f.fail(uint64(size), damaged, "the file is cut short: it should have %d bytes and has %d", end, size)
	}
	c.take(16)
	root := c.u64()
	if c.err != nil {
		return nil, c.err
	}
	return f.group(root, "/")
}

// Names are the group's members, sorted.
func (g *Group) Names() []string {
	names := make([]string, 0, len(g.members))
	for name := range g.members {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Group opens a group below this one; its path may have several parts, joined by slashes.
func (g *Group) Group(path string) (*Group, error) {
	for name := range strings.SplitSeq(path, "/") {
		at, err := g.member(name, "group")
		if err != nil {
			return nil, err
		}
		if g, err = g.f.group(at, join(g.path, name)); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// Dataset opens an array below this group.
func (g *Group) Dataset(path string) (*Dataset, error) {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		parent, err := g.Group(path[:i])
		if err != nil {
			return nil, err
		}
		g, path = parent, path[i+1:]
	}
	at, err := g.member(path, "array")
	if err != nil {
		return nil, err
	}
	return g.f.dataset(at, join(g.path, path))
}

func join(path, name string) string { return strings.TrimSuffix(path, "/") + "/" + name }

func (g *Group) member(name, kind string) (uint64, error) {
	at, ok := g.members[name]
	if !ok {
		return 0, g.f.fail(g.at, "compare with the file that was meant", "group %s holds no %s %q; it holds %q", g.path, kind, name, g.Names())
	}
	return at, nil
}

// group reads an old-style group: a B-tree of symbol tables, with the names in a heap.
func (f *file) group(at uint64, path string) (*Group, error) {
	messages, err := f.header(at)
	if err != nil {
		return nil, err
	}
	g := &Group{f: f, path: path, at: at, members: map[string]uint64{}}
	var table *cursor
	for _, m := range messages {
		switch m.kind {
		case kindSymbolTable:
			table = m.cursor(f, "a group's symbol table")
		case kindLinkInfo, kindLink:
			return nil, f.fail(m.at, rewrite, "%s is a new-style group, which is not read here", path)
		}
	}
	if table == nil {
		return nil, f.fail(at, "compare with the file that was meant", "%s is not a group", path)
	}
	tree, heapAt := table.u64(), table.u64()
	if table.err != nil {
		return nil, table.err
	}
	names, err := f.heap(heapAt)
	if err != nil {
		return nil, err
	}
	err = f.tree(tree, treeOfGroup, 8, func(_ *cursor, child uint64) error { return f.symbols(child, names, g.members) })
	if err != nil {
		return nil, err
	}
	g.attributes, err = f.attributes(messages)
	return g, err
}

// heap is a group's local heap: the bytes that hold its members' names.
func (f *file) heap(at uint64) ([]byte, error) {
	c, err := f.cursor(at, 32, "a local heap")
	if err != nil {
		return nil, err
	}
	c.sign("HEAP")
	c.take(4)
	size := c.u64()
	c.take(8)
	data := c.u64()
	if c.err != nil {
		return nil, c.err
	}
	return f.bytes(data, size, "a local heap's data")
}

// symbols reads one node of a group's symbol table into members.
func (f *file) symbols(at uint64, names []byte, members map[string]uint64) error {
	head, err := f.cursor(at, 8, "a symbol table node")
	if err != nil {
		return err
	}
	head.sign("SNOD")
	head.take(2)
	count := head.u16()
	if head.err != nil {
		return head.err
	}
	c, err := f.cursor(at+8, uint64(count)*40, "a symbol table node's entries")
	if err != nil {
		return err
	}
	for range count {
		entry := c.here()
		name, object := c.u64(), c.u64()
		cache := c.u32()
		c.take(20)
		if name > uint64(len(names)) {
			return f.fail(entry, damaged, "a name lies outside of its heap")
		}
		text, _, ended := bytes.Cut(names[name:], []byte{0})
		if !ended {
			return f.fail(entry, damaged, "a name does not end")
		}
		if cache > 1 {
			return f.fail(entry, rewrite, "member %q is a link to somewhere else, which is not followed", text)
		}
		members[string(text)] = object
	}
	return c.err
}

// Kinds of nodes in a version 1 B-tree.
const (
	treeOfGroup  = 0
	treeOfChunks = 1
)

// maxDepth bounds the B-trees: with two children a node it reaches more members than a file can hold.
const maxDepth = 64

// tree calls leaf for each child of a B-tree's lowest nodes, with a cursor at the child's key of keySize bytes.
func (f *file) tree(at uint64, kind byte, keySize int, leaf func(key *cursor, child uint64) error) error {
	seen := map[uint64]bool{}
	var walk func(at uint64, level int) error
	walk = func(at uint64, level int) error {
		if seen[at] {
			return f.fail(at, damaged, "a B-tree runs in a circle")
		}
		seen[at] = true
		head, err := f.cursor(at, 24, "a B-tree node")
		if err != nil {
			return err
		}
		head.sign("TREE")
		gotKind, gotLevel, used := head.u8(), int(head.u8()), int(head.u16())
		switch {
		case head.err != nil:
			return head.err
		case gotKind != kind:
			return f.fail(at, damaged, "a B-tree node is of kind %d, not %d", gotKind, kind)
		case level >= 0 && gotLevel != level, gotLevel > maxDepth:
			return f.fail(at, damaged, "a B-tree node says it is on level %d", gotLevel)
		}
		c, err := f.cursor(at+24, uint64(used)*uint64(keySize+8), "a B-tree node's entries")
		if err != nil {
			return err
		}
		for range used {
			key := &cursor{f: f, at: c.here(), what: "a B-tree's key", b: c.take(keySize)}
			child := c.u64()
			if c.err != nil {
				return c.err
			}
			switch {
			case gotLevel > 0:
				err = walk(child, gotLevel-1)
			case seen[child]:
				err = f.fail(c.here()-8, damaged, "a B-tree names a child twice")
			default:
				seen[child] = true
				err = leaf(key, child)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	return walk(at, -1)
}
