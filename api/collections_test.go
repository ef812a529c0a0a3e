package api

import (
	"testing"

	"github.com/eiderdb/eider"
)

func TestPutCollectionIsIdempotentAndRefusesAnotherSchema(t *testing.T) {
	db := memory(t)
	h := handler(t, db)
	const schema = `{"fields":{"a":{"type":"keyword","index":true}},"vectors":{"v":{"dim":3}},"ttl":"720h"}`
	a := do(t, h, "PUT", "/v1/collections/c", schema).want(t, 201)
	do(t, h, "PUT", "/v1/collections/c", schema).want(t, 200)
	p := do(t, h, "PUT", "/v1/collections/c", `{"fields":{"a":{"type":"int64"}}}`).want(t, 409).problem(t)
	if p.Code != eider.CodeExists {
		t.Fatalf("problem %+v", p)
	}
	do(t, h, "HEAD", "/v1/collections/c", nil).want(t, 200)
	do(t, h, "HEAD", "/v1/collections/d", nil).want(t, 404)
	do(t, h, "PATCH", "/v1/collections/c", `{"fields":{"b":{"type":"bool"}}}`, "If-Match", `"s999"`).want(t, 412)
	var info eider.Info
	do(t, h, "PATCH", "/v1/collections/c", `{"fields":{"b":{"type":"bool"}},"vectors":{"w":{"dim":2,"metric":"ip"}}}`, "If-Match", a.header.Get("ETag")).want(t, 200).into(t, &info)
	if info.Schema.Fields["b"].Type != eider.Bool || info.Schema.Vectors["w"].Dim != 2 {
		t.Fatalf("schema %+v", info.Schema)
	}
	do(t, h, "DELETE", "/v1/collections/c", nil).want(t, 204)
	do(t, h, "GET", "/v1/collections/c", nil).want(t, 404)
}

func TestSchemaEvolvesFieldByField(t *testing.T) {
	db := memory(t)
	c := shop(t, db, 20)
	h := handler(t, db)
	do(t, h, "PUT", "/v1/collections/shop/fields/colour", `{"type":"keyword"}`).want(t, 200)
	do(t, h, "PUT", "/v1/collections/shop/fields/colour", `{"type":"int64"}`).want(t, 409)
	do(t, h, "PUT", "/v1/collections/shop/fields/stock/index", nil).want(t, 200)
	if !c.Schema().Fields["stock"].Index {
		t.Fatal("stock has no index")
	}
	do(t, h, "DELETE", "/v1/collections/shop/fields/stock/index", nil).want(t, 204)
	do(t, h, "PUT", "/v1/collections/shop/vectors/w", `{"dim":2}`).want(t, 200)
	do(t, h, "PUT", "/v1/collections/shop/vectors/w", `{"dim":3}`).want(t, 409)
	do(t, h, "PATCH", "/v1/collections/shop", `{"memory":"1 parsec"}`).want(t, 400)
	do(t, h, "PATCH", "/v1/collections/shop", `{"memory":"256B"}`).want(t, 400)
	do(t, h, "PATCH", "/v1/collections/shop", `{"memory":"64MiB"}`).want(t, 200)
	if m := c.Schema().Memory; m != 64<<20 {
		t.Fatalf("memory %v", m)
	}
	do(t, h, "PUT", "/v1/collections/shop/vectors/w", `{"index":{"kind":"flat"}}`).want(t, 200)
	do(t, h, "DELETE", "/v1/collections/shop/vectors/w", nil).want(t, 204)
	var n touched
	do(t, h, "DELETE", "/v1/collections/shop/fields/brand", nil).want(t, 200).into(t, &n)
	if d, _ := c.Get(ctx, "p0"); n.Matched != 20 || d.Fields["brand"] != nil || c.Schema().Fields["brand"].Index {
		t.Fatalf("%+v leaves %+v", n, d)
	}
}

func TestAliasesChangeTogether(t *testing.T) {
	db := memory(t)
	shop(t, db, 1)
	h := handler(t, db)
	do(t, h, "PUT", "/v1/aliases/live", `{"collection":"shop"}`).want(t, 204)
	do(t, h, "GET", "/v1/collections/live/docs/p0", nil).want(t, 200)
	do(t, h, "POST", "/v1/aliases/batch", `{"changes":[{"alias":"live"},{"alias":"next","collection":"nowhere"}]}`).want(t, 404)
	var l aliasList
	do(t, h, "GET", "/v1/aliases", nil).want(t, 200).into(t, &l)
	if l.Aliases["live"] != "shop" || len(l.Aliases) != 1 {
		t.Fatalf("aliases %v", l.Aliases)
	}
	do(t, h, "DELETE", "/v1/aliases/live", nil).want(t, 204)
	do(t, h, "GET", "/v1/collections/live/docs/p0", nil).want(t, 404)
}
