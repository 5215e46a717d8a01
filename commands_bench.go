//go:build !amd64 || goexperiment.simd

package main

import (
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hounsfield/experiments"
	"hounsfield/experiments/progress"
)

func benchCommand() *cobra.Command {
	bench := &cobra.Command{Use: "bench", Short: "Measure the speed and memory of the study's network on this machine"}
	bench.AddCommand(benchStepCommand(), &cobra.Command{
		Use: experiments.MeasureVerb, Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return experiments.MeasureStep(cmd.Context(), os.Stdin, os.Stdout)
		},
	})
	return bench
}

func benchStepCommand() *cobra.Command {
	var o experiments.BenchOptions
	cmd := &cobra.Command{
		Use:   "step",
		Short: "Time a training step and a forward pass, with memory, beside PyTorch or JAX if asked",
		Long: "Time a training step and a forward pass of the study's full network on random cubes: medians after a warm-up,\n" +
			"compile time apart, peak memory. Each measurement is a process of its own. With --vs the peer runs the same\n" +
			"network in turn with ours, on as many processors. Ratios above 1 mean that ours is faster.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Command = "hounsfield " + strings.Join(os.Args[1:], " ")
			o.Progress = progress.New(os.Stderr)
			return experiments.Bench(cmd.Context(), o, os.Stdout)
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&o.Engines, "engine", []string{"all"}, "engines to measure: go, onnx, xla:cpu, xla:cuda, ... (several with commas), or all that are here")
	f.IntSliceVar(&o.Batches, "batch", []int{4, 16}, "cubes a step")
	f.IntVar(&o.Steps, "steps", 3, "timed steps, after one that compiles")
	f.IntVar(&o.Rounds, "rounds", 2, "how often all is measured, in turn with the peer")
	f.IntVar(&o.Threads, "threads", 0, "processors to use (default: all)")
	f.Float64Var(&o.Scale, "scale", 1, "factor on the width of every layer; 1 is the study's network")
	f.StringVar(&o.Settings.Precision, "precision", "", "float32 or bfloat16 (default float32)")
	f.StringVar(&o.Settings.Lowering, "lowering", "", "columns, winograd, native or auto (default auto)")
	f.IntVar(&o.Settings.Devices, "devices", 0, "devices of the engine to spread a step over (default 1)")
	f.BoolVar(&o.Settings.Deterministic, "deterministic", false, "equal bytes from two runs also on CUDA")
	f.StringVar(&o.Peer, "vs", "", "peer to run beside: torch or jax")
	f.StringVar(&o.Python, "python", "", "interpreter that has the peer (default: python3, then /usr/bin/python3)")
	f.DurationVar(&o.Limit, "limit", 15*time.Minute, "time for one measurement")
	f.StringVar(&o.JSON, "json", "", "file of results to add to")
	return cmd
}
