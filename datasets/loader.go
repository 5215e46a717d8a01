package datasets

import (
	"context"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"sync"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/train"

	"hounsfield/datasets/volume"
)

// CubeSet is the cubes of some patients in memory.
type CubeSet struct {
	IDs   []string
	Cubes []*volume.Cube // aligned with IDs, all of one edge and margin
}

// CubeSetError is a set of cubes that cannot be used together.
type CubeSetError struct {
	Patient, Problem, Next string
}

func (e *CubeSetError) Error() string {
	if e.Patient == "" {
		return fmt.Sprintf("cubes: %s; %s", e.Problem, e.Next)
	}
	return fmt.Sprintf("cube of patient %q: %s; %s", e.Patient, e.Problem, e.Next)
}

// Size is the edge in voxels of the cubes proper, margins left out; 0 for no cubes.
func (s *CubeSet) Size() int {
	if len(s.Cubes) == 0 {
		return 0
	}
	return s.Cubes[0].Edge - 2*s.Cubes[0].Margin
}

// Check says whether the cubes fit together.
func (s *CubeSet) Check() error {
	if len(s.IDs) != len(s.Cubes) {
		return &CubeSetError{Problem: fmt.Sprintf("%d for %d patients", len(s.Cubes), len(s.IDs)), Next: "give one each"}
	}
	for i, c := range s.Cubes {
		first := s.Cubes[0]
		switch {
		case c == nil:
			return &CubeSetError{Patient: s.IDs[i], Problem: "is missing", Next: "leave the patient out and write an exclusion"}
		case c.Edge != first.Edge || c.Margin != first.Margin:
			return &CubeSetError{Patient: s.IDs[i],
				Problem: fmt.Sprintf("has edge %d and margin %d, the first has %d and %d", c.Edge, c.Margin, first.Edge, first.Margin),
				Next:    "cut all cubes with one specification"}
		case len(c.HU) != c.Edge*c.Edge*c.Edge:
			return &CubeSetError{Patient: s.IDs[i], Problem: fmt.Sprintf("holds %d values, not %d", len(c.HU), c.Edge*c.Edge*c.Edge), Next: "cut it again"}
		}
	}
	return nil
}

// LoaderSpec says how training batches are made.
type LoaderSpec struct {
	Seed    uint64
	Batch   int // cubes per batch, at least 2
	Steps   int // batches per epoch; 0: as many as show every patient (with classes balanced: of the larger class) at least once
	Augment Augment
	Workers int // batches made at the same time; 0 is 1. The batches do not depend on it.
	Ahead   int // finished batches each worker keeps waiting; 0 is 1
}

// Loader makes the training batches of each epoch, each cube varied anew.
//
// A loader of NewLoader shows as many patients dead at two years as alive (an odd
// batch gives the spare place to each class in turn); within an epoch every patient of
// a class is shown before one is shown again. A loader of NewSurvivalLoader shows every
// patient once before one is shown again, with deaths spread evenly.
//
// A batch is a pure function of the seed, the epoch and the step, so a training that
// was interrupted continues with the batches it would have had.
type Loader struct {
	spec    LoaderSpec
	set     *CubeSet
	size    int
	classes [2][]int // places in set of the patients alive (0) and dead (1), at two years or at the end of follow-up
	skipped []int
	labels  []label // by place
	follow  bool    // batches hold times, and classes keep their shares
}

// label is what a batch tells of one patient.
type label struct {
	dead        float32 // at two years: 1, 0, or NaN where it is not known
	days, event float32 // follow-up in days, and 1 where it ended in death; for a survival loader
}

// NewLoader takes the cubes and the label "alive at two years" of each, aligned.
// Patients without a label are left out of the batches: Skipped names them.
// Errors: *CubeSetError for cubes that do not fit together, too small a margin for
// the shifts, labels that do not match or lack a class, and a batch or a number of
// steps that cannot be.
func NewLoader(set *CubeSet, alive []Null[bool], spec LoaderSpec) (*Loader, error) {
	l, err := newLoader(set, len(alive), spec)
	if err != nil {
		return nil, err
	}
	for i, a := range alive {
		l.labels[i].dead = deadAt(a)
		switch {
		case !a.Valid:
			l.skipped = append(l.skipped, i)
		case a.V:
			l.classes[0] = append(l.classes[0], i)
		default:
			l.classes[1] = append(l.classes[1], i)
		}
	}
	if len(l.classes[0]) == 0 || len(l.classes[1]) == 0 {
		return nil, &CubeSetError{Problem: fmt.Sprintf("%d patients alive and %d dead at two years, %d without a label", len(l.classes[0]), len(l.classes[1]), len(l.skipped)),
			Next: "balanced batches need at least one of each"}
	}
	if l.spec.Steps == 0 {
		share := spec.Batch / 2 // an odd batch gives each class this many at least
		larger := max(len(l.classes[0]), len(l.classes[1]))
		l.spec.Steps = (larger + share - 1) / share
	}
	return l, nil
}

// NewSurvivalLoader takes the cubes and the follow-up of each, aligned, for losses that
// read times. Patients whose time or end of follow-up is not known are left out of the
// batches: Skipped names them; those without a two-year label stay. Every patient counts
// the same: deaths are spread evenly over the batches, in the share that they have, so that
// no batch of two or more lacks one where half of the patients died.
// Errors: *CubeSetError as in NewLoader, and where nobody died.
func NewSurvivalLoader(set *CubeSet, outcomes []Outcome, spec LoaderSpec) (*Loader, error) {
	l, err := newLoader(set, len(outcomes), spec)
	if err != nil {
		return nil, err
	}
	l.follow = true
	for i, o := range outcomes {
		if !o.Followed() {
			l.skipped = append(l.skipped, i)
			continue
		}
		l.labels[i] = label{dead: deadAt(o.Alive2yr), days: float32(o.SurvivalDays.V)}
		class := 0
		if o.Event.V {
			class, l.labels[i].event = 1, 1
		}
		l.classes[class] = append(l.classes[class], i)
	}
	if len(l.classes[1]) == 0 {
		return nil, &CubeSetError{Problem: fmt.Sprintf("none of %d followed patients died, %d were not followed", len(l.classes[0]), len(l.skipped)),
			Next: "a loss on survival times needs deaths to learn from"}
	}
	if l.spec.Steps == 0 {
		l.spec.Steps = (len(l.classes[0]) + len(l.classes[1]) + spec.Batch - 1) / spec.Batch
	}
	return l, nil
}

// newLoader checks what both kinds of loader need.
func newLoader(set *CubeSet, labels int, spec LoaderSpec) (*Loader, error) {
	if err := set.Check(); err != nil {
		return nil, err
	}
	switch {
	case labels != len(set.Cubes):
		return nil, &CubeSetError{Problem: fmt.Sprintf("%d labels for %d cubes", labels, len(set.Cubes)), Next: "give one each, null where it is not known"}
	case spec.Batch < 2:
		return nil, &CubeSetError{Problem: fmt.Sprintf("a batch of %d cannot hold both classes", spec.Batch), Next: "use 2 or more"}
	case spec.Steps < 0 || spec.Workers < 0 || spec.Ahead < 0 || spec.Augment.Shift < 0:
		return nil, &CubeSetError{Problem: fmt.Sprintf("steps %d, workers %d, ahead %d, shift %d", spec.Steps, spec.Workers, spec.Ahead, spec.Augment.Shift),
			Next: "use 0 or more"}
	}
	for _, c := range set.Cubes[:min(1, labels)] { // all have the first one's margin
		if spec.Augment.Shift > c.Margin {
			return nil, &CubeSetError{Problem: fmt.Sprintf("shifts of %d voxels leave cubes with a margin of %d", spec.Augment.Shift, c.Margin),
				Next: "cut the cubes with a larger margin or shift less"}
		}
	}
	l := &Loader{spec: spec, set: set, size: set.Size(), labels: make([]label, labels)}
	l.spec.Workers, l.spec.Ahead = max(l.spec.Workers, 1), max(l.spec.Ahead, 1)
	return l, nil
}

// deadAt is the label as a network learns it: 1 dead, 0 alive, NaN not known.
func deadAt(alive Null[bool]) float32 {
	switch {
	case !alive.Valid:
		return float32(math.NaN())
	case alive.V:
		return 0
	default:
		return 1
	}
}

// Steps is the number of batches per epoch.
func (l *Loader) Steps() int { return l.spec.Steps }

// Skipped are the places, in the cube set, of patients that no batch shows because
// their label or follow-up is not known. The caller writes the exclusions.
func (l *Loader) Skipped() []int { return l.skipped }

// Epoch is the batches of one epoch, always the same for the same number. Inputs are
// one float32 tensor [cube, z, y, x, 1], normalised; labels one float32 tensor
// [cube, 1], 1 for dead at two years, 0 for alive. A survival loader's label is NaN where
// it is not known, and there is a second one, [cube, 2]: days, and 1 for follow-up that
// ended in death, 0 for censored. Iterating prepares batches ahead
// of the caller; leaving the loop early stops that and leaves nothing running. When
// ctx ends, the iteration yields its cause as the error and stops.
func (l *Loader) Epoch(ctx context.Context, epoch int) train.Dataset {
	return &epochBatches{loader: l, ctx: ctx, number: epoch}
}

type epochBatches struct {
	loader *Loader
	ctx    context.Context // of the iteration; train.Dataset leaves no other way in
	number int
}

// Name implements train.Dataset.
func (e *epochBatches) Name() string { return fmt.Sprintf("cubes, epoch %d", e.number) }

// Iter implements train.Dataset.
func (e *epochBatches) Iter() iter.Seq2[train.Batch, error] {
	return func(yield func(train.Batch, error) bool) {
		l := e.loader
		ctx, stop := context.WithCancel(e.ctx)
		// Worker w makes steps w, w+W, w+2W, ... and the caller takes from the workers in
		// turn: the order is fixed and each queue bounds what lies waiting.
		queues := make([]chan train.Batch, min(l.spec.Workers, l.spec.Steps))
		var running sync.WaitGroup
		for w := range queues {
			queues[w] = make(chan train.Batch, l.spec.Ahead)
			running.Go(func() {
				defer close(queues[w])
				for step := w; step < l.spec.Steps && ctx.Err() == nil; step += len(queues) {
					select {
					case queues[w] <- l.batch(e.number, step):
					case <-ctx.Done():
					}
				}
			})
		}
		defer func() {
			stop()
			running.Wait()
		}()
		for step := range l.spec.Steps {
			if err := context.Cause(e.ctx); err != nil {
				yield(train.Batch{}, fmt.Errorf("epoch %d stopped before step %d: %w", e.number, step+1, err))
				return
			}
			b, ok := <-queues[step%len(queues)]
			if !ok { // only when ctx ended meanwhile
				yield(train.Batch{}, fmt.Errorf("epoch %d stopped before step %d: %w", e.number, step+1, context.Cause(e.ctx)))
				return
			}
			if !yield(b, nil) {
				return
			}
		}
	}
}

// batch makes one batch.
func (l *Loader) batch(epoch, step int) train.Batch {
	places := l.pick(epoch, step)
	n, cube := l.size, l.size*l.size*l.size
	x := tensors.FromShape(shapes.Make(dtypes.Float32, len(places), n, n, n, 1))
	tensors.MustMutableFlatData(x, func(flat []float32) {
		for i, p := range places {
			v := l.spec.Augment.draw(l.spec.Seed, epoch, step*l.spec.Batch+i)
			v.place(flat[i*cube:][:cube], l.set.Cubes[p], n)
		}
	})
	y := tensors.FromShape(shapes.Make(dtypes.Float32, len(places), 1))
	tensors.MustMutableFlatData(y, func(flat []float32) {
		for i, p := range places {
			flat[i] = l.labels[p].dead
		}
	})
	b := train.Batch{Inputs: []*tensors.Tensor{x}, Labels: []*tensors.Tensor{y}}
	if l.follow {
		y := tensors.FromShape(shapes.Make(dtypes.Float32, len(places), 2))
		tensors.MustMutableFlatData(y, func(flat []float32) {
			for i, p := range places {
				flat[2*i], flat[2*i+1] = l.labels[p].days, l.labels[p].event
			}
		})
		b.Labels = append(b.Labels, y)
	}
	return b
}

// pick chooses the cubes of one batch, by their places in the set.
func (l *Loader) pick(epoch, step int) (places []int) {
	for i := range l.spec.Batch {
		class, pass, place := l.turn(step*l.spec.Batch + i)
		places = append(places, l.classes[class][l.shuffled(epoch, class, pass)[place]])
	}
	return places
}

// turn says of the k-th cube shown in an epoch which class it is of, how often the class
// was gone through before, and the cube's place in the class's order of that pass.
func (l *Loader) turn(k int) (class, pass, place int) {
	if !l.follow {
		// Every second one is dead, so an odd batch starts with the other class than the
		// one before it.
		class, turn := k%2, k/2
		return class, turn / len(l.classes[class]), turn % len(l.classes[class])
	}
	deaths, all := len(l.classes[1]), len(l.classes[0])+len(l.classes[1])
	pass, k = k/all, k%all
	before := k * deaths / all // deaths among the k shown before, rounded down
	if (k+1)*deaths/all > before {
		return 1, pass, before
	}
	return 0, pass, k - before
}

// shuffled is the order in which a class is gone through in one pass of an epoch.
func (l *Loader) shuffled(epoch, class, pass int) []int {
	r := rand.New(counter(l.spec.Seed, forOrder, uint64(epoch), uint64(2*pass+class)))
	return r.Perm(len(l.classes[class]))
}
