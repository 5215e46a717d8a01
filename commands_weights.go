//go:build !amd64 || goexperiment.simd

package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"hounsfield/datasets/intake"
	"hounsfield/experiments"
	"hounsfield/experiments/progress"
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
	var weights experiments.ImportOptions
	var cohort experiments.IntakeOptions
	var out string
	var example bool
	cmd := &cobra.Command{
		Use:   "import --images FOLDER --clinical TABLE --map MAP.yaml | import WEIGHTS --out FOLDER",
		Short: "Bring in your own patients (images and clinical table), or weights that others trained",
		Long: `Bring in a cohort of your own:

  hounsfield import --example > map.yaml           # then change it to fit your files
  hounsfield import --images FOLDER --clinical TABLE.csv --map map.yaml --dry-run
  hounsfield import --images FOLDER --clinical TABLE.csv --map map.yaml

The map says which columns of the clinical table are what, how ids are spelled, and which
contour is the tumour. --dry-run tells who would be matched, who not and why, and writes
nothing. Nothing is matched because it looks alike. The run makes a folder with a catalog
entry, the clinical table, the prepared images, a page to check every contour by
(prepared/qc.html) and run.yaml, which ` + "`hounsfield run`" + ` trains on.

Names, birth dates, accession numbers and the like from the DICOM headers are refused in
everything that is written, and so is what stands in the columns that the map calls
clinical.identity. Dates are not written, only ages and durations. With --pseudonymise ids
and UIDs are replaced by keyed hashes; who has the key can find the ids again, nobody else.
Text burned into the pixels is not looked for, and faces are not taken out of head scans.

Or read weights that others trained, such as the study's (weights.h5 of Keras 1.2, or an ONNX
model), into the network here, with every shape checked:

  hounsfield import weights.h5 --out FOLDER

The folder then serves ` + "`hounsfield predict`, `hounsfield export`" + ` and training.init_from
like that of a run.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if example {
				_, err := os.Stdout.WriteString(intake.Example)
				return err
			}
			patients, err := importsCohort(cmd.Flags().Changed, args)
			if err != nil {
				return err
			}
			if patients {
				cohort.Out, cohort.Progress = out, progress.New(os.Stderr)
				return experiments.ImportCohort(cmd.Context(), cohort, os.Stdout)
			}
			if weights.File, weights.Out = args[0], out; out == "" {
				weights.Out = "imported"
			}
			env, err := environment("", "", 0)
			if err != nil {
				return err
			}
			return experiments.Import(weights, env, os.Stdout)
		},
	}
	f := cmd.Flags()
	f.StringVar(&out, "out", "", "folder to make (default: imported/COHORT for patients, imported for weights)")
	f.BoolVar(&example, "example", false, "print a map with every key explained")
	f.StringVar(&cohort.Images, "images", "", "patients: folder of DICOM files, or of NIfTI scans and masks")
	f.StringVar(&cohort.Clinical, "clinical", "", "patients: clinical table, .csv, .arrow or .parquet")
	f.StringVar(&cohort.Map, "map", "", "patients: YAML that says what is what in both")
	f.BoolVar(&cohort.DryRun, "dry-run", false, "patients: say who would be matched and why others not; write nothing")
	f.StringVar(&cohort.Report, "out-report", "", "patients: with --dry-run, write the matching into this file (.csv, .arrow or .parquet)")
	f.BoolVar(&cohort.Pseudonymise, "pseudonymise", false, "patients: replace ids and UIDs by keyed hashes (HMAC-SHA-256)")
	f.StringVar(&cohort.Key, "key", "", "patients: file of the key for that, kept apart from the data")
	f.BoolVar(&cohort.NewKey, "new-key", false, "patients: make the key's file first; the same key gives the same pseudonyms later")
	f.StringVar(&cohort.Crosswalk, "crosswalk", "", "patients: also write the ids beside their pseudonyms, into this file apart from the data")
	f.BoolVar(&cohort.Ages90, "ages-90-plus", false, "patients: write every age above 89 as 90, as the HIPAA safe harbour rule asks")
	f.BoolVar(&cohort.NoVolumes, "no-volumes", false, "patients: do not keep the 1 mm volume and mask, which some analyses need")
	f.BoolVar(&cohort.Features, "features", false, "patients: also compute engineered features by IBSI's definitions")
	f.IntVar(&cohort.Jobs, "jobs", 0, "patients: how many at a time (default: one per processor)")
	f.StringVar(&weights.Spec, "spec", "", "weights: the network: hosny2018, small, or a config's (default: what the file says, else hosny2018)")
	f.Float64Var(&weights.SpacingMM, "spacing", 1, "weights: millimetres per voxel of the cubes that it was trained on")
	f.StringVar(&weights.KerasVersion, "keras-version", "", "weights: version of Keras that wrote the file (default: as it says, else 1.2.2)")
	return cmd
}

// The flags of `import` by use; --out and --example are of both.
var (
	cohortFlags  = []string{"images", "clinical", "map", "dry-run", "out-report", "pseudonymise", "key", "new-key", "crosswalk", "ages-90-plus", "no-volumes", "features", "jobs"}
	weightsFlags = []string{"spec", "spacing", "keras-version"}
)

// importsCohort says by its flags and arguments which of its two uses `import` is asked for:
// patients (true) or weights. Anything between is an error that says what to type.
func importsCohort(changed func(flag string) bool, args []string) (bool, error) {
	given := func(of []string) (out []string) {
		for _, name := range of {
			if changed(name) {
				out = append(out, "--"+name)
			}
		}
		return out
	}
	patients, weights := given(cohortFlags), given(weightsFlags)
	switch {
	case len(args) == 0 && len(patients) == 0:
		return false, errors.New("name what to import: your patients (--images FOLDER --clinical TABLE --map MAP.yaml; `hounsfield import --example` prints a map to start from) or a file of weights (FILE --out FOLDER)")
	case len(args) > 0 && len(patients) > 0:
		return false, fmt.Errorf("%s is for importing patients, and %s would be a file of weights; leave one of the two out", strings.Join(patients, ", "), args[0])
	case len(weights) > 0 && len(patients) > 0:
		return false, fmt.Errorf("%s is for importing patients and %s for weights; leave one of the two out", strings.Join(patients, ", "), strings.Join(weights, ", "))
	case len(args) > 0:
		return false, nil
	}
	for _, name := range []string{"images", "clinical", "map"} {
		if !slices.Contains(patients, "--"+name) {
			return false, fmt.Errorf("patients are imported from three things, and --%s is missing: --images FOLDER --clinical TABLE --map MAP.yaml (`hounsfield import --example` prints a map to start from)", name)
		}
	}
	return true, nil
}
