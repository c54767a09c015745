// What one thread does of products, rankings and attention: it goes through rows and panels. See panels.h.
#include "panels.h"

#include "vectorized.h"

#include <cstdlib>

namespace panels {

namespace {

// Widened is a place for a thread's rows as wide paths want them. It grows to the largest use and stays.
uint32_t *widened(size_t words) {
  static thread_local std::vector<uint32_t> place;
  if (place.size() < words) place.resize(words);
  return place.data();
}

FOR_EACH_WIDTH void widen_i8(const uint32_t *x, int64_t words, uint32_t *out) {
  for (int64_t i = 0; i < words; i++) out[2 * i] = x[i] & 0x00ff00ff, out[2 * i + 1] = x[i] >> 8 & 0x00ff00ff;
}

FOR_EACH_WIDTH void widen_bf16(const uint32_t *x, int64_t words, uint32_t *out) {
  for (int64_t i = 0; i < words; i++) out[2 * i] = x[i] << 16, out[2 * i + 1] = x[i] & 0xffff0000;
}

// Walk goes through the rows r0 to r1 and the panels p0 to p1, panels outermost: f(sums, row, count, panel).
template <class F>
void walk(const Path &path, const Weights &w, const Rows &x, const Block &b, F &&f) {
  alignas(64) uint32_t sums[tallest * columns];
  const uint32_t *rows = x.data + b.r0 * x.step;
  int64_t step = x.step;
  if (path.wide) {
    step = 2 * w.words;
    uint32_t *place = widened((b.r1 - b.r0) * step);
    for (int64_t r = 0; r < b.r1 - b.r0; r++)
      (w.kind == I8 ? widen_i8 : widen_bf16)(rows + r * x.step, w.words, place + r * step);
    rows = place;
  }
  for (int64_t p = b.p0; p < b.p1; p++)
    for (int64_t r = b.r0; r < b.r1; r += path.height) {
      const int64_t n = std::min(path.height, b.r1 - r);
      path.tiles[n - 1](rows + (r - b.r0) * step, step, w.data + p * w.words * columns, w.words, sums);
      f(sums, r, n, p);
    }
}

float *floats(int64_t n) { return (float *)aligned_alloc(64, (n * 4 + 63) / 64 * 64); }

}  // namespace

void multiply(const Path &path, const Weights &w, const Rows &x, const Finish &f, const Block &b) {
  const auto finish = path.avx512 ? avx512::finish : loops::finish;
  walk(path, w, x, b,
       [&](const uint32_t *sums, int64_t r, int64_t n, int64_t p) { finish(sums, r, n, p, w, x, f); });
}

void rank(const Path &path, const Weights &w, const Rows &x, const Block &b, const Ranking &to) {
  const auto bring = path.avx512 ? avx512::rank : loops::rank;
  for (int64_t r = b.r0; r < b.r1; r++) to.parts[r * to.parts_step] = {-INFINITY, 0};
  walk(path, w, x, b, [&](const uint32_t *sums, int64_t r, int64_t n, int64_t p) { bring(sums, r, n, p, w, x, to); });
}

// ---- attention

// rows_at_once is how many tokens look at all len at once: their logits stay in the second cache.
static int64_t rows_at_once(int64_t len) {
  const int64_t fit = std::max(tallest, (512 << 10) / (4 * len)), blocks = (len + fit - 1) / fit;
  return std::min(len, (len + blocks * tallest - 1) / (blocks * tallest) * tallest);
}

Head::Head(const Path &path, int64_t len, int64_t size)
    : path(path),
      h{len, size, floats(len * size), floats(panels_of(len) * columns * size),
        floats(panels_of(size) * columns * len)},
      at_once(rows_at_once(len)), w(floats(at_once * len)) {
  memset(h.k, 0, panels_of(len) * columns * size * 4);
  memset(h.v, 0, panels_of(size) * columns * len * 4);
}

Head::~Head() {
  for (float *p : {h.q, h.k, h.v, w}) free(p);
}

template <class E>
void Head::attend(const E *qkv, int64_t step, int64_t width, float scale, const float *bias, const Finish &out) {
  const int64_t len = h.len, size = h.size;
  for (int64_t t = 0; t < len; t++)
    if (path.avx512) avx512::load_token(qkv + t * step, t, width, scale, h);
    else loops::load_token(qkv + t * step, t, width, scale, h);
  const Weights keys{F32, len, size, size, (uint32_t *)h.k, nullptr, nullptr};
  const Weights values{F32, size, len, len, (uint32_t *)h.v, nullptr, nullptr};
  for (int64_t t0 = 0; t0 < len; t0 += at_once) {
    const int64_t n = std::min(at_once, len - t0);
    const Finish logits{nullptr, bias ? bias + t0 * len : nullptr, None, len, w, nullptr};
    multiply(path, keys, {(uint32_t *)(h.q + t0 * size), size, nullptr, nullptr}, logits, {0, n, 0, panels_of(len)});
    for (int64_t t = 0; t < n; t++) (path.avx512 ? avx512::soften : loops::soften)(w + t * len, len);
    Finish result = out;
    if (out.y) result.y += t0 * out.step;
    else result.y16 += t0 * out.step;
    multiply(path, values, {(uint32_t *)w, len, nullptr, nullptr}, result, {0, n, 0, panels_of(size)});
  }
}

void Head::run(const float *qkv, int64_t step, int64_t width, float scale, const float *bias, const Finish &out) {
  attend(qkv, step, width, scale, bias, out);
}
void Head::run(const uint16_t *qkv, int64_t step, int64_t width, float scale, const float *bias, const Finish &out) {
  attend(qkv, step, width, scale, bias, out);
}

#ifdef CAPTIONER_X86
HalfHead::HalfHead(const Path &path, int64_t len, int64_t size)
    : path(path), h{len, size, (uint32_t *)floats(panels_of(len) * columns * size / 2),
                    (uint32_t *)floats(panels_of(size) * columns * ((len + 1) / 2))},
      logits(floats(panels_of(len) * tallest * columns)),
      w((uint32_t *)floats(panels_of(len) * tallest * columns / 2)) {
  memset(h.k, 0, panels_of(len) * columns * size / 2 * 4);
  memset(h.v, 0, panels_of(size) * columns * ((len + 1) / 2) * 4);
}

HalfHead::~HalfHead() {
  for (void *p : {(void *)h.k, (void *)h.v, (void *)logits, (void *)w}) free(p);
}

void HalfHead::load(const uint16_t *keys, int64_t step, int64_t width) {
  for (int64_t t = 0; t < h.len; t++) avx512::load_key(keys + t * step, t, h);
  const uint16_t *values = keys + width;
  for (int64_t t = 0; t < h.len; t += 2, values += 2 * step)
    avx512::load_values(values, t + 1 < h.len ? values + step : nullptr, t, h);
}

void HalfHead::run(const uint16_t *qkv, int64_t step, int64_t width, float scale, const float *bias,
                   const Finish &out) {
  const int64_t deep = h.size / 2, words = (h.len + 1) / 2, row = panels_of(h.len) * columns / 2;
  alignas(64) uint32_t sums[tallest * columns];
  float by[tallest];
  load(qkv + width, step, width);
  for (int64_t t = 0; t < h.len; t += tallest) {
    const int64_t n = std::min(tallest, h.len - t);
    const Tile tile = path.tiles[n - 1];
    for (int64_t p = 0; p < panels_of(h.len); p++)
      tile((const uint32_t *)(qkv + t * step), step / 2, h.k + p * deep * columns, deep,
           (uint32_t *)logits + p * tallest * columns);
    for (int64_t r = 0; r < n; r++) {
      float *x = logits + r * columns;
      if (bias) avx512::lean(x, tallest * columns, h.len, bias + (t + r) * h.len, 1 / scale);
      by[r] = avx512::soften_half(x, tallest * columns, h.len, scale, (uint16_t *)(w + r * row));
    }
    for (int64_t p = 0; p < panels_of(h.size); p++) {
      Finish to = out;
      to.y16 += t * out.step + p * columns;
      tile(w, row, h.v + p * words * columns, words, sums);
      avx512::blend(sums, n, by, h.size - p * columns, to);
    }
  }
}
#endif

}  // namespace panels
