package api

import (
	"encoding/json"
	"fmt"
	"strconv"
	"testing"

	"github.com/eiderdb/eider"
)

func TestDocumentLivesThroughItsVersions(t *testing.T) {
	db := memory(t)
	shop(t, db, 0)
	h := handler(t, db)
	const at = "/v1/collections/shop/docs/sku%2F7%20%C3%A9"
	const id = "sku/7 é"

	a := do(t, h, "PUT", at, `{"fields":{"brand":"acme","price":3,"seen":"2026-01-02T03:04:05Z","place":{"lat":1.5,"lon":2}},"vectors":{"v":[1,0,0,0]}}`).want(t, 201)
	var r eider.Receipt
	a.into(t, &r)
	if r.Docs[0].ID != id || r.Docs[0].Existed || a.header.Get("X-LSN") != fmt.Sprint(r.LSN) {
		t.Fatalf("receipt %s", a.body)
	}
	tag := a.header.Get("ETag")
	do(t, h, "PUT", at, `{}`, "If-None-Match", "*").want(t, 412)
	do(t, h, "GET", at, nil, "If-None-Match", tag).want(t, 304)
	do(t, h, "PATCH", at, `{"fields":{"price":4.25,"brand":null}}`, "If-Match", tag).want(t, 200)
	p := do(t, h, "PATCH", at, `{"fields":{"price":5}}`, "If-Match", tag).want(t, 412).problem(t)
	if p.Code != eider.CodeConflict || p.ID != id {
		t.Fatalf("problem %+v", p)
	}
	var d eider.Doc
	do(t, h, "GET", at+"?vectors=v", nil).want(t, 200).into(t, &d)
	if _, has := d.Fields["brand"]; has || d.Fields["price"] != 4.25 || len(d.Vectors["v"]) != 4 || d.Fields["seen"] != "2026-01-02T03:04:05Z" {
		t.Fatalf("document %+v", d)
	}
	d = eider.Doc{}
	do(t, h, "GET", at+"?fields=price", nil).want(t, 200).into(t, &d)
	if len(d.Fields) != 1 || d.Vectors != nil {
		t.Fatalf("document %+v", d)
	}
	do(t, h, "DELETE", at, nil).want(t, 200)
	do(t, h, "GET", at, nil).want(t, 404)
	do(t, h, "PUT", at, `{"id":"other"}`).want(t, 400)
}

func TestIDMayBeAJSONNumber(t *testing.T) {
	db := memory(t)
	h := handler(t, db)
	do(t, h, "PUT", "/v1/collections/n", `{"id":"uint64"}`).want(t, 201)
	do(t, h, "POST", "/v1/collections/n/docs/batch", `{"ops":[{"op":"upsert","doc":{"id":18446744073709551615}},{"op":"upsert","doc":{"id":"7"}}]}`).want(t, 200)
	var n counted64
	do(t, h, "POST", "/v1/collections/n/docs/count", `{"filter":{"ids":[7,18446744073709551615]}}`).want(t, 200).into(t, &n)
	if n.Count != 2 {
		t.Fatalf("count %d", n.Count)
	}
	do(t, h, "POST", "/v1/collections/n/docs/batch", `{"ops":[{"op":"delete","id":-1}]}`).want(t, 400)
}

func TestAtomicBatchAppliesAllOrNothing(t *testing.T) {
	db := memory(t)
	c := shop(t, db, 3)
	h := handler(t, db)
	lsn := db.LSN()
	body := `{"atomic":%v,"ops":[{"op":"upsert","doc":{"id":"a","fields":{"price":1}}},{"op":"update","doc":{"id":"ghost","fields":{"price":1}}},{"op":"delete","id":"p0"}]}`
	p := do(t, h, "POST", "/v1/collections/shop/docs/batch", fmt.Sprintf(body, true)).want(t, 404).problem(t)
	if p.Pointer != "/ops/1" && p.ID != "ghost" {
		t.Errorf("the problem names %q %q, not the operation at fault", p.Pointer, p.ID)
	}
	if db.LSN() != lsn {
		t.Fatal("a failed atomic batch moved the LSN")
	}
	var out batchResult
	do(t, h, "POST", "/v1/collections/shop/docs/batch", fmt.Sprintf(body, false)).want(t, 200).into(t, &out)
	if got := []int{out.Results[0].Status, out.Results[1].Status, out.Results[2].Status}; got[0] != 201 || got[1] != 404 || got[2] != 200 {
		t.Fatalf("statuses %v", got)
	}
	if out.Results[1].Problem == nil || out.Results[1].Problem.Code != eider.CodeNotFound {
		t.Fatalf("result %+v", out.Results[1])
	}
	if _, err := c.Get(ctx, "a"); err != nil {
		t.Error(err)
	}
}

func TestBatchRefusesMoreThanItsCap(t *testing.T) {
	db := memory(t)
	shop(t, db, 0)
	h := handler(t, db)
	ops := make([]map[string]any, maxBatch+1)
	for i := range ops {
		ops[i] = map[string]any{"op": "delete", "id": strconv.Itoa(i)}
	}
	do(t, h, "POST", "/v1/collections/shop/docs/batch", map[string]any{"ops": ops}).want(t, 400)
	do(t, h, "POST", "/v1/collections/shop/docs/batch", map[string]any{"ops": ops[1:]}).want(t, 200)
}

func TestScrollVisitsEveryDocumentOnce(t *testing.T) {
	db := memory(t)
	shop(t, db, 250)
	h := handler(t, db)
	seen := map[string]bool{}
	cursor := ""
	for {
		var page eider.Page
		do(t, h, "POST", "/v1/collections/shop/docs/scroll", map[string]any{"limit": 60, "cursor": cursor, "fields": []string{}, "filter": json.RawMessage(`{"field":"price","lt":200}`)}).want(t, 200).into(t, &page)
		for _, d := range page.Docs {
			if seen[d.ID] || len(d.Fields) > 0 {
				t.Fatalf("document %+v", d)
			}
			seen[d.ID] = true
		}
		if cursor = page.Cursor; cursor == "" {
			break
		}
	}
	if len(seen) != 200 {
		t.Fatalf("saw %d documents, want 200", len(seen))
	}
	do(t, h, "POST", "/v1/collections/shop/docs/scroll", `{"limit":1001}`).want(t, 400)
}

func TestDryRunChangesNothing(t *testing.T) {
	db := memory(t)
	c := shop(t, db, 9)
	h := handler(t, db)
	lsn := db.LSN()
	var n touched
	do(t, h, "POST", "/v1/collections/shop/docs/delete", `{"filter":{"field":"brand","eq":"zed"},"dry_run":true}`).want(t, 200).into(t, &n)
	if n.Matched != 3 || !n.DryRun || db.LSN() != lsn {
		t.Fatalf("%+v at LSN %d", n, db.LSN())
	}
	do(t, h, "POST", "/v1/collections/shop/docs/update", `{"filter":{"field":"brand","eq":"zed"},"fields":{"stock":77,"title":null}}`).want(t, 200).into(t, &n)
	d, err := c.Get(ctx, "p1")
	if err != nil || d.Fields["stock"] != int64(77) || d.Fields["title"] != nil {
		t.Fatalf("%+v %v", d, err)
	}
	do(t, h, "POST", "/v1/collections/shop/docs/delete", `{"filter":{"field":"brand","eq":"zed"}}`).want(t, 200)
	if left, _ := c.Count(ctx, nil); left != 6 {
		t.Fatalf("%d documents left, want 6", left)
	}
	do(t, h, "POST", "/v1/collections/shop/docs/delete", `{}`).want(t, 400)
}
