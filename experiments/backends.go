package experiments

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"hounsfield/experiments/progress"
	"hounsfield/models/engine"
	"hounsfield/models/engine/install"
)

// backendRow is one engine in the output of Backends for programs.
type backendRow struct {
	Engine  string       `json:"engine"`
	Usable  bool         `json:"usable"`
	Problem string       `json:"problem,omitempty"` // why not, and what to do
	Version string       `json:"version,omitempty"`
	Library string       `json:"library,omitempty"`
	From    string       `json:"from,omitempty"`
	Device  string       `json:"device,omitempty"`
	Devices int          `json:"devices,omitempty"`
	Test    *engine.Test `json:"test,omitempty"`
}

// Backends tests the compute engines and lists which are usable here and why the others are not: a table for people, or
// JSON with the engine that auto takes and one entry for each engine.
func Backends(ctx context.Context, asJSON bool, p *progress.Progress, w io.Writer) error {
	p.Say("testing each engine, about two seconds for each that is usable")
	reports := engine.Survey(ctx)
	if err := ctx.Err(); err != nil {
		return err
	}
	auto, err := engine.Open(engine.Auto)
	if err != nil {
		return err
	}
	defer auto.Close()
	rows := make([]backendRow, len(reports))
	for i, r := range reports {
		rows[i] = backendRow{Engine: r.Engine, Usable: r.Err == nil, Version: r.Version, Library: r.Library, From: r.From,
			Device: r.Device, Devices: r.Devices, Test: r.Test}
		if r.Err != nil {
			rows[i].Problem = r.Err.Error()
		}
	}
	if asJSON {
		out := json.NewEncoder(w)
		out.SetIndent("", "  ")
		return out.Encode(struct {
			Auto    string       `json:"auto"`
			Why     string       `json:"why"`
			Engines []backendRow `json:"engines"`
		}{auto.Name, auto.Why, rows})
	}
	return printBackends(rows, auto, w)
}

func printBackends(rows []backendRow, auto *engine.Engine, w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ENGINE\tUSABLE\tGFLOP/S\tERROR\tDEVICES\tVERSION")
	for _, r := range rows {
		if !r.Usable {
			fmt.Fprintf(table, "%s\tno\t\t\t\t%s\n", r.Engine, r.Version)
			continue
		}
		version := r.Version
		if version == "" {
			version = "built in"
		}
		fmt.Fprintf(table, "%s\tyes\t%.0f\t%.1g\t%d\t%s\n", r.Engine, r.Test.GFLOPs, r.Test.Error, r.Devices, version)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w, "\nThe test is a 3D convolution with both gradients: its speed, and its largest relative\ndifference from the same sums in float64. `hounsfield bench` measures the networks.")
	fmt.Fprintln(w)
	for _, r := range rows {
		switch {
		case !r.Usable:
			fmt.Fprintf(w, "%s is not usable: %s\n", r.Engine, strings.TrimPrefix(r.Problem, "compute engine "+r.Engine+": "))
		case r.Library != "":
			fmt.Fprintf(w, "%s: %s, %s\n", r.Engine, r.Library, r.From)
		}
	}
	_, err := fmt.Fprintf(w, "\nWith backend: auto, %s\n", auto.Why)
	return err
}

// SetupOptions say which engine's library to install.
type SetupOptions struct {
	Engine string // onnx or xla
	CUDA   bool   // xla's plugin for CUDA, with NVIDIA's libraries
	File   string // a library or a package that is here already; "" downloads one
}

// Setup installs the library of an engine in the user's folder, on request only.
func Setup(ctx context.Context, o SetupOptions, p *progress.Progress, w io.Writer) error {
	name, ok := map[string]string{"onnx": engine.ONNX, "xla": engine.XLACPU}[o.Engine]
	if !ok {
		return &install.Error{What: fmt.Sprintf("%q is no engine with a library", o.Engine), Next: "set up onnx or xla"}
	}
	if o.CUDA {
		if name != engine.XLACPU {
			return &install.Error{What: "setup installs ONNX Runtime for the CPU only", Next: "--cuda goes with xla; a build of ONNX Runtime with CUDA can be named by " + engine.ONNXVariable}
		}
		name = engine.XLACUDA
	}
	in, err := install.Library(ctx, install.Options{Engine: name, File: o.File, Progress: p.Downloads()})
	if err != nil {
		return err
	}
	r := in.Report
	fmt.Fprintf(w, "installed %s from %s (%s)\n  %s\n  sha256 %s\n", r.Engine, in.Source, in.Licence, r.Library, in.SHA256)
	if r.NoDevice {
		_, err = fmt.Fprintln(w, "  not tested: no CUDA device is to be seen here")
		return err
	}
	_, err = fmt.Fprintf(w, "  tested: %s, %.0f GFLOP/s, relative error %.1g; set backend: %s to use it\n", r.Version, r.Test.GFLOPs, r.Test.Error, r.Engine)
	return err
}
