package storage

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// linkTries bounds how often a read-only open starts over because the writer
// installed a flush or compaction while it looked.
const linkTries = 50

// linkView makes a private copy of a live Pebble directory and returns its
// path: tables are hard-linked, the small files that the writer still appends
// to are copied. The order makes the copy a state the directory really had:
//
//	copy MANIFEST ── link tables ── copy logs ── is MANIFEST unchanged?
//	      t0                                            t1
//
// Pebble deletes or recycles a table or a log only after it has appended to the
// manifest, so with the manifest equal at t0 and t1 every file it names was
// whole in between. Log bytes appended after their copy are commits the reader
// does not see; a torn last record reads as the end of the log.
func (s *Store) linkView() (string, error) {
	src := s.fs.PathJoin(s.dir, dbDir)
	if _, err := s.fs.Stat(src); err != nil {
		return "", fmt.Errorf("%w: %s holds no eider store", ErrNotFound, s.dir)
	}
	var tag [8]byte
	if _, err := rand.Read(tag[:]); err != nil {
		return "", err
	}
	s.temp = s.fs.PathJoin(s.dir, viewsDir, fmt.Sprintf("%d-%s", os.Getpid(), hex.EncodeToString(tag[:])))
	if err := s.fs.MkdirAll(s.temp, 0o755); err != nil {
		// A read-only medium has no writer either: read it in place.
		s.temp = ""
		s.opts.Logger.Debug("storage: reading in place", "error", err)
		return src, nil
	}
	for range linkTries {
		err := s.linkOnce(src)
		if err == nil {
			return s.temp, nil
		}
		if !errors.Is(err, errMoved) && !errors.Is(err, os.ErrNotExist) {
			return "", fmt.Errorf("copying %s: %w", src, err)
		}
		if err := s.fs.RemoveAll(s.temp); err != nil {
			return "", err
		}
		if err := s.fs.MkdirAll(s.temp, 0o755); err != nil {
			return "", err
		}
	}
	return "", fmt.Errorf("copying %s: the writer is too busy, try again", src)
}

var errMoved = errors.New("manifest moved")

func (s *Store) linkOnce(src string) error {
	names, err := s.fs.List(src)
	if err != nil {
		return err
	}
	slices.Sort(names)
	path := func(name string) (string, string) { return s.fs.PathJoin(src, name), s.fs.PathJoin(s.temp, name) }
	// Before the log that names them: a snapshot saved since is in src's.
	if err := s.linkSnapshots(s.temp); err != nil {
		return err
	}
	sizes := map[string]int64{}
	for _, pass := range []func(string) (take, link bool){
		func(n string) (bool, bool) {
			return strings.HasPrefix(n, "MANIFEST-") || strings.HasPrefix(n, "marker.") || strings.HasPrefix(n, "OPTIONS-"), false
		},
		func(n string) (bool, bool) {
			return strings.HasSuffix(n, ".sst") || strings.HasSuffix(n, ".blob"), true
		},
		func(n string) (bool, bool) { return strings.HasSuffix(n, ".log"), false },
	} {
		if names, err = s.fs.List(src); err != nil {
			return err
		}
		slices.Sort(names)
		for _, n := range names {
			take, link := pass(n)
			if !take {
				continue
			}
			from, to := path(n)
			if link {
				err = vfs.LinkOrCopy(s.fs, from, to)
			} else {
				var size int64
				size, err = copyFile(s.fs, from, to)
				if strings.HasPrefix(n, "MANIFEST-") || strings.HasPrefix(n, "marker.") {
					sizes[n] = size
				}
			}
			if err != nil {
				return err
			}
		}
	}
	return s.unmoved(src, sizes)
}

// unmoved checks that the manifests and markers are those that were copied.
func (s *Store) unmoved(src string, sizes map[string]int64) error {
	names, err := s.fs.List(src)
	if err != nil {
		return err
	}
	seen := 0
	for _, n := range names {
		if !strings.HasPrefix(n, "MANIFEST-") && !strings.HasPrefix(n, "marker.") {
			continue
		}
		info, err := s.fs.Stat(s.fs.PathJoin(src, n))
		if err != nil {
			return err
		}
		if size, ok := sizes[n]; !ok || size != info.Size() {
			return errMoved
		}
		seen++
	}
	if seen != len(sizes) {
		return errMoved
	}
	return nil
}

func copyFile(fs vfs.FS, from, to string) (size int64, err error) {
	src, err := fs.Open(from)
	if err != nil {
		return 0, err
	}
	defer src.Close()
	dst, err := fs.Create(to, vfs.WriteCategoryUnspecified)
	if err != nil {
		return 0, err
	}
	size, err = io.Copy(dst, src)
	return size, errors.Join(err, dst.Close())
}

// removeStaleViews deletes private copies whose process has ended.
func (s *Store) removeStaleViews() {
	if s.fs != vfs.Default {
		return
	}
	dir := s.fs.PathJoin(s.dir, viewsDir)
	names, err := s.fs.List(dir)
	if err != nil {
		return
	}
	for _, n := range names {
		pid, _, _ := strings.Cut(n, "-")
		id, err := strconv.Atoi(pid)
		if err != nil || id <= 0 || alive(id) {
			continue
		}
		if err := s.fs.RemoveAll(filepath.Join(dir, n)); err != nil {
			s.opts.Logger.Debug("storage: removing a stale view", "view", n, "error", err)
		}
	}
}
