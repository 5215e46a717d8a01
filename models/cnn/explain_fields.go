package cnn

import "fmt"

// Field says where the positions of a layer lie on the cube, along each axis. Position i looks at Width voxels around
// voxel Start + i*Step, and at no others; with an even Width that is between two voxels. The voxels are those of the
// cube before Spec.InputPool.
type Field struct {
	Layer    string // input, conv1, pool1, conv2, ...
	Channels int
	Edge     int     // positions along each axis
	Start    float64 // centre of position 0, voxels from the cube's first
	Step     float64 // from one position to the next, voxels
	Width    int     // of the receptive field, voxels
}

// Last is the last voxel that any position looks at; voxels beyond it are seen by none. The
// first that one looks at is the cube's first.
func (f Field) Last() int {
	return int(f.Start + float64(f.Edge-1)*f.Step + float64(f.Width-1)/2)
}

// Fields are those of the averaged input, the convolutions and the pools, in order. Convolutions are valid, so their
// first position lies half a kernel further in; a pool's voxels at the end that fill no box are seen by none. Errors:
// *SpecError.
func (s Spec) Fields() ([]Field, error) {
	shapes, err := s.Shapes()
	if err != nil {
		return nil, err
	}
	last := Field{Start: float64(s.InputPool-1) / 2, Step: float64(s.InputPool), Width: s.InputPool}
	var fields []Field
	for i := range len(s.Stages) + 1 {
		if i > 0 {
			size, stride := 0, 1
			if c := s.Stages[i-1].Conv; c != nil {
				size = c.Kernel
			} else {
				size = s.Stages[i-1].Pool.Size
				stride = size
			}
			last.Start += float64(size-1) / 2 * last.Step
			last.Width += (size - 1) * int(last.Step)
			last.Step *= float64(stride)
		}
		last.Layer, last.Channels, last.Edge = shapes[i].Layer, shapes[i].Channels, shapes[i].Edge
		fields = append(fields, last)
	}
	return fields, nil
}

// Convolutions are the fields of the convolutions, in order. Errors: *SpecError.
func (s Spec) Convolutions() ([]Field, error) {
	all, err := s.Fields()
	if err != nil {
		return nil, err
	}
	var fields []Field
	for i, f := range all {
		if i > 0 && s.Stages[i-1].Conv != nil {
			fields = append(fields, f)
		}
	}
	return fields, nil
}

// convolution is the field of one. Errors: *SpecError, *DataError.
func (s Spec) convolution(layer string) (Field, error) {
	fields, err := s.Convolutions()
	if err != nil {
		return Field{}, err
	}
	var names []string
	for _, f := range fields {
		if f.Layer == layer {
			return f, nil
		}
		names = append(names, f.Layer)
	}
	return Field{}, &DataError{What: "the layer " + layer, Problem: "is no convolution of this network",
		Next: fmt.Sprintf("name one of %v", names)}
}
