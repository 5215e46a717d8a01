package radiomics

// runFeatures are those of the grey level run length matrix: how many voxels of one level
// follow each other in each of 13 directions.
func runFeatures(l *levels, merge bool) []Feature {
	names := called{{"ShortRunEmphasis", "22OV"}, {"LongRunEmphasis", "W4KF"}, {"LowGrayLevelRunEmphasis", "V3SW"}, {"HighGrayLevelRunEmphasis", "G3QZ"},
		{"ShortRunLowGrayLevelEmphasis", "HTZT"}, {"ShortRunHighGrayLevelEmphasis", "GD3A"}, {"LongRunLowGrayLevelEmphasis", "IVPO"}, {"LongRunHighGrayLevelEmphasis", "3KUM"},
		{"GrayLevelNonUniformity", "R5YN"}, {"GrayLevelNonUniformityNormalized", "OVBL"}, {"RunLengthNonUniformity", "W92Y"}, {"RunLengthNonUniformityNormalized", "IC23"},
		{"RunPercentage", "9ZK5"}, {"GrayLevelVariance", "8CE5"}, {"RunVariance", "SXLW"}, {"RunEntropy", "HJ9O"}}
	voxels := float64(len(l.voxels))
	all := newCounts(l.count)
	var each [][]Feature
	for _, d := range directions {
		c, step := newCounts(l.count), l.step(d)
		for _, i := range l.voxels {
			g := l.level[i]
			if l.level[i-step] == g {
				continue // not the first of its run
			}
			length := 1
			for k := i + step; l.level[k] == g; k += step {
				length++
			}
			c.add(g, length, 1)
		}
		if merge {
			all.merge(c)
		} else {
			each = append(each, c.summarise(voxels).features("glrlm", names))
		}
	}
	if merge {
		return all.summarise(voxels*float64(len(directions))).features("glrlm", names)
	}
	return mean(each)
}
