// Attention of texts that learn: each token looks at itself and at those before it in its text. A head of a text stays
// in the first cache, forward and back. Nothing is kept but what goes in: the way back makes the weights again. Plain
// products take some fifteen passes over memory for it.
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

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using attention::rounded;

// Shape is how the texts lie: text b has the rows starts[b] to starts[b+1] of [N, 3C]. length, at least that of the
// longest, numbers the weights, for the dropout: [texts, H, length, length].
struct Shape {
  const int64_t *starts;
  const bool *seen;  // [texts, length], or null
  int64_t texts, length, H, D;

  int64_t width() const { return H * D; }
};

// Work is the memory of one thread for heads of at most length tokens.
struct Work {
  Work(const Shape &s, bool back) : s(s), memory(size(s, back)) {
    const int64_t rows = s.length * s.D, turned = rounded(s.length) * s.D, one = rounded(s.length);
    h.D = s.D, h.scale = 1 / std::sqrt((float)s.D);
    h.w = memory.take(one), h.keep = memory.take(one);
    q = memory.take(rows), h.k = memory.take(rows), h.v = memory.take(rows), h.kt = memory.take(turned);
    if (!back) return;
    h.dw = memory.take(one), h.vt = memory.take(turned);
    d = memory.take(rows), dq = memory.take(rows), h.dk = memory.take(rows), h.dv = memory.take(rows);
  }

  static int64_t size(const Shape &s, bool back) {
    const int64_t rows = rounded(s.length * s.D), turned = rounded(s.length) * s.D, one = rounded(s.length);
    return back ? 3 * one + 7 * rows + 2 * turned : 2 * one + 3 * rows + turned;
  }

  // begin loads head i, of all heads of all texts.
  void begin(const Tensor &qkv, int64_t i) {
    text = i / s.H, head = i % s.H, from = s.starts[text];
    h.S = s.starts[text + 1] - from, h.room = rounded(h.S);
    h.seen = s.seen ? s.seen + text * s.length : nullptr;
    float *to[] = {q, h.k, h.v};
    for (int64_t t = 0; t < h.S; t++)
      for (int part = 0; part < 3; part++) load(qkv, (from + t) * 3 * s.width() + part * s.width(), to[part] + t * s.D);
    attention::turn(h.k, h.S, s.D, h.room, h.kt);
  }

  // load copies the head's part of a row that begins at element `at` of x.
  void load(const Tensor &x, int64_t at, float *to) {
    at += head * s.D;
    const float *found = bfloat16::in(x, at, s.D, to);
    if (found != to) std::copy(found, found + s.D, to);
  }

  void save(const float *row, const Tensor &x, int64_t at) {
    at += head * s.D;
    float *to = bfloat16::place(x, at, const_cast<float *>(row));
    if (to != row) std::copy(row, row + s.D, to);
    bfloat16::put(x, at, s.D, row);
  }

  void draw(const Dropout &dropout, int64_t t) {
    if (dropout.on()) dropout.factors(((text * s.H + head) * s.length + t) * s.length, t + 1, h.keep);
  }

  const Shape &s;
  attention::Memory memory;
  attention::Head h;
  float *q, *d, *dq;  // [length, D]; d: the gradient of what comes out
  int64_t text, head, from;
};

// each calls f with a Work for every head, spread over threads.
template <class F>
void each(const Shape &s, bool back, F f) {
  at::parallel_for(0, s.texts * s.H, 1, [&](int64_t from, int64_t to) {
    Work work(s, back);
    for (int64_t i = from; i < to; i++) f(work, i);
  });
}

using Optional = std::optional<Tensor>;

Shape shape_of(const Tensor &qkv, const Tensor &starts, const Optional &seen, int64_t length, int64_t heads) {
  return {starts.const_data_ptr<int64_t>(), seen ? seen->const_data_ptr<bool>() : nullptr, starts.size(0) - 1, length,
          heads, qkv.size(1) / 3 / heads};
}

// Causal maps qkv [N, 3C] in float32 or bfloat16 to [N, C] in the same type.
struct Causal : torch::autograd::Function<Causal> {
  static Tensor forward(AutogradContext *ctx, const Tensor &qkv, const Tensor &starts, const Optional &seen,
                        int64_t length, int64_t heads, double p, int64_t key) {
    const Shape s = shape_of(qkv, starts, seen, length, heads);
    const Dropout dropout(p, (uint64_t)key);
    Tensor y = at::empty({qkv.size(0), s.width()}, qkv.options().requires_grad(false));
    each(s, false, [&](Work &w, int64_t i) {
      w.begin(qkv, i);
      for (int64_t t = 0; t < w.h.S; t++) {
        w.draw(dropout, t);
        float *out = w.q + t * s.D;  // whose query nobody needs any more
        attention::attend(w.h, out, t + 1, dropout.on(), out);
        w.save(out, y, (w.from + t) * s.width());
      }
    });
    ctx->save_for_backward(seen ? variable_list{qkv, starts, *seen} : variable_list{qkv, starts});
    ctx->saved_data["length"] = length;
    ctx->saved_data["heads"] = heads;
    ctx->saved_data["p"] = p;
    ctx->saved_data["key"] = key;
    return y;
  }

  static variable_list backward(AutogradContext *ctx, variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &qkv = saved[0], d = grads[0].to(qkv.scalar_type()).contiguous();
    const Optional seen = saved.size() > 2 ? Optional(saved[2]) : std::nullopt;
    const Shape s = shape_of(qkv, saved[1], seen, ctx->saved_data["length"].toInt(), ctx->saved_data["heads"].toInt());
    const Dropout dropout(ctx->saved_data["p"].toDouble(), (uint64_t)ctx->saved_data["key"].toInt());
    Tensor out = at::empty_like(qkv);
    each(s, true, [&](Work &w, int64_t i) {
      w.begin(qkv, i);
      attention::Head &h = w.h;
      attention::turn(h.v, h.S, s.D, h.room, h.vt);
      std::fill(h.dk, h.dk + h.S * s.D, 0.0f), std::fill(h.dv, h.dv + h.S * s.D, 0.0f);
      for (int64_t t = 0; t < h.S; t++) w.load(d, (w.from + t) * s.width(), w.d + t * s.D);
      for (int64_t t = 0; t < h.S; t++) {
        w.draw(dropout, t);
        attention::learn(h, w.q + t * s.D, w.d + t * s.D, t + 1, dropout.on(), w.dq + t * s.D);
      }
      float *parts[] = {w.dq, h.dk, h.dv};
      for (int64_t t = 0; t < h.S; t++)
        for (int part = 0; part < 3; part++)
          w.save(parts[part] + t * s.D, out, (w.from + t) * 3 * s.width() + part * s.width());
    });
    return {out, {}, {}, {}, {}, {}, {}};
  }
};

void check(const Tensor &qkv, const Tensor &starts, const Optional &seen, int64_t length, int64_t heads) {
  TORCH_CHECK(bfloat16::fits(qkv) && qkv.dim() == 2 && heads > 0 && qkv.size(1) % (3 * heads) == 0,
              "want queries, keys and values [N, 3C] on the CPU in float32 or bfloat16, C a multiple of the heads");
  TORCH_CHECK(starts.dim() == 1 && starts.scalar_type() == at::kLong && starts.size(0) > 0 && starts.is_contiguous(),
              "want where the texts start as [texts + 1] in int64");
  const int64_t texts = starts.size(0) - 1, *at = starts.const_data_ptr<int64_t>();
  TORCH_CHECK(at[0] == 0 && at[texts] == qkv.size(0), "want texts from row 0 to the last of ", qkv.size(0));
  for (int64_t i = 0; i < texts; i++)
    TORCH_CHECK(at[i] <= at[i + 1] && at[i + 1] - at[i] <= length, "text ", i, " has ", at[i + 1] - at[i],
                " tokens, want 0 to ", length);
  TORCH_CHECK(!seen || (seen->scalar_type() == at::kBool && seen->is_contiguous() && seen->dim() == 2 &&
                        seen->size(0) == texts && seen->size(1) == length),
              "want the tokens that may be looked at as [texts, length]");
}

Tensor causal_attention(const Tensor &qkv, const Tensor &starts, const Optional &seen, int64_t length, int64_t heads,
                        double p, uint64_t key) {
  const Tensor x = qkv.contiguous();
  check(x, starts, seen, length, heads);
  return Causal::apply(x, starts, seen, length, heads, p, (int64_t)key);
}

}  // namespace

char *ct_causal_attention(ct_tensor *out, ct_tensor qkv, ct_tensor starts, ct_tensor seen, int64_t length,
                          int64_t heads, double p, uint64_t key) {
  return returning(out, [&] {
    return causal_attention(tensor(qkv), tensor(starts), optional_tensor(seen), length, heads, p, key);
  });
}
