// What libtch lacks or spoils, over libtorch: see bridge.h.
#include "bridge.h"
#include "door.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <ATen/autocast_mode.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/autograd/variable.h>
#include <torch/version.h>

#include <atomic>
#include <cstring>
#include <mutex>
#include <string>

// ---- data in and out

static at::TensorOptions options(int dtype, int device) {
  return at::TensorOptions().dtype((at::ScalarType)dtype).device(device_of(device));
}

static void check_bytes(const Tensor &t, size_t found) {
  TORCH_CHECK(t.nbytes() == found, "shape wants ", t.nbytes(), " bytes, found ", found);
}

static Tensor from_bytes(const void *data, size_t bytes, at::IntArrayRef shape, at::ScalarType dtype) {
  Tensor t = at::empty(shape, at::TensorOptions().dtype(dtype));
  check_bytes(t, bytes);
  if (bytes) memcpy(t.data_ptr(), data, bytes);
  return t;
}

static Tensor from_blob(void *data, size_t bytes, at::IntArrayRef shape, at::ScalarType dtype) {
  Tensor t = at::from_blob(data, shape, at::TensorOptions().dtype(dtype));
  check_bytes(t, bytes);
  return t;
}

static void to_bytes(const Tensor &from, void *to, size_t bytes) {
  const Tensor t = from.detach().to(at::kCPU).contiguous();
  TORCH_CHECK(t.nbytes() == bytes, "tensor has ", t.nbytes(), " bytes, buffer ", bytes);
  if (bytes) memcpy(to, t.data_ptr(), bytes);
}

static void storage(const Tensor &t, void **data, size_t *bytes) {
  TORCH_CHECK(t.device().is_cpu(), "want a tensor on the CPU");
  *data = t.data_ptr();
  *bytes = t.is_non_overlapping_and_dense() ? t.nbytes() : 0;
}

char *ct_from_bytes(ct_tensor *out, const void *data, size_t bytes, const int64_t *shape, int dims, int dtype) {
  return returning(out, [&] { return from_bytes(data, bytes, ints(shape, dims), (at::ScalarType)dtype); });
}
char *ct_from_blob(ct_tensor *out, void *data, size_t bytes, const int64_t *shape, int dims, int dtype) {
  return returning(out, [&] { return from_blob(data, bytes, ints(shape, dims), (at::ScalarType)dtype); });
}
char *ct_to_bytes(ct_tensor t, void *to, size_t bytes) {
  return guarded([&] { to_bytes(tensor(t), to, bytes); });
}
char *ct_storage(ct_tensor t, void **data, size_t *bytes) {
  return guarded([&] { storage(tensor(t), data, bytes); });
}
char *ct_empty(ct_tensor *out, const int64_t *shape, int dims, int dtype, int device) {
  return returning(out, [&] { return at::empty(ints(shape, dims), options(dtype, device)); });
}
char *ct_full(ct_tensor *out, const int64_t *shape, int dims, double value, int dtype, int device) {
  return returning(out, [&] { return at::full(ints(shape, dims), value, options(dtype, device)); });
}
char *ct_channels_last(ct_tensor *out, ct_tensor t) {
  return returning(out, [&] { return tensor(t).contiguous(at::MemoryFormat::ChannelsLast); });
}

// ---- modes

static at::DeviceType device_type(int cuda) { return cuda ? device_of(0).type() : at::kCPU; }

static void autocast_begin(at::DeviceType d, int dtype) {
  if (dtype >= 0) at::autocast::set_autocast_dtype(d, (at::ScalarType)dtype);
  at::autocast::set_autocast_enabled(d, dtype >= 0);
  at::autocast::increment_nesting();
}

static void autocast_end(at::DeviceType d, int previous) {
  if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  at::autocast::set_autocast_enabled(d, previous >= 0);
  if (previous >= 0) at::autocast::set_autocast_dtype(d, (at::ScalarType)previous);
}

int ct_grad_enabled(void) { return at::GradMode::is_enabled(); }
void ct_set_grad_enabled(int on) { at::GradMode::set_enabled(on); }
void *ct_inference_begin(void) { return new c10::InferenceMode(true); }
void ct_inference_end(void *guard) { delete static_cast<c10::InferenceMode *>(guard); }
int ct_autocast_dtype(int cuda) {
  const at::DeviceType d = device_type(cuda);
  return at::autocast::is_autocast_enabled(d) ? (int)at::autocast::get_autocast_dtype(d) : -1;
}
char *ct_autocast_begin(int cuda, int dtype) {
  return guarded([&] { autocast_begin(device_type(cuda), dtype); });
}
char *ct_autocast_end(int cuda, int previous) {
  return guarded([&] { autocast_end(device_type(cuda), previous); });
}

// ---- random numbers and threads

// at::manual_seed would ask whether there is CUDA, and libtorch keeps the first answer for good: see ct_open_cuda.
static void seed(uint64_t value) {
  for (int i = -1; i < gpu_count(); i++) {
    auto generator = at::globalContext().defaultGenerator(device_of(i));
    std::lock_guard<std::mutex> lock(generator.mutex());
    generator.set_current_seed(value);
  }
}

static Tensor rng_state(int device) {
  auto generator = at::globalContext().defaultGenerator(device_of(device));
  std::lock_guard<std::mutex> lock(generator.mutex());
  return generator.get_state();
}

static void set_rng_state(const Tensor &state, int device) {
  auto generator = at::globalContext().defaultGenerator(device_of(device));
  std::lock_guard<std::mutex> lock(generator.mutex());
  generator.set_state(state);
}

char *ct_seed(uint64_t value) {
  return guarded([&] { seed(value); });
}
char *ct_rng_state(ct_tensor *out, int device) {
  return returning(out, [&] { return rng_state(device); });
}
char *ct_set_rng_state(ct_tensor state, int device) {
  return guarded([&] { set_rng_state(tensor(state), device); });
}
char *ct_set_threads(int n) {
  return guarded([&] { at::set_num_threads(n); });
}
int ct_threads(void) { return at::get_num_threads(); }
int ct_parallel_threads(void) {
  std::atomic<int> n{0};
  at::parallel_for(0, at::get_num_threads(), 1, [&](int64_t, int64_t) { n++; });
  return n;
}

// ---- autograd

static void grad(ct_tensor *out, const Tensor &t) {
  *out = nullptr;
  Tensor g = t.grad();
  if (g.defined()) *out = new Tensor(std::move(g));
}

char *ct_backward(ct_tensor loss) {
  return guarded([&] { tensor(loss).backward(); });
}
char *ct_requires_grad(ct_tensor t, int on) {
  return guarded([&] { tensor(t).set_requires_grad(on); });
}
char *ct_grad(ct_tensor *out, ct_tensor t) {
  return guarded([&] { grad(out, tensor(t)); });
}
char *ct_clear_grad(ct_tensor t) {
  return guarded([&] { tensor(t).mutable_grad() = Tensor(); });
}

// ---- operations

static Tensor attention(const Tensor &q, const Tensor &k, const Tensor &v, const std::optional<Tensor> &mask,
                        double dropout, bool causal, double scale) {
  const std::optional<double> given = scale > 0 ? std::optional<double>(scale) : std::nullopt;
  return at::scaled_dot_product_attention(q, k, v, mask, dropout, causal, given);
}

char *ct_attention(ct_tensor *out, ct_tensor q, ct_tensor k, ct_tensor v, ct_tensor mask, double dropout, int causal,
                   double scale) {
  return returning(
      out, [&] { return attention(tensor(q), tensor(k), tensor(v), optional_tensor(mask), dropout, causal, scale); });
}
char *ct_copy(ct_tensor to, ct_tensor from) {
  return guarded([&] { tensor(to).copy_(tensor(from)); });
}
char *ct_index_copy_rows(ct_tensor to, ct_tensor index, ct_tensor from) {
  return guarded([&] { tensor(to).index_copy_(0, tensor(index), tensor(from)); });
}

// ---- optimizers

struct AdamW {
  std::vector<Tensor> params, grads, m, v, steps;
  double lr, beta1, beta2, decay, eps;
};

// The operation itself wants the steps already counted; a step that a scaler skips (found_inf) is counted back.
static void fused_adamw(AdamW &a, const std::optional<Tensor> &grad_scale, const std::optional<Tensor> &found_inf) {
  at::NoGradGuard no_grad;
  at::_foreach_add_(a.steps, at::Scalar(1));
  at::_fused_adamw_(a.params, a.grads, a.m, a.v, {}, a.steps, a.lr, a.beta1, a.beta2, a.decay, a.eps, false, false,
                    grad_scale, found_inf);
  if (found_inf) at::_foreach_sub_(a.steps, std::vector<Tensor>(a.steps.size(), *found_inf));
}

static Tensor foreach_norm(const std::vector<Tensor> &list) {
  at::NoGradGuard no_grad;
  return at::linalg_vector_norm(at::stack(at::_foreach_norm(list, 2)));
}

template <class Work>
static char *without_grad(Work &&work) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    work();
  });
}

char *ct_fused_adamw(ct_tensor *params, ct_tensor *grads, ct_tensor *m, ct_tensor *v, ct_tensor *steps, int n,
                     double lr, double beta1, double beta2, double decay, double eps, ct_tensor grad_scale,
                     ct_tensor found_inf) {
  return guarded([&] {
    AdamW a{tensors(params, n),
            tensors(grads, n),
            tensors(m, n),
            tensors(v, n),
            tensors(steps, n),
            lr,
            beta1,
            beta2,
            decay,
            eps};
    fused_adamw(a, optional_tensor(grad_scale), optional_tensor(found_inf));
  });
}
char *ct_foreach_norm(ct_tensor *out, ct_tensor *list, int n) {
  return returning(out, [&] { return foreach_norm(tensors(list, n)); });
}
char *ct_foreach_mul_scalar(ct_tensor *list, int n, double s) {
  return without_grad([&] { at::_foreach_mul_(tensors(list, n), at::Scalar(s)); });
}
char *ct_foreach_lerp(ct_tensor *list, ct_tensor *to, int n, double weight) {
  return without_grad([&] { at::_foreach_lerp_(tensors(list, n), tensors(to, n), at::Scalar(weight)); });
}
char *ct_amp_unscale(ct_tensor *grads, int n, ct_tensor found_inf, ct_tensor inv_scale) {
  return without_grad(
      [&] { at::_amp_foreach_non_finite_check_and_unscale_(tensors(grads, n), tensor(found_inf), tensor(inv_scale)); });
}
char *ct_amp_update_scale(ct_tensor scale, ct_tensor growth_tracker, ct_tensor found_inf, double growth, double backoff,
                          int64_t interval) {
  return without_grad([&] {
    at::_amp_update_scale_(tensor(scale), tensor(growth_tracker), tensor(found_inf), growth, backoff, interval);
  });
}

// ---- what the library is

const char *ct_version(void) { return TORCH_VERSION; }
const char *ct_cpu_capability(void) {
  static const std::string s = at::get_cpu_capability();
  return s.c_str();
}
