// Package radiomics computes engineered features of a tumour on CT as the Image Biomarker
// Standardisation Initiative defines them (Zwanenburg et al. 2020, doi:10.1148/radiol.2020191145;
// reference manual arXiv:1612.07003): shape, intensity and the texture families GLCM, GLRLM,
// GLSZM, GLDZM, NGTDM and NGLDM (which pyradiomics calls GLDM), on the scan and on its
// Laplacian of Gaussian.
//
// Texture is taken in 3D at distance 1 (26 neighbours, 13 directions).
package radiomics

import (
	"context"
	"fmt"
	"math"

	"hounsfield/datasets/volume"
)

// Feature is one number that describes a tumour.
type Feature struct {
	Image  string // original, or log-sigma-2-mm-3D
	Family string // shape, firstorder, glcm, glrlm, glszm, gldzm, ngtdm, gldm
	Name   string // as pyradiomics has it where it has the feature, such as JointEntropy
	IBSI   string // code of the definition, such as TU9B; empty where IBSI defines none
	Unit   string // mm, mm2, mm3, HU, ...; empty for a plain number
	Value  float64
}

// Column is the feature's name as a column: image_family_Name.
func (f Feature) Column() string { return f.Image + "_" + f.Family + "_" + f.Name }

// Settings say how a scan becomes features.
type Settings struct {
	SpacingMM float64 // isotropic grid that the scan is resampled to; 0 leaves it as it is
	// BSpline resamples with a cubic B-spline, as pyradiomics does, in place of linear
	// interpolation. Masks always take the nearest voxel.
	BSpline bool
	// BinWidth is the fixed bin size in HU. Levels begin at the region's smallest value, or, with
	// AlignBins, at the multiple of BinWidth below it, as pyradiomics has them.
	BinWidth  float64
	AlignBins bool
	// Merge adds up the matrices of all directions before the features are computed (GLCM,
	// GLRLM); else the features of each direction are averaged.
	Merge bool
	LoGMM []float64 // standard deviations of the Laplacians of Gaussian, mm
}

// String is the settings in words, as a feature's source.
func (s Settings) String() string {
	grid, bins, matrices := "on the scan's own grid", "from the smallest value", "features averaged over directions"
	if s.SpacingMM > 0 {
		by := "linear interpolation"
		if s.BSpline {
			by = "cubic B-spline"
		}
		grid = fmt.Sprintf("on a grid of %g mm by %s", s.SpacingMM, by)
	}
	if s.AlignBins {
		bins = "from multiples of it"
	}
	if s.Merge {
		matrices = "matrices of directions added up"
	}
	return fmt.Sprintf("%s, bins of %g HU %s, %s", grid, s.BinWidth, bins, matrices)
}

// Published are the settings of the study's published tables, computed there with
// pyradiomics 1.1.1-beta1: 3 mm by cubic B-spline, bins of 25 HU, Laplacians of 1 to 5 mm.
func Published() Settings {
	return Settings{SpacingMM: 3, BSpline: true, BinWidth: 25, AlignBins: true, LoGMM: []float64{1, 2, 3, 4, 5}}
}

// SettingError is a setting that cannot be used.
type SettingError struct {
	Field   string
	Value   any
	Allowed string
}

func (e *SettingError) Error() string {
	return fmt.Sprintf("radiomics: %s is %v: it must be %s", e.Field, e.Value, e.Allowed)
}

// RegionError is a tumour that has no features: what is wrong with it.
type RegionError struct {
	Problem string
	Next    string
}

func (e *RegionError) Error() string { return "radiomics: " + e.Problem + "; " + e.Next }

// maxLevels keeps a mistaken bin width from asking for more memory than there is: the
// co-occurrence matrix has its square.
const maxLevels = 2000

// Check holds settings against what they can be. Error: *SettingError.
func (s Settings) Check() error {
	switch {
	case s.SpacingMM < 0 || s.SpacingMM > 20 || math.IsNaN(s.SpacingMM):
		return &SettingError{Field: "SpacingMM", Value: s.SpacingMM, Allowed: "0 (as it is) or up to 20 mm"}
	case !(s.BinWidth > 0) || math.IsInf(s.BinWidth, 0):
		return &SettingError{Field: "BinWidth", Value: s.BinWidth, Allowed: "a positive number of HU"}
	}
	for _, sigma := range s.LoGMM {
		if !(sigma > 0) || sigma > 50 {
			return &SettingError{Field: "LoGMM", Value: sigma, Allowed: "between 0 and 50 mm"}
		}
	}
	return nil
}

// Extract computes all features of the tumour that mask (on the CT's own grid) shows.
// Errors: *SettingError, *RegionError.
func Extract(ctx context.Context, ct *volume.Volume, mask *volume.Mask, s Settings) ([]Feature, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	if ct.Grid != mask.Grid {
		return nil, &RegionError{Problem: "the contour lies on another grid than the scan", Next: "resample it with volume.ResampleMask"}
	}
	if mask.Count() == 0 {
		return nil, &RegionError{Problem: "no voxel is inside the contour", Next: "look at the contour"}
	}
	w := newWindow(ct, mask, s)
	r := w.region(w.values)
	if len(r.voxels) == 0 {
		return nil, &RegionError{Problem: fmt.Sprintf("no voxel is left of the contour's %d on a grid of %g mm", mask.Count(), s.SpacingMM), Next: "choose a finer grid"}
	}
	out := shapeFeatures(r)
	for i, image := range append([]float64{0}, s.LoGMM...) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		name := "original"
		if i > 0 {
			name = fmt.Sprintf("log-sigma-%g-mm-3D", image)
			r = w.region(w.laplacian(image))
		}
		of, err := imageFeatures(r, name, s)
		if err != nil {
			return nil, err
		}
		out = append(out, of...)
	}
	return out, nil
}

// imageFeatures are those of the values inside a region.
func imageFeatures(r *region, image string, s Settings) ([]Feature, error) {
	l, err := r.discretise(s.BinWidth, s.AlignBins)
	if err != nil {
		return nil, err
	}
	var out []Feature
	for _, family := range [][]Feature{
		intensityFeatures(r, l), cooccurrenceFeatures(l, s.Merge), runFeatures(l, s.Merge), zoneFeatures(l), toneFeatures(l), dependenceFeatures(l),
	} {
		for _, f := range family {
			f.Image = image
			out = append(out, f)
		}
	}
	return out, nil
}
