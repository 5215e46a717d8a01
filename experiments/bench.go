package experiments

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"hounsfield/experiments/progress"
	"hounsfield/models/engine"
)

// BenchOptions say what Bench measures.
type BenchOptions struct {
	Engines  []string // names that engine.OpenWith takes; "all": every one that is here
	Batches  []int    // cubes a step
	Steps    int      // timed ones, after the one that compiles
	Rounds   int      // how often everything is measured, in turn with the peer
	Threads  int      // 0: all processors
	Scale    float64  // factor on the width of every layer of the study's network
	Settings engine.Settings
	Peer     string        // "", torch or jax
	Python   string        // interpreter for the peer; "": the first that has it
	Limit    time.Duration // of one measurement
	JSON     string        // file to add the results to; "" for none
	Command  string        // as typed, for the record
	Progress *progress.Progress
}

// allEngines stands for every engine of this build whose library is installed.
const allEngines = "all"

// Bench times a training step and a forward pass of the study's network on each engine and batch size, and prints a
// table. Every measurement is a process of its own, which nothing else has warmed up or filled; the peer's take turns
// with ours, on the same processors, so that a load that comes and goes hits both. Ratios are medians over rounds.
//
// An engine that fails is a line with its reason. Errors: *ConfigError for options that cannot be, *PeerError when the
// peer cannot run, *ResultsError for a file of results that cannot be read.
func Bench(ctx context.Context, o BenchOptions, w io.Writer) error {
	if err := o.validate(); err != nil {
		return err
	}
	if o.Threads == 0 {
		o.Threads = schedulable()
	}
	var results *benchResults
	var err error
	if o.JSON != "" {
		if results, err = readResults(o.JSON); err != nil {
			return err // before the work, not after it
		}
	}
	var p *peer
	if o.Peer != "" {
		if p, err = findPeer(ctx, o.Peer, o.Python); err != nil {
			return err
		}
	}
	m := thisMachine()
	parameters, _, err := scaled(o.Scale).Parameters()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s\nthe study's network at %g times its width: %d parameters that training changes\n", m, o.Scale, parameters)
	if m.Load != nil && *m.Load > quietLoad {
		fmt.Fprintf(w, "warning: the load average is %.2f: other programs are at work here. Seconds will be too long, and ratios are less sure; repeat this on an idle machine.\n", *m.Load)
	}
	var entries []BenchEntry
	for _, batch := range o.Batches {
		measured, err := o.measure(ctx, batch, p)
		if err != nil {
			return err
		}
		entries = append(entries, measured...)
	}
	for i := range entries {
		e := &entries[i]
		e.Machine, e.Command, e.Date = m, o.Command, time.Now().UTC().Truncate(time.Second)
		e.Versions = benchVersions()
	}
	if err := printBench(w, entries); err != nil {
		return err
	}
	if results == nil {
		return nil
	}
	results.merge(entries)
	if err := results.write(o.JSON); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%d results in %s\n", len(results.Entries), o.JSON)
	return err
}

func (o BenchOptions) validate() error {
	bad := func(flag, problem string, allowed ...string) error {
		return &ConfigError{File: "command line", Key: "--" + flag, Problem: problem, Allowed: allowed}
	}
	switch {
	case len(o.Engines) == 0:
		return bad("engine", "is empty", append(engine.Names(), allEngines)...)
	case len(o.Batches) == 0:
		return bad("batch", "is empty; give at least one number of cubes")
	case o.Steps < 1:
		return bad("steps", fmt.Sprintf("is %d; at least 1 step must be timed", o.Steps))
	case o.Rounds < 1:
		return bad("rounds", fmt.Sprintf("is %d; at least 1 is needed", o.Rounds))
	case o.Threads < 0 || o.Threads > schedulable():
		return bad("threads", fmt.Sprintf("is %d; this process may use 1 to %d processors", o.Threads, schedulable()))
	case !(o.Scale > 0 && o.Scale <= 4):
		return bad("scale", fmt.Sprintf("is %v; it must be above 0 and at most 4", o.Scale))
	case !slices.Contains([]string{"", "torch", "jax"}, o.Peer):
		return bad("vs", fmt.Sprintf("is %q", o.Peer), "torch", "jax")
	}
	for _, b := range o.Batches {
		if b < 2 {
			return bad("batch", fmt.Sprintf("is %d; batch normalisation needs at least 2 cubes", b))
		}
	}
	for _, name := range o.Engines {
		if name == allEngines {
			continue
		}
		if err := engine.CheckName(name); err != nil {
			return err
		}
	}
	return o.Settings.Validate()
}

// names are the engines to measure. With "all", those whose library is not here are left out.
func (o BenchOptions) names() (names []string, missingIsFine bool) {
	if slices.Contains(o.Engines, allEngines) {
		for _, n := range engine.Names() {
			if n != engine.Auto && n != engine.XLA {
				names = append(names, n)
			}
		}
		return names, true
	}
	return o.Engines, false
}

// measure does all rounds of one batch size: each engine, then the peer, then again.
func (o BenchOptions) measure(ctx context.Context, batch int, p *peer) ([]BenchEntry, error) {
	names, missingIsFine := o.names()
	ours := map[string][]Timing{}
	theirs := map[string][]Timing{} // by the peer's device
	for round := range o.Rounds {
		devices := map[string]bool{}
		for _, name := range names {
			if done := ours[name]; len(done) > 0 && done[len(done)-1].Error != "" {
				continue
			}
			o.Progress.Say("batch %d, round %d of %d: %s", batch, round+1, o.Rounds, name)
			t, err := o.child(ctx, StepRequest{Engine: name, Settings: o.Settings, Batch: batch, Steps: o.Steps, Scale: o.Scale})
			if err != nil {
				return nil, err
			}
			ours[name] = append(ours[name], t)
			if t.Error == "" {
				devices[peerDevice(t.Name)] = true
			}
		}
		if p == nil {
			continue
		}
		for _, device := range slices.Sorted(maps.Keys(devices)) {
			o.Progress.Say("batch %d, round %d of %d: %s on %s", batch, round+1, o.Rounds, p.name, device)
			t, err := p.run(ctx, o, batch, device)
			if err != nil {
				return nil, err
			}
			theirs[device] = append(theirs[device], t)
		}
	}
	var entries []BenchEntry
	for _, name := range names {
		timings := ours[name]
		last := timings[len(timings)-1]
		if last.Missing && missingIsFine {
			o.Progress.Say("left out: %s", last.Error)
			continue
		}
		e := BenchEntry{What: benchStep, Engine: name, Vs: o.Peer, Settings: plain(o.Settings), Scale: o.Scale, Batch: batch, Threads: o.Threads, Steps: o.Steps}
		if last.Error != "" {
			e.Error = last.Error
		} else {
			e.Engine = last.Name
			e.Rounds = len(timings)
			e.Ours = medianTiming(timings)
			if p != nil {
				peers := theirs[peerDevice(last.Name)]
				e.Peer, e.Ratio = medianTiming(peers), ratios(timings, peers)
			}
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// child runs one measurement in a process of its own: this program again, with the verb that reads a request.
func (o BenchOptions) child(ctx context.Context, r StepRequest) (Timing, error) {
	self, err := os.Executable()
	if err != nil {
		return Timing{}, fmt.Errorf("finding this program, to run it once for each measurement: %w", err)
	}
	request, err := json.Marshal(r)
	if err != nil {
		return Timing{}, err
	}
	cmd := exec.Command(self, "bench", MeasureVerb)
	cmd.Stdin = bytes.NewReader(request)
	t, err := o.timing(ctx, cmd)
	var failed *childError
	if errors.As(err, &failed) {
		return Timing{Error: failed.Error()}, nil // the engine took the process with it, or was too slow
	}
	return t, err
}

// childError says how a measuring process failed.
type childError struct {
	What   string
	Stderr string // its last lines
	Err    error
}

func (e *childError) Error() string {
	s := fmt.Sprintf("%s: %v", e.What, e.Err)
	if e.Stderr != "" {
		s += ": " + e.Stderr
	}
	return s
}

func (e *childError) Unwrap() error { return e.Err }

// timing runs a command that prints a Timing as its last line, on as many processors as there are threads. Errors:
// *childError; the context's.
func (o BenchOptions) timing(ctx context.Context, cmd *exec.Cmd) (Timing, error) {
	limited, cancel := context.WithTimeout(ctx, o.Limit)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	threads := strconv.Itoa(o.Threads)
	cmd.Env = append(os.Environ(), "GOMAXPROCS="+threads, "OMP_NUM_THREADS="+threads, "MKL_NUM_THREADS="+threads)
	err := startOn(cmd, o.Threads)
	if err == nil {
		stop := context.AfterFunc(limited, func() { _ = cmd.Process.Kill() }) // an ended process is fine
		err = cmd.Wait()
		stop()
	}
	switch {
	case ctx.Err() != nil:
		return Timing{}, fmt.Errorf("measuring stopped: %w", ctx.Err())
	case limited.Err() != nil:
		return Timing{}, &childError{What: cmd.Args[0], Err: fmt.Errorf("did not end within %s", o.Limit)}
	case err != nil:
		return Timing{}, &childError{What: cmd.Args[0], Stderr: lastLines(stderr.String(), 3), Err: err}
	}
	var t Timing
	if err := json.Unmarshal([]byte(lastLines(stdout.String(), 1)), &t); err != nil {
		return t, &childError{What: cmd.Args[0], Stderr: lastLines(stderr.String(), 3), Err: fmt.Errorf("its output is no measurement: %w", err)}
	}
	return t, nil
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// medianTiming takes each number's median over rounds; the rest is the last round's.
func medianTiming(rounds []Timing) *Timing {
	t := rounds[len(rounds)-1]
	t.FirstStepSeconds = medianOf(rounds, func(t Timing) float64 { return t.FirstStepSeconds })
	t.StepSeconds = medianOf(rounds, func(t Timing) float64 { return t.StepSeconds })
	t.FirstForwardSeconds = medianOf(rounds, func(t Timing) float64 { return t.FirstForwardSeconds })
	t.ForwardSeconds = medianOf(rounds, func(t Timing) float64 { return t.ForwardSeconds })
	t.PeakMiB = medianOf(rounds, func(t Timing) float64 { return t.PeakMiB })
	return &t
}

func medianOf(rounds []Timing, value func(Timing) float64) float64 {
	values := make([]float64, len(rounds))
	for i, t := range rounds {
		values[i] = value(t)
	}
	return median(values)
}

// median of a slice, which it sorts.
func median(values []float64) float64 {
	slices.Sort(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

// ratios compares round by round, as the two took turns.
func ratios(ours, theirs []Timing) *BenchRatio {
	n := min(len(ours), len(theirs))
	ratio := func(value func(i int) float64) float64 {
		values := make([]float64, n)
		for i := range values {
			values[i] = value(i)
		}
		return math.Round(1000*median(values)) / 1000
	}
	return &BenchRatio{
		Step:    ratio(func(i int) float64 { return theirs[i].StepSeconds / ours[i].StepSeconds }),
		Forward: ratio(func(i int) float64 { return theirs[i].ForwardSeconds / ours[i].ForwardSeconds }),
		Peak:    ratio(func(i int) float64 { return ours[i].PeakMiB / theirs[i].PeakMiB }),
	}
}

func printBench(w io.Writer, entries []BenchEntry) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "engine\tbatch\tstep s\tforward s\tpeak MiB\tcompile s\tpeer step s\tforward s\tpeak MiB\tstep x\tforward x\tmemory x")
	for _, e := range entries {
		if e.Error != "" {
			continue
		}
		compile := max(0, e.Ours.FirstStepSeconds-e.Ours.StepSeconds) + max(0, e.Ours.FirstForwardSeconds-e.Ours.ForwardSeconds)
		fmt.Fprintf(t, "%s\t%d\t%.3f\t%.3f\t%.0f\t%.1f", e.Engine, e.Batch, e.Ours.StepSeconds, e.Ours.ForwardSeconds, e.Ours.PeakMiB, compile)
		if e.Peer != nil {
			fmt.Fprintf(t, "\t%.3f\t%.3f\t%.0f\t%.2f\t%.2f\t%.2f", e.Peer.StepSeconds, e.Peer.ForwardSeconds, e.Peer.PeakMiB, e.Ratio.Step, e.Ratio.Forward, e.Ratio.Peak)
		}
		fmt.Fprintln(t)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, e := range entries {
		if e.Error != "" {
			fmt.Fprintf(w, "%s, batch %d: no result: %s\n", e.Engine, e.Batch, e.Error)
		}
	}
	if i := slices.IndexFunc(entries, func(e BenchEntry) bool { return e.Peer != nil }); i >= 0 {
		p := entries[i].Peer
		_, err := fmt.Fprintf(w, "peer: %s %s. step x and forward x are the peer's seconds over ours: above 1, ours is faster. memory x is our peak over the peer's: below 1, ours is smaller.\n", p.Name, p.Version)
		return err
	}
	return nil
}
