package storage

import (
	"errors"
	"io"
	"slices"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eiderdb/eider/internal/fault"
)

// R2: a power cut before any write operation, at any survival of unsynced
// data, leaves a store that opens and holds exactly what was acknowledged, or
// one more call; the same when the power fails again during recovery.
func TestPowerCutAtAnyWriteKeepsAcknowledgedCalls(t *testing.T) {
	seed := fault.Seed(42)
	target := fault.Size(250, 8000)
	every := int64(fault.Size(5, 1))
	cuts, compound := 0, 0
	for round := uint64(0); cuts < target; round++ {
		n, c := powerRound(t, seed+round, every, target-cuts)
		cuts, compound = cuts+n, compound+c
		if t.Failed() {
			t.Fatalf("seed %d; replay with EIDER_SEED=%d", seed+round, seed+round)
		}
	}
	t.Logf("seed %d: %d power cuts, %d of them during recovery: 0 acknowledged calls lost", seed, cuts, compound)
}

const powerWorkers = 3

// powerRound runs one workload and verifies the disk at every cut.
func powerRound(t *testing.T, seed uint64, every int64, limit int) (cuts, compound int) {
	acks := &ackLog{last: make([]uint64, powerWorkers)}
	type cut struct {
		op    int64
		state *vfs.MemFS
		acked []uint64
	}
	var taken []cut
	var before []uint64
	disk := &fault.Cutter{Disk: vfs.NewCrashableMem(), Every: every, Seed: seed}
	disk.Before = func() { before = acks.copy() }
	disk.Cut = func(op int64, state *vfs.MemFS) {
		// Other files are written while the state is taken. Where a call was
		// acknowledged meanwhile, the state may hold the one after it.
		if slices.Equal(before, acks.copy()) {
			taken = append(taken, cut{op, state, before})
		}
	}
	s, err := Open("store", crashOptions(disk.Wrap()))
	if err != nil {
		t.Fatal(err)
	}
	coll, err := scriptCollection(s)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for w := range powerWorkers {
		wg.Go(func() {
			err := script{seed, w}.play(s, coll, 0, func(n uint64) bool {
				acks.set(w, n)
				if w == 0 && n%20 == 0 {
					err := s.SaveSnapshot(t.Context(), coll, 0, n, func(w io.Writer) error {
						_, err := w.Write(make([]byte, 1000))
						return err
					})
					if err != nil {
						t.Error(err)
					}
				}
				return n < 70
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	disk.Stop()
	for i, c := range taken {
		if cuts+compound >= limit || t.Failed() {
			break
		}
		cuts++
		again := i%8 == 0
		compound += verifyCut(t, seed, c.op, c.state, c.acked, again)
	}
	return cuts + compound, compound
}

// verifyCut reopens a state, and if again cuts the power at every write of the
// recovery and reopens those states too.
func verifyCut(t *testing.T, seed uint64, op int64, state *vfs.MemFS, acked []uint64, again bool) (compound int) {
	var second []*vfs.MemFS
	var fs vfs.FS = state
	if again {
		c := &fault.Cutter{Disk: state, Every: 3, Seed: seed + uint64(op)}
		c.Cut = func(_ int64, s *vfs.MemFS) {
			if len(second) < 12 {
				second = append(second, s)
			}
		}
		fs = c.Wrap()
		defer c.Stop()
	}
	s, err := Open("store", crashOptions(fs))
	if err != nil {
		t.Errorf("seed %d, cut at operation %d: %v", seed, op, err)
		return 0
	}
	if _, err := verifyScript(s, seed, acked); err != nil {
		t.Errorf("seed %d, cut at operation %d: %v", seed, op, err)
	}
	if b, err := loadSnapshot(s, 1, 0); err != nil && !errors.Is(err, ErrNotFound) || err == nil && len(b) != 1000 {
		t.Errorf("seed %d, cut at operation %d: index snapshot of %d bytes, %v", seed, op, len(b), err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("seed %d, cut at operation %d: %v", seed, op, err)
	}
	for _, disk := range second {
		verifyCut(t, seed, op, disk, acked, false)
	}
	return len(second)
}
