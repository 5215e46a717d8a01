package radiomics

// dependenceFeatures are those of the neighbouring grey level dependence matrix: how many of
// a voxel's neighbours have its level, itself counted.
func dependenceFeatures(l *levels) []Feature {
	c := newCounts(l.count)
	steps := l.neighbours()
	for _, i := range l.voxels {
		g, alike := l.level[i], 1
		for _, d := range steps {
			if l.level[i+d] == g {
				alike++
			}
		}
		c.add(g, alike, 1)
	}
	return c.summarise(float64(len(l.voxels))).features("gldm", called{{"SmallDependenceEmphasis", "SODN"}, {"LargeDependenceEmphasis", "IMOQ"}, {"LowGrayLevelEmphasis", "TL9H"}, {"HighGrayLevelEmphasis", "OAE7"},
		{"SmallDependenceLowGrayLevelEmphasis", "EQ3F"}, {"SmallDependenceHighGrayLevelEmphasis", "JA6D"}, {"LargeDependenceLowGrayLevelEmphasis", "NBZI"}, {"LargeDependenceHighGrayLevelEmphasis", "9QMG"},
		{"GrayLevelNonUniformity", "FP8K"}, {"GrayLevelNonUniformityNormalized", "5SPA"}, {"DependenceNonUniformity", "Z87G"}, {"DependenceNonUniformityNormalized", "OKJI"},
		{"DependencePercentage", "6XV8"}, {"GrayLevelVariance", "1PFV"}, {"DependenceVariance", "DNX2"}, {"DependenceEntropy", "FCBV"}, {"DependenceEnergy", "CAS9"}})
}
