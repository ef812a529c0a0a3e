package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/eiderdb/eider"
	"github.com/eiderdb/eider/index"
)

var ctx = context.Background()

var shopSchema = eider.Schema{
	Fields: map[string]eider.Field{
		"brand": {Type: eider.Keyword, Index: true},
		"price": {Type: eider.Float64, Index: true},
		"stock": {Type: eider.Int64},
		"title": {Type: eider.Text},
		"seen":  {Type: eider.Time, Index: true},
		"place": {Type: eider.Point, Index: true},
	},
	Vectors: map[string]eider.Vector{"v": {Dim: 4, Metric: index.Cosine, Index: eider.VectorIndex{Kind: "flat"}}},
}

// memory opens a database in memory that closes with the test.
func memory(t testing.TB) *eider.DB {
	t.Helper()
	db, err := eider.Open("", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// shop makes the collection "shop" with n documents p0, p1, ...
func shop(t testing.TB, db *eider.DB, n int) *eider.Collection {
	t.Helper()
	c, err := db.CreateCollection(ctx, "shop", shopSchema)
	if err != nil {
		t.Fatal(err)
	}
	docs := make([]eider.Doc, n)
	for i := range docs {
		docs[i] = eider.Doc{ID: fmt.Sprintf("p%d", i), Fields: map[string]any{
			"brand": []string{"acme", "zed", "ono"}[i%3], "price": float64(i) + 0.5, "stock": int64(i), "title": fmt.Sprintf("thing number %d", i),
		}, Vectors: map[string][]float32{"v": {1, float32(i), float32(i % 7), -1}}}
	}
	if n > 0 {
		if _, err := c.Upsert(ctx, docs...); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

var quiet = slog.New(slog.DiscardHandler)

// handler mounts db; o may be changed by set.
func handler(t testing.TB, db *eider.DB, set ...func(*Options)) http.Handler {
	t.Helper()
	o := Options{Logger: quiet}
	for _, f := range set {
		f(&o)
	}
	h, err := Handler(db, o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// answer is a response, read.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// into decodes the body, strictly.
func (a answer) into(t testing.TB, v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(a.body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
}

func (a answer) problem(t testing.TB) problem {
	t.Helper()
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		t.Fatalf("status %d with content type %q, want a problem: %s", a.status, got, a.body)
	}
	var p problem
	a.into(t, &p)
	if p.Status != a.status || p.RequestID == "" || p.Code == "" || p.Title == "" {
		t.Fatalf("incomplete problem %s", a.body)
	}
	return p
}

// do sends one request: a string body as it is, another value as JSON. Headers
// come as name, value pairs.
func do(t testing.TB, h http.Handler, method, path string, body any, header ...string) answer {
	t.Helper()
	var in io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		in = strings.NewReader(b)
	case []byte:
		in = bytes.NewReader(b)
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		in = bytes.NewReader(raw)
	}
	r := httptest.NewRequest(method, "http://localhost"+path, in)
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
			continue
		}
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return answer{w.Code, w.Result().Header, w.Body.Bytes()}
}

// want fails unless the answer has the status.
func (a answer) want(t testing.TB, status int) answer {
	t.Helper()
	if a.status != status {
		t.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
	return a
}

// eventually polls until ok or a generous end.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}
