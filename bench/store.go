package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/eiderdb/eider"
	"github.com/eiderdb/eider/internal/dataset"
)

// collection is the name every suite on a database uses.
const collection = "bench"

// scratch is a new directory for a database: beside the report, so that the user
// chooses the disk, else where temporary files go. The caller removes it.
func (o Options) scratch() (string, error) {
	if o.Out != "" {
		if err := os.MkdirAll(o.Out, 0o755); err != nil {
			return "", err
		}
	}
	return os.MkdirTemp(o.Out, "eider-bench-")
}

// schema is one HNSW vector with default parameters and two fields, one indexed.
func schema(dim int) eider.Schema {
	return eider.Schema{
		Fields: map[string]eider.Field{
			"kind": {Type: eider.Keyword, Index: true},
			"rank": {Type: eider.Int64},
		},
		Vectors: map[string]eider.Vector{"v": {Dim: dim}},
	}
}

// document is row i: ten kinds in turn.
func document(i int, v []float32) eider.Doc {
	return eider.Doc{
		ID:      strconv.Itoa(i),
		Fields:  map[string]any{"kind": "k" + strconv.Itoa(i%10), "rank": int64(i)},
		Vectors: map[string][]float32{"v": v},
	}
}

// fill upserts rows from..m.Rows of m in batches of 1,000, from four goroutines.
func fill(ctx context.Context, c *eider.Collection, m dataset.Matrix, from int) error {
	const size, writers = 1000, 4
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	batches := make(chan int)
	done := make(chan error, writers)
	for range writers {
		go func() {
			var err error
			for lo := range batches {
				docs := make([]eider.Doc, 0, size)
				for i := lo; i < min(lo+size, m.Rows); i++ {
					docs = append(docs, document(i, m.Row(i)))
				}
				if err == nil {
					if _, err = c.Upsert(ctx, docs...); err != nil {
						cancel(err)
					}
				}
			}
			done <- err
		}()
	}
	for lo := from; lo < m.Rows && ctx.Err() == nil; lo += size {
		batches <- lo
	}
	close(batches)
	var err error
	for range writers {
		err = errors.Join(err, <-done)
	}
	if err == nil {
		err = context.Cause(ctx)
	}
	return err
}

// near is the search every suite on a database makes: k=10, two fields.
func near(q []float32, f *eider.Filter) eider.Query {
	return eider.Query{
		Retrieve: []eider.Retrieve{{Near: &eider.Near{Vector: "v", Value: q}}},
		Filter:   f, Limit: 10, Fields: []string{"kind", "rank"},
	}
}

// first opens the database, searches once and returns both; the caller closes.
func first(ctx context.Context, dir string, q []float32) (*eider.DB, eider.Result, error) {
	db, err := eider.Open(dir, &eider.Options{SnapshotInterval: -1})
	if err != nil {
		return nil, eider.Result{}, err
	}
	c, err := db.Collection(collection)
	if err == nil {
		var res eider.Result
		if res, err = c.Search(ctx, near(q, nil)); err == nil {
			return db, res, nil
		}
	}
	return nil, eider.Result{}, errors.Join(err, db.Close())
}

// fresh is the number of vectors not yet linked.
func fresh(ctx context.Context, db *eider.DB) (int, error) {
	s, err := db.Stats(ctx)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, c := range s.Collections {
		for _, v := range c.Vectors {
			n += v.Fresh
		}
	}
	return n, nil
}

// create opens a new database in dir with the suite's collection.
func create(ctx context.Context, dir string, dim int) (*eider.DB, *eider.Collection, error) {
	db, err := eider.Open(dir, &eider.Options{SnapshotInterval: -1})
	if err != nil {
		return nil, nil, err
	}
	c, err := db.CreateCollection(ctx, collection, schema(dim))
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return db, c, nil
}

func recipe(o Options, rows, queries, dim int) (dataset.Matrix, dataset.Matrix, string) {
	r := dataset.Clusters{Rows: o.rows(rows), Queries: queries, Dim: dim, Seed: o.seed()}
	o.log("generating %s", r.Name())
	base, q := r.Generate()
	return base, q, r.Name()
}

// rate words a count per second.
func rate(n int, seconds float64) string { return fmt.Sprintf("%.0f/s", float64(n)/seconds) }
