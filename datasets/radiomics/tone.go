package radiomics

import "math"

// toneFeatures are those of the neighbourhood grey tone difference matrix: how far a voxel's
// level is from the mean of its neighbours inside the region.
func toneFeatures(l *levels) []Feature {
	n, s := make([]float64, l.count+1), make([]float64, l.count+1)
	total := 0.0
	steps := l.neighbours()
	for _, i := range l.voxels {
		sum, around := 0, 0
		for _, d := range steps {
			if g := l.level[i+d]; g > 0 {
				sum, around = sum+g, around+1
			}
		}
		if around == 0 {
			continue // a voxel by itself has no neighbourhood
		}
		g := l.level[i]
		n[g]++
		total++
		s[g] += math.Abs(float64(g) - float64(sum)/float64(around))
	}
	var weighted, sums, contrast, busy, complexity, strength float64
	there := 0.0
	for a, count := range n {
		if count == 0 {
			continue
		}
		there++
		i, p := float64(a), count/total
		weighted, sums = weighted+p*s[a], sums+s[a]
		for b, other := range n {
			if other == 0 {
				continue
			}
			j, q := float64(b), other/total
			contrast += p * q * (i - j) * (i - j)
			busy += math.Abs(i*p - j*q)
			complexity += math.Abs(i-j) * (p*s[a] + q*s[b]) / (p + q) / total
			strength += (p + q) * (i - j) * (i - j)
		}
	}
	coarseness := 1e6 // IBSI: of a region without differences
	if weighted > 0 {
		coarseness = 1 / weighted
	}
	if there > 1 {
		contrast *= sums / total / (there * (there - 1))
	}
	f := func(name, ibsi string, v float64) Feature {
		if total == 0 {
			v = math.NaN()
		}
		return Feature{Family: "ngtdm", Name: name, IBSI: ibsi, Value: v}
	}
	return []Feature{f("Coarseness", "QCDE", coarseness), f("Contrast", "65HE", contrast), f("Busyness", "NQ30", over(weighted, busy)),
		f("Complexity", "HDEZ", complexity), f("Strength", "1X9X", over(strength, sums))}
}

// over is a/b, and 0 where b is: IBSI's rule for a region of one level.
func over(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}
