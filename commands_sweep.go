//go:build !amd64 || goexperiment.simd

package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"hounsfield/experiments/sweep"
)

func sweepCommand() *cobra.Command {
	var runs, mirror string
	var o sweep.Options
	var so sweep.SlurmOptions
	var slurm, dryRun bool
	cell := -1
	cmd := &cobra.Command{
		Use:   "sweep SWEEP | SWEEP.yaml",
		Short: "Run one experiment under many settings: a grid or a list of cells, here or in Slurm",
		Long: fmt.Sprintf("Run one experiment under many settings: a shipped sweep %v or a YAML file:\n\n", sweep.Shipped()) +
			`  name: shifts                      # of the folder RUNS/sweeps/NAME-HASH
  base: phantom                     # a shipped experiment or a YAML file
  set: {training.max_epochs: 20}    # for all cells
  grid:                             # all combinations
    augment.shift: [0, 5, 10]
    training.learning_rate: [0.001, 0.003]
  list:                             # further cells
    - {name: cox, set: {training.loss: cox}}
  seeds: [1, 2, 3]                  # one cell each; or "together", as in the base: one score
  exclude: [{augment.shift: 10, training.learning_rate: 0.003}]   # of the grid; also include
  reference: augment.shift=0,training.learning_rate=0.001         # default: the first cell
  choose: auc_delong                # of the tune role; or harrell_c
  slurm: {partition: gpu, time: 2:00:00, mem: 16G, cpus: 4, gres: "gpu:1", extra: [--account=lung], before: [module load cuda]}

All cells are checked before the first is started. A cell is the run that ` + "`hounsfield run`" + ` would make:
one that is there is not run again, and the same command goes on after a stop or a kill. In Slurm, the
runs folder, this program and the data must lie where all nodes see them under the same paths, and
locks must work there (NFS 4, or 3 with its lock service), so that two processes on one run see each other.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slurm && (so.NoWait || len(so.Sbatch) > 0) {
				return errors.New("--no-wait and --sbatch are for --slurm; add it to submit the cells, or leave them out to run the cells here")
			}
			s, err := sweep.Load(args[0])
			if err != nil {
				return err
			}
			alone := cmd.Flags().Changed("cell")
			workers := 0
			if alone {
				workers = o.Jobs // of the one cell
			}
			if o.Env, err = environment(runs, mirror, workers); err != nil {
				return err
			}
			if alone {
				return sweep.RunCell(cmd.Context(), s, cell, o.Env)
			}
			plan, err := sweep.New(s, o.Env)
			if err != nil {
				return err
			}
			if dryRun {
				return plan.List(os.Stdout)
			}
			var done *sweep.Done
			if slurm {
				done, err = plan.Slurm(cmd.Context(), o, so)
			} else {
				o.Runner = sweep.Processes{}
				done, err = plan.Run(cmd.Context(), o)
			}
			if done == nil {
				return err
			}
			if printing := done.Print(os.Stdout); err == nil {
				err = printing
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&runs, "runs", "runs", "folder that holds the run folders")
	f.StringVar(&mirror, "mirror", "", "data folder (default: $HOUNSFIELD_MIRROR, else what `hounsfield fetch` downloaded)")
	f.IntVar(&o.Jobs, "jobs", 0, "cells at a time (default: one; in Slurm as many as it has room for); with --cell its workers")
	f.BoolVar(&o.KeepGoing, "keep-going", false, "start further cells after one has failed")
	f.BoolVar(&dryRun, "dry-run", false, "check all cells, list them and which are there, and start none")
	f.IntVar(&cell, "cell", -1, "run this cell alone, in this process; from 0, as --dry-run lists them")
	f.BoolVar(&slurm, "slurm", false, "submit the cells as an array job, wait for it and gather; if one is not gathered yet, gather that")
	f.BoolVar(&so.NoWait, "no-wait", false, "with --slurm: do not wait; the same command gathers later")
	f.StringArrayVar(&so.Sbatch, "sbatch", nil, "with --slurm: a further option for sbatch, such as --sbatch=--partition=gpu (repeatable)")
	return cmd
}
