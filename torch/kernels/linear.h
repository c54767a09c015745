// Products of layers that learn, by whichever engine is quicker here, for kernels that have formulas of their own.
#pragma once
#include <ATen/core/Tensor.h>

#include <optional>

namespace linear {

// rows gives x wᵀ + bias [N, out], and with relu6 that of it: x [N, in] contiguous, w [out, in] of any strides and bias
// [out], all in float32 or all in bfloat16. Autograd and autocast know nothing of it.
at::Tensor rows(const at::Tensor &x, const at::Tensor &w, const std::optional<at::Tensor> &bias, bool relu6);

// weight_gradient gives dyᵀ x [out, in] in float32 for x [N, in] and dy [N, out], both contiguous: the narrower of them
// is turned.
at::Tensor weight_gradient(const at::Tensor &x, const at::Tensor &dy);

}  // namespace linear
