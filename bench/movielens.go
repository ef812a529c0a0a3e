package bench

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/eiderdb/eider/internal/train"
	"github.com/eiderdb/eider/recsys"
	"github.com/eiderdb/eider/recsys/din"
)

// clicks is a data set of interactions, and what is asked about it: who comes next
// for each user, among a hundred items that the user never met.
type clicks struct {
	name     string
	items    int
	split    recsys.Split[uint32]
	examples []click
	tests    []click // the target is the first of items
	draws    *recsys.Sampler[uint32]
}

// click is an item that a user took, with the history before it, oldest first.
type click struct {
	user  uint32
	past  []uint32
	items []uint32
}

// Of the protocol: histories of fifty, and negatives that are the same in every
// run. With one negative a user one model reads anywhere from .860 to .895.
const (
	historyLength = 50
	testNegatives = 100
	testSeed      = 777
)

// movielens reads MovieLens-100K from dir/ml-100k: every rating is a click, ties in
// time are in order of the item, the last click of each user is held out.
func movielens(dir string) (*clicks, error) {
	path := filepath.Join(dir, "ml-100k", "u.data.gz")
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: MovieLens-100K: %w", ErrSet, err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrSet, path, err)
	}
	all, err := recsys.Sequences(ratings(bufio.NewScanner(z)), recsys.ByItem)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrSet, path, err)
	}
	return newClicks("ml-100k", all), nil
}

func ratings(lines *bufio.Scanner) iter.Seq2[recsys.Event[uint32], error] {
	return func(yield func(recsys.Event[uint32], error) bool) {
		for lines.Scan() {
			var e recsys.Event[uint32]
			_, err := fmt.Sscan(lines.Text(), &e.User, &e.Item, &e.Value, &e.Time)
			if !yield(e, err) || err != nil {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(recsys.Event[uint32]{}, err)
		}
	}
}

// newClicks numbers items from 0 and splits.
func newClicks(name string, all []recsys.Sequence[uint32]) *clicks {
	ids := map[uint32]uint32{}
	for i, item := range recsys.Items(all) {
		ids[item] = uint32(i)
	}
	for _, s := range all {
		for i := range s.Events {
			s.Events[i].Item = ids[s.Events[i].Item]
		}
	}
	c := &clicks{name: name, items: len(ids), split: recsys.LeaveLastOut(all, recsys.Rules{History: historyLength})}
	for e := range recsys.Examples(c.split.Train, historyLength) {
		c.examples = append(c.examples, newClick(e))
	}
	c.draws = recsys.NewUniform(recsys.Items(all), recsys.NewSeen(all))
	for r := range c.draws.Fixed(testSeed, c.split.Test, testNegatives) {
		t := newClick(r.Example)
		t.items = append(t.items, r.Negatives...)
		c.tests = append(c.tests, t)
	}
	return c
}

func newClick(e recsys.Example[uint32]) click {
	c := click{user: e.Target.User, items: []uint32{e.Target.Item}}
	for _, h := range e.History {
		c.past = append(c.past, h.Item)
	}
	return c
}

// source yields all clicks in a new order, each with one negative of this epoch;
// requests clicks are a batch.
func (c *clicks) source(seed uint64, requests int) train.Source[*din.Batch] {
	return func(epoch int) iter.Seq2[*din.Batch, error] {
		return func(yield func(*din.Batch, error) bool) {
			rng := rand.New(rand.NewPCG(seed, uint64(epoch)))
			var b din.Batch
			b.Reset()
			offer, labels := make([]uint32, 0, 2), []float32{1, 0}
			for n, i := range rng.Perm(len(c.examples)) {
				e := &c.examples[i]
				offer = c.draws.Draw(rng, e.user, 1, append(offer[:0], e.items[0]))
				b.Add(nil, e.past, offer, labels[:len(offer)])
				if b.Requests() == requests || n == len(c.examples)-1 {
					if !yield(&b, nil) {
						return
					}
					b.Reset()
				}
			}
		}
	}
}

// judged is the scores of all tests, one group a user.
type judged struct {
	scores, labels []float32
	start          []int32
}

// judge asks score for the items of each test; out has room for one number each.
func (c *clicks) judge(score func(t *click, out []float32) error) (judged, error) {
	j := judged{start: []int32{0}}
	for i := range c.tests {
		t := &c.tests[i]
		at := len(j.scores)
		j.scores = append(j.scores, make([]float32, len(t.items))...)
		j.labels = append(j.labels, make([]float32, len(t.items))...)
		j.labels[at] = 1
		j.start = append(j.start, int32(len(j.scores)))
		if err := score(t, j.scores[at:]); err != nil {
			return j, err
		}
	}
	return j, nil
}

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
	both, counts := make([]float32, c.items*c.items), make([]float64, c.items)
	for _, s := range c.split.Train {
		for i, a := range s.Events {
			counts[a.Item]++
			for _, b := range s.Events[:i] {
				both[int(a.Item)*c.items+int(b.Item)]++
				both[int(b.Item)*c.items+int(a.Item)]++
			}
		}
	}
	return func(t *click, out []float32) error {
		for i, it := range t.items {
			sum := 0.0
			for _, h := range t.past {
				if n := both[int(it)*c.items+int(h)]; n > 0 {
					sum += float64(n) / math.Sqrt(counts[it]*counts[h])
				}
			}
			out[i] = float32(sum)
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
