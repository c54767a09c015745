// Packing of weights and the sharing of products among threads: see panels.h.
#include "panels.h"

#include "bfloat16.h"
#include "bridge.h"
#include "cpu.h"
#include "door.h"
#include "outer.h"
#include "share.h"
#include "turning.h"
#include "vectorized.h"

#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/_int_mm.h>
#include <ATen/ops/empty.h>
#include <sys/mman.h>

#include <atomic>
#include <memory>
#include <type_traits>
#include <vector>

namespace panels {

void Best::offer(float v, int32_t column, size_t k, const int32_t *ban, const int32_t *ban_end) {
  if (std::find(ban, ban_end, column) != ban_end) return;
  if (heap.size() == k) {
    if (!(Entry{v, column} < heap.front())) return;
    std::pop_heap(heap.begin(), heap.end());
    heap.pop_back();
  }
  heap.push_back({v, column});
  std::push_heap(heap.begin(), heap.end());
  if (heap.size() == k) least = heap.front().value;
}

namespace {

// ---- what this processor has

Path path_of(Kind kind) {
  const cpu::Features f = cpu::features();
  if (f.avx512) return avx512_path(kind, kind == I8 ? f.vnni : f.bf16);
  if (f.avx2) return avx2_path(kind, f.avxvnni);
  return plain_path(kind);
}

// fast says whether there are kernels for the kind: for I8 without AVX2 there are loops, which are not.
bool fast(Kind kind) { return path_of(kind).height > 1; }

void check_fast(Kind kind) { TORCH_CHECK(fast(kind), "this processor has no kernels for the type"); }

Kind kind_of(int dtype) {
  switch ((at::ScalarType)dtype) {
    case at::kFloat: return F32;
    case at::kBFloat16: return BF16;
    case at::kChar: return I8;
    default: TORCH_CHECK(false, "want float32, bfloat16 or int8");
  }
}

// ---- packing

// Packed is a weight in panels. It owns its memory.
struct Packed {
  Weights w;
  Tensor data, scale, sum;
  Tensor unpacked;  // [k, n] for oneDNN, int8 alone; made when it is first wanted
};

int64_t numbers_of_word(Kind kind) { return kind == F32 ? 1 : kind == BF16 ? 2 : 4; }

// widen writes n numbers as float32. The loops call no function: one that is compiled for every processor does not
// become part of a loop for this one, and makes no vectors.
using bfloat16::widen;
void widen(const float *from, int64_t n, float *to) { memcpy(to, from, n * sizeof *to); }
FOR_EACH_WIDTH void widen(const double *from, int64_t n, float *to) {
  for (int64_t i = 0; i < n; i++) to[i] = (float)from[i];
}
FOR_EACH_WIDTH void widen(const at::Half *from, int64_t n, float *to) {
  for (int64_t i = 0; i < n; i++) {
    const uint32_t half = from[i].x, sign = (half & 0x8000) << 16, rest = half & 0x7fff;
    const float small = (float)(int32_t)rest * 0x1p-24f;  // what an exponent of zero means
    const uint32_t more = rest < 0x7c00 ? 0x38000000 : 0x70000000;  // the largest exponent stays the largest
    uint32_t bits;
    memcpy(&bits, &small, 4);
    bits = sign | (rest < 0x400 ? bits : (rest << 13) + more);
    memcpy(to + i, &bits, 4);
  }
}

// gather reads panel p, [k][columns]: column n is row n of the weight, whose elements lie step and inner apart. Columns
// behind the last are zeros.
template <class E>
void gather(const E *from, int64_t step, int64_t inner, const Weights &w, int64_t panel, float *tile) {
  constexpr int64_t some = 128;  // of a row at a time, so that those of all columns stay in the first cache
  const int64_t n0 = panel * columns, n = std::min(columns, w.n - n0);
  if (n < columns) std::fill(tile, tile + w.k * columns, 0.0f);
  if (step == 1) {
    for (int64_t i = 0; i < w.k; i++) widen(from + n0 + i * inner, n, tile + i * columns);
    return;
  }
  if (inner == 1) {
    float rows[columns * some];
    for (int64_t i = 0; i < w.k; i += some) {
      const int64_t wide = std::min(some, w.k - i);
      for (int64_t j = 0; j < n; j++) widen(from + (n0 + j) * step + i, wide, rows + j * some);
      turning::turn(rows, some, n, wide, columns, tile + i * columns);
    }
    return;
  }
  for (int64_t j = 0; j < n; j++)
    for (int64_t i = 0; i < w.k; i++) tile[i * columns + j] = (float)from[(n0 + j) * step + i * inner];
}

// halved is x in bfloat16.
inline __attribute__((always_inline)) uint32_t halved(float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

// halve writes a panel in bfloat16, two numbers a word.
FOR_EACH_WIDTH void halve(const float *tile, int64_t k, uint32_t *out) {
  for (; k > 1; k -= 2, tile += 2 * columns, out += columns)
    for (int64_t j = 0; j < columns; j++) out[j] = halved(tile[j]) | halved(tile[columns + j]) << 16;
  if (k)
    for (int64_t j = 0; j < columns; j++) out[j] = halved(tile[j]);
}

// quantize writes a panel in 8-bit numbers from -127 to 127, four a word, with a scale for each column and the sum of
// its weights.
FOR_EACH_WIDTH void quantize(const float *tile, int64_t k, uint32_t *out, float *scale, int32_t *sum) {
  float top[columns] = {0}, to_q[columns];
  int32_t all[columns] = {0};
  for (int64_t i = 0; i < k; i++)
    for (int64_t j = 0; j < columns; j++) {
      const float size = __builtin_fabsf(tile[i * columns + j]);
      top[j] = size > top[j] ? size : top[j];
    }
  for (int64_t j = 0; j < columns; j++) {
    const float least = 1e-30f, wanted = top[j] / 127;
    scale[j] = wanted > least ? wanted : least, to_q[j] = 1 / scale[j];
  }
  for (int64_t i = 0; i < k; i += 4, out += columns) {
    uint32_t word[columns] = {0};
    for (int64_t b = 0; b < std::min<int64_t>(4, k - i); b++)
      for (int64_t j = 0; j < columns; j++) {
        const int32_t q = (int32_t)__builtin_floorf(tile[(i + b) * columns + j] * to_q[j] + 0.5f);
        word[j] |= (uint32_t)(q & 255) << 8 * b;
        all[j] += q;
      }
    memcpy(out, word, sizeof word);
  }
  memcpy(sum, all, sizeof all);
}

// pack_panel fills one panel of p; tile has room for it in floats.
template <class E>
void pack_panel(const Packed &p, const E *from, int64_t step, int64_t inner, int64_t panel, float *tile) {
  const Weights &w = p.w;
  uint32_t *data = (uint32_t *)p.data.data_ptr<int32_t>() + panel * w.words * columns;
  if (w.kind == F32) return gather(from, step, inner, w, panel, (float *)data);
  gather(from, step, inner, w, panel, tile);
  if (w.kind == BF16) return halve(tile, w.k, data);
  float *scale = p.scale.data_ptr<float>() + panel * columns;
  quantize(tile, w.k, data, scale, p.sum.data_ptr<int32_t>() + panel * columns);
}

std::unique_ptr<Packed> pack(const Tensor &weight, Kind kind) {
  TORCH_CHECK(weight.dim() == 2 && weight.device().is_cpu(), "want a weight [out, in] on the CPU");
  if (kind != I8) check_fast(kind);
  auto p = std::make_unique<Packed>();
  Weights &w = p->w;
  w.kind = kind;
  w.n = weight.size(0), w.k = weight.size(1);
  const int64_t per = numbers_of_word(kind), count = panels_of(w.n);
  w.words = (w.k + per - 1) / per;
  p->data = at::empty({count * w.words * columns}, at::kInt);
  TORCH_CHECK((uintptr_t)p->data.data_ptr() % 64 == 0, "want memory in whole cache lines");
#ifdef MADV_HUGEPAGE
  madvise(p->data.data_ptr(), p->data.nbytes(), MADV_HUGEPAGE);  // fewer misses on the way to memory
#endif
  w.data = (const uint32_t *)p->data.data_ptr<int32_t>();
  w.scale = nullptr, w.sum = nullptr;
  if (kind == I8) {
    p->scale = at::empty({count * columns}, at::kFloat), p->sum = at::empty({count * columns}, at::kInt);
    w.scale = p->scale.data_ptr<float>(), w.sum = p->sum.data_ptr<int32_t>();
  }
  AT_DISPATCH_FLOATING_TYPES_AND2(at::kHalf, at::kBFloat16, weight.scalar_type(), "pack panels", [&] {
    const scalar_t *from = weight.const_data_ptr<scalar_t>();
    at::parallel_for(0, count, 1, [&](int64_t a, int64_t b) {
      std::vector<float> tile(kind == F32 ? 0 : w.k * columns);
      for (int64_t i = a; i < b; i++) pack_panel(*p, from, weight.stride(0), weight.stride(1), i, tile.data());
    });
  });
  return p;
}

// ---- inputs

const float *vector_of(ct_tensor t, int64_t n, const char *what) {
  if (!t) return nullptr;
  const Tensor &v = tensor(t);
  TORCH_CHECK(v.scalar_type() == at::kFloat && v.is_contiguous() && v.numel() == n && v.device().is_cpu(), what,
              ": want ", n, " numbers in float32");
  return v.const_data_ptr<float>();
}

std::optional<Norm> norm_of(ct_tensor weight, ct_tensor bias, double eps, int64_t k) {
  if (!weight) return std::nullopt;
  return Norm{vector_of(weight, k, "norm's weight"), vector_of(bias, k, "norm's bias"), (float)eps};
}

void check_float(const Tensor &x) {
  TORCH_CHECK(x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16, "want float32 or bfloat16");
}

// Scratch is the memory of prepared rows.
struct Scratch {
  Tensor data, scale, zero;
};

template <class E>
void prepare_all(const Weights &w, const E *x, int64_t r, const Norm *norm, const Scratch &s) {
  uint32_t *data = (uint32_t *)s.data.data_ptr<int32_t>();
  const bool avx512 = path_of(w.kind).avx512;
  share::each(r, std::max<int64_t>(1, 16384 / w.k), [&](int64_t from, int64_t to, int) {
    std::vector<float> values(w.k);
    for (int64_t i = from; i < to; i++) {
      const Row row{w.k,
                    w.words,
                    values.data(),
                    data + i * w.words,
                    s.scale.data_ptr<float>() + i,
                    s.zero.data_ptr<int32_t>() + i};
      if (avx512) avx512::prepare(x + i * w.k, norm, w.kind, row);
      else loops::prepare(x + i * w.k, norm, w.kind, row);
    }
  });
}

// prepared gives the rows of x [r, k] as the kernels want them: x itself, where it is that already.
Rows prepared(const Weights &w, const Tensor &x, int64_t r, const std::optional<Norm> &norm, Scratch &s) {
  const bool floats = x.scalar_type() == at::kFloat;
  if (!norm && ((w.kind == F32 && floats) || (w.kind == BF16 && !floats && w.k % 2 == 0)))
    return {(const uint32_t *)x.const_data_ptr(), w.words, nullptr, nullptr};
  s.data = at::empty({r, w.words}, at::kInt);
  s.scale = at::empty({r}, at::kFloat), s.zero = at::empty({r}, at::kInt);
  const Norm *n = norm ? &*norm : nullptr;
  if (floats) prepare_all(w, x.const_data_ptr<float>(), r, n, s);
  else prepare_all(w, (const uint16_t *)x.const_data_ptr<at::BFloat16>(), r, n, s);
  return {(const uint32_t *)s.data.data_ptr<int32_t>(), w.words, s.scale.data_ptr<float>(), s.zero.data_ptr<int32_t>()};
}

// ---- products

// multiply shares the panels of all rows among the threads, a block of rows after the other: a block stays in the
// processor's second cache while the panels pass.
void multiply(const Weights &w, const Rows &x, const Finish &f, int64_t r) {
  const Path path = path_of(w.kind);
  const int64_t words = path.wide ? 2 * w.words : w.words;
  const int64_t fit = std::max<int64_t>(1, (256 << 10) / (words * 4 * tallest)) * tallest;
  const int64_t count = panels_of(w.n), blocks = (r + fit - 1) / fit;
  const int64_t rows = std::min(r, ((r + blocks - 1) / blocks + tallest - 1) / tallest * tallest);
  share::each(blocks * count, std::max<int64_t>(1, 65536 / (rows * w.words)), [&](int64_t from, int64_t to, int) {
    while (from < to) {
      const int64_t block = from / count, p = from % count, end = std::min(count, p + to - from);
      multiply(path, w, x, f, {block * rows, std::min(r, (block + 1) * rows), p, end});
      from += end - p;
    }
  });
}

// ---- int8 by oneDNN, which knows instructions for large products that the panels do not have

// From so many rows on an int8 product is oneDNN's; 0: never. Its sums are exact too: the bits are the same.
std::atomic<int64_t> handover{0};

// unpack gives the weights of int8 panels as they were: [k, n].
Tensor unpack(const Weights &w) {
  Tensor all = at::empty({w.n, w.k}, at::kChar);
  int8_t *to = all.data_ptr<int8_t>();
  at::parallel_for(0, w.n, 64, [&](int64_t from, int64_t end) {
    for (int64_t n = from; n < end; n++) {
      const int8_t *panel = (const int8_t *)(w.data + n / columns * w.words * columns) + n % columns * 4;
      for (int64_t i = 0; i < w.k; i++) to[n * w.k + i] = panel[i / 4 * columns * 4 + i % 4];
    }
  });
  return all.t();
}

// by_onednn is multiply with the sums of oneDNN's product. That has no type for a row without sign, so that 128 is
// taken from each number, and 128 times the sum of the weights is given back to each result.
void by_onednn(Packed &p, const Rows &x, const Finish &f, int64_t r) {
  const Weights &w = p.w;
  if (!p.unpacked.defined()) p.unpacked = unpack(w);
  Tensor rows = at::empty({r, w.k}, at::kChar);
  int8_t *to = rows.data_ptr<int8_t>();
  at::parallel_for(0, r, 64, [&](int64_t from, int64_t end) {
    for (int64_t i = from; i < end; i++) {
      const uint8_t *row = (const uint8_t *)(x.data + i * x.step);
      for (int64_t j = 0; j < w.k; j++) to[i * w.k + j] = (int8_t)(row[j] ^ 128);
    }
  });
  const Tensor all = at::_int_mm(rows, p.unpacked);  // [r, n] int32
  const int32_t *sums = all.const_data_ptr<int32_t>();
  const auto finish = path_of(I8).avx512 ? avx512::finish : loops::finish;
  at::parallel_for(0, (r + tallest - 1) / tallest, 4, [&](int64_t from, int64_t end) {
    alignas(64) int32_t tile[tallest * columns] = {0};
    for (int64_t r0 = from * tallest; r0 < std::min(r, end * tallest); r0 += tallest) {
      const int64_t count = std::min(tallest, r - r0);
      for (int64_t c = 0; c < w.n; c += columns) {
        const int64_t n = std::min(columns, w.n - c);
        for (int64_t i = 0; i < count; i++)
          for (int64_t j = 0; j < n; j++) tile[i * columns + j] = sums[(r0 + i) * w.n + c + j] + 128 * w.sum[c + j];
        finish((uint32_t *)tile, r0, count, c / columns, w, x, f);
      }
    }
  });
}

// Beside is what a product does beside multiplying; handles may be null.
struct Beside {
  ct_tensor norm_weight, norm_bias;
  double eps;
  ct_tensor bias;
  int act;
  ct_tensor residual;
};

Tensor product(Packed &p, const Tensor &x, const Beside &b, at::ScalarType dtype) {
  at::NoGradGuard no_grad;
  const Weights &w = p.w;
  const Tensor a = x.contiguous();  // [..., in]
  TORCH_CHECK(a.dim() > 0 && a.size(-1) == w.k && a.device().is_cpu(), "want an input [..., ", w.k, "] on the CPU");
  check_float(a);
  TORCH_CHECK(dtype == at::kFloat || dtype == at::kBFloat16, "want a result in float32 or bfloat16");
  std::vector<int64_t> shape = a.sizes().vec();
  shape.back() = w.n;
  const int64_t r = a.numel() / w.k;
  Tensor y = at::empty(shape, at::TensorOptions().dtype(dtype));  // [..., out]
  Finish f{vector_of(b.bias, w.n, "bias"), vector_of(b.residual, r * w.n, "residual"), b.act, w.n, nullptr, nullptr};
  if (dtype == at::kFloat) f.y = y.data_ptr<float>();
  else f.y16 = (uint16_t *)y.data_ptr<at::BFloat16>();
  const auto norm = norm_of(b.norm_weight, b.norm_bias, b.eps, w.k);
  Scratch s;
  if (r == 0) return y;
  const Rows rows = prepared(w, a, r, norm, s);
  if (w.kind == I8 && handover > 0 && r >= handover) by_onednn(p, rows, f, r);
  else multiply(w, rows, f, r);
  return y;
}

// ---- the best columns

// A part of the softmax is of so many panels, so that sums do not depend on how threads share the work.
constexpr int64_t part = 32;

// Answer is where the best columns and their log-probabilities go: [rows][k].
struct Answer {
  int32_t *ids;
  float *logprobs;
};

// merge brings the parts of a row and what the threads found into its k best columns.
void merge(const Part *parts, int64_t count, const std::vector<std::vector<Best>> &best, int64_t row, int64_t k,
           Answer to) {
  float top = -INFINITY;
  double sum = 0;
  for (int64_t j = 0; j < count; j++) top = parts[j].top <= top ? top : parts[j].top;
  for (int64_t j = 0; j < count; j++) sum += parts[j].sum * std::exp((double)parts[j].top - top);
  std::vector<Best::Entry> all;
  for (auto &of_thread : best)
    if (!of_thread.empty()) all.insert(all.end(), of_thread[row].heap.begin(), of_thread[row].heap.end());
  std::sort(all.begin(), all.end());
  const float norm = (float)std::log(sum);
  for (int64_t j = 0; j < k; j++) {
    const bool have = j < (int64_t)all.size();
    to.ids[row * k + j] = have ? all[j].column : -1;
    to.logprobs[row * k + j] = have ? all[j].value - top - norm : -INFINITY;
  }
}

void topk(const Weights &w, const Tensor &x, const std::optional<Norm> &norm, int k, const int32_t *ban,
          const int64_t *ban_end, Answer to) {
  at::NoGradGuard no_grad;
  const Tensor a = x.contiguous();  // [rows, in]
  TORCH_CHECK(a.dim() == 2 && a.size(1) == w.k && a.device().is_cpu(), "want an input [rows, ", w.k, "] on the CPU");
  check_float(a);
  check_fast(w.kind);
  TORCH_CHECK(k > 0 && k <= w.n, "k is ", k, ", want 1 to ", w.n);
  const int64_t r = a.size(0), panels = panels_of(w.n), count = (panels + part - 1) / part;
  const Path path = path_of(w.kind);
  Scratch s;
  const Rows rows = prepared(w, a, r, norm, s);
  std::vector<Part> parts(r * count);
  std::vector<std::vector<Best>> best(at::get_num_threads());
  share::each(count, 1, [&](int64_t from, int64_t to, int thread) {
    auto &mine = best[thread];
    mine.resize(r);
    for (int64_t i = from; i < to; i++) {
      const Ranking ranking{(size_t)k, ban, ban_end, parts.data() + i, count, mine.data()};
      rank(path, w, rows, {0, r, i * part, std::min(panels, (i + 1) * part)}, ranking);
    }
  });
  for (int64_t i = 0; i < r; i++) merge(parts.data() + i * count, count, best, i, k, to);
}

// ---- attention

// Qkv is what attention takes: queries, keys and values of heads heads end to end, [B, T, 3C], and what is added to the
// logits, [biases, heads, T, T], or null: to those of an image the bias of its number over biases.
template <class E>
struct Qkv {
  const E *data;
  int64_t B, len, heads, size;
  const float *bias;
  int64_t biases;
};

// each_head runs a head of kind H, which needs path, for every head of every image. y [B, T, C] is of the type of x.
template <class H, class E>
void each_head(const Path &path, const Qkv<E> &x, E *y) {
  const int64_t C = x.heads * x.size;
  const float scale = 1 / std::sqrt((float)x.size);
  std::vector<std::unique_ptr<H>> scratch(at::get_num_threads());
  share::each(x.B * x.heads, 1, [&](int64_t from, int64_t to, int thread) {
    if (!scratch[thread]) scratch[thread] = std::make_unique<H>(path, x.len, x.size);
    for (int64_t i = from; i < to; i++) {
      const int64_t token = i / x.heads * x.len, column = i % x.heads * x.size;
      Finish f{nullptr, nullptr, None, C, nullptr, nullptr};
      if constexpr (std::is_same_v<E, float>) f.y = y + token * C + column;
      else f.y16 = y + token * C + column;
      const float *bias = x.bias ? x.bias + i % (x.biases * x.heads) * x.len * x.len : nullptr;
      scratch[thread]->run(x.data + token * 3 * C + column, 3 * C, C, scale, bias, f);
    }
  });
}

// attention takes queries, keys and values of heads heads end to end, [B, T, 3C], to [B, T, C]. bias may be null: see
// Qkv.
Tensor attention(const Tensor &qkv, int64_t heads, ct_tensor bias) {
  at::NoGradGuard no_grad;
  const Tensor a = qkv.contiguous();
  TORCH_CHECK(a.dim() == 3 && heads > 0 && a.size(2) % (3 * heads) == 0 && a.device().is_cpu(),
              "want [B, T, 3C] on the CPU, C in ", heads, " heads");
  check_float(a);
  check_fast(F32);
  const int64_t B = a.size(0), len = a.size(1), C = a.size(2) / 3, size = C / heads;
  Tensor add;
  if (bias) {
    add = tensor(bias).contiguous();
    TORCH_CHECK(add.dim() == 4 && add.size(0) > 0 && B % add.size(0) == 0 && add.size(1) == heads &&
                    add.size(2) == len && add.size(3) == len && add.scalar_type() == at::kFloat &&
                    add.device().is_cpu(),
                "found a bias of ", add.sizes(), ", want float32 [N, ", heads, ", ", len, ", ", len,
                "] on the CPU, N a divisor of ", B);
  }
  const float *biased = bias ? add.const_data_ptr<float>() : nullptr;
  const int64_t biases = bias ? add.size(0) : 1;
  Tensor y = at::empty({B, len, C}, a.options().requires_grad(false));
  if (a.scalar_type() == at::kFloat) {
    const Qkv<float> x{a.const_data_ptr<float>(), B, len, heads, size, biased, biases};
    each_head<Head>(path_of(F32), x, y.data_ptr<float>());
    return y;
  }
  const Qkv<uint16_t> x{(const uint16_t *)a.const_data_ptr<at::BFloat16>(), B, len, heads, size, biased, biases};
  uint16_t *to = (uint16_t *)y.data_ptr<at::BFloat16>();
#ifdef CAPTIONER_X86
  if (HalfHead::fits(path_of(BF16), size)) {
    each_head<HalfHead>(path_of(BF16), x, to);
    return y;
  }
#endif
  each_head<Head>(path_of(F32), x, to);
  return y;
}

constexpr int64_t turned_rows = 8 * tallest;  // that outer turns at a time, into the second cache

const Weights &weights_of(void *panels) { return static_cast<Packed *>(panels)->w; }

}  // namespace

bool has_outer(const Tensor &x) { return x.scalar_type() == at::kFloat && path_of(F32).avx512; }

Tensor outer(const Tensor &dy, const Tensor &x) {
  at::NoGradGuard no_grad;
  const int64_t N = x.size(0), in = x.size(1), out = dy.size(1);
  const auto packed = pack(x.t(), F32);
  const Path path = path_of(F32);
  const float *from = dy.const_data_ptr<float>();
  Tensor y = at::empty({out, in}, at::kFloat);
  float *to = y.data_ptr<float>();
  at::parallel_for(0, (out + turned_rows - 1) / turned_rows, 1, [&](int64_t a, int64_t b) {
    std::vector<float> rows(turned_rows * N);
    for (int64_t i = a * turned_rows; i < std::min(out, b * turned_rows); i += turned_rows) {
      const int64_t n = std::min(turned_rows, out - i);
      turning::turn(from + i, out, N, n, N, rows.data());
      const Finish f{nullptr, nullptr, None, in, to + i * in, nullptr};
      multiply(path, packed->w, {(const uint32_t *)rows.data(), N, nullptr, nullptr}, f, {0, n, 0, panels_of(in)});
    }
  });
  return y;
}

}  // namespace panels

using namespace panels;

int ct_panels_fast(int dtype) {
  try {
    return fast(kind_of(dtype));
  } catch (...) {
    return 0;
  }
}
void ct_panels_handover(int64_t rows) { handover = rows; }

char *ct_panels_pack(void **out, ct_tensor weight, int dtype) {
  return guarded([&] { *out = pack(tensor(weight), kind_of(dtype)).release(); });
}
void ct_panels_free(void *panels) { delete static_cast<Packed *>(panels); }

char *ct_panels_product(ct_tensor *out, void *panels, ct_tensor x, ct_tensor norm_weight, ct_tensor norm_bias,
                        double eps, ct_tensor bias, int act, ct_tensor residual, int dtype) {
  return returning(out, [&] {
    const Beside b{norm_weight, norm_bias, eps, bias, act, residual};
    return product(*static_cast<Packed *>(panels), tensor(x), b, (at::ScalarType)dtype);
  });
}
char *ct_panels_topk(void *panels, ct_tensor x, ct_tensor norm_weight, ct_tensor norm_bias, double eps, int k,
                     const int32_t *ban, const int64_t *ban_end, int32_t *ids, float *logprobs) {
  return guarded([&] {
    const Weights &w = weights_of(panels);
    topk(w, tensor(x), norm_of(norm_weight, norm_bias, eps, w.k), k, ban, ban_end, {ids, logprobs});
  });
}
char *ct_panels_attention(ct_tensor *out, ct_tensor qkv, int64_t heads, ct_tensor bias) {
  return returning(out, [&] { return attention(tensor(qkv), heads, bias); });
}
