//go:build !amd64 || goexperiment.simd

// Package main is the hounsfield command line: one verb per command, flags only.
package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"hounsfield/experiments"
	"hounsfield/experiments/progress"
)

// source is the program's own code, which names the runs it makes.
//
//go:embed go.mod go.sum *.go bench/*.go bench/*.py datasets models stats experiments
var source embed.FS

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program where it stands
	if err := commands().ExecuteContext(ctx); err != nil {
		var exit *exec.ExitError // of the go command, which has said why
		if errors.As(err, &exit) {
			os.Exit(exit.ExitCode())
		}
		fmt.Fprintln(os.Stderr, "hounsfield:", err)
		if errors.Is(err, context.Canceled) {
			os.Exit(130)
		}
		os.Exit(1)
	}
}

// commands is the whole command line.
func commands() *cobra.Command {
	root := &cobra.Command{
		Use:           "hounsfield",
		Short:         "Prognosis from CT: run, repeat and judge experiments",
		Long:          "Hounsfield re-runs and extends the study of Hosny et al. (2018): does this CT tell how long\nthis patient will live, and would you believe it?\n\nResearch software, not a medical device.",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(runCommand(), sweepCommand(), prepareCommand(), predictCommand(), compareCommand(), verifyCommand(), fetchCommand(), datasetsCommand(),
		backendsCommand(), setupCommand(), benchCommand(), exportCommand(), importCommand(), notebookCommand(), testCommand())
	sayUsage(root)
	return root
}

// sayUsage lets errors in flags and arguments say what would have been right.
func sayUsage(root *cobra.Command) {
	right := func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w; type: %s (`%s --help` explains)", err, cmd.UseLine(), cmd.CommandPath())
	}
	root.SetFlagErrorFunc(right)
	for _, verb := range root.Commands() {
		if check := verb.Args; check != nil {
			verb.Args = func(cmd *cobra.Command, args []string) error {
				if err := check(cmd, args); err != nil {
					return right(cmd, err)
				}
				return nil
			}
		}
	}
}

// environment reads the flags that most verbs share.
func environment(runs, mirror string, jobs int) (experiments.Env, error) {
	code, err := experiments.HashSource(source)
	if err != nil {
		return experiments.Env{}, err
	}
	dataCode, err := experiments.HashSource(source, "datasets/volume", "datasets/phantom", "datasets/dicom", "datasets/nifti", "datasets/prepare")
	return experiments.Env{Runs: runs, Mirror: mirror, Jobs: jobs, Cache: experiments.DefaultCache(), Code: code, DataCode: dataCode,
		Progress: progress.New(os.Stderr)}, err
}

func runCommand() *cobra.Command {
	var runs, mirror string
	var set []string
	var jobs int
	cmd := &cobra.Command{
		Use:   "run [EXPERIMENT | CONFIG.yaml]",
		Short: "Run an experiment, or go on with one that was stopped (default: phantom)",
		Long:  fmt.Sprintf("Run an experiment: a shipped one %v, a YAML file that holds what differs from the\ndefault, or the config.yaml of an earlier run.\n\nAnalyses that a config can name (analyses: [...]):\n%s", experiments.Shipped(), experiments.AnalysesHelp()),
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := "phantom"
			if len(args) == 1 {
				name = args[0]
			}
			cfg, err := experiments.Load(name, set...)
			if err != nil {
				return err
			}
			env, err := environment(runs, mirror, jobs)
			if err != nil {
				return err
			}
			done, err := experiments.Run(cmd.Context(), cfg, env)
			if err != nil {
				return err
			}
			return done.Print(os.Stdout)
		},
	}
	cmd.Flags().StringVar(&runs, "runs", "runs", "folder that holds the run folders")
	cmd.Flags().StringVar(&mirror, "mirror", "", "data folder (default: $HOUNSFIELD_MIRROR, else what `hounsfield fetch` downloaded)")
	cmd.Flags().StringArrayVar(&set, "set", nil, "override a setting, as training.max_epochs=5 (repeatable)")
	cmd.Flags().IntVar(&jobs, "jobs", 0, "workers (default: all cores)")
	return cmd
}

func predictCommand() *cobra.Command {
	var o experiments.PredictOptions
	cmd := &cobra.Command{
		Use:   "predict RUN FOLDER",
		Short: "Score the patients in a folder tree of DICOM with a trained run",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Run, o.Folder, o.Progress = args[0], args[1], progress.New(os.Stderr)
			return experiments.Predict(cmd.Context(), o, os.Stdout)
		},
	}
	cmd.Flags().StringVar(&o.Dataset, "dataset", "nsclc-radiomics", "catalog entry whose ROI rule holds")
	cmd.Flags().StringArrayVar(&o.ROI, "roi", nil, "name of the tumour ROI, in order of preference (default: the catalog entry's rule)")
	cmd.Flags().StringVar(&o.Out, "out", "", "also write the scores as a table (.arrow or .parquet)")
	return cmd
}

func compareCommand() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "compare RUN RUN...",
		Short: "Show what differs between runs: their configs, and their metrics side by side",
		Args:  cobra.MinimumNArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			return experiments.Compare(args, out, os.Stdout)
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "HTML file to write (default: compare-<runs>.html beside the first run)")
	return cmd
}

func verifyCommand() *cobra.Command {
	var mirror string
	cmd := &cobra.Command{
		Use:   "verify RUN...",
		Short: "Recompute the hashes of a run's inputs and outputs",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			env, err := environment("", mirror, 0)
			if err != nil {
				return err
			}
			for _, run := range args {
				if err := experiments.Verify(run, env, os.Stdout); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&mirror, "mirror", "", "data folder (default: $HOUNSFIELD_MIRROR, else what `hounsfield fetch` downloaded)")
	return cmd
}

func testCommand() *cobra.Command {
	return &cobra.Command{
		Use:                "test [go test arguments]",
		Short:              "Run the tests of the source tree in this folder",
		DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			dir, err := filepath.Abs(".")
			if err != nil {
				return err
			}
			return runTests(dir, args)
		},
	}
}
