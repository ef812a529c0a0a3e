package ingest

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestCSVTypesAreInferredFromTheFirstRows(t *testing.T) {
	rows := good(t, strings.NewReader("\ufeffid,n,x,on,code,s,empty\n1,5,1.5,true,007,\"a, \"\"b\"\"\nc\",\n2,,2,false,010,d,\n"), Options{Format: CSV})
	check(t, rows, []Row{
		{Line: 2, Offset: 26, ID: "1", Fields: map[string]any{"n": int64(5), "x": 1.5, "on": true, "code": "007", "s": "a, \"b\"\nc"}},
		{Line: 4, Offset: 57, ID: "2", Fields: map[string]any{"x": 2.0, "on": false, "code": "010", "s": "d"}},
	})
}

func TestCSVTypesThatAreGivenHold(t *testing.T) {
	o := Options{Format: TSV, ID: "key", List: "|", Types: map[string]string{"n": "keyword", "at": "time", "p": "geo", "j": "json", "t": "text", "k": "keyword", "f": "float64"}}
	rows := good(t, strings.NewReader("key\tn\tat\tp\tj\tt\tk\tf\na\t12\t2020-02-03\t1.5, -2\t{\"a\":[1]}\tx|y\tx|y\t1|2.5\n"), o)
	check(t, rows[0].Fields, map[string]any{"n": "12", "at": time.Date(2020, 2, 3, 0, 0, 0, 0, time.UTC),
		"p": map[string]any{"lat": 1.5, "lon": -2.0}, "j": map[string]any{"a": []int64{1}}, "t": "x|y", "k": []string{"x", "y"}, "f": []float64{1, 2.5}})
}

func TestCSVVectorsComeFromAnArrayOrFromColumns(t *testing.T) {
	o := Options{Format: CSV, Vectors: map[string]string{"a": "arr", "b": "e", "c": ""}}
	rows := good(t, strings.NewReader("id,arr,e_0,e_1,e_2,n\n1,\"[1, 2]\",0.5,-1,1e-3,9\n2,,,,,\n"), o)
	check(t, rows[0].Vectors, map[string][]float32{"a": {1, 2}, "b": {0.5, -1, 1e-3}})
	check(t, rows[0].Fields, map[string]any{"n": int64(9)})
	if rows[1].Vectors != nil {
		t.Errorf("empty cells give %v", rows[1].Vectors)
	}
}

func TestBadCSVRowIsReportedAndTheNextOneIsRead(t *testing.T) {
	for name, line := range map[string]string{
		"too few cells":          "1,2,3",
		"too many cells":         "1,2,3,[1],5,6",
		"no id":                  ",2,3,[1],5",
		"value of another type":  "1,two,3,[1],5",
		"number beyond":          "1,9223372036854775808,3,[1],5",
		"bare quote":             "1,2\"x,3,[1],5",
		"vector that is none":    "1,2,3,[1,5",
		"text after the vector":  "1,2,3,[1]x,5",
		"infinite vector":        "1,2,3,[1e40],5",
		"invalid UTF-8":          "1,2,\xff,[1],5",
		"not a number in a cell": "1,2,3,[1],x",
		"trailing junk":          "1,2,3,[1],5x",
	} {
		o := Options{Format: CSV, Types: map[string]string{"n": "int64", "s": "keyword"}, Vectors: map[string]string{"v": "", "w": "w"}}
		rows := text(t, "id,n,s,v,w_0\n"+line+"\nok,1,2,[1],2\n", o)
		if len(rows) != 2 || !errors.Is(rows[0].Err, ErrRow) || errors.Is(rows[0].Err, ErrStream) || rows[1].Err != nil || rows[1].ID != "ok" {
			t.Errorf("%s: %+v", name, rows)
		} else if rows[0].Line != 2 || rows[1].Line != 3 || rows[1].Offset != int64(len(line))+14 {
			t.Errorf("%s: lines %d and %d, offset %d", name, rows[0].Line, rows[1].Line, rows[1].Offset)
		}
	}
}

func TestCSVThatCannotBeReadAtAllEndsTheStream(t *testing.T) {
	for name, in := range map[string]string{
		"no id column":       "a,b\n1,2\n",
		"name twice":         "id,a,a\n1,2,3\n",
		"column without one": "id,,a\n1,2,3\n",
		"endless quote":      "id,a\n1,\"" + strings.Repeat("x\n", 20_000),
	} {
		rows := text(t, in, Options{Format: CSV, MaxLine: 10_000})
		if len(rows) != 1 || !errors.Is(rows[0].Err, ErrStream) {
			t.Errorf("%s: %d rows, the first %+v", name, len(rows), rows[0].Err)
		}
	}
}

func TestCSVCellsStayTextWhereTypesAreFoundOutElsewhere(t *testing.T) {
	o := Options{Format: CSV, NoID: true, Untyped: true, Types: map[string]string{"n": "int64"}}
	rows := good(t, strings.NewReader("n,x,on\n5,1.50,true\n"), o)
	check(t, rows[0].Fields, map[string]any{"n": int64(5), "x": "1.50", "on": "true"})
}
