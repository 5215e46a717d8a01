package datasets

import (
	"fmt"
	"math/rand/v2"

	"hounsfield/datasets/volume"
)

// Augment says how cubes are varied in training. Every variation is exact: voxels are
// moved, never interpolated. The zero value varies nothing.
type Augment struct {
	Shift  int  `yaml:"shift"`  // largest shift along each axis, voxels; at most the cube's margin
	Rotate bool `yaml:"rotate"` // by 0, 90, 180 or 270 degrees about the long axis (z)
	Flip   bool `yaml:"flip"`   // along each axis, or not
}

// StudyAugment is what the study did each epoch: shifts up to 10 voxels, rotations
// about the long axis, flips along all axes (Hosny et al. 2018, doi:10.1371/journal.pmed.1002711).
func StudyAugment() Augment { return Augment{Shift: 10, Rotate: true, Flip: true} }

// variation is one draw of an Augment. Applied to the cube with its margin it reads:
// move the window by Shift, turn its content by Turns quarter turns (x towards y),
// then mirror the axes named by Flip. Turns and mirrors are about the window's middle,
// which for an even size lies between voxels: they move the tumour's centre by one
// voxel at most.
type variation struct {
	shift [3]int // x, y, z
	turns int    // 0..3
	flip  [3]bool
}

// draw picks the variation of one sample of one epoch. It depends on nothing else, so
// the order in which samples are made does not matter.
func (a Augment) draw(seed uint64, epoch, sample int) variation {
	r := rand.New(counter(seed, forAugment, uint64(epoch), uint64(sample)))
	var v variation
	// Everything is drawn, used or not: turning one setting off leaves the others' draws alone.
	for axis := range 3 {
		s := r.IntN(2*a.Shift+1) - a.Shift
		v.shift[axis] = s
	}
	turns := r.IntN(4)
	if a.Rotate {
		v.turns = turns
	}
	for axis := range 3 {
		if f := r.IntN(2) == 1; a.Flip {
			v.flip[axis] = f
		}
	}
	return v
}

// place writes the varied central cube of the given size to dst (z, y, x), normalised
// for the network. The cube's margin must be at least the largest shift.
func (v variation) place(dst []float32, c *volume.Cube, size int) {
	margin := (c.Edge - size) / 2
	for axis := range 3 {
		if s := v.shift[axis]; s < -margin || s > margin {
			panic(fmt.Sprintf("datasets: shift %v leaves a cube with margin %d", v.shift, margin))
		}
	}
	// Where output voxel (0,0,0) comes from, and the stride in the cube of a step along
	// each output axis. Mirrors and quarter turns permute and negate the strides.
	stride := [3]int{1, c.Edge, c.Edge * c.Edge}
	start := 0
	for axis := range 3 {
		start += (margin + v.shift[axis]) * stride[axis]
	}
	last := size - 1
	// The output is read backwards through the operations: mirror first, then turn.
	x, y, z := stride[0], stride[1], stride[2]
	for range v.turns {
		// A quarter turn takes input (x,y) to output (last-y, x): output x runs against
		// input y, output y along input x.
		start += last * y
		x, y = -y, x
	}
	for axis, s := range [3]*int{&x, &y, &z} {
		if v.flip[axis] {
			start += last * *s
			*s = -*s
		}
	}
	for oz := range size {
		for oy := range size {
			from := start + oz*z + oy*y
			row := dst[(oz*size+oy)*size:][:size]
			if x == 1 {
				for i, hu := range c.HU[from : from+size] {
					row[i] = volume.Normalise(hu)
				}
				continue
			}
			for i := range row {
				row[i] = volume.Normalise(c.HU[from])
				from += x
			}
		}
	}
}

// drawn keeps the random streams of the loader apart.
type drawn uint64

const (
	forAugment drawn = iota + 1
	forOrder
)

// counter is a generator reached directly from its coordinates, never by drawing past others.
func counter(seed uint64, what drawn, a, b uint64) *rand.PCG {
	return rand.NewPCG(scramble(seed^scramble(uint64(what))), scramble(scramble(a)^b))
}

// scramble is the finaliser of splitmix64 (Steele, Lea, Flood 2014, doi:10.1145/2714064.2660195):
// neighbouring coordinates must not give neighbouring states.
func scramble(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
