package bench

import (
	"math"
	"math/rand/v2"

	"github.com/eiderdb/eider/simd"
)

// What the bottleneck is measured beside: classifiers that share weights between
// classes, and two that remember.

// network is softmax regression, or with hidden units a perceptron of one layer, trained by
// plain gradient descent, a row at a time.
type network struct {
	dim, hidden, classes int
	w1, b1, w2, b2       []float32
	h, p                 []float32
}

func newNetwork(dim, hidden, classes int, rng *rand.Rand) *network {
	n := &network{dim: dim, hidden: hidden, classes: classes}
	in := dim
	layer := func(out, in int) (w, b []float32) {
		w, b = make([]float32, out*in), make([]float32, out)
		r := 1 / math.Sqrt(float64(in))
		for _, x := range [][]float32{w, b} {
			for i := range x {
				x[i] = float32(r * (2*rng.Float64() - 1))
			}
		}
		return w, b
	}
	if hidden > 0 {
		n.w1, n.b1 = layer(hidden, dim)
		n.h = make([]float32, hidden)
		in = hidden
	}
	n.w2, n.b2 = layer(classes, in)
	n.p = make([]float32, classes)
	return n
}

// forward fills n.p with shares of classes and returns what the last layer read.
func (n *network) forward(x []float32) []float32 {
	if n.hidden > 0 {
		for i := range n.h {
			n.h[i] = max(0, n.b1[i]+simd.Dot(n.w1[i*n.dim:][:n.dim], x))
		}
		x = n.h
	}
	for i := range n.p {
		n.p[i] = n.b2[i] + simd.Dot(n.w2[i*len(x):][:len(x)], x)
	}
	simd.Softmax(n.p, n.p)
	return x
}

func (n *network) learn(x []float32, y int, rate float32) {
	h := n.forward(x)
	n.p[y]--
	var back []float32
	if n.hidden > 0 {
		back = make([]float32, n.hidden)
	}
	for i, g := range n.p {
		row := n.w2[i*len(h):][:len(h)]
		if back != nil {
			simd.Axpy(g, row, back)
		}
		simd.Axpy(-rate*g, h, row)
		n.b2[i] -= rate * g
	}
	for i, g := range back {
		if n.h[i] > 0 {
			simd.Axpy(-rate*g, x, n.w1[i*n.dim:][:n.dim])
			n.b1[i] -= rate * g
		}
	}
}

func (n *network) predict(x []float32) int {
	n.forward(x)
	best := 0
	for i := range n.p {
		if n.p[i] > n.p[best] {
			best = i
		}
	}
	return best
}

// meanShare is the accuracy of the nearest mean of a class.
func (s *labelled) meanShare() float64 {
	means, counts := make([]float32, s.classes*s.dim), make([]float32, s.classes)
	for i, y := range s.trainY {
		simd.Add(means[y*s.dim:][:s.dim], s.train[i*s.dim:][:s.dim])
		counts[y]++
	}
	for y, n := range counts {
		simd.Scale(means[y*s.dim:][:s.dim], 1/n)
	}
	return s.accuracy(func(x []float32) int {
		best, near := 0, float32(math.Inf(1))
		for y := range s.classes {
			if d := simd.L2(x, means[y*s.dim:][:s.dim]); d < near {
				best, near = y, d
			}
		}
		return best
	})
}

// nearestShare is the accuracy of the nearest row.
func (s *labelled) nearestShare() float64 {
	n := len(s.trainY)
	half := make([]float32, n)
	for i := range half {
		x := s.train[i*s.dim:][:s.dim]
		half[i] = -simd.Dot(x, x) / 2
	}
	scores := make([]float32, n)
	return s.accuracy(func(x []float32) int {
		simd.GemmBias(false, true, 1, n, s.dim, 1, x, s.dim, s.train, s.dim, half, simd.None, scores, n)
		most := simd.Max(scores)
		for i := range scores {
			if scores[i] == most {
				return s.trainY[i]
			}
		}
		return 0
	})
}

// accuracy is the share of tests, of all classes, that predict gets right.
func (s *labelled) accuracy(predict func(x []float32) int) float64 {
	right := 0
	for i, y := range s.testY {
		if predict(s.test[i*s.dim:][:s.dim]) == y {
			right++
		}
	}
	return float64(right) / float64(len(s.testY))
}
