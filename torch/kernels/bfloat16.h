// Rows of bfloat16 to float32 and back, for kernels that compute in float32.
#pragma once
#include <ATen/core/Tensor.h>

namespace bfloat16 {

void widen(const at::BFloat16 *x, int64_t n, float *y);
void narrow(const float *y, int64_t n, at::BFloat16 *x);  // to the nearest, of two the even one; NaN stays NaN

// in gives n elements of a tensor in float32 or bfloat16 from number `from` on as float32: where they are, or in room.
inline const float *in(const at::Tensor &t, int64_t from, int64_t n, float *room) {
  if (t.scalar_type() == at::kFloat) return t.const_data_ptr<float>() + from;
  widen(t.const_data_ptr<at::BFloat16>() + from, n, room);
  return room;
}

// place is where n elements of such a tensor are to be written in float32; put takes them from there to the tensor.
inline float *place(const at::Tensor &t, int64_t from, float *room) {
  return t.scalar_type() == at::kFloat ? t.mutable_data_ptr<float>() + from : room;
}
inline void put(const at::Tensor &t, int64_t from, int64_t n, const float *room) {
  if (t.scalar_type() != at::kFloat) narrow(room, n, t.mutable_data_ptr<at::BFloat16>() + from);
}

// fits says whether a tensor is such a one: on the CPU, without gaps.
inline bool fits(const at::Tensor &t) {
  return t.device().is_cpu() && (t.scalar_type() == at::kFloat || t.scalar_type() == at::kBFloat16) &&
         t.is_contiguous();
}

}  // namespace bfloat16
