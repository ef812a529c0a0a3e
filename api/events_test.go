package api

import (
	"fmt"
	"strings"
	"testing"

	"github.com/eiderdb/eider"
)

func TestEventsAreAppendedReadInPagesAndErased(t *testing.T) {
	db := memory(t)
	h := handler(t, db)
	var in []string
	for i := range 25 {
		in = append(in, fmt.Sprintf(`{"user":"a/ü b","item":"i%d","type":"click","time":"2026-01-01T00:00:%02dZ","id":"%d"}`, i, i, i))
	}
	body := `{"events":[` + strings.Join(in, ",") + `]}`
	var r eider.Appended
	a := do(t, h, "POST", "/v1/events", body).want(t, 200)
	if a.into(t, &r); r != (eider.Appended{LSN: 1, Stored: 25}) || a.header.Get("X-LSN") != "1" {
		t.Fatalf("%+v, %v", r, a.header)
	}
	do(t, h, "POST", "/v1/events", body).want(t, 200).into(t, &r) // a retry
	if r != (eider.Appended{LSN: 1, Duplicates: 25}) {
		t.Errorf("%+v", r)
	}
	const user = "/v1/events/users/a%2F%C3%BC%20b"
	var items []string
	for cursor, pages := "", 1; ; pages++ {
		var page eider.History
		do(t, h, "GET", user+"?limit=10&types=click,buy&cursor="+cursor, nil).want(t, 200).into(t, &page)
		var some []string
		for _, e := range page.Events {
			some = append(some, e.Item)
		}
		items = append(some, items...)
		if cursor = page.Cursor; cursor == "" {
			if pages != 3 || page.Total != 25 {
				t.Errorf("%d pages of %d", pages, page.Total)
			}
			break
		}
	}
	for i, item := range items {
		if item != fmt.Sprint("i", i) {
			t.Fatalf("items %v", items)
		}
	}
	var page eider.History
	do(t, h, "GET", user+"?from=2026-01-01T00:00:03Z&to=2026-01-01T00:00:05Z", nil).want(t, 200).into(t, &page)
	if len(page.Events) != 2 || page.Events[0].Item != "i3" {
		t.Errorf("%+v", page)
	}
	var gone deletedEvents
	do(t, h, "DELETE", user, nil).want(t, 200).into(t, &gone)
	do(t, h, "GET", user, nil).want(t, 200).into(t, &page)
	if gone.Deleted != 25 || page.Total != 0 || len(page.Events) != 0 {
		t.Errorf("%+v, %+v", gone, page)
	}
}

func TestRefusedEventsPointIntoTheBody(t *testing.T) {
	h := handler(t, memory(t))
	for body, want := range map[string]string{
		`{"events":[]}`: "/events",
		`{"events":[{"user":"u","item":"i"},{"user":"u","item":"i","value":1e999}]}`:           "/events/1/value",
		`{"events":[{"user":"u","item":"i"},{"user":"","item":"i"}]}`:                          "/events/1",
		`{"events":[{"user":"u","item":"i","time":"0001-02-03T00:00:00Z"}]}`:                   "/events/0/time",
		`{"events":[{"user":"u","item":"i","colour":"red"}]}`:                                  "/events/0/colour",
		`{"events":[{"user":"u","item":"i","context":"` + strings.Repeat("x", 70_000) + `"}]}`: "/events/0",
	} {
		a := do(t, h, "POST", "/v1/events", body)
		if p := a.problem(t); a.status < 400 || a.status >= 500 || p.Pointer != want {
			t.Errorf("%.80s: %d %+v", body, a.status, p)
		}
	}
	do(t, h, "GET", "/v1/events/users/u?from=yesterday", nil).want(t, 400)
	do(t, h, "GET", "/v1/events/users/u?limit=0", nil).want(t, 400)
	do(t, h, "GET", "/v1/events/users/u?cursor=x", nil).want(t, 400)
	do(t, h, "PUT", "/v1/events/retention", `{"age":"-1h"}`).want(t, 400)
}

func TestEventImportReportsBadRowsAndCountsWhatWasThere(t *testing.T) {
	db := memory(t)
	h := handler(t, db)
	var in strings.Builder
	in.WriteString("user_id\tsku\tat\tkey\n")
	for i := range 3000 {
		switch i {
		case 10:
			in.WriteString("\tx\t1\tk\n")
		case 2000:
			fmt.Fprintf(&in, "u\tx\t1\t%s\n", strings.Repeat("k", 600)) // an id too long to store
		default:
			fmt.Fprintf(&in, "u%d\ts%d\t%d\tk%d\n", i%7, i, 1_700_000_000_000+i, i)
		}
	}
	const path = "/v1/events/import?format=tsv&columns=user=user_id,item=sku,time=at,id=key&time_unit=ms"
	bad, last := importLines(t, do(t, h, "POST", path, in.String()).want(t, 200))
	if d := last.Done; d.Rows != 3000 || d.Written != 2998 || d.Failed != 2 || d.Known != 0 || last.Problem != nil {
		t.Fatalf("%+v", last)
	}
	if len(bad) != 2 || bad[0].Line != 12 || bad[1].Line != 2002 || bad[1].Problem.Pointer != "" {
		t.Errorf("%+v", bad)
	}
	if _, last := importLines(t, do(t, h, "POST", path, in.String()).want(t, 200)); last.Done.Written != 0 || last.Done.Known != 2998 {
		t.Errorf("the same again: %+v", last.Done)
	}
	do(t, h, "POST", "/v1/events/import?format=csv&columns=usr=x", "a\n1\n").want(t, 400)
	do(t, h, "POST", "/v1/events/import?format=csv&time_unit=h", "a\n1\n").want(t, 400)
}

func TestExportedEventsAreImportable(t *testing.T) {
	db := memory(t)
	h := handler(t, db)
	for i := range 500 {
		e := eider.Event{User: fmt.Sprint("u", i%9), Item: fmt.Sprint(i), Type: "click", Value: float64(i) / 3, ID: fmt.Sprint(i), Context: []byte(`{"a":"<b>"}`)}
		if _, err := db.Events().Append(ctx, e); err != nil {
			t.Fatal(err)
		}
	}
	out := do(t, h, "GET", "/v1/events/export", nil).want(t, 200)
	copied := memory(t)
	to := handler(t, copied)
	if _, last := importLines(t, do(t, to, "POST", "/v1/events/import", string(out.body), "Content-Type", "application/x-ndjson").want(t, 200)); last.Done.Written != 500 {
		t.Fatalf("%+v", last)
	}
	if again := do(t, to, "GET", "/v1/events/export", nil).want(t, 200); string(again.body) != string(out.body) {
		t.Error("the copy differs")
	}
	if one := do(t, h, "GET", "/v1/events/export?types=buy", nil).want(t, 200); len(one.body) != 0 {
		t.Errorf("%s", one.body)
	}
}
