package analysis

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"hounsfield/datasets/table"
	"hounsfield/datasets/volume"
	"hounsfield/stats"
)

// The regions in which a map should have its largest value.
const (
	regionTumour = "tumour"
	regionHalo   = "tumour and halo" // the phantom's ground-glass rim, on which its hazard depends too
)

// pointed is where a method points in one patient.
type pointed struct {
	method string
	empty  bool   // the map is 0 everywhere
	voxel  [3]int // of the largest size, x, y, z in the cube
	mm     [3]float64
	hit    map[string]bool    // by region
	energy map[string]float64 // share of the map's size that lies inside, by region; NaN for an empty map
}

// player is a patient of the pointing game.
type player struct {
	row    int
	share  map[string]map[string]float64 // by method and region: of the voxels where the map can have values; chance
	centre map[string]bool               // whether the cube's centre is in the region
	looked []pointed                     // aligned with the methods
	change float64                       // of integrated gradients, see lookedAt
	gap    float64
}

// play makes maps of the sample and asks where they point (Zhang et al. 2018,
// doi:10.1007/s11263-017-1059-x), and how much of them lies inside (the energy of Wang et
// al. 2020, arXiv:1910.01279). Of a map with signs the size counts: tissue that lowers the
// risk is looked at as well.
func (a *activation) play(ctx context.Context) ([]player, error) {
	rows := a.sampled()
	var all []player
	err := a.each(ctx, rows, "activation: the sample", func(k int, e *Explanation) error {
		p := player{row: rows[k], share: map[string]map[string]float64{}, centre: map[string]bool{}, change: e.change, gap: e.gap}
		regions := a.regions(e)
		n := e.Cube.Grid.Size[0]
		for name, in := range regions {
			p.centre[name] = in.In[in.Grid.Offset(n/2, n/2, n/2)] != 0
		}
		for _, m := range e.Maps {
			p.looked = append(p.looked, point(m.Method, m.OnCube, regions))
			p.share[m.Method] = shares(regions, a.maps.reach(m.Method))
		}
		p.share[byCentre] = shares(regions, span{0, n - 1}) // of the whole cube
		all = append(all, p)
		return nil
	})
	return all, err
}

// shares are those of a part of the cube that the regions take.
func shares(regions map[string]*volume.Mask, s span) map[string]float64 {
	out := map[string]float64{}
	for name, in := range regions {
		n, inside := 0, 0
		for z := s.first; z <= s.last; z++ {
			for y := s.first; y <= s.last; y++ {
				for _, v := range in.In[in.Grid.Offset(s.first, y, z) : in.Grid.Offset(s.last, y, z)+1] {
					n++
					inside += int(v)
				}
			}
		}
		out[name] = float64(inside) / float64(n)
	}
	return out
}

// each makes the maps of some patients, one after the other. One whose scan cannot be used
// becomes an exclusion; other errors stop.
func (a *activation) each(ctx context.Context, rows []int, what string, do func(k int, e *Explanation) error) error {
	bar := a.Progress.Bar(len(rows), what)
	for k, row := range rows {
		e, err := a.explain(ctx, row)
		var unusable *patientError
		switch {
		case err == nil:
			if err := do(k, e); err != nil {
				return err
			}
		case ctx.Err() == nil && errors.As(err, &unusable):
			a.lose(unusable.patient, unusable.err.Error())
		default:
			return err
		}
		bar.Add(1)
	}
	bar.Done()
	return nil
}

// regions are those of a patient, on the cube.
func (a *activation) regions(e *Explanation) map[string]*volume.Mask {
	out := map[string]*volume.Mask{regionTumour: volume.ResampleMask(e.tumour, e.Cube.Grid)}
	if a.Phantom != nil {
		halo := volume.ResampleMask(a.Phantom.Halo(a.images[e.Patient]), e.Cube.Grid)
		for k, v := range out[regionTumour].In {
			halo.In[k] |= v
		}
		out[regionHalo] = halo
	}
	return out
}

func (a *activation) regionNames() []string {
	if a.Phantom != nil {
		return []string{regionTumour, regionHalo}
	}
	return []string{regionTumour}
}

// point finds the largest size of a map. Where several voxels have it, as those of one box
// of the occlusion do, it is the one next to their middle, of these the first in the order
// z, y, x: else a map would point to its boxes' corners.
func point(method string, m *volume.Volume, regions map[string]*volume.Mask) pointed {
	p := pointed{method: method, hit: map[string]bool{}, energy: map[string]float64{}}
	most, total := 0.0, 0.0
	for _, v := range m.HU {
		most = max(most, math.Abs(float64(v)))
		total += math.Abs(float64(v))
	}
	best, n := middleOf(m, most), m.Grid.Size
	p.empty, p.voxel = m.HU[best] == 0, [3]int{best % n[0], best / n[0] % n[1], best / (n[0] * n[1])}
	p.mm = m.Grid.Position([3]float64{float64(p.voxel[0]), float64(p.voxel[1]), float64(p.voxel[2])})
	for name, in := range regions {
		inside := 0.0
		for k, v := range in.In {
			if v != 0 {
				inside += math.Abs(float64(m.HU[k]))
			}
		}
		p.hit[name], p.energy[name] = !p.empty && in.In[best] != 0, inside/total
	}
	return p
}

// middleOf is the place of the voxel of this size next to the middle of all that have it.
func middleOf(m *volume.Volume, size float64) int {
	var all []int
	var middle [3]float64
	n := m.Grid.Size
	at := func(k int) [3]float64 {
		return [3]float64{float64(k % n[0]), float64(k / n[0] % n[1]), float64(k / (n[0] * n[1]))}
	}
	for k, v := range m.HU {
		if math.Abs(float64(v)) == size {
			all = append(all, k)
			for a, i := range at(k) {
				middle[a] += i
			}
		}
	}
	best, least := 0, math.Inf(1)
	for _, k := range all {
		far := 0.0
		for a, i := range at(k) {
			d := i - middle[a]/float64(len(all))
			far += d * d
		}
		if far < least {
			best, least = k, far
		}
	}
	return best
}

// Names of the measures of the pointing game.
const (
	pointingGame = "pointing_game"
	energyInside = "energy_inside"
	regionShare  = "share_of_region"
	pathGap      = "integrated_gradients_gap"
	byCentre     = "the cube's centre"
)

// pointingMeasures are those of all methods and regions, and what to read them against.
func (a *activation) pointingMeasures(all []player) ([]Measure, error) {
	if len(all) == 0 {
		return nil, nil
	}
	var out []Measure
	for _, region := range a.regionNames() {
		game := func(by string, hit func(p player) bool, method string) error {
			hits := 0
			for _, p := range all {
				if hit(p) {
					hits++
				}
			}
			share, err := stats.ProportionCI(hits, len(all), stats.Wilson, a.Level)
			if err != nil {
				return err
			}
			chances, group := table.ColumnOf(all, func(p player) float64 { return p.share[by][region] }), by+", "+region
			out = append(out, Measure{Name: pointingGame, Group: group, N: len(all), Value: share.Estimate, Low: table.Finite(share.Low), High: table.Finite(share.High),
				P: table.Finite(tailOfTrials(chances, hits)), Method: method + "; Wilson CI; p one-sided against a point anywhere in " + a.reachWords(by)},
				a.meanOf(regionShare, group, chances, "share of "+a.reachWords(by)+", mean over patients: the pointing game and the energy of a map that knows nothing"))
			return nil
		}
		for i, m := range a.methods {
			if err := game(m.name, func(p player) bool { return p.looked[i].hit[region] }, "share of patients with the map's largest size inside"); err != nil {
				return nil, err
			}
			var energy []float64
			for _, p := range all {
				if e := p.looked[i].energy[region]; !math.IsNaN(e) {
					energy = append(energy, e)
				}
			}
			if len(energy) > 0 {
				out = append(out, a.meanOf(energyInside, m.name+", "+region, energy, "share of the map's sizes inside, mean over patients whose map is not empty"))
			}
		}
		if err := game(byCentre, func(p player) bool { return p.centre[region] }, "a map that always points to the middle of the cube, which is cut around the tumour's centre of mass"); err != nil {
			return nil, err
		}
	}
	if slices.Contains(a.settings.Methods, integrated) {
		gaps := table.ColumnOf(all, func(p player) float64 { return math.Abs(p.gap) })
		out = append(out, a.meanOf(pathGap, integrated, gaps, "size of the attributions' sum less the change of the log-odds, mean over patients"))
		changes := table.ColumnOf(all, func(p player) float64 { return math.Abs(p.change) })
		out = append(out, a.meanOf("integrated_gradients_change", integrated, changes, "size of the change of the log-odds from the baseline, mean over patients"))
	}
	return out, nil
}

// reachWords say where a method's map can have values.
func (a *activation) reachWords(method string) string {
	s := a.maps.reach(method)
	switch n := s.last - s.first + 1; {
	case method == byCentre || n == a.spec.Size:
		return "the cube"
	case method == gradCAM || method == guidedGradCAM:
		return fmt.Sprintf("the middle %d^3 voxels, where the layer has positions", n)
	default:
		return fmt.Sprintf("the first %d^3 voxels, which the networks read", n)
	}
}

// meanOf is a mean over patients with its percentile interval.
func (a *activation) meanOf(name, group string, values []float64, method string) Measure {
	v := bootstrap(len(values), a.Bootstrap, a.Seed, a.Level, func(rows []int) float64 {
		sum := 0.0
		for _, i := range rows {
			sum += values[i]
		}
		return sum / float64(len(rows))
	})
	return Measure{Name: name, Group: group, N: len(values), Value: v.Estimate, Low: table.Finite(v.Low), High: table.Finite(v.High), Method: method + "; percentile bootstrap CI"}
}

// tailOfTrials is the probability of so many hits or more in independent trials with these
// chances (the Poisson binomial distribution, exactly).
func tailOfTrials(chances []float64, hits int) float64 {
	of := make([]float64, len(chances)+1) // probability of k hits so far
	of[0] = 1
	for n, p := range chances {
		for k := n + 1; k > 0; k-- {
			of[k] = of[k]*(1-p) + of[k-1]*p
		}
		of[0] *= 1 - p
	}
	tail := 0.0
	for k := len(chances); k >= hits; k-- {
		tail += of[k]
	}
	return min(tail, 1)
}
