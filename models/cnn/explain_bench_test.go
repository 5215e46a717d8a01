package cnn

import (
	"context"
	"testing"
)

// A map of the study's network with random weights, one cube at a time, on the pure-Go engine:
//
//	go test ./models/cnn -run '^$' -bench Explain -benchtime 3x
//
// Two cores of an AMD EPYC, in seconds: score 0.28, grad_cam 0.34, slopes 0.80, guided 0.81; at most 1.3 GB with all four
// compiled. Integrated gradients of 32 steps are 32 slopes, occlusion one score for each box.
func BenchmarkExplainHosny2018(b *testing.B) {
	d := drawn(1)
	m := &Model{Spec: Hosny2018()}
	fillModel(b, m, &d)
	x, ctx := newExplainer(b, openGo(b), m), context.Background()
	cubes := [][]float32{d.draw(50*50*50, 0, 1)}
	for name, look := range map[string]func() error{
		"score":    func() error { _, err := x.LogOdds(ctx, cubes); return err },
		"grad_cam": func() error { _, err := x.GradCAM(ctx, "conv4", cubes); return err },
		"slopes":   func() error { _, err := x.Slopes(ctx, cubes, false); return err },
		"guided":   func() error { _, err := x.Slopes(ctx, cubes, true); return err },
	} {
		b.Run(name, func(b *testing.B) {
			if err := look(); err != nil { // compiles
				b.Fatal(err)
			}
			for b.Loop() {
				if err := look(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
