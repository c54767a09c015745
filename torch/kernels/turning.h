// Matrices turned.
#pragma once
#include <ATen/core/Tensor.h>

namespace turning {

// turn writes x [rows, columns], whose rows lie step apart, as [columns, rows] with rows to_step apart.
void turn(const float *x, int64_t step, int64_t rows, int64_t columns, int64_t to_step, float *to);
void turn(const uint16_t *x, int64_t step, int64_t rows, int64_t columns, int64_t to_step, uint16_t *to);

// turned is x.t().contiguous() for x [rows, columns] in float32 or bfloat16: libtorch's way goes through memory a
// number at a time.
at::Tensor turned(const at::Tensor &x);

}  // namespace turning
