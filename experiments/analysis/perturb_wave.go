package analysis

import (
	"math"
	"math/rand/v2"

	"hounsfield/datasets/volume"
)

// wave is a smooth random field in space, mm of displacement outwards: the sum of waves of
// random directions and phases (the spectral method), nearly normal with a standard
// deviation of sd and a covariance of sd^2 exp(-d^2/(2 length^2)) at a distance d.
//
// A contour is displaced by it along its signed distance. Zwanenburg and others, whose
// contour randomisation has the same end, take supervoxels of the image in or out by their
// overlap with the contour instead, so that their changes follow edges in the image and
// those here do not: a reader's doubt about where an edge lies, not which of two edges it
// is.
//
// Zwanenburg A et al. Scientific Reports 2019;9:614. doi:10.1038/s41598-018-36938-4;
// Shinozuka M, Jan CM. Journal of Sound and Vibration 1972;25:111-128.
// doi:10.1016/0022-460X(72)90600-1
type wave struct {
	scale float64
	most  float64           // mm at which a displacement is cut off
	k     [waves][3]float64 // rad per mm
	phase [waves]float64
}

const (
	waves    = 48
	waveMost = 3 // standard deviations at which a displacement is cut off
)

func newWave(sd, length float64, r *rand.Rand) *wave {
	w := &wave{scale: sd * math.Sqrt(2.0/waves), most: waveMost * sd}
	for i := range waves {
		for a := range 3 {
			w.k[i][a] = r.NormFloat64() / length
		}
		w.phase[i] = 2 * math.Pi * r.Float64()
	}
	return w
}

// gridWave is a wave at the voxels of a grid, row by row: cos(a+b) = cos a cos b - sin a
// sin b needs a cosine for each row and each column in place of one for each voxel.
type gridWave struct {
	*wave
	grid     volume.Grid
	x        [][waves][2]float64 // cos and sin of what a step along x adds
	cos, sin [waves]float64      // at the row's first voxel
}

func (w *wave) on(g volume.Grid) *gridWave {
	f := &gridWave{wave: w, grid: g, x: make([][waves][2]float64, g.Size[0])}
	first, step := g.Position([3]float64{}), g.Position([3]float64{1})
	for i, k := range w.k {
		angle := 0.0
		for a := range 3 {
			angle += k[a] * (step[a] - first[a])
		}
		for x := range f.x {
			sin, cos := math.Sincos(angle * float64(x))
			f.x[x][i] = [2]float64{cos, sin}
		}
	}
	return f
}

// row goes to a row of the grid.
func (f *gridWave) row(y, z int) {
	p := f.grid.Position([3]float64{0, float64(y), float64(z)})
	for i, k := range f.k {
		f.sin[i], f.cos[i] = math.Sincos(k[0]*p[0] + k[1]*p[1] + k[2]*p[2] + f.phase[i])
	}
}

// at is the displacement at voxel x of the row, mm.
func (f *gridWave) at(x int) float64 {
	sum := 0.0
	for i, c := range &f.x[x] {
		sum += f.cos[i]*c[0] - f.sin[i]*c[1]
	}
	return max(-f.most, min(f.most, f.scale*sum))
}
