package indextest

import (
	"math"
	"math/rand"
	"slices"
	"testing"

	"github.com/eiderdb/eider/index"
)

// version is a vector that an id has or had.
type version struct {
	id   uint32
	vec  []float32
	died uint64 // 0 while it lives
}

// model is an index beside what it should hold.
type model struct {
	t             *testing.T
	r             *rand.Rand
	x             index.Index
	dim           int
	centres       [][]float32
	all           []version
	live          []int // places in all
	gone          []uint32
	next          uint32
	lsn, released uint64
	found, sought int // of nearest neighbours, by searches that may miss some
}

// random is a life of inserts, deletes, releases, searches as of any LSN that may
// still be read, and drains, in random order.
func random(t *testing.T, f Factory) {
	const steps = 120
	m := &model{t: t, r: rand.New(rand.NewSource(21)), x: open(t, f, index.Config{Dim: 8, MaxFresh: 300}), dim: 8}
	m.centres = normal(22, 25, m.dim)
	m.insert(2600) // more than small indexes scan
	for range steps {
		switch p := m.r.Intn(100); {
		case p < 25:
			m.insert(1 + m.r.Intn(40))
		case p < 45:
			m.remove(1 + m.r.Intn(30))
		case p < 50:
			m.raze(50 + m.r.Intn(150))
		case p < 65:
			m.release(m.released + uint64(m.r.Int63n(int64(m.lsn-m.released+1))))
		case p < 93:
			for range 4 {
				m.search()
			}
		default:
			m.drain()
		}
	}
	m.drain()
	m.release(m.lsn)
	m.remove(len(m.live) * 3 / 4)
	m.release(m.lsn)
	m.drain()
	for range 50 {
		m.search()
	}
	m.insert(2000)
	m.drain()
	m.selves(len(m.live))
	if m.found*100 < m.sought*80 { // coarse codes of few components find no more
		m.t.Errorf("searches found %d of %d nearest", m.found, m.sought)
	}
}

// insert adds n vectors, some under ids that were deleted before.
func (m *model) insert(n int) {
	for range n {
		v := version{id: m.next, vec: m.vector()}
		if i := len(m.gone); i > 0 && m.r.Intn(4) == 0 {
			at := m.r.Intn(i)
			v.id = m.gone[at]
			m.gone = slices.Delete(m.gone, at, at+1)
		} else {
			m.next++
		}
		insert(m.t, m.x, v.id, v.vec)
		m.live = append(m.live, len(m.all))
		m.all = append(m.all, v)
	}
}

func (m *model) vector() []float32 {
	v := slices.Clone(m.centres[m.r.Intn(len(m.centres))])
	for i := range v {
		v[i] += float32(m.r.NormFloat64() / 2)
	}
	return v
}

// remove deletes n of the live, each at its own LSN.
func (m *model) remove(n int) {
	for ; n > 0 && len(m.live) > 0; n-- {
		m.lsn++
		m.kill(m.r.Intn(len(m.live)))
	}
}

// raze deletes the n nearest to some vector, at one LSN.
func (m *model) raze(n int) {
	q := m.vector()
	slices.SortFunc(m.live, func(a, b int) int {
		if distance(index.L2, q, m.all[a].vec) > distance(index.L2, q, m.all[b].vec) {
			return -1
		}
		return 1
	})
	m.lsn++
	for n = min(n, len(m.live)); n > 0; n-- {
		m.kill(len(m.live) - 1)
	}
}

// kill deletes the live version at a place as of the LSN.
func (m *model) kill(at int) {
	v := &m.all[m.live[at]]
	v.died = m.lsn
	m.x.Delete(v.id, m.lsn)
	m.gone = append(m.gone, v.id)
	m.live[at] = m.live[len(m.live)-1]
	m.live = m.live[:len(m.live)-1]
}

func (m *model) release(lsn uint64) {
	m.released = max(m.released, lsn)
	m.x.Release(lsn)
}

// nearest returns the least distance of each id visible as of at, sorted.
func (m *model) nearest(q []float32, at uint64) []index.Hit {
	least := map[uint32]float32{}
	for _, v := range m.all {
		if v.died != 0 && (at == 0 || v.died <= at) {
			continue
		}
		d := float32(distance(index.L2, q, v.vec))
		if have, ok := least[v.id]; !ok || d < have {
			least[v.id] = d
		}
	}
	hits := make([]index.Hit, 0, len(least))
	for id, d := range least {
		hits = append(hits, index.Hit{ID: id, Distance: d})
	}
	slices.SortFunc(hits, func(a, b index.Hit) int {
		if a.Less(b) {
			return -1
		}
		return 1
	})
	return hits
}

// search compares one search with the model.
func (m *model) search() {
	m.t.Helper()
	p := index.Params{K: 1 + m.r.Intn(20), Exact: m.r.Intn(3) == 0}
	if m.r.Intn(2) == 0 && m.lsn > 0 {
		p.At = max(1, m.released+uint64(m.r.Int63n(int64(m.lsn-m.released+1))))
	}
	q := m.vector()
	want := m.nearest(q, p.At)
	got := search(m.t, m.x, q, p)
	k := min(p.K, len(want))
	if len(got) != k {
		m.t.Fatalf("%+v: %d hits, want %d", p, len(got), k)
	}
	if p.Exact {
		agree(m.t, got, want[:k])
		return
	}
	seen := map[uint32]bool{}
	for i, h := range got {
		at := slices.IndexFunc(want, func(w index.Hit) bool { return w.ID == h.ID })
		if at < 0 || seen[h.ID] {
			m.t.Fatalf("%+v: hit %d, %v, is invisible or there twice", p, i, h)
		}
		seen[h.ID] = true
		// A walk may miss the nearer of two versions, no more.
		if want[at].Distance > h.Distance*(1+1e-4) || p.At == 0 && want[at].Distance < h.Distance*(1-1e-4) {
			m.t.Fatalf("%+v: hit %d is %v, want %v", p, i, h, want[at])
		}
		if h.Distance <= want[k-1].Distance*(1+1e-5) {
			m.found++
		}
	}
	m.sought += k
}

// drain compares the index at rest with the model.
func (m *model) drain() {
	m.t.Helper()
	if err := m.x.Drain(ctx); err != nil {
		m.t.Fatal(err)
	}
	if err := m.x.Check(ctx); err != nil {
		m.t.Fatal(err)
	}
	dead := 0
	for _, v := range m.all {
		if v.died > m.released {
			dead++
		}
	}
	if s := m.x.Stats(); s.Live != len(m.live) || s.Dead != dead || s.Fresh != 0 {
		m.t.Fatalf("stats %+v, want %d live and %d dead", s, len(m.live), dead)
	}
	m.selves(50)
}

// selves asks for n of the live by their own vectors.
func (m *model) selves(n int) {
	m.t.Helper()
	m.r.Shuffle(len(m.live), func(i, j int) { m.live[i], m.live[j] = m.live[j], m.live[i] })
	for _, at := range m.live[:min(n, len(m.live))] {
		v := m.all[at]
		hits := search(m.t, m.x, v.vec, index.Params{K: 1})
		if len(hits) != 1 || hits[0].ID != v.id || math.Abs(float64(hits[0].Distance)) > 1e-5 {
			m.t.Fatalf("id %d asked by its own vector gives %v", v.id, hits)
		}
	}
}
