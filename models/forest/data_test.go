package forest

import (
	"encoding/csv"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// published reads the features of one released table of Hosny et al. 2018, as
// x[feature][patient] with NaN for missing ones, and who had died at two years.
func published(t testing.TB, cohort string) (x [][]float64, names []string, died []bool) {
	t.Helper()
	mirror := os.Getenv("HOUNSFIELD_MIRROR")
	if mirror == "" {
		t.Skip("HOUNSFIELD_MIRROR is not set: no folder with the published tables")
	}
	file, err := os.Open(filepath.Join(mirror, "hosny2018", cohort+".csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	const first = 13 // id, label, two scores and nine columns about the extraction
	names = rows[0][first:]
	x = make([][]float64, len(names))
	for _, row := range rows[1:] {
		died = append(died, row[1] == "0")
		for j, text := range row[first:] {
			v := math.NaN()
			if text != "N/A" && text != "" { // "nan" occurs too and parses
				if v, err = strconv.ParseFloat(text, 64); err != nil {
					t.Fatal(err)
				}
			}
			x[j] = append(x[j], v)
		}
	}
	return x, names, died
}

// made draws a table in which the first two features matter.
func made(seed uint64, patients, features int) (x [][]float64, y []bool) {
	rng := rand.New(rand.NewPCG(seed, 0))
	x = make([][]float64, features)
	for j := range x {
		x[j] = make([]float64, patients)
		for i := range x[j] {
			x[j][i] = rng.NormFloat64()
		}
	}
	y = make([]bool, patients)
	for i := range y {
		y[i] = 1.2*x[0][i]-0.8*x[min(1, features-1)][i]+rng.NormFloat64() > 0
	}
	return x, y
}

// madeTimes draws survival times that depend on the first feature, rounded so that
// some are tied.
func madeTimes(seed uint64, x [][]float64, step float64) (time []float64, event []bool) {
	rng := rand.New(rand.NewPCG(seed, 1))
	for _, v := range x[0] {
		if math.IsNaN(v) {
			v = 0
		}
		death, leave := rng.ExpFloat64()*300*math.Exp(-v), 100+1400*rng.Float64()
		time = append(time, math.Ceil(min(death, leave)/step)*step)
		event = append(event, death <= leave)
	}
	return time, event
}
