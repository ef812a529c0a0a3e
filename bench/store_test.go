package bench

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestMain lets the test binary be the process that the reopen suite kills.
func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		if err := Reopen(context.Background(), Options{}, io.Discard); err != nil {
			os.Stderr.WriteString(err.Error())
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

func suite(t *testing.T, run func(context.Context, Options, io.Writer) error, o Options) []Figure {
	t.Helper()
	var out bytes.Buffer
	o.JSON, o.Quick, o.Out = true, true, t.TempDir()
	if err := run(context.Background(), o, &out); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(o.Out)
	if err != nil || len(left) != 1 || !strings.HasSuffix(left[0].Name(), ".json") {
		t.Errorf("besides its results the suite left %v behind, %v", left, err)
	}
	return lines(t, out.Bytes())
}

func TestWriteCountsEveryAcknowledgedDocument(t *testing.T) {
	all := suite(t, Write, Options{Rows: 500, Time: 200 * time.Millisecond})
	if f := find(t, all, "write", "pebble"); f.Value <= 0 || f.Ratio == nil {
		t.Errorf("%+v", f)
	}
	if f := find(t, all, "write_sustained", ""); f.Value <= 0 {
		t.Errorf("%+v", f)
	}
}

func TestImportPhasesAddUpToTheTotal(t *testing.T) {
	all := suite(t, Import, Options{Rows: 2500})
	sum := 0.0
	for _, name := range []string{"import_write", "import_graph", "import_save"} {
		sum += find(t, all, name, "").Value
	}
	if total := find(t, all, "import_total", "").Value; sum <= 0 || total < 0.99*sum || total > 1.01*sum {
		t.Errorf("phases take %v s together, all %v s", sum, total)
	}
}

func TestReopenFindsEveryDocumentAfterAKill(t *testing.T) {
	all := suite(t, Reopen, Options{Rows: 2500})
	if f := find(t, all, "reopen", ""); f.Value <= 0 {
		t.Errorf("%+v", f)
	}
	if f := find(t, all, "reopen_after_kill", ""); f.Value <= 0 {
		t.Errorf("%+v", f)
	}
}

func TestOpenLoopCountsLatencyFromTheSchedule(t *testing.T) {
	var served atomic.Int64
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if served.Add(1) == 1 {
			time.Sleep(100 * time.Millisecond) // the others must not wait for it
		}
		if !strings.HasSuffix(r.URL.Path, "/search") {
			http.Error(w, "wrong path "+r.URL.Path, http.StatusNotFound)
		}
	}))
	defer web.Close()
	s := &server{url: web.URL, client: web.Client()}
	r := newReport("http", "t", Options{}, io.Discard)
	if err := s.openLoop(context.Background(), r, [][]byte{[]byte("{}")}, 200*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if n := served.Load(); n != 200 {
		t.Errorf("%d requests in 200 ms at 1,000/s", n)
	}
	if f := find(t, r.all, "http_load", ""); !strings.Contains(f.Note, "200 requests, 0 failed") {
		t.Errorf("%q", f.Note)
	}
	if p50 := find(t, r.all, "http_load_p50", "").Value; p50 > 90 {
		t.Errorf("median of %v ms: requests waited for the slow one", p50)
	}
}

func TestServeFailsWithWhatTheProcessSaid(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if _, err := serve(ctx, Options{Serve: "/bin/sh"}, t.TempDir()); err == nil {
		t.Fatal("a shell passed for a server")
	}
}
