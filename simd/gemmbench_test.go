package simd

import (
	"fmt"
	"math"
	"runtime"
	"testing"
	"time"
)

// BenchmarkGemm reports the rate of the fastest of batches of products, by the
// clock of this thread, of squares and of what layers multiply.
func BenchmarkGemm(b *testing.B) {
	for _, s := range [][3]int{{8, 8, 8}, {16, 16, 16}, {24, 24, 24}, {32, 32, 32}, {48, 48, 48}, {64, 64, 64}, {128, 128, 128},
		{256, 256, 256}, {512, 512, 512}, {1024, 1024, 1024}, {1, 128, 128}, {4, 512, 128}, {8, 512, 128}, {16, 512, 128},
		{200, 80, 144}, {256, 1, 80}, {10000, 36, 36}, {10000, 16, 36}} {
		for _, form := range []string{"NN", "NT", "TN", "TT"} {
			m, n, k := s[0], s[1], s[2]
			b.Run(fmt.Sprintf("%dx%dx%d/%s", m, n, k, form), func(b *testing.B) {
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
				r := seeded(1)
				x, y, z := fill(aligned[float32](m*k, 0), r, normal), fill(aligned[float32](k*n, 0), r, normal), aligned[float32](m*n, 0)
				transA, transB := form[0] == 'T', form[1] == 'T'
				lda, ldb := k, n
				if transA {
					lda = m
				}
				if transB {
					ldb = k
				}
				flops := 2 * float64(m) * float64(n) * float64(k)
				batch := 1 + int(2e6/flops)
				best := time.Duration(math.MaxInt64)
				for range b.N {
					start := clock()
					for range batch {
						Gemm(transA, transB, m, n, k, 1, x, lda, y, ldb, 0, z, n)
					}
					best = min(best, clock()-start)
				}
				b.ReportMetric(flops*float64(batch)/float64(best), "GFLOP/s")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}
