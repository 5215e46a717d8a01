package experiments

import (
	"fmt"
	"slices"
	"strings"

	"hounsfield/datasets"
	"hounsfield/datasets/catalog"
	"hounsfield/datasets/table"
	"hounsfield/experiments/report"
)

const tripodTable = "tripod"

// tripodSource is the checklist that tripodItems follows. The items' topics are in our
// own words; the numbers and what they apply to are the statement's.
const tripodSource = "Collins GS et al., TRIPOD+AI statement, BMJ 2024;385:e078378, doi:10.1136/bmj-2023-078378"

// tripodItem is one point of the checklist: what it asks for, of studies that develop a
// model (D), that evaluate one (E) or of both, and how a run answers it.
type tripodItem struct {
	number, part, topic string
	applies             string
	answer              func(f tripodFacts) tripodAnswer
}

// What an item applies to.
const (
	development = "D"
	assessment  = "E"
	both        = "D;E"
)

// The kinds of answers. All but the first say what is lacking, or why.
const (
	answered      = "answered"
	inPart        = "in part"
	notApplicable = "not applicable"
	notAvailable  = "not available"
)

type tripodAnswer struct {
	status string
	remark string
	where  []tripodPlace // the first is the main one
}

// tripodPlace is where in the run folder an answer stands. The zero value is a place
// that this run does not have.
type tripodPlace struct {
	text string // as a reader sees it
	link string // from the report
	code bool
	path string // from the run folder, with the key behind a colon
}

var sectionTitles = map[string]string{"paper": "Beside the paper", "metrics": "Metrics", "patients": "Patients", "method": "Method", "record": "Record"}

// inSection points into the report; id is one of sectionTitles.
func inSection(id string) tripodPlace {
	return tripodPlace{text: sectionTitles[id], link: "#" + id, path: "report.html#" + id}
}

func inFile(path string) tripodPlace { return tripodPlace{text: path, link: path, path: path} }

// inConfig points to a key of the resolved config, in dotted form.
func inConfig(key string) tripodPlace {
	return tripodPlace{text: key, link: "config.yaml", code: true, path: "config.yaml: " + key}
}

// inManifest points to a key of the manifest.
func inManifest(key string) tripodPlace {
	return tripodPlace{text: key, link: manifestFile, code: true, path: manifestFile + ": " + key}
}

// tripodFacts are what the answers of a run depend on.
type tripodFacts struct {
	source    string        // phantom | published | replication | prepared
	trained   bool          // a network was developed here
	survival  bool          // from survival times
	rivals    bool          // other predictors are judged beside the network
	pooled    bool          // and both treatments together
	clinical  bool          // the clinical parameters stand beside the network in models of survival
	cohorts   int           // different cohorts among the patients
	train     int           // train patients with a score
	paper     bool          // figures of a paper stand beside ours
	analyses  []tripodPlace // sections of the report beyond the usual ones
	figures   []string
	metrics   []string // those of the analyses too
	seeds     []int64
	absent    []string // what Table 1 lacks
	oneSided  []string // what it has, but not of every role
	treatment string   // of real patients, as the catalog has it; may be empty
	licence   string   // of the inputs, as the catalog has it
}

// figure points to a figure if the run has it.
func (f tripodFacts) figure(name string) tripodPlace {
	if !slices.Contains(f.figures, name) {
		return tripodPlace{}
	}
	return inFile("figures/" + name + ".svg")
}

// judges says whether some metric or figure has a name that begins so.
func (f tripodFacts) judges(beginning string) bool {
	return slices.ContainsFunc(slices.Concat(f.metrics, f.figures), func(name string) bool { return strings.HasPrefix(name, beginning) })
}

func answer(status, remark string, where ...tripodPlace) tripodAnswer {
	a := tripodAnswer{status: status, remark: remark}
	for _, p := range where {
		if p.link != "" {
			a.where = append(a.where, p)
		}
	}
	return a
}

// always answers an item in the same way whatever the run.
func always(status, remark string, where ...tripodPlace) func(tripodFacts) tripodAnswer {
	return func(tripodFacts) tripodAnswer { return answer(status, remark, where...) }
}

// bySource answers an item by where the patients come from.
func bySource(phantom, published, prepared tripodAnswer) func(tripodFacts) tripodAnswer {
	return func(f tripodFacts) tripodAnswer {
		switch f.source {
		case SourcePhantom:
			return phantom
		case SourcePrepared:
			return prepared
		default:
			return published // or the same network run again
		}
	}
}

// withClinical adds to an answer where the analysis clinical has more to say.
func withClinical(answerOf func(tripodFacts) tripodAnswer, remark string, where ...tripodPlace) func(tripodFacts) tripodAnswer {
	return func(f tripodFacts) tripodAnswer {
		a := answerOf(f)
		if f.clinical {
			a.remark, a.where = strings.TrimSpace(a.remark+" "+remark), append(a.where, where...)
		}
		return a
	}
}

// forAuthors is what no run can know.
func forAuthors(what string) func(tripodFacts) tripodAnswer {
	return always(notAvailable, what+" To be filled in by the authors.")
}

// forAuthorsOfReal is the same, of things that synthetic patients do not have.
func forAuthorsOfReal(none, what string) func(tripodFacts) tripodAnswer {
	a := answer(notAvailable, what+" To be filled in by the authors.")
	return bySource(answer(notApplicable, none), a, a)
}

// answerTo answers an item; a run that develops nothing has no answer to what is asked
// of development alone.
func (f tripodFacts) answerTo(item tripodItem) tripodAnswer {
	if item.applies == development && !f.trained {
		if f.rivals {
			return answer(notApplicable, "Asked of development. The network was developed elsewhere, and its paper answers; how the predictors beside it were fitted stands with them.", inConfig("comparison"))
		}
		return answer(notApplicable, "Asked of development. No model is developed in this run: it reads scores as they were published, and their paper answers.")
	}
	return item.answer(f)
}

func (r *runner) tripodFacts(s *study, ev *evaluation, figures []drawn) (tripodFacts, error) {
	f := tripodFacts{source: r.cfg.Data.Source, trained: r.histories != nil, survival: r.cfg.Training.Survival(), paper: len(r.cfg.References) > 0,
		rivals: len(s.rivals) > 0, pooled: len(s.rivals) > 0 && r.cfg.Comparison.Meta, clinical: slices.Contains(r.cfg.Analyses, "clinical")}
	for _, section := range ev.sections {
		f.analyses = append(f.analyses, tripodPlace{text: section.Title, link: "#" + section.ID, path: "report.html#" + section.ID})
	}
	if f.trained {
		f.seeds = r.cfg.Seeds
	}
	for _, d := range figures {
		f.figures = append(f.figures, d.name)
	}
	for _, m := range ev.metrics {
		f.metrics = append(f.metrics, m.Name)
	}
	f.metrics = append(f.metrics, ev.measured...)
	cohorts := map[string]bool{}
	for _, p := range s.cohort.Patients {
		cohorts[p.Cohort] = true
	}
	f.cohorts = len(cohorts)
	groups := roleGroups(s)
	if groups[0].role == string(datasets.Train) {
		f.train = len(groups[0].patients)
	}
	have, absent := characteristicsOf(s, ev, groups[len(groups)-1].patients)
	f.absent, f.oneSided = absent, unknownInRole(have, groups)
	if f.source == SourcePublished {
		f.treatment = r.cfg.Data.Published.Treatment
	}
	var licences []string
	for _, name := range catalog.Names() {
		entry, err := catalog.Load(name)
		if err != nil {
			return f, err
		}
		if len(entry.Tables) > 0 && (f.source == SourcePrepared && name == r.cfg.Data.Prepared.Dataset || f.source == SourceReplication && name == "idc-replication") {
			f.treatment = entry.Tables[0].Treatment
		}
		if slices.ContainsFunc(entry.Files, func(file catalog.File) bool {
			return slices.ContainsFunc(r.folder.Manifest.Inputs, func(in Input) bool { return in.Name == file.Path })
		}) {
			licences = append(licences, name+": "+entry.Licence)
		}
	}
	f.licence = strings.Join(licences, ". ")
	return f, nil
}

func tripodSchema() table.Schema {
	return table.Schema{Name: tripodTable, Columns: []table.Column{
		{Name: "item", Type: table.String, Unique: true, Description: "number in the statement"},
		{Name: "part", Type: table.String, Description: "part of a paper that it belongs to"},
		{Name: "topic", Type: table.String, Description: "what is asked for, in short and in other words than the statement's"},
		{Name: "applies_to", Type: table.String, Allowed: []string{development, assessment, both}, Description: "D development, E evaluation of a model"},
		{Name: "answer", Type: table.String, Allowed: []string{answered, inPart, notApplicable, notAvailable}},
		{Name: "where", Type: table.String, Nullable: true, Description: "in the run folder; a key stands behind a colon"},
		{Name: "also", Type: table.String, Nullable: true, Description: "further places, parted by semicolons"},
		{Name: "remark", Type: table.String, Nullable: true, Description: "what is lacking, or why there is no answer"},
	}}
}

// tripod fills the TRIPOD+AI checklist from a run: as typed rows, and as a section of
// the report.
func (r *runner) tripod(s *study, ev *evaluation, figures []drawn) (*table.Table, report.Section, error) {
	facts, err := r.tripodFacts(s, ev, figures)
	if err != nil {
		return nil, report.Section{}, err
	}
	block := report.Table{
		Caption: report.Text("TRIPOD+AI, item by item: D is asked of the development of a model, E of its evaluation."),
		Columns: []report.Column{{Title: "Item"}, {Title: "Topic"}, {Title: "For"}, {Title: "Answer"}, {Title: "Where"}, {Title: "Remark"}},
		Note:    report.Paragraph{{Text: "Items and numbers: "}, {Text: tripodSource, Link: "https://doi.org/10.1136/bmj-2023-078378"}, {Text: ". Topics in our own words. The file names further places."}},
		Files:   []string{"tables/" + tripodTable + ".arrow"},
	}
	counts := map[string]int{}
	answers := make([]tripodAnswer, len(tripodItems))
	for i, item := range tripodItems {
		a := facts.answerTo(item)
		answers[i] = a
		counts[a.status]++
		cells := report.Cells(item.number, item.topic, item.applies, a.status, "–", a.remark)
		if len(a.where) > 0 {
			cells[4] = report.Span{Text: a.where[0].text, Link: a.where[0].link, Code: a.where[0].code}
		}
		block.Rows = append(block.Rows, report.Row{Cells: cells})
	}
	provenance := r.provenance()
	provenance["checklist"] = tripodSource
	t, err := tripodTableOf(answers, provenance)
	section := report.Section{ID: "tripod", Title: "TRIPOD+AI checklist", Blocks: []report.Block{
		report.Text(fmt.Sprintf("Of the %d points of the checklist's 27 items this run answers %d and answers %d in part; %d do not apply to it, and %d are not available in it: most of those are for the authors of a paper to fill in.",
			len(tripodItems), counts[answered], counts[inPart], counts[notApplicable], counts[notAvailable])),
		report.Folded{Title: "The checklist", Blocks: []report.Block{block}},
	}}
	return t, section, err
}

func tripodTableOf(answers []tripodAnswer, provenance map[string]string) (*table.Table, error) {
	where, also := make([]table.Null[string], len(answers)), make([]table.Null[string], len(answers))
	for i, a := range answers {
		var paths []string
		for _, p := range a.where {
			paths = append(paths, p.path)
		}
		if len(paths) > 0 {
			where[i], also[i] = table.Some(paths[0]), nonEmpty(strings.Join(paths[1:], "; "))
		}
	}
	return table.New(tripodSchema(), provenance, map[string]any{
		"item":       table.ColumnOf(tripodItems, func(i tripodItem) string { return i.number }),
		"part":       table.ColumnOf(tripodItems, func(i tripodItem) string { return i.part }),
		"topic":      table.ColumnOf(tripodItems, func(i tripodItem) string { return i.topic }),
		"applies_to": table.ColumnOf(tripodItems, func(i tripodItem) string { return i.applies }),
		"answer":     table.ColumnOf(answers, func(a tripodAnswer) string { return a.status }),
		"where":      where,
		"also":       also,
		"remark":     table.ColumnOf(answers, func(a tripodAnswer) table.Null[string] { return nonEmpty(a.remark) }),
	})
}
