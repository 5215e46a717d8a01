package report

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// luminance is WCAG 2.2's relative luminance of a colour written as #rrggbb.
func luminance(t *testing.T, colour string) float64 {
	t.Helper()
	rgb, err := strconv.ParseUint(strings.TrimPrefix(colour, "#"), 16, 32)
	if err != nil || len(colour) != 7 {
		t.Fatalf("%q is no colour of the form #rrggbb", colour)
	}
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		v := float64(rgb>>(16-8*i)&255) / 255
		if v <= 0.04045 {
			v /= 12.92
		} else {
			v = math.Pow((v+0.055)/1.055, 2.4)
		}
		sum += weight * v
	}
	return sum
}

func contrast(t *testing.T, a, b string) float64 {
	x, y := luminance(t, a), luminance(t, b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// TestContrast holds every colour that style.css gives to text against every one that it
// puts behind text: level AA asks for 4.5 (SC 1.4.3), and 3 for the mark of the focus
// (SC 1.4.11). There is one colour scheme; a second one must be added here.
func TestContrast(t *testing.T) {
	named := map[string]string{}
	for _, m := range regexp.MustCompile(`--([a-z-]+): (#[0-9a-f]{6});`).FindAllStringSubmatch(styleSheet, -1) {
		named[m[1]] = m[2]
	}
	used := func(property string) []string {
		var out []string
		for _, m := range regexp.MustCompile(`[;{\s]`+property+`: ([^;}]+)[;}]`).FindAllStringSubmatch(styleSheet, -1) {
			value := m[1]
			if slices.Contains([]string{"inherit", "none", "transparent"}, value) {
				continue
			}
			name := strings.TrimSuffix(strings.TrimPrefix(value, "var(--"), ")")
			if named[name] == "" {
				t.Fatalf("%s: %s is no colour with a name at the head of the style sheet", property, value)
			}
			if !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
		return out
	}
	text, behind := used("color"), used("background")
	if len(text) < 4 || len(behind) < 4 || strings.Contains(styleSheet, "prefers-color-scheme") {
		t.Fatalf("text in %q on %q: not what the style sheet is known to have", text, behind)
	}
	if got := fmt.Sprintf("%.2f %.2f", contrast(t, "#000000", "#ffffff"), contrast(t, "#767676", "#ffffff")); got != "21.00 4.54" {
		t.Fatalf("black and #767676 on white have %s, by WCAG's own examples 21.00 and 4.54", got)
	}
	for _, back := range behind {
		for _, front := range text {
			if c := contrast(t, named[front], named[back]); c < 4.5 {
				t.Errorf("text %s (%s) on %s (%s): contrast %.2f", front, named[front], back, named[back], c)
			}
		}
		outline := regexp.MustCompile(`:focus-visible \{\s*outline: 3px solid var\(--([a-z-]+)\)`).FindStringSubmatch(styleSheet)
		if outline == nil {
			t.Fatal("what has the focus is not outlined")
		}
		if c := contrast(t, named[outline[1]], named[back]); c < 3 {
			t.Errorf("the mark of the focus on %s: contrast %.2f", back, c)
		}
	}
}
