package eider

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eiderdb/eider/index"
)

var searchSet struct {
	once sync.Once
	c    *Collection
	err  error
}

// searchable is 100,000 x 128 in memory, half of it one brand in ten.
func searchable(b *testing.B) *Collection {
	b.Helper()
	s := &searchSet
	s.once.Do(func() {
		n := 100_000
		if testing.Short() {
			n = 5000
		}
		db, err := Open("", nil)
		if err != nil {
			s.err = err
			return
		}
		s.c, s.err = db.CreateCollection(ctx, "b", Schema{
			Fields:  map[string]Field{"brand": {Type: Keyword, Index: true}, "price": {Type: Float64, Index: true}, "title": {Type: Text}},
			Vectors: map[string]Vector{"v": {Dim: 128, Metric: index.L2}},
		})
		r := rand.New(rand.NewPCG(1, 1))
		for i := 0; i < n && s.err == nil; i += 1000 {
			docs := make([]Doc, 1000)
			for j := range docs {
				docs[j] = Doc{ID: fmt.Sprint(i + j), Fields: map[string]any{
					"brand": fmt.Sprintf("brand-%d", r.IntN(10)), "price": r.Float64() * 100, "title": fmt.Sprintf("a product with number %d", i+j),
				}, Vectors: map[string][]float32{"v": vec(r, 128)}}
			}
			_, s.err = s.c.Upsert(ctx, docs...)
		}
		if s.err == nil {
			s.err = s.c.Ready(ctx)
		}
	})
	if s.err != nil {
		b.Fatal(s.err)
	}
	return s.c
}

func BenchmarkSearch(b *testing.B) {
	c := searchable(b)
	r := rand.New(rand.NewPCG(2, 2))
	queries := make([][]float32, 256)
	for i := range queries {
		queries[i] = vec(r, 128)
	}
	for _, tc := range []struct {
		name   string
		filter *Filter
		fields []string
	}{
		{"ids", nil, []string{}},
		{"two_fields", nil, []string{"brand", "title"}},
		{"keyword_filter_two_fields", &Filter{Field: "brand", Eq: "brand-3"}, []string{"brand", "title"}},
		{"range_filter", &Filter{Field: "price", Lt: 50.0}, []string{}},
	} {
		b.Run(tc.name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				q := Query{Retrieve: []Retrieve{{Near: &Near{Value: queries[i%len(queries)]}}}, Filter: tc.filter, Fields: tc.fields}
				if _, err := c.Search(ctx, q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkUpsert64Writers(b *testing.B) {
	db := open(b, b.TempDir(), nil)
	c := create(b, db, "w", Schema{Vectors: map[string]Vector{"v": {Dim: 128}}})
	var next atomic.Int64
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		r := rand.New(rand.NewPCG(3, uint64(next.Add(1))))
		for pb.Next() {
			d := Doc{ID: fmt.Sprint(next.Add(1)), Vectors: map[string][]float32{"v": vec(r, 128)}}
			if _, err := c.Upsert(ctx, d); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkEvents is of 200,000 events with ids, of users with 20 each and of one
// with 20,000: stored 1,000 a call, read 50 of a user, read all.
func BenchmarkEvents(b *testing.B) {
	db := open(b, b.TempDir(), nil)
	var batch []Event
	for i := range 200_000 {
		user := fmt.Sprint("user-", i/20)
		if i%10 == 0 {
			user = "many"
		}
		batch = append(batch, Event{User: user, Item: fmt.Sprint("item-", i*7919%5000), Type: "click", Time: time.Unix(int64(i), 0), ID: fmt.Sprint("event-", i)})
		if len(batch) == 1000 {
			if _, err := db.Events().Append(ctx, batch...); err != nil {
				b.Fatal(err)
			}
			batch = batch[:0]
		}
	}
	b.Run("append1000", func(b *testing.B) {
		batch := make([]Event, 1000)
		n := 0
		for b.Loop() {
			for i := range batch {
				n++
				batch[i] = Event{User: fmt.Sprint("new-", n%50_000), Item: "item", Type: "click", Time: time.Unix(int64(n), 0), ID: fmt.Sprint(n)}
			}
			if _, err := db.Events().Append(ctx, batch...); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
	})
	for _, user := range []string{"user-77", "many"} {
		b.Run("history50/"+user, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if h, err := db.Events().History(ctx, user, HistoryOptions{Limit: 50}); err != nil || len(h.Events) == 0 {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("all", func(b *testing.B) {
		n := 0
		for b.Loop() {
			for _, err := range db.Events().All(ctx, EventFilter{}) {
				if n++; err != nil {
					b.Fatal(err)
				}
			}
		}
		b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
	})
}

// BenchmarkRankBesideTraining is a search of a hundred candidates ranked by a trained
// din, alone and while another trains: run it with GOMAXPROCS=1 for one processor.
func BenchmarkRankBesideTraining(b *testing.B) {
	db := open(b, "", nil)
	c := create(b, db, "films", Schema{Fields: map[string]Field{"genre": {Type: Keyword}}, Vectors: map[string]Vector{"v": {Dim: 32}}})
	r := rand.New(rand.NewPCG(5, 5))
	const items, users = 2000, 1000
	var docs []Doc
	for i := range items {
		docs = append(docs, Doc{ID: fmt.Sprint("f", i), Fields: map[string]any{"genre": genre(i)}, Vectors: map[string][]float32{"v": vec(r, 32)}})
	}
	var events []Event
	for u := range users {
		for n := range 50 {
			events = append(events, Event{User: fmt.Sprint("u", u), Item: fmt.Sprint("f", r.IntN(items)), Type: "click", Time: time.Unix(int64(1e6+n*users+u), 0)})
		}
	}
	must(c.Upsert(ctx, docs...))(b)
	must(db.Events().Append(ctx, events...))(b)
	if err := c.Ready(ctx); err != nil {
		b.Fatal(err)
	}
	spec := TrainSpec{Model: "din", Collection: "films", Fields: []string{"genre"}, Epochs: 1, Promote: true}
	trained(b, db, spec)
	spec.Model, spec.Epochs, spec.Patience, spec.Promote = "other", 1000, 1000, false
	for _, name := range []string{"alone", "beside training"} {
		b.Run(name, func(b *testing.B) {
			if name != "alone" {
				j := must(db.Train(ctx, spec))(b)
				defer j.Wait(ctx)
				defer j.Cancel()
				for s := range j.Watch(ctx) {
					if s.Progress.Step > 0 {
						break
					}
				}
			}
			var spent []float64
			for i := 0; b.Loop(); i++ {
				due := time.Now().Add(time.Millisecond)
				time.Sleep(time.Millisecond)
				must(c.Search(ctx, Query{Retrieve: []Retrieve{{Near: &Near{Value: vec(r, 32)}}}, Limit: 100, Fields: []string{},
					Rank: []Rank{{Model: "din@production", User: fmt.Sprint("u", i%users)}}}))(b)
				spent = append(spent, time.Since(due).Seconds()) // what it waited for a processor too
			}
			slices.Sort(spent)
			b.ReportMetric(spent[len(spent)/2]*1e6, "us/p50")
			b.ReportMetric(spent[len(spent)*99/100]*1e6, "us/p99")
		})
	}
}
