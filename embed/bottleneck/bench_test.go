package bottleneck

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
)

// mnist has the sizes of the figures: C 64, K 1024, d 64, d_k 14.
func mnist(b *testing.B) (*Learner, []float32) {
	m, err := New(Config{Dim: 64, Seed: 1})
	if err != nil {
		b.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	rows := make([]float32, 4096*64)
	for i := range rows {
		rows[i] = float32(rng.NormFloat64())
	}
	if err := m.Init(context.Background(), rows, Start{Epochs: 1}); err != nil {
		b.Fatal(err)
	}
	return NewLearner(m), rows
}

func BenchmarkEncode(b *testing.B) {
	l, rows := mnist(b)
	for _, n := range []int{1, 32, 1024} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			keys := make([]uint16, n*l.Heads)
			b.ReportAllocs()
			for b.Loop() {
				if err := l.Encode(keys, rows[:n*64]); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/row")
		})
	}
}

func BenchmarkLearn(b *testing.B) {
	l, rows := mnist(b)
	const n = 4096
	keys := make([]uint16, n*l.Heads)
	if err := l.Encode(keys, rows); err != nil {
		b.Fatal(err)
	}
	labels := make([]string, 10)
	for i := range labels {
		labels[i] = fmt.Sprint(i)
	}
	teach := func(b *testing.B, name func(i int) string) {
		var r Record
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			if _, err := l.Teach(&r, name(i), keys[i%n*l.Heads:][:l.Heads], labels[i%10]); err != nil {
				b.Fatal(err)
			}
			if err := l.Apply(&r); err != nil {
				b.Fatal(err)
			}
			i++
		}
	}
	b.Run("nobody", func(b *testing.B) { teach(b, func(int) string { return "" }) })
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprint("row ", i)
	}
	b.Run("rows", func(b *testing.B) { teach(b, func(i int) string { return names[i%n] }) })
	b.Run("new rows", func(b *testing.B) { teach(b, func(i int) string { return fmt.Sprint(i) }) })
	b.Run("predict", func(b *testing.B) {
		logits := make([]float32, l.Width())
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			if err := l.Predict(logits, keys[i%n*l.Heads:][:l.Heads]); err != nil {
				b.Fatal(err)
			}
			i++
		}
	})
}
