//go:build !amd64 || goexperiment.simd

package main

import (
	"os"

	"github.com/spf13/cobra"

	"hounsfield/experiments"
	"hounsfield/experiments/progress"
)

func backendsCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "backends",
		Short: "Test the compute engines: which are usable here, how fast, and why the others are not",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return experiments.Backends(cmd.Context(), asJSON, progress.New(os.Stderr), os.Stdout)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return cmd
}

func setupCommand() *cobra.Command {
	var o experiments.SetupOptions
	cmd := &cobra.Command{
		Use:   "setup onnx|xla",
		Short: "Install the library of a compute engine: ONNX Runtime, or XLA for the CPU or for CUDA",
		Long: "Install the library of a compute engine in your own folder ($HOUNSFIELD_ENGINES, by default\n~/.local/share/hounsfield/engines), and test it. Nothing else downloads engines. Packages come from\n" +
			"the registries that npm and pip are set to use here, their checksums are checked.",
		Args:      cobra.ExactArgs(1),
		ValidArgs: []string{"onnx", "xla"},
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Engine = args[0]
			return experiments.Setup(cmd.Context(), o, progress.New(os.Stderr), os.Stdout)
		},
	}
	cmd.Flags().BoolVar(&o.CUDA, "cuda", false, "with xla: for NVIDIA devices (3 GB with NVIDIA's libraries)")
	cmd.Flags().StringVar(&o.File, "file", "", "a library, or a package that holds it (.tgz, .whl, .zip), that is here already")
	return cmd
}
