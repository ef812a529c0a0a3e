package storage

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eiderdb/eider/storage/format"
)

// FormatNumber is the newest directory format this binary writes and reads. It
// only ever grows; FORMAT.md has the history. A directory is made in the first
// format and raised to a later one by the first write that needs it.
const FormatNumber = formatEvents

const (
	formatFirst  = 1
	formatModels = 2 // the model registry
	formatEvents = 3 // events
)

// Store is an open directory. All methods may be called from many goroutines.
type Store struct {
	opts  Options
	fs    vfs.FS
	dir   string
	db    *pebble.DB
	log   *logger
	meta  format.Meta // but for Format
	lock  io.Closer
	armed atomic.Bool // a log error ends the process
	temp  string      // private view of a read-only opener, removed on Close

	format atomic.Uint32 // meta.Format as raised since

	view    atomic.Pointer[View]
	lsn     atomic.Uint64 // of view, kept past Close
	viewsMu sync.Mutex
	views   []*View       // published and not released, oldest first
	idle    chan struct{} // closed and replaced when a view is released

	mu      sync.Mutex
	waiting []*call
	wake    chan struct{} // capacity 1
	closing bool
	stopped chan struct{} // closed when the committer has ended
	changed chan struct{} // closed and replaced when a view is published
	failed  atomic.Pointer[error]

	state   *state // the committer's; nobody else touches it
	removed int    // postings removed since the last vacuum; the committer's
	cache   *bitmapCache
	quota   *quota

	ctx           context.Context // ends when Close begins
	cancel        context.CancelFunc
	vacuuming     atomic.Bool
	snapshotMu    sync.Mutex   // one at a time of those that make or delete snapshot files
	snapshotBytes atomic.Int64 // of the snapshot files
	jobSize       atomic.Int64 // of the files of jobs

	retainMu  sync.Mutex // one RetainEvents at a time
	modelsMu  sync.Mutex // one edit of the model registry at a time
	uploadsMu sync.Mutex
	uploads   []uint64 // ids of the Uploads not closed

	closeOnce sync.Once
	closeErr  error
}

// Open opens or creates the store in dir. It takes the directory's lock, or
// with Options.ReadOnly looks at a private copy made of hard links, which stays
// at the LSN it had when opened and coexists with a writer in another process.
// Open returns after Pebble replayed its log and every collection's live bitmap
// is loaded: O(collections + live/65536).
//
// Errors: ErrLocked; ErrVersion for a directory of a newer format; ErrCorrupt
// with the file or key; ErrNotFound for a read-only open of nothing. Damage to
// derived data is not an error (S6).
func Open(dir string, options *Options) (*Store, error) {
	opts := options.defaults()
	if opts.InMemory {
		dir = "memory"
	}
	s := &Store{
		opts: opts, fs: opts.FS, dir: dir,
		log:     &logger{log: opts.Logger, onFatal: opts.OnFatal},
		idle:    make(chan struct{}),
		wake:    make(chan struct{}, 1),
		stopped: make(chan struct{}),
		changed: make(chan struct{}),
		cache:   newBitmapCache(opts.BitmapBytes),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if err := s.open(); err != nil {
		s.abandon()
		return nil, err
	}
	return s, nil
}

func (s *Store) open() error {
	path := s.fs.PathJoin(s.dir, dbDir)
	if s.opts.ReadOnly {
		copied, err := s.linkView()
		if err != nil {
			return err
		}
		path = copied
	} else {
		if err := makeDir(s.fs, path); err != nil {
			return fmt.Errorf("creating %s: %w", path, err)
		}
		lock, err := acquire(s.fs, s.dir, s.opts.Now())
		if err != nil {
			return err
		}
		s.lock = lock
		s.removeStaleViews()
	}
	db, err := openPebble(path, s.pebbleOptions())
	if err != nil {
		return openError(path, err)
	}
	s.db = db
	if err := s.loadMeta(); err != nil {
		return err
	}
	if err := s.load(); err != nil {
		return err
	}
	if err := s.finishRestore(); err != nil {
		return err
	}
	if !s.opts.ReadOnly {
		s.sweepSnapshots()
	}
	s.quota = newQuota(s)
	s.armed.Store(!s.opts.ReadOnly)
	s.publish()
	if s.opts.ReadOnly {
		close(s.stopped)
		return nil
	}
	go s.run()
	return nil
}

// openPebble opens Pebble without waiting for compactions, turning the panic of
// a failed marker move into an error. The lock inside Pebble's directory then
// stays with the process.
func openPebble(path string, o *pebble.Options) (db *pebble.DB, err error) {
	compactions := newScheduler()
	o.Experimental.CompactionScheduler = compactions
	defer func() {
		if p := recover(); p != nil {
			cause, ok := p.(error)
			if !ok {
				cause = fmt.Errorf("%v", p)
			}
			db, err = nil, fmt.Errorf("opening %s: %w", path, cause)
		}
	}()
	if db, err = pebble.Open(path, o); err == nil {
		compactions.release()
	}
	return db, err
}

// openError says what kind of failure Pebble met. What is neither a newer
// format, nor a lock, nor an answer of the operating system is damage: a missing
// or cut file, bytes that do not decode. A missing file is damage too, because
// Pebble only opens what its manifest names.
func openError(path string, err error) error {
	var errno syscall.Errno
	system := errors.As(err, &errno) && !errors.Is(err, os.ErrNotExist)
	switch {
	case strings.Contains(err.Error(), "unknown format major version"):
		return fmt.Errorf("%w: %s: %v; upgrade eider", ErrVersion, path, err)
	case strings.Contains(err.Error(), "lock held by current process"):
		return fmt.Errorf("%w: %s: %v", ErrLocked, path, err)
	case pebble.IsCorruptionError(err), !system:
		return fmt.Errorf("%w: %s: %w; restore a backup", ErrCorrupt, path, err)
	default:
		return fmt.Errorf("opening %s: %w", path, err)
	}
}

// abandon releases what a failed Open had taken.
func (s *Store) abandon() {
	s.cancel()
	if s.state != nil {
		if v := s.view.Swap(nil); v != nil && v.snap != nil {
			v.snap.Close()
		}
	}
	if s.db != nil {
		s.db.Close()
	}
	if s.temp != "" {
		s.fs.RemoveAll(s.temp)
	}
	if s.lock != nil {
		s.lock.Close()
	}
}

// pebbleOptions sizes Pebble for what lies here: vectors that do not compress
// and are scanned in order, point reads of ids and records, and bulk imports
// that fill L0 faster than it drains.
func (s *Store) pebbleOptions() *pebble.Options {
	o := &pebble.Options{
		FS:                          &diskFS{s.fs, s.log.fatal, &s.armed},
		CacheSize:                   s.opts.cacheLimit(),
		MemTableSize:                uint64(s.opts.MemoryTable),
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       4,
		L0StopWritesThreshold:       40,
		LBaseMaxBytes:               128 << 20,
		BytesPerSync:                1 << 20,
		FormatMajorVersion:          pebble.FormatNewest,
		Merger:                      merger,
		Logger:                      s.log,
		ReadOnly:                    s.opts.ReadOnly,
		ErrorIfNotExists:            s.opts.ReadOnly,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 2 },
		EventListener:               (&background{log: s.log}).listener(),
	}
	o.TargetFileSizes[0] = 8 << 20
	for i := range o.Levels {
		o.Levels[i].BlockSize = 16 << 10 // 32 vectors of 128 float32 a block
		o.Levels[i].IndexBlockSize = 64 << 10
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	return o
}

// loadMeta reads the identity of the store, or gives it one if it is new.
func (s *Store) loadMeta() error {
	b, err := s.get(keyMeta)
	switch {
	case err == nil:
		m, err := format.ParseMeta(b)
		if err != nil {
			return fmt.Errorf("meta record: %w", err)
		}
		if m.Format > FormatNumber || m.Flags != 0 {
			return fmt.Errorf("%w: directory format %d with flags %#x, this binary reads format %d; upgrade eider",
				ErrVersion, m.Format, m.Flags, FormatNumber)
		}
		s.meta = m
		s.format.Store(m.Format)
		return nil
	case !errors.Is(err, ErrNotFound):
		return err
	}
	it, err := s.db.NewIter(nil)
	if err != nil {
		return readError("store", err)
	}
	empty := !it.First()
	if err := it.Close(); err != nil {
		return readError("store", err)
	}
	if !empty {
		return fmt.Errorf("%w: %s has keys but no meta record: not an eider directory", ErrCorrupt, s.dir)
	}
	if s.opts.ReadOnly {
		return fmt.Errorf("%w: %s holds no eider store", ErrNotFound, s.dir)
	}
	m := format.Meta{Format: formatFirst, Created: s.opts.Now().UnixNano()}
	if _, err := rand.Read(m.ID[:]); err != nil {
		return fmt.Errorf("making a store id: %w", err)
	}
	s.meta = m
	s.format.Store(m.Format)
	return s.db.Set(keyMeta, format.AppendMeta(nil, m), pebble.Sync)
}

// get returns a copy of a value as of now; the committer's and Open's read.
func (s *Store) get(key []byte) ([]byte, error) {
	v, closer, err := s.db.Get(key)
	if err != nil {
		return nil, readError(fmt.Sprintf("key %q", key[:1]), err)
	}
	out := append(make([]byte, 0, len(v)), v...)
	return out, closer.Close()
}

// closeWait bounds how long Close waits for views to be released.
const closeWait = 10 * time.Second

// Close stops accepting calls, lets the waiting ones finish, waits until every
// view is released, and closes the files. Idempotent. If a view is still held
// after ten seconds Close says so and leaves the files open: nothing is lost,
// the lock stays until the process ends.
func (s *Store) Close() error {
	s.closeOnce.Do(func() { s.closeErr = s.close() })
	return s.closeErr
}

func (s *Store) close() error {
	s.cancel()
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	s.poke()
	<-s.stopped
	s.quota.stop()
	if v := s.view.Swap(nil); v != nil {
		v.Release()
	}
	s.mu.Lock()
	close(s.changed)
	s.changed = make(chan struct{})
	s.mu.Unlock()
	timeout := time.NewTimer(closeWait)
	defer timeout.Stop()
	for {
		s.viewsMu.Lock()
		held, idle := len(s.views), s.idle
		s.viewsMu.Unlock()
		if held == 0 {
			break
		}
		select {
		case <-idle:
		case <-timeout.C:
			return fmt.Errorf("close: %d views are still held; release them before Close", held)
		}
	}
	err := s.db.Close()
	if s.temp != "" {
		err = errors.Join(err, s.fs.RemoveAll(s.temp))
	}
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
	}
	return err
}

// Sync makes everything acknowledged so far durable; only needed with Async.
// Errors: ErrReadOnly, ErrClosed.
func (s *Store) Sync(ctx context.Context) error {
	return s.submit(ctx, &call{fn: func(*group) error { return nil }, sync: true})
}

// Format returns the directory's format number and identity.
func (s *Store) Format() format.Meta {
	m := s.meta
	m.Format = s.format.Load()
	return m
}

// Dir returns the directory the store was opened in.
func (s *Store) Dir() string { return s.dir }
