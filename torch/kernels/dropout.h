// The random numbers of dropout, for the kernels that drop elements on their way.
#pragma once
#include <cmath>
#include <cstdint>

// Dropout keeps element i of stream key, or not, whoever asks, and in whatever order: factors writes 0, or what makes
// up for the dropped ones, for n elements from number from on. Its probability is rounded to 1/65536.
struct Dropout {
  uint64_t key;
  uint16_t cut;  // of 65,536 values of an element those below it are dropped
  float kept;    // 1/(1-p)

  Dropout(double p, uint64_t key)
      : key(key), cut((uint16_t)std::lround(p * 65536.0)), kept((float)(1.0 / (1.0 - cut / 65536.0))) {}

  bool on() const { return cut != 0; }
  void factors(int64_t from, int64_t n, float *out) const;
};
