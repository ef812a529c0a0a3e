package storage

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/eiderdb/eider/storage/format"
)

// dump renders everything a reader can see of a store.
func dump(tb testing.TB, s *Store) map[string]string {
	tb.Helper()
	v, err := s.Acquire()
	if err != nil {
		tb.Fatal(err)
	}
	defer v.Release()
	out := map[string]string{"lsn": fmt.Sprint(v.LSN()), "aliases": fmt.Sprint(v.Aliases())}
	for _, c := range v.Collections() {
		out["collection "+c.Name] = fmt.Sprint(c.ID, c.Kind, string(c.Schema), c.Created, c.Version, v.Count(c.ID))
		err := v.ScanIDs(c.ID, "", func(id string, ord uint32, version uint64) bool {
			rec, err := v.Record(c.ID, ord)
			if err != nil {
				tb.Fatal(err)
			}
			text := fmt.Sprintf("%d %d %x", version, rec.ExpireAt, rec.Body)
			for _, f := range rec.Fields {
				b, err := rec.Vector(f, nil)
				if err != nil {
					tb.Fatal(err)
				}
				text += fmt.Sprintf(" %d:%x", f, b)
			}
			out[c.Name+"/"+id] = text
			return true
		})
		if err != nil {
			tb.Fatal(err)
		}
	}
	events := map[string]int{}
	err = v.Events(context.Background(), AllEvents, func(e Event) bool {
		events[e.User]++
		out[fmt.Sprintf("event %s/%d", e.User, events[e.User])] = fmt.Sprintf("%d %d %d %s %s %s %v %s", e.Time, e.LSN, e.Seq, e.Item, e.Type, e.ID, e.Value, e.Context)
		return true
	})
	if err != nil {
		tb.Fatal(err)
	}
	err = v.Settings("", func(name string, value []byte) bool {
		out["setting "+name] = string(value)
		return true
	})
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

func same(tb testing.TB, got, want map[string]string) {
	tb.Helper()
	for k, w := range want {
		if got[k] != w {
			tb.Errorf("%s: got %.120q, want %.120q", k, got[k], w)
		}
	}
	for k := range got {
		if _, ok := want[k]; !ok {
			tb.Errorf("%s: should not be there", k)
		}
	}
}

func clean(tb testing.TB, s *Store) {
	tb.Helper()
	r, err := s.Check(context.Background())
	if err != nil {
		tb.Fatal(err)
	}
	for _, p := range r.Problems {
		tb.Errorf("check: %+v", p)
	}
}

// churn writes, rewrites and deletes documents from a seed.
func churn(tb testing.TB, s *Store, coll uint32, r *rand.Rand, n int) {
	tb.Helper()
	for range n {
		op := Op{Kind: Put, Collection: coll, ID: fmt.Sprint(r.IntN(300)), Body: body(tb, fmt.Sprint(r.IntN(5)), r.Int64N(50)), Vectors: vector(r.IntN(3), r.Uint32())}
		switch r.IntN(10) {
		case 0, 1, 2:
			op = Op{Kind: Delete, Collection: coll, ID: op.ID}
		case 3:
			op.ExpireAt = 1 + r.Int64N(1<<40)
		case 4:
			op = Op{Kind: Set, Name: op.ID, Body: []byte(op.ID)}
		}
		commit(tb, s, op)
	}
}

func TestRestoredBackupsEqualTheStoreTheyWereMadeOf(t *testing.T) {
	const seed = 7
	r := rand.New(rand.NewPCG(seed, seed))
	ctx, dir := context.Background(), t.TempDir()
	s := open(t, filepath.Join(dir, "db"), &Options{MemoryTable: 64 << 10})
	c, gone := create(t, s, "films"), create(t, s, "gone")
	churn(t, s, c, r, 400)
	churn(t, s, gone, r, 50)
	full, err := s.Backup(ctx, filepath.Join(dir, "full"), 0)
	if err != nil {
		t.Fatal(err)
	}
	wantFull := dump(t, s)
	churn(t, s, c, r, 300)
	one, err := s.Backup(ctx, filepath.Join(dir, "one"), full.LSN)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.DropCollection(ctx, gone); err != nil {
		t.Fatal(err)
	}
	late := create(t, s, "late")
	if err := s.SetAliases(ctx, Alias{Name: "now", Collection: late}); err != nil {
		t.Fatal(err)
	}
	if err := s.DropVector(ctx, c, 1); err != nil {
		t.Fatal(err)
	}
	commit(t, s, Op{Kind: Put, Collection: late, ID: "x", Body: body(t, "x", 1), Vectors: vector(1, 2)})
	if _, err := s.Backup(ctx, filepath.Join(dir, "two"), one.LSN); err != nil {
		t.Fatal(err)
	}
	wantTwo := dump(t, s)
	for name, chain := range map[string][]string{"a": {"full"}, "b": {"full", "one", "two"}} {
		paths := []string{}
		for _, b := range chain {
			paths = append(paths, filepath.Join(dir, b))
		}
		target := filepath.Join(dir, name)
		if _, err := Restore(ctx, target, paths...); err != nil {
			t.Fatal(err)
		}
		back := open(t, target, nil)
		clean(t, back)
		if name == "a" {
			same(t, dump(t, back), wantFull)
			continue
		}
		same(t, dump(t, back), wantTwo)
		got, err := acquire1(t, back).Term(c, 1, key(t, format.String("3")))
		if err != nil {
			t.Fatal(err)
		}
		want, err := acquire1(t, s).Term(c, 1, key(t, format.String("3")))
		if err != nil || !got.Equals(want) {
			t.Fatalf("postings %v, want %v (%v)", got, want, err)
		}
	}
	for what, chain := range map[string][]string{"missing link": {"full", "two"}, "no full": {"one"}, "two full": {"full", "full"}} {
		paths := []string{}
		for _, b := range chain {
			paths = append(paths, filepath.Join(dir, b))
		}
		if _, err := Restore(ctx, filepath.Join(dir, "bad"), paths...); !errors.Is(err, ErrValue) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := Restore(ctx, filepath.Join(dir, "a"), paths(dir, "full")...); !errors.Is(err, ErrExists) {
		t.Errorf("restore over a store: %v", err)
	}
}

func paths(dir string, names ...string) []string {
	for i := range names {
		names[i] = filepath.Join(dir, names[i])
	}
	return names
}

func TestRestoreOfADamagedBackupLeavesNoTarget(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	s := open(t, filepath.Join(dir, "db"), nil)
	c := create(t, s, "films")
	churn(t, s, c, rand.New(rand.NewPCG(1, 1)), 50)
	if _, err := s.Backup(ctx, filepath.Join(dir, "full"), 0); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(filepath.Join(dir, "full"), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		whole, err := os.ReadFile(path)
		if err != nil || len(whole) == 0 {
			return err
		}
		// Break hard links first, or the damage reaches the store itself.
		bad := append([]byte(nil), whole...)
		bad[len(bad)/2] ^= 4
		replace := func(b []byte) error {
			return errors.Join(os.Remove(path), os.WriteFile(path, b, 0o644))
		}
		if err := replace(bad); err != nil {
			return err
		}
		if _, err := Restore(ctx, filepath.Join(dir, "target"), filepath.Join(dir, "full")); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s flipped: %v", filepath.Base(path), err)
		}
		if _, err := os.Stat(filepath.Join(dir, "target")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s flipped: target exists: %v", filepath.Base(path), err)
		}
		return replace(whole)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestBackupUnderWritersIsAnExactPrefix(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	s := open(t, filepath.Join(dir, "db"), &Options{MemoryTable: 256 << 10})
	c := create(t, s, "films")
	rounds := 3
	if soak() {
		rounds = 20
	}
	for round := range rounds {
		stop := make(chan struct{})
		var mu sync.Mutex
		ids := map[string]uint64{} // id -> LSN of its only write
		var wg sync.WaitGroup
		for w := range 64 {
			wg.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					default:
					}
					id := fmt.Sprintf("%d-%d-%d", round, w, i)
					r := commit(t, s, Op{Kind: Put, Collection: c, ID: id, Body: body(t, "x", int64(i)), Vectors: vector(1, uint32(i))})
					mu.Lock()
					ids[id] = r.LSN
					mu.Unlock()
				}
			})
		}
		name := filepath.Join(dir, fmt.Sprint("b", round))
		info, err := s.Backup(ctx, name, 0)
		close(stop)
		wg.Wait()
		if err != nil {
			t.Fatal(err)
		}
		target := filepath.Join(dir, fmt.Sprint("r", round))
		if _, err := Restore(ctx, target, name); err != nil {
			t.Fatal(err)
		}
		back := open(t, target, nil)
		clean(t, back)
		v := acquire1(t, back)
		if v.LSN() != info.LSN {
			t.Fatalf("restored LSN %d, backup says %d", v.LSN(), info.LSN)
		}
		for id, lsn := range ids {
			_, version, ok, err := v.Lookup(c, id)
			if err != nil || ok != (lsn <= info.LSN) || ok && version != lsn {
				t.Fatalf("id %s of LSN %d in a backup of LSN %d: present %v, version %d, %v", id, lsn, info.LSN, ok, version, err)
			}
		}
	}
}

// soak reports whether the suites run at full size.
func soak() bool { return os.Getenv("EIDER_SOAK") == "1" }

func TestBackupOfAnInMemoryStoreRestoresOnDisk(t *testing.T) {
	dir := t.TempDir()
	s := open(t, "", &Options{InMemory: true})
	c := create(t, s, "films")
	churn(t, s, c, rand.New(rand.NewPCG(2, 2)), 100)
	if _, err := s.Backup(t.Context(), filepath.Join(dir, "b"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(t.Context(), filepath.Join(dir, "r"), filepath.Join(dir, "b")); err != nil {
		t.Fatal(err)
	}
	back := open(t, filepath.Join(dir, "r"), nil)
	clean(t, back)
	same(t, dump(t, back), dump(t, s))
}

func TestManifestThatPointsOutsideItsBackupIsRefused(t *testing.T) {
	for _, name := range []string{"../x", "/etc/x", "a/../../x", "..", "c:x", "a\\b", "a//b", "a\x00b", ""} {
		m := format.Manifest{Version: 1, Store: "00112233445566778899aabbccddeeff", Format: 1, Files: []format.ManifestFile{{Name: name, SHA256: fmt.Sprintf("%064d", 0)}}}
		b, err := format.EncodeManifest(m)
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "manifest.json"), b, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Restore(t.Context(), filepath.Join(t.TempDir(), "r"), dir); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%q: %v", name, err)
		}
	}
}
