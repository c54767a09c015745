// Weights in oneDNN's own layouts, and products with them. libtorch carries oneDNN; no public header declares these
// operations, so that they are called by name.
#include "bridge.h"
#include "door.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>

#include <string>
#include <vector>

namespace {

using c10::IValue;
using Numbers = std::vector<int64_t>;

Tensor call(const char *name, const char *overload, torch::jit::Stack &stack) {
  c10::Dispatcher::singleton().findSchemaOrThrow(name, overload).callBoxed(stack);
  return stack[0].toTensor();
}

c10::List<std::optional<at::Scalar>> scalars(std::initializer_list<double> values) {
  c10::List<std::optional<at::Scalar>> list;
  for (double x : values) list.push_back(at::Scalar(x));
  return list;
}

IValue or_none(const std::optional<Tensor> &t) { return t ? IValue(*t) : IValue(); }

Tensor pack_linear(const Tensor &weight) {
  torch::jit::Stack stack{weight, IValue()};
  return call("mkldnn::_reorder_linear_weight", "", stack);
}

Tensor packed_linear(const Tensor &x, const Tensor &packed, const std::optional<Tensor> &bias, std::string activation) {
  std::string form;
  if (activation == "gelu") form = "none";
  if (activation == "gelu_tanh") activation = "gelu", form = "tanh";
  torch::jit::Stack stack{x, packed, or_none(bias), activation, scalars({}), form};
  return call("mkldnn::_linear_pointwise", "", stack);
}

// Convolution is what a layer is packed for: (height, width) each.
struct Convolution {
  Numbers stride, padding, dilation;
  int64_t groups;
};

Convolution convolution(const int64_t *stride, const int64_t *padding, const int64_t *dilation, int64_t groups) {
  return {Numbers(stride, stride + 2), Numbers(padding, padding + 2), Numbers(dilation, dilation + 2), groups};
}

Tensor pack_conv2d(const Tensor &weight, const Convolution &c, const Numbers &input) {
  torch::jit::Stack stack{weight, c.padding, c.stride, c.dilation, c.groups, input.empty() ? IValue() : IValue(input)};
  return call("mkldnn::_reorder_convolution_weight", "", stack);
}

Tensor packed_conv2d(const Tensor &x, const Tensor &packed, const std::optional<Tensor> &bias, const Convolution &c,
                     const std::string &activation) {
  const auto limits = activation == "hardtanh" ? scalars({0, 6}) : scalars({});
  torch::jit::Stack stack{x,          packed,   or_none(bias), c.padding, c.stride,
                          c.dilation, c.groups, activation,    limits,    std::string("")};
  return call("mkldnn::_convolution_pointwise", "", stack);
}

Tensor packed_conv2d_add(const Tensor &x, const Tensor &packed, const std::optional<Tensor> &bias, const Convolution &c,
                         const std::string &activation, const Tensor &residual) {
  const IValue act = activation == "none" ? IValue() : IValue(activation);
  torch::jit::Stack stack{x,        residual,           packed,   or_none(bias), c.padding,   c.stride, c.dilation,
                          c.groups, std::string("add"), IValue(), act,           scalars({}), IValue()};
  return call("mkldnn::_convolution_pointwise", "binary", stack);
}

}  // namespace

char *ct_pack_linear(ct_tensor *out, ct_tensor weight) {
  return returning(out, [&] { return pack_linear(tensor(weight)); });
}
char *ct_packed_linear(ct_tensor *out, ct_tensor x, ct_tensor packed, ct_tensor bias, const char *activation) {
  return returning(out, [&] { return packed_linear(tensor(x), tensor(packed), optional_tensor(bias), activation); });
}
char *ct_pack_conv2d(ct_tensor *out, ct_tensor weight, const int64_t *stride, const int64_t *padding,
                     const int64_t *dilation, int64_t groups, const int64_t *input, int dims) {
  return returning(out, [&] {
    return pack_conv2d(tensor(weight), convolution(stride, padding, dilation, groups), Numbers(input, input + dims));
  });
}
char *ct_packed_conv2d(ct_tensor *out, ct_tensor x, ct_tensor packed, ct_tensor bias, const int64_t *stride,
                       const int64_t *padding, const int64_t *dilation, int64_t groups, const char *activation,
                       ct_tensor residual) {
  return returning(out, [&] {
    const Convolution c = convolution(stride, padding, dilation, groups);
    const auto b = optional_tensor(bias);
    if (residual) return packed_conv2d_add(tensor(x), tensor(packed), b, c, activation, tensor(residual));
    return packed_conv2d(tensor(x), tensor(packed), b, c, activation);
  });
}
