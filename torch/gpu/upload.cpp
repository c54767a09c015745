// What goes to a GPU from Go's memory, and why there is no GPU.
#include "gpu.h"
#include "../kernels/door.h"

#include <ATen/detail/CUDAHooksInterface.h>
#include <ATen/ops/from_blob.h>
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>

// The host does not wait for pages that stay where they are, which libtorch keeps; large tensors go without.
constexpr size_t pinned_most = 64 << 20;

static Tensor upload(void *data, size_t bytes, at::IntArrayRef shape, at::ScalarType dtype, at::Device to) {
  const Tensor t = at::from_blob(data, shape, at::TensorOptions().dtype(dtype));
  TORCH_CHECK(t.nbytes() == bytes, "shape wants ", t.nbytes(), " bytes, found ", bytes);
  if (to.is_cpu()) return t.clone();
  return bytes && bytes <= pinned_most ? t.pin_memory().to(to, dtype, true) : t.to(to);
}

char *ct_upload(ct_tensor *out, void *data, size_t bytes, const int64_t *shape, int dims, int dtype, int device) {
  return returning(
      out, [&] { return upload(data, bytes, ints(shape, dims), (at::ScalarType)dtype, device_of(device)); });
}

namespace {
struct Silent final : c10::WarningHandler {
  void process(const c10::Warning &) override {}
};
}  // namespace

int ct_count_gpus(void) {
  Silent silent;
  c10::WarningUtils::WarningHandlerGuard guard(&silent);
  return ct_cuda_devices();
}

template <class F>
static F symbol(void *library, const char *name) {
  void *f = dlsym(library, name);
  TORCH_CHECK(f, "NVIDIA's driver has no ", name);
  return reinterpret_cast<F>(f);
}

static std::string no_gpu() {
  void *driver = dlopen("libcuda.so.1", RTLD_NOW);
  if (!driver) return "NVIDIA's driver is not there (libcuda.so.1)";
  char text[200];
  int version = 0;
  const int runtime = (int)at::detail::getCUDAHooks().versionCUDART();
  symbol<int (*)(int *)>(driver, "cuDriverGetVersion")(&version);
  if (version / 1000 < runtime / 1000) {
    snprintf(text, sizeof text, "the driver is for CUDA %d.%d, libtorch for CUDA %d.%d", version / 1000,
             version % 1000 / 10, runtime / 1000, runtime % 1000 / 10);
    return text;
  }
  const int result = symbol<int (*)(unsigned)>(driver, "cuInit")(0);
  const char *visible = getenv("CUDA_VISIBLE_DEVICES");
  if (visible && (result == 0 || result == 100)) {  // CUDA_ERROR_NO_DEVICE
    snprintf(text, sizeof text, "CUDA_VISIBLE_DEVICES is \"%.80s\", which leaves no GPU", visible);
    return text;
  }
  if (result == 100) return "the driver finds no GPU";
  if (result == 803) return "the driver's library and its kernel module are of different versions (CUDA error 803)";
  snprintf(text, sizeof text, "the driver answers with CUDA error %d", result);
  return text;
}

char *ct_no_gpu(void) {
  std::string why;
  char *failed = guarded([&] { why = no_gpu(); });
  return failed ? failed : strdup(why.c_str());
}
