package report

import (
	"context"
	"fmt"
	"html"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// measure loads a report into frames of a desktop's and a phone's width and writes down
// what a browser makes of each: how wide the page became, how many parts run past the edge
// without scrolling, how many drawings have no size, how many things were fetched, and how
// many pieces of text, those of drawings too, stand out from what is behind them by less than
// WCAG's level AA asks (4.5, or 3 for large letters).
const measure = `<!DOCTYPE html><body>%s<script>
function luminance(colour) {
  const [r, g, b] = colour.map((v) => v / 255 <= 0.04045 ? v / 255 / 12.92 : Math.pow((v / 255 + 0.055) / 1.055, 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
function channels(text) { return (text.match(/[0-9.]+/g) || []).map(Number); }
function contrast(e, w) {
  const style = w.getComputedStyle(e), ink = channels(e instanceof w.SVGElement ? style.fill : style.color);
  let paper = [255, 255, 255];
  for (let p = e; p; p = p.parentElement) {
    const c = channels(w.getComputedStyle(p).backgroundColor);
    if (c.length === 3 || c[3] > 0) { paper = c; break; }
  }
  const [a, b] = [luminance(ink.slice(0, 3)), luminance(paper.slice(0, 3))].sort((x, y) => y - x);
  const large = parseFloat(style.fontSize) >= 24 || parseFloat(style.fontSize) >= 18.66 && Number(style.fontWeight) >= 600;
  return (a + 0.05) / (b + 0.05) / (large ? 3 : 4.5);
}
addEventListener("load", () => {
  const out = [];
  for (const f of document.querySelectorAll("iframe")) {
    const d = f.contentDocument, root = d.documentElement;
    let past = 0, flat = 0, faint = 0, texts = 0;
    for (const e of d.querySelectorAll("details")) e.open = true;
    for (const e of d.querySelectorAll("body *")) {
      if (!e.closest("title, desc, style") && [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim())) {
        texts++;
        if (!(contrast(e, f.contentWindow) >= 1)) faint++;
      }
    }
    for (const e of d.querySelectorAll("body *")) {
      if (e.closest(".scroll, nav ol, pre, .skip, .unseen")) continue;
      if (e.getBoundingClientRect().right > root.clientWidth + 1) past++;
    }
    for (const e of d.querySelectorAll("figure svg, figure img")) {
      const r = e.getBoundingClientRect();
      if (r.width < 100 || r.height < 20) flat++;
    }
    out.push([f.width, "wide", root.scrollWidth, "past", past, "flat", flat, "fetched", f.contentWindow.performance.getEntriesByType("resource").filter(e => !e.name.startsWith("data:")).length,
      "drawings", d.querySelectorAll("figure svg, figure img").length, "scripts", d.querySelectorAll("script").length, "faint", texts > 100 ? faint : "unknown: " + texts + " texts"].join(" "));
  }
  document.body.textContent = "seen: " + out.join("; ") + ".";
});
</script>`

func TestInABrowser(t *testing.T) {
	browser := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			browser = path
			break
		}
	}
	if browser == "" {
		t.Skip("no Chromium on this machine: the layout at 1280 and 390 pixels is not checked")
	}
	page := html.EscapeString(string(mustRender(t, runReport(t))))
	// Not t.TempDir: the browser may still write to its profile when the test ends.
	dir, err := os.MkdirTemp("", "report")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	frames := ""
	for _, width := range []int{1280, 390} {
		frames += fmt.Sprintf(`<iframe width="%d" height="900" style="border:0" srcdoc="%s"></iframe>`, width, page)
	}
	file := filepath.Join(dir, "measure.html")
	if err := os.WriteFile(file, fmt.Appendf(nil, measure, frames), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(context.Background(), 90*time.Second)
	defer stop()
	cmd := exec.CommandContext(ctx, browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--hide-scrollbars", "--user-data-dir="+filepath.Join(dir, "profile"), "--window-size=1400,1000", "--dump-dom", "file://"+file)
	cmd.WaitDelay = 5 * time.Second
	dom, err := cmd.Output()
	if ctx.Err() != nil || err != nil && len(dom) == 0 {
		t.Skipf("Chromium does not run here (%v): the layout at 1280 and 390 pixels is not checked", err)
	}
	seen := regexp.MustCompile(`seen: ([^.]*)\.`).FindStringSubmatch(string(dom))
	if seen == nil {
		t.Fatalf("the browser measured nothing; it shows %.300s", dom)
	}
	want := []string{
		"1280 wide 1280 past 0 flat 0 fetched 0 drawings 7 scripts 0 faint 0",
		"390 wide 390 past 0 flat 0 fetched 0 drawings 7 scripts 0 faint 0",
	}
	if got := strings.Split(seen[1], "; "); len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("the browser saw\n%q, want\n%q", got, want)
	}
}
