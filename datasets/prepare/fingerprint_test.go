package prepare

import (
	"hash/crc32"
	"math"
	"math/rand/v2"
	"testing"
)

// The fast loop against the plain rule, on whole values, fractions, and values that
// int16 cannot hold.
func TestFingerprint(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for name, draw := range map[string]func() float32{
		"whole":    func() float32 { return float32(rng.IntN(4096) - 1024) },
		"fraction": func() float32 { return 2.4 + rng.Float32() },
		"negative": func() float32 { return -0.5 * float32(rng.IntN(3)) },
		"huge":     func() float32 { return float32(rng.IntN(200000) - 100000) },
		"beyond":   func() float32 { return float32(3e9 * (rng.Float64() - 0.5)) },
	} {
		for _, n := range []int{1, 8191, 8192, 8193, 30000} {
			hu := make([]float32, n)
			raw := make([]byte, 0, 2*n)
			low, high := float32(math.Inf(1)), float32(math.Inf(-1))
			for i := range hu {
				hu[i] = draw()
				low, high = min(low, hu[i]), max(high, hu[i])
				r := int16(min(max(math.Round(float64(hu[i])), -32768), 32767))
				raw = append(raw, byte(r), byte(r>>8))
			}
			if a, b, crc := fingerprint(hu); a != low || b != high || crc != crc32.ChecksumIEEE(raw) {
				t.Errorf("%s, %d values: %v to %v, CRC %d; want %v to %v, %d", name, n, a, b, crc, low, high, crc32.ChecksumIEEE(raw))
			}
		}
	}
}
