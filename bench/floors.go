package bench

import (
	"math"
	"math/rand/v2"
)

// popularity scores items by how often they were taken.
func (c *clicks) popularity() func(t *click, out []float32) error {
	counts := make([]float32, c.items)
	for _, s := range c.split.Train {
		for _, e := range s.Events {
			counts[e.Item]++
		}
	}
	return func(t *click, out []float32) error {
		for i, it := range t.items {
			out[i] = counts[it]
		}
		return nil
	}
}

// neighbours scores an item by its cosine with the items of the history, summed:
// the users of both over the root of the product of their numbers of users.
func (c *clicks) neighbours() func(t *click, out []float32) error {
	users := make([][]int32, c.items) // of each item
	for u, s := range c.split.Train {
		for _, e := range s.Events {
			users[e.Item] = append(users[e.Item], int32(u))
		}
	}
	share := func(item uint32) float64 { return 1 / math.Sqrt(float64(max(1, len(users[item])))) }
	near := make([]float64, len(c.split.Train)) // of each user: what they share with the history
	return func(t *click, out []float32) error {
		clear(near)
		for _, h := range t.past {
			for _, u := range users[h] {
				near[u] += share(h)
			}
		}
		for i, it := range t.items {
			sum := 0.0
			for _, u := range users[it] {
				sum += near[u]
			}
			out[i] = float32(sum * share(it))
		}
		return nil
	}
}

// factors trains BPR-MF (Rendle et al. 2009) as the reference runs did: 32 numbers
// a user and an item, rate 0.05, decay 0.01, 60 epochs.
func (c *clicks) factors(seed uint64) func(t *click, out []float32) error {
	const dim, rate, decay, epochs = 32, 0.05, 0.01, 60
	rng := rand.New(rand.NewPCG(seed, 0x627072))
	users := map[uint32][]float32{}
	vector := func() []float32 {
		v := make([]float32, dim)
		for i := range v {
			v[i] = 0.1 * float32(rng.NormFloat64())
		}
		return v
	}
	for _, s := range c.split.Train {
		users[s.User] = vector()
	}
	items := make([][]float32, c.items)
	for i := range items {
		items[i] = vector()
	}
	dot := func(a, b []float32) (sum float32) {
		for i := range a {
			sum += a[i] * b[i]
		}
		return sum
	}
	var negative []uint32
	for range epochs {
		for _, k := range rng.Perm(len(c.examples)) {
			e := &c.examples[k]
			if negative = c.draws.Draw(rng, e.user, 1, negative[:0]); len(negative) == 0 {
				continue
			}
			u, p, n := users[e.user], items[e.items[0]], items[negative[0]]
			g := float32(1 / (1 + math.Exp(float64(dot(u, p)-dot(u, n)))))
			for i := range u {
				a, b, d := u[i], p[i], n[i]
				u[i] += rate * (g*(b-d) - decay*a)
				p[i] += rate * (g*a - decay*b)
				n[i] += rate * (-g*a - decay*d)
			}
		}
	}
	return func(t *click, out []float32) error {
		for i, it := range t.items {
			out[i] = dot(users[t.user], items[it])
		}
		return nil
	}
}
