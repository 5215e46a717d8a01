package nrrd

import (
	"bufio"
	"errors"
	"io"
	"path/filepath"

	"hounsfield/datasets/volume"
	"hounsfield/datasets/volume/raw"
)

// ReadGrid reads where the voxels of a file lie, and none of them. Errors as in Read.
func ReadGrid(path string) (volume.Grid, error) {
	var grid volume.Grid
	err := open(path, func(h *header, _ io.Reader) error {
		grid = h.grid
		return nil
	})
	return grid, err
}

// DataFile is the file of the voxels, where the header names one; otherwise it is empty, as
// for a header that cannot be read.
func DataFile(path string) string {
	file, _, err := raw.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	h, err := readHeader(&lineReader{r: bufio.NewReader(file)})
	if err != nil || h.dataFile == "" || !filepath.IsLocal(h.dataFile) {
		return ""
	}
	return filepath.Join(filepath.Dir(path), h.dataFile)
}

// ReadLabels reads a mask of one or more labels, whole numbers above 0. Inside is where the
// label is among the wanted ones, or is any when none are named. seen are all labels of the
// file, rising. Errors as in Read; voxels that are no labels are one too.
func ReadLabels(path string, wanted ...int) (m *volume.Mask, seen []int, err error) {
	m = &volume.Mask{}
	var none *raw.NoMaskError
	err = open(path, func(h *header, data io.Reader) (err error) {
		m.Grid = h.grid
		if m.In, seen, err = h.layout.ReadLabels(data, h.grid.Len(), wanted); errors.As(err, &none) {
			return nil
		}
		return err
	})
	if none != nil {
		err = &volume.FileError{Path: path, Field: "mask", Value: "no mask", Allowed: "whole numbers, 0 and at most 255 labels above it", Err: none}
	}
	if err != nil {
		return nil, nil, err
	}
	return m, seen, nil
}
