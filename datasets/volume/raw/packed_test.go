package raw

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	klauspost "github.com/klauspost/compress/flate"
)

// unpack undoes pack with the readers of Go's library and of klauspost/compress, which must agree.
func unpack(t testing.TB, packed []byte) []byte {
	t.Helper()
	packed = append(packed[:len(packed):len(packed)], 3, 0)
	out, err := io.ReadAll(flate.NewReader(bytes.NewReader(packed)))
	if err != nil {
		t.Fatal(err)
	}
	if other, err := io.ReadAll(klauspost.NewReader(bytes.NewReader(packed))); err != nil || !bytes.Equal(other, out) {
		t.Fatalf("another reader unpacks %d bytes to %d others, error %v", len(out), len(other), err)
	}
	return out
}

// voxels are words with noise and stretches of one value, as scans have them.
func voxels(rng *rand.Rand, n int) []byte {
	var out []byte
	for len(out) < 2*n {
		length, value, noise := 1+rng.IntN(900), rng.IntN(4096)-1024, rng.IntN(3)
		for range length {
			v := value
			if noise > 0 {
				v += int(40 * rng.NormFloat64())
			}
			out = binary.LittleEndian.AppendUint16(out, uint16(int16(v)))
		}
	}
	return out[:2*n]
}

// What is packed comes back: of every length around the limits, of runs of every length, of
// all words at once, and where one value is so rare that its code would be too long.
func TestPack(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	cases := map[string][]byte{"nothing": nil, "a byte": {7}, "a word": {1, 2}, "three bytes": {0, 0, 9}, "two parts": voxels(rng, partBytes/2+5), "two parts of zeros": make([]byte, partBytes+3)}
	var all, skewed []byte
	for w := range 1 << 16 {
		all = binary.LittleEndian.AppendUint16(all, uint16(w))
	}
	cases["all words"] = all
	for w, n := 0, 1; n < 200000; w, n = w+1, n*2 { // frequencies like powers of two: a code of 18 bits
		for range n {
			skewed = append(skewed, byte(w), byte(100+w))
		}
	}
	rng.Shuffle(len(skewed)/2, func(i, j int) {
		skewed[2*i], skewed[2*i+1], skewed[2*j], skewed[2*j+1] = skewed[2*j], skewed[2*j+1], skewed[2*i], skewed[2*i+1]
	})
	cases["skewed"] = skewed
	for n := range 300 {
		cases[fmt.Sprint("scan of ", n)] = voxels(rng, n)
		run := append(bytes.Repeat([]byte{9, 200}, n), voxels(rng, 3)...)
		cases[fmt.Sprint("run of ", n)] = append(voxels(rng, n%9), run...)
	}
	var p packer
	for name, data := range cases {
		if got := unpack(t, p.pack(nil, data)); !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes come back as %d others", name, len(data), len(got))
		}
	}
	// One after the other, behind bytes that are there already, twice the same.
	joined := p.pack(p.pack([]byte{}, skewed[:1001]), all[:778])
	if got := unpack(t, joined); !bytes.Equal(got, append(skewed[:1001:1001], all[:778]...)) {
		t.Error("two parts in a row come back as something else")
	}
	if again := new(packer).pack(nil, cases["two parts"]); !bytes.Equal(again, p.pack(nil, cases["two parts"])) {
		t.Error("what was packed before changes what comes out")
	}
	noise := voxels(rng, 1<<18)
	var best bytes.Buffer
	w, err := klauspost.NewWriter(&best, 9)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(noise); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	if got := len(p.pack(nil, noise)); got > best.Len()*13/10 {
		t.Errorf("%d bytes packed to %d, the best general packer needs %d", len(noise), got, best.Len())
	}
}

// The code of the least frequent symbol is cut to what a code may have, and all codes
// together are still one that can be read (Kraft's sum is one).
func TestCodeLengths(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var freq [symbols]uint32
		n, steep := 1+rng.IntN(symbols), rng.Float64()*12
		for i := range n {
			freq[rng.IntN(symbols)] = uint32(1 + math.Exp(steep*rng.Float64()*float64(i)/float64(n)))
		}
		used := 0
		sum := 0.0
		lengths := codeLengths(&freq)
		for s, l := range lengths {
			if (l > 0) != (freq[s] > 0) || l > maxCode {
				t.Fatalf("symbol %d, %d times: a code of %d bits", s, freq[s], l)
			}
			if l > 0 {
				used++
				sum += math.Ldexp(1, -int(l))
			}
		}
		if want := min(1, 0.5*float64(used)); sum != want {
			t.Fatalf("%d symbols: Kraft's sum is %v, want %v", used, sum, want)
		}
	}
}

func FuzzPack(f *testing.F) {
	f.Add([]byte{}, uint16(3))
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, uint16(40))
	f.Fuzz(func(t *testing.T, data []byte, times uint16) {
		long := bytes.Repeat(data, 1+int(times)%64)
		long = append(long, data[:len(data)/2]...)
		if got := unpack(t, new(packer).pack(nil, long)); !bytes.Equal(got, long) {
			t.Errorf("%d bytes come back as %d others", len(long), len(got))
		}
	})
}

// A file of parts is what the parts are one after the other, whatever the number of
// processors, and programs that know gzip read it.
func TestCreatePacked(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	var want []byte
	parts := make([][]byte, 23)
	for i := range parts {
		parts[i] = voxels(rng, rng.IntN(5000))
		want = append(want, parts[i]...)
	}
	worker := func() func([]byte, int) ([]byte, error) {
		return func(to []byte, i int) ([]byte, error) { return append(to, parts[i]...), nil }
	}
	path := filepath.Join(t.TempDir(), "a.gz")
	var first []byte
	for _, n := range []int{1, 2, 7} {
		was := runtime.GOMAXPROCS(n)
		w, err := CreatePacked(path, len(parts), worker)
		runtime.GOMAXPROCS(was)
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(b)
		if w.Bytes != int64(len(b)) || w.SHA256 != hex.EncodeToString(sum[:]) {
			t.Errorf("%+v of a file of %d bytes, %x", w, len(b), sum)
		}
		if first == nil {
			first = b
		} else if !bytes.Equal(first, b) {
			t.Errorf("%d processors write another file", n)
		}
	}
	z, err := gzip.NewReader(bytes.NewReader(first))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(z); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes come back, %d were written, error %v", len(got), len(want), err)
	}
	if gzip, err := exec.LookPath("gzip"); err == nil { // the program, any version
		if out, err := exec.Command(gzip, "-t", path).CombinedOutput(); err != nil {
			t.Errorf("gzip -t: %v: %s", err, out)
		}
	}
}

// The first part that fails is the error, and nothing is left.
func TestCreatePackedFails(t *testing.T) {
	dir := t.TempDir()
	third, later := errors.New("third"), errors.New("later")
	_, err := CreatePacked(filepath.Join(dir, "a.gz"), 50, func() func([]byte, int) ([]byte, error) {
		return func(to []byte, i int) ([]byte, error) {
			switch {
			case i == 3:
				return nil, third
			case i > 3:
				return nil, later
			}
			return append(to, 1, 2), nil
		}
	})
	if !errors.Is(err, third) {
		t.Errorf("error %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if _, err := CreatePacked(filepath.Join(dir, "none", "a.gz"), 1, nil); err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("error %v for a folder that is not there", err)
	}
}

func BenchmarkPack(b *testing.B) {
	data := voxels(rand.New(rand.NewPCG(7, 8)), 1<<22)
	var p packer
	var out []byte
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		out = p.pack(out[:0], data)
	}
	b.ReportMetric(float64(len(out))/float64(len(data)), "of-size")
}
