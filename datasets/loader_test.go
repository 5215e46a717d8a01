package datasets

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/train"

	"hounsfield/datasets/table"
	"hounsfield/datasets/volume"
)

// marked is a set in which cube i holds the value i everywhere, so that a batch shows
// whose cubes it holds, and labels: the first dead, then alive, then unknown.
func marked(dead, alive, unknown int) (*CubeSet, []Null[bool]) {
	const size, margin = 4, 2
	set := &CubeSet{}
	var labels []Null[bool]
	for i := range dead + alive + unknown {
		c := &volume.Cube{Edge: size + 2*margin, Margin: margin, HU: make([]float32, 512)}
		for k := range c.HU {
			c.HU[k] = float32(i)
		}
		set.IDs, set.Cubes = append(set.IDs, fmt.Sprint("p", i)), append(set.Cubes, c)
		switch {
		case i < dead:
			labels = append(labels, table.Some(false))
		case i < dead+alive:
			labels = append(labels, table.Some(true))
		default:
			labels = append(labels, Null[bool]{})
		}
	}
	return set, labels
}

// taken is one batch, copied out of its tensors.
type taken struct {
	shape  string
	input  []float32
	labels []float32
	follow []float32 // of a survival loader: days and event in turn
}

func take(t *testing.T, b train.Batch) taken {
	t.Helper()
	if len(b.Inputs) != 1 || len(b.Labels) < 1 || len(b.Labels) > 2 {
		t.Fatalf("%d inputs and %d labels", len(b.Inputs), len(b.Labels))
	}
	got := taken{shape: b.Inputs[0].Shape().String() + b.Labels[0].Shape().String()}
	tensors.MustConstFlatData(b.Inputs[0], func(flat []float32) { got.input = slices.Clone(flat) })
	tensors.MustConstFlatData(b.Labels[0], func(flat []float32) { got.labels = slices.Clone(flat) })
	if len(b.Labels) > 1 {
		got.shape += b.Labels[1].Shape().String()
		tensors.MustConstFlatData(b.Labels[1], func(flat []float32) { got.follow = slices.Clone(flat) })
	}
	if err := b.Finalize(); err != nil {
		t.Fatal(err)
	}
	return got
}

func epoch(t *testing.T, l *Loader, number int) []taken {
	t.Helper()
	var all []taken
	for b, err := range l.Epoch(t.Context(), number).Iter() {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, take(t, b))
	}
	return all
}

// patients are the cubes of a batch of marked ones.
func (b taken) patients() []int {
	var who []int
	for i := range b.labels {
		x := b.input[i*64]
		who = append(who, int(x*(volume.HUMax-volume.HUMin)+volume.HUMin+0.5))
	}
	return who
}

func balanced(t *testing.T, set *CubeSet, labels []Null[bool], spec LoaderSpec) *Loader {
	t.Helper()
	l, err := NewLoader(set, labels, spec)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLoaderBalancesClasses(t *testing.T) {
	for _, batch := range []int{4, 5} {
		set, labels := marked(3, 11, 2)
		l := balanced(t, set, labels, LoaderSpec{Seed: 5, Batch: batch, Augment: Augment{Shift: 2, Rotate: true, Flip: true}})
		if want := []int{14, 15}; !slices.Equal(l.Skipped(), want) {
			t.Errorf("skipped %v, want %v", l.Skipped(), want)
		}
		if l.Steps() != 6 { // 11 alive, at least 2 a batch
			t.Errorf("batch %d: %d steps", batch, l.Steps())
		}
		counts := make([]int, 16)
		dead, shown := 0, 0
		for _, b := range epoch(t, l, 1) {
			if want := fmt.Sprintf("(Float32)[%d, 4, 4, 4, 1](Float32)[%d, 1]", batch, batch); b.shape != want {
				t.Fatalf("shapes %s, want %s", b.shape, want)
			}
			inBatch := 0
			for i, p := range b.patients() {
				if isDead := p < 3; isDead != (b.labels[i] == 1) {
					t.Errorf("patient %d has label %v", p, b.labels[i])
				}
				counts[p]++
				inBatch += int(b.labels[i])
			}
			dead, shown = dead+inBatch, shown+batch
			if inBatch != batch/2 && inBatch != (batch+1)/2 {
				t.Errorf("%d of %d in a batch are dead", inBatch, batch)
			}
		}
		if 2*dead != shown {
			t.Errorf("%d of %d in an epoch are dead", dead, shown)
		}
		// Every patient with a label is shown, none twice before all of its class were.
		for _, class := range [][]int{counts[:3], counts[3:14]} {
			if slices.Min(class) < 1 || slices.Max(class)-slices.Min(class) > 1 {
				t.Errorf("batch %d: patients of one class shown %v times", batch, class)
			}
		}
		if counts[14]+counts[15] != 0 {
			t.Errorf("patients without a label were shown: %v", counts)
		}
	}
}

func TestLoaderIsAFunctionOfSeedEpochAndStep(t *testing.T) {
	set, labels := marked(9, 13, 1)
	for i, c := range set.Cubes { // texture, so that augmentation shows
		for k := range c.HU {
			c.HU[k] += float32((k*7+i)%97) / 10
		}
	}
	spec := LoaderSpec{Seed: 3, Batch: 6, Augment: Augment{Shift: 2, Rotate: true, Flip: true}}
	same := func(a, b []taken) bool {
		return slices.EqualFunc(a, b, func(a, b taken) bool { return slices.Equal(a.input, b.input) && slices.Equal(a.labels, b.labels) })
	}
	want := epoch(t, balanced(t, set, labels, spec), 4)
	for _, workers := range []int{1, 2, 3, 8, 50} {
		spec.Workers, spec.Ahead = workers, workers%3
		l := balanced(t, set, labels, spec)
		if !same(epoch(t, l, 4), want) {
			t.Errorf("%d workers make other batches", workers)
		}
		if !same(epoch(t, l, 4), want) {
			t.Error("an epoch gone through twice differs")
		}
	}
	l := balanced(t, set, labels, spec)
	if same(epoch(t, l, 5), want) {
		t.Error("the next epoch has the same batches")
	}
	if a := l.pick(4, 0); slices.Equal(a, l.pick(5, 0)) {
		t.Errorf("the next epoch begins with the same patients, %v", a)
	}
	spec.Seed++
	if same(epoch(t, balanced(t, set, labels, spec), 4), want) {
		t.Error("another seed has the same batches")
	}
	// Every sample is varied on its own: the first of each batch in an epoch without
	// other differences is not one and the same variation.
	spec.Steps = 20
	one, lab := marked(1, 1, 0)
	for k := range one.Cubes[0].HU {
		one.Cubes[0].HU[k] = float32(k)
		one.Cubes[1].HU[k] = float32(k)
	}
	different := map[float32]bool{}
	for _, b := range epoch(t, balanced(t, one, lab, spec), 1) {
		for i := range b.labels {
			different[b.input[i*64]] = true
		}
	}
	if len(different) < 40 {
		t.Errorf("120 varied cubes show %d different corners", len(different))
	}
}

func TestLoaderStopsCleanly(t *testing.T) {
	set, labels := marked(5, 5, 0)
	l := balanced(t, set, labels, LoaderSpec{Batch: 2, Steps: 1000, Workers: 4, Ahead: 2})
	before := runtime.NumGoroutine()
	for b, err := range l.Epoch(t.Context(), 1).Iter() {
		if err != nil {
			t.Fatal(err)
		}
		take(t, b)
		break
	}
	for _, c := range set.Cubes {
		c.HU[0]++ // nobody reads the cubes any more: go test -race sees it if someone does
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	why := errors.New("the user pressed Ctrl-C")
	n, ended := 0, error(nil)
	for b, err := range l.Epoch(ctx, 1).Iter() {
		if err != nil {
			ended = err
			continue
		}
		take(t, b)
		if n++; n == 3 {
			cancel(why)
		}
	}
	if n != 3 || !errors.Is(ended, why) {
		t.Errorf("%d batches after a stop at 3, error %v", n, ended)
	}
	func() { // a panic in the loop's body stops the workers too
		defer func() { _ = recover() }()
		for range l.Epoch(t.Context(), 1).Iter() {
			panic("out of the loop")
		}
	}()
	// The workers are done when the loop ends, but may take a moment to be gone.
	for range 100 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Errorf("%d goroutines before, %d after", before, runtime.NumGoroutine())
}

func TestLoaderRefuses(t *testing.T) {
	ok := LoaderSpec{Batch: 4}
	mixed, labels := marked(2, 2, 0)
	mixed.Cubes[3] = &volume.Cube{Edge: 6, Margin: 1, HU: make([]float32, 216)}
	missing, _ := marked(2, 2, 0)
	missing.Cubes[1] = nil
	short, _ := marked(2, 2, 0)
	short.Cubes[1].HU = short.Cubes[1].HU[:100]
	good, _ := marked(2, 2, 0)
	for _, c := range []struct {
		name   string
		set    *CubeSet
		labels []Null[bool]
		spec   LoaderSpec
		says   string
	}{
		{"mixed edges", mixed, labels, ok, `cube of patient "p3": has edge 6 and margin 1, the first has 8 and 2; cut all cubes with one specification`},
		{"missing", missing, labels, ok, `cube of patient "p1": is missing; leave the patient out and write an exclusion`},
		{"short", short, labels, ok, `cube of patient "p1": holds 100 values, not 512; cut it again`},
		{"ids", &CubeSet{IDs: []string{"a"}, Cubes: good.Cubes}, labels, ok, "cubes: 4 for 1 patients; give one each"},
		{"labels", good, labels[:3], ok, "cubes: 3 labels for 4 cubes; give one each, null where it is not known"},
		{"one class", good, []Null[bool]{table.Some(true), table.Some(true), {}, {}}, ok, "cubes: 2 patients alive and 0 dead at two years, 2 without a label; balanced batches need at least one of each"},
		{"empty", &CubeSet{}, nil, ok, "cubes: 0 patients alive and 0 dead at two years, 0 without a label; balanced batches need at least one of each"},
		{"batch", good, labels, LoaderSpec{Batch: 1}, "cubes: a batch of 1 cannot hold both classes; use 2 or more"},
		{"shift", good, labels, LoaderSpec{Batch: 2, Augment: Augment{Shift: 3}}, "cubes: shifts of 3 voxels leave cubes with a margin of 2; cut the cubes with a larger margin or shift less"},
		{"negative", good, labels, LoaderSpec{Batch: 2, Steps: -1}, "cubes: steps -1, workers 0, ahead 0, shift 0; use 0 or more"},
	} {
		_, err := NewLoader(c.set, c.labels, c.spec)
		var e *CubeSetError
		if !errors.As(err, &e) || e.Error() != c.says {
			t.Errorf("%s: %v, want %s", c.name, err, c.says)
		}
	}
}
