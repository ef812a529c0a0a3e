package tabular

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write golden files")

// people is a table of every type of column: 60 rows.
func people(t testing.TB) *Table {
	t.Helper()
	table := NewTable("id", "age", "member", "city", "name", "score", "plan")
	for i := range 60 {
		age, city, member := fmt.Sprint(20+i*7%31), []string{"Bern", "Oslo", "Rome"}[i%3], "no"
		if i%10 == 3 {
			age = "?"
		}
		if i%12 == 5 {
			city = " NA "
		}
		if i%4 == 0 {
			member = "yes"
		}
		plan := []string{"free", "pro", "team"}[i%7%3]
		if err := table.AppendText([]string{fmt.Sprint(1000 + i), age, member, city, fmt.Sprint("n", i), fmt.Sprint(float64(i) / 8), plan}); err != nil {
			t.Fatal(err)
		}
	}
	return table
}

func fitted(t testing.TB, table *Table, target string, rows []int, o Options) *Encoder {
	t.Helper()
	s, err := Infer(table, target)
	if err != nil {
		t.Fatal(err)
	}
	e, err := Fit(table, rows, s, o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestInferSaysWhatEachColumnIs(t *testing.T) {
	s, err := Infer(people(t), "plan")
	if err != nil {
		t.Fatal(err)
	}
	want := []Column{
		{"id", Ignored, "whole numbers that all differ: an identifier"},
		{"age", Numeric, "numbers, 6 of 60 missing"},
		{"member", TwoValued, "two values: no, yes"},
		{"city", Categorical, "3 values, 5 of 60 missing"},
		{"name", Ignored, "almost every row has a text of its own"},
		{"score", Numeric, "numbers"},
	}
	if s.Kind != Multiclass || !slices.Equal(s.Columns, want) {
		t.Errorf("%s: %q", s.Kind, s.Columns)
	}
}

func TestInferredTypesAreOverruled(t *testing.T) {
	s, _ := Infer(people(t), "score")
	if err := s.Set("age", Categorical); err != nil {
		t.Fatal(err)
	}
	e, err := Fit(people(t), nil, s, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, cat := e.Names(); !slices.Equal(cat, []string{"age", "city", "plan"}) {
		t.Errorf("categorical: %q", cat)
	}
	for _, err := range []error{s.Set("other", Numeric), s.Set("age", "float")} {
		if !errors.Is(err, ErrSchema) {
			t.Errorf("%v", err)
		}
	}
}

func TestKindsOfTargets(t *testing.T) {
	for want, values := range map[Kind][]any{
		Regression: {1.5, 2, 3, 4}, Binary: {true, false}, Multiclass: {"a", "b", "c"},
	} {
		table := NewTable()
		for i := range 100 {
			if err := table.Append(map[string]any{"y": values[i%len(values)]}); err != nil {
				t.Fatal(err)
			}
		}
		if s, err := Infer(table, "y"); err != nil || s.Kind != want {
			t.Errorf("%v is %s, want %s (%v)", values, s.Kind, want, err)
		}
	}
}

func TestRowsOfAnImportAndOfAQuestionAreEncodedAlike(t *testing.T) {
	table := people(t)
	e := fitted(t, table, "plan", nil, Options{})
	whole, err := e.Encode(table, []int{7, 8}, true)
	if err != nil {
		t.Fatal(err)
	}
	question := NewTable()
	for _, fields := range []map[string]any{
		{"age": int64(20 + 7*7%31), "member": "no", "city": "Oslo", "score": 7.0 / 8, "tags": []any{"x"}},
		{"age": 20 + 8*7%31, "member": "yes", "city": "Rome", "score": 1},
	} {
		if err := question.Append(fields); err != nil {
			t.Fatal(err)
		}
	}
	asked, err := e.Encode(question, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(whole.Num, asked.Num) || !slices.Equal(whole.Bin, asked.Bin) || !slices.Equal(whole.Cat, asked.Cat) || asked.Y != nil {
		t.Errorf("%+v\n%+v", whole, asked)
	}
}

func TestMissingValues(t *testing.T) {
	table := people(t)
	e := fitted(t, table, "plan", nil, Options{Method: Standard})
	num, bin, cat := e.Names()
	if !slices.Equal(num, []string{"age", "score"}) || !slices.Equal(bin, []string{"member", "age is missing"}) || !slices.Equal(cat, []string{"city"}) {
		t.Fatal(num, bin, cat)
	}
	empty := NewTable()
	if err := empty.Append(map[string]any{"city": nil, "age": math.NaN(), "score": "n/a"}); err != nil {
		t.Fatal(err)
	}
	d, err := e.Encode(empty, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	// The mean of age and of score; the commoner value, and age is missing; the category "".
	if d.Num[0] != 0 || d.Num[1] != 0 || !slices.Equal(d.Bin, []float32{0, 1}) || d.Cat[0] != 0 || d.CatSizes[0] != 4 {
		t.Errorf("%+v", d)
	}
}

func TestUnknownCategoriesHaveTheCodeAfterTheVocabulary(t *testing.T) {
	table := people(t)
	e := fitted(t, table, "plan", nil, Options{})
	q := NewTable()
	if err := errors.Join(q.Append(map[string]any{"city": "Paris"}), q.Append(map[string]any{"city": "Rome"}), q.Append(map[string]any{"city": "Bern"})); err != nil {
		t.Fatal(err)
	}
	d, err := e.Encode(q, nil, false)
	if err != nil || !slices.Equal(d.Cat, []int32{4, 3, 1}) {
		t.Errorf("%v %v", d.Cat, err)
	}
}

// Rows that were not fitted on may hold anything and change nothing.
func TestOnlyTrainingRowsAreFitted(t *testing.T) {
	table, train := people(t), []int{0, 1, 2, 4, 5, 6, 9, 10, 12, 17}
	a := fitted(t, table, "plan", train, Options{})
	for _, column := range table.cells {
		for i := range column {
			if !slices.Contains(train, i) {
				column[i] = value{num: 1e6, form: number}
			}
		}
	}
	b, err := Fit(table, train, a.Schema(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	before, _ := a.MarshalJSON()
	after, _ := b.MarshalJSON()
	if !bytes.Equal(before, after) {
		t.Errorf("%s\n%s", before, after)
	}
}

func TestTargetsAreStandardisedOrNumbered(t *testing.T) {
	table := people(t)
	d, err := fitted(t, table, "score", []int{0, 8, 16}, Options{}).Encode(table, []int{0, 8, 16}, true)
	if err != nil {
		t.Fatal(err)
	}
	if s := math.Sqrt(2.0 / 3); d.Kind != Regression || d.Mean != 1 || math.Abs(d.Std-s) > 1e-12 || d.Y[1] != 0 || math.Abs(float64(d.Y[2])-1/s) > 1e-6 {
		t.Errorf("%+v", d)
	}
	e := fitted(t, table, "plan", nil, Options{})
	if d, err = e.Encode(table, []int{0, 1, 2}, true); err != nil || !slices.Equal(d.Y, []float32{0, 1, 2}) || d.Classes != 3 {
		t.Errorf("%v %v", d, err)
	}
}

func TestWhatCannotBeUsedIsNamed(t *testing.T) {
	table := people(t)
	e := fitted(t, table, "plan", nil, Options{})
	s := e.Schema()
	bad, other := NewTable(), NewTable()
	if err := errors.Join(bad.Append(map[string]any{"age": "old"}), other.Append(map[string]any{"plan": "gold"})); err != nil {
		t.Fatal(err)
	}
	_, age := e.Encode(bad, nil, false)
	_, class := e.Encode(other, nil, true)
	_, target := Infer(table, "price")
	_, transform := Fit(table, nil, s, Options{Method: "rank"})
	s.Target = "none"
	_, none := Fit(table, nil, s, Options{})
	infinite := NewTable().Append(map[string]any{"x": math.Inf(1)})
	for _, c := range []struct {
		err, is error
		says    string
	}{
		{age, ErrValue, `"age"`}, {class, ErrValue, `"gold"`}, {target, ErrSchema, `"price"`}, {transform, ErrSchema, `"rank"`},
		{none, ErrValue, `"none"`}, {infinite, ErrValue, `"x"`}, {table.AppendText(nil), ErrValue, "0 cells"},
	} {
		if !errors.Is(c.err, c.is) || !strings.Contains(c.err.Error(), c.says) {
			t.Errorf("%v, want %v with %s", c.err, c.is, c.says)
		}
	}
}

func TestValuesOfAllFormsAreOneKey(t *testing.T) {
	for want, all := range map[string][]any{
		"39": {39, int64(39), 39.0, "39", " 39.0 "}, "-0.5": {-0.5, "-0.5", "-5e-1"}, "15634602": {15634602, "15634602"},
		"007": {"007"}, "true": {true, "true"}, "": {nil, "?", "NaN", math.NaN()}, "0": {0, "0", math.Copysign(0, -1)},
		"1700000000": {time.Unix(1_700_000_000, 0)},
	} {
		for _, v := range all {
			if got, err := valueOf(v); err != nil || got.key() != want {
				t.Errorf("%v (%T) is %q, want %q (%v)", v, v, got.key(), want, err)
			}
		}
	}
}

func TestEncoderSurvivesItsFile(t *testing.T) {
	table := people(t)
	e := fitted(t, table, "plan", nil, Options{Seed: 7})
	b, err := e.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	back, err := ParseEncoder(b)
	if err != nil {
		t.Fatal(err)
	}
	want, _ := e.Encode(table, nil, true)
	got, err := back.Encode(table, nil, true)
	if err != nil || !slices.Equal(got.Num, want.Num) || !slices.Equal(got.Bin, want.Bin) || !slices.Equal(got.Cat, want.Cat) || !slices.Equal(got.Y, want.Y) {
		t.Errorf("%v", err)
	}
}

// The file was written once and is read for ever.
func TestGoldenEncoderIsRead(t *testing.T) {
	const path = "testdata/encoder-v1.json"
	e := fitted(t, people(t), "plan", nil, Options{Seed: 7})
	if *update {
		b, _ := e.MarshalJSON()
		if err := os.WriteFile(path, append(b, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	back, err := ParseEncoder(b)
	if err != nil {
		t.Fatal(err)
	}
	if d, err := back.Encode(people(t), []int{3, 9}, true); err != nil || d.Bin[1] != 1 || d.CatSizes[0] != 4 {
		t.Errorf("%+v %v", d, err)
	}
}

func TestDamagedEncodersAreRefused(t *testing.T) {
	e := fitted(t, people(t), "plan", nil, Options{})
	good, _ := e.MarshalJSON()
	for _, c := range [][2]string{
		{`"format":1`, `"format":2`}, {`"quantile"`, `"rank"`}, {`"Bern","Oslo"`, `"Oslo","Bern"`}, {`"free","pro"`, `"pro","free"`},
		{`"values":["no","yes"]`, `"values":["no","no"]`}, {`"common":0`, `"common":2`}, {`"type":"numeric"`, `"type":"ignored"`},
		{`"quantiles":[`, `"quantiles":[1e9,`}, {`"kind":"multiclass"`, `"kind":"binary"`}, {`"std":`, `"std":-`}, {`"mean":0`, `"mean":1`},
		{`{`, `{"more":1,`}, {`}`, ``}, {`"name":"city","type"`, `"name":"age","type"`},
	} {
		bad := bytes.Replace(good, []byte(c[0]), []byte(c[1]), 1)
		if c[0] == `"mean":0` {
			bad = bytes.Replace(good, []byte(`,"mean":0,"std":1}`), []byte(`,"mean":1,"std":1}`), 1)
		}
		if bytes.Equal(bad, good) {
			t.Fatalf("nothing to replace: %s", c[0])
		}
		if _, err := ParseEncoder(bad); !errors.Is(err, ErrEncoder) {
			t.Errorf("%s instead of %s: %v", c[1], c[0], err)
		}
	}
}

func FuzzParseEncoder(f *testing.F) {
	for _, target := range []string{"plan", "score", "member"} {
		for _, m := range []Method{Quantile, Standard, Identity} {
			b, err := fitted(f, people(f), target, nil, Options{Method: m}).MarshalJSON()
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
	table := people(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := ParseEncoder(b)
		if err != nil {
			if !errors.Is(err, ErrEncoder) {
				t.Error(err)
			}
			return
		}
		if _, err := e.Encode(table, nil, true); err != nil && !errors.Is(err, ErrValue) {
			t.Error(err)
		}
		again, err := e.MarshalJSON()
		if err == nil {
			_, err = ParseEncoder(again)
		}
		if err != nil {
			t.Error("what was read is not read again: ", err)
		}
	})
}
