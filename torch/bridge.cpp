// The shim of package torch: what libtch lacks or spoils. See bridge.h.
#include "bridge.h"
#include "parts.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/InferenceMode.h>
#include <dlfcn.h>
#include <torch/csrc/autograd/variable.h>
#include <torch/version.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

static at::Device device_of(int d) { return d < 0 ? at::Device(at::kCPU) : at::Device(at::kCUDA, d); }
static at::DeviceType kind(int cuda) { return cuda ? at::kCUDA : at::kCPU; }
static at::IntArrayRef ints(const int64_t *p, int n) { return at::IntArrayRef(p, n); }
static std::vector<Tensor> list(tt *ts, int n) {
  std::vector<Tensor> v;
  v.reserve(n);
  for (int i = 0; i < n; i++) v.push_back(T(ts[i]));
  return v;
}

// ---- data in and out

char *ct_from_bytes(tt *o, const void *p, size_t bytes, const int64_t *shape, int n, int dtype) {
  TRY(auto t = at::empty(ints(shape, n), at::TensorOptions().dtype((at::ScalarType)dtype));
      TORCH_CHECK(t.nbytes() == bytes, "shape wants ", t.nbytes(), " bytes, found ", bytes);
      if (bytes) memcpy(t.data_ptr(), p, bytes); *o = new Tensor(std::move(t)))
}
char *ct_from_blob(tt *o, void *p, size_t bytes, const int64_t *shape, int n, int dtype) {
  TRY(auto t = at::from_blob(p, ints(shape, n), at::TensorOptions().dtype((at::ScalarType)dtype));
      TORCH_CHECK(t.nbytes() == bytes, "shape wants ", t.nbytes(), " bytes, found ", bytes); *o = new Tensor(std::move(t)))
}
char *ct_to_bytes(tt a, void *p, size_t bytes) {
  TRY(auto t = T(a).detach().to(at::kCPU).contiguous();
      TORCH_CHECK(t.nbytes() == bytes, "tensor has ", t.nbytes(), " bytes, buffer ", bytes); if (bytes) memcpy(p, t.data_ptr(), bytes))
}
char *ct_storage(tt a, void **p, size_t *bytes) {
  TRY(TORCH_CHECK(T(a).device().is_cpu(), "want a tensor on the CPU"); *p = T(a).data_ptr(); *bytes = T(a).is_non_overlapping_and_dense() ? T(a).nbytes() : 0)
}
char *ct_empty(tt *o, const int64_t *shape, int n, int dtype, int device) {
  OUT(at::empty(ints(shape, n), at::TensorOptions().dtype((at::ScalarType)dtype).device(device_of(device))))
}
char *ct_full(tt *o, const int64_t *shape, int n, double v, int dtype, int device) {
  OUT(at::full(ints(shape, n), v, at::TensorOptions().dtype((at::ScalarType)dtype).device(device_of(device))))
}
char *ct_channels_last(tt *o, tt a) { OUT(T(a).contiguous(at::MemoryFormat::ChannelsLast)) }

// ---- modes

int ct_grad_enabled(void) { return at::GradMode::is_enabled(); }
void ct_set_grad_enabled(int on) { at::GradMode::set_enabled(on); }
void *ct_inference_begin(void) { return new c10::InferenceMode(true); }
void ct_inference_end(void *guard) { delete static_cast<c10::InferenceMode *>(guard); }
int ct_autocast_dtype(int cuda) {
  return at::autocast::is_autocast_enabled(kind(cuda)) ? (int)at::autocast::get_autocast_dtype(kind(cuda)) : -1;
}
char *ct_autocast_begin(int cuda, int dtype) {
  TRY(if (dtype >= 0) at::autocast::set_autocast_dtype(kind(cuda), (at::ScalarType)dtype);
      at::autocast::set_autocast_enabled(kind(cuda), dtype >= 0); at::autocast::increment_nesting())
}
char *ct_autocast_end(int cuda, int previous) {
  TRY(if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
      at::autocast::set_autocast_enabled(kind(cuda), previous >= 0);
      if (previous >= 0) at::autocast::set_autocast_dtype(kind(cuda), (at::ScalarType)previous))
}

// ---- random numbers and threads

char *ct_seed(uint64_t s) { TRY(at::manual_seed(s)) }
char *ct_rng_state(tt *o) {
  TRY(auto g = at::detail::getDefaultCPUGenerator(); std::lock_guard<std::mutex> l(g.mutex()); *o = new Tensor(g.get_state()))
}
char *ct_set_rng_state(tt a) {
  TRY(auto g = at::detail::getDefaultCPUGenerator(); std::lock_guard<std::mutex> l(g.mutex()); g.set_state(T(a)))
}
char *ct_set_threads(int n) { TRY(at::set_num_threads(n)) }
int ct_threads(void) { return at::get_num_threads(); }
int ct_parallel_threads(void) {
  std::atomic<int> n{0};
  at::parallel_for(0, at::get_num_threads(), 1, [&](int64_t, int64_t) { n++; });
  return n;
}
char *ct_set_flush_denormal(int on) { TRY(at::globalContext().setFlushDenormal(on)) }

// SplitMix64 (Steele, Lea, Flood 2014) as a counter-based generator: word i of stream key is mix(key + i * gamma).
static inline uint64_t mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}
template <typename S>
static void fill_mask(S *out, int64_t n, double p, uint64_t key) {
  const uint16_t cut = (uint16_t)std::lround(p * 65536.0);
  const S keep = S(1.0 / (1.0 - cut / 65536.0)), drop = S(0.0);
  at::parallel_for(0, (n + 3) / 4, 1 << 14, [&](int64_t from, int64_t to) {
    for (int64_t w = from; w < to; w++) {
      uint64_t r = mix(key + (uint64_t)(w + 1) * 0x9e3779b97f4a7c15ULL);
      int64_t last = std::min<int64_t>(4, n - 4 * w);
      for (int64_t j = 0; j < last; j++, r >>= 16) out[4 * w + j] = (uint16_t)r >= cut ? keep : drop;
    }
  });
}
// One 64-bit word gives four elements, each kept with probability 1 - p (p rounded to 1/65536): on CPU several times faster than bernoulli_.
char *ct_dropout_mask(tt *o, tt like, double p, uint64_t key) {
  TRY(auto &a = T(like); at::NoGradGuard g;
      if (!a.device().is_cpu()) { *o = new Tensor(at::empty_like(a).bernoulli_(1 - p).div_(1 - p)); return nullptr; }
      auto m = at::empty(a.sizes(), a.options().requires_grad(false)); int64_t n = m.numel();
      if (m.scalar_type() == at::kBFloat16) fill_mask(m.data_ptr<at::BFloat16>(), n, p, key);
      else if (m.scalar_type() == at::kHalf) fill_mask(m.data_ptr<at::Half>(), n, p, key);
      else if (m.scalar_type() == at::kFloat) fill_mask(m.data_ptr<float>(), n, p, key);
      else fill_mask(m.data_ptr<double>(), n, p, key);
      *o = new Tensor(std::move(m)))
}

// ---- autograd

char *ct_backward(tt loss) { TRY(T(loss).backward()) }
char *ct_requires_grad(tt a, int on) { TRY(T(a).set_requires_grad(on)) }
char *ct_grad(tt *o, tt a) { TRY(*o = nullptr; auto g = T(a).grad(); if (g.defined()) *o = new Tensor(std::move(g))) }
char *ct_clear_grad(tt a) { TRY(T(a).mutable_grad() = Tensor()) }

// ---- ops

char *ct_gelu(tt *o, tt a, int tanh) { OUT(at::gelu(T(a), tanh ? "tanh" : "none")) }
char *ct_sdpa(tt *o, tt q, tt k, tt v, tt mask, double p, int causal, double scale) {
  OUT(at::scaled_dot_product_attention(T(q), T(k), T(v), OPT(mask), p, (bool)causal,
                                       scale > 0 ? std::optional<double>(scale) : std::nullopt))
}
char *ct_copy_(tt dst, tt src) { TRY(T(dst).copy_(T(src))) }
char *ct_index_copy_rows_(tt dst, tt index, tt src) { TRY(T(dst).index_copy_(0, T(index), T(src))) }

// For each row of logits [R, V]: the k best columns that are not banned, with their log-probabilities under the softmax of the whole row.
// Equal values: the lower column first. One pass finds the maximum and the candidates, one more the normaliser.
// Sums in 16 lanes, so that the compiler may use vectors without reordering anything.
__attribute__((target_clones("avx512f", "avx2", "default"))) static float row_max(const float *x, int64_t V) {
  float m[16];
  for (int j = 0; j < 16; j++) m[j] = -INFINITY;
  int64_t i = 0;
  for (; i + 16 <= V; i += 16)
    for (int j = 0; j < 16; j++) m[j] = m[j] > x[i + j] ? m[j] : x[i + j];
  for (; i < V; i++) m[0] = m[0] > x[i] ? m[0] : x[i];
  for (int j = 1; j < 16; j++) m[0] = m[0] > m[j] ? m[0] : m[j];
  return m[0];
}
__attribute__((target_clones("avx512f", "avx2", "default"))) static double row_sum_exp(const float *x, int64_t V, float top, float scale) {
  double sum = 0;
  for (int64_t i = 0; i < V; i += 4096) {  // lanes are emptied into a double now and then
    float lane[16] = {0};
    int64_t end = std::min(V, i + 4096), c = i;
    for (; c + 16 <= end; c += 16)
      for (int j = 0; j < 16; j++) lane[j] += exp_neg((x[c + j] - top) * scale);
    for (; c < end; c++) lane[0] += exp_neg((x[c] - top) * scale);
    for (int j = 0; j < 16; j++) sum += lane[j];
  }
  return sum;
}
static void topk_row(const float *x, int64_t V, float scale, int k, const int32_t *ban, int64_t bans, int32_t *ids, float *lp,
                     std::vector<std::pair<float, int32_t>> &heap) {
  auto worse = [](const std::pair<float, int32_t> &a, const std::pair<float, int32_t> &b) {
    return a.first > b.first || (a.first == b.first && a.second < b.second);  // heap top = the worst candidate
  };
  const float top = row_max(x, V);
  const float norm = (float)std::log(row_sum_exp(x, V, top, scale));
  heap.clear();
  float floor_ = -INFINITY;
  for (int64_t c = 0; c < V; c++) {
    if ((int)heap.size() == k && !(x[c] > floor_)) continue;
    if (bans && std::find(ban, ban + bans, (int32_t)c) != ban + bans) continue;
    if ((int)heap.size() == k) { std::pop_heap(heap.begin(), heap.end(), worse); heap.pop_back(); }
    heap.emplace_back(x[c], (int32_t)c);
    std::push_heap(heap.begin(), heap.end(), worse);
    if ((int)heap.size() == k) floor_ = heap.front().first;
  }
  std::sort_heap(heap.begin(), heap.end(), worse);
  for (int j = 0; j < k; j++) {
    bool have = j < (int)heap.size();
    ids[j] = have ? heap[j].second : -1;
    lp[j] = have ? (heap[j].first - top) * scale - norm : -INFINITY;
  }
}
char *ct_topk_logprobs(tt logits, double inverse_temperature, int k, const int32_t *ban, const int64_t *ban_end, int32_t *ids,
                       float *logprobs) {
  TRY(auto x = T(logits).detach().to(at::kCPU, at::kFloat).contiguous();
      TORCH_CHECK(x.dim() == 2, "logits have ", x.dim(), " dimensions, want 2");
      TORCH_CHECK(k > 0 && k <= x.size(1), "k is ", k, ", want 1 to ", x.size(1));
      const float *p = x.data_ptr<float>(); const int64_t V = x.size(1);
      at::parallel_for(0, x.size(0), 1, [&](int64_t from, int64_t to) {
        std::vector<std::pair<float, int32_t>> heap;
        heap.reserve(k + 1);
        for (int64_t r = from; r < to; r++) {
          int64_t b = ban_end && r ? ban_end[r - 1] : 0, e = ban_end ? ban_end[r] : 0;
          topk_row(p + r * V, V, (float)inverse_temperature, k, ban + b, e - b, ids + r * k, logprobs + r * k, heap);
        }
      }))
}

// ---- packed weights: oneDNN's own layouts, reached through the dispatcher (no public header declares these ops)

static void call(const char *name, torch::jit::Stack &s) {
  c10::Dispatcher::singleton().findSchemaOrThrow(name, "").callBoxed(s);
}
static c10::List<std::optional<at::Scalar>> scalars(std::initializer_list<double> v) {
  c10::List<std::optional<at::Scalar>> l;
  for (double x : v) l.push_back(at::Scalar(x));
  return l;
}
char *ct_pack_linear(tt *o, tt w) {
  TRY(torch::jit::Stack s{T(w), c10::IValue()}; call("mkldnn::_reorder_linear_weight", s); *o = new Tensor(s[0].toTensor()))
}
char *ct_packed_linear(tt *o, tt x, tt packed, tt bias, const char *activation) {
  TRY(torch::jit::Stack s{T(x), T(packed), bias ? c10::IValue(T(bias)) : c10::IValue(), c10::IValue(std::string(activation)),
                          c10::IValue(scalars({})), c10::IValue(std::string(""))};
      if (!strcmp(activation, "gelu_tanh")) { s[3] = std::string("gelu"); s[5] = std::string("tanh"); }
      else if (!strcmp(activation, "gelu")) { s[5] = std::string("none"); }
      call("mkldnn::_linear_pointwise", s); *o = new Tensor(s[0].toTensor()))
}
char *ct_pack_conv2d(tt *o, tt w, const int64_t *stride, const int64_t *pad, const int64_t *dilation, int64_t groups, const int64_t *input,
                     int n) {
  TRY(torch::jit::Stack s{T(w), std::vector<int64_t>(pad, pad + 2), std::vector<int64_t>(stride, stride + 2),
                          std::vector<int64_t>(dilation, dilation + 2), groups,
                          n ? c10::IValue(std::vector<int64_t>(input, input + n)) : c10::IValue()};
      call("mkldnn::_reorder_convolution_weight", s); *o = new Tensor(s[0].toTensor()))
}
char *ct_packed_conv2d(tt *o, tt x, tt packed, tt bias, const int64_t *stride, const int64_t *pad, const int64_t *dilation, int64_t groups,
                       const char *activation, tt residual) {
  TRY(bool none = !strcmp(activation, "none"); bool clip = !strcmp(activation, "hardtanh");
      c10::IValue b = bias ? c10::IValue(T(bias)) : c10::IValue();
      c10::IValue p(std::vector<int64_t>(pad, pad + 2)), st(std::vector<int64_t>(stride, stride + 2)),
      d(std::vector<int64_t>(dilation, dilation + 2));
      if (residual) {
        torch::jit::Stack s{T(x), T(residual), T(packed), b, p, st, d, groups, std::string("add"), c10::IValue(),
                            none ? c10::IValue() : c10::IValue(std::string(activation)), c10::IValue(scalars({})), c10::IValue()};
        c10::Dispatcher::singleton().findSchemaOrThrow("mkldnn::_convolution_pointwise", "binary").callBoxed(s);
        *o = new Tensor(s[0].toTensor());
        return nullptr;
      }
      torch::jit::Stack s{T(x), T(packed), b, p, st, d, groups, std::string(activation),
                          c10::IValue(clip ? scalars({0, 6}) : scalars({})), c10::IValue(std::string(""))};
      call("mkldnn::_convolution_pointwise", s); *o = new Tensor(s[0].toTensor()))
}

// ---- optimizers

char *ct_fused_adamw(tt *params, tt *grads, tt *m, tt *v, tt *steps, int n, double lr, double beta1, double beta2, double decay, double eps,
                     tt grad_scale, tt found_inf) {
  // The op itself wants the steps already counted; a step that a scaler skips (found_inf) is counted back.
  TRY(at::NoGradGuard g; auto count = list(steps, n); at::_foreach_add_(count, at::Scalar(1));
      at::_fused_adamw_(list(params, n), list(grads, n), list(m, n), list(v, n), {}, count, lr, beta1, beta2, decay, eps, false, false,
                        OPT(grad_scale), OPT(found_inf));
      if (found_inf) at::_foreach_sub_(count, std::vector<Tensor>(n, T(found_inf))))
}
char *ct_foreach_norm(tt *o, tt *ts, int n) {
  TRY(at::NoGradGuard g; auto each = at::_foreach_norm(list(ts, n), 2); *o = new Tensor(at::linalg_vector_norm(at::stack(each))))
}
char *ct_foreach_mul_scalar(tt *ts, int n, double s) { TRY(at::NoGradGuard g; at::_foreach_mul_(list(ts, n), at::Scalar(s))) }
char *ct_foreach_lerp(tt *ts, tt *to, int n, double w) {
  TRY(at::NoGradGuard g; at::_foreach_lerp_(list(ts, n), list(to, n), at::Scalar(w)))
}
char *ct_foreach_copy(tt *dst, tt *src, int n) { TRY(at::NoGradGuard g; at::_foreach_copy_(list(dst, n), list(src, n))) }
char *ct_amp_unscale(tt *grads, int n, tt found_inf, tt inv_scale) {
  TRY(at::NoGradGuard g; at::_amp_foreach_non_finite_check_and_unscale_(list(grads, n), T(found_inf), T(inv_scale)))
}
char *ct_amp_update_scale(tt scale, tt growth_tracker, tt found_inf, double growth, double backoff, int64_t interval) {
  TRY(at::NoGradGuard g; at::_amp_update_scale_(T(scale), T(growth_tracker), T(found_inf), growth, backoff, interval))
}

// ---- what the library is

const char *ct_version(void) { return TORCH_VERSION; }
const char *ct_cpu_capability(void) {
  static const std::string s = at::get_cpu_capability();
  return s.c_str();
}
char *ct_open_cuda(void) {
  if (dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL)) return nullptr;
  return strdup(dlerror());
}
int ct_cuda_devices(void) {
  try {
    return at::detail::getCUDAHooks().hasCUDA() ? (int)at::detail::getCUDAHooks().getNumGPUs() : 0;
  } catch (...) { return 0; }
}
