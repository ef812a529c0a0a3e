package vectors

import (
	"context"
	"fmt"
	"math"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/simd"
)

// Narrow makes p ask for distances over the first width components, 0 or the
// dimension for all of them. Under cosine both sides are normalised over those
// components alone, as a model trained for nested vectors means them. Near and
// Deepen go on as before. Errors: index.ErrOption, index.ErrZeroVector if nothing
// is left of the query.
func (s *Set) Narrow(p *Probe, width int) error {
	p.width = 0
	if width == 0 || width == s.dim {
		return nil
	}
	if width < 0 || width > s.dim {
		return fmt.Errorf("%w: width %d is not in 1..%d", index.ErrOption, width, s.dim)
	}
	p.width, p.prefix = width, append(p.prefix[:0], p.Vec[:width]...)
	if s.metric == index.Cosine {
		if simd.Norm(p.prefix) == 0 {
			return fmt.Errorf("%w: the first %d components of the query are zero", index.ErrZeroVector, width)
		}
		Normalise(p.prefix, p.prefix)
	}
	return nil
}

// scorePrefix is scoreTrue over the first p.width components.
func (s *Set) scorePrefix(v *View, p *Probe, slots []uint32, out []float32, src index.Source) error {
	if s.Resident() && !s.half && s.metric != index.Cosine {
		if s.metric == index.L2 {
			simd.L2Gather(p.prefix, v.F32, s.stride, slots, out)
			return nil
		}
		simd.DotGather(p.prefix, v.F32, s.stride, slots, out)
		s.invert(out[:len(slots)])
		return nil
	}
	for i, slot := range slots {
		row, err := s.row(v, p, slot, src)
		if err != nil {
			return err
		}
		if row = row[:p.width]; s.metric != index.Cosine {
			out[i] = s.Between(p.prefix, row)
			continue
		}
		// A row without a prefix is at a right angle to everything.
		out[i] = 1
		if n := simd.Norm(row); n > 0 {
			out[i] = max(0, 1-simd.Dot(p.prefix, row)/float32(math.Sqrt(float64(n))))
		}
	}
	return nil
}

// row is the vector of slot, from wherever it is, in memory that is p's or the set's.
func (s *Set) row(v *View, p *Probe, slot uint32, src index.Source) ([]float32, error) {
	if cap(p.row) < s.dim {
		p.row = make([]float32, s.dim)
	}
	if s.Resident() {
		return s.Row(v, slot, p.row[:s.dim]), nil
	}
	return s.recall(v, slot, p.row[:0], src)
}

// visit offers Top the visible slots from..to-1, by list.
func (c *Scan) visit(ctx context.Context, s *Set, v *View, p *Probe, at uint64, from, to int, src index.Source) (int, error) {
	n, scored := 0, 0
	flush := func() error {
		scored += n
		err := c.Slots(s, v, p, c.slots[:n], src)
		if n = 0; err == nil {
			err = ctx.Err()
		}
		return err
	}
	for slot := uint32(from); slot < uint32(to); slot++ {
		if !s.Visible(slot, at) {
			continue
		}
		c.slots[n] = slot
		if n++; n == block {
			if err := flush(); err != nil {
				return scored, err
			}
		}
	}
	return scored + n, flush()
}
