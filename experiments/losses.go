package experiments

import (
	"fmt"

	"hounsfield/experiments/figure"
)

// lossesName is the figure of the training history: drawn anew after every epoch while a
// run goes on, and at its end.
const lossesName = "losses"

// drawLosses draws the history of all networks so far into the run folder.
func (r *runner) drawLosses() error {
	svg, err := r.lossesSVG()
	if err != nil {
		return err
	}
	return writeFile(r.folder.path("figures", lossesName+".svg"), svg)
}

// lossesSVG draws the history of all networks, those that have not begun included.
func (r *runner) lossesSVG() ([]byte, error) {
	plot := figure.TrainingPlot{}
	if r.cfg.Training.Survival() {
		plot.Measure = "C"
	}
	for k, seed := range r.cfg.Seeds {
		t := figure.Training{Name: fmt.Sprintf("seed %d", seed)}
		if k < len(r.histories) {
			for _, e := range r.histories[k] {
				judged := e.TuneAUC
				if r.cfg.Training.Survival() {
					judged = e.TuneConcordance
				}
				t.Loss, t.TuneLoss = append(t.Loss, e.TrainLoss), append(t.TuneLoss, e.TuneLoss)
				t.Tune, t.Rate = append(t.Tune, judged), append(t.Rate, e.LearningRate)
				if e.Best {
					t.Best = e.Epoch
				}
			}
		}
		plot.Runs = append(plot.Runs, t)
	}
	return figure.History(plot)
}

func (r *runner) lossesFigure(*study, *evaluation) (*drawn, error) {
	if r.histories == nil {
		return nil, nil
	}
	svg, err := r.lossesSVG()
	judged := "AUC"
	if r.cfg.Training.Survival() {
		judged = "C-index (Harrell)"
	}
	return &drawn{lossesName, "Training loss, tune loss, the tune role's " + judged + " and the learning rate by epoch; the dot marks the epoch whose weights were kept.", svg}, err
}
