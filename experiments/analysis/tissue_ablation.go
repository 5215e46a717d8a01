package analysis

// TissueAblation are the settings of the analysis tissue_ablation.
type TissueAblation struct {
}

func defaultTissueAblation() TissueAblation { return TissueAblation{} }
