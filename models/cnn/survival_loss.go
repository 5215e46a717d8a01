package cnn

import (
	"math"

	"github.com/gomlx/gomlx/core/graph"
)

// The survival losses take outcomes [cubes, 2]: days of follow-up, and 1 where they end in death, 0 where the patient
// is censored.

// columnOf returns column i of a matrix [rows, columns] as [rows, 1].
func columnOf(x *graph.Node, i int) *graph.Node {
	return graph.Slice(x, graph.AxisRange(), graph.AxisElem(i))
}

// coxLoss is Cox's negative log partial likelihood of a batch, for each death in it (Cox 1972,
// doi:10.1111/j.2517-6161.1972.tb00899.x; for networks, Katzman et al. 2018, doi:10.1186/s12874-018-0482-1). The log
// hazard of a cube is the difference of its logits [cubes, 2], for death minus for survival.
//
// The patients at risk at a death are those of the same batch who are followed at least as long, the dead one too.
// So it is an approximation of the partial likelihood of all patients, the better the larger the batch. Deaths on the
// same day are treated as Breslow did (1974, doi:10.2307/2529620): each has all of them at risk. That is not the
// default of R's coxph, but the only common rule that needs no more than sums over who is at risk. A batch without deaths
// has loss 0.
func coxLoss(outcomes, logits *graph.Node) *graph.Node {
	g, dt, n := logits.Graph(), logits.DType(), logits.Shape().Dimensions[0]
	logits.AssertDims(n, 2)
	outcomes.AssertDims(n, 2)
	time, event := columnOf(outcomes, 0), columnOf(outcomes, 1)
	hazard := graph.Sub(columnOf(logits, rowDead), columnOf(logits, rowAlive))
	// Row i, column j: is j at risk when i's follow-up ends?
	square := func(row *graph.Node) *graph.Node { return graph.BroadcastToDims(graph.Reshape(row, 1, n), n, n) }
	atRisk := graph.GreaterOrEqual(square(time), graph.BroadcastToDims(time, n, n))
	none := graph.Scalar(g, dt, -1e30)
	among := graph.Where(atRisk, square(hazard), graph.BroadcastToDims(none, n, n))
	largest := graph.StopGradient(graph.ReduceAndKeep(among, graph.ReduceMax, 1))
	sum := graph.ReduceAndKeep(graph.Exp(graph.Sub(among, graph.BroadcastToDims(largest, n, n))), graph.ReduceSum, 1)
	each := graph.Mul(event, graph.Sub(graph.Add(graph.Log(sum), largest), hazard))
	deaths := graph.Max(graph.ReduceAllSum(event), graph.Scalar(g, dt, 1))
	return graph.Div(graph.ReduceAllSum(each), deaths)
}

// coxTuneLoss is coxLoss over all patients, in double precision.
func coxTuneLoss(logits [][]float64, time []float64, event []bool) float64 {
	var sum, deaths float64
	for i, died := range event {
		if !died {
			continue
		}
		deaths++
		hazard := func(j int) float64 { return logits[j][rowDead] - logits[j][rowAlive] }
		var total float64 // relative to the dead one's own, which is among them
		for j, t := range time {
			if t >= time[i] {
				total += math.Exp(hazard(j) - hazard(i))
			}
		}
		sum += math.Log(total)
	}
	return sum / max(deaths, 1)
}

// discreteTimeLoss is the mean negative log likelihood of the hazards of intervals of time (Gensheimer and Narasimhan
// 2019, doi:10.7717/peerj.6257). Output j of the logits [cubes, intervals] is the logit of the probability of dying in
// interval j for who is alive at its beginning; interval j lasts from the end of the one before (the first from 0),
// included, to ends[j], excluded.
//
// A death counts as survival of the intervals that end by then and as death in the one it falls into, if any. A
// censored patient has, as in the paper, survived the intervals of which he has seen at least half. That is the
// likelihood of logistic regression on one row for each patient and each interval he is seen in.
func discreteTimeLoss(outcomes, logits *graph.Node, ends []float64) *graph.Node {
	g, dt, n := logits.Graph(), logits.DType(), logits.Shape().Dimensions[0]
	logits.AssertDims(n, len(ends))
	outcomes.AssertDims(n, 2)
	row := func(f func(start, end float64) float64) *graph.Node {
		values, start := make([]float64, len(ends)), 0.0
		for j, end := range ends {
			values[j], start = f(start, end), end
		}
		return graph.BroadcastToDims(graph.ConstAsDType(g, dt, [][]float64{values}), n, len(ends))
	}
	starts := row(func(start, _ float64) float64 { return start })
	middles := row(func(start, end float64) float64 { return (start + end) / 2 })
	limits := row(func(_, end float64) float64 { return end })
	time := graph.BroadcastToDims(columnOf(outcomes, 0), n, len(ends))
	event := graph.BroadcastToDims(columnOf(outcomes, 1), n, len(ends))
	yes := func(condition *graph.Node) *graph.Node { return graph.ConvertDType(condition, dt) }
	passed := yes(graph.GreaterOrEqual(time, limits))
	seenHalf := yes(graph.GreaterOrEqual(time, middles))
	survived := graph.Add(graph.Mul(event, passed), graph.Mul(graph.OneMinus(event), seenHalf))
	died := graph.Mul(event, graph.Sub(yes(graph.GreaterOrEqual(time, starts)), passed))
	each := graph.Add(graph.Mul(survived, softplusNode(logits)), graph.Mul(died, softplusNode(graph.Neg(logits))))
	return graph.DivScalar(graph.ReduceAllSum(each), float64(n))
}

// softplusNode is log(1+exp(x)) without overflow, and with its gradient also at 0.
func softplusNode(x *graph.Node) *graph.Node {
	size := graph.Abs(x)
	return graph.Add(graph.MulScalar(graph.Add(x, size), 0.5), graph.Log(graph.OnePlus(graph.Exp(graph.Neg(size)))))
}

// discreteTimeTuneLoss is discreteTimeLoss in double precision.
func discreteTimeTuneLoss(logits [][]float64, time []float64, event []bool, ends []float64) float64 {
	var sum float64
	for i, l := range logits {
		start := 0.0
		for j, end := range ends {
			switch {
			case event[i] && time[i] >= end, !event[i] && time[i] >= (start+end)/2:
				sum += softplus(l[j])
			case event[i] && time[i] >= start:
				sum += softplus(-l[j])
			}
			start = end
		}
	}
	return sum / float64(len(logits))
}
