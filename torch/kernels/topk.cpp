// The best columns of each row of logits, with their log-probabilities under the softmax of the whole row. One pass
// finds the maximum, one the normalizer, one the candidates.
#include "bridge.h"
#include "door.h"
#include "vectorized.h"

#include <ATen/Parallel.h>

#include <utility>
#include <vector>

namespace {

// Maxima and sums run in 16 lanes, so that the compiler may use vectors without reordering anything.
constexpr int lanes = 16;

FOR_EACH_WIDTH float row_max(const float *x, int64_t V) {
  float m[lanes];
  for (int j = 0; j < lanes; j++) m[j] = -INFINITY;
  int64_t i = 0;
  for (; i + lanes <= V; i += lanes)
    for (int j = 0; j < lanes; j++) m[j] = m[j] > x[i + j] ? m[j] : x[i + j];
  for (; i < V; i++) m[0] = m[0] > x[i] ? m[0] : x[i];
  for (int j = 1; j < lanes; j++) m[0] = m[0] > m[j] ? m[0] : m[j];
  return m[0];
}

FOR_EACH_WIDTH double row_sum_exp(const float *x, int64_t V, float top, float scale) {
  double sum = 0;
  for (int64_t i = 0; i < V; i += 4096) {  // lanes are emptied into a double now and then
    float lane[lanes] = {0};
    int64_t end = std::min(V, i + 4096), c = i;
    for (; c + lanes <= end; c += lanes)
      for (int j = 0; j < lanes; j++) lane[j] += exp_neg((x[c + j] - top) * scale);
    for (; c < end; c++) lane[0] += exp_neg((x[c] - top) * scale);
    for (int j = 0; j < lanes; j++) sum += lane[j];
  }
  return sum;
}

// Candidate is a column and its value. In a heap by `better` the worst candidate is on top.
using Candidate = std::pair<float, int32_t>;

bool better(const Candidate &a, const Candidate &b) {  // equal values: the lower column
  return a.first > b.first || (a.first == b.first && a.second < b.second);
}

// Banned columns are never among the best; they still count in the softmax.
struct Banned {
  const int32_t *from, *to;
  bool has(int32_t column) const { return from != to && std::find(from, to, column) != to; }
};

// best_columns leaves the k best of V columns in heap, best first.
void best_columns(const float *x, int64_t V, int k, const Banned &banned, std::vector<Candidate> &heap) {
  heap.clear();
  float least = -INFINITY;  // what a value must exceed to get in
  for (int64_t c = 0; c < V; c++) {
    const bool full = (int)heap.size() == k;
    if ((full && !(x[c] > least)) || banned.has((int32_t)c)) continue;
    if (full) {
      std::pop_heap(heap.begin(), heap.end(), better);
      heap.pop_back();
    }
    heap.emplace_back(x[c], (int32_t)c);
    std::push_heap(heap.begin(), heap.end(), better);
    if ((int)heap.size() == k) least = heap.front().first;
  }
  std::sort_heap(heap.begin(), heap.end(), better);
}

// ban lists the banned columns of all rows end to end, ban_end where each row's end; both may be null.
void topk_logprobs(const Tensor &logits, float inverse_temperature, int k, const int32_t *ban, const int64_t *ban_end,
                   int32_t *ids, float *logprobs) {
  const Tensor x = logits.detach().to(at::kCPU, at::kFloat).contiguous();  // [R, V]
  TORCH_CHECK(x.dim() == 2, "logits have ", x.dim(), " dimensions, want 2");
  TORCH_CHECK(k > 0 && k <= x.size(1), "k is ", k, ", want 1 to ", x.size(1));
  const int64_t V = x.size(1);
  at::parallel_for(0, x.size(0), 1, [&](int64_t from, int64_t to) {
    std::vector<Candidate> heap;
    heap.reserve(k + 1);
    for (int64_t r = from; r < to; r++) {
      const float *row = x.const_data_ptr<float>() + r * V;
      const Banned banned{ban + (ban_end && r ? ban_end[r - 1] : 0), ban + (ban_end ? ban_end[r] : 0)};
      const float top = row_max(row, V);
      const float norm = (float)std::log(row_sum_exp(row, V, top, inverse_temperature));
      best_columns(row, V, k, banned, heap);
      for (int j = 0; j < k; j++) {
        const bool have = j < (int)heap.size();
        ids[r * k + j] = have ? heap[j].second : -1;
        logprobs[r * k + j] = have ? (heap[j].first - top) * inverse_temperature - norm : -INFINITY;
      }
    }
  });
}

}  // namespace

char *ct_topk_logprobs(ct_tensor logits, double inverse_temperature, int k, const int32_t *ban, const int64_t *ban_end,
                       int32_t *ids, float *logprobs) {
  return guarded([&] { topk_logprobs(tensor(logits), (float)inverse_temperature, k, ban, ban_end, ids, logprobs); });
}
