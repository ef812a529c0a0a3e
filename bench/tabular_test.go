package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/eiderdb/eider/tabular"
)

// madeUpTable writes a set in the layout of Churn_Modelling: a customer leaves if old
// or in one of three countries, with few exceptions.
func madeUpTable(t *testing.T, rows int) (dir string) {
	t.Helper()
	rng := rand.New(rand.NewPCG(5, 5))
	b := bytes.NewBufferString("RowNumber,Geography,Age,Balance,Exited\n")
	for i := range rows {
		country, age := rng.IntN(3), 18+rng.IntN(60)
		left := age > 55 || country == 2
		if rng.IntN(20) == 0 {
			left = !left
		}
		fmt.Fprintf(b, "%d,%s,%d,%.2f,%d\n", i+1, []string{"France", "Spain", "Germany"}[country], age, 1e5*rng.Float64(), map[bool]int{true: 1}[left])
	}
	dir = t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "tabular"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "tabular", "churn_modelling.csv"), b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestTabularReportsSinglesAndEnsembles(t *testing.T) {
	dir := madeUpTable(t, 1500)
	var out bytes.Buffer
	o := Options{Quick: true, JSON: true, Data: dir, Set: "churn_modelling", Peers: []string{"none"}, Seeds: 2}
	if err := Tabular(context.Background(), o, &out); err != nil {
		t.Fatal(err)
	}
	all := lines(t, out.Bytes())
	if f := find(t, all, "tabm accuracy", ""); f.Value < 0.85 || f.Engine != "tabm" {
		t.Errorf("nineteen of twenty rows can be told: %+v", f)
	}
	if f := find(t, all, "tabr accuracy", ""); f.Value < 0.8 || f.Engine != "tabr" {
		t.Errorf("by the rows nearest: %+v", f)
	}
	for _, name := range []string{"tabm accuracy of the ensemble", "tabm auc", "tabm logloss", "tabm training", "tabm predictions"} {
		find(t, all, name, "")
	}
}

func TestTabularReportsPeersThatAreNotInstalled(t *testing.T) {
	t.Setenv("EIDER_PEERS", t.TempDir())
	t.Setenv("PATH", t.TempDir()) // no python3
	var out bytes.Buffer
	o := Options{Quick: true, JSON: true, Data: madeUpTable(t, 300), Set: "churn_modelling", Peers: []string{"xgboost"}}
	if err := Tabular(context.Background(), o, &out); err != nil {
		t.Fatal(err)
	}
	find(t, lines(t, out.Bytes()), "absent", "xgboost")
}

func TestTablesAreReadTypedAndSplit(t *testing.T) {
	d, err := readTables(madeUpTable(t, 1000), "churn_modelling")
	if err != nil {
		t.Fatal(err)
	}
	if d.learn.Rows != 640 || d.valid.Rows != 160 || d.test.Rows != 200 || d.learn.Kind != tabular.Binary || d.learn.NumWidth != 2 || d.learn.CatSizes[0] != 3 {
		t.Errorf("%+v of %d, %d, %d rows", d.schema, d.learn.Rows, d.valid.Rows, d.test.Rows)
	}
	if row := rawRow(d.raw[0], 0); len(row) != 4 || row[0] < 18 || row[0] > 78 {
		t.Errorf("peers get %v", row)
	}
	if _, err := readTables(t.TempDir(), "iris"); !errors.Is(err, ErrSet) {
		t.Error(err)
	}
}

// The first rows of StatLib's file, and of the set that the papers have.
func TestCaliforniaHasTheFeaturesOfThePapers(t *testing.T) {
	f := map[string]any{
		"longitude": "-122.23", "latitude": "37.88", "housing_median_age": "41", "total_rooms": "880", "total_bedrooms": "129",
		"population": "322", "households": "126", "median_income": "8.3252", "median_house_value": "452600",
	}
	if err := california(f); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]float64{
		"income": 8.3252, "age": 41, "rooms": 6.98413, "bedrooms": 1.02381, "population": 322, "occupancy": 2.55556,
		"latitude": 37.88, "longitude": -122.23, "value": 4.526,
	} {
		if got := f[name].(float64); got < want-1e-5 || got > want+1e-5 {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
}
