package storage

import (
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// diskFS is the file system Pebble gets. It does two things Pebble does not.
//
// It ends the process itself when the log cannot be written, closed or
// rotated, a directory cannot be synced, or a marker cannot be moved. Pebble
// meets some of these with a panic that unwinds into a second unlock of its
// mutex: a fatal error of the Go runtime, without OnFatal, and once in some
// thousand times a process that hangs while it dies. Here the first such error
// runs OnFatal and exits with ExitFatal (S7). Until Open has succeeded errors are
// returned, not fatal.
//
// And it closes a window in how Pebble switches manifests. Pebble writes and
// syncs MANIFEST-n, creates the marker file that names it, and then syncs the
// directory once for both entries:
//
//	create MANIFEST-n ── sync file ── create marker ── sync directory
//	                                              └ power cut
//
// A disk that keeps the marker's entry and loses the manifest's leaves a store
// that names a missing manifest and does not open. diskFS syncs the directory
// before it creates a marker, so a marker never outlives what it names.
type diskFS struct {
	vfs.FS
	fatal func(error)
	armed *atomic.Bool
}

// check ends the process on an error, once the store is open.
func (d diskFS) check(what, name string, err error) error {
	if err != nil && d.armed.Load() {
		d.fatal(fmt.Errorf("%s %s: %w", what, name, err))
	}
	return err
}

func isLog(name string) bool { return strings.HasSuffix(name, ".log") }

// Create implements vfs.FS.
func (d diskFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	marker := strings.HasPrefix(d.PathBase(name), "marker.")
	if marker {
		if err := d.check("syncing", d.PathDir(name), syncDir(d.FS, d.PathDir(name))); err != nil {
			return nil, err
		}
	}
	f, err := d.FS.Create(name, category)
	if !marker && !isLog(name) {
		return f, err
	}
	if d.check("creating", name, err) != nil {
		return nil, err
	}
	return &diskFile{f, d, name}, nil
}

// ReuseForWrite implements vfs.FS; Pebble recycles log files with it.
func (d diskFS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.FS.ReuseForWrite(oldname, newname, category)
	if !isLog(newname) {
		return f, err
	}
	if d.check("recycling", newname, err) != nil {
		return nil, err
	}
	return &diskFile{f, d, newname}, nil
}

// OpenDir implements vfs.FS.
func (d diskFS) OpenDir(name string) (vfs.File, error) {
	f, err := d.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &diskFile{f, d, name}, nil
}

// Unwrap implements vfs.FS.
func (d diskFS) Unwrap() vfs.FS { return d.FS }

// diskFile is a log, a marker or a directory.
type diskFile struct {
	vfs.File
	d    diskFS
	name string
}

func (f *diskFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	return n, f.d.check("writing", f.name, err)
}

func (f *diskFile) Sync() error { return f.d.check("syncing", f.name, f.File.Sync()) }

func (f *diskFile) SyncData() error { return f.d.check("syncing", f.name, f.File.SyncData()) }

func (f *diskFile) SyncTo(length int64) (bool, error) {
	full, err := f.File.SyncTo(length)
	return full, f.d.check("syncing", f.name, err)
}

func (f *diskFile) Close() error { return f.d.check("closing", f.name, f.File.Close()) }
