package radiomics

import (
	"bufio"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"

	"hounsfield/datasets/volume"
)

// digitalPhantom is IBSI's: 5 x 4 x 4 voxels of 2 mm; 0 is outside the region.
func digitalPhantom() (*volume.Volume, *volume.Mask) {
	levels := [4][4][5]int{
		{{1, 4, 4, 1, 1}, {1, 4, 6, 1, 1}, {4, 1, 6, 4, 1}, {4, 4, 6, 4, 1}},
		{{1, 4, 4, 1, 1}, {1, 1, 6, 1, 1}, {0, 1, 3, 1, 1}, {4, 4, 6, 1, 1}},
		{{1, 4, 4, 0, 0}, {1, 1, 1, 1, 1}, {1, 1, 0, 1, 1}, {1, 1, 6, 1, 1}},
		{{1, 4, 4, 0, 0}, {1, 1, 1, 1, 1}, {1, 1, 1, 1, 1}, {1, 1, 6, 1, 1}},
	}
	g := volume.Grid{Size: [3]int{5, 4, 4}, Spacing: [3]float64{2, 2, 2}, Direction: volume.Identity}
	ct, mask := volume.NewVolume(g), volume.NewMask(g)
	for z, plane := range levels {
		for y, row := range plane {
			for x, v := range row {
				ct.HU[g.Offset(x, y, z)] = float32(v)
				if v > 0 {
					mask.In[g.Offset(x, y, z)] = 1
				}
			}
		}
	}
	return ct, mask
}

type reference struct{ family, code, directions, value string }

func consensus(t *testing.T) (out []reference) {
	t.Helper()
	f, err := os.Open("testdata/ibsi_digital_phantom.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if c := strings.Split(s.Text(), ","); !strings.HasPrefix(s.Text(), "#") {
			out = append(out, reference{c[0], c[1], c[2], c[3]})
		}
	}
	return out
}

// unit is half of the last digit that is printed, of three.
func unit(t *testing.T, printed string) (value, half float64) {
	t.Helper()
	v, err := strconv.ParseFloat(printed, 64)
	if err != nil {
		t.Fatal(err)
	}
	if v == 0 {
		return 0, 0.0005
	}
	return v, 0.5000001 * math.Pow(10, math.Floor(math.Log10(math.Abs(v)))-2)
}

func TestDigitalPhantom(t *testing.T) {
	ct, mask := digitalPhantom()
	refs := consensus(t)
	if len(refs) != 40+2*25+2*16+16+16+5+17 {
		t.Fatalf("%d consensus values", len(refs))
	}
	for _, merge := range []bool{false, true} {
		got := map[[2]string]float64{}
		features, err := Extract(t.Context(), ct, mask, Settings{BinWidth: 1, Merge: merge})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range features {
			if f.IBSI != "" {
				got[[2]string{f.Family, f.IBSI}] = f.Value
			}
		}
		for _, r := range refs {
			if r.directions == "average" && merge || r.directions == "merged" && !merge {
				continue
			}
			want, half := unit(t, r.value)
			v, ok := got[[2]string{r.family, r.code}]
			if !ok || math.Abs(v-want) > half {
				t.Errorf("%s %s %s: %.6g, the consensus is %s", r.family, r.code, r.directions, v, r.value)
			}
			delete(got, [2]string{r.family, r.code})
		}
		for k := range got {
			t.Errorf("%v has no consensus value to be held against", k)
		}
	}
}
