package eider

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eiderdb/eider/embed"
	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/storage"
	"github.com/eiderdb/eider/storage/format"
	"github.com/eiderdb/eider/storage/registry"
)

// Options configures Open. The zero value, and nil, are safe and good.
type Options struct {
	// ReadOnly opens a directory beside a running writer (or without one) as of
	// the LSN it has now; later writes are not seen until it is opened again.
	ReadOnly bool
	// Async acknowledges writes before they are fsynced: a power cut may lose the
	// last second of them, never more, never out of order. The default waits.
	Async bool
	// CacheBytes is the memory of the block cache beside write buffers of 128 MiB,
	// default 64 MiB; it has what of theirs they do not need.
	CacheBytes int64
	// MaxBytes bounds the directory's size; writes beyond get ErrFull. 0 means the
	// disk is the bound.
	MaxBytes int64
	// MinFreeBytes is the free disk space below which writes get ErrFull, default
	// 64 MiB.
	MinFreeBytes int64
	// Workers is the number of goroutines that link vectors into graphs, default
	// GOMAXPROCS.
	Workers int
	// SnapshotInterval is how often vector indexes with enough changes are saved
	// so that the next Open is fast, default 30 s; negative means at Close only.
	SnapshotInterval time.Duration
	// CheckpointInterval is how often a training saves what it knows so far, so that
	// Resume goes on from there after a crash, default 30 s, less often if that takes
	// over a tenth of its time; negative means at Close only.
	CheckpointInterval time.Duration
	// ChangeRetention is how many LSNs Changes and incremental backups can go
	// back, default 1,000,000.
	ChangeRetention uint64
	// Encoders adds encoders by the name that schemas call them, beside the built-in
	// "static-tiny" and "hashed".
	Encoders map[string]embed.Encoder
	// Logger receives what an operator should know; default none.
	Logger *slog.Logger
	// OnFatal is called when the log can no longer be written. The process exits
	// with code 70 after it returns, for memory and disk may then disagree.
	OnFatal func(error)
	// Now is the clock of TTLs, default time.Now.
	Now func() time.Time
}

// DB is an open database. All methods may be called from many goroutines.
type DB struct {
	opts  Options
	log   *slog.Logger
	store *storage.Store
	dir   string
	since time.Time

	ctx    context.Context // ends at Close
	cancel context.CancelFunc
	wg     sync.WaitGroup // background loops

	mu      sync.RWMutex // orders changes of colls and of live registrations
	colls   map[uint32]*Collection
	aliases map[string]uint32
	// compiled are the newest catalogue entries that storage has announced. The
	// committer alone uses it once Open has returned.
	compiled map[uint32]storage.Collection
	names    atomic.Pointer[map[string]uint32] // collections and aliases
	last     uint64                            // LSN of the last change applied; under mu
	schemas  sync.Mutex                        // one schema change at a time
	once     sync.Once
	err      error

	encoders encoders
	pins     pins
	registry *registry.Registry
	serving  serving
	jobs     jobs

	bottlenecks bottlenecks
}

// Open opens or creates the database in dir; "" is a database in memory. nil
// options are the defaults.
//
// It returns when the log is replayed; vector indexes load in the background
// and searches wait for their vectors only. Errors: ErrLocked (another process
// has it open; the message says which), ErrVersion, ErrCorrupt with the damaged
// file. Damage to derived data is repaired in the background, not reported.
func Open(dir string, options *Options) (*DB, error) {
	db := &DB{dir: dir, since: time.Now(), colls: map[uint32]*Collection{}, compiled: map[uint32]storage.Collection{}}
	if options != nil {
		db.opts = *options
	}
	if db.opts.Logger == nil {
		db.opts.Logger = slog.New(slog.DiscardHandler)
	}
	if db.opts.Now == nil {
		db.opts.Now = time.Now
	}
	if db.opts.SnapshotInterval == 0 {
		db.opts.SnapshotInterval = 30 * time.Second
	}
	if db.opts.CheckpointInterval == 0 {
		db.opts.CheckpointInterval = 30 * time.Second
	}
	db.log = db.opts.Logger
	db.encoders.given = db.opts.Encoders
	db.ctx, db.cancel = context.WithCancel(context.Background())
	durability := storage.SyncGroup
	if db.opts.Async {
		durability = storage.Async
	}
	store, err := storage.Open(dir, &storage.Options{
		InMemory: dir == "", ReadOnly: db.opts.ReadOnly, Durability: durability,
		CacheBytes: db.opts.CacheBytes, MaxBytes: db.opts.MaxBytes, MinFree: db.opts.MinFreeBytes,
		ChangeRetention: db.opts.ChangeRetention, Logger: db.log, OnFatal: db.opts.OnFatal, Now: db.opts.Now,
		Compile: db.compile, Apply: db.apply, Recycle: db.recycle,
	})
	if err != nil {
		db.cancel()
		return nil, &Error{Op: "open", Err: translate(err), Code: CodeOf(translate(err))}
	}
	db.store = store
	if err := errors.Join(db.adopt(), db.openModels(), db.openJobs()); err != nil {
		return nil, errors.Join(&Error{Op: "open", Err: err, Code: CodeOf(err)}, db.Close())
	}
	db.every(tendEvery, db.tend)
	db.every(time.Second, func() { db.serving.trim(db.store.Oldest()) })
	if !db.opts.ReadOnly {
		db.every(time.Second, db.sweep)
		db.every(retainEvery, db.sweepEvents)
		if db.opts.SnapshotInterval > 0 && dir != "" {
			db.every(db.opts.SnapshotInterval, db.snapshots)
		}
	}
	return db, nil
}

// compile makes the posting function of a stored schema.
func (db *DB) compile(c storage.Collection) (storage.Terms, error) {
	st, err := decodeStored(c.Schema)
	if err != nil {
		return nil, err
	}
	db.compiled[c.ID] = c
	return st.terms, nil
}

// adopt takes over the collections found at Open.
func (db *DB) adopt() error {
	db.mu.Lock()
	defer db.mu.Unlock()
	view, err := db.store.Acquire()
	if err != nil {
		return err
	}
	defer view.Release()
	db.last = view.LSN()
	for _, c := range view.Collections() {
		if err := db.addCollection(c, view.LSN()); err != nil {
			return err
		}
	}
	db.aliases = maps.Clone(view.Aliases())
	if db.aliases == nil {
		db.aliases = map[string]uint32{}
	}
	db.rename()
	return nil
}

// addCollection makes a Collection known. The caller holds mu.
func (db *DB) addCollection(info storage.Collection, lsn uint64) error {
	st, err := decodeStored(info.Schema)
	if err != nil {
		return err
	}
	c := &Collection{db: db, id: info.ID, name: info.Name}
	c.set(&state{id: info.ID, lsn: lsn, version: info.Version, stored: st, lives: map[string]*live{}})
	db.colls[info.ID] = c
	c.startLives(lsn, false)
	return nil
}

// rename publishes the names of collections and aliases. The caller holds mu.
func (db *DB) rename() {
	names := make(map[string]uint32, len(db.colls)+len(db.aliases))
	for id, c := range db.colls {
		names[c.name] = id
	}
	maps.Copy(names, db.aliases)
	db.names.Store(&names)
}

// apply is told every committed change before it becomes visible; it keeps the
// in-memory indexes equal to storage. It runs in the committer.
func (db *DB) apply(lsn uint64, changes []storage.Change) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.last = lsn
	for i := range changes {
		ch := &changes[i]
		switch ch.Op {
		case format.OpPut, format.OpDelete:
			if c := db.colls[ch.Collection]; c != nil {
				c.apply(lsn, ch)
			}
		case format.OpCreate:
			if err := db.addCollection(db.compiled[ch.Collection], lsn); err != nil {
				db.log.Error("created collection cannot be used", "collection", ch.Name, "err", err)
			}
			db.rename()
		case format.OpSchema:
			if c := db.colls[ch.Collection]; c != nil {
				c.adoptSchema(lsn, db.compiled[ch.Collection])
			}
		case format.OpDrop:
			if c := db.colls[ch.Collection]; c != nil {
				delete(db.colls, ch.Collection)
				maps.DeleteFunc(db.aliases, func(_ string, id uint32) bool { return id == ch.Collection })
				c.retire(c.state.Load(), nil)
			}
			db.rename()
		case format.OpAlias:
			db.aliases[ch.Name] = ch.Collection
			db.rename()
		case format.OpUnalias:
			delete(db.aliases, ch.Name)
			db.rename()
		case format.OpPromote:
			db.serving.move(lsn, ch)
		}
	}
}

// recycle frees index memory of document versions that no reader can see any
// more, and lets storage use their ordinals again.
func (db *DB) recycle(oldest uint64) uint64 {
	db.mu.RLock()
	defer db.mu.RUnlock()
	for _, c := range db.colls {
		for _, l := range c.state.Load().lives {
			l.release(oldest)
		}
		if c.warming != nil {
			c.warming.release(oldest)
		}
	}
	return oldest
}

// Close stops background work, jobs too, saves vector indexes, and closes the directory.
// It is idempotent; calls under way end with ErrClosed or finish. A write that
// was acknowledged survives whether or not Close is called.
func (db *DB) Close() error {
	db.once.Do(func() { db.err = db.close() })
	return db.err
}

func (db *DB) close() error {
	var errs []error
	if !db.opts.ReadOnly && db.dir != "" {
		for _, l := range db.lives() {
			if err := l.save(context.Background(), true); err != nil && !errors.Is(err, storage.ErrReadOnly) {
				db.log.Warn("vector index was not saved; the next open rebuilds it", "vector", l.name, "err", err)
			}
		}
	}
	db.jobs.close()
	db.cancel()
	db.wg.Wait()
	db.pins.clear()
	errs = append(errs, db.store.Close())
	db.mu.Lock()
	var lives []*live
	for _, c := range db.colls {
		lives = append(lives, slices.Collect(maps.Values(c.state.Load().lives))...)
	}
	db.mu.Unlock()
	for _, l := range lives {
		errs = append(errs, l.close())
	}
	return errors.Join(errs...)
}

func (db *DB) lives() []*live {
	db.mu.RLock()
	defer db.mu.RUnlock()
	var out []*live
	for _, c := range db.colls {
		out = slices.AppendSeq(out, maps.Values(c.state.Load().lives))
	}
	return out
}

// waitOldest returns when no reader holds a view before lsn, or at Close.
func (db *DB) waitOldest(lsn uint64) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for db.store.Oldest() < lsn {
		select {
		case <-db.ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// every starts a goroutine that calls do at that interval until Close.
func (db *DB) every(interval time.Duration, do func()) {
	db.wg.Go(func() {
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case <-db.ctx.Done():
				return
			case <-tick.C:
				do()
			}
		}
	})
}

// snapshots saves the vector indexes that changed enough.
func (db *DB) snapshots() {
	for _, l := range db.lives() {
		if err := l.save(db.ctx, false); err != nil && db.ctx.Err() == nil {
			db.log.Warn("vector index snapshot failed; it will be tried again", "vector", l.name, "err", err)
		}
	}
}

// LSN is the log sequence number of the newest visible write.
func (db *DB) LSN() uint64 { return db.store.LSN() }

// WaitLSN returns when writes up to lsn are visible.
func (db *DB) WaitLSN(ctx context.Context, lsn uint64) error {
	if lsn == 0 {
		return nil
	}
	_, err := db.store.Wait(ctx, lsn-1)
	return db.fail("wait", "", "", err)
}

// now is the clock in nanoseconds.
func (db *DB) now() int64 { return db.opts.Now().UnixNano() }

// Info describes a collection.
type Info struct {
	Name    string   `json:"name"`
	Schema  Schema   `json:"schema"`
	Docs    uint64   `json:"docs"`
	Aliases []string `json:"aliases,omitempty"`
	// SchemaVersion is the LSN of the last schema change.
	SchemaVersion uint64 `json:"schema_version"`
	// Building names the field indexes whose backfill is not finished.
	Building []string `json:"building,omitempty"`
	LSN      uint64   `json:"lsn"`
}

// CreateCollection creates a collection. If one of this name exists with the
// same schema it is returned; with another, the error is ErrExists.
func (db *DB) CreateCollection(ctx context.Context, name string, s Schema) (*Collection, error) {
	c, err := db.create(ctx, name, s)
	if err != nil {
		return nil, db.fail("create collection", name, "", err)
	}
	return c, nil
}

func (db *DB) create(ctx context.Context, name string, s Schema) (*Collection, error) {
	if err := checkName("collection", name); err != nil {
		return nil, err
	}
	norm, err := s.normalise()
	if err != nil {
		return nil, err
	}
	st := newStored(norm)
	for vname, v := range norm.Vectors {
		space, err := db.checkEncoder(vname, v)
		if err != nil {
			return nil, err
		}
		st.settle(vname, space)
	}
	if c, err := db.Collection(name); err == nil {
		if c.name == name && c.Schema().same(norm) {
			return c, nil
		}
		return nil, fmt.Errorf("%w: %q, with another schema; drop it or change it with AddField, AddIndex, AddVector", ErrExists, name)
	}
	if _, err := db.store.CreateCollection(ctx, name, st.idKind(), st.encode()); err != nil {
		return nil, err
	}
	return db.Collection(name)
}

// collection finds a collection by id, nil if there is none.
func (db *DB) collection(id uint32) *Collection {
	db.mu.RLock()
	defer db.mu.RUnlock()
	return db.colls[id]
}

// Collection finds a collection by name or alias. Error: ErrNotFound.
func (db *DB) Collection(name string) (*Collection, error) {
	names := *db.names.Load()
	if id, ok := names[name]; ok {
		if c := db.collection(id); c != nil {
			return c, nil
		}
	}
	e := &Error{Op: "collection", Collection: name, Code: CodeNotFound, Err: fmt.Errorf("%w: collection", ErrNotFound)}
	if near := index.Nearest(name, sortedKeys(names)); near != "" {
		e.Hint = fmt.Sprintf("did you mean %q?", near)
	} else {
		e.Hint = "create it first"
	}
	return nil, e
}

// Collections describes every collection, by name.
func (db *DB) Collections() []Info {
	db.mu.RLock()
	colls := slices.Collect(maps.Values(db.colls))
	db.mu.RUnlock()
	infos := make([]Info, len(colls))
	for i, c := range colls {
		infos[i] = c.Info()
	}
	slices.SortFunc(infos, func(a, b Info) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return infos
}

// DropCollection removes a collection, its documents, its aliases and, first, its
// bottlenecks.
func (db *DB) DropCollection(ctx context.Context, name string) error {
	c, err := db.Collection(name)
	if err == nil && c.name != name {
		err = fmt.Errorf("%w: %q is an alias of %q; drop the collection by its own name, or remove the alias", ErrInvalid, name, c.name)
	}
	if err == nil {
		err = db.bottlenecks.dropAll(ctx, c)
	}
	if err == nil {
		err = db.store.DropCollection(ctx, c.id)
	}
	return db.fail("drop collection", name, "", err)
}

// AliasChange points an alias at a collection; an empty Collection removes it.
type AliasChange struct {
	Alias      string `json:"alias"`
	Collection string `json:"collection,omitempty"`
}

// SetAliases changes aliases, all or none. An alias may not have the name of a
// collection.
func (db *DB) SetAliases(ctx context.Context, changes ...AliasChange) error {
	aliases := make([]storage.Alias, len(changes))
	for i, a := range changes {
		if err := checkName("alias", a.Alias); err != nil {
			return db.fail("set aliases", a.Collection, a.Alias, err)
		}
		if a.Collection == "" {
			aliases[i] = storage.Alias{Name: a.Alias, Remove: true}
			continue
		}
		c, err := db.Collection(a.Collection)
		if err != nil {
			return err
		}
		aliases[i] = storage.Alias{Name: a.Alias, Collection: c.id}
	}
	err := db.store.SetAliases(ctx, aliases...)
	return db.fail("set aliases", "", "", err)
}

// Aliases maps each alias to its collection.
func (db *DB) Aliases() map[string]string {
	names := *db.names.Load()
	out := map[string]string{}
	db.mu.RLock()
	defer db.mu.RUnlock()
	for name, id := range names {
		if c := db.colls[id]; c != nil && c.name != name {
			out[name] = c.name
		}
	}
	return out
}

// PutSetting stores a small value under a key of the caller's own, durably and
// outside every collection; an empty value removes it.
func (db *DB) PutSetting(ctx context.Context, key string, value []byte) error {
	if len(value) == 0 {
		value = nil
	}
	if strings.HasPrefix(key, bottleneckKeys) {
		return db.fail("put setting", "", key, fmt.Errorf("%w: keys that begin with %s are the database's", ErrInvalid, bottleneckKeys))
	}
	_, err := db.store.Commit(ctx, []storage.Op{{Kind: storage.Set, Name: key, Body: value}})
	return db.fail("put setting", "", key, err)
}

// Setting reads a value stored by PutSetting.
func (db *DB) Setting(key string) (value []byte, ok bool, err error) {
	view, err := db.viewAt(0)
	if err != nil {
		return nil, false, db.fail("setting", "", key, err)
	}
	defer view.Release()
	value, err = view.Setting(key)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, false, nil
	}
	return value, err == nil, db.fail("setting", "", key, err)
}

// Settings yields the keys that begin with prefix, in order, and their values.
// It ends early if the database is closed.
func (db *DB) Settings(prefix string) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		view, err := db.viewAt(0)
		if err != nil {
			return
		}
		defer view.Release()
		err = view.Settings(prefix, func(key string, value []byte) bool { return yield(key, slices.Clone(value)) })
		if err != nil {
			db.log.Error("settings cannot be read; run a check", "prefix", prefix, "err", err)
		}
	}
}

// Backup copies the database into the directory dir, which must not exist or be
// empty, while reads and writes go on. since = 0 makes a full copy; an LSN
// makes an incremental one: what changed after it, to be restored on top of a
// backup that reaches it. Errors: ErrTrimmed when changes since then are no
// longer kept.
func (db *DB) Backup(ctx context.Context, dir string, since uint64) (BackupInfo, error) {
	info, err := db.store.Backup(ctx, dir, since)
	return info, db.fail("backup", "", "", err)
}

// BackupInfo describes a finished backup.
type BackupInfo = storage.BackupInfo

// Restore makes a database in target, which must not exist or be empty, from a
// full backup and the incremental ones that follow it, oldest first. Every file
// is verified first; on an error target is not left half made.
func Restore(ctx context.Context, target string, backups ...string) error {
	_, err := storage.Restore(ctx, target, backups...)
	if err != nil {
		return &Error{Op: "restore", Err: translate(err), Code: CodeOf(translate(err))}
	}
	return nil
}

var _ io.Closer = (*DB)(nil)
