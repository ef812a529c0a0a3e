package eider

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/storage"
	"github.com/eiderdb/eider/storage/format"
	"github.com/eiderdb/eider/storage/registry"
)

// spare is how many versions are kept in memory that no alias points to.
const spare = 4

// serving is the models that answer: where each alias points, by LSN, and the
// versions in memory. A reader finds the version of its view's LSN, so that what
// it names and what it scores with are one thing while aliases move.
//
//	Promote: load, try ── commit ── apply: a point of its LSN ── view published
type serving struct {
	points atomic.Pointer[map[alias][]point] // oldest first; copied on write, under mu

	mu    sync.Mutex
	loads map[string]*loading // by model@version
	held  map[string]int      // promotions under way that need a version in memory
	clock uint64              // counts uses
}

// alias names a pointer to a version of a model.
type alias struct{ model, name string }

// point says which version an alias points to from an LSN on, 0 for none.
type point struct {
	lsn     uint64
	version uint32
}

// loaded is a version in memory. It never changes.
type loaded struct {
	scorer
	model *format.Model
	needs needs
}

// String is the version's reference, as in ctr@3.
func (l *loaded) String() string { return versionRef(l.model.Name, l.model.Version) }

func versionRef(model string, version uint32) string { return fmt.Sprintf("%s@%d", model, version) }

// loading is a version that is in memory, or on its way there until done is closed.
type loading struct {
	done   chan struct{}
	loaded *loaded
	err    error
	used   uint64 // when last, by clock
}

// open reads where the aliases point; those it cannot read are in the error.
func (s *serving) open(r *registry.Registry) error {
	s.loads, s.held = map[string]*loading{}, map[string]int{}
	points := map[alias][]point{}
	s.points.Store(&points)
	all, err := r.Aliases()
	for _, p := range all {
		points[alias{p.Model, p.Alias}] = []point{{p.LSN, p.Version}}
	}
	return err
}

// move is told of a promotion, before its LSN is visible.
func (s *serving) move(lsn uint64, ch *storage.Change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	points := maps.Clone(*s.points.Load())
	at := alias{ch.Name, ch.Alias}
	points[at] = append(slices.Clip(points[at]), point{lsn, ch.ModelVersion})
	s.points.Store(&points)
}

// trim forgets what no view from oldest on can see, and the versions that then
// nobody points to, but for a few used lately.
func (s *serving) trim(oldest uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	points := *s.points.Load()
	old := func(ps []point) int { // how many come before the one of oldest
		n := 0
		for n+1 < len(ps) && ps[n+1].lsn <= oldest {
			n++
		}
		return n
	}
	for _, ps := range points {
		if old(ps) > 0 {
			points = maps.Clone(points)
			for at, ps := range points {
				points[at] = slices.Clone(ps[old(ps):])
			}
			s.points.Store(&points)
			break
		}
	}
	if len(s.loads) <= spare {
		return
	}
	needed := map[string]bool{}
	for at, ps := range points {
		for _, p := range ps {
			needed[versionRef(at.model, p.version)] = true
		}
	}
	var loose []string
	for ref, l := range s.loads {
		if !needed[ref] && s.held[ref] == 0 && l.loaded != nil {
			loose = append(loose, ref)
		}
	}
	slices.SortFunc(loose, func(a, b string) int { return int(s.loads[a].used) - int(s.loads[b].used) })
	for _, ref := range loose[:max(0, len(loose)-spare)] {
		delete(s.loads, ref)
	}
}

// at returns the version that ref names as of a view, from memory or, the first
// time, from the store. Errors: ErrNotFound, ErrInvalid, registry.ErrMismatch,
// ErrCorrupt, ctx's.
func (s *serving) at(ctx context.Context, view *storage.View, ref string) (*loaded, error) {
	model, name, version, err := registry.Split(ref)
	if err != nil {
		return nil, err
	}
	if version != 0 {
		// Only an alias keeps its version from being deleted.
		v, err := registry.At(view, ref)
		if err != nil {
			return nil, err
		}
		v.Close()
	} else if version = s.pointed(view.LSN(), alias{model, name}); version == 0 {
		return nil, s.missing(view, model, name)
	}
	return s.load(ctx, view, versionRef(model, version))
}

// ready loads what every alias points to, and returns what cannot be.
func (s *serving) ready(ctx context.Context, view *storage.View) error {
	var bad []error
	for at := range *s.points.Load() {
		if version := s.pointed(view.LSN(), at); version != 0 {
			_, err := s.load(ctx, view, versionRef(at.model, version))
			bad = append(bad, err)
		}
	}
	return errors.Join(bad...)
}

// pointed is the version that an alias pointed to at an LSN, 0 for none.
func (s *serving) pointed(lsn uint64, at alias) uint32 {
	ps := (*s.points.Load())[at]
	for i := len(ps) - 1; i >= 0; i-- {
		if ps[i].lsn <= lsn {
			return ps[i].version
		}
	}
	return 0
}

// missing is the error for an alias that points nowhere.
func (s *serving) missing(view *storage.View, model, name string) error {
	var models, aliases []string
	for at, ps := range *s.points.Load() {
		if ps[len(ps)-1].version == 0 {
			continue
		}
		if models = append(models, at.model); at.model == model {
			aliases = append(aliases, at.name)
		}
	}
	switch near := index.Nearest(model, models); {
	case len(aliases) > 0:
		slices.Sort(aliases)
		return fmt.Errorf("%w: model %s has no alias %s; it has %s", ErrNotFound, model, name, strings.Join(aliases, ", "))
	case near != "" && near != model:
		return fmt.Errorf("%w: model %s; did you mean %q?", ErrNotFound, model, near)
	}
	if _, err := view.Models().Get(format.ModelKey(model)); err == nil {
		return fmt.Errorf("%w: model %s has no alias %s; promote a version", ErrNotFound, model, name)
	}
	return fmt.Errorf("%w: model %s; import or store it first", ErrNotFound, model)
}

// load returns a version by its reference, which must exist in the view.
func (s *serving) load(ctx context.Context, view *storage.View, ref string) (*loaded, error) {
	for {
		s.mu.Lock()
		l, found := s.loads[ref]
		if !found {
			l = &loading{done: make(chan struct{})}
			s.loads[ref] = l
		}
		s.clock++
		l.used = s.clock
		s.mu.Unlock()
		if !found {
			s.fill(ctx, view, ref, l)
		}
		select {
		case <-l.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		// Where another call loaded it and was cancelled, try again.
		mine := !found || !errors.Is(l.err, context.Canceled) && !errors.Is(l.err, context.DeadlineExceeded)
		if l.err == nil || mine {
			return l.loaded, l.err
		}
	}
}

// fill reads a version into l; one that cannot be loaded is tried again next time.
func (s *serving) fill(ctx context.Context, view *storage.View, ref string, l *loading) {
	l.err = ErrInternal // of a panic
	defer func() {
		s.mu.Lock()
		if l.err != nil {
			delete(s.loads, ref)
		}
		s.mu.Unlock()
		close(l.done)
	}()
	got, err := loadVersion(ctx, view, ref)
	s.mu.Lock() // trim reads it
	l.loaded, l.err = got, err
	s.mu.Unlock()
}

// warm loads a version and tries it. It stays in memory at least until release is
// called, which must be done once.
func (s *serving) warm(ctx context.Context, view *storage.View, ref string) (release func(), err error) {
	hold := func(n int) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.held[ref] += n; s.held[ref] == 0 {
			delete(s.held, ref)
		}
	}
	hold(1)
	l, err := s.load(ctx, view, ref)
	if err == nil {
		err = l.try(ctx, view)
	}
	return func() { hold(-1) }, err
}

// loadVersion makes a scorer of a stored version.
func loadVersion(ctx context.Context, view *storage.View, ref string) (*loaded, error) {
	v, err := registry.At(view, ref)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	k, err := kindOf(v.Model)
	if err == nil {
		err = k.check(v.Model)
	}
	if err != nil {
		return nil, fmt.Errorf("loading %v: %w", v, err)
	}
	tensors, err := v.Load(ctx, registry.Expect{})
	if err != nil {
		return nil, err
	}
	sc, err := k.load(v.Model, tensors)
	if err != nil {
		return nil, fmt.Errorf("loading %v: %w", v, err)
	}
	return &loaded{scorer: sc, model: v.Model, needs: sc.needs()}, nil
}

// kindOf returns the kind of a model. Error: ErrInvalid.
func kindOf(m *format.Model) (modelKind, error) {
	k, ok := modelKinds[m.Kind]
	if ok {
		return k, nil
	}
	known := sortedKeys(modelKinds)
	err := fmt.Errorf("%w: model kind %q; this binary serves %s", ErrInvalid, m.Kind, strings.Join(known, ", "))
	if near := index.Nearest(m.Kind, known); near != "" {
		err = fmt.Errorf("%w; did you mean %q?", err, near)
	}
	return k, err
}

// fits reports what keeps a model that is to be stored from being served.
func fits(m *format.Model) error {
	k, err := kindOf(m)
	if err != nil {
		return err
	}
	return k.check(m)
}

// try scores an example without any values: a model that cannot do that, or does
// not give a number, is not to serve.
func (l *loaded) try(ctx context.Context, view *storage.View) error {
	in := examples{n: 1, values: make([]format.Value, len(l.needs.fields)), ids: []string{""}, view: view}
	var out [1]float64
	if err := l.score(ctx, &in, out[:], nil); err != nil {
		return fmt.Errorf("trying %v: %w", l, err)
	}
	if !finite(out[0]) {
		return fmt.Errorf("%w: %v scores an example without values as %v, which is not a finite number", ErrInvalid, l, out[0])
	}
	return nil
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// floats reads a tensor of type F32.
func floats(t format.Tensor) []float32 {
	out := make([]float32, len(t.Data)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(t.Data[4*i:]))
	}
	return out
}

// integers makes a tensor of 32-bit integers of type U32 or I32.
func integers[T int32 | uint32](dtype string, x []T) format.Tensor {
	data := make([]byte, 0, 4*len(x))
	for _, v := range x {
		data = binary.LittleEndian.AppendUint32(data, uint32(v))
	}
	return format.Tensor{DType: dtype, Shape: []int{len(x)}, Data: data}
}

// integersOf reads a tensor of integers; it is never nil.
func integersOf[T int32 | uint32](t format.Tensor) []T {
	out := make([]T, len(t.Data)/4)
	for i := range out {
		out[i] = T(binary.LittleEndian.Uint32(t.Data[4*i:]))
	}
	return out
}
