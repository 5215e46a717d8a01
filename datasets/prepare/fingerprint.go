package prepare

import (
	"encoding/binary"
	"hash/crc32"
	"math"

	"hounsfield/datasets/volume"
)

// fingerprint is the range of a scan and the CRC-32 (IEEE) of it as int16
// little-endian; values are rounded (half away from zero, as the written volumes
// have it) and cut to what int16 holds.
func fingerprint(hu []float32) (low, high float32, crc uint32) {
	low, high = float32(math.Inf(1)), float32(math.Inf(-1))
	var block [1 << 14]byte
	for len(hu) > 0 {
		part := hu[:min(len(hu), len(block)/2)]
		smallest, largest, whole := int32(math.MaxInt32), int32(math.MinInt32), true
		for i, v := range part {
			r := int32(v)
			whole = whole && float32(r) == v && int32(int16(r)) == r
			smallest, largest = min(smallest, r), max(largest, r)
			binary.LittleEndian.PutUint16(block[2*i:], uint16(r))
		}
		if whole {
			low, high = min(low, float32(smallest)), max(high, float32(largest))
		} else {
			// Rare: slopes that give fractions, values beyond int16.
			for i, v := range part {
				low, high = min(low, v), max(high, v)
				r := max(math.MinInt16, min(math.MaxInt16, math.Round(float64(v))))
				binary.LittleEndian.PutUint16(block[2*i:], uint16(int16(r)))
			}
		}
		crc = crc32.Update(crc, crc32.IEEETable, block[:2*len(part)])
		hu = hu[len(part):]
	}
	return low, high, crc
}

// CubeHash is the SHA-256 of a cube, margin included, as float32 little-endian, z, y, x:
// the column cube_sha256 of the imaging table, by which a cube file can be checked.
func CubeHash(c *volume.Cube) string {
	b := make([]byte, 0, 4*len(c.HU))
	for _, v := range c.HU {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return hashOf(b)
}

// inputStats are mean, smallest and largest normalised value of the cube proper.
func inputStats(c *volume.Cube, size int) (mean, low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	cube := c.Central(size)
	for _, hu := range cube {
		v := float64(volume.Normalise(hu))
		mean += v
		low, high = min(low, v), max(high, v)
	}
	return mean / float64(len(cube)), low, high
}

// centralPadded counts the voxels of the cube proper that lie outside the scan.
func (p *Prepared) centralPadded() int {
	iso := p.CT.Grid.Isotropic(p.Spec.SpacingMM)
	first := p.Cube.First()
	inside := 1
	for a := range 3 {
		lo := first[a] + p.Cube.Margin
		inside *= max(0, min(lo+p.Spec.Size, iso.Size[a])-max(lo, 0))
	}
	return p.Spec.Size*p.Spec.Size*p.Spec.Size - inside
}
