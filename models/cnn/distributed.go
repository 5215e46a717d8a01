package cnn

import (
	"errors"
	"fmt"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/distributed"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/core/tensors/dtensor"
	"github.com/gomlx/gomlx/ml/train"

	"hounsfield/models/engine"
)

// mesh spreads each batch evenly over several devices of one engine.
//
// It is GoMLX's AutoSharding (XLA's Shardy): the graph is the one of a single device on the whole batch, and the engine
// cuts it. So the batch's means and variances, the loss and the gradients are those of the whole batch, whatever the
// number of devices; sums differ in their order only. Weights and the optimiser's moments are kept whole on every device.
type mesh struct {
	devices []compute.DeviceNum
	cubes   *distributed.ShardingSpec // first axis over the devices
}

// meshAxis is the name of a mesh's only axis.
const meshAxis = "batch"

// newMesh returns nil for one device. That the engine has as many as its settings ask for was seen to when it was
// opened. Errors: *SpecError.
func newMesh(e *engine.Engine, cfg TrainConfig) (*mesh, error) {
	n := e.Settings.Devices
	if n <= 1 {
		return nil, nil
	}
	if cfg.Batch%n != 0 {
		return nil, &SpecError{"batch", cfg.Batch, fmt.Sprintf("a multiple of devices, %d, because each takes as many cubes", n)}
	}
	dm, err := distributed.NewDeviceMesh([]int{n}, []string{meshAxis})
	if err != nil {
		return nil, fmt.Errorf("mesh of %d devices: %w", n, err)
	}
	m := &mesh{}
	if m.cubes, err = distributed.BuildSpec(dm).S(meshAxis).Done(); err != nil {
		return nil, fmt.Errorf("mesh of %d devices: %w", n, err)
	}
	for i := range n {
		m.devices = append(m.devices, compute.DeviceNum(i))
	}
	return m, nil
}

// check tells whether a batch of so many cubes can be spread. Errors: *DataError.
func (m *mesh) check(cubes int) error {
	if m == nil || cubes%len(m.devices) == 0 {
		return nil
	}
	return &DataError{What: "a batch", Problem: fmt.Sprintf("has %d cubes for %d devices", cubes, len(m.devices)),
		Next: "let every batch, also the last of an epoch, have a multiple of them"}
}

// step is TrainStep on all devices of the mesh; with a nil mesh on the engine's first. It finalises the batch.
func (m *mesh) step(t *train.Trainer, batch train.Batch) ([]*tensors.Tensor, error) {
	if m == nil {
		return t.TrainStep(batch)
	}
	parts, err := m.spread(batch)
	if err := errors.Join(err, batch.Finalize()); err != nil {
		return nil, errors.Join(err, parts.Finalize())
	}
	return t.DistributedTrainStep(distributed.AutoSharding, m.devices, parts)
}

// spread cuts the batch's tensors along their first axis, a part for each device. With an error it returns what it has.
func (m *mesh) spread(batch train.Batch) (train.DistributedBatch, error) {
	parts := train.DistributedBatch{Spec: batch.Spec}
	for _, t := range batch.Inputs {
		d, err := dtensor.ShardTensor(m.cubes, t)
		if err != nil {
			return parts, err
		}
		parts.Inputs = append(parts.Inputs, d)
	}
	for _, t := range batch.Labels {
		d, err := dtensor.ShardTensor(m.cubes, t)
		if err != nil {
			return parts, err
		}
		parts.Labels = append(parts.Labels, d)
	}
	return parts, nil
}
