package phantom

import (
	"fmt"
	"math"
)

// Expression is gene expression of the whole cohort, with gene sets whose truth is known.
type Expression struct {
	Genes    []string  // ids, in the manner of Entrez
	Patients []string  // ids, in the order of subjects
	Values   []float64 // genes x patients, one gene after the other; log2 scale
	Sets     []GeneSet // those that follow the hazard first
}

// GeneSet is a named list of genes.
type GeneSet struct {
	Name, Description string
	Genes             []string
	// Correlation is the mean of the true correlations of its genes with the log hazard:
	// positive sets are higher in patients who die sooner, 0 is a null set.
	Correlation float64
}

// plantedSets are the sets that follow the hazard.
var plantedSets = [...]struct {
	name, description string
	size              int
	correlation       float64
}{
	{"PHANTOM_CELL_CYCLE", "higher in patients at high hazard", 40, 0.45},
	{"PHANTOM_TRANSCRIPTION", "higher in patients at high hazard, less so", 36, 0.30},
	{"PHANTOM_IMMUNE_RESPONSE", "lower in patients at high hazard", 32, -0.40},
	{"PHANTOM_SURFACTANT_METABOLISM", "lower in patients at high hazard, less so", 24, -0.25},
}

const (
	firstGene   = 900001 // beyond the ids in use, so that no phantom gene passes for a real one
	minGenes    = 200    // the planted genes and enough others for null sets
	nullSetMin  = 10
	nullSetMax  = 60
	geneMean    = 7.5
	geneSpread  = 1.5
	spreadOfSDs = 0.3
)

// Expression makes the matrix. Genes outside the planted sets know nothing of the hazard.
// The sets, and what is common to all patients in a gene, are the same in both groups.
func (p *Phantom) Expression() *Expression {
	e := &Expression{}
	genes := p.spec.Expression.Genes
	for g := range genes {
		e.Genes = append(e.Genes, fmt.Sprint(firstGene+g))
	}
	// Planted genes are the first ones of a random order of all.
	r := stream(p.genes, forExpressionSets, 0)
	order := r.Perm(genes)
	follows := make([]float64, genes)
	names := func(places []int) []string {
		out := make([]string, len(places))
		for i, g := range places {
			out[i] = e.Genes[g]
		}
		return out
	}
	for _, s := range plantedSets {
		for i, g := range order[:s.size] {
			// From 0.7 to 1.3 of the mean, evenly: some genes of a set follow more than others.
			follows[g] = s.correlation * (0.7 + 0.6*float64(i)/float64(s.size-1))
		}
		e.Sets = append(e.Sets, GeneSet{Name: s.name, Description: s.description, Genes: names(order[:s.size]), Correlation: s.correlation})
		order = order[s.size:]
	}
	for n := len(e.Sets); n < p.spec.Expression.Sets; n++ {
		size := min(nullSetMin+r.IntN(nullSetMax-nullSetMin+1), len(order))
		r.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		e.Sets = append(e.Sets, GeneSet{Name: fmt.Sprintf("PHANTOM_NULL_%03d", n+1-len(plantedSets)), Description: "knows nothing of the hazard", Genes: names(order[:size])})
	}

	mean, sd := make([]float64, genes), make([]float64, genes)
	for g := range genes {
		r := stream(p.genes, forExpressionGene, g)
		mean[g] = geneMean + geneSpread*r.NormFloat64()
		sd[g] = 0.8 * math.Exp(spreadOfSDs*r.NormFloat64())
	}
	hazard := standardise(p.TrueRisk())
	n := p.Len()
	e.Values = make([]float64, genes*n)
	for i := range n {
		e.Patients = append(e.Patients, p.Subject(i).Patient.ID)
		r := stream(p.spec.Seed, forExpressionPatient, i)
		for g := range genes {
			e.Values[g*n+i] = mean[g] + sd[g]*(follows[g]*hazard[i]+math.Sqrt(1-follows[g]*follows[g])*r.NormFloat64())
		}
	}
	return e
}

// standardise shifts and scales to mean 0 and standard deviation 1; values that are all
// the same become 0.
func standardise(x []float64) []float64 {
	mean, square := 0.0, 0.0
	for _, v := range x {
		mean += v / float64(len(x))
	}
	for _, v := range x {
		square += (v - mean) * (v - mean) / float64(len(x))
	}
	out := make([]float64, len(x))
	if square > 0 {
		for i, v := range x {
			out[i] = (v - mean) / math.Sqrt(square)
		}
	}
	return out
}
