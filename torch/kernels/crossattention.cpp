// Attention of texts that learn to a memory: each token of an image's texts looks at all positions of the image. A head
// of an image stays in the second cache, forward and back; the way back makes the weights again.
#include "attention.h"
#include "bfloat16.h"
#include "bridge.h"
#include "door.h"
#include "dropout.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <vector>

namespace {

using attention::rounded;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Shape is how the tokens lie: image g has the rows starts[g] to starts[g+1] of [N, C], and P rows of [G, P, 2C], its
// keys and values.
struct Shape {
  std::vector<int64_t> starts;
  int64_t G, P, H, D;

  int64_t width() const { return H * D; }
};

// load copies n numbers of x from element at on; save is the way back.
void load(const Tensor &x, int64_t at, int64_t n, float *to) {
  const float *found = bfloat16::in(x, at, n, to);
  if (found != to) std::copy(found, found + n, to);
}
void save(const float *row, const Tensor &x, int64_t at, int64_t n) {
  float *to = bfloat16::place(x, at, const_cast<float *>(row));
  if (to != row) std::copy(row, row + n, to);
  bfloat16::put(x, at, n, row);
}

// Work is the memory of one thread.
struct Work {
  Work(const Shape &s, bool back) : s(s), memory(size(s, back)) {
    const int64_t rows = s.P * s.D, turned = rounded(s.P) * s.D, one = rounded(s.P);
    h.S = s.P, h.D = s.D, h.room = one, h.scale = 1 / std::sqrt((float)s.D), h.seen = nullptr;
    h.w = memory.take(one), h.keep = memory.take(one), q = memory.take(s.D), y = memory.take(s.D);
    h.k = memory.take(rows), h.v = memory.take(rows), h.kt = memory.take(turned);
    if (!back) return;
    h.dw = memory.take(one), d = memory.take(s.D), h.vt = memory.take(turned);
    h.dk = memory.take(rows), h.dv = memory.take(rows);
  }

  static int64_t size(const Shape &s, bool back) {
    const int64_t rows = rounded(s.P * s.D), turned = rounded(s.P) * s.D, one = rounded(s.P), row = rounded(s.D);
    return back ? 3 * one + 3 * row + 4 * rows + 2 * turned : 2 * one + 2 * row + 2 * rows + turned;
  }

  // begin loads head i, of all heads of all images.
  void begin(const Tensor &kv, int64_t i) {
    image = i / s.H, head = i % s.H;
    for (int64_t p = 0; p < s.P; p++) {
      load(kv, key_at(p), s.D, h.k + p * s.D);
      load(kv, key_at(p) + s.width(), s.D, h.v + p * s.D);
    }
    attention::turn(h.k, s.P, s.D, h.room, h.kt);
  }

  int64_t key_at(int64_t p) const { return (image * s.P + p) * 2 * s.width() + head * s.D; }
  int64_t query_at(int64_t n) const { return n * s.width() + head * s.D; }

  // The weights of token n are those from (n H + head) P on, of all that are dropped.
  void draw(const Dropout &dropout, int64_t n) {
    if (dropout.on()) dropout.factors((n * s.H + head) * s.P, s.P, h.keep);
  }

  const Shape &s;
  attention::Memory memory;
  attention::Head h;
  float *q, *y, *d;  // [D]; d: the gradient of what comes out
  int64_t image, head;
};

// each calls f with a Work for every head of every image, spread over threads.
template <class F>
void each(const Shape &s, bool back, F f) {
  at::parallel_for(0, s.G * s.H, 1, [&](int64_t from, int64_t to) {
    Work work(s, back);
    for (int64_t i = from; i < to; i++) f(work, i);
  });
}

// Crossing maps queries [N, C] and keys and values [G, P, 2C], in float32 or bfloat16 both, to [N, C].
struct Crossing : torch::autograd::Function<Crossing> {
  static Tensor forward(AutogradContext *ctx, const Tensor &q, const Tensor &kv, std::vector<int64_t> starts,
                        int64_t heads, double p, int64_t key) {
    const Shape s{starts, kv.size(0), kv.size(1), heads, q.size(1) / heads};
    const Dropout dropout(p, (uint64_t)key);
    Tensor y = at::empty(q.sizes(), q.options().requires_grad(false));
    each(s, false, [&](Work &w, int64_t i) {
      w.begin(kv, i);
      for (int64_t n = s.starts[w.image]; n < s.starts[w.image + 1]; n++) {
        w.draw(dropout, n);
        load(q, w.query_at(n), s.D, w.q);
        attention::attend(w.h, w.q, s.P, dropout.on(), w.y);
        save(w.y, y, w.query_at(n), s.D);
      }
    });
    ctx->save_for_backward({q, kv});
    ctx->saved_data["starts"] = std::move(starts);
    ctx->saved_data["heads"] = heads;
    ctx->saved_data["p"] = p;
    ctx->saved_data["key"] = key;
    return y;
  }

  static variable_list backward(AutogradContext *ctx, variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &q = saved[0], &kv = saved[1], d = grads[0].to(q.scalar_type()).contiguous();
    const int64_t heads = ctx->saved_data["heads"].toInt();
    const Shape s{ctx->saved_data["starts"].toIntVector(), kv.size(0), kv.size(1), heads, q.size(1) / heads};
    const Dropout dropout(ctx->saved_data["p"].toDouble(), (uint64_t)ctx->saved_data["key"].toInt());
    Tensor dq = at::empty_like(q), dkv = at::empty_like(kv);
    each(s, true, [&](Work &w, int64_t i) {
      w.begin(kv, i);
      attention::Head &h = w.h;
      attention::turn(h.v, s.P, s.D, h.room, h.vt);
      std::fill(h.dk, h.dk + s.P * s.D, 0.0f), std::fill(h.dv, h.dv + s.P * s.D, 0.0f);
      for (int64_t n = s.starts[w.image]; n < s.starts[w.image + 1]; n++) {
        w.draw(dropout, n);
        load(q, w.query_at(n), s.D, w.q);
        load(d, w.query_at(n), s.D, w.d);
        attention::learn(h, w.q, w.d, s.P, dropout.on(), w.y);
        save(w.y, dq, w.query_at(n), s.D);
      }
      for (int64_t p = 0; p < s.P; p++) {
        save(h.dk + p * s.D, dkv, w.key_at(p), s.D);
        save(h.dv + p * s.D, dkv, w.key_at(p) + s.width(), s.D);
      }
    });
    return {dq, dkv, {}, {}, {}, {}};
  }
};

Tensor cross_attention(const Tensor &queries, const Tensor &memory, const int64_t *starts, int64_t heads, double p,
                       uint64_t key) {
  const Tensor q = queries.contiguous(), kv = memory.contiguous();
  TORCH_CHECK(bfloat16::fits(q) && q.dim() == 2 && heads > 0 && q.size(1) % heads == 0,
              "want queries [N, C] on the CPU in float32 or bfloat16, C a multiple of the heads");
  TORCH_CHECK(bfloat16::fits(kv) && kv.scalar_type() == q.scalar_type() && kv.dim() == 3 && kv.size(1) > 0 &&
                  kv.size(2) == 2 * q.size(1),
              "want keys and values [G, P, 2C] in the type of the queries");
  std::vector<int64_t> all(starts, starts + kv.size(0) + 1);
  TORCH_CHECK(all.front() == 0 && all.back() == q.size(0) && std::is_sorted(all.begin(), all.end()),
              "want the tokens of images from row 0 to the last of ", q.size(0));
  return Crossing::apply(q, kv, std::move(all), heads, p, (int64_t)key);
}

}  // namespace

char *ct_cross_attention(ct_tensor *out, ct_tensor q, ct_tensor kv, const int64_t *starts, int64_t heads, double p,
                         uint64_t key) {
  return returning(out, [&] { return cross_attention(tensor(q), tensor(kv), starts, heads, p, key); });
}
