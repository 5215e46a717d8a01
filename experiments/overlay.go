package experiments

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"hounsfield/datasets/table"
)

// ConfigError is a setting that cannot be used: where it stands, what it is, and
// what may stand there instead. It is found before any work starts.
type ConfigError struct {
	File    string // the YAML file, or --set for an override
	Line    int    // 1-based; 0 when the value comes from --set
	Column  int
	Key     string // the whole path, such as training.batch
	Problem string
	Nearest string   // the valid key or value closest to what was written
	Allowed []string // what may stand there, when that is a short list
}

func (e *ConfigError) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", e.Line, e.Column)
	}
	if e.Key != "" {
		fmt.Fprintf(&b, ": %s", e.Key)
	}
	fmt.Fprintf(&b, ": %s", e.Problem)
	if e.Nearest != "" {
		fmt.Fprintf(&b, "; did you mean %q?", e.Nearest)
	}
	if len(e.Allowed) > 0 {
		fmt.Fprintf(&b, " (allowed: %s)", strings.Join(e.Allowed, ", "))
	}
	return b.String()
}

// overlay writes the settings of a YAML text over cfg, a pointer to a struct: keys that are absent keep
// their value, lists are replaced whole. An unknown key or a value of the wrong
// type is a *ConfigError that names file, line, key and the nearest valid key.
func overlay(file string, text []byte, cfg any) (err error) {
	defer func() {
		if p := recover(); p != nil { // the YAML library stumbles over some texts, such as "seeds: ! 0"
			err = &ConfigError{File: file, Problem: fmt.Sprintf("cannot be read as YAML (%v); look for a stray sign, such as ! or &", p)}
		}
	}()
	tree, err := parser.ParseBytes(text, 0)
	if err != nil {
		return yamlError(file, "", err)
	}
	for _, doc := range tree.Docs {
		if doc.Body == nil {
			continue
		}
		if err := checkKeys(file, "", doc.Body, reflect.TypeOf(cfg)); err != nil {
			return err
		}
		if err := yaml.NodeToValue(doc.Body, cfg, yaml.Strict()); err != nil {
			return yamlError(file, keyAt(doc.Body, err), err)
		}
	}
	return nil
}

// set applies one key=value override; the value is read as YAML.
func set(assignment string, cfg *Config) error {
	key, value, ok := strings.Cut(assignment, "=")
	key = strings.TrimSpace(key)
	if !ok || key == "" {
		return &ConfigError{File: "--set " + assignment, Problem: "not of the form key=value, such as training.max_epochs=5"}
	}
	if strings.TrimSpace(value) == "" {
		return &ConfigError{File: "--set " + assignment, Key: key, Problem: "has no value; give one, or leave the override out to keep the default"}
	}
	parts := strings.Split(key, ".")
	var b strings.Builder
	for i, p := range parts {
		fmt.Fprintf(&b, "%s%s:", strings.Repeat("  ", i), p)
		if i < len(parts)-1 {
			b.WriteByte('\n')
		}
	}
	b.WriteString(" " + value + "\n")
	err := overlay("--set "+assignment, []byte(b.String()), cfg)
	var bad *ConfigError
	if errors.As(err, &bad) {
		bad.Line, bad.Column = 0, 0 // the lines are of our own making
		if bad.Key == "" {
			bad.Key, bad.Problem = key, "cannot be read as YAML: "+bad.Problem+`; quote words with signs that YAML has a use for, as in ["conv*"]`
		}
	}
	return err
}

// placed says of a value that validation refuses where it was set: in the last override
// of its key, or of one above it, else in a line of the file.
func placed(err error, text []byte, overrides []string) error {
	var bad *ConfigError
	if !errors.As(err, &bad) {
		return err
	}
	for _, o := range slices.Backward(overrides) {
		key, _, _ := strings.Cut(o, "=")
		key = strings.TrimSpace(key)
		rest, above := strings.CutPrefix(bad.Key, key)
		above = above && (rest == "" || strings.ContainsAny(rest[:1], ".["))
		// Some checks name a section in Key and the setting in Problem.
		below := strings.HasPrefix(key, bad.Key+".") && strings.Contains(bad.Problem, key[strings.LastIndexByte(key, '.')+1:])
		if above || below {
			bad.File = "--set " + o
			return err
		}
	}
	tree, parseErr := parser.ParseBytes(text, 0)
	if parseErr != nil {
		return err
	}
	var keys []string // the nearest first
	for _, word := range strings.Fields(bad.Problem) {
		keys = append(keys, bad.Key+"."+strings.TrimRight(word, ":,;"))
	}
	for key := bad.Key; key != ""; key = key[:max(0, strings.LastIndexAny(key, ".["))] {
		keys = append(keys, key)
	}
	for _, key := range keys {
		p, pathErr := yaml.PathString("$." + key)
		if pathErr != nil {
			continue // a word of the problem that is no key
		}
		if node, nodeErr := p.FilterFile(tree); nodeErr == nil && node != nil {
			at := node.GetToken().Position
			bad.Line, bad.Column = at.Line, at.Column
			return err
		}
	}
	return err
}

// checkKeys walks the YAML beside the Go type and stops at the first key the type
// does not have. The decoder refuses such keys too, but cannot say what is near.
func checkKeys(file, path string, node ast.Node, t reflect.Type) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() == reflect.Interface {
		return nil // whoever asked for it reads it
	}
	switch n := node.(type) {
	case *ast.MappingNode:
		for _, v := range n.Values {
			if err := checkKey(file, path, v, t); err != nil {
				return err
			}
		}
	case *ast.MappingValueNode:
		return checkKey(file, path, n, t)
	case *ast.SequenceNode:
		if t.Kind() == reflect.Slice {
			for i, v := range n.Values {
				if err := checkKeys(file, fmt.Sprintf("%s[%d]", path, i), v, t.Elem()); err != nil {
					return err
				}
			}
		}
	case *ast.FloatNode: // the decoder would cut it off without a word
		if k := t.Kind(); k >= reflect.Int && k <= reflect.Uint64 {
			at := n.GetToken().Position
			return &ConfigError{File: file, Line: at.Line, Column: at.Column, Key: path, Problem: n.String() + " is not a whole number"}
		}
	}
	return nil
}

func checkKey(file, path string, v *ast.MappingValueNode, t reflect.Type) error {
	key := v.Key.GetToken().Value // without quotes
	full := strings.TrimPrefix(path+"."+key, ".")
	if t.Kind() == reflect.Map {
		return checkKeys(file, full, v.Value, t.Elem())
	}
	if t.Kind() != reflect.Struct {
		at := v.Key.GetToken().Position
		return &ConfigError{File: file, Line: at.Line, Column: at.Column, Key: full, Problem: "has keys below it, but is a single value"}
	}
	fields := yamlFields(t)
	field, ok := fields[key]
	if !ok {
		names := make([]string, 0, len(fields))
		for name := range fields {
			names = append(names, name)
		}
		slices.Sort(names)
		at := v.Key.GetToken().Position
		return &ConfigError{File: file, Line: at.Line, Column: at.Column, Key: full,
			Problem: "unknown key", Nearest: table.NearestName(key, names), Allowed: names}
	}
	return checkKeys(file, full, v.Value, field)
}

// yamlFields maps the YAML names of a struct to their types.
func yamlFields(t reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() {
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case name == "-":
		case strings.Contains(options, "inline"):
			for k, v := range yamlFields(f.Type) {
				fields[k] = v
			}
		case name == "":
			fields[strings.ToLower(f.Name)] = f.Type
		default:
			fields[name] = f.Type
		}
	}
	return fields
}

// yamlError turns the parser's and decoder's errors into ours.
func yamlError(file, key string, err error) error {
	out := &ConfigError{File: file, Key: key, Problem: err.Error()}
	var y yaml.Error
	if errors.As(err, &y) {
		out.Problem = y.GetMessage()
		if tok := y.GetToken(); tok != nil && tok.Position != nil {
			out.Line, out.Column = tok.Position.Line, tok.Position.Column
		}
	}
	return out
}

// keyAt is the path of the key whose value the decoder stumbled on.
func keyAt(root ast.Node, err error) string {
	var y yaml.Error
	if !errors.As(err, &y) || y.GetToken() == nil || y.GetToken().Position == nil {
		return ""
	}
	at := y.GetToken().Position
	best := ""
	ast.Walk(visitor(func(n ast.Node) {
		v, ok := n.(*ast.MappingValueNode)
		if !ok {
			return
		}
		p := v.Value.GetToken().Position
		if p.Line == at.Line && p.Column == at.Column {
			best = strings.TrimPrefix(v.GetPath(), "$.")
			if strings.HasSuffix(best, "."+v.Key.String()) || best == v.Key.String() {
				return
			}
			best = strings.TrimPrefix(best+"."+v.Key.String(), ".")
		}
	}), root)
	return best
}

type visitor func(ast.Node)

func (f visitor) Visit(n ast.Node) ast.Visitor { f(n); return f }
