package analysis

// Activation are the settings of the analysis activation.
type Activation struct {
}

func defaultActivation() Activation { return Activation{} }
