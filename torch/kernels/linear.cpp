// Linear layers that learn. In float32 the BLAS in libtorch keeps to AVX2 on processors of some makers, where oneDNN,
// which libtorch carries too, takes AVX-512 and half the time. Which is quicker here is measured: see package measure
// of torch/nn. In bfloat16 libtorch takes oneDNN as well, but for the gradients in layouts that cost it a quarter of
// its speed. Everything else goes to libtorch's own linear.
#include "bridge.h"
#include "cpu.h"
#include "door.h"
#include "linear.h"
#include "outer.h"
#include "turning.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <atomic>
#include <vector>

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// x wᵀ + bias by oneDNN, with relu6 behind it: x [N, in] contiguous, w [out, in] of any strides.
Tensor product(const Tensor &x, const Tensor &w, const std::optional<Tensor> &bias, bool relu6 = false) {
  static const auto op = c10::Dispatcher::singleton().findSchemaOrThrow("mkldnn::_linear_pointwise", "");
  c10::List<std::optional<at::Scalar>> limits;
  if (relu6) limits.push_back(at::Scalar(0.)), limits.push_back(at::Scalar(6.));
  torch::jit::Stack stack{x,
                          w,
                          bias ? c10::IValue(*bias) : c10::IValue(),
                          std::string(relu6 ? "hardtanh" : "none"),
                          limits,
                          std::string("")};
  op.callBoxed(stack);
  return stack[0].toTensor();
}

// The gradient of a weight with more outputs is made for so many of them at a time, so that gradients of logits are not
// laid out anew as a whole.
constexpr int64_t outputs = 2048;

// dyᵀ x in float32, in the weight's own order: [out, in].
Tensor weight_grad(const Tensor &x, const Tensor &w, const Tensor &dy) {
  if (w.stride(0) < w.stride(1)) return product(turning::turned(x), dy.t(), std::nullopt).t().to(at::kFloat);
  if (w.size(0) <= outputs) return product(turning::turned(dy), x.t(), std::nullopt).to(at::kFloat);
  if (panels::has_outer(x)) return panels::outer(dy, x);
  Tensor dw = at::empty(w.sizes(), w.options().requires_grad(false).dtype(at::kFloat));
  for (int64_t i = 0; i < w.size(0); i += outputs) {
    const int64_t n = std::min(outputs, w.size(0) - i);
    dw.narrow(0, i, n).copy_(product(turning::turned(dy.narrow(1, i, n)), x.t(), std::nullopt));
  }
  return dw;
}

// Learning is x wᵀ + bias: x [N, in] contiguous in float32 or bfloat16, w [out, in] of any strides and bias in float32.
// in_type is w in the type of x.
struct Learning : torch::autograd::Function<Learning> {
  static Tensor forward(AutogradContext *ctx, const Tensor &x, const Tensor &w, const std::optional<Tensor> &bias,
                        const Tensor &in_type) {
    ctx->save_for_backward({x, in_type});
    ctx->saved_data["bias"] = bias.has_value();
    return product(x, in_type, bias ? std::optional<Tensor>(bias->to(x.scalar_type())) : std::nullopt);
  }

  static variable_list backward(AutogradContext *ctx, variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &x = saved[0], &w = saved[1], dy = grads[0].contiguous();
    Tensor dx, dw, db;
    if (ctx->needs_input_grad(0)) dx = product(dy, w.t(), std::nullopt);  // [N, in]
    if (ctx->needs_input_grad(1)) dw = weight_grad(x, w, dy);             // [out, in]
    if (ctx->saved_data["bias"].toBool() && ctx->needs_input_grad(2)) db = dy.sum({0}, false, at::kFloat);
    return {dx, dw, db, {}};
  }
};

// Below this many multiplications the way to oneDNN costs more than it saves.
constexpr int64_t worth = 1 << 22;

// What was set for float32; -1 before anything was.
std::atomic<int> setting{-1};

bool by_onednn() {
  static const bool carried = at::globalContext().hasMKLDNN();
  return carried && (setting < 0 ? cpu::features().avx512 : setting > 0);
}

// has_halves says whether oneDNN has products in bfloat16 here, which it has for processors with AVX-512.
bool has_halves() {
  static const bool has = at::globalContext().hasMKLDNN() && cpu::features().avx512;
  return has;
}

// halves says whether layers are in bfloat16 here.
bool halves() {
  return has_halves() && at::autocast::is_autocast_enabled(at::kCPU) &&
         at::autocast::get_autocast_dtype(at::kCPU) == at::kBFloat16;
}

bool is_float(const Tensor &t) { return t.device().is_cpu() && t.scalar_type() == at::kFloat; }

bool quicker(const Tensor &x, const Tensor &w, const std::optional<Tensor> &bias) {
  const bool half = halves();
  return (half || (by_onednn() && !at::autocast::is_autocast_enabled(at::kCPU))) &&
         (is_float(x) || (half && x.device().is_cpu() && x.scalar_type() == at::kBFloat16)) && is_float(w) &&
         w.dim() == 2 && x.dim() > 0 && (!bias || (is_float(*bias) && bias->dim() == 1)) && x.size(-1) == w.size(1) &&
         x.numel() * w.size(0) >= worth;
}

// in_bfloat16 is a weight as autocast casts it, which keeps it for as long as it is open, unless it is a view.
Tensor in_bfloat16(const Tensor &w) { return at::autocast::cached_cast(at::kBFloat16, w, at::kCPU); }

// affine is x wᵀ + bias, where w is weight [out, in], or with turns weight [in, out] turned.
Tensor affine(const Tensor &x, const Tensor &weight, const std::optional<Tensor> &bias, bool turns) {
  const Tensor w = turns ? weight.t() : weight;
  if (!quicker(x, w, bias)) {
    if (!turns || !bias || !at::autocast::is_autocast_enabled(at::kCPU)) return at::linear(x, w, bias);
    // autocast keeps what it casts, but not of views
    std::vector<int64_t> shape = x.sizes().vec();
    shape.back() = w.size(0);
    return at::addmm(*bias, x.reshape({-1, x.size(-1)}), weight).reshape(shape);
  }
  std::vector<int64_t> shape = x.sizes().vec();  // [..., in] -> [..., out]
  shape.back() = w.size(0);
  Tensor rows = x.reshape({-1, x.size(-1)}).contiguous(), in_type = w.detach();
  if (halves()) {
    rows = in_bfloat16(rows);
    in_type = (turns ? in_bfloat16(weight).t() : in_bfloat16(weight)).detach();
  }
  c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::DispatchKey::AutocastCPU);
  return Learning::apply(rows, w, bias, in_type).reshape(shape);
}

}  // namespace

Tensor linear::rows(const Tensor &x, const Tensor &w, const std::optional<Tensor> &bias, bool relu6) {
  if (x.scalar_type() == at::kFloat ? by_onednn() : has_halves()) return product(x, w, bias, relu6);
  Tensor y = at::linear(x, w, bias);
  return relu6 ? y.clamp_(0, 6) : y;
}

Tensor linear::weight_gradient(const Tensor &x, const Tensor &dy) {
  if (dy.size(1) <= x.size(1)) return rows(turning::turned(dy), x.t(), std::nullopt, false).to(at::kFloat);
  return rows(turning::turned(x), dy.t(), std::nullopt, false).t().to(at::kFloat).contiguous();
}

char *ct_linear(ct_tensor *out, ct_tensor x, ct_tensor weight, ct_tensor bias, int turns) {
  return returning(out, [&] { return affine(tensor(x), tensor(weight), optional_tensor(bias), turns); });
}
void ct_linear_onednn(int on) { setting = on; }
int ct_linear_by_onednn(void) { return by_onednn(); }
