package eider

import "github.com/eiderdb/eider/index"

// Filter is a typed tree over fields; see index.Filter for its forms and
// meaning.
type Filter = index.Filter

// Query is the one shape of every search: retrieve, filter, fuse, rank, sort or
// group, page. The JSON names are those of the HTTP body.
//
// Without Retrieve the query browses: every document that passes Filter, in id
// order or by Sort.
type Query struct {
	// Retrieve are the candidate sources. One is used as it is; several are
	// fused.
	Retrieve []Retrieve `json:"retrieve,omitempty"`
	// Filter restricts every source before it retrieves, so Limit hits come back
	// whenever Limit documents pass it.
	Filter *Filter `json:"filter,omitempty"`
	// Fuse says how several sources become one list; nil means reciprocal rank
	// fusion with k = 60.
	Fuse *Fuse `json:"fuse,omitempty"`
	// Rank are phases that put the best candidates in order by models, one after the
	// other, before groups are made. Not with Sort.
	Rank []Rank `json:"rank,omitempty"`
	// Sort orders the result by fields instead of by score. With Retrieve it
	// reorders the retrieved candidates.
	Sort []Sort `json:"sort,omitempty"`
	// GroupBy keeps the best Size hits per value of a field.
	GroupBy *GroupBy `json:"group_by,omitempty"`
	// Facets counts the values of fields among all documents that pass Filter:
	// field name to the number of values wanted (1..1000).
	Facets map[string]int `json:"facets,omitempty"`
	// Limit is the number of hits (or groups) wanted, 1..1000, default 10.
	Limit int `json:"limit,omitempty"`
	// Paged asks for a Result.Cursor, which keeps the snapshot readable for
	// CursorLife. Browsing is always paged.
	Paged bool `json:"paged,omitempty"`
	// Cursor continues after the last page; from Result.Cursor.
	Cursor string `json:"cursor,omitempty"`
	// Fields are the fields to return; nil means all, empty means none.
	Fields []string `json:"fields,omitempty"`
	// Vectors are the names of vectors to return; default none.
	Vectors []string `json:"vectors,omitempty"`
	// Total asks for the exact number of documents that pass Filter.
	Total bool `json:"total,omitempty"`
	// Explain asks what each phase did, with times, counts and per-hit scores.
	Explain bool `json:"explain,omitempty"`
	// Timed asks for the times and plans of the phases alone, without their
	// counts and the scores of hits, which cost more than the clock. Explain
	// includes it.
	Timed bool `json:"-"`
}

// Retrieve is one candidate source: exactly one of Near and Like.
type Retrieve struct {
	Near *Near `json:"near,omitempty"`
	Like *Like `json:"like,omitempty"`
	// K is the number of candidates, default the query's limit (more when fused,
	// grouped or sorted), 1..1000.
	K int `json:"k,omitempty"`
	// Ef is the pool of the graph walk, K..4096; 0 chooses it.
	Ef int `json:"ef,omitempty"`
	// Recall, above 0 and below 1, chooses the pool in place of Ef: the smallest
	// that finds this share of the true nearest, on average, as the index measured
	// on itself. Where a walk cannot, or costs more, every vector is scored. 0 with
	// Ef 0 means what is usual: 0.98, or more where it is not yet sure of that.
	Recall float64 `json:"recall,omitempty"`
	// Exact scores every vector that passes the filter.
	Exact bool `json:"exact,omitempty"`
	// Width ranks by this many leading components of the vectors, for vectors that
	// are nested; the query has all of them. 0 means all.
	Width int `json:"width,omitempty"`
	// Weight of this source in the fusion, default 1.
	Weight float64 `json:"weight,omitempty"`
}

// Near retrieves the nearest neighbours of a vector, or of a text through the
// vector's encoder.
type Near struct {
	Vector string    `json:"vector,omitempty"` // name of the vector; may be empty when the collection has one
	Value  []float32 `json:"value,omitempty"`
	Text   string    `json:"text,omitempty"`
}

// Like recommends by example: candidates near the mean of the positive
// documents' vectors and away from the mean of the negative ones
// (2*mean(positive) - mean(negative)). The examples themselves are left out.
type Like struct {
	Vector   string   `json:"vector,omitempty"`
	Positive []string `json:"positive"`
	Negative []string `json:"negative,omitempty"`
}

// Fuse chooses the fusion; at most one is set.
type Fuse struct {
	RRF      *RRF      `json:"rrf,omitempty"`
	Weighted *Weighted `json:"weighted,omitempty"`
}

// RRF is reciprocal rank fusion: sum of weight/(K+rank), rank from 1 (Cormack,
// Clarke and Buettcher, SIGIR 2009).
type RRF struct {
	K float64 `json:"k,omitempty"` // default 60
}

// Weighted is the weighted sum of scores, each source first normalised over
// its candidates.
type Weighted struct {
	Norm string `json:"norm,omitempty"` // "minmax" (default) or "zscore"
}

// Sort is one key of an order. Documents without the field come last.
type Sort struct {
	Field string `json:"field"`
	Desc  bool   `json:"desc,omitempty"`
}

// GroupBy keeps the best hits per value.
type GroupBy struct {
	Field string `json:"field"`
	Size  int    `json:"size,omitempty"` // hits per value, 1..100, default 1
}

// Hit is one found document.
type Hit struct {
	ID      string               `json:"id"`    // shares memory with the other ids of its result
	Score   float64              `json:"score"` // larger is better; see index.Metric.Score and Fuse
	Version uint64               `json:"version,omitempty"`
	Fields  map[string]any       `json:"fields,omitempty"`
	Vectors map[string][]float32 `json:"vectors,omitempty"`
	Group   any                  `json:"group,omitempty"`   // value of GroupBy.Field
	Explain []SourceScore        `json:"explain,omitempty"` // with Query.Explain: what each source said
	Ranked  []RankScore          `json:"ranked,omitempty"`  // with Query.Explain: what each rank phase said
}

// SourceScore is what one source contributed to a hit.
type SourceScore struct {
	Source   int     `json:"source"` // position in Query.Retrieve
	Rank     int     `json:"rank"`   // from 1
	Score    float64 `json:"score"`
	Distance float64 `json:"distance"`
	Fused    float64 `json:"fused"` // what it added to the hit's score
}

// FacetCount is one value of a facet.
type FacetCount struct {
	Value any    `json:"value"`
	Count uint64 `json:"count"`
}

// Result is the answer to a query, all of it as of one LSN.
type Result struct {
	Hits   []Hit                   `json:"hits"`
	Facets map[string][]FacetCount `json:"facets,omitempty"`
	Total  *uint64                 `json:"total,omitempty"`
	// Cursor continues after this page; "" on the last one, and for queries that
	// are not Paged.
	Cursor string `json:"cursor,omitempty"`
	LSN    uint64 `json:"lsn"`
	// Models are the versions that ranked, as in "ctr@7", by rank phase.
	Models []string `json:"models,omitempty"`
	// Explain is the account of phases, with Query.Explain or Query.Timed.
	Explain *Explain `json:"explain,omitempty"`
	// Advice are hints about slow ways this query had to take.
	Advice []string `json:"advice,omitempty"`
}

// Explain is the account of a query's phases.
type Explain struct {
	Phases []Phase `json:"phases"`
}

// Phase is what one phase did.
type Phase struct {
	Name   string         `json:"name"`           // "encode", "filter", "retrieve", "fuse", "rank", "sort", "group", "facets", "fetch"
	Micros float64        `json:"us"`             // wall time in microseconds
	In     int            `json:"in"`             // candidates in
	Out    int            `json:"out"`            // candidates out
	Plan   string         `json:"plan,omitempty"` // what was chosen and why
	Counts map[string]int `json:"counts,omitempty"`
}
