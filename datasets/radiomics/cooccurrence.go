package radiomics

import "math"

// cooccurrenceFeatures are those of the grey level co-occurrence matrix: how often two
// levels are neighbours in each of 13 directions, symmetrical.
func cooccurrenceFeatures(l *levels, merge bool) []Feature {
	var each [][]Feature
	sum := make([]float64, l.count*l.count)
	m := make([]float64, l.count*l.count)
	for _, d := range directions {
		clear(m)
		step := l.step(d)
		pairs := 0.0
		for _, i := range l.voxels {
			if b := l.level[i+step]; b > 0 {
				a := l.level[i]
				m[(a-1)*l.count+b-1]++
				m[(b-1)*l.count+a-1]++
				pairs += 2
			}
		}
		if merge {
			for k, v := range m {
				sum[k] += v
			}
		} else if pairs > 0 { // a region one voxel wide has no neighbours in some directions
			each = append(each, cooccurrence(m, l.count))
		}
	}
	if merge || len(each) == 0 {
		return cooccurrence(sum, l.count)
	}
	return mean(each)
}

// cooccurrence computes the features of one matrix of n x n counts. Without a pair of
// neighbours they are NaN.
func cooccurrence(m []float64, n int) []Feature {
	total := 0.0
	for _, v := range m {
		total += v
	}
	side := make([]float64, n) // of a level; the same for rows and columns
	differ, add := make([]float64, n), make([]float64, 2*n+1)
	var joint, entropy, asm, contrast, dissimilarity, id, idn, idm, idmn, iv, auto, avg float64
	for i := range n {
		for j := range n {
			p := m[i*n+j] / total
			if p == 0 {
				continue
			}
			a, b := float64(i+1), float64(j+1)
			d := math.Abs(a - b)
			side[i] += p
			differ[int(d)] += p
			add[i+j+2] += p
			joint, entropy, asm = max(joint, p), entropy+bits(p), asm+p*p
			contrast, dissimilarity = contrast+d*d*p, dissimilarity+d*p
			id, idn = id+p/(1+d), idn+p/(1+d/float64(n))
			idm, idmn = idm+p/(1+d*d), idmn+p/(1+d*d/float64(n*n))
			if i != j {
				iv += p / (d * d)
			}
			auto, avg = auto+a*b*p, avg+a*p
		}
	}
	var variance, tendency, shade, prominence, hxy1, hxy2 float64
	for i := range n {
		d := float64(i+1) - avg
		variance += d * d * side[i]
		for j := range n {
			p := m[i*n+j] / total
			if q := side[i] * side[j]; q > 0 {
				hxy1 -= p * math.Log2(q)
				hxy2 += bits(q)
			}
			s := float64(i+j+2) - 2*avg
			tendency, shade, prominence = tendency+s*s*p, shade+s*s*s*p, prominence+s*s*s*s*p
		}
	}
	hx := 0.0
	for _, p := range side {
		hx += bits(p)
	}
	correlation, imc1 := 1.0, 0.0 // of a flat region, where all of them are 0/0
	if variance > 0 {
		correlation = (auto - avg*avg) / variance
	}
	if hx > 0 {
		imc1 = (entropy - hxy1) / hx
	}
	diffAvg, diffVar, diffEntropy := moments(differ)
	sumAvg, sumVar, sumEntropy := moments(add)
	f := func(name, ibsi string, v float64) Feature {
		if total == 0 {
			v = math.NaN()
		}
		return Feature{Family: "glcm", Name: name, IBSI: ibsi, Value: v}
	}
	return []Feature{
		f("MaximumProbability", "GYBY", joint), f("JointAverage", "60VM", avg), f("SumSquares", "UR99", variance), f("JointEntropy", "TU9B", entropy),
		f("DifferenceAverage", "TF7R", diffAvg), f("DifferenceVariance", "D3YU", diffVar), f("DifferenceEntropy", "NTRS", diffEntropy),
		f("SumAverage", "ZGXS", sumAvg), f("SumVariance", "OEEB", sumVar), f("SumEntropy", "P6QZ", sumEntropy),
		f("JointEnergy", "8ZQL", asm), f("Contrast", "ACUI", contrast), f("Dissimilarity", "8S9J", dissimilarity),
		f("Id", "IB1Z", id), f("Idn", "NDRX", idn), f("Idm", "WF0Z", idm), f("Idmn", "1QCO", idmn), f("InverseVariance", "E8JP", iv),
		f("Correlation", "NI2N", correlation), f("Autocorrelation", "QWB0", auto),
		f("ClusterTendency", "DG8W", tendency), f("ClusterShade", "7NFM", shade), f("ClusterProminence", "AE86", prominence),
		f("Imc1", "R8DG", imc1), f("Imc2", "JN9H", math.Sqrt(max(0, 1-math.Exp(-2*(hxy2-entropy))))),
	}
}

// moments are mean, variance and entropy of a distribution over 0, 1, 2, ...
func moments(p []float64) (avg, variance, entropy float64) {
	for k, v := range p {
		avg += float64(k) * v
		entropy += bits(v)
	}
	for k, v := range p {
		variance += (float64(k) - avg) * (float64(k) - avg) * v
	}
	return avg, variance, entropy
}
