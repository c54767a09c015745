// GELU by tanh, as GPT-2 has it, of layers that learn: libtorch computes tanh twice, by a slower way.
#include "bfloat16.h"
#include "bridge.h"
#include "door.h"
#include "vectorized.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/gelu.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// x (1 + tanh(u))/2 is x sigmoid(2u), u = √(2/π) (x + 0.044715 x³).
constexpr float slope = 1.5957691216f, cubic = 0.044715f;  // slope: 2 √(2/π)

inline __attribute__((always_inline)) float sigmoid(float z) {
  const float e = exp_neg(z < 0 ? z : -z);
  return (z >= 0 ? 1 : e) / (1 + e);
}

FOR_EACH_WIDTH void forward_some(const float *x, int64_t n, float *y) {
  for (int64_t i = 0; i < n; i++) y[i] = x[i] * sigmoid(slope * (x[i] + cubic * x[i] * x[i] * x[i]));
}

FOR_EACH_WIDTH void backward_some(const float *x, const float *dy, int64_t n, float *dx) {
  for (int64_t i = 0; i < n; i++) {
    const float s = sigmoid(slope * (x[i] + cubic * x[i] * x[i] * x[i]));
    dx[i] = dy[i] * (s + x[i] * s * (1 - s) * slope * (1 + 3 * cubic * x[i] * x[i]));
  }
}

constexpr int64_t some = 1024;  // at a time

// each calls f for stretches of at most some elements of n.
template <class F>
void each(int64_t n, F f) {
  at::parallel_for(0, (n + some - 1) / some, 4, [&](int64_t from, int64_t to) {
    for (int64_t i = from * some; i < std::min(n, to * some); i += some) f(i, std::min(some, n - i));
  });
}

struct Gelu : torch::autograd::Function<Gelu> {
  static Tensor forward(AutogradContext *ctx, const Tensor &x) {
    Tensor y = at::empty_like(x);
    each(x.numel(), [&](int64_t i, int64_t n) {
      float in[some], room[some], *out = bfloat16::place(y, i, room);
      forward_some(bfloat16::in(x, i, n, in), n, out);
      bfloat16::put(y, i, n, out);
    });
    ctx->save_for_backward({x});
    return y;
  }

  static variable_list backward(AutogradContext *ctx, variable_list grads) {
    const Tensor x = ctx->get_saved_variables()[0], dy = grads[0].to(x.scalar_type()).contiguous();
    Tensor dx = at::empty_like(x);
    each(x.numel(), [&](int64_t i, int64_t n) {
      float in[some], in2[some], room[some], *out = bfloat16::place(dx, i, room);
      backward_some(bfloat16::in(x, i, n, in), bfloat16::in(dy, i, n, in2), n, out);
      bfloat16::put(dx, i, n, out);
    });
    return {dx};
  }
};

Tensor gelu(const Tensor &x, bool tanh) {
  const bool learns = at::GradMode::is_enabled() && x.requires_grad();
  if (!tanh || !learns || !bfloat16::fits(x)) return at::gelu(x, tanh ? "tanh" : "none");
  return Gelu::apply(x);
}

}  // namespace

char *ct_gelu(ct_tensor *out, ct_tensor x, int tanh) {
  return returning(out, [&] { return gelu(tensor(x), tanh); });
}
