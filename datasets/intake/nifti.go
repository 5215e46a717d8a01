package intake

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"maps"
)

// Pair is a patient's scan and mask as NIfTI files.
type Pair struct {
	Spelled    string // the id in the file names
	Scan, Mask string // paths; one is empty where Problem says so
	Problem    string // why this is no pair; empty when it is one
}

// Pairs finds the scans and masks of a map below a folder by their paths, written with
// slashes. Links to folders are not followed. other are the paths of files that fit neither
// pattern. Pairs are sorted by the id.
//
// The error is of the file system.
func (im Images) Pairs(root string) (pairs []Pair, other []string, err error) {
	scans, masks := map[string][]string{}, map[string][]string{}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		found := false
		if at := im.scan.FindStringSubmatch(rel); at != nil {
			id := at[im.scan.SubexpIndex("patient")]
			scans[id], found = append(scans[id], path), true
		}
		if at := im.mask.FindStringSubmatch(rel); at != nil {
			id := at[im.mask.SubexpIndex("patient")]
			masks[id], found = append(masks[id], path), true
		}
		if !found {
			other = append(other, rel)
		}
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("look for NIfTI files: %w", err)
	}
	ids := map[string]bool{}
	for id := range scans {
		ids[id] = true
	}
	for id := range masks {
		ids[id] = true
	}
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		p := Pair{Spelled: id}
		s, m := scans[id], masks[id]
		switch {
		case len(s) == 0:
			p.Problem = "there is a mask and no scan"
		case len(m) == 0:
			p.Problem = "there is a scan and no mask"
		case len(s) > 1:
			p.Problem = fmt.Sprintf("%d files fit images.scan; one is needed", len(s))
		case len(m) > 1:
			p.Problem = fmt.Sprintf("%d files fit images.mask; one is needed", len(m))
		case s[0] == m[0]:
			p.Problem = "the same file fits images.scan and images.mask"
		default:
			p.Scan, p.Mask = s[0], m[0]
		}
		pairs = append(pairs, p)
	}
	return pairs, other, nil
}
