package dicom

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/suyashkumar/dicom/pkg/tag"

	"hounsfield/datasets/volume"
)

// segBit is the formula of testdata/make.py: the bit of a frame of seg.dcm.
func segBit(frame, x, y int) bool { return (x+2*y+3*frame)%7 < 3 && x > 2 }

// segPlanes are the frames of each segment of seg.dcm and their heights.
var segPlanes = map[int]map[float64]int{1: {-25: 0, -22.5: 1, -17.5: 2}, 2: {-25: 3, -22.5: 4}}

// madeScan is the grid of the CT that seg.dcm was drawn on.
var madeScan = volume.Grid{
	Size: [3]int{24, 16, 9}, Origin: [3]float64{-10.5, 20, -30}, Spacing: [3]float64{0.9, 0.8, 2.5}, Direction: volume.Identity,
}

func TestSegmentationOfOtherTools(t *testing.T) {
	own := madeScan
	own.Origin[2], own.Size[2] = -25, 4
	shifted := madeScan
	shifted.Origin[0] += 4 * 0.9
	shifted.Origin[1] -= 2 * 0.8
	for _, name := range []string{"seg.dcm", "seg_bigendian.dcm"} {
		s, err := ReadSegmentation(filepath.Join("testdata", name))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		wantRefs := References{Series: []string{"2.25.11"}, Frames: []string{"2.25.12"}}
		if diff := cmp.Diff(wantRefs, s.References); diff != "" || s.PatientID != "MADE-1" {
			t.Errorf("%s: patient %q, references (-want +got):\n%s", name, s.PatientID, diff)
		}
		want := []Segment{{1, "Lesion", "GTV-1"}, {2, "Other", "Spinal-Cord"}}
		if diff := cmp.Diff(want, s.Segments); diff != "" {
			t.Errorf("%s: segments (-want +got):\n%s", name, diff)
		}
		for _, on := range []*volume.Grid{nil, &madeScan, &shifted} {
			grid := own
			if on != nil {
				grid = *on
			}
			for number, planes := range segPlanes {
				m, err := s.Mask(number, on)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(grid, m.Grid); diff != "" {
					t.Fatalf("%s: grid (-want +got):\n%s", name, diff)
				}
				for z := range grid.Size[2] {
					for y := range grid.Size[1] {
						for x := range grid.Size[0] {
							// Where this voxel is in the file's frames.
							at := own.Index(grid.Position([3]float64{float64(x), float64(y), float64(z)}))
							fx, fy := int(math.Round(at[0])), int(math.Round(at[1]))
							frame, drawn := planes[grid.Origin[2]+2.5*float64(z)]
							inside := drawn && fx >= 0 && fx < 24 && fy >= 0 && fy < 16 && segBit(frame, fx, fy)
							if got := m.In[grid.Offset(x, y, z)] == 1; got != inside {
								t.Fatalf("%s, segment %d, voxel (%d,%d,%d) of %v: %v, want %v", name, number, x, y, z, grid.Origin, got, inside)
							}
						}
					}
				}
			}
		}
	}
}

// On a grid that shares no planes with the file the nearest voxel is taken.
func TestSegmentationOnAnotherGrid(t *testing.T) {
	s, err := ReadSegmentation("testdata/seg.dcm")
	if err != nil {
		t.Fatal(err)
	}
	other := volume.Grid{Size: [3]int{30, 20, 20}, Origin: [3]float64{-12, 19, -29.9}, Spacing: [3]float64{0.77, 0.71, 0.9}, Direction: volume.Identity}
	got, err := s.Mask(1, &other)
	if err != nil {
		t.Fatal(err)
	}
	own, err := s.Mask(1, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := volume.ResampleMask(own, other); !slices.Equal(got.In, want.In) || got.Grid != other || got.Count() < 100 {
		t.Errorf("%d voxels on the other grid, want %d", got.Count(), want.Count())
	}
}

func TestSegmentationChoose(t *testing.T) {
	s, err := ReadSegmentation("testdata/seg.dcm")
	if err != nil {
		t.Fatal(err)
	}
	for rule, want := range map[string]int{"lesion": 1, "gtv-1": 1, "SPINAL-CORD": 2, "Other": 2} {
		g, choice, err := s.Choose(ROIRule{Exact: []string{rule}})
		if err != nil || g.Number != want || choice.Rule != rule {
			t.Errorf("%s: segment %d, choice %+v, error %v, want %d", rule, g.Number, choice, err, want)
		}
	}
	_, _, err = s.Choose(ROIRule{Exact: []string{"GTV-2"}})
	var roi *ROIError
	if !errors.As(err, &roi) || roi.Patient != "MADE-1" || !strings.Contains(err.Error(), "seg.dcm") || !strings.Contains(err.Error(), "Lesion") {
		t.Errorf("error %v, want a *ROIError", err)
	}
	// Two labels that match are not told apart by a description.
	s.Segments = []Segment{{1, "GTV-1", "first"}, {2, "gtv-1", "GTV-1"}}
	if g, _, err := s.Choose(ROIRule{Exact: []string{"GTV-1"}}); !errors.As(err, &roi) || len(roi.Matched) != 2 {
		t.Errorf("two labels that match: segment %d, error %v, want a *ROIError that names both", g.Number, err)
	}
}

func TestBrokenSegmentations(t *testing.T) {
	copied := func() string {
		raw, err := os.ReadFile("testdata/seg.dcm")
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "seg.dcm")
		if err := os.WriteFile(file, raw, 0o644); err != nil {
			t.Fatal(err)
		}
		return file
	}
	for name, c := range map[string]struct {
		tag   tag.Tag
		value any
		text  string
	}{
		"fractional":          {tag.SegmentationType, []string{"FRACTIONAL"}, "BINARY"},
		"not a segmentation":  {tag.SOPClassUID, []string{classCT}, "segmentation"},
		"another frame count": {tag.NumberOfFrames, []string{"6"}, "5, the number of per-frame groups"},
		"no number":           {tag.SegmentNumber, nil, "SegmentNumber] is missing"},
		"no frame's segment":  {tag.ReferencedSegmentNumber, nil, "frame 0"},
		"no position":         {tag.ImagePositionPatient, nil, "frame 0"},
		"off the stack":       {tag.ImagePositionPatient, []string{"-10.5", "20", "-24"}, "a plane of the stack"},
		"a huge stack":        {tag.ImagePositionPatient, []string{"-10.5", "20", "-99999999"}, "planes from"},
		"no orientation":      {tag.ImageOrientationPatient, nil, "ImageOrientationPatient] is missing"},
		"eight bits":          {tag.BitsAllocated, []int{8}, "BitsAllocated"},
		"other pixels":        {tag.Rows, []int{15}, "bytes for 5 frames"},
		"no pixels":           {tag.PixelData, nil, "there is none"},
	} {
		t.Run(name, func(t *testing.T) {
			file := copied()
			put(t, file, c.tag, c.value)
			_, err := ReadSegmentation(file)
			if err == nil || !strings.Contains(err.Error(), c.text) || !strings.Contains(err.Error(), "MADE-1") || FileOf(err) != file {
				t.Errorf("error %v of file %q, want one that says %q", err, FileOf(err), c.text)
			}
		})
	}
	file := copied()
	truncate(t, file, 1500)
	var cut *TruncatedError
	if _, err := ReadSegmentation(file); !errors.As(err, &cut) {
		t.Errorf("error %v, want a *TruncatedError", err)
	}
	s, err := ReadSegmentation("testdata/seg.dcm")
	if err != nil {
		t.Fatal(err)
	}
	var empty *EmptyROIError
	if _, err := s.Mask(3, nil); !errors.As(err, &empty) {
		t.Errorf("error %v of a segment without frames, want an *EmptyROIError", err)
	}
	far := madeScan
	far.Origin[2] += 500
	if _, err := s.Mask(1, &far); !errors.As(err, &empty) || !strings.Contains(err.Error(), "inside the scan") {
		t.Errorf("error %v of a segment outside the scan, want an *EmptyROIError", err)
	}
}
