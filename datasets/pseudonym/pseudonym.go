// Package pseudonym replaces ids by keyed hashes: HMAC-SHA-256 (RFC 2104, FIPS 198-1)
// under a key that lies in a file of its own. The same key gives the same pseudonyms,
// so scans, tables and later deliveries still fit together; without the key nobody can
// find an id from its pseudonym, nor try ids out, though they are few.
//
// Whoever holds the key can: it is as confidential as the list of patients.
package pseudonym

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"os"
	"strings"
)

// Key makes pseudonyms. It prints as its fingerprint, never as what it is.
type Key struct {
	secret [sha256.Size]byte
}

// title is the first line of a key file.
const title = "hounsfield pseudonym key, version 1: keep it secret, apart from the data, and do not lose it"

// KeyError is a key file that cannot be used or made. It never holds the key.
type KeyError struct {
	File, Problem, Next string
	Err                 error
}

func (e *KeyError) Error() string {
	s := fmt.Sprintf("pseudonym key %s %s", e.File, e.Problem)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s + "; " + e.Next
}

func (e *KeyError) Unwrap() error { return e.Err }

// Make draws a new key and writes it to a file that only its owner may read (mode 0600).
// A file that is there is never written over: its pseudonyms would be lost for good.
//
// Errors: *KeyError.
func Make(path string) (*Key, error) {
	k := &Key{}
	rand.Read(k.secret[:]) // never fails: it ends the program instead
	fail := func(err error) (*Key, error) {
		e := &KeyError{File: path, Problem: "cannot be made", Next: "name a new file in a folder that you can write to", Err: err}
		if errors.Is(err, fs.ErrExist) {
			e.Problem, e.Next, e.Err = "is there already and is not written over", "use it as it is (without asking for a new one), or name another file", nil
		}
		return nil, e
	}
	// Not by a temporary file and a new name, which would take the place of another; hard
	// links, which would not, are missing on many shares. A cut file is no key for Read.
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fail(err)
	}
	_, err = fmt.Fprintf(f, "%s\n%s\n", title, hex.EncodeToString(k.secret[:]))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		os.Remove(path) // of no use to anybody
		return fail(err)
	}
	return k, nil
}

// Read reads the key of a file that Make wrote. A file that others than its owner may
// read is refused.
//
// Errors: *KeyError.
func Read(path string) (*Key, error) {
	bad := func(problem, next string, err error) (*Key, error) {
		return nil, &KeyError{File: path, Problem: problem, Next: next, Err: err}
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return bad("is not there", "name the file of your key, or ask for a new one", nil)
	}
	if err != nil {
		return bad("cannot be read", "name the file of your key", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return bad("cannot be read", "name the file of your key", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return bad(fmt.Sprintf("can be read or changed by others (mode %#o)", mode), fmt.Sprintf("make it yours alone: chmod 600 %s", path), nil)
	}
	const most = len(title) + 2*sha256.Size + 4
	raw, err := io.ReadAll(io.LimitReader(f, int64(most)+1))
	if err != nil {
		return bad("cannot be read", "name the file of your key", err)
	}
	lines := strings.Split(strings.TrimRight(string(bytes.ReplaceAll(raw, []byte("\r"), nil)), "\n"), "\n")
	k := &Key{}
	if len(raw) > most || len(lines) != 2 || lines[0] != title || hex.DecodedLen(len(lines[1])) != len(k.secret) {
		return bad("is no key file of this program", "name a file that --new-key has made", nil)
	}
	if _, err := hex.Decode(k.secret[:], []byte(lines[1])); err != nil {
		return bad("is no key file of this program", "name a file that --new-key has made", nil) // err would quote the key
	}
	return k, nil
}

// Text is a pseudonym of a value, 64 lower-case hexadecimal digits; equal values of
// different kinds have different ones.
func (k *Key) Text(kind, value string) string { return hex.EncodeToString(k.sum(kind, value)) }

// Patient is the pseudonym of a patient's id: P- and 16 letters and digits (80 bits, so
// that two of a million patients share one with a chance of 4e-13). The id counts to the letter: case,
// blanks and leading zeros too.
func (k *Key) Patient(id string) string {
	return "P-" + base32.StdEncoding.EncodeToString(k.sum("patient", id)[:10])
}

// UID is a UID for a UID: a UUID of version 8 under the root 2.25 (DICOM PS3.5, B.2).
func (k *Key) UID(uid string) string {
	id := k.sum("uid", uid)[:16]
	id[6] = id[6]&0x0F | 0x80
	id[8] = id[8]&0x3F | 0x80
	return "2.25." + new(big.Int).SetBytes(id).String()
}

// Fingerprint tells keys apart without giving them away: 16 hexadecimal digits.
func (k *Key) Fingerprint() string { return hex.EncodeToString(k.sum("fingerprint", "")[:8]) }

// Format prints the fingerprint, whatever the verb.
func (k Key) Format(s fmt.State, _ rune) { fmt.Fprintf(s, "pseudonym key %s", k.Fingerprint()) }

func (k *Key) sum(kind, value string) []byte {
	h := hmac.New(sha256.New, k.secret[:])
	fmt.Fprintf(h, "hounsfield pseudonym 1;%d:%s;%s", len(kind), kind, value)
	return h.Sum(nil)
}
