// Times calls of a CBLAS sgemm whose integers have 32 or 64 bits, on the clock of the
// thread: the fastest of rounds of count calls, in nanoseconds a call. Built by gemm.py.
#include <stdint.h>
#include <time.h>

typedef void (*sgemm32)(int, int, int, int32_t, int32_t, int32_t, float, const float *, int32_t, const float *, int32_t, float, float *, int32_t);
typedef void (*sgemm64)(int, int, int, int64_t, int64_t, int64_t, float, const float *, int64_t, const float *, int64_t, float, float *, int64_t);

static double now(void) {
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return 1e9 * t.tv_sec + t.tv_nsec;
}

double fastest(void *f, int wide, int transA, int transB, int m, int n, int k, const float *a, const float *b, float *c, int count, int rounds) {
	int ta = transA ? 112 : 111, tb = transB ? 112 : 111, lda = transA ? m : k, ldb = transB ? k : n;
	double best = 1e300;
	for (int r = 0; r < rounds; r++) {
		double start = now();
		for (int i = 0; i < count; i++) {
			if (wide)
				((sgemm64)f)(101, ta, tb, m, n, k, 1, a, lda, b, ldb, 0, c, n);
			else
				((sgemm32)f)(101, ta, tb, m, n, k, 1, a, lda, b, ldb, 0, c, n);
		}
		double took = now() - start;
		if (took < best) best = took;
	}
	return best / count;
}
