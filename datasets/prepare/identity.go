package prepare

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"hounsfield/datasets"
	"hounsfield/datasets/dicom"
)

// subject is one patient to prepare.
type subject struct {
	id  string // in outputs
	key string // in the input; not for outputs
	// files are all input files, heads those of them that tell who the patient is; about is
	// what the outcome depends on besides them and the options, without ids and paths.
	files, heads []string
	series       int // CT series, or scans of a list of pairs
	about        string
	// find looks for the scans and contours; the list of errors is of files and contours that
	// could not be used although the patient could.
	find    func() (scans []*exam, lost []error, err error)
	who     *person
	number  int   // from 1, in the order of all patients
	refused error // why nothing may be written of the patient
}

// inputOf is what there is to prepare in a tree, or in the list of pairs: subjects by id.
func (o Options) inputOf(tree *dicom.Tree) (*input, error) {
	in := &input{guard: o.Guard}
	if in.guard == nil {
		in.guard = &Guard{}
	}
	if tree == nil {
		tree = &dicom.Tree{}
		in.subjects = o.pairSubjects()
	}
	for _, p := range tree.Patients {
		in.subjects = append(in.subjects, o.treeSubject(p, tree.Problems))
	}
	in.subjects = slices.DeleteFunc(in.subjects, func(s subject) bool { _, wanted := o.patientName(s.key); return !wanted })
	for i := range in.subjects {
		in.subjects[i].id, _ = o.patientName(in.subjects[i].key)
	}
	slices.SortFunc(in.subjects, func(a, b subject) int { return cmp.Compare(a.id, b.id) })
	for i := range in.subjects[min(1, len(in.subjects)):] {
		if a, b := in.subjects[i], in.subjects[i+1]; a.id == b.id {
			return nil, &OptionError{"Patients", a.id, "for each patient of the input an id of its own"}
		}
	}
	in.guard.learn(in.subjects, o.Pseudonyms != nil)
	for i := range in.subjects {
		s := &in.subjects[i]
		s.number, s.who = i+1, in.guard.all[i]
		s.judge()
		if o.Pseudonyms != nil {
			s.about += "pseudonyms by key " + o.Pseudonyms.Fingerprint()
		}
	}
	in.guard.index(in.subjects)
	if err := o.checkSettings(in.guard); err != nil {
		return nil, err
	}
	in.problems = o.problems(in, tree)
	return in, nil
}

// judge refuses a patient whose id itself says who it is, and takes the id away.
func (s *subject) judge() {
	if s.who.pseudonymous {
		return
	}
	if element := s.who.said(s.id, ""); element != "" {
		s.id = fmt.Sprintf("withheld-%d", s.number)
		s.refused = &stageError{stage: stageGuard, err: &IdentityError{Patient: s.id, Output: ImagingFile, Column: "patient_id", Element: element, Next: nextStep("patient_id")}}
	}
}

// treeSubject is a patient of a DICOM tree.
func (o Options) treeSubject(p dicom.PatientTree, problems []dicom.Problem) subject {
	s := subject{key: p.ID, series: len(p.Series), files: p.Files(), find: func() ([]*exam, []error, error) { return o.find(p) }}
	for _, series := range p.Series {
		s.heads = append(s.heads, series.Files[0])
	}
	s.heads = slices.Concat(s.heads, p.Structures, p.Segmentations)
	for _, broken := range problems {
		if broken.Patient == p.ID {
			s.heads = append(s.heads, broken.File)
		}
	}
	return s
}

// indexable says whether an index of the input may lie beside the tables: it holds the
// patients' ids and hashes of paths, which whoever knows the names could try out.
func (in *input) indexable(o Options) bool {
	for _, s := range in.subjects {
		if s.refused != nil {
			return false
		}
		seen := map[string]bool{}
		for _, file := range s.files {
			if dir := filepath.Dir(file); !seen[dir] {
				seen[dir] = true
				if in.guard.find(s.who, false, relative(o.base(), dir), "") != "" {
					return false
				}
			}
			if in.guard.find(s.who, false, filepath.Base(file), "") != "" {
				return false
			}
		}
	}
	return true
}

// checkSettings holds what stands in every table, whoever is in it, against the full names
// and numbers of the patients.
func (o Options) checkSettings(g *Guard) error {
	settings := o.provenance()
	settings["cohort"] = o.Cohort
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		t := newText(key+" "+settings[key], "")
		for _, p := range g.all {
			for _, m := range p.first {
				if m.strong(t) {
					return &IdentityError{Output: "all tables", Column: "metadata " + key, Element: m.element, Next: "give another name there"}
				}
			}
		}
	}
	return nil
}

// withheld stands where a cell would say who the patient is and the row can do without it.
const withheld = "(withheld)"

// contourName is what the contour's file is called in the row.
func (o Options) contourName(patient subject, file string) string {
	name := o.inputName(file)
	if o.Pseudonyms == nil && patient.who.said(name, "") != "" {
		return withheld
	}
	return name
}

// passing are the contours that may be written, before any voxel is read: a refused patient
// costs little. Without the reference there is none. Names of other regions that say who
// the patient is are taken away.
func (o Options) passing(patient subject, all []contour, note func(error)) (out []contour, err error) {
	for i, c := range all {
		if o.Pseudonyms == nil {
			for k, name := range c.source.choice.Seen {
				if patient.who.said(name, "") != "" {
					c.source.choice.Seen = slices.Clone(c.source.choice.Seen)
					c.source.choice.Seen[k] = withheld
				}
			}
		}
		if err := o.passes(patient, c); err != nil {
			note(err)
			if i == 0 {
				return nil, nil
			}
			continue
		}
		out = append(out, c)
	}
	return out, nil
}

// passes holds what a row is known by against who the patient is. With pseudonyms nothing of
// it is of the input any more.
func (o Options) passes(patient subject, c contour) error {
	if o.Pseudonyms != nil {
		return nil
	}
	if c.reading != nil {
		if err := holds(patient, "reader", c.reading.reader, ""); err != nil {
			return err
		}
	}
	if !o.ruled(c.source.choice) {
		if err := holds(patient, "roi", c.source.choice.Name, ""); err != nil {
			return err
		}
	}
	return holds(patient, "series_uid", c.exam.series.UID, "")
}

// stillPasses says whether what a record says may still be written: what the guard knows is in
// no record, and may be more by now.
func (w *work) stillPasses() bool {
	if w.Pseudonyms != nil {
		return true
	}
	var texts []string
	for _, c := range w.old.record.used() {
		row := c.Row.Values
		texts = append(texts, row["contour_file"], row["series_uid"], row["reader"], row["roi_seen"])
		if !w.ruled(dicom.Choice{Rule: row["roi_rule"], Name: row["roi"]}) {
			texts = append(texts, row["roi"])
		}
	}
	for _, l := range w.old.record.Lost {
		texts = append(texts, l.Reason, l.File)
	}
	return !slices.ContainsFunc(texts, func(s string) bool { return w.patient.who.said(s, "") != "" })
}

// holds is the error of a cell of the imaging table that says who the patient is.
func holds(patient subject, column, text, own string) error {
	element := patient.who.said(text, own)
	if element == "" {
		return nil
	}
	return &stageError{stage: stageGuard, err: &IdentityError{Patient: patient.id, Output: ImagingFile, Column: column, Element: element, Next: nextStep(column)}}
}

// ruled says whether the name of a region is that of the rule, which is a setting.
func (o Options) ruled(c dicom.Choice) bool {
	if o.Pairs != nil {
		return true
	}
	_, err := dicom.ROIRule{Exact: []string{c.Rule}}.Choose([]string{c.Name})
	return err == nil
}

// named puts the names of outputs into what was prepared, and checks what was said of it
// meanwhile.
func (o Options) named(patient subject, p *Prepared, r *reading) error {
	file := filepath.Base(p.Contours)
	p.named = o.contourName(patient, p.Contours)
	for i, n := range p.Notes {
		// The rest of a note are the program's own words.
		if own := strings.ReplaceAll(n, file, ""); o.Pseudonyms != nil || patient.who.said(n, own) != "" {
			p.Notes[i] = strings.ReplaceAll(n, file, cmp.Or(p.named, withheld))
		}
	}
	if element := patient.who.said(o.inputName(p.Contours), ""); p.named == withheld {
		p.Notes = append(p.Notes, "contour_file withheld: it has what "+element+" has in the files")
	}
	if slices.Contains(p.ROI.Seen, withheld) {
		p.Notes = append(p.Notes, "names in roi_seen withheld: they say who the patient is")
	}
	p.PatientID = patient.id
	if o.Pseudonyms == nil {
		return nil
	}
	if r == nil { // a reading has its scan's
		p.SeriesUID = o.uidName(p.SeriesUID)
	} else {
		p.Reader = o.readerName(r.reader)
	}
	p.ROI.Seen = nil
	if !o.ruled(p.ROI) {
		p.ROI.Name = withheld
	}
	return nil
}

// faultError is a fault of the program.
type faultError struct {
	value any
	at    string // functions and lines, the innermost first
}

func (e *faultError) Error() string {
	return fmt.Sprintf("a fault of this program, please report it: %v (%s)", e.value, e.at)
}

// panicked is where the program was when it met a fault, as deep as guarded. Unlike the stack
// as Go prints it, it is the same in each run and holds no paths of whoever built the program.
func panicked() string {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs)]) // above Callers, panicked and the deferred function
	var out []string
	for more := true; more; {
		var f runtime.Frame
		f, more = frames.Next()
		name := path.Base(f.Function)
		if name == "prepare.guarded" {
			break
		}
		if f.Function != "" && !strings.HasPrefix(f.Function, "runtime.") {
			out = append(out, fmt.Sprintf("%s, %s:%d", name, filepath.Base(f.File), f.Line))
		}
	}
	return strings.Join(out, "; ")
}

// guarded makes a fault of the program on one patient's data that patient's error: it must
// not cost the others' results. A fault in a goroutine that do starts still ends the program.
func guarded(do func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &stageError{stage: stageFault, err: &faultError{r, panicked()}}
		}
	}()
	return do()
}

// exclusion is an error as a row of the exclusions table. What of it would say who the
// patient is, or with pseudonyms what is not known to the letter, is left out.
func (o Options) exclusion(patient subject, err error) datasets.Exclusion {
	stage, file := stageOf(err)
	e := datasets.Exclusion{Patient: patient.id, Cohort: o.Cohort, Stage: stage}
	e.Reason, e.File = o.reason(patient.who.guard, patient, err, file)
	return e
}

// reason is an error's text for the exclusions table, and what the file at fault is called.
func (o Options) reason(guard *Guard, patient subject, err error, file string) (reason, name string) {
	name = o.inputName(file)
	reason, known := reworded(err, o.wording(patient))
	judged, judgedName := reason, name
	switch {
	case o.Pseudonyms != nil && !known:
		return "what is wrong is withheld, as it may say who the patient is; prepare without pseudonyms to read it", name
	case o.Pseudonyms != nil: // what the key has made is nobody's
		as := alike("")
		as.typed, as.free = o.wording(patient).typed, o.wording(patient).free
		judged, _ = reworded(err, as)
		judgedName = ""
	case !known || patient.id == patient.key:
		reason = o.shorten(err.Error())
		judged = reason
	}
	own, _ := reworded(err, alike(""))
	anybody := patient.who == nil
	element := cmp.Or(guard.find(patient.who, anybody, judgedName, ""), guard.find(patient.who, anybody, judged, own))
	if element == "" {
		return reason, name
	}
	if reason, known = reworded(err, alike(withheld)); !known {
		reason = "what is wrong is withheld"
	}
	return fmt.Sprintf("%s (withheld is what %s has in the files; %s)", reason, element, nextStep("file")), ""
}

// shorten writes paths below the input folder without it.
func (o Options) shorten(text string) string {
	return strings.ReplaceAll(text, filepath.Clean(o.base())+string(filepath.Separator), "")
}

// problems are the files that could not be used, as rows of the exclusions table.
// What an earlier run wrote, where Out lies below Root, is not among them.
func (o Options) problems(in *input, tree *dicom.Tree) []datasets.Exclusion {
	byKey := map[string]subject{}
	for _, s := range in.subjects {
		byKey[s.key] = s
	}
	var out []datasets.Exclusion
	for _, p := range tree.Problems {
		if o.Out != o.Root && within(o.Out, p.File) {
			continue
		}
		of, known := byKey[p.Patient]
		if p.Patient != "" && !known {
			continue // not to be prepared
		}
		e := datasets.Exclusion{Patient: of.id, Cohort: o.Cohort, Stage: stageFile}
		e.Reason, e.File = o.reason(in.guard, of, p.Err, p.File)
		if p.Patient == "" {
			e.Patient = cmp.Or(e.File, withheld)
		}
		out = append(out, e)
	}
	return out
}
