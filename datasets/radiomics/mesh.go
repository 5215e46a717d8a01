package radiomics

import (
	"math"

	"hounsfield/datasets/volume"
)

// mesh is the surface of a region at half height between voxels inside and outside of it.
type mesh struct {
	volume, area float64 // mm3, mm2
	vertices     [][3]float64
}

// The corners of a cell and its edges, corner by corner.
var (
	cellCorners = [8][3]int{{0, 0, 0}, {1, 0, 0}, {1, 1, 0}, {0, 1, 0}, {0, 0, 1}, {1, 0, 1}, {1, 1, 1}, {0, 1, 1}}
	cellEdges   = [12][2]int{{0, 1}, {1, 2}, {2, 3}, {3, 0}, {4, 5}, {5, 6}, {6, 7}, {7, 4}, {0, 4}, {1, 5}, {2, 6}, {3, 7}}
	// Faces run round as seen from outside the cell.
	cellFaces = [6][4]int{{0, 3, 2, 1}, {4, 5, 6, 7}, {0, 1, 5, 4}, {1, 2, 6, 5}, {2, 3, 7, 6}, {3, 0, 4, 7}}
)

// cellTriangles are the triangles of a cell for each of 256 sets of corners inside, as edges
// whose middles they join, wound so that their normals point out of the region. It is the
// table of marching cubes (Lorensen and Cline 1987, doi:10.1145/37402.37422), made here by
// walking along the faces: where all four edges of a face are cut, corners inside are
// kept apart, so that neighbouring cells agree and the surface is closed.
var cellTriangles = func() (all [256][][3]int) {
	edgeOf := map[[2]int]int{}
	for e, c := range cellEdges {
		edgeOf[c], edgeOf[[2]int{c[1], c[0]}] = e, e
	}
	for set := range all {
		inside := func(c int) bool { return set>>c&1 == 1 }
		next := map[int]int{} // from edge to edge along the surface
		for _, f := range cellFaces {
			for k, c := range f {
				if d := f[(k+1)%4]; !inside(c) && inside(d) {
					// Enter before corner d; leave after the last corner inside that follows.
					m := k + 1
					for inside(f[(m+1)%4]) {
						m++
					}
					next[edgeOf[[2]int{c, d}]] = edgeOf[[2]int{f[m%4], f[(m+1)%4]}]
				}
			}
		}
		for len(next) > 0 {
			start := -1
			for e := range cellEdges {
				if _, ok := next[e]; ok {
					start = e
					break
				}
			}
			loop := []int{start}
			for e := next[start]; e != start; e = next[e] {
				loop = append(loop, e)
			}
			for _, e := range loop {
				delete(next, e)
			}
			all[set] = append(all[set], widest(loop)...)
		}
	}
	return all
}()

// widest cuts a loop of edges into a fan of triangles: of the possible fans the first of
// those that enclose most, as in the table that is in common use.
func widest(loop []int) [][3]int {
	middle := func(e int) (m [3]float64) {
		a, b := cellCorners[cellEdges[e][0]], cellCorners[cellEdges[e][1]]
		for k := range 3 {
			m[k] = float64(a[k]+b[k]) / 2
		}
		return m
	}
	var best [][3]int
	most := math.Inf(-1)
	for s := range loop {
		var fan [][3]int
		volume := 0.0
		for k := 1; k+1 < len(loop); k++ {
			t := [3]int{loop[s], loop[(s+k)%len(loop)], loop[(s+k+1)%len(loop)]}
			fan = append(fan, t)
			volume += dot(middle(t[0]), cross(middle(t[1]), middle(t[2])))
		}
		if volume > most+1e-9 { // not by rounding
			best, most = fan, volume
		}
	}
	return best
}

// surface makes the mesh of a region.
func (r *region) surface() mesh {
	var m mesh
	var middle [12][3]float64
	seen := map[[4]int]bool{} // vertices by cell of their first corner and axis
	for z := range r.size[2] - 1 {
		for y := range r.size[1] - 1 {
			for x := range r.size[0] - 1 {
				set := 0
				for c, d := range cellCorners {
					if r.in[r.offset(x+d[0], y+d[1], z+d[2])] {
						set |= 1 << c
					}
				}
				if set == 0 || set == 255 {
					continue
				}
				for e, c := range cellEdges {
					if set>>c[0]&1 == set>>c[1]&1 {
						continue
					}
					a, b := cellCorners[c[0]], cellCorners[c[1]]
					at := [3]int{x, y, z}
					var key [4]int
					for k := range 3 {
						middle[e][k] = (float64(at[k]) + float64(a[k]+b[k])/2) * r.spacing[k]
						key[k] = 2*at[k] + a[k] + b[k]
					}
					if !seen[key] {
						seen[key] = true
						m.vertices = append(m.vertices, middle[e])
					}
				}
				for _, t := range cellTriangles[set] {
					a, b, c := middle[t[0]], middle[t[1]], middle[t[2]]
					n := cross(sub(b, a), sub(c, a))
					m.area += math.Sqrt(dot(n, n)) / 2
					m.volume += dot(a, cross(b, c)) / 6
				}
			}
		}
	}
	m.volume = math.Abs(m.volume)
	return m
}

func sub(a, b [3]float64) [3]float64 { return [3]float64{a[0] - b[0], a[1] - b[1], a[2] - b[2]} }
func dot(a, b [3]float64) float64    { return a[0]*b[0] + a[1]*b[1] + a[2]*b[2] }
func cross(a, b [3]float64) [3]float64 {
	return [3]float64{a[1]*b[2] - a[2]*b[1], a[2]*b[0] - a[0]*b[2], a[0]*b[1] - a[1]*b[0]}
}

// diameter is the largest distance between vertices, mm.
func diameter(vertices [][3]float64) float64 { return volume.FarthestApart(extremes(vertices)) }

// extremes keeps the vertices that are first or last on their line along each axis: the two
// that are furthest apart are among them, because moving out along an axis away from the
// other one makes a distance larger.
func extremes(vertices [][3]float64) [][3]float64 {
	for axis := range 3 {
		ends := map[[2]float64][2]int{}
		var order [][2]float64
		for i, v := range vertices {
			line := [2]float64{v[(axis+1)%3], v[(axis+2)%3]}
			e, ok := ends[line]
			if !ok {
				order = append(order, line)
				e = [2]int{i, i}
			}
			if v[axis] < vertices[e[0]][axis] {
				e[0] = i
			}
			if v[axis] > vertices[e[1]][axis] {
				e[1] = i
			}
			ends[line] = e
		}
		var kept [][3]float64
		for _, line := range order {
			e := ends[line]
			kept = append(kept, vertices[e[0]])
			if e[1] != e[0] {
				kept = append(kept, vertices[e[1]])
			}
		}
		vertices = kept
	}
	return vertices
}

// planeDiameter is the largest distance between vertices of one plane across an axis.
func planeDiameter(vertices [][3]float64, axis int) float64 {
	planes := map[float64][][3]float64{}
	for _, v := range vertices {
		planes[v[axis]] = append(planes[v[axis]], v)
	}
	most := 0.0
	for _, p := range planes {
		most = max(most, diameter(p))
	}
	return most
}
