package api

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/eiderdb/eider"
)

// TestResultsEncodeAsEncodingJSONWould compares bytes over results with every
// kind of value and every member set or not.
func TestResultsEncodeAsEncodingJSONWould(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 11))
	texts := []string{"", "plain", "quote\" back\\slash", "tab\t\n\x01\x7f", "<a href='x'>&</a>", "größer 日本 🙂", "bad \xff\xfe utf8", "line\u2028sep\u2029", "del\u007f"}
	floats := []float64{0, math.Copysign(0, -1), 1, -1.5, 1e-6, 9.99e-7, 1e-9, 1e20, 1e21, -1e21, 1e300, 5e-324, math.MaxFloat64, 0.1, 1.0 / 3, 123456789.125}
	text := func() string { return texts[r.IntN(len(texts))] }
	float := func() float64 {
		if r.IntN(2) == 0 {
			return floats[r.IntN(len(floats))]
		}
		return math.Float64frombits(r.Uint64()&^(1<<62) | 1<<52) // finite
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 678000000, time.UTC)
	values := []func() any{
		func() any { return text() }, func() any { return float() }, func() any { return r.Int64() - r.Int64() }, func() any { return r.IntN(2) == 0 },
		func() any { return at.Add(time.Duration(r.Int64N(1e18))) }, func() any { return eider.Geo{Lat: 1.5, Lon: -2} }, func() any { return nil },
		func() any { return []string{text(), text()} }, func() any { return []any{text(), float(), nil} }, func() any { return map[string]any{text(): float()} },
		func() any { return []int64{} }, func() any { return json.Number("12.50") },
	}
	value := func() any { return values[r.IntN(len(values))]() }
	some := func() bool { return r.IntN(3) == 0 }
	for range 2000 {
		res := eider.Result{Hits: []eider.Hit{}, LSN: r.Uint64()}
		for range r.IntN(4) {
			h := eider.Hit{ID: text(), Score: float()}
			if some() {
				h.Version = r.Uint64()
			}
			if !some() {
				h.Fields = map[string]any{}
				for range r.IntN(20) {
					h.Fields[text()+string(rune('a'+r.IntN(26)))] = value()
				}
			}
			if some() {
				h.Vectors = map[string][]float32{text(): {float32(r.Float64()), 1e-9}}
			}
			if some() {
				h.Group = value()
			}
			if some() {
				h.Explain = []eider.SourceScore{{Source: 1, Rank: 2, Score: float()}}
				h.Ranked = []eider.RankScore{{Phase: 1, Model: text(), Was: float(), Features: map[string]float64{text(): float()}}}
			}
			res.Hits = append(res.Hits, h)
		}
		if some() {
			n := r.Uint64()
			res.Total = &n
		}
		if some() {
			res.Cursor = text()
		}
		if some() {
			res.Facets = map[string][]eider.FacetCount{text(): {{Value: value(), Count: 3}}}
		}
		if some() {
			res.Models = []string{text()}
		}
		if some() {
			res.Explain = &eider.Explain{Phases: []eider.Phase{{Name: text(), Micros: float(), Counts: map[string]int{"a": 1}}}}
		}
		if some() {
			res.Advice = []string{text()}
		}
		var got, want bytes.Buffer
		enc := json.NewEncoder(&want)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(res); err != nil {
			t.Fatal(err)
		}
		if err := encodeResult(&got, &res); err != nil {
			t.Fatal(err)
		}
		if got.String() != want.String() {
			t.Fatalf("got  %s\nwant %s", got.String(), want.String())
		}
	}
}

func TestResultsThatAreNotJSONAreRefused(t *testing.T) {
	for _, x := range []any{math.NaN(), math.Inf(-1), time.Date(10001, 1, 1, 0, 0, 0, 0, time.UTC)} {
		var buf bytes.Buffer
		if err := encodeResult(&buf, &eider.Result{Hits: []eider.Hit{{Fields: map[string]any{"x": x}}}}); err == nil || buf.Len() > 0 {
			t.Errorf("%v was written as %q, error %v", x, buf.String(), err)
		}
	}
}

// TestEncodeKnowsEveryMember fails when a result has a member that encodeResult
// was not taught.
func TestEncodeKnowsEveryMember(t *testing.T) {
	for typ, known := range map[reflect.Type]string{
		reflect.TypeFor[eider.Result](): "hits facets total cursor lsn models explain advice",
		reflect.TypeFor[eider.Hit]():    "id score version fields vectors group explain ranked",
	} {
		var names []string
		for i := range typ.NumField() {
			if name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ","); typ.Field(i).IsExported() && name != "-" {
				names = append(names, name)
			}
		}
		if got := strings.Join(names, " "); got != known {
			t.Errorf("%s has %s; encodeResult writes %s", typ, got, known)
		}
	}
}
