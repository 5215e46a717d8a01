package radiomics

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"
)

// shapeFeatures describe the outline of a region, on the grid that its texture is taken on.
func shapeFeatures(r *region) []Feature {
	m := r.surface()
	v, a := m.volume, m.area
	voxel := r.spacing[0] * r.spacing[1] * r.spacing[2]
	centre, weighted := [3]float64{}, [3]float64{}
	n, sum := float64(len(r.voxels)), 0.0
	place := func(i int) [3]float64 {
		x, y, z := r.at(i)
		return [3]float64{float64(x) * r.spacing[0], float64(y) * r.spacing[1], float64(z) * r.spacing[2]}
	}
	for _, i := range r.voxels {
		p := place(i)
		sum += r.value[i]
		for k := range 3 {
			centre[k] += p[k] / n
			weighted[k] += p[k] * r.value[i]
		}
	}
	spread := mat.NewSymDense(3, nil)
	low, high := [3]float64{math.Inf(1), math.Inf(1), math.Inf(1)}, [3]float64{math.Inf(-1), math.Inf(-1), math.Inf(-1)}
	for _, i := range r.voxels {
		d := sub(place(i), centre)
		for p := range 3 {
			for q := p; q < 3; q++ {
				spread.SetSym(p, q, spread.At(p, q)+d[p]*d[q]/(n-1))
			}
		}
	}
	for _, p := range m.vertices {
		for k := range 3 {
			low[k], high[k] = min(low[k], p[k]), max(high[k], p[k])
		}
	}
	axis := principal(spread)
	for k := range 3 {
		weighted[k] /= sum
	}
	shift := sub(centre, weighted)
	box := sub(high, low)
	sphere := math.Cbrt(36 * math.Pi * v * v)
	f := func(name, ibsi, unit string, value float64) Feature {
		return Feature{Image: "original", Family: "shape", Name: name, IBSI: ibsi, Unit: unit, Value: value}
	}
	return []Feature{
		f("MeshVolume", "RNU0", "mm3", v), f("VoxelVolume", "YEKZ", "mm3", n*voxel), f("SurfaceArea", "C0JK", "mm2", a), f("SurfaceVolumeRatio", "2PR5", "1/mm", a/v),
		f("Compactness1", "SKGS", "", v/(math.Sqrt(math.Pi)*math.Pow(a, 1.5))), f("Compactness2", "BQWJ", "", 36*math.Pi*v*v/(a*a*a)),
		f("SphericalDisproportion", "KRCK", "", a/sphere), f("Sphericity", "QCFX", "", sphere/a), f("Asphericity", "25C7", "", a/sphere-1),
		f("CentreOfMassShift", "KLMA", "mm", math.Sqrt(dot(shift, shift))),
		f("Maximum3DDiameter", "L0JK", "mm", diameter(m.vertices)),
		f("Maximum2DDiameterSlice", "", "mm", planeDiameter(m.vertices, 2)), f("Maximum2DDiameterColumn", "", "mm", planeDiameter(m.vertices, 1)), f("Maximum2DDiameterRow", "", "mm", planeDiameter(m.vertices, 0)),
		f("MajorAxisLength", "TDIC", "mm", axis[0]), f("MinorAxisLength", "P9VJ", "mm", axis[1]), f("LeastAxisLength", "7J51", "mm", axis[2]),
		f("Elongation", "Q3CK", "", over(axis[1], axis[0])), f("Flatness", "N17B", "", over(axis[2], axis[0])),
		f("BoxVolumeDensity", "PBX1", "", v/(box[0]*box[1]*box[2])), f("BoxAreaDensity", "R59B", "", a/(2*(box[0]*box[1]+box[1]*box[2]+box[2]*box[0]))),
		f("EllipsoidVolumeDensity", "6BDE", "", over(v, math.Pi/6*axis[0]*axis[1]*axis[2])),
		f("IntegratedIntensity", "99N0", "HU mm3", v*sum/n),
	}
}

// principal are the lengths of the axes of the ellipsoid with a covariance, largest first.
func principal(covariance *mat.SymDense) [3]float64 {
	var e mat.EigenSym
	if !e.Factorize(covariance, false) {
		return [3]float64{math.NaN(), math.NaN(), math.NaN()}
	}
	values := e.Values(nil)
	slices.Reverse(values)
	var axis [3]float64
	for k, v := range values {
		axis[k] = 4 * math.Sqrt(max(v, 0)) // a flat region's may come out below 0
	}
	return axis
}
