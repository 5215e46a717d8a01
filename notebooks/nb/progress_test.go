package nb

import (
	"strings"
	"testing"
	"time"
)

// TestProgressFollowsTheLines: what experiments say becomes a bar and the last lines.
func TestProgressFollowsTheLines(t *testing.T) {
	p := &meter{begun: time.Now()}
	p.say("run folder <x>")
	p.say("training network 1 of 3 (seed 1): tune AUC 0.612: 4 of 30, about 40s left")
	for _, part := range []string{"run folder &lt;x&gt;", `<progress max="30" value="4">`, "tune AUC 0.612: 4 of 30, about 40s left", "interrupt the kernel to stop"} {
		if got := p.html(true); !strings.Contains(got, part) {
			t.Errorf("%s\nlacks %q", got, part)
		}
	}
	p.say("training network 1 of 3 (seed 1): best tune AUC 0.7 at epoch 9; epochs: 30 in 1m0s")
	got := p.html(false)
	if strings.Contains(got, "<progress") || strings.Contains(got, "running for") || !strings.Contains(got, "epochs: 30 in 1m0s") {
		t.Errorf("when it is done it shows %s", got)
	}
	for range 2 * saidLines {
		p.say("a line")
	}
	if len(p.lines) != saidLines {
		t.Errorf("%d lines stay", len(p.lines))
	}
}
