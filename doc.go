// Package eider is an embedded vector retrieval and recommendation database:
// one Go module, no cgo, one directory on disk.
//
// A [DB] holds [Collection]s of documents: an id, typed fields, named vectors.
// Writes are durable and visible when they return. A [Query] retrieves by
// vector, text or example, under a filter, from one snapshot:
//
//	db, err := eider.Open("films.eider", nil)
//	films, err := db.CreateCollection(ctx, "films", eider.Schema{
//		Fields:  map[string]eider.Field{"year": {Type: eider.Int64, Index: true}},
//		Vectors: map[string]eider.Vector{"plot": {Dim: 384, Metric: "cosine"}},
//	})
//	_, err = films.Upsert(ctx, eider.Doc{ID: "alien", Fields: map[string]any{"year": 1979}, Vectors: map[string][]float32{"plot": v}})
//	res, err := films.Search(ctx, eider.Query{
//		Retrieve: []eider.Retrieve{{Near: &eider.Near{Value: q}}},
//		Filter:   &eider.Filter{Field: "year", Lt: 1980},
//	})
//
// Storage is the only truth: vector indexes are derived from it, live in
// memory, and are rebuilt when they are lost. docs/ARCHITECTURE.md says how the
// parts fit; storage/FORMAT.md says what is on disk.
package eider
