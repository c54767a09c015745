// Products and attention with our own kernels: see panels.h.
#include "panels.h"
#include "bridge.h"
#include "parts.h"

#include <ATen/Parallel.h>
#include <cpuid.h>
#include <sys/mman.h>

#include <atomic>
#include <memory>
#include <vector>

using namespace panels;

namespace {

// packed is a weight in panels. It owns its memory.
struct packed {
  Weights w;
  Tensor data, scale, sum;
};

std::atomic<bool> plain_only{false};

bool has_amx() {
  unsigned a, b, c, d;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & (1u << 22));
}

bool fast(Kind kind) {
  static const bool base = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                           __builtin_cpu_supports("avx512vl");
  static const bool i8 = base && __builtin_cpu_supports("avx512vnni");
  static const bool b16 = base && __builtin_cpu_supports("avx512bf16") && !has_amx();  // libtorch uses AMX
  if (plain_only) return false;
  return kind == F32 ? base : kind == BF16 ? b16 : i8;
}

Kind kind_of(int dtype) {
  switch ((at::ScalarType)dtype) {
    case at::kFloat: return F32;
    case at::kBFloat16: return BF16;
    case at::kChar: return I8;
    default: TORCH_CHECK(false, "want float32, bfloat16 or int8");
  }
}

// ---- packing

uint16_t to_bf16(float x) { return at::BFloat16(x).x; }

// gather reads panel p, [k][columns]: column n is row n of the weight. Columns behind the last are zeros.
template <class E>
void gather(const E *from, int64_t rows, int64_t inner, const Weights &w, int64_t panel, float *tile) {
  const int64_t n0 = panel * columns, n = std::min(columns, w.n - n0);
  if (n < columns) std::fill(tile, tile + w.k * columns, 0.0f);
  if (rows == 1) {
    for (int64_t i = 0; i < w.k; i++)
      for (int64_t j = 0; j < n; j++) tile[i * columns + j] = (float)from[n0 + j + i * inner];
    return;
  }
  for (int64_t j = 0; j < n; j++)
    for (int64_t i = 0; i < w.k; i++) tile[i * columns + j] = (float)from[(n0 + j) * rows + i * inner];
}

__attribute__((target_clones("avx512f", "avx2", "default"))) void halve(const float *tile, int64_t k, uint16_t *out) {
  for (int64_t i = 0; i < k; i++)
    for (int64_t j = 0; j < columns; j++) {
      uint32_t x;
      memcpy(&x, tile + i * columns + j, 4);
      out[(i / 2 * columns + j) * 2 + i % 2] = (uint16_t)((x + 0x7fff + (x >> 16 & 1)) >> 16);
    }
}

// quantize finds a scale for each column and the sum of its weights, 8-bit ones from -127 to 127.
__attribute__((target_clones("avx512f", "avx2", "default"))) void quantize(const float *tile, int64_t k, int8_t *out, float *scale, int32_t *sum) {
  float top[columns] = {0}, to_q[columns];
  int32_t all[columns] = {0};
  for (int64_t i = 0; i < k; i++)
    for (int64_t j = 0; j < columns; j++) top[j] = std::max(top[j], std::abs(tile[i * columns + j]));
  for (int64_t j = 0; j < columns; j++) scale[j] = std::max(top[j] / 127, 1e-30f), to_q[j] = 1 / scale[j];
  for (int64_t i = 0; i < k; i++)
    for (int64_t j = 0; j < columns; j++) {
      const int32_t q = (int32_t)std::floor(tile[i * columns + j] * to_q[j] + 0.5f);
      out[(i / 4 * columns + j) * 4 + i % 4] = (int8_t)q;
      all[j] += q;
    }
  memcpy(sum, all, sizeof all);
}

template <class E>
void pack_panel(const E *from, int64_t rows, int64_t inner, const Weights &w, int64_t panel, float *tile, uint32_t *data, float *scale, int32_t *sum) {
  uint32_t *base = data + panel * w.words * columns;
  if (w.kind == F32) return gather(from, rows, inner, w, panel, (float *)base);
  gather(from, rows, inner, w, panel, tile);
  if (w.k % (w.kind == BF16 ? 2 : 4)) memset(base + (w.words - 1) * columns, 0, columns * 4);
  if (w.kind == BF16) halve(tile, w.k, (uint16_t *)base);
  else quantize(tile, w.k, (int8_t *)base, scale + panel * columns, sum + panel * columns);
}

packed *pack(const Tensor &weight, Kind kind) {
  TORCH_CHECK(weight.dim() == 2 && weight.device().is_cpu(), "want a weight [out, in] on the CPU");
  auto p = std::make_unique<packed>();
  Weights &w = p->w;
  w.kind = kind;
  w.n = weight.size(0), w.k = weight.size(1);
  const int64_t per = kind == F32 ? 1 : kind == BF16 ? 2 : 4, count = (w.n + columns - 1) / columns;
  w.words = (w.k + per - 1) / per;
  p->data = at::empty({count * w.words * columns}, at::kInt);
  TORCH_CHECK((uintptr_t)p->data.data_ptr() % 64 == 0, "want memory in whole cache lines");
  madvise(p->data.data_ptr(), p->data.nbytes(), MADV_HUGEPAGE);  // fewer misses on the way to memory; without it all is right too
  if (kind == I8) p->scale = at::empty({count * columns}, at::kFloat), p->sum = at::empty({count * columns}, at::kInt);
  uint32_t *data = (uint32_t *)p->data.data_ptr<int32_t>();
  float *scale = kind == I8 ? p->scale.data_ptr<float>() : nullptr;
  int32_t *sum = kind == I8 ? p->sum.data_ptr<int32_t>() : nullptr;
  w.data = data, w.scale = scale, w.sum = sum;
  AT_DISPATCH_FLOATING_TYPES_AND2(at::kHalf, at::kBFloat16, weight.scalar_type(), "pack panels", [&] {
    const scalar_t *from = weight.const_data_ptr<scalar_t>();
    at::parallel_for(0, count, 1, [&](int64_t a, int64_t b) {
      std::vector<float> tile(kind == F32 ? 0 : w.k * columns);
      for (int64_t i = a; i < b; i++) pack_panel(from, weight.stride(0), weight.stride(1), w, i, tile.data(), data, scale, sum);
    });
  });
  return p.release();
}

// ---- without AVX-512

float act1(float x, int act) {
  switch (act) {
    case GeluErf: return x * 0.5f * (1 + std::erf(x * 0.70710678f));
    case GeluTanh: return x * 0.5f * (1 + std::tanh(0.79788456f * x * (1 + 0.044715f * x * x)));
    case Relu: return std::max(x, 0.0f);
    case Silu: return x / (1 + std::exp(-x));
  }
  return x;
}

// Of the plain kernels there are those of int8 alone: for the other types libtorch has better ones.
template <class E>
void plain_prepare(const E *x, int64_t k, int64_t words, const Norm *norm, float *v, uint32_t *out, float *scale, int32_t *zero) {
  for (int64_t i = 0; i < k; i++) v[i] = (float)x[i];
  if (norm) {
    float mean = 0, squares = 0;
    for (int64_t i = 0; i < k; i++) mean += v[i];
    mean /= (float)k;
    for (int64_t i = 0; i < k; i++) squares += (v[i] - mean) * (v[i] - mean);
    const float inv = 1 / std::sqrt(squares / (float)k + norm->eps);
    for (int64_t i = 0; i < k; i++) v[i] = (v[i] - mean) * inv * norm->weight[i] + norm->bias[i];
  }
  float lo = 0, hi = 0;
  for (int64_t i = 0; i < k; i++) lo = std::min(lo, v[i]), hi = std::max(hi, v[i]);
  *scale = std::max((hi - lo) / 255, 1e-30f);
  *zero = (int)std::lrint(-lo / *scale);
  uint8_t *q = (uint8_t *)out;
  memset(q, 0, words * 4);
  for (int64_t i = 0; i < k; i++) q[i] = (uint8_t)std::clamp((int)std::lrint(v[i] * (1 / *scale)) + *zero, 0, 255);
}

__attribute__((target_clones("avx2", "default"))) void plain_sums(const uint8_t *a, const int8_t *b, int64_t words, int32_t *sums) {
  int32_t s[columns] = {0};
  for (int64_t w = 0; w < words; w++, a += 4, b += 4 * columns)
    for (int64_t j = 0; j < columns; j++) s[j] += a[0] * b[4 * j] + a[1] * b[4 * j + 1] + a[2] * b[4 * j + 2] + a[3] * b[4 * j + 3];
  memcpy(sums, s, sizeof s);
}

void plain_multiply(const Weights &w, const Rows &x, const Finish &f, int64_t r0, int64_t r1, int64_t p0, int64_t p1) {
  int32_t sums[columns];
  for (int64_t p = p0; p < p1; p++)
    for (int64_t r = r0; r < r1; r++) {
      plain_sums((const uint8_t *)(x.data + r * x.step), (const int8_t *)(w.data + p * w.words * columns), w.words, sums);
      for (int64_t j = 0; j < columns && p * columns + j < w.n; j++) {
        const int64_t c = p * columns + j;
        float y = (float)(sums[j] - w.sum[c] * x.zero[r]) * (w.scale[c] * x.scale[r]) + (f.bias ? f.bias[c] : 0);
        y = act1(y, f.act) + (f.residual ? f.residual[r * f.step + c] : 0);
        if (f.y) f.y[r * f.step + c] = y;
        else f.y16[r * f.step + c] = to_bf16(y);
      }
    }
}

// ---- products

struct scratch {
  Tensor data, scale, zero;
};

// prepared gives the rows of x [r, k] as the kernels want them: x itself, where it is that already.
Rows prepared(const Weights &w, const Tensor &x, int64_t r, const Norm *norm, scratch &s) {
  const bool floats = x.scalar_type() == at::kFloat;
  if (!norm && (w.kind == F32 && floats || w.kind == BF16 && !floats && w.k % 2 == 0))
    return {(const uint32_t *)x.const_data_ptr(), w.words, nullptr, nullptr};
  s.data = at::empty({r, w.words}, at::kInt);
  s.scale = at::empty({r}, at::kFloat), s.zero = at::empty({r}, at::kInt);
  uint32_t *data = (uint32_t *)s.data.data_ptr<int32_t>();
  float *scale = s.scale.data_ptr<float>();
  int32_t *zero = s.zero.data_ptr<int32_t>();
  const float *f = floats ? x.const_data_ptr<float>() : nullptr;
  const at::BFloat16 *b = floats ? nullptr : x.const_data_ptr<at::BFloat16>();
  const bool quick = fast(w.kind);
  at::parallel_for(0, r, std::max<int64_t>(1, 16384 / w.k), [&](int64_t from, int64_t to) {
    std::vector<float> values(w.k);
    for (int64_t i = from; i < to; i++) {
      uint32_t *out = data + i * w.words;
      if (quick && floats) prepare(f + i * w.k, w.k, w.words, norm, w.kind, values.data(), out, scale + i, zero + i);
      else if (quick) prepare((const uint16_t *)b + i * w.k, w.k, w.words, norm, w.kind, values.data(), out, scale + i, zero + i);
      else if (floats) plain_prepare(f + i * w.k, w.k, w.words, norm, values.data(), out, scale + i, zero + i);
      else plain_prepare(b + i * w.k, w.k, w.words, norm, values.data(), out, scale + i, zero + i);
    }
  });
  return {data, w.words, scale, zero};
}

// product shares the panels of all rows among the threads, a block of rows after the other: a block stays in the processor's second cache
// while the panels pass.
void product(const Weights &w, const Rows &x, const Finish &f, int64_t r) {
  const int64_t fit = std::max<int64_t>(1, (256 << 10) / (w.words * 4 * tallest)) * tallest;
  const int64_t count = (w.n + columns - 1) / columns, blocks = (r + fit - 1) / fit;
  const int64_t rows = std::min(r, ((r + blocks - 1) / blocks + tallest - 1) / tallest * tallest);
  const auto run = fast(w.kind) ? multiply : plain_multiply;
  at::parallel_for(0, blocks * count, std::max<int64_t>(1, 65536 / (rows * w.words)), [&](int64_t from, int64_t to) {
    while (from < to) {
      const int64_t block = from / count, p = from % count, end = std::min(count, p + to - from);
      run(w, x, f, block * rows, std::min(r, (block + 1) * rows), p, end);
      from += end - p;
    }
  });
}

const float *vector_of(tt t, int64_t n, const char *what) {
  if (!t) return nullptr;
  const Tensor &v = T(t);
  TORCH_CHECK(v.scalar_type() == at::kFloat && v.is_contiguous() && v.numel() == n && v.device().is_cpu(), what, ": want ", n, " numbers in float32");
  return v.const_data_ptr<float>();
}

}  // namespace

int ct_panels_fast(int dtype) {
  try {
    return fast(kind_of(dtype));
  } catch (...) { return 0; }
}
void ct_panels_plain(int on) { plain_only = on; }

char *ct_panels_pack(void **o, tt weight, int dtype) {
  TRY(Kind kind = kind_of(dtype); TORCH_CHECK(kind == I8 || fast(kind), "this processor has no kernels for the type"); *o = pack(T(weight), kind))
}
void ct_panels_free(void *p) { delete static_cast<packed *>(p); }

char *ct_panels_product(tt *o, void *p, tt x, tt norm_weight, tt norm_bias, double eps, tt bias, int act, tt residual, int dtype) {
  TRY(const Weights &w = static_cast<packed *>(p)->w; at::NoGradGuard guard; const Tensor a = T(x).contiguous();
      TORCH_CHECK(a.dim() > 0 && a.size(-1) == w.k && a.device().is_cpu(), "want an input [..., ", w.k, "] on the CPU");
      TORCH_CHECK(a.scalar_type() == at::kFloat || a.scalar_type() == at::kBFloat16, "want an input in float32 or bfloat16");
      TORCH_CHECK(dtype == (int)at::kFloat || dtype == (int)at::kBFloat16, "want a result in float32 or bfloat16");
      std::vector<int64_t> shape = a.sizes().vec(); shape.back() = w.n; const int64_t r = a.numel() / w.k;
      Tensor y = at::empty(shape, at::TensorOptions().dtype((at::ScalarType)dtype));
      Finish f{vector_of(bias, w.n, "bias"), vector_of(residual, r * w.n, "residual"), act, w.n, nullptr, nullptr};
      if (dtype == (int)at::kFloat) f.y = y.data_ptr<float>(); else f.y16 = (uint16_t *)y.data_ptr<at::BFloat16>();
      Norm norm{vector_of(norm_weight, w.k, "norm's weight"), vector_of(norm_bias, w.k, "norm's bias"), (float)eps};
      if (r > 0) {
        scratch s;
        product(w, prepared(w, a, r, norm_weight ? &norm : nullptr, s), f, r);
      }
      *o = new Tensor(std::move(y)))
}

// rank's parts are of a fixed number of panels, so that sums do not depend on how threads share the work.
constexpr int64_t part = 32;

char *ct_panels_topk(void *p, tt x, tt norm_weight, tt norm_bias, double eps, int k, const int32_t *ban, const int64_t *ban_end, int32_t *ids,
                     float *logprobs) {
  TRY(const Weights &w = static_cast<packed *>(p)->w; at::NoGradGuard guard; const Tensor a = T(x).contiguous();
      TORCH_CHECK(a.dim() == 2 && a.size(1) == w.k && a.device().is_cpu(), "want an input [rows, ", w.k, "] on the CPU");
      TORCH_CHECK(a.scalar_type() == at::kFloat || a.scalar_type() == at::kBFloat16, "want an input in float32 or bfloat16");
      TORCH_CHECK(fast(w.kind), "this processor has no kernel for it"); TORCH_CHECK(k > 0 && k <= w.n, "k is ", k, ", want 1 to ", w.n);
      Norm norm{vector_of(norm_weight, w.k, "norm's weight"), vector_of(norm_bias, w.k, "norm's bias"), (float)eps};
      const int64_t r = a.size(0); const int64_t panels = (w.n + columns - 1) / columns; const int64_t count = (panels + part - 1) / part;
      scratch s; const Rows rows = prepared(w, a, r, norm_weight ? &norm : nullptr, s);
      std::vector<Part> parts(r * count); std::vector<std::vector<Best>> best(at::get_num_threads());
      at::parallel_for(0, count, 1, [&](int64_t from, int64_t to) {
        auto &mine = best[at::get_thread_num()];
        mine.resize(r);
        for (int64_t i = from; i < to; i++)
          rank(w, rows, r, i * part, std::min(panels, (i + 1) * part), k, ban, ban_end, parts.data() + i, count, mine.data());
      });
      for (int64_t i = 0; i < r; i++) {
        float top = -INFINITY;
        double sum = 0;
        for (int64_t j = 0; j < count; j++) top = parts[i * count + j].top <= top ? top : parts[i * count + j].top;
        for (int64_t j = 0; j < count; j++) sum += parts[i * count + j].sum * std::exp((double)parts[i * count + j].top - top);
        std::vector<Best::Entry> all;
        for (auto &b : best)
          if (!b.empty()) all.insert(all.end(), b[i].heap.begin(), b[i].heap.end());
        std::sort(all.begin(), all.end());
        const float total = (float)std::log(sum);
        for (int64_t j = 0; j < k; j++) {
          const bool have = j < (int64_t)all.size();
          ids[i * k + j] = have ? all[j].column : -1;
          logprobs[i * k + j] = have ? all[j].value - top - total : -INFINITY;
        }
      })
}

// ---- attention

namespace {

struct freed {
  void operator()(void *p) const { free(p); }
};
using floats = std::unique_ptr<float[], freed>;
floats lines(int64_t n) { return floats((float *)aligned_alloc(64, (n * 4 + 63) / 64 * 64)); }

// One head of one picture: softmax(q kᵀ scale) v by the products above, keys and values laid out as their weights.
struct Head {
  int64_t len, size;
  floats q, k, v, w;
  Head(int64_t len, int64_t size)
      : len(len), size(size), q(lines(len * size)), k(lines((len + columns - 1) / columns * columns * size)), v(lines((size + columns - 1) / columns * columns * len)),
        w(lines(len * len)) {
    memset(k.get(), 0, (len + columns - 1) / columns * columns * size * 4);
    memset(v.get(), 0, (size + columns - 1) / columns * columns * len * 4);
  }

  template <class E>
  ISA("") void run(const E *qkv, int64_t step, int64_t width, float scale, const Finish &out) {
    for (int64_t t = 0; t < len; t++, qkv += step) {
      float *kt = k.get() + t / columns * columns * size + t % columns;
      for (int64_t d = 0; d < size; d += 16) {
        const __mmask16 m = first(size - d);
        alignas(64) float key[16];
        _mm512_mask_storeu_ps(q.get() + t * size + d, m, _mm512_mul_ps(load(qkv + d, m), _mm512_set1_ps(scale)));
        _mm512_store_ps(key, load(qkv + width + d, m));
        for (int64_t i = 0; i < 16 && d + i < size; i++) kt[(d + i) * columns] = key[i];
        _mm512_mask_storeu_ps(v.get() + d / columns * columns * len + t * columns + d % columns, m, load(qkv + 2 * width + d, m));
      }
    }
    const Weights keys{F32, len, size, size, (uint32_t *)k.get(), nullptr, nullptr}, values{F32, size, len, len, (uint32_t *)v.get(), nullptr, nullptr};
    multiply(keys, {(uint32_t *)q.get(), size, nullptr, nullptr}, {nullptr, nullptr, None, len, w.get(), nullptr}, 0, len, 0, (len + columns - 1) / columns);
    for (int64_t t = 0; t < len; t++) soften(w.get() + t * len);
    multiply(values, {(uint32_t *)w.get(), len, nullptr, nullptr}, out, 0, len, 0, (size + columns - 1) / columns);
  }

  ISA("") void soften(float *x) {
    __m512 top = _mm512_set1_ps(-INFINITY), sum = _mm512_setzero_ps();
    for (int64_t i = 0; i < len; i += 16) top = _mm512_mask_max_ps(top, first(len - i), top, load(x + i, first(len - i)));
    top = _mm512_set1_ps(_mm512_reduce_max_ps(top));
    for (int64_t i = 0; i < len; i += 16) {
      const __mmask16 m = first(len - i);
      const __m512 e = exp16(_mm512_sub_ps(load(x + i, m), top));
      sum = _mm512_mask_add_ps(sum, m, sum, e);
      _mm512_mask_storeu_ps(x + i, m, e);
    }
    const __m512 norm = _mm512_set1_ps(1 / total(sum));
    for (int64_t i = 0; i < len; i += 16) _mm512_mask_storeu_ps(x + i, first(len - i), _mm512_mul_ps(load(x + i, first(len - i)), norm));
  }
};

}  // namespace

char *ct_panels_attention(tt *o, tt qkv, int64_t heads) {
  TRY(const Tensor a = T(qkv).contiguous(); at::NoGradGuard guard;
      TORCH_CHECK(a.dim() == 3 && heads > 0 && a.size(2) % (3 * heads) == 0 && a.device().is_cpu(), "want [B, T, 3C] on the CPU, C in ", heads, " heads");
      TORCH_CHECK(a.scalar_type() == at::kFloat || a.scalar_type() == at::kBFloat16, "want float32 or bfloat16");
      TORCH_CHECK(fast(F32), "this processor has no kernel for it");
      const int64_t B = a.size(0); const int64_t len = a.size(1); const int64_t C = a.size(2) / 3; const int64_t size = C / heads;
      const bool wide = a.scalar_type() == at::kFloat; Tensor y = at::empty({B, len, C}, a.options().requires_grad(false));
      at::parallel_for(0, B * heads, 1, [&](int64_t from, int64_t to) {
        Head head(len, size);
        for (int64_t i = from; i < to; i++) {
          const int64_t at = i / heads * len, h = i % heads * size;
          Finish f{nullptr, nullptr, None, C, nullptr, nullptr};
          if (wide) f.y = y.data_ptr<float>() + at * C + h;
          else f.y16 = (uint16_t *)y.data_ptr<at::BFloat16>() + at * C + h;
          const float scale = 1 / std::sqrt((float)size);
          if (wide) head.run(a.const_data_ptr<float>() + at * 3 * C + h, 3 * C, C, scale, f);
          else head.run((const uint16_t *)a.const_data_ptr<at::BFloat16>() + at * 3 * C + h, 3 * C, C, scale, f);
        }
      });
      *o = new Tensor(std::move(y)))
}
