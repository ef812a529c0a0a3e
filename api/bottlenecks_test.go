package api

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/eiderdb/eider"
)

func TestABottleneckLearnsExplainsAndUnlearnsOverHTTP(t *testing.T) {
	db := memory(t)
	h := handler(t, db)
	do(t, h, "PUT", "/v1/collections/c", `{"vectors":{"v":{"dim":4}}}`).want(t, 201)
	const at = "/v1/collections/c/bottlenecks/side"
	do(t, h, "PUT", at, `{"config":{"heads":8,"keys":16,"key_dim":2}}`).want(t, 400) // of what would keys be made?
	rng := rand.New(rand.NewPCG(1, 1))
	var ops, examples []string
	for i := range 100 {
		side := float32(i%2)*4 - 2
		ops = append(ops, fmt.Sprintf(`{"op":"upsert","doc":{"id":"d%d","vectors":{"v":[%v,%v,%v,%v]}}}`, i, side, rng.Float32(), rng.Float32(), rng.Float32()))
		examples = append(examples, fmt.Sprintf(`{"id":"d%d","label":%q}`, i, []string{"left", "right"}[i%2]))
	}
	do(t, h, "POST", "/v1/collections/c/docs/batch", `{"ops":[`+strings.Join(ops, ",")+`]}`).want(t, 200)
	var info eider.BottleneckInfo
	do(t, h, "PUT", at, `{"config":{"heads":8,"keys":16,"key_dim":2,"seed":3},"start":{"method":"kmeans","epochs":2}}`).want(t, 201).into(t, &info)
	if info.Pairs != 128 || info.Config.Dim != 4 || info.Config.Seed != 3 || info.Vector != "v" {
		t.Errorf("%+v", info)
	}
	do(t, h, "PUT", at, `{}`).want(t, 409)
	var l eider.Learned
	a := do(t, h, "POST", at+"/learn", `{"examples":[`+strings.Join(examples[:60], ",")+`]}`).want(t, 200)
	if a.into(t, &l); l.Learned != 60 || a.header.Get("X-LSN") != fmt.Sprint(l.LSN) {
		t.Errorf("%+v", l)
	}
	var p classifiedList
	do(t, h, "POST", at+"/predict", `{"ids":["d80"],"vectors":[[2,0.5,0.5,0.5]],"explain":2}`).want(t, 200).into(t, &p)
	if len(p.Predictions) != 2 || p.Predictions[0].Label != "left" || p.Predictions[1].Label != "right" || len(p.Predictions[0].Voters) != 2 {
		t.Errorf("%+v", p)
	}
	if p := do(t, h, "POST", at+"/learn", `{"examples":[{"id":"d1","label":"right"},{"id":"none","label":"right"}]}`).want(t, 404).problem(t); p.Pointer != "/examples/1" {
		t.Errorf("%+v", p)
	}
	do(t, h, "POST", at+"/unlearn", `{"id":"d0"}`).want(t, 204)
	do(t, h, "POST", at+"/unlearn", `{"id":"d0"}`).want(t, 404)
	do(t, h, "POST", at+"/unlearn", `{"id":"d1","label":"left"}`).want(t, 400)
	do(t, h, "POST", at+"/unlearn", `{"label":"left"}`).want(t, 204)
	do(t, h, "POST", at+"/predict", `{"ids":["d80"]}`).want(t, 200).into(t, &p)
	if p.Predictions[0].Label != "right" {
		t.Errorf("%+v", p)
	}
	var all bottleneckList
	if do(t, h, "GET", "/v1/collections/c/bottlenecks", nil).want(t, 200).into(t, &all); len(all.Bottlenecks) != 1 || all.Bottlenecks[0].Rows != 30 {
		t.Errorf("%+v", all)
	}
	do(t, h, "DELETE", at, nil).want(t, 204)
	do(t, h, "GET", at, nil).want(t, 404)
}
