//go:build !amd64 || goexperiment.simd

package main

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
)

// A question ends with its answer, with the end of the input, or with a Ctrl-C while it stands.
func TestAsk(t *testing.T) {
	for answer, want := range map[string]bool{"y\n": true, " YES \n": true, "n\n": false, "\n": false, "": false, "yes": true} {
		if got, err := ask(t.Context(), "Well? ", strings.NewReader(answer), io.Discard); got != want || err != nil {
			t.Errorf("%q: %v, %v", answer, got, err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	nobody, end := io.Pipe()
	defer end.Close()
	stop()
	if yes, err := ask(ctx, "Well? ", nobody, io.Discard); yes || !errors.Is(err, context.Canceled) {
		t.Errorf("after a Ctrl-C: %v, %v", yes, err)
	}
}

func TestBytesPerSecond(t *testing.T) {
	for text, want := range map[string]int64{"": 0, "500k": 500_000, "1.5M": 1_500_000, "2000": 2000, "1G": 1e9} {
		if got, err := bytesPerSecond(text); err != nil || got != want {
			t.Errorf("%q is %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"fast", "-1M", "0", "10", "1MB", "NaN", "1e9G", "k"} {
		if got, err := bytesPerSecond(text); err == nil {
			t.Errorf("%q is %d", text, got)
		}
	}
}

// What is typed next is what was typed, also where a shell would take it apart.
func TestTyped(t *testing.T) {
	old := os.Args
	defer func() { os.Args = old }()
	os.Args = []string{"/tmp/x/hounsfield", "fetch", "small", "--dest", "/my data/it's", "--jobs=2", ""}
	if got, want := typed(), `hounsfield fetch small --dest '/my data/it'\''s' --jobs=2 ''`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
