package storage

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eiderdb/eider/storage/format"
)

// Restore makes a store in target, which must not exist or be empty, from a
// full backup and the incremental ones that follow it, oldest first. It
// verifies every manifest and every file's hash before it writes anything, and
// renames the finished directory into place last, so target is complete or
// absent. Postings of documents from incremental backups are derived by the
// first Open. Errors: ErrCorrupt naming the file, ErrVersion, ErrValue if the
// backups do not follow each other, ErrExists, ErrNotFound, ctx's.
func Restore(ctx context.Context, target string, backups ...string) (BackupInfo, error) {
	if len(backups) == 0 {
		return BackupInfo{}, fmt.Errorf("%w: no backup given", ErrValue)
	}
	var manifests []format.Manifest
	var roots []*os.Root
	defer func() {
		for _, r := range roots {
			r.Close()
		}
	}()
	for i, dir := range backups {
		root, err := os.OpenRoot(dir)
		if err != nil {
			return BackupInfo{}, fmt.Errorf("%w: backup %s: %v", ErrNotFound, dir, err)
		}
		roots = append(roots, root)
		m, err := verify(ctx, root)
		if err != nil {
			return BackupInfo{}, fmt.Errorf("backup %s: %w", dir, err)
		}
		if err := follows(manifests, m); err != nil {
			return BackupInfo{}, fmt.Errorf("backup %d, %s: %w", i+1, dir, err)
		}
		manifests = append(manifests, m)
	}
	last := manifests[len(manifests)-1]
	info := BackupInfo{Dir: target, Full: true, LSN: last.LSN}
	fs := vfs.Default
	stage, err := beginStage(fs, filepath.Clean(target))
	if err != nil {
		return BackupInfo{}, err
	}
	err = copyFiles(ctx, roots[0], manifests[0], stage, &info)
	for i := 1; i < len(roots) && err == nil; i++ {
		err = applyChanges(ctx, fs, filepath.Join(stage, dbDir), roots[i], manifests[i])
	}
	if err == nil {
		err = endStage(fs, stage, filepath.Clean(target))
	}
	if err != nil {
		return BackupInfo{}, errors.Join(fmt.Errorf("restore: %w", err), fs.RemoveAll(stage))
	}
	return info, nil
}

// follows reports why a backup cannot come after the ones before it.
func follows(before []format.Manifest, m format.Manifest) error {
	if len(before) == 0 {
		if m.Since != 0 {
			return fmt.Errorf("%w: the first backup must be a full one, this holds changes after LSN %d", ErrValue, m.Since)
		}
		return nil
	}
	last := before[len(before)-1]
	switch {
	case m.Since == 0:
		return fmt.Errorf("%w: only the first backup may be a full one", ErrValue)
	case m.Store != last.Store:
		return fmt.Errorf("%w: it is of another store", ErrValue)
	case m.Since > last.LSN:
		return fmt.Errorf("%w: it starts after LSN %d, the one before ends at %d; one is missing", ErrValue, m.Since, last.LSN)
	case m.LSN < last.LSN:
		return fmt.Errorf("%w: it ends at LSN %d, before the one before it at %d", ErrValue, m.LSN, last.LSN)
	}
	return nil
}

// verify reads a backup's manifest and checks every file against it.
func verify(ctx context.Context, root *os.Root) (format.Manifest, error) {
	f, err := root.Open(manifestFile)
	if err != nil {
		return format.Manifest{}, fmt.Errorf("%w: %s: %v", ErrCorrupt, manifestFile, err)
	}
	b, err := io.ReadAll(io.LimitReader(f, format.MaxManifest+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return format.Manifest{}, err
	}
	m, err := format.DecodeManifest(b)
	if err != nil {
		return m, fmt.Errorf("%s: %w", manifestFile, err)
	}
	if m.Format > FormatNumber {
		return m, fmt.Errorf("%w: directory format %d, this binary reads %d", ErrVersion, m.Format, FormatNumber)
	}
	for _, file := range m.Files {
		if err := ctx.Err(); err != nil {
			return m, err
		}
		f, err := root.Open(filepath.FromSlash(file.Name))
		if err != nil {
			return m, fmt.Errorf("%w: %s: %v", ErrCorrupt, file.Name, err)
		}
		h := sha256.New()
		n, err := io.Copy(h, f)
		if err = errors.Join(err, f.Close()); err != nil {
			return m, err
		}
		if n != file.Size || hex.EncodeToString(h.Sum(nil)) != file.SHA256 {
			return m, fmt.Errorf("%w: %s does not match its hash", ErrCorrupt, file.Name)
		}
	}
	return m, nil
}

// copyFiles copies a full backup, checking hashes once more as bytes pass.
func copyFiles(ctx context.Context, from *os.Root, m format.Manifest, stage string, info *BackupInfo) (err error) {
	to, err := os.OpenRoot(stage)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	dirs := map[string]bool{}
	for _, file := range m.Files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if dir := path.Dir(file.Name); dir != "." && !dirs[dir] {
			if err := to.MkdirAll(filepath.FromSlash(dir), 0o755); err != nil {
				return err
			}
			dirs[dir] = true
		}
		if err := copyOne(from, to, file); err != nil {
			return fmt.Errorf("%s: %w", file.Name, err)
		}
		info.Files++
		info.Bytes += file.Size
	}
	for dir := range dirs {
		if err := syncDir(vfs.Default, filepath.Join(stage, filepath.FromSlash(dir))); err != nil {
			return err
		}
	}
	return nil
}

func copyOne(from, to *os.Root, file format.ManifestFile) error {
	name := filepath.FromSlash(file.Name)
	src, err := from.Open(name)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := to.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	h := sha256.New()
	_, err = io.Copy(io.MultiWriter(dst, h), src)
	if err == nil && hex.EncodeToString(h.Sum(nil)) != file.SHA256 {
		err = fmt.Errorf("%w: changed while it was copied", ErrCorrupt)
	}
	if err == nil {
		err = dst.Sync()
	}
	return errors.Join(err, dst.Close())
}

// applyChanges brings a restored Pebble directory from before m.Since or later
// to m.LSN.
func applyChanges(ctx context.Context, fs vfs.FS, dbPath string, from *os.Root, m format.Manifest) (err error) {
	f, err := from.Open(changesFile)
	if err != nil {
		return fmt.Errorf("%w: %s: %v", ErrCorrupt, changesFile, err)
	}
	defer f.Close()
	s := &Store{opts: (&Options{FS: fs}).defaults(), fs: fs, dir: dbPath, log: &logger{log: (&Options{}).defaults().Logger}}
	db, err := openPebble(dbPath, s.pebbleOptions())
	if err != nil {
		return openError(dbPath, err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	s.db = db
	r := &restorer{s: s, batch: db.NewBatch(), touched: map[uint32]bool{}, known: map[uint32]format.Collection{}}
	defer func() { r.batch.Close() }()
	for _, prefix := range wholly {
		if err := r.batch.DeleteRange([]byte{prefix}, []byte{prefix + 1}, nil); err != nil {
			return err
		}
	}
	in := bufio.NewReaderSize(f, 1<<20)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		p, err := readPart(in)
		if err != nil {
			return fmt.Errorf("%s: %w", changesFile, err)
		}
		if p.Kind == format.PartEnd {
			break
		}
		if err := r.part(p); err != nil {
			return fmt.Errorf("%s: %w", changesFile, err)
		}
		if r.batch.Len() > deriveBytes {
			if err := r.flush(pebble.NoSync); err != nil {
				return err
			}
		}
	}
	return r.finish()
}

func readPart(in *bufio.Reader) (format.Part, error) {
	head, err := in.Peek(format.EnvelopeHead)
	if err != nil {
		return format.Part{}, fmt.Errorf("%w: file ends early", ErrCorrupt)
	}
	n, err := format.PartSize(head)
	if err != nil {
		return format.Part{}, err
	}
	var b bytes.Buffer // grows with what is there, not with what the head says
	if _, err := io.CopyN(&b, in, int64(n)); err != nil {
		return format.Part{}, fmt.Errorf("%w: file ends early", ErrCorrupt)
	}
	return format.ParsePart(b.Bytes())
}

// restorer applies parts to a Pebble directory that nobody else has open.
type restorer struct {
	s       *Store
	batch   *pebble.Batch
	touched map[uint32]bool // collections with documents in the backup
	known   map[uint32]format.Collection
	docs    bool // documents have begun, ids have ended
}

func (r *restorer) flush(opt *pebble.WriteOptions) error {
	if err := r.s.db.Apply(r.batch, opt); err != nil {
		return err
	}
	r.batch.Reset()
	return nil
}

func (r *restorer) part(p format.Part) error {
	switch p.Kind {
	case format.PartKey:
		return r.key(p)
	case format.PartEntry:
		e, err := format.ParseEntry(p.Value)
		if err != nil {
			return err
		}
		return r.batch.Set(changeKey(e.LSN), p.Value, nil)
	case format.PartUser:
		return r.eraseUser(p)
	case format.PartTouched:
		if r.docs {
			return fmt.Errorf("%w: part out of order", ErrCorrupt)
		}
		return r.remove(p)
	default:
		if !r.docs { // removals must be readable before documents reuse ords
			r.docs = true
			if err := r.flush(pebble.NoSync); err != nil {
				return err
			}
		}
		return r.document(p)
	}
}

func (r *restorer) key(p format.Part) error {
	if len(p.Key) == 0 || !bytes.ContainsRune(wholly, rune(p.Key[0])) && !bytes.ContainsRune(partly, rune(p.Key[0])) {
		return fmt.Errorf("%w: part for key %q", ErrCorrupt, p.Key)
	}
	if p.Key[0] == prefixCollection {
		c, err := format.ParseCollection(p.Value)
		if err != nil {
			return err
		}
		c.Schema = bytes.Clone(c.Schema)
		r.known[c.ID] = c
	}
	return r.batch.Set(p.Key, p.Value, nil)
}

// eraseUser removes a user of events, whose events follow if there are any.
func (r *restorer) eraseUser(p format.Part) error {
	if len(p.Key) != 8 {
		return fmt.Errorf("%w: part for user %x", ErrCorrupt, p.Key)
	}
	number := be.Uint64(p.Key)
	name, err := r.s.get(numberKey(prefixHistory, number))
	if errors.Is(err, ErrNotFound) {
		return nil
	} else if err == nil {
		err = r.batch.Delete(userKey(string(name)), nil)
	}
	for _, prefix := range []byte{prefixHistory, prefixEvent} {
		lo := numberKey(prefix, number)
		err = errors.Join(err, r.batch.DeleteRange(lo, successor(lo), nil))
	}
	return err
}

// remove takes the version of an id that the directory holds away.
func (r *restorer) remove(p format.Part) error {
	r.touched[p.Collection] = true
	b, err := r.s.get(idKey(p.Collection, p.Key))
	if errors.Is(err, ErrNotFound) {
		return nil
	} else if err != nil {
		return err
	}
	ord, _, err := parseIDValue(b)
	if err != nil {
		return err
	}
	if b, err = r.s.get(recordKey(p.Collection, ord)); err != nil {
		return err
	}
	rec, err := format.ParseRecord(b)
	if err != nil {
		return err
	}
	err = errors.Join(
		r.batch.Delete(idKey(p.Collection, p.Key), nil),
		r.batch.Delete(recordKey(p.Collection, ord), nil),
		r.batch.Merge(liveKey(p.Collection, uint16(ord>>16)), format.AppendOperand(nil, nil, []uint16{uint16(ord)}), nil))
	if rec.ExpireAt > 0 {
		err = errors.Join(err, r.batch.Delete(expireKey(p.Collection, rec.ExpireAt, ord), nil))
	}
	for _, f := range rec.Fields {
		err = errors.Join(err, r.batch.Delete(vectorKey(p.Collection, f, ord), nil))
	}
	return err
}

func (r *restorer) document(p format.Part) error {
	rec, err := format.ParseRecord(p.Value)
	if err != nil {
		return err
	}
	err = errors.Join(
		r.batch.Set(idKey(p.Collection, rec.Key), idValue(p.Ord, rec.LSN), nil),
		r.batch.Set(recordKey(p.Collection, p.Ord), p.Value, nil),
		r.batch.Merge(liveKey(p.Collection, uint16(p.Ord>>16)), format.AppendOperand(nil, []uint16{uint16(p.Ord)}, nil), nil))
	if rec.ExpireAt > 0 {
		err = errors.Join(err, r.batch.Set(expireKey(p.Collection, rec.ExpireAt, p.Ord), nil, nil))
	}
	for _, v := range p.Vectors {
		err = errors.Join(err, r.batch.Set(vectorKey(p.Collection, v.Field, p.Ord), v.Data, nil))
	}
	return err
}

// finish drops what no longer exists and marks postings to be derived.
func (r *restorer) finish() error {
	for id, c := range r.known {
		for _, f := range c.Dropped {
			lo := be.AppendUint16(collKey(prefixVector, id), f)
			if err := r.batch.DeleteRange(lo, successor(lo), nil); err != nil {
				return err
			}
		}
		c.Flags |= format.CollectionStale // its schema may have changed as well
		b, err := format.AppendCollection(nil, c)
		if err != nil {
			return err
		}
		if err := r.batch.Set(collKey(prefixCollection, id), b, nil); err != nil {
			return err
		}
	}
	if err := r.flush(pebble.NoSync); err != nil {
		return err
	}
	models := ModelReader{r.s.db}
	keep, err := models.named()
	if err == nil {
		_, err = models.dropOthers(r.batch, keep)
	}
	if err != nil {
		return err
	}
	if b, err := r.s.get(keyTrim); err == nil && len(b) == 8 {
		if err := r.batch.DeleteRange(changeKey(0), changeKey(be.Uint64(b)), nil); err != nil {
			return err
		}
	}
	for _, p := range []byte{prefixID, prefixRecord, prefixVector, prefixTerm, prefixLive, prefixExpire, prefixSnapshot} {
		for coll := uint32(0); ; coll++ {
			var err error
			if coll, err = r.nextColl(p, coll); err != nil {
				return err
			}
			if coll == 0 {
				break
			}
			if _, ok := r.known[coll]; ok && p != prefixSnapshot {
				continue
			}
			lo, hi := collRange(p, coll)
			if err := r.batch.DeleteRange(lo, hi, nil); err != nil {
				return err
			}
		}
	}
	if err := r.flush(pebble.Sync); err != nil {
		return err
	}
	return r.s.db.Flush()
}

// nextColl returns the first collection at or after coll with keys under a
// prefix, 0 if there is none; collection ids start at 1.
func (r *restorer) nextColl(prefix byte, coll uint32) (uint32, error) {
	it, err := r.s.db.NewIter(&pebble.IterOptions{LowerBound: collKey(prefix, coll), UpperBound: []byte{prefix + 1}})
	if err != nil {
		return 0, err
	}
	found := uint32(0)
	if it.First() && len(it.Key()) >= 5 {
		found = be.Uint32(it.Key()[1:])
	}
	return found, it.Close()
}
