// Products with weights laid out in panels, for processors with AVX-512: y = act(norm(x) Wᵀ + bias) + residual.
//
// A weight is cut into panels of 32 output columns (Goto and van de Geijn 2008); a panel holds, word by word along the input, 32 words of 4
// bytes: one float, two bfloat16 or four int8. The rows of x are prepared first: normalised, converted, quantized. Then a tile of up to 12 rows
// meets a panel in 24 registers, one instruction a word and 16 columns: vfmadd, vdpbf16ps or vpdpbusd. The sum of a result runs over the
// input in order, whatever the tile: a row gives the same bits in every batch and on any number of threads.
#pragma once
#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

namespace panels {

enum Kind { F32, BF16, I8 };
enum Act { None, GeluErf, GeluTanh, Relu, Silu };

constexpr int64_t columns = 32, tallest = 12;

#define AVX512 "avx512f,avx512bw,avx512dq,avx512vl"
#define ISA(more) __attribute__((target(AVX512 more)))
#define INLINE ISA("") static inline __attribute__((always_inline))

// Weights are columns: n of k inputs each, padded to whole panels and words with zeros.
struct Weights {
  Kind kind;
  int64_t n, k, words;
  const uint32_t *data;
  const float *scale;  // of each column; for I8
  const int32_t *sum;  // of each column's weights; for I8
};

// Rows are prepared inputs. With I8 a row is unsigned and asymmetric: x = scale (q - zero).
struct Rows {
  const uint32_t *data;
  int64_t step;  // words from row to row
  const float *scale;
  const int32_t *zero;
};

struct Norm {
  const float *weight, *bias;
  float eps;
};

// What is done with the sums: y = act(sums + bias) + residual.
struct Finish {
  const float *bias;      // [n], or null
  const float *residual;  // or null
  int act;
  int64_t step;   // from row to row of the residual and of y
  float *y;       // one of the two
  uint16_t *y16;  // in bfloat16
};

// ---- sums

#define TILE(NAME, MORE, MAC)                                                                                                \
  template <int R>                                                                                                           \
  ISA(MORE) void NAME(const uint32_t *a, int64_t step, const uint32_t *b, int64_t words, uint32_t *out) {                    \
    __m512i c[R][2];                                                                                                         \
    _Pragma("GCC unroll 12") for (int r = 0; r < R; r++) c[r][0] = c[r][1] = _mm512_setzero_si512();                         \
    for (int64_t w = 0; w < words; w++, b += columns) {                                                                      \
      const __m512i b0 = _mm512_load_si512(b), b1 = _mm512_load_si512(b + 16);                                               \
      _Pragma("GCC unroll 12") for (int r = 0; r < R; r++) {                                                                 \
        const __m512i x = _mm512_set1_epi32((int)a[r * step + w]);                                                           \
        c[r][0] = MAC(c[r][0], x, b0);                                                                                       \
        c[r][1] = MAC(c[r][1], x, b1);                                                                                       \
      }                                                                                                                      \
    }                                                                                                                        \
    _Pragma("GCC unroll 12") for (int r = 0; r < R; r++) {                                                                   \
      _mm512_store_si512(out + r * columns, c[r][0]);                                                                        \
      _mm512_store_si512(out + r * columns + 16, c[r][1]);                                                                   \
    }                                                                                                                        \
  }
#define FMA(c, x, b) _mm512_castps_si512(_mm512_fmadd_ps(_mm512_castsi512_ps(x), _mm512_castsi512_ps(b), _mm512_castsi512_ps(c)))
#define DOT16(c, x, b) _mm512_castps_si512(_mm512_dpbf16_ps(_mm512_castsi512_ps(c), (__m512bh)(x), (__m512bh)(b)))
#define DOT8(c, x, b) _mm512_dpbusd_epi32(c, x, b)
TILE(tile_f32, "", FMA)
TILE(tile_bf16, ",avx512bf16", DOT16)
TILE(tile_i8, ",avx512vnni", DOT8)

using Tile = void (*)(const uint32_t *a, int64_t step, const uint32_t *b, int64_t words, uint32_t *out);
#define TILES(f) {f<1>, f<2>, f<3>, f<4>, f<5>, f<6>, f<7>, f<8>, f<9>, f<10>, f<11>, f<12>}
static const Tile tiles[3][tallest] = {TILES(tile_f32), TILES(tile_bf16), TILES(tile_i8)};

// ---- arithmetic on 16 floats

INLINE __mmask16 first(int64_t n) { return n >= 16 ? 0xffff : (__mmask16)((1u << n) - 1); }

INLINE __m512 exp16(__m512 x) {  // relative error below 2e-7
  x = _mm512_max_ps(_mm512_min_ps(x, _mm512_set1_ps(88.0f)), _mm512_set1_ps(-87.0f));
  const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const __m512 r = _mm512_fmadd_ps(n, _mm512_set1_ps(2.12194440e-4f), _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x));
  __m512 p = _mm512_set1_ps(1.9875691500e-4f);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.3981999507e-3f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(8.3334519073e-3f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(4.1665795894e-2f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.6666665459e-1f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.0000001201e-1f));
  p = _mm512_fmadd_ps(p, _mm512_mul_ps(r, r), _mm512_add_ps(r, _mm512_set1_ps(1.0f)));
  return _mm512_scalef_ps(p, n);
}

INLINE __m512 inverse16(__m512 x) {  // 1/x by a step of Newton's, quicker than a division
  const __m512 y = _mm512_rcp14_ps(x);
  return _mm512_mul_ps(y, _mm512_fnmadd_ps(x, y, _mm512_set1_ps(2)));
}

INLINE __m512 sigmoid16(__m512 x) { return inverse16(_mm512_add_ps(_mm512_set1_ps(1), exp16(_mm512_sub_ps(_mm512_setzero_ps(), x)))); }

// x Φ(x) with the error function of Abramowitz and Stegun 7.1.26, absolute error below 2e-7.
INLINE __m512 gelu16(__m512 x) {
  const __m512 z = _mm512_mul_ps(_mm512_abs_ps(x), _mm512_set1_ps(0.70710678f));
  const __m512 t = inverse16(_mm512_fmadd_ps(z, _mm512_set1_ps(0.3275911f), _mm512_set1_ps(1)));
  __m512 p = _mm512_set1_ps(1.061405429f);
  p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(-1.453152027f));
  p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(1.421413741f));
  p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(-0.284496736f));
  p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(0.254829592f));
  p = _mm512_mul_ps(p, t);
  const __m512 tail = _mm512_mul_ps(_mm512_mul_ps(p, exp16(_mm512_sub_ps(_mm512_setzero_ps(), _mm512_mul_ps(z, z)))), _mm512_set1_ps(0.5f));
  const __mmask16 negative = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LT_OQ);  // Φ(x) = tail below 0, 1 - tail above
  return _mm512_mul_ps(x, _mm512_mask_mov_ps(_mm512_sub_ps(_mm512_set1_ps(1), tail), negative, tail));
}

// x/2 (1 + tanh(√(2/π) (x + 0.044715 x³))) is x sigmoid of twice that.
INLINE __m512 gelu_tanh16(__m512 x) {
  const __m512 inner = _mm512_fmadd_ps(_mm512_mul_ps(x, x), _mm512_set1_ps(0.044715f), _mm512_set1_ps(1));
  return _mm512_mul_ps(x, sigmoid16(_mm512_mul_ps(_mm512_mul_ps(x, inner), _mm512_set1_ps(1.5957691216f))));
}

INLINE __m512 act16(__m512 x, int act) {
  switch (act) {
    case GeluErf: return gelu16(x);
    case GeluTanh: return gelu_tanh16(x);
    case Relu: return _mm512_max_ps(x, _mm512_setzero_ps());
    case Silu: return _mm512_mul_ps(x, sigmoid16(x));
  }
  return x;
}

// To bfloat16, to nearest, ties to even.
INLINE __m256i bf16(__m512 x) {
  const __m512i i = _mm512_castps_si512(x);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(i, 16), _mm512_set1_epi32(1));
  return _mm512_cvtepi32_epi16(_mm512_srli_epi32(_mm512_add_epi32(i, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff))), 16));
}
INLINE __m512 float16(__m256i x) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16)); }

INLINE __m512 load(const float *p, __mmask16 m) { return _mm512_maskz_loadu_ps(m, p); }
INLINE __m512 load(const uint16_t *p, __mmask16 m) { return float16(_mm256_maskz_loadu_epi16(m, p)); }

// ---- results

// value is a sum as a number: 16 columns of a row.
INLINE __m512 value(const uint32_t *sums, Kind kind, __m512 scale, __m512i sum, const Rows &x, int64_t row) {
  const __m512i s = _mm512_load_si512(sums);
  if (kind != I8) return _mm512_castsi512_ps(s);
  const __m512 y = _mm512_cvtepi32_ps(_mm512_sub_epi32(s, _mm512_mullo_epi32(sum, _mm512_set1_epi32(x.zero[row]))));
  return _mm512_mul_ps(y, _mm512_mul_ps(scale, _mm512_set1_ps(x.scale[row])));
}

// finish turns the sums of rows r0… and one panel into results.
ISA("") static void finish(const uint32_t *sums, int64_t r0, int64_t count, int64_t panel, const Weights &w, const Rows &x, const Finish &f) {
  for (int64_t h = 0; h < 2; h++) {
    const int64_t c = panel * columns + 16 * h;
    if (c >= w.n) return;
    const __mmask16 m = first(w.n - c);
    const __m512 bias = f.bias ? load(f.bias + c, m) : _mm512_setzero_ps();
    const __m512 scale = w.kind == I8 ? load(w.scale + c, m) : _mm512_setzero_ps();
    const __m512i sum = w.kind == I8 ? _mm512_maskz_loadu_epi32(m, w.sum + c) : _mm512_setzero_si512();
    for (int64_t r = 0; r < count; r++) {
      const int64_t row = r0 + r;
      __m512 y = _mm512_add_ps(value(sums + r * columns + 16 * h, w.kind, scale, sum, x, row), bias);
      if (f.act) y = act16(y, f.act);
      if (f.residual) y = _mm512_add_ps(y, load(f.residual + row * f.step + c, m));
      if (f.y) _mm512_mask_storeu_ps(f.y + row * f.step + c, m, y);
      else _mm256_mask_storeu_epi16(f.y16 + row * f.step + c, m, bf16(y));
    }
  }
}

// multiply gives rows r0 to r1 times the panels p0 to p1.
ISA("") static void multiply(const Weights &w, const Rows &x, const Finish &f, int64_t r0, int64_t r1, int64_t p0, int64_t p1) {
  alignas(64) uint32_t sums[tallest * columns];
  for (int64_t p = p0; p < p1; p++)
    for (int64_t r = r0; r < r1; r += tallest) {
      const int64_t n = std::min(tallest, r1 - r);
      tiles[w.kind][n - 1](x.data + r * x.step, x.step, w.data + p * w.words * columns, w.words, sums);
      finish(sums, r, n, p, w, x, f);
    }
}

// ---- the best columns

// Best holds the best columns of a row so far, the worst of them on top.
struct Best {
  struct Entry {
    float value;
    int32_t column;
    bool operator<(const Entry &o) const { return value > o.value || value == o.value && column < o.column; }  // better; ties: the lower column
  };
  std::vector<Entry> heap;
  float least = -INFINITY;  // what a value must exceed to get in

  void offer(float v, int32_t column, size_t k, const int32_t *ban, const int32_t *ban_end) {
    if (std::find(ban, ban_end, column) != ban_end) return;
    if (heap.size() == k) {
      if (!(Entry{v, column} < heap.front())) return;
      std::pop_heap(heap.begin(), heap.end());
      heap.pop_back();
    }
    heap.push_back({v, column});
    std::push_heap(heap.begin(), heap.end());
    if (heap.size() == k) least = heap.front().value;
  }
};

// Part is the softmax's denominator over some columns: sum e^(x - top).
struct Part {
  float top, sum;
};

// rank brings the columns of the panels p0 to p1 into the parts and the best of r rows. ban lists columns that are not to be among the best.
ISA("") static void rank(const Weights &w, const Rows &x, int64_t r, int64_t p0, int64_t p1, size_t k, const int32_t *ban, const int64_t *ban_end,
                         Part *parts, int64_t parts_step, Best *best) {
  alignas(64) uint32_t sums[tallest * columns];
  for (int64_t i = 0; i < r; i++) parts[i * parts_step] = {-INFINITY, 0};
  for (int64_t p = p0; p < p1; p++)
    for (int64_t r0 = 0; r0 < r; r0 += tallest) {
      const int64_t n = std::min(tallest, r - r0);
      tiles[w.kind][n - 1](x.data + r0 * x.step, x.step, w.data + p * w.words * columns, w.words, sums);
      const int64_t c = p * columns;
      const __mmask16 m0 = first(w.n - c), m1 = w.n - c > 16 ? first(w.n - c - 16) : 0;
      const bool q = w.kind == I8;
      const __m512 s0 = q ? load(w.scale + c, m0) : _mm512_setzero_ps(), s1 = q ? load(w.scale + c + 16, m1) : s0;
      const __m512i t0 = q ? _mm512_maskz_loadu_epi32(m0, w.sum + c) : _mm512_setzero_si512(), t1 = q ? _mm512_maskz_loadu_epi32(m1, w.sum + c + 16) : t0;
      const __m512 none = _mm512_set1_ps(-INFINITY);
      for (int64_t i = 0; i < n; i++) {
        const int64_t row = r0 + i;
        const __m512 a = _mm512_mask_mov_ps(none, m0, value(sums + i * columns, w.kind, s0, t0, x, row));
        const __m512 b = _mm512_mask_mov_ps(none, m1, value(sums + i * columns + 16, w.kind, s1, t1, x, row));
        const float top = _mm512_reduce_max_ps(_mm512_max_ps(a, b));
        Part &part = parts[row * parts_step];
        if (!(top <= part.top)) {  // also where top is no number
          part.sum *= part.top == -INFINITY ? 0 : std::exp(part.top - top);
          part.top = top;
        }
        const __m512 from = _mm512_set1_ps(part.top);
        __m512 e = _mm512_maskz_mov_ps(m0, exp16(_mm512_sub_ps(a, from)));
        e = _mm512_mask_add_ps(e, m1, e, exp16(_mm512_sub_ps(b, from)));
        part.sum += _mm512_reduce_add_ps(e);
        Best &h = best[row];
        if (h.heap.size() == k && !(top > h.least)) continue;
        alignas(64) float v[columns];
        _mm512_store_ps(v, a);
        _mm512_store_ps(v + 16, b);
        const int64_t first_ban = ban_end && row ? ban_end[row - 1] : 0, last_ban = ban_end ? ban_end[row] : 0;
        for (int64_t j = 0; j < columns && c + j < w.n; j++)
          if (h.heap.size() < k || v[j] > h.least) h.offer(v[j], (int32_t)(c + j), k, ban + first_ban, ban + last_ban);
      }
    }
}

// ---- inputs

INLINE float total(__m512 x) { return _mm512_reduce_add_ps(x); }

// prepare writes a row of k numbers, normalised where norm is not null, as words of a kind; values has room for k floats.
template <class E>
ISA("") static void prepare(const E *x, int64_t k, int64_t words, const Norm *norm, Kind kind, float *values, uint32_t *out, float *scale, int32_t *zero) {
  __m512 mean = _mm512_setzero_ps(), inv = _mm512_set1_ps(1);
  if (norm) {
    __m512 sum = _mm512_setzero_ps(), squares = _mm512_setzero_ps();
    for (int64_t i = 0; i < k; i += 16) sum = _mm512_add_ps(sum, load(x + i, first(k - i)));
    mean = _mm512_set1_ps(total(sum) / (float)k);
    for (int64_t i = 0; i < k; i += 16) {
      const __m512 d = _mm512_maskz_sub_ps(first(k - i), load(x + i, first(k - i)), mean);
      squares = _mm512_fmadd_ps(d, d, squares);
    }
    inv = _mm512_set1_ps(1 / std::sqrt(total(squares) / (float)k + norm->eps));
  }
  float *to = kind == F32 ? (float *)out : values;
  __m512 low = _mm512_setzero_ps(), high = _mm512_setzero_ps();  // zero is among the values that a row can say exactly
  for (int64_t i = 0; i < k; i += 16) {
    const __mmask16 m = first(k - i);
    __m512 v = load(x + i, m);
    if (norm) v = _mm512_fmadd_ps(_mm512_mul_ps(_mm512_sub_ps(v, mean), inv), load(norm->weight + i, m), load(norm->bias + i, m));
    if (kind == BF16) {
      _mm256_mask_storeu_epi16((uint16_t *)out + i, m, bf16(v));
      continue;
    }
    low = _mm512_mask_min_ps(low, m, low, v);
    high = _mm512_mask_max_ps(high, m, high, v);
    _mm512_mask_storeu_ps(to + i, m, v);
  }
  if (kind == BF16 && k < 2 * words) ((uint16_t *)out)[k] = 0;
  if (kind != I8) return;
  const float lo = _mm512_reduce_min_ps(low), hi = _mm512_reduce_max_ps(high), s = std::max((hi - lo) / 255, 1e-30f);
  const int z = _mm_cvtss_si32(_mm_set_ss(-lo / s));
  *scale = s;
  *zero = z;
  const __m512 to_q = _mm512_set1_ps(1 / s);
  const __m512i z16 = _mm512_set1_epi32(z);
  for (int64_t i = 0; i < k; i += 16) {
    const __mmask16 m = first(k - i);
    const __m512i q = _mm512_add_epi32(_mm512_cvtps_epi32(_mm512_mul_ps(load(values + i, m), to_q)), z16);
    _mm_mask_storeu_epi8((uint8_t *)out + i, m, _mm512_cvtusepi32_epi8(_mm512_max_epi32(q, _mm512_setzero_si512())));
  }
  for (int64_t i = k; i < 4 * words; i++) ((uint8_t *)out)[i] = 0;
}

}  // namespace panels
