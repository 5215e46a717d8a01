package prepare

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// removeUnfinished takes away the temporary files of the named ones, which a process that
// was killed has left.
func removeUnfinished(dir string, names ...string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(e.Name(), "."+name) }) {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// release lets go of voxels, which the row of a patient no longer needs. Left to
// itself the collector waits until the heap has doubled, with the next patient's
// scan in it; voxels hold no pointers, so collecting at once costs next to nothing.
func (p *Prepared) release() {
	p.CT.HU, p.Mask.In = nil, nil
	runtime.GC()
}

// indexFile is where the heads of the input's files are kept.
const indexFile = "index.json"

// reservedNames are those of files in the prepared folder besides the tables.
var reservedNames = []string{indexFile, "qc.html", "cohort.arrow", "cohort.parquet"}

// folderNames gives each patient a folder of its own. A PatientID that is a safe
// name on every file system is its own folder; any other is cleaned and gets a
// hash of the ID, so that no two patients share one.
func folderNames(ids []string) map[string]string {
	taken := map[string]bool{}
	for _, t := range slices.Concat(reservedNames, tableFiles) {
		taken[t] = true
	}
	out := make(map[string]string, len(ids))
	for _, id := range ids {
		name := safeName(id)
		if taken[strings.ToLower(name)] {
			name = hashedName(id)
			for taken[strings.ToLower(name)] {
				name += "x" // another patient bears this very name
			}
		}
		taken[strings.ToLower(name)] = true
		out[id] = name
	}
	return out
}

// safeName is a name that is its own, or cleaned and with a hash of what it was.
func safeName(id string) string {
	if name := cleanName(id); name == id {
		return name
	}
	return hashedName(id)
}

func hashedName(id string) string {
	return cleanName(id) + "-" + hashOf([]byte(id))[:8]
}

// cleanName keeps letters, digits, and - _ . inside the name.
func cleanName(id string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.' {
			return r
		}
		return '_'
	}, id)
	name = strings.Trim(name, ".")
	name = name[:min(len(name), 64)]
	if name == "" {
		name = "patient"
	}
	return name
}

// row is one contour as the columns of the imaging table see it. Where its files are, and
// the cohort, is put in when the table is made (tableRow).
type row struct {
	*Prepared
	contours string // the contour's file, as tables name it

	hash            string
	mean, low, high float64
	padded          int
	quality         quality
	spacing         [3]float64
	size            [3]int
}

func (o Options) newRow(p *Prepared) *row {
	r := &row{Prepared: p, contours: p.named, hash: CubeHash(p.Cube), padded: p.centralPadded(), quality: p.quality(), spacing: p.CT.Grid.Spacing, size: p.CT.Grid.Size}
	r.mean, r.low, r.high = inputStats(p.Cube, p.Spec.Size)
	return r
}
