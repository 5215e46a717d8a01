package install

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	"github.com/gomlx/go-xla/installer"

	"hounsfield/models/engine"
)

// The packages that were tried with this program. Checksums are those of the registries.
const (
	onnxVersion  = "1.30.0"
	onnxPackage  = "onnxruntime-node"
	onnxChecksum = "sha512-twhs1C2C/BFkz1yc5OY0KIU2GUq6DURO7hD4bx5Q2Qy3nAMJwRXW8xU3NVczE29VA9lolLOYepoD8fjTGOfIqw=="

	cudaVersion  = "0.12.0.1"
	cudaChecksum = "sha256-5899bb6177eda86ea532afb9a26794f2bdd04966f6a01f9028266b16c2b6cf90"
)

// wheel is a package of the Python index.
type wheel struct{ project, version, platform, checksum string }

// cpuWheels carry XLA's plugin for the processor: builds of the XLA project's own source, with their licences.
var cpuWheels = map[string]wheel{
	"linux/amd64": {"lammps-jax-pjrt-cpu", "0.11.2", "x86_64", "sha256-1319390d948b39f69f7dade496b7c385149d9ca6097a6b62114da113216d9ad1"},
	"linux/arm64": {"xla-cpu-pjrt", "0.0.1", "aarch64", "sha256-8f613be6e891858f40d64f9799319502fff42689661944fc18a6ffd8210b30c9"},
}

// nvidiaLibraries are what the CUDA plugin needs, with the lowest version, by jax-cuda13-plugin's own requirements.
var nvidiaLibraries = []installer.PipDependency{
	{Package: "nvidia-cublas", Minimum: "13.0.0.19"},
	{Package: "nvidia-cuda-cupti", Minimum: "13.0.48"},
	{Package: "nvidia-cuda-nvcc", Minimum: "13.0.48"},
	{Package: "nvidia-cuda-runtime", Minimum: "13.0.48"},
	{Package: "nvidia-cudnn-cu13", Minimum: "9.12.0.46", UpperBound: "10.0"},
	{Package: "nvidia-cufft", Minimum: "12.0.0.15"},
	{Package: "nvidia-cusolver", Minimum: "12.0.3.29"},
	{Package: "nvidia-cusparse", Minimum: "12.6.2.49"},
	{Package: "nvidia-nccl-cu13", Minimum: "2.27.7"},
	{Package: "nvidia-nvjitlink", Minimum: "13.0.39"},
	{Package: "nvidia-cuda-nvrtc", Minimum: "13.0.48"},
	{Package: "nvidia-nvshmem-cu13", Minimum: "3.3.20"},
	{Package: "nvidia-nvvm", Minimum: "13.0"},
}

// sourcesOf lists where an engine's library can be had from on this machine, in the order of trying.
func sourcesOf(o Options) ([]source, error) {
	here := runtime.GOOS + "/" + runtime.GOARCH
	none := func(what string) error {
		return &Error{What: fmt.Sprintf("there is no ready-made %s for %s", what, here),
			Next: "build it and install it with --file, or use the engine go, which needs none"}
	}
	switch {
	case o.File != "":
		return []source{fileSource(o)}, nil
	case o.Engine == engine.ONNX:
		folder, ok := map[string]string{"linux/amd64": "linux/x64", "linux/arm64": "linux/arm64", "darwin/arm64": "darwin/arm64"}[here]
		if !ok {
			return nil, none("ONNX Runtime")
		}
		return []source{npmSource(folder)}, nil
	case o.Engine == engine.XLACPU:
		if here == "darwin/amd64" {
			return nil, none("XLA plugin")
		}
		sources := []source{releaseSource()}
		if w, ok := cpuWheels[here]; ok {
			sources = append(sources, wheelSource(w))
		}
		return sources, nil
	case o.Engine == engine.XLACUDA:
		if here != "linux/amd64" {
			return nil, none("XLA plugin for CUDA")
		}
		return []source{cudaSource()}, nil
	}
	return nil, &Error{What: "the engine " + o.Engine + " needs no library", Next: "set up onnx or xla"}
}

// fileSource takes a library, or a package with it, that is here already.
func fileSource(o Options) source {
	return source{
		name: o.File, licence: "see its publisher", next: "name a library or a package (.tgz, .whl, .zip) that holds one for this machine",
		fetch: func(ctx context.Context, dir string, say func(string, int64, int64)) error {
			say("reading "+filepath.Base(o.File), 0, 0)
			if isPackage(o.File) {
				_, err := unpack(o.File, dir, forThisMachine)
				return err
			}
			end := map[string]string{"darwin": ".dylib"}[runtime.GOOS]
			if end == "" {
				end = ".so"
			}
			name := "libonnxruntime" + end
			switch o.Engine {
			case engine.XLACPU:
				name = "pjrt_c_api_cpu_plugin" + end
			case engine.XLACUDA:
				name = filepath.Join("jax_plugins", "xla_cuda13", "xla_cuda_plugin.so") // whose libraries stand at ../../nvidia
			}
			return copyFile(o.File, filepath.Join(dir, name))
		},
	}
}

// forThisMachine wants a package's libraries, of several machines' only this one's, and what is said about licences.
func forThisMachine(name string) string {
	machine := map[string]string{"amd64": "x64", "arm64": "arm64"}[runtime.GOARCH]
	if _, inside, several := strings.Cut(name, "bin/napi-v6/"); several {
		if path.Dir(inside) != runtime.GOOS+"/"+machine || !strings.Contains(path.Base(inside), "onnxruntime.") {
			return ""
		}
		return path.Base(inside)
	}
	if strings.HasPrefix(name, "jax_plugins/") && strings.HasSuffix(name, ".so") || strings.HasPrefix(name, "nvidia/") {
		return name
	}
	base := path.Base(name)
	if strings.HasSuffix(base, ".so") || strings.HasSuffix(base, ".dylib") || strings.Contains(base, ".so.") || notice.MatchString(base) {
		return base
	}
	return ""
}

var notice = regexp.MustCompile(`(?i)^(licen[cs]e|third.?party.?notices?|notice)(\.[a-z]+)?$`)

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// fetchPackage downloads a package into dir, takes what this machine needs out of it and removes it.
func fetchPackage(ctx context.Context, url, dir, checksum string, say func(string, int64, int64)) error {
	file := filepath.Join(dir, path.Base(url))
	if err := download(ctx, url, file, checksum, say); err != nil {
		return err
	}
	n, err := unpack(file, dir, forThisMachine)
	if err == nil && n == 0 {
		err = fmt.Errorf("%s holds no library for this machine", shown(url))
	}
	return errors.Join(err, os.Remove(file))
}

func npmSource(folder string) source {
	return source{
		name: onnxPackage + " " + onnxVersion + " of the npm registry", licence: "MIT",
		next: fmt.Sprintf("where npm works, type `npm pack %s@%s`, then `hounsfield setup onnx --file %s-%s.tgz`", onnxPackage, onnxVersion, onnxPackage, onnxVersion),
		fetch: func(ctx context.Context, dir string, say func(string, int64, int64)) error {
			url := fmt.Sprintf("%s/%s/-/%s-%s.tgz", npmRegistry(), onnxPackage, onnxPackage, onnxVersion)
			return fetchPackage(ctx, url, dir, onnxChecksum, say)
		},
	}
}

// releaseSource is the plugin that goes with go-xla, from the releases that its own installer uses. They have no
// checksums.
func releaseSource() source {
	return source{
		name: "the release that goes with go-xla", licence: "Apache-2.0",
		next: "where the network allows it, download a PJRT plugin for the CPU, then `hounsfield setup xla --file PLUGIN`",
		fetch: func(ctx context.Context, dir string, say func(string, int64, int64)) error {
			say("asking for the release that goes with go-xla", 0, 0)
			type answer struct {
				url string
				err error
			}
			answers := make(chan answer, 1)
			go func() { // it knows no time limit
				url, err := installer.CPUGetDownloadURL(runtime.GOOS+"_"+runtime.GOARCH, releaseVersion)
				answers <- answer{url, err}
			}()
			var found answer
			select {
			case found = <-answers:
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(30 * time.Second):
				found.err = errors.New("no answer within 30 seconds")
			}
			if found.err != nil {
				return found.err
			}
			file := filepath.Join(dir, path.Base(found.url))
			if err := download(ctx, found.url, file, "", say); err != nil {
				return err
			}
			_, err := unpack(file, dir, forThisMachine)
			return errors.Join(err, os.Remove(file))
		},
	}
}

// releaseVersion is the one that go-xla v0.4.5 is tested with (its utils.DefaultCPUVersion).
const releaseVersion = "v0.114.0"

func wheelSource(w wheel) source {
	return source{
		name: w.project + " " + w.version + " of the Python index", licence: "Apache-2.0",
		next: fmt.Sprintf("where pip works, type `pip download --no-deps %s==%s`, then `hounsfield setup xla --file FILE.whl`", w.project, w.version),
		fetch: func(ctx context.Context, dir string, say func(string, int64, int64)) error {
			return fetchWheel(ctx, w, dir, say)
		},
	}
}

func fetchWheel(ctx context.Context, w wheel, dir string, say func(string, int64, int64)) error {
	files, err := projectFiles(ctx, pythonIndex(), w.project)
	if err != nil {
		return err
	}
	for _, f := range files {
		if f.version() == w.version && strings.HasSuffix(f.name, w.platform+".whl") {
			return fetchPackage(ctx, f.url, dir, w.checksum, say)
		}
	}
	return fmt.Errorf("the index has no %s %s for %s", w.project, w.version, w.platform)
}

// cudaSource is JAX's plugin for CUDA 13 and NVIDIA's libraries, in the folders of the Python packages, which the plugin
// looks into.
func cudaSource() source {
	return source{
		name: "jax-cuda13-pjrt " + cudaVersion + " and NVIDIA's libraries of the Python index", licence: "Apache-2.0, and NVIDIA's terms for its libraries",
		next: `where pip works, make a virtual environment with ` + "`pip install \"jax-cuda13-plugin[with-cuda]\"`" + ` and activate it: xla:cuda is then found there`,
		fetch: func(ctx context.Context, dir string, say func(string, int64, int64)) error {
			err := fetchWheel(ctx, wheel{"jax-cuda13-pjrt", cudaVersion, "x86_64", cudaChecksum}, dir, say)
			if err != nil {
				return err
			}
			for _, library := range nvidiaLibraries {
				if err := fetchNVIDIA(ctx, library, dir, say); err != nil {
					return fmt.Errorf("%s: %w", library.Package, err)
				}
			}
			return nil
		},
	}
}

// fetchNVIDIA takes the newest version that fits. Its checksum is that of the index.
func fetchNVIDIA(ctx context.Context, library installer.PipDependency, dir string, say func(string, int64, int64)) error {
	files, err := projectFiles(ctx, pythonIndex(), library.Package)
	if err != nil {
		return err
	}
	var newest indexed
	for _, f := range files {
		v := f.version()
		fits := installer.PipPackageLinuxAMD64().MatchString(f.name) && strings.HasSuffix(f.name, ".whl") && plainVersion.MatchString(v) && library.IsValid(v)
		if fits && f.sha256 != "" && (newest.name == "" || installer.PipCompareVersion(v, newest.version()) > 0) {
			newest = f
		}
	}
	if newest.name == "" {
		return errors.New("the index has no version that fits, with a checksum")
	}
	return fetchPackage(ctx, newest.url, dir, "sha256-"+newest.sha256, say)
}

var plainVersion = regexp.MustCompile(`^[0-9.]+$`) // no pre-releases
