package experiments

import (
	"context"
	"math"
	"slices"

	"golang.org/x/sync/errgroup"

	"hounsfield/datasets"
	"hounsfield/experiments/scoring"
)

// The engineered features that are predictors by themselves.
const (
	volumeFeature   = "original_shape_Volume"
	diameterFeature = "original_shape_Maximum2DDiameterSlice"
)

// size is how large tumours are, aligned with the patients of a study.
type size struct {
	name   string
	what   string    // in words
	values []float64 // mm3 or mm; NaN where not known
	absent string    // why there are none
}

// lack is a *lackError for a size that no patient has.
func (v size) lack() error {
	if v.values == nil {
		return &lackError{v.absent}
	}
	return nil
}

// predictorMaker makes the rivals of one study.
type predictorMaker struct {
	s                *study
	c                ComparisonConfig
	workers          int
	volume, diameter size
}

// newPredictorMaker measures the tumours: by the engineered features where there are
// some, otherwise by the contours.
func newPredictorMaker(ctx context.Context, s *study, c ComparisonConfig, names []string, workers int) (*predictorMaker, error) {
	m := &predictorMaker{s: s, c: c, workers: workers, volume: size{name: "volume"}, diameter: size{name: "diameter"}}
	switch f, err := s.cohort.Feature(volumeFeature); {
	case err == nil:
		m.volume.what, m.volume.values = "tumour volume", f.Values
	case s.cubes != nil:
		m.volume.what, m.volume.values = "tumour volume, of the contour", scoring.NaN(len(s.cubes))
		for i, cube := range s.cubes {
			if cube != nil && cube.VolumeMM3 > 0 {
				m.volume.values[i] = cube.VolumeMM3
			}
		}
	default:
		m.volume.absent = "the cohort has neither a feature " + volumeFeature + " nor contours"
	}
	switch f, err := s.cohort.Feature(diameterFeature); {
	case err == nil:
		m.diameter.what, m.diameter.values = "largest diameter in a slice", f.Values
	case s.images != nil && !slices.ContainsFunc(names, needsDiameter):
		m.diameter.absent = "it was not asked for"
	case s.images != nil:
		m.diameter.what = "largest diameter in any direction, of the contour"
		if m.diameter.values, err = contourDiameters(ctx, s, workers); err != nil {
			return nil, err
		}
	default:
		m.diameter.absent = "the cohort has neither a feature " + diameterFeature + " nor scans that are kept"
	}
	return m, nil
}

func needsDiameter(name string) bool {
	return name == predictDiameter || name == predictForestSize || name == predictLogisticAll
}

func (m *predictorMaker) everybody() []int {
	all := make([]int, len(m.s.cohort.Patients))
	for i := range all {
		all[i] = i
	}
	return all
}

// contourDiameters are the largest diameters of the tumours in mm, aligned with the
// patients. A contour that cannot be read or is empty is an exclusion and NaN.
func contourDiameters(ctx context.Context, s *study, workers int) ([]float64, error) {
	at := map[string]int{}
	for i, id := range s.images.IDs() {
		at[id] = i
	}
	out, lost := scoring.NaN(len(s.cohort.Patients)), make([]error, len(s.cohort.Patients))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(max(1, workers))
	for k, p := range s.cohort.Patients {
		i, ok := at[p.ID]
		if !ok {
			continue // excluded when there was no scan
		}
		g.Go(func() error {
			mask, err := datasets.Contour(ctx, s.images, i)
			if err == nil {
				out[k], err = mask.MaxDiameterMM()
			}
			if err != nil {
				out[k], lost[k] = math.NaN(), err
			}
			return ctx.Err()
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for k, err := range lost {
		if err != nil {
			p := s.cohort.Patients[k]
			s.exclusions = append(s.exclusions, datasets.Exclusion{Patient: p.ID, Cohort: p.Cohort, Stage: "analysis " + analysisComparison, Reason: "no diameter: " + err.Error()})
		}
	}
	return out, nil
}
