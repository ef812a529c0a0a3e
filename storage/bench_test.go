package storage

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// BenchmarkCommit measures 64 writers that each wait for their own fsynced
// document of 128 float32, and, interleaved on the same disk, Pebble itself
// with batches of the same bytes: the limit a store on Pebble can reach.
func BenchmarkCommit(b *testing.B) {
	const writers, dim = 64, 128
	for _, who := range []string{"eider", "pebble"} {
		b.Run(who, func(b *testing.B) {
			s := open(b, b.TempDir(), nil)
			c := create(b, s, "films")
			var next atomic.Int64
			vec := make([]byte, 4*dim)
			body := scriptBody("tag", 1)
			var wg sync.WaitGroup
			b.ResetTimer()
			start := time.Now()
			for range writers {
				wg.Go(func() {
					for {
						n := next.Add(1)
						if n > int64(b.N) {
							return
						}
						data := binary.LittleEndian.AppendUint64(nil, uint64(n))
						data = append(data, vec[8:]...)
						id := fmt.Sprint(n)
						if who == "eider" {
							_, err := s.Commit(context.Background(), []Op{{Kind: Put, Collection: c, ID: id, Body: body, Vectors: []Vec{{0, data}}}})
							if err != nil {
								b.Error(err)
								return
							}
							continue
						}
						batch := s.db.NewBatch()
						_ = batch.Set([]byte("z1"+id), body, nil)
						_ = batch.Set([]byte("z2"+id), data, nil)
						_ = batch.Set([]byte("z3"+id), data[:12], nil)
						_ = batch.Set([]byte("z4"+id), data[:40], nil)
						if err := s.db.Apply(batch, pebble.Sync); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "docs/s")
		})
	}
}

// BenchmarkVectorScan reads every vector of 200,000 x 128 on two goroutines, as
// a reopening index does.
func BenchmarkVectorScan(b *testing.B) {
	const n, dim = 200_000, 128
	s := open(b, b.TempDir(), &Options{Durability: Async})
	c := create(b, s, "films")
	body := scriptBody("tag", 1)
	var ops []Op
	for i := range n {
		data := make([]byte, 4*dim)
		for j := range data {
			data[j] = byte((i + 1) * (j + 7) * 2654435761 >> 11)
		}
		ops = append(ops, Op{Kind: Put, Collection: c, ID: fmt.Sprint(i), Body: body, Vectors: []Vec{{0, data}}})
		if len(ops) == 1000 {
			commit(b, s, ops...)
			ops = ops[:0]
		}
	}
	if err := s.db.Flush(); err != nil {
		b.Fatal(err)
	}
	v := acquire1(b, s)
	b.ResetTimer()
	for b.Loop() {
		var wg sync.WaitGroup
		var seen atomic.Int64
		for part := range uint32(2) {
			wg.Go(func() {
				k := int64(0)
				err := v.ForEachVector(c, 0, part*n/2, (part+1)*n/2, func(uint32, []byte) error { k++; return nil })
				if err != nil {
					b.Error(err)
				}
				seen.Add(k)
			})
		}
		wg.Wait()
		if seen.Load() != n {
			b.Fatalf("saw %d vectors", seen.Load())
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/vector")
}

func BenchmarkAcquire(b *testing.B) {
	s := open(b, "", &Options{InMemory: true})
	for b.Loop() {
		v, err := s.Acquire()
		if err != nil {
			b.Fatal(err)
		}
		v.Release()
	}
}

// BenchmarkTermRange reads the union of 100,000 postings of one document each,
// uncached: the cost of a numeric range filter after a write.
func BenchmarkTermRange(b *testing.B) {
	const n = 100_000
	s := open(b, b.TempDir(), &Options{Durability: Async})
	c := create(b, s, "films")
	var ops []Op
	for i := range n {
		ops = append(ops, Op{Kind: Put, Collection: c, ID: fmt.Sprint(i), Body: scriptBody("tag", uint64(i))})
		if len(ops) == 1000 {
			commit(b, s, ops...)
			ops = ops[:0]
		}
	}
	if err := s.db.Flush(); err != nil {
		b.Fatal(err)
	}
	v := acquire1(b, s)
	from, to := bounds(c, 2, nil, nil, false, false)
	for b.Loop() {
		bm, err := v.union(from, to)
		if err != nil || bm.GetCardinality() != n {
			b.Fatal(bm.GetCardinality(), err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/term")
}
