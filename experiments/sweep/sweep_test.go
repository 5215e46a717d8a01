package sweep

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"hounsfield/experiments"
)

func load(t testing.TB, text string) (Sweep, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sweep.yaml")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return Load(file)
}

// Cells come in the file's order, the last key turning fastest, lists and maps as values,
// and a number without a point is a number.
func TestCells(t *testing.T) {
	s, err := load(t, `
name: x
base: phantom
set: {data.phantom.patients: {train: 60, tune: 50}, "evaluation.bootstrap": 500}
grid:
  augment.shift: [0, 5]
  training.learning_rate: [0.001, 1e-05]
  network.dense:
    - []
    - [{units: 3, dropout: 0.5}]
exclude:
  - {augment.shift: 5, network.dense: []}
list:
  - name: cox
    set: {training: {loss: cox}}
seeds: [7, 8]
`)
	if err != nil {
		t.Fatal(err)
	}
	wrong := &complaints{}
	var names []string
	cells := s.cells(wrong)
	for i, c := range cells {
		names = append(names, c.Name)
		if err := s.load(&cells[i]); err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
	}
	dense := ",network.dense=[{units: 3 dropout: 0.5}]"
	var want []string
	for _, setting := range []string{"augment.shift=0,training.learning_rate=0.001,network.dense=[]", "augment.shift=0,training.learning_rate=0.001" + dense,
		"augment.shift=0,training.learning_rate=1e-05,network.dense=[]", "augment.shift=0,training.learning_rate=1e-05" + dense,
		"augment.shift=5,training.learning_rate=0.001" + dense, "augment.shift=5,training.learning_rate=1e-05" + dense, "cox"} {
		want = append(want, setting+",seed=7", setting+",seed=8")
	}
	if !slices.Equal(names, want) || len(wrong.list) > 0 {
		t.Fatalf("cells %q\nwant %q\n%v", names, want, wrong.list)
	}
	c := cells[7].Config
	if c.Augment.Shift != 0 || c.Training.LearningRate != 1e-5 || len(c.Network.Dense) != 1 || c.Network.Dense[0].Units != 3 ||
		!slices.Equal(c.Seeds, []int64{8}) || c.Data.Phantom.Patients.Train != 60 || c.Data.Phantom.Patients.Test != 200 || c.Evaluation.Bootstrap != 500 {
		t.Errorf("cell 7 has the config %+v", c)
	}
	if c := cells[13].Config; c.Training.Loss != "cox" || c.Training.Batch != experiments.Default().Training.Batch {
		t.Errorf("the map of the list's cell: %+v", c.Training)
	}
}

// All that is wrong is told at once, with its place in the file and what is near.
func TestMistakes(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"key of the file":     {"nmae: x\n", []string{"sweep.yaml:1:1: nmae: unknown key", `"name"`}},
		"grid is a list":      {"name: x\ngrid: [1]\n", []string{":2:7: grid: must be keys"}},
		"values no list":      {"name: x\ngrid: {augment.shift: 3}\n", []string{"grid.augment.shift", "is no list"}},
		"no value":            {"name: x\nset: {training.batch: }\n", []string{"set.training.batch", "has no value"}},
		"seeds in words":      {"name: x\nseeds: all\n", []string{":2:8: seeds", "together"}},
		"part of a seed":      {"name: x\nseeds: [1.5]\n", []string{"seeds[0]", "whole number"}},
		"nothing to sweep":    {"name: x\nbase: phantom\n", []string{"nothing to sweep"}},
		"no such base":        {"name: x\nbase: phantm\nseeds: [1]\n", []string{"phantm", `did you mean "phantom"?`}},
		"many things":         {"name: X y\nbase: phantom\ngrid:\n  training.lerning_rate: [1]\n  augment.shift: [0, zero, 2.5]\n  backend: [go, gpu]\nreference: none\n", []string{"6 problems", `name: "X y"`, ":4:27: training.lerning_rate", `did you mean "learning_rate"?`, ":5:22: augment.shift", ":5:28: augment.shift: 2.5 is not a whole number", ":6:17: backend", "3 cells", `reference: "none"`}},
		"deep in a value":     {"name: x\nbase: phantom\ngrid:\n  network.stages:\n    - [{conv: {filters: 3, kernal: 3}}]\n", []string{":5:36: network.stages[0].conv.kernal", `"kernel"`}},
		"two keys for one":    {"name: x\nbase: phantom\ngrid: {training: [{batch: 4}], training.batch: [4]}\n", []string{"grid.training.batch", "sweep one of them"}},
		"set and swept":       {"name: x\nbase: phantom\nset: {augment.shift: 3}\ngrid: {augment.shift: [4]}\n", []string{"is set for all cells as well"}},
		"seeds twice":         {"name: x\nbase: phantom\nset: {seeds: [3]}\nseeds: [1, 1]\n", []string{":3:14: seeds: is set", "seed 1 stands there twice"}},
		"value twice":         {"name: x\nbase: phantom\ngrid: {training.learning_rate: [0.1, 1e-1]}\n", []string{":3:38: grid.training.learning_rate[1]: stands there twice"}},
		"one name twice":      {"name: x\nbase: phantom\nlist: [{name: a, set: {augment.shift: 1}}, {name: a}]\n", []string{"cells 0 and 1 have one name"}},
		"excludes nothing":    {"name: x\nbase: phantom\ngrid: {augment.shift: [0, 1]}\nexclude: [{augment.shift: 2}]\n", []string{"exclude[0]", "agrees with no cell"}},
		"excludes everything": {"name: x\nbase: phantom\ngrid: {augment.shift: [0]}\nexclude: [{augment.shift: 0}]\n", []string{"no cell of the grid is left"}},
		"too many":            {"name: x\nbase: phantom\ngrid: {augment.shift: [1,2,3,4,5,6,7,8,9,10], seeds: [[1],[2],[3],[4],[5],[6],[7],[8],[9],[10]]}\nseeds: [" + strings.TrimSuffix(strings.Repeat("1,", 101), ",") + "]\n", []string{"10100 cells"}},
		"other metric":        {"name: x\nbase: phantom\nseeds: [1]\nchoose: auc\n", []string{`"auc_delong"`}},
		"not one config":      {"name: x\nbase: phantom\ngrid: {cube.size: [50, 40]}\n", []string{"network.input", "cube.size is 40", "cell cube.size=40"}},
		"engine not here":     {"name: x\nbase: phantom\nset: {backend: 'xla:/nowhere/plugin.so'}\nseeds: [1, 2]\n", []string{"/nowhere/plugin.so", "2 cells"}},
		"no run to begin with": {"name: x\nbase: phantom-transfer\ngrid: {training.learning_rate: [0.1, 0.2]}\n",
			[]string{"1 problem\n", `init_from "phantom"`, "2 cells"}},
		"inputs not here": {"name: x\nbase: prepared-radiotherapy\nset: {data.prepared.imaging: /nowhere}\nseeds: [1]\n", []string{"/nowhere", "hounsfield prepare"}},
		"slurm":           {"name: x\nbase: phantom\nseeds: [1]\nslurm: {mem: \"1\\n2\", extra: [partition=x], cpus: -1}\n", []string{"slurm", "no option of sbatch", "slurm.cpus"}},
		"slurm's key":     {"name: x\nslurm: {partion: x}\n", []string{"slurm.partion", `"partition"`}},
	} {
		env := testEnv(t)
		s, err := load(t, c.text)
		if err == nil {
			_, err = New(s, env)
			var all *InvalidError
			if err != nil && !errors.As(err, &all) {
				t.Errorf("%s: %T", name, err)
			}
		}
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: the error does not say %q:\n%v", name, want, err)
			}
		}
		if made, _ := os.ReadDir(env.Runs); len(made) > 0 {
			t.Errorf("%s: a folder was made: %v", name, made)
		}
	}
	if _, err := Load("phantom-augmentatoin"); err == nil || !strings.Contains(err.Error(), `"phantom-augmentation"`) {
		t.Errorf("a misspelt sweep: %v", err)
	}
}

// Every shipped sweep is valid, says what it is about, and comes back from its folder as the
// very same sweep.
func TestShipped(t *testing.T) {
	if len(Shipped()) == 0 {
		t.Fatal("no shipped sweeps")
	}
	for _, name := range Shipped() {
		s, err := Load(name)
		if err != nil {
			t.Error(err)
			continue
		}
		env := testEnv(t)
		p, err := New(s, env)
		if err != nil {
			t.Error(err)
			continue
		}
		if s.Name != name || s.Description == "" {
			t.Errorf("%s: name %q, description %q", name, s.Name, s.Description)
		}
		f := must[*folder](t)(p.open())
		f.lock.Close()
		again := must[*Planned](t)(New(must[Sweep](t)(Load(p.Dir)), env))
		if again.Hash != p.Hash || !reflect.DeepEqual(again.Keys(), p.Keys()) {
			t.Errorf("%s: read from its folder it is %s, not %s", name, again.Hash, p.Hash)
		}
	}
}

// A sweep that was made in memory is the one that a file describes.
func TestInMemory(t *testing.T) {
	env := testEnv(t)
	made := Sweep{Name: "x", Base: "phantom", Grid: []Axis{{Key: "augment.shift", Values: []any{0, 5}}, {Key: "training.freeze", Values: []any{[]string{}, []string{"conv1", "conv2"}}}},
		List: []Named{{Name: "small steps", Set: []Override{{Key: "training.learning_rate", Value: 1e-5}}}}, Exclude: []Point{{{Key: "augment.shift", Value: 5}, {Key: "training.freeze", Value: []any{}}}}}
	read, err := load(t, "name: x\nbase: phantom\ngrid: {augment.shift: [0, 5], training.freeze: [[], [conv1, conv2]]}\nlist: [{name: small steps, set: {training.learning_rate: 1e-05}}]\nexclude: [{augment.shift: 5, training.freeze: []}]\nseeds: together\n")
	if err != nil {
		t.Fatal(err)
	}
	a, b := must[*Planned](t)(New(made, env)), must[*Planned](t)(New(read, env))
	if a.Hash != b.Hash || len(a.Cells) != 4 {
		t.Errorf("hashes %s and %s, cells %v", a.Hash, b.Hash, a.Cells)
	}
	text := must[[]byte](t)(made.yaml())
	if !strings.Contains(string(text), "small steps") {
		t.Errorf("written as\n%s", text)
	}
}

// Whatever a file holds, reading it and spelling it out ends with cells or complaints.
func FuzzSweep(f *testing.F) {
	for _, name := range Shipped() {
		text, err := shipped.ReadFile("sweeps/" + name + ".yaml")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	for _, s := range []string{"", "a", "- 1", "grid: {a: [1], a.b: [2]}\nseeds: [1]", "grid: {? [x] : [1]}", "set: &a {b: *a}", "list: [{name: x, set: 3}]", "include: [[1]]", "seeds: [9999999999999999999]", "grid: {<<: {a: [1]}}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := decode("fuzz.yaml", []byte(text))
		if err != nil {
			var bad *experiments.ConfigError
			if !errors.As(err, &bad) {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		if s.size() > 100 {
			return
		}
		wrong := &complaints{}
		if cells := s.cells(wrong); len(cells) == 0 && len(wrong.list) == 0 {
			t.Fatal("neither a cell nor a complaint")
		}
		s.checkOverrides(wrong)
	})
}
