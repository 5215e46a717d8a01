package sweep

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
)

// assignment is an override as the command line has it: key=value in one line.
func (o Override) assignment() (string, error) {
	text, err := flow(o.Value)
	if err != nil {
		return "", fmt.Errorf("%s: %w", o.Key, err)
	}
	return o.Key + "=" + text, nil
}

// flow writes a value in one line of JSON, which YAML reads as well. Two values are the same
// setting where their flow is.
func flow(v any) (string, error) {
	switch v := v.(type) {
	case yaml.MapSlice:
		var parts []string
		for _, item := range v {
			value, err := flow(item.Value)
			if err != nil {
				return "", err
			}
			parts = append(parts, fmt.Sprintf("%q: %s", fmt.Sprint(item.Key), value))
		}
		return "{" + strings.Join(parts, ", ") + "}", nil
	case []any:
		parts := make([]string, len(v))
		for i, x := range v {
			var err error
			if parts[i], err = flow(x); err != nil {
				return "", err
			}
		}
		return "[" + strings.Join(parts, ", ") + "]", nil
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), nil
	default:
		if plain, ok := untyped(v); ok {
			return flow(plain)
		}
		var b bytes.Buffer
		out := json.NewEncoder(&b)
		out.SetEscapeHTML(false)
		if err := out.Encode(v); err != nil {
			return "", fmt.Errorf("%T cannot be written as YAML: %w", v, err)
		}
		return strings.TrimSpace(b.String()), nil
	}
}

// untyped turns the lists and maps of a sweep made in memory, such as []string, into those
// that a file is read as, a map's keys in alphabetical order; false for other values.
func untyped(v any) (any, bool) {
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Slice, reflect.Array:
		list := make([]any, r.Len())
		for i := range list {
			list[i] = r.Index(i).Interface()
		}
		return list, true
	case reflect.Map:
		out := yaml.MapSlice{}
		for _, key := range r.MapKeys() {
			out = append(out, yaml.MapItem{Key: fmt.Sprint(key), Value: r.MapIndex(key).Interface()})
		}
		slices.SortFunc(out, func(a, b yaml.MapItem) int { return strings.Compare(a.Key.(string), b.Key.(string)) })
		return out, true
	}
	return nil, false
}

// longest value that stands in a name as it is.
const longest = 40

// shown is a value as it stands in the name of a cell: plain where that is short, else its
// beginning and a digest.
func shown(v any) (string, error) {
	if s, ok := v.(string); ok && s != "" && len(s) <= longest && !strings.ContainsAny(s, ",=\n\t") {
		return s, nil
	}
	text, err := flow(v)
	if err != nil {
		return "", err
	}
	text = strings.ReplaceAll(strings.ReplaceAll(text, `"`, ""), ", ", " ")
	if len(text) <= longest && !strings.ContainsAny(text, "=\\") {
		return text, nil
	}
	sum := sha256.Sum256([]byte(text))
	head := []rune(text)
	return string(head[:min(20, len(head))]) + "..." + hex.EncodeToString(sum[:])[:6], nil
}
