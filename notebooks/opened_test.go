package notebooks

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// served starts Jupyter as `hounsfield notebook` does, on a copy of the notebooks, and
// gives its address.
func served(t *testing.T, k Kernel, jupyter string) (address *url.URL) {
	t.Helper()
	folder := t.TempDir()
	all, err := List(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, notebook := range all {
		b, err := os.ReadFile(notebook)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, notebook), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	listener.Close()
	args := []string{"--no-browser", "--ServerApp.ip=127.0.0.1", fmt.Sprintf("--ServerApp.port=%d", port), "--ServerApp.port_retries=0",
		"--IdentityProvider.token=" + token, "--LabApp.expose_app_in_browser=True", "--ServerApp.log_level=ERROR"}
	if os.Geteuid() == 0 {
		args = append(args, "--allow-root")
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Start(ctx, k, jupyter, folder, args...) }()
	t.Cleanup(func() { stop(); <-ended })
	address = &url.URL{Scheme: "http", Host: fmt.Sprintf("127.0.0.1:%d", port)}
	for range 200 {
		select {
		case err := <-ended:
			ended <- nil
			skip(t, err)
			t.Fatal("Jupyter ended as it began")
		case <-time.After(100 * time.Millisecond):
		}
		if answer, err := http.Get(address.JoinPath("api").String()); err == nil {
			answer.Body.Close()
			return address
		}
	}
	t.Fatal("Jupyter does not answer")
	return nil
}

const token = "a-test-opens-this"

// seen is what happened in a tab.
type seen struct {
	sync.Mutex
	asked   int      // requests to the server
	outside []string // requests to anywhere else
	errors  []string // of scripts
}

// tab opens a browser tab that notes requests and errors.
func tab(t *testing.T, address *url.URL) (context.Context, *seen) {
	t.Helper()
	chromium := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			chromium = path
			break
		}
	}
	if chromium == "" {
		t.Skip("no Chromium on this machine (apt install chromium): the notebooks are not opened in a browser")
	}
	// Not t.TempDir: the browser may still write to its profile when the test ends.
	profile, err := os.MkdirTemp("", "opened")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(profile) })
	options := slices.Concat(chromedp.DefaultExecAllocatorOptions[:], []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(chromium), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(profile), chromedp.Flag("disable-quic", true),
		// Long enough for all cells: Lab takes those out of the page that are far from what is seen.
		chromedp.WindowSize(1300, 7000),
	})
	ctx, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, stop = chromedp.NewContext(ctx)
	t.Cleanup(stop)
	s := &seen{}
	request := func(to string) {
		s.Lock()
		defer s.Unlock()
		u, err := url.Parse(to)
		switch {
		case err == nil && slices.Contains([]string{"data", "blob", "about"}, u.Scheme):
		case err == nil && u.Host == address.Host:
			s.asked++
		default:
			s.outside = append(s.outside, to)
		}
	}
	if err := chromedp.Listen(ctx, func(event any) {
		switch e := event.(type) {
		case *network.EventRequestWillBeSent:
			request(e.Request.URL)
		case *network.EventWebSocketCreated:
			request(e.URL)
		}
	}); err != nil {
		t.Skipf("Chromium does not run here: %v", err)
	}
	if _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	messages := chromedp.Console(ctx)
	go func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			if m.IsException() || m.Type == chromedp.ConsoleError {
				s.Lock()
				s.errors = append(s.errors, fmt.Sprintf("%s (%s)", m, m.URL))
				s.Unlock()
			}
		}
	}()
	return ctx, s
}

// page runs the body of an async function in a tab and gives what it returns.
func page[T any](t *testing.T, ctx context.Context, body string) T {
	t.Helper()
	ctx, stop := context.WithTimeout(ctx, 150*time.Second)
	defer stop()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T]("(async () => {"+pageWords+body+"})()", chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("%v\nin %s", err, body)
	}
	return v
}

// pageWords are what the bodies use: a wait, and the open notebook.
const pageWords = `
const until = async (what, ok) => { for (let k = 0; k < 300; k++) { try { const v = ok(); if (v) return v; } catch (e) {} await new Promise((go) => setTimeout(go, 100)); } throw new Error("waited in vain for " + what); };
const panel = () => [...window.jupyterapp.shell.widgets("main")][0];
const kernel = () => panel().sessionContext.session.kernel;
const set = (input, value, event) => { input.value = value; input.dispatchEvent(new Event(event, { bubbles: true })); };
`

// opened opens a notebook in Jupyter Lab, runs all its cells, and waits until they are done.
func opened(t *testing.T, ctx context.Context, address *url.URL, notebook string) {
	t.Helper()
	at := address.JoinPath("doc", "tree", notebook)
	at.RawQuery = url.Values{"token": {token}}.Encode()
	if err := chromedp.Do(ctx, chromedp.Navigate(at.String())); err != nil {
		t.Fatal(err)
	}
	failed := page[[]string](t, ctx, `
await until("the kernel", () => kernel().connectionStatus === "connected" && panel().content.widgets.length > 1);
window.jupyterapp.shell.activateById(panel().id); // a command is for the notebook that is active
await window.jupyterapp.commands.execute("notebook:run-all-cells");
const cells = () => panel().content.model.sharedModel.cells.filter((c) => c.cell_type === "code");
await until("the cells", () => cells().every((c) => c.execution_count > 0));
await panel().context.save(); // or leaving the page would ask
await until("the widgets", () => [...document.querySelectorAll(".hnb")].every((w) => w.hasAttribute("data-ready")));
return cells().flatMap((c) => c.outputs).filter((o) => o.output_type === "error").map((o) => o.evalue);`)
	if len(failed) > 0 {
		t.Fatalf("%s: %q", notebook, failed)
	}
}

// drawn takes a picture of the page and looks at every plot: each must have a size and must
// not be blank.
func drawn(t *testing.T, ctx context.Context, notebook string) (plots int) {
	t.Helper()
	shot, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		t.Fatal(err)
	}
	if kept := os.Getenv("HOUNSFIELD_NOTEBOOKS_OUT"); kept != "" {
		if err := os.WriteFile(filepath.Join(kept, strings.TrimSuffix(notebook, ".ipynb")+".png"), shot, 0o644); err != nil {
			t.Error(err)
		}
	}
	picture, err := png.Decode(bytes.NewReader(shot))
	if err != nil {
		t.Fatal(err)
	}
	type box struct {
		What                  string
		Left, Top, Wide, High float64
	}
	all := page[[]box](t, ctx, `
return [...document.querySelectorAll(".hnb svg[role=img], .hnb-planes canvas, .jp-OutputArea img")].map((e) => {
  const r = e.getBoundingClientRect();
  return { What: e.getAttribute("aria-label") || e.alt || e.tagName, Left: r.left, Top: r.top, Wide: r.width, High: r.height };
});`)
	for _, b := range all {
		colours := map[color.Color]int{}
		area := image.Rect(int(b.Left), int(b.Top), int(b.Left+b.Wide), int(b.Top+b.High))
		for y := area.Min.Y; y < area.Max.Y; y++ {
			for x := area.Min.X; x < area.Max.X; x++ {
				colours[picture.At(x, y)]++
			}
		}
		most := 0
		for _, n := range colours {
			most = max(most, n)
		}
		if b.Wide < 100 || b.High < 50 || !area.In(picture.Bounds()) || len(colours) < 5 || most > area.Dx()*area.Dy()*995/1000 {
			t.Errorf("%s: the plot %q is not to be seen: %v, %d colours", notebook, b.What, area, len(colours))
		}
	}
	return len(all)
}

// TestOpenedInABrowser opens notebooks in a running Jupyter Lab, executes them there, moves
// their controls, and looks at what the page shows. Nothing may be fetched from elsewhere.
func TestOpenedInABrowser(t *testing.T) {
	k, jupyter := installed(t)
	t.Setenv("HOUNSFIELD_RUNS", filepath.Join(checked(t), "runs"))
	address := served(t, k, jupyter)
	ctx, s := tab(t, address)

	t.Run("02-one-patient", func(t *testing.T) {
		opened(t, ctx, address, "02-one-patient.ipynb")
		page[bool](t, ctx, `return await until("the slices", () => document.querySelectorAll(".hnb[data-shown]").length === 3);`)
		if n := drawn(t, ctx, "02-one-patient.ipynb"); n != 9 {
			t.Errorf("%d planes, not three for each of scan, cube and activation", n)
		}
		got := page[[]string](t, ctx, `
const viewer = document.querySelectorAll(".hnb")[2], planes = [...viewer.querySelectorAll(".hnb-planes section")];
const pictures = () => planes.map((p) => p.querySelector("canvas").toDataURL());
const said = [], changed = (what, before) => said.push(what + ": " + pictures().map((p, k) => p !== before[k]).join(" "));
let before = pictures();
const slider = planes[0].querySelector("input");
set(slider, Number(slider.value) + 9, "input"); // the other planes show where it is
changed("slider", before);
before = pictures();
set(viewer.querySelector(".hnb-controls input[type=range]"), 90, "input");
changed("opacity", before);
before = pictures();
set(viewer.querySelectorAll("select")[1], 4, "change");
changed("another map", before);
said.push("scale: " + /log-odds/.test(viewer.querySelector(".hnb-key").textContent));
before = pictures();
set(viewer.querySelector("select"), 1, "change");
changed("window", before);
return said;`)
		want := []string{"slider: true true true", "opacity: true true true", "another map: true true true", "scale: true", "window: true true true"}
		if !slices.Equal(got, want) {
			t.Errorf("the page says %q, not %q", got, want)
		}
		// With the keys of a user: the focus on a slider, then arrows, which Lab must not take.
		page[bool](t, ctx, `document.querySelectorAll(".hnb")[0].querySelector(".hnb-planes input").focus(); return true;`)
		status := `return document.querySelectorAll(".hnb")[0].querySelector("[role=status]").textContent;`
		before := page[string](t, ctx, status)
		if err := chromedp.Do(ctx, chromedp.KeyEvent(kb.ArrowRight), chromedp.KeyEvent(kb.ArrowRight)); err != nil {
			t.Fatal(err)
		}
		if after := page[string](t, ctx, status); after == before {
			t.Errorf("the arrow keys do not move the slice: %s", after)
		}
	})
	t.Run("08-compare-ablations", func(t *testing.T) {
		opened(t, ctx, address, "08-compare-ablations.ipynb")
		if n := drawn(t, ctx, "08-compare-ablations.ipynb"); n < 3 {
			t.Errorf("%d plots", n)
		}
		// A run that is not picked leaves the table, the differences and the curves.
		got := page[[]string](t, ctx, `
const panels = [...document.querySelectorAll(".hnb section")], rows = (k) => panels[k].querySelectorAll("tbody tr").length;
const picture = (k) => panels[k].querySelector("svg[role=img]").outerHTML;
const say = () => panels.map((_, k) => rows(k)).join(" ");
const said = [say()], before = panels.map((_, k) => picture(k));
document.querySelectorAll(".hnb fieldset input")[1].click();
said.push(say(), "plots changed: " + panels.every((_, k) => picture(k) !== before[k]));
const metric = [...document.querySelectorAll(".hnb select")].find((e) => [...e.options].some((o) => o.value === "harrell_c"));
const title = panels[0].querySelector("tbody").textContent;
set(metric, "harrell_c", "change");
said.push("another metric: " + (panels[0].querySelector("tbody").textContent !== title));
return said;`)
		want := []string{"4 6 32", "3 3 24", "plots changed: true", "another metric: true"}
		if !slices.Equal(got, want) {
			t.Errorf("the page says %q, not %q", got, want)
		}
	})

	s.Lock()
	defer s.Unlock()
	if len(s.outside) > 0 || s.asked < 10 {
		t.Errorf("of %d requests these went elsewhere: %q", s.asked+len(s.outside), s.outside)
	}
	if len(s.errors) > 0 {
		t.Errorf("the console has %q", s.errors)
	}
}
