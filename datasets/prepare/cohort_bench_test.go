//go:build linux

package prepare

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// copiesEnv are the numbers of patients that BenchmarkCohort prepares, such as 10,100.
const copiesEnv = "HOUNSFIELD_BENCH_COPIES"

// uids are those of the archive that the real patient comes from.
var uids = regexp.MustCompile(`1\.3\.6\.1\.4\.1\.32722\.99\.99\.[0-9]{20,}`)

// copyPatient writes the real patient under another PatientID and other UIDs, all of them of
// the same length as before and the same in every reference, with another pixel in each slice.
func copyPatient(b testing.TB, from, to string, n int) {
	b.Helper()
	err := filepath.WalkDir(from, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, name), 0o755)
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		head := raw // in a slice, UIDs stand before the pixels
		if pixels := 2 * 512 * 512; strings.HasPrefix(name, "CT"+string(filepath.Separator)) && len(raw) > pixels {
			head = raw[:len(raw)-pixels]
			raw[len(raw)-pixels] ^= byte(n) // the lower half of the first, beside the patient
		}
		code := fmt.Sprintf("%05d", 10000+n)
		found := 0
		for _, at := range uids.FindAllIndex(head, -1) {
			copy(head[at[0]+len("1.3.6.1.4.1.32722.99.99."):], code)
			found++
		}
		if found == 0 {
			return fmt.Errorf("%s holds no UID of the archive", path)
		}
		text := strings.ReplaceAll(string(head), "LUNG1-002", fmt.Sprintf("COPY-%04d", n))
		copy(head, text)
		return os.WriteFile(filepath.Join(to, name), raw, 0o644)
	})
	if err != nil {
		b.Fatal(err)
	}
}

// BenchmarkCohort prepares 10, 30 and 100 copies of LUNG1-002 that differ in their UIDs and a
// pixel, with volumes, masks, cubes and pictures, each cohort in a process of its own from a
// warm disk; then again with nothing to do. In the same run plastimatch resamples one patient
// (see BenchmarkPeer), for the ratio of processor time. It needs 7 GB of disk for the copies
// and 9 GB for what is made of them:
//
//	HOUNSFIELD_MIRROR=... go test -run '^$' -bench Cohort -benchtime 1x ./datasets/prepare
//
// HOUNSFIELD_BENCH_COPIES=10,20 takes other numbers; with -short it is 3 and 6.
func BenchmarkCohort(b *testing.B) {
	mirror := os.Getenv("HOUNSFIELD_MIRROR")
	if mirror == "" {
		b.Skip("HOUNSFIELD_MIRROR is not set: no real patient to copy")
	}
	from := filepath.Join(mirror, "nsclc-radiomics", "dicom", "LUNG1-002")
	text := os.Getenv(copiesEnv)
	if text == "" {
		text = "10,30,100"
		if testing.Short() {
			text = "3,6"
		}
	}
	var sizes []int
	most := 0
	for _, s := range strings.Split(text, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > 9999 {
			b.Fatalf("%s=%s: it must be numbers of patients such as 10,100", copiesEnv, text)
		}
		sizes = append(sizes, n)
		most = max(most, n)
	}
	copies := b.TempDir()
	for i := range most {
		copyPatient(b, from, filepath.Join(copies, fmt.Sprint(i)), i)
	}
	for b.Loop() {
		var first, last cost
		for i, n := range sizes {
			root, out := b.TempDir(), b.TempDir()
			for k := range n {
				if err := os.Symlink(filepath.Join(copies, fmt.Sprint(k)), filepath.Join(root, fmt.Sprint(k))); err != nil {
					b.Fatal(err)
				}
			}
			var made, again cost
			task := childTask{Root: root, Out: out, Keep: true, Patients: n}
			made.add(b, task.command(b))
			again.add(b, task.command(b))
			if err := os.RemoveAll(out); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(n)/made.wall, fmt.Sprintf("patients/s-of-%d", n))
			b.ReportMetric(made.cpu/float64(n), fmt.Sprintf("cpu-s-each-of-%d", n))
			b.ReportMetric(made.peak, fmt.Sprintf("peak-MB-of-%d", n))
			b.ReportMetric(again.wall, fmt.Sprintf("again-s-of-%d", n))
			if i == 0 {
				first = made
			}
			last = made
		}
		if len(sizes) > 1 {
			b.ReportMetric(last.wall/first.wall, fmt.Sprintf("time-%d/%d", sizes[len(sizes)-1], sizes[0]))
		}
		if _, err := exec.LookPath("plastimatch"); err == nil {
			peer := plastimatch(b, from, "mha")
			b.ReportMetric(peer.cpu, "plastimatch-cpu-s")
			b.ReportMetric(peer.cpu*float64(sizes[len(sizes)-1])/last.cpu, "plastimatch/ours-cpu")
		}
	}
	b.ReportMetric(0, "ns/op")
}
