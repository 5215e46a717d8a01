package qcsheet

import (
	"fmt"
	"math"
	"strings"
)

// level is how much a rule's word weighs with a person.
type level string

const (
	none  level = ""       // no rule holds
	look  level = "look"   // unusual and possible: look at the picture
	wrong level = "wrong?" // hardly possible in a patient: something was mixed up
)

// rule is a reason to doubt a contour: a number beyond a limit.
type rule struct {
	name string // in words, the rule's handle everywhere
	// about is what the rule looks at; of the rules about one thing the first in the table
	// that holds counts, so the stronger stand first.
	about  string
	unit   string
	level  level
	weight float64
	// The rule holds for numbers smaller than below or larger than above; NaN is no limit.
	below, above float64
	why          string
	value        func(c *contour, all *cohort) float64 // NaN where it cannot be known: the rule does not hold
	say          func(v float64, c *contour, all *cohort) string
}

func (r *rule) holds(v float64) bool { return v < r.below || v > r.above }

// limit puts the limits into words.
func (r *rule) limit() string {
	unit := ""
	if r.unit != "" {
		unit = " " + r.unit
	}
	var parts []string
	if !math.IsNaN(r.below) {
		parts = append(parts, "below "+signed(r.below)+unit)
	}
	switch {
	case r.above == 0:
		return "any"
	case !math.IsNaN(r.above):
		parts = append(parts, "above "+signed(r.above)+unit)
	}
	return strings.Join(parts, " or ")
}

// hit is a rule that holds for a contour.
type hit struct {
	rule   *rule
	reason string
}

// judge fills hits, score and level by all rules.
func (c *contour) judge(all *cohort) {
	settled := map[string]bool{}
	for i := range rules {
		r := &rules[i]
		v := r.value(c, all)
		if settled[r.about] || !r.holds(v) {
			continue
		}
		settled[r.about] = true
		c.hits = append(c.hits, hit{r, r.say(v, c, all)})
		c.score += r.weight
		if r.level == wrong || c.level == none {
			c.level = r.level
		}
	}
}

var unlimited = math.NaN()

// robustLimit is by Iglewicz B, Hoaglin DC. How to Detect and Handle Outliers. ASQC Quality
// Press 1993, whose modified z-score this is.
const robustLimit = 3.5

// The rules, the only place where limits and weights stand. A weight above 4 belongs to
// "wrong?", so that one such reason goes before several that only ask to look.
var rules = []rule{
	{"scan of two patients", "identity", "other patients", wrong, 10, unlimited, 0,
		"Two patients cannot share every voxel: one scan was filed twice.",
		sharedBy("scan_crc32"), sayShared("scan_crc32", "the same scan, voxel by voxel, also stands under patient %s")},
	{"series of two patients", "identity", "other patients", wrong, 10, unlimited, 0,
		"A series UID belongs to one scan of one patient.",
		sharedBy("series_uid"), sayShared("series_uid", "the same CT series (by its UID) also stands under patient %s")},
	{"second scan is the first", "repeat", "", wrong, 10, unlimited, 0,
		"A repeat that is a copy makes test-retest results perfect and worthless.",
		func(c *contour, all *cohort) float64 {
			first := all.first[c.patient]
			if c.scan == 1 || c.number("scan_crc32") != first.number("scan_crc32") {
				return 0
			}
			return 1
		}, fixed("the second scan is the first one again, voxel by voxel")},
	{"contour of two patients", "place", "other patients", wrong, 6, unlimited, 0,
		"Two tumours never have the same centre to a thousandth of a mm and the same volume.",
		sharedBy(sharedContour), sayShared(sharedContour, "the tumour of patient %s has exactly the same centre and volume")},
	{"same voxel in two patients", "place", "other patients", look, 1, unlimited, 0,
		"Chance does this about once in a few hundred patients; a copied contour does it always.",
		sharedBy(sharedVoxel), sayShared(sharedVoxel, "the cube of patient %s is centred on the very same voxel")},

	{"centre in the air around the patient", "body", "mm", wrong, 8, 1, unlimited,
		"The contour belongs to another scan, or was mirrored.",
		column("skin_mm"), fixed("the centre of the contour lies in the air around the patient")},
	{"centre near the skin", "body", "mm", look, 3, 15, unlimited,
		"Chest wall and ribs are thicker than that over most of the lung.",
		column("skin_mm"), sayf("the centre of the contour is only %s mm from the skin")},
	{"centre far from its mask", "centre", "mm", wrong, 5, unlimited, 10,
		"The cube shows what lies between pieces and not the tumour.",
		column("com_off_mask_mm"), sayf("the centre of mass lies %s mm outside the contour: the cube may not show the tumour")},
	{"centre beside its mask", "centre", "mm", look, 2, unlimited, 0,
		"Crescents and rings do that; so do several pieces.",
		column("com_off_mask_mm"), sayf("the centre of mass lies %s mm outside the contour")},
	{"tumour beyond the cube", "coverage", "% of the tumour", look, 1, unlimited, 50,
		"The network sees less than half of it.",
		func(c *contour, _ *cohort) float64 { return 100 * c.number("mask_beyond_cube") }, sayf("%s %% of the tumour is outside the cube")},
	{"mask beyond the scan", "scan border", "voxels", wrong, 5, unlimited, 0,
		"Contour and scan do not belong together.",
		column("mask_outside_voxels"), sayf("%s voxels of the mask lie outside the scan")},
	{"contours beyond the scan", "scan border", "contours", wrong, 5, unlimited, 0,
		"Contour and scan do not belong together, or slices are missing at an end.",
		column("contours_outside"), sayf("%s contours lie outside the scan and were left out")},
	{"tumour cut by the scan", "scan border", "voxels", look, 3, unlimited, 0,
		"The tumour goes on where the scan has ended: volume and diameter are too small.",
		column("mask_edge_voxels"), sayf("the contour touches the border of the scan (%s voxels): the tumour may be cut")},
	{"contours partly beside the scan", "scan border", "contours", look, 3, unlimited, 0,
		"The tumour goes on where the scan has ended.",
		column("contours_clipped"), sayf("%s contours lie partly beside the scan")},

	{"tiny tumour", "volume", "cm³", wrong, 5, 0.1, unlimited,
		"A sphere of 0.1 cm³ is 6 mm across: a stray click rather than a tumour to treat.",
		cm3, sayf("tiny: %s cm³")},
	{"enormous tumour", "volume", "cm³", wrong, 5, unlimited, 1500,
		"A third of a lung: the contour of an organ rather than of a tumour.",
		cm3, sayf("enormous: %s cm³, more like an organ than a tumour")},
	{"huge tumour", "volume", "cm³", look, 3, unlimited, 500,
		"A sphere of 500 cm³ is 10 cm across: rare.",
		cm3, sayf("huge: %s cm³")},
	{"volume unlike the cohort's", "volume", "robust SD", look, 2, -robustLimit, robustLimit,
		"Far from what is usual here, on a scale of ratios.",
		robust("tumour volume"), sayUnusual("tumour volume", "small", "large")},
	{"pieces far apart", "pieces", "mm", wrong, 5, unlimited, 30,
		"A stray contour, or two lesions under one name: the centre is of neither.",
		column("mask_gap_mm"), sayPieces("at least %s mm apart")},
	{"pieces apart", "pieces", "mm", look, 2, unlimited, 10,
		"More than a slice or two left out.",
		column("mask_gap_mm"), sayPieces("%s mm apart")},
	{"much in small pieces", "pieces", "% in the largest", look, 1, 90, unlimited,
		"One tumour is drawn as one piece.",
		func(c *contour, _ *cohort) float64 { return 100 * c.number("mask_main_share") }, sayPieces("the largest holds %s %%")},

	{"no air in the scan", "darkest", "HU", wrong, 6, unlimited, -900,
		"Every chest CT has air of about -1000 HU: the rescaling was lost or it is no CT.",
		column("hu_min"), sayf("no air in the scan: its darkest voxel has %s HU")},
	{"no bone in the scan", "brightest", "HU", wrong, 6, 200, unlimited,
		"Every chest CT has bone of several hundred HU: the rescaling was lost or it is no CT.",
		column("hu_max"), sayf("no bone in the scan: its brightest voxel has %s HU")},
	{"beyond a scanner's range", "brightest", "HU", look, 1, unlimited, 4000,
		"Metal on an extended scale, or a slope read wrong.",
		column("hu_max"), sayf("the scan's brightest voxel has %s HU: metal, or a wrong scale")},
	{"darker than air in the cube", "cube's darkest", "HU", look, 2, -1100, unlimited,
		"Filling outside the field of view, or a wrong intercept, and the network sees it.",
		func(c *contour, _ *cohort) float64 { return c.hu("cube_min") }, sayf("the cube holds values darker than air (%s HU)")},
	{"metal in the cube", "cube's brightest", "HU", look, 2, unlimited, 2500,
		"Cortical bone ends at about 2000 HU; clips, wires and their streaks do not.",
		func(c *contour, _ *cohort) float64 { return c.hu("cube_max") }, sayf("very bright voxels in the cube (%s HU): metal or dense contrast")},
	{"cube not of a chest", "cube", "HU", wrong, 5, -920, 150,
		"Nearly all air, or denser than any organ.",
		func(c *contour, _ *cohort) float64 { return c.hu("cube_mean") }, sayf("the cube averages %s HU, neither lung nor soft tissue")},
	{"cube unlike the cohort's", "cube", "robust SD", look, 1, -robustLimit, robustLimit,
		"Far from what is usual here.",
		robust("mean of the cube"), sayUnusual("mean of the cube", "dark", "bright")},
	{"contour on air", "tumour HU", "HU", wrong, 5, -850, unlimited,
		"Most of what is drawn is lung or air: the contour is not where the tumour is.",
		column("tumour_hu"), sayf("half of what the contour holds is below %s HU: lung or air, not tumour")},
	{"tumour of unlikely density", "tumour HU", "HU", look, 3, -500, 300,
		"Solid tumours have 0 to 100 HU; ground glass less; calcified ones and bone more.",
		column("tumour_hu"), sayf("the median within the contour is %s HU")},
	{"density unlike the cohort's", "tumour HU", "robust SD", look, 2, -robustLimit, robustLimit,
		"Far from what is usual here.",
		robust("median within the tumour"), sayUnusual("median within the tumour", "dark", "dense")},

	{"thick slices", "slices", "mm", look, 2, unlimited, 5,
		"The study's scans have 3 mm mostly; above 5 mm small tumours are a slice or two.",
		func(c *contour, _ *cohort) float64 {
			return max(c.number("spacing_x_mm"), c.number("spacing_y_mm"), c.number("spacing_z_mm"))
		}, sayf("slices are %s mm apart")},
	{"slices without a contour", "gaps", "slices", look, 2, unlimited, 0,
		"Nothing is filled in between: the volume is too small.",
		column("slices_gap"), sayf("%s slices inside the tumour have no contour")},
	{"contours off the slices", "planes", "contours", look, 1, unlimited, 0,
		"Drawn on another series, or moved: each went to the nearest slice.",
		column("contours_off_plane"), sayf("%s contours do not lie on a slice")},
	{"cube mostly beyond the scan", "padding", "% of the cube", wrong, 5, unlimited, 50,
		"The network would see mostly made-up air.",
		padded, sayf("%s %% of the cube is outside the scan")},
	{"cube leaves the scan", "padding", "voxels", look, 2, unlimited, 0,
		"Filled with air: an edge that is none of the patient's.",
		column("padded_voxels"), sayf("the cube leaves the scan: %s voxels are filled with air")},
	{"reader far from the reference", "repeat", "mm", wrong, 5, unlimited, 40,
		"On one scan readers agree about where the tumour is: another lesion was drawn.",
		fromReference, sayf("the centre lies %s mm from the reference contour's: another lesion?")},
	{"reader off the reference", "repeat", "mm", look, 2, unlimited, 15,
		"Readers differ by some mm.",
		fromReference, sayf("the centre lies %s mm from the reference contour's")},
	{"second scan elsewhere", "repeat", "mm", look, 1, unlimited, 100,
		"Laid down anew a patient lies some cm off; more, and it may be another tumour.",
		func(c *contour, all *cohort) float64 {
			if c.scan == 1 || c.reader != "" {
				return math.NaN()
			}
			return c.apart(all.first[c.patient])
		}, sayf("the tumour lies %s mm from where the first scan has it")},
	{"volume unlike the first's", "repeat volume", "-fold", wrong, 5, unlimited, 4,
		"No tumour does that between scans minutes apart, no two readers draw so differently.",
		ratio, sayf("the volume is %s-fold different from the reference contour's on the first scan")},
	{"volume differs from the first's", "repeat volume", "-fold", look, 2, unlimited, 2,
		"Readers and repeats usually agree within a third.",
		ratio, sayf("the volume is %s-fold different from the reference contour's on the first scan")},
	{"notes of the preparation", "notes", "notes", look, 1, unlimited, 0,
		"Something did not quite fit; those that a rule of its own names, and those that most patients have, are not counted.",
		func(c *contour, all *cohort) float64 { return float64(len(all.ownNotes(c))) },
		func(_ float64, c *contour, all *cohort) string {
			return "noted while preparing: " + strings.Join(all.ownNotes(c), "; ")
		}},
	{"something left out", "left out", "rows", look, 1, unlimited, 0,
		"A file, scan or reader of this patient could not be used.",
		func(c *contour, _ *cohort) float64 { return float64(len(c.left)) },
		func(v float64, c *contour, _ *cohort) string {
			more := ""
			if v > 1 {
				more = fmt.Sprintf(" (and %d more among the exclusions)", len(c.left)-1)
			}
			return fmt.Sprintf("left out at %q: %s%s", c.left[0].Stage, c.left[0].Reason, more)
		}},
}

func column(name string) func(*contour, *cohort) float64 {
	return func(c *contour, _ *cohort) float64 { return c.number(name) }
}

func cm3(c *contour, _ *cohort) float64 { return c.cm3() }

func padded(c *contour, all *cohort) float64 {
	return 100 * c.number("padded_voxels") / (all.cubeSize * all.cubeSize * all.cubeSize)
}

func sharedBy(column string) func(*contour, *cohort) float64 {
	return func(c *contour, all *cohort) float64 { return float64(len(all.others(column, c))) }
}

func robust(measure string) func(*contour, *cohort) float64 {
	return func(c *contour, all *cohort) float64 { return all.robustZ(measure, c) }
}

// fromReference is how far a reader's contour is from the reference on the same scan, mm.
func fromReference(c *contour, all *cohort) float64 {
	if c.reader == "" || c.scan != 1 {
		return math.NaN()
	}
	return c.apart(all.first[c.patient])
}

// ratio is how many times larger or smaller a repeat is than the patient's first contour.
func ratio(c *contour, all *cohort) float64 {
	if c.base() {
		return math.NaN()
	}
	r := c.cm3() / all.first[c.patient].cm3()
	return max(r, 1/r)
}

func fixed(text string) func(float64, *contour, *cohort) string {
	return func(float64, *contour, *cohort) string { return text }
}

func sayf(format string) func(float64, *contour, *cohort) string {
	return func(v float64, _ *contour, _ *cohort) string { return fmt.Sprintf(format, signed(v)) }
}

func sayPieces(format string) func(float64, *contour, *cohort) string {
	return func(v float64, c *contour, _ *cohort) string {
		return fmt.Sprintf("the contour is in %d pieces, ", int(c.number("mask_parts"))) + fmt.Sprintf(format, signed(v))
	}
}

func sayUnusual(name, low, high string) func(float64, *contour, *cohort) string {
	return func(v float64, c *contour, all *cohort) string {
		m, s := measureOf(name), all.spread[name]
		which := high
		if v < 0 {
			which = low
		}
		return fmt.Sprintf("unusually %s for this cohort: %s %s %s; the middle half has %s to %s", which, name, signed(m.value(c)), m.unit, signed(s.lower), signed(s.upper))
	}
}

// sayShared names the patients, at most three.
func sayShared(column, format string) func(float64, *contour, *cohort) string {
	return func(_ float64, c *contour, all *cohort) string {
		return fmt.Sprintf(format, listed(all.others(column, c)))
	}
}

func listed(ids []string) string {
	more := ""
	if len(ids) > 3 {
		more = fmt.Sprintf(" and %d more", len(ids)-3)
		ids = ids[:3]
	}
	return strings.Join(ids, ", ") + more
}

// signed writes a number as short as it can be read: three digits, whole from 100 on.
func signed(v float64) string {
	text := fmt.Sprintf("%.3g", v)
	if math.Abs(v) >= 100 {
		text = fmt.Sprintf("%.0f", v)
	}
	return strings.Replace(text, "-", "−", 1)
}
