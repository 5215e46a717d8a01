package experiments

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"hounsfield/bench"
)

// PeerError says that the framework to compare with cannot run.
type PeerError struct {
	Peer    string
	Problem string
	Next    string
	Err     error // may be nil
}

func (e *PeerError) Error() string {
	s := fmt.Sprintf("peer %s: %s", e.Peer, e.Problem)
	if e.Err != nil {
		s += fmt.Sprintf(" (%v)", e.Err)
	}
	return s + "; " + e.Next
}

func (e *PeerError) Unwrap() error { return e.Err }

// peer is another framework's program and the interpreter that has it.
type peer struct {
	name, python, program string
}

var peerPrograms = map[string]string{"torch": bench.TorchStep, "jax": bench.JAXStep}

// findPeer takes the interpreter given, or the first that can import the framework. Errors: *PeerError.
func findPeer(ctx context.Context, name, python string) (*peer, error) {
	candidates := []string{python}
	if python == "" {
		candidates = []string{"python3", "/usr/bin/python3"} // a user's own first; distributions put torch into the other
	}
	var tried []string
	for _, c := range candidates {
		path, err := exec.LookPath(c)
		if err == nil {
			var out []byte
			if out, err = exec.CommandContext(ctx, path, "-c", "import "+name).CombinedOutput(); err == nil {
				return &peer{name: name, python: path, program: peerPrograms[name]}, nil
			}
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if said := lastLines(string(out), 1); said != "" {
				err = errors.New(said)
			}
		}
		if said := fmt.Sprintf("%s: %v", c, err); !slices.Contains(tried, said) {
			tried = append(tried, said)
		}
	}
	next := "install it (pip install " + name + ")"
	if name == "torch" {
		next = "install it (Debian: apt install python3-torch; elsewhere: pip install torch)"
	}
	return nil, &PeerError{Peer: name, Problem: "no interpreter can import it: " + strings.Join(tried, "; "),
		Next: next + ", or name an interpreter that has it with --python, or leave out --vs"}
}

// peerDevice is where the peer runs beside an engine: cuda or cpu.
func peerDevice(engine string) string {
	if strings.HasSuffix(engine, ":cuda") {
		return "cuda"
	}
	return "cpu"
}

// run measures the peer once. Errors: *PeerError, the context's.
func (p *peer) run(ctx context.Context, o BenchOptions, batch int, device string) (Timing, error) {
	args := []string{"-c", p.program, "--device", device, "--batch", strconv.Itoa(batch), "--steps", strconv.Itoa(o.Steps),
		"--threads", strconv.Itoa(o.Threads), "--scale", strconv.FormatFloat(o.Scale, 'g', -1, 64), "--precision", plain(o.Settings).Precision}
	if device == "cuda" {
		args = append(args, "--layout", "ndhwc")
		if os.Getenv("NVIDIA_TF32_OVERRIDE") != "0" {
			args = append(args, "--tf32")
		}
	}
	if o.Settings.Deterministic {
		args = append(args, "--deterministic")
	}
	t, err := o.timing(ctx, exec.Command(p.python, args...))
	if failed := (*childError)(nil); errors.As(err, &failed) {
		return t, &PeerError{Peer: p.name, Problem: "failed in " + p.python, Next: "run again without --vs, or mend it", Err: err}
	}
	return t, err
}
