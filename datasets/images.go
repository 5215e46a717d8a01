package datasets

import (
	"context"

	"hounsfield/datasets/volume"
)

// Images gives the scans of patients, one at a time, because together they are more than
// memory holds. Methods may be called by several goroutines at once. A scan that cannot be
// read is an error that names the file; it concerns that patient only.
type Images interface {
	// IDs are the patients, in the order that i counts in the other methods.
	IDs() []string
	// Scan is the CT of patient i and the tumour's contour on a grid of the same patient.
	Scan(ctx context.Context, i int) (*volume.Volume, *volume.Mask, error)
	// SecondScan is a repeat of the scan with a contour of its own; all nil where the
	// patient was scanned once.
	SecondScan(ctx context.Context, i int) (*volume.Volume, *volume.Mask, error)
	// Readings are contours of the tumour on the (first) scan by other readers; empty where
	// there are none. Readers of one name are the same person or program for all patients.
	Readings(ctx context.Context, i int) ([]Reading, error)
}

// Reading is one reader's contour.
type Reading struct {
	Reader string
	Mask   *volume.Mask
}

// Contour is the tumour's contour of patient i, without reading the scan where images can
// give it alone (a method of this name and form besides those of Images).
func Contour(ctx context.Context, images Images, i int) (*volume.Mask, error) {
	if alone, ok := images.(interface {
		Contour(ctx context.Context, i int) (*volume.Mask, error)
	}); ok {
		return alone.Contour(ctx, i)
	}
	_, mask, err := images.Scan(ctx, i)
	return mask, err
}
