package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Options say how a data set is fetched.
type Options struct {
	Dest    string // the data folder; items' paths are below it
	Jobs    int    // transfers at a time; 0 = 4
	DryRun  bool   // end with the plan; nothing is written
	Refresh bool   // fetch anew, and replace, what has changed at the source
	Full    bool   // hash what is here already; otherwise sizes are compared with the journal
	// Client says how often and how politely things are tried; nil = NewClient(ClientOptions{}).
	Client *Client
	// Acceptance is of the licence; a dry run needs none. See Accepted.
	Acceptance Acceptance
	// Progress is told how far the whole is, from one goroutine at a time, at most ten times a
	// second and once at the end; nil = nobody is.
	Progress func(Event)

	free func(dir string) (int64, error) // in place of the disk, for tests
	at   func(step string)               // called between the steps, for tests
}

// Acceptance says who accepted which licence.
type Acceptance struct {
	Licence string    // its text, as it was shown
	By      string    // the user's name on this machine
	How     string    // in words: typed yes, --accept-licence, ...
	When    time.Time // zero = now
}

// Event is how far the whole is.
type Event struct {
	Done, Total int64 // bytes of what this run is to fetch, those of earlier tries included
	Unknown     int   // items to come whose size nobody knows: Total is too small
	Items, Of   int   // that are here, of how many
	Now         string
	Speed       float64       // bytes a second, over the last seconds
	Left        time.Duration // at this speed; -1 = unknown
}

// State of an item.
type State string

// What a plan or a result says about an item.
const (
	Here    State = "here"                  // fetched before, and unchanged
	ToFetch State = "to fetch"              // in a plan
	Fetched State = "fetched"               // in a result
	Changed State = "changed at the source" // fetched before, and kept; see Options.Refresh
	Failed  State = "failed"                // the error says why
	Untried State = "not tried"             // as the work was stopped before
)

// Planned is what will be done about one item.
type Planned struct {
	Item  Item
	State State  // Here, ToFetch or Changed
	Have  int64  // bytes of an earlier try that can be gone on with
	Why   string // in words, when it is not simply new or here

	adopt bool // here, but not in the journal yet
}

// Plan is what there is, what is here, and what is to come.
type Plan struct {
	Dataset, Source, Dest string
	Items                 []Planned // in the source's order
	Here, Fetch, Changed  int       // items of each state
	Bytes                 int64     // to transfer, as far as sizes are known (of archives, the unpacked size)
	Unknown               int       // items to fetch whose size the source does not say
	Need, Free            int64     // bytes on the disk, with room to unpack and a margin; Free -1 = cannot be told
}

// Row is what became of one item.
type Row struct {
	Path   string
	State  State
	Detail string
}

// Result is what a run did.
type Result struct {
	Plan       Plan
	Rows       []Row // one an item, in the source's order; empty after a dry run
	Fetched    int   // items
	Bytes      int64 // that came over the line, repeated ones included
	Again      int   // tries beyond the first of each item
	Journal    string
	Acceptance Acceptance
}

// work is one run.
type work struct {
	dataset  string
	src      Source
	o        Options
	client   *Client
	mu       sync.Mutex // of known, and of the counts below
	known    *known
	journal  *journal
	progress *progress
	result   *Result
	errs     []error // by item
	inARow   int     // items that failed one after the other
}

// source is where an item comes from.
func (w *work) source(it Item) string {
	if it.Source != "" {
		return it.Source
	}
	return w.src.Name()
}

func (w *work) at(step string) {
	if w.o.at != nil {
		w.o.at(step)
	}
}

// Run brings a data set into a folder: what is not here yet is transferred, verified, put under its
// name and entered into the journal. It may be stopped, or killed, at any time and goes on when it
// is called again.
//
// One item's failure does not stop the others. The errors of items are joined, each a
// *TransferError; errors of the whole are *ListError and whatever the source's List says,
// *SpaceError, *BusyError, *LicenceError, *JournalError, and ctx's. The result is valid, as far as
// it goes, with every error.
func Run(ctx context.Context, dataset string, src Source, o Options) (Result, error) {
	if o.Jobs <= 0 {
		o.Jobs = 4
	}
	if o.Client == nil {
		o.Client = NewClient(ClientOptions{})
	}
	if o.free == nil {
		o.free = freeSpace
	}
	w := &work{dataset: dataset, src: src, o: o, client: o.Client}
	w.result = &Result{Journal: journalFile(o.Dest, dataset), Acceptance: o.Acceptance}
	if p := badPath(dataset); p != "" || strings.Contains(dataset, "/") || o.Dest == "" {
		return *w.result, &ListError{Source: src.Name(), Path: dataset, Problem: "a data set needs a plain name, and a folder to go to"}
	}
	if !o.DryRun {
		if o.Acceptance.Licence == "" || o.Acceptance.By == "" {
			return *w.result, &LicenceError{Dataset: dataset}
		}
		lock, err := lockDataset(o.Dest, dataset)
		if err != nil {
			return *w.result, err
		}
		defer lock.Close()
	}
	err := w.run(ctx)
	return *w.result, err
}

// lockDataset keeps a second process away from the same data set in the same folder.
func lockDataset(dest, dataset string) (*os.File, error) {
	dir := filepath.Join(dest, dataset)
	cannot := func(err error) error {
		return fmt.Errorf("cannot write to %s: %w; name a folder that can be written to with --dest", dir, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, cannot(err)
	}
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, cannot(err)
	}
	taken, err := lockFile(f)
	switch {
	case err != nil:
		f.Close()
		return nil, cannot(err)
	case !taken:
		f.Close()
		return nil, &BusyError{Dataset: dataset, Dir: dest}
	}
	return f, nil
}

func (w *work) run(ctx context.Context) (err error) {
	items, err := w.src.List(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return w.listFailed(scrub(err))
	}
	if err := checkList(w.src.Name(), w.dataset, items); err != nil {
		return err
	}
	if w.known, err = readJournal(w.o.Dest, w.dataset); err != nil {
		return err
	}
	if w.o.DryRun {
		w.result.Plan, err = w.plan(ctx, items)
		return err
	}
	if w.journal, err = openJournal(w.known); err != nil {
		return err
	}
	defer w.journal.Close()
	if err := w.finish(items); err != nil {
		return err
	}
	if w.result.Plan, err = w.plan(ctx, items); err != nil {
		return err
	}
	p := w.result.Plan
	if p.Free >= 0 && p.Need > p.Free && p.Fetch > 0 {
		return &SpaceError{Dir: w.o.Dest, Need: p.Need, Free: p.Free}
	}
	if err := w.begin(p); err != nil {
		return err
	}
	err = w.transfers(ctx, p)
	if err == nil && !w.known.complete {
		err = w.journal.write(record{Record: recordComplete, When: time.Now().UTC().Truncate(time.Second), Source: w.src.Name(), Items: len(items)})
	}
	return err
}

// listFailed says what to do when the list could not be had; a source's own words are left as they are.
func (w *work) listFailed(err error) error {
	var list *ListError
	var answer *AnswerError
	var status *StatusError
	if errors.As(err, &list) || errors.As(err, &answer) || !errors.As(err, &status) && !unreachable(err) && !untrusted(err) {
		return err
	}
	return &ListError{Source: w.src.Name(), Problem: "it cannot be had", Err: err, Next: next(err)}
}

// unreachable says whether there was no connection at all.
func unreachable(err error) bool {
	var dial *net.OpError
	var name *net.DNSError
	return errors.As(err, &name) || errors.As(err, &dial) && dial.Op == "dial"
}

// untrusted says whether a server, or who stands between, has shown a certificate that does not hold.
func untrusted(err error) bool {
	var cert *tls.CertificateVerificationError
	return errors.As(err, &cert)
}

// finish ends what a killed run had as good as done: the item lies under its final name, whole, but
// the journal does not know; or its former files wait to be put back.
func (w *work) finish(items []Item) error {
	for _, it := range items {
		t := &transfer{w: w, item: it, place: placeOf(w.o.Dest, it.Path)}
		if !exists(t.sidecar) {
			continue
		}
		if err := t.formerBack(); err != nil {
			return err
		}
		if tr := t.readTrace(); tr.goesOn(w.source(it), it) && t.matches(tr, it) {
			if err := t.settle(tr); err != nil {
				return err
			}
			continue
		}
		if pl, err := w.look(it); err != nil {
			return err
		} else if pl.State == Here {
			if err := t.clear(); err != nil {
				return err
			}
		}
	}
	return nil
}

// begin writes down the run, and what was found to be right without having been fetched.
func (w *work) begin(p Plan) error {
	a := w.o.Acceptance
	if a.When.IsZero() {
		a.When = time.Now().UTC().Truncate(time.Second)
	}
	w.result.Acceptance = a
	adopted := false
	for _, it := range p.Items {
		adopted = adopted || it.adopt
	}
	if _, before := w.known.acceptance(a.Licence); p.Fetch == 0 && !adopted && before && w.known.complete {
		return nil // nothing to say
	}
	r := record{Record: recordBegun, When: time.Now().UTC().Truncate(time.Second), Dataset: w.dataset, Source: w.src.Name(), Items: len(p.Items),
		Licence: a.Licence, AcceptedBy: a.By, AcceptedHow: a.How, AcceptedWhen: a.When}
	if err := w.journal.write(r); err != nil {
		return err
	}
	w.known.add(r)
	for _, it := range p.Items {
		if !it.adopt {
			continue
		}
		at := placeOf(w.o.Dest, it.Item.Path)
		h, err := hashFile(at.final, false)
		if err != nil {
			return cannotRead(at.final, err)
		}
		if err := w.enter(it.Item, &trace{Whole: h.sha256()}, at.final, true); err != nil {
			return err
		}
	}
	return nil
}

// errGivenUp ends the work when one item after the other fails.
var errGivenUp = errors.New("the source fails one item after the other")

// transfers does the work, several items at a time, in the source's order.
func (w *work) transfers(ctx context.Context, p Plan) error {
	w.progress = newProgress(w.o.Progress, p)
	w.result.Rows, w.errs = make([]Row, len(p.Items)), make([]error, len(p.Items))
	inner, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	todo := make(chan int)
	var workers sync.WaitGroup
	for range w.o.Jobs {
		workers.Go(func() {
			for i := range todo {
				w.one(inner, p.Items[i], i, stop)
			}
		})
	}
	for i, it := range p.Items {
		w.result.Rows[i] = Row{Path: it.Item.Path, State: it.State, Detail: it.Why}
		if it.State != ToFetch {
			continue
		}
		w.result.Rows[i] = Row{Path: it.Item.Path, State: Untried}
		select {
		case todo <- i:
		case <-inner.Done():
		}
	}
	close(todo)
	workers.Wait()
	w.progress.end()
	w.result.Bytes = w.progress.over
	errs := append([]error(nil), w.errs...)
	untried := 0
	for _, r := range w.result.Rows {
		if r.State == Untried {
			untried++
		}
	}
	switch cause := context.Cause(inner); {
	case ctx.Err() != nil:
		errs = append(errs, fmt.Errorf("stopped with %d items to come; the same command goes on from here: %w", untried, context.Cause(ctx)))
	case cause != nil && untried > 0:
		errs = append(errs, fmt.Errorf("%d items were not tried: %w", untried, cause))
	}
	return errors.Join(errs...)
}

// one brings one item. Rows and errs at i are this goroutine's own.
func (w *work) one(ctx context.Context, pl Planned, i int, stop context.CancelCauseFunc) {
	if ctx.Err() != nil {
		return
	}
	t := &transfer{w: w, item: pl.Item, place: placeOf(w.o.Dest, pl.Item.Path)}
	err := t.fetch(ctx)
	if err == nil {
		w.progress.arrived(pl.Item.Path)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.result.Again += max(0, t.tries-1)
	if err == nil {
		w.inARow = 0
		w.result.Fetched++
		w.result.Rows[i] = Row{Path: pl.Item.Path, State: Fetched, Detail: pl.Why}
		return
	}
	if ctx.Err() != nil && worthRetrying(err) || errors.Is(err, context.Canceled) {
		return // stopped, not failed
	}
	err = scrub(err)
	w.errs[i] = &TransferError{Source: w.source(pl.Item), Path: pl.Item.Path, From: Redact(pl.Item.From), Next: next(err), Err: err}
	w.result.Rows[i] = Row{Path: pl.Item.Path, State: Failed, Detail: err.Error()}
	var local *localError
	switch {
	case errors.As(err, &local):
		stop(fmt.Errorf("this machine's disk: %w", err))
	case itsOwnFault(err):
	default:
		if w.inARow++; w.inARow > w.o.Jobs {
			stop(errGivenUp)
		}
	}
}

// itsOwnFault says whether a failure says nothing about other items.
func itsOwnFault(err error) bool {
	var (
		wrong    *wrongError
		conflict *conflictError
		status   *StatusError
	)
	return errors.As(err, &wrong) || errors.As(err, &conflict) ||
		errors.As(err, &status) && (status.Status == http.StatusNotFound || status.Status == http.StatusGone)
}

// next says what to do about an item that did not arrive.
func next(err error) string {
	var (
		wrong    *wrongError
		conflict *conflictError
		local    *localError
		space    *SpaceError
		status   *StatusError
		answer   *AnswerError
	)
	switch {
	case errors.As(err, &answer) && answer.Next != "":
		return "" // it says so itself
	case errors.As(err, &space):
		return ""
	case errors.As(err, &local) && diskFull(err):
		return "make room on the disk, or name a folder on another one with --dest; then type the command again"
	case errors.As(err, &local):
		return "give a folder that can be written to with --dest, or look after the disk"
	case errors.As(err, &conflict):
		return "move it away, then type the command again"
	case errors.As(err, &wrong):
		return "the file at the source is not the expected one, twice in a row: try again later, or take it from a mirror with --mirror DIR; if it stays so, the source has changed it and the catalog must follow"
	case untrusted(err):
		return "a proxy of this network may stand between: ask who runs it for its certificate and name that in SSL_CERT_FILE; or take the data set from a mirror with --mirror DIR"
	case unreachable(err):
		return "look whether this machine reaches the internet (a proxy is named in HTTPS_PROXY), then type the command again; without a network take the data set from a mirror with --mirror DIR"
	case errors.As(err, &status) && !worthRetrying(err):
		return "if it stays so, take the data set from another source or from a mirror with --mirror DIR"
	}
	return "type the command again later, it goes on from here; or take the data set from a mirror with --mirror DIR"
}
