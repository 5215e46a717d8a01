package datasets

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hounsfield/datasets/catalog"
	"hounsfield/datasets/table"
)

// Numbers: STUDY.md and a count with awk and Python's csv module over the same files.
func TestReadReplication(t *testing.T) {
	r, err := ReadReplication(mirror(t))
	if err != nil {
		t.Fatal(err)
	}
	c := r.Cohort
	if train, tune, test := len(c.Of(Train)), len(c.Of(Tune)), len(c.Of(Test)); train != 0 || tune != 104 || test != 421 {
		t.Errorf("%d, %d, %d patients, want 0, 104, 421", train, tune, test)
	}
	if len(r.Scores) != len(c.Patients) || len(r.Original) != len(c.Patients) {
		t.Fatalf("%d scores and %d released ones for %d patients", len(r.Scores), len(r.Original), len(c.Patients))
	}
	tune := pick(r.Scores, c.Of(Tune))
	slices.Sort(tune)
	cut := (tune[51] + tune[52]) / 2
	if math.Abs(cut-0.972124398) > 1e-12 {
		t.Errorf("the median of Radboud's scores is %v, want 0.972124398", cut)
	}
	outcomes, err := c.OpenTest(func() error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	type count struct{ patients, labelled, alive, high, moved int }
	var old, fresh count
	for k, i := range c.Of(Test) {
		n := &old
		if math.IsNaN(r.Original[i]) {
			n = &fresh
		} else if (r.Original[i] > cut) != (r.Scores[i] > cut) {
			n.moved++
		}
		n.patients++
		if r.Original[i] > cut {
			n.high++
		}
		o := outcomes[k]
		if !o.SurvivalDays.Valid || !o.Event.Valid {
			t.Errorf("%s has no survival", c.Patients[i].ID)
		}
		if o.Alive2yr.Valid {
			n.labelled++
			if o.Alive2yr.V {
				n.alive++
			}
		}
		if p := c.Patients[i]; p.Cohort != "Lung1" || !p.Sex.Valid {
			t.Errorf("%+v has no clinical columns", p)
		}
	}
	if want := (count{206, 206, 60, 50, 18}); old != want {
		t.Errorf("with a released score %+v, want %+v", old, want)
	}
	if want := (count{215, 214, 109, 0, 0}); fresh != want {
		t.Errorf("without a released score %+v, want %+v", fresh, want)
	}
	i := slices.IndexFunc(c.Patients, func(p Patient) bool { return p.ID == "LUNG1-236" })
	if r.Original[i] != 1.31e-12 || r.Scores[i] != 0.9728530049324036 {
		t.Errorf("LUNG1-236: %v and %v", r.Original[i], r.Scores[i])
	}
	var lost []string
	for _, e := range r.Exclusions {
		lost = append(lost, e.Patient+" "+e.Stage)
	}
	if !slices.Equal(lost, []string{"LUNG1-406 label", "LUNG1-128 score"}) {
		t.Errorf("exclusions %v", lost)
	}
	if want := []string{"hosny2018/HarvardRT.csv", "hosny2018/Radboud.csv", "nsclc-radiomics/clinical.csv", "hosny2018/Maastro.csv",
		"idc-replication/nsclc-radiomics_reproducibility_whole.csv", "idc-replication/nsclc-radiomics_reproducibility.csv"}; !slices.Equal(r.Files, want) {
		t.Errorf("files %v", r.Files)
	}
}

// smallReplication is a folder with a release of two patients and a re-run of three.
func smallReplication(t *testing.T, part, whole, clinical string) (string, func(string) (catalog.Entry, error)) {
	t.Helper()
	const maastro = "id,surv2yr,logit_0,logit_1,general_info_Version,volume\n LUNG1-001,1,0.25,0.75,x,7\n LUNG1-002,0,0.5,0.5,x,7\n"
	dir, release, load := smallRelease(t, maastro, clinical)
	release.Tables[0].Role = string(Tune) // so that a cohort of two roles comes out
	entry, err := catalog.Load("idc-replication")
	if err != nil {
		t.Fatal(err)
	}
	entry.Tables = slices.Clone(entry.Tables)
	for i, text := range []string{part, whole} {
		name := fmt.Sprintf("re-run-%d.csv", i)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		entry.Tables[i].File, entry.Tables[i].Rows, entry.Tables[i].Cohort = name, strings.Count(text, "\n")-1, "Lung1"
	}
	return dir, func(name string) (catalog.Entry, error) {
		switch name {
		case "hosny2018":
			return release, nil
		case "idc-replication":
			return entry, nil
		}
		return load(name)
	}
}

const (
	rerunHeader   = "PatientID,CNN_output_argmax,CNN_logit0,baseline_logit0,baseline_output_argmax,surv2yr\n"
	rerunPart     = rerunHeader + "LUNG1-001,0,0.3,0.25,0,1\n"
	rerunWhole    = rerunPart + "LUNG1-003,0,0.7,,,\nLUNG1-004,0,0.8,,,\n"
	rerunClinical = clinicalHeader + "LUNG1-001,70,2,3,0,IIIb,large cell,male,2165,1\nLUNG1-003,70,2,3,0,IIIb,large cell,male,100,1\n" +
		"LUNG1-004,70,2,3,0,IIIb,large cell,male,100,0\nLUNG1-005,70,2,3,0,IIIb,large cell,male,100,0\n"
)

func TestReadReplicationFaults(t *testing.T) {
	edit := func(text, old, by string) string {
		if !strings.Contains(text, old) {
			t.Fatalf("%q is not in %q", old, text)
		}
		return strings.Replace(text, old, by, 1)
	}
	for _, test := range []struct {
		name, part, whole, clinical string
		target                      any
		says                        []string
	}{
		{"label against survival", rerunPart, rerunWhole, edit(rerunClinical, "2165", "365"), new(*LabelError), []string{"LUNG1-001", "365", "line 2"}},
		{"label against survival, not in the release", rerunPart, edit(rerunWhole, "0.7,,,", "0.7,,,1"), rerunClinical, new(*LabelError), []string{"LUNG1-003", "re-run-1.csv", "line 3"}},
		{"tables differ", edit(rerunPart, "0.3,", "0.31,"), rerunWhole, rerunClinical, new(*table.ValueError), []string{"re-run-0.csv", "line 2", "CNN_logit0", "LUNG1-001", "0.31", "re-run-1.csv"}},
		{"only in the smaller table", edit(rerunPart, "001", "009"), rerunWhole, rerunClinical, new(*table.ValueError), []string{"LUNG1-009", "a patient of re-run-1.csv"}},
		{"another released score", edit(rerunPart, "0.25", "0.26"), edit(rerunWhole, "0.25", "0.26"), rerunClinical, new(*table.ValueError), []string{"baseline_logit0", "0.26", "0.25, the score in"}},
		{"an id twice", rerunPart, edit(rerunWhole, "LUNG1-004", "LUNG1-003"), rerunClinical, new(*table.DuplicateError), []string{"LUNG1-003", "lines 3 and 4"}},
		{"no probability", rerunPart, edit(rerunWhole, "0.7,", "1.7,"), rerunClinical, new(*table.ValueError), []string{"CNN_logit0", "from 0 to 1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := readReplication(smallReplication(t, test.part, test.whole, test.clinical))
			if !errors.As(err, test.target) {
				t.Fatalf("got %T (%v)", err, err)
			}
			for _, s := range test.says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("%q does not say %q", err, s)
				}
			}
		})
	}

	t.Run("an id in two cohorts", func(t *testing.T) {
		r, err := readReplication(smallReplication(t, rerunPart, rerunWhole, rerunClinical))
		// LUNG1-001 would stand there twice, as a patient of the small release's tune role.
		if e := (*table.DuplicateError)(nil); !errors.As(err, &e) || e.Value != "LUNG1-001" {
			t.Fatalf("%v, %v", r, err)
		}
	})
}

// Labels follow from survival where the table has none; without the clinical table only
// the given ones are there, and the exclusions say so.
func TestReadReplicationLabels(t *testing.T) {
	for _, clinical := range []string{rerunClinical, ""} {
		dir, load := smallReplication(t, rerunPart, rerunWhole, clinical)
		release, _ := load("hosny2018")
		release.Tables[0].Role = string(Test)
		r, err := readReplication(dir, load)
		if err != nil {
			t.Fatal(err)
		}
		outcomes, err := r.Cohort.OpenTest(func() error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for i, o := range outcomes {
			got = append(got, fmt.Sprint(r.Cohort.Patients[i].ID, " ", r.Scores[i], " ", r.Original[i], " ", o.Alive2yr))
		}
		var lost []string
		for _, e := range r.Exclusions {
			lost = append(lost, e.Patient+" "+e.Stage)
		}
		want := "LUNG1-001 0.3 0.25 {true true}, LUNG1-003 0.7 NaN {false true}, LUNG1-004 0.8 NaN {false false}; LUNG1-004 label, LUNG1-005 score"
		if clinical == "" {
			want = "LUNG1-001 0.3 0.25 {true true}, LUNG1-003 0.7 NaN {false false}, LUNG1-004 0.8 NaN {false false}; LUNG1-001 survival, LUNG1-003 survival, LUNG1-004 survival"
		}
		if text := strings.Join(got, ", ") + "; " + strings.Join(lost, ", "); text != want {
			t.Errorf("got  %s\nwant %s", text, want)
		}
	}
}
