package install

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"hounsfield/models/engine"
)

// home is an empty folder for libraries. real is the library of ONNX Runtime that is installed here, if any.
func home(t *testing.T) (dir, real string) {
	t.Helper()
	if e, err := engine.Open(engine.ONNX); err == nil {
		real = e.Library
		e.Close()
	}
	dir = filepath.Join(t.TempDir(), "engines")
	t.Setenv(engine.HomeVariable, dir)
	return dir, real
}

// tgz and whl make packages. Files are stored, not compressed: it is quicker.
func tgz(t *testing.T, files map[string][]byte) []byte {
	t.Helper()
	var out bytes.Buffer
	zipped, err := gzip.NewWriterLevel(&out, gzip.NoCompression)
	if err != nil {
		t.Fatal(err)
	}
	packed := tar.NewWriter(zipped)
	for name, text := range files {
		if err := packed.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := packed.Write(text); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(packed.Close(), zipped.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func whl(t *testing.T, files map[string][]byte) []byte {
	t.Helper()
	var out bytes.Buffer
	packed := zip.NewWriter(&out)
	for name, text := range files {
		w, err := packed.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(text); err != nil {
			t.Fatal(err)
		}
	}
	if err := packed.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func sum512(b []byte) string {
	s := sha512.Sum512(b)
	return "sha512-" + base64.StdEncoding.EncodeToString(s[:])
}

func sum256(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// serve answers the paths of pages.
func serve(t *testing.T, pages map[string][]byte) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if page, ok := pages[r.URL.Path]; ok {
			w.Write(page)
			return
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// left are the names in a folder, "" when it is not there.
func left(dir string) string {
	entries, _ := os.ReadDir(dir)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

func TestRegistries(t *testing.T) {
	user := t.TempDir()
	t.Setenv("HOME", user)
	for _, v := range []string{"npm_config_registry", "NPM_CONFIG_REGISTRY", "PIP_INDEX_URL", "PIP_CONFIG_FILE", "VIRTUAL_ENV", "XDG_CONFIG_HOME"} {
		t.Setenv(v, "")
	}
	t.Setenv("npm_config_userconfig", filepath.Join(user, ".npmrc"))
	put(t, filepath.Join(user, ".npmrc"), "; mine\n//mirror/:_authToken=none\nregistry = \"https://${WHERE}/npm/\"\n")
	t.Setenv("WHERE", "mirror.example")
	if got := npmRegistry(); got != "https://mirror.example/npm" {
		t.Error(got)
	}
	t.Setenv("npm_config_registry", "http://other.example/")
	if got := npmRegistry(); got != "http://other.example" {
		t.Error(got)
	}
	conf := filepath.Join(user, "pip.conf")
	put(t, conf, "[install]\nindex-url = https://wrong.example\n[global]\ntimeout = 60\nindex-url = https://mirror.example/simple/\n")
	t.Setenv("PIP_CONFIG_FILE", conf)
	if got := pythonIndex(); got != "https://mirror.example/simple" {
		t.Error(got)
	}
	t.Setenv("PIP_INDEX_URL", "https://a.example/simple")
	if got := pythonIndex(); got != "https://a.example/simple" {
		t.Error(got)
	}
}

// Both forms of an index give the same files, without those taken back.
func TestProjectFiles(t *testing.T) {
	sum := strings.Repeat("ab", 32)
	address := serve(t, map[string][]byte{
		"/html/p/": []byte(`<html><body><a href="../../files/p-1.0-py3-none-any.whl#sha256=` + sum + `">p</a>
			<a data-yanked="broken" href="/files/p-2.0-py3-none-any.whl">p</a></body></html>`),
		"/json/p/": []byte(`{"files":[{"url":"/files/p-1.0-py3-none-any.whl","hashes":{"sha256":"` + sum + `"},"yanked":false},
			{"url":"/files/p-2.0-py3-none-any.whl","yanked":"broken"}]}`),
		"/empty/p/": []byte("<html></html>"),
	})
	for _, form := range []string{"/html", "/json"} {
		files, err := projectFiles(context.Background(), address+form, "p")
		want := indexed{name: "p-1.0-py3-none-any.whl", url: address + "/files/p-1.0-py3-none-any.whl", sha256: sum}
		if err != nil || len(files) != 1 || files[0] != want || files[0].version() != "1.0" {
			t.Errorf("%s: %+v, %v", form, files, err)
		}
	}
	for _, form := range []string{"/empty", "/none"} {
		if files, err := projectFiles(context.Background(), address+form, "p"); err == nil {
			t.Errorf("%s: %v", form, files)
		}
	}
}

// What goes wrong on the way leaves nothing, names what went wrong and what to do.
func TestFailuresLeaveNothing(t *testing.T) {
	dir, _ := home(t)
	good := tgz(t, map[string][]byte{"package/bin/napi-v6/linux/x64/libonnxruntime.so.1": []byte("no library"), "package/README.md": nil})
	outside := tgz(t, map[string][]byte{"nvidia/../../escape.so": []byte("x")})
	address := serve(t, map[string][]byte{"/good.tgz": good, "/outside.tgz": outside, "/page.tgz": []byte("<html>sign in first</html>")})
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(good)))
		w.Write(good[:len(good)/2])
	}))
	t.Cleanup(broken.Close)
	from := func(url, checksum string) source {
		return source{name: "the test's registry", next: "do something else", fetch: func(ctx context.Context, dir string, say func(string, int64, int64)) error {
			return fetchPackage(ctx, url, dir, checksum, say)
		}}
	}
	for what, c := range map[string]struct {
		source
		want string
	}{
		"not there":       {from(address+"/none.tgz", ""), "404 Not Found"},
		"with a password": {from(strings.Replace(address, "//", "//user:secret@", 1)+"/none.tgz", ""), address + "/none.tgz answers 404"},
		"no server":       {from("http://127.0.0.1:1/x.tgz", ""), "refused"},
		"changed":         {from(address+"/good.tgz", sum512([]byte("other"))), "its sha512 is " + strings.TrimPrefix(sum512(good), "sha512-")},
		"broken off":      {from(broken.URL+"/good.tgz", sum512(good)), "broke off after"},
		"a page":          {from(address+"/page.tgz", ""), "unpacking"},
		"leads outside":   {from(address+"/outside.tgz", ""), "leads outside"},
		"no real library": {from(address+"/good.tgz", sum512(good)), "do something else"},
	} {
		in, err := install(context.Background(), Options{Engine: engine.ONNX}, []source{c.source}, func(string, int64, int64) {})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "do something else") {
			t.Errorf("%s: %v, %v; want %q", what, in, err, c.want)
		}
		if names := left(dir); names != "" {
			t.Errorf("%s leaves %s", what, names)
		}
	}
}

// A folder that somebody made where setup puts its link is left alone, before anything is fetched.
func TestFolderInTheWay(t *testing.T) {
	dir, _ := home(t)
	put(t, filepath.Join(dir, "onnx", "mine"), "x")
	fetch := func(context.Context, string, func(string, int64, int64)) error {
		t.Error("something is fetched")
		return nil
	}
	_, err := install(context.Background(), Options{Engine: engine.ONNX}, []source{{fetch: fetch}}, func(string, int64, int64) {})
	if err == nil || !strings.Contains(err.Error(), "move it away") || left(dir) != "onnx" || left(filepath.Join(dir, "onnx")) != "mine" {
		t.Errorf("%v, left: %s", err, left(dir))
	}
}

// An installation that is stopped leaves nothing and ends at once.
func TestStopped(t *testing.T) {
	dir, _ := home(t)
	ctx, stop := context.WithCancel(context.Background())
	begun := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000000")
		w.Write(make([]byte, 1000))
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	t.Cleanup(slow.Close)
	go func() { <-begun; stop() }()
	said := false
	start := time.Now()
	_, err := install(ctx, Options{Engine: engine.ONNX}, []source{{fetch: func(ctx context.Context, dir string, _ func(string, int64, int64)) error {
		return fetchPackage(ctx, slow.URL+"/x.tgz", dir, "", func(string, int64, int64) {
			if !said {
				said = true
				close(begun)
			}
		})
	}}}, func(string, int64, int64) {})
	if !errors.Is(err, context.Canceled) || time.Since(start) > 10*time.Second || left(dir) != "" {
		t.Errorf("%v after %v, left: %s", err, time.Since(start), left(dir))
	}
}

// What a killed installation has left is removed by a later one, not what is under way.
func TestRemoveStale(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, stagePrefix+"old", "half.tgz"), "x")
	put(t, filepath.Join(dir, stagePrefix+"new", "half.tgz"), "x")
	put(t, filepath.Join(dir, "onnx-1", "lib"), "x")
	if err := os.Chtimes(filepath.Join(dir, stagePrefix+"old"), time.Time{}, time.Now().Add(-2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	removeStale(dir)
	if got := left(dir); got != stagePrefix+"new onnx-1" {
		t.Error(got)
	}
}

// With a real library: from a registry, again from a file, and a bad one that leaves the former in place.
func TestInstall(t *testing.T) {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skip("the test's package is for Linux on amd64")
	}
	dir, real := home(t)
	if real == "" {
		t.Skip("ONNX Runtime is not installed here")
	}
	library, err := os.ReadFile(real)
	if err != nil {
		t.Fatal(err)
	}
	pack := tgz(t, map[string][]byte{"package/bin/napi-v6/linux/x64/libonnxruntime.so.1": library, "package/bin/napi-v6/linux/arm64/libonnxruntime.so.1": []byte("other"),
		"package/bin/napi-v6/linux/x64/onnxruntime_binding.node": []byte("not wanted")})
	address := serve(t, map[string][]byte{"/onnxruntime-node/-/onnxruntime-node-" + onnxVersion + ".tgz": pack})
	t.Setenv("npm_config_registry", address)
	if _, err := Library(context.Background(), Options{Engine: engine.ONNX}); err == nil || !strings.Contains(err.Error(), "npm pack onnxruntime-node@"+onnxVersion) || left(dir) != "" {
		t.Fatalf("a package that is not the pinned one: %v, left %q", err, left(dir))
	}
	first, err := install(context.Background(), Options{Engine: engine.ONNX}, []source{{name: "registry", fetch: func(ctx context.Context, dir string, say func(string, int64, int64)) error {
		return fetchPackage(ctx, npmRegistry()+"/onnxruntime-node/-/onnxruntime-node-"+onnxVersion+".tgz", dir, sum512(pack), say)
	}}}, func(string, int64, int64) {})
	if err != nil {
		t.Fatal(err)
	}
	if first.SHA256 != sum256(library) || first.Report.Test == nil || first.Report.Test.GFLOPs <= 0 {
		t.Errorf("%+v", first)
	}
	found, err := filepath.EvalSymlinks(filepath.Join(dir, "onnx"))
	if err != nil || found != filepath.Dir(first.Report.Library) || left(found) != "libonnxruntime.so.1" {
		t.Errorf("%s (%v) holds %s, said %s", found, err, left(found), first.Report.Library)
	}
	second, err := Library(context.Background(), Options{Engine: engine.ONNX, File: real})
	if err != nil || second.Replaced != found {
		t.Fatalf("%+v, %v", second, err)
	}
	if _, err := os.Stat(found); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the former library is still there: %v", err)
	}
	before := left(dir)
	half := put(t, filepath.Join(t.TempDir(), "half.so"), string(library[:len(library)/2]))
	var bad *engine.LibraryError
	if _, err := Library(context.Background(), Options{Engine: engine.ONNX, File: half}); !errors.As(err, &bad) || bad.File != half {
		t.Errorf("half a library: %v", err)
	}
	if now := left(dir); now != before {
		t.Errorf("half a library leaves %s, before: %s", now, before)
	}
}

// A wheel with a plugin and NVIDIA's folders keeps the layout that the plugin looks into.
func TestWheelLayout(t *testing.T) {
	dir := t.TempDir()
	wheel := put(t, filepath.Join(t.TempDir(), "p.whl"), string(whl(t, map[string][]byte{
		"jax_plugins/xla_cuda13/xla_cuda_plugin.so": []byte("a"), "jax_plugins/xla_cuda13/__init__.py": []byte("b"),
		"nvidia/cu13/bin/ptxas": []byte("c"), "p-1.dist-info/licenses/LICENSE": []byte("d"), "p-1.dist-info/METADATA": []byte("e"),
		"p/pjrt_c_api_cpu_plugin.so": []byte("f")})))
	n, err := unpack(wheel, dir, forThisMachine)
	if err != nil || n != 4 {
		t.Fatal(n, err)
	}
	for _, name := range []string{"jax_plugins/xla_cuda13/xla_cuda_plugin.so", "nvidia/cu13/bin/ptxas", "LICENSE", "pjrt_c_api_cpu_plugin.so"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}

func put(t *testing.T, file, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}
