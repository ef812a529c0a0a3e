package text

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// sentence has 20 tokens of the built-in vocabulary.
const sentence = "a small program that finds files by name and content, with filters for size, date and owner"

func BenchmarkStaticEncode(b *testing.B) {
	e, err := tiny()
	if err != nil {
		b.Fatal(err)
	}
	benchmark(b, e)
}

func BenchmarkHashedEncode(b *testing.B) {
	e, err := NewHashed(HashedOptions{})
	if err != nil {
		b.Fatal(err)
	}
	benchmark(b, e)
}

func benchmark(b *testing.B, e interface {
	Encode(context.Context, []string, [][]float32) error
	Dim() int
}) {
	texts, rows := []string{sentence}, [][]float32{make([]float32, e.Dim())}
	b.ReportAllocs()
	for b.Loop() {
		if err := e.Encode(context.Background(), texts, rows); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStaticEncodeUnicode(b *testing.B) {
	e, err := tiny()
	if err != nil {
		b.Fatal(err)
	}
	texts, rows := []string{strings.ReplaceAll(sentence, "e", "é")}, [][]float32{make([]float32, e.Dim())}
	b.ReportAllocs()
	for b.Loop() {
		if err := e.Encode(context.Background(), texts, rows); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLoadTiny(b *testing.B) {
	for b.Loop() {
		if _, err := LoadStatic("x", modelFS(b)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLoadMiniLM(b *testing.B) {
	root := os.DirFS(miniLM(b))
	for b.Loop() {
		if _, err := LoadBERT("x", root, BERTOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBERT reports texts of 128 tokens per second of one thread's time, 16 a
// call, the median and the fastest, of models of random weights: the one of the
// tests, and one of MiniLM's shape. Its peer is bench/peers/bert.py.
func BenchmarkBERT(b *testing.B) {
	for _, shape := range [][4]int{{3, 32, 4, 64}, {6, 384, 12, 1536}} {
		b.Run(fmt.Sprintf("%dx%d", shape[0], shape[1]), func(b *testing.B) {
			e := randomBERT(shape[0], shape[1], shape[2], shape[3])
			r := rand.New(rand.NewPCG(1, 2))
			x := &batch{starts: []int{0}}
			for range 16 {
				for range 128 {
					x.ids = append(x.ids, uint32(r.IntN(1000)))
				}
				x.starts = append(x.starts, len(x.ids))
			}
			rows := make([][]float32, 16)
			for i := range rows {
				rows[i] = make([]float32, e.dim)
			}
			b.ReportAllocs()
			var times []time.Duration
			for b.Loop() {
				start := time.Now()
				x.group(1)
				if err := e.groups(context.Background(), x, 1, rows); err != nil {
					b.Fatal(err)
				}
				times = append(times, time.Since(start))
			}
			slices.Sort(times)
			b.ReportMetric(16/times[len(times)/2].Seconds(), "texts/s")
			b.ReportMetric(16/times[0].Seconds(), "best-texts/s")
		})
	}
}

// randomBERT is a model of 1,000 tokens and 512 positions.
func randomBERT(layers, hidden, heads, inner int) *BERT {
	r := rand.New(rand.NewPCG(3, 4))
	fill := func(n int) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(0.05 * r.NormFloat64())
		}
		return v
	}
	layer := func(in, out int) linear { return linear{fill(in * out), fill(out), in, out} }
	norm := func() affine { return affine{fill(hidden), fill(hidden)} }
	e := &BERT{config: bertConfig{Hidden: hidden, Heads: heads, Inner: inner, Eps: 1e-12, Activation: "gelu"},
		layers: layers, dim: hidden, unit: true, words: fill(1000 * hidden), places: fill(512 * hidden), entry: norm()}
	for range layers {
		e.blocks = append(e.blocks, block{qkv: layer(hidden, 3*hidden), merge: layer(hidden, hidden), up: layer(hidden, inner),
			down: layer(inner, hidden), attended: norm(), o: norm()})
	}
	return e
}
