// What several kernels compute.
#pragma once
#include "cpu.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

// Without this the compiler makes no vectors of a loop that chooses between numbers: a number that is not chosen could
// raise a flag of the processor, which nobody reads. It holds for what follows, and changes no result.
#pragma GCC optimize("no-trapping-math")

// The compiler makes a function of plain loops three times, for three widths of vectors; the processor's own is chosen
#if defined(CAPTIONER_X86) && defined(__linux__)
#define FOR_EACH_WIDTH __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define FOR_EACH_WIDTH
#endif

// e^x for x <= 0, relative error below 2e-7: 2^n times a polynomial on [-ln2/2, ln2/2]. A loop over it becomes vectors.
static inline float exp_neg(float x) {
  x = x < -87.0f ? -87.0f : x;
  float n = __builtin_floorf(x * 1.44269504f + 0.5f);
  float r = x - n * 0.693359375f + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  int32_t e = ((int32_t)n + 127) << 23;
  float two;
  memcpy(&two, &e, 4);
  return p * two;
}
