package analysis

// Settings are those of all analyses, the config's key analysis. Each analysis declares
// its own type and its defaults beside its code.
type Settings struct {
	TestRetest     TestRetest     `yaml:"test_retest"`
	InterReader    InterReader    `yaml:"inter_reader"`
	Activation     Activation     `yaml:"activation"`
	TissueAblation TissueAblation `yaml:"tissue_ablation"`
	GeneSets       GeneSets       `yaml:"gene_sets"`
	Clinical       Clinical       `yaml:"clinical"`
}

// Defaults are the settings of a config that names none.
func Defaults() Settings {
	return Settings{
		TestRetest:     defaultTestRetest(),
		InterReader:    defaultInterReader(),
		Activation:     defaultActivation(),
		TissueAblation: defaultTissueAblation(),
		GeneSets:       defaultGeneSets(),
		Clinical:       defaultClinical(),
	}
}
