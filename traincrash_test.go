package eider

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"
)

// TestTrainCrashChild is the child of the test below; on its own it does nothing. It
// trains and promotes the same model, again and again.
func TestTrainCrashChild(t *testing.T) {
	dir := os.Getenv(childDir)
	if dir == "" {
		return
	}
	die := func(err error) {
		if err != nil {
			fmt.Println("fail", err)
			os.Exit(1)
		}
	}
	db, err := Open(dir, nil)
	die(err)
	spec := small()
	spec.Promote, spec.Margin = true, 1 // always
	for {
		all, err := db.Models().List(ctx)
		die(err)
		next := 1
		if len(all) > 0 {
			next = int(all[0].Versions[len(all[0].Versions)-1].Version) + 1
		}
		fmt.Printf("try put din %d\n", next)
		j, err := db.Train(ctx, spec)
		die(err)
		s, err := j.Wait(ctx)
		die(err)
		if s.Promotion == nil {
			die(fmt.Errorf("job %+v", s))
		}
		fmt.Printf("ack put din %d\n", s.Promotion.Version)
	}
}

func TestKilledTrainingLeavesTheModelServing(t *testing.T) {
	kills := 8
	if os.Getenv("EIDER_SOAK") != "" {
		kills = 100
	}
	if testing.Short() {
		kills = 3
	}
	dir, r := t.TempDir(), rand.New(rand.NewPCG(1, 0))
	db := open(t, dir, nil)
	synthetic(t, db, 60, 6)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	state := map[string]*history{"din": {}}
	acks := 0
	var want []float64
	for round := range kills {
		acks += runAndKill(t, "TestTrainCrashChild", dir, 1, time.Duration(5+r.IntN(120))*time.Millisecond, state)
		db, err := Open(dir, nil)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		h := state["din"]
		p, err := db.Predict(ctx, "din", Inputs{User: "u1", Collection: "films", IDs: []string{"f1", "f2"}})
		if v := uint64(p.Version); err != nil || v != h.acked && !(h.open && v == h.tried) {
			t.Fatalf("round %d: %+v, %v; acknowledged %d, tried %d (open %v)", round, p, err, h.acked, h.tried, h.open)
		}
		if want == nil {
			want = p.Scores
		}
		if !slices.Equal(p.Scores, want) { // trainings are equal, so versions are
			t.Errorf("round %d: version %d scores %v, the first one %v", round, p.Version, p.Scores, want)
		}
		h.acked, h.open = uint64(p.Version), false
		if rep, err := db.Check(ctx); err != nil || !rep.OK {
			t.Fatalf("round %d: check: %v %+v", round, err, rep)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d kills, %d trainings acknowledged", kills, acks)
	if acks < kills { // a child is killed after its first
		t.Errorf("only %d acknowledged trainings: the test tests too little", acks)
	}
}
