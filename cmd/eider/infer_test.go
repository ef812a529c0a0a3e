package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/eiderdb/eider"
)

func TestInferredSchemaIsTheNarrowestThatHoldsTheSample(t *testing.T) {
	var sample []eider.Doc
	for i := range 60 {
		var price any = float64(i)
		if i%2 == 1 {
			price = float64(i) + 0.5
		}
		sample = append(sample, eider.Doc{ID: fmt.Sprint(i),
			Fields: map[string]any{
				"brand": []string{"acme", "zed"}[i%2], "title": fmt.Sprintf("a title like no other, number %d", i),
				"price": price, "stock": float64(i), "new": i%3 == 0, "seen": "2026-01-31T10:00:00Z",
				"tags": []any{"a", "b"}, "place": map[string]any{"lat": 1.0, "lon": 2.0}, "more": map[string]any{"x": 1.0},
				"mixed": []any{true, "a"}[i%2], "none": nil,
			},
			Vectors: map[string][]float32{"img": {1, 2, 3}},
		})
	}
	indexed := func(typ eider.FieldType) eider.Field { return eider.Field{Type: typ, Index: true} }
	want := eider.Schema{
		Fields: map[string]eider.Field{
			"brand": indexed(eider.Keyword), "title": {Type: eider.Text}, "price": indexed(eider.Float64),
			"stock": indexed(eider.Int64), "new": indexed(eider.Bool), "seen": indexed(eider.Time),
			"tags": indexed(eider.Keyword), "place": indexed(eider.Point), "more": {Type: eider.JSON}, "mixed": {Type: eider.JSON},
		},
		Vectors: map[string]eider.Vector{"img": {Dim: 3, Metric: "cosine"}},
	}
	if diff := cmp.Diff(want, infer(sample)); diff != "" {
		t.Error(diff)
	}
}

func TestLongTextIsNotAKeyword(t *testing.T) {
	s := infer([]eider.Doc{{ID: "1", Fields: map[string]any{"plot": strings.Repeat("word ", 20), "name": "short"}}})
	if s.Fields["plot"].Type != eider.Text || s.Fields["name"].Type != eider.Keyword {
		t.Errorf("got %+v", s.Fields)
	}
}
