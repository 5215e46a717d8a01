package prepare

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// plant puts a name, a birth date and an accession number into the header of every
// file below a folder: CT (explicit) and structure sets (implicit).
func plant(t *testing.T, root string) (secrets [][]byte) {
	t.Helper()
	planted := []struct{ tag, vr, value string }{
		{"\x10\x00\x10\x00", "PN", "SECRET^NAME "},
		{"\x10\x00\x30\x00", "DA", "19310203"},
		{"\x08\x00\x50\x00", "SH", "ACC-77135 "},
	}
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, p := range planted {
			head, width := []byte(p.tag+p.vr), 2
			at := bytes.Index(raw, head)
			if at < 0 {
				head, width = []byte(p.tag), 4
				at = bytes.Index(raw, head)
			}
			if at < 0 {
				t.Fatalf("%s has no element %x", path, p.tag)
			}
			at += len(head)
			length := int(binary.LittleEndian.Uint16(raw[at:])) // of these values, in both forms
			rest := raw[at+width+length:]
			number := binary.LittleEndian.AppendUint32(nil, uint32(len(p.value)))[:width]
			raw = bytes.Join([][]byte{raw[:at], number, []byte(p.value), rest}, nil)
		}
		return os.WriteFile(path, raw, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
	return [][]byte{[]byte("SECRET"), []byte("19310203"), []byte("77135")}
}

// Of the patient nothing but the PatientID comes out: not in a picture, a volume or a
// table, and not in the reason why somebody was left out.
func TestNoIdentityInOutputs(t *testing.T) {
	root, out := t.TempDir(), t.TempDir()
	addPatient(t, root, "a", "P1")
	cut, _ := addPatient(t, root, "b", "P2")
	addPatient(t, root, "c", "P3")
	secrets := plant(t, root)
	if err := os.Truncate(filepath.Join(cut, "1-007.dcm"), 3000); err != nil {
		t.Fatal(err)
	}
	// In the middle of the elements of the patient.
	file := filepath.Join(root, "c", "CT", "1-007.dcm")
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, int64(bytes.Index(raw, secrets[0])+8)); err != nil {
		t.Fatal(err)
	}
	o := options(root, out)
	o.KeepVolumes = true
	s, _, ex := run(t, o)
	if s.Prepared != 1 || s.Patients != 3 || len(ex) < 2 {
		t.Fatalf("summary %+v, rows %+v", s, ex)
	}
	for _, e := range ex {
		for _, secret := range secrets {
			if bytes.Contains([]byte(e.Reason+e.File+e.Patient), secret) {
				t.Errorf("row %+v holds %s", e, secret)
			}
		}
	}
	files := 0
	err = filepath.WalkDir(out, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if filepath.Ext(path) == ".gz" {
			z, err := gzip.NewReader(bytes.NewReader(raw))
			if err != nil {
				return err
			}
			if raw, err = io.ReadAll(z); err != nil {
				return err
			}
		}
		for _, secret := range secrets {
			if bytes.Contains(raw, secret) {
				t.Errorf("%s holds %s", path, secret)
			}
		}
		return nil
	})
	if err != nil || files != 7 {
		t.Errorf("%d files, error %v", files, err)
	}
}
