package storage

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Files of a store directory, beside Pebble's own under dbDir.
const (
	dbDir      = "db"      // Pebble's directory
	lockFile   = "LOCK"    // empty; the operating system's lock is on it
	holderFile = "HOLDER"  // who has the lock, JSON; informative
	ballast    = "BALLAST" // space given back when the disk is full
	viewsDir   = "views"   // private copies of read-only openers
)

// holder is the content of holderFile.
type holder struct {
	PID   int       `json:"pid"`
	Host  string    `json:"host"`
	Since time.Time `json:"since"`
}

// acquire takes the directory's lock, which the kernel drops when the process
// dies however it dies. Error: ErrLocked, naming the holder.
func acquire(fs vfs.FS, dir string, now time.Time) (io.Closer, error) {
	lock, err := fs.Lock(fs.PathJoin(dir, lockFile))
	if err != nil {
		h, ok := readHolder(fs, dir)
		if !ok {
			return nil, fmt.Errorf("%w: %s: %v", ErrLocked, dir, err)
		}
		return nil, fmt.Errorf("%w: %s is held by process %d on host %s since %s; stop it or open read-only",
			ErrLocked, dir, h.PID, h.Host, h.Since.Format(time.RFC3339))
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	b, err := json.Marshal(holder{os.Getpid(), host, now.UTC().Truncate(time.Second)})
	if err == nil {
		err = writeFile(fs, fs.PathJoin(dir, holderFile), b)
	}
	if err != nil {
		lock.Close()
		return nil, fmt.Errorf("writing %s: %w", holderFile, err)
	}
	return lock, nil
}

// makeDir creates dir and its missing parents, and syncs every directory that
// got a new entry: without that a power cut could take away the directory under
// data that was acknowledged.
func makeDir(fs vfs.FS, dir string) error {
	var changed []string
	for d := dir; ; {
		if _, err := fs.Stat(d); err == nil {
			break
		}
		parent := fs.PathDir(d)
		if parent == d {
			break
		}
		changed = append(changed, parent)
		d = parent
	}
	if err := fs.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, d := range changed {
		if err := syncDir(fs, d); err != nil {
			return err
		}
	}
	return nil
}

func readHolder(fs vfs.FS, dir string) (h holder, ok bool) {
	f, err := fs.Open(fs.PathJoin(dir, holderFile))
	if err != nil {
		return h, false
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 4096))
	return h, err == nil && json.Unmarshal(b, &h) == nil
}

func writeFile(fs vfs.FS, name string, b []byte) error {
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	if _, err = f.Write(b); err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}
