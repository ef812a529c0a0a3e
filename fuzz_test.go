package eider

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/eiderdb/eider/storage/format"
	"github.com/eiderdb/eider/storage/registry"
)

func FuzzCursorNeverPanicsAndOnlyItsOwnTextOpens(f *testing.F) {
	f.Add(page{LSN: 7, Offset: 20}.seal(cursorSearch, 99))
	f.Add(page{After: []byte("sku-1")}.seal(cursorScroll, 99))
	f.Add("")
	f.Add("AAAA")
	f.Fuzz(func(t *testing.T, text string) {
		for _, kind := range []byte{cursorSearch, cursorScroll} {
			p, err := openCursor(text, kind, 99)
			if err == nil && p.seal(kind, 99) != text {
				t.Fatalf("%q opens as %+v, which seals as %q", text, p, p.seal(kind, 99))
			}
		}
	})
}

func FuzzSchemaIsRefusedOrSurvivesTheCatalogue(f *testing.F) {
	f.Add([]byte(`{"fields":{"a":{"type":"keyword","index":true}},"vectors":{"v":{"dim":4,"metric":"cosine"}},"ttl":"5m"}`))
	f.Add([]byte(`{"id":"uint64","strict":true}`))
	f.Add([]byte(`{"vectors":{"v":{"dim":5000}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var s Schema
		if json.Unmarshal(b, &s) != nil {
			return
		}
		norm, err := s.normalise()
		if err != nil {
			return
		}
		st := newStored(norm)
		back, err := decodeStored(st.encode())
		if err != nil || !back.Schema.same(norm) || !bytes.Equal(back.encode(), st.encode()) {
			t.Fatalf("%s came back as %s (%v)", st.encode(), back.encode(), err)
		}
	})
}

func FuzzQueryIsRefusedOrAnswered(f *testing.F) {
	f.Add([]byte(`{"retrieve":[{"near":{"vector":"img","value":[1,2,3,4,5,6,7,8]}}],"filter":{"field":"brand","eq":"acme"},"limit":5,"explain":true}`))
	f.Add([]byte(`{"filter":{"and":[{"field":"price","gt":3},{"not":{"field":"tags","in":["t1"]}}]},"sort":[{"field":"price","desc":true}],"facets":{"brand":3}}`))
	f.Add([]byte(`{"retrieve":[{"like":{"positive":["sku-0001"]}},{"near":{"value":[0,0,0,0,0,0,0,1]},"weight":2}],"fuse":{"weighted":{"norm":"zscore"}},"group_by":{"field":"brand"}}`))
	f.Add([]byte(`{"filter":{"field":"place","within":{"lat":1,"lon":2,"meters":500000}},"total":true,"paged":true}`))
	f.Add([]byte(`{"retrieve":[{"near":{"value":[0,0,0,0,0,0,0,1]}}],"rank":[{"model":"ctr@production","top":20},{"model":"ctr@1","weight":0.5}],"explain":true}`))
	db := memory(f, nil)
	c := create(f, db, "shop", shopSchema)
	fill(f, c, 60)
	served(f, db, linearOf("ctr", 2, -1, 0, 0))
	lsn := db.LSN()
	f.Fuzz(func(t *testing.T, b []byte) {
		var q Query
		if json.Unmarshal(b, &q) != nil {
			return
		}
		r, err := c.Search(ctx, q)
		if err != nil {
			if code := CodeOf(err); code == CodeInternal || code == "" || code == CodeCorrupt {
				t.Fatalf("%s: %v", b, err)
			}
			return
		}
		if len(r.Hits) > MaxLimit*100 || db.LSN() != lsn {
			t.Fatalf("%d hits, LSN %d", len(r.Hits), db.LSN())
		}
		if _, err := json.Marshal(r); err != nil {
			t.Fatalf("result does not encode: %v", err)
		}
	})
}

// What others wrote as a din artefact is refused by name, or scores.
func FuzzDinArtefact(f *testing.F) {
	d := untrained(f, 1, nil)
	good := d.manifest("din")
	f.Add(good.Config, "vocabulary.item", d.vocabularies[0].Tensor().Data)
	f.Add(good.Config, "catalogue.item.kind.start", []byte{0, 0, 0, 0, 255, 255, 255, 255})
	f.Add(bytes.Replace(good.Config, []byte(`"rows":11`), []byte(`"rows":2147483648`), 1), "catalogue.item.kind", []byte{9, 0, 0, 0})
	f.Add([]byte(`{"network":{"item":[{"name":"item","rows":1,"dim":1}],"pooling":"mean","head":{"hidden":[16384,16384],"activation":"relu"}},"fields":[],"history":1}`), "", []byte{})
	f.Fuzz(func(t *testing.T, config []byte, name string, data []byte) {
		tensors := d.tensors()
		if x, ok := tensors[name]; ok && len(data)%max(1, format.ElementBytes(x.DType)) == 0 {
			tensors[name] = format.Tensor{DType: x.DType, Shape: []int{len(data) / format.ElementBytes(x.DType)}, Data: data}
		}
		m := format.Model{Name: "din", Version: 1, Kind: "din", Config: config}
		infos, err := format.InfoOf(tensors)
		if err != nil {
			return // no set of tensors, which format's own targets try
		}
		for _, x := range infos {
			m.Tensors = append(m.Tensors, format.ModelTensor{TensorInfo: x})
		}
		if err := checkDin(&m); err != nil {
			if !errors.Is(err, ErrInvalid) && !errors.Is(err, registry.ErrMismatch) {
				t.Fatal(err)
			}
			return
		}
		s, err := loadDin(&m, tensors)
		if err != nil {
			if !errors.Is(err, registry.ErrMismatch) {
				t.Fatal(err)
			}
			return
		}
		x := examples{n: 2, ids: []string{"d1", "x"}, values: make([]format.Value, 2*len(s.needs().fields))}
		if err := s.score(ctx, &x, make([]float64, 2), make([]map[string]float64, 2)); err != nil {
			t.Fatal(err)
		}
	})
}
