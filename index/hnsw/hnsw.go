// Package hnsw is the graph index: a hierarchical navigable small world (Malkov
// and Yashunin, arXiv 1603.09320) that grows, shrinks and answers at once.
//
// # Memory
//
// Vectors, links and maps live in arenas outside the Go heap, addressed by slot:
//
//	vectors  slot -> row                   (package index/vectors)
//	links    slot -> 2M neighbours         level 0, unused places hold none
//	towers   slot -> block, if level > 0
//	blocks   [level, level × M neighbours] levels 1..level
//
// # Writing
//
// Insert stores the vector and appends its slot to the fresh queue, which every
// search scans exactly, so a vector is found as soon as Insert returns. Linkers
// drain the queue: each searches for the nearest nodes, keeps a diverse few, and
// adds the links back. Delete only marks; once Release says that no reader needs
// the dead, repair reconnects their neighbours, unlinks them and frees slots. When
// many are free, nodes move to low slots and the memory at the end goes back to the
// system.
//
// # Reading without locks
//
// A search reads neighbour lists with atomic loads while they change. It may see
// a mixture of an old and a new list; since every place always holds a slot that
// has a vector, or none, that costs at most a detour. A slot is used again only
// after every search that might have met it has ended.
//
// Four invariants, checked by Check:
//
//	I1  links name slots in the graph, never the node itself, never twice
//	I2  a link of level l leads to a node of at least level l
//	I3  the entry point is in the graph and no node is above its level
//	I4  every live node in the graph is reachable from the entry at level 0
//
// I4 is restored by a sweep in each repair and when the queue drains.
package hnsw

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/index/vectors"
	"github.com/eiderdb/eider/internal/arena"
)

const (
	none     = math.MaxUint32 // the slot that an unused place of a list holds
	maxLevel = 31
	stripes  = 1 << 12 // locks of lists
	small    = 2000    // vectors up to which every search is exact
	noEntry  = math.MaxUint64
)

var inf = float32(math.Inf(1))

// Index is a graph index. Make it with New or Load.
type Index struct {
	cfg   index.Config
	set   *vectors.Set
	m, m0 int     // links of a node at an upper level, and at level 0
	scale float64 // of the level distribution, 1/ln M

	links, towers, blocks *arena.Region
	view                  atomic.Pointer[view]

	entry atomic.Uint64 // slot<<8 | level, or noEntry
	locks [stripes]sync.Mutex

	towerMu sync.Mutex // guards the block allocator and changes of entry
	blocked int64      // words of blocks in use
	spare   [maxLevel + 1][]uint32

	fresh     queue
	searchers sync.Pool
	serial    atomic.Uint32
	cost      atomic.Pointer[measured]

	// gate is held shared by whoever changes links, and exclusively for the
	// moment in which repair condemns slots: afterwards nobody links to them.
	gate      sync.RWMutex
	condemned atomic.Pointer[bitset]
	saving    sync.RWMutex              // held shared by Save, and exclusively while nodes get other slots
	suspects  marks                     // nodes in doubt
	watching  sync.Mutex                // guards changes of snapshots
	snapshots atomic.Pointer[[]*bitset] // that are being written: what loses links

	upkeep upkeep
	ready  atomic.Bool // false from Load to Ready or Adopt

	stocked bool     // loaded with codes
	loose   []uint32 // from Load to Adopt

	curve atomic.Pointer[curve] // nil until the first calibration
	asked asked

	closing sync.Once
	closed  error // of Close
}

var _ index.Index = (*Index)(nil)

// defaults fills in and checks cfg: index.ErrOption.
func defaults(cfg index.Config) (index.Config, error) {
	if err := vectors.Check(cfg); err != nil {
		return cfg, err
	}
	set := func(field *int, def int) {
		if *field == 0 {
			*field = def
		}
	}
	if cfg.Metric == "" {
		cfg.Metric = index.L2
	}
	if cfg.Storage == "" {
		cfg.Storage = index.Float32
	}
	set(&cfg.M, 16)
	set(&cfg.EfConstruction, max(200, cfg.M))
	set(&cfg.Workers, runtime.GOMAXPROCS(0))
	set(&cfg.MaxFresh, 20000)
	for _, o := range []struct {
		name      string
		v, lo, hi int
	}{
		{"M", cfg.M, 2, 128},
		{"EfConstruction", cfg.EfConstruction, cfg.M, 4096},
		{"Ef", cfg.Ef, 0, 4096},
		{"Workers", cfg.Workers, 1, 1024},
		{"MaxFresh", cfg.MaxFresh, 1, 1 << 30},
	} {
		if o.v < o.lo || o.v > o.hi {
			return cfg, fmt.Errorf("%w: %s %d is not in %d..%d", index.ErrOption, o.name, o.v, o.lo, o.hi)
		}
	}
	return cfg, nil
}

// New returns an empty index. Errors: index.ErrOption, index.ErrCorrupt for a rotation
// that is none, those of package arena.
// The caller must Close it.
func New(cfg index.Config) (*Index, error) {
	x, err := open(cfg)
	if err != nil {
		return nil, err
	}
	x.ready.Store(true)
	return x, nil
}

// open makes an empty index that does not link yet.
func open(cfg index.Config) (*Index, error) {
	cfg, err := defaults(cfg)
	if err != nil {
		return nil, err
	}
	x := &Index{cfg: cfg, m: cfg.M, m0: 2 * cfg.M, scale: 1 / math.Log(float64(cfg.M))}
	x.entry.Store(noEntry)
	x.condemned.Store(&bitset{})
	x.view.Store(&view{m: x.m, m0: x.m0})
	x.fresh.init(cfg.MaxFresh)
	x.upkeep.init()
	x.searchers.New = func() any { return newSearcher(x.serial.Add(1), x.m0) }
	for room := vectors.Room; room >= vectors.MinRoom; room /= 4 {
		if err = x.reserve(room); !errors.Is(err, arena.ErrMemory) {
			break // with many indexes open, address space runs short
		}
	}
	if err != nil {
		return nil, err
	}
	return x, nil
}

// reserve takes address space: room bytes for rows, and in proportion for links.
func (x *Index) reserve(room int) (err error) {
	if x.set, err = vectors.New(x.cfg, room, x.grow); err != nil {
		return err
	}
	most := int64(x.set.Most())
	if x.links, err = arena.Reserve(most * int64(x.m0) * 4); err == nil {
		if x.towers, err = arena.Reserve(most * 4); err == nil {
			x.blocks, err = arena.Reserve(min(math.MaxUint32, most*int64(x.m+1)) * 4)
		}
	}
	if err != nil {
		x.set.Close()
		x.release()
	}
	return err
}

// Len is the number of live vectors.
func (x *Index) Len() int { return x.set.Len() }

// Distances scores ids; see index.Searcher.
func (x *Index) Distances(q []float32, ids []uint32, out []float32) error {
	return x.set.Distances(q, ids, out)
}

// Vector appends the stored vector of id; see index.Index.
func (x *Index) Vector(id uint32, dst []float32) ([]float32, bool) { return x.set.Vector(id, dst) }

// SlotBytes is about the memory that an index of cfg takes for each vector: a slot of
// the set, the links of level 0 and, on average, of those above. Errors: those of New.
func SlotBytes(cfg index.Config) (int64, error) {
	cfg, err := defaults(cfg)
	if err != nil {
		return 0, err
	}
	n, err := vectors.SlotBytes(cfg)
	return n + int64(4*(2*cfg.M+1)+4*(cfg.M+1)/(cfg.M-1)), err
}

// Rotation is the matrix that codes are made through, by rows; nil for none. Read only.
func (x *Index) Rotation() []float32 { return x.set.Rotation() }

// Stats reports sizes.
func (x *Index) Stats() index.Stats {
	n := int64(x.set.Slots())
	x.towerMu.Lock()
	blocks := x.blocked * 4
	x.towerMu.Unlock()
	s := index.Stats{
		Kind: "hnsw", Rotated: x.set.Rotation() != nil, Live: x.set.Len(), Dead: x.set.Dead(), Fresh: x.fresh.len(), Busy: x.upkeep.searching(),
		VectorBytes: x.set.VectorBytes(), CodeBytes: x.set.CodeBytes(),
		GraphBytes: x.set.MapBytes() + n*int64(x.m0+1)*4 + blocks,
	}
	if c := x.curve.Load(); c != nil {
		s.Curve = c.points
	}
	if e := x.entry.Load(); e != noEntry {
		s.MaxLevel = int(e & 0xff)
	}
	return s
}

// Close stops the goroutines and frees the memory once running calls have
// returned. Idempotent.
func (x *Index) Close() error {
	x.closing.Do(func() {
		x.upkeep.stop()
		x.fresh.close()
		x.upkeep.join()
		err := x.set.Close() // waits for whoever is inside
		x.towerMu.Lock()
		defer x.towerMu.Unlock()
		if e := x.release(); err == nil {
			err = e
		}
		x.closed = err
	})
	return x.closed
}

func (x *Index) release() error {
	var first error
	for _, r := range []*arena.Region{x.links, x.towers, x.blocks} {
		if r == nil {
			continue
		}
		if err := r.Free(); err != nil && first == nil {
			first = err
		}
	}
	return first
}
