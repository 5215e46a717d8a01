package experiments

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"hounsfield/models/engine"
	"hounsfield/models/engine/install"
)

func TestBackends(t *testing.T) {
	var text, data bytes.Buffer
	for asJSON, w := range map[bool]*bytes.Buffer{false: &text, true: &data} {
		if err := Backends(context.Background(), asJSON, nil, w); err != nil {
			t.Fatal(err)
		}
	}
	var got struct {
		Auto    string
		Why     string
		Engines []backendRow
	}
	if err := json.Unmarshal(data.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	usable := map[string]bool{}
	for _, r := range got.Engines {
		usable[r.Engine] = r.Usable
		if r.Usable != (r.Problem == "") || r.Usable != (r.Test != nil) || !strings.Contains(text.String(), "\n"+r.Engine+" ") {
			t.Errorf("%+v", r)
		}
	}
	if len(got.Engines) != 5 || !usable[engine.Go] || !usable[got.Auto] || !strings.HasPrefix(got.Why, "auto chose "+got.Auto) {
		t.Errorf("%+v", got)
	}
}

func TestSetupRefuses(t *testing.T) {
	for _, o := range []SetupOptions{{Engine: "go"}, {Engine: "onnx", CUDA: true}} {
		var refused *install.Error
		if err := Setup(context.Background(), o, nil, &bytes.Buffer{}); !errors.As(err, &refused) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}
