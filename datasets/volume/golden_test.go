package volume

import (
	"encoding/json"
	"math"
	"os"
	"testing"
)

// What SimpleITK makes of the same scan and mask; testdata/make.py says how.
func TestResampleAsSimpleITK(t *testing.T) {
	text, err := os.ReadFile("testdata/resample.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Source string
		Cases  []struct {
			Scan, To Grid
			HU       []float64
			Mask     string
		}
	}
	if err := json.Unmarshal(text, &golden); err != nil {
		t.Fatal(err)
	}
	if golden.Source == "" || len(golden.Cases) == 0 {
		t.Fatal("resample.json must say where its numbers come from")
	}
	for n, c := range golden.Cases {
		v, m := NewVolume(c.Scan), NewMask(c.Scan)
		for z := range c.Scan.Size[2] {
			for y := range c.Scan.Size[1] {
				for x := range c.Scan.Size[0] {
					hu := (7919*x+104729*y+1299709*z)%4096 - 1024
					i := c.Scan.Offset(x, y, z)
					v.HU[i] = float32(hu)
					if hu%2 == 0 {
						m.In[i] = 1
					}
				}
			}
		}
		if n < 2 && c.Scan.Isotropic(1).Size != c.To.Size {
			t.Errorf("case %d: isotropic grid of %v, want %v", n, c.Scan.Isotropic(1).Size, c.To.Size)
		}
		hu, in := Resample(v, c.To), ResampleMask(m, c.To)
		if len(hu.HU) != len(c.HU) || len(in.In) != len(c.Mask) {
			t.Fatalf("case %d: %d voxels, want %d", n, len(hu.HU), len(c.HU))
		}
		wrong := 0
		for i, want := range c.HU {
			if math.Abs(float64(hu.HU[i])-want) > 0.002 || in.In[i] != c.Mask[i]-'0' {
				wrong++
			}
		}
		if wrong > 0 {
			t.Errorf("case %d: %d of %d voxels differ from SimpleITK's", n, wrong, len(c.HU))
		}
	}
}
