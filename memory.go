package eider

import (
	"context"
	"fmt"
	"maps"
	"slices"
)

// # Memory
//
// Schema.Memory bounds what the vector indexes of a collection take together. Each
// vector has forms to be kept in, from what its schema says down to bits with
// originals on disk. DB.tend looks at how many vectors there are, by the bytes that
// one takes in each form chooses forms that fit, and replaces an index that is in
// another one as it does for a rotation. What was chosen is part of the stored
// schema, so that the next Open loads what was saved.

// form is how a vector is kept in place of what its schema says.
type form struct {
	Codes     string `json:"codes"`
	Originals string `json:"originals"`
}

// vector is a vector as it is kept.
func (s *stored) vector(name string) Vector {
	v := s.Schema.Vectors[name]
	if f, ok := s.Forms[name]; ok {
		v.Index.Codes, v.Index.Originals = f.Codes, f.Originals
	}
	return v
}

// holding is what may be chosen for one vector.
type holding struct {
	name  string
	forms []Vector // the first is the schema's, each takes less than the one before
	sizes []int64  // of the index in each form
	at    int      // the form it is in
}

// hold lists the forms of v, for n vectors of which it now is in one like now.
func hold(name string, v, now Vector, n int64) holding {
	h := holding{name: name, forms: []Vector{v}, sizes: []int64{v.bytes(n)}}
	for _, f := range []form{{"int8", "disk"}, {"int4", "disk"}, {"bit", "disk"}} {
		w := v
		w.Index.Codes, w.Index.Originals = f.Codes, f.Originals
		if f.Codes == "bit" && (len(v.Prefixes) > 0 || v.Index.Rotate) {
			continue
		}
		if size := w.bytes(n); size < h.sizes[len(h.sizes)-1] {
			h.forms, h.sizes = append(h.forms, w), append(h.sizes, size)
		}
		if now.builds(w) {
			h.at = len(h.forms) - 1
		}
	}
	return h
}

// bytes is about the memory of an index of n vectors.
func (v Vector) bytes(n int64) int64 {
	cfg := v.config(v.Index.Rotate)
	if v.Index.Originals == "disk" {
		cfg.Source = latest{}
	}
	slot, err := kinds[v.Index.Kind].bytes(cfg)
	if err != nil {
		return 0 // the schema was checked; what cannot be made takes nothing
	}
	fixed := int64(0)
	if v.Index.Rotate {
		fixed = 4 * int64(v.Dim) * int64(v.Dim)
	}
	return slot*n + fixed
}

// fit gives each vector the first form, and then, while they take more than budget
// together, the one that saves most by it the next. It reports whether they fit.
func fit(all []holding, budget int64) (forms []int, ok bool) {
	forms = make([]int, len(all))
	for {
		var total, most int64
		best := -1
		for i, h := range all {
			total += h.sizes[forms[i]]
			if next := forms[i] + 1; next < len(h.sizes) && h.sizes[next-1]-h.sizes[next] > most {
				best, most = i, h.sizes[next-1]-h.sizes[next]
			}
		}
		if total <= budget || best < 0 {
			return forms, total <= budget
		}
		forms[best]++
	}
}

// The eighths of a budget above which indexes become smaller, and below which they
// have to fit to become larger again.
const (
	tight = 6
	loose = 4
)

// choose is the form that each vector should be in. A budget of 0 is none.
func choose(all []holding, budget int64) []int {
	now, total := make([]int, len(all)), int64(0)
	for i, h := range all {
		now[i] = h.at
		total += h.sizes[h.at]
	}
	if budget == 0 {
		return make([]int, len(all))
	}
	if total > budget/8*tight {
		forms, _ := fit(all, budget/8*tight)
		return forms
	}
	forms, ok := fit(all, budget/8*loose)
	for i := range forms {
		ok = ok && forms[i] <= now[i]
	}
	if ok {
		return forms
	}
	return now
}

// holdings are those of the vectors of st, in order of name; nil while an index loads.
func (st *state) holdings() []holding {
	var all []holding
	for _, name := range st.vectorOrder {
		l := st.lives[name]
		if l == nil || l.index.Load() == nil {
			return nil
		}
		s := (*l.index.Load()).Stats()
		all = append(all, hold(name, st.stored.Schema.Vectors[name], l.spec, int64(s.Live+s.Dead)))
	}
	return all
}

// memory describes the budget of a collection, nil without one.
func (st *state) memory() *MemoryStats {
	m := &MemoryStats{Budget: int64(st.stored.Schema.Memory)}
	if m.Budget == 0 {
		return nil
	}
	for _, l := range st.lives {
		if p := l.index.Load(); p != nil {
			s := (*p).Stats()
			m.Used += s.VectorBytes + s.CodeBytes + s.GraphBytes + int64(4*len(rotationOf(*p)))
		}
	}
	m.Advice = tooSmall(st.holdings(), m.Budget)
	return m
}

// tooSmall says why a budget cannot be kept, "" if it can.
func tooSmall(all []holding, budget int64) string {
	forms, ok := fit(all, budget)
	if ok {
		return ""
	}
	least := int64(0)
	for i, h := range all {
		least += h.sizes[forms[i]]
	}
	return fmt.Sprintf("vector indexes take %v in their smallest forms, memory is %v; set memory to at least %v, drop a vector, or split the collection",
		Size(least), Size(budget), Size((least/tight*8>>20+1)<<20))
}

// shrink replaces l by an index in the form that the collection's memory asks for,
// if it is in another.
func (c *Collection) shrink(ctx context.Context, l *live) error {
	c.db.mu.RLock()
	st := c.state.Load()
	idle := c.db.opts.ReadOnly || st.lives[l.name] != l || st.stored.Schema.Memory == 0 && len(st.stored.Forms) == 0
	var all []holding
	if !idle {
		all = st.holdings()
	}
	c.db.mu.RUnlock()
	i := slices.IndexFunc(all, func(h holding) bool { return h.name == l.name })
	if i < 0 {
		return nil
	}
	to := choose(all, int64(st.stored.Schema.Memory))[i]
	if to == all[i].at {
		return nil
	}
	spec := all[i].forms[to]
	c.db.log.Info("vector index changes its form", "collection", c.name, "vector", l.name, "codes", spec.Index.Codes, "originals", spec.Index.Originals)
	return c.replace(ctx, l, spec, rotationOf(*l.index.Load()), func(*live) error {
		return c.change(ctx, "set form", func(s *stored) error {
			switch {
			case !c.serves(l): // it was changed meanwhile
			case to == 0:
				delete(s.Forms, l.name)
			default:
				if s.Forms == nil {
					s.Forms = map[string]form{}
				}
				s.Forms[l.name] = form{spec.Index.Codes, spec.Index.Originals}
			}
			return nil
		})
	})
}

// SetMemory bounds what the vector indexes take together; see Schema.Memory. 0 takes
// the bound away. It waits until they are loaded. Error: ErrInvalid if they do not fit
// in their smallest forms.
func (c *Collection) SetMemory(ctx context.Context, bytes Size) error {
	c.db.mu.RLock()
	lives := slices.Collect(maps.Values(c.state.Load().lives))
	c.db.mu.RUnlock()
	for _, l := range lives {
		if _, err := l.wait(ctx); err != nil {
			return c.fail("set memory", "", err)
		}
	}
	return c.change(ctx, "set memory", func(s *stored) error {
		s.Schema.Memory = bytes
		if bytes <= 0 {
			return nil
		}
		c.db.mu.RLock()
		all := c.state.Load().holdings()
		c.db.mu.RUnlock()
		if advice := tooSmall(all, int64(bytes)); advice != "" {
			return fmt.Errorf("%w: %s", ErrInvalid, advice)
		}
		return nil
	})
}
