// The kernels of panels.h for processors with AVX-512. A tile of 12 rows and 32 columns fills 24 registers: its
// instruction is vfmadd, vdpbf16ps or vpdpbusd. Where the last two are missing, the words come in two halves, as for
// AVX2: see panels_avx2.cpp.
#include "panels.h"

#ifdef CAPTIONER_X86
#include <immintrin.h>

#include <cstring>

namespace panels {

#define ISA_AND(more) __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl" more)))
#define ISA ISA_AND("")
#define INLINE static inline __attribute__((always_inline))

namespace {

// ---- arithmetic on 16 floats

ISA INLINE __mmask16 first(int64_t n) { return n >= 16 ? 0xffff : (__mmask16)((1u << n) - 1); }

ISA INLINE __m512 exp16(__m512 x) {  // relative error below 2e-7
  x = _mm512_max_ps(_mm512_min_ps(x, _mm512_set1_ps(88.0f)), _mm512_set1_ps(-87.0f));
  const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)),
                                        _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const __m512 r =
      _mm512_fmadd_ps(n, _mm512_set1_ps(2.12194440e-4f), _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x));
  __m512 p = _mm512_set1_ps(1.9875691500e-4f);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.3981999507e-3f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(8.3334519073e-3f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(4.1665795894e-2f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.6666665459e-1f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.0000001201e-1f));
  p = _mm512_fmadd_ps(p, _mm512_mul_ps(r, r), _mm512_add_ps(r, _mm512_set1_ps(1.0f)));
  return _mm512_scalef_ps(p, n);
}

ISA INLINE __m512 inverse16(__m512 x) {  // 1/x by a step of Newton's, quicker than a division
  const __m512 y = _mm512_rcp14_ps(x);
  return _mm512_mul_ps(y, _mm512_fnmadd_ps(x, y, _mm512_set1_ps(2)));
}

ISA INLINE __m512 negative16(__m512 x) { return _mm512_sub_ps(_mm512_setzero_ps(), x); }

ISA INLINE __m512 sigmoid16(__m512 x) { return inverse16(_mm512_add_ps(_mm512_set1_ps(1), exp16(negative16(x)))); }

// x Φ(x) with the error function of Abramowitz and Stegun 7.1.26, absolute error below 2e-7.
ISA INLINE __m512 gelu16(__m512 x) {
  const __m512 z = _mm512_mul_ps(_mm512_abs_ps(x), _mm512_set1_ps(0.70710678f));
  const __m512 t = inverse16(_mm512_fmadd_ps(z, _mm512_set1_ps(0.3275911f), _mm512_set1_ps(1)));
  __m512 p = _mm512_set1_ps(1.061405429f);
  p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(-1.453152027f));
  p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(1.421413741f));
  p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(-0.284496736f));
  p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(0.254829592f));
  p = _mm512_mul_ps(p, t);
  const __m512 tail = _mm512_mul_ps(_mm512_mul_ps(p, exp16(negative16(_mm512_mul_ps(z, z)))), _mm512_set1_ps(0.5f));
  const __mmask16 below = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LT_OQ);  // Φ = tail below 0, 1 - tail above
  return _mm512_mul_ps(x, _mm512_mask_mov_ps(_mm512_sub_ps(_mm512_set1_ps(1), tail), below, tail));
}

// x/2 (1 + tanh(√(2/π) (x + 0.044715 x³))) is x sigmoid of twice that.
ISA INLINE __m512 gelu_tanh16(__m512 x) {
  const __m512 inner = _mm512_fmadd_ps(_mm512_mul_ps(x, x), _mm512_set1_ps(0.044715f), _mm512_set1_ps(1));
  return _mm512_mul_ps(x, sigmoid16(_mm512_mul_ps(_mm512_mul_ps(x, inner), _mm512_set1_ps(1.5957691216f))));
}

ISA INLINE __m512 act16(__m512 x, int act) {
  switch (act) {
    case GeluErf: return gelu16(x);
    case GeluTanh: return gelu_tanh16(x);
    case Relu: return _mm512_max_ps(x, _mm512_setzero_ps());
    case Silu: return _mm512_mul_ps(x, sigmoid16(x));
  }
  return x;
}

// 2^x with a relative error below 8e-5, for what is rounded to bfloat16: the rounding's is 2e-3.
ISA INLINE __m512 rough_exp2(__m512 x) {
  const __m512 n = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC), r = _mm512_sub_ps(x, n);
  __m512 p = _mm512_set1_ps(5.517101e-2f);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(2.426112e-1f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(6.932611e-1f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(9.999281e-1f));
  return _mm512_scalef_ps(p, n);
}

constexpr float log2_e = 1.44269504f;

ISA INLINE __m512 rough_sigmoid16(__m512 x) {
  return _mm512_rcp14_ps(_mm512_add_ps(rough_exp2(_mm512_mul_ps(x, _mm512_set1_ps(-log2_e))), _mm512_set1_ps(1)));
}

ISA INLINE __m512 clamp16(__m512 x, float most) {
  return _mm512_max_ps(_mm512_min_ps(x, _mm512_set1_ps(most)), _mm512_set1_ps(-most));
}

// act16 for results in bfloat16, in a quarter of the time. Φ(x) is nearly the sigmoid of x times a polynomial of x²:
// that changes x Φ(x) by less than 3e-5. The sigmoid's relative error is below 2e-4.
ISA INLINE __m512 rough_act16(__m512 x, int act) {
  const __m512 c = clamp16(x, act == Silu ? 80 : 6), u = _mm512_mul_ps(c, c);
  __m512 p;
  switch (act) {
    case GeluErf:
      p = _mm512_fmadd_ps(u, _mm512_set1_ps(-7.031852e-4f), _mm512_set1_ps(7.401199e-2f));
      p = _mm512_fmadd_ps(u, p, _mm512_set1_ps(1.595015f));
      return _mm512_mul_ps(x, rough_sigmoid16(_mm512_mul_ps(c, p)));
    case GeluTanh:
      p = _mm512_fmadd_ps(u, _mm512_set1_ps(0.07135481f), _mm512_set1_ps(1.5957691f));
      return _mm512_mul_ps(x, rough_sigmoid16(_mm512_mul_ps(c, p)));
    case Silu: return _mm512_mul_ps(x, rough_sigmoid16(c));
  }
  return act16(x, act);
}

// To bfloat16, to nearest, ties to even.
ISA INLINE __m256i bf16(__m512 x) {
  const __m512i i = _mm512_castps_si512(x);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(i, 16), _mm512_set1_epi32(1));
  const __m512i up = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff));
  return _mm512_cvtepi32_epi16(_mm512_srli_epi32(_mm512_add_epi32(i, up), 16));
}
ISA INLINE __m512 float16(__m256i x) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16)); }

ISA INLINE __m512 load(const float *p, __mmask16 m) { return _mm512_maskz_loadu_ps(m, p); }
ISA INLINE __m512 load(const uint16_t *p, __mmask16 m) { return float16(_mm256_maskz_loadu_epi16(m, p)); }

ISA INLINE float total(__m512 x) { return _mm512_reduce_add_ps(x); }

// ---- sums

// Multiply-and-add of each kind: 16 columns of words b with the word x of a row.
struct MacF32 {
  ISA INLINE __m512i run(__m512i c, __m512i x, __m512i b) {
    return _mm512_castps_si512(_mm512_fmadd_ps(_mm512_castsi512_ps(x), _mm512_castsi512_ps(b), _mm512_castsi512_ps(c)));
  }
};
struct MacBF16 {
  ISA_AND(",avx512bf16") INLINE __m512i run(__m512i c, __m512i x, __m512i b) {
    return _mm512_castps_si512(_mm512_dpbf16_ps(_mm512_castsi512_ps(c), (__m512bh)(x), (__m512bh)(b)));
  }
};
struct MacI8 {
  ISA_AND(",avx512vnni") INLINE __m512i run(__m512i c, __m512i x, __m512i b) { return _mm512_dpbusd_epi32(c, x, b); }
};

// tile gives the sums of R rows and one panel. It may use every instruction that one of the kinds needs, but takes only
// those that its kind names.
template <class Mac, int R>
ISA_AND(",avx512bf16,avx512vnni")
void tile(const uint32_t *a, int64_t step, const uint32_t *b, int64_t words, uint32_t *out) {
  __m512i c[R][2];
#pragma GCC unroll 12
  for (int r = 0; r < R; r++) c[r][0] = c[r][1] = _mm512_setzero_si512();
  for (int64_t w = 0; w < words; w++, b += columns) {
    const __m512i b0 = _mm512_load_si512(b), b1 = _mm512_load_si512(b + 16);
#pragma GCC unroll 12
    for (int r = 0; r < R; r++) {
      const __m512i x = _mm512_set1_epi32((int)a[r * step + w]);
      c[r][0] = Mac::run(c[r][0], x, b0);
      c[r][1] = Mac::run(c[r][1], x, b1);
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < R; r++) {
    _mm512_store_si512(out + r * columns, c[r][0]);
    _mm512_store_si512(out + r * columns + 16, c[r][1]);
  }
}

// The halves of words, for processors without the kind's own instruction.
struct WideBF16 {
  ISA INLINE __m512i weights(__m512i b, int half) {
    return half ? _mm512_and_si512(b, _mm512_set1_epi32((int)0xffff0000)) : _mm512_slli_epi32(b, 16);
  }
  ISA INLINE __m512i run(__m512i c, __m512i x, __m512i b) { return MacF32::run(c, x, b); }
};
struct WideI8 {
  ISA INLINE __m512i weights(__m512i b, int half) {
    return _mm512_srai_epi16(half ? b : _mm512_slli_epi16(b, 8), 8);
  }
  ISA INLINE __m512i run(__m512i c, __m512i x, __m512i b) { return _mm512_add_epi32(c, _mm512_madd_epi16(x, b)); }
};

template <class Mac, int R>
ISA void tile_wide(const uint32_t *a, int64_t step, const uint32_t *b, int64_t words, uint32_t *out) {
  __m512i c[R][2];
#pragma GCC unroll 12
  for (int r = 0; r < R; r++) c[r][0] = c[r][1] = _mm512_setzero_si512();
  for (int64_t w = 0; w < words; w++, b += columns) {
#pragma GCC unroll 2
    for (int half = 0; half < 2; half++) {
      const __m512i b0 = Mac::weights(_mm512_load_si512(b), half), b1 = Mac::weights(_mm512_load_si512(b + 16), half);
#pragma GCC unroll 12
      for (int r = 0; r < R; r++) {
        const __m512i x = _mm512_set1_epi32((int)a[r * step + 2 * w + half]);
        c[r][0] = Mac::run(c[r][0], x, b0);
        c[r][1] = Mac::run(c[r][1], x, b1);
      }
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < R; r++) {
    _mm512_store_si512(out + r * columns, c[r][0]);
    _mm512_store_si512(out + r * columns + 16, c[r][1]);
  }
}

#define TILES(F, MAC)                                                                                   \
  {F<MAC, 1>, F<MAC, 2>, F<MAC, 3>, F<MAC, 4>,  F<MAC, 5>,  F<MAC, 6>,                                  \
   F<MAC, 7>, F<MAC, 8>, F<MAC, 9>, F<MAC, 10>, F<MAC, 11>, F<MAC, 12>}
const Tile tiles[3][tallest] = {TILES(tile, MacF32), TILES(tile, MacBF16), TILES(tile, MacI8)};
const Tile wide_tiles[3][tallest] = {TILES(tile, MacF32), TILES(tile_wide, WideBF16), TILES(tile_wide, WideI8)};

// ---- results

// Half is what turns the sums of 16 columns into numbers; scale and sum matter for I8 only.
struct Half {
  __mmask16 there;  // the columns that the weight has
  __m512 scale;
  __m512i sum;
};

ISA INLINE Half half(const Weights &w, int64_t column) {
  const __mmask16 there = w.n > column ? first(w.n - column) : 0;
  if (w.kind != I8) return {there, _mm512_setzero_ps(), _mm512_setzero_si512()};
  return {there, load(w.scale + column, there), _mm512_maskz_loadu_epi32(there, w.sum + column)};
}

// value is a sum as a number: 16 columns of a row.
ISA INLINE __m512 value(const uint32_t *sums, Kind kind, const Half &h, const Rows &x, int64_t row) {
  const __m512i s = _mm512_load_si512(sums);
  if (kind != I8) return _mm512_castsi512_ps(s);
  const __m512i zeros = _mm512_mullo_epi32(h.sum, _mm512_set1_epi32(x.zero[row]));
  const __m512 y = _mm512_cvtepi32_ps(_mm512_sub_epi32(s, zeros));
  return _mm512_mul_ps(y, _mm512_mul_ps(h.scale, _mm512_set1_ps(x.scale[row])));
}

// ---- the best columns

// add brings 32 columns of a row into its part of the softmax's denominator. top is the largest of them.
ISA INLINE void add(Part &part, __m512 a, __m512 b, __mmask16 ma, __mmask16 mb, float top) {
  if (!(top <= part.top)) {  // also where top is no number
    part.sum *= part.top == -INFINITY ? 0 : std::exp(part.top - top);
    part.top = top;
  }
  const __m512 from = _mm512_set1_ps(part.top);
  __m512 e = _mm512_maskz_mov_ps(ma, exp16(_mm512_sub_ps(a, from)));
  e = _mm512_mask_add_ps(e, mb, e, exp16(_mm512_sub_ps(b, from)));
  part.sum += total(e);
}

// offer_all offers the columns c… of a row to its best ones.
ISA INLINE void offer_all(const Ranking &to, int64_t row, __m512 a, __m512 b, int64_t c, int64_t n) {
  Best &best = to.best[row];
  alignas(64) float v[columns];
  _mm512_store_ps(v, a);
  _mm512_store_ps(v + 16, b);
  const int32_t *ban = to.ban + (to.ban_end && row ? to.ban_end[row - 1] : 0);
  const int32_t *ban_end = to.ban + (to.ban_end ? to.ban_end[row] : 0);
  for (int64_t j = 0; j < columns && c + j < n; j++)
    if (best.heap.size() < to.k || v[j] > best.least) best.offer(v[j], (int32_t)(c + j), to.k, ban, ban_end);
}

// ---- inputs

template <class E>
ISA void mean_and_inverse(const E *x, int64_t k, float eps, __m512 *mean, __m512 *inverse) {
  __m512 sum = _mm512_setzero_ps(), squares = _mm512_setzero_ps();
  for (int64_t i = 0; i < k; i += 16) sum = _mm512_add_ps(sum, load(x + i, first(k - i)));
  *mean = _mm512_set1_ps(total(sum) / (float)k);
  for (int64_t i = 0; i < k; i += 16) {
    const __m512 d = _mm512_maskz_sub_ps(first(k - i), load(x + i, first(k - i)), *mean);
    squares = _mm512_fmadd_ps(d, d, squares);
  }
  *inverse = _mm512_set1_ps(1 / std::sqrt(total(squares) / (float)k + eps));
}

// quantize writes a row of floats from low to high as 8-bit numbers without sign, and its scale and zero.
ISA void quantize(const float *values, float low, float high, const Row &row) {
  const float s = std::max((high - low) / 255, 1e-30f);
  const int z = _mm_cvtss_si32(_mm_set_ss(-low / s));
  *row.scale = s;
  *row.zero = z;
  const __m512 to_q = _mm512_set1_ps(1 / s);
  const __m512i z16 = _mm512_set1_epi32(z);
  for (int64_t i = 0; i < row.k; i += 16) {
    const __mmask16 m = first(row.k - i);
    const __m512i q = _mm512_add_epi32(_mm512_cvtps_epi32(_mm512_mul_ps(load(values + i, m), to_q)), z16);
    _mm_mask_storeu_epi8((uint8_t *)row.out + i, m,
                         _mm512_cvtusepi32_epi8(_mm512_max_epi32(q, _mm512_setzero_si512())));
  }
  for (int64_t i = row.k; i < 4 * row.words; i++) ((uint8_t *)row.out)[i] = 0;
}

template <class E>
ISA void prepare_row(const E *x, const Norm *norm, Kind kind, const Row &row) {
  const int64_t k = row.k;
  __m512 mean = _mm512_setzero_ps(), inverse = _mm512_set1_ps(1);
  if (norm) mean_and_inverse(x, k, norm->eps, &mean, &inverse);
  float *to = kind == F32 ? (float *)row.out : row.values;
  __m512 low = _mm512_setzero_ps(), high = low;  // zero is among the values that a row can say exactly
  for (int64_t i = 0; i < k; i += 16) {
    const __mmask16 m = first(k - i);
    __m512 v = load(x + i, m);
    if (norm) {
      const __m512 normal = _mm512_mul_ps(_mm512_sub_ps(v, mean), inverse);
      v = _mm512_fmadd_ps(normal, load(norm->weight + i, m), load(norm->bias + i, m));
    }
    if (kind == BF16) {
      _mm256_mask_storeu_epi16((uint16_t *)row.out + i, m, bf16(v));
      continue;
    }
    low = _mm512_mask_min_ps(low, m, low, v);
    high = _mm512_mask_max_ps(high, m, high, v);
    _mm512_mask_storeu_ps(to + i, m, v);
  }
  if (kind == BF16 && k < 2 * row.words) ((uint16_t *)row.out)[k] = 0;
  if (kind == I8) quantize(row.values, _mm512_reduce_min_ps(low), _mm512_reduce_max_ps(high), row);
}

}  // namespace

Path avx512_path(Kind kind, bool own_instruction) {
  const bool wide = kind != F32 && !own_instruction;
  return {wide ? wide_tiles[kind] : tiles[kind], tallest, wide, true};
}

namespace avx512 {

ISA void finish(const uint32_t *sums, int64_t r0, int64_t count, int64_t panel, const Weights &w, const Rows &x,
                const Finish &f) {
  for (int64_t i = 0; i < columns; i += 16) {
    const int64_t c = panel * columns + i;
    if (c >= w.n) return;
    const Half h = half(w, c);
    const __m512 bias = f.bias ? load(f.bias + c, h.there) : _mm512_setzero_ps();
    for (int64_t r = 0; r < count; r++) {
      const int64_t row = r0 + r;
      __m512 y = _mm512_add_ps(value(sums + r * columns + i, w.kind, h, x, row), bias);
      if (f.act) y = f.y ? act16(y, f.act) : rough_act16(y, f.act);
      if (f.residual) y = _mm512_add_ps(y, load(f.residual + row * f.step + c, h.there));
      if (f.y) _mm512_mask_storeu_ps(f.y + row * f.step + c, h.there, y);
      else _mm256_mask_storeu_epi16(f.y16 + row * f.step + c, h.there, bf16(y));
    }
  }
}

ISA void rank(const uint32_t *sums, int64_t r0, int64_t count, int64_t panel, const Weights &w, const Rows &x,
              const Ranking &to) {
  const __m512 none = _mm512_set1_ps(-INFINITY);
  const int64_t c = panel * columns;
  const Half ha = half(w, c), hb = half(w, c + 16);
  for (int64_t i = 0; i < count; i++, sums += columns) {
    const int64_t row = r0 + i;
    const __m512 a = _mm512_mask_mov_ps(none, ha.there, value(sums, w.kind, ha, x, row));
    const __m512 b = _mm512_mask_mov_ps(none, hb.there, value(sums + 16, w.kind, hb, x, row));
    const float top = _mm512_reduce_max_ps(_mm512_max_ps(a, b));
    add(to.parts[row * to.parts_step], a, b, ha.there, hb.there, top);
    if (to.best[row].heap.size() < to.k || top > to.best[row].least) offer_all(to, row, a, b, c, w.n);
  }
}

void prepare(const float *x, const Norm *norm, Kind kind, const Row &row) { prepare_row(x, norm, kind, row); }
void prepare(const uint16_t *x, const Norm *norm, Kind kind, const Row &row) { prepare_row(x, norm, kind, row); }

// ---- attention

template <class E>
ISA void load_one(const E *qkv, int64_t t, int64_t width, float scale, const HeadOf &h) {
  float *kt = h.k + t / columns * columns * h.size + t % columns;
  for (int64_t d = 0; d < h.size; d += 16) {
    const __mmask16 m = first(h.size - d);
    alignas(64) float key[16];
    _mm512_mask_storeu_ps(h.q + t * h.size + d, m, _mm512_mul_ps(load(qkv + d, m), _mm512_set1_ps(scale)));
    _mm512_store_ps(key, load(qkv + width + d, m));
    for (int64_t i = 0; i < 16 && d + i < h.size; i++) kt[(d + i) * columns] = key[i];
    float *value = h.v + d / columns * columns * h.len + t * columns + d % columns;
    _mm512_mask_storeu_ps(value, m, load(qkv + 2 * width + d, m));
  }
}

void load_token(const float *qkv, int64_t t, int64_t width, float scale, const HeadOf &h) {
  load_one(qkv, t, width, scale, h);
}
void load_token(const uint16_t *qkv, int64_t t, int64_t width, float scale, const HeadOf &h) {
  load_one(qkv, t, width, scale, h);
}

// soften is softmax over a row of len logits.
ISA void soften(float *x, int64_t len) {
  __m512 top = _mm512_set1_ps(-INFINITY), sum = _mm512_setzero_ps();
  for (int64_t i = 0; i < len; i += 16) {
    const __mmask16 m = first(len - i);
    top = _mm512_mask_max_ps(top, m, top, load(x + i, m));
  }
  top = _mm512_set1_ps(_mm512_reduce_max_ps(top));
  for (int64_t i = 0; i < len; i += 16) {
    const __mmask16 m = first(len - i);
    const __m512 e = exp16(_mm512_sub_ps(load(x + i, m), top));
    sum = _mm512_mask_add_ps(sum, m, sum, e);
    _mm512_mask_storeu_ps(x + i, m, e);
  }
  const __m512 norm = _mm512_set1_ps(1 / total(sum));
  for (int64_t i = 0; i < len; i += 16) {
    const __mmask16 m = first(len - i);
    _mm512_mask_storeu_ps(x + i, m, _mm512_mul_ps(load(x + i, m), norm));
  }
}

// ---- attention in bfloat16

void load_key(const uint16_t *key, int64_t t, const HalfHeadOf &h) {
  const int64_t words = h.size / 2;
  uint32_t *to = h.k + t / columns * words * columns + t % columns, word;
  for (int64_t i = 0; i < words; i++) {
    memcpy(&word, key + 2 * i, 4);
    to[i * columns] = word;
  }
}

ISA void load_values(const uint16_t *a, const uint16_t *b, int64_t t, const HalfHeadOf &h) {
  const int64_t words = (h.len + 1) / 2;
  for (int64_t d = 0; d < h.size; d += 16) {
    const __mmask16 m = first(h.size - d);
    const __m512i even = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(m, a + d));
    const __m512i odd = b ? _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(m, b + d)) : _mm512_setzero_si512();
    uint32_t *to = h.v + d / columns * words * columns + t / 2 * columns + d % columns;
    _mm512_store_si512(to, _mm512_or_si512(even, _mm512_slli_epi32(odd, 16)));
  }
}

ISA void lean(float *x, int64_t step, int64_t len, const float *bias, float by) {
  const __m512 times = _mm512_set1_ps(by);
  for (int64_t i = 0; i < len; i += 16) {
    float *at = x + i / columns * step + i % columns;
    _mm512_store_ps(at, _mm512_fmadd_ps(load(bias + i, first(len - i)), times, _mm512_load_ps(at)));
  }
}

ISA_AND(",avx512bf16") float soften_half(const float *x, int64_t step, int64_t len, float scale, uint16_t *out) {
  __m512 top = _mm512_set1_ps(-INFINITY), sum = _mm512_setzero_ps();
  const float *p = x;
  for (int64_t i = 0; i < len; i += columns, p += step) {
    top = _mm512_mask_max_ps(top, first(len - i), top, _mm512_load_ps(p));
    if (len - i > 16) top = _mm512_mask_max_ps(top, first(len - i - 16), top, _mm512_load_ps(p + 16));
  }
  const __m512 by = _mm512_set1_ps(scale * log2_e), from = _mm512_mul_ps(_mm512_set1_ps(_mm512_reduce_max_ps(top)), by);
  p = x;
  for (int64_t i = 0; i < len; i += columns, p += step) {
    const __mmask16 ma = first(len - i), mb = len - i > 16 ? first(len - i - 16) : 0;
    const __m512 a = _mm512_maskz_mov_ps(ma, rough_exp2(_mm512_fmsub_ps(_mm512_load_ps(p), by, from)));
    const __m512 b = _mm512_maskz_mov_ps(mb, rough_exp2(_mm512_fmsub_ps(_mm512_load_ps(p + 16), by, from)));
    sum = _mm512_add_ps(sum, _mm512_add_ps(a, b));
    _mm512_storeu_si512(out + i, (__m512i)_mm512_cvtne2ps_pbh(b, a));
  }
  return 1 / total(sum);
}

ISA_AND(",avx512bf16") void blend(const uint32_t *sums, int64_t count, const float *by, int64_t size, const Finish &f) {
  for (int64_t i = 0; i < columns && i < size; i += 16)
    for (int64_t r = 0; r < count; r++) {
      const __m512 y = _mm512_mul_ps(_mm512_load_ps(sums + r * columns + i), _mm512_set1_ps(by[r]));
      _mm256_mask_storeu_epi16(f.y16 + r * f.step + i, first(size - i), (__m256i)_mm512_cvtneps_pbh(y));
    }
}

}  // namespace avx512

}  // namespace panels
#endif
