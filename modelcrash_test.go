package eider

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/eiderdb/eider/internal/fault"
)

// TestModelCrashChild is the child of the test below; on its own it does nothing. It
// stores and promotes versions, and rolls every third back. Version v has the weight v.
func TestModelCrashChild(t *testing.T) {
	dir := os.Getenv(childDir)
	if dir == "" {
		return
	}
	db, err := Open(dir, nil)
	die(err)
	m := db.Models()
	next := uint32(1)
	if all, err := m.List(ctx); err == nil && len(all) > 0 {
		next = all[0].Versions[len(all[0].Versions)-1].Version + 1
	}
	go func() { // what serves is always whole
		for {
			if p, err := db.Predict(ctx, "ctr", unit); err == nil && p.Scores[0] != float64(p.Version) {
				die(fmt.Errorf("%+v", p))
			}
		}
	}()
	for ; ; next++ {
		v, err := m.Put(ctx, linearOf("ctr", float32(next), 0, 0, 0))
		die(err)
		fmt.Printf("try put ctr %d\n", v.Version)
		p, err := m.Promote(ctx, "ctr", v.Version, PromoteOptions{Force: true})
		die(err)
		fmt.Printf("ack put ctr %d\n", v.Version)
		if next%3 == 0 && p.Previous != 0 {
			fmt.Printf("try put ctr %d\n", p.Previous)
			_, err := m.Rollback(ctx, "ctr", "", "")
			die(err)
			fmt.Printf("ack put ctr %d\n", p.Previous)
		}
	}
}

// unit is an example whose score is the weight.
var unit = Inputs{Rows: []map[string]any{{"price": 1}}}

func TestKilledPromotionLeavesAWholeModelServing(t *testing.T) {
	killServing(t, "TestModelCrashChild", t.TempDir(), "ctr", kills(10, 200), 60, func(db *DB) (Prediction, error) {
		p, err := db.Predict(ctx, "ctr", unit)
		if err == nil && p.Scores[0] != float64(p.Version) {
			err = fmt.Errorf("it scores %v", p.Scores)
		}
		return p, err
	})
}

// kills is how often a test kills: a few times, or as often as a soak does.
func kills(few, soak int) int {
	if testing.Short() {
		few = 3
	}
	return fault.Size(few, soak)
}

// killServing kills a child that promotes versions of a model, each time up to spread
// milliseconds after its first acknowledgement: then the database is whole and serves
// the version acknowledged, or the one that was tried.
func killServing(t *testing.T, child, dir, model string, kills, spread int, predict func(*DB) (Prediction, error)) {
	t.Helper()
	r, h, acks := rand.New(rand.NewPCG(1, 0)), &history{}, 0
	for round := range kills {
		acks += runAndKill(t, child, dir, 1, time.Duration(5+r.IntN(spread))*time.Millisecond, map[string]*history{model: h})
		db, err := Open(dir, nil)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		p, err := predict(db)
		if v := uint64(p.Version); err != nil || v != h.acked && !(h.open && v == h.tried) {
			t.Fatalf("round %d: %+v, %v; acknowledged %d, tried %d (open %v)", round, p, err, h.acked, h.tried, h.open)
		}
		h.acked, h.open = uint64(p.Version), false
		if rep, err := db.Check(ctx); err != nil || !rep.OK {
			t.Fatalf("round %d: check: %v %+v", round, err, rep)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d kills, %d acknowledged", kills, acks)
	if acks < kills { // a child is killed after its first
		t.Errorf("only %d acknowledged: the test tests too little", acks)
	}
}
