//go:build !amd64 || goexperiment.simd

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/spf13/cobra"

	"hounsfield/notebooks"
)

func notebookCommand() *cobra.Command {
	var check bool
	var out string
	cmd := &cobra.Command{
		Use:   "notebook [-- JUPYTER ARGUMENTS]",
		Short: "Open the notebooks in Jupyter, on a kernel that runs this source",
		Long: "Build the Jupyter kernel from this source tree and open the notebooks in Jupyter Lab, or in the\n" +
			"classic notebook where there is no Lab. With --check, execute all notebooks without a browser and\n" +
			"compare what they show with notebooks/expected.",
		RunE: func(cmd *cobra.Command, args []string) error {
			_, file, _, _ := runtime.Caller(0)
			source := filepath.Dir(file)
			jupyter, err := notebooks.Jupyter()
			if err != nil {
				return err
			}
			k, err := notebooks.Install(cmd.Context(), source, "", !check, os.Stderr)
			if err != nil {
				return err
			}
			folder := filepath.Join(source, "notebooks")
			if !check {
				return notebooks.Start(cmd.Context(), k, jupyter, folder, args...)
			}
			all, err := notebooks.List(folder)
			if err != nil {
				return err
			}
			if out == "" {
				if out, err = os.MkdirTemp("", "hounsfield-notebooks-"); err != nil {
					return err
				}
				defer os.RemoveAll(out)
			}
			var failed []error
			for _, notebook := range all {
				err := notebooks.Check(cmd.Context(), k, jupyter, notebook, out, false)
				if err != nil {
					failed = append(failed, err)
				} else {
					fmt.Printf("%s: as expected\n", filepath.Base(notebook))
				}
			}
			return errors.Join(failed...)
		},
	}
	cmd.Flags().BoolVar(&check, "check", false, "execute all notebooks and compare their outputs")
	cmd.Flags().StringVar(&out, "out", "", "with --check: keep the executed notebooks and their runs in this folder")
	return cmd
}
