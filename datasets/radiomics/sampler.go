package radiomics

import (
	"math"

	"hounsfield/datasets/volume"
)

// sampler interpolates a part of a scan, linearly or by a cubic B-spline (Unser et al. 1993,
// doi:10.1109/78.193220). Beyond the scan the nearest voxel counts.
type sampler struct {
	first, size [3]int // of the part, in voxels of the scan
	coefficient []float64
	spline      bool
}

// tap is the weights of up to four neighbours along one axis.
type tap struct {
	at     [4]int // in the part
	weight [4]float64
}

// pole of the cubic B-spline's inverse filter.
var pole = math.Sqrt(3) - 2

// poleReach is how many voxels the inverse filter is followed: what lies beyond counts less
// than 1e-9.
const poleReach = 16

// newSampler takes the part of a scan that samples between two indices need.
func newSampler(ct *volume.Volume, spline bool, low, high [3]float64) *sampler {
	s := &sampler{spline: spline}
	margin := 2
	if spline {
		margin += poleReach
	}
	for a := range 3 {
		last := ct.Grid.Size[a] - 1
		s.first[a] = min(max(int(math.Floor(low[a]))-margin, 0), last)
		s.size[a] = min(max(int(math.Ceil(high[a]))+margin, 0), last) - s.first[a] + 1
	}
	for z := range s.size[2] {
		for y := range s.size[1] {
			start := ct.Grid.Offset(s.first[0], s.first[1]+y, s.first[2]+z)
			for _, v := range ct.HU[start : start+s.size[0]] {
				s.coefficient = append(s.coefficient, float64(v))
			}
		}
	}
	if spline {
		strides := [3]int{1, s.size[0], s.size[0] * s.size[1]}
		for a := range 3 {
			for start := range s.coefficient {
				if start/strides[a]%s.size[a] == 0 {
					prefilter(s.coefficient[start:], strides[a], s.size[a])
				}
			}
		}
	}
	return s
}

// prefilter turns n samples into the coefficients of the cubic B-spline through them, which
// mirrors at both ends.
func prefilter(c []float64, stride, n int) {
	if n == 1 {
		return
	}
	at := func(k int) *float64 { return &c[k*stride] }
	// Samples before the first are those after it, mirrored, and so on for ever.
	sum, z := 0.0, 1.0
	last := math.Pow(pole, float64(2*n-2))
	for k := range n {
		back := last / z
		if k == 0 || k == n-1 {
			back = 0 // counted once in each period
		}
		sum += (z + back) * *at(k)
		z *= pole
		if k == 2*poleReach {
			break // the rest is nothing
		}
	}
	*at(0) = sum / (1 - last)
	for k := 1; k < n; k++ {
		*at(k) += pole * *at(k - 1)
	}
	*at(n - 1) = pole / (pole*pole - 1) * (*at(n - 1) + pole**at(n - 2))
	for k := n - 2; k >= 0; k-- {
		*at(k) = pole * (*at(k + 1) - *at(k))
	}
	for k := range n {
		*at(k) *= 6
	}
}

// tap are the weights at an index of the scan along one axis.
func (s *sampler) tap(axis int, index float64) tap {
	n := s.size[axis]
	x := min(max(index-float64(s.first[axis]), 0), float64(n-1))
	i := int(math.Floor(x))
	f := x - float64(i)
	var t tap
	if !s.spline {
		t.at = [4]int{i, min(i+1, n-1), i, i}
		t.weight = [4]float64{1 - f, f, 0, 0}
		return t
	}
	g := 1 - f
	t.weight = [4]float64{g * g * g / 6, 2.0/3 - f*f*(2-f)/2, 2.0/3 - g*g*(2-g)/2, f * f * f / 6}
	for k := range 4 {
		j := i - 1 + k
		if j < 0 {
			j = -j
		}
		if j > n-1 {
			j = 2*(n-1) - j
		}
		t.at[k] = min(max(j, 0), n-1)
	}
	return t
}

func (s *sampler) value(x, y, z tap) float64 {
	sum := 0.0
	for k, c := range z.at {
		if z.weight[k] == 0 {
			continue
		}
		for j, b := range y.at {
			if y.weight[j] == 0 {
				continue
			}
			row := s.coefficient[(c*s.size[1]+b)*s.size[0]:]
			line := 0.0
			for i, a := range x.at {
				line += x.weight[i] * row[a]
			}
			sum += z.weight[k] * y.weight[j] * line
		}
	}
	return sum
}
