package cnn

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/train/metric"
	"github.com/google/renameio/v2"
)

// A checkpoint is one file, epoch-NNNN.ckpt, in a format of our own. GoMLX's checkpoint package was tried first: it
// writes two files straight under their final names, without a checksum and without syncing, and drops the error of
// a failed write (v0.28.8), so a full disk or a kill in the middle leaves a pair that loads as something else.
//
// The file: the 8 bytes of checkpointMagic; the length of the header (uint64, little endian); the header in JSON;
// the arrays it lists, one after the other; the SHA-256 of all that. It appears under its name only when complete.

const checkpointMagic = "hfcnn\x00\x00\x01"

// keptCheckpoints is how many of the last epochs stay in the folder: if the newest file is damaged, the one before
// it takes over.
const keptCheckpoints = 2

// state is what training needs, besides the variables, to go on after an epoch.
type state struct {
	Spec    Spec          `json:"spec"`
	Config  TrainConfig   `json:"config"`
	Epoch   int           `json:"epoch"` // the last one completed
	History []EpochRecord `json:"history"`

	// Variables are the store's lasting ones: weights, running averages, the optimiser's moments and counters, the
	// generator's state.
	Variables []savedVariable `json:"variables"`

	// Best are the weights and running averages of the best epoch.
	Best []savedVariable `json:"best"`
}

// savedVariable describes one array of a checkpoint.
type savedVariable struct {
	Path      string `json:"path"`
	DType     string `json:"dtype"`
	Dims      []int  `json:"dims"`
	Trainable bool   `json:"trainable"`
	Bytes     int    `json:"bytes"`

	data []byte
}

// snapshot copies the store's variables that keep wants.
func snapshot(store *model.Store, keep func(path string) bool) ([]savedVariable, error) {
	var saved []savedVariable
	for v := range store.IterVariables() {
		if !keep(v.Path()) {
			continue
		}
		value, err := v.Value()
		if err != nil {
			return nil, fmt.Errorf("reading variable %s: %w", v.Path(), err)
		}
		s := savedVariable{Path: v.Path(), DType: v.DType().String(), Dims: v.Shape().Dimensions, Trainable: v.Trainable}
		if err := value.ConstBytes(func(b []byte) { s.data = slices.Clone(b) }); err != nil {
			return nil, fmt.Errorf("reading variable %s: %w", v.Path(), err)
		}
		s.Bytes = len(s.data)
		saved = append(saved, s)
	}
	return saved, nil
}

// lasting tells whether a variable means anything between two epochs. Gradients that wait for a step do not, nor do the
// trainer's own averages of the loss, which go under another random name each time.
func lasting(path string) bool {
	return !strings.HasPrefix(path, accumulatedScope+"/") && !strings.HasPrefix(path, "/"+metric.Scope+"/")
}

// restore fills an empty store.
func restore(store *model.Store, saved []savedVariable) error {
	for _, s := range saved {
		dt, err := dtypes.DTypeString(s.DType)
		if err != nil {
			return fmt.Errorf("variable %s: %w", s.Path, err)
		}
		t := tensors.FromShape(shapes.Make(dt, s.Dims...))
		var n int
		if err := t.MutableBytes(func(b []byte) { n = len(b); copy(b, s.data) }); err != nil {
			return fmt.Errorf("variable %s: %w", s.Path, err)
		}
		if n != len(s.data) {
			return fmt.Errorf("variable %s of shape %s has %d bytes, not %d", s.Path, t.Shape(), len(s.data), n)
		}
		v, err := store.CreateVariable(s.Path, t)
		if err != nil {
			return err
		}
		v.SetTrainable(s.Trainable)
	}
	return nil
}

// arrays turns saved weights into a model's arrays.
func arrays(saved []savedVariable) []Array {
	var out []Array
	for _, s := range saved {
		a := Array{Name: strings.TrimPrefix(s.Path, "/"), Dims: s.Dims, Values: make([]float32, len(s.data)/4)}
		if _, err := binary.Decode(s.data, binary.NativeEndian, a.Values); err != nil {
			panic(fmt.Sprintf("cnn: decoding %s: %v", s.Path, err)) // the length fits by construction
		}
		out = append(out, a)
	}
	return out
}

// setWeights replaces the network's weights in the store by the arrays, which must be all of them.
func (n *network) setWeights(store *model.Store, weights []Array) error {
	given := map[string]Array{}
	for _, a := range weights {
		given["/"+a.Name] = a
	}
	for v := range store.IterVariables() {
		if !n.isWeight(v.Path()) {
			continue
		}
		a, ok := given[v.Path()]
		if !ok || !slices.Equal(a.Dims, v.Shape().Dimensions) || len(a.Values) != v.Shape().Size() {
			return &DataError{What: "weights " + strings.TrimPrefix(v.Path(), "/"),
				Problem: fmt.Sprintf("should have shape %v, but are %v with %d values", v.Shape().Dimensions, a.Dims, len(a.Values)),
				Next:    "use a model that was trained with this network"}
		}
		if err := v.SetValue(tensors.FromFlatDataAndDimensions(a.Values, a.Dims...)); err != nil {
			return err
		}
	}
	return nil
}

func checkpointFile(dir string, epoch int) string {
	return filepath.Join(dir, fmt.Sprintf("epoch-%04d.ckpt", epoch))
}

// save writes the checkpoint of an epoch and then removes all but the last few.
func (s *state) save(dir string) (err error) {
	file := checkpointFile(dir, s.Epoch)
	defer func() {
		if err != nil {
			err = &CheckpointError{File: file, Problem: "could not be written",
				Next: "make room or check the permissions, then run again: training goes on from the epoch before", Err: err}
		}
	}()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	pending, err := renameio.NewPendingFile(file, renameio.WithTempDir(dir), renameio.WithPermissions(0o644))
	if err != nil {
		return err
	}
	defer pending.Cleanup() //nolint:errcheck // after a success there is nothing left to clean up
	if err := s.write(pending); err != nil {
		return err
	}
	if err := pending.CloseAtomicallyReplace(); err != nil {
		return err
	}
	// The rename itself must survive a power cut before older files go.
	if err := syncDir(dir); err != nil {
		return err
	}
	files, err := checkpointFiles(dir)
	if err != nil {
		return err
	}
	for _, old := range files[min(keptCheckpoints, len(files)):] {
		if err := os.Remove(old); err != nil {
			return err
		}
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func (s *state) write(w io.Writer) error {
	sum := sha256.New()
	buffered := bufio.NewWriterSize(io.MultiWriter(w, sum), 1<<20)
	header, err := json.Marshal(s)
	if err != nil {
		return err
	}
	buffered.WriteString(checkpointMagic) //nolint:errcheck // a buffered writer keeps its first error for Flush
	binary.Write(buffered, binary.LittleEndian, uint64(len(header)))
	buffered.Write(header)
	for _, v := range slices.Concat(s.Variables, s.Best) {
		buffered.Write(v.data)
	}
	if err := buffered.Flush(); err != nil {
		return err
	}
	_, err = w.Write(sum.Sum(nil))
	return err
}

// checkpointFiles lists the checkpoints in a folder, newest first. A folder that does not exist has none.
func checkpointFiles(dir string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "epoch-*.ckpt"))
	if err != nil {
		return nil, err
	}
	epoch := func(file string) (n int) {
		fmt.Sscanf(filepath.Base(file), "epoch-%d.ckpt", &n) //nolint:errcheck // a stray name counts as epoch 0
		return n
	}
	sort.SliceStable(files, func(i, j int) bool { return epoch(files[i]) > epoch(files[j]) })
	return files, nil
}

// newestCheckpoint reads the newest checkpoint of a folder that is whole. Damaged ones that it passes over are
// reported to warn. Without any whole one it returns nil.
func newestCheckpoint(dir string, warn func(error)) (*state, error) {
	files, err := checkpointFiles(dir)
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		s, err := readCheckpoint(file)
		if err == nil {
			return s, nil
		}
		var damaged *CheckpointError
		if !errors.As(err, &damaged) {
			return nil, err
		}
		warn(err)
	}
	return nil, nil
}

// readCheckpoint reads one file. Errors: *CheckpointError for a file that is cut or changed.
func readCheckpoint(file string) (*state, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	s, problem, err := decodeCheckpoint(f, info.Size())
	if problem != "" {
		return nil, &CheckpointError{File: file, Problem: problem, Next: "it is passed over and the epoch before is used", Err: err}
	}
	return s, err
}

// decodeCheckpoint reads a checkpoint of that many bytes. A problem is what is wrong with its content; an error
// without one is of the reader.
func decodeCheckpoint(content io.ReaderAt, size int64) (s *state, problem string, err error) {
	const cut = "is cut short"
	start := make([]byte, len(checkpointMagic)+8)
	body := size - int64(len(start)) - sha256.Size
	if body < 0 {
		return nil, cut, nil
	}
	sum := sha256.New()
	r := bufio.NewReaderSize(io.TeeReader(io.NewSectionReader(content, 0, size-sha256.Size), sum), 1<<20)
	if _, err := io.ReadFull(r, start); err != nil {
		return nil, "", err
	}
	if string(start[:len(checkpointMagic)]) != checkpointMagic {
		return nil, "is not a checkpoint of this program's format", nil
	}
	length := binary.LittleEndian.Uint64(start[len(checkpointMagic):])
	if length > uint64(body) {
		return nil, cut, nil
	}
	header := make([]byte, length)
	if _, err := io.ReadFull(r, header); err != nil {
		return nil, "", err
	}
	s = new(state)
	if err := json.Unmarshal(header, s); err != nil {
		return nil, "has a header that cannot be read", err
	}
	left := body - int64(length)
	for _, list := range [][]savedVariable{s.Variables, s.Best} {
		for i := range list {
			if list[i].Bytes < 0 || int64(list[i].Bytes) > left {
				return nil, cut, nil
			}
			left -= int64(list[i].Bytes)
			list[i].data = make([]byte, list[i].Bytes)
			if _, err := io.ReadFull(r, list[i].data); err != nil {
				return nil, "", err
			}
		}
	}
	if left != 0 {
		return nil, "is longer than its header says", nil
	}
	want := make([]byte, sha256.Size)
	if _, err := content.ReadAt(want, size-sha256.Size); err != nil && !errors.Is(err, io.EOF) {
		return nil, "", err
	}
	if !slices.Equal(sum.Sum(nil), want) {
		return nil, "does not match its checksum", nil
	}
	return s, "", nil
}

// removeCheckpoints empties a folder of checkpoints, whole ones and those that a killed training was writing.
func removeCheckpoints(dir string, whole bool) error {
	patterns := []string{".epoch-*.ckpt*"} // renameio's temporary names
	if whole {
		patterns = append(patterns, "epoch-*.ckpt")
	}
	for _, p := range patterns {
		files, err := filepath.Glob(filepath.Join(dir, p))
		if err != nil {
			return err
		}
		for _, f := range files {
			if err := os.Remove(f); err != nil {
				return &CheckpointError{File: f, Problem: "is in the way of training", Next: "remove it", Err: err}
			}
		}
	}
	return nil
}

// Load reads the best weights from the newest checkpoint of a training's folder.
//
// A newest checkpoint that is damaged is not passed over as in training, which would then make that epoch again: the
// one before may hold other weights, and nothing would tell.
//
// Errors: *CheckpointError where there is none, or the newest is damaged.
func Load(dir string) (*Model, error) {
	files, err := checkpointFiles(dir)
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, &CheckpointError{File: dir, Problem: "holds no checkpoint", Next: "train the network first"}
	}
	s, err := readCheckpoint(files[0])
	var damaged *CheckpointError
	if errors.As(err, &damaged) {
		damaged.Next = "run its experiment again, which goes on from the epoch before, or restore the file from a copy"
	}
	if err != nil {
		return nil, err
	}
	return s.model(), nil
}

func (s *state) model() *Model {
	return &Model{Spec: s.Spec, Weights: arrays(s.Best), Intervals: s.Config.intervals()}
}
