package experiments

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/renameio/v2"

	"hounsfield/datasets/prepare"
	"hounsfield/experiments/slurm"
)

// PrepareSlurm says how a preparation becomes a Slurm array job, one shard of the patients a
// task. What package slurm says must lie where all nodes see it; the scans and the prepared
// folder too.
type PrepareSlurm struct {
	Shards  int           // how many tasks there may be
	Sbatch  []string      // options for sbatch, such as --partition=cpu
	NoWait  bool          // submit, or gather what is there, and return
	Program string        // the hounsfield that the tasks run; "" = this program
	Poll    time.Duration // between looks at the queue; 0 = from 2 to 20 seconds
}

// The files of shardsDir besides those of the shards.
const (
	shardsRecordFile = "shards.json"
	shardsScript     = "slurm.sh"
)

// shardsRecord is what is known of a prepared folder's shards.
type shardsRecord struct {
	Words  []string   `json:"words"` // the arguments of the tasks without what parts them: other words, other work
	Shards int        `json:"shards"`
	Job    *slurm.Job `json:"slurm,omitempty"` // the last one
	// Lost are, of shards that ended well, the patients of whom nothing could be kept: they were
	// tried, and are no reason to try again. By shard, from 0.
	Lost map[int]int `json:"lost"`
}

// command is how the preparation was typed, in effect.
func (r *shardsRecord) command() string {
	return fmt.Sprintf("hounsfield %s --slurm --shards %d", strings.Join(r.Words, " "), r.Shards)
}

// readShards reads the record of a folder's shards; an empty one where there is none.
func readShards(out string) (*shardsRecord, error) {
	file := filepath.Join(out, shardsDir, shardsRecordFile)
	r := &shardsRecord{}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err == nil {
		err = json.Unmarshal(text, r)
	}
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w; delete it and type the command again: what is prepared stays", file, err)
	}
	return r, nil
}

func (r *shardsRecord) write(out string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := renameio.WriteFile(filepath.Join(out, shardsDir, shardsRecordFile), append(text, '\n'), 0o644); err != nil {
		return &prepare.WriteError{Err: err}
	}
	return nil
}

// ShardsError says that some shards of a preparation did not end well. What they had prepared
// stays.
type ShardsError struct {
	Out    string
	Shards int
	Failed []FailedShard
}

// FailedShard is one of them.
type FailedShard struct {
	Shard       int // from 1
	Reason, Log string
}

func (e *ShardsError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d shards of %s did not end well", len(e.Failed), e.Shards, e.Out)
	for _, f := range e.Failed {
		fmt.Fprintf(&b, "\n  shard %d: %s (log: %s)", f.Shard, f.Reason, f.Log)
	}
	b.WriteString("\nwhat they prepared stays; type the same command again to submit what lacks, with other --sbatch options where a reason asks for them")
	return b.String()
}

// PrepareInSlurm prepares a cohort or a folder as Prepare does, its patients divided among the
// tasks of one array job, waits for them and then writes tables and page here. The same
// command again gathers a job that was not waited for, and submits only shards in which
// somebody is still to be prepared. When it is stopped, the job goes on.
//
// Errors: those of Prepare; *slurm.Error, *slurm.StoppedError, *ShardsError.
func PrepareInSlurm(ctx context.Context, o PrepareOptions, so PrepareSlurm, w io.Writer) error {
	switch {
	case so.Shards < 1:
		return fmt.Errorf("--shards %d: give the number of tasks, 1 or more", so.Shards)
	case o.Verify:
		return errors.New("--verify hashes again what is here, and tasks are for what is not; leave --slurm out")
	}
	p, err := o.open(ctx, w)
	if err != nil {
		return err
	}
	dir := filepath.Join(p.Out, shardsDir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("cannot make the shards' folder: %w; name a place that can be written to with --out", err)
	}
	lock, err := LockFolder(dir) // two who submit would submit twice
	if err != nil {
		return err
	}
	defer lock.Close()
	s := &sharding{p: p, so: so, dir: dir}
	if s.record, err = readShards(p.Out); err != nil {
		return err
	}
	if s.words, err = p.words(); err != nil {
		return err
	}
	left, err := s.gatherEarlier(ctx)
	if err != nil || left > 0 {
		return err
	}
	submitted, err := s.submit(ctx)
	if err != nil {
		return err
	}
	if submitted {
		if so.NoWait {
			p.Progress.Say("type the same command again to gather it and to write the tables")
			return nil
		}
		if _, err := s.await(ctx); err != nil {
			return err
		}
	}
	whole, err := p.lockWhole(ctx)
	if err != nil {
		return err
	}
	defer whole.Close()
	return p.whole(ctx, w)
}

// sharding is a preparation on its way through Slurm.
type sharding struct {
	p      *preparation
	so     PrepareSlurm
	dir    string
	words  []string
	record *shardsRecord
}

// words are the arguments of the program that prepares the same elsewhere, as the shell reads
// them, without those that divide the work.
func (p *preparation) words() ([]string, error) {
	out, err := filepath.Abs(p.Out)
	if err != nil {
		return nil, err
	}
	words := []string{"prepare", slurm.Quote(p.named), "--out", slurm.Quote(out)}
	if p.root != "" {
		root, err := filepath.Abs(p.root)
		if err != nil {
			return nil, err
		}
		words = append(words, "--mirror", slurm.Quote(root))
	} else {
		words = append(words, "--dataset", slurm.Quote(p.Dataset))
	}
	for _, name := range p.ROI {
		words = append(words, "--roi", slurm.Quote(name))
	}
	if p.Repeats != "" {
		words = append(words, "--repeats", slurm.Quote(p.Repeats))
	}
	for _, flag := range []struct {
		name string
		set  bool
	}{{"--no-volumes", p.NoVolumes}, {"--features", p.Features}} {
		if flag.set {
			words = append(words, flag.name)
		}
	}
	return words, nil
}

// gatherEarlier waits for a job of an earlier command that was not gathered. left is the number
// of its tasks still to end, more than 0 only with NoWait.
func (s *sharding) gatherEarlier(ctx context.Context) (left int, err error) {
	j := s.record.Job
	if j == nil || j.Gathered {
		return 0, nil
	}
	if !slices.Equal(s.words, s.record.Words) {
		alive, err := slurm.Alive(ctx, j.ID)
		if err != nil {
			return 0, err
		}
		if alive {
			return 0, fmt.Errorf("job %s prepares %s in another way: gather it with `%s`, or end it with `scancel %s`; or name another folder with --out", j.ID, s.p.Out, s.record.command(), j.ID)
		}
		j.Gathered = true // its shards are of no use for this command beyond what is kept of them
		return 0, s.record.write(s.p.Out)
	}
	s.p.Progress.Say("job %s of %s is not gathered yet: nothing is submitted", j.ID, j.Submitted.Format(time.DateTime))
	return s.await(ctx)
}

// lacking are the patients of each shard that are still to be prepared, and were not tried in
// vain by a shard that ended well.
func (s *sharding) lacking(ctx context.Context) ([]int, error) {
	o := s.p.options()
	o.Shard, o.Shards = 0, s.record.Shards
	by, err := prepare.Lacking(ctx, o)
	if err != nil {
		return nil, s.p.stopped(ctx, err)
	}
	for i := range by {
		if by[i] <= s.record.Lost[i] {
			by[i] = 0
		}
	}
	return by, nil
}

// submit hands the shards in which somebody lacks to Slurm, if there are any.
func (s *sharding) submit(ctx context.Context) (submitted bool, err error) {
	r, say := s.record, s.p.Progress
	if !slices.Equal(r.Words, s.words) || r.Shards != s.so.Shards {
		*r = shardsRecord{Words: s.words, Shards: s.so.Shards, Job: r.Job, Lost: map[int]int{}}
	}
	say.Say("looking for patients in %s who are still to be prepared", s.p.folder)
	lacking, err := s.lacking(ctx)
	if err != nil {
		return false, err
	}
	job := &slurm.Job{Logs: map[int]int64{}}
	patients := 0
	for i, n := range lacking {
		if n == 0 {
			continue
		}
		patients += n
		job.Tasks = append(job.Tasks, i+1)
		delete(r.Lost, i)
		if info, err := os.Stat(filepath.Join(s.dir, slurm.LogName(i+1))); err == nil { // else there is none yet
			job.Logs[i+1] = info.Size()
		}
		if err := os.Remove(filepath.Join(s.dir, shardFile(i))); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
	}
	if len(job.Tasks) == 0 {
		return false, nil
	}
	jobs := slurm.Processors
	if s.p.Jobs > 0 {
		jobs = strconv.Itoa(s.p.Jobs)
	}
	script, err := slurm.Script{About: "The shards of a cohort that hounsfield prepares, one a task.", Name: "hounsfield-prepare-" + filepath.Base(s.p.cohort),
		Tasks: job.Tasks, Logs: s.dir, Options: s.so.Sbatch, Program: s.so.Program,
		Command: append(slices.Clone(s.words), "--jobs", jobs, "--shard", slurm.TaskIndex+fmt.Sprintf("/%d", r.Shards))}.Text()
	if err != nil {
		return false, err
	}
	file := filepath.Join(s.dir, shardsScript)
	if err := renameio.WriteFile(file, script, 0o644); err != nil {
		return false, &prepare.WriteError{Err: err}
	}
	if job.ID, err = slurm.Submit(ctx, file); err != nil {
		return false, err
	}
	job.Submitted = time.Now().UTC().Truncate(time.Second)
	r.Job = job
	say.Say("submitted job %s: %d patients in %d of %d shards, script %s", job.ID, patients, len(job.Tasks), r.Shards, file)
	return true, r.write(s.p.Out)
}

// adviceShard is what helps a shard that did not end well.
var adviceShard = slurm.Advice{
	Time:    "ask for more with --sbatch=--time=HOURS:MINUTES:SECONDS; patients that are whole are kept",
	Memory:  "ask for more with --sbatch=--mem=GIGABYTES'G', or for fewer patients at a time with --jobs",
	Missing: "its account is not here: is the prepared folder on a file system that all nodes share?",
}

// await waits for the tasks of the last job and says which did not end well: *ShardsError. left
// is the number of those still to end, more than 0 only with NoWait.
func (s *sharding) await(ctx context.Context) (left int, err error) {
	r, j := s.record, s.record.Job
	ended, left, err := j.Await(ctx, slurm.Watch{NoWait: s.so.NoWait, Poll: s.so.Poll, Progress: s.p.Progress})
	if err != nil {
		return 0, err
	}
	if left > 0 {
		s.p.Progress.Say("%d tasks of job %s are still to end; type the same command again later", left, j.ID)
		return left, nil
	}
	lacking, err := s.lacking(ctx)
	if err != nil {
		return 0, err
	}
	failed := &ShardsError{Out: s.p.Out, Shards: r.Shards}
	for _, task := range j.Tasks {
		said, err := slurm.ReadTask(filepath.Join(s.dir, shardFile(task-1)))
		if err != nil {
			said = slurm.Task{} // cut: as if it had said nothing
		}
		switch {
		case said.Job == j.ID && said.Status == slurm.Done:
			if task <= len(lacking) {
				r.Lost[task-1] = lacking[task-1]
			}
		case task <= len(lacking) && lacking[task-1] > 0: // else it was ended after all its work
			log := filepath.Join(s.dir, slurm.LogName(task))
			failed.Failed = append(failed.Failed, FailedShard{Shard: task, Log: log,
				Reason: j.Why(slurm.Ended{State: ended[task], Said: said, Log: log, From: j.Logs[task]}, adviceShard)})
		}
	}
	maps.DeleteFunc(r.Lost, func(_, n int) bool { return n == 0 })
	j.Gathered = true
	if err := r.write(s.p.Out); err != nil {
		return 0, err
	}
	if len(failed.Failed) > 0 {
		return 0, failed
	}
	return 0, nil
}
