package eider

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/eiderdb/eider/index"
)

var ctx = context.Background()

// memory opens a database in memory that closes with the test.
func memory(t testing.TB, o *Options) *DB {
	t.Helper()
	return open(t, "", o)
}

func open(t testing.TB, dir string, o *Options) *DB {
	t.Helper()
	db, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func create(t testing.TB, db *DB, name string, s Schema) *Collection {
	t.Helper()
	c, err := db.CreateCollection(ctx, name, s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func must[T any](v T, err error) func(t testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

var shopSchema = Schema{
	Fields: map[string]Field{
		"brand": {Type: Keyword, Index: true},
		"tags":  {Type: Keyword, Index: true},
		"price": {Type: Float64, Index: true},
		"stock": {Type: Int64, Index: true},
		"sale":  {Type: Bool, Index: true},
		"seen":  {Type: Time, Index: true},
		"place": {Type: Point, Index: true},
		"title": {Type: Text},
		"extra": {Type: JSON},
		"color": {Type: Keyword}, // not indexed
	},
	Vectors: map[string]Vector{"img": {Dim: 8, Metric: index.Cosine}},
}

// product makes a document that depends on i only.
func product(i int) Doc {
	r := rand.New(rand.NewPCG(7, uint64(i)))
	d := Doc{ID: fmt.Sprintf("sku-%04d", i), Fields: map[string]any{
		"brand": []string{"acme", "zed", "umbra", "ol"}[r.IntN(4)],
		"price": math.Round(r.Float64()*20000) / 100,
		"stock": int64(r.IntN(50) - 5),
		"sale":  r.IntN(3) == 0,
		"seen":  time.Date(2026, 1, 1, 0, 0, r.IntN(1e6), 0, time.UTC),
		"place": Geo{Lat: r.Float64()*180 - 90, Lon: r.Float64()*360 - 180},
		"title": fmt.Sprintf("product %d", i),
		"color": []string{"red", "green", "blue"}[r.IntN(3)],
	}, Vectors: map[string][]float32{"img": vec(r, 8)}}
	if n := r.IntN(4); n > 0 {
		tags := make([]string, n)
		for j := range tags {
			tags[j] = fmt.Sprintf("t%d", r.IntN(6))
		}
		d.Fields["tags"] = tags
	}
	if r.IntN(5) == 0 {
		delete(d.Fields, "price")
	}
	return d
}

func vec(r *rand.Rand, dim int) []float32 {
	v := make([]float32, dim)
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
	return v
}

func fill(t testing.TB, c *Collection, n int) []Doc {
	t.Helper()
	docs := make([]Doc, n)
	for i := range docs {
		docs[i] = product(i)
	}
	for part := range slices.Chunk(docs, 500) {
		must(c.Upsert(ctx, part...))(t)
	}
	return docs
}

func TestDocumentComesBackAsItWasWritten(t *testing.T) {
	c := create(t, memory(t, nil), "shop", shopSchema)
	d := product(1)
	d.Fields["extra"] = map[string]any{"a": []any{1.5, "x", nil}, "b": true}
	d.Fields["made_up"] = "dynamic"
	d.Fields["count"] = 7
	r := must(c.Upsert(ctx, d))(t)
	got := must(c.Get(ctx, d.ID))(t)
	want := d
	want.Version = r.LSN
	want.Fields["count"] = int64(7)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got := must(c.Get(ctx, d.ID, "brand"))(t); len(got.Fields) != 1 {
		t.Errorf("asked for one field, got %v", got.Fields)
	}
}

func TestSearchFindsTheNearestFirst(t *testing.T) {
	c := create(t, memory(t, nil), "shop", shopSchema)
	docs := fill(t, c, 300)
	for _, d := range docs[:50] {
		r := must(c.Search(ctx, Query{Retrieve: []Retrieve{{Near: &Near{Vector: "img", Value: d.Vectors["img"]}}}, Limit: 3}))(t)
		if len(r.Hits) != 3 || r.Hits[0].ID != d.ID {
			t.Fatalf("nearest of %s is %+v", d.ID, r.Hits)
		}
		if r.Hits[0].Score < 0.9999 || r.Hits[1].Score < r.Hits[2].Score {
			t.Fatalf("scores %v %v %v", r.Hits[0].Score, r.Hits[1].Score, r.Hits[2].Score)
		}
	}
}

// reference decides a filter on a document by itself, without any index.
func reference(d Doc, f Filter) bool {
	switch {
	case f.And != nil:
		for _, c := range f.And {
			if !reference(d, c) {
				return false
			}
		}
		return true
	case f.Or != nil:
		for _, c := range f.Or {
			if reference(d, c) {
				return true
			}
		}
		return false
	case f.Not != nil:
		return !reference(d, *f.Not)
	case f.IDs != nil:
		return slices.Contains(f.IDs, d.ID)
	}
	v, has := d.Fields[f.Field]
	if f.Exists != nil {
		return has == *f.Exists
	}
	if !has {
		return false
	}
	values := []any{v}
	if list, ok := v.([]string); ok {
		values = nil
		for _, s := range list {
			values = append(values, s)
		}
	}
	for _, v := range values {
		if holds(v, f) {
			return true
		}
	}
	return false
}

func holds(v any, f Filter) bool {
	less := func(a, b any) bool {
		switch x := a.(type) {
		case string:
			return x < b.(string)
		case float64:
			return x < b.(float64)
		case int64:
			return x < b.(int64)
		case time.Time:
			return x.Before(b.(time.Time))
		}
		return false
	}
	switch {
	case f.Eq != nil:
		return v == f.Eq
	case f.In != nil:
		return slices.Contains(f.In, v)
	case f.Prefix != "":
		s := v.(string)
		return len(s) >= len(f.Prefix) && s[:len(f.Prefix)] == f.Prefix
	case f.Within != nil:
		return v.(Geo).Meters(Geo{Lat: f.Within.Lat, Lon: f.Within.Lon}) <= f.Within.Meters
	case f.Box != nil:
		p, b := v.(Geo), f.Box
		in := p.Lat >= b.MinLat && p.Lat <= b.MaxLat
		if b.MinLon <= b.MaxLon {
			return in && p.Lon >= b.MinLon && p.Lon <= b.MaxLon
		}
		return in && (p.Lon >= b.MinLon || p.Lon <= b.MaxLon)
	}
	return !(f.Gt != nil && !less(f.Gt, v) || f.Gte != nil && less(v, f.Gte) || f.Lt != nil && !less(v, f.Lt) || f.Lte != nil && less(f.Lte, v))
}

// randomFilter draws a tree of bounded depth.
func randomFilter(r *rand.Rand, depth int) Filter {
	if depth > 0 && r.IntN(2) == 0 {
		kids := make([]Filter, r.IntN(4))
		for i := range kids {
			kids[i] = randomFilter(r, depth-1)
		}
		switch r.IntN(3) {
		case 0:
			return And(kids...)
		case 1:
			return Or(kids...)
		default:
			return Not(randomFilter(r, depth-1))
		}
	}
	moment := func() time.Time { return time.Date(2026, 1, 1, 0, 0, r.IntN(1e6), 0, time.UTC) }
	switch r.IntN(12) {
	case 0:
		return Eq("brand", []string{"acme", "zed", "nobody"}[r.IntN(3)])
	case 1:
		return In("tags", "t1", fmt.Sprintf("t%d", r.IntN(6)))
	case 2:
		return Filter{Field: "price", Gte: r.Float64() * 200, Lt: r.Float64() * 200}
	case 3:
		return Gt("stock", int64(r.IntN(50)))
	case 4:
		return Eq("sale", r.IntN(2) == 0)
	case 5:
		return Between("seen", moment(), moment())
	case 6:
		return Exists([]string{"price", "tags", "color", "nothing"}[r.IntN(4)])
	case 7:
		return Prefix("brand", []string{"a", "u", "zed", "x"}[r.IntN(4)])
	case 8:
		return Within("place", r.Float64()*180-90, r.Float64()*360-180, r.Float64()*8e6)
	case 9:
		lat := r.Float64()*180 - 90
		return InBox("place", Box{MinLat: lat, MaxLat: min(90, lat+r.Float64()*60), MinLon: r.Float64()*360 - 180, MaxLon: r.Float64()*360 - 180})
	case 10:
		return Eq("color", []string{"red", "green", "pink"}[r.IntN(3)])
	default:
		return IDs("sku-0001", "sku-0100", "no such")
	}
}

func TestFiltersAgreeWithDecidingDocumentByDocument(t *testing.T) {
	c := create(t, memory(t, nil), "shop", shopSchema)
	docs := fill(t, c, 400)
	// Replace and delete some, so that postings have been taken back too.
	for i := 0; i < 400; i += 3 {
		docs[i].Fields["brand"], docs[i].Fields["price"] = "zed", float64(i)
	}
	must(c.Upsert(ctx, docs...))(t)
	must(c.Delete(ctx, docs[7].ID, docs[8].ID))(t)
	docs = slices.Delete(docs, 7, 9)
	seed := uint64(1)
	r := rand.New(rand.NewPCG(seed, 0))
	for n := range 600 {
		f := randomFilter(r, 3)
		var want []string
		for _, d := range docs {
			if reference(d, f) {
				want = append(want, d.ID)
			}
		}
		var got []string
		for d, err := range c.All(ctx, &f) {
			if err != nil {
				t.Fatalf("filter %d %+v: %v", n, f, err)
			}
			got = append(got, d.ID)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("filter %d (seed %d) %+v\ngot  %v\nwant %v", n, seed, f, got, want)
		}
		if cnt := must(c.Count(ctx, &f))(t); cnt != uint64(len(want)) {
			t.Fatalf("count %d, want %d", cnt, len(want))
		}
	}
}

func TestFilteredSearchReturnsLimitHitsAndOnlyMatches(t *testing.T) {
	c := create(t, memory(t, nil), "shop", shopSchema)
	docs := fill(t, c, 3000)
	if err := c.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(3, 3))
	for range 100 {
		f := randomFilter(r, 2)
		matches := map[string]bool{}
		for _, d := range docs {
			if reference(d, f) {
				matches[d.ID] = true
			}
		}
		q := Query{Retrieve: []Retrieve{{Near: &Near{Value: vec(r, 8)}}}, Filter: &f, Limit: 10, Total: true}
		res := must(c.Search(ctx, q))(t)
		if *res.Total != uint64(len(matches)) || len(res.Hits) != min(10, len(matches)) {
			t.Fatalf("%d hits of %d matches (total %d) for %+v", len(res.Hits), len(matches), *res.Total, f)
		}
		for _, h := range res.Hits {
			if !matches[h.ID] {
				t.Fatalf("%s does not match %+v", h.ID, f)
			}
		}
	}
}

func TestEquivalentFiltersGiveIdenticalHits(t *testing.T) {
	c := create(t, memory(t, nil), "shop", shopSchema)
	fill(t, c, 3000)
	if err := c.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	same := []Filter{
		Eq("brand", "acme"),
		In("brand", "acme"),
		Not(In("brand", "zed", "umbra", "ol")),
		Between("brand", "acme", "acme"),
		And(Prefix("brand", "ac"), Exists("brand")),
	}
	var first []Hit
	for i, f := range same {
		q := Query{Retrieve: []Retrieve{{Near: &Near{Value: []float32{1, 2, 3, 4, 5, 6, 7, 8}}}}, Filter: &f, Limit: 20}
		hits := must(c.Search(ctx, q))(t).Hits
		if i == 0 {
			first = hits
		} else if !reflect.DeepEqual(hits, first) {
			t.Fatalf("filter %d %+v differs", i, f)
		}
	}
}

func TestBadVectorsAreRefusedAndChangeNothing(t *testing.T) {
	db := memory(t, nil)
	c := create(t, db, "shop", shopSchema)
	before := db.LSN()
	nan := float32(math.NaN())
	for name, v := range map[string][]float32{
		"NaN": {nan, 1, 1, 1, 1, 1, 1, 1}, "short": {1}, "zero": make([]float32, 8),
		"inf": {1, 1, 1, 1, 1, 1, 1, float32(math.Inf(1))}, "overflow": {1e30, 1e30, 1, 1, 1, 1, 1, 1},
	} {
		d := product(1)
		d.Vectors["img"] = v
		if _, err := c.Upsert(ctx, product(2), d); CodeOf(err) != CodeVector && CodeOf(err) != CodeDimension {
			t.Errorf("%s: upsert gave %v", name, err)
		}
		if _, err := c.Search(ctx, Query{Retrieve: []Retrieve{{Near: &Near{Value: v}}}}); CodeOf(err) != CodeVector && CodeOf(err) != CodeDimension {
			t.Errorf("%s: search gave %v", name, err)
		}
	}
	if db.LSN() != before {
		t.Errorf("refused writes moved the LSN from %d to %d", before, db.LSN())
	}
}

func TestConditionsDecideOverWrites(t *testing.T) {
	c := create(t, memory(t, nil), "shop", shopSchema)
	d := product(1)
	r := must(c.UpsertIf(ctx, d, If{Absent: true}))(t)
	if _, err := c.UpsertIf(ctx, d, If{Absent: true}); !errors.Is(err, ErrExists) {
		t.Errorf("second insert: %v", err)
	}
	if _, err := c.UpsertIf(ctx, d, If{Version: r.LSN + 99}); !errors.Is(err, ErrConflict) {
		t.Errorf("wrong version: %v", err)
	}
	r2 := must(c.UpsertIf(ctx, d, If{Version: r.Docs[0].Version}))(t)
	if _, err := c.DeleteIf(ctx, d.ID, If{Version: r.LSN}); !errors.Is(err, ErrConflict) {
		t.Errorf("delete of an old version: %v", err)
	}
	must(c.DeleteIf(ctx, d.ID, If{Version: r2.Docs[0].Version}))(t)
	if _, err := c.Get(ctx, d.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("get after delete: %v", err)
	}
}

func TestUpdateMergesFieldsAndKeepsTheRest(t *testing.T) {
	c := create(t, memory(t, nil), "shop", shopSchema)
	d := product(1)
	must(c.Upsert(ctx, d))(t)
	must(c.Update(ctx, Doc{ID: d.ID, Fields: map[string]any{"brand": "new", "stock": nil}}, If{}))(t)
	got := must(c.Get(ctx, d.ID))(t)
	if got.Fields["brand"] != "new" || got.Fields["title"] != d.Fields["title"] || !reflect.DeepEqual(got.Vectors, d.Vectors) {
		t.Errorf("got %+v", got)
	}
	if _, there := got.Fields["stock"]; there {
		t.Error("a field set to nil is still there")
	}
	if n := must(c.Count(ctx, &Filter{Field: "brand", Eq: d.Fields["brand"]}))(t); n != 0 {
		t.Errorf("%d documents still have the old brand", n)
	}
	if _, err := c.Update(ctx, Doc{ID: "nobody", Fields: map[string]any{"brand": "x"}}, If{}); !errors.Is(err, ErrNotFound) {
		t.Errorf("update of nothing: %v", err)
	}
}

func TestBatchIsAllOrNothingAcrossCollections(t *testing.T) {
	db := memory(t, nil)
	a, b := create(t, db, "a", shopSchema), create(t, db, "b", shopSchema)
	must(a.Upsert(ctx, product(1)))(t)
	lsn := db.LSN()
	_, err := db.Batch().Upsert("b", product(2)).UpsertIf("a", product(1), If{Absent: true}).Commit(ctx)
	if !errors.Is(err, ErrExists) || db.LSN() != lsn {
		t.Fatalf("err %v, LSN %d was %d", err, db.LSN(), lsn)
	}
	if _, err := b.Get(ctx, product(2).ID); !errors.Is(err, ErrNotFound) {
		t.Fatalf("half a batch was written: %v", err)
	}
	r := must(db.Batch().Upsert("b", product(2)).Delete("a", product(1).ID).Commit(ctx))(t)
	if r.LSN != lsn+1 || len(r.Docs) != 2 {
		t.Fatalf("receipt %+v", r)
	}
}

func TestExpiredDocumentIsGoneFromEveryRead(t *testing.T) {
	now := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	db := memory(t, &Options{Now: func() time.Time { return now }})
	c := create(t, db, "shop", shopSchema)
	d, keep := product(1), product(2)
	d.ExpireAt = now.Add(time.Hour)
	must(c.Upsert(ctx, d, keep))(t)
	if n := must(c.Count(ctx, nil))(t); n != 2 {
		t.Fatalf("count %d", n)
	}
	now = now.Add(2 * time.Hour)
	if _, err := c.Get(ctx, d.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("get: %v", err)
	}
	if n := must(c.Count(ctx, nil))(t); n != 1 {
		t.Errorf("count %d", n)
	}
	r := must(c.Search(ctx, Query{Retrieve: []Retrieve{{Near: &Near{Value: d.Vectors["img"]}}}}))(t)
	if len(r.Hits) != 1 || r.Hits[0].ID != keep.ID {
		t.Errorf("search: %+v", r.Hits)
	}
	if err := c.sweep(ctx); err != nil {
		t.Fatal(err)
	}
	if n := c.Info().Docs; n != 1 {
		t.Errorf("%d documents stored after the sweep", n)
	}
}

func TestPagesOfASearchAreOneSnapshot(t *testing.T) {
	c := create(t, memory(t, nil), "shop", shopSchema)
	docs := fill(t, c, 100)
	q := Query{Retrieve: []Retrieve{{Near: &Near{Value: docs[0].Vectors["img"]}}}, Limit: 30, Paged: true}
	whole := q
	whole.Limit = 100
	want := must(c.Search(ctx, whole))(t)
	var got []Hit
	for {
		r := must(c.Search(ctx, q))(t)
		got = append(got, r.Hits...)
		if r.Cursor == "" {
			break
		}
		q.Cursor = r.Cursor
		must(c.Delete(ctx, want.Hits[len(want.Hits)-len(got)/30].ID))(t) // does not show in the pages
		must(c.Upsert(ctx, Doc{ID: fmt.Sprint("new", len(got)), Vectors: map[string][]float32{"img": docs[0].Vectors["img"]}}))(t)
	}
	if len(got) != 100 {
		t.Fatalf("%d hits in all", len(got))
	}
	for i := range got {
		if got[i].ID != want.Hits[i].ID {
			t.Fatalf("hit %d is %s, want %s", i, got[i].ID, want.Hits[i].ID)
		}
	}
}

func TestCursorOfAnotherQueryIsRefused(t *testing.T) {
	c := create(t, memory(t, nil), "shop", shopSchema)
	fill(t, c, 50)
	r := must(c.Search(ctx, Query{Limit: 5}))(t)
	if _, err := c.Search(ctx, Query{Limit: 5, Cursor: r.Cursor, Filter: &Filter{Field: "sale", Eq: true}}); CodeOf(err) != CodeInvalid {
		t.Errorf("got %v", err)
	}
	if _, err := c.Search(ctx, Query{Limit: 5, Cursor: r.Cursor[:len(r.Cursor)-2] + "xx"}); CodeOf(err) != CodeInvalid {
		t.Errorf("damaged: %v", err)
	}
	c.db.pins.clear()
	if _, err := c.Search(ctx, Query{Limit: 5, Cursor: r.Cursor}); CodeOf(err) != CodeCursor {
		t.Errorf("expired: %v", err)
	}
}

func TestScrollReturnsEveryDocumentOnceInIDOrder(t *testing.T) {
	for _, kind := range []IDKind{StringID, Uint64ID} {
		db := memory(t, nil)
		c := create(t, db, "n", Schema{ID: kind})
		for i := range 250 {
			must(c.Upsert(ctx, Doc{ID: fmt.Sprint(i * 7), Fields: map[string]any{"n": i}}))(t)
		}
		var ids []string
		sc := Scroll{Limit: 40}
		for {
			p := must(c.Scroll(ctx, sc))(t)
			for _, d := range p.Docs {
				ids = append(ids, d.ID)
			}
			if p.Cursor == "" {
				break
			}
			sc.Cursor = p.Cursor
		}
		want := make([]string, 250)
		for i := range want {
			want[i] = fmt.Sprint(i * 7)
		}
		if kind == StringID {
			slices.Sort(want)
		}
		if !slices.Equal(ids, want) {
			t.Fatalf("%s ids: %v", kind, ids)
		}
	}
}

func TestSortFollowsTheFieldAndPutsMissingLast(t *testing.T) {
	c := create(t, memory(t, nil), "shop", shopSchema)
	fill(t, c, 200)
	for _, sort := range [][]Sort{{{Field: "price"}}, {{Field: "price", Desc: true}}, {{Field: "brand"}, {Field: "price", Desc: true}}} {
		r := must(c.Search(ctx, Query{Sort: sort, Limit: 200}))(t)
		if len(r.Hits) != 200 {
			t.Fatalf("%d hits", len(r.Hits))
		}
		missing := false
		for i := 1; i < len(r.Hits); i++ {
			a, b := r.Hits[i-1].Fields, r.Hits[i].Fields
			if len(sort) == 2 && a["brand"] != b["brand"] {
				if a["brand"].(string) > b["brand"].(string) {
					t.Fatalf("%v: brands out of order at %d", sort, i)
				}
				missing = false
				continue
			}
			pa, oka := a["price"].(float64)
			pb, okb := b["price"].(float64)
			missing = missing || !oka
			if okb && missing || oka && okb && (pa > pb) != sort[len(sort)-1].Desc && pa != pb {
				t.Fatalf("%v: prices out of order at %d: %v %v", sort, i, a["price"], b["price"])
			}
		}
	}
}

func TestGroupsKeepTheBestPerValue(t *testing.T) {
	c := create(t, memory(t, nil), "shop", shopSchema)
	fill(t, c, 300)
	q := []float32{1, 0, 1, 0, 1, 0, 1, 0}
	all := must(c.Search(ctx, Query{Retrieve: []Retrieve{{Near: &Near{Value: q}}}, Limit: 300}))(t)
	best := map[any][]string{}
	for _, h := range all.Hits {
		if b := h.Fields["brand"]; len(best[b]) < 2 {
			best[b] = append(best[b], h.ID)
		}
	}
	r := must(c.Search(ctx, Query{Retrieve: []Retrieve{{Near: &Near{Value: q}}}, GroupBy: &GroupBy{Field: "brand", Size: 2}, Limit: 4}))(t)
	got := map[any][]string{}
	for _, h := range r.Hits {
		got[h.Group] = append(got[h.Group], h.ID)
	}
	if !reflect.DeepEqual(got, best) {
		t.Errorf("got %v, want %v", got, best)
	}
}

func TestFacetsCountTheMatchesExactly(t *testing.T) {
	c := create(t, memory(t, nil), "shop", shopSchema)
	docs := fill(t, c, 300)
	f := Gt("stock", int64(10))
	want := map[string]map[any]uint64{"brand": {}, "tags": {}, "color": {}, "sale": {}}
	for _, d := range docs {
		if !reference(d, f) {
			continue
		}
		for name := range want {
			switch v := d.Fields[name].(type) {
			case []string:
				for _, s := range slices.Compact(slices.Sorted(slices.Values(v))) {
					want[name][s]++
				}
			case nil:
			default:
				want[name][v]++
			}
		}
	}
	r := must(c.Search(ctx, Query{Filter: &f, Facets: map[string]int{"brand": 10, "tags": 10, "color": 10, "sale": 10}, Limit: 1}))(t)
	for name, counts := range want {
		got := map[any]uint64{}
		for _, fc := range r.Facets[name] {
			got[fc.Value] = fc.Count
		}
		if !reflect.DeepEqual(got, counts) {
			t.Errorf("%s: got %v, want %v", name, got, counts)
		}
	}
}

func TestFusionOfTwoSourcesExplainsEachHit(t *testing.T) {
	c := create(t, memory(t, nil), "shop", Schema{Vectors: map[string]Vector{"a": {Dim: 4}, "b": {Dim: 4, Metric: index.IP}}})
	r := rand.New(rand.NewPCG(5, 5))
	for i := range 100 {
		must(c.Upsert(ctx, Doc{ID: fmt.Sprint(i), Vectors: map[string][]float32{"a": vec(r, 4), "b": vec(r, 4)}}))(t)
	}
	q := Query{Retrieve: []Retrieve{{Near: &Near{Vector: "a", Value: vec(r, 4)}}, {Near: &Near{Vector: "b", Value: vec(r, 4)}, Weight: 2}}, Explain: true}
	for _, fuse := range []*Fuse{nil, {RRF: &RRF{K: 10}}, {Weighted: &Weighted{}}, {Weighted: &Weighted{Norm: "zscore"}}} {
		q.Fuse = fuse
		res := must(c.Search(ctx, q))(t)
		for _, h := range res.Hits {
			sum := 0.0
			for _, p := range h.Explain {
				sum += p.Fused
			}
			if len(h.Explain) == 0 || math.Abs(sum-h.Score) > 1e-12 {
				t.Fatalf("hit %s scores %v, its parts %v", h.ID, h.Score, sum)
			}
		}
		if res.Explain == nil || len(res.Explain.Phases) < 4 {
			t.Fatalf("explain %+v", res.Explain)
		}
	}
}

func TestLikeFindsNeighboursOfExamplesWithoutThem(t *testing.T) {
	c := create(t, memory(t, nil), "p", Schema{Vectors: map[string]Vector{"v": {Dim: 2}}})
	at := map[string][]float32{"a": {0, 0}, "b": {0, 1}, "near": {0, 0.6}, "far": {9, 9}, "bad": {0, -5}, "away": {0, 6}}
	for id, v := range at {
		must(c.Upsert(ctx, Doc{ID: id, Vectors: map[string][]float32{"v": v}}))(t)
	}
	r := must(c.Search(ctx, Query{Retrieve: []Retrieve{{Like: &Like{Positive: []string{"a", "b"}}}}}))(t)
	if r.Hits[0].ID != "near" || len(r.Hits) != 4 {
		t.Errorf("got %+v", r.Hits)
	}
	r = must(c.Search(ctx, Query{Retrieve: []Retrieve{{Like: &Like{Positive: []string{"a", "b"}, Negative: []string{"bad"}}}}}))(t)
	if r.Hits[0].ID != "away" { // 2*(0,0.5) - (0,-5) = (0,6)
		t.Errorf("got %+v", r.Hits)
	}
	if _, err := c.Search(ctx, Query{Retrieve: []Retrieve{{Like: &Like{Positive: []string{"nobody"}}}}}); !errors.Is(err, ErrNotFound) {
		t.Errorf("unknown example: %v", err)
	}
}

func TestAliasFollowsItsCollection(t *testing.T) {
	db := memory(t, nil)
	a, b := create(t, db, "films-1", shopSchema), create(t, db, "films-2", shopSchema)
	must(a.Upsert(ctx, product(1)))(t)
	must(b.Upsert(ctx, product(2)))(t)
	for _, name := range []string{"films-1", "films-2"} {
		if err := db.SetAliases(ctx, AliasChange{Alias: "films", Collection: name}); err != nil {
			t.Fatal(err)
		}
		if c := must(db.Collection("films"))(t); c.Name() != name {
			t.Errorf("alias leads to %s, want %s", c.Name(), name)
		}
	}
	if err := db.DropCollection(ctx, "films"); CodeOf(err) != CodeInvalid {
		t.Errorf("drop by alias: %v", err)
	}
	if err := db.DropCollection(ctx, "films-2"); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Collection("films"); !errors.Is(err, ErrNotFound) {
		t.Errorf("alias of a dropped collection: %v", err)
	}
	if _, err := b.Get(ctx, product(2).ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("get in a dropped collection: %v", err)
	}
}

func TestTypedViewRoundTrips(t *testing.T) {
	type film struct {
		ID     uint64    `eider:"id"`
		Title  string    `eider:"title,text"`
		Genres []string  `eider:"genres,keyword,index"`
		Year   int       `eider:"year,index"`
		Score  float32   `eider:"score"`
		When   time.Time `eider:"when"`
		Home   Geo       `eider:"home,index"`
		Plot   []float32 `eider:"plot,dim=3,metric=cosine,index=flat"`
	}
	schema := must(SchemaOf[film]())(t)
	c := create(t, memory(t, nil), "films", schema)
	films := must(As[film](c))(t)
	in := film{ID: 42, Title: "Alien", Genres: []string{"horror", "sf"}, Year: 1979, Score: 8.5, When: time.Date(1979, 5, 25, 0, 0, 0, 0, time.UTC), Home: Geo{Lat: 1, Lon: 2}, Plot: []float32{1, 2, 3}}
	must(films.Put(ctx, in))(t)
	if out := must(films.Get(ctx, "42"))(t); !reflect.DeepEqual(in, out) {
		t.Errorf("got %+v", out)
	}
	hits, _, err := films.Search(ctx, Query{Retrieve: []Retrieve{{Near: &Near{Value: []float32{1, 2, 3}}}}, Filter: &Filter{Field: "year", Lt: 1980}, Vectors: []string{"plot"}})
	if err != nil || len(hits) != 1 || !reflect.DeepEqual(hits[0].Value, in) {
		t.Errorf("search: %v %+v", err, hits)
	}
	for v, err := range films.All(ctx, nil) {
		if err != nil || !reflect.DeepEqual(v, in) {
			t.Errorf("all: %v %+v", err, v)
		}
	}
}

func TestTextIsEncodedOnWriteAndSearch(t *testing.T) {
	c := create(t, memory(t, nil), "notes", Schema{
		Fields:  map[string]Field{"title": {Type: Text}, "body": {Type: Text}},
		Vectors: map[string]Vector{"v": {Dim: 64, Metric: index.Cosine, Encoder: "static-tiny", Source: []string{"title", "body"}}},
	})
	must(c.Upsert(ctx,
		Doc{ID: "1", Fields: map[string]any{"title": "a dog chases a cat", "body": "animals"}},
		Doc{ID: "2", Fields: map[string]any{"title": "stock market falls", "body": "finance and money"}},
		Doc{ID: "3", Fields: map[string]any{"title": "!!!"}},
	))(t)
	first := func(text string) string {
		r := must(c.Search(ctx, Query{Retrieve: []Retrieve{{Near: &Near{Text: text}}}}))(t)
		return r.Hits[0].ID
	}
	if got := first("kitten and puppy"); got != "1" {
		t.Errorf("pets lead to %s", got)
	}
	must(c.Update(ctx, Doc{ID: "1", Fields: map[string]any{"title": "bank interest rates", "body": "economy and money"}}, If{}))(t)
	must(c.Update(ctx, Doc{ID: "2", Fields: map[string]any{"title": "the puppy sleeps", "body": "animals"}}, If{}))(t)
	if got := first("kitten and puppy"); got != "2" {
		t.Errorf("after the update pets lead to %s", got)
	}
	if _, err := c.Search(ctx, Query{Retrieve: []Retrieve{{Near: &Near{Text: " "}}}}); CodeOf(err) != CodeInvalid {
		t.Errorf("blank text: %v", err)
	}
}

func TestErrorsSayWhatToDoNext(t *testing.T) {
	db := memory(t, nil)
	s := shopSchema
	s.Strict = true
	c := create(t, db, "shop", s)
	for name, tc := range map[string]struct {
		err  error
		code Code
		want string
	}{
		"collection": {func() error { _, err := db.Collection("shpo"); return err }(), CodeNotFound, `did you mean "shop"`},
		"field":      {func() error { _, err := c.Upsert(ctx, Doc{ID: "1", Fields: map[string]any{"brnd": "x"}}); return err }(), CodeUnknownField, `did you mean "brand"`},
		"type":       {func() error { _, err := c.Upsert(ctx, Doc{ID: "1", Fields: map[string]any{"stock": "x"}}); return err }(), CodeInvalid, "not an integer"},
		"filter":     {func() error { _, err := c.Count(ctx, &Filter{Field: "sale", Gt: 3}); return err }(), CodeFilter, "takes eq, in and exists"},
		"limit":      {func() error { _, err := c.Search(ctx, Query{Limit: 5000}); return err }(), CodeInvalid, "use 1 to 1000"},
		"name":       {func() error { _, err := db.CreateCollection(ctx, "No Good", Schema{}); return err }(), CodeInvalid, "a-z 0-9"},
		"schema":     {func() error { _, err := db.CreateCollection(ctx, "shop", Schema{}); return err }(), CodeExists, "another schema"},
		"encoder": {func() error {
			_, err := db.CreateCollection(ctx, "x", Schema{Vectors: map[string]Vector{"v": {Dim: 64, Encoder: "gpt"}}})
			return err
		}(), CodeEncoder, "known are"},
	} {
		var e *Error
		if !errors.As(tc.err, &e) || e.Code != tc.code {
			t.Errorf("%s: %v has code %s, want %s", name, tc.err, CodeOf(tc.err), tc.code)
		} else if !contains(tc.err.Error(), tc.want) {
			t.Errorf("%s: %q does not say %q", name, tc.err, tc.want)
		}
	}
}

func contains(s, sub string) bool {
	for i := 0; i+len(sub) <= len(s); i++ {
		if s[i:i+len(sub)] == sub {
			return true
		}
	}
	return false
}

func TestMisspeltFieldOfAStrictCollectionDeletesNothing(t *testing.T) {
	s := shopSchema
	s.Strict = true
	c := create(t, memory(t, nil), "shop", s)
	fill(t, c, 20)
	f := Not(Eq("brnd", "acme"))
	if _, _, err := c.DeleteWhere(ctx, f, false); CodeOf(err) != CodeUnknownField {
		t.Errorf("delete where: %v", err)
	}
	if _, err := c.Search(ctx, Query{Filter: &f}); CodeOf(err) != CodeUnknownField {
		t.Errorf("search: %v", err)
	}
	if n := must(c.Count(ctx, nil))(t); n != 20 {
		t.Errorf("%d documents left of 20", n)
	}
}
