package eider

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// synthetic fills a database with made-up events: each user likes one of four
// categories and takes nine in ten items from it, of ten items that are all about
// as popular; times go up. What the category of an item is only its document says,
// and nothing of users.
func synthetic(t testing.TB, db *DB, users, events int) *Collection {
	t.Helper()
	c := create(t, db, "films", Schema{Fields: map[string]Field{"genre": {Type: Keyword}, "year": {Type: Int64}, "score": {Type: Float64}}, Vectors: map[string]Vector{"v": {Dim: 2}}})
	rng := rand.New(rand.NewPCG(7, 7))
	var docs []Doc
	for i := range 40 {
		docs = append(docs, Doc{ID: fmt.Sprint("f", i), Fields: map[string]any{"genre": genre(i), "year": 1990 + i%3}, Vectors: map[string][]float32{"v": {float32(i), 0}}})
	}
	must(c.Upsert(ctx, docs...))(t)
	var all []Event
	for u := range users {
		likes, had := u%4, map[int]bool{}
		for n := 0; n < events; {
			item := rng.IntN(10)*4 + likes
			if rng.IntN(10) == 0 {
				item = rng.IntN(40)
			}
			if !had[item] {
				had[item] = true
				all = append(all, Event{User: fmt.Sprint("u", u), Item: fmt.Sprint("f", item), Type: "click", Time: time.Unix(int64(1e6+n*users+u), 0)})
				n++
			}
		}
	}
	must(db.Events().Append(ctx, all...))(t)
	return c
}

func genre(item int) string { return []string{"crime", "drama", "horror", "comedy"}[item%4] }

// small is a training of about a second.
func small() TrainSpec {
	return TrainSpec{Model: "din", Collection: "films", Fields: []string{"genre"}, Events: []string{"click"}, Candidates: 20, Dim: 8, Batch: 32, Epochs: 6, Seed: 1}
}

// endless goes on until somebody ends it.
func endless() TrainSpec {
	s := small()
	s.Epochs, s.Patience, s.Batch = 1000, 1000, 1
	return s
}

func trained(t testing.TB, db *DB, spec TrainSpec) JobState {
	t.Helper()
	return must(must(db.Train(ctx, spec))(t).Wait(ctx))(t)
}

func metricOf(t testing.TB, v *ModelVersion, name string) Metric {
	t.Helper()
	i := slices.IndexFunc(v.Metrics, func(m Metric) bool { return m.Name == name })
	if i < 0 {
		t.Fatalf("no metric %s in %+v", name, v.Metrics)
	}
	return v.Metrics[i]
}

// From click to served score: what is learned ranks hits, better than popularity by
// more than both confidence intervals, and names what it was carried by.
func TestTrainedModelRanksSearchesByWhatTheUserLikes(t *testing.T) {
	db := memory(t, nil)
	c := synthetic(t, db, 200, 8)
	lsn := db.LSN()
	spec := small()
	spec.Promote = true
	s := trained(t, db, spec)
	if s.Status != JobDone || s.Version == nil || s.Promotion == nil || s.Refused != "" {
		t.Fatalf("job %+v", s)
	}
	own, floor := metricOf(t, s.Version, "gauc"), metricOf(t, s.Version, "gauc-popularity")
	t.Logf("GAUC %.3f [%.3f, %.3f], popularity %.3f [%.3f, %.3f], %s after %d steps in %v", own.Value, own.Low, own.High, floor.Value, floor.Low, floor.High,
		s.Reason, s.Progress.Step, s.Ended.Sub(s.Started))
	if own.Low < floor.High+0.1 {
		t.Errorf("GAUC %+v is not above popularity, %+v", own, floor)
	}
	if v := s.Version; v.Kind != "din" || v.Seed != 1 || v.To != lsn || v.From == 0 || v.From > lsn || v.Features == "" {
		t.Errorf("version %+v", v)
	}
	if p := s.Progress; p.Users != 200 || p.Items != 40 || p.Examples != 200*5 || p.LSN != lsn {
		t.Errorf("progress %+v", p)
	}
	for u := range 4 {
		user := fmt.Sprint("u", u)
		r := must(c.Search(ctx, Query{Retrieve: near(0), Limit: 5, Explain: true, Rank: []Rank{{Model: "din@production", User: user}}}))(t)
		liked := 0
		for _, id := range idsOf(r) {
			var n int
			fmt.Sscanf(id, "f%d", &n)
			if n%4 == u {
				liked++
			}
		}
		if liked < 4 {
			t.Errorf("%s likes %s and gets %v", user, genre(u), idsOf(r))
		}
		h := must(db.Events().History(ctx, user, HistoryOptions{}))(t)
		sum := 0.0
		for item, w := range r.Hits[0].Ranked[0].Features {
			if sum += w; !slices.ContainsFunc(h.Events, func(e Event) bool { return e.Item == item }) {
				t.Errorf("%s is explained by %s, which is not of its history", user, item)
			}
		}
		if sum < 0.999 || sum > 1.001 {
			t.Errorf("%s: the history weighs %v", user, sum)
		}
	}
	// An item of which no event came is known by its genre.
	must(c.Upsert(ctx, Doc{ID: "new-crime", Fields: map[string]any{"genre": "crime"}}, Doc{ID: "new-drama", Fields: map[string]any{"genre": "drama"}}))(t)
	for u, want := range []string{"new-crime", "new-drama"} {
		p := must(db.Predict(ctx, "din", Inputs{Collection: "films", IDs: []string{"new-crime", "new-drama"}, User: fmt.Sprint("u", u)}))(t)
		if (p.Scores[0] > p.Scores[1]) != (want == "new-crime") {
			t.Errorf("u%d would rather have %s: %v", u, want, p.Scores)
		}
	}
}

func TestEqualTrainingsMakeEqualBytes(t *testing.T) {
	db := memory(t, nil)
	synthetic(t, db, 40, 6)
	spec := small()
	spec.Epochs = 2
	a, b := trained(t, db, spec), trained(t, db, spec)
	spec.Seed = 2
	c := trained(t, db, spec)
	if a.Version.SHA256 != b.Version.SHA256 || b.Version.Version != a.Version.Version+1 {
		t.Errorf("one seed gave %+v and %+v", a.Version, b.Version)
	}
	if a.Version.SHA256 == c.Version.SHA256 {
		t.Error("another seed gave the same")
	}
}

func TestOnlyABetterModelIsPromoted(t *testing.T) {
	db := memory(t, nil)
	synthetic(t, db, 120, 8)
	spec := small()
	spec.Promote, spec.Alias = true, "live"
	good := trained(t, db, spec)
	spec.Fields, spec.Epochs, spec.Dim, spec.Rate = nil, 1, 4, 1e-6 // as good as untrained
	bad := trained(t, db, spec)
	if bad.Status != JobDone || bad.Promotion != nil || bad.Version == nil || !strings.Contains(bad.Refused, "gauc is") {
		t.Fatalf("job %+v", bad)
	}
	if m := must(db.Models().Show(ctx, "din"))(t); len(m.Versions) != 2 || m.Aliases[0].Version != good.Version.Version {
		t.Errorf("model %+v", m)
	}
	spec.Margin = 1
	if s := trained(t, db, spec); s.Promotion == nil || s.Promotion.Previous != good.Version.Version {
		t.Errorf("a wide margin refused: %+v", s)
	}
	p := must(db.Models().Rollback(ctx, "din", "live", ""))(t)
	if p.Version != good.Version.Version {
		t.Errorf("rolled back to %+v", p)
	}
}

func TestEvaluationMeasuresAsTheTrainingDid(t *testing.T) {
	db := memory(t, nil)
	synthetic(t, db, 60, 6)
	for _, split := range []string{"last", "time"} {
		spec := small()
		spec.Split, spec.Epochs = split, 2
		s := trained(t, db, spec)
		e := must(db.Evaluate(ctx, versionRef("din", s.Version.Version), EvalSpec{}))(t)
		if e.Version != s.Version.Version || len(e.Metrics) != 4 {
			t.Fatalf("evaluation %+v", e)
		}
		for _, m := range e.Metrics {
			was := metricOf(t, s.Version, m.Name)
			if m.Set = was.Set; m != was { // the version is a later write
				t.Errorf("%s: %+v, the training measured %+v", split, m, was)
			}
		}
	}
	served(t, db, NewModel{Name: "year", Kind: "linear", Config: []byte(`{"fields":["year"]}`),
		Tensors: map[string]Tensor{"weight": {Shape: []int{1, 1}, Data: []float32{1}}, "bias": {Shape: []int{1}, Data: []float32{0}}}})
	e := must(db.Evaluate(ctx, "year", EvalSpec{Collection: "films"}))(t)
	if len(e.Metrics) != 3 || e.Metrics[1].Value < 0.35 || e.Metrics[1].Value > 0.65 {
		t.Errorf("the year says nothing, and scores %+v", e.Metrics)
	}
	_, err := db.Evaluate(ctx, "year", EvalSpec{})
	codeIs(t, err, CodeInvalid, "collection")
}

func TestTrainingThatCannotBeIsRefusedWithItsPlace(t *testing.T) {
	db := memory(t, nil)
	synthetic(t, db, 4, 4)
	for name, c := range map[string]struct {
		change func(*TrainSpec)
		code   Code
		at     string
	}{
		"no model":      {func(s *TrainSpec) { s.Model = "" }, CodeInvalid, "/model"},
		"kind":          {func(s *TrainSpec) { s.Kind = "linear" }, CodeInvalid, "/kind"},
		"no collection": {func(s *TrainSpec) { s.Collection = "" }, CodeInvalid, "/collection"},
		"collection":    {func(s *TrainSpec) { s.Collection = "filmz" }, CodeNotFound, ""},
		"field":         {func(s *TrainSpec) { s.Fields = []string{"genre", "gender"} }, CodeInvalid, "/fields/1"},
		"twice":         {func(s *TrainSpec) { s.Fields = []string{"genre", "genre"} }, CodeInvalid, "/fields/1"},
		"type":          {func(s *TrainSpec) { s.Fields = []string{"score"} }, CodeInvalid, "/fields/0"},
		"split":         {func(s *TrainSpec) { s.Split = "half" }, CodeInvalid, "/split"},
		"history":       {func(s *TrainSpec) { s.History = 501 }, CodeInvalid, "/history"},
		"candidates":    {func(s *TrainSpec) { s.Candidates = -1 }, CodeInvalid, "/candidates"},
		"dim":           {func(s *TrainSpec) { s.Dim = 3 }, CodeInvalid, "/dim"},
		"rate":          {func(s *TrainSpec) { s.Rate = 2 }, CodeInvalid, "/rate"},
		"margin":        {func(s *TrainSpec) { s.Margin = -1 }, CodeInvalid, "/margin"},
		"alias":         {func(s *TrainSpec) { s.Alias = "7" }, CodeInvalid, "/alias"},
		"budget":        {func(s *TrainSpec) { s.Budget = -1 }, CodeInvalid, "/budget"},
		"since":         {func(s *TrainSpec) { s.Since = time.Unix(1<<40, 0) }, CodeInvalid, "/since"},
	} {
		spec := small()
		c.change(&spec)
		_, err := db.Train(ctx, spec)
		codeIs(t, err, c.code)
		var e *Error
		if errors.As(err, &e) && e.Field != c.at {
			t.Errorf("%s: at %q, want %q (%v)", name, e.Field, c.at, err)
		}
	}
	if len(db.Jobs()) != 0 {
		t.Errorf("refused trainings are jobs: %+v", db.Jobs())
	}
	spec := small()
	spec.Events = []string{"purchase"}
	s, err := must(db.Train(ctx, spec))(t).Wait(ctx)
	codeIs(t, err, CodeInvalid, "none can be held out")
	if s.Status != JobFailed || s.Code != CodeInvalid || s.Version != nil {
		t.Errorf("job %+v", s)
	}
}

func TestJobsTakeTurnsAndAreCancelled(t *testing.T) {
	db := memory(t, nil)
	synthetic(t, db, 60, 8)
	spec := endless()
	first, second := must(db.Train(ctx, spec))(t), must(db.Train(ctx, spec))(t)
	seen := 0
	for s := range first.Watch(ctx) { // until it runs
		if seen++; s.Progress.Step > 3 {
			break
		}
	}
	if s := second.State(); s.Status != JobQueued {
		t.Errorf("the second job is %s while the first runs", s.Status)
	}
	if all := db.Jobs(); len(all) != 2 || all[0].ID != second.ID() || all[1].Status != JobRunning {
		t.Errorf("jobs %+v", all)
	}
	third := must(db.Train(ctx, spec))(t)
	third.Cancel() // before its turn
	s, err := third.Wait(ctx)
	if codeIs(t, err, CodeCanceled); s.Status != JobCancelled {
		t.Errorf("cancelled in the queue: %+v", s)
	}
	must(db.Job(first.ID()))(t).Cancel()
	s, err = first.Wait(ctx)
	codeIs(t, err, CodeCanceled)
	if s.Status != JobCancelled || s.Version != nil || s.Ended.IsZero() {
		t.Errorf("job %+v", s)
	}
	for s := range second.Watch(ctx) {
		if s.Status == JobRunning {
			break
		}
	}
	waiting, stop := context.WithCancel(ctx)
	stop()
	if _, err := second.Wait(waiting); !errors.Is(err, context.Canceled) {
		t.Errorf("waited: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s, err = second.Wait(ctx)
	codeIs(t, err, CodeClosed)
	if s.Status != JobCancelled {
		t.Errorf("the job outlived the database: %+v", s)
	}
	_, err = db.Train(ctx, spec)
	codeIs(t, err, CodeClosed)
	_, err = db.Job("none")
	codeIs(t, err, CodeNotFound)
	if all, err := db.Models().List(ctx); err == nil && len(all) != 0 {
		t.Errorf("cancelled jobs left %+v", all)
	}
}

func TestQueueOfJobsIsBounded(t *testing.T) {
	db := memory(t, nil)
	synthetic(t, db, 60, 8)
	spec := endless()
	for range maxQueued {
		must(db.Train(ctx, spec))(t)
	}
	_, err := db.Train(ctx, spec)
	codeIs(t, err, CodeOverloaded)
}

func TestBudgetEndsATrainingWithAModel(t *testing.T) {
	db := memory(t, nil)
	synthetic(t, db, 60, 8)
	spec := endless()
	spec.Budget = Duration(50 * time.Millisecond)
	s := trained(t, db, spec)
	if s.Reason != "out of time" || s.Version == nil || s.Progress.Epoch == 1000 {
		t.Errorf("job %+v", s)
	}
	spec.Model, spec.Bytes, spec.Repeats, spec.Fields = "plain", true, true, nil
	s = trained(t, db, spec)
	must(db.Predict(ctx, versionRef("plain", s.Version.Version), Inputs{User: "u1", Rows: []map[string]any{{"id": "f1"}}}))(t)
}
