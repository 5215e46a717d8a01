package analysis

import (
	"fmt"
	"math"
	"net/url"
	"path"
	"slices"
	"strings"

	"hounsfield/experiments/figure"
	"hounsfield/experiments/report"
)

// section is the analysis' part of the report.
func (a *activation) section(pictures []shown, measures []Measure, sample int, figures []Figure) report.Section {
	blocks := []report.Block{report.Text(a.howMade())}
	if w := a.warning(measures); w != nil {
		blocks = append(blocks, w)
	}
	blocks = append(blocks, a.reading(measures, sample))
	for _, f := range figures {
		blocks = append(blocks, f.Block())
	}
	blocks = append(blocks, a.pointingTable(measures, sample), a.checkTable(measures))
	if len(pictures) > 0 {
		blocks = append(blocks, report.Subheading("Maps of single patients"), report.Text(fmt.Sprintf(
			"Axial, coronal and sagittal planes through the tumour's centre, the contour in light blue. Yellow raises the risk of death, dark blue lowers it; a scale ends at the size that one voxel in 200 of that map exceeds, so colours of two patients cannot be compared. The same maps lie as NIfTI files beside the scan's own voxels in the folder %s of the run.", activationName)))
	}
	for _, s := range pictures {
		id := a.Cohort.Patients[s.row].ID
		caption := fmt.Sprintf("%s, %s: score %.3f, log-odds %.2f.", id, s.why, s.score, s.odds)
		if math.IsNaN(s.score) {
			caption = fmt.Sprintf("%s, %s: log-odds %.2f.", id, s.why, s.odds)
		}
		if slices.Contains(a.settings.Methods, integrated) {
			caption += fmt.Sprintf(" Integrated gradients add up to %.2f; the log-odds differ from the baseline's by %.2f.", s.change+s.gap, s.change)
		}
		var misses []string
		for _, l := range s.looked {
			switch {
			case l.empty:
				misses = append(misses, methodTitle(l.method)+" is empty")
			case !l.hit[regionTumour]:
				misses = append(misses, methodTitle(l.method)+" has its maximum outside the contour")
			}
		}
		if len(misses) > 0 {
			caption += " " + strings.Join(misses, "; ") + "."
		}
		blocks = append(blocks, report.Picture{PNG: s.picture, Alt: fmt.Sprintf("Scan and maps of patient %s: one column for the scan and for each method, one row for each plane", id),
			Caption: report.Text(caption), File: path.Join(activationName, url.PathEscape(path.Base(s.folder)), "planes.png")})
	}
	return report.Section{ID: activationName, Title: "What the networks look at", Blocks: blocks}
}

// howMade says what is shown and by which settings.
func (a *activation) howMade() string {
	f, b := a.maps.field, a.maps.boxes
	text := fmt.Sprintf("Maps are means over %s and explain the log-odds of the score. ", plural(len(a.maps.models), "network"))
	if slices.Contains(a.settings.Methods, gradCAM) || slices.Contains(a.settings.Methods, guidedGradCAM) {
		text += fmt.Sprintf("Grad-CAM (Selvaraju et al. 2017) is made of %s, whose %d positions along each axis lie %g voxels apart and see %d voxels each", f.Layer, f.Edge, f.Step, f.Width)
		if all, err := a.Networks.Models[0].Spec.Convolutions(); err == nil && all[len(all)-1].Layer != f.Layer {
			last := all[len(all)-1]
			text += fmt.Sprintf("; the last convolution, %s, has %d and cannot tell places apart", last.Layer, last.Edge)
		}
		text += ". "
	}
	if slices.Contains(a.settings.Methods, integrated) {
		text += fmt.Sprintf("Integrated gradients (Sundararajan et al. 2017) take %d steps from the baseline %s. ", a.settings.IntegratedGradients.Steps, a.settings.IntegratedGradients.Baseline)
	}
	if slices.Contains(a.settings.Methods, occlusion) {
		text += fmt.Sprintf("Occlusion fills boxes of %d voxels, every %d, with %g HU. ", b.Size, b.Stride, a.settings.Occlusion.FillHU)
	}
	return text + "A map shows what the score depends on, which is not what the patient's outcome depends on."
}

// warning names the methods that fail the check; nil when all pass.
func (a *activation) warning(measures []Measure) report.Block {
	failed := failing(measures)
	if len(failed) == 0 {
		return nil
	}
	var body []report.Paragraph
	for _, name := range failed {
		all, _ := measured(measures, randomRank, name)
		text := fmt.Sprintf("%s: with all weights random the maps still correlate with the trained network's by %s; at most %g passes.", methodTitle(name), all.words(), a.settings.Sanity.Bound)
		if seed, ok := measured(measures, seedRank, name); ok {
			text += fmt.Sprintf(" Two trained networks: %s.", seed.words())
		}
		body = append(body, report.Text(text))
	}
	body = append(body, report.Text("Such a map shows the scan more than what the network learned. Do not read these methods' pictures as reasons for a score."))
	return report.Callout{Tone: report.Warning, Title: "Maps that fail the check by random weights", Body: body}
}

// reading says in words what the numbers allow.
func (a *activation) reading(measures []Measure, sample int) report.List {
	var list report.List
	say := func(format string, args ...any) { list = append(list, report.Text(fmt.Sprintf(format, args...))) }
	for _, region := range a.regionNames() {
		centre, ok := measured(measures, pointingGame, byCentre+", "+region)
		if !ok {
			continue
		}
		best, worst := a.extremes(measures, region)
		say("Pointing game, %s of %s: %s %s against a chance of %s, %s %s against a chance of %s; the middle of the cube %s.", region, plural(sample, "patient"),
			methodTitle(methodOf(best)), best.words(), chanceOf(measures, best), methodTitle(methodOf(worst)), worst.words(), chanceOf(measures, worst), centre.words())
	}
	if gap, ok := measured(measures, pathGap, integrated); ok {
		change, _ := measured(measures, "integrated_gradients_change", integrated)
		say("Integrated gradients miss the change of the log-odds by %s on average, of %s.", gap.words(), change.words())
	}
	return list
}

// extremes are the methods that point into a region most and least often.
func (a *activation) extremes(measures []Measure, region string) (best, worst Measure) {
	best, worst = Measure{Value: -1}, Measure{Value: 2}
	for _, m := range a.methods {
		if g, ok := measured(measures, pointingGame, m.name+", "+region); ok {
			if g.Value > best.Value {
				best = g
			}
			if g.Value < worst.Value {
				worst = g
			}
		}
	}
	return best, worst
}

// chanceOf is the share of the region where the method of a measure can point.
func chanceOf(measures []Measure, game Measure) string {
	chance, _ := measured(measures, regionShare, game.Group)
	return chance.text()
}

// words are a measure with its interval, empty where there is none.
func words(measures []Measure, name, group string) string {
	if m, ok := measured(measures, name, group); ok {
		return m.words()
	}
	return ""
}

// pointingTable has a row for each region and method.
func (a *activation) pointingTable(measures []Measure, sample int) report.Table {
	t := report.Table{
		Caption: report.Text(fmt.Sprintf("Where the maps point, and how much of them lies there, in %s, with %.0f%% intervals.", plural(sample, "patient"), 100*a.Level)),
		Columns: []report.Column{{Title: "Region"}, {Title: "Method"}, {Title: "Points inside", Number: true}, {Title: "Chance", Number: true}, {Title: "p", Number: true}, {Title: "Map inside", Number: true}},
		Files:   []string{"tables/" + activationName + ".arrow", "tables/" + activationName + ".parquet", "tables/" + activationPatients + ".arrow"},
		Note:    report.Text("Chance is the share of the region among the voxels where a map can have values: for Grad-CAM those in the middle where the layer has positions, for slopes those that the networks read, which may not be the last ones of the cube. p is one-sided against it."),
	}
	for _, region := range a.regionNames() {
		for _, by := range append(a.settings.names(), byCentre) {
			group := by + ", " + region
			game, ok := measured(measures, pointingGame, group)
			if !ok {
				continue
			}
			chance, _ := measured(measures, regionShare, group)
			p := strings.TrimPrefix(strings.TrimPrefix(figure.PValue(game.P.V), "p = "), "p ")
			t.Rows = append(t.Rows, report.Row{Cells: report.Cells(region, methodTitle(by), game.words(), chance.text(), p, words(measures, energyInside, group))})
		}
	}
	return t
}

// checkTable has a row for each method.
func (a *activation) checkTable(measures []Measure) report.Table {
	t := report.Table{
		Caption: report.Text(fmt.Sprintf("Whether the maps depend on what the networks learned: how alike the sizes of two maps are by rank (Spearman) and by structure (SSIM), with %.0f%% intervals.", 100*a.Level)),
		Columns: []report.Column{{Title: "Method"}, {Title: "Check"}, {Title: "n", Number: true}, {Title: "Random, rank", Number: true}, {Title: "Random, SSIM", Number: true}, {Title: "Other seed, rank", Number: true}},
		Files:   []string{"tables/" + activationSanity + ".arrow"},
		Note:    report.Text(fmt.Sprintf("The check fails where the rank correlation with the maps of all weights random (%s) is above %g on average. Another seed's network learned the same cohort: a map that is no more like that one's than like a random one's says little of what was learned.", plural(a.settings.Sanity.Draws, "draw"), a.settings.Sanity.Bound)),
	}
	for _, m := range a.methods {
		pass, ok := measured(measures, sanityPass, m.name)
		check := "passed"
		switch {
		case !ok:
			check = "maps empty"
		case pass.Value == 0:
			check = "FAILED"
		}
		t.Rows = append(t.Rows, report.Row{Strong: check == "FAILED", Cells: report.Cells(m.title, check, fmt.Sprint(pass.N),
			words(measures, randomRank, m.name), words(measures, randomSSIM, m.name), words(measures, seedRank, m.name))})
	}
	return t
}

// lines are the main findings.
func (a *activation) lines(measures []Measure, sample int) []string {
	var out []string
	region := a.regionNames()[len(a.regionNames())-1]
	if best, worst := a.extremes(measures, region); best.Value >= 0 {
		centre, _ := measured(measures, pointingGame, byCentre+", "+region)
		out = append(out, fmt.Sprintf("activation: maps point into the %s in %s (%s, chance %s) to %s (%s, chance %s) of %s; middle of the cube %s",
			region, worst.words(), methodOf(worst), chanceOf(measures, worst), best.words(), methodOf(best), chanceOf(measures, best), plural(sample, "patient"), centre.text()))
	}
	if failed := failing(measures); len(failed) > 0 {
		out = append(out, fmt.Sprintf("activation: WARNING: %s FAILED the check by random weights (rank correlation above %g): these maps show the scan more than the network", strings.Join(failed, ", "), a.settings.Sanity.Bound))
	} else if len(a.unchecked(measures)) == 0 {
		out = append(out, fmt.Sprintf("activation: all methods pass the check by random weights (rank correlation at most %g)", a.settings.Sanity.Bound))
	}
	if names := a.unchecked(measures); len(names) > 0 {
		out = append(out, fmt.Sprintf("activation: WARNING: %s could not be checked by random weights: the maps are empty", strings.Join(names, ", ")))
	}
	return out
}

// unchecked are the methods of which the check found no map to compare.
func (a *activation) unchecked(measures []Measure) []string {
	var names []string
	for _, m := range a.methods {
		if _, ok := measured(measures, sanityPass, m.name); !ok {
			names = append(names, m.name)
		}
	}
	return names
}

// methodOf is the method that a measure of the pointing game is of.
func methodOf(m Measure) string {
	name, _, _ := strings.Cut(m.Group, ", ")
	return name
}
