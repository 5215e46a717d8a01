package qcsheet

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/google/go-cmp/cmp"

	"hounsfield/datasets"
	"hounsfield/datasets/table"
)

// tab is a browser tab with a sheet in it.
type tab struct {
	context.Context
	t *testing.T

	sync.Mutex
	far      []string // requests to anywhere but files
	pictures int      // asked for
	errors   []string // of the page
}

func newTab(t *testing.T) *tab {
	t.Helper()
	chromium := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			chromium = path
			break
		}
	}
	if chromium == "" {
		t.Skip("no Chromium on this machine (apt install chromium): the sheet is not opened in a browser")
	}
	// Not t.TempDir: the browser may still write to its profile when the test ends.
	profile, err := os.MkdirTemp("", "qcsheet")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(profile) })
	options := slices.Concat(chromedp.DefaultExecAllocatorOptions[:], []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(chromium), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(profile), chromedp.Flag("disable-quic", true), chromedp.WindowSize(1280, 1000),
	})
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(stop)
	ctx, stop = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(stop)
	ctx, stop = chromedp.NewContext(ctx)
	t.Cleanup(stop)
	b := &tab{Context: ctx, t: t}
	if err := chromedp.Listen(ctx, func(event any) {
		if e, ok := event.(*network.EventRequestWillBeSent); ok {
			b.Lock()
			defer b.Unlock()
			switch url := e.Request.URL; {
			case strings.HasSuffix(url, ".png"):
				b.pictures++
			case !strings.HasPrefix(url, "file:") && !strings.HasPrefix(url, "data:") && !strings.HasPrefix(url, "blob:"):
				b.far = append(b.far, url)
			}
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
				b.Lock()
				b.errors = append(b.errors, m.String())
				b.Unlock()
			}
		}
	}()
	return b
}

func (b *tab) open(folder string) {
	b.t.Helper()
	if err := chromedp.Do(b, chromedp.Navigate("file://"+filepath.ToSlash(filepath.Join(folder, File)))); err != nil {
		b.t.Fatal(err)
	}
}

// say runs the body of an async function in the page and gives what it returns.
func say[T any](b *tab, body string) T {
	b.t.Helper()
	v, err := chromedp.Run(b, chromedp.Evaluate[T]("(async () => {"+words+body+"})()", chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%v\nin %s", err, body)
	}
	return v
}

// words are what the bodies use.
const words = `
const until = async (what, ok) => { for (let k = 0; k < 200; k++) { if (ok()) return true; await new Promise((go) => setTimeout(go, 50)); } throw new Error("waited in vain for " + what); };
const set = (id, value) => { const e = document.getElementById(id); e.value = value; e.dispatchEvent(new Event(id === "text" ? "input" : "change", { bubbles: true })); };
const shown = () => [...document.querySelectorAll(".card")].filter((c) => !c.hidden).map((c) => c.dataset.patient + (c.dataset.reader ? "/" + c.dataset.reader : "")).join(" ");
const card = (patient, reader = "") => [...document.querySelectorAll(".card")].find((c) => c.dataset.patient === patient && c.dataset.reader === reader);
const current = () => (document.querySelector(".card.current") || { dataset: {} }).dataset.patient || "";
const saved = async () => { let blob; const real = URL.createObjectURL; URL.createObjectURL = (b) => { blob = b; return "#"; }; try { document.getElementById("save").click(); } finally { URL.createObjectURL = real; } return blob.text(); };
const give = async (text) => { const d = new DataTransfer(), input = document.getElementById("open"); d.items.add(new File([text], "marks.csv")); input.files = d.files; const p = document.getElementById("said"); p.textContent = ""; input.dispatchEvent(new Event("change")); await until("an answer", () => p.textContent); return p.textContent; };
`

// keys presses keys as a person does: a key whose default is prevented types nothing.
func (b *tab) keys(keys ...string) {
	b.t.Helper()
	for _, k := range keys {
		down := input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeKeyDown, Key: k, Text: k}
		if k == "Enter" {
			down.Text, down.Code, down.WindowsVirtualKeyCode = "\r", k, 13
		}
		up := input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeKeyUp, Key: k}
		for _, event := range []input.DispatchKeyEventParams{down, up} {
			if _, err := chromedp.Call(b, input.DispatchKeyEvent, event); err != nil {
				b.t.Fatal(err)
			}
		}
	}
}

func expect[T any](b *tab, what string, got, want T) {
	b.t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		b.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// browsed is a folder with one of everything.
func browsed(t *testing.T) string {
	rows := append(cohortOf(12, map[int]row{
		2: {"mask_mm3": 50.0, "patient_id": `Q "2", é`},
		5: {"spacing_z_mm": 6.0}, 7: {"spacing_z_mm": 6.0, "hu_min": 0.0},
	}), sound(3).with(row{"reader": "1", "qc_file": "P003/reader-1/qc.png", "com_x_mm": sound(3)["com_x_mm"].(float64) + 25}))
	return folderOf(t, rows, datasets.Exclusion{Patient: "LOST", Cohort: "made", Stage: "read CT", Reason: "uneven spacing", File: "a/b.dcm"},
		datasets.Exclusion{Patient: "GONE", Cohort: "made", Stage: "choose ROI", Reason: "no tumour"})
}

func TestInABrowser(t *testing.T) {
	b := newTab(t)
	folder := browsed(t)
	if _, err := Write(folder); err != nil {
		t.Fatal(err)
	}
	b.open(folder)
	suspicion := `P007 Q "2", é P003/1 P005 `
	clear := "P000 P001 P003 P004 P006 P008 P009 P010 P011"
	expect(b, "all", say[string](b, `return shown();`), suspicion+clear)

	// Filters, alone and together; exclusions follow the search.
	expect(b, "filters", say[[]string](b, `
const out = [], look = (what) => out.push(what + ": " + shown()), clear = () => ["text", "reason", "level", "marked"].forEach((id) => set(id, ""));
set("level", "look"); look("look");
set("level", "wrong?"); look("wrong?");
set("level", "any"); look("any");
set("level", "none"); look("none");
clear(); set("reason", "thick slices"); look("thick");
set("level", "wrong?"); look("thick and wrong?");
clear(); set("text", "6 MM  apart"); look("text");
set("text", "tiny"); look("reason in words");
set("text", "lost"); look("lost"); out.push("exclusions: " + [...document.querySelectorAll(".stage tbody tr")].filter((r) => !r.hidden).length + ", says so: " + !document.getElementById("nothing").hidden);
clear(); out.push(document.getElementById("shown").textContent);
return out;`), []string{
		"look: P003/1 P005", `wrong?: P007 Q "2", é`, `any: P007 Q "2", é P003/1 P005`, "none: " + clear,
		"thick: P007 P005", "thick and wrong?: P007", "text: P007 P005", `reason in words: Q "2", é`, "lost: ", "exclusions: 1, says so: true", "All contours are shown"})

	// Orders. Volume is descending and holds for the numbers of the table.
	expect(b, "orders", say[[]string](b, `
const out = [];
set("order", "patient"); out.push(shown());
set("order", "volume"); const v = [...document.querySelectorAll(".card")].map((c) => Number(c.dataset.volume)); out.push(String(v.every((x, i) => i === 0 || x <= v[i - 1]) && v[0] > 20));
set("order", "score"); out.push(shown());
return out;`), []string{`P000 P001 P003/1 P003 P004 P005 P006 P007 P008 P009 P010 P011 Q "2", é`, "true", suspicion + clear})

	// Keys: next, ok, bad with a note, and only what is unreviewed.
	b.keys("j")
	expect(b, "j", say[string](b, `return current();`), "P007")
	b.keys("o")
	expect(b, "o", say[string](b, `return current();`), `Q "2", é`)
	b.keys("b")
	for _, k := range `no "tumour", = liver` {
		b.keys(string(k))
	}
	expect(b, "a note is no command", say[string](b, `return current() + " " + shown().length;`), fmt.Sprintf(`Q "2", é %d`, len([]rune(suspicion+clear))))
	b.keys("Enter")
	expect(b, "Enter", say[string](b, `return current() + card("P003", "1").dataset.reader;`), "P0031")
	b.keys("k", "k")
	expect(b, "k", say[string](b, `return current();`), "P007")
	b.keys("k")
	expect(b, "k on the first", say[string](b, `return current();`), "P007")
	expect(b, "marks", say[[]string](b, `
const out = [document.getElementById("reviewed").textContent, card("P007").querySelector(".verdict").textContent];
set("marked", "open"); out.push(String(shown().split(" ").length));
set("marked", "bad"); out.push(shown());
set("marked", "note"); out.push(shown());
set("marked", "");
out.push(card("P007").querySelector("[data-verdict=ok]").getAttribute("aria-pressed"));
card("P005").querySelector("[data-verdict=bad]").click(); card("P005").querySelector("[data-verdict=bad]").click(); // and back
out.push(document.getElementById("reviewed").textContent);
return out;`), []string{"2 of 13", "ok", "11", `Q "2", é`, `Q "2", é`, "true", "2 of 13"})
	// With only the unreviewed shown, a mark takes its card away when the reader goes on.
	say[bool](b, `set("marked", "open"); set("text", ""); return true;`)
	b.keys("/", "Enter", "o")
	expect(b, "marked and gone", say[string](b, `return current() + " of " + shown();`), "P005 of P005 "+clear)
	say[bool](b, `set("marked", ""); return true;`)

	csv := "patient_id,scan,reader,verdict,note\nP007,1,,ok,\n\"Q \"\"2\"\", é\",1,,bad,\"no \"\"tumour\"\", = liver\"\nP003,1,1,ok,\n"
	expect(b, "the CSV", say[string](b, `return saved();`), csv)
	// What the page writes the program's own reader reads, by name.
	read, err := table.DecodeCSV(strings.NewReader(csv), "qc-marks.csv", table.Schema{Name: "marks", Columns: []table.Column{
		{Name: "patient_id", Type: table.String}, {Name: "scan", Type: table.Int64}, {Name: "reader", Type: table.String, Nullable: true, Nulls: []string{""}},
		{Name: "verdict", Type: table.String, Nullable: true, Nulls: []string{""}}, {Name: "note", Type: table.String, Nullable: true, Nulls: []string{""}}}}, table.CSVOptions{})
	if err != nil || read.Strings("note")[1] != `no "tumour", = liver` || read.Strings("patient_id")[1] != `Q "2", é` {
		t.Errorf("the CSV cannot be read: %v", err)
	}

	// Marks outlast the page, but not the cube that they were given for.
	b.open(folder)
	expect(b, "opened again", say[string](b, `return saved();`), csv)
	rows := cohortOf(12, map[int]row{7: {"spacing_z_mm": 6.0, "hu_min": 0.0, "cube_sha256": strings.Repeat("f", 64)}})
	again := folderOf(t, rows)
	if _, err := Write(again); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(again, File))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, File), page, 0o644); err != nil {
		t.Fatal(err)
	}
	b.open(folder)
	expect(b, "another cube", say[string](b, `return document.getElementById("reviewed").textContent;`), "0 of 12")
	// Another folder has marks of its own, and takes those that are given to it.
	b.open(again)
	expect(b, "given back", say[[]string](b, `
const out = [document.getElementById("reviewed").textContent];
out.push(await give("note,verdict,reader,scan,patient_id\r\n\"a\nb\",bad,,1,P001\r\n,ok,,1,P007\r\n,ok,x,1,P007\r\n"));
out.push(document.getElementById("reviewed").textContent);
out.push(await give("patient_id,scan\nP001,1\n"));
out.push(await give("patient_id,scan,reader,verdict,note\nP002,1,,fine,\n"));
out.push(await give("patient_id,scan,reader,verdict,note\nP002,1,,\"ok\n"));
out.push(document.getElementById("reviewed").textContent);
window.confirm = () => true; document.getElementById("forget").click();
out.push(document.getElementById("reviewed").textContent);
return out;`), []string{"0 of 12",
		"Read the marks of 2 contours. 1 rows are of contours that this sheet does not have.", "2 of 12",
		"marks.csv cannot be used: it has no column reader, verdict, note; a file of marks has patient_id, scan, reader, verdict, note. Nothing was changed.",
		"marks.csv cannot be used: row 1 (patient P002) has the verdict “fine”; allowed are ok, bad and nothing. Nothing was changed.",
		"marks.csv cannot be used: a quoted cell never ends. Nothing was changed.", "2 of 12", "0 of 12"})

	// Of the pictures of a large cohort only those in reach are loaded.
	large := folderOf(t, cohortOf(422, nil))
	if _, err := Write(large); err != nil {
		t.Fatal(err)
	}
	b.Lock()
	b.pictures = 0
	b.Unlock()
	b.open(large)
	say[bool](b, `return await until("the first picture", () => document.querySelector(".card img").naturalWidth > 0);`)
	b.keys("j", "j")
	expect(b, "among many", say[string](b, `return current();`), "P001")

	b.Lock()
	defer b.Unlock()
	if b.pictures == 0 || b.pictures > 25 {
		t.Errorf("%d of 422 pictures were loaded at once", b.pictures)
	}
	if len(b.far) > 0 || len(b.errors) > 0 {
		t.Errorf("asked for %q; errors %q", b.far, b.errors)
	}
}

// seenLayout says of the page as it is: whether it runs past its width, what stands past the
// edge, pictures loaded, text that does not stand out by WCAG's level AA, and ticks drawn.
const seenLayout = `
const luminance = (c) => { const [r, g, b] = c.map((v) => v / 255 <= 0.04045 ? v / 255 / 12.92 : Math.pow((v / 255 + 0.055) / 1.055, 2.4)); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const channels = (text) => (text.match(/[0-9.]+/g) || []).map(Number);
const root = document.documentElement, out = [];
for (const d of document.querySelectorAll("details")) d.open = true;
for (const c of document.querySelectorAll(".card")) c.style.contentVisibility = "visible";
if (root.scrollWidth > root.clientWidth) out.push("wide " + root.scrollWidth);
for (const e of document.querySelectorAll("body *")) {
  if (e.closest(".scroll, .skip, .unseen, script, noscript, .symbols") || e.closest("[hidden]")) continue;
  const r = e.getBoundingClientRect();
  if (r.right > root.clientWidth + 1) out.push("past the edge: " + e.outerHTML.slice(0, 80));
  const own = e.matches("input, select") || [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
  if (!own || e.closest("svg, option")) continue;
  let paper = null;
  for (let p = e; p && !paper; p = p.parentElement) { const c = channels(getComputedStyle(p).backgroundColor); if (c.length === 3 || c[3] > 0) paper = c; }
  const ink = channels(getComputedStyle(e).color);
  const [hi, lo] = [luminance(ink.slice(0, 3)), luminance((paper || [255, 255, 255]).slice(0, 3))].sort((x, y) => y - x);
  if ((hi + 0.05) / (lo + 0.05) < 4.5) out.push("faint " + ((hi + 0.05) / (lo + 0.05)).toFixed(2) + ": " + e.outerHTML.slice(0, 80));
}
const bar = [...document.querySelectorAll(".bar input:not(.unseen), .bar select, .bar button, .bar .button")].map((e) => e.getBoundingClientRect());
for (const a of bar) for (const b of bar) if (a !== b && a.width && b.width && a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1) out.push("controls overlap");
return [...new Set(out)].slice(0, 8);`

func TestLayout(t *testing.T) {
	b := newTab(t)
	folder := os.Getenv("HOUNSFIELD_QC_SEE") // a prepared folder, to look at another page
	if folder == "" {
		folder = browsed(t)
	}
	if _, err := Write(folder); err != nil {
		t.Fatal(err)
	}
	for _, width := range []int64{1600, 1280, 640, 390} {
		for _, scheme := range []string{"light", "dark"} {
			t.Run(fmt.Sprintf("%d-%s", width, scheme), func(t *testing.T) {
				b.t = t
				if err := chromedp.Do(b, chromedp.EmulateViewport(width, 1000)); err != nil {
					t.Fatal(err)
				}
				if _, err := chromedp.Call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}); err != nil {
					t.Fatal(err)
				}
				b.open(folder)
				if dark := say[bool](b, `return getComputedStyle(document.body).backgroundColor !== "rgb(255, 255, 255)";`); dark != (scheme == "dark") {
					t.Errorf("dark: %v", dark)
				}
				say[bool](b, `document.querySelector("[data-verdict=ok]").click(); document.querySelectorAll("[data-verdict=bad]")[1]?.click(); return await until("the first picture", () => document.querySelector(".card img").naturalWidth > 0);`)
				if kept := os.Getenv("HOUNSFIELD_QC_SHOTS"); kept != "" {
					time.Sleep(300 * time.Millisecond)
					shot, err := chromedp.Run(b, chromedp.CaptureScreenshot())
					if err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(filepath.Join(kept, fmt.Sprintf("%d-%s.png", width, scheme)), shot, 0o644); err != nil {
						t.Fatal(err)
					}
				}
				if problems := say[[]string](b, seenLayout); len(problems) > 0 {
					t.Errorf("%q", problems)
				}
			})
		}
	}
}
