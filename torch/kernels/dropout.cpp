// Dropout's mask: on a CPU several times faster than bernoulli_.
#include "dropout.h"

#include "bridge.h"
#include "door.h"
#include "vectorized.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>

namespace {

// SplitMix64 (Steele, Lea, Flood 2014) as a counter-based generator: word i of stream key is mix(key + i * gamma).
inline uint64_t mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

// word w gives elements 4w to 4w+3, 16 bits each, the lowest first.
inline uint64_t word(uint64_t key, int64_t w) { return mix(key + (uint64_t)(w + 1) * 0x9e3779b97f4a7c15ULL); }

constexpr int64_t words = 64;  // at a time

// fill_words writes count words, at most 64, from number w on as factors: 4 count of them.
FOR_EACH_WIDTH void fill_words(const Dropout &d, int64_t w, int64_t count, float *out) {
  uint64_t bits[words];
  uint16_t each[4 * words];
  for (int64_t i = 0; i < count; i++) bits[i] = word(d.key, w + i);
  memcpy(each, bits, count * sizeof *bits);
  for (int64_t i = 0; i < 4 * count; i++) out[i] = each[i] >= d.cut ? d.kept : 0.0f;
}

template <typename E>
void fill_mask(E *out, int64_t n, double p, uint64_t key) {
  const Dropout d(p, key);
  at::parallel_for(0, (n + 3) / 4, 1 << 14, [&](int64_t from, int64_t to) {
    float f[4 * words];
    for (int64_t w = from; w < to; w += words) {
      const int64_t count = std::min(words, to - w), last = std::min(4 * count, n - 4 * w);
      fill_words(d, w, count, f);
      for (int64_t i = 0; i < last; i++) out[4 * w + i] = E(f[i]);
    }
  });
}

Tensor dropout_mask(const Tensor &like, double p, uint64_t key) {
  at::NoGradGuard no_grad;
  if (!like.device().is_cpu()) return at::empty_like(like).bernoulli_(1 - p).div_(1 - p);
  Tensor mask = at::empty(like.sizes(), like.options().requires_grad(false));
  const int64_t n = mask.numel();
  switch (mask.scalar_type()) {
    case at::kBFloat16: fill_mask(mask.data_ptr<at::BFloat16>(), n, p, key); break;
    case at::kHalf: fill_mask(mask.data_ptr<at::Half>(), n, p, key); break;
    case at::kFloat: fill_mask(mask.data_ptr<float>(), n, p, key); break;
    default: fill_mask(mask.data_ptr<double>(), n, p, key);
  }
  return mask;
}

}  // namespace

void Dropout::factors(int64_t from, int64_t n, float *out) const {
  if (from % 4 == 0 && n % 4 == 0) {
    for (int64_t i = 0; i < n; i += 4 * words) fill_words(*this, (from + i) / 4, std::min(words, (n - i) / 4), out + i);
    return;
  }
  float f[4 * words];
  for (int64_t i = 0; i < n;) {
    const int64_t w = (from + i) / 4, skip = (from + i) % 4, some = std::min(n - i, 4 * words - skip);
    fill_words(*this, w, (skip + some + 3) / 4, f);
    std::copy(f + skip, f + skip + some, out + i);
    i += some;
  }
}

char *ct_dropout_mask(ct_tensor *out, ct_tensor like, double p, uint64_t key) {
  return returning(out, [&] { return dropout_mask(tensor(like), p, key); });
}
