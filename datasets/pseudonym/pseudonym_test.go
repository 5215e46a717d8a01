package pseudonym

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// counted is the key of bytes 0 to 31.
func counted() *Key {
	k := &Key{}
	for i := range k.secret {
		k.secret[i] = byte(i)
	}
	return k
}

// Golden values from Python 3.11.7, standard library:
//
//	def s(kind, v): return hmac.new(bytes(range(32)),
//	    f"hounsfield pseudonym 1;{len(kind)}:{kind};{v}".encode(), hashlib.sha256).digest()
//	s("site", "Maastro").hex()
//	"P-" + base64.b32encode(s("patient", "LUNG1-002")[:10]).decode()
//	b = bytearray(s("uid", "1.2.840.10008.1")[:16]); b[6] = b[6] & 15 | 128; b[8] = b[8] & 63 | 128
//	"2.25." + str(int.from_bytes(b, "big"))
//	s("fingerprint", "")[:8].hex()
func TestGolden(t *testing.T) {
	k := counted()
	for _, c := range []struct{ got, want string }{
		{k.Text("site", "Maastro"), "07192fbf1bad667ab6534168f2d730d090a2099f8e5426b58f86c2afe4c1e0c2"},
		{k.Patient("LUNG1-002"), "P-U334M2EXY2BESWOU"},
		{k.UID("1.2.840.10008.1"), "2.25.176270930059938177951422628522062855074"},
		{k.Fingerprint(), "98d0fbb1fd537d9d"},
	} {
		if c.got != c.want {
			t.Errorf("%s, want %s", c.got, c.want)
		}
	}
}

func TestEveryPartCounts(t *testing.T) {
	k, other := counted(), counted()
	other.secret[31]++
	seen := map[string]string{}
	note := func(what, pseudonym string) {
		if before, twice := seen[pseudonym]; twice {
			t.Errorf("%s and %s share %s", before, what, pseudonym)
		}
		seen[pseudonym] = what
	}
	for _, id := range []string{"7", "07", "7 ", "A7", "a7", ""} {
		note("patient "+id, k.Patient(id))
		note("patient of another key "+id, other.Patient(id))
		note("uid "+id, k.UID(id))
		note("text "+id, k.Text("x", id))
		note("text of another kind "+id, k.Text("", id))
	}
	if k.Text("a", ";1:b") == k.Text("a;4:", ";1:b") {
		t.Error("kind and value run into each other")
	}
	form := regexp.MustCompile(`^P-[A-Z2-7]{16}$`)
	uid := regexp.MustCompile(`^2\.25\.(0|[1-9][0-9]*)$`)
	for i := range 1000 {
		if p := k.Patient(fmt.Sprint(i)); !form.MatchString(p) {
			t.Fatal(p)
		}
		if u := k.UID(fmt.Sprint(i)); !uid.MatchString(u) || len(u) > 64 {
			t.Fatal(u)
		}
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	made, err := Make(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatal(info.Mode(), err)
	}
	read, err := Read(path)
	if err != nil || read.Patient("x") != made.Patient("x") {
		t.Fatal("another key came back", err)
	}
	another, err := Make(path + "2")
	if err != nil || another.Patient("x") == made.Patient("x") {
		t.Fatal("two keys are the same", err)
	}
	if _, err := Make(path); err == nil || !strings.Contains(err.Error(), "is there already") {
		t.Fatal("a key was written over: ", err)
	}
	if again, err := Read(path); err != nil || again.Fingerprint() != made.Fingerprint() {
		t.Fatal("the refused key changed the file", err)
	}
	if _, err := Make(filepath.Join(path, "below-a-file")); err == nil {
		t.Fatal("a key was made below a file")
	}
}

func TestRefusedFiles(t *testing.T) {
	dir := t.TempDir()
	secret := hex.EncodeToString(counted().secret[:])
	for name, c := range map[string]struct {
		text string
		mode os.FileMode
		says string
	}{
		"open to the group": {title + "\n" + secret + "\n", 0o640, "can be read or changed by others"},
		"another file":      {"patient,age\n1,60\n", 0o600, "no key file"},
		"empty":             {"", 0o600, "no key file"},
		"cut":               {title + "\n" + secret[:40] + "\n", 0o600, "no key file"},
		"not hexadecimal":   {title + "\n" + "zz" + secret[2:] + "\n", 0o600, "no key file"},
		"another version":   {strings.Replace(title, "1", "2", 1) + "\n" + secret + "\n", 0o600, "no key file"},
		"more follows":      {title + "\n" + secret + "\n" + secret + "\n", 0o600, "no key file"},
	} {
		path := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
		if err := os.WriteFile(path, []byte(c.text), c.mode); err != nil {
			t.Fatal(err)
		}
		k, err := Read(path)
		var refused *KeyError
		if k != nil || !errors.As(err, &refused) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		} else if strings.Contains(err.Error(), secret[2:20]) {
			t.Errorf("%s: the error holds the key: %v", name, err)
		}
	}
	if _, err := Read(filepath.Join(dir, "none")); err == nil || !strings.Contains(err.Error(), "is not there") {
		t.Error(err)
	}
	windows := filepath.Join(dir, "crlf")
	if err := os.WriteFile(windows, []byte(title+"\r\n"+secret+"\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if k, err := Read(windows); err != nil || k.Fingerprint() != counted().Fingerprint() {
		t.Error("a key that was copied over Windows:", err)
	}
}

func TestKeyIsNotPrinted(t *testing.T) {
	k := counted()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
		for _, value := range []any{k, *k, struct{ Key *Key }{k}, []*Key{k}} {
			text := fmt.Sprintf(verb, value)
			for _, leak := range []string{"000102", "0x0, 0x1", "0 1 2 3"} {
				if strings.Contains(text, leak) {
					t.Errorf("%s of %T: %s", verb, value, text)
				}
			}
		}
	}
}
