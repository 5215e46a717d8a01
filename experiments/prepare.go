package experiments

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"hounsfield/datasets/catalog"
	"hounsfield/datasets/dicom"
	"hounsfield/datasets/prepare"
	"hounsfield/experiments/progress"
	"hounsfield/experiments/qcsheet"
)

// PrepareOptions are the choices of `hounsfield prepare`.
type PrepareOptions struct {
	// Source is a cohort, by its name in the catalog or the path of an entry's .yaml, or a folder
	// tree of DICOM. A name that is both is the cohort.
	Source    string
	Out       string   // "" = prepared/NAME for a cohort, prepared for a folder
	Mirror    string   // of a cohort: the data folder, or what Fetch copies from; "" as catalog.Locate finds it
	Dataset   string   // of a folder: the catalog entry whose ROI rule holds and whose name is the cohort's; "" = nsclc-radiomics
	ROI       []string // overrides the entry's rule
	Repeats   string   // overrides the entry's: none, scans, or readers=PATTERN; "" = the entry's
	NoVolumes bool
	Features  bool // also compute engineered features, with the settings of the published tables
	Jobs      int  // patients at a time; 0 = one a processor
	Verify    bool // hash again what is kept, and its inputs
	// Fetch, when given, says how to fetch first what is not in Fetch.Dest of a cohort.
	Fetch *FetchOptions
	// Shard of Shards, from 0, prepares a part of the patients and writes no tables, beside others
	// that do the same; a run with Shards 0 then keeps what they made and writes the tables.
	Shard, Shards int
	Progress      *progress.Progress
}

// Prepare turns the DICOM of a cohort or of a folder into cubes, pictures and tables and prints
// what it found and where it is: imaging table, exclusions, the page for looking at each
// contour and, of a cohort with a clinical table, the cohort table. What an earlier run made
// of the same inputs with the same settings is kept. Patients that could not be used, or that
// have scans and no clinical row or the other way round, are rows of the exclusions table.
func Prepare(ctx context.Context, o PrepareOptions, w io.Writer) error {
	p, err := o.open(ctx, w)
	if err != nil {
		return err
	}
	if o.Shards > 0 {
		return p.shard(ctx, w)
	}
	lock, err := p.lockWhole(ctx)
	if err != nil {
		return err
	}
	defer lock.Close()
	return p.whole(ctx, w)
}

// whole prepares all patients and writes tables and page. The folder's lock is held.
func (p *preparation) whole(ctx context.Context, w io.Writer) error {
	done, err := p.run(ctx)
	if err != nil {
		return err
	}
	if err := p.writeCohort(); err != nil {
		return err
	}
	qc, err := qcsheet.Write(p.Out)
	if err != nil {
		return err
	}
	return p.report(done, qc, w)
}

// options are those of the package that does the work.
func (p *preparation) options() prepare.Options {
	cfg := Default()
	return prepare.Options{Root: p.folder, Out: p.Out, Cohort: p.cohort, Rule: p.rule, Repeats: p.repeats, Cube: cfg.cubeSpec(), Features: p.features,
		KeepVolumes: !p.NoVolumes, Jobs: p.Jobs, Verify: p.Verify, Shard: p.Shard, Shards: p.Shards, Also: p.unmatched}
}

// run prepares, with a bar for the patients, or with lines where there is no terminal and the
// cohort is small.
func (p *preparation) run(ctx context.Context) (prepare.Summary, error) {
	o := p.options()
	var bar *progress.Bar
	o.Progress = func(done, total int, patient string) {
		if total <= lineEach && !p.Progress.Terminal() {
			p.Progress.Say("prepared %d of %d: %s", done, total, patient)
			return
		}
		if bar == nil {
			bar = p.Progress.Rated(total, "preparing "+p.cohort, "patients")
		}
		bar.Add(1)
	}
	p.Progress.Say("looking for scans in %s", p.folder) // the heads of many files take a while
	done, err := prepare.Run(ctx, o)
	if bar != nil && err == nil {
		bar.Done()
	}
	return done, p.stopped(ctx, err)
}

// stopped says how to go on after an error that is a stop by the user.
func (p *preparation) stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return fmt.Errorf("stopped; type the same command again to go on: patients that are whole in %s are kept: %w", p.Out, err)
	}
	return err
}

// lineEach is up to how many patients each has a line of its own where there is no terminal.
const lineEach = 20

// roiRule is the catalog's rule for the tumour's contour, or the names given.
func roiRule(dataset string, names []string) (dicom.ROIRule, error) {
	if len(names) > 0 {
		return dicom.ROIRule{Exact: names}, nil
	}
	entry, err := catalog.Load(dataset)
	if err != nil {
		return dicom.ROIRule{}, err
	}
	if entry.Images == nil {
		return dicom.ROIRule{}, fmt.Errorf("data set %s has no images and so no ROI rule; name the tumour's ROI with --roi NAME", dataset)
	}
	if len(entry.Images.ROI.Exact) == 0 {
		return dicom.ROIRule{}, fmt.Errorf("data set %s has no public contour of the tumour. %s\nWhere RTSTRUCT or SEG files of your own lie beside its scans, name the tumour's ROI with --roi NAME", entry.Name, strings.Join(strings.Fields(entry.Images.ROI.None), " "))
	}
	return dicom.ROIRule{Exact: entry.Images.ROI.Exact}, nil
}

// repeatsRule is the catalog's rule for patients with several scans or readers, or the one
// given.
func repeatsRule(dataset, given string) (prepare.Repeats, error) {
	rule := catalog.Repeats{Kind: given}
	switch pattern, readers := strings.CutPrefix(given, catalog.Readers+"="); {
	case given == "none":
		return prepare.Repeats{}, nil
	case given == catalog.Scans:
	case readers:
		rule = catalog.Repeats{Kind: catalog.Readers, Pattern: pattern}
	case given != "":
		return prepare.Repeats{}, fmt.Errorf("--repeats %s: it must be none, scans, or readers=PATTERN such as 'readers=^GTV-1vis-(?P<reader>[0-9])$'", given)
	default:
		entry, err := catalog.Load(dataset)
		if err != nil || entry.Images == nil || entry.Images.Repeats == nil {
			return prepare.Repeats{}, err
		}
		rule = *entry.Images.Repeats
	}
	repeats, err := repeatsOf(rule)
	if err != nil {
		return prepare.Repeats{}, fmt.Errorf("--repeats: %w", err)
	}
	return repeats, nil
}

// repeatsOf is a rule as it is written, in the form that the preparation takes.
func repeatsOf(rule catalog.Repeats) (prepare.Repeats, error) {
	readers, err := rule.ReaderRule()
	return prepare.Repeats{Kind: rule.Kind, Within: time.Duration(rule.WithinHours * float64(time.Hour)), Readers: readers}, err
}

// makeOut makes the folder to prepare into.
func (p *preparation) makeOut() error {
	if err := os.MkdirAll(p.Out, 0o755); err != nil {
		return fmt.Errorf("cannot make the folder for what is prepared: %w; name a place that can be written to with --out", err)
	}
	return nil
}
