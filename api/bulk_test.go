package api

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/eiderdb/eider"
)

// importLines reads the answer of an import.
func importLines(t testing.TB, a answer) (bad []importLine, last importLine) {
	t.Helper()
	for raw := range bytes.Lines(a.body) {
		var l importLine
		if err := json.Unmarshal(raw, &l); err != nil {
			t.Fatalf("line %s: %v", raw, err)
		}
		if l.Line > 0 {
			bad = append(bad, l)
		}
		last = l
	}
	if last.Done == nil {
		t.Fatalf("the import has no end: %s", a.body)
	}
	return bad, last
}

func TestImportReportsBadRowsAndWritesTheRest(t *testing.T) {
	db := memory(t)
	c := shop(t, db, 0)
	h := handler(t, db)
	var in strings.Builder
	for i := range 3000 {
		switch i {
		case 10:
			in.WriteString("{\"id\":\"x\",\"fields\":\n")
		case 1500:
			in.WriteString(`{"id":"bad-dim","vectors":{"v":[1,2]}}` + "\n")
		case 2500:
			in.WriteString(`{"id":"bad-type","fields":{"price":"dear"}}` + "\n")
		default:
			fmt.Fprintf(&in, `{"id":"r%d","fields":{"price":%d,"brand":"acme"},"vectors":{"v":[1,%d,0,0]}}`+"\n", i, i, i)
		}
	}
	bad, last := importLines(t, do(t, h, "POST", "/v1/collections/shop/docs/import?ready=true", in.String(), "Content-Type", "application/x-ndjson").want(t, 200))
	if last.Done.Rows != 3000 || last.Done.Written != 2997 || last.Done.Failed != 3 || last.Problem != nil {
		t.Fatalf("done %+v", last.Done)
	}
	if len(bad) != 3 || bad[0].Line != 11 || bad[1].ID != "bad-dim" || bad[1].Problem.Code != eider.CodeDimension || bad[2].Line != 2501 {
		t.Fatalf("bad rows %+v", bad)
	}
	if n, _ := c.Count(ctx, nil); n != 2997 {
		t.Fatalf("%d documents", n)
	}
}

func TestImportStopsAtTheFirstBadRowWhenAsked(t *testing.T) {
	db := memory(t)
	shop(t, db, 0)
	h := handler(t, db)
	bad, last := importLines(t, do(t, h, "POST", "/v1/collections/shop/docs/import?stop=true&format=ndjson", "{\"id\":\"a\"}\nnope\n{\"id\":\"b\"}\n").want(t, 200))
	if len(bad) != 1 || last.Done.Failed != 1 {
		t.Fatalf("%+v %+v", bad, last)
	}
}

func TestImportReadsCSVAndVectorFiles(t *testing.T) {
	db := memory(t)
	c := shop(t, db, 0)
	h := handler(t, db)
	const csv = "sku,brand,price,seen\n1,acme,2.5,2026-01-02T00:00:00Z\n2,\"zed, inc\",3,\n"
	_, last := importLines(t, do(t, h, "POST", "/v1/collections/shop/docs/import?id=sku", csv, "Content-Type", "text/csv").want(t, 200))
	if last.Done.Written != 2 {
		t.Fatalf("done %+v", last.Done)
	}
	if d, err := c.Get(ctx, "2"); err != nil || d.Fields["brand"] != "zed, inc" || d.Fields["price"] != 3.0 {
		t.Fatalf("%+v %v", d, err)
	}
	// fvecs: a count, then that many float32, little-endian.
	fvecs := []byte{4, 0, 0, 0, 0, 0, 128, 63, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	_, last = importLines(t, do(t, h, "POST", "/v1/collections/shop/docs/import?format=fvecs&vectors=v&first_id=70", fvecs, "Content-Type", "application/octet-stream").want(t, 200))
	if d, err := c.Get(ctx, "70"); err != nil || last.Done.Written != 1 || len(d.Vectors["v"]) != 4 {
		t.Fatalf("%+v %v %+v", d, err, last.Done)
	}
	do(t, h, "POST", "/v1/collections/shop/docs/import", "what is this", "Content-Type", "application/octet-stream").want(t, 415)
	do(t, h, "POST", "/v1/collections/shop/docs/import?format=xls", "x").want(t, 415)
}

func TestExportIsImportable(t *testing.T) {
	db := memory(t)
	shop(t, db, 500)
	h := handler(t, db)
	a := do(t, h, "GET", `/v1/collections/shop/docs/export?filter=%7B%22field%22:%22price%22,%22lt%22:300%7D`, nil).want(t, 200)
	if n := bytes.Count(a.body, []byte("\n")); n != 300 || a.header.Get("Content-Type") != "application/x-ndjson" {
		t.Fatalf("%d lines", n)
	}
	if _, err := db.CreateCollection(ctx, "copy", shopSchema); err != nil {
		t.Fatal(err)
	}
	_, last := importLines(t, do(t, h, "POST", "/v1/collections/copy/docs/import?format=ndjson", a.body).want(t, 200))
	if last.Done.Written != 300 || last.Done.Failed != 0 {
		t.Fatalf("done %+v", last.Done)
	}
	b := do(t, h, "GET", "/v1/collections/copy/docs/export", nil).want(t, 200)
	version := func(s []byte) string { // versions are LSNs and differ
		var out []string
		for l := range bytes.Lines(s) {
			l, _, _ = bytes.Cut(l, []byte(`,"version"`))
			out = append(out, string(l))
		}
		return strings.Join(out, "\n")
	}
	if version(a.body) != version(b.body) {
		t.Error("the copy differs")
	}
}

func TestChangeFeedYieldsEveryWriteAndFollows(t *testing.T) {
	db := memory(t)
	c := shop(t, db, 2)
	srv := httptest.NewServer(handler(t, db))
	defer srv.Close()
	before := db.LSN()
	if _, err := c.Delete(ctx, "p0"); err != nil {
		t.Fatal(err)
	}
	a := do(t, handler(t, db), "GET", fmt.Sprintf("/v1/changes?after=%d", before), nil).want(t, 200)
	var ch eider.Change
	a.into(t, &ch)
	if ch.Op != "delete" || ch.ID != "p0" || ch.LSN != before+1 {
		t.Fatalf("change %s", a.body)
	}
	res, err := http.Get(fmt.Sprintf("%s/v1/changes?after=%d&follow=true", srv.URL, db.LSN()))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := c.Upsert(ctx, eider.Doc{ID: "new"}); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(res.Body).ReadString('\n')
	if err != nil || !strings.Contains(line, `"id":"new"`) {
		t.Fatalf("line %q: %v", line, err)
	}
	r, _ := http.NewRequest("GET", srv.URL+"/v1/changes", nil)
	r.Header.Set("Accept", "text/event-stream")
	r.Header.Set("Last-Event-ID", fmt.Sprint(db.LSN()-1))
	res2, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res2.Body.Close()
	head := make([]byte, 64)
	if _, err := io.ReadFull(res2.Body, head); err != nil || !strings.HasPrefix(string(head), fmt.Sprintf("id: %d\nevent: put\ndata: {", db.LSN())) {
		t.Fatalf("event %q: %v", head, err)
	}
}

func TestSnapshotsAreTakenListedAndDeleted(t *testing.T) {
	dir := t.TempDir()
	db, err := eider.Open(dir+"/db", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	shop(t, db, 50)
	h := handler(t, db, func(o *Options) { o.Snapshots = dir + "/snaps" })
	var s snapshot
	do(t, h, "POST", "/v1/snapshots", `{"name":"monday"}`).want(t, 201).into(t, &s)
	if s.LSN != db.LSN() || s.Bytes == 0 {
		t.Fatalf("snapshot %+v", s)
	}
	do(t, h, "POST", "/v1/snapshots", `{"name":"monday"}`).want(t, 409)
	var l snapshotList
	do(t, h, "GET", "/v1/snapshots", nil).want(t, 200).into(t, &l)
	if len(l.Snapshots) != 1 || l.Snapshots[0] != s {
		t.Fatalf("list %+v", l)
	}
	if err := eider.Restore(ctx, dir+"/again", dir+"/snaps/monday"); err != nil {
		t.Fatal(err)
	}
	do(t, h, "DELETE", "/v1/snapshots/monday", nil).want(t, 204)
	do(t, h, "GET", "/v1/snapshots/monday", nil).want(t, 404)
	do(t, handler(t, db), "GET", "/v1/snapshots", nil).want(t, 409)
}

// TestImportAnswersWhileItReads shows that progress and errors come back
// before the body has ended.
func TestImportAnswersWhileItReads(t *testing.T) {
	db := memory(t)
	shop(t, db, 0)
	srv := httptest.NewServer(handler(t, db))
	defer srv.Close()
	pr, pw := io.Pipe()
	go func() {
		fmt.Fprintln(pw, "broken")
		for i := range 2500 {
			fmt.Fprintf(pw, "{\"id\":\"%d\"}\n", i)
		}
	}()
	r, _ := http.NewRequest("POST", srv.URL+"/v1/collections/shop/docs/import", pr)
	r.Header.Set("Content-Type", "application/x-ndjson")
	answered := make(chan string, 1)
	go func() {
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			answered <- err.Error()
			return
		}
		defer res.Body.Close()
		line, _ := bufio.NewReader(res.Body).ReadString('\n')
		answered <- line
	}()
	select {
	case line := <-answered:
		if !strings.Contains(line, `"line":1`) {
			t.Fatalf("line %q", line)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("no line while the body was open")
	}
	pw.Close()
}
