// Gradients of zero for leaves that a formula leaves out because their part in it is nothing.
#include "bridge.h"
#include "door.h"

#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/custom_function.h>

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct ZeroGradients : torch::autograd::Function<ZeroGradients> {
  static Tensor forward(AutogradContext *ctx, const Tensor &t, at::TensorList leaves) {
    ctx->save_for_backward(leaves.vec());
    return t.view_as(t);
  }

  static variable_list backward(AutogradContext *ctx, variable_list grads) {
    variable_list out{grads[0]};
    for (const Tensor &leaf : ctx->get_saved_variables()) out.push_back(at::zeros_like(leaf));
    return out;
  }
};

}  // namespace

char *ct_zero_gradients(ct_tensor *out, ct_tensor t, ct_tensor *leaves, int n) {
  return returning(out, [&] { return ZeroGradients::apply(tensor(t), at::TensorList(tensors(leaves, n))); });
}
