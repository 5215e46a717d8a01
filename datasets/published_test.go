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

func mirror(t testing.TB) string {
	t.Helper()
	dir := os.Getenv(catalog.MirrorVariable)
	if dir == "" {
		t.Skipf("the published tables are not part of the project; set %s to a folder that holds them", catalog.MirrorVariable)
	}
	return dir
}

// The numbers are those of STUDY.md ("The published tables"), recomputed with
// pandas 3.1.1 from the same files: value_counts of surv2yr, the median of Radboud's
// logit_0, and the number of linked Maastro rows strictly above it.
func TestReadPublishedRadiotherapy(t *testing.T) {
	p, err := ReadPublished(mirror(t), "radiotherapy")
	if err != nil {
		t.Fatal(err)
	}
	c := p.Cohort
	for _, want := range []struct {
		role   Role
		cohort string
		n      int
	}{{Train, "HarvardRT", 293}, {Tune, "Radboud", 104}, {Test, "Maastro", 211}} {
		rows := c.Of(want.role)
		if len(rows) != want.n {
			t.Errorf("%s has %d patients, want %d", want.role, len(rows), want.n)
		}
		for _, r := range rows {
			if c.Patients[r].Cohort != want.cohort {
				t.Fatalf("%s is of %s, want %s", c.Patients[r].ID, c.Patients[r].Cohort, want.cohort)
			}
		}
	}
	if len(p.Scores) != 608 || len(c.Features) != 1004 {
		t.Errorf("%d scores and %d features, want 608 and 1004", len(p.Scores), len(c.Features))
	}
	for role, want := range map[Role]int{Train: 159, Tune: 28} {
		outcomes, err := c.Outcomes(role)
		if err != nil {
			t.Fatal(err)
		}
		alive := 0
		for _, o := range outcomes {
			if !o.Alive2yr.Valid {
				t.Fatal("a published label is null")
			}
			if o.Alive2yr.V {
				alive++
			}
		}
		if alive != want {
			t.Errorf("%s: %d alive at two years, want %d", role, alive, want)
		}
	}

	// The high-risk cut and the patients above it.
	tune := pick(p.Scores, c.Of(Tune))
	slices.Sort(tune)
	median := (tune[51] + tune[52]) / 2
	if math.Abs(median-0.972124398) > 1e-12 {
		t.Errorf("the median of Radboud's scores is %.10f, want 0.9721243980", median)
	}
	out := make(map[string]bool)
	for _, e := range p.Exclusions {
		if e.Stage != "survival" || e.Cohort != "Maastro" || e.Reason == "" {
			t.Errorf("unexpected exclusion %+v", e)
		}
		out[e.Patient] = true
	}
	for _, id := range []string{"Maastro-0179", "Maastro-0180", "Maastro-0187", "Maastro-0190", "Maastro-0193"} {
		if !out[id] {
			t.Errorf("%s has no id in the release and is not excluded from survival", id)
		}
	}
	high, linked := 0, 0
	for _, r := range c.Of(Test) {
		if out[c.Patients[r].ID] {
			continue
		}
		linked++
		if p.Scores[r] > median {
			high++
		}
	}
	if linked != 206 || high != 50 {
		t.Errorf("%d of %d linked patients are high risk, want 50 of 206", high, linked)
	}

	// The test role, once.
	outcomes, err := c.OpenTest(func() error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	alive, dead, survival := 0, 0, 0
	for i, r := range c.Of(Test) {
		o := outcomes[i]
		if o.Alive2yr.V {
			alive++
		}
		if !o.SurvivalDays.Valid {
			if !out[c.Patients[r].ID] {
				t.Errorf("%s has no survival time and no exclusion", c.Patients[r].ID)
			}
			continue
		}
		survival++
		if o.Event.V {
			dead++
		}
		if (o.SurvivalDays.V > TwoYears) != o.Alive2yr.V {
			t.Errorf("%s: label %v after %v days", c.Patients[r].ID, o.Alive2yr, o.SurvivalDays)
		}
	}
	if alive != 60 || survival != 206 {
		t.Errorf("%d alive and %d with survival, want 60 and 206", alive, survival)
	}
	i := slices.IndexFunc(c.Patients, func(p Patient) bool { return p.ID == "LUNG1-002" })
	want := Patient{ID: "LUNG1-002", Cohort: "Maastro", Role: Test, Age: table.Some(83.8001), Sex: table.Some("male"),
		Histology: table.Some("squamous cell carcinoma"), T: table.Some("2"), N: table.Some("0"), M: table.Some("0"), Stage: table.Some("I")}
	if c.Patients[i] != want {
		t.Errorf("LUNG1-002 is %+v, want %+v", c.Patients[i], want)
	}
	if p.Scores[i] != 0.968347013 {
		t.Errorf("LUNG1-002 scores %v, want 0.968347013 (line 2 of Maastro.csv)", p.Scores[i])
	}

	// Rows without features: N/A in HarvardRT, empty in Maastro.
	volume, err := c.Feature("original_shape_Volume")
	if err != nil {
		t.Fatal(err)
	}
	var none []string
	for r, v := range volume.Values {
		if math.IsNaN(v) {
			none = append(none, c.Patients[r].ID)
		}
	}
	if !slices.Equal(none, []string{"HarvardRT-0151", "HarvardRT-0241", "LUNG1-286"}) {
		t.Errorf("patients without features: %v", none)
	}
	if !slices.Equal(p.Files, []string{"hosny2018/HarvardRT.csv", "hosny2018/Radboud.csv", "nsclc-radiomics/clinical.csv", "hosny2018/Maastro.csv"}) {
		t.Errorf("files read: %v", p.Files)
	}
}

func TestReadPublishedSurgery(t *testing.T) {
	p, err := ReadPublished(mirror(t), "surgery")
	if err != nil {
		t.Fatal(err)
	}
	c := p.Cohort
	if train, tune, test := len(c.Of(Train)), len(c.Of(Tune)), len(c.Of(Test)); train != 183 || tune != 88 || test != 97 {
		t.Errorf("%d, %d, %d patients, want 183, 88, 97", train, tune, test)
	}
	blank := 0
	for _, r := range c.Of(Tune) {
		if !strings.HasPrefix(c.Patients[r].ID, "LUNG3-") {
			blank++
		}
	}
	if blank != 25 {
		t.Errorf("%d MUMC patients without id, want 25", blank)
	}
	if len(p.Exclusions) != 97 {
		t.Errorf("%d exclusions from survival, want all 97 of M-SPORE", len(p.Exclusions))
	}
	outcomes, err := c.OpenTest(func() error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	alive := 0
	for _, o := range outcomes {
		if o.Alive2yr.V {
			alive++
		}
	}
	if alive != 80 {
		t.Errorf("%d of M-SPORE alive at two years, want 80", alive)
	}
}

// A folder with a small release: what can go wrong in it is wrong here.
func smallRelease(t *testing.T, maastro, clinical string) (string, catalog.Entry, func(string) (catalog.Entry, error)) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"r/maastro.csv": maastro, "c/clinical.csv": clinical} {
		if text == "" {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	rows := func(text string) int { return strings.Count(text, "\n") - 1 }
	release, err := catalog.Load("hosny2018")
	if err != nil {
		t.Fatal(err)
	}
	release.Tables = slices.Clone(release.Tables[2:3])
	release.Tables[0].File, release.Tables[0].Rows = "r/maastro.csv", rows(maastro)
	linked, err := catalog.Load("nsclc-radiomics")
	if err != nil {
		t.Fatal(err)
	}
	linked.Tables = slices.Clone(linked.Tables)
	linked.Tables[0].File, linked.Tables[0].Rows = "c/clinical.csv", rows(clinical)
	return dir, release, func(string) (catalog.Entry, error) { return linked, nil }
}

const clinicalHeader = "PatientID,age,clinical.T.Stage,Clinical.N.Stage,Clinical.M.Stage,Overall.Stage,Histology,gender,Survival.time,deadstatus.event\n"

func TestReadPublishedFaults(t *testing.T) {
	const header = "id,surv2yr,logit_0,logit_1,general_info_Version,volume\n"
	const good = header + " LUNG1-001,1,0.25,0.75,x,7\n,0,0.5,0.5,x,N/A\n"
	const clinical = clinicalHeader + "LUNG1-001,70,2,3,0,IIIb,large cell,male,2165,1\n"
	for _, test := range []struct {
		name, maastro, clinical, treatment string
		target                             any
		says                               []string
	}{
		{"contradicting label", strings.Replace(good, "-001,1", "-001,0", 1), clinical, "", new(*LabelError), []string{"LUNG1-001", "2165", "line 2", "maastro.csv"}},
		{"probabilities that do not add up", strings.Replace(good, "0.25,0.75", "0.25,0.85", 1), clinical, "", new(*table.ValueError), []string{"LUNG1-001", "line 2", "0.85"}},
		{"score beyond 1", strings.Replace(good, "0.25,0.75", "1.25,-0.25", 1), clinical, "", new(*table.ValueError), []string{"LUNG1-001", "logit_0", "from 0 to 1"}},
		{"label of another coding", strings.Replace(good, "-001,1", "-001,2", 1), clinical, "", new(*table.ValueError), []string{"surv2yr", `"2"`, "one of 0, 1"}},
		{"text among features", strings.Replace(good, ",7\n", ",seven\n", 1), clinical, "", new(*table.ValueError), []string{"volume", "seven", "N/A"}},
		{"an id twice", good + "LUNG1-001,1,0.25,0.75,x,7\n", clinical, "", new(*table.DuplicateError), []string{"lines 2 and 4", "LUNG1-001"}},
		{"clinical value of another coding", good, strings.Replace(clinical, "IIIb", "3b", 1), "", new(*table.ValueError), []string{"Overall.Stage", "3b", "IIIb", "clinical.csv"}},
		{"unknown treatment", good, clinical, "radiation", new(*catalog.EntryError), []string{"radiation", "radiotherapy"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir, release, load := smallRelease(t, test.maastro, test.clinical)
			treatment := test.treatment
			if treatment == "" {
				treatment = "radiotherapy"
			}
			_, err := readPublished(dir, treatment, release, load)
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

	t.Run("cut file", func(t *testing.T) {
		dir, release, load := smallRelease(t, good, clinical)
		release.Tables[0].Rows = 211
		_, err := readPublished(dir, "radiotherapy", release, load)
		if e := (*table.FormatError)(nil); !errors.As(err, &e) || !strings.Contains(err.Error(), "2 rows and the catalog says 211") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("without the clinical table", func(t *testing.T) {
		dir, release, load := smallRelease(t, good, "")
		p, err := readPublished(dir, "radiotherapy", release, load)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Exclusions) != 2 || !strings.Contains(p.Exclusions[0].Reason, "c/clinical.csv") || p.Exclusions[0].Patient != "LUNG1-001" {
			t.Errorf("exclusions %+v", p.Exclusions)
		}
	})
	t.Run("linked", func(t *testing.T) {
		dir, release, load := smallRelease(t, good, clinical)
		p, err := readPublished(dir, "radiotherapy", release, load)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Exclusions) != 1 || p.Exclusions[0].Patient != "Maastro-0002" {
			t.Errorf("exclusions %+v", p.Exclusions)
		}
		if got := fmt.Sprint(p.Scores, p.Cohort.Features[0].Values); got != "[0.25 0.5] [7 NaN]" {
			t.Errorf("scores and features %s", got)
		}
	})
}

func TestPublishedID(t *testing.T) {
	for _, test := range [][3]string{{"HarvardRT", "151", "HarvardRT-0151"}, {"Maastro", "LUNG1-002", "LUNG1-002"}, {"MUMC", "", "MUMC-0003"}} {
		if got := publishedID(test[0], test[1], 3); got != test[2] {
			t.Errorf("%q of %s is %q, want %q", test[1], test[0], got, test[2])
		}
	}
}
