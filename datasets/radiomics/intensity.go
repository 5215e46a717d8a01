package radiomics

import (
	"math"
	"slices"
)

// intensityFeatures are IBSI's intensity-based statistics, on values that are not in bins,
// and of its intensity histogram those that only bins have.
func intensityFeatures(r *region, l *levels) []Feature {
	x := make([]float64, len(r.voxels))
	for k, i := range r.voxels {
		x[k] = r.value[i]
	}
	slices.Sort(x)
	n := float64(len(x))
	avg := average(x)
	var m2, m3, m4, energy, mad float64
	for _, v := range x {
		d := v - avg
		m2, m3, m4 = m2+d*d/n, m3+d*d*d/n, m4+d*d*d*d/n
		energy, mad = energy+v*v, mad+math.Abs(d)/n
	}
	skew, kurt := 0.0, 0.0
	if m2 > 0 {
		skew, kurt = m3/math.Pow(m2, 1.5), m4/(m2*m2)-3
	}
	median, p10, p90 := quantile(x, 0.5), quantile(x, 0.1), quantile(x, 0.9)
	q1, q3 := quantile(x, 0.25), quantile(x, 0.75)
	medad := 0.0
	var middle []float64
	for _, v := range x {
		medad += math.Abs(v-median) / n
		if v >= p10 && v <= p90 {
			middle = append(middle, v)
		}
	}
	rmad, centre := 0.0, average(middle)
	for _, v := range middle {
		rmad += math.Abs(v-centre) / float64(len(middle))
	}
	counts := make([]float64, l.count+1)
	for _, i := range l.voxels {
		counts[l.level[i]]++
	}
	entropy, uniformity := 0.0, 0.0
	for _, c := range counts[1:] {
		entropy, uniformity = entropy+bits(c/n), uniformity+c*c/(n*n)
	}
	const family = "firstorder"
	return []Feature{
		{Family: family, Name: "Mean", IBSI: "Q4LE", Unit: "HU", Value: avg},
		{Family: family, Name: "Variance", IBSI: "ECT3", Unit: "HU2", Value: m2},
		{Family: family, Name: "Skewness", IBSI: "KE2A", Value: skew},
		{Family: family, Name: "ExcessKurtosis", IBSI: "IPH6", Value: kurt},
		{Family: family, Name: "Median", IBSI: "Y12H", Unit: "HU", Value: median},
		{Family: family, Name: "Minimum", IBSI: "1GSF", Unit: "HU", Value: x[0]},
		{Family: family, Name: "10Percentile", IBSI: "QG58", Unit: "HU", Value: p10},
		{Family: family, Name: "90Percentile", IBSI: "8DWT", Unit: "HU", Value: p90},
		{Family: family, Name: "Maximum", IBSI: "84IY", Unit: "HU", Value: x[len(x)-1]},
		{Family: family, Name: "InterquartileRange", IBSI: "SALO", Unit: "HU", Value: q3 - q1},
		{Family: family, Name: "Range", IBSI: "2OJQ", Unit: "HU", Value: x[len(x)-1] - x[0]},
		{Family: family, Name: "MeanAbsoluteDeviation", IBSI: "4FUA", Unit: "HU", Value: mad},
		{Family: family, Name: "RobustMeanAbsoluteDeviation", IBSI: "1128", Unit: "HU", Value: rmad},
		{Family: family, Name: "MedianAbsoluteDeviation", IBSI: "N72L", Unit: "HU", Value: medad},
		{Family: family, Name: "CoefficientOfVariation", IBSI: "7TET", Value: math.Sqrt(m2) / avg},
		{Family: family, Name: "QuartileCoefficientOfDispersion", IBSI: "9S40", Value: (q3 - q1) / (q3 + q1)},
		{Family: family, Name: "Energy", IBSI: "N8CA", Unit: "HU2", Value: energy},
		{Family: family, Name: "RootMeanSquared", IBSI: "5ZWQ", Unit: "HU", Value: math.Sqrt(energy / n)},
		{Family: family, Name: "Entropy", IBSI: "TLU2", Unit: "bit", Value: entropy},
		{Family: family, Name: "Uniformity", IBSI: "BJ5W", Value: uniformity},
	}
}

func average(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	return sum / float64(len(x))
}

// quantile of ascending values, linear between order statistics (R's type 7).
func quantile(x []float64, p float64) float64 {
	at := p * float64(len(x)-1)
	i := int(at)
	if i+1 >= len(x) {
		return x[len(x)-1]
	}
	return x[i] + (at-float64(i))*(x[i+1]-x[i])
}
