package experiments

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"hounsfield/datasets"
	"hounsfield/datasets/table"
	"hounsfield/experiments/scoring"
	"hounsfield/models/cnn"
)

// InitError says why training cannot begin with the networks of another run.
type InitError struct {
	From    string // as training.init_from has it
	Run     string // the run folder that was found; "" where there is none
	Problem string
	Next    string // what to do about it
	Err     error  // may be nil
}

func (e *InitError) Error() string {
	s := fmt.Sprintf("training.init_from %q: ", e.From)
	if e.Run != "" {
		s += "the run in " + e.Run + " "
	}
	s += e.Problem
	if e.Err != nil {
		s += fmt.Sprintf(" (%v)", e.Err)
	}
	return s + "; " + e.Next
}

func (e *InitError) Unwrap() error { return e.Err }

// origin is the run that training begins with.
type origin struct {
	name, dir string // name: the folder's name in the runs folder, or its path elsewhere
	manifest  *Manifest
	imported  bool   // by `hounsfield import`: there are no patients and no history
	chosen    string // how it was found
	rule      string // which network goes where
	networks  []originNetwork
}

// originNetwork is the network that one seed begins with.
type originNetwork struct {
	seed, from int64
	model      *cnn.Model
	sha256     string
}

// findOrigin finds and reads the run that training begins with; nil where training begins
// with random weights. Errors: *InitError.
func findOrigin(cfg Config, env Env) (*origin, error) {
	if cfg.Training.InitFrom == "" || cfg.Data.scored() {
		return nil, nil
	}
	o := &origin{}
	var err error
	if o.dir, o.chosen, err = findRun(cfg.Training.InitFrom, env.Runs); err != nil {
		return nil, err
	}
	bad := func(problem, next string, err error) error {
		return &InitError{From: cfg.Training.InitFrom, Run: o.dir, Problem: problem, Next: next, Err: err}
	}
	if o.manifest, err = ReadManifest(o.dir); err != nil {
		return nil, bad("cannot be read", "delete the folder and make the run again", err)
	}
	o.name = o.dir
	if inside, err := sameFolder(filepath.Dir(o.dir), env.Runs); err == nil && inside {
		o.name = filepath.Base(o.dir)
	}
	if o.manifest.Status != StatusDone {
		return nil, bad(fmt.Sprintf("is not finished (%s)", o.manifest.Status),
			fmt.Sprintf("finish it with `hounsfield run %s`", filepath.Join(o.dir, "config.yaml")), nil)
	}
	source, err := Load(filepath.Join(o.dir, "config.yaml"))
	if err != nil {
		return nil, bad("has a config that cannot be read", "delete the folder and make the run again", err)
	}
	switch {
	case source.Data.scored() || len(o.manifest.Seeds) == 0:
		return nil, bad("judged scores of others and holds no network", "name a run that trained one", nil)
	case source.Cube != cfg.Cube:
		return nil, bad(fmt.Sprintf("trained on cubes of %d voxels of %g mm, and cube here is %d voxels of %g mm", source.Cube.Size, source.Cube.SpacingMM, cfg.Cube.Size, cfg.Cube.SpacingMM),
			"set cube to the same", nil)
	}
	if err := o.manifest.intact(o.dir, "config.yaml", "checkpoints/"); err != nil {
		return nil, bad("is damaged", "delete the folder and make the run again", err)
	}
	o.imported = source.Data.Source == SourceImported
	if n := len(o.manifest.Seeds); o.imported && n > 1 && n != len(cfg.Seeds) {
		return nil, bad(fmt.Sprintf("holds %d imported networks, and nothing tells which is the best to begin %d with", n, len(cfg.Seeds)),
			fmt.Sprintf("give %d seeds, or take one network out with `hounsfield export %s --seed %d --out one.onnx` and import that", n, o.dir, o.manifest.Seeds[0]), nil)
	}
	if err := o.assign(cfg.Seeds); err != nil {
		return nil, bad("has no usable history to choose a network by", "give as many seeds as the run has, or make the run again", err)
	}
	read := map[int64]originNetwork{}
	for i, n := range o.networks {
		there, ok := read[n.from]
		if !ok {
			if there.model, err = cnn.Load(checkpointDir(o.dir, n.from)); err != nil {
				return nil, bad("has a damaged checkpoint", "delete the folder and make the run again", err)
			}
			if err := cfg.Training.CheckInit(cfg.Network, there.model); err != nil {
				return nil, bad("has another network than this config", "set network as in "+filepath.Join(o.dir, "config.yaml")+", or name the layers that differ in training.reinit", err)
			}
			there.sha256 = weightsSHA256(there.model)
			read[n.from] = there
		}
		o.networks[i].model, o.networks[i].sha256 = there.model, there.sha256
	}
	return o, nil
}

// knowsNone refuses a cohort with test patients that the first networks learned from: the
// test role would be judged by a network that has seen its outcomes. Patients are the same
// by cohort and id. Imported networks come without a list of patients.
func (o *origin) knowsNone(c *datasets.Cohort) error {
	if o == nil || o.imported {
		return nil
	}
	t, err := table.Read(filepath.Join(o.dir, tablesDir, scoresTable+".arrow"), table.Schema{Name: scoresTable, Columns: []table.Column{
		{Name: "patient_id", Type: table.String, Unique: true}, {Name: "cohort", Type: table.String}, {Name: "role", Type: table.String}}}, table.Ignore)
	if err != nil {
		return &InitError{From: o.name, Run: o.dir, Problem: "does not tell which patients it was trained on", Next: "delete the folder and make the run again", Err: err}
	}
	type patient struct{ cohort, id string }
	learned := map[patient]bool{}
	for i, id := range t.Strings("patient_id") {
		learned[patient{t.Strings("cohort")[i], id}] = t.Strings("role")[i] != string(datasets.Test)
	}
	var seen []string
	for _, i := range c.Of(datasets.Test) {
		if p := c.Patients[i]; learned[patient{p.Cohort, p.ID}] {
			seen = append(seen, p.ID)
		}
	}
	if len(seen) == 0 {
		return nil
	}
	return &InitError{From: o.name, Run: o.dir, Problem: fmt.Sprintf("was trained or tuned on %d patients of the test role here, such as %s", len(seen), seen[0]),
		Next: "split the patients as that run does (data.prepared), or begin with another run"}
}

// findRun finds a run folder by its path, by its name in the runs folder, or as the newest
// finished run of an experiment there.
func findRun(from, runs string) (dir, chosen string, err error) {
	for _, dir := range []string{from, filepath.Join(runs, from)} {
		if _, err := os.Stat(filepath.Join(dir, manifestFile)); err == nil {
			return filepath.Clean(dir), "named by its folder", nil
		}
	}
	bad := &InitError{From: from, Problem: "neither a run folder nor an experiment with a run in " + runs,
		Next: "make the run first, or name the folder of one"}
	if slices.Contains(Shipped(), from) {
		bad.Next = fmt.Sprintf("type `hounsfield run %s --runs %s` first", from, runs)
	}
	dirs, err := filepath.Glob(filepath.Join(runs, "*", manifestFile))
	if err != nil {
		return "", "", bad
	}
	var newest *Manifest
	var unfinished string
	var others []string
	for _, file := range dirs {
		m, err := ReadManifest(filepath.Dir(file))
		switch {
		case err != nil: // of another experiment as like as not
		case m.Experiment != from:
			others = append(others, m.Experiment)
		case m.Status != StatusDone || m.Finished == nil:
			unfinished = filepath.Dir(file)
		case newest == nil || m.Finished.After(*newest.Finished):
			newest, dir = m, filepath.Dir(file)
		}
	}
	switch {
	case newest != nil:
		return dir, "newest finished run of " + from, nil
	case unfinished != "":
		return "", "", &InitError{From: from, Run: unfinished, Problem: "is not finished, and there is no other of that experiment",
			Next: fmt.Sprintf("finish it with `hounsfield run %s`", filepath.Join(unfinished, "config.yaml"))}
	}
	if near := table.NearestName(from, others); near != "" {
		bad.Next += fmt.Sprintf("; did you mean %q?", near)
	}
	return "", "", bad
}

// assign says which network each seed begins with. As many seeds as the run has: each with
// the one in the same place. Otherwise all begin with the run's best network, the one whose
// kept epoch separated the run's own tune patients best; the first of equals.
func (o *origin) assign(seeds []int64) error {
	there := o.manifest.Seeds
	switch {
	case len(there) == len(seeds):
		o.rule = "each seed begins with the run's seed in the same place"
	case len(there) == 1:
		o.rule = "all seeds begin with the run's only network"
		there = slices.Repeat(there, len(seeds))
	default:
		best, by, err := bestSeed(o.dir)
		if err != nil {
			return err
		}
		o.rule = fmt.Sprintf("the run has %d networks for %d seeds here: all begin with its seed %d, which has the highest tune %s", len(there), len(seeds), best, by)
		there = slices.Repeat([]int64{best}, len(seeds))
	}
	for i, seed := range seeds {
		o.networks = append(o.networks, originNetwork{seed: seed, from: there[i]})
	}
	return nil
}

// bestSeed is the seed of a finished run whose kept epoch has the highest tune AUC, or
// concordance where survival was learned.
func bestSeed(run string) (seed int64, by string, err error) {
	number := func(name string) table.Column { return table.Column{Name: name, Type: table.Float64, Nullable: true} }
	t, err := table.Read(filepath.Join(run, tablesDir, historyTable+".arrow"), table.Schema{Name: historyTable, Columns: []table.Column{
		{Name: "seed", Type: table.Int64}, {Name: "best", Type: table.Bool}, number("tune_auc"), number("tune_concordance")}}, table.Ignore)
	if err != nil {
		return 0, "", err
	}
	column, by := "tune_auc", "AUC"
	if slices.Contains(t.Valid("tune_concordance"), true) {
		column, by = "tune_concordance", "concordance"
	}
	values, found := t.Float64s(column), -1
	for i, kept := range t.Bools("best") {
		if kept && scoring.Known(values[i]) && (found < 0 || values[i] > values[found]) {
			found = i
		}
	}
	if found < 0 {
		return 0, "", fmt.Errorf("%s of %s holds no kept epoch", historyTable, run)
	}
	return t.Int64s("seed")[found], by, nil
}

// sameFolder says whether two paths lead to one folder.
func sameFolder(a, b string) (bool, error) {
	x, err := os.Stat(a)
	if err != nil {
		return false, err
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y), err
}

// weightsSHA256 identifies a network by its arrays, whatever file they came from.
func weightsSHA256(m *cnn.Model) string {
	h := sha256.New()
	weights := slices.Clone(m.Weights)
	slices.SortFunc(weights, func(a, b cnn.Array) int { return strings.Compare(a.Name, b.Name) })
	for _, a := range weights {
		fmt.Fprintf(h, "%q %v\n", a.Name, a.Dims)
		if err := binary.Write(h, binary.LittleEndian, a.Values); err != nil {
			panic(err) // a hash takes every write
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// inputs are the initial weights as inputs of the run.
func (o *origin) inputs() []Input {
	if o == nil {
		return nil
	}
	var out []Input
	for _, n := range o.networks {
		out = append(out, Input{Name: fmt.Sprintf("initial weights of seed %d", n.seed), SHA256: n.sha256})
	}
	return out
}

// record is the origin for the manifest.
func (o *origin) record() *Init {
	if o == nil {
		return nil
	}
	r := &Init{Run: o.name, Hash: o.manifest.Hash, Experiment: o.manifest.Experiment, Chosen: o.chosen, Rule: o.rule}
	for _, n := range o.networks {
		r.Networks = append(r.Networks, InitNetwork{Seed: n.seed, From: n.from, SHA256: n.sha256})
	}
	return r
}

// says tells a person which run was taken.
func (o *origin) says() string {
	return fmt.Sprintf("training begins with run %s (%s): %s", o.name, o.chosen, o.rule)
}

// begin is what training of the k-th seed begins with: the network, and the name by which
// its checkpoints know it, which is the same wherever the run's folder lies.
func (o *origin) begin(k int) (*cnn.Model, string) {
	if o == nil {
		return nil, ""
	}
	return o.networks[k].model, "weights " + o.networks[k].sha256
}
