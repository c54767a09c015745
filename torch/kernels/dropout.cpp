// Dropout's mask: on a CPU several times faster than bernoulli_.
#include "bridge.h"
#include "door.h"
#include "vectorized.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

namespace {

// SplitMix64 (Steele, Lea, Flood 2014) as a counter-based generator: word i of stream key is mix(key + i * gamma).
inline uint64_t mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

// One word of 64 bits gives four elements, each kept with probability 1 - p, where p is rounded to 1/65536.
template <typename E>
void fill_mask(E *out, int64_t n, double p, uint64_t key) {
  const uint16_t cut = (uint16_t)std::lround(p * 65536.0);
  const E keep = E(1.0 / (1.0 - cut / 65536.0)), drop = E(0.0);
  at::parallel_for(0, (n + 3) / 4, 1 << 14, [&](int64_t from, int64_t to) {
    for (int64_t w = from; w < to; w++) {
      uint64_t bits = mix(key + (uint64_t)(w + 1) * 0x9e3779b97f4a7c15ULL);
      const int64_t last = std::min<int64_t>(4, n - 4 * w);
      for (int64_t j = 0; j < last; j++, bits >>= 16) out[4 * w + j] = (uint16_t)bits >= cut ? keep : drop;
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

char *ct_dropout_mask(ct_tensor *out, ct_tensor like, double p, uint64_t key) {
  return returning(out, [&] { return dropout_mask(tensor(like), p, key); });
}
