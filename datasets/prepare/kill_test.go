//go:build linux

package prepare

import (
	"compress/gzip"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// killsEnv is how many kills TestKilled tries, where it is more than a few.
const killsEnv = "HOUNSFIELD_TEST_KILLS"

// A run that is killed at any moment (SIGKILL, which nothing can catch), as often as one
// likes, leaves no half file under a final name, and is continued by the same command to the
// bytes of an undisturbed one.
func TestKilled(t *testing.T) {
	kills := 6
	if text := os.Getenv(killsEnv); text != "" {
		var err error
		if kills, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	root := t.TempDir()
	for i := range 4 {
		addPatient(t, root, fmt.Sprint(i), fmt.Sprint("P", i))
	}
	aged(t, root)
	task := childTask{Root: root, Out: t.TempDir(), Small: true, Keep: true, Patients: 4}
	start := time.Now()
	if out, err := task.command(t).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	takes := time.Since(start)
	want := contents(t, task.Out)
	if len(want) != 4*5+3 {
		t.Fatalf("%d files", len(want))
	}
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1)) // any moment
	hit, rounds, unfinished := 0, 0, 0
	for hit < kills && rounds < 20*kills {
		rounds++
		task.Out = t.TempDir()
		for range 3 { // one run after the other over the same folder
			cmd := task.command(t)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Duration(rng.Float64() * float64(takes)))
			if err := cmd.Process.Kill(); err != nil {
				break // it had ended
			}
			if cmd.Wait() != nil {
				hit++
				unfinished += wholeFiles(t, task.Out)
			}
		}
		if out, err := task.command(t).CombinedOutput(); err != nil {
			t.Fatalf("after a kill: %v: %s", err, out)
		}
		if got := contents(t, task.Out); !maps.Equal(got, want) {
			for name := range got {
				if got[name] != want[name] {
					t.Errorf("after a kill, %s is another", name)
				}
			}
			t.Fatalf("after a kill: %d files, want %d", len(got), len(want))
		}
		if err := os.RemoveAll(task.Out); err != nil {
			t.Fatal(err)
		}
	}
	if hit < kills/2 {
		t.Errorf("only %d of %d kills came before the end", hit, kills)
	}
	t.Logf("%d kills in %d folders, %d files unfinished under temporary names, none under its own; all folders came out the same", hit, rounds, unfinished)
}

// wholeFiles checks that every packed file that bears its name can be unpacked, and counts
// those that do not bear theirs yet.
func wholeFiles(t *testing.T, dir string) (unfinished int) {
	t.Helper()
	if err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if strings.HasPrefix(d.Name(), ".") {
			unfinished++
			return nil
		}
		if !strings.HasSuffix(path, ".gz") {
			return nil
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		z, err := gzip.NewReader(f)
		if err == nil {
			_, err = io.Copy(io.Discard, z)
		}
		if err != nil {
			t.Errorf("half a file: %s: %v", path, err)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return unfinished
}
