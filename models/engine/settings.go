package engine

import (
	"fmt"
	"slices"
	"strings"
)

// Settings say how networks run on an engine. The zero value is the default.
type Settings struct {
	// Lowering is how convolutions and pools are expressed: auto (the one that measured fastest on the engine),
	// columns (products with the input's shifted views), winograd (transformed products, see package cnn) or native
	// (the engine's own convolution). "" is auto.
	Lowering string `yaml:"lowering" json:"lowering"`

	// Precision of the products: float32, or bfloat16 with weights, normalisation and loss kept in float32. "" is
	// float32.
	Precision string `yaml:"precision" json:"precision"`

	// Devices is the number of the engine's devices to train on side by side; 0 is 1.
	Devices int `yaml:"devices" json:"devices"`

	// Deterministic asks for equal bytes from two runs also where the engine would trade that for speed (CUDA). The
	// CPU engines always are.
	Deterministic bool `yaml:"deterministic" json:"deterministic"`
}

// The values of Settings.Lowering and Settings.Precision.
const (
	Columns  = "columns"
	Winograd = "winograd"
	Native   = "native"

	Float32  = "float32"
	BFloat16 = "bfloat16"
)

// SettingError says which setting cannot be used.
type SettingError struct {
	Field   string // in YAML's spelling
	Value   any
	Allowed []string
}

func (e *SettingError) Error() string {
	return fmt.Sprintf("compute setting %s is %v: it must be %s", e.Field, e.Value, strings.Join(e.Allowed, ", "))
}

// Validate checks the settings. Errors: *SettingError.
func (s Settings) Validate() error {
	if allowed := []string{Auto, Columns, Winograd, Native}; s.Lowering != "" && !slices.Contains(allowed, s.Lowering) {
		return &SettingError{"lowering", s.Lowering, allowed}
	}
	if allowed := []string{Float32, BFloat16}; s.Precision != "" && !slices.Contains(allowed, s.Precision) {
		return &SettingError{"precision", s.Precision, allowed}
	}
	if s.Devices < 0 {
		return &SettingError{"devices", s.Devices, []string{"at least 1"}}
	}
	return nil
}
