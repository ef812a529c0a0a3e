package eider

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

const crashKinds = 120 // documents

// teachStep is what the child does n-th: mostly to teach a document, at times to unlearn
// one, or a class.
func teachStep(b *Bottleneck, n int) error {
	i := n * 7 % crashKinds
	var err error
	switch {
	case n%11 == 10:
		err = b.Unlearn(ctx, fmt.Sprint("d", (n-3)*7%crashKinds))
	case n%97 == 96:
		err = b.UnlearnClass(ctx, labelOf(n))
	default:
		_, err = b.Learn(ctx, lessons(i, i+1)...)
	}
	if CodeOf(err) == CodeNotFound {
		err = nil // unlearned before
	}
	return err
}

// TestBottleneckCrashChild is the child of the test below; on its own it does nothing. It
// goes on with the steps where the last one was killed, and makes snapshots often.
func TestBottleneckCrashChild(t *testing.T) {
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
	snapshotDue = func(logged, _ int64) bool { return logged > 1500 }
	n, err := strconv.Atoi(os.Getenv("EIDER_CRASH_SEED"))
	die(err)
	db, err := Open(dir, nil)
	die(err)
	c, err := db.Collection("c")
	die(err)
	b, err := c.Bottleneck("kind")
	die(err)
	for ; ; n++ {
		fmt.Printf("try put n %d\n", n+1)
		die(teachStep(b, n))
		fmt.Printf("ack put n %d\n", n+1)
	}
}

func TestAKilledProcessLosesNoLabelAndReplayGivesTheSameBits(t *testing.T) {
	kills := 8
	if os.Getenv("EIDER_SOAK") != "" {
		kills = 150
	} else if testing.Short() {
		kills = 3
	}
	dir := t.TempDir()
	db := open(t, dir, nil)
	c := kinds4(t, db, crashKinds)
	must(c.CreateBottleneck(ctx, "kind", smallBottleneck))(t)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	// The same steps, never killed.
	straight := must(kinds4(t, memory(t, nil), crashKinds).CreateBottleneck(ctx, "kind", smallBottleneck))(t)
	r := rand.New(rand.NewPCG(3, 3))
	state := map[string]*history{}
	done, acks := 0, 0
	for round := range kills {
		acks += runAndKill(t, "TestBottleneckCrashChild", dir, uint64(done), time.Duration(50+r.IntN(400))*time.Millisecond, state)
		acked := done
		if h := state["n"]; h != nil {
			acked = int(h.acked)
		}
		for ; done < acked; done++ {
			if err := teachStep(straight, done); err != nil {
				t.Fatal(err)
			}
		}
		db := open(t, dir, &Options{ReadOnly: true})
		got := stateOf(t, must(must(db.Collection("c"))(t).Bottleneck("kind"))(t))
		if rep := must(db.Check(ctx))(t); !rep.OK {
			t.Fatalf("round %d: %+v", round, rep)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, stateOf(t, straight)) {
			// The step that was tried last may be there.
			if err := teachStep(straight, done); err != nil {
				t.Fatal(err)
			}
			done++
			if !bytes.Equal(got, stateOf(t, straight)) {
				t.Fatalf("round %d: after %d acknowledged steps the state is that of neither %d nor %d", round, acked, acked, done)
			}
		}
	}
	t.Logf("%d kills, %d acknowledged steps", kills, acks)
	if acks < 5*kills {
		t.Errorf("only %d acknowledged steps: the test tests too little", acks)
	}
}
