package prepare

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"hounsfield/datasets"
	"hounsfield/datasets/radiomics"
	"hounsfield/datasets/table"
)

// FeaturesFile is the table of engineered features in the folder that Run fills, when they
// were asked for: one row per contour, as in the imaging table.
const (
	FeaturesFile    = "features.arrow"
	featuresParquet = "features.parquet"
)

// describe computes a contour's features, on the scan's own voxels. A contour that has none
// keeps its row in the imaging table, which says why.
func (o Options) describe(ctx context.Context, p *Prepared) (*featuresRecord, error) {
	features, err := radiomics.Extract(ctx, p.CT, p.Mask, *o.Features)
	var none *radiomics.RegionError
	if errors.As(err, &none) {
		return &featuresRecord{Problem: none.Problem}, nil
	}
	return &featuresRecord{Values: featureRecords(features)}, err
}

// featuresTable has the features of all rows; those of a contour without any are null.
func featuresTable(rows []tableRow, s radiomics.Settings, origin map[string]string) (*table.Table, error) {
	schema := table.Schema{Name: "features", Columns: []table.Column{
		{Name: "patient_id", Type: table.String, Description: "PatientID of the DICOM files; with scan and reader it names the row"},
		{Name: "scan", Type: table.Int64, Description: "1, or 2 for the repeat of the scan"},
		{Name: "reader", Type: table.String, Nullable: true, Description: "whose contour it is; null for the reference"},
	}}
	data := map[string]any{
		"patient_id": table.ColumnOf(rows, func(r tableRow) string { return r.patient }),
		"scan":       table.ColumnOf(rows, func(r tableRow) int64 { return int64(r.scan) }),
		"reader": table.ColumnOf(rows, func(r tableRow) datasets.Null[string] {
			return datasets.Null[string]{V: r.reader, Valid: r.reader != ""}
		}),
	}
	source := "hounsfield radiomics: " + s.String()
	for i, r := range rows {
		for _, f := range r.features {
			name := f.Column()
			if _, ok := data[name]; !ok {
				c := table.Column{Name: name, Type: table.Float64, Unit: f.Unit, Nullable: true, Source: source}
				if f.IBSI != "" {
					c.Description = "IBSI " + f.IBSI
				}
				schema.Columns = append(schema.Columns, c)
				data[name] = nan(len(rows))
			}
			if !math.IsInf(f.Value, 0) {
				data[name].([]float64)[i] = f.Value
			}
		}
	}
	return table.New(schema, origin, data)
}

func nan(n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = math.NaN()
	}
	return out
}

// ReadFeatures reads the engineered features of a prepared folder as those of some patients:
// of each the reference contour of the first scan, NaN where there is none. found is false for
// a folder that was prepared without. Errors: those of package table.
func ReadFeatures(folder string, patients []datasets.Patient) (features []datasets.Feature, found bool, err error) {
	file := filepath.Join(folder, FeaturesFile)
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	t, err := table.Read(file, table.Schema{Name: "features", Columns: []table.Column{
		{Name: "patient_id", Type: table.String}, {Name: "scan", Type: table.Int64}, {Name: "reader", Type: table.String, Nullable: true}}}, table.Keep)
	if err != nil {
		return nil, false, fmt.Errorf("%w; prepare the folder again", err)
	}
	rows := References(t)
	for _, c := range t.Schema().Columns {
		if c.Type != table.Float64 {
			continue
		}
		f := datasets.Feature{Column: c, Values: nan(len(patients))}
		for i, p := range patients {
			if row, ok := rows[p.ID]; ok {
				f.Values[i] = t.Float64s(c.Name)[row]
			}
		}
		features = append(features, f)
	}
	return features, true, nil
}
