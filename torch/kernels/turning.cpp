// Matrices turned in squares that stay in registers.
#include "turning.h"

#include "vectorized.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include <algorithm>

namespace turning {

namespace {

constexpr int64_t side = 16;  // of the squares that are turned in registers

// turn_squares is turn for any type.
template <class E>
inline __attribute__((always_inline)) void turn_squares(const E *x, int64_t step, int64_t rows, int64_t columns,
                                                        int64_t to_step, E *to) {
  for (int64_t r = 0; r < rows; r += side)
    for (int64_t c = 0; c < columns; c += side) {
      const int64_t some = std::min(side, rows - r), wide = std::min(side, columns - c);
      const E *from = x + r * step + c;
      E *out = to + c * to_step + r, square[side * side];
      if (some < side || wide < side) {
        for (int64_t j = 0; j < wide; j++)
          for (int64_t i = 0; i < some; i++) out[j * to_step + i] = from[i * step + j];
        continue;
      }
      for (int i = 0; i < side; i++)
        for (int j = 0; j < side; j++) square[i * side + j] = from[i * step + j];
      for (int j = 0; j < side; j++)
        for (int i = 0; i < side; i++) out[j * to_step + i] = square[i * side + j];
    }
}

}  // namespace

FOR_EACH_WIDTH void turn(const float *x, int64_t step, int64_t rows, int64_t columns, int64_t to_step, float *to) {
  turn_squares(x, step, rows, columns, to_step, to);
}
FOR_EACH_WIDTH void turn(const uint16_t *x, int64_t step, int64_t rows, int64_t columns, int64_t to_step,
                         uint16_t *to) {
  turn_squares(x, step, rows, columns, to_step, to);
}

namespace {

template <class E>
void turn_all(const at::Tensor &x, at::Tensor &y) {
  const int64_t rows = x.size(0), columns = x.size(1), step = x.stride(0);
  const E *from = (const E *)x.const_data_ptr();
  E *to = (E *)y.data_ptr();
  at::parallel_for(0, (columns + side - 1) / side, 4, [&](int64_t a, int64_t b) {
    const int64_t c = a * side, n = std::min(columns, b * side) - c;
    turn(from + c, step, rows, n, rows, to + c * rows);
  });
}

}  // namespace

at::Tensor turned(const at::Tensor &x) {
  if (x.stride(1) != 1) return x.t().contiguous();
  at::Tensor y = at::empty({x.size(1), x.size(0)}, x.options().requires_grad(false));
  if (x.scalar_type() == at::kFloat) turn_all<float>(x, y);
  else turn_all<uint16_t>(x, y);
  return y;
}

}  // namespace turning
