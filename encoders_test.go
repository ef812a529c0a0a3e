package eider

import (
	"os"
	"testing"

	"github.com/eiderdb/eider/embed"
	"github.com/eiderdb/eider/embed/text"
)

// renamed is an encoder whose weights are other ones.
type renamed struct{ embed.Encoder }

func (renamed) Fingerprint() string { return "another" }

func TestVectorsOfTwoEncodersUnderOneNameAreNotMixed(t *testing.T) {
	bert, err := text.LoadBERT("tiny", os.DirFS("embed/text/testdata/bert"), text.BERTOptions{})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	with := func(e embed.Encoder) *Options { return &Options{Encoders: map[string]embed.Encoder{"own": e}} }
	db := open(t, dir, with(bert))
	c := create(t, db, "c", Schema{Vectors: map[string]Vector{"v": {Dim: bert.Dim(), Encoder: "own", Source: []string{"t"}}}})
	must(c.Upsert(ctx, Doc{ID: "a", Fields: map[string]any{"t": "the first"}}))(t)
	if err := c.AddVector(ctx, "w", Vector{Dim: bert.Dim(), Encoder: "own", Source: []string{"u"}}); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	query := func(v string) Query {
		return Query{Retrieve: []Retrieve{{Near: &Near{Vector: v, Text: "first"}}}}
	}
	db = open(t, dir, with(renamed{bert}))
	c = must(db.Collection("c"))(t)
	for _, v := range []string{"v", "w"} {
		_, err = c.Search(ctx, query(v))
		codeIs(t, err, CodeEncoder, "another", bert.Fingerprint(), "add a vector")
	}
	_, err = c.Upsert(ctx, Doc{ID: "b", Fields: map[string]any{"t": "the second"}})
	codeIs(t, err, CodeEncoder)
	_, err = c.Upsert(ctx, Doc{ID: "b", Fields: map[string]any{"u": "the second"}})
	codeIs(t, err, CodeEncoder)
	if n := must(c.Count(ctx, nil))(t); n != 1 {
		t.Errorf("%d documents, want that of before", n)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, dir, with(bert))
	c = must(db.Collection("c"))(t)
	if r := must(c.Search(ctx, query("v")))(t); len(r.Hits) != 1 || r.Hits[0].ID != "a" {
		t.Errorf("%+v", r.Hits)
	}
}
