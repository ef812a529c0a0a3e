package vectors

import (
	"context"

	"github.com/eiderdb/eider/index"
)

// Slack is how many hits to ask for to be left with k: more than k where
// accept may refuse some, or an id may be met twice.
func (s *Set) Slack(p index.Params) int {
	if p.Accept == nil && !s.Shadowed() && s.moving.Load() == 0 {
		return p.K
	}
	return p.K + 16 + p.K/4
}

// Pick appends to dst the first p.K of hits that p.Accept takes, an id only once.
func (s *Set) Pick(dst, hits []index.Hit, p index.Params) []index.Hit {
	start := len(dst)
	shadowed := p.At != 0 && s.Shadowed() || s.moving.Load() != 0
	for _, h := range hits {
		if len(dst)-start == p.K {
			break
		}
		if shadowed && holds(dst[start:], h.ID) || p.Accept != nil && !p.Accept(h.ID) {
			continue
		}
		dst = append(dst, h)
	}
	return dst
}

func holds(hits []index.Hit, id uint32) bool {
	for i := range hits {
		if hits[i].ID == id {
			return true
		}
	}
	return false
}

// Exact appends the p.K nearest ids that p admits to dst by scoring every one
// of them, and returns the distances computed. q is one that Trace made, for walks if the set is Coded.
// With p.Accept it asks again for more hits while too few are taken.
func (c *Scan) Exact(ctx context.Context, s *Set, q *Probe, p index.Params, dst []index.Hit) ([]index.Hit, int, error) {
	v := s.View()
	total := 0
	for want := s.Slack(p); ; want *= 4 {
		var scored int
		var err error
		if p.Allow != nil {
			scored, err = c.Allowed(ctx, s, v, q, p.At, p.Allow, want, p.Source)
		} else {
			scored, err = c.All(ctx, s, v, q, p.At, want, p.Source)
		}
		total += scored
		if err != nil {
			return dst, total, err
		}
		hits := c.Top.Sort()
		out := s.Pick(dst, hits, p)
		if len(out)-len(dst) >= p.K || len(hits) < want {
			return out, total, nil
		}
	}
}
