package din

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/internal/nn/nntest"
)

// request is request r of b.
func request(b *Batch, r int) Request {
	q := Request{Past: b.Past[b.Starts[r]:b.Starts[r+1]], Items: b.Items[b.Offers[r]:b.Offers[r+1]]}
	for _, ids := range b.User {
		q.User = append(q.User, ids[r])
	}
	return q
}

func serve(t testing.TB, s *Scorer, q Request) (logits, weights []float32) {
	t.Helper()
	logits, weights = make([]float32, len(q.Items)), make([]float32, len(q.Items)*len(q.Past))
	if err := s.Score(q, logits, weights); err != nil {
		t.Fatal(err)
	}
	return logits, weights
}

func TestFactoredScoresAreThoseOfThePlainModel(t *testing.T) {
	eachKind(t, func(t *testing.T, m *Model, b *Batch) {
		s := m.Scorer(false)
		want := logits(t, m, b)
		plain, scores := newReference(m, false).logits(b)
		at := 0
		for r := range b.Requests() {
			q := request(b, r)
			got, weights := serve(t, s, q)
			near(t, "logits", got, want[b.Offers[r]:b.Offers[r+1]])
			nntest.Near(t, "logits", wide(got), plain[b.Offers[r]:b.Offers[r+1]], 1e-5)
			if m.unit != nil { // the reference left weights where the scores were
				nntest.Near(t, "weights", wide(weights), scores[at:at+len(weights)], 1e-5)
				at += len(weights)
			}
		}
	})
}

// Requests of many blocks, and of less than a block an item.
func TestLongRequestsAreScoredAsShortOnes(t *testing.T) {
	fields, items, _ := sample(1, 1, 1)
	rng := rand.New(rand.NewPCG(2, 2))
	for name, c := range kinds(fields) {
		m := fresh(t, c, items)
		s := m.Scorer(false)
		for _, size := range [][2]int{{700, 3}, {3, 700}, {40, 50}} {
			q := Request{User: []uint32{1}}
			for range size[0] {
				q.Items = append(q.Items, rng.Uint32N(12))
			}
			for range size[1] {
				q.Past = append(q.Past, rng.Uint32N(12))
			}
			got, weights := serve(t, s, q)
			for i := range q.Items {
				one := q
				one.Items = q.Items[i : i+1]
				alone, w := serve(t, s, one)
				near(t, fmt.Sprint(name, size, "alone"), alone, got[i:i+1])
				near(t, fmt.Sprint(name, size, "weights"), w, weights[i*size[1]:(i+1)*size[1]])
			}
		}
	}
}

func TestScorerOutlivesFurtherTraining(t *testing.T) {
	eachKind(t, func(t *testing.T, m *Model, b *Batch) {
		s := m.Scorer(false)
		before, _ := serve(t, s, request(b, 0))
		train(t, m, b, 3, 0.1)
		if after, _ := serve(t, s, request(b, 0)); !slices.Equal(before, after) {
			t.Error("scores moved with the model")
		}
	})
}

func TestManyGoroutinesGetTheSameBits(t *testing.T) {
	fields, items, b := sample(3, 40, 6)
	m := fresh(t, kinds(fields)["default"], items)
	s := m.Scorer(false)
	var want [][]float32
	for r := range b.Requests() {
		z, _ := serve(t, s, request(b, r))
		want = append(want, z)
	}
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for r := range b.Requests() {
				if z, _ := serve(t, s, request(b, r)); !slices.Equal(z, want[r]) {
					t.Errorf("request %d: %v, want %v", r, z, want[r])
				}
			}
		})
	}
	wait.Wait()
}

func TestByteTablesStayWithinHalfAStepOfARow(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	m := nn.NewMatrix(20, 16)
	for i := range m.Data {
		m.Data[i] = float32(rng.NormFloat64())
	}
	clear(m.Row(3)) // a row of one value
	t8 := newRows(m, true)
	got := make([]float32, 16)
	for i := range m.Rows {
		row := m.Row(i)
		t8.read(got, uint32(i))
		step := float64(slices.Max(row)-slices.Min(row)) / 255
		for j := range row {
			if d := math.Abs(float64(got[j] - row[j])); d > step/2+1e-6 {
				t.Fatalf("row %d: %v for %v, a step is %v", i, got[j], row[j], step)
			}
		}
	}
	both := make([]float32, 16)
	t8.mean(both, []uint32{1, 2})
	t8.read(got, 1)
	two := make([]float32, 16)
	t8.read(two, 2)
	for j := range both {
		two[j] = (two[j] + got[j]) / 2
	}
	near(t, "mean", both, two)
}

func TestByteTablesMoveProbabilitiesLittle(t *testing.T) {
	eachKind(t, func(t *testing.T, m *Model, b *Batch) {
		exact, bytes := m.Scorer(false), m.Scorer(true)
		for r := range b.Requests() {
			want, _ := serve(t, exact, request(b, r))
			got, _ := serve(t, bytes, request(b, r))
			Probabilities(want, want)
			Probabilities(got, got)
			for i := range want {
				if math.Abs(float64(want[i]-got[i])) > 0.005 {
					t.Errorf("%v for %v", got[i], want[i])
				}
			}
		}
	})
}

func TestRequestsThatDoNotFitAreRefused(t *testing.T) {
	fields, items, b := sample(1, 9, 6)
	s := fresh(t, kinds(fields)["default"], items).Scorer(false)
	good := request(b, 1)
	for what, spoil := range map[string]func(*Request){
		"items":   func(q *Request) { q.Items = []uint32{12} },
		"history": func(q *Request) { q.Past = []uint32{12} },
		"users":   func(q *Request) { q.User = nil },
		"user":    func(q *Request) { q.User = []uint32{3} },
	} {
		q := good
		spoil(&q)
		if err := s.Score(q, make([]float32, len(q.Items)), nil); !errors.Is(err, ErrBatch) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := s.Score(good, make([]float32, len(good.Items)+1), nil); !errors.Is(err, ErrBatch) {
		t.Errorf("too much room: %v", err)
	}
}

// BenchmarkScore is requests of the spec's two sizes, by activation of the unit.
func BenchmarkScore(b *testing.B) {
	for _, size := range []struct {
		items, past, d int
		unit           []int
	}{{200, 50, 128, []int{80, 40}}, {1000, 50, 36, []int{36, 16}}} {
		for _, act := range []string{"sigmoid", "dice", "prelu"} {
			b.Run(fmt.Sprintf("%dx%d/d=%d/%s", size.items, size.past, size.d, act), func(b *testing.B) {
				c := Default([]Field{{Name: "item", Rows: 100_000, Dim: size.d}}, nil)
				c.Unit = Layers{Hidden: size.unit, Activation: act}
				items, err := NewItems(100_000, c.Item, []Column{{}})
				if err != nil {
					b.Fatal(err)
				}
				m, err := New(c, items, 1)
				if err != nil {
					b.Fatal(err)
				}
				s, rng := m.Scorer(false), rand.New(rand.NewPCG(1, 1))
				var q Request
				for range size.items {
					q.Items = append(q.Items, rng.Uint32N(100_000))
				}
				for range size.past {
					q.Past = append(q.Past, rng.Uint32N(100_000))
				}
				logits := make([]float32, size.items)
				b.ReportAllocs()
				for b.Loop() {
					if err := s.Score(q, logits, nil); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
