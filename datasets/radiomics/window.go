package radiomics

import (
	"math"

	"hounsfield/datasets/volume"
)

// window is the part of a scan around a tumour, on the grid that features are taken on.
// Around the tumour lies as much of the scan as the filters reach.
type window struct {
	size    [3]int
	spacing [3]float64
	in      []bool
	values  []float64
}

// reachSD is how many standard deviations of a Gaussian count.
const reachSD = 6

// newWindow cuts the window out of a scan, resampled where asked for. The new grid shares its
// corner with the scan's: its first voxel begins where the scan's does. Beyond the scan the
// nearest voxel counts.
func newWindow(ct *volume.Volume, mask *volume.Mask, s Settings) *window {
	g := ct.Grid
	w := &window{spacing: g.Spacing}
	if s.SpacingMM > 0 {
		w.spacing = [3]float64{s.SpacingMM, s.SpacingMM, s.SpacingMM}
	}
	most := 0.0
	for _, sigma := range s.LoGMM {
		most = max(most, sigma)
	}
	first, last, _ := mask.Bounds()
	// A voxel k of the new grid has its centre at old index (k + 1/2) ratio - 1/2.
	var low [3]int
	var ratio [3]float64
	for a := range 3 {
		ratio[a] = w.spacing[a] / g.Spacing[a]
		border := 1 + int(math.Ceil(reachSD*most/w.spacing[a]))
		low[a] = int(math.Floor((float64(first[a])-0.5)/ratio[a])) - border
		high := int(math.Ceil((float64(last[a])+1.5)/ratio[a])) + border
		w.size[a] = high - low[a] + 1
	}
	at := func(a, k int) float64 { return (float64(low[a]+k)+0.5)*ratio[a] - 0.5 }
	w.in = make([]bool, w.size[0]*w.size[1]*w.size[2])
	w.values = make([]float64, len(w.in))
	sample := newSampler(ct, s.BSpline && s.SpacingMM > 0, [3]float64{at(0, 0), at(1, 0), at(2, 0)},
		[3]float64{at(0, w.size[0]-1), at(1, w.size[1]-1), at(2, w.size[2]-1)})
	var weights [3][]tap
	for a := range 3 {
		weights[a] = make([]tap, w.size[a])
		for k := range weights[a] {
			weights[a][k] = sample.tap(a, at(a, k))
		}
	}
	i := 0
	for z := range w.size[2] {
		for y := range w.size[1] {
			for x := range w.size[0] {
				w.values[i] = sample.value(weights[0][x], weights[1][y], weights[2][z])
				// Nearest voxel of the mask; half rounds up.
				c := [3]int{int(math.Floor(at(0, x) + 0.5)), int(math.Floor(at(1, y) + 0.5)), int(math.Floor(at(2, z) + 0.5))}
				if c[0] >= 0 && c[1] >= 0 && c[2] >= 0 && c[0] < g.Size[0] && c[1] < g.Size[1] && c[2] < g.Size[2] {
					w.in[i] = mask.In[g.Offset(c[0], c[1], c[2])] != 0
				}
				i++
			}
		}
	}
	return w
}

// region is the tumour with some values on the window's grid.
func (w *window) region(values []float64) *region {
	r := &region{size: w.size, spacing: w.spacing, in: w.in, value: values}
	for i, in := range w.in {
		if in {
			r.voxels = append(r.voxels, i)
		}
	}
	return r
}

// laplacian filters the window with the Laplacian of a Gaussian of some mm, times sigma
// squared, so that the sizes of different scales can be compared. The kernels are sampled
// and made exact for parabolas; beyond the window the nearest voxel counts.
func (w *window) laplacian(sigma float64) []float64 {
	out := make([]float64, len(w.values))
	for second := range 3 {
		part := w.values
		for a := range 3 {
			part = w.along(a, part, gaussian(sigma/w.spacing[a], a == second))
		}
		// A second derivative by voxels becomes one by mm.
		scale := sigma * sigma / (w.spacing[second] * w.spacing[second])
		for i, v := range part {
			out[i] += scale * v
		}
	}
	return out
}

// gaussian is a kernel of a standard deviation in voxels, or its second derivative.
func gaussian(sd float64, second bool) []float64 {
	half := max(1, int(math.Ceil(reachSD*sd)))
	k := make([]float64, 2*half+1)
	sum := 0.0
	for i := range k {
		d := float64(i - half)
		k[i] = math.Exp(-d * d / (2 * sd * sd))
		sum += k[i]
	}
	for i := range k {
		k[i] /= sum
	}
	if !second {
		return k
	}
	// Of a constant the second derivative is 0, of d^2 it is 2.
	variance := 0.0
	for i := range k {
		d := float64(i - half)
		variance += d * d * k[i]
	}
	square := 0.0
	for i := range k {
		d := float64(i - half)
		k[i] *= d*d - variance
		square += d * d * k[i]
	}
	if square > 0 {
		for i := range k {
			k[i] *= 2 / square
		}
	}
	return k
}

// along convolves with a symmetrical kernel along one axis.
func (w *window) along(axis int, from, kernel []float64) []float64 {
	out := make([]float64, len(from))
	stride := [3]int{1, w.size[0], w.size[0] * w.size[1]}[axis]
	n, half := w.size[axis], len(kernel)/2
	line := make([]float64, n+2*half)
	for start := range from {
		if start/stride%n != 0 {
			continue
		}
		for k := range line {
			line[k] = from[start+stride*min(max(k-half, 0), n-1)]
		}
		for k := range n {
			sum := 0.0
			for t, c := range kernel {
				sum += c * line[k+t]
			}
			out[start+stride*k] = sum
		}
	}
	return out
}
