package quant_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand"
	"testing"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/index/quant"
)

var (
	codes   = []index.Codes{index.Int8, index.Int4, index.Bit}
	affine  = codes[:2]
	metrics = []index.Metric{index.L2, index.IP, index.Cosine}
	dims    = []int{1, 2, 3, 7, 16, 31, 64, 65, 100, 128, 129, 384, 784}
)

func newCodec(t testing.TB, code index.Codes, dim int) *quant.Codec {
	t.Helper()
	c, err := quant.New(code, dim)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func seeded(seed int64) *rand.Rand { return rand.New(rand.NewSource(seed)) }

func gaussian(r *rand.Rand, dim int, scale, shift float64) []float32 {
	v := make([]float32, dim)
	for i := range v {
		v[i] = float32(r.NormFloat64()*scale + shift)
	}
	return v
}

func encoded(c *quant.Codec, v []float32) []byte {
	row := make([]byte, c.Size())
	c.Encode(row, v)
	return row
}

func norm(v []float32) float64 {
	s := 0.0
	for _, x := range v {
		s += float64(x) * float64(x)
	}
	return math.Sqrt(s)
}

func minus(a, b []float32) []float32 {
	d := make([]float32, len(a))
	for i := range a {
		d[i] = a[i] - b[i]
	}
	return d
}

// distance is that of float64 arithmetic.
func distance(m index.Metric, a, b []float32) float64 {
	s := 0.0
	for i := range a {
		if m == index.L2 {
			s += (float64(a[i]) - float64(b[i])) * (float64(a[i]) - float64(b[i]))
		} else {
			s -= float64(a[i]) * float64(b[i])
		}
	}
	if m == index.Cosine {
		return 1 + s
	}
	return s
}

func each(t *testing.T, codes []index.Codes, f func(t *testing.T, c *quant.Codec, r *rand.Rand)) {
	for _, code := range codes {
		for _, dim := range dims {
			t.Run(fmt.Sprintf("%s/%d", code, dim), func(t *testing.T) {
				f(t, newCodec(t, code, dim), rand.New(rand.NewSource(int64(dim))))
			})
		}
	}
}

func TestErrorOfACodeBoundsItsDistanceFromTheVector(t *testing.T) {
	each(t, codes, func(t *testing.T, c *quant.Codec, r *rand.Rand) {
		back := make([]float32, c.Dim())
		for _, shift := range []float64{0, 0.01, 3, 1000} {
			v := gaussian(r, c.Dim(), 1, shift)
			row := encoded(c, v)
			c.Decode(back, row)
			got, bound := norm(minus(v, back)), float64(c.Measure(row, c.Levels()-1).Err)
			if got > bound {
				t.Errorf("shift %v: off by %v, bound %v", shift, got, bound)
			}
			want := norm(back)
			if c.Code() == index.Bit {
				want = norm(v)
			}
			if math.Abs(math.Sqrt(float64(c.Measure(row, c.Levels()-1).Norm))-want) > 1e-5*want {
				t.Errorf("shift %v: norm %v, want %v", shift, math.Sqrt(float64(c.Measure(row, c.Levels()-1).Norm)), want)
			}
			if err := c.Check(row); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestEightBitsAreWithinHalfALevelOfARange(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	c := newCodec(t, index.Int8, 256)
	back := make([]float32, 256)
	for range 100 {
		v := gaussian(r, 256, 0.05, 0)
		c.Decode(back, encoded(c, v))
		lo, hi := v[0], v[0]
		for _, x := range v {
			lo, hi = min(lo, x), max(hi, x)
		}
		for i := range v {
			if d := math.Abs(float64(v[i] - back[i])); d > float64(hi-lo)/255*0.52 {
				t.Fatalf("component %d is off by %v of a range of %v", i, d, hi-lo)
			}
		}
	}
}

func TestBytesAreKeptWithoutLoss(t *testing.T) {
	r := rand.New(rand.NewSource(2))
	for _, dim := range dims {
		c := newCodec(t, index.Int8, dim)
		back := make([]float32, dim)
		for _, from := range []int{0, -128, -300, 17} {
			v := make([]float32, dim)
			for i := range v {
				v[i] = float32(from + r.Intn(256))
			}
			row := encoded(c, v)
			if e := c.Measure(row, c.Levels()-1).Err; e != 0 {
				t.Fatalf("dim %d from %d: error %v", dim, from, e)
			}
			c.Decode(back, row)
			for i := range v {
				if back[i] != v[i] {
					t.Fatalf("dim %d from %d: component %d is %v, was %v", dim, from, i, back[i], v[i])
				}
			}
		}
	}
}

func TestDistancesAreThoseOfTheDecodedVectors(t *testing.T) {
	each(t, affine, func(t *testing.T, c *quant.Codec, r *rand.Rand) {
		const n = 9
		rows := make([]byte, 0, n*c.Size())
		back := make([][]float32, n)
		for i := range back {
			row := encoded(c, gaussian(r, c.Dim(), 1, 0.3))
			back[i] = make([]float32, c.Dim())
			c.Decode(back[i], row)
			rows = append(rows, row...)
		}
		out, gathered := make([]float32, n), make([]float32, n)
		ids := []uint32{8, 0, 3, 3, 7, 1, 2, 5, 4}
		for _, m := range metrics {
			var q quant.Query
			for i := range back {
				c.PrepareRow(&q, m, rows[i*c.Size():(i+1)*c.Size()])
				c.Rows(&q, rows, out)
				c.Gather(&q, 0, rows, ids, gathered)
				for j := range back {
					want := distance(m, back[i], back[j])
					if d := math.Abs(float64(out[j]) - want); d > float64(q.Bounds(0).Rounding())+1e-6 {
						t.Fatalf("%s of %d and %d: %v, want %v", m, i, j, out[j], want)
					}
				}
				for j, id := range ids {
					if gathered[j] != out[id] {
						t.Fatalf("%s: gathered %v, in rows %v", m, gathered[j], out[id])
					}
				}
			}
		}
	})
}

func TestTrueDistanceIsNeverBelowLeast(t *testing.T) {
	each(t, codes, func(t *testing.T, c *quant.Codec, r *rand.Rand) {
		out := make([]float32, 1)
		for range 50 {
			v, w := gaussian(r, c.Dim(), 1, 0.1), gaussian(r, c.Dim(), 1, 0.1)
			if r.Intn(3) == 0 { // near ones
				for i := range w {
					w[i] = v[i] + w[i]*0.01
				}
			}
			for _, m := range metrics {
				if m == index.Cosine {
					scale(v, 1/norm(v))
					scale(w, 1/norm(w))
				}
				var q quant.Query
				c.Prepare(&q, m, v)
				row := encoded(c, w)
				c.Rows(&q, row, out)
				if true, least := distance(m, v, w), q.Bounds(0).Least(out[0], c.Measure(row, c.Levels()-1)); float64(least) > true {
					t.Fatalf("%s: %v, but least is %v", m, true, least)
				}
			}
		}
	})
}

func scale(v []float32, f float64) {
	for i := range v {
		v[i] = float32(float64(v[i]) * f)
	}
}

func TestDistancesAreNearlyAlwaysWithinLikely(t *testing.T) {
	for _, code := range codes {
		c := newCodec(t, code, 256)
		r := rand.New(rand.NewSource(5))
		out := make([]float32, 1)
		far := 0
		for range 2000 {
			v, w := gaussian(r, 256, 1, 0), gaussian(r, 256, 1, 0)
			for i := range w {
				w[i] = v[i]*0.5 + w[i]
			}
			var q quant.Query
			c.Prepare(&q, index.L2, v)
			row := encoded(c, w)
			c.Rows(&q, row, out)
			if math.Abs(float64(out[0])-distance(index.L2, v, w)) > float64(q.Bounds(0).Likely(out[0], c.Measure(row, c.Levels()-1))) {
				far++
			}
		}
		if far > 4 {
			t.Errorf("%s: %d of 2000 beyond four standard deviations", code, far)
		}
	}
}

func TestOddVectorsHaveUsableCodes(t *testing.T) {
	tiny := math.SmallestNonzeroFloat32
	for _, code := range codes {
		for name, v := range map[string][]float32{
			"zero":        make([]float32, 8),
			"constant":    {5.3, 5.3, 5.3, 5.3, 5.3, 5.3, 5.3, 5.3},
			"subnormal":   {float32(tiny), 0, 0, 0, 0, 0, 0, float32(tiny)},
			"huge":        {1e18, -1e18, 0, 0, 3, 4, 5, 6},
			"outlier":     {1e6, 0, 0.1, 0.2, 0, 0, 0, 0},
			"narrow":      {1000.01, 1000.02, 1000.03, 1000, 1000, 1000, 1000, 1000},
			"huge counts": {1 << 21, 1<<21 + 1, 0, 0, 0, 0, 0, 0},
		} {
			t.Run(string(code)+"/"+name, func(t *testing.T) {
				c := newCodec(t, code, 8)
				row := encoded(c, v)
				if err := c.Check(row); err != nil {
					t.Fatal(err)
				}
				back := make([]float32, 8)
				c.Decode(back, row)
				if d, bound := norm(minus(v, back)), float64(c.Measure(row, c.Levels()-1).Err); d > bound*1.000001 {
					t.Errorf("decoded %v, off by %v, bound %v", back, d, bound)
				}
				var q quant.Query
				out := []float32{0}
				c.Prepare(&q, index.L2, v)
				c.Rows(&q, row, out)
				if out[0] != out[0] {
					t.Error("distance is not a number")
				}
			})
		}
	}
}

func TestNewRefusesWhatItCannotCode(t *testing.T) {
	for _, f := range []func() error{
		func() error { _, err := quant.New("int3", 8); return err },
		func() error { _, err := quant.New(index.None, 8); return err },
		func() error { _, err := quant.New(index.Int8, 0); return err },
		func() error { _, err := quant.New(index.Int8, index.MaxDim+1); return err },
	} {
		if err := f(); !errors.Is(err, index.ErrOption) {
			t.Errorf("got %v, want ErrOption", err)
		}
	}
}

func TestPreparingAgainAllocatesNothing(t *testing.T) {
	for _, code := range codes {
		c := newCodec(t, code, 100)
		v := gaussian(rand.New(rand.NewSource(1)), 100, 1, 0)
		row := encoded(c, v)
		var q quant.Query
		c.Prepare(&q, index.L2, v)
		if n := testing.AllocsPerRun(100, func() {
			c.Prepare(&q, index.L2, v)
			c.PrepareRow(&q, index.L2, row)
			c.Encode(row, v)
		}); n != 0 {
			t.Errorf("%s: %v allocations", code, n)
		}
	}
}

// FuzzCheck: what Check passes can be decoded and scored without a panic or a
// NaN parameter.
func FuzzCheck(f *testing.F) {
	r := rand.New(rand.NewSource(1))
	for _, code := range codes {
		f.Add(encoded(newCodec(f, code, 24), gaussian(r, 24, 1, 0)))
	}
	f.Fuzz(func(t *testing.T, row []byte) {
		for _, code := range codes {
			c := newCodec(t, code, 24)
			if c.Check(row) != nil {
				continue
			}
			back := make([]float32, 24)
			c.Decode(back, row)
			var q quant.Query
			c.PrepareRow(&q, index.L2, row)
			c.Rows(&q, row, make([]float32, 1))
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	for _, code := range codes {
		b.Run(string(code), func(b *testing.B) {
			c := newCodec(b, code, 768)
			v := gaussian(rand.New(rand.NewSource(1)), 768, 1, 0)
			row := make([]byte, c.Size())
			for b.Loop() {
				c.Encode(row, v)
			}
		})
	}
}

func BenchmarkPrepareRow(b *testing.B) {
	for _, code := range codes {
		b.Run(string(code), func(b *testing.B) {
			c := newCodec(b, code, 768)
			row := encoded(c, gaussian(rand.New(rand.NewSource(1)), 768, 1, 0))
			var q quant.Query
			for b.Loop() {
				c.PrepareRow(&q, index.L2, row)
			}
		})
	}
}
