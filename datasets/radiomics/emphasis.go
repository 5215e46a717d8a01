package radiomics

// counts is how often a level i (1..rows) goes with a size j (1..): the length of a run, the
// voxels of a zone, its distance to the border, or the dependence of a voxel.
type counts struct {
	of   []map[int]float64 // by level
	most int               // the largest size
}

func newCounts(rows int) *counts { return &counts{of: make([]map[int]float64, rows+1)} }

func (c *counts) add(level, size int, n float64) {
	if c.of[level] == nil {
		c.of[level] = map[int]float64{}
	}
	c.of[level][size] += n
	c.most = max(c.most, size)
}

// merge adds the counts of another.
func (c *counts) merge(o *counts) {
	for i, row := range o.of {
		for j, n := range row {
			c.add(i, j, n)
		}
	}
}

// emphasis are the features that runs, zones, distances and dependences have in common.
type emphasis struct {
	small, large                               float64
	lowLevel, highLevel                        float64
	smallLow, smallHigh, largeLow, largeHigh   float64
	levelNonUniformity, levelNonUniformityNorm float64
	sizeNonUniformity, sizeNonUniformityNorm   float64
	percentage                                 float64
	levelVariance, sizeVariance                float64
	entropy, energy                            float64
}

// summarise computes them; voxels is how many there could have been.
func (c *counts) summarise(voxels float64) emphasis {
	var e emphasis
	total := 0.0
	bySize := make([]float64, c.most+1)
	var meanLevel, meanSize float64
	// In the order of levels and sizes, so that sums have the same last digit in every run.
	each := func(do func(level, size, n float64)) {
		for i, row := range c.of {
			if row == nil {
				continue
			}
			for j := 1; j <= c.most; j++ {
				if n, ok := row[j]; ok {
					do(float64(i), float64(j), n)
				}
			}
		}
	}
	byLevel := make([]float64, len(c.of))
	each(func(i, j, n float64) {
		total += n
		bySize[int(j)] += n
		byLevel[int(i)] += n
		meanLevel, meanSize = meanLevel+i*n, meanSize+j*n
	})
	meanLevel, meanSize = meanLevel/total, meanSize/total
	each(func(i, j, n float64) {
		p := n / total
		ii, jj := i*i, j*j
		e.small, e.large = e.small+p/jj, e.large+p*jj
		e.lowLevel, e.highLevel = e.lowLevel+p/ii, e.highLevel+p*ii
		e.smallLow, e.smallHigh = e.smallLow+p/(ii*jj), e.smallHigh+p*ii/jj
		e.largeLow, e.largeHigh = e.largeLow+p*jj/ii, e.largeHigh+p*ii*jj
		e.levelVariance, e.sizeVariance = e.levelVariance+(i-meanLevel)*(i-meanLevel)*p, e.sizeVariance+(j-meanSize)*(j-meanSize)*p
		e.entropy, e.energy = e.entropy+bits(p), e.energy+p*p
	})
	for _, n := range byLevel {
		e.levelNonUniformity += n * n / total
	}
	for _, n := range bySize {
		e.sizeNonUniformity += n * n / total
	}
	e.levelNonUniformityNorm, e.sizeNonUniformityNorm = e.levelNonUniformity/total, e.sizeNonUniformity/total
	e.percentage = total / voxels
	return e
}

// called is what a family calls the features: name and IBSI code, in the order of values.
type called [][2]string

// features names them for a family.
func (e emphasis) features(family string, names called) []Feature {
	values := []float64{e.small, e.large, e.lowLevel, e.highLevel, e.smallLow, e.smallHigh, e.largeLow, e.largeHigh,
		e.levelNonUniformity, e.levelNonUniformityNorm, e.sizeNonUniformity, e.sizeNonUniformityNorm, e.percentage, e.levelVariance, e.sizeVariance, e.entropy, e.energy}
	out := make([]Feature, len(names))
	for k, n := range names {
		out[k] = Feature{Family: family, Name: n[0], IBSI: n[1], Value: values[k]}
	}
	return out
}
