package cnn

// Save writes a network that was not trained here into a folder, as a training that ended with it would leave it: Load
// and everything else that reads checkpoints takes it from there. The one epoch in its history has no losses.
//
// Errors: *DataError for arrays that do not suit the network; *SpecError, *CheckpointError.
func (m *Model) Save(dir string) error {
	store, err := m.store()
	if err != nil {
		return err
	}
	defer store.Finalize()
	n, err := newNetwork(m.Spec, plan{})
	if err != nil {
		return err
	}
	s := state{Spec: m.Spec, Config: DefaultTrainConfig(), Epoch: 1, History: []EpochRecord{unmeasured(1)}}
	s.Config.MaxEpochs = 1
	if m.Intervals != nil {
		s.Config.Loss, s.Config.Intervals = LossDiscreteTime, m.Intervals
	}
	if s.Best, err = snapshot(store, n.isWeight); err != nil {
		return err
	}
	s.Variables = s.Best
	return s.save(dir)
}
