// What stands between two layers of a transformer that learns: sum = x + dropout(h), y = LayerNorm(sum). It takes one
// pass over memory, and one back. The mask of the dropout is drawn again on the way back instead of kept.
#include "bfloat16.h"
#include "bridge.h"
#include "door.h"
#include "dropout.h"
#include "vectorized.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <vector>

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int lanes = 16;  // of sums, so that the order of additions is one and the same for every width of vectors

inline __attribute__((always_inline)) float total(const float *a) {
  float s = 0;
  for (int j = 0; j < lanes; j++) s += a[j];
  return s;
}

// Moments are what normalizes a row: (x - mean) scale.
struct Moments {
  float mean, scale;
};

// forward_row makes a row: sum = x + h by keep, which is null for no dropout, and y = norm(sum).
FOR_EACH_WIDTH Moments forward_row(const float *x, const float *h, const float *keep, int64_t C, const float *w,
                                   const float *bias, float eps, float *sum, float *y) {
  if (keep)
    for (int64_t i = 0; i < C; i++) sum[i] = x[i] + keep[i] * h[i];
  else
    for (int64_t i = 0; i < C; i++) sum[i] = x[i] + h[i];
  float a[lanes] = {0}, b[lanes] = {0};
  int64_t i = 0;
  for (; i + lanes <= C; i += lanes)
    for (int j = 0; j < lanes; j++) a[j] += sum[i + j];
  for (; i < C; i++) a[0] += sum[i];
  const float mean = total(a) / C;
  for (i = 0; i + lanes <= C; i += lanes)
    for (int j = 0; j < lanes; j++) b[j] += (sum[i + j] - mean) * (sum[i + j] - mean);
  for (; i < C; i++) b[0] += (sum[i] - mean) * (sum[i] - mean);
  const float scale = 1 / std::sqrt(total(b) / C + eps);
  for (i = 0; i < C; i++) y[i] = (sum[i] - mean) * scale * w[i] + bias[i];
  return {mean, scale};
}

// backward_row gives dx, the gradient of x, from those of y and of sum (up, null for none), and adds to dw and db.
FOR_EACH_WIDTH void backward_row(const float *dy, const float *up, const float *sum, Moments m, int64_t C,
                                 const float *w, float *dx, float *dw, float *db) {
  float a[lanes] = {0}, b[lanes] = {0};
  int64_t i = 0;
  for (; i + lanes <= C; i += lanes)
    for (int j = 0; j < lanes; j++) {
      const float n = (sum[i + j] - m.mean) * m.scale, g = dy[i + j] * w[i + j];
      a[j] += g, b[j] += g * n;
      dw[i + j] += dy[i + j] * n, db[i + j] += dy[i + j];
    }
  for (; i < C; i++) {
    const float n = (sum[i] - m.mean) * m.scale, g = dy[i] * w[i];
    a[0] += g, b[0] += g * n;
    dw[i] += dy[i] * n, db[i] += dy[i];
  }
  const float mean = total(a) / C, along = total(b) / C;
  for (i = 0; i < C; i++) dx[i] = m.scale * (dy[i] * w[i] - mean - (sum[i] - m.mean) * m.scale * along);
  if (up)
    for (i = 0; i < C; i++) dx[i] += up[i];
}

FOR_EACH_WIDTH void multiply(const float *x, const float *by, int64_t n, float *y) {
  for (int64_t i = 0; i < n; i++) y[i] = x[i] * by[i];
}

FOR_EACH_WIDTH void add(const float *x, int64_t n, float *to) {
  for (int64_t i = 0; i < n; i++) to[i] += x[i];
}

// Rows whose part of the weights' gradients one thread adds up: a fixed number, so that the sums do not hang on how
// many threads there are.
constexpr int64_t chunk = 32;

// Residual takes x [N, C] in float32, h [N, C] in float32 or bfloat16, and the norm's w and b [C] in float32. It gives
// sum in float32 and y, in bfloat16 where half says so.
struct Residual : torch::autograd::Function<Residual> {
  static variable_list forward(AutogradContext *ctx, const Tensor &x, const Tensor &h, const Tensor &w, const Tensor &b,
                               double eps, double p, int64_t key, bool half) {
    const int64_t N = x.size(0), C = x.size(1);
    const auto plain = x.options().requires_grad(false);
    Tensor sum = at::empty({N, C}, plain), y = at::empty({N, C}, plain.dtype(half ? at::kBFloat16 : at::kFloat));
    Tensor kept = at::empty({N, 2}, plain);
    const Dropout dropout(p, (uint64_t)key);
    const float *xp = x.const_data_ptr<float>(), *wp = w.const_data_ptr<float>(), *bp = b.const_data_ptr<float>();
    float *sp = sum.data_ptr<float>();
    Moments *m = (Moments *)kept.data_ptr<float>();
    at::parallel_for(0, N, chunk, [&](int64_t from, int64_t to) {
      std::vector<float> room(3 * C);
      float *keep = dropout.on() ? room.data() : nullptr, *hr = room.data() + C, *yr = room.data() + 2 * C;
      for (int64_t i = from; i < to; i++) {
        if (keep) dropout.factors(i * C, C, keep);
        float *out = bfloat16::place(y, i * C, yr);
        m[i] = forward_row(xp + i * C, bfloat16::in(h, i * C, C, hr), keep, C, wp, bp, (float)eps, sp + i * C, out);
        bfloat16::put(y, i * C, C, out);
      }
    });
    ctx->save_for_backward({sum, kept, w});
    ctx->set_materialize_grads(false);
    ctx->saved_data["p"] = p;
    ctx->saved_data["key"] = key;
    ctx->saved_data["half"] = h.scalar_type() == at::kBFloat16;
    return {sum, y};
  }

  static variable_list backward(AutogradContext *ctx, variable_list grads) {
    if (!grads[0].defined() && !grads[1].defined()) return variable_list(8);
    const auto saved = ctx->get_saved_variables();
    const Tensor &sum = saved[0], &w = saved[2];
    const int64_t N = sum.size(0), C = sum.size(1), chunks = (N + chunk - 1) / chunk;
    const Dropout dropout(ctx->saved_data["p"].toDouble(), (uint64_t)ctx->saved_data["key"].toInt());
    const bool half = ctx->saved_data["half"].toBool();
    const Tensor up = grads[0].defined() ? grads[0].contiguous() : grads[0];
    const Tensor dy = grads[1].defined() ? grads[1].contiguous() : grads[1];
    Tensor dx = at::empty_like(sum), dh = dx;
    if (half || dropout.on()) dh = at::empty({N, C}, sum.options().dtype(half ? at::kBFloat16 : at::kFloat));
    Tensor parts = at::zeros({chunks, 2, C}, sum.options());  // of the gradients of w and b
    const float *sp = sum.const_data_ptr<float>(), *wp = w.const_data_ptr<float>();
    const Moments *m = (const Moments *)saved[1].const_data_ptr<float>();
    const float *upper = up.defined() ? up.const_data_ptr<float>() : nullptr;
    float *dxp = dx.data_ptr<float>(), *pp = parts.data_ptr<float>();
    at::parallel_for(0, chunks, 1, [&](int64_t from, int64_t to) {
      std::vector<float> room(3 * C);
      float *keep = room.data(), *yr = room.data() + C, *hr = room.data() + 2 * C;
      for (int64_t i = from * chunk; i < std::min(N, to * chunk); i++) {
        float *dw = pp + i / chunk * 2 * C, *d = dxp + i * C;
        const float *above = upper ? upper + i * C : nullptr;
        if (!dy.defined()) std::copy(above, above + C, d);  // nobody took y
        else backward_row(bfloat16::in(dy, i * C, C, yr), above, sp + i * C, m[i], C, wp, d, dw, dw + C);
        if (!dropout.on()) {
          bfloat16::put(dh, i * C, C, d);
          continue;
        }
        dropout.factors(i * C, C, keep);
        float *out = bfloat16::place(dh, i * C, hr);
        multiply(d, keep, C, out);
        bfloat16::put(dh, i * C, C, out);
      }
    });
    for (int64_t c = 1; c < chunks; c++) add(pp + c * 2 * C, 2 * C, pp);
    return {dx, dh, parts[0][0].clone(), parts[0][1].clone(), {}, {}, {}, {}};
  }
};

void check(const Tensor &x, const Tensor &h, const Tensor &w, const Tensor &b) {
  TORCH_CHECK(x.dim() == 2 && x.scalar_type() == at::kFloat && h.sizes() == x.sizes(),
              "want x [N, C] in float32 and h of that shape");
  for (const Tensor *t : {&w, &b})
    TORCH_CHECK(t->dim() == 1 && t->size(0) == x.size(1) && t->scalar_type() == at::kFloat,
                "want the norm's weight and bias as [C] in float32");
}

struct Pair {
  Tensor sum, y;
};

Pair residual(const Tensor &x, const Tensor &h, const Tensor &w, const Tensor &b, double eps, double p, uint64_t key,
              bool half) {
  check(x, h, w, b);
  const Tensor x1 = x.contiguous(), h1 = h.contiguous();
  TORCH_CHECK(bfloat16::fits(x1) && bfloat16::fits(h1), "want tensors on the CPU in float32, or h in bfloat16");
  const auto out = Residual::apply(x1, h1, w.contiguous(), b.contiguous(), eps, p, (int64_t)key, half);
  return {out[0], out[1]};
}

}  // namespace

char *ct_residual(ct_tensor *sum, ct_tensor *y, ct_tensor x, ct_tensor h, ct_tensor weight, ct_tensor bias, double eps,
                  double p, uint64_t key, int half) {
  return guarded([&] {
    Pair r = residual(tensor(x), tensor(h), tensor(weight), tensor(bias), eps, p, key, half);
    *sum = new Tensor(std::move(r.sum));
    *y = new Tensor(std::move(r.y));
  });
}
