package storage

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eiderdb/eider/storage/format"
)

func TestPatchesOfOneDocumentByManyWritersLoseNoUpdate(t *testing.T) {
	s := open(t, "store", crashOptions(vfs.NewMem()))
	c := create(t, s, "films")
	commit(t, s, Op{Kind: Put, Collection: c, ID: "a", Body: body(t, "x", 0)})
	const writers, each = 32, 40
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range each {
				commit(t, s, Op{Kind: Patch, Collection: c, ID: "a", Patch: func(old *Record) (Update, error) {
					n, _ := format.Lookup(old.Body, "n")
					return Update{Body: body(t, "x", n.Int64()+1)}, nil
				}})
			}
		})
	}
	wg.Wait()
	rec, err := acquire1(t, s).Get(c, "a")
	if err != nil {
		t.Fatal(err)
	}
	if n, _ := format.Lookup(rec.Body, "n"); n.Int64() != writers*each {
		t.Errorf("counted %d, want %d", n.Int64(), writers*each)
	}
	if acquire1(t, s).LSN() != 2+writers*each {
		t.Errorf("LSN %d", acquire1(t, s).LSN())
	}
	clean(t, s)
}

func TestOrdIsNotReusedWhileAViewOrTheIndexCanSeeIt(t *testing.T) {
	allow := uint64(math.MaxUint64)
	o := &Options{InMemory: true, Recycle: func(oldest uint64) uint64 { return min(oldest, allow) }}
	s := open(t, "", o)
	c := create(t, s, "films")
	put := func(id string) uint32 {
		return commit(t, s, Op{Kind: Put, Collection: c, ID: id, Body: body(t, "x", 1)}).Ops[0].Ord
	}
	first := put("a")
	v, err := s.Acquire()
	if err != nil {
		t.Fatal(err)
	}
	commit(t, s, Op{Kind: Delete, Collection: c, ID: "a"})
	for i := range 5 {
		if put(fmt.Sprint("held", i)) == first {
			t.Fatal("an ord was reused under a view that sees its old version")
		}
	}
	allow = v.LSN()
	v.Release()
	if put("index") == first {
		t.Fatal("an ord was reused before Options.Recycle agreed")
	}
	allow = math.MaxUint64
	if got := put("free"); got != first {
		t.Errorf("ord %d after everybody let go, want %d back", got, first)
	}
}

func TestExpiredDocumentCountsAsAbsent(t *testing.T) {
	now := time.Unix(1000, 0)
	s := open(t, "", &Options{InMemory: true, Now: func() time.Time { return now }})
	c := create(t, s, "films")
	at := now.Add(time.Second).UnixNano()
	put := Op{Kind: Put, Collection: c, ID: "a", Body: body(t, "x", 1), ExpireAt: at, If: Absent}
	commit(t, s, put)
	if _, err := s.Commit(t.Context(), []Op{put}); !errors.Is(err, ErrExists) {
		t.Fatalf("before the expiry: %v", err)
	}
	now = now.Add(time.Second)
	v := acquire1(t, s)
	if bm, err := v.Expired(c, now.UnixNano()); err != nil || bm.GetCardinality() != 1 {
		t.Fatalf("expired %v, %v", bm, err)
	}
	if bm, err := v.Expired(c, now.UnixNano()-1); err != nil || !bm.IsEmpty() {
		t.Fatalf("expired too early: %v, %v", bm, err)
	}
	if _, err := s.Commit(t.Context(), []Op{{Kind: Put, Collection: c, ID: "a", If: Exists}}); !errors.Is(err, ErrNotFound) {
		t.Fatalf("after the expiry: %v", err)
	}
	put.ExpireAt = 0
	if r := commit(t, s, put); r.Ops[0].Existed {
		t.Errorf("an expired document existed: %+v", r)
	}
	clean(t, s)
}

func TestApplySeesEveryChangeInOrderBeforeItIsVisible(t *testing.T) {
	var s *Store
	var lsns []uint64
	var changes []Change
	o := &Options{InMemory: true, Apply: func(lsn uint64, cs []Change) {
		if s != nil && s.LSN() >= lsn {
			t.Errorf("LSN %d is visible before Apply", lsn)
		}
		lsns = append(lsns, lsn)
		for _, c := range cs {
			c.Body = slices.Clone(c.Body)
			changes = append(changes, c)
		}
	}}
	s = open(t, "", o)
	c := create(t, s, "films")
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 20 {
				commit(t, s, Op{Kind: Put, Collection: c, ID: fmt.Sprint(w), Body: body(t, "x", int64(i)), Vectors: vector(1, uint32(i))})
			}
		})
	}
	wg.Wait()
	for i, lsn := range lsns {
		if lsn != uint64(i)+1 {
			t.Fatalf("LSN %d came as number %d", lsn, i+1)
		}
	}
	alive := map[uint32]bool{}
	for _, ch := range changes[1:] {
		if ch.HasOld {
			if !alive[ch.OldOrd] {
				t.Fatalf("ord %d died without being born", ch.OldOrd)
			}
			delete(alive, ch.OldOrd)
		}
		if alive[ch.Ord] || len(ch.Vectors) != 1 || ch.LSN == 0 {
			t.Fatalf("change %+v", ch)
		}
		alive[ch.Ord] = true
	}
	v := acquire1(t, s)
	for ord := range alive {
		if !v.Live(c).Contains(ord) {
			t.Errorf("ord %d is alive by Apply, not by the view", ord)
		}
	}
}

func TestCanceledCommitIsAbsentOrUnknown(t *testing.T) {
	block, entered := make(chan struct{}), make(chan struct{}, 8)
	s := open(t, "", &Options{InMemory: true})
	c := create(t, s, "films")
	slow := Op{Kind: Patch, Collection: c, ID: "slow", Patch: func(*Record) (Update, error) {
		entered <- struct{}{}
		<-block
		return Update{Body: body(t, "x", 1)}, nil
	}}
	ctx, cancel := context.WithCancel(t.Context())
	var taken, queued error
	var wg sync.WaitGroup
	wg.Go(func() { _, taken = s.Commit(ctx, []Op{slow}) })
	<-entered
	wg.Go(func() {
		_, queued = s.Commit(ctx, []Op{{Kind: Put, Collection: c, ID: "queued", Body: body(t, "x", 1)}})
	})
	for len(waiting(s)) == 0 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	wg.Wait()
	close(block)
	if !errors.Is(taken, ErrUnknown) || !errors.Is(taken, context.Canceled) {
		t.Errorf("call in a group: %v", taken)
	}
	if !errors.Is(queued, context.Canceled) || errors.Is(queued, ErrUnknown) {
		t.Errorf("call in the queue: %v", queued)
	}
	commit(t, s, Op{Kind: Put, Collection: c, ID: "after", Body: body(t, "x", 1)})
	if _, _, ok, err := acquire1(t, s).Lookup(c, "queued"); ok || err != nil {
		t.Errorf("a call that left the queue was applied: %v", err)
	}
}

func waiting(s *Store) []*call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.waiting)
}

func TestChangesGiveTheNewestStateAndSayWhatTheySkip(t *testing.T) {
	s := open(t, "", &Options{InMemory: true})
	c := create(t, s, "films")
	start := s.LSN()
	commit(t, s, Op{Kind: Put, Collection: c, ID: "a", Body: body(t, "x", 1)})
	commit(t, s, Op{Kind: Put, Collection: c, ID: "a", Body: body(t, "x", 2), Vectors: vector(1, 9)},
		Op{Kind: Put, Collection: c, ID: "b", Body: body(t, "x", 3)})
	commit(t, s, Op{Kind: Delete, Collection: c, ID: "b"})
	var got []string
	for ch, err := range acquire1(t, s).Changes(t.Context(), start) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%d %v %s superseded=%v vectors=%d", ch.LSN, ch.Op, ch.ID, ch.Superseded, len(ch.Vectors)))
	}
	want := []string{"2 put a superseded=true vectors=0", "3 put a superseded=false vectors=1", "3 put b superseded=true vectors=0", "4 delete b superseded=false vectors=0"}
	if !slices.Equal(got, want) {
		t.Errorf("changes %q, want %q", got, want)
	}
	if err := s.TrimChanges(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	for _, err := range acquire1(t, s).Changes(t.Context(), 1) {
		if !errors.Is(err, ErrTrimmed) {
			t.Errorf("trimmed changes: %v", err)
		}
	}
	clean(t, s)
}

func TestWaitReturnsWhenALaterWriteIsVisible(t *testing.T) {
	s := open(t, "", &Options{InMemory: true})
	c := create(t, s, "films")
	done := make(chan error, 1)
	go func() {
		lsn, err := s.Wait(t.Context(), 1)
		if err == nil && lsn != 2 {
			err = fmt.Errorf("LSN %d", lsn)
		}
		done <- err
	}()
	commit(t, s, Op{Kind: Put, Collection: c, ID: "a"})
	if err := <-done; err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Wait(ctx, 99); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestCloseUnderLoadIsIdempotentAndLosesNothingAcknowledged(t *testing.T) {
	fs := vfs.NewMem()
	s, err := Open("store", crashOptions(fs))
	if err != nil {
		t.Fatal(err)
	}
	c := create(t, s, "films")
	acked := make([]int, 8)
	var wg sync.WaitGroup
	for w := range acked {
		wg.Go(func() {
			for i := 1; ; i++ {
				_, err := s.Commit(context.Background(), []Op{{Kind: Put, Collection: c, ID: fmt.Sprintf("%d-%d", w, i), Body: body(t, "x", 1)}})
				if errors.Is(err, ErrClosed) {
					return
				} else if err != nil {
					t.Error(err)
					return
				}
				acked[w] = i
			}
		})
	}
	for s.LSN() < 50 {
		time.Sleep(time.Millisecond)
	}
	for range 3 {
		wg.Go(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if _, err := s.Acquire(); !errors.Is(err, ErrClosed) {
		t.Errorf("view of a closed store: %v", err)
	}
	back := open(t, "store", crashOptions(fs))
	total := 0
	for w, n := range acked {
		total += n
		for i := 1; i <= n; i++ {
			if _, _, ok, err := acquire1(t, back).Lookup(c, fmt.Sprintf("%d-%d", w, i)); !ok || err != nil {
				t.Fatalf("acknowledged document %d-%d is gone: %v", w, i, err)
			}
		}
	}
	if n := acquire1(t, back).Count(c); n != total {
		t.Errorf("%d documents, %d were acknowledged", n, total)
	}
}

func TestAliasMovesWithoutAMomentOfNeither(t *testing.T) {
	s := open(t, "", &Options{InMemory: true})
	a, b := create(t, s, "a"), create(t, s, "b")
	ctx := t.Context()
	if err := s.SetAliases(ctx, Alias{Name: "now", Collection: a}); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []struct {
		alias Alias
		want  error
	}{{Alias{Name: "b", Collection: a}, ErrExists}, {Alias{Name: "x", Collection: 99}, ErrNotFound}, {Alias{Name: "x", Remove: true}, ErrNotFound}, {Alias{Name: "../x", Collection: a}, ErrValue}} {
		if err := s.SetAliases(ctx, Alias{Name: "now", Collection: b}, bad.alias); !errors.Is(err, bad.want) {
			t.Errorf("%+v: %v", bad.alias, err)
		}
	}
	if c, ok := acquire1(t, s).Collection("now"); !ok || c.ID != a {
		t.Errorf("a refused change moved the alias to %+v", c)
	}
	if err := s.SetAliases(ctx, Alias{Name: "now", Collection: b}); err != nil {
		t.Fatal(err)
	}
	if c, ok := acquire1(t, s).Collection("now"); !ok || c.ID != b {
		t.Errorf("alias is at %+v", c)
	}
	if err := s.DropCollection(ctx, b); err != nil {
		t.Fatal(err)
	}
	if _, ok := acquire1(t, s).Collection("now"); ok {
		t.Error("alias outlived its collection")
	}
	clean(t, s)
}

func TestTermsComeInOrderBothWaysWithExactDocuments(t *testing.T) {
	s := open(t, "", &Options{InMemory: true})
	c := create(t, s, "films")
	var ops []Op
	for i := range 200 {
		ops = append(ops, Op{Kind: Put, Collection: c, ID: fmt.Sprint(i), Body: body(t, "x", int64(i%20-10))})
	}
	commit(t, s, ops...)
	v := acquire1(t, s)
	for _, down := range []bool{false, true} {
		var got []int64
		q := TermScan{Lo: key(t, format.Int64(-3)), Hi: key(t, format.Int64(4)), LoIncl: true, Descending: down}
		err := v.Terms(t.Context(), c, 2, q, func(k []byte, bm *roaring.Bitmap) bool {
			val, err := format.ParseKey(k)
			if err != nil || bm.GetCardinality() != 10 {
				t.Errorf("key %x: %v, %v", k, bm, err)
			}
			got = append(got, val.Int64())
			return len(got) < 5
		})
		want := []int64{-3, -2, -1, 0, 1}
		if down {
			want = []int64{3, 2, 1, 0, -1}
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("descending %v: %v, want %v; %v", down, got, want, err)
		}
	}
}
