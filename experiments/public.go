package experiments

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"hounsfield/datasets/catalog"
	"hounsfield/datasets/fetch"
	"hounsfield/experiments/progress"
	"hounsfield/experiments/slurm"
)

// FetchOptions say what of a data set is fetched, from where and how.
type FetchOptions struct {
	Dest     string   // data folder; empty = the entry's own (catalog.Entry.Home)
	Mirror   string   // a copy of a data folder to take it from, without a network
	Source   string   // nbia | idc: the archive that the scans come from; empty = the entry's first
	Manifest string   // a list of the only series to fetch: idc's (s5cmd), or nbia's (.tcia)
	Server   string   // another server with the archive's protocol
	Patients []string // scans of these alone; empty = all
	Only     string   // OnlyTables | OnlyImages; empty = both
	Jobs     int      // transfers at a time; 0 = the fetcher's choice
	Rate     int64    // bytes a second at most; 0 = as fast as it goes

	DryRun        bool // say what would be done; nothing is written, no licence is accepted
	AcceptLicence bool
	Refresh       bool // fetch anew what has changed at the source
	// Ask puts a question to the person at the terminal; nil = there is nobody.
	Ask func(question string) (bool, error)
	// Typed is the command as it was typed, for messages that say what to type next; empty
	// = hounsfield fetch NAME.
	Typed    string
	Progress *progress.Progress

	client *fetch.ClientOptions // of tests
}

// FetchError is a data set that did not arrive whole. What did arrive is there, verified, and is
// not fetched again.
type FetchError struct {
	Name    string
	Here    int // items
	Of      int
	Errs    []error // one an item
	Whole   []error // of the work as a whole: the disk is full, the archive fails all the time
	Absent  []string
	Obtain  string // how to get what is absent
	Command string // what to type
}

const mostErrors = 10

func (e *FetchError) Error() string {
	var b strings.Builder
	if len(e.Errs)+len(e.Whole) > 0 {
		fmt.Fprintf(&b, "%d of %d items of %s are here, %d are not:", e.Here, e.Of, e.Name, e.Of-e.Here)
		var next []string // the same advice for many is given once
		for i, err := range e.Errs {
			if i == mostErrors {
				fmt.Fprintf(&b, "\n  ... and %d more", len(e.Errs)-i)
				break
			}
			var item *fetch.TransferError
			if errors.As(err, &item) {
				if item.Next != "" && !slices.Contains(next, item.Next) {
					next = append(next, item.Next)
				}
				short := *item
				short.Next = ""
				err = &short
			}
			fmt.Fprintf(&b, "\n  %v", err)
		}
		for _, err := range e.Whole {
			fmt.Fprintf(&b, "\n  %v", err)
		}
		for _, n := range next {
			fmt.Fprintf(&b, "\n%s", n)
		}
		fmt.Fprintf(&b, "\ntype the same command to go on with the rest: %s", e.Command)
	}
	if len(e.Absent) > 0 {
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%s: %s: no archive has a public address for it. %s", e.Name, strings.Join(e.Absent, ", "), e.Obtain)
	}
	return b.String()
}

// Unwrap gives the errors of the items, then those of the whole.
func (e *FetchError) Unwrap() []error { return slices.Concat(e.Errs, e.Whole) }

// Fetch brings a data set into a data folder, from the archives that hold it or from a mirror:
// every file verified, a licence accepted before the first byte, and the same command goes on
// where an earlier one was stopped. Errors: *FetchError of items that did not arrive, those of
// packages catalog and fetch of the whole.
func Fetch(ctx context.Context, name string, o FetchOptions, w io.Writer) error {
	entry, err := catalog.Load(name)
	if err != nil {
		return err
	}
	dest, err := o.fetch(ctx, entry, name, w)
	if err != nil || o.DryRun {
		return err
	}
	next, err := nextStep(entry, name, dest)
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, next)
	return err
}

// fetch is Fetch without the word on what to do next; dest is the data folder.
func (o FetchOptions) fetch(ctx context.Context, entry catalog.Entry, name string, w io.Writer) (dest string, err error) {
	if o.Typed == "" {
		o.Typed = "hounsfield fetch " + slurm.Quote(name)
	}
	if dest = o.Dest; dest == "" {
		if dest, err = entry.Home(); err != nil {
			return "", err
		}
	}
	options := fetch.ClientOptions{}
	if o.client != nil {
		options = *o.client
	}
	options.BytesPerSecond = o.Rate
	options.Say = func(s string) { o.Progress.Say("%s", s) }
	client := fetch.NewClient(options)
	g, err := gather(ctx, entry, dest, client, o)
	if err != nil {
		return "", offline(err)
	}
	fmt.Fprintf(w, "%s\n", entry.Title)
	for _, note := range g.notes {
		io.WriteString(w, catalog.Paragraph("note: ", note))
	}
	if g.source == nil {
		return "", nothingToFetch(entry, name, dest, g)
	}
	run := fetch.Options{Dest: dest, Jobs: o.Jobs, DryRun: o.DryRun, Refresh: o.Refresh, Client: client}
	if o.DryRun {
		return dest, planFetch(ctx, entry, g, run, o, w)
	}
	if run.Acceptance, err = accept(entry, dest, o, w); err != nil {
		return "", err
	}
	shown := o.Progress.Transfer(fetch.Bytes)
	if o.Mirror == "" {
		o.Progress.Say("asking what there is (%s) ...", g.source.Name())
	}
	run.Progress = func(e fetch.Event) {
		shown.Set(progress.Moment{Done: e.Done, Total: e.Total, Growing: e.Unknown > 0, Items: e.Items, Of: e.Of, Now: e.Now, Speed: e.Speed, Left: e.Left})
	}
	done, err := fetch.Run(ctx, entry.Name, g.source, run)
	took := shown.Done()
	if errors.Is(err, context.Canceled) {
		return "", fmt.Errorf("%w; what has arrived is kept, and the same command goes on: %s", err, o.Typed)
	}
	if bad := failed(entry, done, g, err, o); bad != nil {
		if len(done.Rows) > 0 {
			printFetched(entry, dest, done, took, w)
		}
		return "", bad
	}
	printFetched(entry, dest, done, took, w)
	return dest, nil
}

// nothingToFetch says why no source is left to fetch from.
func nothingToFetch(e catalog.Entry, name, dest string, g gathered) error {
	if len(g.absent) == 0 && len(g.notes) == 0 {
		return fmt.Errorf("%s has nothing that could be fetched; hounsfield datasets %s says what it is", e.Name, slurm.Quote(name))
	}
	obtain := strings.TrimSpace(e.Obtain)
	if len(g.absent) == 0 {
		return fmt.Errorf("nothing of %s was fetched; the notes above say why", e.Name)
	}
	return &FetchError{Name: e.Name, Absent: g.absent, Obtain: obtain + " Your data folder is " + dest}
}

// accept finds out whether somebody has agreed to the licences, and asks who is there if nobody
// has. The same text is not asked about again.
func accept(e catalog.Entry, dest string, o FetchOptions, w io.Writer) (fetch.Acceptance, error) {
	text := e.LicenceText()
	earlier, ok, err := fetch.Accepted(dest, e.Name, text)
	if err != nil {
		return fetch.Acceptance{}, err
	}
	if ok {
		fmt.Fprintf(w, "licence: %s, accepted on %s\n", e.LicenceName(), day(earlier.When))
		return earlier, nil
	}
	fmt.Fprintln(w)
	if err := e.DescribeLicences(w); err != nil {
		return fetch.Acceptance{}, err
	}
	fmt.Fprintln(w)
	a := fetch.Acceptance{Licence: text, By: "unknown", How: "--accept-licence"}
	if u, err := user.Current(); err == nil {
		a.By = u.Username
	}
	if o.AcceptLicence {
		return a, nil
	}
	if o.Ask == nil {
		return fetch.Acceptance{}, fmt.Errorf("the licence above has not been accepted, and there is no terminal to ask at; if you accept it, type: %s --accept-licence", o.Typed)
	}
	yes, err := o.Ask("Do you accept the licence above, for yourself and for those you work for? [y/N] ")
	if errors.Is(err, context.Canceled) {
		return fetch.Acceptance{}, fmt.Errorf("stopped at the question; the licence was not accepted, and nothing was fetched: %w", err)
	}
	if err != nil {
		return fetch.Acceptance{}, err
	}
	if !yes {
		return fetch.Acceptance{}, errors.New("the licence was not accepted; nothing was fetched")
	}
	a.How = "asked at the terminal, answered yes"
	return a, nil
}

// planFetch prints what a fetch would do.
func planFetch(ctx context.Context, e catalog.Entry, g gathered, run fetch.Options, o FetchOptions, w io.Writer) error {
	done, err := fetch.Run(ctx, e.Name, g.source, run)
	if err != nil {
		return offline(err)
	}
	fmt.Fprintln(w)
	if err := e.DescribeLicences(w); err != nil {
		return err
	}
	p := done.Plan
	var part int64
	patients := map[string]bool{}
	for _, it := range p.Items {
		if it.State != fetch.Here {
			part += it.Have
		}
		if it.Item.Patient != "" {
			patients[it.Item.Patient] = true
		}
	}
	fmt.Fprintf(w, "\nDry run: nothing is written, nothing accepted.\n")
	size := fetch.Bytes(p.Bytes)
	if p.Unknown > 0 {
		size = fmt.Sprintf("%s and %d items whose size the archive does not say", size, p.Unknown)
	}
	fmt.Fprintf(w, "to fetch  %s, %s, from %s\n", items(p.Fetch), size, p.Source)
	if len(patients) > 0 {
		fmt.Fprintf(w, "patients  %d with scans\n", len(patients))
	}
	if part > 0 {
		fmt.Fprintf(w, "begun     %s of that are here from an earlier try\n", fetch.Bytes(part))
	}
	fmt.Fprintf(w, "here      %s\n", items(p.Here))
	if p.Changed > 0 {
		fmt.Fprintf(w, "changed   %s at the source since; --refresh fetches them anew\n", items(p.Changed))
	}
	free := "nobody can tell how much is free"
	if p.Free >= 0 {
		free = fetch.Bytes(p.Free) + " free"
	}
	fmt.Fprintf(w, "room      %s needed, %s in %s\n", fetch.Bytes(p.Need), free, run.Dest)
	if p.Free >= 0 && p.Need > p.Free {
		fmt.Fprintf(w, "          that is too little: make room, or name another folder with --dest\n")
	}
	if len(g.absent) > 0 {
		io.WriteString(w, catalog.Paragraph("by hand   ", strings.Join(g.absent, ", ")+": no public address. "+e.Obtain))
	}
	earlier, ok, err := fetch.Accepted(run.Dest, e.Name, e.LicenceText())
	if err != nil {
		return err
	}
	if ok {
		fmt.Fprintf(w, "licence   accepted on %s\n", day(earlier.When))
	} else {
		fmt.Fprintf(w, "licence   not accepted yet: you will be asked, or add --accept-licence\n")
	}
	printStated(e, p, w)
	_, err = fmt.Fprintf(w, "to do it  %s\n", strings.ReplaceAll(o.Typed, " --dry-run", ""))
	return err
}

func day(t time.Time) string { return t.Local().Format("2 January 2006") }

func items(n int) string {
	if n == 1 {
		return "1 item"
	}
	return fmt.Sprintf("%d items", n)
}

// failed makes one error of what went wrong, nil when nothing did.
func failed(e catalog.Entry, done fetch.Result, g gathered, err error, o FetchOptions) error {
	bad := &FetchError{Name: e.Name, Of: len(done.Rows), Command: o.Typed, Absent: g.absent, Obtain: strings.TrimSpace(e.Obtain)}
	for _, r := range done.Rows {
		if r.State == fetch.Here || r.State == fetch.Fetched || r.State == fetch.Changed {
			bad.Here++
		}
	}
	for _, err := range split(err) {
		switch {
		case errors.As(err, new(*fetch.TransferError)):
			bad.Errs = append(bad.Errs, err)
		case len(done.Rows) == 0:
			return offline(err) // nothing was begun
		default:
			bad.Whole = append(bad.Whole, err)
		}
	}
	if len(bad.Errs)+len(bad.Whole)+len(bad.Absent) == 0 {
		return nil
	}
	return bad
}

// offline adds what to do to an error of a network that is not there, where it does not say so itself.
func offline(err error) error {
	var network net.Error
	if !errors.As(err, &network) || errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "--mirror") {
		return err
	}
	return fmt.Errorf("%w; where there is no way to the archive, copy a data folder from a machine that has one, with --mirror DIR", err)
}

// split gives the errors that were joined.
func split(err error) []error {
	if err == nil {
		return nil
	}
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		return j.Unwrap()
	}
	return []error{err}
}

// nextStep says what a person types after a data set has arrived, in lines; name is how it was
// called. Commands are not broken, so that they can be copied.
func nextStep(e catalog.Entry, name, dest string) (string, error) {
	home, _, err := catalog.Where(e, "") // where the next command would look
	if err != nil {
		return "", err
	}
	there, err := hold(e, dest)
	if err != nil {
		return "", err
	}
	words := slurm.Quote(name)
	if filepath.Clean(dest) != filepath.Clean(home) {
		words += " --mirror " + slurm.Quote(dest)
	}
	switch {
	case there.patients == 0:
		return "next: hounsfield datasets " + words + "\n", nil
	case len(e.Images.ROI.Exact) == 0:
		return catalog.Paragraph("next: ", "contours of the tumour, as this data set has none. "+e.Images.ROI.None), nil
	}
	return "next: hounsfield prepare " + words + "\n", nil
}

// verifiedBy sorts what verified the items that were fetched now, the commonest first.
func verifiedBy(done fetch.Result) string {
	count := map[string]int{}
	var ways []string
	for i, r := range done.Rows {
		if r.State != fetch.Fetched {
			continue
		}
		way := ""
		switch it := done.Plan.Items[i].Item; {
		case it.SHA256 != "":
			way = "a SHA-256 known before"
		case it.MD5 != "":
			way = "the archive's MD5"
		case it.Archive:
			way = "checksums of all files in their zip, and how many the archive lists"
		case it.Gzip:
			way = "the checksum in the gzip file"
		case it.Size >= 0:
			way = "size alone"
		default:
			way = "nothing, as the archive says nothing of it"
		}
		if count[way]++; count[way] == 1 {
			ways = append(ways, way)
		}
	}
	slices.SortStableFunc(ways, func(a, b string) int { return count[b] - count[a] })
	for i, way := range ways {
		ways[i] = fmt.Sprintf("%s (%s)", way, items(count[way]))
	}
	return strings.Join(ways, ", ")
}

// printStated prints what the archive itself says of its items' licences, which is known only
// once it was asked, and warns where that is stricter than what was accepted.
func printStated(e catalog.Entry, p fetch.Plan, w io.Writer) {
	count := map[string]int{}
	for _, it := range p.Items {
		if it.Item.Licence != "" {
			count[it.Item.Licence]++
		}
	}
	for _, l := range slices.Sorted(maps.Keys(count)) {
		fmt.Fprintf(w, "licence, as the archive states it: %s (%s)\n", l, items(count[l]))
		if word := strings.ToLower(l); e.Terms.Commercial == catalog.Yes && (strings.Contains(word, "noncommercial") || strings.Contains(word, "non-commercial") || strings.Contains(word, "-nc")) {
			fmt.Fprintf(w, "  that forbids commercial use, which the licence that you accepted (%s) allows: the stricter one holds\n", e.LicenceName())
		}
	}
}

// printFetched says what arrived, how it was verified and where it is.
func printFetched(e catalog.Entry, dest string, done fetch.Result, took time.Duration, w io.Writer) {
	here, changed := 0, 0
	for _, r := range done.Rows {
		switch r.State {
		case fetch.Here:
			here++
		case fetch.Changed:
			changed++
		}
	}
	fmt.Fprintf(w, "%s: %s fetched", e.Name, items(done.Fetched))
	if done.Fetched > 0 {
		fmt.Fprintf(w, " (%s in %s)", fetch.Bytes(done.Bytes), took.Round(time.Second/10))
	}
	if here > 0 {
		fmt.Fprintf(w, ", %d were here", here)
	}
	if done.Again > 0 {
		fmt.Fprintf(w, ", %d tries repeated", done.Again)
	}
	fmt.Fprintln(w)
	if ways := verifiedBy(done); ways != "" {
		fmt.Fprintf(w, "verified by: %s\n", ways)
	}
	printStated(e, done.Plan, w)
	if changed > 0 {
		fmt.Fprintf(w, "%s changed at the source since they were fetched, and were left as they are; --refresh fetches them anew\n", items(changed))
	}
	fmt.Fprintf(w, "in %s; what came from where, and who accepted which licence: %s\n", dest, done.Journal)
}
