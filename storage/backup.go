package storage

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eiderdb/eider/storage/format"
)

// Files of a backup directory.
const (
	manifestFile = "manifest.json" // written last; without it there is no backup
	changesFile  = "changes.bin"   // incremental: parts, see format.Part
)

// BackupInfo describes a finished backup.
type BackupInfo struct {
	Dir   string        `json:"dir"`
	Full  bool          `json:"full"`
	Since uint64        `json:"since"` // LSN before the first change of an incremental one
	LSN   uint64        `json:"lsn"`   // the backup holds the state up to here
	Files int           `json:"files"`
	Bytes int64         `json:"bytes"`
	Took  time.Duration `json:"took_ns"`
}

// Backup makes a backup in dir, which must not exist or be empty, while reads
// and writes go on. since 0 makes a full one: a copy that shares no bytes with
// the store. since > 0 makes an incremental one: what changed after that LSN.
// Every file's SHA-256 is in manifest.json.
//
//	dir.partial-x/  files ── fsync ── manifest.json ── fsync ── rename to dir
//
// A crash before the rename leaves no dir, only a directory named partial.
// Errors: ErrTrimmed if changes after since are not kept any more, ErrValue if
// since is in the future, ErrExists if dir is not empty, ErrClosed, ctx's.
func (s *Store) Backup(ctx context.Context, dir string, since uint64) (BackupInfo, error) {
	start := time.Now()
	v, err := s.Acquire()
	if err != nil {
		return BackupInfo{}, err
	}
	defer v.Release()
	fs := s.fs
	if s.opts.InMemory {
		fs = vfs.Default
	}
	stage, err := beginStage(fs, dir)
	if err != nil {
		return BackupInfo{}, err
	}
	m := format.Manifest{Version: format.ManifestVersion, Store: hex.EncodeToString(s.meta.ID[:]), Format: s.Format().Format,
		Since: since, Created: s.opts.Now().UTC()}
	if since == 0 {
		m.LSN, err = s.copyWhole(fs, stage)
	} else {
		m.LSN, err = v.lsn, v.writeChanges(ctx, fs, fs.PathJoin(stage, changesFile), since)
	}
	info := BackupInfo{Dir: dir, Full: since == 0, Since: since, LSN: m.LSN}
	if err == nil {
		err = hashFiles(ctx, fs, stage, &m)
	}
	for _, f := range m.Files {
		info.Bytes += f.Size
	}
	info.Files = len(m.Files)
	if err == nil {
		var b []byte
		if b, err = format.EncodeManifest(m); err == nil {
			err = writeFile(fs, fs.PathJoin(stage, manifestFile), b)
		}
	}
	if err == nil {
		err = endStage(fs, stage, dir)
	}
	if err != nil {
		return BackupInfo{}, errors.Join(fmt.Errorf("backup: %w", err), fs.RemoveAll(stage))
	}
	info.Took = time.Since(start)
	return info, nil
}

// beginStage checks that dir is free and makes a directory beside it.
func beginStage(fs vfs.FS, dir string) (string, error) {
	names, err := fs.List(dir)
	if err == nil && len(names) > 0 {
		return "", fmt.Errorf("%w: %s is not empty", ErrExists, dir)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	var tag [6]byte
	if _, err := rand.Read(tag[:]); err != nil {
		return "", err
	}
	stage := dir + ".partial-" + hex.EncodeToString(tag[:])
	return stage, makeDir(fs, stage)
}

// endStage makes the staged directory durable under its name.
func endStage(fs vfs.FS, stage, dir string) error {
	if err := syncDir(fs, stage); err != nil {
		return err
	}
	if err := fs.Remove(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := fs.Rename(stage, dir); err != nil {
		return err
	}
	return syncDir(fs, fs.PathDir(dir))
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// copyWhole makes the files of a full backup in stage and returns the LSN that
// they hold. Index snapshots of a store in memory are left out: they are derived.
func (s *Store) copyWhole(fs vfs.FS, stage string) (uint64, error) {
	s.snapshotMu.Lock() // the keys in the copy name the files in it
	defer s.snapshotMu.Unlock()
	lsn, err := s.checkpoint(fs, fs.PathJoin(stage, dbDir))
	if err == nil && !s.opts.InMemory {
		err = s.linkSnapshots(stage)
	}
	return lsn, err
}

// checkpoint copies the Pebble directory and returns the LSN the copy holds,
// read from the copy itself.
func (s *Store) checkpoint(fs vfs.FS, path string) (uint64, error) {
	if !s.opts.InMemory {
		if err := s.db.Checkpoint(path, pebble.WithFlushedWAL()); err != nil {
			return 0, err
		}
	} else {
		inside := s.fs.PathBase(s.fs.PathDir(path)) // the stage's name, which is unique
		if err := s.db.Checkpoint(inside, pebble.WithFlushedWAL()); err != nil {
			return 0, err
		}
		_, err := vfs.Clone(s.fs, fs, inside, path, vfs.CloneSync)
		if err = errors.Join(err, s.fs.RemoveAll(inside)); err != nil {
			return 0, err
		}
	}
	c := &Store{opts: Options{ReadOnly: true, MemoryTable: 1 << 20, CacheBytes: 1 << 20}, fs: fs, dir: path, log: s.log}
	db, err := openPebble(path, c.pebbleOptions())
	if err != nil {
		return 0, openError(path, err)
	}
	c.db, c.state = db, &state{}
	err = c.loadEnd()
	return c.state.lsn, errors.Join(err, db.Close())
}

// detach replaces a file by a copy of its own and returns its size and hash. A
// checkpoint's tables are hard links to the store's, and a backup that shares
// its bytes with the store is damaged when they are.
func detach(fs vfs.FS, path string) (size int64, sum string, err error) {
	from, err := fs.Open(path)
	if err != nil {
		return 0, "", err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	to, err := fs.Create(path+".copy", vfs.WriteCategoryUnspecified)
	if err != nil {
		return 0, "", err
	}
	h := sha256.New()
	size, err = io.Copy(io.MultiWriter(h, to), from)
	if err == nil {
		err = to.Sync()
	}
	if err = errors.Join(err, to.Close()); err != nil {
		return 0, "", err
	}
	return size, hex.EncodeToString(h.Sum(nil)), fs.Rename(path+".copy", path)
}

// hashFiles makes every file under stage independent of the store and lists it
// with its size and hash, in name order.
func hashFiles(ctx context.Context, fs vfs.FS, stage string, m *format.Manifest) error {
	var walk func(dir, prefix string) error
	walk = func(dir, prefix string) error {
		names, err := fs.List(dir)
		if err != nil {
			return err
		}
		for _, n := range names {
			path := fs.PathJoin(dir, n)
			info, err := fs.Stat(path)
			if err != nil {
				return err
			}
			if info.IsDir() {
				if err := walk(path, prefix+n+"/"); err != nil {
					return err
				}
				continue
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			size, sum, err := detach(fs, path)
			if err != nil {
				return err
			}
			m.Files = append(m.Files, format.ManifestFile{Name: prefix + n, Size: size, SHA256: sum})
		}
		return nil
	}
	err := walk(stage, "")
	slices.SortFunc(m.Files, func(a, b format.ManifestFile) int { return bytes.Compare([]byte(a.Name), []byte(b.Name)) })
	return err
}

// writeChanges writes the parts of an incremental backup.
func (v *View) writeChanges(ctx context.Context, fs vfs.FS, path string, since uint64) (err error) {
	switch {
	case since > v.lsn:
		return fmt.Errorf("%w: changes after LSN %d, the store is at %d", ErrValue, since, v.lsn)
	case since+1 < v.first:
		return fmt.Errorf("%w: changes are kept from LSN %d, asked for %d; make a full backup", ErrTrimmed, v.first, since+1)
	}
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriterSize(f, 1<<20)
	var buf []byte
	put := func(p format.Part) error {
		var err error
		if buf, err = format.AppendPart(buf[:0], p); err != nil {
			return err
		}
		_, err = w.Write(buf)
		return err
	}
	for _, prefix := range wholly {
		err := scan(v.snap, []byte{prefix}, []byte{prefix + 1}, func(key, value []byte) error {
			return put(format.Part{Kind: format.PartKey, Key: key, Value: value})
		})
		if err != nil {
			return err
		}
	}
	if err := v.writeWeights(ctx, since, put); err != nil {
		return err
	}
	touched := map[uint32]map[string]struct{}{}
	users := map[uint64]bool{}
	err = scan(v.snap, changeKey(since+1), changeKey(v.lsn+1), func(_, value []byte) error {
		e, err := format.ParseEntry(value)
		if err != nil {
			return err
		}
		for _, c := range e.Changes {
			if c.Op == format.OpPut || c.Op == format.OpDelete {
				if touched[c.Collection] == nil {
					touched[c.Collection] = map[string]struct{}{}
				}
				touched[c.Collection][string(c.Key)] = struct{}{}
			}
			if c.Op.Events() {
				users[c.User] = users[c.User] || c.Op != format.OpEvent
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		return put(format.Part{Kind: format.PartEntry, Value: value})
	})
	if err != nil {
		return err
	}
	if err := errors.Join(v.writeUsers(ctx, users, since, put), v.writeTouched(ctx, touched, put)); err != nil {
		return err
	}
	if err := put(format.Part{Kind: format.PartEnd}); err != nil {
		return err
	}
	return errors.Join(w.Flush(), f.Sync())
}

// writeWeights writes the tensors of the model versions that came after since;
// their manifests are among the keys.
func (v *View) writeWeights(ctx context.Context, since uint64, put func(format.Part) error) error {
	return v.Models().Scan([]byte{format.KeyVersion}, func(_, value []byte) error {
		m, err := format.ParseModel(value)
		if err != nil || m.LSN <= since {
			return err
		}
		lo := weightsKey(m.Weights)
		return scan(v.snap, lo, successor(lo), func(key, value []byte) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return put(format.Part{Kind: format.PartKey, Key: key, Value: value})
		})
	})
}

// writeUsers writes the events of users that came after since; of users that lost
// events, for which whole is true, what they had before goes, and all that is left
// is written.
func (v *View) writeUsers(ctx context.Context, whole map[uint64]bool, since uint64, put func(format.Part) error) error {
	numbers := slices.Sorted(maps.Keys(whole))
	for _, n := range numbers { // all before any event, because a name may have come back under another number
		if whole[n] {
			if err := put(format.Part{Kind: format.PartUser, Key: be.AppendUint64(nil, n)}); err != nil {
				return err
			}
		}
	}
	for _, n := range numbers {
		lo := numberKey(prefixHistory, n)
		err := scan(v.snap, lo, successor(lo), func(key, value []byte) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			if len(key) == numberLen {
				return errors.Join(v.writeKey(userKey(string(value)), put), put(format.Part{Kind: format.PartKey, Key: key, Value: value}))
			}
			_, lsn, _ := parsePlace(key[numberLen:])
			if lsn <= since && !whole[n] {
				return nil
			}
			e, err := format.ParseEvent(value)
			if err == nil && e.ID != "" {
				err = v.writeKey(eventKey(n, e.ID), put)
			}
			return errors.Join(err, put(format.Part{Kind: format.PartKey, Key: key, Value: value}))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// writeKey writes one key and its value.
func (v *View) writeKey(key []byte, put func(format.Part) error) error {
	value, err := v.get(key)
	if err != nil {
		return err
	}
	return put(format.Part{Kind: format.PartKey, Key: key, Value: value})
}

// writeTouched writes every touched id before any document, because a restored
// document may take the ord of another id's dead version.
func (v *View) writeTouched(ctx context.Context, touched map[uint32]map[string]struct{}, put func(format.Part) error) error {
	for coll, keys := range touched {
		if v.colls[coll] == nil {
			continue // dropped since
		}
		for key := range keys {
			if err := put(format.Part{Kind: format.PartTouched, Collection: coll, Key: []byte(key)}); err != nil {
				return err
			}
		}
	}
	for coll, keys := range touched {
		cv := v.colls[coll]
		if cv == nil {
			continue
		}
		for key := range keys {
			if err := ctx.Err(); err != nil {
				return err
			}
			b, err := v.get(idKey(coll, []byte(key)))
			if errors.Is(err, ErrNotFound) {
				continue // deleted
			} else if err != nil {
				return err
			}
			ord, _, err := parseIDValue(b)
			if err != nil {
				return err
			}
			if b, err = v.get(recordKey(coll, ord)); err != nil {
				return err
			}
			r, err := format.ParseRecord(b)
			if err != nil {
				return err
			}
			p := format.Part{Kind: format.PartDocument, Collection: coll, Ord: ord, Value: b}
			for _, f := range cv.info.fields(r.Fields) {
				data, err := v.Vector(coll, f, ord, nil)
				if err != nil {
					return err
				}
				p.Vectors = append(p.Vectors, format.PartVector{Field: f, Data: data})
			}
			if err := put(p); err != nil {
				return err
			}
		}
	}
	return nil
}
