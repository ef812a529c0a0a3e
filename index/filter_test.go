package index

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"
)

func TestFilterWithTwoFormsInANodeIsRefused(t *testing.T) {
	yes := true
	for name, f := range map[string]Filter{
		"empty":      {},
		"and + or":   {And: []Filter{}, Or: []Filter{}},
		"and + leaf": {And: []Filter{}, Field: "a", Eq: 1},
		"no field":   {Eq: 1},
		"no cond":    {Field: "a"},
		"gt + gte":   {Field: "a", Gt: 1, Gte: 2},
		"nested":     {Not: &Filter{Or: []Filter{{Field: "a", Exists: &yes}, {}}}},
		"circle":     {Field: "a", Within: &Circle{Lat: 91}},
		"box":        {Field: "a", Box: &Box{MinLat: 5, MaxLat: 4}},
		"nan":        {Field: "a", Within: &Circle{Lat: math.NaN()}},
	} {
		if err := f.Validate(); !errors.Is(err, ErrFilter) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFilterPastItsLimitsIsRefused(t *testing.T) {
	deep := Filter{Field: "a", Eq: 1}
	for range MaxFilterDepth {
		deep = Filter{Not: &Filter{And: []Filter{deep}}}
	}
	wide := Filter{Or: make([]Filter, MaxFilterNodes)}
	for i := range wide.Or {
		wide.Or[i] = Filter{Field: "a", Eq: i}
	}
	for _, f := range []Filter{deep, wide, {Field: "a", In: make([]any, MaxFilterList+1)}, {IDs: make([]string, MaxFilterList+1)}} {
		if err := f.Validate(); !errors.Is(err, ErrFilter) {
			t.Errorf("got %v", err)
		}
	}
}

func TestFilterErrorPointsAtTheNode(t *testing.T) {
	f := Filter{And: []Filter{{Field: "a", Eq: 1}, {Not: &Filter{Field: "b"}}}}
	if err := f.Validate(); err == nil || !strings.Contains(err.Error(), "/filter/and/1/not") {
		t.Errorf("got %v", err)
	}
}

func TestEmptyAndSurvivesJSON(t *testing.T) {
	for _, f := range []Filter{{And: []Filter{}}, {Or: []Filter{}}, {IDs: []string{}}, {Field: "a", In: []any{}}, {Field: "a", Eq: false}} {
		b, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		var g Filter
		if err := json.Unmarshal(b, &g); err != nil || !reflect.DeepEqual(f, g) {
			t.Errorf("%s came back as %+v (%v)", b, g, err)
		}
	}
}

// table is Fields over a map, every field without an index.
type table map[uint32][]any

func (table) Type(string) (FieldType, bool, bool)            { return "", false, false }
func (table) Equal(string, any) (*roaring.Bitmap, error)     { return nil, errors.New("not indexed") }
func (table) InRange(string, Range) (*roaring.Bitmap, error) { return nil, errors.New("not indexed") }
func (table) HasPrefix(string, string) (*roaring.Bitmap, error) {
	return nil, errors.New("not indexed")
}
func (table) Has(string) (*roaring.Bitmap, error)         { return nil, errors.New("not indexed") }
func (table) Points(string, Box, func(uint32, Geo)) error { return errors.New("not indexed") }
func (table) IDs([]string) (*roaring.Bitmap, error)       { return roaring.New(), nil }
func (t table) Scan(_ context.Context, _ string, within *roaring.Bitmap, fn func(uint32, []any)) error {
	for _, id := range within.ToArray() {
		fn(id, t[id])
	}
	return nil
}

func TestUndeclaredFieldsMatchByTheTypeOfEachValue(t *testing.T) {
	rows := table{0: {int64(5)}, 1: {5.0}, 2: {"5"}, 3: {true}, 4: nil, 5: {int64(7), "x"}}
	live := roaring.BitmapOf(0, 1, 2, 3, 4, 5)
	for _, tc := range []struct {
		f    Filter
		want []uint32
	}{
		{Filter{Field: "a", Eq: 5}, []uint32{0, 1}},
		{Filter{Field: "a", Eq: "5"}, []uint32{2}},
		{Filter{Field: "a", Gt: 4.5}, []uint32{0, 1, 5}},
		{Filter{Field: "a", Eq: json.Number("5")}, []uint32{0, 1}},
		{Filter{Field: "a", Prefix: "x"}, []uint32{5}},
		{Filter{Not: &Filter{Field: "a", Eq: 5}}, []uint32{2, 3, 4, 5}},
		{Filter{Field: "a", Gte: 5, Lte: 6}, []uint32{0, 1}},
		{Filter{Field: "a", Lt: 1 << 62}, []uint32{0, 1, 5}},
	} {
		e, err := Evaluate(context.Background(), &tc.f, live, rows)
		if err != nil {
			t.Fatalf("%+v: %v", tc.f, err)
		}
		if got := e.Matches.ToArray(); !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%+v: got %v, want %v", tc.f, got, tc.want)
		}
		if len(e.Scanned) == 0 || e.Read == 0 {
			t.Errorf("%+v does not say that it read documents", tc.f)
		}
	}
}

func TestFractionalBoundOfAnIntegerFieldRoundsInwards(t *testing.T) {
	for _, tc := range []struct {
		f     Filter
		in    []int64
		out   []int64
		empty bool
	}{
		{Filter{Field: "n", Gt: 4.5}, []int64{5, 6}, []int64{4}, false},
		{Filter{Field: "n", Gte: 4.5}, []int64{5}, []int64{4}, false},
		{Filter{Field: "n", Gt: 4.0}, []int64{5}, []int64{4}, false},
		{Filter{Field: "n", Lt: 4.5}, []int64{4}, []int64{5}, false},
		{Filter{Field: "n", Lte: 1e30}, []int64{math.MaxInt64}, nil, false},
		{Filter{Field: "n", Gt: 1e30}, nil, nil, true},
	} {
		r, empty, err := tc.f.interval(Int64)
		if err != nil || empty != tc.empty {
			t.Fatalf("%+v: %v %v", tc.f, empty, err)
		}
		for _, v := range tc.in {
			if !r.contains(v) {
				t.Errorf("%+v leaves %d out", tc.f, v)
			}
		}
		for _, v := range tc.out {
			if r.contains(v) {
				t.Errorf("%+v lets %d in", tc.f, v)
			}
		}
	}
}

func TestAFilteredSearchIsPlannedByWhatItWouldCost(t *testing.T) {
	c := Costs{Scan: 150, Walk: 250, Link: 10, Fresh: 11} // 60,000 x 784, measured
	for _, ef := range []int{20, 200} {
		last := c.Sifting(ef, 0.001)
		for _, share := range []float64{0.01, 0.1, 0.5, 1} {
			if s := c.Sifting(ef, share); s >= last {
				t.Errorf("ef %d: sifting costs %.0f at share %g, no less than at a smaller one", ef, s, share)
			} else {
				last = s
			}
		}
		if b, s := c.Bridging(ef, 32, 0.05), c.Sifting(ef, 0.05); b >= s {
			t.Errorf("ef %d: at 5 %% bridging costs %.0f, sifting %.0f", ef, b, s)
		}
		if b, s := c.Bridging(ef, 32, 0.9), c.Sifting(ef, 0.9); b <= s {
			t.Errorf("ef %d: at 90 %% bridging costs %.0f, sifting %.0f", ef, b, s)
		}
		if s, w := c.Scanning(100), c.Sifting(ef, 1); s >= w {
			t.Errorf("ef %d: scanning 100 costs %.0f, a walk %.0f", ef, s, w)
		}
	}
}
