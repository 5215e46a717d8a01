package nifti

import (
	"hounsfield/datasets/volume"
	"hounsfield/datasets/volume/raw"
)

// slicesAtATime is what one goroutine resamples and packs in a row.
const slicesAtATime = 8

// WriteResampled writes a CT on another grid: the voxels of Write(path, volume.Resample(v,
// to)), for .nii.gz names, without having them in memory, and packed faster. It says what the
// file is. Errors: as Write.
func WriteResampled(path string, v *volume.Volume, to volume.Grid, options ...Option) (raw.Written, error) {
	whole := true
	for _, o := range options {
		whole = whole && o != Float32
	}
	datatype := int16(4)
	if !whole {
		datatype = 16
	}
	plane := to.Size[0] * to.Size[1]
	return writeSlices(path, to, datatype, func() func([]byte, int) ([]byte, error) {
		s := volume.NewSlicer(v, to)
		hu := make([]float32, plane)
		return func(b []byte, z int) ([]byte, error) {
			s.Slice(z, hu)
			if whole {
				return raw.AppendInt16(b, hu, z*plane)
			}
			return raw.AppendFloat32(b, hu, z*plane)
		}
	})
}

// WriteMaskResampled is WriteResampled for a mask.
func WriteMaskResampled(path string, m *volume.Mask, to volume.Grid) (raw.Written, error) {
	s := volume.NewMaskSlicer(m, to)
	plane := to.Size[0] * to.Size[1]
	return writeSlices(path, to, 2, func() func([]byte, int) ([]byte, error) {
		return func(b []byte, z int) ([]byte, error) {
			n := len(b)
			b = append(b, make([]byte, plane)...)
			s.Slice(z, b[n:])
			return b, nil
		}
	})
}

// writeSlices writes a packed file slice by slice; worker is called for each goroutine.
func writeSlices(path string, g volume.Grid, datatype int16, worker func() func([]byte, int) ([]byte, error)) (raw.Written, error) {
	if zipped, err := checkTarget(path, g); err != nil {
		return raw.Written{}, err
	} else if !zipped {
		return raw.Written{}, wrongAt(path, wrong("name", path, "a name that ends in .nii.gz"))
	}
	head := newHeader(g, datatype).bytes()
	parts := (g.Size[2] + slicesAtATime - 1) / slicesAtATime
	w, err := raw.CreatePacked(path, parts, func() func([]byte, int) ([]byte, error) {
		slice := worker()
		return func(b []byte, i int) (_ []byte, err error) {
			if i == 0 {
				b = append(b, head...)
			}
			for z := i * slicesAtATime; z < min((i+1)*slicesAtATime, g.Size[2]); z++ {
				if b, err = slice(b, z); err != nil {
					return nil, err
				}
			}
			return b, nil
		}
	})
	return w, writeError(path, err)
}
