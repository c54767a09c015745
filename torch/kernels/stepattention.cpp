// Attention of few query rows over many positions, as generating text needs it. Library products spend their time on
// packing such shapes.
#include "bridge.h"
#include "door.h"
#include "vectorized.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include <vector>

namespace {

constexpr int64_t lanes = 16, block = 64;

// q·k in 16 lanes. It is part of whoever calls it, in the width of that.
inline __attribute__((always_inline)) float dot(const float *q, const float *k, int64_t D) {
  float acc[lanes] = {0};
  int64_t d = 0;
  for (; d + lanes <= D; d += lanes)
    for (int j = 0; j < lanes; j++) acc[j] += q[d + j] * k[d + j];
  for (; d < D; d++) acc[0] += q[d] * k[d];
  for (int j = 0; j < 8; j++) acc[j] += acc[j + 8];
  for (int j = 0; j < 4; j++) acc[j] += acc[j + 4];
  return (acc[0] + acc[2]) + (acc[1] + acc[3]);
}

// One row: out[D] = softmax(q·k[s] scale) v; k and v are S rows of D floats, steps apart. w has room for S. The order
// of additions depends on D and S only, so a row gives the same bits in every batch and on any number of threads.
FOR_EACH_WIDTH void attend(const float *q, const float *k, const float *v, int64_t S, int64_t D, int64_t kstep,
                           int64_t vstep, float scale, float *w, float *out) {
  for (int64_t s = 0; s < S; s++) w[s] = dot(q, k + s * kstep, D) * scale;
  float top = w[0], sum = 0;
  for (int64_t s = 1; s < S; s++) top = w[s] > top ? w[s] : top;
  for (int64_t s = 0; s < S; s++) w[s] = exp_neg(w[s] - top);
  for (int64_t s = 0; s < S; s++) sum += w[s];
  const float norm = 1 / sum;
  int64_t d = 0;
  for (; d + block <= D; d += block) {
    float acc[block] = {0};
    for (int64_t s = 0; s < S; s++)
      for (int j = 0; j < block; j++) acc[j] += w[s] * v[s * vstep + d + j];
    for (int j = 0; j < block; j++) out[d + j] = acc[j] * norm;
  }
  for (; d < D; d += lanes) {
    const int n = (int)std::min(lanes, D - d);
    float acc[lanes] = {0};
    for (int64_t s = 0; s < S; s++)
      for (int j = 0; j < n; j++) acc[j] += w[s] * v[s * vstep + d + j];
    for (int j = 0; j < n; j++) out[d + j] = acc[j] * norm;
  }
}

template <typename E>
void attend_all(const Tensor &q, const Tensor &k, const Tensor &v, float scale, Tensor &out) {
  const int64_t R = q.size(0), H = q.size(1), D = q.size(2), G = k.size(0), S = k.size(2), n = R / G;
  const E *qp = q.const_data_ptr<E>();
  E *op = out.mutable_data_ptr<E>();
  const float *kp = k.const_data_ptr<float>(), *vp = v.const_data_ptr<float>();
  const int64_t qr = q.stride(0), qh = q.stride(1);
  const int64_t kg = k.stride(0), kh = k.stride(1), ks = k.stride(2);
  const int64_t vg = v.stride(0), vh = v.stride(1), vs = v.stride(2);
  at::parallel_for(0, G * H, std::max<int64_t>(1, 32768 / (n * S * D + 1)), [&](int64_t from, int64_t to) {
    std::vector<float> w(S), in(D), res(D);
    for (int64_t i = from; i < to; i++) {
      const int64_t g = i / H, h = i % H;
      for (int64_t r = g * n; r < (g + 1) * n; r++) {  // rows of one group share k and v while they are in the cache
        for (int64_t d = 0; d < D; d++) in[d] = (float)qp[r * qr + h * qh + d];
        attend(in.data(), kp + g * kg + h * kh, vp + g * vg + h * vh, S, D, ks, vs, scale, w.data(), res.data());
        for (int64_t d = 0; d < D; d++) op[(r * H + h) * D + d] = (E)res[d];
      }
    }
  });
}

void check(const Tensor &q, const Tensor &k, const Tensor &v) {
  TORCH_CHECK(q.dim() == 3 && k.dim() == 4 && v.sizes() == k.sizes() && k.size(0) > 0 && q.size(0) % k.size(0) == 0 &&
                  k.size(1) == q.size(1) && k.size(2) > 0 && k.size(3) == q.size(2),
              "want q [R, H, D] and k, v [G, H, S, D] with G dividing R");
  TORCH_CHECK(q.device().is_cpu() && k.device().is_cpu() && v.device().is_cpu(), "want tensors on the CPU");
  TORCH_CHECK(k.scalar_type() == at::kFloat && v.scalar_type() == at::kFloat, "want k and v in float32");
  TORCH_CHECK(q.stride(2) == 1 && k.stride(3) == 1 && v.stride(3) == 1, "want the last dimension without gaps");
}

Tensor step_attention(const Tensor &q, const Tensor &k, const Tensor &v, float scale) {
  at::NoGradGuard no_grad;
  check(q, k, v);
  Tensor out = at::empty({q.size(0), q.size(1) * q.size(2)}, q.options().requires_grad(false));  // [R, H*D]
  switch (q.scalar_type()) {
    case at::kFloat: attend_all<float>(q, k, v, scale, out); break;
    case at::kBFloat16: attend_all<at::BFloat16>(q, k, v, scale, out); break;
    default: TORCH_CHECK(false, "want q in float32 or bfloat16");
  }
  return out;
}

}  // namespace

char *ct_step_attention(ct_tensor *out, ct_tensor q, ct_tensor k, ct_tensor v, double scale) {
  return returning(out, [&] { return step_attention(tensor(q), tensor(k), tensor(v), (float)scale); });
}
