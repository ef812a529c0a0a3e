// The distance kernels of package simd in C with intrinsics, as plain as speed
// allows, to measure package simd against. Build it with
//
//	gcc -O3 -march=native -o kernels kernels.c
//
// and -mno-avx512f for AVX2. It reads lines of standard input and answers each
// with one line:
//
//	KERNEL SHAPE DIM STRIDE BYTES CALLS AT
//
// makes calls of a shape (pair, rows, gather) of 32 rows each, where pair is a call
// for each row, on rows STRIDE bytes apart that are random among the first BYTES,
// from the id AT on. It writes the thread's CPU time in nanoseconds and the sum of the last call's results.
// kernels.go, on the other side, draws the same rows, query and ids.
#define _GNU_SOURCE
#include <immintrin.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define INLINE static inline __attribute__((always_inline))
enum { LIST = 32, HEADER = 16 };

// A kernel scores N rows at once; N is 1 or 4 and known when it is compiled.
// dim counts components, but words for hamming and i1. u[k] is row k's sum.

INLINE __m128i transpose4(const __m128i *a) {
	__m128i ab = _mm_hadd_epi32(a[0], a[1]), cd = _mm_hadd_epi32(a[2], a[3]);
	return _mm_hadd_epi32(ab, cd);
}

INLINE void store(int N, const __m128i *a, int32_t *u) {
	if (N == 4) {
		_mm_storeu_si128((__m128i *)u, transpose4(a));
		return;
	}
	__m128i t = _mm_hadd_epi32(a[0], a[0]);
	u[0] = _mm_cvtsi128_si32(_mm_hadd_epi32(t, t));
}

INLINE void storef(int N, const __m128 *a, float *u) {
	if (N == 4) {
		_mm_storeu_ps(u, _mm_hadd_ps(_mm_hadd_ps(a[0], a[1]), _mm_hadd_ps(a[2], a[3])));
		return;
	}
	__m128 t = _mm_hadd_ps(a[0], a[0]);
	u[0] = _mm_cvtss_f32(_mm_hadd_ps(t, t));
}

INLINE __m128i narrow(__m256i a) { return _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1)); }
INLINE __m128 narrowf(__m256 a) { return _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1)); }

#ifdef __AVX512F__

typedef __m512i vec;
typedef __m512 vecf;

INLINE void finish(int N, const vec *a, int32_t *u) {
	__m128i x[4];
	for (int k = 0; k < N; k++) x[k] = narrow(_mm256_add_epi32(_mm512_castsi512_si256(a[k]), _mm512_extracti64x4_epi64(a[k], 1)));
	store(N, x, u);
}

INLINE void finishf(int N, const vecf *a, float *u) {
	__m128 x[4];
	for (int k = 0; k < N; k++) {
		__m256 hi = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(a[k]), 1));
		x[k] = narrowf(_mm256_add_ps(_mm512_castps512_ps256(a[k]), hi));
	}
	storef(N, x, u);
}

INLINE void f32(int N, int l2, const float *q, const float *const *r, size_t n, float *u) {
	vecf a[4], b[4];
	for (int k = 0; k < N; k++) a[k] = b[k] = _mm512_setzero_ps();
	size_t j = 0;
	for (; j + 32 <= n; j += 32) {
		vecf x = _mm512_loadu_ps(q + j), y = _mm512_loadu_ps(q + j + 16);
		for (int k = 0; k < N; k++) {
			vecf v = _mm512_loadu_ps(r[k] + j), w = _mm512_loadu_ps(r[k] + j + 16);
			vecf d = l2 ? _mm512_sub_ps(x, v) : v, e = l2 ? _mm512_sub_ps(y, w) : w;
			a[k] = _mm512_fmadd_ps(d, l2 ? d : x, a[k]);
			b[k] = _mm512_fmadd_ps(e, l2 ? e : y, b[k]);
		}
	}
	for (; j < n; j += 16) {
		__mmask16 m = n - j >= 16 ? 0xffff : (1u << (n - j)) - 1;
		vecf x = _mm512_maskz_loadu_ps(m, q + j);
		for (int k = 0; k < N; k++) {
			vecf v = _mm512_maskz_loadu_ps(m, r[k] + j), d = l2 ? _mm512_sub_ps(x, v) : v;
			a[k] = _mm512_fmadd_ps(d, l2 ? d : x, a[k]);
		}
	}
	for (int k = 0; k < N; k++) a[k] = _mm512_add_ps(a[k], b[k]);
	finishf(N, a, u);
}

INLINE __mmask64 first(size_t n) { return n >= 64 ? ~0ull : (1ull << n) - 1; }

INLINE void u8l2(int N, const uint8_t *q, const uint8_t *const *r, size_t n, int32_t *u) {
	vec a[4], zero = _mm512_setzero_si512();
	for (int k = 0; k < N; k++) a[k] = zero;
	for (size_t j = 0; j < n; j += 64) {
		__mmask64 m = first(n - j);
		vec x = _mm512_maskz_loadu_epi8(m, q + j);
		for (int k = 0; k < N; k++) {
			vec v = _mm512_maskz_loadu_epi8(m, r[k] + j);
			vec d = _mm512_or_si512(_mm512_subs_epu8(x, v), _mm512_subs_epu8(v, x));
			vec lo = _mm512_unpacklo_epi8(d, zero), hi = _mm512_unpackhi_epi8(d, zero);
			a[k] = _mm512_dpwssd_epi32(_mm512_dpwssd_epi32(a[k], lo, lo), hi, hi);
		}
	}
	finish(N, a, u);
}

INLINE void i8(int N, const uint8_t *q, const uint8_t *const *r, size_t n, int32_t *u) {
	vec a[4];
	for (int k = 0; k < N; k++) a[k] = _mm512_setzero_si512();
	size_t j = 0;
	for (; j + 64 <= n; j += 64) {
		vec x = _mm512_loadu_si512(q + j);
		for (int k = 0; k < N; k++) a[k] = _mm512_dpbusd_epi32(a[k], x, _mm512_loadu_si512(r[k] + j));
	}
	if (j < n) {
		vec x = _mm512_maskz_loadu_epi8(first(n - j), q + j);
		for (int k = 0; k < N; k++) a[k] = _mm512_dpbusd_epi32(a[k], x, _mm512_maskz_loadu_epi8(first(n - j), r[k] + j));
	}
	finish(N, a, u);
}

INLINE void i4(int N, const int8_t *q, const uint8_t *const *r, size_t n, int32_t *u) {
	vec a[4], low = _mm512_set1_epi8(15);
	size_t h = (n + 1) / 2, g = n / 2;
	for (int k = 0; k < N; k++) a[k] = _mm512_setzero_si512();
	for (size_t j = 0; j < h; j += 64) {
		__mmask64 m = first(h - j);
		vec x = _mm512_maskz_loadu_epi8(m, q + j), y = _mm512_maskz_loadu_epi8(j < g ? first(g - j) : 0, q + h + j);
		for (int k = 0; k < N; k++) {
			vec c = _mm512_maskz_loadu_epi8(m, r[k] + j);
			a[k] = _mm512_dpbusd_epi32(a[k], _mm512_and_si512(c, low), x);
			a[k] = _mm512_dpbusd_epi32(a[k], _mm512_and_si512(_mm512_srli_epi16(c, 4), low), y);
		}
	}
	finish(N, a, u);
}

INLINE void i1(int N, const uint64_t *q, const uint8_t *const *r, size_t w, int32_t *u) {
	vec a[4][4];
	for (int k = 0; k < N; k++)
		for (int p = 0; p < 4; p++) a[k][p] = _mm512_setzero_si512();
	for (size_t j = 0; j < w; j += 8) {
		__mmask8 m = first(w - j);
		vec x[4];
		for (int p = 0; p < 4; p++) x[p] = _mm512_maskz_loadu_epi64(m, q + p * w + j);
		for (int k = 0; k < N; k++) {
			vec c = _mm512_maskz_loadu_epi64(m, r[k] + 8 * j);
			for (int p = 0; p < 4; p++) a[k][p] = _mm512_add_epi64(a[k][p], _mm512_popcnt_epi64(_mm512_and_si512(c, x[p])));
		}
	}
	vec s[4];
	for (int k = 0; k < N; k++) {
		s[k] = _mm512_add_epi64(a[k][0], _mm512_slli_epi64(a[k][1], 1));
		s[k] = _mm512_add_epi64(s[k], _mm512_add_epi64(_mm512_slli_epi64(a[k][2], 2), _mm512_slli_epi64(a[k][3], 3)));
	}
	finish(N, s, u);
}

INLINE void ham(int N, const uint64_t *q, const uint8_t *const *r, size_t w, int32_t *u) {
	vec a[4];
	for (int k = 0; k < N; k++) a[k] = _mm512_setzero_si512();
	for (size_t j = 0; j < w; j += 8) {
		__mmask8 m = first(w - j);
		vec x = _mm512_maskz_loadu_epi64(m, q + j);
		for (int k = 0; k < N; k++) {
			vec c = _mm512_maskz_loadu_epi64(m, r[k] + 8 * j);
			a[k] = _mm512_add_epi64(a[k], _mm512_popcnt_epi64(_mm512_xor_si512(c, x)));
		}
	}
	finish(N, a, u);
}

#else

typedef __m256i vec;
typedef __m256 vecf;

INLINE void finish(int N, const vec *a, int32_t *u) {
	__m128i x[4];
	for (int k = 0; k < N; k++) x[k] = narrow(a[k]);
	store(N, x, u);
}

INLINE vec loadi(const void *p) { return _mm256_loadu_si256(p); }

INLINE void f32(int N, int l2, const float *q, const float *const *r, size_t n, float *u) {
	vecf a[4], b[4];
	for (int k = 0; k < N; k++) a[k] = b[k] = _mm256_setzero_ps();
	size_t j = 0;
	for (; j + 16 <= n; j += 16) {
		vecf x = _mm256_loadu_ps(q + j), y = _mm256_loadu_ps(q + j + 8);
		for (int k = 0; k < N; k++) {
			vecf v = _mm256_loadu_ps(r[k] + j), w = _mm256_loadu_ps(r[k] + j + 8);
			vecf d = l2 ? _mm256_sub_ps(x, v) : v, e = l2 ? _mm256_sub_ps(y, w) : w;
			a[k] = _mm256_fmadd_ps(d, l2 ? d : x, a[k]);
			b[k] = _mm256_fmadd_ps(e, l2 ? e : y, b[k]);
		}
	}
	__m128 s[4];
	for (int k = 0; k < N; k++) s[k] = narrowf(_mm256_add_ps(a[k], b[k]));
	storef(N, s, u);
	for (; j < n; j++)
		for (int k = 0; k < N; k++) {
			float d = l2 ? q[j] - r[k][j] : r[k][j];
			u[k] += d * (l2 ? d : q[j]);
		}
}

INLINE void u8l2(int N, const uint8_t *q, const uint8_t *const *r, size_t n, int32_t *u) {
	vec a[4], zero = _mm256_setzero_si256();
	for (int k = 0; k < N; k++) a[k] = zero;
	size_t j = 0;
	for (; j + 32 <= n; j += 32) {
		vec x = loadi(q + j);
		for (int k = 0; k < N; k++) {
			vec v = loadi(r[k] + j);
			vec d = _mm256_or_si256(_mm256_subs_epu8(x, v), _mm256_subs_epu8(v, x));
			vec lo = _mm256_unpacklo_epi8(d, zero), hi = _mm256_unpackhi_epi8(d, zero);
			a[k] = _mm256_add_epi32(a[k], _mm256_add_epi32(_mm256_madd_epi16(lo, lo), _mm256_madd_epi16(hi, hi)));
		}
	}
	finish(N, a, u);
	for (; j < n; j++)
		for (int k = 0; k < N; k++) u[k] += (q[j] - r[k][j]) * (q[j] - r[k][j]);
}

INLINE void i8(int N, const uint8_t *q, const uint8_t *const *r, size_t n, int32_t *u) {
	vec a[4];
	for (int k = 0; k < N; k++) a[k] = _mm256_setzero_si256();
	size_t j = 0;
	for (; j + 16 <= n; j += 16) {
		vec x = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(q + j)));
		for (int k = 0; k < N; k++) {
			vec v = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(r[k] + j)));
			a[k] = _mm256_add_epi32(a[k], _mm256_madd_epi16(x, v));
		}
	}
	finish(N, a, u);
	for (; j < n; j++)
		for (int k = 0; k < N; k++) u[k] += q[j] * (int8_t)r[k][j];
}

INLINE void i4(int N, const int8_t *q, const uint8_t *const *r, size_t n, int32_t *u) {
	vec a[4], low = _mm256_set1_epi8(15), one = _mm256_set1_epi16(1);
	size_t h = (n + 1) / 2, g = n / 2, j = 0;
	for (int k = 0; k < N; k++) a[k] = _mm256_setzero_si256();
	for (; j + 32 <= g; j += 32) {
		vec x = loadi(q + j), y = loadi(q + h + j);
		for (int k = 0; k < N; k++) {
			vec c = loadi(r[k] + j);
			vec s = _mm256_maddubs_epi16(_mm256_and_si256(c, low), x);
			vec t = _mm256_maddubs_epi16(_mm256_and_si256(_mm256_srli_epi16(c, 4), low), y);
			a[k] = _mm256_add_epi32(a[k], _mm256_madd_epi16(_mm256_add_epi16(s, t), one));
		}
	}
	finish(N, a, u);
	for (; j < h; j++)
		for (int k = 0; k < N; k++) u[k] += q[j] * (r[k][j] & 15) + (j < g ? q[h + j] * (r[k][j] >> 4) : 0);
}

INLINE vec ones(vec x) {
	const vec table = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
	const vec low = _mm256_set1_epi8(15);
	vec lo = _mm256_shuffle_epi8(table, _mm256_and_si256(x, low));
	return _mm256_add_epi8(lo, _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(x, 4), low)));
}

INLINE void i1(int N, const uint64_t *q, const uint8_t *const *r, size_t w, int32_t *u) {
	vec a[4];
	for (int k = 0; k < N; k++) a[k] = _mm256_setzero_si256();
	size_t j = 0;
	for (; j + 4 <= w; j += 4) {
		vec x[4];
		for (int p = 0; p < 4; p++) x[p] = loadi(q + p * w + j);
		for (int k = 0; k < N; k++) {
			vec c = loadi(r[k] + 8 * j), s = ones(_mm256_and_si256(c, x[3]));
			for (int p = 2; p >= 0; p--) s = _mm256_add_epi8(_mm256_add_epi8(s, s), ones(_mm256_and_si256(c, x[p])));
			a[k] = _mm256_add_epi64(a[k], _mm256_sad_epu8(s, _mm256_setzero_si256()));
		}
	}
	finish(N, a, u);
	for (; j < w; j++)
		for (int k = 0; k < N; k++) {
			uint64_t c;
			memcpy(&c, r[k] + 8 * j, 8);
			for (int p = 0; p < 4; p++) u[k] += __builtin_popcountll(c & q[p * w + j]) << p;
		}
}

INLINE void ham(int N, const uint64_t *q, const uint8_t *const *r, size_t w, int32_t *u) {
	vec a[4];
	for (int k = 0; k < N; k++) a[k] = _mm256_setzero_si256();
	size_t j = 0;
	for (; j + 4 <= w; j += 4) {
		vec x = loadi(q + j);
		for (int k = 0; k < N; k++)
			a[k] = _mm256_add_epi64(a[k], _mm256_sad_epu8(ones(_mm256_xor_si256(loadi(r[k] + 8 * j), x)), _mm256_setzero_si256()));
	}
	finish(N, a, u);
	for (; j < w; j++)
		for (int k = 0; k < N; k++) {
			uint64_t c;
			memcpy(&c, r[k] + 8 * j, 8);
			u[k] += __builtin_popcountll(c ^ q[j]);
		}
}

#endif

// score makes floats of sums by the headers of affine rows.
INLINE void score(int N, const float *k, const uint8_t *const *r, const int32_t *u, float *out) {
	for (int i = 0; i < N; i++) {
		float h[4];
		uint32_t word;
		memcpy(h, r[i], sizeof h);
		memcpy(&word, r[i] + 4, 4);
		word &= 0xffff0000;
		memcpy(&h[1], &word, 4);
		out[i] = ((k[0] + k[2] * h[1]) + (k[3] * h[2] + k[4] * h[3])) + (k[1] * h[0]) * (float)u[i];
	}
}

static float coefficients[5] = {0.5f, 1, -1, 2, 3};

enum kind { DOT, L2, U8, I8, I4, I1, HAM };

// rows scores N rows; results are float32 or int32.
INLINE void rows(int N, enum kind kind, const void *q, const uint8_t *const *r, size_t dim, void *out) {
	const uint8_t *codes[4];
	int32_t u[4];
	for (int k = 0; k < N; k++) codes[k] = r[k] + HEADER;
	switch (kind) {
	case DOT: f32(N, 0, q, (const float *const *)r, dim, out); return;
	case L2: f32(N, 1, q, (const float *const *)r, dim, out); return;
	case U8: u8l2(N, q, r, dim, out); return;
	case HAM: ham(N, q, r, dim, out); return;
	case I8: i8(N, q, codes, dim, u); break;
	case I4: i4(N, q, codes, dim, u); break;
	case I1: i1(N, q, codes, dim, u); break;
	}
	score(N, coefficients, r, u, out);
}

INLINE void fetch(const uint8_t *row, size_t bytes) {
	for (size_t at = 0; at < bytes; at += 64) _mm_prefetch(row + at, _MM_HINT_T1);
	_mm_prefetch(row + bytes - 1, _MM_HINT_T1);
}

// gather scores rows by id, four at a time, fetching rows ahead.
INLINE void gather(enum kind kind, const void *q, const uint8_t *base, size_t stride, size_t dim, const uint32_t *ids, size_t n, float *out) {
	size_t ahead = stride <= 160 ? 24 : stride <= 512 ? 16 : stride <= 1024 ? 8 : 4, i = 0;
	for (size_t j = 0; j < n && j < ahead; j++) fetch(base + ids[j] * stride, stride);
	for (; i + 4 <= n; i += 4) {
		const uint8_t *r[4];
		for (size_t j = i + ahead; j < i + ahead + 4 && j < n; j++) fetch(base + ids[j] * stride, stride);
		for (int k = 0; k < 4; k++) r[k] = base + ids[i + k] * stride;
		rows(4, kind, q, r, dim, out + i);
	}
	for (; i < n; i++) {
		const uint8_t *r = base + ids[i] * stride;
		rows(1, kind, q, &r, dim, out + i);
	}
}

// dense scores consecutive rows, as gather does without ids.
INLINE void dense(enum kind kind, const void *q, const uint8_t *base, size_t stride, size_t dim, size_t n, float *out) {
	size_t i = 0;
	for (; i + 4 <= n; i += 4, base += 4 * stride) {
		const uint8_t *r[4] = {base, base + stride, base + 2 * stride, base + 3 * stride};
		rows(4, kind, q, r, dim, out + i);
	}
	for (; i < n; i++, base += stride) rows(1, kind, q, &base, dim, out + i);
}

typedef void call(const void *q, const uint8_t *base, size_t stride, size_t dim, const uint32_t *ids, size_t n, float *out);

// An ENTRY is called as one of a library is: nothing is known of it where it is
// called.
#define ENTRY __attribute__((noipa))

#define SHAPES(kind) \
	static ENTRY float one_##kind(const void *q, const uint8_t *row, size_t dim) { \
		float out; \
		rows(1, kind, q, &row, dim, &out); \
		return out; \
	} \
	static ENTRY void pair_##kind(const void *q, const uint8_t *base, size_t stride, size_t dim, const uint32_t *ids, size_t n, float *out) { \
		for (size_t i = 0; i < n; i++) out[i] = one_##kind(q, base + ids[i] * stride, dim); \
	} \
	static ENTRY void gather_##kind(const void *q, const uint8_t *base, size_t stride, size_t dim, const uint32_t *ids, size_t n, float *out) { \
		gather(kind, q, base, stride, dim, ids, n, out); \
	} \
	static ENTRY void rows_##kind(const void *q, const uint8_t *base, size_t stride, size_t dim, const uint32_t *ids, size_t n, float *out) { \
		dense(kind, q, base + *ids * stride, stride, dim, n, out); \
	}
SHAPES(DOT)
SHAPES(L2)
SHAPES(U8)
SHAPES(I8)
SHAPES(I4)
SHAPES(I1)
SHAPES(HAM)

static const struct {
	const char *name;
	call *pair, *rows, *gather;
} kernels[] = {
	{"dot", pair_DOT, rows_DOT, gather_DOT}, {"l2", pair_L2, rows_L2, gather_L2}, {"u8", pair_U8, rows_U8, gather_U8},
	{"i8", pair_I8, rows_I8, gather_I8}, {"i4", pair_I4, rows_I4, gather_I4}, {"i1", pair_I1, rows_I1, gather_I1},
	{"hamming", pair_HAM, rows_HAM, gather_HAM},
};

// next is splitmix64.
static uint64_t next(uint64_t *s) {
	uint64_t z = *s += 0x9e3779b97f4a7c15;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

// fill draws n bytes that are float32 numbers from 1 to 2, for any bits will do
// as codes.
static void fill(uint8_t *p, size_t n) {
	uint64_t seed = 1;
	for (size_t i = 0; i + 8 <= n; i += 8) {
		uint64_t x = (next(&seed) & 0x007fffff007fffff) | 0x3f8000003f800000;
		memcpy(p + i, &x, 8);
	}
}

static long long now(void) {
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

int main(int argc, char **argv) {
	size_t bytes = argc > 1 ? strtoull(argv[1], 0, 10) : 1 << 28, huge = 2 << 20;
	uint8_t *mem = mmap(0, bytes + huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mem == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	mem += (huge - (uintptr_t)mem % huge) % huge;
	madvise(mem, bytes, MADV_HUGEPAGE);
	fill(mem, bytes);
	char name[16], shape[16];
	size_t dim, stride, within, calls, at;
	enum { SUPPLY = 1 << 20 };
	uint32_t *ids = malloc(SUPPLY * sizeof *ids);
	size_t drawn = 0;
	uint8_t *q = aligned_alloc(64, 1 << 16);
	fill(q, 1 << 16);
	while (scanf("%15s %15s %zu %zu %zu %zu %zu", name, shape, &dim, &stride, &within, &calls, &at) == 7) {
		size_t count = within / stride - LIST, step = shape[0] == 'r' ? 1 : LIST;
		if (count != drawn) {
			uint64_t seed = count;
			for (size_t i = 0; i < SUPPLY; i++) ids[i] = next(&seed) % count;
			drawn = count;
		}
		for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++) {
			if (strcmp(name, kernels[i].name)) continue;
			call *f = shape[0] == 'p' ? kernels[i].pair : shape[0] == 'r' ? kernels[i].rows : kernels[i].gather;
			float out[LIST];
			memset(out, 0, sizeof out);
			long long start = now();
			for (size_t c = 0; c < calls; c++) {
				f(q, mem, stride, dim, ids + at, LIST, out);
				at = at + 2 * step > SUPPLY ? 0 : at + step;
			}
			long long spent = now() - start;
			double sum = 0;
			for (size_t j = 0; j < LIST; j++) {
				int32_t word;
				memcpy(&word, &out[j], 4);
				sum += name[0] == 'u' || name[0] == 'h' ? word : out[j];
			}
			printf("%lld %.9g\n", spent, sum);
			fflush(stdout);
		}
	}
	return 0;
}
