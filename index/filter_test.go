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

func TestPlanDependsOnTheShareAndScansSmallSets(t *testing.T) {
	if p := Choose(1_000_000, 1500, 16, 0, 10); !p.Exact {
		t.Errorf("1,500 matches: %+v", p)
	}
	if p := Choose(1_000_000, 900_000, 16, 0, 10); p.Exact {
		t.Errorf("nine in ten match: %+v", p)
	}
	walked := false
	for share := 1; share <= 100; share++ { // once a walk pays, it pays for every larger share
		p := Choose(200_000, 2000*share, 16, 0, 10)
		if walked && p.Exact {
			t.Fatalf("share %d %% scans although a smaller share walks", share)
		}
		walked = walked || !p.Exact
	}
}

func TestNearestNameIsFoundWithinAThirdOfItsLength(t *testing.T) {
	known := []string{"brand", "price", "released"}
	for in, want := range map[string]string{"brnd": "brand", "Price": "price", "zzz": "", "realeased": "released"} {
		if got := Nearest(in, known); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestCircleLiesInsideItsBounds(t *testing.T) {
	for _, c := range []Circle{{0, 0, 1e5}, {60, 179.9, 5e5}, {89.9, 10, 1e5}, {-45, -179.99, 2e6}, {0, 0, 1.9e7}} {
		b := c.bounds()
		for i := range 720 {
			a := float64(i) * math.Pi / 360
			lat := c.Lat + math.Sin(a)*c.Meters/EarthRadius*180/math.Pi*0.999
			if lat < -90 || lat > 90 {
				continue
			}
			lon := wrap(c.Lon + math.Cos(a)*c.Meters/EarthRadius*180/math.Pi/max(0.01, math.Cos(lat*math.Pi/180)))
			if p := (Geo{lat, lon}); lon >= -180 && lon <= 180 && c.contains(p) && !b.contains(p) {
				t.Fatalf("%+v contains %+v, its bounds %+v do not", c, p, b)
			}
		}
	}
}
