// What one query does in a head: see attention.h.
#include "attention.h"

#include "vectorized.h"

namespace attention {

namespace {

constexpr int64_t block = 64;

// out[s] = Σ x[i] turned[i][s] for s below n rounded up to lanes.
inline __attribute__((always_inline)) void scores(const float *x, const float *turned, int64_t D, int64_t room,
                                                  int64_t n, float *out) {
  int64_t s = 0;
  for (; s + lanes < n; s += 2 * lanes) {
    float a[2 * lanes] = {0};
    for (int64_t i = 0; i < D; i++)
      for (int j = 0; j < 2 * lanes; j++) a[j] += x[i] * turned[i * room + s + j];
    for (int j = 0; j < 2 * lanes; j++) out[s + j] = a[j];
  }
  if (s >= n) return;
  float a[lanes] = {0};
  for (int64_t i = 0; i < D; i++)
    for (int j = 0; j < lanes; j++) a[j] += x[i] * turned[i * room + s + j];
  for (int j = 0; j < lanes; j++) out[s + j] = a[j];
}

// out = Σ w[s] rows[s] for s below n.
inline __attribute__((always_inline)) void blend(const float *w, const float *rows, int64_t D, int64_t n, float *out) {
  int64_t d = 0;
  for (; d + block <= D; d += block) {
    float a[block] = {0};
    for (int64_t s = 0; s < n; s++)
      for (int j = 0; j < block; j++) a[j] += w[s] * rows[s * D + d + j];
    for (int j = 0; j < block; j++) out[d + j] = a[j];
  }
  for (; d < D; d++) {
    float a = 0;
    for (int64_t s = 0; s < n; s++) a += w[s] * rows[s * D + d];
    out[d] = a;
  }
}

constexpr float away = -30000;  // added to the score of a hidden key: where all are hidden, none is favored

// look leaves in h.w how query q looks at the first n keys.
inline __attribute__((always_inline)) void look(const Head &h, const float *q, int64_t n) {
  scores(q, h.kt, h.D, h.room, n, h.w);
  for (int64_t s = 0; s < n; s++) h.w[s] *= h.scale;
  if (h.seen)
    for (int64_t s = 0; s < n; s++) h.w[s] += h.seen[s] ? 0 : away;
  float top = h.w[0], sum = 0;
  for (int64_t s = 1; s < n; s++) top = h.w[s] > top ? h.w[s] : top;
  for (int64_t s = 0; s < n; s++) h.w[s] = exp_neg(h.w[s] - top);
  for (int64_t s = 0; s < n; s++) sum += h.w[s];
  const float by = 1 / sum;
  for (int64_t s = 0; s < n; s++) h.w[s] *= by;
}

}  // namespace

FOR_EACH_WIDTH void turn(const float *rows, int64_t n, int64_t D, int64_t room, float *turned) {
  for (int64_t i = 0; i < D; i++) {
    for (int64_t t = 0; t < n; t++) turned[i * room + t] = rows[t * D + i];
    for (int64_t t = n; t < room; t++) turned[i * room + t] = 0;
  }
}

FOR_EACH_WIDTH void attend(const Head &h, const float *q, int64_t n, bool drops, float *out) {
  look(h, q, n);
  if (drops)
    for (int64_t s = 0; s < n; s++) h.w[s] *= h.keep[s];
  blend(h.w, h.v, h.D, n, out);
}

FOR_EACH_WIDTH void learn(const Head &h, const float *q, const float *d, int64_t n, bool drops, float *dq) {
  const int64_t D = h.D;
  look(h, q, n);
  scores(d, h.vt, D, h.room, n, h.dw);
  if (drops)
    for (int64_t s = 0; s < n; s++) h.dw[s] *= h.keep[s];
  float along = 0;
  for (int64_t s = 0; s < n; s++) along += h.dw[s] * h.w[s];
  for (int64_t s = 0; s < n; s++) h.dw[s] = h.w[s] * (h.dw[s] - along) * h.scale;
  if (drops)
    for (int64_t s = 0; s < n; s++) h.w[s] *= h.keep[s];
  blend(h.dw, h.k, D, n, dq);
  for (int64_t s = 0; s < n; s++) {
    float *dk = h.dk + s * D, *dv = h.dv + s * D;
    const float wk = h.dw[s], wv = h.w[s];
    for (int64_t i = 0; i < D; i++) dk[i] += wk * q[i];
    for (int64_t i = 0; i < D; i++) dv[i] += wv * d[i];
  }
}

}  // namespace attention
