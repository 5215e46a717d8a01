package nb

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"image/png"
	"math"
	"strings"
	"testing"

	"hounsfield/datasets/volume"
)

// corner is a scan of air, 60 mm along each edge around the origin, with water at the
// patient's left, front and head: where it is seen says whether a plane is turned right. Its
// voxels are stored towards the right and the feet.
func corner() Scan {
	g := volume.Grid{Size: [3]int{30, 30, 30}, Spacing: [3]float64{2, 2, 2}, Origin: [3]float64{29, -29, 29}, Direction: [9]float64{-1, 0, 0, 0, 1, 0, 0, 0, -1}}
	ct, mask, seen := volume.NewVolume(g), volume.NewMask(g), volume.NewVolume(g)
	for z := range 30 {
		for y := range 30 {
			for x := range 30 {
				p, i := g.Position([3]float64{float64(x), float64(y), float64(z)}), g.Offset(x, y, z)
				ct.HU[i] = -1000
				if p[0] > 10 && p[1] < -10 && p[2] > 10 {
					ct.HU[i], mask.In[i] = 0, 1
				}
				if p[0] > 0 {
					seen.HU[i] = 0.5
				}
			}
		}
	}
	return Scan{Title: "A corner", CT: ct, Contours: []Contour{{"tumour", mask}}, Overlays: []Overlay{{Name: "seen", Values: seen}},
		Centre: &[3]float64{0, 0, 0}, EdgeMM: 60}
}

func TestSlicesInWords(t *testing.T) {
	shown, err := shownBy(t, func() { Slices(corner()) })
	if err != nil {
		t.Fatal(err)
	}
	want := "A corner\nCT, 60 mm along each edge in steps of 1 mm around x, y, z 0.0, 0.0, 0.0 mm\ncontour tumour: 8.00 ml\n" +
		"overlay seen: 0 to 0.500, strongest at x, y, z 1.0, -30.0, -30.0 mm"
	if shown[0].plain != want {
		t.Errorf("got %q, want %q", shown[0].plain, want)
	}
	for _, word := range []string{"http:", "https:", "import(", "fetch("} {
		if strings.Contains(shown[0].html, word) {
			t.Errorf("the page may ask for something outside: it has %q", word)
		}
	}
}

// TestSlicesAnswerInABrowser moves every control in headless Chromium and looks at the
// pictures: which quarter of a plane is the brightest, and how grey or red it is.
func TestSlicesAnswerInABrowser(t *testing.T) {
	shown, err := shownBy(t, func() { Slices(corner()) })
	if err != nil {
		t.Fatal(err)
	}
	const driver = `
while (!document.querySelector(".hnb[data-shown]")) await new Promise((go) => setTimeout(go, 50));
const said = [], planes = [...document.querySelectorAll(".hnb-planes section")];
const mean = (k, left, top, part, channel) => {
  const c = planes[k].querySelector("canvas"), w = c.width * part, d = c.getContext("2d").getImageData(left * w, top * w, w, w).data;
  let sum = 0;
  for (let i = channel; i < d.length; i += 4) sum += d[i];
  return sum / (d.length / 4);
};
const quarter = (k) => [[0, 0, "left top"], [1, 0, "right top"], [0, 1, "left bottom"], [1, 1, "right bottom"]].sort((a, b) => mean(k, b[0], b[1], 0.5, 1) - mean(k, a[0], a[1], 0.5, 1))[0][2];
const set = (input, value, event) => { input.value = value; input.dispatchEvent(new Event(event)); };
const status = () => document.querySelector("[role=status]").textContent;
said.push(status());
const opacity = document.querySelector(".hnb-controls input[type=range]"), red = mean(0, 0, 0, 1, 0), blue = mean(0, 0, 0, 1, 2);
set(opacity, 0, "input");
said.push("overlay: " + (red > blue + 5) + ", then grey: " + (Math.abs(mean(0, 0, 0, 1, 0) - mean(0, 0, 0, 1, 2)) < 2));
for (const [k, value] of [[0, 50], [1, 10], [2, 50]]) set(planes[k].querySelector("input"), value, "input");
said.push(status(), planes.map((_, k) => quarter(k)).join(", "), planes[0].querySelector("input").getAttribute("aria-valuetext"));
const before = planes[0].querySelector("canvas").toDataURL();
document.querySelector("input[type=checkbox]").click();
said.push("contour goes: " + (before !== planes[0].querySelector("canvas").toDataURL()));
const lung = mean(0, 0, 0, 1, 1);
set(document.querySelector("select"), 1, "change");
said.push("window: " + (mean(0, 0, 0, 1, 1) < lung - 5) + ", level " + document.querySelectorAll("input[type=number]")[0].value);
const width = document.querySelectorAll("input[type=number]")[1];
set(width, 4000, "input");
said.push("own window: " + document.querySelector("select").value);
const canvas = planes[1].querySelector("canvas");
for (const key of ["ArrowLeft", "ArrowUp", "PageDown"]) canvas.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
said.push(status());
const r = canvas.getBoundingClientRect();
canvas.dispatchEvent(new MouseEvent("click", { clientX: r.left + 1, clientY: r.bottom - 1 }));
said.push(status());
return said;`
	want := strings.Join([]string{
		"At the cross: x, y, z 0.0, 0.0, 0.0 mm; about −1000 HU; seen 0.251; outside the contours",
		"overlay: true, then grey: true",
		"At the cross: x, y, z 20.0, −20.0, 20.0 mm; about 2 HU; seen 0.500; inside tumour",
		"right top, right top, left top",
		"z 20.0 millimetres, slice 51 of 60",
		"contour goes: true",
		"window: true, level 40",
		"own window: own",
		"At the cross: x, y, z 19.0, −21.0, 21.0 mm; about 2 HU; seen 0.500; inside tumour",
		"At the cross: x, y, z −30.0, −21.0, −30.0 mm; about −1000 HU; seen 0.00; outside the contours",
	}, "\n")
	if got := inBrowser(t, shown[0].html, driver); got != want {
		t.Errorf("the page says\n%s\nnot\n%s", got, want)
	}
}

func TestSlicesRefuse(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Scan)
		want   string
	}{
		"no CT":            {func(s *Scan) { s.CT = nil }, "there is no CT"},
		"no mask":          {func(s *Scan) { s.Contours[0].Mask = nil }, `"tumour" has no mask`},
		"nine contours":    {func(s *Scan) { s.Contours = make([]Contour, 9) }, "9 contours"},
		"an empty contour": {func(s *Scan) { s.Centre, s.Contours[0].Mask = nil, volume.NewMask(s.CT.Grid) }, "no voxel"},
		"a tiny edge":      {func(s *Scan) { s.EdgeMM = 1 }, "10 to 1000"},
		"no values":        {func(s *Scan) { s.Overlays[0].Values = nil }, `"seen" has no values`},
		"not a number":     {func(s *Scan) { s.Overlays[0].Values.HU[0] = float32(math.NaN()) }, "no finite number"},
	} {
		s := corner()
		c.change(&s)
		if _, err := shownBy(t, func() { Slices(s) }); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHUCodes(t *testing.T) {
	values := huOf()
	if len(values) != 256 {
		t.Fatalf("%d codes, not 256", len(values))
	}
	for hu := -1100.0; hu < 1600; hu += 0.5 {
		best := 1
		for code := range values[1:] {
			if math.Abs(float64(values[code+1])-hu) < math.Abs(float64(values[best])-hu) {
				best = code + 1
			}
		}
		got := int(huCode(hu))
		if math.Abs(float64(values[got])-hu) > math.Abs(float64(values[best])-hu)+1e-9 {
			t.Fatalf("%g HU has the code of %d, and %d is nearer", hu, values[got], values[best])
		}
	}
}

// TestSlicesStandWithoutScript: the still picture has the water where the browser has it.
func TestSlicesStandWithoutScript(t *testing.T) {
	s := corner()
	s.Centre, s.Overlays = &[3]float64{20, -20, 20}, nil
	shown, err := shownBy(t, func() { Slices(s) })
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(shown[0].html, `<img class="hnb-still" alt="A corner, axial, coronal and sagittal plane through the middle" src="data:image/png;base64,`)
	text, _, _ := strings.Cut(rest, `"`)
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	picture, err := png.Decode(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	// Water lies 10 mm to all sides of the middle: further to the patient's left, front and
	// head there is no scan, on the other sides there is air.
	at := func(plane, right, down int) string {
		r, g, b, _ := picture.At(plane*(120+stillGap)+60+2*right, 60+2*down).RGBA()
		return fmt.Sprint(r>>8, g>>8, b>>8)
	}
	water, air, nothing := at(0, 0, 0), at(0, -20, 20), "24 24 24"
	for i, c := range []struct{ got, want string }{
		{at(0, 15, 0), nothing}, {at(0, 0, -15), nothing}, {at(0, -15, 0), air}, {at(0, 0, 15), air},
		{at(1, 15, 0), nothing}, {at(1, 0, -15), nothing}, {at(1, -15, 0), air}, {at(1, 0, 15), air},
		{at(2, -15, 0), nothing}, {at(2, 0, -15), nothing}, {at(2, 15, 0), air}, {at(2, 0, 15), air},
	} {
		if c.got != c.want || water == air {
			t.Errorf("case %d: %s, not %s (water %s)", i+1, c.got, c.want, water)
		}
	}
}
