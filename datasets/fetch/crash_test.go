package fetch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// job is what a child process fetches.
type job struct {
	URL, Dest string
	Items     []Item
	Dies      int // at that step, by its own SIGKILL; 0 = never
	Refresh   bool
	Jobs      int
	Limit     uint64 // of the length of a file: the disk is full there
	Steps     string // a file to write the names of the steps to, each on a line
}

const childVariable = "FETCH_TEST_CHILD"

// TestMain is also the child: a process that can be killed.
func TestMain(m *testing.M) {
	if text := os.Getenv(childVariable); text != "" {
		child(text)
		return
	}
	os.Exit(m.Run())
}

func child(text string) {
	var j job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		panic(err)
	}
	if j.Limit > 0 {
		signal.Ignore(syscall.SIGXFSZ)
		limit := syscall.Rlimit{Cur: j.Limit, Max: j.Limit}
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
			panic(err)
		}
	}
	urls := make(map[string]string)
	for _, it := range j.Items {
		urls[it.Path] = j.URL + "/" + strings.TrimPrefix(it.Path, "set/")
	}
	client := newImpatient(ClientOptions{}).Client
	o := Options{Dest: j.Dest, Client: client, Acceptance: accepted, Refresh: j.Refresh, Jobs: j.Jobs}
	var steps []string
	if j.Jobs == 1 {
		o.at = func(step string) {
			if steps = append(steps, step); len(steps) == j.Dies {
				os.WriteFile(j.Steps, []byte(strings.Join(steps, "\n")), 0o644)
				syscall.Kill(os.Getpid(), syscall.SIGKILL)
				time.Sleep(time.Minute) // the kernel is not that slow
			}
		}
	}
	_, err := Run(context.Background(), "set", HTTPFiles(o.Client, j.Items, urls), o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	if j.Steps != "" {
		os.WriteFile(j.Steps, []byte(strings.Join(steps, "\n")), 0o644)
	}
}

func (j job) start(t testing.TB) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	text, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(os.Args[0], "-test.run=^$")
	child.Env = append(os.Environ(), childVariable+"="+string(text))
	var out bytes.Buffer
	child.Stdout, child.Stderr = &out, &out
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	return child, &out
}

// run says whether the child was killed; any other end but a good one is an error.
func (j job) run(t testing.TB) (killed bool) {
	t.Helper()
	child, out := j.start(t)
	err := child.Wait()
	if err == nil {
		return false
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
		return true
	}
	t.Fatalf("%v: %s", err, out)
	return false
}

// What a crash leaves is judged by its final names: nothing wrong lies there.
func wantNothingWrong(t testing.TB, dest string, allowed ...map[string][]byte) {
	t.Helper()
	for name, sum := range tree(t, dest) {
		if strings.Contains("/"+name, "/.") {
			continue // on its way
		}
		ok := false
		for _, files := range allowed {
			ok = ok || files[name] != nil && sumOf(files[name]) == sum
		}
		if !ok {
			t.Errorf("%s has wrong bytes", name)
		}
	}
}

// serial is a shelf of a file, an archive and a file of which nothing is known.
func serial(t testing.TB, seed uint64) (s *shelf, items []Item, want map[string][]byte) {
	a, b := entry{name: "1.dcm", body: noise(seed, 9000)}, entry{name: "2.dcm", body: noise(seed+1, 7000)}
	files := map[string][]byte{"a": noise(seed+2, 20_000), "p/1.2.3": zipOf(t, a, b), "z": noise(seed+3, 15_000)}
	s = newShelf(t, files)
	items = []Item{{Path: "set/a", Size: 20_000, SHA256: sumOf(files["a"])},
		{Path: "set/p/1.2.3", Size: 16_000, Files: 2, Archive: true, SeriesUID: "1.2.3", Version: fmt.Sprint(seed)},
		{Path: "set/z", Size: -1, Version: fmt.Sprint(seed)}}
	return s, items, map[string][]byte{"set/a": files["a"], "set/p/1.2.3/1.dcm": a.body, "set/p/1.2.3/2.dcm": b.body, "set/z": files["z"]}
}

// A process that kills itself at each step there is, one after the other, first of a new folder and
// then of one that is being refreshed: under the final names lie only whole files at any time, and
// the next run ends as if nothing had happened.
func TestKilledAtEachStep(t *testing.T) {
	s, items, want := serial(t, 10)
	dest := t.TempDir()
	count := filepath.Join(t.TempDir(), "steps")
	if (job{URL: s.URL, Dest: dest, Items: items, Jobs: 1, Steps: count}).run(t) {
		t.Fatal("killed by somebody else")
	}
	steps := len(strings.Fields(string(mustRead(t, count))))
	if steps < 15 {
		t.Fatalf("only %d steps", steps)
	}
	newer, after, wantAfter := serial(t, 20)
	kills, aside := 0, 0
	for step := 1; step <= steps; step++ {
		for _, refresh := range []bool{false, true} {
			dest := t.TempDir()
			j := job{URL: s.URL, Dest: dest, Items: items, Jobs: 1, Steps: count}
			allowed := []map[string][]byte{want}
			end := want
			if refresh {
				o := options(t, dest)
				mustRun(t, s.source(o.Client, items, nil), o)
				j = job{URL: newer.URL, Dest: dest, Items: after, Jobs: 1, Refresh: true, Steps: count}
				allowed, end = append(allowed, wantAfter), wantAfter
			}
			from := s
			if refresh {
				from = newer
			}
			asked := from.count("a") + from.count("p/1.2.3") + from.count("z")
			j.Dies = step
			if j.run(t) {
				kills++
			}
			last := strings.Split(string(mustRead(t, count)), "\n")
			name := last[len(last)-1]
			wantNothingWrong(t, dest, allowed...)
			o := options(t, dest)
			if name == "put aside" {
				// The former files come back even if the source lists a third version by now.
				aside++
				third := slices.Clone(after)
				third[1].Version = "third"
				if r := mustRun(t, from.source(o.Client, third, nil), o); r.Rows[1].State != Changed {
					t.Errorf("%+v", r.Rows)
				}
				if got := tree(t, dest)["set/p/1.2.3/1.dcm"]; got != sumOf(want["set/p/1.2.3/1.dcm"]) {
					t.Error("the former files are gone")
				}
			}
			o.Refresh = refresh
			mustRun(t, from.source(o.Client, j.Items, nil), o)
			wantTree(t, dest, end)
			wantJournal(t, dest, "set/a", "set/p/1.2.3", "set/z")
			// What was whole when the process died is not asked for again.
			asked = from.count("a") + from.count("p/1.2.3") + from.count("z") - asked
			if most := 3 + map[string]int{"opened": 1, "written": 1}[name]; asked > most {
				t.Errorf("%d requests, want at most %d", asked, most)
			}
			if t.Failed() {
				t.Fatalf("killed at step %d of %d (%s), refresh: %v", step, steps, name, refresh)
			}
		}
	}
	if kills < steps || aside == 0 {
		t.Errorf("%d kills for %d steps, %d of them between two renames", kills, steps, aside)
	}
	t.Logf("%d kills, at each of %d steps; bytes lost: 0", kills, steps)
}

// A process that is killed after random numbers of bytes, again and again, until it ends: the files
// are right, and only what was on the line when it died comes twice.
func TestKilledAtRandomBytes(t *testing.T) {
	files := map[string][]byte{"big": noise(1, 3_000_000), "mid": noise(2, 700_000), "small": noise(3, 10_000)}
	s := newShelf(t, files)
	dest := t.TempDir()
	// The server sends a little, waits until that is on the child's disk, and kills it by itself.
	written := func(name string, n int) {
		for range 5000 {
			if info, err := os.Stat(filepath.Join(dest, "set", "."+name+endPartial)); err == nil && info.Size() >= int64(n) {
				return
			}
			time.Sleep(100 * time.Microsecond)
		}
	}
	var child *exec.Cmd
	random := rand.New(rand.NewPCG(7, 7))
	left := 0
	s.fault = func(w http.ResponseWriter, r *http.Request, name string, n int) bool {
		from := 0
		fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from)
		b := s.files[name]
		w.Header().Set("ETag", s.etags[name])
		w.Header().Set("Content-Length", fmt.Sprint(len(b)-from))
		if from > 0 {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(b)-1, len(b)))
			w.WriteHeader(http.StatusPartialContent)
		}
		for b = b[from:]; len(b) > 0; {
			k := min(len(b), 1+random.IntN(60_000))
			s.mu.Lock()
			die := left > 0 && left <= k
			if die {
				k = left
			}
			left -= k
			s.sent += int64(k)
			s.mu.Unlock()
			written(name, len(s.files[name])-len(b))
			w.Write(b[:k])
			w.(http.Flusher).Flush()
			if b = b[k:]; die {
				if random.IntN(2) == 0 { // what is on the line may arrive, or not
					time.Sleep(time.Duration(random.IntN(3000)) * time.Microsecond)
				}
				s.mu.Lock()
				victim := child
				s.mu.Unlock()
				victim.Process.Kill()
				<-r.Context().Done()
				return true
			}
		}
		return true
	}
	j := job{URL: s.URL, Dest: dest, Items: s.items(), Jobs: 1}
	kills := 0
	for ended := false; !ended; {
		if kills > 200 {
			t.Fatal("it does not end")
		}
		s.mu.Lock() // the server waits for it
		left = 1 + random.IntN(400_000)
		started, out := j.start(t)
		child = started
		s.mu.Unlock()
		err := started.Wait()
		if ended = err == nil; ended {
			break
		}
		if started.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("%v: %s", err, out)
		}
		kills++
		wantNothingWrong(t, dest, inSet(files))
	}
	wantTree(t, dest, inSet(files))
	wantJournal(t, dest, "set/big", "set/mid", "set/small")
	twice := s.sent - 3_710_000
	if kills < 8 || twice < 0 || twice > int64(kills)*60_000 {
		t.Errorf("%d kills, %d bytes came twice", kills, twice)
	}
	t.Logf("%d kills; of 3,710,000 bytes %d came twice (%d a kill); bytes lost: 0", kills, twice, twice/int64(max(1, kills)))
}

// A disk that fills up: the limit on a file's length stands in for it, both make write(2) fail
// half-way. It holds for the process, so a child does the fetching. Later there is room.
func TestDiskFull(t *testing.T) {
	s, items, want := serial(t, 30)
	for _, limit := range []uint64{100, 8_000, 16_100, 19_999} {
		dest := t.TempDir()
		j := job{URL: s.URL, Dest: dest, Items: items, Jobs: 1, Limit: limit}
		child, out := j.start(t)
		err := child.Wait()
		if err == nil || child.ProcessState.ExitCode() != 3 {
			t.Errorf("a limit of %d: %v, %s", limit, err, out)
		}
		if got := out.String(); !strings.Contains(got, "make room") {
			t.Errorf("a limit of %d: %q", limit, got)
		}
		wantNothingWrong(t, dest, want)
		o := options(t, dest)
		mustRun(t, s.source(o.Client, items, nil), o)
		wantTree(t, dest, want)
		wantJournal(t, dest, "set/a", "set/p/1.2.3", "set/z")
	}
}
