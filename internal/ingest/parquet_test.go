package ingest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
)

// The file was written by Arrow: zstd, three row groups, a dictionary, nulls.
func TestParquetReadsScalarsListsTimesAndNulls(t *testing.T) {
	data := readTest(t, "arrow.parquet")
	o := Options{Name: "arrow.parquet", Vectors: map[string]string{"v": "", "double": "w"}}
	rows := good(t, bytes.NewReader(data), o)
	if len(rows) != 200 {
		t.Fatalf("%d rows", len(rows))
	}
	at := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	check(t, rows[0], Row{Line: 1, ID: "doc-0", Vectors: map[string][]float32{"v": {0, 0, 0.5}},
		Fields: map[string]any{"small": int64(0), "u": int64(0), "x": 0.0, "ok": true, "kind": "even", "at": at, "day": at}})
	check(t, rows[3].Fields, map[string]any{"n": int64(3000000021), "small": int64(3), "u": int64(3), "ok": false, "kind": "odd",
		"tags": []string{"a", "t0"}, "at": at.Add(3 * time.Second), "day": at.AddDate(0, 0, 3)}) // x is NaN there: missing
	check(t, rows[199].Vectors, map[string][]float32{"v": {24.875, -199, 0.5}, "double": {1, 199.25}})
}

func TestParquetStreamIsReadThroughATemporaryFileThatGoesAway(t *testing.T) {
	data, dir := readTest(t, "arrow.parquet"), t.TempDir()
	o := Options{TempDir: dir}
	for name, r := range map[string]io.Reader{"stream": io.MultiReader(bytes.NewReader(data)), "gzip": bytes.NewReader(gzipped(t, data))} {
		rows, err := Open(r, o)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for row := range rows {
			if n++; row.Err != nil || n == 150 {
				if row.Err != nil {
					t.Errorf("%s: %v", name, row.Err)
				}
				break
			}
		}
		if left, err := os.ReadDir(dir); n != 150 || err != nil || len(left) != 0 {
			t.Errorf("%s: %d rows, left in the temporary folder: %v, %v", name, n, left, err)
		}
	}
	o.MaxSpool = 100
	rows := collect(t, io.MultiReader(bytes.NewReader(data)), o)
	if len(rows) != 1 || !errors.Is(rows[0].Err, ErrStream) || !strings.Contains(rows[0].Err.Error(), "100 bytes") {
		t.Errorf("beyond the limit: %+v", rows)
	}
}

func TestParquetColumnsThatAreNoScalarsOrListsAreNamed(t *testing.T) {
	data := readTest(t, "nested.parquet")
	rows := collect(t, bytes.NewReader(data), Options{})
	if len(rows) != 1 || !errors.Is(rows[0].Err, ErrStream) || !strings.Contains(rows[0].Err.Error(), `"s"`) {
		t.Errorf("%+v", rows)
	}
	if rows := good(t, bytes.NewReader(data), Options{Columns: []string{}}); len(rows) != 3 || rows[2].ID != "3" {
		t.Errorf("without the column: %+v", rows)
	}
	if rows := collect(t, bytes.NewReader(readTest(t, "arrow.parquet")), Options{Vectors: map[string]string{"v": "tags"}}); !errors.Is(rows[0].Err, ErrStream) {
		t.Errorf("a vector of strings: %+v", rows[0])
	}
	if rows := collect(t, bytes.NewReader(readTest(t, "arrow.parquet")), Options{ID: "key"}); !errors.Is(rows[0].Err, ErrStream) || !strings.Contains(rows[0].Err.Error(), `"key"`) {
		t.Errorf("no id column: %+v", rows[0])
	}
}

func TestBadParquetRowIsReportedAndTheNextOneIsRead(t *testing.T) {
	type doc struct {
		ID string    `parquet:"id"`
		V  []float32 `parquet:"v,list"`
		U  uint64    `parquet:"u"`
		S  []byte    `parquet:"s"`
	}
	nan := float32(math.NaN())
	var file bytes.Buffer
	if err := parquet.Write(&file, []doc{{"a", []float32{1, nan}, 1, nil}, {"", []float32{1}, 1, nil}, {"c", []float32{1}, 1 << 63, nil}, {"d", []float32{1}, 1, []byte("\xff")}, {"e", []float32{1, 2}, 7, []byte("ok")}}); err != nil {
		t.Fatal(err)
	}
	rows := collect(t, bytes.NewReader(file.Bytes()), Options{Vectors: map[string]string{"v": ""}})
	if len(rows) != 5 {
		t.Fatalf("%d rows", len(rows))
	}
	for i, row := range rows[:4] {
		if !errors.Is(row.Err, ErrRow) || errors.Is(row.Err, ErrStream) || row.Line != int64(i)+1 {
			t.Errorf("row %d: %+v", i, row)
		}
	}
	check(t, rows[4], Row{Line: 5, ID: "e", Fields: map[string]any{"u": int64(7), "s": "ok"}, Vectors: map[string][]float32{"v": {1, 2}}})
}

func TestDamagedParquetEndsTheStreamWithErrStream(t *testing.T) {
	data := readTest(t, "arrow.parquet")
	for n := 0; n < len(data); n += 97 {
		rows := collect(t, bytes.NewReader(data[:n]), Options{Format: Parquet})
		if len(rows) != 1 || !errors.Is(rows[0].Err, ErrStream) {
			t.Fatalf("cut to %d bytes: %d rows", n, len(rows))
		}
	}
}

func TestPanicOfTheConsumerPassesThroughParquet(t *testing.T) {
	rows, err := Open(bytes.NewReader(readTest(t, "arrow.parquet")), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if p := fmt.Sprint(recover()); !strings.Contains(p, "mine") {
			t.Errorf("recovered %v", p)
		}
	}()
	for range rows {
		panic("mine")
	}
}
