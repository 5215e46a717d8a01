package analysis

// GeneSets are the settings of the analysis gene_sets.
type GeneSets struct {
}

func defaultGeneSets() GeneSets { return GeneSets{} }
