package cnn

import (
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/graph"

	"hounsfield/models/engine"
)

// check says whether the engine can do what its settings ask for. Errors: *engine.SettingError.
func (p plan) check() error {
	if p.settings.Precision == engine.BFloat16 && p.isONNX() {
		return &engine.SettingError{Field: "precision", Value: p.settings.Precision,
			Allowed: []string{"float32 on engine " + p.engine + " (bfloat16 needs go, xla:cpu or xla:cuda)"}}
	}
	if l := p.settings.Lowering; p.isONNX() && (l == engine.Columns || l == engine.Winograd) {
		// GoMLX lowers the gradient of their strided slices to a padding between values, which ONNX has not.
		return &engine.SettingError{Field: "lowering", Value: l, Allowed: []string{"auto or native on engine " + p.engine}}
	}
	if p.settings.Precision == engine.BFloat16 && p.settings.Lowering == engine.Winograd {
		return &engine.SettingError{Field: "precision", Value: p.settings.Precision,
			Allowed: []string{"float32 with lowering winograd, whose sums need it"}}
	}
	return nil
}

// inPrecision gives apply, a convolution or a product of x with the weights w, its inputs in the plan's precision: with
// bfloat16 they are rounded to it, summed up in float32 within the engine's products, and the result is widened to
// float32 again; where a convolution is several products, each one's sums are rounded before they are added. Weights,
// normalisation, activation, loss and optimiser stay in float32, and gradients are added up over the parts of a batch
// in it.
func (p plan) inPrecision(apply func(x, w *graph.Node) *graph.Node) func(x, w *graph.Node) *graph.Node {
	if p.settings.Precision != engine.BFloat16 {
		return apply
	}
	return func(x, w *graph.Node) *graph.Node {
		y := apply(graph.ConvertDType(x, dtypes.BFloat16), graph.ConvertDType(w, dtypes.BFloat16))
		return graph.ConvertDType(y, x.DType())
	}
}
