package bench

import (
	"context"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/eiderdb/eider/embed/bottleneck"
	"github.com/eiderdb/eider/index/rotate"
	"github.com/eiderdb/eider/simd"
)

// four is a set of four classes around the corners of a square in more components.
func four(n, dim int) *labelled {
	s := &labelled{name: "four", dim: dim, classes: 4}
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range n {
		row := make([]float32, dim)
		for j := range row {
			row[j] = 0.2 * float32(rng.NormFloat64())
		}
		row[0] += float32(i % 2)
		row[1] += float32(i % 4 / 2)
		if i%3 == 0 {
			s.test, s.testY = append(s.test, row...), append(s.testY, i%4)
		} else {
			s.train, s.trainY = append(s.train, row...), append(s.trainY, i%4)
		}
	}
	return s
}

func TestClassesThatComeInStagesAreKeptByTheBottleneckAndForgottenByAProbe(t *testing.T) {
	s := four(1200, 8)
	b := &continual{s: s, r: newReport("bottleneck", "four", Options{JSON: true}, io.Discard), seeds: 1,
		config: bottleneck.Config{Heads: 16, Keys: 64, KeyDim: 4}, again: 4}
	if err := b.run(context.Background()); err != nil {
		t.Fatal(err)
	}
	if own := find(t, b.r.all, "accuracy", "mixed"); own.Value < 0.95 {
		t.Errorf("accuracy %v", own.Value)
	}
	if f := find(t, b.r.all, "unlearned class", ""); f.Value != 0 {
		t.Errorf("unlearned class is right in %v", f.Value)
	}
	for _, peer := range []string{"nearest class mean", "1-NN"} {
		if f := find(t, b.r.all, "accuracy", peer); *f.PeerValue < 0.95 {
			t.Errorf("%s: %v", peer, *f.PeerValue)
		}
	}
}

func TestStagesGiveEveryRowItsPassesClassByClass(t *testing.T) {
	s := four(90, 2)
	var seen []int
	count := map[int]int{}
	s.stages([]int{3, 1, 0, 2}, 2, rand.New(rand.NewPCG(1, 1)), func(i int) {
		count[i]++
		if stage := map[int]int{3: 0, 1: 0, 0: 1, 2: 1}[s.trainY[i]]; len(seen) == 0 || seen[len(seen)-1] != stage {
			seen = append(seen, stage)
		}
	})
	if !slices.Equal(seen, []int{0, 1}) || len(count) != len(s.trainY) || count[0] != 2 {
		t.Errorf("stages %v, %d of %d rows, the first %d times", seen, len(count), len(s.trainY), count[0])
	}
}

func TestLeadingVectorsAreThoseOfTheWholeSolution(t *testing.T) {
	const d, k = 24, 3
	rng := rand.New(rand.NewPCG(2, 2))
	a, exact := make([]float32, d*d), make([]float64, d*d)
	x := make([]float32, 200*d)
	for i := range x {
		x[i] = float32(rng.NormFloat64()) / float32(1+i%d)
	}
	simd.Gemm(true, false, d, d, 200, 1, x, d, x, d, 0, a, d)
	for i, y := range a {
		exact[i] = float64(y)
	}
	got, err := leading(context.Background(), a, d, k, 1)
	if err != nil {
		t.Fatal(err)
	}
	values, err := rotate.Eigen(context.Background(), exact, d)
	if err != nil {
		t.Fatal(err)
	}
	order := make([]int, d)
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return int(math.Copysign(1, values[j]-values[i])) })
	for i := range k {
		dot := 0.0
		for j := range d {
			dot += float64(got[i*d+j]) * exact[order[i]*d+j]
		}
		if math.Abs(dot) < 1-1e-4 {
			t.Errorf("vector %d: cosine %v with that of the whole solution", i, dot)
		}
	}
}
