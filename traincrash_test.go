package eider

import (
	"fmt"
	"os"
	"slices"
	"testing"
)

// TestTrainCrashChild is the child of the test below; on its own it does nothing. It
// trains and promotes the same model, again and again.
func TestTrainCrashChild(t *testing.T) {
	dir := os.Getenv(childDir)
	if dir == "" {
		return
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
	dir := t.TempDir()
	db := open(t, dir, nil)
	synthetic(t, db, 60, 6)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	var want []float64
	killServing(t, "TestTrainCrashChild", dir, "din", kills(8, 100), 120, func(db *DB) (Prediction, error) {
		p, err := db.Predict(ctx, "din", Inputs{User: "u1", Collection: "films", IDs: []string{"f1", "f2"}})
		if want == nil {
			want = p.Scores
		}
		if err == nil && !slices.Equal(p.Scores, want) { // trainings are equal, so versions are
			err = fmt.Errorf("it scores %v, the first one %v", p.Scores, want)
		}
		return p, err
	})
}
