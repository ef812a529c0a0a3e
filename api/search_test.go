package api

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/eiderdb/eider"
)

func TestSearchAnswersWhatTheLibraryAnswers(t *testing.T) {
	db := memory(t)
	c := shop(t, db, 60)
	h := handler(t, db)
	const body = `{"retrieve":[{"near":{"vector":"v","value":[1,2,3,-1]},"k":20},{"like":{"positive":["p5"]},"k":20}],"filter":{"or":[{"field":"brand","eq":"acme"},{"field":"stock","gte":30}]},
		"fuse":{"rrf":{"k":10}},"facets":{"brand":2},"limit":7,"fields":["title","price"],"vectors":["v"],"total":true}`
	a := do(t, h, "POST", "/v1/collections/shop/search", body).want(t, 200)
	var q eider.Query
	if err := json.Unmarshal([]byte(body), &q); err != nil {
		t.Fatal(err)
	}
	want, err := c.Search(ctx, q)
	if err != nil {
		t.Fatal(err)
	}
	for i := range want.Hits {
		want.Hits[i].Explain = nil // the body did not ask
	}
	var got, lib any
	raw, _ := json.Marshal(want)
	if err := json.Unmarshal(raw, &lib); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(a.body, &got); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got) != fmt.Sprint(lib) {
		t.Errorf("HTTP %v\nlibrary %v", got, lib)
	}
	if timing := a.header.Get("Server-Timing"); !regexp.MustCompile(`^(\w+;dur=[0-9.]+(, )?)+$`).MatchString(timing) || !strings.Contains(timing, "retrieve") {
		t.Errorf("Server-Timing %q", timing)
	}
	if strings.Contains(string(a.body), `"phases"`) {
		t.Error("phases without explain")
	}
}

func TestExplainAccountsForPhasesAndHits(t *testing.T) {
	db := memory(t)
	shop(t, db, 10)
	h := handler(t, db)
	var r eider.Result
	do(t, h, "POST", "/v1/collections/shop/explain", `{"retrieve":[{"near":{"value":[1,0,0,0]}}],"filter":{"field":"stock","gt":2}}`).want(t, 200).into(t, &r)
	if r.Explain == nil || len(r.Explain.Phases) == 0 || len(r.Hits) == 0 || len(r.Hits[0].Explain) != 1 {
		t.Fatalf("result %+v", r)
	}
	var adv advices
	do(t, h, "GET", "/v1/advice", nil).want(t, 200).into(t, &adv)
	found := false
	for _, tip := range adv.Advice {
		found = found || tip.Kind == "unindexed_filter" && tip.Collection == "shop" && tip.Subject == "stock"
	}
	if !found {
		t.Errorf("advice %+v", adv)
	}
}

func TestQueryBeyondTheCapsIsRefused(t *testing.T) {
	db := memory(t)
	shop(t, db, 3)
	h := handler(t, db)
	near := `{"near":{"value":[1,0,0,0]}%s}`
	for pointer, body := range map[string]string{
		"/limit":         `{"limit":1001}`,
		"/retrieve/0/k":  `{"retrieve":[` + fmt.Sprintf(near, `,"k":1001`) + `]}`,
		"/retrieve/1/ef": `{"retrieve":[` + fmt.Sprintf(near, "") + "," + fmt.Sprintf(near, `,"ef":4097`) + `]}`,
		"/retrieve":      `{"retrieve":[` + strings.Repeat(fmt.Sprintf(near, "")+",", 16) + fmt.Sprintf(near, "") + `]}`,
	} {
		if p := do(t, h, "POST", "/v1/collections/shop/search", body).want(t, 400).problem(t); p.Pointer != pointer {
			t.Errorf("%.60s: pointer %q, want %q", body, p.Pointer, pointer)
		}
	}
	nodes := strings.Repeat(`{"field":"brand","eq":"a"},`, 256) + `{"field":"brand","eq":"a"}`
	p := do(t, h, "POST", "/v1/collections/shop/search", `{"filter":{"or":[`+nodes+`]}}`).want(t, 400).problem(t)
	if p.Code != eider.CodeFilter {
		t.Errorf("problem %+v", p)
	}
	do(t, h, "POST", "/v1/collections/shop/search", `{"retrieve":[{"near":{"value":[1,0]}}]}`).want(t, 422)
	do(t, h, "POST", "/v1/collections/shop/search", `{"filter":{"field":"brand","gt":{"a":1}}}`).want(t, 400)
}

func TestBatchSearchAnswersEachByItself(t *testing.T) {
	db := memory(t)
	shop(t, db, 5)
	h := handler(t, db)
	var out searchResults
	do(t, h, "POST", "/v1/search/batch", `{"searches":[{"collection":"shop","query":{"limit":2}},{"collection":"shpo","query":{}},{"collection":"shop","query":{"limit":5000}}]}`).want(t, 200).into(t, &out)
	if out.Results[0].Status != 200 || len(out.Results[0].Result.Hits) != 2 {
		t.Errorf("first %+v", out.Results[0])
	}
	if p := out.Results[1].Problem; p == nil || p.Status != 404 || !strings.Contains(p.Detail+p.Hint, "shop") {
		t.Errorf("second %+v", p)
	}
	if p := out.Results[2].Problem; p == nil || p.Pointer != "/searches/2/query/limit" {
		t.Errorf("third %+v", p)
	}
}

func TestUnknownQueryParameterGetsTheNearestName(t *testing.T) {
	db := memory(t)
	shop(t, db, 1)
	h := handler(t, db)
	p := do(t, h, "GET", "/v1/collections/shop/docs/p0?field=a", nil).want(t, 400).problem(t)
	if !strings.Contains(p.Hint, "fields") {
		t.Errorf("hint %q", p.Hint)
	}
}

func TestMinLSNWaitsForTheWrite(t *testing.T) {
	db := memory(t)
	c := shop(t, db, 1)
	h := handler(t, db)
	next := fmt.Sprint(db.LSN() + 1)
	do(t, h, "GET", "/v1/collections/shop/docs/late", nil, "X-Min-LSN", next, "Request-Timeout-Ms", "30").want(t, 504)
	done := make(chan answer)
	go func() { done <- do(t, h, "GET", "/v1/collections/shop/docs/late", nil, "X-Min-LSN", next) }()
	if _, err := c.Upsert(ctx, eider.Doc{ID: "late"}); err != nil {
		t.Fatal(err)
	}
	(<-done).want(t, 200)
	do(t, h, "GET", "/v1/collections/shop", nil, "X-Min-LSN", "soon").want(t, 400)
	do(t, h, "GET", "/v1/collections/shop", nil, "Request-Timeout-Ms", "0").want(t, 400)
}

func TestRequestIDIsKeptIfHarmless(t *testing.T) {
	db := memory(t)
	h := handler(t, db)
	if id := do(t, h, "GET", "/livez", nil, "X-Request-Id", "abc-1.2_3").header.Get("X-Request-Id"); id != "abc-1.2_3" {
		t.Errorf("id %q", id)
	}
	if id := do(t, h, "GET", "/livez", nil, "X-Request-Id", "a\"b").header.Get("X-Request-Id"); len(id) != 24 {
		t.Errorf("id %q", id)
	}
}
