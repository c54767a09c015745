// Cross-entropy over a vocabulary: of the softmax nothing is kept but a number a row. libtorch's own keeps the logits in float32, their
// logarithms and both gradients, each as large as the logits.
#include "bridge.h"
#include "parts.h"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <vector>

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

#define CLONES __attribute__((target_clones("avx512f", "avx2", "default")))

// What a row's loss needs: the logarithm of the sum of e^x, and the sum of x. In 16 lanes, so that the order of additions is one and the same.
struct Sums {
  float log_sum_exp, sum;
};
CLONES Sums sums(const float *x, int64_t V) {
  float top[16], e[16] = {0}, s[16] = {0};
  for (int j = 0; j < 16; j++) top[j] = x[0];
  int64_t i = 0;
  for (; i + 16 <= V; i += 16)
    for (int j = 0; j < 16; j++) top[j] = x[i + j] > top[j] ? x[i + j] : top[j];
  for (; i < V; i++) top[0] = x[i] > top[0] ? x[i] : top[0];
  float m = top[0];
  for (int j = 1; j < 16; j++) m = top[j] > m ? top[j] : m;
  for (i = 0; i + 16 <= V; i += 16)
    for (int j = 0; j < 16; j++) e[j] += exp_neg(x[i + j] - m), s[j] += x[i + j];
  for (; i < V; i++) e[0] += exp_neg(x[i] - m), s[0] += x[i];
  double es = 0, ss = 0;
  for (int j = 0; j < 16; j++) es += e[j], ss += s[j];
  return {m + (float)std::log(es), (float)ss};
}

// d (softmax(x) - even), over x.
CLONES void slope(float *x, int64_t V, float log_sum_exp, float even, float d) {
  for (int64_t i = 0; i < V; i++) x[i] = d * (exp_neg(x[i] - log_sum_exp) - even);
}

void widen(const at::BFloat16 *x, int64_t V, float *y) {
  for (int64_t i = 0; i < V; i++) y[i] = x[i];
}
void narrow(const float *y, int64_t V, at::BFloat16 *x) {
  for (int64_t i = 0; i < V; i++) x[i] = y[i];
}

struct Loss : torch::autograd::Function<Loss> {
  // logits [N, V] contiguous in float32 or bfloat16, target [N] int64; each [N] in float32, a loss a row
  static Tensor forward(AutogradContext *ctx, const Tensor &logits, const Tensor &target, int64_t ignore, double smoothing) {
    const int64_t N = logits.size(0), V = logits.size(1);
    Tensor each = at::empty({N}, at::kFloat), kept = at::empty({N}, at::kFloat);
    float *loss = each.data_ptr<float>(), *log_sum_exp = kept.data_ptr<float>();
    const int64_t *t = target.const_data_ptr<int64_t>();
    const bool wide = logits.scalar_type() == at::kFloat;
    for (int64_t i = 0; i < N; i++) TORCH_CHECK(t[i] == ignore || t[i] >= 0 && t[i] < V, "target ", t[i], " of row ", i, ", want 0 to ", V - 1);
    at::parallel_for(0, N, 1, [&](int64_t from, int64_t to) {
      std::vector<float> row(wide ? 0 : V);
      for (int64_t i = from; i < to; i++) {
        loss[i] = log_sum_exp[i] = 0;
        if (t[i] == ignore) continue;
        const float *x = row.data();
        if (wide) x = logits.const_data_ptr<float>() + i * V;
        else widen(logits.const_data_ptr<at::BFloat16>() + i * V, V, row.data());
        const Sums s = sums(x, V);
        log_sum_exp[i] = s.log_sum_exp;
        loss[i] = s.log_sum_exp - (float)((1 - smoothing) * x[t[i]] + smoothing * s.sum / (double)V);
      }
    });
    ctx->save_for_backward({logits, target, kept});
    ctx->saved_data["ignore"] = ignore;
    ctx->saved_data["smoothing"] = smoothing;
    return each;
  }

  static variable_list backward(AutogradContext *ctx, variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &logits = saved[0], d = grads[0].to(at::kFloat).contiguous();
    const int64_t N = logits.size(0), V = logits.size(1), ignore = ctx->saved_data["ignore"].toInt();
    const double smoothing = ctx->saved_data["smoothing"].toDouble();
    const int64_t *t = saved[1].const_data_ptr<int64_t>();
    const float *log_sum_exp = saved[2].const_data_ptr<float>(), *by = d.const_data_ptr<float>();
    const bool wide = logits.scalar_type() == at::kFloat;
    Tensor out = at::empty_like(logits);
    at::parallel_for(0, N, 1, [&](int64_t from, int64_t to) {
      std::vector<float> row(wide ? 0 : V);
      for (int64_t i = from; i < to; i++) {
        float *x = wide ? out.data_ptr<float>() + i * V : row.data();
        if (t[i] == ignore) std::fill(x, x + V, 0.0f);
        else {
          if (wide) memcpy(x, logits.const_data_ptr<float>() + i * V, V * sizeof(float));
          else widen(logits.const_data_ptr<at::BFloat16>() + i * V, V, x);
          slope(x, V, log_sum_exp[i], (float)(smoothing / (double)V), by[i]);
          x[t[i]] -= by[i] * (float)(1 - smoothing);
        }
        if (!wide) narrow(x, V, out.data_ptr<at::BFloat16>() + i * V);
      }
    });
    return {out, {}, {}, {}};
  }
};

}  // namespace

char *ct_cross_entropy(tt *o, tt logits, tt target, int reduction, int64_t ignore, double smoothing) {
  TRY(const Tensor &x = T(logits), &t = T(target); const auto d = x.scalar_type();
      if (!x.device().is_cpu() || d != at::kFloat && d != at::kBFloat16 || x.dim() != 2 || t.dim() != 1 || t.scalar_type() != at::kLong ||
          t.size(0) != x.size(0) || !x.numel()) {
        *o = new Tensor(at::cross_entropy_loss(x, t, {}, reduction, ignore, smoothing));
        return nullptr;
      }
      Tensor y = Loss::apply(x.contiguous(), t.contiguous(), ignore, smoothing);
      if (reduction == at::Reduction::Sum) y = y.sum();
      else if (reduction == at::Reduction::Mean) y = y.sum().div(t.ne(ignore).sum());
      *o = new Tensor(std::move(y)))
}
