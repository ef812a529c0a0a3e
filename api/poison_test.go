package api

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/eiderdb/eider"
)

// TestPoisonedNumberIsRefusedAndChangesNothing is S5: every position of a
// vector, and every route that takes one, with values that cannot be ranked.
func TestPoisonedNumberIsRefusedAndChangesNothing(t *testing.T) {
	db := memory(t)
	shop(t, db, 3)
	h := handler(t, db)
	routes := []struct{ method, path, body string }{
		{"PUT", "/docs/x", `{"vectors":{"v":%s}}`},
		{"PATCH", "/docs/p0", `{"vectors":{"v":%s}}`},
		{"POST", "/docs/batch", `{"ops":[{"op":"upsert","doc":{"id":"ok","vectors":{"v":[1,0,0,0]}}},{"op":"upsert","doc":{"id":"x","vectors":{"v":%s}}}]}`},
		{"POST", "/docs/batch", `{"ops":[{"op":"update","doc":{"id":"p1","vectors":{"v":%s}}}]}`},
		{"POST", "/docs/import", `{"id":"x","vectors":{"v":%s}}`},
		{"POST", "/search", `{"retrieve":[{"near":{"value":%s}}]}`},
		{"POST", "/explain", `{"retrieve":[{"near":{"value":%s}}]}`},
	}
	var vectors []string
	for pos := range 4 {
		for _, poison := range []string{"NaN", "Infinity", "-Infinity", "1e39", "-1e39", "3e38", "null", `"1"`} {
			v := []string{"1", "0", "0.5", "2"}
			v[pos] = poison
			vectors = append(vectors, "["+strings.Join(v, ",")+"]")
		}
	}
	vectors = append(vectors, `[0,0,0,0]`, `[1,2,3]`, `[1,2,3,4,5]`, `{"f32le":"AADAfwAAgD8AAIA/AACAPw=="}`, `{"f32le":"AACAfwAAgD8AAIA/AACAPw=="}`, `[]`)
	lsn := db.LSN()
	for _, r := range routes {
		for _, v := range vectors {
			a := do(t, h, r.method, "/v1/collections/shop"+r.path, fmt.Sprintf(r.body, v))
			if r.path == "/docs/import" {
				if a.status < 400 && !bytes.Contains(a.body, []byte(`"written":0,"failed":1`)) {
					t.Errorf("import of %s: %s", v, a.body)
				}
			} else if a.status != 400 && a.status != 422 {
				t.Errorf("%s %s with %s: %d %s", r.method, r.path, v, a.status, a.body)
			}
			if db.LSN() != lsn {
				t.Fatalf("%s %s with %s moved the LSN", r.method, r.path, v)
			}
		}
	}
	// The legal edges rank finitely.
	for _, v := range []string{"[1e-45,0,0,0]", "[-0,0,0,1]", "[1e15,1e15,0,0]"} {
		do(t, h, "PUT", "/v1/collections/shop/docs/edge", fmt.Sprintf(`{"vectors":{"v":%s}}`, v))
		var r eider.Result
		do(t, h, "POST", "/v1/collections/shop/search", `{"retrieve":[{"near":{"value":[1,1,1,1]}}]}`).want(t, 200).into(t, &r)
		for _, hit := range r.Hits {
			if hit.Score != hit.Score || hit.Score > 1.001 || hit.Score < -1.001 {
				t.Errorf("score %v with %s", hit.Score, v)
			}
		}
	}
}

// TestStrictnessHoldsOnEveryJSONRoute is S4: unknown members, duplicates, depth
// and numbers out of range are a 400 wherever JSON goes in.
func TestStrictnessHoldsOnEveryJSONRoute(t *testing.T) {
	db := memory(t)
	shop(t, db, 1)
	h := handler(t, db)
	lsn := db.LSN()
	for _, rt := range table(t, db) {
		if !rt.reads() {
			continue
		}
		for _, body := range []string{`{"no_such_member":1}`, `{"a":1,"a":1}`, strings.Repeat("[", 10000), `{"id":1e400}`, `[]`, `{`, ``, "{}\x00", `nope`} {
			if body == "" && (strings.HasSuffix(rt.path, "/scroll") || strings.HasSuffix(rt.path, "/count")) {
				continue // these need no body
			}
			start := time.Now()
			a := do(t, h, rt.method, concrete(rt.path), body)
			if a.status != 400 && a.status != 409 {
				t.Errorf("%s %s with %.40q: %d %s", rt.method, rt.path, body, a.status, a.body)
			}
			if took := time.Since(start); took > 250*time.Millisecond {
				t.Errorf("%s %s with %.40q took %v", rt.method, rt.path, body, took)
			}
		}
		do(t, h, rt.method, concrete(rt.path), "{}", "Content-Type", "text/plain").want(t, 415)
		do(t, h, rt.method, concrete(rt.path), "{}", "Content-Encoding", "br").want(t, 415)
	}
	if db.LSN() != lsn {
		t.Error("a refused body changed something")
	}
}

// zeros is an endless gzip-friendly body.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// TestGzipBombIsRefusedEarly is S2: what a body inflates to is capped, not what
// was sent.
func TestGzipBombIsRefusedEarly(t *testing.T) {
	db := memory(t)
	shop(t, db, 0)
	h := handler(t, db)
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	io.CopyN(z, zeros{}, 256*mib)
	z.Close()
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	for _, path := range []string{"/docs/batch", "/search", "/docs/scroll"} {
		do(t, h, "POST", "/v1/collections/shop"+path, bomb.Bytes(), "Content-Encoding", "gzip").want(t, 413)
	}
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("took %v", took)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapInuse) - int64(before.HeapInuse); grown > 32*mib {
		t.Errorf("heap grew by %d MiB", grown/mib)
	}
	var ok bytes.Buffer
	z = gzip.NewWriter(&ok)
	z.Write([]byte(`{"limit":1}`))
	z.Close()
	do(t, h, "POST", "/v1/collections/shop/docs/scroll", ok.Bytes(), "Content-Encoding", "gzip").want(t, 200)
	do(t, h, "POST", "/v1/collections/shop/docs/scroll", strings.Repeat(" ", mib+1)).want(t, 413)
}

// TestCanaryReachesNoLog is S17: neither keys nor payloads are written where
// operators look, on any path through the server.
func TestCanaryReachesNoLog(t *testing.T) {
	const canary = "canary-5f1e"
	var log bytes.Buffer
	db := memory(t)
	shop(t, db, 1)
	h := handler(t, db, func(o *Options) {
		o.Logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		o.Key = canary + "-key-0123456789"
	})
	bodies := []string{`{"fields":{"title":"` + canary + `"}}`, `{"` + canary + `":1}`, `{"filter":{"field":"` + canary + `","eq":"` + canary + `"}}`, canary, `{"ops":[{"op":"` + canary + `"}]}`}
	for _, rt := range table(t, db) {
		for _, key := range []string{canary + "-key-0123456789", canary, ""} {
			for _, b := range bodies {
				path := strings.Replace(concrete(rt.path), "p0", canary, 1)
				var body any = b
				if rt.body == noBody {
					body = nil
				}
				do(t, h, rt.method, path+"?filter="+canary, body, "Authorization", "Bearer "+key, "User-Agent", canary)
				do(t, h, rt.method, path, body, "Authorization", "Bearer "+key)
			}
		}
	}
	metrics := do(t, h, "GET", "/metrics", nil, "X-API-Key", canary+"-key-0123456789").want(t, 200)
	if i := strings.Index(log.String(), canary); i >= 0 {
		t.Errorf("the log says ...%s", log.String()[max(0, i-200):min(log.Len(), i+100)])
	}
	if bytes.Contains(metrics.body, []byte(canary)) {
		t.Error("the metrics hold the canary")
	}
	if !json.Valid(bytes.SplitN(log.Bytes(), []byte("\n"), 2)[0]) {
		t.Error("the log is not structured")
	}
}

// TestPanicBecomesAProblem shows that a bug costs one request.
func TestPanicBecomesAProblem(t *testing.T) {
	db := memory(t)
	_, a, err := newHandler(db, Options{Logger: quiet}, nil)
	if err != nil {
		t.Fatal(err)
	}
	h := a.outermost(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("boom") }))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != 500 || strings.Contains(w.Body.String(), "boom") {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
}
