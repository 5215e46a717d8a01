package sweep

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"hounsfield/datasets/table"
	"hounsfield/experiments"
)

// Cell is one run of a sweep.
type Cell struct {
	Index     int    // from 0, in the order of the file
	Name      string // such as augment.shift=0,training.learning_rate=0.001,seed=1
	Setting   string // the name without the seed
	Seed      *int64 // where the sweep has seeds
	Overrides []Override

	Config experiments.Config // as loaded; empty before New
	Plan   *experiments.Plan  // the run; nil before New
	Same   int                // index of an earlier cell that is the same run; -1 where there is none
}

// mostCells guards against a grid that nobody means.
const mostCells = 10_000

var sweepName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// complaints gather what is wrong, once each.
type complaints struct {
	list []Problem
}

func (c *complaints) add(cell string, err error) {
	text := err.Error()
	i := slices.IndexFunc(c.list, func(p Problem) bool { return p.Err.Error() == text })
	if i < 0 {
		c.list, i = append(c.list, Problem{Err: err}), len(c.list)
	}
	if cell != "" {
		c.list[i].Cells = append(c.list[i].Cells, cell)
	}
}

// cells spells a sweep out: the grid's cells, the last key turning fastest, then the list,
// each with every seed. What is wrong with the sweep goes to the complaints.
func (s *Sweep) cells(wrong *complaints) []Cell {
	s.check(wrong)
	var out []Cell
	add := func(name string, own []Override) {
		set := append(slices.Clone(s.Set), own...)
		if len(s.Seeds) == 0 {
			out = append(out, Cell{Name: name, Setting: name, Overrides: set})
		}
		for _, seed := range s.Seeds {
			n := fmt.Sprintf("seed=%d", seed)
			if name != "" {
				n = name + "," + n
			}
			out = append(out, Cell{Name: n, Setting: name, Seed: &seed,
				Overrides: append(slices.Clone(set), Override{Key: "seeds", Value: []any{seed}})})
		}
	}
	if n := s.size(); n > mostCells {
		wrong.add("", s.bad(place{}, "grid", "makes %d cells, and %d are the most; take values out, or make several sweeps", n, mostCells))
		return nil
	}
	if len(s.Grid) > 0 || len(s.List) == 0 {
		s.eachPoint(wrong, add)
	}
	for _, n := range s.List {
		add(n.Name, n.Set)
	}
	for i := range out {
		out[i].Index, out[i].Same = i, -1
		if out[i].Setting == "" { // seeds alone
			out[i].Setting = "base"
		}
		if out[i].Name == "" {
			out[i].Name = out[i].Setting
		}
		if j := slices.IndexFunc(out[:i], func(c Cell) bool { return c.Name == out[i].Name }); j >= 0 {
			wrong.add("", s.bad(place{}, "", "cells %d and %d have one name, %s; name the cells of the list differently", j, i, out[i].Name))
		}
	}
	if len(out) == 0 && len(wrong.list) == 0 {
		wrong.add("", s.bad(place{}, "include", "no cell of the grid is left; mend include and exclude"))
	}
	return out
}

// size is the number of cells before include and exclude.
func (s *Sweep) size() int {
	n := 1
	for _, a := range s.Grid {
		if n *= max(1, len(a.Values)); n > mostCells {
			return n
		}
	}
	return (n + len(s.List)) * max(1, len(s.Seeds))
}

// eachPoint visits the cells of the grid that include and exclude leave.
func (s *Sweep) eachPoint(wrong *complaints, add func(name string, own []Override)) {
	met := map[string]bool{} // the entries of include and exclude that some cell agrees with
	agrees := func(list string, points []Point, own []Override) (any bool) {
		for i, p := range points {
			if p.holds(own) {
				any, met[fmt.Sprint(list, i)] = true, true
			}
		}
		return any
	}
	at := make([]int, len(s.Grid))
	for {
		var own []Override
		var words []string
		for i, a := range s.Grid {
			if len(a.Values) == 0 {
				return // complained of before
			}
			o := Override{Key: a.Key, Value: a.Values[at[i]]}
			if a.at != nil {
				o.at = a.at[1+at[i]]
			}
			text, err := shown(o.Value)
			if err != nil {
				wrong.add("", s.bad(o.at, "grid."+a.Key, "%v", err))
			}
			own, words = append(own, o), append(words, a.Key+"="+text)
		}
		in, out := agrees("include", s.Include, own), agrees("exclude", s.Exclude, own)
		if (len(s.Include) == 0 || in) && !out {
			add(strings.Join(words, ","), own)
		}
		i := len(at) - 1
		for ; i >= 0; i-- {
			if at[i]++; at[i] < len(s.Grid[i].Values) {
				break
			}
			at[i] = 0
		}
		if i < 0 {
			break
		}
	}
	for _, list := range []struct {
		name   string
		points []Point
	}{{"include", s.Include}, {"exclude", s.Exclude}} {
		for i, p := range list.points {
			if !met[fmt.Sprint(list.name, i)] {
				var where place
				if len(p) > 0 {
					where = p[0].at
				}
				wrong.add("", s.bad(where, fmt.Sprintf("%s[%d]", list.name, i), "agrees with no cell of the grid; write keys and values as the grid has them"))
			}
		}
	}
}

// holds says whether a cell has all of a point's values.
func (p Point) holds(cell []Override) bool {
	for _, want := range p {
		i := slices.IndexFunc(cell, func(o Override) bool { return o.Key == want.Key })
		if i < 0 {
			return false
		}
		a, errA := flow(want.Value)
		b, errB := flow(cell[i].Value)
		if errA != nil || errB != nil || a != b {
			return false
		}
	}
	return true
}

// check complains of what is wrong with the sweep itself.
func (s *Sweep) check(wrong *complaints) {
	say := func(at place, key, format string, args ...any) { wrong.add("", s.bad(at, key, format, args...)) }
	if !sweepName.MatchString(s.Name) {
		say(place{}, "name", "%q is no name for a folder: lower-case letters and digits, joined by hyphens", s.Name)
	}
	if s.Base == "" {
		say(place{}, "base", "names nothing; give a shipped experiment, such as phantom, or a YAML file")
	}
	if len(s.Grid) == 0 && len(s.List) == 0 && len(s.Seeds) == 0 {
		say(place{}, "grid", "there is nothing to sweep; give a grid, a list or seeds")
	}
	if len(s.Grid) == 0 && len(s.Include)+len(s.Exclude) > 0 {
		say(place{}, "include", "include and exclude choose among the grid's cells, and there is no grid")
	}
	seeded := func(key string) bool { return len(s.Seeds) > 0 && key == "seeds" }
	for i, a := range s.Grid {
		var where place
		if a.at != nil {
			where = a.at[0]
		}
		if len(a.Values) == 0 {
			say(where, "grid."+a.Key, "has no values; give at least one")
		}
		for k, v := range a.Values {
			if slices.ContainsFunc(a.Values[:k], func(o any) bool { return Point{{Key: a.Key, Value: v}}.holds([]Override{{Key: a.Key, Value: o}}) }) {
				say(a.place(k), fmt.Sprintf("grid.%s[%d]", a.Key, k), "stands there twice")
			}
		}
		if seeded(a.Key) {
			say(where, "grid.seeds", "the sweep has seeds as well; leave one of them out")
		}
		for _, o := range s.Set {
			if nested(o.Key, a.Key) || nested(a.Key, o.Key) {
				say(where, "grid."+a.Key, "is set for all cells as well (set.%s); leave one of them out", o.Key)
			}
		}
		for _, b := range s.Grid[:i] {
			if nested(a.Key, b.Key) || nested(b.Key, a.Key) {
				say(where, "grid."+a.Key, "and grid.%s set the same; sweep one of them", b.Key)
			}
		}
	}
	for i, n := range s.List {
		if strings.TrimSpace(n.Name) == "" || strings.ContainsAny(n.Name, "\n\t") {
			say(place{}, fmt.Sprintf("list[%d].name", i), "a cell of the list needs a name of one line")
		}
	}
	all := [][]Override{s.Set}
	for _, n := range s.List {
		all = append(all, n.Set)
	}
	for _, set := range all {
		for _, o := range set {
			if seeded(o.Key) {
				say(o.at, "seeds", "is set, and the sweep has seeds as well; leave one of them out")
			}
		}
	}
	for i, seed := range s.Seeds {
		if slices.Contains(s.Seeds[:i], seed) {
			say(place{}, fmt.Sprintf("seeds[%d]", i), "seed %d stands there twice", seed)
		}
	}
	if s.Choose != "" && s.Choose != ByAUC && s.Choose != ByConcordance {
		e := s.bad(place{}, "choose", "%q is not known", s.Choose)
		e.Allowed = []string{ByAUC, ByConcordance}
		e.Nearest = table.NearestName(s.Choose, e.Allowed)
		wrong.add("", e)
	}
	s.checkSlurm(say)
}

func (s *Sweep) checkSlurm(say func(at place, key, format string, args ...any)) {
	for _, text := range append([]string{s.Slurm.Partition, s.Slurm.Time, s.Slurm.Mem, s.Slurm.GRES}, s.Slurm.Extra...) {
		if strings.ContainsAny(text, "\n\r\"") {
			say(place{}, "slurm", "%q cannot stand in a line of #SBATCH: leave out quotes and line breaks", text)
		}
	}
	for i, text := range s.Slurm.Extra {
		if !strings.HasPrefix(text, "-") {
			say(place{}, fmt.Sprintf("slurm.extra[%d]", i), "%q is no option of sbatch, such as --account=lung", text)
		}
	}
	if s.Slurm.CPUs < 0 {
		say(place{}, "slurm.cpus", "is %d: at least 1, or leave it out", s.Slurm.CPUs)
	}
}

// place is where value k of an axis stands.
func (a Axis) place(k int) place {
	if a.at == nil {
		return place{}
	}
	return a.at[1+k]
}

// nested says whether key is above, or the same as, another dotted key.
func nested(above, key string) bool { return key == above || strings.HasPrefix(key, above+".") }
