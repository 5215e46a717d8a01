//go:build linux

package prepare

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"hounsfield/datasets/volume"
)

// childEnv makes the test binary prepare a folder and end: a process of its own,
// whose time and memory the system counts, and which can be killed.
const childEnv = "HOUNSFIELD_TEST_PREPARE"

type childTask struct {
	Root, Out string
	Keep      bool
	Patients  int    // how many must come out prepared
	Limit     uint64 // bytes that no file may grow beyond; 0 is none
	Small     bool   // the cube of the small made scans
}

func (c childTask) options() Options {
	o := Options{Root: c.Root, Out: c.Out, Rule: rule, Cube: volume.CubeSpec{Size: 50, SpacingMM: 1, Margin: 10}, KeepVolumes: c.Keep}
	if c.Small {
		o.Cube, o.Cohort, o.panel = spec, "made", smallPanel
	}
	return o
}

// command is the test binary on its task.
func (c childTask) command(t testing.TB) *exec.Cmd {
	t.Helper()
	task, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+string(task))
	return cmd
}

func TestMain(m *testing.M) {
	task := os.Getenv(childEnv)
	if task == "" {
		os.Exit(m.Run())
	}
	var c childTask
	err := json.Unmarshal([]byte(task), &c)
	if err == nil && c.Limit > 0 {
		err = limitFiles(c.Limit)
	}
	if err == nil {
		var s Summary
		if s, err = Run(context.Background(), c.options()); err == nil && s.Prepared != c.Patients {
			err = fmt.Errorf("%d and not %d were prepared: %+v", s.Prepared, c.Patients, s)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// cost is what processes took: wall seconds, processor seconds, peak memory in MB.
type cost struct{ wall, cpu, peak float64 }

func (c *cost) add(b *testing.B, cmd *exec.Cmd) {
	b.Helper()
	start := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		b.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	c.wall += time.Since(start).Seconds()
	c.cpu += (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		c.peak = max(c.peak, float64(u.Maxrss)/1024)
	}
}

func (c *cost) join(other cost) {
	c.wall, c.cpu, c.peak = c.wall+other.wall, c.cpu+other.cpu, max(c.peak, other.peak)
}

// plastimatch is what that program takes for the 1 mm volumes of a patient with the region
// GTV-1, through files of a kind.
func plastimatch(b *testing.B, root, kind string) (c cost) {
	b.Helper()
	dir := b.TempDir()
	ct, masks, mask := filepath.Join(dir, "ct."+kind), filepath.Join(dir, "masks"), filepath.Join(dir, "masks", "GTV-1."+kind)
	for _, args := range [][]string{
		{"convert", "--input", filepath.Join(root, "CT"), "--output-img", ct},
		{"convert", "--input", filepath.Join(root, "RTSTRUCT", "1-1.dcm"), "--referenced-ct", filepath.Join(root, "CT"), "--output-prefix", masks, "--prefix-format", kind},
		{"resample", "--input", ct, "--output", filepath.Join(dir, "ct_1mm."+kind), "--spacing", "1 1 1"},
		{"resample", "--input", mask, "--output", filepath.Join(dir, "mask_1mm."+kind), "--spacing", "1 1 1", "--interpolation", "nn"},
	} {
		c.add(b, exec.Command("plastimatch", args...))
	}
	if err := os.RemoveAll(dir); err != nil {
		b.Fatal(err)
	}
	return c
}

// BenchmarkPeer prepares LUNG1-002 (111 slices of 512 x 512 and an RTSTRUCT) in
// turns: by this package, once to cube and QC picture, once with the 1 mm volumes
// kept; and by plastimatch convert and resample, through uncompressed .mha and
// through gzip .nrrd. plastimatch ends at the 1 mm volumes; it cuts no cube and
// draws no picture. All are whole processes, and all times are of the same run:
//
//	HOUNSFIELD_MIRROR=... go test -run '^$' -bench Peer -benchtime 5x ./datasets/prepare
func BenchmarkPeer(b *testing.B) {
	mirror := os.Getenv("HOUNSFIELD_MIRROR")
	if mirror == "" {
		b.Skip("HOUNSFIELD_MIRROR is not set: no real patient to prepare")
	}
	if _, err := exec.LookPath("plastimatch"); err != nil {
		b.Skip("plastimatch (Debian package) is not installed")
	}
	root := filepath.Join(mirror, "nsclc-radiomics", "dicom", "LUNG1-002")
	ours := func(c *cost, keep bool) {
		c.add(b, childTask{Root: root, Out: b.TempDir(), Keep: keep, Patients: 1}.command(b))
	}
	var cube, kept, mha, nrrd cost
	n := 0.0
	for b.Loop() {
		ours(&cube, false)
		mha.join(plastimatch(b, root, "mha"))
		ours(&kept, true)
		nrrd.join(plastimatch(b, root, "nrrd"))
		n++
	}
	for name, c := range map[string]cost{"cube": cube, "volumes": kept, "mha": mha, "nrrd": nrrd} {
		b.ReportMetric(c.wall/n, name+"-s")
		b.ReportMetric(c.cpu/n, name+"-cpu-s")
		b.ReportMetric(c.peak, name+"-peak-MB")
	}
	b.ReportMetric(mha.wall/cube.wall, "mha/cube")
	b.ReportMetric(nrrd.wall/cube.wall, "nrrd/cube")
	b.ReportMetric(mha.wall/kept.wall, "mha/volumes")
	b.ReportMetric(nrrd.wall/kept.wall, "nrrd/volumes")
	b.ReportMetric(0, "ns/op") // a round of four has no meaning
}

// BenchmarkRun prepares the real patient to cube and QC picture, in this process.
func BenchmarkRun(b *testing.B) {
	mirror := os.Getenv("HOUNSFIELD_MIRROR")
	if mirror == "" {
		b.Skip("HOUNSFIELD_MIRROR is not set: no real patient to prepare")
	}
	o := options(filepath.Join(mirror, "nsclc-radiomics", "dicom", "LUNG1-002"), b.TempDir())
	o.Cube = volume.CubeSpec{Size: 50, SpacingMM: 1, Margin: 10}
	for b.Loop() {
		if _, err := Run(context.Background(), o); err != nil {
			b.Fatal(err)
		}
	}
}
