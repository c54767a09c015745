//go:build cgo

/* The two passes with AVX2. A weight has 24 bits and a pixel 8; the processor
 * multiplies and adds pairs of 16-bit numbers in one step, so each weight is cut
 * into 15 low bits and the rest, summed apart and joined at the end. All sums
 * are modulo 2^32, and the true result fits, so the result is exact. */
#include "passes.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(CAPTIONER_PORTABLE)
#include <immintrin.h>
#include <stdlib.h>
#include <string.h>

#define PRECISION 22
#define LOW 15
#define AVX2 __attribute__((target("avx2")))

int captioner_has_avx2(void) { return __builtin_cpu_supports("avx2") != 0; }

static unsigned char clip(int sum)
{
	int v = sum >> PRECISION;
	return v < 0 ? 0 : v > 255 ? 255 : v;
}

/* Joins the two halves of a sum and rounds it to 8 bits, kept in 32. */
AVX2 static inline __m256i join(__m256i low, __m256i high)
{
	__m256i sum = _mm256_add_epi32(low, _mm256_slli_epi32(high, LOW));
	return _mm256_srai_epi32(_mm256_add_epi32(sum, _mm256_set1_epi32(1 << (PRECISION - 1))), PRECISION);
}

/* Four weights, each pair for four lanes: w0 w1 in the lower half, w2 w3 in the
 * upper one, as 16-bit pairs of the low bits and of the high bits. */
AVX2 static inline void spread(const int *weight, __m256i *low, __m256i *high)
{
	__m128i w = _mm_loadu_si128((const __m128i *)weight);
	__m128i l = _mm_and_si128(w, _mm_set1_epi32((1 << LOW) - 1)), h = _mm_srai_epi32(w, LOW);
	const __m256i pairs = _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1);
	*low = _mm256_permutevar8x32_epi32(_mm256_castsi128_si256(_mm_packs_epi32(l, l)), pairs);
	*high = _mm256_permutevar8x32_epi32(_mm256_castsi128_si256(_mm_packs_epi32(h, h)), pairs);
}

/* One output pixel of n rows, 1 <= n <= 4, so that weights are unpacked once for
 * all of them. Reads 16 bytes at each group of four pixels. */
AVX2 static inline void pixel(unsigned char *dst, ptrdiff_t dst_len, const unsigned char *src, ptrdiff_t src_len,
                              const int *weight, int groups, const int n)
{
	/* Of 4 pixels r0g0b0 r1g1b1 r2g2b2 r3g3b3: r0r1 g0g1 b0b1 and r2r3 g2g3 b2b3 as 16-bit pairs. */
	const __m256i pick = _mm256_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1,
	                                      6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1);
	__m256i low[4], high[4];
	for (int y = 0; y < n; y++) low[y] = high[y] = _mm256_setzero_si256();
	for (int g = 0; g < groups; g++) {
		__m256i wl, wh;
		spread(weight + 4 * g, &wl, &wh);
		for (int y = 0; y < n; y++) {
			__m256i p = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(src + y * src_len + 12 * g)));
			p = _mm256_shuffle_epi8(p, pick);
			low[y] = _mm256_add_epi32(low[y], _mm256_madd_epi16(p, wl));
			high[y] = _mm256_add_epi32(high[y], _mm256_madd_epi16(p, wh));
		}
	}
	for (int y = 0; y < n; y++) {
		/* The halves hold the sums of different taps: add them before rounding. */
		__m128i l = _mm_add_epi32(_mm256_castsi256_si128(low[y]), _mm256_extracti128_si256(low[y], 1));
		__m128i h = _mm_add_epi32(_mm256_castsi256_si128(high[y]), _mm256_extracti128_si256(high[y], 1));
		__m128i v = _mm256_castsi256_si128(join(_mm256_castsi128_si256(l), _mm256_castsi128_si256(h)));
		v = _mm_packus_epi16(_mm_packs_epi32(v, v), v);
		int rgb = _mm_cvtsi128_si32(v);
		unsigned char *d = dst + y * dst_len;
		d[0] = rgb;
		d[1] = rgb >> 8;
		d[2] = rgb >> 16;
	}
}

AVX2 void captioner_rows(unsigned char *dst, const unsigned char *src, int rows, ptrdiff_t row_len, int out_w,
                         const int *first, const int *weight, const int *groups, int stride)
{
	/* A group may read past the pixels that it needs: 9 bytes of other pixels and 4 of the load. */
	const ptrdiff_t past = 16;
	ptrdiff_t dst_len = (ptrdiff_t)3 * out_w;
	int y = 0;
	for (; y + 4 <= rows && (rows - y - 4) * row_len >= past; y += 4)
		for (int i = 0; i < out_w; i++)
			pixel(dst + y * dst_len + 3 * i, dst_len, src + y * row_len + (ptrdiff_t)3 * first[i], row_len,
			      weight + (ptrdiff_t)i * stride, groups[i], 4);
	if (y == rows) return;
	/* The last rows are read from a copy with room behind it. */
	ptrdiff_t left = (rows - y) * row_len;
	unsigned char *copy = malloc(left + past);
	if (!copy) abort(); /* as Go does when there is no memory */
	memcpy(copy, src + y * row_len, left);
	memset(copy + left, 0, past);
	for (ptrdiff_t k = 0; y < rows; y++, k++)
		for (int i = 0; i < out_w; i++)
			pixel(dst + y * dst_len + 3 * i, dst_len, copy + k * row_len + (ptrdiff_t)3 * first[i], row_len,
			      weight + (ptrdiff_t)i * stride, groups[i], 1);
	free(copy);
}

/* Sixteen bytes at x of one output row. An odd last row is paired with itself, at weight 0. */
AVX2 static inline void sixteen(unsigned char *dst, const unsigned char *src, ptrdiff_t row_len, const int *weight, int count)
{
	__m256i low0 = _mm256_setzero_si256(), low1 = low0, high0 = low0, high1 = low0;
	for (int k = 0; k < count; k += 2) {
		int w0 = weight[k], w1 = weight[k + 1]; /* 0 after the last: stride is even */
		const unsigned char *a = src + k * row_len, *b = k + 1 < count ? a + row_len : a;
		__m256i wl = _mm256_set1_epi32((w1 & 0x7fff) << 16 | (w0 & 0x7fff));
		__m256i wh = _mm256_set1_epi32((int)((unsigned)(w1 >> LOW) << 16 | ((unsigned)(w0 >> LOW) & 0xffff)));
		__m128i pa = _mm_loadu_si128((const __m128i *)a), pb = _mm_loadu_si128((const __m128i *)b);
		__m256i p0 = _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(pa, pb));
		__m256i p1 = _mm256_cvtepu8_epi16(_mm_unpackhi_epi8(pa, pb));
		low0 = _mm256_add_epi32(low0, _mm256_madd_epi16(p0, wl));
		high0 = _mm256_add_epi32(high0, _mm256_madd_epi16(p0, wh));
		low1 = _mm256_add_epi32(low1, _mm256_madd_epi16(p1, wl));
		high1 = _mm256_add_epi32(high1, _mm256_madd_epi16(p1, wh));
	}
	/* packs works in halves of 128 bits; the permutation puts the quarters in order. */
	__m256i v = _mm256_packs_epi32(join(low0, high0), join(low1, high1));
	v = _mm256_permute4x64_epi64(v, _MM_SHUFFLE(3, 1, 2, 0));
	_mm_storeu_si128((__m128i *)dst, _mm_packus_epi16(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1)));
}

AVX2 void captioner_columns(unsigned char *dst, const unsigned char *src, int out_h, ptrdiff_t row_len,
                            const int *first, const int *count, const int *weight, int stride)
{
	for (int i = 0; i < out_h; i++, dst += row_len, weight += stride) {
		const unsigned char *s = src + first[i] * row_len;
		ptrdiff_t x = 0;
		for (; x + 16 <= row_len; x += 16) sixteen(dst + x, s + x, row_len, weight, count[i]);
		for (; x < row_len; x++) {
			unsigned sum = 1u << (PRECISION - 1);
			for (int k = 0; k < count[i]; k++) sum += (unsigned)weight[k] * s[k * row_len + x];
			dst[x] = clip((int)sum);
		}
	}
}

#else

/* Other processors use the passes in Go. */
int captioner_has_avx2(void) { return 0; }

void captioner_rows(unsigned char *dst, const unsigned char *src, int rows, ptrdiff_t row_len, int out_w,
                    const int *first, const int *weight, const int *groups, int stride)
{
}

void captioner_columns(unsigned char *dst, const unsigned char *src, int out_h, ptrdiff_t row_len,
                       const int *first, const int *count, const int *weight, int stride)
{
}
#endif
