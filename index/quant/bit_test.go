package quant_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/index/quant"
)

// estimate is the inner product of q and what row stands for, by codes.
func estimate(c *quant.Codec, q *quant.Query, row []byte, v []float32) float64 {
	out := []float32{0}
	c.Prepare(q, index.IP, v)
	c.Rows(q, row, out)
	return -float64(out[0])
}

// The rotation is fixed, so what is random here is the vectors: pairs at a chosen
// angle, turned at random. With independent errors the mean of n is within four
// standard errors of zero but once in 16,000. The levels of the query may add 0.1 %.
func TestBitsEstimateInnerProductsWithoutBias(t *testing.T) {
	for _, dim := range []int{64, 100, 784} {
		c := newCodec(t, index.Bit, dim)
		r := seeded(int64(dim))
		var q quant.Query
		for _, cos := range []float64{0, 0.5, 0.9, 1} {
			const n = 3000
			var sum, squares float64
			for range n {
				v, w := gaussian(r, dim, 1, 0), gaussian(r, dim, 1, 0)
				scale(v, 1/norm(v))
				along := -distance(index.IP, v, w)
				for i := range w {
					w[i] -= float32(along) * v[i]
				}
				scale(w, math.Sqrt(1-cos*cos)/norm(w))
				for i := range w {
					w[i] += float32(cos) * v[i]
				}
				e := estimate(c, &q, encoded(c, w), v) + distance(index.IP, v, w)
				sum += e
				squares += e * e
			}
			mean, deviation := sum/n, math.Sqrt(squares/n)
			if math.Abs(mean) > 4*deviation/math.Sqrt(n)+0.001*cos {
				t.Errorf("dim %d, cosine %v: mean error %v, standard error %v", dim, cos, mean, deviation/math.Sqrt(n))
			}
			// Of the code √(π/2−1)·sin; of the query's 16 levels; of the mean that is left out.
			d := float64(dim)
			want := math.Sqrt(((math.Pi/2-1)*(1-cos*cos)+0.13*0.13)/d + (1+cos*cos)/(d*d))
			if deviation > 1.15*want {
				t.Errorf("dim %d, cosine %v: errors of %v, want %v", dim, cos, deviation, want)
			}
		}
	}
}

// The mean of all components of pixels is most of their norm; it is kept apart.
func TestBitsKeepTheMeanOfAVector(t *testing.T) {
	const dim = 256
	c := newCodec(t, index.Bit, dim)
	r := seeded(3)
	var q quant.Query
	for range 100 {
		v, w := gaussian(r, dim, 1, 50), gaussian(r, dim, 1, 50)
		got, want := estimate(c, &q, encoded(c, w), v), -distance(index.IP, v, w)
		if math.Abs(got-want) > 1./255*want {
			t.Fatalf("inner product %v, want %v", got, want)
		}
	}
}

func TestBitsOfTheSameVectorAreAtDistanceZeroAndOfOppositesFar(t *testing.T) {
	const dim = 192
	c := newCodec(t, index.Bit, dim)
	r := seeded(4)
	v := gaussian(r, dim, 1, 0)
	w := append([]float32(nil), v...)
	scale(w, -1)
	rows := append(encoded(c, v), encoded(c, w)...)
	var q quant.Query
	out := make([]float32, 2)
	c.PrepareRow(&q, index.L2, rows[:c.Size()])
	c.Rows(&q, rows, out)
	if far := 4 * norm(v) * norm(v); out[0] > 1e-3 || math.Abs(float64(out[1])-far) > 0.01*far {
		t.Errorf("distances %v of a vector from itself and from its opposite, want 0 and %v", out, far)
	}
}

func TestDistancesBetweenBitsFollowTheAngle(t *testing.T) {
	const dim = 1024
	c := newCodec(t, index.Bit, dim)
	r := seeded(5)
	var q quant.Query
	for _, m := range metrics {
		for range 50 {
			v, w := gaussian(r, dim, 1, 0), gaussian(r, dim, 1, 0)
			for i := range w {
				w[i] = v[i] + w[i]*float32(r.Float64())
			}
			scale(v, 1/norm(v))
			scale(w, 1/norm(w))
			out, gathered := []float32{0}, []float32{0}
			row := encoded(c, w)
			c.PrepareRow(&q, m, encoded(c, v))
			c.Rows(&q, row, out)
			c.Gather(&q, 0, row, []uint32{0}, gathered)
			if want := distance(m, v, w); math.Abs(float64(out[0])-want) > 0.4 || gathered[0] != out[0] {
				t.Fatalf("%s: %v and %v, want %v", m, out[0], gathered[0], want)
			}
		}
	}
}

func TestBitsTakeOneSixteenthOfHalfFloats(t *testing.T) {
	for dim, want := range map[int]int{64: 32, 768: 112, 784: 128, 1536: 208, 4096: 528} {
		if got := newCodec(t, index.Bit, dim).Size(); got != want {
			t.Errorf("%d components: %d bytes, want %d", dim, got, want)
		}
	}
}

func TestBitsHaveNoPrefixesAndSaySo(t *testing.T) {
	_, err := quant.New(index.Bit, 256, 64)
	if !errors.Is(err, index.ErrOption) || !strings.Contains(err.Error(), "use int8 or int4") {
		t.Errorf("got %v", err)
	}
}
