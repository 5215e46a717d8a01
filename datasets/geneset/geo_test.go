package geneset

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
)

// series is a small series matrix of the real shape: quoted text, a repeated line, a byte that
// is no UTF-8, a value that was not measured, Unix line ends.
const series = "!Series_title\t\"Lung3: \"\"radiomics\"\" and expression\"\n" +
	"!Series_geo_accession\t\"GSE58661\"\n" +
	"!Series_platform_id\t\"GPL15048\"\n" +
	"!Series_contributor\t\"A,,B\"\n" +
	"\n" +
	"!Sample_title\t\"LUNG3-01\"\t\"LUNG3-02\"\t\"LUNG3-03\"\n" +
	"!Sample_geo_accession\t\"GSM1416528\"\t\"GSM1416529\"\t\"GSM1416530\"\n" +
	"!Sample_characteristics_ch1\t\"gender: M\"\t\"gender: F\"\t\"gender: M\"\n" +
	"!Sample_characteristics_ch1\t\"patient id: A-1\"\t\"patient id: A-2\"\t\"\"\n" +
	"!Sample_extract_protocol_ch1\t\"5 \xb5g\"\t\"5 \xb5g\"\t\"5 \xb5g\"\n" +
	"!series_matrix_table_begin\n" +
	"\"ID_REF\"\t\"GSM1416528\"\t\"GSM1416529\"\t\"GSM1416530\"\n" +
	"\"merck-BE563343_s_at\"\t10.21785569\t5.641131503\t5.957316312\n" +
	"\"merck-BX538327_at\"\t9.552920529\t\t4.58809865\n" +
	"\"merck-G36605_at\"\t6.248648945\tnull\t-3.057148892\n" +
	"!series_matrix_table_end\n"

// platform is a SOFT file with the columns that the array's table is said to have.
const platform = "^DATABASE = GeoMiame\n!Database_name = Gene Expression Omnibus (GEO)\n^PLATFORM = GPL15048\n" +
	"!Platform_title = Rosetta/Merck Human RSTA Custom Affymetrix 2.0\n" +
	"#ID = probe set\n#EntrezGeneID = \n#GeneSymbol = \n" +
	"!platform_table_begin\n" +
	"ID\tdescription\tEntrezGeneID\tGeneSymbol\n" +
	"merck-BE563343_s_at\tof 5\" end, \xb5\t1001\tAAA\n" +
	"merck-BX538327_at\t\t1002 1003\tBBB CCC\n" +
	"merck-G36605_at\tan \"odd\" one\t1001\tAAA\n" +
	"merck-X_at\t\t---\t\n" +
	"merck-Y_at\n" +
	"merck-Z_at\t\t3105\tHLA-A LOC100507703\n" +
	"!platform_table_end\n^SAMPLE = GSM1416528\n!sample_table_begin\nID_REF\tVALUE\na\tb\tc\td\te\n!sample_table_end\n"

func geoFile(t testing.TB, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	b := []byte(text)
	if strings.HasSuffix(name, ".gz") {
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		z.Write(b)
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		b = packed.Bytes()
	}
	if err := os.WriteFile(file, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestSeriesMatrix(t *testing.T) {
	for _, text := range []string{series, strings.ReplaceAll(series, "\n", "\r\n"), strings.ReplaceAll(series, "\"", "")} {
		m, err := ReadMatrix(geoFile(t, "GSE58661_series_matrix.txt.gz", text))
		if err != nil {
			t.Fatal(err)
		}
		if want := []string{"GSM1416528", "GSM1416529", "GSM1416530"}; !slices.Equal(m.Samples, want) {
			t.Errorf("samples %q", m.Samples)
		}
		if want := []string{"merck-BE563343_s_at", "merck-BX538327_at", "merck-G36605_at"}; !slices.Equal(m.Genes, want) || m.Missing != 2 {
			t.Errorf("rows %q, %d missing", m.Genes, m.Missing)
		}
		if m.Values[0][1] != 5.641131503 || m.Values[2][2] != -3.057148892 || !math.IsNaN(m.Values[1][1]) {
			t.Errorf("values %v", m.Values)
		}
	}
}

// A file cut off anywhere is refused, by bytes of the text and of the packed file; nothing
// short of the last line of the table passes for a whole.
func TestSeriesMatrixCut(t *testing.T) {
	whole := strings.Index(series, "!series_matrix_table_end") + len("!series_matrix_table_end")
	for n := range series[:whole] {
		if _, err := readDelimited(strings.NewReader(series[:n]), "cut"); err == nil {
			t.Fatalf("cut after %d of %d bytes it is read", n, whole)
		}
	}
	packed, err := os.ReadFile(geoFile(t, "a.gz", series))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "cut_series_matrix.txt.gz")
	for n := range packed {
		if err := os.WriteFile(file, packed[:n], 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadMatrix(file); err == nil {
			t.Fatalf("packed and cut after %d of %d bytes it is read", n, len(packed))
		}
	}
	end := strings.Index(platform, "!platform_table_end") + len("!platform_table_end")
	for n := range platform[:end] {
		if _, err := readMapping(strings.NewReader(platform[:n]), "cut", "ID", "EntrezGeneID"); err == nil {
			t.Fatalf("a platform cut after %d of %d bytes is read", n, end)
		}
	}
}

func TestSeriesMatrixRefused(t *testing.T) {
	for name, c := range map[string]struct {
		from, to string // replaced in series
		want     []string
	}{
		"another sample":              {`"ID_REF"	"GSM1416528"`, `"ID_REF"	"GSM9"`, []string{"line 12", "other samples", "line 7"}},
		"no value":                    {"5.641131503", "high", []string{"line 13", `"high" in sample GSM1416529`, "a finite number"}},
		"a cell missing":              {"	5.641131503", "", []string{"3 cells", "4, as the header has"}},
		"a probe twice":               {"merck-BX538327_at", "merck-BE563343_s_at", []string{"already", "line 13"}},
		"a header of its own":         {"ID_REF", "ID", []string{"ID_REF and the samples"}},
		"no row":                      {series[strings.Index(series, `"merck-BE`):strings.Index(series, "!series_matrix_table_end")], "", []string{"a table without a row", "supplementary file"}},
		"a probe in another encoding": {"merck-G36605_at", "merck-\xb5_at", []string{"not UTF-8"}},
	} {
		text := strings.Replace(series, c.from, c.to, 1)
		if text == series {
			t.Fatalf("%s: nothing was changed", name)
		}
		_, err := ReadMatrix(geoFile(t, "x_series_matrix.txt", text))
		var e *FormatError
		if !errors.As(err, &e) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q does not say %q", name, err, want)
			}
		}
	}
}

// Samples by what the series matrix says of them.
func TestSampleMapping(t *testing.T) {
	file := geoFile(t, "GSE58661_series_matrix.txt.gz", series)
	for to, want := range map[string][]string{
		"title":      {"LUNG3-01", "LUNG3-02", "LUNG3-03"},
		"patient id": {"A-1", "A-2", ""},
		"gender":     {"M", "F", "M"},
	} {
		m, err := ReadMapping(file, "geo_accession", to)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := m.IDs([]string{"GSM1416528", "GSM1416529", "GSM1416530"}); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", to, got, want)
		}
	}
	_, err := ReadMapping(file, "geo_accession", "name")
	if err == nil || !strings.Contains(err.Error(), "title, geo_accession, gender, patient id, extract_protocol_ch1") {
		t.Errorf("a column that is not there: %v", err)
	}
}

func TestPlatform(t *testing.T) {
	annotation := "^Annotation\n!Annotation_date = May 2 2016\n#ID = ID from Platform data table\n!platform_table_begin\nID\tGene title\tGene symbol\tGene ID\n" +
		"p1\tone\tAAA\t1001\np2\tone///two\tBBB///CCC\t1002///1003\np3\tone\tAAA\t1001\n!platform_table_end\n"
	web := platform[strings.Index(platform, "#ID"):strings.Index(platform, "!platform_table_begin")] +
		platform[strings.Index(platform, "ID\tdesc"):strings.Index(platform, "!platform_table_end")]
	for _, c := range []struct {
		name, text, from, to string
		probes, want         []string
		ambiguous            []string
	}{
		{"GPL15048_family.soft.gz", platform, "ID", "EntrezGeneID", []string{"merck-BE563343_s_at", "merck-G36605_at", "merck-BX538327_at", "merck-X_at", "merck-Y_at", "merck-Z_at"},
			[]string{"1001", "1001", "", "", "", "3105"}, []string{"merck-BX538327_at"}},
		{"GPL15048.soft", platform, "ID", "GeneSymbol", []string{"merck-BE563343_s_at", "merck-Z_at"}, []string{"AAA", ""}, []string{"merck-BX538327_at", "merck-Z_at"}},
		{"GPL15048.txt", web, "ID", "EntrezGeneID", []string{"merck-G36605_at", "merck-BX538327_at"}, []string{"1001", ""}, []string{"merck-BX538327_at"}},
		{"GPL570.annot.gz", annotation, "ID", "Gene ID", []string{"p1", "p2", "p3"}, []string{"1001", "", "1001"}, []string{"p2"}},
		{"GPL570.annot", annotation, "ID", "Gene symbol", []string{"p1", "p2"}, []string{"AAA", ""}, []string{"p2"}},
	} {
		m, err := ReadMapping(geoFile(t, c.name, c.text), c.from, c.to)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		got, report := m.IDs(c.probes)
		if diff := cmp.Diff(c.want, got); diff != "" || !slices.Equal(report.Ambiguous, intersection(c.ambiguous, c.probes)) || !slices.Equal(m.Ambiguous, c.ambiguous) {
			t.Errorf("%s, %s: ambiguous %q; genes (-want +got):\n%s", c.name, c.to, m.Ambiguous, diff)
		}
	}
	for name, c := range map[string]struct{ text, to, want string }{
		"no such column": {platform, "ENTREZ", "ID, description, EntrezGeneID, GeneSymbol"},
		"a cell more":    {strings.Replace(platform, "1001\tAAA", "1001\tAAA\tx", 1), "EntrezGeneID", "at most 4"},
		"free text":      {"#ID = \nID\tabout\np1\ta kinase\np2\tan oncogene\n", "about", "name several words"},
		"nothing in it":  {"#ID = \nID\tgene\np1\t---\n", "gene", "without a pair"},
	} {
		if _, err := readMapping(strings.NewReader(c.text), "p.txt", "ID", c.to); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func intersection(a, b []string) (out []string) {
	for _, v := range a {
		if slices.Contains(b, v) {
			out = append(out, v)
		}
	}
	return out
}

// The RNA-seq of GSE103584 as it is given away: a header whose first cell is empty (or is not
// there), tabs, NA where nothing was found.
func TestRNASeqText(t *testing.T) {
	for _, header := range []string{"\tR01-023\tR01-024\tR01-006", "R01-023\tR01-024\tR01-006", "Gene\tR01-023\tR01-024\tR01-006"} {
		m, err := ReadMatrix(geoFile(t, "GSE103584_R01_NSCLC_RNAseq.txt.gz", header+"\nA1BG\t12.814\tNA\t0.5\nTOR1AIP1\t1e-2\t3\t4\n"))
		if err != nil {
			t.Fatal(err)
		}
		if genes, _, lost := m.Complete(); !slices.Equal(genes, []string{"TOR1AIP1"}) || !slices.Equal(lost, []string{"A1BG"}) || m.Missing != 1 || m.Samples[0] != "R01-023" {
			t.Errorf("%q: whole %q, not %q, %d missing, samples %q", header, genes, lost, m.Missing, m.Samples)
		}
	}
}

// What is known of the real file: ten rows of it, by which the GSM numbers and the probes fit
// the map of the patients. Written as the series matrix that they come from they are read the same.
func TestRealRows(t *testing.T) {
	root := os.Getenv("HOUNSFIELD_MIRROR")
	if root == "" {
		t.Skip("HOUNSFIELD_MIRROR is not set: no rows of GSE58661")
	}
	want, err := ReadMatrix(filepath.Join(root, "expression", "gse58661_top10_probes.csv"))
	if err != nil {
		t.Fatal(err)
	}
	patients, err := ReadMapping(filepath.Join(root, "expression", "lung3_gsm.csv"), "gsm", "id")
	if err != nil {
		t.Fatal(err)
	}
	ids, report := patients.IDs(want.Samples)
	if len(ids) != 89 || report.Mapped != 89 || ids[0] != "LUNG3-01" {
		t.Fatalf("%s", report)
	}
	var b strings.Builder
	line := func(first string, cells []string) { fmt.Fprintf(&b, "%s\t%s\n", first, strings.Join(cells, "\t")) }
	quoted := func(cells []string) (out []string) {
		for _, c := range cells {
			out = append(out, `"`+c+`"`)
		}
		return out
	}
	line("!Series_geo_accession", []string{`"GSE58661"`})
	line("!Sample_title", quoted(ids))
	line("!Sample_geo_accession", quoted(want.Samples))
	b.WriteString("!series_matrix_table_begin\n")
	line(`"ID_REF"`, quoted(want.Samples))
	for i, gene := range want.Genes {
		var cells []string
		for _, v := range want.Values[i] {
			cells = append(cells, fmt.Sprint(v))
		}
		line(`"`+gene+`"`, cells)
	}
	b.WriteString("!series_matrix_table_end\n")
	file := geoFile(t, "GSE58661_series_matrix.txt.gz", b.String())
	got, err := ReadMatrix(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	titles, err := ReadMapping(file, "geo_accession", "title")
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := titles.IDs(want.Samples); !slices.Equal(again, ids) {
		t.Errorf("by their titles %q", again)
	}
}

// Whatever is read is whole: rows as long as there are samples, no name empty or twice, each
// probe with one gene.
func FuzzGEO(f *testing.F) {
	f.Add(series, "geo_accession", "title")
	f.Add(platform, "ID", "EntrezGeneID")
	f.Add("#ID = x\nID\tg\np\tA///B\nq\tC\n", "ID", "g")
	f.Add("!Sample_geo_accession\t\"a\"\n!series_matrix_table_begin\nID_REF\ta\nx\t1\n!series_matrix_table_end", "geo_accession", "title")
	f.Fuzz(func(t *testing.T, text, from, to string) {
		if m, err := readSeries(strings.NewReader(text), "fuzz"); err == nil {
			seen := map[string]bool{}
			for i, g := range m.Genes {
				if g == "" || seen[g] || len(m.Values[i]) != len(m.Samples) {
					t.Fatalf("row %d: %q", i, g)
				}
				seen[g] = true
				for _, v := range m.Values[i] {
					if math.IsInf(v, 0) {
						t.Fatalf("%s: %v", g, v)
					}
				}
			}
			if len(m.Genes) == 0 || len(m.Samples) == 0 || !strings.Contains(strings.ToLower(text), "!series_matrix_table_end") {
				t.Fatalf("%d x %d", len(m.Genes), len(m.Samples))
			}
		}
		for _, read := range []func() (*Mapping, error){
			func() (*Mapping, error) { return readPlatform(strings.NewReader(text), "fuzz", from, to) },
			func() (*Mapping, error) { return readSampleMapping(strings.NewReader(text), "fuzz", from, to) },
			func() (*Mapping, error) { return readMapping(strings.NewReader(text), "fuzz", from, to) },
		} {
			m, err := read()
			if err != nil {
				continue
			}
			for from, to := range m.to {
				if from == "" || to == "" || slices.Contains(m.Ambiguous, from) {
					t.Fatalf("%q -> %q", from, to)
				}
			}
			if len(m.to)+len(m.Ambiguous) == 0 {
				t.Fatal("a mapping of nothing")
			}
		}
	})
}
