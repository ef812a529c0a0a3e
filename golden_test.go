package eider

import (
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write golden files that do not exist")

// models is what a golden directory has of models, and what they say. Scores depend on
// the processor in their last digits; all else is compared as JSON.
type models struct {
	Models  []Model
	History []Promotion // of din@production
	Scores  map[string][]float64
}

func modelsOf(t *testing.T, db *DB) (m models) {
	t.Helper()
	m.Models, m.History = must(db.Models().List(ctx))(t), must(db.Models().History(ctx, "din", Production))(t)
	m.Scores = map[string][]float64{"ctr": must(db.Predict(ctx, "ctr", Inputs{Rows: []map[string]any{{"price": 2, "stock": true}}}))(t).Scores}
	for _, ref := range []string{"din", "din@1", "din@canary"} {
		m.Scores[ref] = must(db.Predict(ctx, ref, Inputs{User: "u1", Collection: "films", IDs: []string{"f1", "f2", "f3"}}))(t).Scores
	}
	return m
}

func (m models) text(t *testing.T) string {
	t.Helper()
	return string(must(json.MarshalIndent(m, "", "  "))(t)) + "\n"
}

// A directory with models as the first binary wrote that served them is read, checked,
// served and trained on by later ones, for ever.
func TestModelsOfAGoldenDirectoryServeTheSame(t *testing.T) {
	const golden, want = "testdata/v3/store", "testdata/v3/models.json"
	if _, err := os.Stat(want); *update && os.IsNotExist(err) {
		writeGoldenModels(t, golden, want)
	}
	dir := filepath.Join(t.TempDir(), "store")
	if err := os.CopyFS(dir, os.DirFS(golden)); err != nil {
		t.Fatal(err)
	}
	db := open(t, dir, nil)
	if rep, err := db.Check(ctx); err != nil || !rep.OK {
		t.Fatalf("check: %v %+v", err, rep)
	}
	var then models
	if err := json.Unmarshal(must(os.ReadFile(want))(t), &then); err != nil {
		t.Fatal(err)
	}
	now := modelsOf(t, db)
	for ref, scores := range then.Scores {
		for i, s := range scores {
			if math.Abs(now.Scores[ref][i]-s) > 1e-5 {
				t.Errorf("%s scores %v, did %v", ref, now.Scores[ref], scores)
			}
		}
	}
	then.Scores, now.Scores = nil, nil
	if then, now := then.text(t), now.text(t); then != now {
		t.Errorf("models read as\n%s\nwere\n%s", now, then)
	}
	if s := trained(t, db, small()); s.Version.Version != 4 {
		t.Errorf("a training stored version %d, want 4", s.Version.Version)
	}
}

// writeGoldenModels makes versions of two kinds, one trained with vectors as bytes, a
// promotion, a rollback, an alias removed and brought back, and a version deleted.
func writeGoldenModels(t *testing.T, dir, want string) {
	t.Helper()
	db := must(Open(dir, nil))(t)
	synthetic(t, db, 40, 5)
	served(t, db, linearOf("ctr", 2, 1, .5, .7))
	m, spec := db.Models(), small()
	spec.Promote, spec.Epochs = true, 2
	trained(t, db, spec)
	spec.Seed, spec.Bytes, spec.Margin = 2, true, 1
	trained(t, db, spec)
	must(m.Promote(ctx, "din", 2, PromoteOptions{Alias: "canary", Force: true}))(t)
	must(0, m.Unalias(ctx, "din", "canary", "for a while"))(t)
	must(m.Rollback(ctx, "din", "canary", "back"))(t)
	must(m.Rollback(ctx, "din", "", "worse at night"))(t)
	third := trained(t, db, small()).Version.Version
	must(0, m.Delete(ctx, "din", third))(t)
	text := modelsOf(t, db).text(t)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"HOLDER", "LOCK"} { // this machine's, not the format's
		must(0, os.Remove(filepath.Join(dir, name)))(t)
	}
	must(0, os.WriteFile(want, []byte(text), 0o644))(t)
}
