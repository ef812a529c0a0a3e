package fault

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// FailMode says how long a fault lasts.
type FailMode string

// The modes of Failing.
const (
	Once    FailMode = "once"    // operation k fails, later ones work
	Sticky  FailMode = "sticky"  // every operation from k on fails
	NoSpace FailMode = "nospace" // every write from k on fails with ENOSPC
)

// ErrInjected is the error of an operation made to fail.
var ErrInjected = errors.New("injected fault")

// Failing counts file system operations and fails one or more.
type Failing struct {
	Mode FailMode
	At   int64 // operation number, from 1; 0 never fails
	n    atomic.Int64
	hits atomic.Int64
}

// Wrap returns fs with f's faults.
func (f *Failing) Wrap(fs vfs.FS) vfs.FS { return errorfs.Wrap(fs, f) }

// Ops returns how many operations were seen.
func (f *Failing) Ops() int64 { return f.n.Load() }

// Hits returns how many operations failed.
func (f *Failing) Hits() int64 { return f.hits.Load() }

// String describes the fault.
func (f *Failing) String() string { return fmt.Sprintf("(%s %d)", f.Mode, f.At) }

// MaybeError implements errorfs.Injector.
func (f *Failing) MaybeError(op errorfs.Op) error {
	n := f.n.Add(1)
	if f.At == 0 || n < f.At {
		return nil
	}
	switch {
	case f.Mode == Once && n == f.At, f.Mode == Sticky:
		f.hits.Add(1)
		return fmt.Errorf("%w: operation %d (%d on %s)", ErrInjected, n, op.Kind, op.Path)
	case f.Mode == NoSpace && op.Kind.ReadOrWrite() == errorfs.OpIsWrite && op.Kind != errorfs.OpRemove && op.Kind != errorfs.OpRemoveAll && op.Kind != errorfs.OpFileClose:
		f.hits.Add(1)
		return fmt.Errorf("operation %d on %s: %w", n, op.Path, syscall.ENOSPC)
	}
	return nil
}

// Cutter pulls the plug of an in-memory disk: before each chosen write
// operation it calls Cut with the state a power cut at that moment could leave.
type Cutter struct {
	Disk  *vfs.MemFS // made by vfs.NewCrashableMem
	Every int64      // every nth write operation
	Seed  uint64
	// Before is called right before the state is taken, Cut right after, with the
	// operation's number. Both run inside the file operation.
	Before func()
	Cut    func(op int64, state *vfs.MemFS)

	n       atomic.Int64
	mu      sync.Mutex
	stopped bool
}

// Wrap returns the disk with the cuts.
func (c *Cutter) Wrap() vfs.FS { return errorfs.Wrap(whole{c.Disk, c}, c) }

// whole keeps cuts out of operations for which MemFS takes a lock twice that a
// clone wants in between.
type whole struct {
	*vfs.MemFS
	c *Cutter
}

// Link implements vfs.FS.
func (w whole) Link(oldname, newname string) error {
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	return w.MemFS.Link(oldname, newname)
}

// Rename implements vfs.FS.
func (w whole) Rename(oldname, newname string) error {
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	return w.MemFS.Rename(oldname, newname)
}

// ReuseForWrite implements vfs.FS.
func (w whole) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	return w.MemFS.ReuseForWrite(oldname, newname, category)
}

// Ops returns how many write operations were seen.
func (c *Cutter) Ops() int64 { return c.n.Load() }

// Stop ends the cutting.
func (c *Cutter) Stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
}

// String describes the injector.
func (c *Cutter) String() string { return "(cutter)" }

// MaybeError implements errorfs.Injector; it never fails an operation.
func (c *Cutter) MaybeError(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
		return nil
	}
	n := c.n.Add(1)
	if n%max(1, c.Every) != 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return nil
	}
	rng := rand.New(rand.NewPCG(c.Seed, uint64(n)))
	percent := []int{0, 0, 10, 50, 90, 100}[rng.IntN(6)]
	if c.Before != nil {
		c.Before()
	}
	c.Cut(n, c.Disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng}))
	return nil
}

// Quota is a disk of limited size. It counts the bytes of files written
// through it and answers GetDiskUsage from them; a write past the end fails
// with ENOSPC.
type Quota struct {
	vfs.FS
	limit atomic.Int64
	base  func() int64 // bytes used now
}

// NewQuota limits fs to limit bytes; used reports what its files occupy.
func NewQuota(fs vfs.FS, limit int64, used func() int64) *Quota {
	q := &Quota{FS: fs, base: used}
	q.limit.Store(limit)
	return q
}

// SetLimit changes the size of the disk.
func (q *Quota) SetLimit(n int64) { q.limit.Store(n) }

// Free returns the bytes left.
func (q *Quota) Free() int64 { return max(0, q.limit.Load()-q.base()) }

// GetDiskUsage implements vfs.FS.
func (q *Quota) GetDiskUsage(string) (vfs.DiskUsage, error) {
	used, limit := uint64(q.base()), uint64(q.limit.Load())
	return vfs.DiskUsage{AvailBytes: uint64(q.Free()), TotalBytes: limit, UsedBytes: used}, nil
}

// Create implements vfs.FS.
func (q *Quota) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := q.FS.Create(name, category)
	if err != nil {
		return nil, err
	}
	return &quotaFile{f, q}, nil
}

// ReuseForWrite implements vfs.FS.
func (q *Quota) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := q.FS.ReuseForWrite(oldname, newname, category)
	if err != nil {
		return nil, err
	}
	return &quotaFile{f, q}, nil
}

// Unwrap implements vfs.FS.
func (q *Quota) Unwrap() vfs.FS { return q.FS }

type quotaFile struct {
	vfs.File
	q *Quota
}

func (f *quotaFile) Write(p []byte) (int, error) {
	if int64(len(p)) > f.q.Free() {
		return 0, syscall.ENOSPC
	}
	return f.File.Write(p)
}
