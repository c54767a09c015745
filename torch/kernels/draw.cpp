// A token drawn from the softmax of a row of logits. libtorch takes six passes over memory for it.
#include "bridge.h"
#include "door.h"
#include "vectorized.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <vector>

namespace {

constexpr int64_t lanes = 16, block = 256;

// share is e^x for x <= 0; what is next to nothing is nothing, so that it is never drawn.
inline float share(float x) { return x < -87.0f ? 0.0f : exp_neg(x); }

// masses leaves in sums the sum of e^((x - top) by) of each block of columns, and in *top the largest x.
FOR_EACH_WIDTH void masses(const float *x, int64_t V, float by, float *top, double *sums) {
  float m[lanes];
  for (int j = 0; j < lanes; j++) m[j] = x[0];
  int64_t i = 0;
  for (; i + lanes <= V; i += lanes)
    for (int j = 0; j < lanes; j++) m[j] = x[i + j] > m[j] ? x[i + j] : m[j];
  for (; i < V; i++) m[0] = x[i] > m[0] ? x[i] : m[0];
  for (int j = 1; j < lanes; j++) m[0] = m[j] > m[0] ? m[j] : m[0];
  for (int64_t from = 0; from < V; from += block) {
    const int64_t to = from + block < V ? from + block : V;
    float e[lanes] = {0};
    for (i = from; i + lanes <= to; i += lanes)
      for (int j = 0; j < lanes; j++) e[j] += share((x[i + j] - m[0]) * by);
    for (; i < to; i++) e[0] += share((x[i] - m[0]) * by);
    double sum = 0;
    for (int j = 0; j < lanes; j++) sum += e[j];
    sums[from / block] = sum;
  }
  *top = m[0];
}

// draw gives the column in whose share of the sum of all e^(x by) the number at falls, from 0 to less than 1.
int32_t draw(const float *x, int64_t V, float by, float at, std::vector<double> &sums) {
  float top;
  masses(x, V, by, &top, sums.data());
  double all = 0, before = 0;
  for (double s : sums) all += s;
  const double wanted = at * all;
  size_t b = 0;
  for (; b + 1 < sums.size() && before + sums[b] <= wanted; b++) before += sums[b];
  int64_t drawn = b * block;
  for (int64_t i = drawn, end = std::min(V, i + block); i < end && before <= wanted; i++) {
    const float s = share((x[i] - top) * by);
    if (s > 0) drawn = i;
    before += s;
  }
  return (int32_t)drawn;
}

void draw_all(const Tensor &logits, const int64_t *rows, const float *at, int n, double by, int32_t *ids) {
  TORCH_CHECK(logits.device().is_cpu() && logits.scalar_type() == at::kFloat && logits.dim() == 2 &&
                  logits.is_contiguous() && logits.size(1) > 0 && by > 0,
              "want logits [R, V] in float32 on the CPU, and a temperature above 0");
  const int64_t V = logits.size(1);
  for (int i = 0; i < n; i++)
    TORCH_CHECK(rows[i] >= 0 && rows[i] < logits.size(0), "row ", rows[i], " of ", logits.size(0));
  const float *x = logits.const_data_ptr<float>();
  at::parallel_for(0, n, 4, [&](int64_t from, int64_t to) {
    std::vector<double> sums((V + block - 1) / block);
    for (int64_t i = from; i < to; i++) ids[i] = draw(x + rows[i] * V, V, (float)by, at[i], sums);
  });
}

}  // namespace

char *ct_draw_tokens(ct_tensor logits, const int64_t *rows, const float *at, int n, double inverse_temperature,
                     int32_t *ids) {
  return guarded([&] { draw_all(tensor(logits), rows, at, n, inverse_temperature, ids); });
}
