// Attention of few query rows over many positions, as generating text needs it. Library products spend their time on
// packing such shapes.
#include "bridge.h"
#include "door.h"
#include "share.h"
#include "vectorized.h"

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

// Positions to look at: keys and values of S rows of D floats, steps apart.
struct Run {
  const float *k, *v;
  int64_t S, kstep, vstep;
};

// acc[n] += w v, over the rows of r from column d on.
inline __attribute__((always_inline)) void add(float *acc, int n, const Run &r, const float *w, int64_t d) {
  for (int64_t s = 0; s < r.S; s++)
    for (int j = 0; j < n; j++) acc[j] += w[s] * r.v[s * r.vstep + d + j];
}

// One row: out[D] = softmax(q·k[s] scale) v over the positions of a and then of b, which may have none. w has room for
// all. The order of additions depends on D and the numbers of positions only, so a row gives the same bits in every
// batch and on any number of threads.
FOR_EACH_WIDTH void attend(const float *q, const Run &a, const Run &b, int64_t D, float scale, float *w, float *out) {
  const int64_t S = a.S + b.S;
  for (int64_t s = 0; s < a.S; s++) w[s] = dot(q, a.k + s * a.kstep, D) * scale;
  for (int64_t s = 0; s < b.S; s++) w[a.S + s] = dot(q, b.k + s * b.kstep, D) * scale;
  float top = w[0], sum = 0;
  for (int64_t s = 1; s < S; s++) top = w[s] > top ? w[s] : top;
  for (int64_t s = 0; s < S; s++) w[s] = exp_neg(w[s] - top);
  for (int64_t s = 0; s < S; s++) sum += w[s];
  const float norm = 1 / sum;
  int64_t d = 0;
  for (; d + block <= D; d += block) {
    float acc[block] = {0};
    add(acc, block, a, w, d);
    add(acc, block, b, w + a.S, d);
    for (int j = 0; j < block; j++) out[d + j] = acc[j] * norm;
  }
  for (; d < D; d += lanes) {
    const int n = (int)std::min(lanes, D - d);
    float acc[lanes] = {0};
    add(acc, n, a, w, d);
    add(acc, n, b, w + a.S, d);
    for (int j = 0; j < n; j++) out[d + j] = acc[j] * norm;
  }
}

// Keys and values of several rows: [rows, H, S, D].
struct Runs {
  const float *k = nullptr, *v = nullptr;
  int64_t S = 0, kr, kh, ks, vr, vh, vs;

  Runs() : kr(0), kh(0), ks(0), vr(0), vh(0), vs(0) {}
  Runs(const Tensor &k, const Tensor &v)
      : k(k.const_data_ptr<float>()), v(v.const_data_ptr<float>()), S(k.size(2)), kr(k.stride(0)), kh(k.stride(1)),
        ks(k.stride(2)), vr(v.stride(0)), vh(v.stride(1)), vs(v.stride(2)) {}

  Run of(int64_t row, int64_t h) const { return {k + row * kr + h * kh, v + row * vr + h * vh, S, ks, vs}; }
};

// shared are those of the G groups, own those of the R rows, or nothing.
template <typename E>
void attend_all(const Tensor &q, int64_t G, const Runs &shared, const Runs &own, float scale, Tensor &out) {
  const int64_t R = q.size(0), H = q.size(1), D = q.size(2), S = shared.S + own.S, n = R / G;
  const E *qp = q.const_data_ptr<E>();
  E *op = out.mutable_data_ptr<E>();
  const int64_t qr = q.stride(0), qh = q.stride(1);
  share::each(G * H, std::max<int64_t>(1, 32768 / (n * S * D + 1)), [&](int64_t from, int64_t to, int) {
    std::vector<float> w(S), in(D), res(D);
    for (int64_t i = from; i < to; i++) {
      const int64_t g = i / H, h = i % H;
      for (int64_t r = g * n; r < (g + 1) * n; r++) {  // rows of one group share k and v while they are in the cache
        for (int64_t d = 0; d < D; d++) in[d] = (float)qp[r * qr + h * qh + d];
        attend(in.data(), shared.of(g, h), own.of(r, h), D, scale, w.data(), res.data());
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

Tensor step_attention(const Tensor &q, int64_t groups, const Runs &shared, const Runs &own, float scale) {
  Tensor out = at::empty({q.size(0), q.size(1) * q.size(2)}, q.options().requires_grad(false));  // [R, H*D]
  switch (q.scalar_type()) {
    case at::kFloat: attend_all<float>(q, groups, shared, own, scale, out); break;
    case at::kBFloat16: attend_all<at::BFloat16>(q, groups, shared, own, scale, out); break;
    default: TORCH_CHECK(false, "want q in float32 or bfloat16");
  }
  return out;
}

}  // namespace

char *ct_step_attention(ct_tensor *out, ct_tensor q, ct_tensor k, ct_tensor v, double scale) {
  return returning(out, [&] {
    at::NoGradGuard no_grad;
    check(tensor(q), tensor(k), tensor(v));
    return step_attention(tensor(q), tensor(k).size(0), Runs(tensor(k), tensor(v)), Runs(), (float)scale);
  });
}

char *ct_step_attention_after(ct_tensor *out, ct_tensor q, ct_tensor k, ct_tensor v, ct_tensor own_k, ct_tensor own_v,
                              double scale) {
  return returning(out, [&] {
    at::NoGradGuard no_grad;
    check(tensor(q), tensor(k), tensor(v));
    check(tensor(q), tensor(own_k), tensor(own_v));
    TORCH_CHECK(tensor(own_k).size(0) == tensor(q).size(0), "want keys and values of each row's own");
    return step_attention(tensor(q), tensor(k).size(0), Runs(tensor(k), tensor(v)), Runs(tensor(own_k), tensor(own_v)),
                          (float)scale);
  });
}
