package nb

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/janpfeifer/gonb/gonbui"
)

// TestContextEndsWithTheKernel: a cell whose kernel was killed stops by itself, so that the
// next kernel's cell finds the run's folder free. The kernel and the cell are this program
// again.
func TestContextEndsWithTheKernel(t *testing.T) {
	const part, place = "HOUNSFIELD_TEST_PART", "HOUNSFIELD_TEST_PLACE"
	again := func(as, ended string) *exec.Cmd {
		cmd := exec.Command(os.Args[0], "-test.run=^TestContextEndsWithTheKernel$")
		cmd.Env = append(os.Environ(), part+"="+as, place+"="+ended)
		return cmd
	}
	switch os.Getenv(part) {
	case "kernel":
		cell := again("cell", os.Getenv(place))
		cell.Stdout = os.Stdout
		cell.Run()
		return
	case "cell":
		gonbui.IsNotebook = true
		ctx := Context()
		os.Stdout.WriteString("begun\n")
		select {
		case <-ctx.Done():
			os.WriteFile(os.Getenv(place), nil, 0o644)
		case <-time.After(20 * time.Second):
		}
		os.Exit(0)
	}
	ended := filepath.Join(t.TempDir(), "ended")
	kernel := again("kernel", ended)
	said, err := kernel.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := kernel.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(said).ReadString('\n'); line != "begun\n" {
		t.Fatalf("the cell says %q, %v", line, err)
	}
	if _, err := os.Stat(ended); err == nil {
		t.Fatal("the cell's context ended while its kernel was there")
	}
	if err := kernel.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if _, err := os.Stat(ended); err == nil {
			kernel.Wait()
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Error("the cell goes on without its kernel")
}
