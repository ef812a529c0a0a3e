package storage

import (
	"log/slog"
	"os"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Durability says when a commit is acknowledged.
type Durability uint8

// The durabilities.
const (
	// SyncGroup acknowledges after fsync; waiting writers share one. The default.
	SyncGroup Durability = iota
	// Async acknowledges after the log is handed to the operating system, at the
	// latest a second before it is synced: a process kill may lose the last
	// writes, a power loss the last second. Order is kept: what survives is a
	// prefix.
	Async
)

// Terms appends the postings of a document body to dst and returns it. It must
// be a pure function of body for one schema: storage calls it on the old body
// to find the postings to remove. The keys may alias body.
type Terms func(dst []Term, body []byte) []Term

// Term is one posting: the document has Key in Index.
type Term struct {
	Index uint32
	Key   []byte // 1..format.MaxTerm bytes; see format.AppendKey for ordered ones
}

// Options configures Open. The zero value, and nil, are safe defaults.
type Options struct {
	FS       vfs.FS // nil means the operating system's
	InMemory bool   // keep everything in memory; dir is ignored
	ReadOnly bool   // see Open

	Durability Durability

	// CacheBytes is what the block cache has when two write buffers are in use,
	// default 64 MiB; until then it may have their memory as well.
	CacheBytes  int64
	BitmapBytes int64 // cache of decoded posting bitmaps, default 32 MiB
	MemoryTable int   // bytes of the write buffer, default 64 MiB

	// MaxBytes bounds the directory's size; writes past it get ErrFull. 0 means no
	// bound.
	MaxBytes int64
	// MinFree is the free disk space in bytes below which writes get ErrFull,
	// default 64 MiB; negative turns the check off. Deletes go on down to a
	// quarter of it.
	MinFree int64

	// ChangeRetention is how many LSNs the changelog keeps, default 1,000,000.
	// Older ones get ErrTrimmed.
	ChangeRetention uint64

	Logger *slog.Logger // nil discards

	// OnFatal runs, for at most five seconds, before the process exits with code
	// ExitFatal because the log cannot be written (S7). It cannot prevent the exit.
	OnFatal func(error)

	// Now is the clock of TTLs and changelog times, default time.Now.
	Now func() time.Time

	// Compile returns the Terms of a collection's schema. Called by Open for every
	// collection, and when one is created or its schema set. nil means no
	// postings.
	Compile func(c Collection) (Terms, error)

	// Apply is told the changes of each committed call, in LSN order, after they
	// are durable and before they are visible or acknowledged. It runs in the
	// committer: blocking it is back-pressure on all writers. It must not call
	// Commit or a schema method. Slices in changes are read-only and valid during
	// the call.
	Apply func(lsn uint64, changes []Change)

	// Recycle is asked, in the committer and before ords are reused, up to which
	// LSN the ords that died may be: oldest, the LSN of the oldest view alive, or
	// less. nil means oldest. Indexes release their own memory of dead ords here.
	Recycle func(oldest uint64) uint64

	// Published is told the LSN of each new view, after it can be acquired.
	Published func(lsn uint64)
}

// ExitFatal is the exit code of a process that could not write its log.
const ExitFatal = 70

func (o *Options) defaults() Options {
	var d Options
	if o != nil {
		d = *o
	}
	if d.InMemory {
		d.FS, d.MinFree, d.Durability = vfs.NewMem(), -1, Async
	}
	if d.FS == nil {
		d.FS = vfs.Default
	}
	if d.CacheBytes <= 0 {
		d.CacheBytes = 64 << 20
	}
	if d.BitmapBytes <= 0 {
		d.BitmapBytes = 32 << 20
	}
	if d.MemoryTable <= 0 {
		d.MemoryTable = 64 << 20
	}
	if d.MinFree == 0 {
		d.MinFree = 64 << 20
	}
	if d.ChangeRetention == 0 {
		d.ChangeRetention = 1_000_000
	}
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Compile == nil {
		d.Compile = func(Collection) (Terms, error) { return nil, nil }
	}
	return d
}

// cacheLimit is the size to give to Pebble's cache. Pebble takes the write buffers
// out of it, the one that fills and the one that is flushed; in a cache of
// CacheBytes alone, they would leave nothing to blocks.
func (o *Options) cacheLimit() int64 { return o.CacheBytes + 2*int64(o.MemoryTable) }

// exit ends the process; tests of the fatal path run in child processes.
var exit = os.Exit
