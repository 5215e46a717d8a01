package experiments

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"hounsfield/experiments/slurm"
)

// shardsDir is the folder below a prepared one with what belongs to its shards: their locks and
// own accounts, the job that they are tasks of, its script and logs. No patient's folder
// begins with a dot.
const shardsDir = ".shards"

// shardFile is what shard i, from 0, says of itself; people and Slurm count shards from 1.
func shardFile(i int) string { return fmt.Sprintf("%03d.json", i+1) }

// shard prepares a part of the patients and writes no tables.
func (p *preparation) shard(ctx context.Context, w io.Writer) (err error) {
	if p.Shard < 0 || p.Shard >= p.Shards {
		return fmt.Errorf("--shard %d/%d: the first number must be 1 to %d", p.Shard+1, p.Shards, p.Shards)
	}
	lock, err := lockShard(p.Out, p.Shard, p.Shards)
	if err != nil {
		return err
	}
	defer lock.Close()
	task, file := slurm.NewTask(), filepath.Join(p.Out, shardsDir, shardFile(p.Shard))
	if err := task.Write(file); err != nil {
		return err
	}
	defer func() {
		task.End(ctx, err)
		err = errors.Join(err, task.Write(file))
	}()
	done, err := p.run(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "shard %d of %d: %d of its %d patients prepared%s; the tables are written by the same command without --shard\n",
		p.Shard+1, p.Shards, done.Prepared, done.Patients, p.kept(done))
	return nil
}

// shardLock is what a shard holds: its own lock, and a share of the folder's.
type shardLock struct{ folder, own *os.File }

func (l shardLock) Close() error { return errors.Join(l.own.Close(), l.folder.Close()) }

// lockShard lets shards of one division work side by side, each once, and nobody who writes the
// folder's tables beside them: they share the folder's lock, which the others want alone.
// Shards of another division would meet in the same patients. Errors: *BusyError.
func lockShard(out string, i, n int) (io.Closer, error) {
	folder, err := flock(filepath.Join(out, lockFile), unix.LOCK_SH, lockPatience)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(out, shardsDir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot make the shards' folder: %w; name a place that can be written to with --out", err), folder.Close())
	}
	division := fmt.Sprintf("-of-%03d.lock", n)
	own, err := flock(filepath.Join(dir, fmt.Sprintf("%03d", i+1)+division), unix.LOCK_EX, lockPatience)
	if err != nil {
		return nil, errors.Join(err, folder.Close())
	}
	lock := shardLock{folder: folder, own: own}
	// Own lock first, then a look at the others: of two that begin at once at least one sees the other.
	others, err := filepath.Glob(filepath.Join(globQuoted(dir), "*.lock"))
	for _, file := range others {
		if name := filepath.Base(file); err != nil || name == lockFile || strings.HasSuffix(name, division) {
			continue
		}
		var other *os.File
		if other, err = flock(file, unix.LOCK_EX, 0); err == nil {
			err = other.Close()
		}
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

// lockWhole takes the lock of the prepared folder for a run over all patients. Errors:
// *BusyError while shards or another run work there, also where shards still wait in Slurm.
func (p *preparation) lockWhole(ctx context.Context) (io.Closer, error) {
	r, err := readShards(p.Out)
	if err != nil {
		return nil, err
	}
	if j := r.Job; j != nil && !j.Gathered {
		alive, err := slurm.Alive(ctx, j.ID)
		if err != nil {
			return nil, err
		}
		if alive {
			return nil, fmt.Errorf("shards of %s are in Slurm's job %s: gather them with `%s`, or end them with `scancel %s`", p.Out, j.ID, r.command(), j.ID)
		}
	}
	lock, err := LockFolder(p.Out)
	if err != nil {
		return nil, err
	}
	if err := removeShardLocks(p.Out); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

// removeShardLocks takes away locks of shards, which nobody holds while the folder's lock is
// held alone.
func removeShardLocks(out string) error {
	locks, err := filepath.Glob(filepath.Join(globQuoted(filepath.Join(out, shardsDir)), "[0-9]*-of-*.lock"))
	for _, file := range locks {
		if gone := os.Remove(file); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}
	return err
}

// globQuoted is a path as filepath.Glob reads it for itself.
func globQuoted(path string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}
