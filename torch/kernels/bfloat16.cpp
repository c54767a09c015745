#include "bfloat16.h"

#include "vectorized.h"

namespace {

FOR_EACH_WIDTH void widen_bits(const uint16_t *x, int64_t n, float *y) {
  for (int64_t i = 0; i < n; i++) {
    const uint32_t bits = (uint32_t)x[i] << 16;
    memcpy(y + i, &bits, 4);
  }
}

FOR_EACH_WIDTH void narrow_bits(const float *y, int64_t n, uint16_t *x) {
  for (int64_t i = 0; i < n; i++) {
    uint32_t bits;
    memcpy(&bits, y + i, 4);
    x[i] = y[i] != y[i] ? 0x7fc0 : (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
  }
}

}  // namespace

namespace bfloat16 {

void widen(const at::BFloat16 *x, int64_t n, float *y) { widen_bits((const uint16_t *)x, n, y); }
void narrow(const float *y, int64_t n, at::BFloat16 *x) { narrow_bits(y, n, (uint16_t *)x); }

}  // namespace bfloat16
