package eider

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/index/rotate"
	"github.com/eiderdb/eider/simd"
	"github.com/eiderdb/eider/storage"
	"github.com/eiderdb/eider/storage/format"
)

// # Rotations
//
// Where a schema asks for it, one goroutine learns the rotation of a vector (package
// index/rotate), builds an index with it beside the one that serves, and commits the
// rotation; that commit makes the new index the one of the next state. The store's
// copy lets an index that has lost its snapshot start rotated. A snapshot has the
// rotation of its codes and is right with it, so the two need not agree: after a
// crash the goroutine finds that they do not, and builds again.

// regrow is how many times as many vectors as it was learned from make a rotation old.
const regrow = 8

// tendEvery is the time between looks at what is due, tendRest that after a failure;
// tests shorten them.
var tendEvery, tendRest = time.Second, time.Minute

// rotationOf is the rotation of an index, nil if it has none.
func rotationOf(x index.Index) []float32 {
	if r, ok := x.(interface{ Rotation() []float32 }); ok {
		return r.Rotation()
	}
	return nil
}

// tend gives indexes the rotations they want and the memory they may have.
func (db *DB) tend() {
	for _, l := range db.lives() {
		c := db.collection(l.coll)
		if c == nil || time.Now().Before(l.rest) {
			continue
		}
		err := c.shrink(db.ctx, l)
		if err == nil {
			err = c.rotate(db.ctx, l)
		}
		if err != nil && db.ctx.Err() == nil {
			l.rest = time.Now().Add(tendRest)
			db.log.Warn("a new index for a vector waits; it will be tried again", "collection", c.name, "vector", l.name, "err", err)
		}
	}
}

// rotate does what is due of l: nothing, learning, or building.
func (c *Collection) rotate(ctx context.Context, l *live) error {
	p := l.index.Load()
	if p == nil {
		return nil
	}
	rows := rotationOf(*p)
	if !c.state.Load().stored.Schema.Vectors[l.name].Index.Rotate {
		if rows == nil || l.db.opts.ReadOnly {
			return nil
		}
		return c.turn(ctx, l, format.Rotation{})
	}
	n := uint64((*p).Len())
	if l.settled && n < regrow*l.learned.Load() {
		return nil
	}
	kept, err := l.kept()
	if err != nil && !errors.Is(err, storage.ErrCorrupt) && !errors.Is(err, storage.ErrVersion) {
		return err
	}
	grown := n >= regrow*kept.Learned
	if kept.Rows != nil && !grown && slices.Equal(rows, kept.Rows) {
		l.learned.Store(kept.Learned)
		l.settled = true
		return nil
	}
	switch {
	case l.db.opts.ReadOnly:
		return nil
	case kept.Rows == nil && rows != nil: // the index has what the store has lost
		return c.setRotation(ctx, l, format.Rotation{Learned: n, Rows: rows})
	case kept.Rows != nil && !grown:
		return c.turn(ctx, l, kept)
	case n < uint64(rotate.Least(l.spec.Dim)):
		return err
	default:
		start := time.Now()
		if kept, err = l.learn(ctx, n); err != nil {
			return err
		}
		l.db.log.Info("rotation learned", "collection", c.name, "vector", l.name, "vectors", n, "took", time.Since(start))
		return c.turn(ctx, l, kept)
	}
}

// turn replaces l by an index with a rotation, or none.
func (c *Collection) turn(ctx context.Context, l *live, r format.Rotation) error {
	return c.replace(ctx, l, c.state.Load().stored.vector(l.name), r.Rows, func(next *live) error {
		next.learned.Store(r.Learned)
		return c.setRotation(ctx, l, r)
	})
}

// kept is the stored rotation, empty if there is none. Errors: those of the store.
func (l *live) kept() (format.Rotation, error) {
	view, err := l.db.viewAt(0)
	if err != nil {
		return format.Rotation{}, err
	}
	defer view.Release()
	r, err := view.Rotation(l.coll, l.id)
	if errors.Is(err, storage.ErrNotFound) {
		return format.Rotation{}, nil
	}
	if err == nil && len(r.Rows) != l.spec.Dim*l.spec.Dim {
		err = fmt.Errorf("%w: a rotation of %d numbers for %d components", storage.ErrCorrupt, len(r.Rows), l.spec.Dim)
	}
	return r, err
}

// learn learns a rotation from a sample of the n vectors there are.
func (l *live) learn(ctx context.Context, n uint64) (format.Rotation, error) {
	view, err := l.db.viewAt(0)
	if err != nil {
		return format.Rotation{}, err
	}
	defer view.Release()
	step := max(1, n/uint64(rotate.Sample(l.spec.Dim)))
	sample, at := roaring.New(), uint64(0)
	for it := view.Live(l.coll).Iterator(); it.HasNext(); at++ {
		if ord := it.Next(); at%step == 0 {
			sample.Add(ord)
		}
	}
	moment := rotate.NewMoment(l.spec.Dim)
	err = l.fill(ctx, view, sample, func(_ uint32, vec []float32) error {
		if l.spec.Metric == index.Cosine {
			unit := slices.Clone(vec)
			simd.Scale(unit, float32(1/math.Sqrt(float64(simd.Norm(vec)))))
			vec = unit
		}
		moment.Add(vec)
		return ctx.Err()
	})
	if err != nil {
		return format.Rotation{}, err
	}
	rows, err := moment.Rotation(ctx, l.spec.rotatedWidths())
	return format.Rotation{Learned: n, Rows: rows}, err
}

// create makes an empty index, with the rotation that it was given or the store
// has.
func (l *live) create(view *storage.View) (index.Index, error) {
	make := kinds[l.spec.Index.Kind].create
	rows := l.given
	if rows == nil && l.spec.Index.Rotate {
		if r, err := view.Rotation(l.coll, l.id); err == nil {
			rows = r.Rows
		}
	}
	if rows != nil {
		cfg := l.config(true)
		cfg.Rotation = rows
		x, err := make(cfg)
		if err == nil {
			return x, nil
		}
		l.db.log.Warn("the rotation is not usable; the index begins without", "collection", l.coll, "vector", l.name, "err", err)
	}
	return make(l.config(false))
}

// replace builds an index like l as spec says, with a rotation or none, and makes it
// that of the collection by commit. Until then l serves.
func (c *Collection) replace(ctx context.Context, l *live, spec Vector, rows []float32, commit func(next *live) error) error {
	next := c.warm(l, spec, rows)
	if next == nil {
		return nil
	}
	err := c.swap(ctx, l, next, commit)
	c.db.mu.Lock()
	taken := c.warming != next
	if !taken {
		c.warming = nil
	}
	c.db.mu.Unlock()
	if !taken {
		err = errors.Join(err, next.close())
	}
	return err
}

// warm starts a twin of l that is not searched yet; nil if l is no longer used.
func (c *Collection) warm(l *live, spec Vector, rows []float32) *live {
	c.db.mu.Lock()
	defer c.db.mu.Unlock()
	if c.state.Load().lives[l.name] != l {
		return nil
	}
	next := c.db.newLive(l.coll, l.name, l.id, spec, c.db.last, true)
	next.given = rows
	c.warming = next.start()
	return next
}

// swap waits until next answers as fast as writers are kept to, and has commit put it
// in l's place; not if l is no longer used.
func (c *Collection) swap(ctx context.Context, l, next *live, commit func(next *live) error) error {
	x, err := next.wait(ctx)
	if err == nil {
		err = next.room(ctx)
	}
	switch {
	case !c.serves(l):
		return nil
	case err != nil:
		return err
	case next.given != nil && !slices.Equal(rotationOf(x), next.given):
		err = fmt.Errorf("%w: the index did not take the rotation", ErrCorrupt)
		return errors.Join(err, c.setRotation(ctx, l, format.Rotation{}))
	}
	c.db.mu.Lock()
	next.warm = true
	c.db.mu.Unlock()
	return commit(next)
}

// setRotation commits a rotation, unless l is no longer used.
func (c *Collection) setRotation(ctx context.Context, l *live, r format.Rotation) error {
	c.db.schemas.Lock()
	defer c.db.schemas.Unlock()
	if !c.serves(l) {
		return nil
	}
	return c.db.store.SetRotation(ctx, c.id, l.id, r)
}

// serves reports whether l is the newest index of its vector.
func (c *Collection) serves(l *live) bool {
	c.db.mu.RLock()
	defer c.db.mu.RUnlock()
	return c.state.Load().lives[l.name] == l
}
