// Linear layers that learn, in float32. The BLAS in libtorch keeps to AVX2 on processors of some makers, where oneDNN,
// which libtorch carries too, takes AVX-512 and half the time. Which is quicker here is measured: see package kernels of
// torch/nn. Everything else goes to libtorch's own linear.
#include "bridge.h"
#include "cpu.h"
#include "door.h"
#include "vectorized.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <atomic>
#include <vector>

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// x wᵀ + bias by oneDNN: x [N, in] contiguous, w [out, in] of any strides.
Tensor product(const Tensor &x, const Tensor &w, const std::optional<Tensor> &bias) {
  static const auto op = c10::Dispatcher::singleton().findSchemaOrThrow("mkldnn::_linear_pointwise", "");
  torch::jit::Stack stack{x,
                          w,
                          bias ? c10::IValue(*bias) : c10::IValue(),
                          std::string("none"),
                          c10::List<std::optional<at::Scalar>>(),
                          std::string("")};
  op.callBoxed(stack);
  return stack[0].toTensor();
}

// The weight's gradient is made for so many outputs at a time, so that gradients of logits are not laid out anew as a
// whole.
constexpr int64_t outputs = 2048;

constexpr int64_t side = 16;  // of the squares that are turned in registers

// turn writes x, whose rows lie step apart, as [columns, rows].
FOR_EACH_WIDTH void turn(const float *x, int64_t step, int64_t rows, int64_t columns, int64_t to_step, float *to) {
  for (int64_t r = 0; r < rows; r += side)
    for (int64_t c = 0; c < columns; c += side) {
      const int64_t some = std::min(side, rows - r), wide = std::min(side, columns - c);
      const float *from = x + r * step + c;
      float *out = to + c * to_step + r, square[side * side];
      if (some < side || wide < side) {
        for (int64_t j = 0; j < wide; j++)
          for (int64_t i = 0; i < some; i++) out[j * to_step + i] = from[i * step + j];
        continue;
      }
      for (int i = 0; i < side; i++)
        for (int j = 0; j < side; j++) square[i * side + j] = from[i * step + j];
      for (int j = 0; j < side; j++)
        for (int i = 0; i < side; i++) out[j * to_step + i] = square[i * side + j];
    }
}

// turned is x.t().contiguous() for x [rows, columns]: libtorch's way goes through memory a number at a time.
Tensor turned(const Tensor &x) {
  if (x.stride(1) != 1) return x.t().contiguous();
  const int64_t rows = x.size(0), columns = x.size(1), step = x.stride(0);
  Tensor y = at::empty({columns, rows}, x.options().requires_grad(false));
  const float *from = x.const_data_ptr<float>();
  float *to = y.data_ptr<float>();
  at::parallel_for(0, (columns + side - 1) / side, 4, [&](int64_t a, int64_t b) {
    const int64_t c = a * side, n = std::min(columns, b * side) - c;
    turn(from + c, step, rows, n, rows, to + c * rows);
  });
  return y;
}

// dyᵀ x in the weight's own order: [out, in].
Tensor weight_grad(const Tensor &x, const Tensor &w, const Tensor &dy) {
  if (w.stride(0) < w.stride(1)) return product(turned(x), dy.t(), std::nullopt).t();
  if (w.size(0) <= outputs) return product(turned(dy), x.t(), std::nullopt);
  Tensor dw = at::empty(w.sizes(), w.options().requires_grad(false));
  for (int64_t i = 0; i < w.size(0); i += outputs) {
    const int64_t n = std::min(outputs, w.size(0) - i);
    dw.narrow(0, i, n).copy_(product(turned(dy.narrow(1, i, n)), x.t(), std::nullopt));
  }
  return dw;
}

struct Learning : torch::autograd::Function<Learning> {
  static Tensor forward(AutogradContext *ctx, const Tensor &x, const Tensor &w, const std::optional<Tensor> &bias) {
    ctx->save_for_backward({x, w});
    ctx->saved_data["bias"] = bias.has_value();
    return product(x, w, bias);
  }

  static variable_list backward(AutogradContext *ctx, variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &x = saved[0], &w = saved[1], dy = grads[0].contiguous();
    Tensor dx, dw, db;
    if (ctx->needs_input_grad(0)) dx = product(dy, w.t(), std::nullopt);  // [N, in]
    if (ctx->needs_input_grad(1)) dw = weight_grad(x, w, dy);             // [out, in]
    if (ctx->saved_data["bias"].toBool() && ctx->needs_input_grad(2)) db = dy.sum(0);
    return {dx, dw, db};
  }
};

// Below this many multiplications the way to oneDNN costs more than it saves.
constexpr int64_t worth = 1 << 22;

// What was set; -1 before anything was.
std::atomic<int> setting{-1};

bool by_onednn() {
  static const bool carried = at::globalContext().hasMKLDNN();
  return carried && (setting < 0 ? cpu::features().avx512 : setting > 0);
}

bool quicker(const Tensor &x, const Tensor &w, const std::optional<Tensor> &bias) {
  return by_onednn() && x.device().is_cpu() && x.scalar_type() == at::kFloat && w.scalar_type() == at::kFloat &&
         w.dim() == 2 && x.dim() > 0 && (!bias || (bias->scalar_type() == at::kFloat && bias->dim() == 1)) &&
         !at::autocast::is_autocast_enabled(at::kCPU) && x.size(-1) == w.size(1) && x.numel() * w.size(0) >= worth;
}

Tensor affine(const Tensor &x, const Tensor &w, const std::optional<Tensor> &bias) {
  if (!quicker(x, w, bias)) return at::linear(x, w, bias);
  std::vector<int64_t> shape = x.sizes().vec();  // [..., in] -> [..., out]
  shape.back() = w.size(0);
  return Learning::apply(x.reshape({-1, x.size(-1)}).contiguous(), w, bias).reshape(shape);
}

}  // namespace

char *ct_linear(ct_tensor *out, ct_tensor x, ct_tensor weight, ct_tensor bias) {
  return returning(out, [&] { return affine(tensor(x), tensor(weight), optional_tensor(bias)); });
}
void ct_linear_onednn(int on) { setting = on; }
int ct_linear_by_onednn(void) { return by_onednn(); }
