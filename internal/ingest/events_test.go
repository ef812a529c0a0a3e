package ingest

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
)

// eventsOf reads all events of an input.
func eventsOf(t testing.TB, in string, o EventOptions) (all []Event) {
	t.Helper()
	rows, err := Events(strings.NewReader(in), o)
	if err != nil {
		t.Fatal(err)
	}
	for e := range rows {
		all = append(all, e)
	}
	return all
}

func brief(e Event) string {
	if e.Err != nil {
		return fmt.Sprint(e.Line, " ", e.Err)
	}
	return fmt.Sprint(e.Line, " ", e.User, " ", e.Item, " ", e.Type, " ", e.Time.Format(time.RFC3339Nano), " ", e.Value, " ", e.ID, " ", string(e.Context))
}

func sameEvents(t *testing.T, all []Event, want ...string) {
	t.Helper()
	for i, e := range all {
		if i >= len(want) || brief(e) != want[i] {
			t.Errorf("event %d: %s", i, brief(e))
		}
	}
	if len(all) != len(want) {
		t.Errorf("%d events, want %q", len(all), want)
	}
}

func TestEventsOfEveryFormatAreTheSame(t *testing.T) {
	want := []string{`2 u1 7 click 2026-01-02T03:04:05Z 2.5 e1 {"page":3}`, "3 u2 8  1970-01-01T00:01:40Z 0  "}
	sameEvents(t, eventsOf(t, "user,item,type,time,value,id,context,other\nu1,7,click,2026-01-02T03:04:05Z,2.5,e1,\"{\"\"page\"\":3}\",x\nu2,8,,100,,,,y\n",
		EventOptions{Options: Options{Format: CSV}}), want...)
	sameEvents(t, eventsOf(t, `
{"user":"u1","item":7,"type":"click","time":"2026-01-02T03:04:05Z","value":2.5,"id":"e1","context":{"page":3},"other":{"deep":[1]}}
{"user":"u2","item":8,"time":100}`, EventOptions{Options: Options{Format: NDJSON}}), want...)

	type row struct {
		User    string    `parquet:"user"`
		Item    int64     `parquet:"item"`
		Type    *string   `parquet:"type,optional"`
		Time    time.Time `parquet:"time,timestamp(millisecond)"`
		Value   *float64  `parquet:"value,optional"`
		ID      *string   `parquet:"id,optional"`
		Context *string   `parquet:"context,optional"`
		Other   []int64   `parquet:"other,list"`
	}
	click, value, id, context := "click", 2.5, "e1", `{"page":3}`
	var b bytes.Buffer
	w := parquet.NewGenericWriter[row](&b)
	if _, err := w.Write([]row{{"u1", 7, &click, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), &value, &id, &context, nil}, {User: "u2", Item: 8, Time: time.Unix(100, 0)}}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	sameEvents(t, eventsOf(t, b.String(), EventOptions{Options: Options{Format: Parquet}}), strings.Replace(want[0], "2 ", "1 ", 1), strings.Replace(want[1], "3 ", "2 ", 1))
}

func TestEventsOfRatingsWithoutAHeader(t *testing.T) {
	o := EventOptions{Options: Options{Format: TSV, Header: []string{"user", "item", "value", "time"}}}
	sameEvents(t, eventsOf(t, "196\t242\t3\t881250949\n186\t302\t3\t891717742\n", o), "1 196 242  1997-12-04T15:55:49Z 3  ", "2 186 302  1998-04-04T19:22:22Z 3  ")
}

func TestEventColumnsMayHaveOtherNamesAndUnits(t *testing.T) {
	o := EventOptions{Options: Options{Format: CSV}, Column: map[string]string{"user": "userId", "item": "movieId", "value": "rating", "time": "timestamp"}, TimeUnit: time.Millisecond}
	sameEvents(t, eventsOf(t, "userId,movieId,rating,timestamp\n1,2,4.5,1500\n1,3,4,1500.5\n1,4,4,-1\n", o),
		"2 1 2  1970-01-01T00:00:01.5Z 4.5  ", "3 1 3  1970-01-01T00:00:01.5005Z 4  ", "4 1 4  1969-12-31T23:59:59.999Z 4  ")
	for name, column := range map[string]map[string]string{"part": {"usr": "x"}, "name": {"user": ""}} {
		if _, err := Events(strings.NewReader(""), EventOptions{Options: Options{Format: CSV}, Column: column}); !errors.Is(err, ErrOptions) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Events(strings.NewReader(""), EventOptions{Options: Options{Format: "fvecs"}}); !errors.Is(err, ErrOptions) {
		t.Errorf("a file of vectors: %v", err)
	}
}

func TestRowsThatAreNoEventsSayWhy(t *testing.T) {
	all := eventsOf(t, strings.Join([]string{
		`{"item":"i","time":1}`, `{"user":"u","time":1}`, `{"user":"u","item":"i"}`, `{"user":"u","item":"i","time":"yesterday"}`,
		`{"user":1.5,"item":"i","time":1}`, `{"user":["u"],"item":"i","time":1}`, `{"user":"u","item":"i","time":1,"value":"high"}`,
		`{"user":"u","item":"i","time":1,"context":"{"}`, `{"user":"u","item":"i","time":1500000000000}`, `{"other":1}`, `nonsense`,
		`{"user":"u","item":"i","time":1e300}`, `{"user":"u","item":"i","time":true}`, `{"user":"u","item":"i","time":1}`}, "\n"), EventOptions{Options: Options{Format: NDJSON}})
	for i, want := range []string{"no user", "no item", "is missing", "neither a number", "not a text", "not a text", "not a number", "not JSON", "another unit", "no column of an event", "",
		"outside the years", "neither a number"} {
		if err := all[i].Err; !errors.Is(err, ErrRow) || !strings.Contains(err.Error(), want) {
			t.Errorf("row %d: %v, want %q", i+1, err, want)
		}
	}
	if len(all) != 14 || all[13].Err != nil {
		t.Errorf("%d rows, the last %+v", len(all), all[len(all)-1])
	}
}

func FuzzEvents(f *testing.F) {
	f.Add([]byte("user,item,time\nu,i,1\n"), uint8(0))
	f.Add([]byte("u\ti\t1\n"), uint8(1))
	f.Add([]byte(`{"user":1,"item":2.0,"time":"2026-01-02","value":true,"context":[{"a":null}]}`), uint8(2))
	f.Fuzz(func(t *testing.T, data []byte, kind uint8) {
		o := EventOptions{Options: []Options{{Format: CSV}, {Format: TSV, Header: []string{"user", "item", "time"}}, {Format: NDJSON}}[kind%3]}
		o.MaxLine, o.MaxBytes = 1<<16, 1<<20
		rows, err := Events(bytes.NewReader(data), o)
		if err != nil {
			t.Fatal(err)
		}
		for e := range rows {
			if e.Err != nil {
				if !errors.Is(e.Err, ErrRow) && !errors.Is(e.Err, ErrStream) || e.User != "" || e.Context != nil {
					t.Fatalf("%+v", e)
				}
				continue
			}
			if y := e.Time.Year(); e.User == "" || e.Item == "" || y < 1678 || y > 2261 || e.Value != e.Value {
				t.Fatalf("%+v", e)
			}
		}
	})
}
