package forest_test

import (
	"fmt"
	"math/rand/v2"

	"hounsfield/models/forest"
)

func ExampleFit() {
	// x[feature][patient]: the first feature decides, the second is noise.
	rng := rand.New(rand.NewPCG(1, 0))
	x, died := make([][]float64, 2), []bool(nil)
	for range 200 {
		volume, noise := rng.Float64(), rng.Float64()
		x[0], x[1] = append(x[0], volume), append(x[1], noise)
		died = append(died, rng.Float64() < volume)
	}
	f, err := forest.Fit(x, []string{"volume", "noise"}, died, forest.Options{Seed: 1, Permutation: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	risk, err := f.Predict([][]float64{{0.1, 0.9}, {0.5, 0.5}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("small tumour %.1f, large %.1f\n", risk[0], risk[1])
	fmt.Printf("out-of-bag AUC %.1f\n", f.OutOfBag().AUC)
	for _, v := range f.Importance() {
		fmt.Println(v.Name, v.Permutation > 0.05)
	}
	// Output:
	// small tumour 0.1, large 0.9
	// out-of-bag AUC 0.8
	// volume true
	// noise false
}
