package storage

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eiderdb/eider/internal/fault"
)

const killWorkers = 8

// R1: a process killed at any moment, during commits, flushes, index snapshots
// and backups, loses no acknowledged call, tears none, resurrects nothing.
func TestKilledProcessKeepsAcknowledgedCalls(t *testing.T) {
	seed := fault.Seed(1)
	kills := fault.Size(30, 1000)
	rng := rand.New(rand.NewPCG(seed, 0))
	dir := filepath.Join(t.TempDir(), "store")
	held := make([]uint64, killWorkers)
	acked, generation := uint64(0), seed
	for kill := range kills {
		if kill%50 == 49 { // a script's model is replayed from its start, so begin a new one
			dir, held, generation = filepath.Join(t.TempDir(), "store"), make([]uint64, killWorkers), generation+1
		}
		acks, err := fault.Kill("kill", time.Duration(5+rng.IntN(60))*time.Millisecond, "EIDER_DIR="+dir, fmt.Sprint("EIDER_GENERATION=", generation), "EIDER_HELD="+fmt.Sprint(held))
		if err != nil {
			t.Fatalf("kill %d: %v", kill, err)
		}
		for _, a := range acks {
			if a.Count != held[a.Worker]+1 {
				t.Fatalf("kill %d: worker %d acknowledged call %d after %d", kill, a.Worker, a.Count, held[a.Worker])
			}
			held[a.Worker] = a.Count
		}
		acked += uint64(len(acks))
		s, err := Open(dir, crashOptions(nil))
		if err != nil {
			t.Fatalf("kill %d: %v", kill, err)
		}
		if held, err = verifyScript(s, generation, held); err != nil {
			t.Fatalf("kill %d of seed %d: %v", kill, seed, err)
		}
		if r, err := s.LoadSnapshot(1, 0); err == nil {
			if b, err := io.ReadAll(r); err != nil || len(b) != 3000 {
				t.Fatalf("kill %d: index snapshot of %d bytes: %v", kill, len(b), err)
			}
			r.Close()
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("seed %d: %d kills, %d acknowledged calls: 0 lost, 0 torn, 0 resurrected", seed, kills, acked)
	if fault.Soak() && acked < 25_000 {
		t.Errorf("%d calls were acknowledged, the figure needs 25,000", acked)
	}
}

// killChild writes until it is killed.
func killChild() {
	die := func(err error) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	dir := os.Getenv("EIDER_DIR")
	var seed uint64
	held := make([]uint64, killWorkers)
	if _, err := fmt.Sscan(os.Getenv("EIDER_GENERATION"), &seed); err != nil {
		die(err)
	}
	for i, f := range strings.Fields(strings.Trim(os.Getenv("EIDER_HELD"), "[]")) {
		if _, err := fmt.Sscan(f, &held[i]); err != nil {
			die(err)
		}
	}
	s, err := Open(dir, crashOptions(nil))
	if err != nil {
		die(err)
	}
	coll, err := scriptCollection(s)
	if err != nil {
		die(err)
	}
	reply := fault.Reply()
	var wg sync.WaitGroup
	for w := range killWorkers {
		wg.Go(func() {
			err := script{seed, w}.play(s, coll, held[w], func(n uint64) bool {
				reply.Send(fault.Ack{Worker: uint32(w), Count: n})
				return true
			})
			die(err)
		})
	}
	wg.Go(func() {
		for n := 0; ; n++ {
			err := s.SaveSnapshot(context.Background(), coll, 0, s.LSN(), func(w io.Writer) error {
				_, err := w.Write(make([]byte, 3000))
				return err
			})
			if err != nil {
				die(err)
			}
			to := fmt.Sprintf("%s.backup", dir)
			if err := os.RemoveAll(to); err != nil {
				die(err)
			}
			if _, err := s.Backup(context.Background(), to, 0); err != nil {
				die(err)
			}
		}
	})
	wg.Wait()
}
