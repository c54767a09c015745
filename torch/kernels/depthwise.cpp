// Convolutions of single channels, shared among threads: see depthwise.h.
#include "depthwise.h"

#include "cpu.h"
#include "share.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>

#pragma GCC diagnostic ignored "-Wpsabi"  // of functions that are always inlined

namespace depthwise {

namespace {

using at::Tensor;

constexpr int64_t together = 4;  // vectors of channels that are taken at a time, at most

// Room is what a thread copies to: a part of x, one of dy, and a row of results. rows are those of y that fit.
struct Room {
  float *x, *g, *out;
  int64_t rows;
};

// Maps are those of one image, at the first channel. dx is null where it is not wanted.
template <class E>
struct Maps {
  const E *x, *y, *dy;
  E *dx;
  bool x_is_relu6;
};

// Sums are what images add to, at the first channel.
struct Sums {
  float *weight, *bias, *before;
};

template <class E>
struct Kernels {
  int64_t lanes;
  void (*forward)(const Shape &s, const E *x, const float *w, const float *bias, int64_t n, E *y, Room room);
  void (*backward)(const Shape &s, const Maps<E> &m, const float *w, int64_t n, const Sums &to, Room room);
};

#ifdef CAPTIONER_X86
namespace avx512 {
#define LANES 16
#define ISA __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")))
#include "depthwise_one.h"
}  // namespace avx512
namespace avx2 {
#define LANES 8
#define ISA __attribute__((target("avx2,fma")))
#include "depthwise_one.h"
}  // namespace avx2
#endif
namespace plain {
#define LANES 4
#define ISA
#include "depthwise_one.h"
}  // namespace plain

template <class E>
Kernels<E> kernels(const Shape &s) {
#ifdef CAPTIONER_X86
  const cpu::Features f = cpu::features();
  if (f.avx512) return avx512::kernels<E>(s.kernel, s.stride);
  if (f.avx2) return avx2::kernels<E>(s.kernel, s.stride);
#endif
  return plain::kernels<E>(s.kernel, s.stride);
}

constexpr int64_t cached = 192 << 10;  // bytes of x that are to stay in a processor's second cache

// Cut is how a map is cut: so many channels and rows of y at a time.
struct Cut {
  int64_t channels, rows;
};

Cut cut(const Shape &s, int64_t lanes) {
  const int64_t row = ((s.OW - 1) * s.stride + s.kernel) * lanes * 4, all = (s.OH - 1) * s.stride + s.kernel;
  for (int64_t vectors = together; vectors > 1; vectors /= 2)
    if (all * row * vectors <= cached) return {vectors * lanes, s.OH};
  const int64_t rows = std::max<int64_t>(1, (cached / row - s.kernel) / s.stride);
  return {lanes, std::min(rows, s.OH)};
}

// Memory is a thread's room.
class Memory {
 public:
  Memory(const Shape &s, const Cut &c) {
    const int64_t x = c.channels * (c.rows * s.stride + s.kernel) * ((s.OW + 1) * s.stride + s.kernel);
    const int64_t g = c.channels * (c.rows + 2 * s.kernel) * (s.OW + 2 * s.kernel);
    const int64_t out = c.channels * std::max(s.W, s.OW);
    all.reset(new float[x + g + out + 48]);
    float *first = (float *)(((uintptr_t)all.get() + 63) & ~(uintptr_t)63);
    room = {first, first + (x + 15) / 16 * 16, first + (x + 15) / 16 * 16 + (g + 15) / 16 * 16, c.rows};
  }
  Room room;

 private:
  std::unique_ptr<float[]> all;
};

template <class E>
void forward_all(const Shape &s, const Tensor &x, const Tensor &weight, const Tensor &bias, Tensor &y) {
  const Kernels<E> k = kernels<E>(s);
  const Cut c = cut(s, k.lanes);
  const int64_t parts = (s.C + c.channels - 1) / c.channels;
  const E *from = (const E *)x.const_data_ptr();
  E *to = (E *)y.data_ptr();
  const float *w = weight.const_data_ptr<float>(), *b = bias.const_data_ptr<float>();
  share::each(s.B * parts, 1, [&](int64_t begin, int64_t end, int) {
    Memory memory(s, c);
    for (int64_t i = begin; i < end; i++) {
      const int64_t image = i / parts, at = i % parts * c.channels, n = std::min(c.channels, s.C - at);
      k.forward(s, from + image * s.H * s.W * s.C + at, w + at, b + at, n, to + image * s.OH * s.OW * s.C + at,
                memory.room);
    }
  });
}

// Images whose sums are made apart: so many groups that there is work for some threads, whatever their number is.
constexpr int64_t least_units = 16;

template <class E>
void backward_all(const Shape &s, const Tensor &x, const Tensor &weight, const Tensor &y, const Tensor &dy,
                  bool x_is_relu6, Gradients &to) {
  const Kernels<E> k = kernels<E>(s);
  const Cut c = cut(s, k.lanes);
  const int64_t parts = (s.C + c.channels - 1) / c.channels, taps = s.kernel * s.kernel;
  const int64_t groups = std::min(s.B, (least_units + parts - 1) / parts), images = (s.B + groups - 1) / groups;
  Tensor sums = at::zeros({groups, taps + 2, s.C}, weight.options());
  float *all = sums.data_ptr<float>();
  const float *w = weight.const_data_ptr<float>();
  const E *xs = (const E *)x.const_data_ptr(), *ys = (const E *)y.const_data_ptr();
  const E *dys = (const E *)dy.const_data_ptr();
  E *dxs = to.dx.defined() ? (E *)to.dx.data_ptr() : nullptr;
  share::each(groups * parts, 1, [&](int64_t begin, int64_t end, int) {
    Memory memory(s, c);
    for (int64_t i = begin; i < end; i++) {
      const int64_t at = i % parts * c.channels, n = std::min(c.channels, s.C - at), first = i / parts * images;
      float *sum = all + i / parts * (taps + 2) * s.C + at;
      for (int64_t image = first; image < std::min(s.B, first + images); image++) {
        const int64_t in = image * s.H * s.W * s.C + at, out = image * s.OH * s.OW * s.C + at;
        const Maps<E> m{xs + in, ys + out, dys + out, dxs ? dxs + in : nullptr, x_is_relu6};
        k.backward(s, m, w + at, n, {sum, sum + taps * s.C, sum + (taps + 1) * s.C}, memory.room);
      }
    }
  });
  const int64_t size = (taps + 2) * s.C;
  for (int64_t i = size; i < groups * size; i++) all[i % size] += all[i];
  const Tensor total = sums[0];
  to.weight = total.narrow(0, 0, taps), to.bias = total[taps], to.before = total[taps + 1];
}

}  // namespace

Shape same(const Tensor &x, int64_t kernel, int64_t stride) {
  TORCH_CHECK(x.dim() == 4 && (kernel == 3 || kernel == 5) && (stride == 1 || stride == 2),
              "want a map [B, H, W, C], a kernel of 3 or 5 and a stride of 1 or 2");
  const int64_t H = x.size(1), W = x.size(2), OH = (H + stride - 1) / stride, OW = (W + stride - 1) / stride;
  const auto before = [&](int64_t n, int64_t out) { return std::max<int64_t>(0, (out - 1) * stride + kernel - n) / 2; };
  return {x.size(0), H, W, x.size(3), OH, OW, (int)kernel, (int)stride, before(H, OH), before(W, OW)};
}

Tensor forward(const Shape &s, const Tensor &x, const Tensor &weight, const Tensor &bias) {
  at::NoGradGuard no_grad;
  Tensor y = at::empty({s.B, s.OH, s.OW, s.C}, x.options().requires_grad(false));
  if (y.numel() == 0) return y;
  if (x.scalar_type() == at::kFloat) forward_all<float>(s, x, weight, bias, y);
  else forward_all<uint16_t>(s, x, weight, bias, y);
  return y;
}

Gradients backward(const Shape &s, const Tensor &x, const Tensor &weight, const Tensor &y, const Tensor &dy,
                   bool wants_dx, bool x_is_relu6) {
  at::NoGradGuard no_grad;
  Gradients to;
  if (wants_dx) to.dx = at::empty_like(x);
  if (x.scalar_type() == at::kFloat) backward_all<float>(s, x, weight, y, dy, x_is_relu6, to);
  else backward_all<uint16_t>(s, x, weight, y, dy, x_is_relu6, to);
  return to;
}

}  // namespace depthwise
