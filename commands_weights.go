//go:build !amd64 || goexperiment.simd

package main

import (
	"os"

	"github.com/spf13/cobra"

	"hounsfield/experiments"
)

func exportCommand() *cobra.Command {
	var o experiments.ExportOptions
	var seed int64
	cmd := &cobra.Command{
		Use:   "export RUN --out model.onnx",
		Short: "Write a run's networks as one ONNX model that any runtime can use",
		Long: "Write the networks of a finished run as one ONNX model: from normalised cubes, as many at a\ntime as one likes, to the run's score, the mean risk of death over its networks.\n" +
			"What goes in and comes out stands in the file's metadata.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Run = args[0]
			if cmd.Flags().Changed("seed") {
				o.Seed = &seed
			}
			return experiments.Export(o, os.Stdout)
		},
	}
	cmd.Flags().StringVar(&o.Out, "out", "model.onnx", "file to write")
	cmd.Flags().Int64Var(&seed, "seed", 0, "only the network of this seed (default: all, and their mean)")
	return cmd
}

func importCommand() *cobra.Command {
	var o experiments.ImportOptions
	cmd := &cobra.Command{
		Use:   "import FILE --out FOLDER",
		Short: "Read weights from a Keras HDF5 or ONNX file into a folder that predict and training.init_from use",
		Long: "Read the weights that others trained, such as the study's (weights.h5 of Keras 1.2, or an ONNX\nmodel), into the network here, with every shape checked. The folder then serves\n" +
			"`hounsfield predict`, `hounsfield export` and training.init_from like that of a run.",
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			o.File = args[0]
			env, err := environment("", "", 0)
			if err != nil {
				return err
			}
			return experiments.Import(o, env, os.Stdout)
		},
	}
	cmd.Flags().StringVar(&o.Out, "out", "imported", "folder to make")
	cmd.Flags().StringVar(&o.Spec, "spec", "", "the network: hosny2018, small, or a config's (default: what the file says, else hosny2018)")
	cmd.Flags().Float64Var(&o.SpacingMM, "spacing", 1, "millimetres per voxel of the cubes that it was trained on")
	cmd.Flags().StringVar(&o.KerasVersion, "keras-version", "", "version of Keras that wrote the file (default: as it says, else 1.2.2)")
	return cmd
}
