package cnn

import (
	"math"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/train/loss"
)

// lossOf returns the loss of a batch as a graph: a scalar from the batch's labels and the network's logits.
func (c TrainConfig) lossOf(labels, logits []*graph.Node) *graph.Node {
	switch c.Loss {
	case LossCox:
		return coxLoss(labels[1], logits[0])
	case LossDiscreteTime:
		return discreteTimeLoss(labels[1], logits[0], c.intervals())
	}
	return c.crossEntropyLoss(labels[0], logits[0])
}

// crossEntropyLoss is the mean cross entropy of the logits [cubes, 2] and dead [cubes, 1], 1 for dead and 0 for
// alive, with smoothed labels and weights by class; with weights too the divisor is the number of cubes.
func (c TrainConfig) crossEntropyLoss(dead, logits *graph.Node) *graph.Node {
	dead.AssertDims(logits.Shape().Dimensions[0], 1)
	target := dead
	if e := c.LabelSmoothing; e > 0 {
		target = graph.AddScalar(graph.MulScalar(dead, 1-e), e/2)
	}
	columns := [2]*graph.Node{}
	columns[rowDead], columns[rowAlive] = target, graph.OneMinus(target)
	targets := []*graph.Node{graph.Concatenate(columns[:], 1)}
	if len(c.ClassWeights) > 0 {
		ofDead, ofAlive := c.classWeight(classDead), c.classWeight(classAlive)
		weights := graph.AddScalar(graph.MulScalar(dead, ofDead-ofAlive), ofAlive)
		targets = append(targets, graph.Reshape(weights, -1))
	}
	return loss.CategoricalCrossEntropyLogits(targets, []*graph.Node{logits})
}

func (c TrainConfig) classWeight(name string) float64 {
	if w, ok := c.ClassWeights[name]; ok {
		return w
	}
	return 1
}

// tuneLoss is the plain loss of the tune cubes' logits: without smoothing and class weights.
func (c TrainConfig) tuneLoss(logits [][]float64, d Data) float64 {
	switch c.Loss {
	case LossCox:
		return coxTuneLoss(logits, d.TuneTime, d.TuneEvent)
	case LossDiscreteTime:
		return discreteTimeTuneLoss(logits, d.TuneTime, d.TuneEvent, c.intervals())
	}
	return crossEntropy(logits, d.TuneDead)
}

// crossEntropy is the mean of -log(probability of what happened).
func crossEntropy(logits [][]float64, dead []bool) float64 {
	var sum float64
	for i, l := range logits {
		d := l[rowDead] - l[rowAlive] // positive: leans to death
		if dead[i] {
			d = -d
		}
		sum += softplus(d)
	}
	return sum / float64(len(logits))
}

// softplus is log(1+exp(x)).
func softplus(x float64) float64 { return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }

// risks turns logits into predicted probabilities of death within two years, in double precision so that close
// scores keep their order.
//
// Without intervals, a cube's logits are for death and for survival, and its risk is the logistic function of their
// difference. With them (ends in days, see TrainConfig.Intervals) each is of the hazard in one interval, and the risk is
// 1 - S(730 days), where within an interval the hazard is taken as constant in time.
func risks(logits [][]float64, intervals []float64) []float64 {
	r := make([]float64, len(logits))
	for i, l := range logits {
		if intervals == nil {
			r[i] = 1 / (1 + math.Exp(l[rowAlive]-l[rowDead]))
			continue
		}
		r[i] = -math.Expm1(-cumulativeHazard(l, intervals))
	}
	return r
}

// cumulativeHazard is the hazard up to two years, added up over the intervals; see risks.
func cumulativeHazard(logits, intervals []float64) float64 {
	sum := 0.0
	for j, share := range horizonShares(intervals) {
		sum += share * softplus(logits[j])
	}
	return sum
}

// horizonShares are the parts of the intervals that lie before two years, from 0 to 1.
func horizonShares(intervals []float64) []float64 {
	shares, start := make([]float64, len(intervals)), 0.0
	for j, end := range intervals {
		shares[j] = min(max((Horizon-start)/(end-start), 0), 1)
		start = end
	}
	return shares
}
