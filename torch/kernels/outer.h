// The gradient of a weight by panels.
#pragma once
#include <ATen/core/Tensor.h>

namespace panels {

// outer gives dyᵀ x [out, in] for dy [N, out] and x [N, in] in float32, both contiguous: nothing is laid out anew but
// x. has_outer says whether there are kernels for x as quick as libtorch's.
at::Tensor outer(const at::Tensor &dy, const at::Tensor &x);
bool has_outer(const at::Tensor &x);

}  // namespace panels
