package intake

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"hounsfield/datasets/table"
)

// walker collects everything that is wrong with a map.
type walker struct {
	problems []Problem
	lines    map[string]int // of each key
}

// bad notes a problem of a key, at the line of the key or of the nearest above it.
func (w *walker) bad(key, problem string, allowed ...string) {
	w.problems = append(w.problems, Problem{Line: w.line(key), Key: key, Problem: problem, Allowed: allowed})
}

func (w *walker) line(key string) int {
	for key != "" {
		if line, ok := w.lines[key]; ok {
			return line
		}
		key = key[:max(strings.LastIndexByte(key, '.'), 0)]
	}
	return 0
}

// choice notes a value that is none of the allowed ones; an allowed "" is not listed.
func (w *walker) choice(key, value string, allowed ...string) {
	if slices.Contains(allowed, value) {
		return
	}
	allowed = slices.DeleteFunc(slices.Clone(allowed), func(s string) bool { return s == "" })
	w.problems = append(w.problems, Problem{Line: w.line(key), Key: key, Problem: fmt.Sprintf("%q is not known", value), Nearest: table.NearestName(value, allowed), Allowed: allowed})
}

// pattern compiles a regular expression that a whole text must fit; nil when it is none.
func (w *walker) pattern(key, text string) *regexp.Regexp {
	re, err := regexp.Compile("^(?:" + text + ")$")
	if err != nil {
		w.bad(key, fmt.Sprintf("%q is no regular expression: %v", text, err))
		return nil
	}
	return re
}

// files compiles a pattern of paths.
func (w *walker) files(key, text string) *regexp.Regexp {
	if text == "" {
		w.bad(key, `is missing: what the paths below the folder of images fit, such as (?P<patient>[^/]+)/ct\.nii\.gz`)
		return nil
	}
	re := w.pattern(key, text)
	if re != nil && !slices.Contains(re.SubexpNames(), "patient") {
		w.bad(key, "names no group (?P<patient>...), so it does not say whose file it is")
	}
	return re
}

// walk holds the YAML against the Go type, and notes every key that the type does not have
// and every value of another kind: the decoder would stop at the first. Words stay what is
// written: 007, 1.50 and true are taken for text where text is wanted.
func (w *walker) walk(path string, node ast.Node, t reflect.Type) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	w.lines[path] = node.GetToken().Position.Line
	switch node.(type) {
	case *ast.NullNode: // as if the key were not there
		return
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode:
		w.bad(path, "anchors, aliases and tags (& * !) are not read here; write the value itself, in quotes where it begins with such a sign")
		return
	}
	entries, isMap := node.(ast.MapNode)
	list, isList := node.(*ast.SequenceNode)
	switch t.Kind() {
	case reflect.Struct, reflect.Map:
		if !isMap {
			w.bad(path, "must have keys below it")
			return
		}
		for it := entries.MapRange(); it.Next(); {
			w.entry(path, it.KeyValue(), t)
		}
	case reflect.Slice:
		if !isList {
			w.bad(path, "must be a list, such as [one, two]")
			return
		}
		for i, v := range list.Values {
			w.walk(fmt.Sprintf("%s[%d]", path, i), v, t.Elem())
			if t.Elem().Kind() == reflect.String {
				list.Values[i] = asText(v)
			}
		}
	default:
		var ok bool
		what := "words"
		switch t.Kind() {
		case reflect.Int, reflect.Int64:
			_, ok = node.(*ast.IntegerNode)
			what = "a whole number"
		case reflect.Float64:
			_, whole := node.(*ast.IntegerNode)
			_, broken := node.(*ast.FloatNode)
			ok, what = whole || broken, "a number"
		case reflect.Bool:
			_, ok = node.(*ast.BoolNode)
			what = "true or false"
		default:
			_, ok = node.(ast.ScalarNode)
		}
		if !ok {
			w.bad(path, "must be "+what)
		}
	}
}

func (w *walker) entry(path string, v *ast.MappingValueNode, t reflect.Type) {
	key := v.Key.GetToken().Value // without quotes
	full := strings.TrimPrefix(path+"."+key, ".")
	inner := t
	if t.Kind() == reflect.Map {
		inner = t.Elem()
		if key, ok := asText(v.Key).(ast.MapKeyNode); ok {
			v.Key = key
		}
	} else {
		fields := fieldsOf(t)
		var ok bool
		if inner, ok = fields[key]; !ok {
			names := slices.Sorted(maps.Keys(fields))
			w.problems = append(w.problems, Problem{Line: v.Key.GetToken().Position.Line, Key: full, Problem: "unknown key", Nearest: table.NearestName(key, names), Allowed: names})
			return
		}
	}
	w.walk(full, v.Value, inner)
	if inner.Kind() == reflect.String {
		v.Value = asText(v.Value)
	}
	w.lines[full] = v.Key.GetToken().Position.Line
}

// asText is a number or a truth value as the text that stands there; other nodes are left.
func asText(node ast.Node) ast.Node {
	switch node.(type) {
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return ast.String(node.GetToken())
	}
	return node
}

// fieldsOf maps the YAML names of a struct to their types.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case !f.IsExported():
		case options == "inline":
			maps.Copy(fields, fieldsOf(f.Type))
		default:
			fields[name] = f.Type
		}
	}
	return fields
}

// yamlProblem is an error of the YAML library in our form.
func yamlProblem(err error) Problem {
	p := Problem{Problem: "it cannot be read as YAML: " + err.Error()}
	var y yaml.Error
	if errors.As(err, &y) {
		p.Problem = "it cannot be read as YAML: " + y.GetMessage()
		if tok := y.GetToken(); tok != nil && tok.Position != nil {
			p.Line = tok.Position.Line
		}
	}
	return p
}
