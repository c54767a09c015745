// What of panels.h goes before and after the sums, by loops that the compiler makes vectors of, for processors without
// AVX-512; and the sums of int8 for those that have not even AVX2. Sums of floats run in 16 lanes, in one order for
// every width of vectors.
#include "panels.h"

#include "vectorized.h"

namespace panels {

namespace {

#define INLINE static inline __attribute__((always_inline))

constexpr int lanes = 16;

// ---- arithmetic

INLINE float sigmoid(float x) {
  const float e = exp_neg(-__builtin_fabsf(x)), s = 1 / (1 + e);
  return x < 0 ? e * s : s;
}

// x Φ(x) with the error function of Abramowitz and Stegun 7.1.26, absolute error below 2e-7.
INLINE float gelu(float x) {
  const float z = __builtin_fabsf(x) * 0.70710678f, t = 1 / (1 + 0.3275911f * z);
  float p = 1.061405429f;
  p = p * t - 1.453152027f;
  p = p * t + 1.421413741f;
  p = p * t - 0.284496736f;
  p = p * t + 0.254829592f;
  const float tail = p * t * exp_neg(-z * z) * 0.5f;  // Φ = tail below 0, 1 - tail above
  return x * (x < 0 ? tail : 1 - tail);
}

// x/2 (1 + tanh(√(2/π) (x + 0.044715 x³))) is x sigmoid of twice that.
INLINE float gelu_tanh(float x) { return x * sigmoid(x * (1 + 0.044715f * x * x) * 1.5957691216f); }

FOR_EACH_WIDTH void activate(float *y, int act) {  // columns numbers
  switch (act) {
    case GeluErf:
      for (int j = 0; j < columns; j++) y[j] = gelu(y[j]);
      return;
    case GeluTanh:
      for (int j = 0; j < columns; j++) y[j] = gelu_tanh(y[j]);
      return;
    case Relu:
      for (int j = 0; j < columns; j++) y[j] = y[j] < 0 ? 0 : y[j];
      return;
    case Silu:
      for (int j = 0; j < columns; j++) y[j] = y[j] * sigmoid(y[j]);
      return;
  }
}

INLINE float total(const float *lane) {
  float sum = 0;
  for (int j = 0; j < lanes; j++) sum += lane[j];
  return sum;
}

// ---- bfloat16

INLINE float widen(uint16_t x) {
  const uint32_t u = (uint32_t)x << 16;
  float y;
  memcpy(&y, &u, 4);
  return y;
}

FOR_EACH_WIDTH void to_floats(const uint16_t *x, int64_t n, float *y) {
  for (int64_t i = 0; i < n; i++) y[i] = widen(x[i]);
}
void to_floats(const float *x, int64_t n, float *y) { memcpy(y, x, n * sizeof *y); }

// To bfloat16, to nearest, ties to even; what is no number stays none.
FOR_EACH_WIDTH void to_bf16(const float *x, int64_t n, uint16_t *y) {
  for (int64_t i = 0; i < n; i++) {
    uint32_t u;
    memcpy(&u, x + i, 4);
    y[i] = (u & 0x7fffffff) > 0x7f800000 ? 0x7fc0 : (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
  }
}

// ---- inputs

FOR_EACH_WIDTH void normalize(float *v, int64_t k, const float *weight, const float *bias, float eps) {
  float lane[lanes] = {0};
  int64_t i = 0;
  for (; i + lanes <= k; i += lanes)
    for (int j = 0; j < lanes; j++) lane[j] += v[i + j];
  for (; i < k; i++) lane[0] += v[i];
  const float mean = total(lane) / (float)k;
  float squares[lanes] = {0};
  for (i = 0; i + lanes <= k; i += lanes)
    for (int j = 0; j < lanes; j++) squares[j] += (v[i + j] - mean) * (v[i + j] - mean);
  for (; i < k; i++) squares[0] += (v[i] - mean) * (v[i] - mean);
  const float inverse = 1 / std::sqrt(total(squares) / (float)k + eps);
  for (i = 0; i < k; i++) v[i] = (v[i] - mean) * inverse * weight[i] + bias[i];
}

// quantize writes a row as 8-bit numbers without sign. Zero is among the values that it can say exactly. Adding and
// taking away 1.5 2²³ rounds to the nearest whole number, ties to even.
FOR_EACH_WIDTH void quantize(const float *v, int64_t k, uint8_t *q, float *scale, int32_t *zero) {
  float low[lanes] = {0}, high[lanes] = {0};
  int64_t i = 0;
  for (; i + lanes <= k; i += lanes)
    for (int j = 0; j < lanes; j++) {
      low[j] = v[i + j] < low[j] ? v[i + j] : low[j];
      high[j] = v[i + j] > high[j] ? v[i + j] : high[j];
    }
  for (; i < k; i++) low[0] = std::min(low[0], v[i]), high[0] = std::max(high[0], v[i]);
  for (int j = 1; j < lanes; j++) low[0] = std::min(low[0], low[j]), high[0] = std::max(high[0], high[j]);
  const float s = std::max((high[0] - low[0]) / 255, 1e-30f), to_q = 1 / s, round = 12582912.0f;
  const int z = (int)std::lrint(-low[0] / s);
  *scale = s, *zero = z;
  for (i = 0; i < k; i++) {
    const int n = (int)(v[i] * to_q + round - round) + z;
    q[i] = (uint8_t)(n < 0 ? 0 : n > 255 ? 255 : n);
  }
}

template <class E>
void prepare_row(const E *x, const Norm *norm, Kind kind, const Row &row) {
  float *v = kind == F32 ? (float *)row.out : row.values;
  to_floats(x, row.k, v);
  if (norm) normalize(v, row.k, norm->weight, norm->bias, norm->eps);
  if (kind == F32) return;
  row.out[row.words - 1] = 0;  // the last word may have more numbers than the row
  if (kind == BF16) return to_bf16(v, row.k, (uint16_t *)row.out);
  quantize(v, row.k, (uint8_t *)row.out, row.scale, row.zero);
}

// ---- results

// numbers turns the sums of a row and a panel into what they stand for.
FOR_EACH_WIDTH void numbers_i8(const uint32_t *sums, const int32_t *sum, const float *scale, int32_t zero, float by,
                               float *y) {
  for (int j = 0; j < columns; j++) y[j] = (float)((int32_t)sums[j] - sum[j] * zero) * (scale[j] * by);
}

void numbers(const uint32_t *sums, const Weights &w, const Rows &x, int64_t row, int64_t panel, float *y) {
  const int64_t c = panel * columns;
  if (w.kind == I8) numbers_i8(sums, w.sum + c, w.scale + c, x.zero[row], x.scale[row], y);
  else memcpy(y, sums, columns * sizeof *y);
}

FOR_EACH_WIDTH void add_to(float *y, const float *x, int64_t n) {
  for (int64_t j = 0; j < n; j++) y[j] += x[j];
}

// ---- the best columns

// add brings n columns of a row into its part of the softmax's denominator. top is the largest of them.
FOR_EACH_WIDTH void add(Part *part, const float *x, int64_t n, float top) {
  if (!(top <= part->top)) {  // also where top is no number
    part->sum *= part->top == -INFINITY ? 0 : std::exp(part->top - top);
    part->top = top;
  }
  float e[columns];
  for (int j = 0; j < columns; j++) e[j] = j < n ? exp_neg(x[j] - part->top) : 0;
  float sum = 0;
  for (int j = 0; j < columns; j++) sum += e[j];
  part->sum += sum;
}

float largest(const float *x, int64_t n) {
  float top = x[0];
  for (int64_t j = 1; j < n; j++) top = x[j] <= top ? top : x[j];
  return top;
}

// ---- attention

FOR_EACH_WIDTH void soften_row(float *x, int64_t len) {
  float top = x[0], lane[lanes] = {0};
  for (int64_t i = 1; i < len; i++) top = x[i] > top ? x[i] : top;
  for (int64_t i = 0; i < len; i++) x[i] = exp_neg(x[i] - top);
  int64_t i = 0;
  for (; i + lanes <= len; i += lanes)
    for (int j = 0; j < lanes; j++) lane[j] += x[i + j];
  for (; i < len; i++) lane[0] += x[i];
  const float norm = 1 / total(lane);
  for (i = 0; i < len; i++) x[i] *= norm;
}

// ---- int8 by nothing but loops

void sums_of(const uint32_t *a, int64_t, const uint32_t *panel, int64_t words, uint32_t *out) {
  const uint8_t *x = (const uint8_t *)a;
  const int8_t *b = (const int8_t *)panel;
  int32_t s[columns] = {0};
  for (int64_t w = 0; w < words; w++, x += 4, b += 4 * columns)
    for (int64_t j = 0; j < columns; j++) {
      const int8_t *c = b + 4 * j;
      s[j] += x[0] * c[0] + x[1] * c[1] + x[2] * c[2] + x[3] * c[3];
    }
  memcpy(out, s, sizeof s);
}

const Tile plain_tiles[] = {sums_of};

}  // namespace

Path plain_path(Kind kind) { return {plain_tiles, kind == I8 ? 1 : 0, false, false}; }

namespace loops {

void prepare(const float *x, const Norm *norm, Kind kind, const Row &row) { prepare_row(x, norm, kind, row); }
void prepare(const uint16_t *x, const Norm *norm, Kind kind, const Row &row) { prepare_row(x, norm, kind, row); }

void finish(const uint32_t *sums, int64_t r0, int64_t count, int64_t panel, const Weights &w, const Rows &x,
            const Finish &f) {
  const int64_t c = panel * columns, n = std::min(columns, w.n - c);
  alignas(64) float y[columns];
  for (int64_t r = r0; r < r0 + count; r++, sums += columns) {
    numbers(sums, w, x, r, panel, y);
    if (f.bias) add_to(y, f.bias + c, n);
    if (f.act) activate(y, f.act);
    if (f.residual) add_to(y, f.residual + r * f.step + c, n);
    if (f.y) memcpy(f.y + r * f.step + c, y, n * sizeof *y);
    else to_bf16(y, n, f.y16 + r * f.step + c);
  }
}

void rank(const uint32_t *sums, int64_t r0, int64_t count, int64_t panel, const Weights &w, const Rows &x,
          const Ranking &to) {
  const int64_t c = panel * columns, n = std::min(columns, w.n - c);
  alignas(64) float y[columns];
  for (int64_t r = r0; r < r0 + count; r++, sums += columns) {
    numbers(sums, w, x, r, panel, y);
    const float top = largest(y, n);
    add(&to.parts[r * to.parts_step], y, n, top);
    Best &best = to.best[r];
    if (best.heap.size() >= to.k && !(top > best.least)) continue;
    const int32_t *ban = to.ban + (to.ban_end && r ? to.ban_end[r - 1] : 0);
    const int32_t *ban_end = to.ban + (to.ban_end ? to.ban_end[r] : 0);
    for (int64_t j = 0; j < n; j++)
      if (best.heap.size() < to.k || y[j] > best.least) best.offer(y[j], (int32_t)(c + j), to.k, ban, ban_end);
  }
}

template <class E>
static void load_one(const E *qkv, int64_t t, int64_t width, float scale, const HeadOf &h) {
  float *q = h.q + t * h.size, *kt = h.k + t / columns * columns * h.size + t % columns;
  to_floats(qkv, h.size, q);
  for (int64_t d = 0; d < h.size; d++) q[d] *= scale;
  float part[columns];
  for (int64_t d = 0; d < h.size; d += columns) {
    const int64_t n = std::min(columns, h.size - d);
    to_floats(qkv + width + d, n, part);
    for (int64_t i = 0; i < n; i++) kt[(d + i) * columns] = part[i];
    to_floats(qkv + 2 * width + d, n, h.v + d * h.len + t * columns);
  }
}

void load_token(const float *qkv, int64_t t, int64_t width, float scale, const HeadOf &h) {
  load_one(qkv, t, width, scale, h);
}
void load_token(const uint16_t *qkv, int64_t t, int64_t width, float scale, const HeadOf &h) {
  load_one(qkv, t, width, scale, h);
}

void soften(float *x, int64_t len) { soften_row(x, len); }

}  // namespace loops

}  // namespace panels
