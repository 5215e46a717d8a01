package phantom

import (
	"math"
	"math/rand/v2"

	"hounsfield/datasets/volume"
)

// fieldMM is the edge of the part of the patient that a scan covers: enough for a
// 50 mm cube, 10 mm of shift on each side, and a tumour off the middle.
const fieldMM = 100

// Scan makes the CT of subject i and the reference contour of its tumour, on the same
// grid (axial, head up). HU are whole numbers, as a scanner writes them. Some tumours
// lie near the first or last slice.
func (p *Phantom) Scan(i int) (*volume.Volume, *volume.Mask) {
	s := p.Subject(i)
	at := p.place(s)
	sc := newScene(p.spec.Seed, i, s.Traits)
	v := newView(at.grid, at.pose, s.Scanner.BlurMM)
	ct := sc.render(v)
	finish(ct, s.Scanner, source(p.spec.Seed, forNoise, i))
	return ct, sc.contour(v)
}

// Contour is the reference contour of Scan, made without the CT.
func (p *Phantom) Contour(i int) *volume.Mask {
	s := p.Subject(i)
	at := p.place(s)
	return newScene(p.spec.Seed, i, s.Traits).contour(newView(at.grid, at.pose, s.Scanner.BlurMM))
}

// HasSecondScan says whether subject i was scanned twice.
func (p *Phantom) HasSecondScan(i int) bool {
	return stream(p.spec.Seed, forSecondScan, i).Float64() < p.spec.SecondScans
}

// SecondScan is subject i some minutes later on the same scanner: the same anatomy
// after a small rigid motion (a few mm, a few degrees), with new noise, and the
// contour moved along. It can be made for every subject; HasSecondScan says which
// ones the cohort holds.
func (p *Phantom) SecondScan(i int) (*volume.Volume, *volume.Mask) {
	s := p.Subject(i)
	at := p.place(s)
	sc := newScene(p.spec.Seed, i, s.Traits)
	v := newView(at.grid, p.moved(at.pose, i), s.Scanner.BlurMM)
	ct := sc.render(v)
	finish(ct, s.Scanner, source(p.spec.Seed, forSecondNoise, i))
	return ct, sc.contour(v)
}

func (p *Phantom) moved(from pose, i int) pose {
	r := stream(p.spec.Seed, forSecondScan, i)
	r.Float64() // HasSecondScan's draw
	turn := rotation(direction(r), clamp(r.NormFloat64(), -2, 2)*2*math.Pi/180)
	return pose{turn: turn, shift: from.shift.add(direction(r).times(uniform(r, 0.5, 3)))}
}

// ReaderMask is the contour of subject i's tumour on its first scan by one of the
// readers (0 <= reader): each draws consistently a little too wide or too narrow, and
// wavers smoothly around the outline from case to case.
func (p *Phantom) ReaderMask(i, reader int) *volume.Mask {
	s := p.Subject(i)
	at := p.place(s)
	sc := newScene(p.spec.Seed, i, s.Traits)
	// Steps of the golden ratio spread the habits of any number of readers evenly.
	_, habit := math.Modf(stream(p.spec.Seed, forReaderBias, 0).Float64() + float64(reader)*(math.Sqrt(5)-1)/2)
	bias := 0.05 * (2*habit - 1)
	r := stream(p.spec.Seed, forReaderCase, i*1009+reader)
	// Ground glass has no sharp edge: readers disagree more on it.
	waver := 0.06 + 0.05*(1-s.Traits.Density)
	b := sc.tumour.body
	b.radius *= 1 + bias + 0.02*clamp(r.NormFloat64(), -2, 2)
	b.lobes = append([]lobe(nil), b.lobes...)
	for range 8 {
		b.lobes = append(b.lobes, lobe{to: direction(r), height: waver * clamp(r.NormFloat64(), -2, 2), sharp: 2})
	}
	return sc.outline(newView(at.grid, at.pose, s.Scanner.BlurMM), &b)
}

// placement is where a subject's tumour is and which voxels its scan has.
type placement struct {
	grid volume.Grid
	pose pose
}

// place positions the scan: the tumour near the middle of the field, now and then
// close to the first or last slice.
func (p *Phantom) place(s Subject) placement {
	r := stream(p.spec.Seed, forPlacement, s.Index)
	c := s.Scanner
	tumour := vec{uniform(r, -90, 90), uniform(r, -60, 60), uniform(r, -260, -40)}
	g := volume.Grid{Spacing: [3]float64{c.PixelMM, c.PixelMM, c.SliceMM}, Direction: volume.Identity}
	cut := 0.0
	if r.Float64() < 0.08 { // part of the field is above or below the scan
		cut = fieldMM/2 - max(s.Traits.DiameterMM*0.8+3, uniform(r, 14, 30))
		cut = max(cut, 0)
	}
	top := r.IntN(2) == 0
	for a := range 3 {
		g.Size[a] = int(math.Ceil(fieldMM / g.Spacing[a]))
		if a == 2 {
			g.Size[a] = int(math.Ceil((fieldMM - cut) / g.Spacing[a]))
		}
		low := [3]float64{tumour.x, tumour.y, tumour.z}[a] - fieldMM/2 + uniform(r, -5, 5)
		if a == 2 && !top {
			low += cut
		}
		g.Origin[a] = math.Round(low*100) / 100 // DICOM writes decimal strings
	}
	return placement{grid: g, pose: pose{turn: rotation(vec{0, 0, 1}, 0), shift: tumour}}
}

// finish adds what the scanner adds: noise shaped by its kernel, a calibration
// offset, whole HU within a 12-bit range.
func finish(ct *volume.Volume, c Scanner, src *rand.PCG) {
	noise := make([]float32, len(ct.HU))
	if c.NoiseHU > 0 {
		fillNormal(noise, src)
		smoothPlane(noise, ct.Grid, c.BlurMM, c.NoiseHU)
	}
	for k, v := range ct.HU {
		hu := float64(v+noise[k]) + c.OffsetHU
		ct.HU[k] = float32(max(volume.HUMin, min(volume.HUMax, math.Floor(hu+0.5))))
	}
}

// smoothPlane blurs white noise within each slice by a Gaussian kernel and scales it
// to a standard deviation of sigma. Pixels beyond the border count as zero noise.
func smoothPlane(noise []float32, g volume.Grid, blurMM, sigma float64) {
	sd := blurMM / g.Spacing[0]
	half := int(math.Ceil(2.5 * sd))
	kernel := make([]float32, 2*half+1)
	power := 0.0
	for i := range kernel {
		w := 1.0
		if sd > 0 {
			d := float64(i-half) / sd
			w = math.Exp(-d * d / 2)
		}
		kernel[i] = float32(w)
		power += w * w
	}
	// White noise through a kernel k has variance sum k^2, once for each axis.
	for i := range kernel {
		kernel[i] *= float32(math.Sqrt(sigma / power))
	}
	nx, ny := g.Size[0], g.Size[1]
	plane := make([]float32, nx*ny)
	for z := range g.Size[2] {
		slice := noise[z*nx*ny:][:nx*ny]
		for i := range plane {
			plane[i] = 0
		}
		for y := range ny {
			row, out := slice[y*nx:][:nx], plane[y*nx:][:nx]
			for i, w := range kernel {
				addShifted(out, row, w, i-half)
			}
		}
		for i := range slice {
			slice[i] = 0
		}
		for i, w := range kernel {
			shift := (i - half) * nx
			addShifted(slice, plane, w, shift)
		}
	}
}

// addShifted adds w x src, moved by shift places, to dst; both have one length.
func addShifted(dst, src []float32, w float32, shift int) {
	if shift >= 0 {
		dst = dst[min(shift, len(dst)):]
	} else {
		src = src[min(-shift, len(src)):]
	}
	n := min(len(dst), len(src))
	dst, src = dst[:n], src[:n]
	for k, v := range src {
		dst[k] += w * v
	}
}
