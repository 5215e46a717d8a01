package experiments

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"

	"hounsfield/datasets/catalog"
	"hounsfield/experiments/progress"
)

// Fetch downloads a public data set into dest, or copies it from a mirror, and
// verifies every file by size and sha256. A file that is there and whole is left.
func Fetch(ctx context.Context, name, dest, mirror string, p *progress.Progress, w io.Writer) error {
	entry, err := catalog.Load(name)
	if err != nil {
		return err
	}
	if dest == "" {
		if dest, err = catalog.DataDir(); err != nil {
			return err
		}
	}
	fmt.Fprintf(w, "%s\nlicence: %s\n", entry.Title, entry.Licence)
	for _, c := range entry.Cite {
		fmt.Fprintf(w, "cite: %s\n", c)
	}
	err = catalog.Fetch(ctx, entry, dest, catalog.FetchOptions{Mirror: mirror, Progress: p.Bytes()})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%d files of %s verified in %s\n", len(entry.Files), name, dest)
	return err
}

// ListDatasets prints every data set of the catalog and whether its files are here.
func ListDatasets(mirror string, w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "data set\there\twhat")
	for _, name := range catalog.Names() {
		entry, err := catalog.Load(name)
		if err != nil {
			return err
		}
		here := "yes"
		if _, _, err := catalog.Locate(entry, mirror); err != nil {
			here = "no"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", name, here, entry.Title)
	}
	return t.Flush()
}

// ShowDataset prints one data set's card and the state of its files here.
func ShowDataset(name, mirror string, w io.Writer) error {
	entry, err := catalog.Load(name)
	if err != nil {
		return err
	}
	if err := entry.Describe(w); err != nil {
		return err
	}
	root, how, err := catalog.Locate(entry, mirror)
	if err != nil {
		_, err = fmt.Fprintf(w, "\nHere: no. %v\n", err)
		return err
	}
	fmt.Fprintf(w, "\nHere: %s (%s)\n", root, how)
	for _, row := range entry.Verify(root) {
		fmt.Fprintf(w, "  %-8s %s %s\n", row.Status, row.Path, row.Detail)
	}
	return nil
}
