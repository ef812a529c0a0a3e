package eider

import (
	"context"
	"io"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/index/flat"
	"github.com/eiderdb/eider/index/hnsw"
	"github.com/eiderdb/eider/storage"
	"github.com/eiderdb/eider/storage/format"
)

// kinds is the table of index kinds. Adding one is a folder under index/, a
// line here, a section in storage/FORMAT.md, and indextest.Run.
var kinds = map[string]*kind{
	"flat": {create: func(c index.Config) (index.Index, error) { return flat.New(c) }, bytes: flat.SlotBytes},
	"hnsw": {
		create: func(c index.Config) (index.Index, error) { return hnsw.New(c) },
		restore: func(ctx context.Context, c index.Config, r io.Reader) (restorable, error) {
			return hnsw.Load(ctx, c, r)
		},
		bytes: hnsw.SlotBytes,
	},
}

// kind makes indexes.
type kind struct {
	create func(index.Config) (index.Index, error)
	// restore reads what Index.Save wrote; nil for kinds that keep no structure.
	restore func(context.Context, index.Config, io.Reader) (restorable, error)
	// bytes is about the memory that a vector takes.
	bytes func(index.Config) (int64, error)
}

// restorable is an index read from a snapshot. If that brought codes, Stocked,
// Adopt makes it answer, and vectors that belong in memory follow by Refill, from
// any goroutine, then Attach. Otherwise the vectors come first, by Fill, then Ready,
// after which ids never filled are gone.
type restorable interface {
	index.Index
	Stocked() bool
	Adopt(ctx context.Context, live *roaring.Bitmap, src index.Source) (loose []uint32, err error)
	Refill(id uint32, vec []float32) error
	Attach() error
	Fill(id uint32, vec []float32) error
	Ready(ctx context.Context) error
}

// modelKinds is the table of model kinds. Adding one is a package with the model's
// arithmetic, an adapter to scorer in a file of this package, and a line here.
var modelKinds = map[string]modelKind{
	"din":    {check: checkDin, load: loadDin},
	"linear": {check: checkLinear, load: loadLinear},
}

// modelKind makes scorers of versions.
type modelKind struct {
	// check reports, from the configuration and the names, types and shapes of the
	// tensors, what keeps a version from being loaded: ErrInvalid, or
	// registry.ErrMismatch naming the tensor. It is asked before a version is stored.
	check func(*format.Model) error
	// load makes a scorer of a version that passed check. It may keep the tensors.
	load func(*format.Model, map[string]format.Tensor) (scorer, error)
}

// scorer is a model in memory. It never changes: many goroutines score with it at
// once. It must take an example that has no values, and a user without a history.
type scorer interface {
	needs() needs
	// score writes the score of each example to out, larger is better, and, unless
	// why is nil, what carried it to why: by field, or by item of the user's history.
	// A kind that cannot say leaves why as it is. It ends early with ctx's error if it
	// takes long.
	score(ctx context.Context, in *examples, out []float64, why []map[string]float64) error
}

// needs is what a model reads of an example.
type needs struct {
	fields []input
	user   bool // reads the history of a user
	ids    bool // reads the id of a document, of rows their "id"
}

// input is a document field that a model reads, and the types it may have.
type input struct {
	name  string
	types []FieldType
	many  bool // lists of them too
}

// examples are what one call scores: n candidates, for one user if the model needs
// one. All of it is as of view.
type examples struct {
	n      int
	values []format.Value // n rows of needs.fields, row-major; null where there is none, or one of another type
	ids    []string       // of the candidates, "" for none; nil if the model does not read them and they are no documents
	user   string
	view   *storage.View
}

// row is the values of example i.
func (x *examples) row(i int) []format.Value {
	w := len(x.values) / x.n
	return x.values[i*w : (i+1)*w]
}
