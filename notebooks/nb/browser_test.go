package nb

import (
	"html"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

// inBrowser opens a page of one widget in headless Chromium, under a policy that lets it
// fetch nothing, runs the body of an async function there, and gives the lines it returns.
func inBrowser(t *testing.T, widget, driver string) string {
	t.Helper()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed: apt install chromium")
	}
	// Not t.TempDir: the browser may still write to its profile when the test ends.
	dir, err := os.MkdirTemp("", "widget")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	page := filepath.Join(dir, "page.html")
	if err := os.WriteFile(page, []byte(`<!doctype html><html lang="en"><meta charset="utf-8"><title>widget</title>`+
		`<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; script-src 'unsafe-inline'; style-src 'unsafe-inline'">`+
		widget+`<script>(async () => {`+driver+`})().catch((e) => ["failed: " + e.stack]).then((said) =>
document.body.append(Object.assign(document.createElement("pre"), {id: "said", textContent: said.join("\n")})));</script></html>`), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), chromium, "--headless", "--no-sandbox", "--disable-gpu", "--user-data-dir="+filepath.Join(dir, "profile"),
		"--window-size=1000,800", "--virtual-time-budget=5000", "--dump-dom", "file://"+page)
	cmd.WaitDelay = time.Second
	dom, err := cmd.Output()
	if err != nil {
		t.Fatalf("chromium: %v", err)
	}
	m := regexp.MustCompile(`(?s)<pre id="said">(.*?)</pre>`).FindSubmatch(dom)
	if m == nil {
		t.Fatalf("the page did not come to its end:\n%.2000s", dom)
	}
	return html.UnescapeString(string(m[1]))
}
