package analysis

import (
	"math"
	"slices"
	"testing"

	"hounsfield/datasets/table"
)

func somePairs() Pairs {
	return Pairs{First: []float64{0.1, 0.2, 0.3, 0.4, 0.5, 0.6}, Second: []float64{0.2, 0.1, 0.4, 0.6, 0.4, 0.6}, FirstName: "a", SecondName: "b", Group: "g", Level: 0.95}
}

func every(t *testing.T, steps ...func() ([]Measure, error)) []Measure {
	t.Helper()
	var out []Measure
	for _, s := range steps {
		more, err := s()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, more...)
	}
	return out
}

// By hand: differences .1 -.1 .1 .2 -.1 0, second less first; high is above the cut,
// strictly, so the fourth and the fifth move.
func TestPairsByHand(t *testing.T) {
	p := somePairs()
	all := every(t, p.Repeatability, p.precision, func() ([]Measure, error) { return p.RiskGroups(0.4) })
	near(t, all, Bias, "g", 6, 0.2/6)
	near(t, all, Moved, "g", 6, 2)
	near(t, all, MovedShare, "g", 6, 1.0/3)
	// 0.08/6 is the mean square difference; the mean square within is half of it.
	near(t, all, withinSD, "g", 6, math.Sqrt(0.08/12))
	if got := p.Moved(0.4); !slices.Equal(got, []int{3, 4}) {
		t.Errorf("moved %v", got)
	}
	// Both raters have 2 of 6 above; they agree in 4 of 6: kappa (2/3 - 5/9)/(1 - 5/9).
	near(t, all, GroupKappa, "g", 6, 0.25)
	for _, m := range all {
		if repeatWords[m.Name] == "" {
			t.Errorf("%s has no words for the report", m.Name)
		}
	}
}

// Scores that repeat to the last bit, and scores that all shift by the same.
func TestPairsExact(t *testing.T) {
	p := somePairs()
	p.Second = slices.Clone(p.First)
	all := every(t, p.Repeatability, p.precision, func() ([]Measure, error) { return p.RiskGroups(0.35) })
	for _, name := range []string{ICC1, ICCA1, ICCC1, ICCK, ICCAK, ICCCK, Spearman, concordance, GroupKappa} {
		near(t, all, name, "g", 6, 1)
	}
	for _, name := range []string{Bias, LowerLimit, UpperLimit, withinSD, repeatability, Moved, MovedShare} {
		near(t, all, name, "g", 6, 0)
	}
	for i := range p.Second {
		p.Second[i] += 0.05
	}
	all = every(t, p.Repeatability, p.precision)
	near(t, all, ICCC1, "g", 6, 1)
	near(t, all, Bias, "g", 6, 0.05)
	near(t, all, withinSD, "g", 6, 0.05/math.Sqrt2)
	if m, _ := measured(all, ICCA1, "g"); !(m.Value < 0.99) {
		t.Errorf("a shift leaves the absolute agreement at %v", m.Value)
	}
}

// One patient has no agreement, and that is no error.
func TestPairsOfOne(t *testing.T) {
	p := somePairs()
	p.First, p.Second = p.First[:1], p.Second[:1]
	all := every(t, p.Repeatability, p.precision, func() ([]Measure, error) { return p.RiskGroups(0.4) })
	if len(all) != 2 || all[0].Name != Moved || all[0].Value != 0 || all[1].Name != MovedShare {
		t.Errorf("measures %+v", all)
	}
	if m, ok := measured(all, ICC1, "g"); ok || m.words() != "not defined" {
		t.Errorf("%+v", m)
	}
}

func TestMeasureText(t *testing.T) {
	for want, m := range map[string]Measure{
		"0.912":                  {Value: 0.912},
		"0.00410":                {Value: 0.0041},
		"1234":                   {Value: 1234.4},
		"3":                      {Name: Moved, Value: 3},
		"not defined":            {Value: math.NaN()},
		"0.000":                  {Value: 0},
		"0.500 (0.250 to 0.750)": {Value: 0.5, Low: table.Some(0.25), High: table.Some(0.75)},
	} {
		if got := m.words(); got != want {
			t.Errorf("%v reads %q, want %q", m.Value, got, want)
		}
	}
	m := Measure{Value: -0.5, Low: table.Some(-0.75), High: table.Some(0.25)}
	if got := signed(m); got != "lower by 0.500 (-0.250 to 0.750)" {
		t.Error(got)
	}
	m.Value = 0.25
	if got := signed(m); got != "higher by 0.250 (-0.750 to 0.250)" {
		t.Error(got)
	}
}
