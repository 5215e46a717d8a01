package fetch_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"hounsfield/datasets/fetch"
	"hounsfield/datasets/fetch/fetchtest"
)

// archive is a server with data, how to fetch from it, and what must arrive.
type archive struct {
	server *fetchtest.Server
	// source fetches from it, by https where tls is true.
	source func(c *fetch.Client, tls bool) fetch.Source
	truth  func() map[string][]byte // by path below the data folder
	faults []fetchtest.Fault
}

func choose(tls bool, secure, plain string) string {
	if tls {
		return secure
	}
	return plain
}

func below(folder string, files map[string][]byte) map[string][]byte {
	out := map[string][]byte{}
	for p, data := range files {
		out[folder+"/"+p] = data
	}
	return out
}

// archives are made anew for each fault: some faults change the data.
var archives = []struct {
	name string
	make func() archive
}{
	{"nbia", func() archive {
		s := fetchtest.NewNBIA(fetchtest.Cohort("RIDER Lung CT", "RIDER-1")...)
		return archive{
			server: s.Server, faults: s.Faults(),
			truth: func() map[string][]byte { return below("cohort/dicom", s.Files()) },
			source: func(c *fetch.Client, tls bool) fetch.Source {
				return fetch.NBIA(c, fetch.NBIAQuery{Server: choose(tls, s.TLSBase, s.Base), Folder: "cohort/dicom", Collections: []string{"RIDER Lung CT"}})
			},
		}
	}},
	{"idc", func() archive {
		cohort := fetchtest.Cohort("A", "P1")
		buckets, uuids := fetchtest.IDC(fetch.IDCBucket, cohort...)
		s := fetchtest.NewS3(buckets)
		var series []fetch.IDCSeries
		for i, x := range cohort {
			series = append(series, fetch.IDCSeries{Bucket: fetch.IDCBucket, UUID: uuids[i], Patient: x.Patient, SeriesUID: x.UID, Modality: x.Modality, Files: len(x.Files)})
		}
		return archive{
			server: s.Server, faults: s.Faults(),
			truth: func() map[string][]byte {
				out := map[string][]byte{}
				for key, data := range s.Objects(fetch.IDCBucket) {
					for i, id := range uuids {
						if strings.HasPrefix(key, id) {
							out[path.Join("cohort/dicom", cohort[i].Patient, cohort[i].UID, path.Base(key))] = data
						}
					}
				}
				return out
			},
			source: func(c *fetch.Client, tls bool) fetch.Source {
				return fetch.IDC(c, fetch.IDCQuery{Server: choose(tls, s.TLSBase, s.Base), Folder: "cohort/dicom", Series: series})
			},
		}
	}},
	{"figshare", func() archive {
		s := fetchtest.NewFigshare(7407125,
			fetchtest.FigshareFile{Name: "Maastro.csv", Data: fetchtest.Bytes(1, 1500)},
			fetchtest.FigshareFile{Name: "weights.h5", Data: fetchtest.Bytes(2, 2500)},
			fetchtest.FigshareFile{Name: "M-SPORE.csv.gz", Data: fetchtest.Gzip(fetchtest.Bytes(3, 1200))})
		return archive{
			server: s.Server, faults: s.Faults(),
			truth: func() map[string][]byte { return below("cohort", s.Files()) },
			source: func(c *fetch.Client, tls bool) fetch.Source {
				return fetch.Figshare(c, fetch.FigshareQuery{Server: choose(tls, s.TLSBase, s.Base), Folder: "cohort", Article: 7407125, Version: 1})
			},
		}
	}},
	{"geo", func() archive {
		s := fetchtest.NewGEO(map[string][]byte{
			"GSE103584/matrix/GSE103584-GPL96_series_matrix.txt.gz": fetchtest.Gzip(fetchtest.Bytes(1, 3000)),
			"GSE103584/matrix/GSE103584-GPL97_series_matrix.txt.gz": fetchtest.Gzip(fetchtest.Bytes(2, 4000)),
		})
		return archive{
			server: s.Server, faults: s.GEOFaults(),
			truth: func() map[string][]byte { return below("cohort/expression", s.Files()) },
			source: func(c *fetch.Client, tls bool) fetch.Source {
				return fetch.GEO(c, fetch.GEOQuery{Server: choose(tls, s.TLSBase, s.Base), Folder: "cohort/expression", Series: "GSE103584", Matrix: true})
			},
		}
	}},
	{"http", func() archive {
		files := map[string][]byte{"/data/clinical.csv": fetchtest.Bytes(1, 2000), "/data/sets.gmt": fetchtest.Bytes(2, 3000)}
		s := fetchtest.NewPlain(files)
		listed := below("cohort", s.Files()) // what the catalog says does not change with the server
		return archive{
			server: s.Server, faults: s.PlainFaults(),
			truth: func() map[string][]byte { return below("cohort", s.Files()) },
			source: func(c *fetch.Client, tls bool) fetch.Source {
				var items []fetch.Item
				urls := map[string]string{}
				for p, data := range listed {
					items = append(items, fetch.Item{Path: p, Size: int64(len(data)), SHA256: sha(data)})
					urls[p] = choose(tls, s.TLSBase, s.Base) + "/data/" + path.Base(p)
				}
				return fetch.HTTPFiles(c, items, urls)
			},
		}
	}},
}

// tally is a line of the table that the test prints.
type tally struct {
	faults, injected, whole, refused int
	requests, most                   int
	sent, lost                       int64
}

// TestEverySourceThroughEveryFault injects each fault into each server while a data set is fetched.
// The run must end whole and verified, or with an error of a known type that says what is wrong;
// nothing wrong may ever lie under a final name, no secret may be said; and once the fault is gone
// the same call must complete what there is.
func TestEverySourceThroughEveryFault(t *testing.T) {
	sums, said := make([]tally, len(archives)), make([]strings.Builder, len(archives))
	t.Run("of", func(t *testing.T) {
		for k, a := range archives {
			t.Run(a.name, func(t *testing.T) {
				t.Parallel()
				first := a.make()
				first.server.Close()
				for i := range first.faults {
					one(t, a.name, a.make(), i, &sums[k], &said[k])
				}
			})
		}
	})
	for k, a := range archives {
		s := sums[k]
		t.Logf("%-9s %4d kinds of faults, injected %5d times: %3d ended whole in the same run, %3d were refused and completed by the next; %6d requests, at most %d at a time, %8s sent; bytes lost: %d",
			a.name, s.faults, s.injected, s.whole, s.refused, s.requests, s.most, fetch.Bytes(s.sent), s.lost)
	}
	for k := range archives {
		t.Logf("what was said:\n%s", said[k].String())
	}
}

// one drives an archive through its i-th fault.
func one(t *testing.T, name string, a archive, i int, sum *tally, messages *strings.Builder) {
	defer a.server.Close()
	fault := a.faults[i]
	dest := folder(t)
	var mu sync.Mutex
	var said []string
	var longest time.Duration
	newClient := func(silence time.Duration) *fetch.Client {
		return fetch.NewClient(fetch.ClientOptions{
			Transport: a.server.Transport(), RequestsPerSecond: 1e6, Silence: silence,
			Sleep: func(ctx context.Context, d time.Duration) error {
				mu.Lock()
				longest = max(longest, d)
				mu.Unlock()
				return ctx.Err()
			},
			Say: func(s string) { mu.Lock(); said = append(said, s); mu.Unlock() },
		})
	}
	run := func(client *fetch.Client, refresh bool) (fetch.Result, error) {
		return fetch.Run(t.Context(), "cohort", a.source(client, fault.TLS), fetch.Options{Dest: dest, Jobs: 2, Client: client, Refresh: refresh,
			Acceptance: fetch.Acceptance{Licence: "CC BY 3.0", By: "tester", How: "in a test"}})
	}
	patient := newClient(10 * time.Second)
	first := patient
	if strings.HasPrefix(fault.Name, "silent") {
		first = newClient(40 * time.Millisecond)
	}
	bad := func(format string, args ...any) {
		t.Helper()
		t.Errorf("%s: %s: %s", name, fault.Name, fmt.Sprintf(format, args...))
	}
	before := a.truth()

	a.server.Inject(fault)
	_, err := run(first, false)
	stats := a.server.Stats()
	if stats.Faults == 0 {
		bad("the fault never struck")
	}
	now := a.truth()
	lost, _ := compare(t, dest, before, now)
	if lost > 0 {
		bad("%d bytes that were never right lie under final names", lost)
	}
	verdict := "whole"
	switch {
	case err == nil && fault.Ends == fetchtest.Refused:
		bad("it should have been refused")
	case err != nil && fault.Ends == fetchtest.Whole:
		bad("it should have ended whole in spite of it: %v\n  said %q", err, said)
	}
	if err != nil {
		verdict = "refused"
		if !typed(err) {
			bad("an error of no known type: %#v", err)
		}
		for _, line := range strings.Split(err.Error(), "\n") {
			if n := len([]rune(line)); n > 700 || n < 20 {
				bad("a line of %d characters: %s", n, line)
			}
		}
	} else if _, missing := compare(t, dest, now, now); len(missing) > 0 && fault.Ends == fetchtest.Whole {
		bad("it says that all is well, and %q is not here", missing)
	}
	for text, want := range map[string]time.Duration{"Retry-After 3": 3 * time.Second, "Retry-After 2": 2 * time.Second, "Retry-After a date": 85 * time.Second} {
		if strings.Contains(fault.Name, text) && longest < want {
			bad("it waited %s at most, and was asked to wait %s", longest, want)
		}
	}

	a.server.Clear()
	if _, err := run(patient, true); err != nil {
		bad("when the fault was over: %v\n  before: %v", err, err)
	}
	now = a.truth()
	lost, missing := compare(t, dest, now, now)
	for _, p := range missing {
		lost += int64(len(now[p]))
	}
	if lost > 0 {
		bad("%d bytes lost in the end, missing: %q", lost, missing)
	}
	for _, c := range must(fetch.Verify(t.Context(), dest, "cohort", nil)) {
		if c.Status != fetch.Present {
			bad("the journal and the disk differ: %+v", c)
		}
	}
	if again, err := run(patient, false); err != nil || again.Fetched != 0 || again.Plan.Here != len(again.Plan.Items) {
		bad("a third run fetches %d items and finds %d (%v)", again.Fetched, again.Plan.Here, err)
	}
	leftovers(t, dest, bad)
	everything := strings.Join(said, "\n") + fmt.Sprint(err) + journals(t, dest)
	for _, secret := range []string{fetchtest.Secret, "X-Amz"} {
		if strings.Contains(everything, secret) {
			bad("it said a secret: %s", secret)
		}
	}

	sum.faults++
	sum.injected += stats.Faults
	if verdict == "whole" {
		sum.whole++
	} else {
		sum.refused++
	}
	stats = a.server.Stats()
	sum.requests += stats.Requests
	sum.most = max(sum.most, stats.Most)
	sum.sent += stats.Bytes
	sum.lost += lost
	words := "ok"
	if err != nil {
		words, _, _ = strings.Cut(err.Error(), "\n")
	}
	words = strings.NewReplacer(a.server.URL, "SERVER", a.server.TLSURL, "SERVER", dest, "DEST").Replace(words)
	fmt.Fprintf(messages, "%s | %s | %s\n", name, fault.Name, words)
}

func sha(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}

// folder is a folder for a test, in memory where there is such a disk: what is fetched is written
// through to the disk file by file, which takes longer than all else here.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "fetch")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "deep", "down") // where names with .. would lead is looked at
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// typed says whether an error is one that a program can tell from others.
func typed(err error) bool {
	var (
		transfer *fetch.TransferError
		answer   *fetch.AnswerError
		status   *fetch.StatusError
		list     *fetch.ListError
	)
	return errors.As(err, &transfer) || errors.As(err, &answer) || errors.As(err, &status) || errors.As(err, &list)
}

// compare counts the bytes of files under final names that are neither one nor the other truth, and
// names the files of the second that are not here.
func compare(t *testing.T, dest string, one, other map[string][]byte) (wrong int64, missing []string) {
	t.Helper()
	found := map[string]bool{}
	err := filepath.WalkDir(dest, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if strings.HasPrefix(d.Name(), ".") && p != dest {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		rel := filepath.ToSlash(must(filepath.Rel(dest, p)))
		switch path.Base(rel) {
		case "LICENSE", "md5hashes.csv", fetch.JournalName:
			return nil
		}
		if d.IsDir() {
			return nil
		}
		data := must(os.ReadFile(p))
		found[rel] = true
		if a, ok := one[rel]; ok && bytes.Equal(a, data) {
			return nil
		}
		if b, ok := other[rel]; ok && bytes.Equal(b, data) {
			return nil
		}
		wrong += max(1, int64(len(data)))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for p := range other {
		if !found[p] {
			missing = append(missing, p)
		}
	}
	return wrong, missing
}

// leftovers looks for temporary files after all is done, and for files outside of the folder.
func leftovers(t *testing.T, dest string, bad func(string, ...any)) {
	t.Helper()
	filepath.WalkDir(dest, func(p string, d fs.DirEntry, err error) error {
		if p != dest && strings.HasPrefix(d.Name(), ".") && d.Name() != ".fetch.lock" {
			bad("%s was left", d.Name())
		}
		if strings.Contains(d.Name(), "evil") {
			bad("%s is here", p)
		}
		return err
	})
	for _, up := range []string{filepath.Dir(dest), filepath.Dir(filepath.Dir(dest))} {
		if _, err := os.Stat(filepath.Join(up, "evil.dcm")); err == nil {
			bad("a file was written outside of the folder")
		}
	}
}

// journals is the text of the journal.
func journals(t *testing.T, dest string) string {
	t.Helper()
	return string(must(os.ReadFile(filepath.Join(dest, "cohort", fetch.JournalName))))
}
