package sweep

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"hounsfield/experiments"
)

// place is a value's place in the sweep's file; the zero place is nowhere.
type place struct {
	line, column int
	node         ast.Node
}

func placeOf(n ast.Node) place {
	if n == nil || n.GetToken() == nil || n.GetToken().Position == nil {
		return place{}
	}
	at := n.GetToken().Position
	return place{line: at.Line, column: at.Column, node: n}
}

// form is a sweep's file as it is written.
type form struct {
	Name        string      `yaml:"name"`
	Description string      `yaml:"description"`
	Base        string      `yaml:"base"`
	Set         ast.Node    `yaml:"set"`
	Grid        ast.Node    `yaml:"grid"`
	List        []namedForm `yaml:"list"`
	Seeds       ast.Node    `yaml:"seeds"`
	Include     ast.Node    `yaml:"include"`
	Exclude     ast.Node    `yaml:"exclude"`
	Reference   string      `yaml:"reference"`
	Choose      string      `yaml:"choose"`
	Slurm       Slurm       `yaml:"slurm"`
}

type namedForm struct {
	Name string   `yaml:"name"`
	Set  ast.Node `yaml:"set"`
}

// together says in a file that the seeds of a cell train together.
const together = "together"

// decode reads a sweep's file. Errors: *experiments.ConfigError.
func decode(file string, text []byte) (Sweep, error) {
	var f form
	if err := experiments.Decode(file, text, &f); err != nil {
		return Sweep{}, err
	}
	s := Sweep{Name: f.Name, Description: strings.TrimSpace(f.Description), Base: f.Base, Reference: f.Reference, Choose: f.Choose, Slurm: f.Slurm, file: file}
	var err error
	if s.Set, err = s.overrides("set", f.Set); err != nil {
		return s, err
	}
	err = s.eachKey("grid", f.Grid, func(key string, at place, value ast.Node) error {
		list, ok := value.(*ast.SequenceNode)
		if !ok {
			return s.bad(placeOf(value), "grid."+key, "is no list; give the values that %s takes, such as [1, 2]", key)
		}
		a := Axis{Key: key, at: []place{at}}
		for i, n := range list.Values {
			v, err := s.value(fmt.Sprintf("grid.%s[%d]", key, i), n)
			if err != nil {
				return err
			}
			a.Values, a.at = append(a.Values, v), append(a.at, placeOf(n))
		}
		s.Grid = append(s.Grid, a)
		return nil
	})
	if err != nil {
		return s, err
	}
	for i, n := range f.List {
		set, err := s.overrides(fmt.Sprintf("list[%d].set", i), n.Set)
		if err != nil {
			return s, err
		}
		s.List = append(s.List, Named{Name: n.Name, Set: set})
	}
	if s.Include, err = s.points("include", f.Include); err != nil {
		return s, err
	}
	if s.Exclude, err = s.points("exclude", f.Exclude); err != nil {
		return s, err
	}
	return s, s.readSeeds(f.Seeds)
}

func (s *Sweep) readSeeds(n ast.Node) error {
	if n == nil {
		return nil
	}
	if text, ok := n.(*ast.StringNode); ok && text.Value == together {
		return nil
	}
	list, ok := n.(*ast.SequenceNode)
	if !ok || len(list.Values) == 0 {
		return s.bad(placeOf(n), "seeds", "must be a list such as [1, 2, 3], which makes one cell for each seed, or the word %s", together)
	}
	for i, v := range list.Values {
		number, ok := v.(*ast.IntegerNode)
		var seed int64
		if ok {
			ok = yaml.NodeToValue(number, &seed) == nil
		}
		if !ok {
			return s.bad(placeOf(v), fmt.Sprintf("seeds[%d]", i), "%s is not a whole number", v)
		}
		s.Seeds = append(s.Seeds, seed)
	}
	return nil
}

// eachKey walks the keys of a map in their order.
func (s *Sweep) eachKey(name string, n ast.Node, visit func(key string, at place, value ast.Node) error) error {
	var pairs []*ast.MappingValueNode
	switch m := n.(type) {
	case nil, *ast.NullNode:
		return nil
	case *ast.MappingNode:
		pairs = m.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{m}
	default:
		return s.bad(placeOf(n), name, "must be keys of the config with their values, such as training.learning_rate: 0.001")
	}
	for _, p := range pairs {
		key := p.Key.GetToken().Value
		if err := visit(key, placeOf(p.Key), p.Value); err != nil {
			return err
		}
	}
	return nil
}

func (s *Sweep) overrides(name string, n ast.Node) ([]Override, error) {
	var out []Override
	err := s.eachKey(name, n, func(key string, _ place, value ast.Node) error {
		v, err := s.value(name+"."+key, value)
		out = append(out, Override{Key: key, Value: v, at: placeOf(value)})
		return err
	})
	return out, err
}

func (s *Sweep) points(name string, n ast.Node) ([]Point, error) {
	if n == nil {
		return nil, nil
	}
	list, ok := n.(*ast.SequenceNode)
	if !ok {
		return nil, s.bad(placeOf(n), name, "must be a list of parts of the grid, such as [{augment.shift: 0}]")
	}
	var out []Point
	for i, v := range list.Values {
		p, err := s.overrides(fmt.Sprintf("%s[%d]", name, i), v)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// value turns a node into a plain value; maps keep the order of their keys.
func (s *Sweep) value(key string, n ast.Node) (any, error) {
	switch n := n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		out := yaml.MapSlice{}
		return out, s.eachKey(key, n, func(k string, _ place, value ast.Node) error {
			v, err := s.value(key+"."+k, value)
			out = append(out, yaml.MapItem{Key: k, Value: v})
			return err
		})
	case *ast.SequenceNode:
		out := make([]any, len(n.Values))
		for i, x := range n.Values {
			var err error
			if out[i], err = s.value(fmt.Sprintf("%s[%d]", key, i), x); err != nil {
				return nil, err
			}
		}
		return out, nil
	case *ast.StringNode:
		// The parser takes 1e-05, which has no point, for a text.
		if f, err := strconv.ParseFloat(n.Value, 64); err == nil && n.Token.Type == token.StringType && strings.Contains("0123456789+-.", n.Value[:1]) && !math.IsInf(f, 0) {
			return f, nil
		}
		return n.Value, nil
	}
	var v any
	if err := yaml.NodeToValue(n, &v); err != nil {
		return nil, s.bad(placeOf(n), key, "cannot be read: %v", err)
	}
	if v == nil {
		return nil, s.bad(placeOf(n), key, "has no value; give one, or leave the key out to keep the base's")
	}
	return v, nil
}

// placed moves a complaint about an override to where the sweep's file has it.
func (s *Sweep) placed(err error, overrides []Override) error {
	bad, ok := err.(*experiments.ConfigError)
	if !ok {
		return err
	}
	for i := len(overrides) - 1; i >= 0; i-- {
		o := overrides[i]
		text, textErr := o.assignment()
		if textErr != nil || bad.File != "--set "+text {
			continue
		}
		moved := *s.bad(o.at, bad.Key, "%s", bad.Problem)
		moved.Nearest, moved.Allowed = bad.Nearest, bad.Allowed
		if below, ok := strings.CutPrefix(bad.Key, o.Key); ok && below != "" && o.at.node != nil {
			if at := placeBelow(o.at.node, strings.TrimPrefix(below, ".")); at.line > 0 {
				moved.Line, moved.Column = at.line, at.column
			}
		}
		return &moved
	}
	return err
}

// placeBelow is the place of the longest beginning of a path that a node has below it.
func placeBelow(n ast.Node, path string) place {
	for ; path != ""; path = path[:max(0, strings.LastIndexAny(path, ".["))] {
		p, err := yaml.PathString("$." + path)
		if strings.HasPrefix(path, "[") {
			p, err = yaml.PathString("$" + path)
		}
		if err != nil {
			continue
		}
		if found, err := p.FilterNode(n); err == nil && found != nil {
			return placeOf(found)
		}
	}
	return place{}
}
