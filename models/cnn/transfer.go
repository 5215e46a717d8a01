package cnn

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
)

// freeze tells the network which layers learn, and whether the others keep their running averages. No gradient is
// computed below the lowest layer that learns.
func (n *network) freeze(groups map[string]group, keepAverages bool) {
	n.fixed = map[string]bool{}
	n.lowest = len(n.layers)
	for i, l := range n.layers {
		if groups[l.name].frozen {
			n.fixed[l.name] = keepAverages
		} else {
			n.lowest = min(n.lowest, i)
		}
	}
}

// CheckInit tells whether a network with this spec can begin with a trained one: both average their input alike, and
// each layer that is not in Reinit has the same arrays in both, all of them finite. Only layers' names and shapes count.
//
// Errors: *SpecError for settings that do not fit the spec or init, *DataError that lists every layer that does not
// fit, with both shapes.
func (c TrainConfig) CheckInit(s Spec, init *Model) error {
	s, err := c.outputs(s)
	if err != nil {
		return err
	}
	layers, err := s.layers()
	if err != nil {
		return err
	}
	groups, err := c.groups(layers)
	if err != nil {
		return err
	}
	_, err = c.initialValues(&network{spec: s, layers: layers}, groups, init)
	return err
}

// initialValues returns the arrays of init that training begins with, nil without InitFrom.
func (c TrainConfig) initialValues(n *network, groups map[string]group, init *Model) ([]Array, error) {
	switch {
	case c.InitFrom == "" && init == nil:
		return nil, nil
	case c.InitFrom == "":
		return nil, &SpecError{"init_from", `""`, "the name of the run whose network training is given to begin with"}
	case init == nil:
		return nil, &DataError{What: "the network of " + c.InitFrom, Problem: "is not given", Next: "load it and give it as Options.Init"}
	case init.Spec.InputPool != n.spec.InputPool:
		return nil, &DataError{What: "the network of " + c.InitFrom,
			Problem: fmt.Sprintf("averages its input over %d^3 voxels, this one over %d^3", init.Spec.InputPool, n.spec.InputPool),
			Next:    "use the same input_pool: its filters know no other size of voxels"}
	}
	given := map[string]Array{}
	for _, a := range init.Weights {
		given[a.Name] = a
	}
	var values []Array
	var wrong []string
	for _, l := range n.layers {
		if groups[l.name].reinit {
			continue
		}
		for _, v := range n.arraysOf(l) {
			name := l.name + "/" + v.name
			a, ok := given[name]
			switch {
			case !ok:
				wrong = append(wrong, fmt.Sprintf("%s: wanted %v, found none", name, v.dims))
			case !slices.Equal(a.Dims, v.dims) || len(a.Values) != v.size():
				wrong = append(wrong, fmt.Sprintf("%s: wanted %v, found %v", name, v.dims, a.Dims))
			default:
				for i, x := range a.Values {
					if x-x != 0 { // NaN or infinite
						wrong = append(wrong, fmt.Sprintf("%s: value %d is %v", name, i, x))
						break
					}
				}
				values = append(values, a)
			}
		}
	}
	if len(wrong) > 0 {
		return nil, &DataError{What: "the network of " + c.InitFrom, Problem: "does not fit this one (" + strings.Join(wrong, "; ") + ")",
			Next: "name the layers that should begin anew in reinit, or use a network of the same shapes"}
	}
	return values, nil
}

// arrayShape is what one array of a layer is called and how large it is.
type arrayShape struct {
	name string
	dims []int
}

func (a arrayShape) size() int {
	size := 1
	for _, d := range a.dims {
		size *= d
	}
	return size
}

// arraysOf lists a layer's arrays.
func (n *network) arraysOf(l layer) []arrayShape {
	vector := []int{l.out}
	return []arrayShape{{varWeights, n.weightDims(l)}, {varBias, vector}, {varScale, vector}, {varOffset, vector},
		{varMean, vector}, {varVariance, vector}}
}

// setArrays writes arrays into variables of the store.
func setArrays(store *model.Store, values []Array) error {
	for _, a := range values {
		if err := store.GetVariable("/" + a.Name).SetValue(tensors.FromFlatDataAndDimensions(slices.Clone(a.Values), a.Dims...)); err != nil {
			return fmt.Errorf("setting %s: %w", a.Name, err)
		}
	}
	return nil
}
