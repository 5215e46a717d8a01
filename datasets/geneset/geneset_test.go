package geneset

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"

	"hounsfield/datasets/table"
)

func TestReadGMT(t *testing.T) {
	c, err := readGMT(strings.NewReader("\ufeffA\tfrom a paper\tTP53\tEGFR\t\t\r\n\nB\t\tKRAS\x1c\t SEPT6\n"), "a.gmt")
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Sets) != 2 || c.Sets[0].Description != "from a paper" || !slices.Equal(c.Sets[0].Genes, []string{"TP53", "EGFR"}) || !slices.Equal(c.Sets[1].Genes, []string{"KRAS", "SEPT6"}) {
		t.Errorf("sets %+v", c.Sets)
	}
	if want := []Cleaning{{3, 3, "KRAS\x1c", "KRAS"}, {3, 4, " SEPT6", "SEPT6"}}; !slices.Equal(c.Cleaned, want) {
		t.Errorf("cleaned %+v", c.Cleaned)
	}
}

const gct12 = "#1.2\n2\t3\nNAME\tDescription\tS1\tS2\tS3\nTP53\tna\t1\t-2.5\t1e3\nMLH1\x1c\tna\t\tNA\t0\n"

const gct13 = "#1.3\n2\t2\t1\t1\nid\tsymbol\tS1\tS2\nage\tna\t61\t70\n7157\tTP53\t1\t2\n1956\tEGFR\t3\tNaN\n"

func TestReadGCT(t *testing.T) {
	m, err := readGCT(strings.NewReader(gct12), "a.gct")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(m.Genes, []string{"TP53", "MLH1"}) || !slices.Equal(m.Samples, []string{"S1", "S2", "S3"}) || !slices.Equal(m.Values[0], []float64{1, -2.5, 1000}) ||
		!math.IsNaN(m.Values[1][0]) || !math.IsNaN(m.Values[1][1]) || m.Values[1][2] != 0 || m.Missing != 2 || len(m.Cleaned) != 1 || m.Version != "1.2" {
		t.Errorf("%+v", m)
	}
	genes, values, incomplete := m.Complete()
	if !slices.Equal(genes, []string{"TP53"}) || len(values) != 1 || !slices.Equal(incomplete, []string{"MLH1"}) {
		t.Errorf("complete %v, incomplete %v", genes, incomplete)
	}
	m, err = readGCT(strings.NewReader(gct13), "b.gct")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(m.GeneInfo[0].Values, []string{"TP53", "EGFR"}) || m.SampleInfo[0].Name != "age" || !slices.Equal(m.SampleInfo[0].Values, []string{"61", "70"}) ||
		!slices.Equal(m.Values[0], []float64{1, 2}) || m.Missing != 1 || m.Version != "1.3" {
		t.Errorf("%+v", m)
	}
}

func TestReadCLS(t *testing.T) {
	for _, c := range []struct {
		text  string
		rule  ClassRule
		first []bool // of class DEAD
	}{
		{"4 2 1\n# DEAD ALIVE\nD A A D\n", ByAppearance, []bool{true, false, false, true}},
		// The trap: 0 comes first and so is DEAD, whatever 0 may have meant.
		{"4 2 1\n#DEAD ALIVE\n0\t1\t1\t0", ByAppearance, []bool{true, false, false, true}},
		{"3 2 1\n# DEAD ALIVE\nALIVE DEAD ALIVE\n", LabelsAreNames, []bool{false, true, false}},
	} {
		got, err := readCLS(strings.NewReader(c.text), "a.cls")
		if err != nil {
			t.Fatal(err)
		}
		dead, err := got.Is("DEAD")
		if err != nil || got.Rule != c.rule || !slices.Equal(dead, c.first) {
			t.Errorf("%q: %+v, %v, %v", c.text, got, dead, err)
		}
		var none *ClassError
		if _, err := got.Is("dead"); !errors.As(err, &none) || !strings.Contains(err.Error(), "DEAD, ALIVE") {
			t.Errorf("another name: %v", err)
		}
	}
}

func TestReadRNK(t *testing.T) {
	s, err := readRNK(strings.NewReader("# made by hand\ngene\tscore\nTP53\t1.5\nMLH1\x1c\t-2\n6-Sep\t0\n"), "a.rnk")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(s.Genes, []string{"TP53", "MLH1", "6-Sep"}) || !slices.Equal(s.Scores, []float64{1.5, -2, 0}) || s.Header != "gene\tscore" || !slices.Equal(s.Dates, []string{"6-Sep"}) {
		t.Errorf("%+v", s)
	}
}

func TestMapping(t *testing.T) {
	m, err := readMapping(strings.NewReader("symbol,entrez,year\nTP53,7157,2017\nP53,7157,2002\nHBD,3045,\nTWO,1,\nTWO,2,\nNONE,,\n"), "map.csv", "symbol", "entrez")
	if err != nil {
		t.Fatal(err)
	}
	ids, report := m.IDs([]string{"P53", "TP53", "GAPD", "TWO", "NONE", "HBD"})
	if !slices.Equal(ids, []string{"7157", "7157", "", "", "", "3045"}) {
		t.Errorf("ids %v", ids)
	}
	if report.Given != 6 || report.Mapped != 3 || !slices.Equal(report.Lost, []string{"GAPD", "NONE"}) || !slices.Equal(report.Ambiguous, []string{"TWO"}) ||
		len(report.Merged) != 1 || report.Merged[0].To != "7157" || !slices.Equal(report.Merged[0].From, []string{"P53", "TP53"}) {
		t.Errorf("%+v", report)
	}
	if want := "3 of 6 identifiers mapped, 2 not in the table, 1 ambiguous, 1 joined with another"; report.String() != want {
		t.Errorf("%q, want %q", report, want)
	}
	sets, _ := m.Sets([]Set{{Name: "a", Genes: []string{"HBD", "P53", "TP53", "GAPD"}}, {Name: "b", Genes: []string{"TWO"}}})
	if !slices.Equal(sets[0].Genes, []string{"3045", "7157"}) || sets[1].Genes != nil || sets[1].Name != "b" {
		t.Errorf("sets %+v", sets)
	}
}

func TestPlainAndCompressed(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write([]byte(gct12)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	// The name does not matter, the content does.
	for name, content := range map[string][]byte{"plain.gct.gz": []byte(gct12), "packed.gct": packed.Bytes()} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if m, err := ReadGCT(path); err != nil || len(m.Genes) != 2 {
			t.Errorf("%s: %v", name, err)
		}
	}
	cut := filepath.Join(dir, "cut.gct.gz")
	if err := os.WriteFile(cut, packed.Bytes()[:packed.Len()-12], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadGCT(cut); err == nil || !strings.Contains(err.Error(), "cut.gct.gz") {
		t.Errorf("cut file: %v", err)
	}
	if _, err := ReadGMT(filepath.Join(dir, "absent.gmt")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent file: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	gmt := func(s string) error { _, err := readGMT(strings.NewReader(s), "f"); return err }
	gct := func(s string) error { _, err := readGCT(strings.NewReader(s), "f"); return err }
	cls := func(s string) error { _, err := readCLS(strings.NewReader(s), "f"); return err }
	rnk := func(s string) error { _, err := readRNK(strings.NewReader(s), "f"); return err }
	table := func(s string) error { _, err := readMapping(strings.NewReader(s), "f", "a", "b"); return err }
	head := "#1.2\n2\t2\nNAME\tDescription\tS1\tS2\n"
	for _, c := range []struct {
		read         func(string) error
		text         string
		line, column int
		says         string
	}{
		{gmt, "", 1, 0, "without a set"},
		{gmt, "A\td\tX\nB\td\n", 2, 0, "2 cells"},
		{gmt, "A\td\tX\nA\td\tY\n", 2, 1, `set "A", which is on line 1 already`},
		{gmt, "A\td\tX\tY\tX\n", 1, 5, `gene "X", which is in cell 3 already`},
		{gmt, "A\td\tX\tX\x1c\n", 1, 4, `gene "X"`},
		{gmt, "A\td\tX\t\tY\n", 1, 4, `""`},
		{gmt, "A\td\tX\x1cY\n", 1, 3, "control character inside"},
		{gmt, "\xff\xfe\n", 1, 0, "not UTF-8"},
		{gmt, "A\td\tX\rB\td\tY\r", 1, 0, "carriage return"},
		{gct, "#1.4\n", 1, 0, "#1.2 or #1.3"},
		{gct, "#1.2\n", 2, 0, "the file ends here"},
		{gct, "#1.2\n2\n", 2, 0, "1 numbers"},
		{gct, "#1.2\n0\t2\n", 2, 1, "a count"},
		{gct, "#1.2\n2\t2\nNAME\tDescription\tS1\n", 3, 0, "3 cells"},
		{gct, "#1.2\n2\t2\nNAME\tDescription\tS1\tS1\n", 3, 4, `sample "S1", which is in cell 3 already`},
		{gct, head + "G\tna\t1\t2\nG\tna\t1\t2\n", 5, 1, `gene "G", which is on line 4 already`},
		{gct, head + "G\tna\t1\t2\nG\x1c\tna\t1\t2\n", 5, 1, `gene "G"`},
		{gct, head + "G\tna\t1\tabc\n", 4, 4, `(G): "abc" in sample S2`},
		{gct, head + "G\tna\tInf\t1\n", 4, 3, `"Inf"`},
		{gct, head + "G\tna\t1\n", 4, 0, "3 cells"},
		{gct, head + "G\tna\t1\t2\n", 5, 0, "the file ends after 1 genes"},
		{gct, head + "G\tna\t1\t2\nH\tna\t1\t2\nI\tna\t1\t2\n", 6, 0, "one more row"},
		{cls, "#numeric\n", 1, 1, "continuous"},
		{cls, "2 2\n", 1, 0, "samples classes 1"},
		{cls, "2 x 1\n", 1, 2, "a count"},
		{cls, "2 2 1\nDEAD ALIVE\nD A\n", 2, 0, "# and 2 names"},
		{cls, "2 2 1\n# A A\nD A\n", 2, 2, `class "A"`},
		{cls, "2 2 1\n# A B\nA B A\n", 3, 0, "3 labels"},
		{cls, "3 2 1\n# A B\nA B C\n", 3, 0, "more than 2"},
		{cls, "2 2 1\n# A B\nA A\n", 3, 0, "1 different"},
		{rnk, "", 1, 0, "without a score"},
		{rnk, "G\t1\nG\t2\n", 2, 1, `gene "G", which is on line 1 already`},
		{rnk, "G\tNaN\n", 1, 2, `"NaN"`},
		{rnk, "G\t1\nH\tNA\n", 2, 2, "(H)"},
		{rnk, "gene\tscore\nG\thigh\n", 2, 2, `"high"`},
		{rnk, "G 1\n", 1, 0, "1 cells"},
		{rnk, "G\t1\t2\n", 1, 0, "3 cells"},
		{rnk, "G\t1_0\n", 1, 2, `"1_0"`},
		{rnk, "G\tInf\n", 1, 2, `"Inf"`},
		{table, "a,c\n", 1, 0, "columns a, c"},
		{table, "a,b\n1\n", 2, 0, "1 cells"},
		{table, "a,b\n\"1\",2\n", 2, 0, "quotation"},
		{table, "a,b\n,2\n", 3, 0, "without a pair"},
	} {
		err := c.read(c.text)
		var format *FormatError
		if !errors.As(err, &format) {
			t.Errorf("%q: error %v, want *FormatError", c.text, err)
			continue
		}
		if format.File != "f" || format.Line != c.line || format.Column != c.column || !strings.Contains(err.Error(), c.says) || format.Allowed == "" || format.Next == "" {
			t.Errorf("%q: %v (line %d, cell %d); want line %d, cell %d, %q", c.text, err, format.Line, format.Column, c.line, c.column, c.says)
		}
	}
}

func FuzzGMT(f *testing.F) {
	for _, s := range []string{"A\td\tX\tY\n", "\ufeffA\t\tX\x1c\t\t\r\nB\td\tX\n", "A\td\tX\tX", "\n\t\n", "A\td\t\x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := readGMT(bytes.NewReader(text), "f")
		if err != nil {
			wantFormatError(t, err)
			return
		}
		var names []string
		for _, s := range c.Sets {
			names = append(names, s.Name)
			wantDistinct(t, s.Genes)
		}
		wantDistinct(t, names)
	})
}

func FuzzGCT(f *testing.F) {
	for _, s := range []string{gct12, gct13, "#1.2\n999999999\t999999999\n", "#1.3\n1\t1\t0\t0\nid\tS\ng\t1", "#1.2\n1\t1\nN\tD\tS\nG\tna\t1\t\t\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := readGCT(bytes.NewReader(text), "f")
		if err != nil {
			wantFormatError(t, err)
			return
		}
		wantDistinct(t, m.Genes)
		wantDistinct(t, m.Samples)
		missing := 0
		for _, row := range m.Values {
			if len(row) != len(m.Samples) {
				t.Fatalf("row of %d for %d samples", len(row), len(m.Samples))
			}
			for _, v := range row {
				if math.IsNaN(v) {
					missing++
				} else if math.IsInf(v, 0) {
					t.Fatal("infinite value")
				}
			}
		}
		if len(m.Values) != len(m.Genes) || missing != m.Missing {
			t.Fatalf("%d rows for %d genes, %d missing, counted %d", len(m.Values), len(m.Genes), missing, m.Missing)
		}
		for _, info := range m.GeneInfo {
			if len(info.Values) != len(m.Genes) {
				t.Fatal("gene information of another length")
			}
		}
		for _, info := range m.SampleInfo {
			if len(info.Values) != len(m.Samples) {
				t.Fatal("sample information of another length")
			}
		}
	})
}

func FuzzCLS(f *testing.F) {
	for _, s := range []string{"4 2 1\n# DEAD ALIVE\nD A A D\n", "2 2 1\n#A B\nB A", "#numeric\n#x\n1 2", "1 1 1\n# A\nA", "2 2 1\n#0 \x7f\n0 1"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := readCLS(bytes.NewReader(text), "f")
		if err != nil {
			wantFormatError(t, err)
			return
		}
		used := map[int]bool{}
		for _, k := range c.Of {
			used[k] = true
			if k < 0 || k >= len(c.Names) {
				t.Fatalf("class %d of %d", k, len(c.Names))
			}
		}
		wantDistinct(t, c.Names)
		if len(used) != len(c.Names) {
			t.Fatalf("%d classes used, %d named", len(used), len(c.Names))
		}
	})
}

func FuzzRNK(f *testing.F) {
	for _, s := range []string{"gene\tscore\nTP53\t1.5\n", "#\nA\t-1e-300\nB\t0x1p3\n", "A\tNaN\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := readRNK(bytes.NewReader(text), "f")
		if err != nil {
			wantFormatError(t, err)
			return
		}
		wantDistinct(t, s.Genes)
		for _, v := range s.Scores {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				t.Fatalf("score %v", v)
			}
		}
		if len(s.Scores) != len(s.Genes) {
			t.Fatalf("%d scores for %d genes", len(s.Scores), len(s.Genes))
		}
	})
}

func FuzzMapping(f *testing.F) {
	for _, s := range []string{"a,b\n1,2\n", "x\tb\ta\n1\t2\t3\n", "a,b\n1,2\n1,3\n2,3\n", "a,b\n\"1\",2\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := readMapping(bytes.NewReader(text), "f", "a", "b")
		if err != nil {
			wantFormatError(t, err)
			return
		}
		ids := []string{"1", "2", "3", "1"}
		mapped, r := m.IDs(ids)
		if len(mapped) != len(ids) || r.Given != 3 || r.Mapped+len(r.Lost)+len(r.Ambiguous) != 3 {
			t.Fatalf("%+v", r)
		}
	})
}

func wantFormatError(t *testing.T, err error) {
	t.Helper()
	var format *FormatError
	if !errors.As(err, &format) {
		t.Fatalf("%v is no *FormatError", err)
	}
}

// wantDistinct wants clean identifiers, each once.
func wantDistinct(t *testing.T, ids []string) {
	t.Helper()
	seen := map[string]bool{}
	for _, id := range ids {
		if id == "" || id != strings.TrimFunc(id, besideText) || seen[id] {
			t.Fatalf("identifier %q, empty, not clean or repeated", id)
		}
		seen[id] = true
	}
}

// The same matrix from each of the forms.
func TestReadMatrix(t *testing.T) {
	for name, text := range map[string]string{
		"a.gct":     "#1.2\n2\t2\nNAME\tDescription\tS1\tS2\nTP53\tna\t1\t-2.5\n6-Sep\tna\tNA\t3\n",
		"a.csv":     "gene,S1,S2\nTP53,1,-2.5\n6-Sep,,3\n",
		"b.csv":     "\ufeff\"\",\"S1\",\"S2\"\r\n\"TP53\",1,-2.5\r\n\"6-Sep\",NA,3\r\n",
		"R.tsv":     "S1\tS2\nTP53\t1\t-2.5\n6-Sep\tNaN\t3\n",
		"geo.txt":   "!Series_title\t\"a, b\"\n!series_matrix_table_begin\n\n\"ID_REF\"\t\"S1\"\t\"S2\"\n\"TP53\"\t1\t-2.5\n\"6-Sep\"\tnull\t3\n!series_matrix_table_end\n",
		"row.csv":   "\"\",\"ID_REF\",\"S1\",\"S2\"\n\"1\",\"TP53\",1,-2.5\n\"2\",\"6-Sep\",N/A,3\n",
		"blank.tab": "id\tS1\tS2\nTP53\x1c\t1\t-2.5\n 6-Sep\t\t3\n",
	} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		wantSmallMatrix(t, path)
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		z.Write([]byte(text))
		z.Close()
		if err := os.WriteFile(path+".gz", b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		wantSmallMatrix(t, path+".gz")
	}
	made, err := table.New(table.Schema{Name: "x", Columns: []table.Column{{Name: "gene", Type: table.String}, {Name: "S1", Type: table.Float32, Nullable: true}, {Name: "S2", Type: table.Float64}}}, nil,
		map[string]any{"gene": []string{"TP53", "6-Sep"}, "S1": []float32{1, float32(math.NaN())}, "S2": []float64{-2.5, 3}})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a.arrow", "a.parquet"} {
		path := filepath.Join(t.TempDir(), name)
		if err := made.Write(path); err != nil {
			t.Fatal(err)
		}
		wantSmallMatrix(t, path)
	}
}

func wantSmallMatrix(t *testing.T, path string) {
	t.Helper()
	m, err := ReadMatrix(path)
	if err != nil {
		t.Errorf("%s: %v", filepath.Base(path), err)
		return
	}
	if !slices.Equal(m.Genes, []string{"TP53", "6-Sep"}) || !slices.Equal(m.Samples, []string{"S1", "S2"}) || !slices.Equal(m.Values[0], []float64{1, -2.5}) ||
		!math.IsNaN(m.Values[1][0]) || m.Values[1][1] != 3 || m.Missing != 1 || !slices.Equal(m.Dates, []string{"6-Sep"}) {
		t.Errorf("%s: %+v", filepath.Base(path), m)
	}
}

func TestReadMatrixRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		file, text string
		line       int
		part       string
	}{
		"ending":           {"a.xlsx", "x", 1, ".parquet"},
		"empty":            {"a.csv", "", 1, "header of 0 cells"},
		"no gene":          {"a.csv", "gene,S1\n", 0, "without"},
		"one column":       {"a.csv", "gene\nTP53\n", 1, "1 cells"},
		"no number":        {"a.csv", "gene,S1,S2\nTP53,1,high\n", 2, `"high" in sample S2`},
		"infinite":         {"a.csv", "gene,S1\nTP53,Inf\n", 2, "finite"},
		"gene twice":       {"a.csv", "gene,S1\nTP53,1\nEGFR,2\nTP53,3\n", 4, "on line 2 already"},
		"sample twice":     {"a.csv", "gene,S1,S1\nTP53,1,2\n", 1, "cell 2 already"},
		"a cell too few":   {"a.csv", "gene,S1,S2\nTP53,1\n", 2, "3, as the header has"},
		"comma in a cell":  {"a.csv", "gene,S1,S2\n\"a,b\",1,2\n", 2, "separator inside"},
		"gene without id":  {"a.tsv", "gene\tS1\n\t1\n", 2, "identifier of a gene"},
		"sample without":   {"a.tsv", "gene\t\tS2\nTP53\t1\t2\n", 1, "name of a sample"},
		"words, not genes": {"a.csv", "gene,description,S1\nTP53,tumour protein,1\n", 2, "tumour protein"},
	} {
		path := filepath.Join(t.TempDir(), c.file)
		if err := os.WriteFile(path, []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := ReadMatrix(path)
		var e *FormatError
		if !errors.As(err, &e) || c.line > 0 && e.Line != c.line || !strings.Contains(err.Error(), c.part) || e.Next == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A binary table is held to the same: identifiers are there and clean, values finite.
	for part, values := range map[string]map[string]any{
		"the identifier of a gene": {"gene": []string{"TP53", " "}, "S1": []float64{1, 2}},
		"once":                     {"gene": []string{"TP53", "TP53\x1c"}, "S1": []float64{1, 2}},
		"finite":                   {"gene": []string{"TP53", "EGFR"}, "S1": []float64{1, math.Inf(1)}},
		"at least one sample":      {"gene": []string{"TP53", "EGFR"}},
		"at least one row":         {"gene": []string{}, "S1": []float64{}},
	} {
		schema := table.Schema{Name: "x", Columns: []table.Column{{Name: "gene", Type: table.String}}}
		if values["S1"] != nil {
			schema = schema.With(table.Column{Name: "S1", Type: table.Float64})
		}
		made, err := table.New(schema, nil, values)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "a.arrow")
		if err := made.Write(path); err != nil {
			t.Fatal(err)
		}
		m, err := ReadMatrix(path)
		var e *FormatError
		if !errors.As(err, &e) || !strings.Contains(err.Error(), part) || e.Next == "" {
			t.Errorf("%s: %+v, %v", part, m, err)
		}
	}
	if _, err := ReadMatrix(filepath.Join(t.TempDir(), "none.csv")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}
