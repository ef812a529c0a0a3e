package storage

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eiderdb/eider/internal/fault"
)

// An eventScript is what one worker does with users of its own: call n is a
// function of (seed, worker, n), as in script. Events before 1970 may be deleted
// at any time by a sweep beside it, so only the others are compared.
type eventScript struct {
	seed   uint64
	worker int
}

// call returns what call n does: a user to erase, or events to append.
func (s eventScript) call(n uint64) (erase string, events []Event) {
	rng := rand.New(rand.NewPCG(s.seed^uint64(s.worker)<<32, n))
	user := fmt.Sprintf("%d-%d", s.worker, rng.IntN(4))
	// One user of every worker is changed by every call, so that no call is empty.
	head := fmt.Sprintf("%d-head", s.worker)
	events = append(events, event(head, fmt.Sprint(n), int64(n), fmt.Sprint(n)))
	if rng.IntN(6) == 0 {
		return user, events
	}
	for range 1 + rng.IntN(3) {
		id := fmt.Sprint(rng.IntN(40))
		events = append(events, event(user, fmt.Sprint(n), int64(rng.IntN(9)), id), event(user, fmt.Sprint(n), -1-int64(n%5), ""))
	}
	return "", events
}

// model replays calls 1..n. Places in the log are not known to it.
func (s eventScript) model(m map[string]string, from, to uint64) {
	for n := from; n <= to; n++ {
		erase, events := s.call(n)
		maps.DeleteFunc(m, func(k, _ string) bool { return erase != "" && strings.HasPrefix(k, erase+"/") })
		for _, e := range events {
			if k := e.User + "/" + e.ID; e.Time >= 0 && m[k] == "" {
				m[k] = fmt.Sprint(e.Item, " ", e.Time)
			}
		}
	}
}

// play runs the script from after call n. A call that erases is two of the log,
// the erasure first, so a crash between leaves the state in the middle; the head's
// event then says that the call was not finished, and it is done again.
func (s eventScript) play(st *Store, n uint64, acked func(uint64) bool) error {
	for {
		n++
		erase, events := s.call(n)
		if erase != "" {
			if _, err := st.EraseUser(context.Background(), erase); err != nil {
				return err
			}
		}
		if _, err := st.AppendEvents(context.Background(), events); err != nil {
			return err
		}
		if !acked(n) {
			return nil
		}
	}
}

// verifyEvents checks a reopened store against the scripts and returns the calls
// that it holds.
func verifyEvents(s *Store, seed uint64, acked []uint64) ([]uint64, error) {
	if rep, err := s.Check(context.Background()); err != nil || !rep.OK() {
		return nil, fmt.Errorf("check: %+v, %v", rep.Problems, err)
	}
	if _, err := s.RetainEvents(context.Background(), 0); err != nil {
		return nil, err
	}
	v, err := s.Acquire()
	if err != nil {
		return nil, err
	}
	defer v.Release()
	got := make([]map[string]string, len(acked))
	for i := range got {
		got[i] = map[string]string{}
	}
	err = v.Events(context.Background(), AllEvents, func(e Event) bool {
		worker := 0
		fmt.Sscan(e.User, &worker)
		got[worker][e.User+"/"+e.ID] = fmt.Sprint(e.Item, " ", e.Time)
		return true
	})
	if err != nil {
		return nil, err
	}
	held := make([]uint64, len(acked))
	for w, n := range acked {
		sc := eventScript{seed, w}
		m := map[string]string{}
		sc.model(m, 1, n)
		erase, _ := sc.call(n + 1)
		half := maps.Clone(m) // the erasure of the next call, without its events
		maps.DeleteFunc(half, func(k, _ string) bool { return erase != "" && strings.HasPrefix(k, erase+"/") })
		if !maps.Equal(got[w], m) && !maps.Equal(got[w], half) {
			sc.model(m, n+1, n+1)
			n++
			if !maps.Equal(got[w], m) {
				return nil, fmt.Errorf("worker %d: the store holds neither call %d's state nor %d's: %v, want %v", w, n-1, n, got[w], m)
			}
		}
		held[w] = n
	}
	return held, nil
}

const eventWorkers = 4

// A process killed while events are appended, users erased and old events deleted
// loses no acknowledged call, brings no erased user back and keeps the counts.
func TestKilledProcessKeepsAcknowledgedEventsAndErasures(t *testing.T) {
	seed, kills := fault.Seed(3), fault.Size(20, 500)
	rng := rand.New(rand.NewPCG(seed, 7))
	dir := filepath.Join(t.TempDir(), "store")
	held := make([]uint64, eventWorkers)
	acked, generation := 0, seed
	for kill := range kills {
		if kill%50 == 49 {
			dir, held, generation = filepath.Join(t.TempDir(), "store"), make([]uint64, eventWorkers), generation+1
		}
		acks, err := fault.Kill("events", time.Duration(5+rng.IntN(60))*time.Millisecond, "EIDER_DIR="+dir, fmt.Sprint("EIDER_GENERATION=", generation), "EIDER_HELD="+fmt.Sprint(held))
		if err != nil {
			t.Fatalf("kill %d: %v", kill, err)
		}
		for _, a := range acks {
			held[a.Worker] = a.Count
		}
		acked += len(acks)
		s, err := Open(dir, crashOptions(nil))
		if err != nil {
			t.Fatalf("kill %d: %v", kill, err)
		}
		if held, err = verifyEvents(s, generation, held); err != nil {
			t.Fatalf("kill %d of seed %d: %v", kill, seed, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("seed %d: %d kills, %d acknowledged calls: 0 lost, 0 torn, 0 resurrected", seed, kills, acked)
}

// eventsChild appends and erases until it is killed, and sweeps beside it.
func eventsChild() {
	die := func(err error) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	var seed uint64
	held := make([]uint64, eventWorkers)
	if _, err := fmt.Sscan(os.Getenv("EIDER_GENERATION"), &seed); err != nil {
		die(err)
	}
	for i, f := range strings.Fields(strings.Trim(os.Getenv("EIDER_HELD"), "[]")) {
		if _, err := fmt.Sscan(f, &held[i]); err != nil {
			die(err)
		}
	}
	s, err := Open(os.Getenv("EIDER_DIR"), crashOptions(nil))
	if err != nil {
		die(err)
	}
	reply := fault.Reply()
	var wg sync.WaitGroup
	for w := range eventWorkers {
		wg.Go(func() {
			die(eventScript{seed, w}.play(s, held[w], func(n uint64) bool {
				reply.Send(fault.Ack{Worker: uint32(w), Count: n})
				return true
			}))
		})
	}
	for {
		if _, err := s.RetainEvents(context.Background(), 0); err != nil {
			die(err)
		}
	}
}

// A power cut before any write, whatever survives of what was not synced, keeps
// what was acknowledged.
func TestPowerCutKeepsAcknowledgedEventsAndErasures(t *testing.T) {
	seed := fault.Seed(43)
	cuts := 0
	for round := uint64(0); cuts < fault.Size(60, 1500); round++ {
		cuts += cutEvents(t, seed+round)
		if t.Failed() {
			t.Fatalf("replay with EIDER_SEED=%d", seed+round)
		}
	}
	t.Logf("seed %d: %d power cuts", seed, cuts)
}

func cutEvents(t *testing.T, seed uint64) int {
	type cut struct {
		state *vfs.MemFS
		acked uint64
	}
	var mu sync.Mutex
	var taken []cut
	acked, before := uint64(0), uint64(0)
	disk := &fault.Cutter{Disk: vfs.NewCrashableMem(), Every: 7, Seed: seed}
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
	s, err := Open("store", crashOptions(disk.Wrap()))
	if err != nil {
		t.Fatal(err)
	}
	err = eventScript{seed, 0}.play(s, 0, func(n uint64) bool {
		mu.Lock()
		acked = n
		mu.Unlock()
		if n%10 == 0 {
			if _, err := s.RetainEvents(t.Context(), 0); err != nil {
				t.Error(err)
			}
		}
		return n < 60
	})
	if err != nil {
		t.Fatal(err)
	}
	disk.Stop()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	for _, c := range taken {
		s, err := Open("store", crashOptions(c.state))
		if err != nil {
			t.Fatalf("seed %d after call %d: %v", seed, c.acked, err)
		}
		if _, err := verifyEvents(s, seed, []uint64{c.acked}); err != nil {
			t.Errorf("seed %d after call %d: %v", seed, c.acked, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	return len(taken)
}
