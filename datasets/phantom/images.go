package phantom

import (
	"context"
	"fmt"

	"hounsfield/datasets"
	"hounsfield/datasets/volume"
)

// Images are the scans of the cohort, made when asked for: its patients in the order of
// subjects. Readers are named reader 1, reader 2 and so on.
func (p *Phantom) Images() datasets.Images { return images{p} }

type images struct{ p *Phantom }

func (m images) IDs() []string {
	ids := make([]string, m.p.Len())
	for i := range ids {
		ids[i] = m.p.Subject(i).Patient.ID
	}
	return ids
}

func (m images) Scan(ctx context.Context, i int) (*volume.Volume, *volume.Mask, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	ct, mask := m.p.Scan(i)
	return ct, mask, nil
}

// Contour is for datasets.Contour.
func (m images) Contour(ctx context.Context, i int) (*volume.Mask, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return m.p.Contour(i), nil
}

func (m images) SecondScan(ctx context.Context, i int) (*volume.Volume, *volume.Mask, error) {
	if err := ctx.Err(); err != nil || !m.p.HasSecondScan(i) {
		return nil, nil, err
	}
	ct, mask := m.p.SecondScan(i)
	return ct, mask, nil
}

func (m images) Readings(ctx context.Context, i int) ([]datasets.Reading, error) {
	var all []datasets.Reading
	for r := range m.p.spec.Readers {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		all = append(all, datasets.Reading{Reader: fmt.Sprintf("reader %d", r+1), Mask: m.p.ReaderMask(i, r)})
	}
	return all, nil
}
