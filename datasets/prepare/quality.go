package prepare

import (
	"math"

	"hounsfield/datasets/volume"
)

// quality is what a person needs to know of a contour besides its picture: whether it looks
// like a tumour in this scan.
type quality struct {
	TumourHU  float64 // median of the scan within the mask, HU
	Parts     int     // pieces of the mask, voxels touching at a corner being one piece
	MainShare float64 // voxels of the largest piece / all
	// GapMM is how far the piece farthest from the largest is from it: the distance of the
	// boxes around the two, along the mask's axes, and so at most the true one.
	GapMM float64
	// OffMaskMM is the distance of the centre of mass to the nearest voxel centre of the mask;
	// 0 where the voxel it falls into is inside.
	OffMaskMM  float64
	BeyondCube float64 // voxels of the mask outside the cube without margin / all
	EdgeVoxels int     // voxels of the mask in the outermost layer of its grid
	Outside    int     // voxels of the mask whose centre lies outside the scan
	// SkinMM is the distance of the centre of mass to the air around the patient, in its axial
	// slice; -1 where the slice shows none.
	SkinMM float64
}

// quality looks at a contour while its voxels are in memory.
func (p *Prepared) quality() quality {
	q := quality{SkinMM: p.skin(), Outside: p.Cube.MaskOutside}
	first, last, ok := p.Mask.Bounds()
	if !ok {
		return q
	}
	part := p.Mask.Crop(first, last)
	q.Parts, q.MainShare, q.GapMM = pieces(part)
	p.walk(&q, first, last)
	return q
}

// walk goes over the voxels inside, once, for all that depends on where each lies.
func (p *Prepared) walk(q *quality, first, last [3]int) {
	mask, iso := p.Mask, p.CT.Grid.Isotropic(p.Spec.SpacingMM)
	toIso := between(mask.Grid, iso)
	lo, size := p.Cube.First(), float64(p.Spec.Size)
	for a := range 3 {
		lo[a] += p.Cube.Margin
	}
	near := mask.Grid.Index(p.Cube.CentreMM)
	at := [3]int{int(math.Round(near[0])), int(math.Round(near[1])), int(math.Round(near[2]))}
	if !inGrid(mask.Grid, at) || mask.In[mask.Grid.Offset(at[0], at[1], at[2])] == 0 {
		q.OffMaskMM = math.Inf(1)
	}
	same := mask.Grid == p.CT.Grid
	counts := make([]int, 1<<16) // of whole HU, from -32768
	inside, beyond, seen := 0, 0, 0
	for z := first[2]; z <= last[2]; z++ {
		for y := first[1]; y <= last[1]; y++ {
			row := mask.Grid.Offset(0, y, z)
			for x := first[0]; x <= last[0]; x++ {
				if mask.In[row+x] == 0 {
					continue
				}
				inside++
				if i := [3]int{x, y, z}; atEdge(mask.Grid, i) {
					q.EdgeVoxels++
				}
				t := toIso.apply(x, y, z)
				off := 0.0
				in := true
				for a := range 3 {
					in = in && t[a] >= float64(lo[a])-0.5 && t[a] < float64(lo[a])+size-0.5
					off += (t[a] - p.Cube.CentreOfMass[a]) * (t[a] - p.Cube.CentreOfMass[a])
				}
				if !in {
					beyond++
				}
				q.OffMaskMM = min(q.OffMaskMM, math.Sqrt(off)*p.Spec.SpacingMM)
				hu, ok := float32(0), same
				if same {
					hu = p.CT.HU[row+x]
				} else {
					hu, ok = nearestHU(p.CT, mask.Grid.Position([3]float64{float64(x), float64(y), float64(z)}))
				}
				if ok {
					seen++
					counts[int(max(math.MinInt16, min(math.MaxInt16, math.Round(float64(hu)))))-math.MinInt16]++
				}
			}
		}
	}
	q.BeyondCube = float64(beyond) / float64(inside)
	q.TumourHU = medianOf(counts, seen)
}

// medianOf is the median of values counted from -32768 upwards, the lower of the two in the
// middle; 0 of nothing.
func medianOf(counts []int, n int) float64 {
	upTo := 0
	for i, c := range counts {
		if upTo += c; 2*upTo >= n && upTo > 0 {
			return float64(i + math.MinInt16)
		}
	}
	return 0
}

func nearestHU(v *volume.Volume, position [3]float64) (hu float32, ok bool) {
	t := v.Grid.Index(position)
	i := [3]int{int(math.Floor(t[0] + 0.5)), int(math.Floor(t[1] + 0.5)), int(math.Floor(t[2] + 0.5))}
	if !inGrid(v.Grid, i) {
		return 0, false
	}
	return v.HU[v.Grid.Offset(i[0], i[1], i[2])], true
}

func inGrid(g volume.Grid, i [3]int) bool {
	for a := range 3 {
		if i[a] < 0 || i[a] >= g.Size[a] {
			return false
		}
	}
	return true
}

// atEdge says whether a voxel has no neighbour on some side. A single slice is all edge.
func atEdge(g volume.Grid, i [3]int) bool {
	for a := range 3 {
		if i[a] == 0 || i[a] == g.Size[a]-1 {
			return true
		}
	}
	return false
}

// affine is the way from the indices of one grid to those of another.
type affine struct {
	start [3]float64
	step  [3][3]float64 // by axis of the first grid
}

func between(from, to volume.Grid) affine {
	index := func(i [3]float64) [3]float64 { return to.Index(from.Position(i)) }
	m := affine{start: index([3]float64{})}
	for a := range 3 {
		var one [3]float64
		one[a] = 1
		m.step[a] = index(one)
		for b := range 3 {
			m.step[a][b] -= m.start[b]
		}
	}
	return m
}

func (m *affine) apply(x, y, z int) (t [3]float64) {
	for a := range 3 {
		t[a] = m.start[a] + float64(x)*m.step[0][a] + float64(y)*m.step[1][a] + float64(z)*m.step[2][a]
	}
	return t
}

// pieces counts the pieces of a mask, says how much of it the largest holds (the first of
// equals) and how far the farthest piece is from that, box to box. The mask is used up.
func pieces(m *volume.Mask) (n int, mainShare, gapMM float64) {
	type piece struct {
		voxels      int
		first, last [3]int
	}
	var all []piece
	var stack [][3]int
	total, largest := 0, 0
	g := m.Grid
	for z := range g.Size[2] {
		for y := range g.Size[1] {
			for x := range g.Size[0] {
				if m.In[g.Offset(x, y, z)] == 0 {
					continue
				}
				p := piece{first: [3]int{x, y, z}, last: [3]int{x, y, z}}
				m.In[g.Offset(x, y, z)] = 0
				stack = append(stack[:0], [3]int{x, y, z})
				for len(stack) > 0 {
					i := stack[len(stack)-1]
					stack = stack[:len(stack)-1]
					p.voxels++
					for a := range 3 {
						p.first[a], p.last[a] = min(p.first[a], i[a]), max(p.last[a], i[a])
					}
					for dz := max(i[2]-1, 0); dz <= min(i[2]+1, g.Size[2]-1); dz++ {
						for dy := max(i[1]-1, 0); dy <= min(i[1]+1, g.Size[1]-1); dy++ {
							for dx := max(i[0]-1, 0); dx <= min(i[0]+1, g.Size[0]-1); dx++ {
								if at := g.Offset(dx, dy, dz); m.In[at] != 0 {
									m.In[at] = 0
									stack = append(stack, [3]int{dx, dy, dz})
								}
							}
						}
					}
				}
				total += p.voxels
				if len(all) > 0 && p.voxels > all[largest].voxels {
					largest = len(all)
				}
				all = append(all, p)
			}
		}
	}
	if total == 0 {
		return 0, 0, 0
	}
	main := all[largest]
	for _, p := range all {
		apart := 0.0
		for a := range 3 {
			steps := max(p.first[a]-main.last[a], main.first[a]-p.last[a], 0)
			apart += float64(steps*steps) * g.Spacing[a] * g.Spacing[a]
		}
		gapMM = max(gapMM, math.Sqrt(apart))
	}
	return len(all), float64(main.voxels) / float64(total), gapMM
}

// outsideAirHU is below what lung tissue averages over nine pixels and above the air around
// a patient with its noise.
const outsideAirHU = -900

// skin is the distance, mm, from the centre of mass to the air around the patient, in the
// slice of the scan that runs through it: the pixels whose mean with their neighbours is
// below outsideAirHU and that hang together with such at the slice's border. 0 where the
// centre itself lies in it; -1 where less than half the border is such air: the slice is
// cut too close to show the skin, or is no axial one.
func (p *Prepared) skin() float64 {
	g := p.CT.Grid
	t := g.Index(p.Cube.CentreMM)
	z := int(math.Round(t[2]))
	nx, ny := g.Size[0], g.Size[1]
	if z < 0 || z >= g.Size[2] || nx < 3 || ny < 3 {
		return -1
	}
	hu := p.CT.HU[g.Offset(0, 0, z):][:nx*ny]
	air := thinAir(hu, nx, ny)
	var stack []int
	border := 0
	take := func(i int) {
		if air[i] == 1 {
			air[i] = 2
			stack = append(stack, i)
		}
	}
	for x := range nx {
		take(x)
		take((ny-1)*nx + x)
		border += 2
	}
	for y := 1; y < ny-1; y++ {
		take(y * nx)
		take(y*nx + nx - 1)
		border += 2
	}
	if 2*len(stack) < border {
		return -1
	}
	nearest := math.Inf(1)
	for len(stack) > 0 {
		i := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		x, y := i%nx, i/nx
		nearest = min(nearest, math.Hypot((float64(x)-t[0])*g.Spacing[0], (float64(y)-t[1])*g.Spacing[1]))
		if x > 0 {
			take(i - 1)
		}
		if x < nx-1 {
			take(i + 1)
		}
		if y > 0 {
			take(i - nx)
		}
		if y < ny-1 {
			take(i + nx)
		}
	}
	if nearest <= math.Hypot(g.Spacing[0], g.Spacing[1])/2 {
		return 0
	}
	return nearest
}

// thinAir marks with 1 the pixels of a slice that are, on average with their neighbours,
// below outsideAirHU.
func thinAir(hu []float32, nx, ny int) []uint8 {
	rows := make([]float32, nx*ny) // sums of three along x
	for y := range ny {
		from, to := hu[y*nx:][:nx], rows[y*nx:][:nx]
		for x := range nx {
			to[x] = from[max(x-1, 0)] + from[x] + from[min(x+1, nx-1)]
		}
	}
	air := make([]uint8, nx*ny)
	for y := range ny {
		above, here, below := rows[max(y-1, 0)*nx:][:nx], rows[y*nx:][:nx], rows[min(y+1, ny-1)*nx:][:nx]
		for x := range nx {
			if above[x]+here[x]+below[x] < 9*outsideAirHU {
				air[y*nx+x] = 1
			}
		}
	}
	return air
}
