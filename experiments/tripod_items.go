package experiments

import (
	"fmt"
	"slices"
	"strings"
)

// The parts of a paper.
const (
	partFront      = "title and abstract"
	partAim        = "introduction"
	partMethods    = "methods"
	partOpen       = "open science"
	partPublic     = "patients and public"
	partResults    = "results"
	partDiscussion = "discussion"
)

// Remarks of more than one item.
const (
	clustersNone = "All patients come from one cohort: there are no clusters to tell apart."
	pooledRemark = "The two treatments are put together by meta-analysis, with their heterogeneity; centres within a role are not told apart."
)

// tripodItems is the checklist, in its order.
var tripodItems = []tripodItem{
	{"1", partFront, "Title: what was done, for whom, to predict what", both,
		always(inPart, "The config says what was run; the title of a paper is for its authors.", inConfig("description"), inConfig("experiment"))},
	{"2", partFront, "Abstract by the checklist for abstracts", both,
		forAuthors("A run writes no abstract; its key figures stand at the top of the report.")},

	{"3a", partAim, "Clinical context, reasons, earlier models", both, forAuthors("The reasons for a study are not in its data.")},
	{"3b", partAim, "Patients meant, purpose and users", both,
		forAuthors("This is research software that nobody is meant to be treated by.")},
	{"3c", partAim, "Known inequalities between groups of people", both, forAuthors("Not in the data.")},
	{"4", partAim, "Aims: development, evaluation or both", both, func(f tripodFacts) tripodAnswer {
		aim := "This run evaluates scores that others made, and develops nothing."
		switch {
		case f.trained:
			aim = "This run develops networks on train and tune and evaluates them on test."
		case f.rivals:
			aim = "This run evaluates scores that others made, and develops only what they are compared with."
		}
		return answer(inPart, aim+" The wider aim is for the authors.", inConfig("description"))
	}},

	{"5a", partMethods, "Where the data come from, and whom they stand for", both, bySource(
		answer(answered, "Synthetic patients: they are drawn from the specification and stand for nobody.", inConfig("data.phantom"), inSection("record")),
		answer(inPart, "The files and their hashes are named; whom the cohorts stand for is for the authors.", inSection("record"), inConfig("data.source")),
		answer(inPart, "The files and their hashes are named; whom the cohort stands for is for the authors.", inSection("record"), inConfig("data.prepared")))},
	{"5b", partMethods, "Dates of inclusion and end of follow-up", both,
		forAuthorsOfReal("Synthetic patients have no dates.", "Calendar dates are not kept: times are days from each patient's time zero.")},
	{"6a", partMethods, "Setting and centres", both, func(f tripodFacts) tripodAnswer {
		if f.source == SourcePhantom {
			return answer(notApplicable, "Synthetic patients were treated nowhere; the scanners that each role is given are in the config.", inConfig("data.phantom.scanners"))
		}
		return answer(inPart, fmt.Sprintf("%s, named for each patient; the setting is for the authors.", plural(f.cohorts, "cohort")), inFile("tables/cohort.arrow"), inSection("patients"))
	}},
	{"6b", partMethods, "Who could take part", both, bySource(
		answer(answered, "Every synthetic patient is eligible; those lost on the way are listed.", inSection("patients"), inFile("tables/exclusions.arrow")),
		answer(inPart, "Patients lost on the way are listed with the reason; how the released tables were selected from the cohorts is not in them.", inFile("tables/exclusions.arrow"), inSection("patients")),
		answer(inPart, "Patients lost on the way are listed with the reason; how the collection was put together is for the authors.", inFile("tables/exclusions.arrow"), inSection("patients")))},
	{"6c", partMethods, "Treatments, and what was done about them", both, func(f tripodFacts) tripodAnswer {
		switch {
		case f.source == SourcePhantom:
			return answer(notApplicable, "Synthetic patients are not treated.")
		case f.treatment != "":
			key := map[string]string{SourcePublished: "data.published.treatment", SourceReplication: "data.source", SourcePrepared: "data.prepared.dataset"}[f.source]
			return answer(inPart, "The patients had "+f.treatment+"; details and later treatments are not in the data.", inConfig(key))
		default:
			return answer(notAvailable, "The clinical table is not read for treatments. To be filled in by the authors.")
		}
	}},
	{"7", partMethods, "Preparing and checking the data", both, bySource(
		answer(answered, "Made the same way for every patient; a cube that cannot be made is an exclusion.", inConfig("cube"), inSection("method")),
		answer(inPart, "Tables are read against a declared schema and their labels are checked against survival; images were prepared by the publishers.", inSection("record"), inSection("method")),
		answer(inPart, "The same for every patient: 1 mm grid, cube, a picture to check it by. Whether more is lost in some groups of people is not tested.", inConfig("cube"), inFile("tables/exclusions.arrow")))},
	{"8a", partMethods, "Outcome and horizon", both, bySource(
		answer(answered, "Drawn from the hazard of the specification.", inSection("method"), inConfig("data.phantom.survival")),
		answer(inPart, "Defined; how the centres learned of deaths, and why this outcome, is for the authors.", inSection("method"), inFile("tables/predictions.arrow")),
		answer(inPart, "Defined; how the centre learned of deaths, and why this outcome, is for the authors.", inSection("method"), inFile("tables/predictions.arrow")))},
	{"8b", partMethods, "Who judged the outcome, if it needs judging", both, always(notApplicable, "Being alive or dead needs no judging.")},
	{"8c", partMethods, "Blinding to the outcome", both, func(f tripodFacts) tripodAnswer {
		const sealed = "The outcomes of the test role were opened once, after the scores had been fixed"
		if f.source == SourcePhantom {
			return answer(answered, sealed+".", inManifest("test_opened"), inSection("method"))
		}
		return answer(inPart, sealed+"; what those who recorded deaths knew is not in the data.", inManifest("test_opened"), inSection("method"))
	}},
	{"9a", partMethods, "Choice of predictors before modelling", development,
		always(answered, "The cube around the tumour as a whole; no predictor is selected.", inConfig("cube"), inSection("method"))},
	{"9b", partMethods, "Predictors, how and when measured", both, bySource(
		answer(answered, "", inConfig("cube"), inSection("method")),
		answer(inPart, "The score is read as released; what the published network saw is in its paper.", inSection("method"), inSection("record")),
		answer(inPart, "The cube is defined; how long before treatment the scans were made is for the authors.", inConfig("cube"), inSection("method")))},
	{"9c", partMethods, "Who judged predictors, if they need judging", both, bySource(
		answer(notApplicable, "The tumour's contour is known, nobody draws it."),
		answer(notAvailable, "The contours were drawn at the centres; by whom is not in the tables."),
		answer(notAvailable, "The contours come with the scans; who drew them is not read. To be filled in by the authors."))},
	{"10", partMethods, "Size of the study, and why it is enough", both, withClinical(bySource(
		answer(inPart, "Set in the config; it follows from no calculation.", inConfig("data.phantom.patients"), inSection("patients")),
		answer(inPart, "As many as were released; it follows from no calculation.", inFile("tables/table1.arrow"), inSection("patients")),
		answer(inPart, "As many as were prepared; it follows from no calculation.", inFile("tables/table1.arrow"), inSection("patients"))), "Deaths per coefficient stand with the clinical models.", inFile("tables/clinical.arrow"))},
	{"11", partMethods, "Missing data, and patients left out", both,
		withClinical(always(answered, "Nothing is filled in: a patient who cannot be scored has no score, one without a two-year label no part in an AUC.", inFile("tables/exclusions.arrow"), inFile("tables/table1.arrow")),
			"Clinical models are of the patients who have all variables; those who lack some are counted.", inFile("tables/clinical_models.arrow"))},
	{"12a", partMethods, "What each patient was used for", development, func(f tripodFacts) tripodAnswer {
		split := inConfig("data.phantom.patients")
		if f.source == SourcePrepared {
			split = inConfig("data.prepared.split_seed")
		}
		return answer(answered, "Roles are train, tune and test.", inFile("tables/cohort.arrow"), split, inSection("method"))
	}},
	{"12b", partMethods, "Scaling and coding of predictors", development,
		always(answered, "HU from -1024 to 3071 are mapped to 0 to 1; shifts, turns and flips vary the training cubes.", inConfig("augment"), inConfig("cube"))},
	{"12c", partMethods, "Kind of model, its building and tuning", development, func(f tripodFacts) tripodAnswer {
		return answer(inPart, "Nothing is tuned but the number of epochs, on the tune role. The reasons for this network are for the authors.",
			inConfig("network"), f.figure(lossesName), inConfig("training"), inFile("tables/history.arrow"))
	}},
	{"12d", partMethods, "Handling of differences between clusters", both, func(f tripodFacts) tripodAnswer {
		if f.cohorts == 1 {
			return answer(notApplicable, clustersNone)
		}
		if f.pooled {
			return answer(inPart, pooledRemark, append(f.analyses, f.figure("auc-by-role"), inSection("metrics"))...)
		}
		return answer(inPart, "Cohorts are judged role by role; no heterogeneity is estimated.", f.figure("auc-by-role"), inSection("metrics"))
	}},
	{"12e", partMethods, "Measures of performance and plots", both, func(f tripodFacts) tripodAnswer {
		where := append([]tripodPlace{inFile("tables/metrics.arrow"), inSection("metrics"), inConfig("evaluation")}, f.analyses...)
		var lacking []string
		if !f.judges("calibration") {
			lacking = append(lacking, "calibration")
		}
		if !f.judges("net benefit") {
			lacking = append(lacking, "clinical utility")
		}
		if lacking == nil {
			return answer(answered, "", where...)
		}
		return answer(inPart, "Each number names its method. Not judged: "+strings.Join(lacking, ", ")+".", where...)
	}},
	{"12f", partMethods, "Updating of the model after evaluation", assessment, always(notApplicable, "Nothing is updated after the test role has been opened.")},
	{"12g", partMethods, "How predictions were computed", assessment, func(f tripodFacts) tripodAnswer {
		if f.trained {
			return answer(answered, "", inSection("method"), inFile("tables/scores.arrow"))
		}
		return answer(inPart, "Read from the released tables; how they were computed is in their paper.", inSection("method"), inFile("tables/scores.arrow"))
	}},
	{"13", partMethods, "Class imbalance", both, func(f tripodFacts) tripodAnswer {
		if !f.trained {
			return answer(notApplicable, "No network is trained here, and nothing else weights a class.")
		}
		if f.survival {
			return answer(answered, "Every training patient is shown as often as every other; deaths are spread evenly over the batches. Scores are not recalibrated.", inConfig("training.batch"), inSection("method"))
		}
		return answer(answered, "Half of the cubes in every training batch are of patients dead at two years. Scores are thus no calibrated probabilities, and they are not recalibrated.", inConfig("training.batch"), inSection("method"))
	}},
	{"14", partMethods, "Fairness", both, forAuthors("No step is taken towards fairness, and no figure is given by sex or age.")},
	{"15", partMethods, "Output and thresholds", development,
		always(answered, "Risk of death at two years, higher is worse; the cut is the tune role's median score.", inSection("method"), inFile("tables/predictions.arrow"))},
	{"16", partMethods, "How development and evaluation data differ", both, bySource(
		answer(answered, "By chance, and by the scanners of each role.", inSection("patients"), inConfig("data.phantom.scanners")),
		answer(inPart, "Roles are cohorts of different centres; what differs in setting and eligibility is for the authors.", inSection("patients"), inFile("tables/table1.arrow")),
		answer(answered, "By chance alone: patients are dealt into roles by a hash of their id.", inSection("patients"), inConfig("data.prepared.split_seed")))},
	{"17", partMethods, "Ethics approval and consent", both,
		forAuthorsOfReal("Synthetic patients give no consent.", "Approval and consent belong to the collections that the data come from.")},

	{"18a", partOpen, "Funding", both, forAuthors("Not known to a run.")},
	{"18b", partOpen, "Conflicts of interest", both, forAuthors("Not known to a run.")},
	{"18c", partOpen, "Protocol", both, forAuthors("The resolved config fixes the analysis and is no protocol.")},
	{"18d", partOpen, "Registration", both, forAuthors("Not known to a run.")},
	{"18e", partOpen, "Availability of the data", both, func(f tripodFacts) tripodAnswer {
		if f.source == SourcePhantom {
			return answer(answered, "The config makes every patient again.", inConfig("data.phantom"))
		}
		return answer(answered, "Inputs by hash; licences: "+f.licence+".", inSection("record"), inManifest("inputs"))
	}},
	{"18f", partOpen, "Availability of the code", both,
		always(inPart, "Code and modules are named by hash and version; where to get the code is for the authors.", inManifest("code"), inSection("record"))},

	{"19", partPublic, "Part that patients and the public had", both,
		forAuthorsOfReal("Synthetic patients have no say.", "Not known to a run.")},

	{"20a", partResults, "Flow of patients, outcomes, follow-up", both, func(f tripodFacts) tripodAnswer {
		return answer(answered, "", f.figure("flow"), inSection("patients"), inFile("tables/exclusions.arrow"))
	}},
	{"20b", partResults, "Characteristics of the patients", both, func(f tripodFacts) tripodAnswer {
		var lacking []string
		if f.source != SourcePhantom {
			lacking = append(lacking, "Not in the data: "+strings.Join(append([]string{"dates", "later treatments"}, f.absent...), ", ")+".")
		}
		if len(f.oneSided) > 0 {
			lacking = append(lacking, "Not known of every role: "+strings.Join(f.oneSided, ", ")+".")
		}
		status := inPart
		if lacking == nil {
			status = answered
		}
		return answer(status, strings.Join(lacking, " "), inFile("tables/table1.arrow"), inSection("patients"))
	}},
	{"20c", partResults, "Evaluation patients beside development patients", assessment, func(f tripodFacts) tripodAnswer {
		const remark = "Standardised differences train-tune and train-test."
		if f.train == 0 {
			return answer(inPart, "The patients whom the network was developed on are not in this run: only tune and test stand side by side.", inFile("tables/table1.arrow"), inSection("patients"))
		}
		where := []tripodPlace{inFile("tables/table1.arrow"), inSection("patients")}
		if one := append(slices.Clone(f.absent), f.oneSided...); len(one) > 0 && f.source != SourcePhantom {
			return answer(inPart, remark+" Cannot be compared: "+strings.Join(one, ", ")+".", where...)
		}
		return answer(answered, remark, where...)
	}},
	{"21", partResults, "Patients and events in each analysis", both,
		always(answered, "", inFile("tables/metrics.arrow"), inSection("metrics"))},
	{"22", partResults, "The whole model, for others to use", development, withClinical(func(f tripodFacts) tripodAnswer {
		where := []tripodPlace{inConfig("network")}
		for _, seed := range f.seeds {
			where = append(where, inFile(strings.TrimPrefix(checkpointDir("", seed), "/")))
		}
		return answer(answered, "Layers in the config, weights in the checkpoints; `hounsfield predict` scores new patients with them.", where...)
	}, "The clinical models by their coefficients.", inFile("tables/clinical_models.arrow"))},
	{"23a", partResults, "Performance with intervals, in groups of people too", both, func(f tripodFacts) tripodAnswer {
		return answer(inPart, "Each number with n, deaths and its interval, where there is one; not by sex or age.", append([]tripodPlace{inSection("metrics"), f.figure("roc"), f.figure("kaplan-meier")}, f.analyses...)...)
	}},
	{"23b", partResults, "Differences between clusters", both, func(f tripodFacts) tripodAnswer {
		if f.cohorts == 1 {
			return answer(notApplicable, clustersNone)
		}
		if f.pooled {
			return answer(inPart, pooledRemark, append(f.analyses, f.figure("auc-by-role"), inSection("metrics"))...)
		}
		return answer(inPart, "The AUC of each cohort with its interval, no measure of heterogeneity.", f.figure("auc-by-role"), inSection("metrics"))
	}},
	{"24", partResults, "The updated model", assessment, always(notApplicable, "Nothing is updated after the test role has been opened.")},

	{"25", partDiscussion, "What the results mean", both, func(f tripodFacts) tripodAnswer {
		switch {
		case f.source == SourcePhantom:
			return answer(inPart, "A synthetic cohort judges the method; the true hazard is the most that is to be had. What follows is for the authors.", inSection("metrics"))
		case f.paper:
			return answer(inPart, "The published figures stand beside ours; what follows is for the authors.", inSection("paper"))
		default:
			return answer(notAvailable, "A run draws no conclusions. To be filled in by the authors.")
		}
	}},
	{"26", partDiscussion, "Limits of the study", both, func(f tripodFacts) tripodAnswer {
		if f.source == SourcePhantom {
			return answer(inPart, "The figures say nothing about real patients; other limits are for the authors.", inSection("method"))
		}
		return answer(notAvailable, "A run does not judge its own limits. To be filled in by the authors.")
	}},
	{"27a", partDiscussion, "Poor or missing input in use", development,
		always(inPart, "A scan that cannot be read or has no contour gets no score and a row with the reason; what to do then is for the authors.", inFile("tables/exclusions.arrow"))},
	{"27b", partDiscussion, "What users must do and know", development,
		always(inPart, "Somebody has to draw the tumour's contour and look at the picture of the cube; how skilled they must be is for the authors.", inSection("method"))},
	{"27c", partDiscussion, "Next steps", both, forAuthors("A run plans nothing.")},
}

func plural(n int, what string) string {
	if n == 1 {
		return "One " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
