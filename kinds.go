package eider

import (
	"context"
	"io"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/index/flat"
	"github.com/eiderdb/eider/index/hnsw"
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
