package ingest

import (
	"bytes"
	"fmt"
	"testing"
)

// BenchmarkNDJSON reads documents of 384 dimensions and three fields.
func BenchmarkNDJSON(b *testing.B) {
	var in bytes.Buffer
	vector := vectorJSON()
	for i := range 500 {
		fmt.Fprintf(&in, `{"id":"doc-%d","fields":{"title":"a title of some length","year":%d,"tags":["one","two"]},"vectors":{"v":%s}}`+"\n", i, 1900+i%120, vector)
	}
	b.SetBytes(int64(in.Len()))
	b.ReportAllocs()
	for b.Loop() {
		if rows := good(b, bytes.NewReader(in.Bytes()), Options{Format: NDJSON}); len(rows) != 500 {
			b.Fatal(len(rows))
		}
	}
	b.ReportMetric(float64(b.N)*500/b.Elapsed().Seconds(), "rows/s")
}

// BenchmarkCSV reads rows of ten columns.
func BenchmarkCSV(b *testing.B) {
	var in bytes.Buffer
	in.WriteString("id,a,b,c,d,e,f,g,h,i\n")
	for i := range 2000 {
		fmt.Fprintf(&in, "%d,%d,%f,true,some text,%d,x,\"quoted, text\",7,8.5\n", i, i*7, float64(i)/3, i)
	}
	b.SetBytes(int64(in.Len()))
	b.ReportAllocs()
	for b.Loop() {
		if rows := good(b, bytes.NewReader(in.Bytes()), Options{Format: CSV}); len(rows) != 2000 {
			b.Fatal(len(rows))
		}
	}
	b.ReportMetric(float64(b.N)*2000/b.Elapsed().Seconds(), "rows/s")
}
