package install

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// npmRegistry is the address of the registry that npm uses here: by npm_config_registry, the user's npmrc, the
// system's, else npm's own. Only the address is read.
func npmRegistry() string {
	for _, name := range []string{"npm_config_registry", "NPM_CONFIG_REGISTRY"} {
		if v := os.Getenv(name); v != "" {
			return strings.TrimSuffix(v, "/")
		}
	}
	var files []string
	if v := os.Getenv("npm_config_userconfig"); v != "" {
		files = append(files, v)
	} else if user, err := os.UserHomeDir(); err == nil {
		files = append(files, filepath.Join(user, ".npmrc"))
	}
	for _, file := range append(files, "/usr/local/etc/npmrc", "/usr/etc/npmrc", "/etc/npmrc") {
		if v := settingIn(file, "registry", ""); v != "" {
			return strings.TrimSuffix(os.Expand(v, os.Getenv), "/")
		}
	}
	return "https://registry.npmjs.org"
}

// pythonIndex is the address of the index that pip uses here: by PIP_INDEX_URL, the files of pip's settings, else pip's
// own.
func pythonIndex() string {
	if v := os.Getenv("PIP_INDEX_URL"); v != "" {
		return strings.TrimSuffix(v, "/")
	}
	var files []string
	if v := os.Getenv("PIP_CONFIG_FILE"); v != "" {
		files = append(files, v)
	}
	if v := os.Getenv("VIRTUAL_ENV"); v != "" {
		files = append(files, filepath.Join(v, "pip.conf"))
	}
	if dir, err := os.UserConfigDir(); err == nil {
		files = append(files, filepath.Join(dir, "pip", "pip.conf"))
	}
	if user, err := os.UserHomeDir(); err == nil {
		files = append(files, filepath.Join(user, ".config", "pip", "pip.conf"), filepath.Join(user, ".pip", "pip.conf"))
	}
	for _, file := range append(files, "/etc/xdg/pip/pip.conf", "/etc/pip.conf") {
		for _, section := range []string{"download", "global"} {
			if v := settingIn(file, "index-url", section); v != "" {
				return strings.TrimSuffix(v, "/")
			}
		}
	}
	return "https://pypi.org/simple"
}

// settingIn reads one setting of a file with lines of the form key = value under headings in brackets; "" when it is
// not there.
func settingIn(file, key, section string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	within := ""
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]") {
			within = strings.Trim(line, "[]")
		}
		if k, v, ok := strings.Cut(line, "="); ok && within == section && strings.TrimSpace(k) == key {
			return strings.Trim(strings.TrimSpace(v), `"'`)
		}
	}
	return ""
}

// indexed is a file of a project in a Python index.
type indexed struct {
	name   string // as in a_project-1.2.3-py3-none-manylinux_2_27_x86_64.whl
	url    string
	sha256 string // "" when the index gives none
}

// version is the second field of a wheel's name.
func (f indexed) version() string {
	if fields := strings.Split(f.name, "-"); len(fields) > 1 {
		return fields[1]
	}
	return ""
}

var (
	anchor   = regexp.MustCompile(`(?is)<a\s[^>]*?href\s*=\s*["']([^"']*)["'][^>]*>`)
	fragment = regexp.MustCompile(`sha256=([0-9a-f]{64})`)
)

// projectFiles asks the index for a project's files, in the form of JSON (PEP 691) or HTML (PEP 503).
func projectFiles(ctx context.Context, index, project string) ([]indexed, error) {
	address := index + "/" + project + "/"
	body, _, err := get(ctx, address, "application/vnd.pypi.simple.v1+json, text/html;q=0.5, */*;q=0.1")
	if err != nil {
		return nil, err
	}
	defer body.Close()
	text, err := io.ReadAll(io.LimitReader(body, 64<<20))
	if err != nil {
		return nil, err
	}
	base, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	var out []indexed
	add := func(link, sum string) {
		u, err := base.Parse(html.UnescapeString(link))
		if err != nil {
			return
		}
		if m := fragment.FindStringSubmatch(u.Fragment); m != nil {
			sum = m[1]
		}
		u.Fragment = ""
		out = append(out, indexed{name: path.Base(u.Path), url: u.String(), sha256: sum})
	}
	var page struct {
		Files []struct {
			URL    string            `json:"url"`
			Hashes map[string]string `json:"hashes"`
			Yanked any               `json:"yanked"`
		} `json:"files"`
	}
	if json.Unmarshal(text, &page) == nil {
		for _, f := range page.Files {
			if yanked, ok := f.Yanked.(bool); f.Yanked == nil || ok && !yanked {
				add(f.URL, f.Hashes["sha256"])
			}
		}
	} else {
		for _, m := range anchor.FindAllStringSubmatch(string(text), -1) {
			if !strings.Contains(m[0], "data-yanked") {
				add(m[1], "")
			}
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s lists no files", shown(address))
	}
	return out, nil
}
