package cnn

import "github.com/gomlx/gomlx/core/graph"

// withGradient joins a forward computation with a gradient written by hand.
//
// forward gets the inputs and returns the outputs. backward gets the same inputs and the loss's gradient with
// respect to each output (nil where the loss does not depend on that output) and returns the gradient with
// respect to each input (nil for none).
//
// GoMLX offers a custom gradient only for an identity of one node. So every input and every output gets such an
// identity: the outputs' identities record what arrives, and the inputs' identities throw away what automatic
// differentiation found for the forward computation and return backward's answer instead. What was thrown away
// has no user, and every engine drops such nodes before running. The same holds for gradients of inputs that nobody
// asked for.
func withGradient(inputs []*graph.Node, forward func(in []*graph.Node) []*graph.Node,
	backward func(in, v []*graph.Node) []*graph.Node) []*graph.Node {

	in := make([]*graph.Node, len(inputs))
	var arrived, found []*graph.Node
	for i, x := range inputs {
		in[i] = graph.IdentityWithCustomGradient(x, func(_, _ *graph.Node) *graph.Node {
			if found == nil {
				found = backward(in, arrived)
			}
			return found[i]
		})
	}
	out := forward(in)
	arrived = make([]*graph.Node, len(out))
	wrapped := make([]*graph.Node, len(out))
	for j, y := range out {
		wrapped[j] = graph.IdentityWithCustomGradient(y, func(_, v *graph.Node) *graph.Node {
			// Nodes are visited from the last to the first, so all outputs report before any input asks.
			arrived[j], found = v, nil
			return v
		})
	}
	return wrapped
}
