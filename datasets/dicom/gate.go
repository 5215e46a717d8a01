package dicom

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/suyashkumar/dicom/pkg/charset"
	"github.com/suyashkumar/dicom/pkg/tag"
	"github.com/suyashkumar/dicom/pkg/uid"
)

// The gate stands between a file and the parsing library. The library believes
// every length it reads (it allocates up to 4 GB for one bad element), recurses
// without a bound and stops at private sequences of undefined length in implicit
// files. The gate walks the element structure first, checks every length against
// the size of the file, bounds the nesting, finds the pixel data without reading
// it, and hands on only the elements this package reads. Meaning (numbers, text,
// character sets) is left to the library.

const (
	maxDepth    = 32        // no object read here nests deeper than 8
	maxInflated = 512 << 20 // bytes a deflated file may grow to
	maxValue    = 1 << 30   // bytes of one element other than pixel data
	maxElements = 1 << 21   // elements and items handed on, about 1 GB of them in the library
	undefined   = 0xFFFFFFFF
)

// extent is a stretch of bytes of the file (or of the inflated data set).
type extent struct{ offset, length int64 }

// pixelExtent says where the pixel data is.
type pixelExtent struct {
	encapsulated bool
	words        bool     // written as 16-bit words (OW), which matters in big-endian files only
	parts        []extent // one when native; the fragments, without the offset table, otherwise
}

// gated is what passed the gate.
type gated struct {
	stream []byte // a well-formed DICOM file with the wanted elements only
	syntax string // the transfer syntax as the file states it
	order  binary.ByteOrder
	pixel  *pixelExtent
	body   []byte // the inflated data set that pixel refers to; nil when pixel refers to the file
}

// errMore asks for a longer head of the file.
var errMore = errors.New("more of the file is needed")

// cutError is a file that ends before an element does.
type cutError struct {
	what        string
	needs, has  int64
	inPixelData bool
}

func (e *cutError) Error() string {
	return fmt.Sprintf("%s needs the file to have %d bytes, it has %d", e.what, e.needs, e.has)
}

// shapeError is a structure that no DICOM file has.
type shapeError struct{ reason string }

func (e *shapeError) Error() string { return e.reason }

func shapef(format string, args ...any) error { return &shapeError{fmt.Sprintf(format, args...)} }

type gate struct {
	data   []byte // the head of the file, or all of it
	size   int64  // of the whole file: a value may end beyond data but not beyond size
	order  binary.ByteOrder
	out    []byte
	plain  bool // write implicit elements: the file's own way
	wanted map[tag.Tag]bool
	pixel  *pixelExtent
	count  int // elements and items written out
}

// pass walks the head of a file of the given size. When the file breaks off, it
// returns what stood before the break together with a *cutError. errMore means
// that the head is too short; it never comes back when data is the whole file.
func pass(data []byte, size int64, wanted map[tag.Tag]bool) (*gated, error) {
	g := &gate{data: data, size: size, order: binary.LittleEndian, wanted: wanted}
	syntax, start, err := g.meta()
	if err != nil {
		return nil, err
	}
	res := &gated{syntax: syntax}
	library := uid.ExplicitVRLittleEndian
	switch syntax {
	case uid.ImplicitVRLittleEndian:
		library, g.plain = syntax, true
	case uid.ExplicitVRBigEndian:
		library, g.order = syntax, binary.BigEndian
	case uid.DeflatedExplicitVRLittleEndian:
		if int64(len(data)) < size {
			return nil, errMore
		}
		if res.body, err = inflate(data[start:]); err != nil {
			return nil, err
		}
		g.data, g.size, start = res.body, int64(len(res.body)), 0
	}
	g.out = header(library)
	whole := len(g.out)
	pos := start
	for pos < g.size && err == nil {
		if pos, err = g.element(pos, g.size, g.plain, true, 0); err == nil {
			whole = len(g.out)
		}
		if g.pixel != nil {
			break // what follows the pixel data is padding and signatures
		}
	}
	if errors.Is(err, errMore) {
		return nil, err
	}
	var cut *cutError
	if err != nil && !errors.As(err, &cut) {
		return nil, err
	}
	res.stream, res.order, res.pixel = g.out[:whole], g.order, g.pixel
	return res, err
}

// meta reads the file header: the transfer syntax, and where the data set starts.
// Files without the header exist (they are bare data sets); they are known by a
// first element of group 8.
func (g *gate) meta() (syntax string, start int64, err error) {
	if g.size == 0 {
		return "", 0, shapef("the file is empty (0 bytes)")
	}
	if len(g.data) < 132 || string(g.data[128:132]) != "DICM" {
		if len(g.data) >= 8 && g.data[0] == 8 && g.data[1] == 0 && g.data[3] == 0 {
			if knownVR[string(g.data[4:6])] {
				return uid.ExplicitVRLittleEndian, 0, nil
			}
			return uid.ImplicitVRLittleEndian, 0, nil
		}
		return "", 0, shapef("no DICOM header (the letters DICM at byte 128)")
	}
	pos := int64(132)
	for pos < g.size {
		if pos+8 > int64(len(g.data)) {
			return "", 0, g.short(pos+8, "the file header")
		}
		if group := binary.LittleEndian.Uint16(g.data[pos:]); group != 2 {
			break
		}
		h, err := g.head(pos, false)
		if err != nil {
			return "", 0, err
		}
		end := pos + h.size + int64(h.length)
		if h.length == undefined {
			return "", 0, shapef("the file header holds an element without a length")
		}
		if end > int64(len(g.data)) {
			return "", 0, g.short(end, "the file header")
		}
		if h.tag == tag.TransferSyntaxUID {
			syntax = string(bytes.TrimRight(g.data[pos+h.size:end], " \x00"))
		}
		pos = end
	}
	if syntax == "" {
		return "", 0, shapef("the file header names no transfer syntax")
	}
	return syntax, pos, nil
}

// header is a file header that names one transfer syntax, for the library.
func header(syntax string) []byte {
	if len(syntax)%2 == 1 {
		syntax += "\x00"
	}
	out := append(make([]byte, 128, 4096), "DICM"...)
	out = append(out, 2, 0, 0, 0, 'U', 'L', 4, 0)
	out = binary.LittleEndian.AppendUint32(out, uint32(8+len(syntax)))
	out = append(out, 2, 0, 0x10, 0, 'U', 'I')
	out = binary.LittleEndian.AppendUint16(out, uint16(len(syntax)))
	return append(out, syntax...)
}

// inflate undoes the deflated transfer syntax, up to maxInflated bytes.
func inflate(data []byte) ([]byte, error) {
	r := flate.NewReader(bytes.NewReader(data))
	defer r.Close()
	out, err := io.ReadAll(io.LimitReader(r, maxInflated+1))
	switch {
	case len(out) > maxInflated:
		return nil, shapef("the deflated data set is longer than %d bytes", maxInflated)
	case err != nil && !errors.Is(err, io.ErrUnexpectedEOF):
		return nil, shapef("the deflated data set cannot be inflated: %v", err)
	}
	return out, nil // when it broke off, the walk finds where
}

// elementHead is what precedes a value.
type elementHead struct {
	tag    tag.Tag
	vr     string // as the file states it; empty in implicit files
	length uint32
	size   int64 // of the head itself
}

var knownVR = map[string]bool{
	"AE": true, "AS": true, "AT": true, "CS": true, "DA": true, "DS": true, "DT": true, "FL": true, "FD": true,
	"IS": true, "LO": true, "LT": true, "OB": true, "OD": true, "OF": true, "OL": true, "OV": true, "OW": true,
	"PN": true, "SH": true, "SL": true, "SQ": true, "SS": true, "ST": true, "SV": true, "TM": true, "UC": true,
	"UI": true, "UL": true, "UN": true, "UR": true, "US": true, "UT": true, "UV": true,
}

// longVR are written with a 32-bit length in explicit files.
var longVR = map[string]bool{
	"OB": true, "OD": true, "OF": true, "OL": true, "OV": true, "OW": true, "SQ": true, "SV": true,
	"UC": true, "UN": true, "UR": true, "UT": true, "UV": true,
}

// unitVR is the size of one number: a value whose length is no multiple of it is broken.
var unitVR = map[string]uint32{"US": 2, "SS": 2, "OW": 2, "UL": 4, "SL": 4, "FL": 4, "AT": 4, "FD": 8}

// short is errMore while there is more of the file, a *cutError otherwise.
func (g *gate) short(needs int64, what string) error {
	if needs <= g.size {
		return errMore
	}
	return &cutError{what: what, needs: needs, has: g.size}
}

func (g *gate) head(pos int64, implicit bool) (h elementHead, err error) {
	if pos+8 > int64(len(g.data)) {
		return h, g.short(pos+8, "an element")
	}
	b := g.data[pos:]
	h.tag = tag.Tag{Group: g.order.Uint16(b), Element: g.order.Uint16(b[2:])}
	if implicit || h.tag.Group == 0xFFFE {
		h.length, h.size = g.order.Uint32(b[4:]), 8
		return h, nil
	}
	h.vr = string(b[4:6])
	if !knownVR[h.vr] {
		return h, shapef("element %s at byte %d has the unknown value representation %q", h.tag, pos, h.vr)
	}
	if !longVR[h.vr] {
		h.length, h.size = uint32(g.order.Uint16(b[6:])), 8
		return h, nil
	}
	if pos+12 > int64(len(g.data)) {
		return h, g.short(pos+12, "element "+h.tag.String())
	}
	h.length, h.size = g.order.Uint32(b[8:]), 12
	return h, nil
}

// element walks one element that must end at or before end, writes it out when it
// is wanted, and returns where the next one starts.
func (g *gate) element(pos, end int64, implicit, keep bool, depth int) (int64, error) {
	if depth > maxDepth {
		return 0, shapef("sequences are nested more than %d deep", maxDepth)
	}
	h, err := g.head(pos, implicit)
	if err != nil {
		if rest := g.tail(pos); rest {
			return g.size, nil
		}
		return 0, err
	}
	at := pos + h.size
	if h.tag == tag.PixelData && depth == 0 {
		return g.pixels(h, at)
	}
	vr := h.vr
	keep = keep && g.wanted[h.tag]
	if keep && (implicit || vr == "UN") {
		info, err := tag.Find(h.tag)
		if err != nil {
			return 0, shapef("element %s is not in the dictionary", h.tag)
		}
		vr = info.VR
		// What a converter wrote as UN keeps the implicit little-endian form inside.
		implicit = true
		if h.vr == "UN" && g.order != binary.LittleEndian {
			return 0, shapef("element %s is of unknown representation in a big-endian file", h.tag)
		}
	}
	if h.length == undefined {
		switch {
		case h.vr == "UN":
			implicit = true
		case h.vr == "OB" || h.vr == "OW" || h.tag == tag.PixelData:
			return g.fragments(at, nil) // an icon's compressed pixels
		case !implicit && vr != "SQ", keep && vr != "SQ":
			return 0, shapef("element %s has no length", h.tag)
		}
		return g.sequence(h.tag, at, -1, end, implicit, keep, depth)
	}
	stop := at + int64(h.length)
	if stop > end {
		if end < g.size {
			return 0, shapef("element %s at byte %d is longer than the sequence that holds it", h.tag, pos)
		}
		return 0, &cutError{what: "element " + tag.DebugString(h.tag), needs: stop, has: g.size}
	}
	if !keep {
		return stop, nil
	}
	if stop > int64(len(g.data)) {
		return 0, errMore
	}
	if vr == "SQ" {
		return g.sequence(h.tag, at, stop, end, implicit, keep, depth)
	}
	if g.count++; g.count > maxElements {
		return 0, shapef("there are more than %d elements", maxElements)
	}
	if unit := unitVR[vr]; unit != 0 && h.length%unit != 0 || h.length > maxValue {
		return 0, shapef("element %s is %d bytes long, which its representation %s cannot be", tag.DebugString(h.tag), h.length, vr)
	}
	if h.tag == tag.SpecificCharacterSet && !readableCharset(g.data[at:stop]) {
		return stop, nil // names stay as bytes; better than to lose the patient
	}
	g.write(h.tag, vr, h.length)
	g.out = append(g.out, g.data[at:stop]...)
	return stop, nil
}

// tail says whether only zero padding follows.
func (g *gate) tail(pos int64) bool {
	if int64(len(g.data)) < g.size || g.size-pos >= 8 {
		return false
	}
	return len(bytes.Trim(g.data[pos:], "\x00")) == 0
}

// readableCharset says whether the library knows the character sets; it would
// otherwise refuse the whole file.
func readableCharset(value []byte) (ok bool) {
	defer func() {
		if recover() != nil { // names that the library lists but cannot decode
			ok = false
		}
	}()
	var names []string
	for _, n := range bytes.Split(bytes.Trim(value, " \x00"), []byte{'\\'}) {
		names = append(names, string(n))
	}
	_, err := charset.ParseSpecificCharacterSet(names)
	return err == nil
}

// sequence walks items from pos to stop, or to the delimiter when stop is -1.
func (g *gate) sequence(t tag.Tag, pos, stop, end int64, implicit, keep bool, depth int) (int64, error) {
	if keep {
		g.write(t, "SQ", undefined)
	}
	open := stop < 0
	if open {
		stop = end
	}
	for open || pos < stop {
		h, err := g.head(pos, true)
		if err != nil {
			return 0, err
		}
		pos += h.size
		if open && h.tag == tag.SequenceDelimitationItem {
			break
		}
		if h.tag != tag.Item {
			return 0, shapef("sequence %s holds %s at byte %d, not an item", t, h.tag, pos-h.size)
		}
		if pos, err = g.item(pos, stop, h.length, implicit, keep, depth); err != nil {
			return 0, err
		}
	}
	if pos > end {
		return 0, shapef("sequence %s runs past the item that holds it", t)
	}
	if keep {
		g.mark(tag.SequenceDelimitationItem, 0)
	}
	return pos, nil
}

// item walks the elements of one item whose head has been read.
func (g *gate) item(pos, end int64, length uint32, implicit, keep bool, depth int) (int64, error) {
	if keep {
		if g.count++; g.count > maxElements {
			return 0, shapef("there are more than %d elements", maxElements)
		}
		g.mark(tag.Item, undefined)
	}
	if length != undefined {
		stop := pos + int64(length)
		if stop > end {
			if end < g.size {
				return 0, shapef("an item at byte %d is longer than its sequence", pos)
			}
			return 0, &cutError{what: "a sequence item", needs: stop, has: g.size}
		}
		if !keep {
			return stop, nil
		}
		for pos < stop {
			var err error
			if pos, err = g.element(pos, stop, implicit, keep, depth+1); err != nil {
				return 0, err
			}
		}
	} else {
		for {
			h, err := g.head(pos, implicit)
			if err != nil {
				return 0, err
			}
			if h.tag == tag.ItemDelimitationItem {
				pos += h.size
				break
			}
			if pos, err = g.element(pos, end, implicit, keep, depth+1); err != nil {
				return 0, err
			}
		}
	}
	if keep {
		g.mark(tag.ItemDelimitationItem, 0)
	}
	return pos, nil
}

// pixels notes where the pixel data of the object itself lies.
func (g *gate) pixels(h elementHead, at int64) (int64, error) {
	if h.length == undefined {
		p := &pixelExtent{encapsulated: true}
		next, err := g.fragments(at, p)
		if err != nil {
			var cut *cutError
			if errors.As(err, &cut) {
				cut.what, cut.inPixelData = "compressed pixel data", true
			}
			return 0, err
		}
		g.pixel = p
		return next, nil
	}
	stop := at + int64(h.length)
	if stop > g.size {
		return 0, &cutError{what: "pixel data", needs: stop, has: g.size, inPixelData: true}
	}
	g.pixel = &pixelExtent{words: h.vr != "OB", parts: []extent{{at, int64(h.length)}}}
	return stop, nil
}

// fragments walks encapsulated pixel data; the first item is the offset table.
func (g *gate) fragments(pos int64, into *pixelExtent) (int64, error) {
	for first := true; ; first = false {
		h, err := g.head(pos, true)
		if err != nil {
			return 0, err
		}
		pos += h.size
		if h.tag == tag.SequenceDelimitationItem {
			return pos, nil
		}
		if h.tag != tag.Item || h.length == undefined {
			return 0, shapef("compressed pixel data holds %s at byte %d, not a fragment", h.tag, pos-h.size)
		}
		stop := pos + int64(h.length)
		if stop > g.size {
			return 0, &cutError{what: "a fragment", needs: stop, has: g.size}
		}
		if into != nil && !first {
			into.parts = append(into.parts, extent{pos, int64(h.length)})
		}
		pos = stop
	}
}

// write puts an element head into the library's stream.
func (g *gate) write(t tag.Tag, vr string, length uint32) {
	g.out = appendUint16(g.out, g.order, t.Group)
	g.out = appendUint16(g.out, g.order, t.Element)
	switch {
	case g.plain:
		g.out = appendUint32(g.out, g.order, length)
	case longVR[vr] || length > 0xFFFE:
		if !longVR[vr] {
			vr = "UT" // text too long for its own form (contours): the one text form that is long enough
		}
		g.out = append(g.out, vr[0], vr[1], 0, 0)
		g.out = appendUint32(g.out, g.order, length)
	default:
		g.out = append(g.out, vr[0], vr[1])
		g.out = appendUint16(g.out, g.order, uint16(length))
	}
}

// mark puts an item or a delimiter into the library's stream.
func (g *gate) mark(t tag.Tag, length uint32) {
	g.out = appendUint16(g.out, g.order, t.Group)
	g.out = appendUint16(g.out, g.order, t.Element)
	g.out = appendUint32(g.out, g.order, length)
}

func appendUint16(b []byte, o binary.ByteOrder, v uint16) []byte {
	var s [2]byte
	o.PutUint16(s[:], v)
	return append(b, s[:]...)
}

func appendUint32(b []byte, o binary.ByteOrder, v uint32) []byte {
	var s [4]byte
	o.PutUint32(s[:], v)
	return append(b, s[:]...)
}
