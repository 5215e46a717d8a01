package radiomics

// zoneFeatures are those of the grey level size zone matrix (voxels of one level that touch
// by any of 26 neighbours) and of the distance zone matrix (the shortest way from a zone to
// the border of the region, by faces; 1 is at the border).
func zoneFeatures(l *levels) []Feature {
	sizes, distances := newCounts(l.count), newCounts(l.count)
	away := l.borderDistance()
	seen := make([]bool, len(l.level))
	steps := l.neighbours()
	var stack []int
	for _, start := range l.voxels {
		if seen[start] {
			continue
		}
		g, size, nearest := l.level[start], 0, away[start]
		seen[start] = true
		for stack = append(stack[:0], start); len(stack) > 0; {
			i := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			size++
			nearest = min(nearest, away[i])
			for _, s := range steps {
				if k := i + s; l.level[k] == g && !seen[k] {
					seen[k] = true
					stack = append(stack, k)
				}
			}
		}
		sizes.add(g, size, 1)
		distances.add(g, nearest, 1)
	}
	voxels := float64(len(l.voxels))
	return append(
		sizes.summarise(voxels).features("glszm", called{{"SmallAreaEmphasis", "5QRC"}, {"LargeAreaEmphasis", "48P8"}, {"LowGrayLevelZoneEmphasis", "XMSY"}, {"HighGrayLevelZoneEmphasis", "5GN9"},
			{"SmallAreaLowGrayLevelEmphasis", "5RAI"}, {"SmallAreaHighGrayLevelEmphasis", "HW1V"}, {"LargeAreaLowGrayLevelEmphasis", "YH51"}, {"LargeAreaHighGrayLevelEmphasis", "J17V"},
			{"GrayLevelNonUniformity", "JNSA"}, {"GrayLevelNonUniformityNormalized", "Y1RO"}, {"SizeZoneNonUniformity", "4JP3"}, {"SizeZoneNonUniformityNormalized", "VB3A"},
			{"ZonePercentage", "P30P"}, {"GrayLevelVariance", "BYLV"}, {"ZoneVariance", "3NSA"}, {"ZoneEntropy", "GU8N"}}),
		distances.summarise(voxels).features("gldzm", called{{"SmallDistanceEmphasis", "0GBI"}, {"LargeDistanceEmphasis", "MB4I"}, {"LowGrayLevelZoneEmphasis", "S1RA"}, {"HighGrayLevelZoneEmphasis", "K26C"},
			{"SmallDistanceLowGrayLevelEmphasis", "RUVG"}, {"SmallDistanceHighGrayLevelEmphasis", "DKNJ"}, {"LargeDistanceLowGrayLevelEmphasis", "A7WM"}, {"LargeDistanceHighGrayLevelEmphasis", "KLTH"},
			{"GrayLevelNonUniformity", "VFT7"}, {"GrayLevelNonUniformityNormalized", "7HP3"}, {"ZoneDistanceNonUniformity", "V294"}, {"ZoneDistanceNonUniformityNormalized", "IATH"},
			{"ZonePercentage", "VIWW"}, {"GrayLevelVariance", "QK93"}, {"ZoneDistanceVariance", "7WT1"}, {"ZoneDistanceEntropy", "GBDU"}})...)
}

// borderDistance is how many steps through faces lead out of the region, voxel by voxel.
func (r *region) borderDistance() []int {
	away := make([]int, len(r.in))
	faces := []int{1, -1, r.size[0], -r.size[0], r.size[0] * r.size[1], -r.size[0] * r.size[1]}
	var front, next []int
	for _, i := range r.voxels {
		for _, s := range faces {
			if !r.in[i+s] {
				away[i] = 1
				front = append(front, i)
				break
			}
		}
	}
	for d := 2; len(front) > 0; d++ {
		next = next[:0]
		for _, i := range front {
			for _, s := range faces {
				if k := i + s; r.in[k] && away[k] == 0 {
					away[k] = d
					next = append(next, k)
				}
			}
		}
		front, next = next, front
	}
	return away
}
