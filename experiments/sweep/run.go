package sweep

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"hounsfield/experiments"
	"hounsfield/experiments/progress"
)

// Options say how a sweep is run. They change no number.
type Options struct {
	Env       experiments.Env // Env.Progress tells of the sweep; Env.Jobs is not used: threads are divided among the cells
	Jobs      int             // cells at a time; 0 = 1
	KeepGoing bool            // start further cells after one has failed
	Runner    Runner          // nil = InProcess
	// OnState is told of each change of a cell's state, from one goroutine at a time. May be nil.
	OnState func(index int, s State)
}

// Done is what a sweep leaves.
type Done struct {
	Dir   string // the sweep's folder
	Page  string // its report.html
	Cells []State
	// Results are the rows of the table for people, one for each cell, in the cells' order.
	Results []Result
	// Best is the setting that the tune role chooses; "" where no setting has all its cells done.
	Best   string
	choose string // the metric by which
}

// Print writes a sweep's outcome as a short table: in the sweep's order, never by the test
// role, with the setting that the tune role chooses.
func (d *Done) Print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	measure, whole := measureName(d.choose), ""
	fmt.Fprintf(t, "cell\tstate\ttune %s\ttest %s (95%% CI)\n", measure, measure)
	for _, r := range d.Results {
		state := r.Status
		if r.Already {
			state += " before"
		}
		if r.Status != Ok {
			whole = " of the settings whose cells are all done"
		}
		tune := "-"
		if m := r.tune(d.choose); m.N > 0 {
			tune = number3(m.Value)
		}
		test := "-"
		if m := r.test(d.choose); m.N > 0 {
			test = withInterval(m)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", r.Cell, state, tune, test)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if d.Best != "" {
		fmt.Fprintf(w, "chosen by the tune role%s: %s (the test role chooses nothing)\n", whole, d.Best)
	}
	page, err := filepath.Abs(d.Page)
	if err != nil {
		page = d.Page
	}
	dir := filepath.Dir(page)
	_, err = fmt.Fprintf(w, "\nreport:      %s\nall metrics: %s\nby cell:     %s\n\nResearch software, not a medical device.\n",
		page, filepath.Join(dir, longTable+".parquet"), filepath.Join(dir, wideTable+".csv"))
	return err
}

// FailedError says that some cells of a sweep did not end well. Tables and page are written
// all the same, with the reasons.
type FailedError struct {
	Dir        string
	Failed     []State
	NotStarted int
}

func (e *FailedError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d of the sweep's cells failed", len(e.Failed))
	switch {
	case e.NotStarted > 0 && len(e.Failed) > 0:
		fmt.Fprintf(&b, ", and %d were not started because of it (--keep-going starts them)", e.NotStarted)
	case e.NotStarted > 0:
		fmt.Fprintf(&b, ", and %d have no run any more", e.NotStarted)
	}
	for _, s := range e.Failed {
		fmt.Fprintf(&b, "\n  %s: %s", s.Cell, s.Reason)
		if s.Log != "" {
			fmt.Fprintf(&b, " (log: %s)", filepath.Join(e.Dir, s.Log))
		}
	}
	b.WriteString("\ntype the same command again to run what is not done")
	return b.String()
}

// Run spells a sweep out, checks all of it, runs the cells whose runs are not there, and
// gathers results. A sweep that was stopped or killed goes on where it was: runs that are
// done are not run again, and a run that was cut continues from its last whole epoch.
//
// Errors: *InvalidError before anything starts, *BusyError, *FailedError, and ctx.Err() when
// it is stopped; with the last two the result is there as well.
func Run(ctx context.Context, s Sweep, o Options) (*Done, error) {
	p, err := New(s, o.Env)
	if err != nil {
		return nil, err
	}
	return p.Run(ctx, o)
}

// Run runs a sweep that has been planned. Errors: those of the function Run.
func (p *Planned) Run(ctx context.Context, o Options) (*Done, error) {
	f, err := p.open()
	if err != nil {
		return nil, err
	}
	defer f.lock.Close()
	if err := p.refuseSlurm(f.record); err != nil {
		return nil, err
	}
	if o.Runner == nil {
		o.Runner = InProcess{}
	}
	o.Jobs = max(o.Jobs, 1)
	r := &scheduler{p: p, o: o, f: f, slots: make([]int, o.Jobs), results: make(chan ended)}
	if err := r.run(ctx); err != nil {
		return nil, err
	}
	return p.finish(ctx, f)
}

// finish gathers what the runs hold, writes tables and page, and says what is missing.
func (p *Planned) finish(ctx context.Context, f *folder) (*Done, error) {
	done, err := p.gather(f)
	if err != nil {
		return nil, err
	}
	failed := &FailedError{Dir: f.dir}
	for _, s := range f.record.Cells {
		switch s.Status {
		case Failed:
			failed.Failed = append(failed.Failed, s)
		case Waiting:
			failed.NotStarted++
		}
	}
	now := time.Now().UTC().Truncate(time.Second)
	f.record.Status, f.record.Finished = Ok, &now
	switch {
	case ctx.Err() != nil:
		f.record.Status, err = Stopped, fmt.Errorf("stopped; type the same command again to go on from here: %w", ctx.Err())
	case len(failed.Failed)+failed.NotStarted > 0:
		f.record.Status, err = Failed, failed
	}
	return done, errors.Join(f.save(), err)
}

// ended is what a runner says of a cell.
type ended struct {
	cell, slot int
	seconds    float64
	err        error
}

// scheduler runs the cells of one sweep. All its fields belong to the goroutine of run.
type scheduler struct {
	p       *Planned
	o       Options
	f       *folder
	waiting []int
	slots   []int // the cell in each slot, from 1; 0 = free
	results chan ended
	halted  bool // start no more
	bar     *progress.Bar
	told    bool // of cells that others run
}

// retry is how often cells that another process runs are looked at.
const retry = 500 * time.Millisecond

func (r *scheduler) run(ctx context.Context) error {
	cells, already := r.p.Cells, 0
	for i, c := range cells {
		switch {
		case c.Same >= 0: // follows the cell that is the same run
			r.o.Env.Progress.Say("%s is the same run as %s: it is made once", c.Name, cells[c.Same].Name)
		case c.Plan.Done():
			already++
			r.set(i, Ok, "")
		default:
			r.waiting = append(r.waiting, i)
		}
	}
	r.o.Env.Progress.Say("sweep %s: %d cells, %d are there, %d to run, %d at a time\nfolder %s", r.p.Sweep.Name, len(cells), already, len(r.waiting), r.o.Jobs, r.p.Dir)
	if len(r.waiting) == 0 {
		return r.f.save()
	}
	r.bar = r.o.Env.Progress.Bar(len(r.waiting), "sweep "+r.p.Sweep.Name)
	for {
		if err := r.startAll(ctx); err != nil {
			return errors.Join(err, r.drain())
		}
		if r.free() == len(r.slots) && (r.halted || ctx.Err() != nil || len(r.waiting) == 0) {
			break
		}
		var look <-chan time.Time
		if len(r.waiting) > 0 && !r.halted {
			look = time.After(retry)
		}
		select {
		case e := <-r.results:
			if err := r.end(ctx, e); err != nil {
				return errors.Join(err, r.drain())
			}
		case <-look:
		case <-ctx.Done():
			r.halted = true
			return r.drain()
		}
	}
	r.bar.Done()
	return r.f.save()
}

func (r *scheduler) free() (n int) {
	for _, s := range r.slots {
		if s == 0 {
			n++
		}
	}
	return n
}

// startAll fills the free slots.
func (r *scheduler) startAll(ctx context.Context) error {
	for slot := range r.slots {
		if r.slots[slot] != 0 || r.halted || ctx.Err() != nil {
			continue
		}
		i, err := r.pick()
		if err != nil || i < 0 {
			return err
		}
		if err := r.start(ctx, i, slot); err != nil {
			return err
		}
	}
	return nil
}

// pick takes the first cell that can be run now out of the waiting ones; -1 where there is
// none. A cell that another process runs waits for it; one that shares its networks with a
// cell under way waits, to take them over and not train them twice.
func (r *scheduler) pick() (int, error) {
	for k := 0; k < len(r.waiting); k++ {
		i := r.waiting[k]
		c := r.p.Cells[i]
		if slices.ContainsFunc(r.slots, func(s int) bool {
			return s > 0 && c.Plan.Training != "" && r.p.Cells[s-1].Plan.Training == c.Plan.Training
		}) {
			continue
		}
		if experiments.Busy(c.Plan.Dir) {
			if !r.told {
				r.told = true
				r.o.Env.Progress.Say("another process runs %s (%s): this sweep waits for it", c.Name, c.Plan.Dir)
			}
			continue
		}
		r.waiting = slices.Delete(r.waiting, k, k+1)
		if experiments.Finished(c.Plan.Dir) {
			r.f.record.Cells[i].Already = true // made by another process meanwhile
			r.set(i, Ok, "")
			r.bar.Add(1)
			k--
			continue
		}
		return i, nil
	}
	return -1, nil
}

func (r *scheduler) start(ctx context.Context, i, slot int) error {
	if err := os.MkdirAll(filepath.Join(r.f.dir, logsDir), 0o755); err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(r.f.dir, logFile(i)), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	r.f.record.Cells[i].Log = logFile(i)
	r.set(i, Running, "")
	r.slots[slot] = i + 1
	r.note()
	job := Job{Config: r.p.Cells[i].Plan.Config, File: filepath.Join(r.f.dir, cellFile(i)), Env: r.p.env, Slot: slot, Log: log,
		Threads: max(1, runtime.GOMAXPROCS(0)/len(r.slots))}
	go func() {
		defer log.Close()
		start := time.Now()
		err := r.o.Runner.Run(ctx, job)
		r.results <- ended{cell: i, slot: slot, seconds: time.Since(start).Seconds(), err: err}
	}()
	return r.f.save()
}

// end writes down how a cell ended.
func (r *scheduler) end(ctx context.Context, e ended) error {
	r.slots[e.slot] = 0
	c := r.p.Cells[e.cell]
	status, reason := judge(c.Plan.Dir, e.err)
	var busy *experiments.BusyError
	switch {
	case status == Ok:
	case ctx.Err() != nil:
		status, reason = Stopped, ""
	case errors.As(e.err, &busy) || experiments.Busy(c.Plan.Dir):
		r.waiting = append([]int{e.cell}, r.waiting...) // another process was quicker
		r.set(e.cell, Waiting, "")
		return r.f.save()
	}
	r.f.record.Cells[e.cell].Seconds = e.seconds
	r.set(e.cell, status, reason)
	if status == Failed && !r.o.KeepGoing && !r.halted {
		r.halted = true
		if len(r.waiting) > 0 {
			r.o.Env.Progress.Say("a cell failed: no more are started (--keep-going starts them); those that run may end")
		}
	}
	r.bar.Add(1)
	r.note()
	words := status
	if reason != "" {
		words += ": " + reason
	}
	r.o.Env.Progress.Say("%s: %s after %s", c.Name, words, time.Duration(e.seconds*float64(time.Second)).Round(100*time.Millisecond))
	return r.f.save()
}

// judge says by a cell's run folder and its runner's error how it ended.
func judge(run string, err error) (status, reason string) {
	switch {
	case experiments.Finished(run):
		return Ok, ""
	case err == nil:
		return Failed, "ended without an error and without its run in " + run + ": the program or the inputs have changed since the sweep began; run it again"
	default:
		return Failed, oneLine(err.Error())
	}
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// drain waits for the cells that run; they have been asked to stop, or may end.
func (r *scheduler) drain() error {
	var all error
	for r.free() < len(r.slots) {
		e := <-r.results
		r.slots[e.slot] = 0
		status, reason := judge(r.p.Cells[e.cell].Plan.Dir, e.err)
		if status == Failed {
			status, reason = Stopped, ""
		}
		r.f.record.Cells[e.cell].Seconds = e.seconds
		r.set(e.cell, status, reason)
		all = errors.Join(all, r.f.save())
	}
	return all
}

func (r *scheduler) set(i int, status, reason string) { r.p.mark(r.f, r.o, i, status, reason) }

// mark changes the state of a cell, and of those that are the same run.
func (p *Planned) mark(f *folder, o Options, i int, status, reason string) {
	of := f.record.Cells[i]
	for k := range p.Cells {
		if k != i && p.Cells[k].Same != i {
			continue
		}
		s := &f.record.Cells[k]
		changed := s.Status != status || s.Reason != reason
		s.Status, s.Reason, s.Seconds, s.Log, s.Already = status, reason, of.Seconds, of.Log, of.Already
		if changed && o.OnState != nil {
			o.OnState(k, *s)
		}
	}
}

// note shows beside the bar how many cells are in which state.
func (r *scheduler) note() {
	count := map[string]int{}
	for _, s := range r.f.record.Cells {
		count[s.Status]++
	}
	r.bar.Note("sweep %s: %d running, %d done, %d failed; cells", r.p.Sweep.Name, count[Running], count[Ok], count[Failed])
}

// List prints the cells of a sweep and which of their runs are there.
func (p *Planned) List(w io.Writer) error {
	for _, c := range p.Cells {
		state := "to run"
		switch {
		case c.Same >= 0:
			state = fmt.Sprintf("same run as cell %d", c.Same)
		case c.Plan.Done():
			state = "there"
		case c.Plan.Status == experiments.StatusFailed:
			state = "to run (failed before)"
		case c.Plan.Status != "":
			state = "to finish"
		}
		if _, err := fmt.Fprintf(w, "%4d  %-20s %-28s %s\n", c.Index, state, filepath.Base(c.Plan.Dir), c.Name); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%d cells; the sweep's folder is %s\n", len(p.Cells), p.Dir)
	return err
}
