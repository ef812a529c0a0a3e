package ingest

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// collect reads all rows; the stream must open.
func collect(t testing.TB, r io.Reader, o Options) []Row {
	t.Helper()
	rows, err := Open(r, o)
	if err != nil {
		t.Fatal(err)
	}
	var out []Row
	for row := range rows {
		out = append(out, row)
	}
	return out
}

// good reads all rows, none of which may have an error.
func good(t testing.TB, r io.Reader, o Options) []Row {
	t.Helper()
	rows := collect(t, r, o)
	for _, row := range rows {
		if row.Err != nil {
			t.Fatalf("line %d: %v", row.Line, row.Err)
		}
	}
	return rows
}

func text(t testing.TB, s string, o Options) []Row {
	t.Helper()
	return collect(t, strings.NewReader(s), o)
}

func check(t *testing.T, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

func TestNDJSONReadsTheEnvelopeAndTheFlatForm(t *testing.T) {
	in := `{"id":"a","fields":{"n":1,"x":1.5,"big":9007199254740993,"on":true,"none":null,"tags":["p","q"],"geo":{"lat":1,"lon":2.5}},"vectors":{"v":[1,2.5,-3e-2]},"expire_at":"2030-01-02T03:04:05Z","version":7}

{"id":18446744073709551615,"title":"flat","emb":[0.5,1],"list":[1,2.5],"mixed":[1,"a",[true]]}
{"id":7,"fields":"a field of its own","n":[1,2]}`
	rows := good(t, strings.NewReader(in), Options{Vectors: map[string]string{"v": "emb"}})
	second, third := int64(strings.Index(in, `{"id":18`)), int64(strings.Index(in, `{"id":7`))
	check(t, rows, []Row{
		{Line: 1, ID: "a", Fields: map[string]any{"n": int64(1), "x": 1.5, "big": int64(9007199254740993), "on": true, "none": nil,
			"tags": []string{"p", "q"}, "geo": map[string]any{"lat": int64(1), "lon": 2.5}},
			Vectors: map[string][]float32{"v": {1, 2.5, -3e-2}}, ExpireAt: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)},
		{Line: 3, Offset: second, ID: "18446744073709551615", Fields: map[string]any{"title": "flat", "list": []float64{1, 2.5},
			"mixed": []any{int64(1), "a", []bool{true}}}, Vectors: map[string][]float32{"v": {0.5, 1}}},
		{Line: 4, Offset: third, ID: "7", Fields: map[string]any{"fields": "a field of its own", "n": []int64{1, 2}}},
	})
}

func TestBadLineIsReportedAndTheNextOneIsRead(t *testing.T) {
	for name, line := range map[string]string{
		"no id":                     `{"fields":{"a":1}}`,
		"empty id":                  `{"id":"","a":1}`,
		"id of a wrong type":        `{"id":1.5}`,
		"negative id":               `{"id":-1}`,
		"name twice":                `{"id":"x","a":1,"a":2}`,
		"name twice inside":         `{"id":"x","fields":{"o":{"k":1,"k":1}}}`,
		"cut object":                `{"id":"x","a":`,
		"not an object":             `[1,2]`,
		"two objects":               `{"id":"x"} {"id":"y"}`,
		"integer beyond int64":      `{"id":"x","n":9223372036854775808}`,
		"float beyond float64":      `{"id":"x","n":1e999}`,
		"leading zero":              `{"id":"x","n":012}`,
		"NaN":                       `{"id":"x","n":NaN}`,
		"bad UTF-8":                 "{\"id\":\"x\",\"s\":\"\xff\"}",
		"control character":         "{\"id\":\"x\",\"s\":\"a\tb\"}",
		"half a surrogate pair":     `{"id":"x","s":"\ud83d"}`,
		"too deep":                  `{"id":"x","s":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`,
		"vector of strings":         `{"id":"x","vectors":{"v":["1"]}}`,
		"empty vector":              `{"id":"x","vectors":{"v":[]}}`,
		"vector beyond float32":     `{"id":"x","vectors":{"v":[1e39]}}`,
		"expiry that is no time":    `{"id":"x","fields":{},"expire_at":"soon"}`,
		"line beyond the limit":     `{"id":"x","s":"` + strings.Repeat("a", 100_000) + `"}`,
		"line just above the limit": `{"id":"x","s":"` + strings.Repeat("a", 1000-16) + `"}`,
	} {
		rows := text(t, line+"\n"+`{"id":"next"}`+"\n", Options{Format: NDJSON, MaxLine: 1000})
		if len(rows) != 2 || !errors.Is(rows[0].Err, ErrRow) || errors.Is(rows[0].Err, ErrStream) || rows[1].Err != nil || rows[1].ID != "next" {
			t.Errorf("%s: %+v", name, rows)
		} else if rows[1].Line != 2 || rows[1].Offset != int64(len(line))+1 {
			t.Errorf("%s: the next row is at line %d, offset %d", name, rows[1].Line, rows[1].Offset)
		}
	}
	if rows := text(t, `{"id":"x","s":"`+strings.Repeat("a", 1000-17)+`"}`, Options{Format: NDJSON, MaxLine: 1000}); rows[0].Err != nil {
		t.Errorf("a line as long as the limit: %v", rows[0].Err)
	}
}

func TestEscapesInStringsAreRead(t *testing.T) {
	rows := good(t, strings.NewReader(`{"id":"\u0061\n\"\\\/","s":"\ud83d\ude00 \u00e9"}`), Options{})
	if rows[0].ID != "a\n\"\\/" || rows[0].Fields["s"] != "😀 é" {
		t.Errorf("%q %q", rows[0].ID, rows[0].Fields)
	}
}

func TestColumnsThatAreNotWantedAreDropped(t *testing.T) {
	o := Options{Columns: []string{"b"}}
	for _, in := range []string{`{"id":"x","a":[[1]],"b":2,"c":{"d":[1,2]}}`, `{"id":"x","fields":{"a":1,"b":2}}`, "id,a,b\nx,1,2\n"} {
		o.Format = NDJSON
		if in[0] == 'i' {
			o.Format = CSV
		}
		check(t, good(t, strings.NewReader(in), o)[0].Fields, map[string]any{"b": int64(2)})
	}
}

func TestFormatIsFoundByNameThenByContent(t *testing.T) {
	for name, want := range map[string]Format{"a.JSONL": NDJSON, "b.ndjson.gz": NDJSON, `C:\x\b.csv`: CSV, "x.tsv": TSV, "y.parquet": Parquet, "m.npy": "npy", "m.fvecs.gz": "fvecs", "base.fbin": "fbin"} {
		if got, ok := formatOf(name); !ok || got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if rows := good(t, strings.NewReader("\ufeff \n{\"id\":1}"), Options{}); len(rows) != 1 {
		t.Errorf("%d rows of NDJSON by content", len(rows))
	}
	if rows := collect(t, bytes.NewReader(readTest(t, "half.npy")), Options{}); len(rows) != 4 {
		t.Errorf("%d rows of npy by content", len(rows))
	}
	for _, in := range []string{"[1]", "id,a\n1,2\n", "\x00\x01"} {
		if _, err := Open(strings.NewReader(in), Options{Name: "data.bin"}); !errors.Is(err, ErrFormat) {
			t.Errorf("%q: %v", in, err)
		}
	}
	if rows := collect(t, strings.NewReader(""), Options{}); len(rows) != 0 {
		t.Errorf("an empty input has %d rows", len(rows))
	}
}

func TestOptionsThatCannotBeAreRefused(t *testing.T) {
	for _, o := range []Options{
		{Types: map[string]string{"a": "integer"}},
		{Vectors: map[string]string{"v": "id"}},
		{Format: "npy", Vectors: map[string]string{"v": "", "w": ""}},
	} {
		if _, err := Open(strings.NewReader(""), o); !errors.Is(err, ErrOptions) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if _, err := Open(strings.NewReader(""), Options{Format: "xlsx"}); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "parquet") {
		t.Errorf("%v", err)
	}
}

func gzipped(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestGzipIsSeenThroughAndCapped(t *testing.T) {
	var lines bytes.Buffer
	for i := range 5000 {
		fmt.Fprintf(&lines, "{\"id\":%d,\"s\":%q}\n", i, strings.Repeat("a", 100))
	}
	packed := gzipped(t, lines.Bytes())
	var seen int64
	rows := good(t, bytes.NewReader(packed), Options{Progress: func(n int64) { seen = n }})
	if len(rows) != 5000 || seen != int64(len(packed)) {
		t.Errorf("%d rows, progress %d of %d bytes", len(rows), seen, len(packed))
	}
	rows = collect(t, bytes.NewReader(packed), Options{MaxBytes: 100_000})
	last := rows[len(rows)-1]
	if len(rows) > 1000 || !errors.Is(last.Err, ErrStream) || !strings.Contains(last.Err.Error(), "100000") {
		t.Errorf("beyond the cap: %d rows, %v", len(rows), last.Err)
	}
	rows = collect(t, bytes.NewReader(packed[:len(packed)/2]), Options{})
	if last := rows[len(rows)-1]; !errors.Is(last.Err, ErrStream) {
		t.Errorf("half a file: %v", last.Err)
	}
}

func TestReadErrorEndsTheStreamWithErrStream(t *testing.T) {
	boom := errors.New("boom")
	for _, c := range []struct {
		format Format
		head   string
		rows   int
	}{{NDJSON, "{\"id\":1}\n{\"id\":2}\n{\"id\"", 2}, {CSV, "id,a\n1,2\n3,4\n5", 2}, {Parquet, "PAR1", 0}, {"fvecs", "\x01\x00\x00\x00\x00\x00\x80?\x01\x00", 1}} {
		rows := collect(t, io.MultiReader(strings.NewReader(c.head), iotest.ErrReader(boom)), Options{Format: c.format})
		if len(rows) == 0 || !errors.Is(rows[len(rows)-1].Err, ErrStream) || !errors.Is(rows[len(rows)-1].Err, boom) || len(rows) != c.rows+1 {
			t.Errorf("%s: %+v", c.format, rows)
		}
	}
}

func TestRowsCanBeIteratedOnceAndLeftEarly(t *testing.T) {
	rows, err := Open(strings.NewReader("{\"id\":1}\n{\"id\":2}\n"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for range rows {
		break
	}
	for row := range rows {
		if !errors.Is(row.Err, ErrStream) {
			t.Errorf("the second iteration gives %+v", row)
		}
	}
}

func readTest(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestMatrixFilesGiveOneVectorARow(t *testing.T) {
	rows := collect(t, bytes.NewReader(readTest(t, "half.npy")), Options{Name: "half.npy", Vectors: map[string]string{"v": ""}, FirstID: 10})
	if len(rows) != 4 || rows[1].ID != "11" || !reflect.DeepEqual(rows[1].Vectors, map[string][]float32{"v": {3, 4, 5}}) {
		t.Errorf("%+v", rows)
	}
	if !errors.Is(rows[2].Err, ErrRow) || errors.Is(rows[2].Err, ErrStream) || rows[3].Err != nil {
		t.Errorf("an infinite element: %v, then %v", rows[2].Err, rows[3].Err)
	}
	packed := gzipped(t, readTest(t, "three.fvecs"))
	if rows := good(t, bytes.NewReader(packed), Options{Name: "three.fvecs.gz"}); len(rows) != 3 || !reflect.DeepEqual(rows[2].Vectors["vector"], []float32{2, 2.5, -2}) {
		t.Errorf("%+v", rows)
	}
	if rows := good(t, bytes.NewReader(readTest(t, "three.bvecs")), Options{Name: "three.bvecs"}); len(rows) != 3 || !reflect.DeepEqual(rows[1].Vectors["vector"], []float32{1, 2, 255, 0}) {
		t.Errorf("%+v", rows)
	}
	cut := readTest(t, "three.fvecs")
	rows = collect(t, bytes.NewReader(cut[:len(cut)-1]), Options{Name: "three.fvecs"})
	if len(rows) != 3 || !errors.Is(rows[2].Err, ErrStream) {
		t.Errorf("a cut file: %+v", rows)
	}
}
