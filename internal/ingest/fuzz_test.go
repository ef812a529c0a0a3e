package ingest

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"testing"
	"unicode/utf8"
)

// drain reads rows of any bytes and checks what every row promises.
func drain(t *testing.T, data []byte, o Options) {
	t.Helper()
	o.MaxLine, o.MaxBytes, o.MaxSpool = 1<<16, 1<<20, 1<<20
	rows, err := Open(bytes.NewReader(data), o)
	if err != nil {
		if !errors.Is(err, ErrFormat) && !errors.Is(err, ErrStream) && !errors.Is(err, ErrOptions) {
			t.Fatalf("%v is of no known kind", err)
		}
		return
	}
	n, ended := 0, false
	for row := range rows {
		if ended {
			t.Fatal("a row after the end of the stream")
		}
		if n++; n > 100_000 {
			return
		}
		ended = errors.Is(row.Err, ErrStream)
		if row.Err != nil {
			if !ended && !errors.Is(row.Err, ErrRow) {
				t.Fatalf("%v is of no known kind", row.Err)
			}
			if row.Fields != nil || row.Vectors != nil {
				t.Fatal("a bad row has content")
			}
			continue
		}
		if row.ID == "" || row.Line < 1 || !utf8.ValidString(row.ID) && o.Format == NDJSON {
			t.Fatalf("row %+v", row)
		}
		for name, v := range row.Vectors {
			for _, f := range v {
				if notFinite(f) {
					t.Fatalf("vector %s: %v", name, v)
				}
			}
		}
	}
}

func FuzzNDJSON(f *testing.F) {
	f.Add([]byte(`{"id":"a","fields":{"n":1,"l":[1,"x",{"k":null}]},"vectors":{"v":[1,2.5]},"expire_at":"2030-01-02T03:04:05Z"}` + "\n{\"id\":1,\"v\":[1]}\r\n"))
	f.Add([]byte("\xef\xbb\xbf{\"id\":\"\\ud83d\\ude00\"}\n\n{"))
	f.Fuzz(func(t *testing.T, data []byte) {
		drain(t, data, Options{Format: NDJSON, Vectors: map[string]string{"v": ""}})
	})
}

// What the parser accepts, encoding/json must accept too.
func FuzzJSONValueAgreesWithTheStandardLibrary(f *testing.F) {
	for _, s := range []string{`{"a":[1,-2.5e3,"x\n\u00e9"],"b":{"c":null,"d":true}}`, `[1,2]`, `[[],{}]`, `"\ud83d\ude00"`, `[1,2.5,9007199254740993]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p := &parser{b: data}
		v, err := p.value(1)
		if err != nil || p.end() != nil {
			return
		}
		if !json.Valid(data) {
			t.Fatalf("%q was read as %v", data, v)
		}
		if _, err := json.Marshal(v); err != nil {
			t.Fatalf("%q: %v", data, err)
		}
	})
}

func FuzzCSV(f *testing.F) {
	f.Add([]byte("id,n,v,w_0,w_1\n1,2,\"[1,2]\",1,2\n\"a\"\"b\",x\n"), byte(','), "|")
	f.Add([]byte("id;a\n1;\"x\n"), byte(';'), "")
	f.Fuzz(func(t *testing.T, data []byte, delimiter byte, list string) {
		if delimiter == '"' || delimiter == '\r' || delimiter == '\n' || delimiter >= utf8.RuneSelf {
			delimiter = ','
		}
		drain(t, data, Options{Format: CSV, Delimiter: rune(delimiter), List: list, Vectors: map[string]string{"v": "", "w": ""}})
		drain(t, data, Options{Format: TSV, Types: map[string]string{"n": "json", "a": "time"}})
	})
}

func FuzzParquet(f *testing.F) {
	f.Add(readTest(f, "plain.parquet"))
	f.Add(readTest(f, "nested.parquet"))
	f.Fuzz(func(t *testing.T, data []byte) {
		drain(t, data, Options{Format: Parquet, Vectors: map[string]string{"v": ""}})
	})
}

func FuzzMatrixAndUnknown(f *testing.F) {
	f.Add(readTest(f, "half.npy"), "npy")
	f.Add(readTest(f, "three.fvecs"), "fvecs")
	f.Add(readTest(f, "three.bvecs"), "")
	f.Add(gzipped(f, []byte(`{"id":1}`)), "")
	f.Fuzz(func(t *testing.T, data []byte, format string) {
		drain(t, data, Options{Format: Format(format)})
	})
}

func FuzzParseFloatsAgreesWithStrconv(f *testing.F) {
	for _, s := range []string{"1", "-0.5e-3", "16777217", "1e39", "0.000000000000000000011", "12345678901234567890123", "1.1754943e-38"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		out, n, err := ParseFloats([]byte("["+s+"]"), nil)
		if err != nil {
			return
		}
		if !json.Valid([]byte("[" + s + "]")[:n]) {
			t.Fatalf("%q was read as %v", s, out)
		}
		if len(out) != 1 || n != len(s)+2 {
			return
		}
		var number json.Number
		if json.Unmarshal([]byte(s), &number) != nil {
			return
		}
		want, err := strconv.ParseFloat(string(number), 32)
		if err != nil || math.Float32bits(out[0]) != math.Float32bits(float32(want)) {
			t.Fatalf("%q: %v, strconv says %v, %v", s, out[0], want, err)
		}
	})
}
