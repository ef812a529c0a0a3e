package storage

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"github.com/eiderdb/eider/storage/format"
)

func saveSnapshot(t *testing.T, s *Store, coll uint32, field uint16, b string) {
	t.Helper()
	err := s.SaveSnapshot(context.Background(), coll, field, s.LSN(), func(w io.Writer) error {
		_, err := io.WriteString(w, b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func loadSnapshot(s *Store, coll uint32, field uint16) (string, error) {
	r, err := s.LoadSnapshot(coll, field)
	if err != nil {
		return "", err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	return string(b), err
}

// files lists the snapshot files of a store's directory.
func files(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, snapshotDir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestSnapshotFilesThatNothingRefersToAreDeleted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	s := open(t, dir, crashOptions(nil))
	films, numbers := create(t, s, "films"), create(t, s, "numbers")
	saveSnapshot(t, s, films, 0, "one")
	saveSnapshot(t, s, films, 0, "two")
	saveSnapshot(t, s, films, 1, "other field")
	saveSnapshot(t, s, numbers, 0, "other collection")
	if n := len(files(t, dir)); n != 3 {
		t.Fatalf("%d files of three snapshots", n)
	}
	boom := errors.New("boom")
	err := s.SaveSnapshot(context.Background(), films, 0, s.LSN(), func(w io.Writer) error { return boom })
	if n := len(files(t, dir)); !errors.Is(err, boom) || n != 3 {
		t.Fatalf("%d files after a save that failed: %v", n, err)
	}
	if err := s.DropCollection(context.Background(), numbers); err != nil {
		t.Fatal(err)
	}
	if err := s.DropSnapshot(films, 1); err != nil {
		t.Fatal(err)
	}
	if n := len(files(t, dir)); n != 1 {
		t.Fatalf("%d files of one snapshot", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	stray := filepath.Join(dir, snapshotDir, snapshotName(films, 0, 7))
	foreign := filepath.Join(dir, snapshotDir, "notes.txt")
	for _, name := range []string{stray, foreign} {
		if err := os.WriteFile(name, []byte("left by a crash"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s = open(t, dir, crashOptions(nil))
	if _, err := os.Stat(stray); !os.IsNotExist(err) {
		t.Errorf("what a crash left is still there: %v", err)
	}
	if _, err := os.Stat(foreign); err != nil {
		t.Errorf("a file that is no snapshot: %v", err)
	}
	if b, err := loadSnapshot(s, films, 0); err != nil || b != "two" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestADamagedSnapshotFileIsReportedAndReplacedByTheNextSave(t *testing.T) {
	for what, damage := range map[string]func(name string) error{
		"missing":   os.Remove,
		"truncated": func(name string) error { return os.Truncate(name, 3) },
		"longer":    func(name string) error { return os.WriteFile(name, []byte("graph and more"), 0o644) },
		"changed":   func(name string) error { return os.WriteFile(name, []byte("grape"), 0o644) },
	} {
		t.Run(what, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "store")
			s := open(t, dir, crashOptions(nil))
			c := create(t, s, "films")
			saveSnapshot(t, s, c, 0, "graph")
			if err := damage(files(t, dir)[0]); err != nil {
				t.Fatal(err)
			}
			if _, err := loadSnapshot(s, c, 0); !errors.Is(err, ErrCorrupt) && what != "changed" { // the index finds that
				t.Errorf("load: %v", err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, dir, crashOptions(nil))
			rep, err := s.Check(context.Background())
			if err != nil || len(rep.Problems) != 1 || rep.Problems[0].Kind != "snapshot" {
				t.Errorf("check: %+v, %v", rep.Problems, err)
			}
			saveSnapshot(t, s, c, 0, "graph again")
			if b, err := loadSnapshot(s, c, 0); err != nil || b != "graph again" {
				t.Errorf("after a save: %q, %v", b, err)
			}
			clean(t, s)
		})
	}
}

func TestASnapshotOfANewerVersionIsRefused(t *testing.T) {
	s := open(t, "", &Options{InMemory: true})
	c := create(t, s, "films")
	body := make([]byte, 28)
	b, err := format.AppendEnvelope(nil, format.EnvFile, 2, body)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.db.Set(snapshotChunkKey(c, 0, 1, 0), b, pebble.Sync); err != nil {
		t.Fatal(err)
	}
	if _, err := loadSnapshot(s, c, 0); !errors.Is(err, ErrVersion) {
		t.Fatal(err)
	}
}

func TestSnapshotsInChunksAreReadUntilAFileReplacesThem(t *testing.T) {
	s := open(t, "", &Options{InMemory: true})
	c := create(t, s, "films")
	whole := bytes.Repeat([]byte("0123456789abcdef"), 100_000)
	for seq := uint32(0); int(seq)*format.MaxChunk < len(whole); seq++ {
		from := int(seq) * format.MaxChunk
		to := min(from+format.MaxChunk, len(whole))
		for gen, last := range map[uint64]bool{7: to == len(whole), 8: false} {
			b, err := format.AppendChunk(nil, format.Chunk{LSN: gen, Seq: seq, Last: last, Data: whole[from:to]})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.db.Set(snapshotChunkKey(c, 0, gen, seq), b, pebble.Sync); err != nil {
				t.Fatal(err)
			}
		}
	}
	if b, err := loadSnapshot(s, c, 0); err != nil || b != string(whole) {
		t.Fatalf("%d bytes: %v", len(b), err)
	}
	r, err := s.LoadSnapshot(c, 0)
	if err != nil {
		t.Fatal(err)
	}
	part := make([]byte, 1000)
	if _, err := r.ReadAt(part, format.MaxChunk-500); err != nil || !bytes.Equal(part, whole[format.MaxChunk-500:][:1000]) || r.LSN != 7 {
		t.Errorf("across chunks: %v, LSN %d", err, r.LSN)
	}
	r.Close()
	saveSnapshot(t, s, c, 0, "file")
	if b, err := loadSnapshot(s, c, 0); err != nil || b != "file" {
		t.Fatalf("%q, %v", b, err)
	}
	if gens, err := generations(s.db, c, 0); err != nil || len(gens) != 1 {
		t.Errorf("generations %v, %v", gens, err)
	}
}

func TestAReadOnlyOpenerKeepsTheSnapshotThatItOpenedWith(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	s := open(t, dir, crashOptions(nil))
	c := create(t, s, "films")
	saveSnapshot(t, s, c, 0, "one")
	r := open(t, dir, &Options{ReadOnly: true})
	saveSnapshot(t, s, c, 0, "two")
	if b, err := loadSnapshot(r, c, 0); err != nil || b != "one" {
		t.Errorf("%q, %v", b, err)
	}
	if b, err := loadSnapshot(s, c, 0); err != nil || b != "two" {
		t.Errorf("the writer has %q, %v", b, err)
	}
	clean(t, r)
}

func TestAFullBackupHoldsSnapshotsOfItsOwn(t *testing.T) {
	ctx, tmp := context.Background(), t.TempDir()
	dir, full, more := filepath.Join(tmp, "store"), filepath.Join(tmp, "full"), filepath.Join(tmp, "more")
	s := open(t, dir, crashOptions(nil))
	c := create(t, s, "films")
	saveSnapshot(t, s, c, 0, "one")
	info, err := s.Backup(ctx, full, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(files(t, dir)[0], []byte("bad"), 0o644); err != nil {
		t.Fatal(err)
	}
	back := filepath.Join(tmp, "back")
	if _, err := Restore(ctx, back, full); err != nil {
		t.Fatal(err)
	}
	restored := open(t, back, crashOptions(nil))
	if b, err := loadSnapshot(restored, c, 0); err != nil || b != "one" {
		t.Errorf("%q, %v", b, err)
	}
	clean(t, restored)
	if _, err := s.Commit(ctx, []Op{{Kind: Put, Collection: c, ID: "a", Body: []byte("b")}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Backup(ctx, more, info.LSN); err != nil {
		t.Fatal(err)
	}
	back = filepath.Join(tmp, "back later")
	if _, err := Restore(ctx, back, full, more); err != nil {
		t.Fatal(err)
	}
	restored = open(t, back, crashOptions(nil))
	if _, err := loadSnapshot(restored, c, 0); !errors.Is(err, ErrNotFound) || len(files(t, back)) != 0 {
		t.Errorf("with an incremental backup: %v, files %v", err, files(t, back))
	}
	clean(t, restored)
}
