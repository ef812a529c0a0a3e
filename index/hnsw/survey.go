package hnsw

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
)

// survey is the meters of one calibration, one for each goroutine that the work at
// hand may take. What they measured is summed up in the first.
type survey struct {
	meters []*meter
}

func (x *Index) survey(on *searcher) *survey {
	s := &survey{}
	for i := range x.crew() {
		c := on
		if i > 0 {
			c = newSearcher(x.serial.Add(1), x.m0)
		}
		c.scan.Likely = true // by coarse codes an exact answer may take reading every vector
		m := &meter{x: x, c: c, scan: math.MaxInt64}
		for range x.set.Levels() {
			m.tracks = append(m.tracks, newTrack(pools(x.set.Len())))
		}
		s.meters = append(s.meters, m)
	}
	return s
}

// count is the number of queries measured.
func (s *survey) count() int { return len(s.meters[0].tracks[0].found) }

// restart forgets what was found, not how long it took.
func (s *survey) restart() {
	for _, t := range s.meters[0].tracks {
		t.found, t.scored = nil, make([]int, len(t.grid))
	}
	s.share()
}

// measure asks the queries that next returns for 0, 1, .. below tries, of any
// goroutine and with a buffer that is its own, until want of them counted. Once there
// are enough to tell how far pools are worth trying, the rest try no further.
func (s *survey) measure(ctx context.Context, want, tries int, next func(i int, buf []float32) ([]float32, uint32, bool)) error {
	var drawn atomic.Int64
	for _, upto := range []int{min(fewest, want), want} {
		var got atomic.Int64
		got.Store(int64(s.count()))
		err := s.each(func(m *meter) error {
			var q []float32
			for got.Load() < int64(upto) {
				i := drawn.Add(1) - 1
				if i >= int64(tries) {
					break
				}
				var skip uint32
				var ok bool
				if q, skip, ok = next(int(i), q); !ok {
					continue
				}
				before := m.count()
				if err := m.ask(ctx, q, skip); err != nil {
					return err
				}
				got.Add(int64(m.count() - before))
			}
			return nil
		})
		s.sum()
		if err != nil {
			return err
		}
		if s.count() >= fewest {
			for _, t := range s.meters[0].tracks {
				t.narrow()
			}
		}
		s.share()
	}
	return nil
}

// each calls do for every meter at once and returns an error of one of them.
func (s *survey) each(do func(m *meter) error) error {
	errs := make([]error, len(s.meters))
	var wg sync.WaitGroup
	for i, m := range s.meters[1:] {
		wg.Go(func() { errs[i+1] = do(m) })
	}
	errs[0] = do(s.meters[0])
	wg.Wait()
	return errors.Join(errs...)
}

// sum adds what the other meters measured to the first.
func (s *survey) sum() {
	to := s.meters[0]
	for _, m := range s.meters[1:] {
		to.scan = min(to.scan, m.scan)
		for i, t := range m.tracks {
			to.tracks[i].add(t)
		}
	}
}

// share makes the other meters go on where the first is.
func (s *survey) share() {
	for _, m := range s.meters[1:] {
		for i, t := range s.meters[0].tracks {
			m.tracks[i] = newTrack(t.grid)
		}
	}
}
