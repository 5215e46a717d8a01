package phantom

import (
	"math"
	"math/rand/v2"
)

// purpose keeps the random streams of one subject apart, so that a change to one
// part of the phantom leaves the others' bytes alone.
type purpose uint64

const (
	forTraits purpose = iota + 1
	forSurvival
	forScene
	forTexture
	forPlacement
	forNoise
	forSecondScan
	forSecondNoise
	forReaderBias
	forReaderCase
	forExpressionGene
	forExpressionPatient
	forExpressionSets
)

// source is the generator of one purpose of one subject: counter-based in the sense
// that it is reached directly from (seed, purpose, index), never by drawing past others.
func source(seed uint64, p purpose, index int) *rand.PCG {
	return rand.NewPCG(scramble(seed^scramble(uint64(p))), scramble(uint64(index)+0x51ed270b))
}

func stream(seed uint64, p purpose, index int) *rand.Rand { return rand.New(source(seed, p, index)) }

// scramble is the finaliser of splitmix64 (Steele, Lea, Flood 2014, doi:10.1145/2714064.2660195):
// neighbouring seeds and indices must not give neighbouring states.
func scramble(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// fillNormal writes nearly normal values of mean 0 and standard deviation 1: the sum
// of four uniforms, whose tails end at 3.5. Quick enough for a million voxels.
func fillNormal(dst []float32, src *rand.PCG) {
	const scale = 1 / 37837.22714 // sqrt(4 (65536^2-1)/12)
	for i := range dst {
		u := src.Uint64()
		sum := int32(u&0xffff) + int32(u>>16&0xffff) + int32(u>>32&0xffff) + int32(u>>48)
		dst[i] = float32(sum-131070) * scale
	}
}

// uniform draws from [low, high).
func uniform(r *rand.Rand, low, high float64) float64 { return low + (high-low)*r.Float64() }

// direction draws a unit vector evenly over the sphere.
func direction(r *rand.Rand) vec {
	z := uniform(r, -1, 1)
	s, c := math.Sincos(uniform(r, 0, 2*math.Pi))
	q := math.Sqrt(1 - z*z)
	return vec{q * c, q * s, z}
}

// vec is a point or a direction in mm (LPS) unless said otherwise. A struct, not an
// array, because the compiler keeps its parts in registers.
type vec struct{ x, y, z float64 }

func (a vec) add(b vec) vec       { return vec{a.x + b.x, a.y + b.y, a.z + b.z} }
func (a vec) sub(b vec) vec       { return vec{a.x - b.x, a.y - b.y, a.z - b.z} }
func (a vec) times(s float64) vec { return vec{a.x * s, a.y * s, a.z * s} }
func (a vec) dot(b vec) float64   { return a.x*b.x + a.y*b.y + a.z*b.z }
func (a vec) norm() float64       { return math.Sqrt(a.dot(a)) }
func (a vec) unit() vec           { return a.times(1 / a.norm()) }
func (a vec) cross(b vec) vec {
	return vec{a.y*b.z - a.z*b.y, a.z*b.x - a.x*b.z, a.x*b.y - a.y*b.x}
}

// rotation is a row-major 3x3 matrix about a unit axis by an angle in radians (Rodrigues).
func rotation(axis vec, angle float64) [3]vec {
	s, c := math.Sincos(angle)
	x, y, z, k := axis.x, axis.y, axis.z, 1-c
	return [3]vec{
		{c + x*x*k, x*y*k - z*s, x*z*k + y*s},
		{y*x*k + z*s, c + y*y*k, y*z*k - x*s},
		{z*x*k - y*s, z*y*k + x*s, c + z*z*k},
	}
}

func clamp(x, low, high float64) float64 { return max(low, min(high, x)) }
