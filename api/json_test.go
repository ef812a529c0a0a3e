package api

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/eiderdb/eider"
	"github.com/google/go-cmp/cmp"
)

func TestStrictJSONRefusesWhatACarefulReaderWould(t *testing.T) {
	deep := strings.Repeat(`{"not":`, 10000) + `{}` + strings.Repeat(`}`, 10000)
	for _, tc := range []struct {
		name, body, pointer string
		kind                jsonKind
	}{
		{"unknown member", `{"filtr":{}}`, "/filtr", jsonUnknown},
		{"unknown member deep down", `{"retrieve":[{"near":{"text":"x"}},{"near":{"txt":"x"}}]}`, "/retrieve/1/near/txt", jsonUnknown},
		{"wrong case", `{"Limit":1}`, "/Limit", jsonUnknown},
		{"duplicate member", `{"limit":1,"limit":2}`, "/limit", jsonDuplicate},
		{"duplicate by escape", `{"limit":1,"li\u006dit":2}`, "/limit", jsonDuplicate},
		{"duplicate in a map", `{"facets":{"a":1,"a":1}}`, "/facets/a", jsonDuplicate},
		{"duplicate in a free value", `{"filter":{"field":"x","eq":{"a":1,"a":2}}}`, "/filter/eq/a", jsonDuplicate},
		{"10,000 deep", `{"filter":` + deep + `}`, "/filter" + strings.Repeat("/not", 31), jsonDepth},
		{"deep free value", `{"filter":{"eq":` + strings.Repeat("[", 10000) + `}}`, "/filter/eq" + strings.Repeat("/0", 30), jsonDepth},
		{"number beyond float64", `{"retrieve":[{"weight":1e400}]}`, "/retrieve/0/weight", jsonRange},
		{"free number beyond float64", `{"filter":{"eq":-1e400}}`, "/filter/eq", jsonRange},
		{"number beyond int", `{"limit":9223372036854775808}`, "/limit", jsonRange},
		{"fraction for an integer", `{"limit":1.5}`, "/limit", jsonRange},
		{"component beyond float32", `{"retrieve":[{"near":{"value":[1,1e39]}}]}`, "/retrieve/0/near/value/1", jsonRange},
		{"NaN", `{"retrieve":[{"near":{"value":[NaN]}}]}`, "/retrieve/0/near/value/0", jsonSyntax},
		{"Infinity", `{"limit":Infinity}`, "/limit", jsonSyntax},
		{"leading zero", `{"limit":01}`, "/limit", jsonSyntax},
		{"plus sign", `{"limit":+1}`, "/limit", jsonSyntax},
		{"hexadecimal", `{"limit":0x10}`, "/limit", jsonSyntax},
		{"dangling comma", `{"limit":1,}`, "", jsonSyntax},
		{"comment", `{"limit":1 /* one */}`, "", jsonSyntax},
		{"second value", `{"limit":1}{}`, "", jsonSyntax},
		{"invalid UTF-8", "{\"cursor\":\"\xff\"}", "/cursor", jsonSyntax},
		{"lone surrogate", `{"cursor":"\ud800"}`, "/cursor", jsonSyntax},
		{"raw control character", "{\"cursor\":\"a\nb\"}", "/cursor", jsonSyntax},
		{"unknown escape", `{"cursor":"\x41"}`, "/cursor", jsonSyntax},
		{"string for a number", `{"limit":"1"}`, "/limit", jsonType},
		{"number for a string", `{"cursor":1}`, "/cursor", jsonType},
		{"array for an object", `[]`, "", jsonType},
		{"cut short", `{"limit":1`, "", jsonSyntax},
		{"nothing", ``, "", jsonSyntax},
		{"odd base64", `{"retrieve":[{"near":{"value":{"f32le":"AAA="}}}]}`, "/retrieve/0/near/value/f32le", jsonRange},
		{"packed NaN", `{"retrieve":[{"near":{"value":{"f32le":"AADAfw=="}}}]}`, "/retrieve/0/near/value/f32le", jsonRange},
	} {
		start := time.Now()
		var q eider.Query
		err := decodeJSON([]byte(tc.body), &q)
		var e *jsonError
		if !errors.As(err, &e) {
			t.Errorf("%s: accepted", tc.name)
			continue
		}
		if e.Kind != tc.kind || e.Pointer != tc.pointer {
			t.Errorf("%s: %s at %q, want %s at %q: %v", tc.name, e.Kind, e.Pointer, tc.kind, tc.pointer, e)
		}
		if took := time.Since(start); took > 5*time.Millisecond && !testing.Short() {
			t.Logf("%s: took %v", tc.name, took)
		}
	}
}

func TestMisspeltMemberGetsTheNearestName(t *testing.T) {
	var q eider.Query
	var e *jsonError
	if !errors.As(decodeJSON([]byte(`{"limt":3}`), &q), &e) || !strings.Contains(e.Hint, `"limit"`) {
		t.Fatalf("hint %q", e.Hint)
	}
}

func TestDecodedQueryEqualsTheStandardLibrarys(t *testing.T) {
	const body = ` { "retrieve" : [ {"near":{"vector":"v","value":[1, -2.5e-3,0,-0,3.4028234e38],"text":"a\"b\\\u00e9\ud83e\udd86\n"},"k":10,"exact":true,"weight":0.5},
	 {"like":{"positive":["a","7"]}} ], "filter":{"and":[{"field":"x","gte":-3,"lt":1e3},{"not":{"field":"y","in":["a",true,null,2.5,{"z":[]}]}},{"or":[]},{"ids":[]}]},
	 "sort":[{"field":"p","desc":true}],"facets":{"b":3},"fields":[],"vectors":null,"limit":20,"fuse":{"rrf":{}} } `
	var got, want eider.Query
	if err := decodeJSON([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(strings.NewReader(body))
	d.UseNumber()
	if err := d.Decode(&want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
}

func TestPackedVectorEqualsItsNumbers(t *testing.T) {
	want := []float32{1, -0.5, 3e-40, math.MaxFloat32, 0}
	raw := make([]byte, 4*len(want))
	for i, x := range want {
		binary.LittleEndian.PutUint32(raw[4*i:], math.Float32bits(x))
	}
	var got eider.Near
	if err := decodeJSON([]byte(`{"value":{"f32le":"`+base64.StdEncoding.EncodeToString(raw)+`"}}`), &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.Value, want) {
		t.Fatalf("got %v", got.Value)
	}
}

// TestComponentsAreRoundedLikeStrconv compares the fast path with strconv on
// texts of every length, with halves between neighbours among them.
func TestComponentsAreRoundedLikeStrconv(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	check := func(text string) {
		t.Helper()
		d := jsonDecoder{b: []byte(text + ",")}
		got, err := d.float()
		want, werr := strconv.ParseFloat(text, 32)
		if (err != nil) != (werr != nil) {
			t.Fatalf("%s: error %v, strconv says %v", text, err, werr)
		}
		if err == nil && math.Float32bits(got) != math.Float32bits(float32(want)) {
			t.Fatalf("%s: got %x, want %x", text, math.Float32bits(got), math.Float32bits(float32(want)))
		}
	}
	for range 200_000 {
		f := math.Float32frombits(rnd.Uint32())
		if f != f || math.IsInf(float64(f), 0) {
			continue
		}
		check(strconv.FormatFloat(float64(f), 'g', rnd.IntN(20)+1, 64))
		f = float32(rnd.NormFloat64())
		check(strconv.FormatFloat(float64(f), 'f', rnd.IntN(16), 64))
		// The exact middle of two neighbours, which must round to even.
		mid := (float64(f) + float64(math.Nextafter32(f, 2))) / 2
		check(strconv.FormatFloat(mid, 'f', -1, 64))
	}
	for _, s := range []string{"0", "-0", "0.0", "1e-46", "1.17549435e-38", "1.1754942e-38", "3.4028235e38", "3.4028236e38", "16777217", "9007199254740993", "0.00000000000000000000001"} {
		check(s)
	}
}

// FuzzDecodeJSON: no bytes panic, what is accepted is what the standard library
// understands too, and writing it again reads the same.
func FuzzDecodeJSON(f *testing.F) {
	for _, s := range []string{
		`{"limit":3,"retrieve":[{"near":{"value":[1,2.5,-3e-2]}}]}`, `{"retrieve":[{"near":{"value":{"f32le":"AACAPw=="}}}]}`,
		`{"filter":{"and":[{"field":"a","eq":1e3},{"not":{"ids":["1",2]}}]}}`, `{"filter":{"field":"a","in":[{"b":[null,true,"\u00e9\ud83e\udd86"]}]}}`,
		`{"facets":{"a":1}}`, `{"sort":[{"field":"x","desc":true}],"fields":[]}`, `{}`, ` null `, `{"limit":01}`, `[[[[`, `{"cursor":"\ud800"}`, "{\"cursor\":\"\xff\"}",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var q eider.Query
		if err := decodeJSON(b, &q); err != nil {
			var e *jsonError
			if !errors.As(err, &e) || e.Offset > len(b) {
				t.Fatalf("error %#v", err)
			}
			return
		}
		if !json.Valid(b) {
			t.Fatal("accepted what is not JSON")
		}
		again, err := json.Marshal(q)
		if err != nil {
			t.Fatal(err)
		}
		var p eider.Query
		if err := decodeJSON(again, &p); err != nil {
			t.Fatalf("%s: %v", again, err)
		}
	})
}

func BenchmarkDecodeVector768(b *testing.B) {
	rnd := rand.New(rand.NewPCG(1, 2))
	v := make([]float32, 768)
	for i := range v {
		v[i] = float32(rnd.NormFloat64())
	}
	body, _ := json.Marshal(eider.Query{Retrieve: []eider.Retrieve{{Near: &eider.Near{Value: v}}}})
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		var q eider.Query
		if err := decodeJSON(body, &q); err != nil {
			b.Fatal(err)
		}
	}
}
