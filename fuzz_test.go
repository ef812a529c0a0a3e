package eider

import (
	"bytes"
	"encoding/json"
	"testing"
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
