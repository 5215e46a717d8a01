package datasets

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"

	"hounsfield/datasets/volume"
)

// cubeFormat names the layout of a stored cube AND the way cubes are cut: raise the
// number when either changes, and every stored cube is cut anew.
const cubeFormat = "hounsfield cube 1\n"

// CubeKey names a cube by what it is made from.
type CubeKey string

// NewCubeKey is the key of the cube that spec cuts from a source. source identifies
// the bytes of scan and contour (hashes of the files and the name of the region; for
// the phantom its specification and the subject): equal sources must mean equal cubes.
func NewCubeKey(source string, spec volume.CubeSpec) CubeKey {
	h := sha256.New()
	fmt.Fprintf(h, "%s%d voxels of %x mm, margin %d\n%s", cubeFormat, spec.Size, math.Float64bits(spec.SpacingMM), spec.Margin, source)
	return CubeKey(hex.EncodeToString(h.Sum(nil)))
}

// CubeStore keeps cubes in a folder, one file each, named by content: a cube that was
// cut once is not cut again. Several processes may use one folder.
type CubeStore struct {
	dir string
}

// OpenCubeStore opens the folder, making it if need be.
func OpenCubeStore(dir string) (*CubeStore, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("cube store: %w", err)
	}
	return &CubeStore{dir: dir}, nil
}

// CorruptCubeError is a stored cube that cannot be believed.
type CorruptCubeError struct {
	File, Problem string
}

func (e *CorruptCubeError) Error() string {
	return fmt.Sprintf("stored cube %s: %s; remove the file, it is made anew from the scan", e.File, e.Problem)
}

// Get reads a cube; found is false when the store does not have it. A file that is
// cut, altered or of another layout is a *CorruptCubeError, never a cube.
func (s *CubeStore) Get(key CubeKey) (cube *volume.Cube, found bool, err error) {
	data, err := os.ReadFile(s.file(key))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("cube store: %w", err)
	}
	cube, problem := decodeCube(data)
	if problem != "" {
		return nil, false, &CorruptCubeError{File: s.file(key), Problem: problem}
	}
	return cube, true, nil
}

// Put stores a cube. The file appears whole or not at all; one that is there already
// is replaced.
func (s *CubeStore) Put(key CubeKey, cube *volume.Cube) error {
	if want := cube.Edge * cube.Edge * cube.Edge; len(cube.HU) != want {
		panic(fmt.Sprintf("datasets: cube of edge %d holds %d values, not %d", cube.Edge, len(cube.HU), want))
	}
	if err := os.MkdirAll(filepath.Dir(s.file(key)), 0o755); err != nil {
		return fmt.Errorf("cube store: %w", err)
	}
	file := s.file(key)
	if err := renameio.WriteFile(file, encodeCube(cube), 0o644, renameio.WithTempDir(filepath.Dir(file))); err != nil {
		return fmt.Errorf("cube store: %w", err)
	}
	return nil
}

// Cube gives the stored cube, or cuts and stores it: cut is called when the store
// does not have it or holds a corrupt file, which is replaced. hit says whether the
// store had it.
func (s *CubeStore) Cube(key CubeKey, cut func() (*volume.Cube, error)) (cube *volume.Cube, hit bool, err error) {
	cube, found, err := s.Get(key)
	if corrupt := (*CorruptCubeError)(nil); err != nil && !errors.As(err, &corrupt) {
		return nil, false, err
	}
	if found {
		return cube, true, nil
	}
	if cube, err = cut(); err != nil {
		return nil, false, err
	}
	return cube, false, s.Put(key, cube)
}

// file spreads cubes over folders by the key's first two digits.
func (s *CubeStore) file(key CubeKey) string {
	return filepath.Join(s.dir, string(key[:2]), string(key)+".cube")
}

// A stored cube: cubeFormat, the header, Edge^3 HU as float32 (z, y, x), and the
// CRC-32C of all of that; numbers are little-endian.
type cubeHeader struct {
	Edge, Margin            int64
	CentreOfMass            [3]float64
	CentreIndex             [3]int64
	CentreMM                [3]float64
	Padded                  int64
	MaskVoxels, MaskOutside int64
	VolumeMM3               float64
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func encodeCube(c *volume.Cube) []byte {
	h := cubeHeader{
		Edge: int64(c.Edge), Margin: int64(c.Margin), CentreOfMass: c.CentreOfMass, CentreMM: c.CentreMM,
		Padded: int64(c.Padded), MaskVoxels: int64(c.MaskVoxels), MaskOutside: int64(c.MaskOutside), VolumeMM3: c.VolumeMM3,
	}
	for a := range 3 {
		h.CentreIndex[a] = int64(c.CentreIndex[a])
	}
	b := make([]byte, 0, len(cubeFormat)+binary.Size(h)+4*len(c.HU)+4)
	b = append(b, cubeFormat...)
	b, err := binary.Append(b, binary.LittleEndian, h)
	if err != nil {
		panic(err) // cubeHeader has a fixed size
	}
	for _, v := range c.HU {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// decodeCube says in problem what is wrong with the bytes; it is empty for a good cube.
func decodeCube(b []byte) (c *volume.Cube, problem string) {
	var h cubeHeader
	head := len(cubeFormat) + binary.Size(h)
	if len(b) < head+4 {
		return nil, fmt.Sprintf("it is cut to %d bytes", len(b))
	}
	if string(b[:len(cubeFormat)]) != cubeFormat {
		return nil, "it does not begin as a cube of this version does"
	}
	end := len(b) - 4
	if binary.LittleEndian.Uint32(b[end:]) != crc32.Checksum(b[:end], castagnoli) {
		return nil, "its checksum does not match"
	}
	if _, err := binary.Decode(b[len(cubeFormat):], binary.LittleEndian, &h); err != nil {
		return nil, err.Error()
	}
	const most = 1 << 12 // keeps the product below from overflowing
	if h.Edge < 1 || h.Edge > most || h.Margin < 0 || 2*h.Margin >= h.Edge || int64(end-head) != 4*h.Edge*h.Edge*h.Edge {
		return nil, fmt.Sprintf("its %d bytes are not those of a cube of edge %d, margin %d", len(b), h.Edge, h.Margin)
	}
	c = &volume.Cube{
		Edge: int(h.Edge), Margin: int(h.Margin), HU: make([]float32, h.Edge*h.Edge*h.Edge), CentreOfMass: h.CentreOfMass, CentreMM: h.CentreMM,
		Padded: int(h.Padded), MaskVoxels: int(h.MaskVoxels), MaskOutside: int(h.MaskOutside), VolumeMM3: h.VolumeMM3,
	}
	for a := range 3 {
		c.CentreIndex[a] = int(h.CentreIndex[a])
	}
	for i := range c.HU {
		c.HU[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[head+4*i:]))
	}
	return c, ""
}
