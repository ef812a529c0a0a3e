package eider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eiderdb/eider/storage"
	"github.com/eiderdb/eider/storage/format"
)

// linearOf is a linear model of the fields price and stock.
func linearOf(name string, price, stock, bias float32, auc float64) NewModel {
	return NewModel{Name: name, Kind: "linear", Config: json.RawMessage(`{"fields":["price","stock"]}`),
		Metrics: []Metric{{Name: "auc", Value: auc, Low: auc, High: auc, Count: 9, Set: "test"}},
		Tensors: map[string]Tensor{"weight": {Shape: []int{1, 2}, Data: []float32{price, stock}}, "bias": {Shape: []int{1}, Data: []float32{bias}}}}
}

// served stores a model and promotes it.
func served(t testing.TB, db *DB, n NewModel) ModelVersion {
	t.Helper()
	v := must(db.Models().Put(ctx, n))(t)
	must(db.Models().Promote(ctx, n.Name, v.Version, PromoteOptions{Force: true}))(t)
	return v
}

func codeIs(t testing.TB, err error, code Code, says ...string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Code != code {
		t.Errorf("error %v, want code %s", err, code)
	}
	for _, s := range says {
		if err != nil && !strings.Contains(err.Error(), s) {
			t.Errorf("error %q does not say %q", err, s)
		}
	}
}

func TestModelLivesThroughItsVersions(t *testing.T) {
	db := memory(t, nil)
	m := db.Models()
	if all := must(m.List(ctx))(t); len(all) != 0 {
		t.Fatalf("models of a new database: %+v", all)
	}
	must(m.Put(ctx, linearOf("ctr", 1, 0, 0, 0.7)))(t)
	v := must(m.Put(ctx, linearOf("ctr", 2, 0, 0, 0.6)))(t)
	if v.Version != 2 || v.Kind != "linear" || v.LSN != db.LSN() || len(v.Tensors) != 2 {
		t.Fatalf("stored %+v", v)
	}
	_, err := db.Predict(ctx, "ctr", Inputs{Rows: []map[string]any{{}}})
	codeIs(t, err, CodeNotFound, "promote a version")
	if p := must(m.Promote(ctx, "ctr", 1, PromoteOptions{Note: "first"}))(t); p.Version != 1 || p.Alias != Production || p.Note != "first" {
		t.Fatalf("promotion %+v", p)
	}
	_, err = m.Promote(ctx, "ctr", 2, PromoteOptions{Gate: Gate{Metric: "auc"}})
	codeIs(t, err, CodeGate, "auc is 0.6", "0.7")
	if p := must(m.Promote(ctx, "ctr", 2, PromoteOptions{Gate: Gate{Metric: "auc", Margin: 0.2}}))(t); p.Previous != 1 || p.Candidate != 0.6 || p.Forced {
		t.Fatalf("promotion %+v", p)
	}
	codeIs(t, m.Delete(ctx, "ctr", 1), CodeInUse, "production")
	if p := must(m.Rollback(ctx, "ctr", "", "bad"))(t); p.Version != 1 || !p.Rollback {
		t.Fatalf("rollback %+v", p)
	}
	_, err = m.Rollback(ctx, "ctr", "", "")
	codeIs(t, err, CodeNotFound)
	if h := must(m.History(ctx, "ctr", Production))(t); len(h) != 3 || h[0].Note != "bad" || h[2].Note != "first" {
		t.Errorf("history %+v", h)
	}
	if err := m.Delete(ctx, "ctr", 2); err != nil {
		t.Error(err)
	}
	_, err = db.Predict(ctx, "ctr@2", Inputs{Rows: []map[string]any{{}}})
	codeIs(t, err, CodeNotFound, "ctr@2")
	shown := must(m.Show(ctx, "ctr"))(t)
	if len(shown.Versions) != 1 || len(shown.Aliases) != 1 || shown.Aliases[0].Version != 1 {
		t.Errorf("shown %+v", shown)
	}
	if err := m.Unalias(ctx, "ctr", "", "off"); err != nil {
		t.Error(err)
	}
	_, err = db.Predict(ctx, "ctr", Inputs{Rows: []map[string]any{{}}})
	codeIs(t, err, CodeNotFound)
	_, err = m.Show(ctx, "crt")
	codeIs(t, err, CodeNotFound, `did you mean "ctr"?`)
	_, err = m.Version(ctx, "ctr@0")
	codeIs(t, err, CodeInvalid)
}

func TestChangeFeedTellsWhatBecameOfModels(t *testing.T) {
	db := memory(t, nil)
	m := db.Models()
	served(t, db, linearOf("ctr", 1, 0, 0, 0.7))
	served(t, db, linearOf("ctr", 2, 0, 0, 0.8))
	must(m.Rollback(ctx, "ctr", "", ""))(t)
	if err := errors.Join(m.Unalias(ctx, "ctr", "", "off"), m.Delete(ctx, "ctr", 2)); err != nil {
		t.Fatal(err)
	}
	var got []string
	for ch, err := range db.Changes(ctx, 0) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%d %s %s %d %s", ch.LSN, ch.Op, ch.Model, ch.ModelVersion, ch.Alias))
	}
	want := []string{"1 model ctr 1 ", "2 promote ctr 1 production", "3 model ctr 2 ", "4 promote ctr 2 production", "5 promote ctr 1 production",
		"6 promote ctr 0 production", "7 unmodel ctr 2 "}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestPredictionScoresRowsAndDocuments(t *testing.T) {
	db := memory(t, nil)
	c := create(t, db, "shop", shopSchema)
	must(c.Upsert(ctx, Doc{ID: "a", Fields: map[string]any{"price": 2.5, "stock": 4}}, Doc{ID: "b", Fields: map[string]any{"stock": 1}}))(t)
	served(t, db, linearOf("ctr", 2, -1, 0.5, 0))
	p := must(db.Predict(ctx, "ctr@production", Inputs{Explain: true, Rows: []map[string]any{{"price": 2.5, "stock": json.Number("4")}, {"stock": true}, {}}}))(t)
	if want := []float64{1.5, -0.5, 0.5}; p.Model != "ctr" || p.Version != 1 || p.LSN != db.LSN() || !slices.Equal(p.Scores, want) {
		t.Errorf("prediction %+v, want scores %v", p, want)
	}
	if p.Explain[0]["price"] != 5 || p.Explain[0]["stock"] != -4 {
		t.Errorf("explained %v", p.Explain)
	}
	p = must(db.Predict(ctx, "ctr@1", Inputs{Collection: "shop", IDs: []string{"b", "a"}}))(t)
	if want := []float64{-0.5, 1.5}; !slices.Equal(p.Scores, want) || p.Explain != nil {
		t.Errorf("prediction %+v, want scores %v", p, want)
	}
}

func TestPredictionRefusesWhatTheModelDoesNotRead(t *testing.T) {
	db := memory(t, nil)
	create(t, db, "shop", Schema{Strict: true, Fields: map[string]Field{"price": {Type: Float64}, "stock": {Type: Keyword}}})
	create(t, db, "other", Schema{Strict: true})
	served(t, db, linearOf("ctr", 2, -1, 0.5, 0))
	rows := func(rows ...map[string]any) Inputs { return Inputs{Rows: rows} }
	for name, c := range map[string]struct {
		ref  string
		in   Inputs
		code Code
		says string
	}{
		"nothing":            {"ctr", Inputs{}, CodeInvalid, "exactly one"},
		"both":               {"ctr", Inputs{Rows: []map[string]any{{}}, IDs: []string{"a"}, Collection: "shop"}, CodeInvalid, "exactly one"},
		"too many":           {"ctr", Inputs{Rows: make([]map[string]any, 1001)}, CodeInvalid, "at most 1000"},
		"misspelt field":     {"ctr", rows(map[string]any{"pricee": 1}), CodeUnknownField, `did you mean "price"?`},
		"text":               {"ctr", rows(map[string]any{"price": "1"}), CodeInvalid, "keyword"},
		"list":               {"ctr", rows(map[string]any{"price": []float64{1}}), CodeInvalid, "list"},
		"not a number":       {"ctr", rows(map[string]any{"price": math.NaN()}), CodeInvalid, "price"},
		"overflow":           {"ctr", rows(map[string]any{"price": math.MaxFloat64}), CodeInvalid, "not a finite number"},
		"user":               {"ctr", Inputs{Rows: []map[string]any{{}}, User: "u"}, CodeInvalid, "reads no user"},
		"no such document":   {"ctr", Inputs{Collection: "shop", IDs: []string{"x"}}, CodeInvalid, "keyword"},
		"unknown field":      {"ctr", Inputs{Collection: "other", IDs: []string{"x"}}, CodeUnknownField, "price"},
		"no such collection": {"ctr", Inputs{Collection: "shops", IDs: []string{"x"}}, CodeNotFound, "shop"},
		"no such model":      {"crt", rows(map[string]any{}), CodeNotFound, `did you mean "ctr"?`},
		"no such alias":      {"ctr@canary", rows(map[string]any{}), CodeNotFound, "it has production"},
		"no such version":    {"ctr@7", rows(map[string]any{}), CodeNotFound, "ctr@7"},
		"bad reference":      {"c t r", rows(map[string]any{}), CodeInvalid, "c t r"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := db.Predict(ctx, c.ref, c.in)
			codeIs(t, err, c.code, c.says)
		})
	}
}

// The registry's own tests have every abuse of a folder; these are the door's.
func TestFolderThatDoesNotFitItsKindIsRefused(t *testing.T) {
	db := memory(t, nil)
	m := db.Models()
	must(m.Put(ctx, linearOf("ctr", 1, 2, 3, 0.5)))(t)
	dir := filepath.Join(t.TempDir(), "good")
	if err := m.Export(ctx, "ctr@1", dir); err != nil {
		t.Fatal(err)
	}
	if v := must(m.Import(ctx, dir, "copy"))(t); v.Model != "copy" || v.Version != 1 || v.Metrics[0].Value != 0.5 {
		t.Fatalf("imported %+v", v)
	}
	weights := must(os.ReadFile(filepath.Join(dir, "model.safetensors")))(t)
	folder := func(config string, weights []byte) string {
		d := t.TempDir()
		for name, text := range map[string][]byte{"config.json": []byte(config), "model.safetensors": weights} {
			if err := os.WriteFile(filepath.Join(d, name), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return d
	}
	lsn := db.LSN()
	for name, c := range map[string]struct {
		dir  string
		code Code
		says []string
	}{
		"unknown kind":   {folder(`{"eider":1,"name":"x","kind":"linaer"}`, weights), CodeInvalid, []string{"linaer", `did you mean "linear"?`}},
		"no fields":      {folder(`{"eider":1,"name":"x","kind":"linear"}`, weights), CodeInvalid, []string{"linear model"}},
		"fewer fields":   {folder(`{"eider":1,"name":"x","kind":"linear","config":{"fields":["a"]}}`, weights), CodeMismatch, []string{`"weight"`, "F32[1 2]", "F32[1 1]"}},
		"not safetensor": {folder(`{"eider":1,"name":"x","kind":"linear","config":{"fields":["a","b"]}}`, weights[:40]), CodeInvalid, []string{"model.safetensors"}},
		"no folder":      {filepath.Join(t.TempDir(), "none"), CodeNotFound, []string{"none"}},
	} {
		_, err := m.Import(ctx, c.dir, "")
		codeIs(t, err, c.code, c.says...)
		if err == nil {
			t.Errorf("%s was imported", name)
		}
	}
	if all := must(m.List(ctx))(t); len(all) != 2 || db.LSN() != lsn {
		t.Errorf("refused folders left something: %+v", all)
	}
	_, err := m.Put(ctx, NewModel{Name: "x", Kind: "linear", Config: json.RawMessage(`{"fields":["a"]}`), Tensors: map[string]Tensor{"weight": {Shape: []int{1, 1}, Data: []float32{1}}}})
	codeIs(t, err, CodeMismatch, `"bias"`)
	_, err = m.Put(ctx, linearOf("x", float32(math.Inf(1)), 0, 0, 0))
	codeIs(t, err, CodeInvalid, `"weight"`)
}

func TestModelsOutliveTheProcess(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir, nil)
	served(t, db, linearOf("ctr", 1, 0, 0, 0))
	must(db.Models().Put(ctx, linearOf("ctr", 5, 0, 0, 0)))(t)
	row := Inputs{Rows: []map[string]any{{"price": 2}}}
	read := must(Open(dir, &Options{ReadOnly: true}))(t)
	defer read.Close()
	if p := must(read.Predict(ctx, "ctr", row))(t); p.Version != 1 || p.Scores[0] != 2 {
		t.Errorf("read-only prediction %+v", p)
	}
	_, err := read.Models().Promote(ctx, "ctr", 2, PromoteOptions{Force: true})
	codeIs(t, err, CodeReadOnly)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = db.Predict(ctx, "ctr", row)
	codeIs(t, err, CodeClosed)
	db = open(t, dir, nil)
	if p := must(db.Predict(ctx, "ctr", row))(t); p.Version != 1 || p.Scores[0] != 2 {
		t.Errorf("prediction %+v", p)
	}
}

func TestDamagedModelDoesNotKeepTheRestFromOpening(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir, nil)
	served(t, db, linearOf("bad", 1, 0, 0, 0))
	served(t, db, linearOf("good", 2, 0, 0, 0))
	err := db.store.EditModels(ctx, false, func(e *storage.ModelEdit) error {
		e.Set(format.VersionKey("bad", 1), []byte("no manifest"))
		e.Log(format.OpModel, "bad", "", 1)
		return nil
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	db = open(t, dir, nil)
	codeIs(t, db.Models().Ready(ctx), CodeCorrupt, "bad@1")
	if p := must(db.Predict(ctx, "good", unit))(t); p.Scores[0] != 2 {
		t.Errorf("prediction %+v", p)
	}
	_, err = db.Predict(ctx, "bad", unit)
	codeIs(t, err, CodeCorrupt, "bad@1")
	if rep := must(db.Check(ctx))(t); rep.OK {
		t.Error("check found nothing")
	}
}

// Version v has the weight v: an answer of two versions, or one that names another
// than it was made by, has a wrong score.
func TestEveryPredictionIsWhollyOfTheVersionItNames(t *testing.T) {
	db := memory(t, nil)
	m := db.Models()
	const versions = 6
	for v := range versions {
		must(m.Put(ctx, linearOf("ctr", float32(v+1), 0, 0, 0)))(t)
	}
	must(m.Promote(ctx, "ctr", 1, PromoteOptions{}))(t)
	c := create(t, db, "shop", shopSchema)
	must(c.Upsert(ctx, Doc{ID: "a", Fields: map[string]any{"price": 1.0}}, Doc{ID: "b", Fields: map[string]any{"price": 2.0}}))(t)
	stop, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	var seen [4]atomic.Int64 // versions that each reader met
	for g := range seen {
		wg.Go(func() {
			last, met := uint64(0), map[uint32]bool{}
			for n := 0; stop.Err() == nil; n++ {
				if n%8 == 7 {
					res, err := c.Search(ctx, Query{Rank: []Rank{{Model: "ctr@production"}}, Explain: true})
					if err != nil {
						t.Error(err)
						return
					}
					h := res.Hits[0]
					if h.ID != "b" || fmt.Sprintf("ctr@%v", h.Score/2) != h.Ranked[0].Model || !slices.Equal(res.Models, []string{h.Ranked[0].Model}) {
						t.Errorf("hit %+v of a result by %v", h, res.Models)
					}
					continue
				}
				p, err := db.Predict(ctx, "ctr", Inputs{Rows: []map[string]any{{"price": 1}, {"price": 2}, {"price": 3}}})
				if err != nil {
					t.Error(err)
					return
				}
				if v := float64(p.Version); !slices.Equal(p.Scores, []float64{v, 2 * v, 3 * v}) || p.LSN < last {
					t.Errorf("%+v after LSN %d", p, last)
				}
				last, met[p.Version] = p.LSN, true
				seen[g].Store(int64(len(met)))
			}
		})
	}
	swapped := func() bool {
		for g := range seen {
			if seen[g].Load() < 3 && stop.Err() == nil {
				return false
			}
		}
		return true
	}
	for n := 0; n < 60 || !swapped(); n++ {
		v := uint32(n%versions + 1)
		p := must(m.Promote(ctx, "ctr", v, PromoteOptions{Force: true}))(t)
		if n%3 == 2 {
			p = must(m.Rollback(ctx, "ctr", "", ""))(t)
		}
		got := must(db.Predict(ctx, "ctr", Inputs{Rows: []map[string]any{{"price": 1}}}))(t)
		if got.Version != p.Version || got.LSN < p.LSN {
			t.Errorf("version %d of LSN %d answers after %+v", got.Version, got.LSN, p)
		}
	}
	if stop.Err() != nil {
		t.Error("nothing was swapped under some readers")
	}
	cancel()
	wg.Wait()
}

// A promotion of a version that cannot be loaded is refused, and what served goes on.
func TestModelIsTriedBeforeTheAliasMoves(t *testing.T) {
	db := memory(t, nil)
	modelKinds["touchy"] = modelKind{
		check: checkLinear,
		load: func(m *format.Model, tensors map[string]format.Tensor) (scorer, error) {
			l, err := loadLinear(m, tensors)
			if bias := floats(tensors["bias"])[0]; bias < 0 {
				return nil, fmt.Errorf("%w: bias %v", ErrInvalid, bias)
			}
			return touchy{l, floats(tensors["bias"])[0]}, err
		},
	}
	defer delete(modelKinds, "touchy")
	m := db.Models()
	for _, bias := range []float32{1, -1, 13} {
		n := linearOf("ctr", 1, 0, bias, 0)
		n.Kind = "touchy"
		must(m.Put(ctx, n))(t)
	}
	must(m.Promote(ctx, "ctr", 1, PromoteOptions{}))(t)
	_, err := m.Promote(ctx, "ctr", 2, PromoteOptions{Force: true})
	codeIs(t, err, CodeInvalid, "bias -1")
	_, err = m.Promote(ctx, "ctr", 3, PromoteOptions{Force: true})
	codeIs(t, err, CodeInvalid, "not a finite number")
	p := must(db.Predict(ctx, "ctr", Inputs{User: "u", Rows: []map[string]any{{"price": 1}}}))(t)
	if p.Version != 1 || p.Scores[0] != 2 {
		t.Errorf("prediction %+v", p)
	}
	_, err = db.Predict(ctx, "ctr", Inputs{Rows: []map[string]any{{"price": 1}}})
	codeIs(t, err, CodeInvalid, "name one")
}

// touchy scores 13 as NaN, and for users only.
type touchy struct {
	scorer
	bias float32
}

func (s touchy) needs() needs { return needs{fields: s.scorer.needs().fields, user: true} }

func (s touchy) score(ctx context.Context, in *examples, out []float64, why []map[string]float64) error {
	err := s.scorer.score(ctx, in, out, why)
	if s.bias == 13 {
		out[0] = math.NaN()
	}
	return err
}

func TestModelReadsValuesOfItsTypesOnly(t *testing.T) {
	number := input{types: []FieldType{Float64}}
	tags := input{types: []FieldType{Keyword}, many: true}
	for _, c := range []struct {
		in    input
		value any
		want  bool
	}{
		{number, 1.5, true}, {number, 2, true}, {number, "1", false}, {number, true, false}, {number, []float64{1.5}, false},
		{tags, "a", true}, {tags, []string{"a", "b"}, true}, {tags, []int{1}, false}, {tags, 1, false}, {tags, Geo{Lat: 1}, false},
	} {
		v := must(encodeDynamic(c.value))(t)
		if _, got := c.in.accepts(v); got != c.want {
			t.Errorf("an input of %v, lists %v, takes %v: %v", c.in.types, c.in.many, c.value, got)
		}
		if _, ok := c.in.accepts(format.Null()); !ok {
			t.Error("null is refused")
		}
	}
}

// Versions that nobody needs leave memory; those that serve, or that a view may
// still ask for, stay.
func TestMemoryHoldsWhatServesAndFewOthers(t *testing.T) {
	db := memory(t, nil)
	m := db.Models()
	row := Inputs{Rows: []map[string]any{{}}}
	for range 12 {
		v := must(m.Put(ctx, linearOf("ctr", 1, 0, 0, 0)))(t)
		must(db.Predict(ctx, fmt.Sprintf("ctr@%d", v.Version), row))(t)
	}
	must(m.Promote(ctx, "ctr", 1, PromoteOptions{}))(t)
	view := must(db.viewAt(0))(t)
	must(m.Promote(ctx, "ctr", 2, PromoteOptions{Force: true}))(t)
	loads := func() (refs []string) {
		db.serving.mu.Lock()
		defer db.serving.mu.Unlock()
		return sortedKeys(db.serving.loads)
	}
	db.serving.trim(db.store.Oldest())
	if got := loads(); len(got) != spare+2 || !slices.Contains(got, "ctr@1") || !slices.Contains(got, "ctr@2") {
		t.Errorf("in memory while a view is held: %v", got)
	}
	view.Release()
	for range 8 { // use others
		must(db.Predict(ctx, "ctr@11", row))(t)
		must(db.Predict(ctx, "ctr@12", row))(t)
		must(db.Predict(ctx, "ctr@10", row))(t)
		must(db.Predict(ctx, "ctr@9", row))(t)
	}
	db.serving.trim(db.store.Oldest())
	if got := loads(); !slices.Equal(got, []string{"ctr@10", "ctr@11", "ctr@12", "ctr@2", "ctr@9"}) {
		t.Errorf("in memory: %v", got)
	}
	if ps := (*db.serving.points.Load())[alias{"ctr", Production}]; len(ps) != 1 {
		t.Errorf("points %v are kept for views that are gone", ps)
	}
}
