package selection

import (
	"encoding/csv"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"hounsfield/models/tabular"
	"hounsfield/stats/golden"
)

func TestMRMRAgainstTheDefinitionInR(t *testing.T) {
	type mrmr struct {
		Name                  string
		X                     [][]float64
		Target                []float64
		Count                 int
		Method                Correlation
		Chosen                []int
		Relevance, Redundancy []float64
	}
	for _, c := range golden.Cases[mrmr](t, "mrmr") {
		got, err := MRMR(c.X, nil, c.Target, c.Count, c.Method)
		if err != nil {
			t.Fatal(err)
		}
		for k, choice := range got {
			if choice.Feature != c.Chosen[k] {
				t.Errorf("%s: choice %d is feature %d, want %d", c.Name, k, choice.Feature, c.Chosen[k])
			}
			golden.Near(t, fmt.Sprint(c.Name, " relevance ", k), choice.Relevance, c.Relevance[k], 1e-10)
			golden.Near(t, fmt.Sprint(c.Name, " redundancy ", k), choice.Redundancy, c.Redundancy[k], 1e-10)
		}
		if len(got) != len(c.Chosen) {
			t.Errorf("%s: %d choices, want %d", c.Name, len(got), len(c.Chosen))
		}
	}
}

// The study's selection: 40 of the engineered features, on the tune cohort.
func TestPublishedTuneCohorts(t *testing.T) {
	mirror := os.Getenv("HOUNSFIELD_MIRROR")
	if mirror == "" {
		t.Skip("HOUNSFIELD_MIRROR is not set: no folder with the published tables")
	}
	type published struct {
		Cohort                string
		Patients, Features    int
		Names                 []string
		Relevance, Redundancy []float64
	}
	for _, c := range golden.Cases[published](t, "published") {
		file, err := os.Open(filepath.Join(mirror, "hosny2018", c.Cohort+".csv"))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		rows, err := csv.NewReader(file).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		var x [][]float64
		var names []string
		for j, name := range rows[0] {
			if j < 13 {
				continue // not features
			}
			column, known := []float64(nil), true
			for _, row := range rows[1:] {
				v, err := strconv.ParseFloat(row[j], 64)
				known = known && err == nil && !math.IsNaN(v)
				column = append(column, v)
			}
			if known {
				x, names = append(x, column), append(names, name)
			}
		}
		target := make([]float64, len(rows)-1)
		for i, row := range rows[1:] {
			if row[1] == "1" {
				target[i] = 1
			}
		}
		if len(x) != c.Features || len(target) != c.Patients {
			t.Fatalf("%s: %d features of %d patients, R had %d of %d", c.Cohort, len(x), len(target), c.Features, c.Patients)
		}
		got, err := MRMR(x, names, target, len(c.Names), Pearson)
		if err != nil {
			t.Fatal(err)
		}
		for k, choice := range got {
			// The table holds copies of features under other names, up to rounding:
			// either may be chosen, with the same numbers.
			golden.Near(t, fmt.Sprint(c.Cohort, " relevance ", k), choice.Relevance, c.Relevance[k], 1e-8)
			golden.Near(t, fmt.Sprint(c.Cohort, " redundancy ", k), choice.Redundancy, c.Redundancy[k], 1e-8)
			if choice.Name != c.Names[k] {
				t.Logf("%s: choice %d is %s, R's %s", c.Cohort, k, choice.Name, c.Names[k])
			}
		}
	}
}

func made(seed uint64, n, p int) (x [][]float64, y []float64) {
	rng := rand.New(rand.NewPCG(seed, 0))
	x, y = make([][]float64, p), make([]float64, n)
	for j := range x {
		for range n {
			x[j] = append(x[j], rng.NormFloat64())
		}
	}
	for i := range y {
		y[i] = x[0][i] + 0.5*x[1][i] + rng.NormFloat64()
	}
	return x, y
}

func features(t *testing.T, x [][]float64, y []float64, count int, c Correlation) []int {
	t.Helper()
	choices, err := MRMR(x, nil, y, count, c)
	if err != nil {
		t.Fatal(err)
	}
	var f []int
	for _, v := range choices {
		f = append(f, v.Feature)
	}
	return f
}

func TestProperties(t *testing.T) {
	x, y := made(1, 50, 12)
	want := features(t, x, y, 12, Pearson)
	// Units, signs and the order of patients do not matter; fewer are a beginning.
	other, otherY := make([][]float64, len(x)), make([]float64, 0, len(y))
	for i := len(y) - 1; i >= 0; i-- {
		for j := range x {
			other[j] = append(other[j], 1e200*(3-2*x[j][i]))
		}
		otherY = append(otherY, 7-1e-200*y[i]*1e200)
	}
	if got := features(t, other, otherY, 12, Pearson); !slices.Equal(got, want) {
		t.Errorf("in other units %v, want %v", got, want)
	}
	if got := features(t, x, y, 5, Pearson); !slices.Equal(got, want[:5]) {
		t.Errorf("five of them are %v, want %v", got, want[:5])
	}
	// Spearman sees ranks only.
	for j := range x {
		for i := range x[j] {
			other[j][i] = math.Exp(x[j][i])
		}
	}
	if a, b := features(t, x, y, 12, Spearman), features(t, other, y, 12, Spearman); !slices.Equal(a, b) {
		t.Errorf("Spearman of x chooses %v, of exp(x) %v", a, b)
	}
}

func TestCopiesComeLast(t *testing.T) {
	x, y := made(2, 40, 4)
	x = append(x, x[0], slices.Repeat([]float64{2}, 40), slices.Clone(y), slices.Clone(y))
	got := features(t, x, y, 7, Pearson)
	// 6 is the target itself; 7, its copy, and 4, a copy of 0, say nothing new; 5 is constant.
	if got[0] != 6 || got[6] != 7 || got[5] != 4 && got[5] != 0 || slices.Contains(got, 5) {
		t.Errorf("chosen %v", got)
	}
}

func TestErrors(t *testing.T) {
	x, y := made(3, 10, 2)
	constant := slices.Repeat([]float64{0}, 10)
	second := func(_ []Choice, err error) error { return err }
	hole := slices.Clone(x[1])
	hole[4] = math.NaN()
	for name, c := range map[string]struct {
		err      error
		argument string
	}{
		"empty":           {second(MRMR(nil, nil, nil, 1, Pearson)), "y"},
		"ragged":          {second(MRMR([][]float64{x[0][:3]}, nil, y, 1, Pearson)), "x"},
		"missing":         {second(MRMR([][]float64{x[0], hole}, nil, y, 1, Pearson)), "x"},
		"target missing":  {second(MRMR(x, nil, hole, 1, Pearson)), "target"},
		"constant target": {second(MRMR(x, nil, constant, 1, Pearson)), "target"},
		"correlation":     {second(MRMR(x, nil, y, 1, "kendall")), "correlation"},
		"none":            {second(MRMR(x, nil, y, 0, Pearson)), "count"},
		"too many":        {second(MRMR([][]float64{x[0], constant}, nil, y, 2, Pearson)), "count"},
	} {
		var input *tabular.InputError
		if !errors.As(c.err, &input) || input.Argument != c.argument || input.Next == "" {
			t.Errorf("%s: got %v", name, c.err)
		}
	}
}

func ExampleMRMR() {
	x := [][]float64{
		{1, 2, 3, 4, 5, 6, 7, 8}, // diameter
		{1, 2, 3, 5, 5, 6, 7, 9}, // volume: nearly the same again
		{5, 1, 4, 2, 6, 3, 8, 4}, // texture: less to say, but its own
	}
	died := []bool{false, false, false, true, false, true, true, true}
	choices, err := MRMR(x, []string{"diameter", "volume", "texture"}, Labels(died), 2, Pearson)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, c := range choices {
		fmt.Printf("%s: %.2f - %.2f\n", c.Name, c.Relevance, c.Redundancy)
	}
	// Output:
	// volume: 0.52 - 0.00
	// texture: 0.00 - 0.05
}
