package eider

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"
)

// turnedDoc derives a document wholly from its id and token.
func turnedDoc(id string, token uint64) Doc {
	return Doc{ID: id, Vectors: map[string][]float32{"v": vec(rand.New(rand.NewPCG(token, uint64(len(id)))), hiddenDim)}, Fields: map[string]any{"token": int64(token)}}
}

// TestCrashRotatingChild is a child that asks for a rotation, or for none, and
// writes; on its own it does nothing. See TestCrashChild.
func TestCrashRotatingChild(t *testing.T) {
	dir := os.Getenv(childDir)
	if dir == "" {
		return
	}
	seed, _ := strconv.ParseUint(os.Getenv("EIDER_CRASH_SEED"), 10, 64)
	db, err := Open(dir, &Options{SnapshotInterval: 30 * time.Millisecond})
	die(err)
	c, err := db.Collection("c")
	die(err)
	vi := c.Schema().Vectors["v"].Index
	vi.Rotate = seed%3 != 0
	die(c.SetVectorIndex(ctx, "v", vi))
	r := rand.New(rand.NewPCG(seed, 1))
	for n := uint64(1); ; n++ {
		id, token := fmt.Sprintf("w%d", r.IntN(60)), seed<<20|n
		if r.IntN(4) == 0 {
			fmt.Printf("try delete %s 0\n", id)
			_, err = c.Delete(ctx, id)
			die(err)
			fmt.Printf("ack delete %s 0\n", id)
			continue
		}
		fmt.Printf("try put %s %d\n", id, token)
		_, err = c.Upsert(ctx, turnedDoc(id, token))
		die(err)
		fmt.Printf("ack put %s %d\n", id, token)
	}
}

func TestAProcessKilledWhileItRotatesLosesNothing(t *testing.T) {
	kills := kills(8, 8)
	dir := t.TempDir()
	db := open(t, dir, nil)
	c := create(t, db, "c", rotating)
	upsertVecs(t, c, 0, hidden(4050))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(6, 6))
	state := map[string]*history{}
	acks, turns := 0, 0
	for round := range kills {
		acks += runAndKill(t, "TestCrashRotatingChild", dir, uint64(round+1), time.Duration(20+r.IntN(900))*time.Millisecond, state)
		if verifyTurned(t, dir, round, state) {
			turns++
		}
	}
	t.Logf("%d kills, %d acknowledged writes, %d times rotated afterwards", kills, acks, turns)
	db = open(t, dir, nil)
	c = must(db.Collection("c"))(t)
	vi := c.Schema().Vectors["v"].Index
	vi.Rotate = true
	if err := c.SetVectorIndex(ctx, "v", vi); err != nil {
		t.Fatal(err)
	}
	awaitRotation(t, db)
	if err := c.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	if f := found(t, c, hidden(4050)[:30]); f < 0.97 {
		t.Errorf("found %.3f", f)
	}
}

// verifyTurned opens the directory, read only so that nothing is mended, checks
// every id against its history, and reports whether the index is rotated.
func verifyTurned(t *testing.T, dir string, round int, state map[string]*history) bool {
	t.Helper()
	db := open(t, dir, &Options{ReadOnly: true})
	defer db.Close()
	c := must(db.Collection("c"))(t)
	if err := c.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	live := 0
	for id, h := range state {
		d, token := h.verify(t, c, round, id)
		if token == 0 {
			continue
		}
		live++
		want := turnedDoc(id, token).Vectors["v"]
		res, err := c.Search(ctx, Query{Retrieve: []Retrieve{{Near: &Near{Value: want}}}, Limit: 1})
		if err != nil || len(res.Hits) != 1 || res.Hits[0].ID != id || !slices.Equal(want, d.Vectors["v"]) {
			t.Fatalf("round %d: %s is not found by its vector: %v %v", round, id, err, res.Hits)
		}
	}
	if n := must(c.Count(ctx, nil))(t); n != uint64(4050+live) {
		t.Fatalf("round %d: %d documents, want %d", round, n, 4050+live)
	}
	if rep := must(db.Check(ctx))(t); !rep.OK {
		t.Fatalf("round %d: check: %+v", round, rep)
	}
	return rotationStats(t, db) != nil
}
