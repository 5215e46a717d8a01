package raw

import (
	"encoding/binary"
	"math/bits"
	"slices"
)

// A scan on a fine grid is hundreds of megabytes of 16-bit words, and packing them is most of
// what writing one costs. General packers look for repeated text, which voxels with noise in
// them do not hold. packer looks for what they do hold: runs of one value (air beside the
// patient, the outside of a mask) and values that are more frequent than others. What it
// writes is deflate (RFC 1951), which every gzip reader unpacks; it takes a third of the time of
// klauspost/compress without matching (a sixth of its level 1), and that is what it is here for.

const (
	maxCode   = 14 // bits of a code: four of them and seven bits left over fit into 64
	endOfPart = 256
	symbols   = 286
	minRun    = 8       // words; a shorter run is written word by word
	partBytes = 1 << 19 // packed with codes of their own, and small enough to stay near the processor
)

// packer holds what packing one part after the other needs. Not for several goroutines.
type packer struct {
	count [1 << 16]uint32 // of each word, all 0 between parts
	code  [1 << 16]uint64 // its bits from bit 6, how many they are below
	used  []uint16        // the words that there are
	runs  []run
}

// run is a stretch of equal words, from start up to end.
type run struct{ start, end int }

// pack appends data (16-bit words, little-endian; a byte may be left over) to out as deflate
// blocks, none of them the last of its stream, and fills up to a whole byte: what several
// calls give can be put one after the other. The result depends on data alone.
func (p *packer) pack(out, data []byte) []byte {
	for len(data) > 0 {
		n := min(len(data), partBytes)
		out = p.block(out, data[:n])
		data = data[n:]
	}
	return out
}

func (p *packer) block(out, data []byte) []byte {
	n := len(data) / 2
	p.findRuns(data[:2*n])
	var freq [symbols]uint32
	freq[endOfPart] = 1
	for _, b := range data[2*n:] {
		freq[b]++
	}
	at := 0
	for _, r := range p.runs {
		p.tally(data[2*at : 2*(r.start+1)])
		matches(2*(r.end-r.start-1), func(length int) { freq[lengthSymbol[length]]++ })
		at = r.end
	}
	p.tally(data[2*at : 2*n])
	p.findUsed()
	for _, w := range p.used {
		freq[w&0xFF] += p.count[w]
		freq[w>>8] += p.count[w]
		p.count[w] = 0
	}
	lengths := codeLengths(&freq)
	codes := canonical(&lengths)
	for _, w := range p.used {
		a, b := w&0xFF, w>>8
		p.code[w] = (uint64(codes[a])|uint64(codes[b])<<lengths[a])<<6 | uint64(lengths[a]+lengths[b])
	}
	out = slices.Grow(out, 4*len(data)+1024)
	b := bitWriter{out: out[:cap(out)], at: len(out)}
	b.header(&lengths)
	at = 0
	for _, r := range p.runs {
		b.words(data[2*at:2*(r.start+1)], &p.code)
		matches(2*(r.end-r.start-1), func(length int) {
			s := lengthSymbol[length]
			b.put(uint64(codes[s]), uint(lengths[s]))
			b.put(uint64(length-lengthBase[s-257]), uint(lengthExtra[s-257]))
			b.put(1, 1) // the second of two distances, 2 bytes
		})
		at = r.end
	}
	b.words(data[2*at:2*n], &p.code)
	for _, x := range data[2*n:] {
		b.put(uint64(codes[x]), uint(lengths[x]))
	}
	b.put(uint64(codes[endOfPart]), uint(lengths[endOfPart]))
	b.align()
	return b.out[:b.at]
}

// findRuns finds stretches of equal words, four words at a time.
func (p *packer) findRuns(data []byte) {
	p.runs = p.runs[:0]
	groups := len(data) / 8
	for i := 0; i < groups; {
		x := binary.LittleEndian.Uint64(data[8*i:])
		if x != (x&0xFFFF)*0x0001_0001_0001_0001 {
			i++
			continue
		}
		j := i + 1
		for j < groups && binary.LittleEndian.Uint64(data[8*j:]) == x {
			j++
		}
		if 4*(j-i) >= minRun {
			p.runs = append(p.runs, run{4 * i, 4 * j})
		}
		i = j
	}
}

// tally counts words.
func (p *packer) tally(data []byte) {
	for len(data) >= 2 {
		p.count[binary.LittleEndian.Uint16(data)]++
		data = data[2:]
	}
}

// findUsed finds the words that there are.
func (p *packer) findUsed() {
	p.used = p.used[:0]
	for at := 0; at < len(p.count); at += 8 {
		c := (*[8]uint32)(p.count[at:])
		if c[0]|c[1]|c[2]|c[3]|c[4]|c[5]|c[6]|c[7] == 0 {
			continue
		}
		for i, n := range c {
			if n != 0 {
				p.used = append(p.used, uint16(at+i))
			}
		}
	}
}

// matches cuts a repetition of an even number of bytes, at least 4, into the lengths that
// deflate can say (3 to 258).
func matches(length int, each func(int)) {
	for length > 0 {
		n := min(length, 258)
		if length-n == 2 {
			n -= 2
		}
		each(n)
		length -= n
	}
}

// The lengths of repetitions by symbol, from 257 (RFC 1951, 3.2.5).
var (
	lengthBase = [29]int{3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258}
	// lengthExtra is how many bits say which of the symbol's lengths is meant.
	lengthExtra  = [29]int{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0}
	lengthSymbol = func() (symbol [259]int) {
		for i, base := range lengthBase {
			for length := base; length < base+1<<lengthExtra[i] && length <= 258; length++ {
				symbol[length] = 257 + i
			}
		}
		return symbol
	}()
)

// codeLengths gives each symbol the length of its code: those of Huffman's tree, where they
// are at most maxCode. Else the tree of flattened frequencies.
func codeLengths(freq *[symbols]uint32) (lengths [symbols]uint8) {
	type node struct {
		weight      uint64
		left, right int16 // of a joined node
		symbol      int16 // -1 for a joined node
	}
	weights := *freq
	for {
		var order [symbols]uint64 // weight and symbol: sorts without another rule
		n := 0
		for s, w := range weights {
			if w > 0 {
				order[n] = uint64(w)<<16 | uint64(s)
				n++
			}
		}
		slices.Sort(order[:n])
		var nodes [2 * symbols]node
		for i, x := range order[:n] {
			nodes[i] = node{weight: x >> 16, symbol: int16(x & 0xFFFF)}
		}
		if n == 1 { // a code of no bits is none
			lengths[nodes[0].symbol] = 1
			return lengths
		}
		// Two queues, both sorted: the symbols and the joined nodes behind them.
		leaf, joined, end := 0, n, n
		take := func() int16 {
			if leaf < n && (joined == end || nodes[leaf].weight <= nodes[joined].weight) {
				leaf++
				return int16(leaf - 1)
			}
			joined++
			return int16(joined - 1)
		}
		for range n - 1 {
			a, b := take(), take()
			nodes[end] = node{nodes[a].weight + nodes[b].weight, a, b, -1}
			end++
		}
		var depth [2 * symbols]uint8
		deepest := uint8(0)
		for i := end - 1; i >= 0; i-- {
			if nodes[i].symbol >= 0 {
				lengths[nodes[i].symbol] = depth[i]
				deepest = max(deepest, depth[i])
				continue
			}
			depth[nodes[i].left], depth[nodes[i].right] = depth[i]+1, depth[i]+1
		}
		if deepest <= maxCode {
			return lengths
		}
		for s, w := range weights {
			if w > 0 {
				weights[s] = w/2 + 1
			}
		}
	}
}

// canonical are the codes that go with lengths (RFC 1951, 3.2.2), first bit lowest.
func canonical(lengths *[symbols]uint8) (codes [symbols]uint16) {
	var count, next [maxCode + 2]uint16
	for _, l := range lengths {
		count[l]++
	}
	count[0] = 0
	for l := 1; l <= maxCode; l++ {
		next[l+1] = (next[l] + count[l]) << 1
	}
	for s, l := range lengths {
		if l > 0 {
			codes[s] = bits.Reverse16(next[l]) >> (16 - l)
			next[l]++
		}
	}
	return codes
}

// bitWriter writes bits, the lowest first, into out, which must be long enough.
type bitWriter struct {
	out []byte
	at  int    // bytes written
	acc uint64 // the bits that make no byte yet,
	n   uint   // and how many they are, less than 8
}

// put writes the lowest bits of code, at most 56.
func (b *bitWriter) put(code uint64, bits uint) {
	b.acc |= code << b.n
	b.n += bits
	binary.LittleEndian.PutUint64(b.out[b.at:], b.acc)
	b.at += int(b.n >> 3)
	b.acc >>= b.n &^ 7
	b.n &= 7
}

// words writes the codes of words, two at a time.
func (b *bitWriter) words(data []byte, code *[1 << 16]uint64) {
	out, at, acc, n := b.out, b.at, b.acc, b.n
	for len(data) >= 4 {
		w := binary.LittleEndian.Uint32(data)
		first, second := code[w&0xFFFF], code[w>>16]
		acc |= first >> 6 << (n & 63)
		n += uint(first & 63)
		acc |= second >> 6 << (n & 63)
		n += uint(second & 63)
		binary.LittleEndian.PutUint64(out[at:], acc)
		at += int(n >> 3)
		acc >>= n &^ 7 & 63
		n &= 7
		data = data[4:]
	}
	b.at, b.acc, b.n = at, acc, n
	if len(data) >= 2 {
		c := code[binary.LittleEndian.Uint16(data)]
		b.put(c>>6, uint(c&63))
	}
}

// header begins a block with its codes: those of the symbols as numbers of four bits, for
// which all sixteen lengths get codes of that many bits, and two distances of one bit.
func (b *bitWriter) header(lengths *[symbols]uint8) {
	b.put(0b100, 3) // not the last; codes of its own
	b.put(symbols-257, 5)
	b.put(2-1, 5)
	b.put(19-4, 4)
	for i := range 19 { // repetitions of lengths come first and are not used
		if i < 3 {
			b.put(0, 3)
		} else {
			b.put(4, 3)
		}
	}
	for _, l := range lengths {
		b.put(uint64(bits.Reverse8(l)>>4), 4)
	}
	for range 2 {
		b.put(uint64(bits.Reverse8(1)>>4), 4)
	}
}

// align fills up to a whole byte with a block of no bytes.
func (b *bitWriter) align() {
	b.put(0, 3)
	if b.n > 0 {
		b.put(0, 8-b.n)
	}
	b.put(0xFFFF0000, 32)
}
