// The int8 kernels of panels.h by plain loops, for processors without AVX512-VNNI.
#include "panels.h"

#include "vectorized.h"

namespace panels {

namespace {

float activate(float x, int act) {
  switch (act) {
    case GeluErf: return x * 0.5f * (1 + std::erf(x * 0.70710678f));
    case GeluTanh: return x * 0.5f * (1 + std::tanh(0.79788456f * x * (1 + 0.044715f * x * x)));
    case Relu: return std::max(x, 0.0f);
    case Silu: return x / (1 + std::exp(-x));
  }
  return x;
}

uint32_t bits(float x) {
  uint32_t u;
  memcpy(&u, &x, 4);
  return u;
}

float number(uint32_t u) {
  float x;
  memcpy(&x, &u, 4);
  return x;
}

float widen(float x) { return x; }
float widen(uint16_t x) { return number((uint32_t)x << 16); }

// To bfloat16, to nearest, ties to even; what is no number stays none.
uint16_t bf16(float x) {
  if (std::isnan(x)) return 0x7fc0;
  const uint32_t u = bits(x);
  return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

void normalize(float *v, int64_t k, const Norm &norm) {
  float mean = 0, squares = 0;
  for (int64_t i = 0; i < k; i++) mean += v[i];
  mean /= (float)k;
  for (int64_t i = 0; i < k; i++) squares += (v[i] - mean) * (v[i] - mean);
  const float inverse = 1 / std::sqrt(squares / (float)k + norm.eps);
  for (int64_t i = 0; i < k; i++) v[i] = (v[i] - mean) * inverse * norm.weight[i] + norm.bias[i];
}

template <class E>
void prepare_row(const E *x, const Norm *norm, const Row &row) {
  float *v = row.values, low = 0, high = 0;
  for (int64_t i = 0; i < row.k; i++) v[i] = widen(x[i]);
  if (norm) normalize(v, row.k, *norm);
  for (int64_t i = 0; i < row.k; i++) low = std::min(low, v[i]), high = std::max(high, v[i]);
  *row.scale = std::max((high - low) / 255, 1e-30f);
  *row.zero = (int)std::lrint(-low / *row.scale);
  uint8_t *q = (uint8_t *)row.out;
  memset(q, 0, row.words * 4);
  for (int64_t i = 0; i < row.k; i++)
    q[i] = (uint8_t)std::clamp((int)std::lrint(v[i] * (1 / *row.scale)) + *row.zero, 0, 255);
}

__attribute__((target_clones("avx2", "default"))) void sums_of(const uint8_t *a, const int8_t *b, int64_t words,
                                                               int32_t *sums) {
  int32_t s[columns] = {0};
  for (int64_t w = 0; w < words; w++, a += 4, b += 4 * columns)
    for (int64_t j = 0; j < columns; j++) {
      const int8_t *c = b + 4 * j;
      s[j] += a[0] * c[0] + a[1] * c[1] + a[2] * c[2] + a[3] * c[3];
    }
  memcpy(sums, s, sizeof s);
}

void finish(const int32_t *sums, int64_t r, int64_t p, const Weights &w, const Rows &x, const Finish &f) {
  for (int64_t j = 0; j < columns && p * columns + j < w.n; j++) {
    const int64_t c = p * columns + j;
    float y = (float)(sums[j] - w.sum[c] * x.zero[r]) * (w.scale[c] * x.scale[r]) + (f.bias ? f.bias[c] : 0);
    y = activate(y, f.act) + (f.residual ? f.residual[r * f.step + c] : 0);
    if (f.y) f.y[r * f.step + c] = y;
    else f.y16[r * f.step + c] = bf16(y);
  }
}

}  // namespace

namespace plain {

void prepare(const float *x, const Norm *norm, const Row &row) { prepare_row(x, norm, row); }
void prepare(const uint16_t *x, const Norm *norm, const Row &row) { prepare_row(x, norm, row); }

void multiply(const Weights &w, const Rows &x, const Finish &f, const Block &b) {
  int32_t sums[columns];
  for (int64_t p = b.p0; p < b.p1; p++)
    for (int64_t r = b.r0; r < b.r1; r++) {
      sums_of((const uint8_t *)(x.data + r * x.step), (const int8_t *)(w.data + p * w.words * columns), w.words, sums);
      finish(sums, r, p, w, x, f);
    }
}

}  // namespace plain

}  // namespace panels
