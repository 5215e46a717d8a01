package analysis

import (
	"bytes"
	"cmp"
	"context"
	"image"
	"image/draw"
	"image/png"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/renameio/v2"

	"hounsfield/datasets/volume"
)

// tissuePicture shows the arms of one patient.
type tissuePicture struct {
	patient string
	png     []byte
	file    string // below the run folder
}

// montage draws the cube of patient i as every arm has it, and writes the picture.
func (t *tissueAblation) montage(ctx context.Context, i int) (tissuePicture, error) {
	p := tissuePicture{patient: t.Cohort.Patients[i].ID, file: tissueName + "/example.png"}
	ct, mask, err := t.Images.Scan(ctx, slices.Index(t.Images.IDs(), p.patient))
	if err != nil {
		return p, err
	}
	c := t.cubes[i]
	at := c.Grid(ct.Grid, t.mm)
	middle := float64(c.Edge / 2)
	columns := []volume.PlanesColumn{{Title: tissueWholeWords, CT: &volume.Volume{Grid: at, HU: c.HU}}}
	for _, arm := range t.set.Arms {
		columns = append(columns, volume.PlanesColumn{Title: arm.words(), CT: &volume.Volume{Grid: at, HU: t.ablate(i, arm).HU}})
	}
	const perRow, pixels = 5, 200
	var parts []image.Image
	for some := range slices.Chunk(columns, perRow) {
		parts = append(parts, volume.PlanesPicture(some, volume.ResampleMask(mask, at), at.Position([3]float64{middle, middle, middle}), float64(t.size-1)*t.mm, pixels))
	}
	var b bytes.Buffer
	if err := png.Encode(&b, stacked(parts)); err != nil {
		return p, err
	}
	p.png = b.Bytes()
	if err := os.MkdirAll(filepath.Join(t.Dir, tissueName), 0o755); err != nil {
		return p, err
	}
	return p, renameio.WriteFile(filepath.Join(t.Dir, filepath.FromSlash(p.file)), p.png, 0o644)
}

// stacked puts pictures below each other.
func stacked(parts []image.Image) image.Image {
	wide, tall := 0, 0
	for _, p := range parts {
		wide, tall = max(wide, p.Bounds().Dx()), tall+p.Bounds().Dy()
	}
	out := image.NewRGBA(image.Rect(0, 0, wide, tall))
	draw.Draw(out, out.Bounds(), image.NewUniform(parts[0].At(parts[0].Bounds().Min.X, parts[0].Bounds().Min.Y)), image.Point{}, draw.Src)
	y := 0
	for _, p := range parts {
		draw.Draw(out, image.Rect(0, y, p.Bounds().Dx(), y+p.Bounds().Dy()), p, p.Bounds().Min, draw.Src)
		y += p.Bounds().Dy()
	}
	return out
}

// byWidth orders arms by the width of their shell.
func byWidth(arms []tissueJudged) []tissueJudged {
	arms = slices.Clone(arms)
	slices.SortStableFunc(arms, func(a, b tissueJudged) int { return cmp.Compare(a.arm.ShellMM, b.arm.ShellMM) })
	return arms
}
