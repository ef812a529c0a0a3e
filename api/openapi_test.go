package api

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite golden files")

// TestOpenAPIMatchesItsGolden shows every change of the surface in review.
// Rewrite with go test ./api -run OpenAPI -update.
func TestOpenAPIMatchesItsGolden(t *testing.T) {
	const golden = "testdata/openapi.json"
	h := handler(t, memory(t))
	var got bytes.Buffer
	if err := json.Indent(&got, do(t, h, "GET", "/openapi.json", nil).want(t, 200).body, "", " "); err != nil {
		t.Fatal(err)
	}
	got.WriteByte('\n')
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		a, b := strings.Split(got.String(), "\n"), strings.Split(string(want), "\n")
		for i := range a {
			if i >= len(b) || a[i] != b[i] {
				t.Fatalf("differs at line %d: %s (rewrite with -update if that is meant)", i+1, a[i])
			}
		}
		t.Fatal("the golden is longer")
	}
}

func TestOpenAPIHoldsEveryRoute(t *testing.T) {
	db := memory(t)
	var doc struct {
		OpenAPI string                                `json:"openapi"`
		Paths   map[string]map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal(do(t, handler(t, db), "GET", "/openapi.json", nil).body, &doc); err != nil {
		t.Fatal(err)
	}
	if doc.OpenAPI != "3.1.0" {
		t.Errorf("version %s", doc.OpenAPI)
	}
	for _, rt := range table(t, db) {
		if rt.path == "/ui/*" {
			continue
		}
		if doc.Paths[rt.path][strings.ToLower(rt.method)] == nil {
			t.Errorf("%s %s is missing", rt.method, rt.path)
		}
	}
}
