package main

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/eiderdb/eider"
)

var shop = eider.Schema{Fields: map[string]eider.Field{
	"brand": {Type: eider.Keyword}, "price": {Type: eider.Float64}, "stock": {Type: eider.Int64},
	"new": {Type: eider.Bool}, "seen": {Type: eider.Time}, "place": {Type: eider.Point},
	"text": {Type: eider.Text},
}}

func TestConditionsReadAsTheTreeTheyMean(t *testing.T) {
	for text, want := range map[string]eider.Filter{
		"price<120":                       eider.Lt("price", int64(120)),
		"price <= 9.5":                    eider.Lte("price", 9.5),
		"price>-1e3":                      eider.Gt("price", -1e3),
		" stock >= 3 ":                    eider.Gte("stock", int64(3)),
		"brand=acme":                      eider.Eq("brand", "acme"),
		"brand==acme":                     eider.Eq("brand", "acme"),
		"brand=12":                        eider.Eq("brand", "12"),
		"brand=''":                        eider.Eq("brand", ""),
		`brand="a, \"b\""`:                eider.Eq("brand", `a, "b"`),
		"brand=a<b":                       eider.Eq("brand", "a<b"),
		"brand!=acme":                     eider.Not(eider.Eq("brand", "acme")),
		"brand in acme, zed":              eider.In("brand", "acme", "zed"),
		"brand IN ['a,b',\"c\\\",d\",'']": eider.In("brand", "a,b", `c",d`, ""),
		"stock in 1,2":                    eider.In("stock", int64(1), int64(2)),
		"brand^=ac":                       eider.Prefix("brand", "ac"),
		"brand exists":                    eider.Exists("brand"),
		"brand missing":                   eider.Not(eider.Exists("brand")),
		"new=true":                        eider.Eq("new", true),
		"seen>=2026-01-31":                eider.Gte("seen", "2026-01-31T00:00:00Z"),
		"seen<2026-01-31T10:00:00+02:00":  eider.Lt("seen", "2026-01-31T08:00:00Z"),
		"place within 48.85, 2.35, 2km":   eider.Within("place", 48.85, 2.35, 2000),
		"place within 48.85,2.35,150m":    eider.Within("place", 48.85, 2.35, 150),
		"other=12":                        eider.Eq("other", int64(12)),
		"other='12'":                      eider.Eq("other", "12"),
		"other=true":                      eider.Eq("other", true),
		"other=word":                      eider.Eq("other", "word"),
		"a.b-c=1":                         eider.Eq("a.b-c", int64(1)),
	} {
		got, err := parseWhere(text, shop)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		} else if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
}

func TestConditionsThatMeanNothingAreRefused(t *testing.T) {
	for _, text := range []string{
		"", "price", "<3", "price<", "price<abc", "price<NaN", "price<1e999", "price ~ 3", "brand in", "brand in a,,b",
		"brand in 'a", `brand="a`, "brand='a", "brand exists yes", "new=maybe", "seen>yesterday", "place=1",
		"place within 1,2", "place within a,b,c", "place within 91,0,1", "text=word", "brand^=", "9a=1",
	} {
		if f, err := parseWhere(text, shop); err == nil {
			t.Errorf("%q was read as %+v", text, f)
		}
	}
}

func TestFilterFlagsRefuseWhatIsNotOneTree(t *testing.T) {
	for _, text := range []string{"", "{", "[]", `{"field":"a","eq":1} {}`, `{"feild":"a"}`, "@/nonexistent/file"} {
		if text == "" {
			continue // no filter
		}
		if _, err := (filters{Filter: text}).tree(shop); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
	got, err := filters{Filter: `{"field":"price","lt":120}`, Where: []string{"brand=acme"}}.tree(shop)
	if err != nil {
		t.Fatal(err)
	}
	want := eider.And(eider.Lt("price", json.Number("120")), eider.Eq("brand", "acme"))
	if diff := cmp.Diff(&want, got); diff != "" {
		t.Error(diff)
	}
}

// FuzzWhere: any text is either refused or a filter of valid shape that its
// JSON form gives back.
func FuzzWhere(f *testing.F) {
	for _, seed := range []string{"price<120", "brand in 'a,b',\"c\"", "place within 48.85,2.35,2km", "seen>=2026-01-31", "a!=''", "b ^= x", "c exists"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tree, err := parseWhere(text, shop)
		if err != nil {
			return
		}
		if err := tree.Validate(); err != nil {
			t.Fatalf("%q gave a filter that is not valid: %v", text, err)
		}
		if _, err := json.Marshal(tree); err != nil {
			t.Fatalf("%q gave a filter without a JSON form: %v", text, err)
		}
	})
}
