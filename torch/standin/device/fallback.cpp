//go:build standin

// How the stand-in computes. Every operator that libtorch has no general form for comes to compute: it hands the CPU's
// operator the same tensors, seen through the second mapping of their memory, and takes the results over.
#include "memory.hpp"

#include <ATen/ATen.h>
#include <ATen/EmptyTensor.h>
#include <ATen/core/Generator.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/library.h>

#include <cstring>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace standin {

at::Generator inner_generator(int device);

namespace {

using at::Tensor;
using c10::IValue;
using torch::jit::Stack;

// ---- the rules of devices

// numbers are the operators that take a number without dimensions from the CPU beside tensors of the GPU: those that
// CUDA runs through a TensorIterator.
const std::unordered_set<std::string> &numbers() {
  static const auto *s = [] {
    auto *s = new std::unordered_set<std::string>;
    for (const char *name :
         {"add", "sub", "mul", "div", "rsub", "pow", "where", "lerp", "addcmul", "addcdiv", "clamp", "clamp_min",
          "clamp_max", "maximum", "minimum", "fmax", "fmin", "fmod", "remainder", "floor_divide", "true_divide", "atan2",
          "hypot", "copysign", "xlogy", "eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or", "logical_xor",
          "bitwise_and", "bitwise_or", "bitwise_xor", "masked_fill", "fill", "__and__", "__or__", "__xor__",
          "index_put", "_index_put_impl", "_unsafe_index_put", "index_fill", "heaviside", "threshold"})
      s->insert(std::string("aten::") + name);
    return s;
  }();
  return *s;
}

// Operators that take indices from the CPU and move them, and those that make the host wait for the GPU.
const std::unordered_set<std::string> &indexed() {
  static const auto *s = new std::unordered_set<std::string>{"aten::index", "aten::index_put", "aten::_index_put_impl",
                                                             "aten::_unsafe_index_put", "aten::_unsafe_index"};
  return *s;
}
const std::unordered_set<std::string> &waiting() {
  static const auto *s = new std::unordered_set<std::string>{
      "aten::nonzero",    "aten::masked_select",      "aten::equal",            "aten::_unique2",
      "aten::unique_dim", "aten::unique_consecutive", "aten::repeat_interleave"};
  return *s;
}

struct Rules {
  bool numbers, indices, waits;
  std::vector<bool> written;    // by argument
  std::vector<int> result_of;   // by result: the argument that it is, or -1
  std::vector<int> generators;  // arguments that are generators
};

const Rules &rules(const c10::OperatorHandle &op) {
  thread_local std::unordered_map<c10::OperatorName, Rules> known;
  const auto found = known.find(op.operator_name());
  if (found != known.end()) return found->second;
  const auto &schema = op.schema();
  std::string name = schema.name();
  if (name.back() == '_' && name.find("__", 6) == std::string::npos) name.pop_back();
  Rules r{numbers().count(name) > 0, indexed().count(name) > 0, waiting().count(name) > 0, {}, {}, {}};
  for (size_t i = 0; i < schema.arguments().size(); i++) {
    const auto &a = schema.arguments()[i];
    r.written.push_back(a.alias_info() && a.alias_info()->isWrite());
    const std::string type = a.type()->str();
    if (type.find("Generator") != std::string::npos) r.generators.push_back((int)i);
  }
  for (const auto &ret : schema.returns()) {
    int of = -1;
    if (ret.alias_info() && ret.alias_info()->isWrite())
      for (size_t i = 0; i < schema.arguments().size(); i++)
        if (r.written[i] && schema.arguments()[i].alias_info()->beforeSets() == ret.alias_info()->beforeSets())
          of = (int)i;
    r.result_of.push_back(of);
  }
  return known.emplace(op.operator_name(), std::move(r)).first->second;
}

// ---- tensors seen from the CPU

// view is t on the CPU, over the second mapping of t's memory.
Tensor view(const Tensor &t) {
  const c10::Storage &s = t.storage();
  c10::Storage cpu(c10::Storage::use_byte_size_t(), s.nbytes(), c10::DataPtr(host(s.data()), c10::Device(c10::kCPU)),
                   nullptr, false);
  Tensor seen = at::detail::make_tensor<c10::TensorImpl>(std::move(cpu), c10::DispatchKeySet(c10::DispatchKey::CPU),
                                                         t.dtype());
  seen.unsafeGetTensorImpl()->set_sizes_and_strides(t.sizes(), t.strides(), t.storage_offset());
  return seen;
}

// view_of is a view of a tensor of the device, shaped as the CPU's like. In inference mode it is one for autograd where
// the tensor is.
Tensor view_of(const Tensor &mine, const Tensor &like) {
  Tensor t = at::detail::make_tensor<c10::TensorImpl>(c10::TensorImpl::VIEW, c10::Storage(mine.storage()), mine.key_set(),
                                                      like.dtype());
  t.unsafeGetTensorImpl()->set_sizes_and_strides(like.sizes(), like.strides(), like.storage_offset());
  return t;
}

bool ours(const Tensor &t) { return t.defined() && t.device().type() == c10::kPrivateUse1; }

// Call is one operator on its way through the CPU.
struct Call {
  const c10::OperatorHandle &op;
  const Rules &rules;
  c10::Device device = c10::Device(c10::kCPU);
  std::vector<std::pair<Tensor, Tensor>> seen;     // tensors of the device, and how the CPU sees them
  std::vector<std::pair<Tensor, Tensor>> growing;  // written ones without elements, which an operator may resize

  void check(const Tensor &t, bool index) {
    if (!t.defined()) return;
    if (ours(t)) {
      if (device.is_cpu()) device = t.device();
      if (t.device() == device) return;
    } else {
      if (index && rules.indices) return;
      if (t.dim() == 0 && rules.numbers) return;
    }
    TORCH_CHECK(false, "Expected all tensors to be on the same device, but found at least two devices, ", device, " and ",
                t.device(), "! (stand-in, ", op.schema().name(), ")");
  }

  Tensor cross(const Tensor &t, bool written) {
    if (!ours(t)) return t;
    if (written && t.numel() == 0) {
      Tensor fresh = at::empty(t.sizes(), t.options().device(c10::kCPU));
      growing.emplace_back(t, fresh);
      return fresh;
    }
    seen.emplace_back(t, view(t));
    return seen.back().second;
  }

  IValue cross_all(const IValue &v, bool written) {
    if (v.isTensor()) return cross(v.toTensor(), written);
    if (v.isTensorList()) {
      c10::List<Tensor> out;
      for (const Tensor &t : v.toTensorVector()) out.push_back(cross(t, written));
      return out;
    }
    if (v.isOptionalTensorList()) {
      c10::List<std::optional<Tensor>> out;
      for (const std::optional<Tensor> &t : v.toOptionalTensorList()) {
        if (t && t->defined()) out.push_back(cross(*t, written));
        else out.push_back(t);
      }
      return out;
    }
    return v;
  }

  void check_all(const IValue &v) {
    if (v.isTensor()) check(v.toTensor(), false);
    if (v.isTensorList())
      for (const Tensor &t : v.toTensorVector()) check(t, false);
    if (v.isOptionalTensorList())
      for (const std::optional<Tensor> &t : v.toOptionalTensorList())
        if (t) check(*t, true);
  }

  // find_device must run before check, so that a tensor of the CPU in front is judged by what follows.
  void find_device(const IValue &v) {
    if (!device.is_cpu()) return;
    if (v.isTensor() && ours(v.toTensor())) device = v.toTensor().device();
    if (v.isTensorList())
      for (const Tensor &t : v.toTensorVector())
        if (device.is_cpu() && ours(t)) device = t.device();
    if (v.isOptionalTensorList())
      for (const std::optional<Tensor> &t : v.toOptionalTensorList())
        if (device.is_cpu() && t && ours(*t)) device = t->device();
  }

  // back is what the device gets for a result of the CPU: a view of the tensor that it is a view of, or new memory.
  Tensor back(const Tensor &t) {
    if (!t.defined() || ours(t)) return t;
    for (const auto &[mine, cpu] : seen)
      if (t.storage().data() == cpu.storage().data() && t.storage().data()) return view_of(mine, t);
    Tensor out = at::empty_strided(t.sizes(), t.strides(), t.options().device(device));
    copy_bytes(out, t);
    if (t.unsafeGetTensorImpl()->is_wrapped_number()) out.unsafeGetTensorImpl()->set_wrapped_number(true);
    return out;
  }

  static void copy_bytes(const Tensor &to, const Tensor &from) {
    const size_t n = at::detail::computeStorageNbytes(from.sizes(), from.strides(), from.itemsize());
    if (n) memcpy(host(to.const_data_ptr()), from.const_data_ptr(), n);
  }

  void grow() {
    for (auto &[mine, cpu] : growing) {
      if (!cpu.numel()) {
        if (mine.sizes() != cpu.sizes()) mine.resize_(cpu.sizes());
        continue;
      }
      mine.resize_(cpu.sizes());
      view(mine).copy_(cpu);
    }
  }

  IValue back_all(const IValue &v) {
    if (v.isTensor()) return back(v.toTensor());
    if (v.isTensorList()) {
      c10::List<Tensor> out;
      for (const Tensor &t : v.toTensorVector()) out.push_back(back(t));
      return out;
    }
    return v;
  }
};

// ---- graphs

// A graph is the operators that were computed while it was recorded, with their tensors, whose memory it holds. To
// repeat it is to compute them again on what these tensors hold then: whatever else a program decided while it
// recorded, a position in a text for one, stays as it was.
struct Recorded {
  std::optional<c10::OperatorHandle> op;  // none: a copy
  std::vector<IValue> given, results;
};
using Graph = std::vector<Recorded>;
Graph *open_graph = nullptr;

void record(std::optional<c10::OperatorHandle> op, std::vector<IValue> given, std::vector<IValue> results) {
  if (recording) open_graph->push_back({std::move(op), std::move(given), std::move(results)});
}

void compute(const c10::OperatorHandle &op, Stack *stack) {
  const auto &schema = op.schema();
  const size_t n = schema.arguments().size(), first = stack->size() - n;
  const Rules &r = rules(op);
  Call call{op, r};
  counters.ops++;
  std::vector<IValue> given(stack->begin() + first, stack->end());
  for (const IValue &v : given) call.find_device(v);
  for (const IValue &v : given) call.check_all(v);
  if (call.device.is_cpu()) call.device = c10::Device(c10::kPrivateUse1, (c10::DeviceIndex)current_device());
  if (r.waits) crossed(counters.waits, schema.name().c_str(), 0);
  for (size_t i = 0; i < n; i++) {
    IValue &v = (*stack)[first + i];
    v = call.cross_all(given[i], r.written[i]);
    if (v.isDevice() && v.toDevice().type() == c10::kPrivateUse1) v = c10::Device(c10::kCPU);
  }
  for (int i : r.generators) (*stack)[first + i] = inner_generator(call.device.index());
  op.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), stack);
  call.grow();
  const size_t results = schema.returns().size(), at = stack->size() - results;
  for (size_t i = 0; i < results; i++) {
    IValue &v = (*stack)[at + i];
    v = r.result_of[i] >= 0 ? given[r.result_of[i]] : call.back_all(v);
  }
  record(op, std::move(given), std::vector<IValue>(stack->begin() + at, stack->end()));
}

// overwrite puts what an operator gives anew in the place of what it gave when it was recorded.
void overwrite(const IValue &to, const IValue &from) {
  if (from.isTensor()) {
    const Tensor &a = to.toTensor(), &b = from.toTensor();
    if (ours(a) && a.storage().data() != b.storage().data()) view(a).copy_(view(b));
  }
  if (from.isTensorList()) {
    const auto a = to.toTensorVector(), b = from.toTensorVector();
    for (size_t i = 0; i < a.size(); i++) overwrite(a[i], b[i]);
  }
}

void *begin_graph() {
  TORCH_CHECK(!recording, "stand-in: a graph is being recorded");
  open_graph = new Graph;
  recording = true;
  return open_graph;
}
void end_graph(void *) { recording = false; }
void free_graph(void *graph) { delete static_cast<Graph *>(graph); }

void replay_graph(void *graph) {
  for (const Recorded &r : *static_cast<Graph *>(graph)) {
    if (!r.op) {
      view(r.given[0].toTensor()).copy_(view(r.given[1].toTensor()));
      continue;
    }
    Stack stack(r.given.begin(), r.given.end());
    compute(*r.op, &stack);
    for (size_t i = 0; i < r.results.size(); i++) overwrite(r.results[i], stack[stack.size() - r.results.size() + i]);
  }
}

// ---- what cannot go that way

c10::Device resolve(std::optional<c10::Device> d) {
  const int i = d && d->index() >= 0 ? d->index() : current_device();
  TORCH_CHECK(i < device_count, "CUDA error: invalid device ordinal");
  return c10::Device(c10::kPrivateUse1, (c10::DeviceIndex)i);
}

// On makes a device current for as long as it lives.
struct On {
  explicit On(c10::Device d) : before(current_device()) { set_current_device(d.index()); }
  ~On() { set_current_device(before); }
  int before;
};

Tensor empty(at::IntArrayRef size, std::optional<at::ScalarType> dtype, std::optional<at::Layout>,
             std::optional<at::Device> device, std::optional<bool>, std::optional<at::MemoryFormat> format) {
  On on(resolve(device));
  return at::detail::empty_generic(size, allocator(), c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                   dtype.value_or(at::kFloat), format);
}

Tensor empty_strided(at::IntArrayRef size, at::IntArrayRef stride, std::optional<at::ScalarType> dtype,
                     std::optional<at::Layout>, std::optional<at::Device> device, std::optional<bool>) {
  On on(resolve(device));
  return at::detail::empty_strided_generic(size, stride, allocator(),
                                           c10::DispatchKeySet(c10::DispatchKey::PrivateUse1), dtype.value_or(at::kFloat));
}

const Tensor &resize_(const Tensor &t, at::IntArrayRef size, std::optional<at::MemoryFormat> format) {
  On on(t.device());
  auto *impl = t.unsafeGetTensorImpl();
  impl->set_sizes_contiguous(size);
  if (format && *format != at::MemoryFormat::Preserve) impl->empty_tensor_restride(*format);
  const size_t need = (size_t)(t.numel() + t.storage_offset()) * t.itemsize();
  c10::Storage s = t.storage();
  if (need <= s.nbytes()) return t;
  c10::DataPtr p = allocator()->allocate(need);
  if (s.nbytes()) memcpy(host(p.get()), host(s.data()), s.nbytes());
  s.set_data_ptr_noswap(std::move(p));
  s.set_nbytes(need);
  return t;
}

Tensor &copy_(Tensor &to, const Tensor &from, bool) {
  const int64_t bytes = (int64_t)from.nbytes();
  if (!ours(from)) {
    crossed(counters.uploads, "upload", bytes);
    counters.upload_bytes += bytes;
  } else if (!ours(to)) {
    crossed(counters.downloads, "download", bytes);
    counters.download_bytes += bytes;
  } else if (to.device() != from.device()) {
    crossed(counters.peers, "copy between devices", bytes);
  }
  Tensor a = ours(to) ? view(to) : to;
  a.copy_(ours(from) ? view(from) : from);
  record(std::nullopt, {to, from}, {});
  return to;
}

at::Scalar item(const Tensor &t) {
  crossed(counters.items, "item", (int64_t)t.nbytes());
  return view(t).item();
}

int64_t attention_choice(const Tensor &, const Tensor &, const Tensor &, const std::optional<Tensor> &, double, bool,
                         std::optional<double>, bool) {
  return 0;  // plain products
}

}  // namespace

const void *graphs() {
  static const struct {
    void *(*begin)();
    void (*end)(void *);
    void (*replay)(void *);
    void (*free)(void *);
  } calls = {begin_graph, end_graph, replay_graph, free_graph};
  return &calls;
}

}  // namespace standin

TORCH_LIBRARY_IMPL(_, PrivateUse1, m) { m.fallback(torch::CppFunction::makeFromBoxedFunction<&standin::compute>()); }

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  m.impl("empty.memory_format", standin::empty);
  m.impl("empty_strided", standin::empty_strided);
  m.impl("resize_", standin::resize_);
  m.impl("copy_", standin::copy_);
  m.impl("_local_scalar_dense", standin::item);
  m.impl("_fused_sdp_choice", standin::attention_choice);
  // libtorch's general form of these is for devices that have none of their own, as CUDA does.
  for (const char *name : {"convolution", "convolution_backward", "native_layer_norm", "native_batch_norm"})
    m.impl(name, torch::CppFunction::makeFromBoxedFunction<&standin::compute>());
}
