// Package index says what a vector index is: the interfaces every kind
// implements, the metrics, the filter tree over bitmaps, and the planner that
// chooses between an exact scan and a filtered graph walk.
//
// An index is derived state: a pure function of the stored vectors up to a log
// sequence number (LSN). It never touches storage; the root package feeds it
// and asks it. Ids are the ordinals that storage gives to document versions: an
// id names one immutable vector for as long as any reader can see it.
package index

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/RoaringBitmap/roaring/v2"
)

// Errors that every index kind returns, wrapped with detail.
var (
	// ErrDimension reports a vector whose length is not the index's dimension.
	ErrDimension = errors.New("vector has the wrong dimension")
	// ErrNotFinite reports a NaN, an infinity, or a component whose square
	// overflows a float32 sum.
	ErrNotFinite = errors.New("vector has a component that is not usable")
	// ErrZeroVector reports a zero vector under the cosine metric.
	ErrZeroVector = errors.New("zero vector has no direction under cosine")
	// ErrExists reports an Insert of an id the index already holds.
	ErrExists = errors.New("id is already in the index")
	// ErrCorrupt reports an index snapshot that fails its checks; the caller
	// rebuilds from storage.
	ErrCorrupt = errors.New("index snapshot is damaged")
	// ErrClosed reports use after Close.
	ErrClosed = errors.New("index is closed")
	// ErrOption reports an index option out of its range.
	ErrOption = errors.New("index option is out of range")
)

// Metric orders vectors by nearness. Every metric is expressed as a distance:
// smaller is nearer.
type Metric string

const (
	L2     Metric = "l2"     // squared Euclidean distance, >= 0
	IP     Metric = "ip"     // negative inner product, any sign
	Cosine Metric = "cosine" // 1 - cosine similarity, in [0, 2]
)

// Valid reports whether m is one of the metrics above.
func (m Metric) Valid() bool { return m == L2 || m == IP || m == Cosine }

// Score turns a distance into a similarity, larger is better: 1/(1+d) for l2,
// the inner product for ip, the cosine for cosine. Strictly decreasing in d, up
// to rounding.
func (m Metric) Score(d float32) float64 {
	switch m {
	case IP:
		return -float64(d)
	case Cosine:
		return 1 - float64(d)
	default:
		return 1 / (1 + float64(d))
	}
}

// Storage is the element type index memory keeps for a vector.
type Storage string

const (
	Float32 Storage = "float32"
	Float16 Storage = "float16" // half the memory; distances carry its rounding
)

// Codes names the compact codes that a graph is walked and built on; see package
// index/quant. The hits of a search are always chosen by the vectors themselves.
type Codes string

const (
	None Codes = ""     // distances of walks are computed on the vectors
	Int8 Codes = "int8" // a byte per component
	Int4 Codes = "int4" // half a byte per component
	Bit  Codes = "bit"  // a bit per component, of the vector turned at random
)

// MaxDim is the largest dimension of a vector.
const MaxDim = 4096

// Config is what an index is built for; fixed for its life.
type Config struct {
	Dim     int     // 1..MaxDim
	Metric  Metric  // "" means L2
	Storage Storage // "" means Float32
	// Widths divide codes into blocks after these numbers of leading components,
	// ascending: a graph is walked on the first block alone, and what a walk finds is
	// reordered by each longer prefix in turn. For nested vectors; needs Codes, and
	// metric l2 or cosine.
	Widths []int
	// Rotation, if set, is an orthogonal matrix, Dim × Dim by rows, that codes are made
	// through: they, and so the prefixes that Widths name, are those of rotated vectors.
	// What hits are chosen by and scored with stays as it is. Not copied. Needs Widths.
	Rotation []float32
	// Rotate lets a snapshot bring a rotation; without it one that does is refused.
	Rotate bool
	Codes  Codes // what graphs are walked on and long scans go through first

	// Source, if set, keeps the vectors: the index holds their codes only, and reads
	// from Source, or from Params.Source, the few it needs. Needs Codes.
	Source Source

	// HNSW parameters; the flat index ignores them. Zero means the default.
	M              int   // links per node and upper level, 2..128, default 16 (level 0 has 2M)
	EfConstruction int   // candidates of a new node, M..4096, default 200; a bulk load expands the nearest 5/8
	Ef             int   // default search pool, 1..4096, default chosen from n and k
	Seed           int64 // of the level generator; equal seeds and one worker give equal graphs of vectors that come without a second's pause
	Workers        int   // goroutines that link fresh vectors, default GOMAXPROCS
	MaxFresh       int   // fresh vectors tolerated before Insert blocks (back-pressure), default 20000
}

// Source reads vectors that an index does not hold in memory.
type Source interface {
	// Read appends the vector of id, as it was inserted, to dst. It may be called
	// from many goroutines at once.
	Read(id uint32, dst []float32) ([]float32, error)
}

// Hit is one found id. Hits are ordered by (Distance, ID), so ties are stable.
type Hit struct {
	ID       uint32
	Distance float32
}

// Less is the total order of hits: nearer first, then smaller id.
func (h Hit) Less(o Hit) bool {
	if h.Distance != o.Distance {
		return h.Distance < o.Distance
	}
	return h.ID < o.ID
}

// Params says how to search.
type Params struct {
	K  int // hits wanted, 1..
	Ef int // pool size of a graph walk; 0 means the index's default; raised to K
	// Recall, if above 0, chooses the pool in place of Ef: the least by which a walk
	// finds this share of the true nearest, on average, as the index measured it; 1
	// and what no walk reaches mean Exact.
	Recall float64
	// At is the reader's LSN: an id deleted at or before At is invisible, one
	// deleted after At is still found. 0 means now (deleted ids are invisible).
	At uint64
	// Allow restricts hits to these ids; nil means all. Read only, not kept.
	Allow *roaring.Bitmap
	// Exact asks for a scan of every allowed vector instead of a graph walk.
	Exact bool
	// Width, if set, makes distances those over this many leading components, for
	// nested vectors; under cosine both sides are normalised over them.
	Width int
	// Source, if set, is read in place of Config.Source: it sees what this reader may.
	Source Source
	// Accept, if set, is asked about ids in order of distance when the final
	// hits are chosen; ids it refuses are left out. It must refuse few: it is
	// for ids born after the reader's snapshot, not for filters.
	Accept func(id uint32) bool
}

// Work counts what a search did.
type Work struct {
	Distances int  `json:"distances"` // distance computations
	Hops      int  `json:"hops"`      // expanded graph nodes
	Fresh     int  `json:"fresh"`     // vectors scanned in the fresh tail
	Exact     bool `json:"exact"`     // every allowed vector was scored
	Ef        int  `json:"ef"`        // pool of the graph walk, 0 without one
	Rescored  int  `json:"rescored"`  // of the pool, scored again by their vectors
	// Prefix is how many components the graph was walked on, 0 without a walk, and
	// Depth how many the pool was put in order by, before the vectors.
	Prefix int `json:"prefix"`
	Depth  int `json:"depth"`
	// Recall is the share of the true nearest that this pool found when the index
	// calibrated itself; 1 for an exact scan, 0 if it is not known.
	Recall float64 `json:"recall"`
}

// Searcher answers nearest-neighbour queries. Models and rankers take a
// Searcher, never a concrete index.
type Searcher interface {
	// Search appends the K nearest allowed ids to dst, nearest first, and
	// returns fewer than K only if fewer are allowed and visible. It reads q only
	// during the call. Errors: ErrDimension, ErrNotFinite, ErrZeroVector,
	// ErrClosed, or the context's (checked at least every 10 ms).
	Search(ctx context.Context, q []float32, p Params, dst []Hit) ([]Hit, Work, error)
	// Distances writes the distance from q to each id to out (len(out) ==
	// len(ids)); +Inf for an id the index does not hold.
	Distances(q []float32, ids []uint32, out []float32) error
	// Len is the number of live vectors.
	Len() int
}

// Index is a Searcher that can change. All methods may be called from many
// goroutines at once, Search during Insert and Delete included.
type Index interface {
	Searcher
	// Insert adds a vector, visible to every Search that starts after it
	// returns; vec is copied. It blocks while the fresh tail is too long, until
	// ctx ends. Errors: ErrDimension, ErrNotFinite, ErrZeroVector, ErrExists.
	Insert(ctx context.Context, id uint32, vec []float32) error
	// Delete hides id from searches At lsn or later. Unknown ids are ignored.
	Delete(id uint32, lsn uint64)
	// Release promises that no search with At < lsn will start or is running;
	// memory of ids deleted at or before lsn may be reused.
	Release(lsn uint64)
	// Drain returns when no vector is fresh and no delete awaits repair.
	Drain(ctx context.Context) error
	// Vector appends the stored vector of id (normalised under cosine, rounded
	// under Float16) to dst and reports whether the index holds it.
	Vector(id uint32, dst []float32) ([]float32, bool)
	// Save writes a snapshot of structure, not of vectors: ids, levels, links.
	// Searches and inserts go on; what they add meanwhile may be missing from it,
	// so the caller notes its LSN before the call and replays from there.
	// The kinds that keep no structure write nothing.
	Save(ctx context.Context, w io.Writer) error
	// Stats reports sizes.
	Stats() Stats
	// Check verifies the structure: bounds, symmetry of counts, reachability.
	Check(ctx context.Context) error
	// Close stops the index's goroutines and frees its memory once running
	// searches have returned. Idempotent.
	Close() error
}

// Pool is what walks with one size of pool did in a calibration.
type Pool struct {
	Prefix    int     `json:"prefix"` // components that the walks went by
	Ef        int     `json:"ef"`
	Recall    float64 `json:"recall"`    // of the 10 true nearest; mean less one standard error
	Distances int     `json:"distances"` // mean of a walk
}

// Stats is what an index holds.
type Stats struct {
	Kind        string `json:"kind"`
	Live        int    `json:"live"`         // vectors that searches can return
	Dead        int    `json:"dead"`         // deleted, memory not yet reused
	Fresh       int    `json:"fresh"`        // live, not yet linked into the graph
	Busy        bool   `json:"-"`            // searches went on a moment ago, and scanned what is fresh
	VectorBytes int64  `json:"vector_bytes"` // memory of vectors, 0 if they stay on disk
	CodeBytes   int64  `json:"code_bytes"`   // memory of codes
	GraphBytes  int64  `json:"graph_bytes"`  // memory of links, levels, id maps
	MaxLevel    int    `json:"max_level"`    // highest graph level, 0 for flat
	Rotated     bool   `json:"rotated"`      // codes are of rotated vectors
	// Curve is recall by size of pool, ascending for each prefix; nil before the first calibration
	// and for kinds without pools. Read only.
	Curve []Pool `json:"curve,omitempty"`
}

// squares is Σ v[i]²: NaN or +Inf if a component is not finite. Float64 keeps
// subnormal vectors apart from zero, and four sums do not wait for each other.
func squares(v []float32) float64 {
	var a, b, c, d float64
	for ; len(v) >= 4; v = v[4:] {
		w, x, y, z := float64(v[0]), float64(v[1]), float64(v[2]), float64(v[3])
		a += w * w
		b += x * x
		c += y * y
		d += z * z
	}
	for _, x := range v {
		a += float64(x) * float64(x)
	}
	return a + b + (c + d)
}

// CheckVector reports why v cannot be stored or searched under m with
// dimension dim: ErrDimension, ErrNotFinite, or ErrZeroVector (cosine only).
// Subnormals and negative zero are legal. O(dim).
func CheckVector(m Metric, dim int, v []float32) error {
	if len(v) != dim {
		return fmt.Errorf("%w: want %d components, got %d", ErrDimension, dim, len(v))
	}
	sum := squares(v)
	if sum > 0 && sum <= math.MaxFloat32/4 {
		return nil
	}
	for i, x := range v {
		if x != x || x > math.MaxFloat32 || x < -math.MaxFloat32 {
			return fmt.Errorf("%w: component %d is %v; send finite numbers", ErrNotFinite, i, x)
		}
	}
	// A sum that overflows would make every distance infinite and equal. The
	// bound leaves room for (a-b)^2 <= 2a^2+2b^2.
	if sum > math.MaxFloat32/4 {
		return fmt.Errorf("%w: the squared norm overflows; scale the vector down", ErrNotFinite)
	}
	if m == Cosine && sum == 0 {
		return fmt.Errorf("%w; drop the document or use metric l2 or ip", ErrZeroVector)
	}
	return nil
}
