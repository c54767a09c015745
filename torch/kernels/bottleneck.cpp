// A mobile inverted bottleneck that learns (Sandler et al. 2018): widen with ReLU6, convolve each channel by itself
// with ReLU6, narrow. Norms are in the weights. A map is written once and read where it is wanted; of all results only
// those of ReLU6 are kept for the way back.
#include "bfloat16.h"
#include "bridge.h"
#include "depthwise.h"
#include "door.h"
#include "linear.h"
#include "turning.h"

#include <ATen/core/grad_mode.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/csrc/autograd/custom_function.h>

#include <optional>

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// as_rows is a map [B, H, W, C] as rows [B H W, C].
Tensor as_rows(const Tensor &x) { return x.view({-1, x.size(-1)}); }

// as_taps is a weight [C, 1, k, k] as [k k, C] in float32; as_kernels is its way back.
Tensor as_taps(const Tensor &w) { return turning::turned(w.detach().view({w.size(0), -1})); }
Tensor as_kernels(const Tensor &taps, int64_t k) { return turning::turned(taps).view({-1, 1, k, k}); }

Tensor like(const Tensor &x, const Tensor &w) { return w.detach().to(x.scalar_type()).contiguous(); }

// Bottleneck takes x [B, H, W, C] in float32 or bfloat16, and the rest in float32: w1 [M, C] and b1 [M], which may be
// left out, w2 [M, 1, k, k], b2 [M], w3 [O, M], b3 [O]. It gives [B, H', W', O] in the type of x.
struct Bottleneck : torch::autograd::Function<Bottleneck> {
  static Tensor forward(AutogradContext *ctx, const Tensor &x, const std::optional<Tensor> &w1,
                        const std::optional<Tensor> &b1, const Tensor &w2, const Tensor &b2, const Tensor &w3,
                        const Tensor &b3, int64_t stride, bool skip) {
    const bool widens = w1.has_value();
    const Tensor first = widens ? like(x, *w1) : Tensor(), last = like(x, w3), taps = as_taps(w2);
    Tensor wide = x;
    if (widens)
      wide = linear::rows(as_rows(x), first, like(x, *b1), true).view({x.size(0), x.size(1), x.size(2), w1->size(0)});
    const depthwise::Shape s = depthwise::same(wide, w2.size(2), stride);
    const Tensor deep = depthwise::forward(s, wide, taps, b2.detach().contiguous());
    Tensor y = linear::rows(as_rows(deep), last, like(x, b3), false).view({s.B, s.OH, s.OW, w3.size(0)});
    if (skip) y.add_(x);
    ctx->save_for_backward({x, widens ? wide : Tensor(), deep, first, taps, last});
    ctx->saved_data["stride"] = stride;
    ctx->saved_data["skip"] = skip;
    return y;
  }

  static variable_list backward(AutogradContext *ctx, variable_list grads) {
    c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::DispatchKey::AutocastCPU);
    const auto saved = ctx->get_saved_variables();
    const Tensor &x = saved[0], &deep = saved[2], &first = saved[3], &taps = saved[4], &last = saved[5];
    const bool widens = saved[1].defined(), wants_dx = ctx->needs_input_grad(0);
    const Tensor &wide = widens ? saved[1] : x, dy = grads[0].to(x.scalar_type()).contiguous();
    const int64_t k = taps.size(0) == 9 ? 3 : 5;
    const depthwise::Shape s = depthwise::same(wide, k, ctx->saved_data["stride"].toInt());

    const Tensor rows = as_rows(dy), ddeep = linear::rows(rows, last.t(), std::nullopt, false).view(deep.sizes());
    const Tensor dw3 = linear::weight_gradient(as_rows(deep), rows), db3 = rows.sum({0}, false, at::kFloat);
    const depthwise::Gradients d = depthwise::backward(s, wide, taps, deep, ddeep, widens || wants_dx, widens);
    const Tensor dw2 = as_kernels(d.weight, k);
    Tensor dx = d.dx, dw1, db1;
    if (widens) {
      const Tensor dwide = as_rows(d.dx);
      dw1 = linear::weight_gradient(as_rows(x), dwide), db1 = d.before;
      if (wants_dx) dx = linear::rows(dwide, first.t(), std::nullopt, false).view(x.sizes());
    }
    if (!wants_dx) return {{}, dw1, db1, dw2, d.bias, dw3, db3, {}, {}};
    if (ctx->saved_data["skip"].toBool()) dx.add_(dy);
    return {dx, dw1, db1, dw2, d.bias, dw3, db3, {}, {}};
  }
};

struct Layer {
  Tensor weight, bias;
};

void check(const Layer &l, const char *what, int64_t in, int dims) {
  for (const Tensor *t : {&l.weight, &l.bias})
    TORCH_CHECK(t->device().is_cpu() && t->scalar_type() == at::kFloat, what, ": want float32 on the CPU");
  TORCH_CHECK(l.weight.dim() == dims && l.weight.size(1) == in && l.bias.dim() == 1 &&
                  l.bias.size(0) == l.weight.size(0),
              what, ": want a weight of ", dims, " dimensions for ", in, " channels and a bias for it");
}

Tensor bottleneck(const Tensor &x, const std::optional<Layer> &widen, const Layer &depth, const Layer &narrow,
                  int64_t stride, bool skip, bool half) {
  c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::DispatchKey::AutocastCPU);
  TORCH_CHECK(x.dim() == 4 && x.device().is_cpu(), "want a map [B, H, W, C] on the CPU");
  if (widen) check(*widen, "widen", x.size(3), 2);
  check(depth, "depthwise", 1, 4);
  const int64_t wide = widen ? widen->weight.size(0) : x.size(3), k = depth.weight.size(2);
  TORCH_CHECK(depth.weight.size(0) == wide && depth.weight.size(3) == k, "depthwise: want ", wide, " square kernels");
  check(narrow, "narrow", wide, 2);
  TORCH_CHECK(!skip || (stride == 1 && narrow.weight.size(0) == x.size(3)),
              "skip: want an output of the input's shape");
  const Tensor in = x.to(half ? at::kBFloat16 : at::kFloat).contiguous();
  std::optional<Tensor> w1, b1;
  if (widen) w1 = widen->weight, b1 = widen->bias;
  return Bottleneck::apply(in, w1, b1, depth.weight, depth.bias, narrow.weight, narrow.bias, stride, skip);
}

Layer layer(ct_tensor weight, ct_tensor bias) { return {tensor(weight), tensor(bias)}; }

}  // namespace

char *ct_bottleneck(ct_tensor *out, ct_tensor x, ct_tensor widen, ct_tensor widen_bias, ct_tensor depth,
                    ct_tensor depth_bias, ct_tensor narrow, ct_tensor narrow_bias, int64_t stride, int skip, int half) {
  return returning(out, [&] {
    std::optional<Layer> first;
    if (widen) first = layer(widen, widen_bias);
    return bottleneck(tensor(x), first, layer(depth, depth_bias), layer(narrow, narrow_bias), stride,
                      skip, half);
  });
}
