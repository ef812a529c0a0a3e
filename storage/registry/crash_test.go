package registry

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eiderdb/eider/internal/fault"
	"github.com/eiderdb/eider/storage"
)

// lifeBytes is the size of the models of a life: more than a chunk.
const lifeBytes = 1100 << 10

// life is the nth step of a registry's life, which stores the model of seed n and
// promotes it. Every third step takes it from a folder, every fourth is rolled
// back; what is four steps old is deleted. dir holds the folders.
func life(ctx context.Context, r *Registry, dir string, n uint64, bytes int) error {
	m, tensors := draft(n, bytes)
	v, err := r.Put(ctx, m, tensors)
	if err != nil {
		return err
	}
	if n%3 == 0 && dir != "" {
		to := filepath.Join(dir, fmt.Sprint(n, "-", v.Version))
		if err := r.Export(ctx, fmt.Sprintf("ctr@%d", v.Version), to); err != nil {
			return err
		}
		if v, err = r.Import(ctx, to, "", nil); err != nil {
			return err
		}
		if err := os.RemoveAll(to); err != nil {
			return err
		}
	}
	if _, err := r.Promote(ctx, "ctr", v.Version, Production, Options{Gate: Gate{Metric: "auc"}}); err != nil {
		return err
	}
	if n%4 == 0 {
		if _, err := r.Rollback(ctx, "ctr", Production, Options{Note: "step"}); err != nil {
			return err
		}
	}
	all, err := r.List()
	if err != nil {
		return err
	}
	for _, old := range all[0].Versions {
		if old.Seed+4 < n {
			if err := r.Delete(ctx, "ctr", old.Version); err != nil && !errors.Is(err, ErrInUse) {
				return err
			}
		}
	}
	return nil
}

// serves are the seeds that may serve when step n was the last to be
// acknowledged: of its end, or of any moment of the next. A step that is rolled
// back may go back to itself, where it was begun before a crash as well.
func serves(n uint64) []uint64 {
	if n%4 == 0 && n > 0 {
		return []uint64{n - 1, n, n + 1}
	}
	return []uint64{n, n + 1}
}

// intact checks a registry after a crash: production serves a whole version that
// may serve after step n, everything that can be named is whole, nothing is half.
func intact(s *storage.Store, n uint64, bytes int) error {
	ctx := context.Background()
	rep, err := s.Check(ctx)
	if err != nil || !rep.OK() {
		return fmt.Errorf("check: %v %+v", err, rep.Problems)
	}
	r, err := Open(ctx, s)
	if err != nil {
		return err
	}
	if left, err := s.SweepWeights(ctx); err != nil || left != 0 {
		return fmt.Errorf("%d sets of chunks are left after the sweep: %v", left, err)
	}
	m, err := whole(ctx, r, "ctr", bytes)
	if errors.Is(err, storage.ErrNotFound) && n == 0 {
		return nil
	} else if err != nil {
		return err
	}
	if !slices.Contains(serves(n), m.Seed) {
		return fmt.Errorf("seed %d serves after step %d, want one of %v", m.Seed, n, serves(n))
	}
	all, err := r.List()
	if err != nil {
		return err
	}
	for _, v := range all[0].Versions {
		if _, err := whole(ctx, r, fmt.Sprintf("ctr@%d", v.Version), bytes); err != nil {
			return err
		}
	}
	return nil
}

// S20: killed at any moment of storing, importing, promoting, rolling back and
// deleting, the alias points to a whole version: the last acknowledged or the next.
func TestKilledProcessServesAWholeVersion(t *testing.T) {
	seed, kills := fault.Seed(1), fault.Size(25, 200)
	if testing.Short() {
		kills = 6
	}
	rng := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	acked, step := 0, uint64(0)
	for kill := range kills {
		acks, err := fault.Kill("kill", time.Duration(5+rng.IntN(600))*time.Millisecond, "EIDER_DIR="+dir, fmt.Sprint("EIDER_STEP=", step))
		if err != nil {
			t.Fatalf("kill %d of seed %d: %v", kill, seed, err)
		}
		for _, a := range acks {
			step = max(step, a.Count)
		}
		acked += len(acks) - 1 // the first says that it has begun
		s, err := storage.Open(filepath.Join(dir, "store"), options(nil))
		if err != nil {
			t.Fatalf("kill %d of seed %d: %v", kill, seed, err)
		}
		if err := intact(s, step, lifeBytes); err != nil {
			t.Fatalf("kill %d of seed %d: %v", kill, seed, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if acked < kills/8 && !testing.Short() {
		t.Errorf("%d steps in %d kills: that tests too little", acked, kills)
	}
	t.Logf("seed %d: %d kills, %d steps acknowledged: the alias always pointed to a whole version", seed, kills, acked)
}

// killChild lives until it is killed; two readers load what serves meanwhile.
func killChild() {
	die := func(err error) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	dir, n := os.Getenv("EIDER_DIR"), uint64(0)
	if _, err := fmt.Sscan(os.Getenv("EIDER_STEP"), &n); err != nil {
		die(err)
	}
	s, err := storage.Open(filepath.Join(dir, "store"), options(nil))
	if err != nil {
		die(err)
	}
	ctx := context.Background()
	r, err := Open(ctx, s)
	if err != nil {
		die(err)
	}
	reply := fault.Reply()
	reply.Send(fault.Ack{Count: n})
	go func() {
		for {
			if _, err := whole(ctx, r, "ctr", lifeBytes); err != nil && !errors.Is(err, storage.ErrNotFound) {
				die(err)
			}
		}
	}()
	for {
		n++
		if err := life(ctx, r, dir, n, lifeBytes); err != nil {
			die(err)
		}
		reply.Send(fault.Ack{Count: n})
	}
}

// A power cut before any write operation, whatever survives of what was not
// synced, leaves a registry whose alias points to a whole version.
func TestPowerCutServesAWholeVersion(t *testing.T) {
	seed := fault.Seed(42)
	cuts := 0
	for round := uint64(0); cuts < fault.Size(60, 1000); round++ {
		cuts += cutLife(t, seed+round)
		if t.Failed() {
			t.Fatalf("replay with EIDER_SEED=%d", seed+round)
		}
	}
	t.Logf("seed %d: %d power cuts", seed, cuts)
}

func cutLife(t *testing.T, seed uint64) int {
	const bytes = 40 << 10
	type cut struct {
		state *vfs.MemFS
		acked uint64
	}
	var mu sync.Mutex
	var taken []cut
	acked := uint64(0)
	disk := &fault.Cutter{Disk: vfs.NewCrashableMem(), Every: 7, Seed: seed}
	before := uint64(0)
	disk.Before = func() {
		mu.Lock()
		defer mu.Unlock()
		before = acked
	}
	disk.Cut = func(_ int64, state *vfs.MemFS) {
		mu.Lock()
		defer mu.Unlock()
		if before == acked {
			taken = append(taken, cut{state, acked})
		}
	}
	s, err := storage.Open("store", options(disk.Wrap()))
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	for n := uint64(1); n <= 12; n++ {
		if err := life(t.Context(), r, "", n, bytes); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		acked = n
		mu.Unlock()
	}
	disk.Stop()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	for _, c := range taken {
		s, err := storage.Open("store", options(c.state))
		if err != nil {
			t.Fatalf("seed %d after step %d: %v", seed, c.acked, err)
		}
		if err := intact(s, c.acked, bytes); err != nil {
			t.Errorf("seed %d after step %d: %v", seed, c.acked, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	return len(taken)
}
