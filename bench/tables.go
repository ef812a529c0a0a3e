package bench

import (
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"github.com/eiderdb/eider/internal/ingest"
	"github.com/eiderdb/eider/tabular"
)

// tableSet is a table of the data directory and how it is divided: by the hash of row
// numbers, 64 % to learn from, 16 % to choose by and 20 % to test, or by the table's
// own test.
type tableSet struct {
	name, file, target string
	options            ingest.Options
	types              map[string]tabular.Type // where inference is overruled
	// row changes the cells of a row before it is appended; nil leaves them.
	row func(fields map[string]any) error
	// test is a second file, all of it held out; the first is then 80 % to learn from.
	test string
}

// tableSets are those of the TabR and TabM papers that are at hand, in their units:
// hundreds of thousands of dollars, ten thousands, the logarithm of dollars.
var tableSets = []tableSet{
	{name: "cal_housing", file: "cal_housing.csv", target: "value", row: california},
	{name: "adult", file: "adult.data", target: "income", test: "adult.test", options: ingest.Options{Format: ingest.CSV, Header: []string{
		"age", "workclass", "fnlwgt", "education", "education_num", "marital_status", "occupation", "relationship", "race", "sex",
		"capital_gain", "capital_loss", "hours_per_week", "native_country", "income"}}, row: unstopped},
	{name: "churn_modelling", file: "churn_modelling.csv", target: "Exited"},
	{name: "house_16H", file: "house_16H.tsv", target: "target", row: func(f map[string]any) error {
		return replace(f, "target", func(x float64) float64 { return x / 1e4 })
	}},
	{name: "diamonds", file: "diamonds.csv", target: "price", row: func(f map[string]any) error { return replace(f, "price", math.Log) }},
}

// number reads a cell that must hold one.
func cellNumber(fields map[string]any, name string) (x float64, err error) {
	text, _ := fields[name].(string)
	if _, err = fmt.Sscan(text, &x); err != nil {
		err = fmt.Errorf("%w: %q in %s", ErrSet, text, name)
	}
	return x, err
}

func replace(fields map[string]any, name string, f func(float64) float64) error {
	x, err := cellNumber(fields, name)
	fields[name] = f(x)
	return err
}

// california makes the eight features of StatLib's columns.
func california(f map[string]any) error {
	x := map[string]float64{}
	for name := range f {
		v, err := cellNumber(f, name)
		if err != nil {
			return err
		}
		x[name] = v
	}
	clear(f)
	for name, v := range map[string]float64{
		"income": x["median_income"], "age": x["housing_median_age"], "rooms": x["total_rooms"] / x["households"],
		"bedrooms": x["total_bedrooms"] / x["households"], "population": x["population"],
		"occupancy": x["population"] / x["households"], "latitude": x["latitude"], "longitude": x["longitude"],
		"value": x["median_house_value"] / 1e5,
	} {
		f[name] = v
	}
	return nil
}

// unstopped takes the full stop from the labels of adult.test.
func unstopped(f map[string]any) error {
	if s, ok := f["income"].(string); ok {
		f["income"] = strings.TrimSuffix(s, ".")
	}
	return nil
}

// tables is a set that was read: encoded for models, and raw for those that split
// columns, the same rows in the same order.
type tables struct {
	name               string
	schema             tabular.Schema
	learn, valid, test *tabular.Data // numbers by their quantiles
	raw                [3]*tabular.Data
}

// readTables reads a set from dir/tabular.
func readTables(dir, name string) (*tables, error) {
	if name == "" {
		name = tableSets[0].name
	}
	i := slices.IndexFunc(tableSets, func(s tableSet) bool { return s.name == name })
	if i < 0 {
		var names []string
		for _, s := range tableSets {
			names = append(names, s.name)
		}
		return nil, fmt.Errorf("%w: %q; tabular knows %s", ErrSet, name, strings.Join(names, ", "))
	}
	s := tableSets[i]
	t := tabular.NewTable(s.options.Header...)
	if err := s.read(filepath.Join(dir, "tabular", s.file), t); err != nil {
		return nil, err
	}
	split, err := s.split(filepath.Join(dir, "tabular", s.test), t)
	if err != nil {
		return nil, err
	}
	return s.encode(t, split)
}

// read appends a file to t.
func (s *tableSet) read(path string, t *tabular.Table) error {
	return unzipped(path, func(r io.Reader) error {
		o := s.options
		o.Name, o.NoID, o.Untyped = s.file, true, true
		rows, err := ingest.Open(r, o)
		if err != nil {
			return err
		}
		for row := range rows {
			if row.Err == nil && s.row != nil {
				row.Err = s.row(row.Fields)
			}
			if row.Err == nil {
				row.Err = t.Append(row.Fields)
			}
			if row.Err != nil {
				return fmt.Errorf("line %d: %w", row.Line, row.Err)
			}
		}
		return nil
	})
}

func (s *tableSet) split(test string, t *tabular.Table) (tabular.Split, error) {
	rows := make([]int, t.Rows())
	for i := range rows {
		rows[i] = i
	}
	if s.test == "" {
		return tabular.HashSplit(rows, tabular.PaperShares)
	}
	split, err := tabular.HashSplit(rows, tabular.Shares{Valid: 0.2})
	if err != nil {
		return split, err
	}
	n := t.Rows()
	if err := s.read(test, t); err != nil {
		return split, err
	}
	for i := n; i < t.Rows(); i++ {
		split.Test = append(split.Test, i)
	}
	return split, nil
}

func (s *tableSet) encode(t *tabular.Table, split tabular.Split) (*tables, error) {
	schema, err := tabular.Infer(t, s.target)
	for name, typ := range s.types {
		if err == nil {
			err = schema.Set(name, typ)
		}
	}
	if err != nil {
		return nil, err
	}
	out := &tables{name: s.name, schema: schema}
	for _, method := range []tabular.Method{tabular.Quantile, tabular.Identity} {
		e, err := tabular.Fit(t, split.Train, schema, tabular.Options{Method: method})
		if err != nil {
			return nil, err
		}
		for i, rows := range [][]int{split.Train, split.Valid, split.Test} {
			d, err := e.Encode(t, rows, true)
			if err != nil {
				return nil, err
			}
			if out.raw[i] = d; method == tabular.Quantile {
				*[]**tabular.Data{&out.learn, &out.valid, &out.test}[i] = d
			}
		}
	}
	return out, nil
}
