// Cross-entropy over a vocabulary: of the softmax nothing is kept but a number a row. libtorch's own keeps the logits
// in float32, their logarithms and both gradients, each as large as the logits.
#include "bfloat16.h"
#include "bridge.h"
#include "door.h"
#include "vectorized.h"

#include <ATen/Parallel.h>
#include <ATen/core/Reduction.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <vector>

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int lanes = 16;  // of sums, so that the order of additions is one and the same for every width of vectors

// What a row's loss needs: the logarithm of the sum of e^(x by), and the sum of x by.
struct Sums {
  float log_sum_exp, sum;
};

FOR_EACH_WIDTH Sums sums(const float *x, int64_t V, float by) {
  float top[lanes], e[lanes] = {0}, s[lanes] = {0};
  for (int j = 0; j < lanes; j++) top[j] = x[0];
  int64_t i = 0;
  for (; i + lanes <= V; i += lanes)
    for (int j = 0; j < lanes; j++) top[j] = x[i + j] > top[j] ? x[i + j] : top[j];
  for (; i < V; i++) top[0] = x[i] > top[0] ? x[i] : top[0];
  float m = top[0];
  for (int j = 1; j < lanes; j++) m = top[j] > m ? top[j] : m;
  for (i = 0; i + lanes <= V; i += lanes)
    for (int j = 0; j < lanes; j++) e[j] += exp_neg((x[i + j] - m) * by), s[j] += x[i + j];
  for (; i < V; i++) e[0] += exp_neg((x[i] - m) * by), s[0] += x[i];
  double es = 0, ss = 0;
  for (int j = 0; j < lanes; j++) es += e[j], ss += s[j];
  return {m * by + (float)std::log(es), (float)ss * by};
}

// slope writes d (softmax(x by) - even) to y, which may be x.
FOR_EACH_WIDTH void slope(const float *x, int64_t V, float by, float log_sum_exp, float even, float d, float *y) {
  for (int64_t i = 0; i < V; i++) y[i] = d * (exp_neg(x[i] * by - log_sum_exp) - even);
}

void check_targets(const int64_t *t, int64_t N, int64_t V, int64_t ignore) {
  for (int64_t i = 0; i < N; i++)
    TORCH_CHECK(t[i] == ignore || (t[i] >= 0 && t[i] < V), "target ", t[i], " of row ", i, ", want 0 to ", V - 1);
}

// Loss takes logits [N, V] contiguous in float32 or bfloat16, which are multiplied by by, and target [N] int64; it
// gives a loss a row, [N] in float32.
struct Loss : torch::autograd::Function<Loss> {
  static Tensor forward(AutogradContext *ctx, const Tensor &logits, const Tensor &target, int64_t ignore,
                        double smoothing, double by) {
    const int64_t N = logits.size(0), V = logits.size(1);
    Tensor each = at::empty({N}, at::kFloat), kept = at::empty({N}, at::kFloat);
    float *loss = each.data_ptr<float>(), *log_sum_exp = kept.data_ptr<float>();
    const int64_t *t = target.const_data_ptr<int64_t>();
    const bool wide = logits.scalar_type() == at::kFloat;
    check_targets(t, N, V, ignore);
    at::parallel_for(0, N, 1, [&](int64_t from, int64_t to) {
      std::vector<float> row(wide ? 0 : V);
      for (int64_t i = from; i < to; i++) {
        loss[i] = log_sum_exp[i] = 0;
        if (t[i] == ignore) continue;
        const float *x = bfloat16::in(logits, i * V, V, row.data());
        const Sums s = sums(x, V, (float)by);
        log_sum_exp[i] = s.log_sum_exp;
        loss[i] = s.log_sum_exp - (float)((1 - smoothing) * by * x[t[i]] + smoothing * s.sum / (double)V);
      }
    });
    ctx->save_for_backward({logits, target, kept});
    ctx->saved_data["ignore"] = ignore;
    ctx->saved_data["smoothing"] = smoothing;
    ctx->saved_data["by"] = by;
    return each;
  }

  static variable_list backward(AutogradContext *ctx, variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &logits = saved[0], d = grads[0].to(at::kFloat).contiguous();
    const int64_t N = logits.size(0), V = logits.size(1), ignore = ctx->saved_data["ignore"].toInt();
    const double smoothing = ctx->saved_data["smoothing"].toDouble(), by = ctx->saved_data["by"].toDouble();
    const int64_t *t = saved[1].const_data_ptr<int64_t>();
    const float *log_sum_exp = saved[2].const_data_ptr<float>(), *of = d.const_data_ptr<float>();
    const bool wide = logits.scalar_type() == at::kFloat;
    Tensor out = at::empty_like(logits);
    at::parallel_for(0, N, 1, [&](int64_t from, int64_t to) {
      std::vector<float> row(wide ? 0 : V);
      for (int64_t i = from; i < to; i++) {
        float *y = bfloat16::place(out, i * V, row.data());
        if (t[i] == ignore) {
          std::fill(y, y + V, 0.0f);
        } else {
          const float *x = bfloat16::in(logits, i * V, V, row.data());
          const float up = of[i] * (float)by;
          slope(x, V, (float)by, log_sum_exp[i], (float)(smoothing / (double)V), up, y);
          y[t[i]] -= up * (float)(1 - smoothing);
        }
        bfloat16::put(out, i * V, V, y);
      }
    });
    return {out, {}, {}, {}, {}};
  }
};

bool has_kernel(const Tensor &logits, const Tensor &target) {
  const auto d = logits.scalar_type();
  return logits.device().is_cpu() && (d == at::kFloat || d == at::kBFloat16) && logits.dim() == 2 &&
         target.dim() == 1 && target.scalar_type() == at::kLong && target.size(0) == logits.size(0) && logits.numel();
}

Tensor cross_entropy(const Tensor &logits, const Tensor &target, int reduction, int64_t ignore, double smoothing,
                     double by) {
  if (!has_kernel(logits, target))
    return at::cross_entropy_loss(by == 1 ? logits : logits.mul(by), target, {}, reduction, ignore, smoothing);
  const Tensor each = Loss::apply(logits.contiguous(), target.contiguous(), ignore, smoothing, by);  // [N]
  switch (reduction) {
    case at::Reduction::Sum: return each.sum();
    case at::Reduction::Mean: return each.sum().div(target.ne(ignore).sum());
  }
  return each;
}

}  // namespace

char *ct_cross_entropy(ct_tensor *out, ct_tensor logits, ct_tensor target, int reduction, int64_t ignore,
                       double smoothing, double by) {
  return returning(out,
                   [&] { return cross_entropy(tensor(logits), tensor(target), reduction, ignore, smoothing, by); });
}
