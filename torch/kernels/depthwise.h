// Convolutions of single channels that learn, with a bias and ReLU6 behind them, over maps whose channels lie together:
// [B, H, W, C]. libtorch's gradient of a 5x5 weight is an eighth as quick as its other ones.
#pragma once
#include <ATen/core/Tensor.h>

namespace depthwise {

// Shape is what a convolution with kernels of 3x3 or 5x5 and stride 1 or 2 takes and gives; top and left are its
// padding before a map.
struct Shape {
  int64_t B, H, W, C, OH, OW;
  int kernel, stride;
  int64_t top, left;
};

// same is the shape with TensorFlow's SAME padding of a map x [B, H, W, C].
Shape same(const at::Tensor &x, int64_t kernel, int64_t stride);

// forward gives relu6(convolution of x + bias), [B, OH, OW, C] in the type of x, float32 or bfloat16: weight
// [k*k, C] and bias [C] in float32, all contiguous.
at::Tensor forward(const Shape &s, const at::Tensor &x, const at::Tensor &weight, const at::Tensor &bias);

// Gradients are those of x in its type, none where it was not wanted, of the weight [k*k, C] and of the bias [C]. Where
// x is itself a result of ReLU6, dx goes back through that too, and before are its sums [C].
struct Gradients {
  at::Tensor dx, weight, bias, before;
};

// backward gives the gradients from that of y, dy. The sums do not hang on the number of threads.
Gradients backward(const Shape &s, const at::Tensor &x, const at::Tensor &weight, const at::Tensor &y,
                   const at::Tensor &dy, bool wants_dx, bool x_is_relu6);

}  // namespace depthwise
