//go:build !amd64 || goexperiment.simd

package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"hounsfield/experiments"
	"hounsfield/experiments/progress"
)

func prepareCommand() *cobra.Command {
	var o experiments.PrepareOptions
	var so experiments.PrepareSlurm
	var f experiments.FetchOptions
	var fetch, inSlurm bool
	var shard string
	cmd := &cobra.Command{
		Use:   "prepare COHORT | FOLDER",
		Short: "Turn a cohort's DICOM CT and RTSTRUCT into volumes, masks, cubes, tables and a page to check contours by",
		Long: `Turn the DICOM CT and contours (RTSTRUCT or SEG) of a cohort into volumes, masks, cubes and tables,
with a page to check every contour by, the clinical table beside them, and a row with a reason for
everybody who was lost on the way. COHORT is a name that ` + "`hounsfield datasets`" + ` lists (or the .yaml of an
entry); its scans are looked for where ` + "`hounsfield fetch`" + ` puts them, and --fetch fetches them first. FOLDER
is any folder tree of DICOM files; it may be read-only.

What an earlier run made of the same inputs with the same settings is kept: after a stop or a kill, a
changed setting or new patients, the same command does what is left.

  hounsfield prepare nsclc-radiomics --fetch --accept-licence      # from nothing to a prepared cohort
  hounsfield prepare nsclc-radiomics --slurm --shards 16           # the same work as 16 tasks of a Slurm array

With --slurm the command waits for the tasks and then writes the tables; stopped, it leaves the job
running, and typed again it gathers what is done and submits only what lacks. The scans, the prepared folder
and this program must lie where all nodes see them under the same paths, and locks must work there (NFS 4, or
3 with its lock service). Under another scheduler run each --shard I/N, then the command without --shard.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Source, o.Progress = args[0], progress.New(os.Stderr)
			switch {
			case !inSlurm && (so.NoWait || len(so.Sbatch) > 0 || so.Shards > 0):
				return errors.New("--shards, --no-wait and --sbatch are for --slurm; add it to submit the work, or leave them out to do it here")
			case inSlurm && so.Shards == 0:
				return errors.New("--slurm needs the number of tasks: add --shards N, such as --shards 8")
			case inSlurm && shard != "":
				return errors.New("--shard is for one task, and --slurm for all of them; leave one out")
			case !fetch && (f.AcceptLicence || f.Dest != ""):
				return errors.New("--accept-licence and --dest are for --fetch; add it to fetch what is not here")
			case fetch && shard != "":
				return errors.New("shards side by side must not fetch the same files; fetch first, with `hounsfield fetch`")
			}
			if shard != "" {
				var err error
				if o.Shard, o.Shards, err = parseShard(shard); err != nil {
					return err
				}
			}
			if fetch {
				f.Ask, f.Typed, f.Progress = askUser(cmd.Context()), typed(), o.Progress
				o.Fetch = &f
			}
			if inSlurm {
				return experiments.PrepareInSlurm(cmd.Context(), o, so, os.Stdout)
			}
			return experiments.Prepare(cmd.Context(), o, os.Stdout)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.Out, "out", "", "folder to write to (default: prepared/COHORT, or prepared for a folder)")
	flags.StringVar(&o.Mirror, "mirror", "", "data folder of a cohort (default: $HOUNSFIELD_MIRROR, else what hounsfield fetch downloaded);\nwith --fetch: copy from this folder instead of the network")
	flags.BoolVar(&fetch, "fetch", false, "fetch first what is not here of the cohort")
	flags.BoolVar(&f.AcceptLicence, "accept-licence", false, "with --fetch: accept the data set's licence without being asked")
	flags.StringVar(&f.Dest, "dest", "", "with --fetch: data folder to fetch into (default: ~/.local/share/hounsfield)")
	flags.StringVar(&o.Dataset, "dataset", "", "of a folder: catalog entry whose ROI rule and cohort name hold (default: nsclc-radiomics)")
	flags.StringArrayVar(&o.ROI, "roi", nil, "name of the tumour ROI, in order of preference (default: the catalog entry's rule)")
	flags.StringVar(&o.Repeats, "repeats", "", "whether patients have second scans or several readers: none, scans, or readers=PATTERN for\nthe ROI names with the group (?P<reader>...) (default: the catalog entry's rule)")
	flags.BoolVar(&o.NoVolumes, "no-volumes", false, "do not keep the 1 mm volume and mask (60 to 120 MB a patient); analyses that read scans need them")
	flags.BoolVar(&o.Features, "features", false, "also compute engineered features by IBSI's definitions, with the settings of the study's tables")
	flags.IntVar(&o.Jobs, "jobs", 0, "patients at a time (default: one a processor; memory stays bounded)")
	flags.BoolVar(&o.Verify, "verify", false, "hash again what an earlier run left, and its inputs, instead of going by size and time; what has changed is made anew")
	flags.StringVar(&shard, "shard", "", "I/N: prepare the Ith of N parts of the patients and write no tables; the command without it does, when all parts are done")
	flags.BoolVar(&inSlurm, "slurm", false, "submit the shards as an array job, wait for it and write the tables; if one is not gathered yet, gather that")
	flags.IntVar(&so.Shards, "shards", 0, "with --slurm: into how many tasks the patients are divided")
	flags.BoolVar(&so.NoWait, "no-wait", false, "with --slurm: do not wait; the same command gathers later")
	flags.StringArrayVar(&so.Sbatch, "sbatch", nil, "with --slurm: an option for sbatch, such as --sbatch=--time=2:00:00 (repeatable)")
	return cmd
}

// parseShard reads I/N, with I from 1, as I from 0 and N.
func parseShard(text string) (i, n int, err error) {
	first, second, _ := strings.Cut(text, "/")
	i, errI := strconv.Atoi(first)
	n, errN := strconv.Atoi(second)
	if errI != nil || errN != nil || i < 1 || n < 1 || i > n {
		return 0, 0, fmt.Errorf("--shard %s: give I/N with I from 1 to N, such as 2/8", text)
	}
	return i - 1, n, nil
}
