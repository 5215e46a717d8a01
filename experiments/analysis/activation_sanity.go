package analysis

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"

	"hounsfield/datasets/volume"
	"hounsfield/experiments/scoring"
	"hounsfield/models/cnn"
	"hounsfield/stats"
)

// The ways to take a trained network's knowledge away (Adebayo et al. 2018,
// arXiv:1810.03292).
const (
	randomCascade = "cascade"     // the layer and all above it, up to the logits
	randomAlone   = "independent" // the layer alone
	otherSeed     = "other seed"  // nothing: another trained network of the run
)

// randomised is how alike the maps of a method are before and after.
type randomised struct {
	method, mode string
	layer        string    // the lowest that is random; "" for another seed
	depth        int       // how many layers are random
	patient      []int     // whose the results are, with other seeds several for each
	rank, ssim   []float64 // Spearman's correlation and structural similarity of sizes
}

// byPatient are the means of results by patient.
func (r randomised) byPatient(results []float64) []float64 {
	sum, n := map[int]float64{}, map[int]float64{}
	for k, p := range r.patient {
		sum[p] += results[k]
		n[p]++
	}
	var out []float64
	for _, p := range slices.Sorted(maps.Keys(sum)) {
		out = append(out, sum[p]/n[p])
	}
	return out
}

// sanity compares the maps of the run's first network with those of the same network with
// random layers, and with the networks of other seeds.
//
// A method passes when, with all weights random, its maps are no longer alike.
func (a *activation) sanity(ctx context.Context) ([]randomised, error) {
	var cubes [][]float32
	for _, row := range a.sampled() {
		if len(cubes) < a.settings.Sanity.Patients {
			cubes = append(cubes, scoring.Inputs([]*volume.Cube{a.Cubes[row]}, a.spec.Size)[0])
		}
	}
	trained := a.maps.models[0]
	layers, err := trained.Layers()
	if err != nil {
		return nil, err
	}
	slices.Reverse(layers)
	unused := func(seed int64) int64 { // by the run, whose networks began with such weights
		for slices.Contains(a.Networks.Seeds, seed) {
			seed++
		}
		return seed
	}
	seed := unused(int64(a.Seed % (1 << 40)))
	versions := []networkVersion{{name: randomised{}, model: func() (*cnn.Model, error) { return trained, nil }}}
	for range a.settings.Sanity.Draws {
		for i, l := range layers {
			s := seed
			versions = append(versions, networkVersion{randomised{mode: randomCascade, layer: l, depth: i + 1}, func() (*cnn.Model, error) { return trained.Randomised(s, layers[:i+1]...) }},
				networkVersion{randomised{mode: randomAlone, layer: l, depth: 1}, func() (*cnn.Model, error) { return trained.Randomised(s, l) }})
		}
		seed = unused(seed + 1)
	}
	for _, m := range a.maps.models[1:] {
		versions = append(versions, networkVersion{randomised{mode: otherSeed}, func() (*cnn.Model, error) { return m, nil }})
	}
	bar := a.Progress.Bar(len(versions), "activation: randomised networks")
	all, err := compareVersions(ctx, a.settings.Methods, versions, cubes, func(ctx context.Context, m *cnn.Model, cube []float32) (map[string][]float64, error) {
		l, err := a.maps.by(ctx, m, cube)
		if err != nil {
			return nil, err
		}
		sizes := map[string][]float64{}
		for _, m := range a.settings.Methods {
			s := a.maps.reach(m)
			sizes[m] = coarseSizes(s.cut(l.maps[m], a.spec.Size), s.last-s.first+1)
		}
		return sizes, nil
	}, func() { bar.Add(1) })
	bar.Done()
	return all, err
}

// networkVersion is a network to compare with the first of a list.
type networkVersion struct {
	name  randomised // without results
	model func() (*cnn.Model, error)
}

// compareVersions makes the maps of cubes by each version of a network and compares them
// with the first's. look gives the coarse sizes of each method's map, a cube of positions.
// Versions of one name share their results.
func compareVersions(ctx context.Context, methods []string, versions []networkVersion, cubes [][]float32,
	look func(context.Context, *cnn.Model, []float32) (map[string][]float64, error), done func()) ([]randomised, error) {

	var all []randomised
	first := make([]map[string][]float64, len(cubes))
	for i, v := range versions {
		model, err := v.model()
		if err != nil {
			return nil, err
		}
		for c, cube := range cubes {
			sizes, err := look(ctx, model, cube)
			if err != nil {
				return nil, err
			}
			if i == 0 {
				first[c] = sizes
				continue
			}
			for _, m := range methods {
				k := slices.IndexFunc(all, func(r randomised) bool {
					return r.method == m && r.mode == v.name.mode && r.layer == v.name.layer
				})
				if k < 0 {
					r := v.name
					r.method = m
					all, k = append(all, r), len(all)
				}
				rank, ssim, ok, err := alike(first[c][m], sizes[m])
				if err != nil {
					return nil, err
				}
				if ok {
					all[k].patient = append(all[k].patient, c)
					all[k].rank, all[k].ssim = append(all[k].rank, rank), append(all[k].ssim, ssim)
				}
			}
		}
		done()
	}
	return all, nil
}

// coarseBox is the edge of the boxes over which sizes are averaged before maps are compared:
// neighbouring voxels of a map say nearly the same.
const coarseBox = 2

func coarseEdge(size int) int { return max(size/coarseBox, 1) }

// coarseSizes are the means of a map's absolute values over boxes of coarseBox^3 voxels;
// voxels at the end that fill no box are left out.
func coarseSizes(m []float64, size int) []float64 {
	n, box := coarseEdge(size), min(coarseBox, size)
	out := make([]float64, n*n*n)
	for z := range n * box {
		for y := range n * box {
			for x := range n * box {
				out[(z/box*n+y/box)*n+x/box] += math.Abs(m[(z*size+y)*size+x]) / float64(box*box*box)
			}
		}
	}
	return out
}

// alike compares the sizes of two maps [edge^3]. A map that became even everywhere has lost
// everything: both are 0. ok is false where the first says nothing itself.
func alike(first, second []float64) (rank, ssim float64, ok bool, err error) {
	edge := int(math.Round(math.Cbrt(float64(len(first)))))
	even := func(m []float64) bool { return slices.Max(m) == slices.Min(m) }
	switch {
	case even(first):
		return 0, 0, false, nil
	case even(second):
		return 0, 0, true, nil
	}
	r, err := stats.Spearman(first, second, 0.95)
	if err != nil {
		return 0, 0, false, err
	}
	return r.R, structuralSimilarity(scaled(first), scaled(second), edge), true, nil
}

// scaled divides by the largest value.
func scaled(m []float64) []float64 {
	out, most := make([]float64, len(m)), slices.Max(m)
	for k, v := range m {
		out[k] = v / most
	}
	return out
}

// structuralSimilarity is the mean over all windows of 7^3 positions (fewer in a smaller
// map) of the structural similarity of two maps with values from 0 to 1 (Wang et al. 2004,
// doi:10.1109/TIP.2003.819861), with even weights and the constants 0.01^2 and 0.03^2.
func structuralSimilarity(a, b []float64, edge int) float64 {
	const c1, c2 = 0.01 * 0.01, 0.03 * 0.03
	w := min(7, edge)
	times := func(x, y []float64) []float64 {
		out := make([]float64, len(x))
		for k := range x {
			out[k] = x[k] * y[k]
		}
		return out
	}
	sumA, sumB := windowMeans(a, edge, w), windowMeans(b, edge, w)
	sumAA, sumBB, sumAB := windowMeans(times(a, a), edge, w), windowMeans(times(b, b), edge, w), windowMeans(times(a, b), edge, w)
	total := 0.0
	for k := range sumA {
		ma, mb := sumA[k], sumB[k]
		va, vb, cov := sumAA[k]-ma*ma, sumBB[k]-mb*mb, sumAB[k]-ma*mb
		total += (2*ma*mb + c1) * (2*cov + c2) / ((ma*ma + mb*mb + c1) * (va + vb + c2))
	}
	return total / float64(len(sumA))
}

// windowMeans are the means over all windows of w^3 positions of a map [edge^3], one axis
// after the other.
func windowMeans(m []float64, edge, w int) []float64 {
	n := edge - w + 1
	dims, now := [3]int{edge, edge, edge}, m
	for axis := range 3 {
		stride := 1
		for a := axis + 1; a < 3; a++ {
			stride *= dims[a]
		}
		block := stride * edge
		next := make([]float64, 0, len(now)/edge*n)
		for start := 0; start < len(now); start += block {
			for i := range n {
				for k := range stride {
					sum := 0.0
					for d := range w {
						sum += now[start+(i+d)*stride+k]
					}
					next = append(next, sum/float64(w))
				}
			}
		}
		now, dims[axis] = next, n
	}
	return now
}

// Names of the measures of the check.
const (
	randomRank = "similarity_all_random"
	randomSSIM = "ssim_all_random"
	seedRank   = "similarity_other_seed"
	seedSSIM   = "ssim_other_seed"
	sanityPass = "sanity_passed"
)

// sanityMeasures judge each method.
func (a *activation) sanityMeasures(all []randomised) []Measure {
	var out []Measure
	deepest := 0
	for _, r := range all {
		deepest = max(deepest, r.depth)
	}
	for _, m := range a.methods {
		for _, r := range all {
			switch {
			case r.method != m.name || len(r.rank) == 0:
			case r.mode == randomCascade && r.depth == deepest:
				rank := a.meanOf(randomRank, m.name, r.byPatient(r.rank), "Spearman's correlation of the sizes of the maps of a trained network and of the same with all weights random, mean over patients")
				pass := 0.0
				if rank.Value <= a.settings.Sanity.Bound {
					pass = 1
				}
				out = append(out, rank, a.meanOf(randomSSIM, m.name, r.byPatient(r.ssim), "structural similarity of the same"),
					Measure{Name: sanityPass, Group: m.name, N: len(r.byPatient(r.rank)), Value: pass, Method: "1: " + randomRank + " is at most " + fmt.Sprint(a.settings.Sanity.Bound) + "; 0: the map does not depend enough on what the network learned"})
			case r.mode == otherSeed:
				out = append(out, a.meanOf(seedRank, m.name, r.byPatient(r.rank), "Spearman's correlation of the sizes of the maps of networks trained from other first weights, mean over patients and networks"),
					a.meanOf(seedSSIM, m.name, r.byPatient(r.ssim), "structural similarity of the same"))
			}
		}
	}
	return out
}

// failing are the methods that do not pass.
func failing(all []Measure) []string {
	var names []string
	for _, m := range all {
		if m.Name == sanityPass && m.Value == 0 {
			names = append(names, m.Group)
		}
	}
	return names
}
