package simd

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func near(a float32, b, tol float64) bool { return math.Abs(float64(a)-b) <= tol*(1+math.Abs(b)) }

func TestOptimisersFollowTheirFormulaFor50Steps(t *testing.T) {
	const lr, b1, b2, eps, decay = float32(0.01), float32(0.9), float32(0.999), float32(1e-8), float32(0.02)
	l, p, q, e, c := float64(lr), float64(b1), float64(b2), float64(eps), float64(decay)
	type state struct{ w, m, v float64 }
	for name, o := range map[string]struct {
		do   func(w, g, m, v []float32, step int)
		want func(s *state, g float64, step int)
	}{
		"SGD": {func(w, g, _, _ []float32, _ int) { SGD(w, g, lr, decay) },
			func(s *state, g float64, _ int) { s.w -= l * (g + c*s.w) }},
		"Adam": {func(w, g, m, v []float32, n int) {
			Adam(w, g, m, v, AdamStep{Rate: lr, Beta1: b1, Beta2: b2, Eps: eps, L2: decay, Decay: 2 * decay, Step: n})
		},
			func(s *state, g float64, n int) {
				g += c * s.w
				s.w *= 1 - l*2*c
				s.m, s.v = p*s.m+(1-p)*g, q*s.v+(1-q)*g*g
				s.w -= l * s.m / (1 - math.Pow(p, float64(n))) / (math.Sqrt(s.v/(1-math.Pow(q, float64(n)))) + e)
			}},
		"Adagrad": {func(w, g, _, v []float32, _ int) { Adagrad(w, g, v, lr, eps) },
			func(s *state, g float64, _ int) {
				s.v += g * g
				s.w -= l * g / (math.Sqrt(s.v) + e)
			}},
	} {
		t.Run(name, func(t *testing.T) {
			implementations(t, func(t *testing.T) {
				for _, n := range []int{1, 7, 8, 16, 37, 100} {
					r := seeded(n)
					w, m, v := fill(make([]float32, n+1), r, normal), make([]float32, n), make([]float32, n)
					states := make([]state, n)
					for i := range states {
						states[i].w = float64(w[i])
					}
					beyond := w[n]
					for step := 1; step <= 50; step++ {
						g := fill(make([]float32, n), r, normal)
						o.do(w[:n], g, m, v, step)
						for i := range states {
							s := &states[i]
							o.want(s, float64(g[i]), step)
							if !near(w[i], s.w, 1e-5) || !near(m[i], s.m, 1e-5) || !near(v[i], s.v, 1e-5) {
								t.Fatalf("step %d, %d of %d: %v %v %v, want %v", step, i, n, w[i], m[i], v[i], *s)
							}
						}
					}
					if w[n] != beyond {
						t.Fatal("changed a weight beyond the slice")
					}
				}
			})
		})
	}
}

func TestStepsOfRowsAreThoseOfEachRowAndNoOther(t *testing.T) {
	implementations(t, func(t *testing.T) {
		const rows = 9
		ids, adam := []uint32{7, 0, 3}, AdamStep{Rate: .1, Beta1: .9, Beta2: .99, Eps: 1e-8, L2: .1, Step: 3}
		for _, dim := range []int{1, 8, 19} {
			r := seeded(dim)
			w, g := fill(make([]float32, rows*dim), r, normal), fill(make([]float32, len(ids)*dim), r, normal)
			m, v := make([]float32, rows*dim), make([]float32, rows*dim)
			w2, m2, v2 := slices.Clone(w), slices.Clone(m), slices.Clone(v)
			for i, id := range ids {
				a, b := int(id)*dim, (int(id)+1)*dim
				Adam(w2[a:b], g[i*dim:][:dim], m2[a:b], v2[a:b], adam)
				Adagrad(w2[a:b], g[i*dim:][:dim], v2[a:b], .1, 1e-8)
			}
			AdamRows(w, g, m, v, dim, ids, adam)
			AdagradRows(w, g, v, dim, ids, .1, 1e-8)
			if !slices.Equal(w, w2) || !slices.Equal(m, m2) || !slices.Equal(v, v2) {
				t.Fatalf("rows of %d differ from their own steps", dim)
			}
		}
	})
}

func TestGatherCopiesRowsAndScatterAddsThemInOrder(t *testing.T) {
	implementations(t, func(t *testing.T) {
		for _, dim := range []int{1, 3, 8, 16, 31, 64, 100} {
			r := seeded(dim)
			const rows = 50
			table := fill(make([]float32, rows*dim), r, normal)
			for n := range 40 {
				ids := fill(make([]uint32, n), r, func(r *rand.Rand) uint32 { return uint32(r.IntN(rows/2)) * 2 })
				dst, want := make([]float32, n*dim), make([]float32, n*dim)
				gatherGeneric(want, table, dim, ids)
				Gather(dst, table, dim, ids)
				if !slices.Equal(dst, want) {
					t.Fatalf("%d rows of %d are not those of the table", n, dim)
				}
				sum := slices.Clone(table)
				scatterAddGeneric(sum, dst, dim, ids)
				ScatterAdd(table, dst, dim, ids)
				if !slices.Equal(table, sum) {
					t.Fatalf("%d rows of %d add up to something else", n, dim)
				}
			}
		}
	})
}

func TestMomentsKeepTheVarianceOfAFarMean(t *testing.T) {
	implementations(t, func(t *testing.T) {
		for n := 1; n < 1200; n += 1 + n/20 {
			for _, far := range []float32{0, 1000, -1e5} {
				x := fill(make([]float32, 3*n), seeded(n), func(r *rand.Rand) float32 { return far + normal(r) })
				wantMean, wantVar := momentsGeneric(x[:n])
				mean, variance := Moments(x[:n])
				if !near(mean, float64(wantMean), 2e-7) || !near(variance, float64(wantVar), 2e-6) {
					t.Fatalf("%d about %v: %v, %v, want %v, %v", n, far, mean, variance, wantMean, wantVar)
				}
				means, variances := make([]float32, n), make([]float32, n)
				ColumnMoments(x, means, variances)
				for i := range means {
					m, v := columnGeneric(x, i, n)
					if !near(means[i], float64(m), 2e-7) || !near(variances[i], float64(v), 2e-6) {
						t.Fatalf("column %d of %d: %v, %v, want %v, %v", i, n, means[i], variances[i], m, v)
					}
				}
			}
		}
	})
}

func TestMomentsOfOneNumberRepeatedHaveNoVarianceBelowZero(t *testing.T) {
	implementations(t, func(t *testing.T) {
		r := seeded(1)
		mean, variance := make([]float32, 1), make([]float32, 1)
		for range 100 {
			x := make([]float32, 1+r.IntN(5000))
			v := 1 + r.Float32()
			for i := range x {
				x[i] = v
			}
			ColumnMoments(x, mean, variance) // the column's sum runs down all rows
			if _, got := Moments(x); !(got >= 0 && got < 1e-9) || !(variance[0] >= 0 && variance[0] < 1e-9) {
				t.Fatalf("%d times %v: variance %v as a row, %v as a column", len(x), v, got, variance[0])
			}
		}
	})
}

func TestMomentsOfARowWithNaNOrInfAreNotFinite(t *testing.T) {
	implementations(t, func(t *testing.T) {
		for _, v := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))} {
			for i := range 40 {
				x := make([]float32, 40)
				x[i] = v
				means, variances := make([]float32, 40), make([]float32, 40)
				ColumnMoments(x, means, variances)
				_, variance := Moments(x)
				for j, got := range append(variances, variance) {
					if lost := got-got == 0; lost != (j < 40 && j != i) {
						t.Fatalf("%v at %d: variance %d is %v", v, i, j, got)
					}
				}
			}
		}
	})
}

func TestRowsGiveTheSameBitsWhereverTheyLie(t *testing.T) {
	implementations(t, func(t *testing.T) {
		for n := range 71 {
			x := fill(make([]float32, n), seeded(n), normal)
			want, buf := slices.Clone(x), make([]float32, n+16)
			lse := Softmax(want, want)
			mean, variance := Moments(x)
			for at := range 16 {
				y := buf[at : at+n]
				copy(y, x)
				m, v := Moments(y)
				if l := Softmax(y, y); m != mean || v != variance || l != lse || !slices.Equal(y, want) {
					t.Fatalf("%d elements, %d on: other bits", n, at)
				}
			}
		}
	})
}

func TestLayerNormAndItsGradientFollowTheirFormulas(t *testing.T) {
	implementations(t, func(t *testing.T) {
		for n := 2; n < 200; n += 1 + n/30 {
			r := seeded(n)
			s := func() []float32 { return fill(make([]float32, n), r, normal) }
			x, gamma, beta, dy, dgamma, dbeta := s(), s(), s(), s(), s(), s()
			y, dx, scale, shift := make([]float32, n), slices.Clone(dy), slices.Clone(dgamma), slices.Clone(dbeta)
			mean, rstd := LayerNorm(y, x, gamma, beta, 1e-5)
			LayerNormGrad(dx, dx, x, mean, rstd, gamma, dgamma, dbeta)
			var m, v, g, gh float64
			for i := range x {
				m += float64(x[i]) / float64(n)
			}
			for i := range x {
				v += (float64(x[i]) - m) * (float64(x[i]) - m) / float64(n)
			}
			rs := 1 / math.Sqrt(v+1e-5)
			h := func(i int) float64 { return (float64(x[i]) - m) * rs }
			for i := range x {
				g += float64(dy[i]) * float64(gamma[i]) / float64(n)
				gh += float64(dy[i]) * float64(gamma[i]) * h(i) / float64(n)
			}
			for i := range x {
				d := float64(dy[i])
				for name, c := range map[string]struct {
					got  float32
					want float64
				}{
					"y": {y[i], h(i)*float64(gamma[i]) + float64(beta[i])}, "dbeta": {dbeta[i], float64(shift[i]) + d},
					"dgamma": {dgamma[i], float64(scale[i]) + d*h(i)}, "dx": {dx[i], rs * (d*float64(gamma[i]) - g - h(i)*gh)},
				} {
					if !near(c.got, c.want, 2e-5*max(1, rs)) {
						t.Fatalf("%s[%d] of %d is %v, want %v", name, i, n, c.got, c.want)
					}
				}
			}
			same := slices.Clone(x)
			LayerNorm(same, same, gamma, beta, 1e-5)
			if !slices.Equal(same, y) {
				t.Fatalf("%d elements in place differ", n)
			}
			MulAdd(y, x, gamma, beta)
			for i := range x {
				if !near(y[i], float64(x[i])*float64(gamma[i])+float64(beta[i]), 1e-6) {
					t.Fatalf("MulAdd %d of %d is %v", i, n, y[i])
				}
			}
		}
	})
}
