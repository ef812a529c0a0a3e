package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"github.com/eiderdb/eider/storage/format"
)

// schemaTerms indexes "tag" always and "n" once the schema says so.
func schemaTerms(c Collection) (Terms, error) {
	all, err := testTerms(c)
	return func(dst []Term, body []byte) []Term {
		dst = all(dst, body)
		if string(c.Schema) != "tag n" {
			dst = dst[:1]
		}
		return dst
	}, err
}

func TestBackfillUnderWritesFindsEveryDocumentExactlyOnce(t *testing.T) {
	s := open(t, "", &Options{InMemory: true, Compile: schemaTerms})
	c := create(t, s, "films")
	ctx := context.Background()
	put := func(i int) {
		commit(t, s, Op{Kind: Put, Collection: c, ID: fmt.Sprint(i), Body: body(t, "x", int64(i%7))})
	}
	for i := range 5000 {
		put(i)
	}
	if _, err := s.SetSchema(ctx, c, 0, []byte("tag n")); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		r := rand.New(rand.NewPCG(1, 2))
		for range 500 {
			put(r.IntN(6000))
			commit(t, s, Op{Kind: Delete, Collection: c, ID: fmt.Sprint(r.IntN(6000))})
		}
	})
	if err := s.Backfill(ctx, c, 2, nil); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	v := acquire1(t, s)
	all, err := v.TermRange(c, 2, nil, nil, false, false)
	if err != nil {
		t.Fatal(err)
	}
	if !all.Equals(v.Live(c)) {
		t.Fatalf("index has %d documents, %d are live", all.GetCardinality(), v.Count(c))
	}
	if err := s.DropIndex(ctx, c, 2); err != nil {
		t.Fatal(err)
	}
	if all, err = acquire1(t, s).TermRange(c, 2, nil, nil, false, false); err != nil || !all.IsEmpty() {
		t.Fatalf("dropped index still has %v, %v", all, err)
	}
	if err := s.Rebuild(ctx, c, nil); err != nil {
		t.Fatal(err)
	}
	v = acquire1(t, s)
	if all, err = v.TermRange(c, 2, nil, nil, false, false); err != nil || !all.Equals(v.Live(c)) {
		t.Fatalf("rebuilt index: %v, %v", all, err)
	}
}

func TestSnapshotOfAFailedSaveLeavesTheOneBefore(t *testing.T) {
	s := open(t, "", &Options{InMemory: true})
	c := create(t, s, "films")
	ctx := context.Background()
	first := bytes.Repeat([]byte("0123456789abcdef"), 200_000)
	save := func(lsn uint64, b []byte, fail error) error {
		return s.SaveSnapshot(ctx, c, 3, lsn, func(w io.Writer) error {
			_, err := w.Write(b)
			return errors.Join(err, fail)
		})
	}
	if err := save(1, first, nil); err != nil {
		t.Fatal(err)
	}
	boom := errors.New("boom")
	if err := save(2, first[:3<<20], boom); !errors.Is(err, boom) {
		t.Fatal(err)
	}
	load := func() ([]byte, uint64, error) {
		r, err := s.LoadSnapshot(c, 3)
		if err != nil {
			return nil, 0, err
		}
		defer r.Close()
		b, err := io.ReadAll(r)
		return b, r.LSN, err
	}
	if b, lsn, err := load(); err != nil || lsn != 1 || !bytes.Equal(b, first) {
		t.Fatalf("%d bytes at LSN %d: %v", len(b), lsn, err)
	}
	if err := save(2, []byte("second"), nil); err != nil {
		t.Fatal(err)
	}
	if b, lsn, err := load(); err != nil || lsn != 2 || string(b) != "second" {
		t.Fatalf("%q at LSN %d: %v", b, lsn, err)
	}
	chunk, err := format.AppendChunk(nil, format.Chunk{LSN: 2, Last: true, Data: []byte("sEcond")})
	if err != nil {
		t.Fatal(err)
	}
	chunk[20] ^= 1
	gens, err := generations(s.db, c, 3)
	if err != nil || len(gens) != 1 {
		t.Fatalf("generations %v, %v", gens, err)
	}
	if err := s.db.Set(snapshotChunkKey(c, 3, gens[0], 0), chunk, pebble.Sync); err != nil {
		t.Fatal(err)
	}
	if _, _, err := load(); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("damaged snapshot: %v", err)
	}
	if err := save(5, []byte("third"), nil); err != nil {
		t.Fatal(err)
	}
	if b, lsn, err := load(); err != nil || lsn != 5 || string(b) != "third" {
		t.Fatalf("after damage: %q at LSN %d: %v", b, lsn, err)
	}
	if err := s.DropSnapshot(c, 3); err != nil {
		t.Fatal(err)
	}
	if _, _, err := load(); !errors.Is(err, ErrNotFound) {
		t.Fatalf("dropped snapshot: %v", err)
	}
}
