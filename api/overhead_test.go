package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eiderdb/eider"
)

// BenchmarkHTTPOverhead compares a search through the library with the same
// search over HTTP, alternating: 100,000 x 128, k = 10, one keyword filter, two
// fields. It reports both medians, their difference, and the p99 at a steady
// 1,000 requests a second.
//
//	go test ./api -run '^$' -bench HTTPOverhead -benchtime 3000x
func BenchmarkHTTPOverhead(b *testing.B) {
	const n, dim = 100_000, 128
	db, err := eider.Open("", &eider.Options{Async: true})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	c, err := db.CreateCollection(ctx, "bench", eider.Schema{
		Fields:  map[string]eider.Field{"kind": {Type: eider.Keyword, Index: true}, "title": {Type: eider.Text}, "size": {Type: eider.Int64}},
		Vectors: map[string]eider.Vector{"v": {Dim: dim, Index: eider.VectorIndex{M: 12, EfConstruction: 60}}},
	})
	if err != nil {
		b.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(7, 7))
	// 200 clusters, as embeddings have them: uniform noise has no neighbours.
	var centres [200][dim]float32
	for i := range centres {
		for j := range centres[i] {
			centres[i][j] = float32(rnd.NormFloat64())
		}
	}
	random := func() []float32 {
		v := make([]float32, dim)
		centre := &centres[rnd.IntN(len(centres))]
		for i := range v {
			v[i] = centre[i] + 0.4*float32(rnd.NormFloat64())
		}
		return v
	}
	for at := 0; at < n; at += 1000 {
		docs := make([]eider.Doc, 1000)
		for i := range docs {
			docs[i] = eider.Doc{ID: fmt.Sprint(at + i), Fields: map[string]any{"kind": []string{"a", "b", "c", "d"}[i%4], "title": fmt.Sprintf("document number %d", at+i), "size": int64(i)}, Vectors: map[string][]float32{"v": random()}}
		}
		if _, err := c.Upsert(ctx, docs...); err != nil {
			b.Fatal(err)
		}
	}
	if err := c.Ready(ctx); err != nil {
		b.Fatal(err)
	}
	_, addr := listening(b, db, Options{})
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	defer client.CloseIdleConnections()
	queries := make([]eider.Query, 256)
	bodies := make([][]byte, len(queries))
	f := eider.Eq("kind", "b")
	for i := range queries {
		queries[i] = eider.Query{Retrieve: []eider.Retrieve{{Near: &eider.Near{Value: random()}}}, Filter: &f, Fields: []string{"title", "size"}, Limit: 10}
		bodies[i], _ = json.Marshal(queries[i])
	}
	var refused atomic.Int64
	post := func(i int) {
		res, err := client.Post("http://"+addr+"/v1/collections/bench/search", "application/json", bytes.NewReader(bodies[i%len(bodies)]))
		if err != nil {
			b.Error(err)
			return
		}
		io.Copy(io.Discard, res.Body)
		res.Body.Close()
		switch res.StatusCode {
		case 200:
		case 429, 503:
			refused.Add(1)
		default:
			b.Errorf("status %d", res.StatusCode)
		}
	}
	var lib, web []time.Duration
	for i := 0; b.Loop(); i++ {
		start := time.Now()
		if _, err := c.Search(ctx, queries[i%len(queries)]); err != nil {
			b.Fatal(err)
		}
		lib = append(lib, time.Since(start))
		start = time.Now()
		post(i)
		web = append(web, time.Since(start))
	}
	median := func(d []time.Duration) float64 { slices.Sort(d); return float64(d[len(d)/2].Nanoseconds()) / 1000 }
	l, w := median(lib), median(web)
	b.ReportMetric(l, "library-us")
	b.ReportMetric(w, "http-us")
	b.ReportMetric(w-l, "added-us")
	if b.N < 100 {
		return
	}
	// An open loop: latency counts from when a request was due.
	const rate, total = 1000, 5000
	took := make([]time.Duration, total)
	var wg sync.WaitGroup
	begin := time.Now()
	for i := range total {
		due := begin.Add(time.Duration(i) * time.Second / rate)
		time.Sleep(time.Until(due))
		wg.Go(func() { post(i); took[i] = time.Since(due) })
	}
	wg.Wait()
	slices.Sort(took)
	b.ReportMetric(float64(total)/time.Since(begin).Seconds(), "requests/s")
	b.ReportMetric(float64(took[total*99/100].Microseconds()), "p99-us")
	b.ReportMetric(float64(refused.Load()), "refused")
}

// BenchmarkHandler measures a search through the handler alone, without a
// network: what decoding, checks and encoding add to a small search.
func BenchmarkHandler(b *testing.B) {
	db := memory(b)
	c := shop(b, db, 1000)
	h := handler(b, db)
	f := eider.Eq("brand", "zed")
	q := eider.Query{Retrieve: []eider.Retrieve{{Near: &eider.Near{Value: []float32{1, 2, 3, 4}}}}, Filter: &f, Fields: []string{"title", "stock"}, Limit: 10}
	body, _ := json.Marshal(q)
	b.Run("library", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.Search(ctx, q); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("handler", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r := httptest.NewRequest("POST", "/v1/collections/shop/search", bytes.NewReader(body))
			h.ServeHTTP(httptest.NewRecorder(), r)
		}
	})
}
