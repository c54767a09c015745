// GPUs: opening them, what goes there and what comes back, their memory. Nothing here needs CUDA's headers: libtorch's
// general interfaces lead to its CUDA library where that was opened.
#include "bridge.h"
#include "door.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <dlfcn.h>

#include <algorithm>
#include <cmath>
#include <cstring>

// What Go calls a GPU is of this type: CUDA, unless a test's stand-in has taken its place.
static at::DeviceType gpu_type = at::kCUDA;
static int gpus = 0;

at::Device device_of(int index) {
  return index < 0 ? at::Device(at::kCPU) : at::Device(gpu_type, (at::DeviceIndex)index);
}
int gpu_count() { return gpus; }

// ---- opening

// In float32 a product on a GPU is one in float32: libtorch would let cuDNN round the inputs of convolutions to TF32.
static int count_gpus() {
  const auto &hooks = at::detail::getCUDAHooks();
  gpus = hooks.hasCUDA() ? hooks.getNumGPUs() : 0;
  at::globalContext().setAllowTF32CuDNN(false);
  return gpus;
}

char *ct_open_cuda(void) {
  if (dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL)) return nullptr;
  return strdup(dlerror());
}
int ct_cuda_devices(void) {
  try {
    return count_gpus();
  } catch (...) {
    return 0;
  }
}
void ct_use_gpus(int type, int n) {
  gpu_type = (at::DeviceType)type;
  gpus = n;
}
char *ct_allow_tf32(int on) {
  return guarded([&] {
    at::globalContext().setAllowTF32CuBLAS(on != 0);
    at::globalContext().setAllowTF32CuDNN(on != 0);
  });
}
char *ct_synchronize(int device) {
  return guarded([&] {
    const at::Device d = device_of(device);
    c10::impl::VirtualGuardImpl(d.type()).synchronizeDevice(d.index());
  });
}

// ---- memory

static void gpu_memory(int device, ct_gpu_use *m) {
  auto *allocator = c10::getDeviceAllocator(gpu_type);
  const auto info = allocator->getMemoryInfo((at::DeviceIndex)device);
  const auto stats = allocator->getDeviceStats((at::DeviceIndex)device);
  m->free = (int64_t)info.first, m->total = (int64_t)info.second;
  m->used = stats.allocated_bytes[0].current, m->peak = stats.allocated_bytes[0].peak;
  m->kept = stats.reserved_bytes[0].current - m->used;
}

char *ct_gpu_memory(int device, ct_gpu_use *m) {
  return guarded([&] { gpu_memory(device, m); });
}
char *ct_gpu_release(void) {
  return guarded([&] { c10::getDeviceAllocator(gpu_type)->emptyCache(); });
}

// ---- to a GPU

// What goes to a GPU goes through pages that stay where they are, so that the host does not wait for it. libtorch keeps
// such pages: large tensors, which are weights, go without.
constexpr size_t pinned_most = 32 << 20;

static Tensor move(const Tensor &t, at::Device to, at::ScalarType dtype, bool copy) {
  const size_t bytes = t.nbytes();
  const bool pin = t.device().is_cpu() && !to.is_cpu() && bytes && bytes <= pinned_most && !t.requires_grad();
  if (!pin || !t.is_non_overlapping_and_dense()) return t.to(to, dtype, false, copy);
  return t.pin_memory().to(to, t.scalar_type(), true).to(dtype);
}

int ct_device(ct_tensor t) {
  const at::Device d = tensor(t).device();
  return d.is_cpu() ? -1 : (int)d.index();
}
char *ct_move(ct_tensor *out, ct_tensor t, int device, int dtype, int copy) {
  return returning(out, [&] { return move(tensor(t), device_of(device), (at::ScalarType)dtype, copy != 0); });
}

char *ct_randn(ct_tensor *out, const int64_t *shape, int dims, int dtype, int device) {
  return returning(out, [&] {
    return at::randn(ints(shape, dims), at::TensorOptions().dtype((at::ScalarType)dtype).device(device_of(device)));
  });
}

// ---- what they are

// symbol finds a function of NVIDIA's libraries, whose headers are not at hand.
template <class F>
static F symbol(void *library, const char *name) {
  void *f = dlsym(library, name);
  TORCH_CHECK(f, "no ", name, " in NVIDIA's library");
  return reinterpret_cast<F>(f);
}

// The driver's own interface: CUdevice is an int, a result of 0 is success.
static void gpu_info(int device, ct_gpu_properties *p) {
  void *driver = dlopen("libcuda.so.1", RTLD_NOW);
  TORCH_CHECK(driver, dlerror());
  int d = 0;
  const auto check = [](int result, const char *what) { TORCH_CHECK(result == 0, what, " failed with ", result); };
  check(symbol<int (*)(unsigned)>(driver, "cuInit")(0), "cuInit");
  check(symbol<int (*)(int *)>(driver, "cuDriverGetVersion")(&p->driver), "cuDriverGetVersion");
  check(symbol<int (*)(int *, int)>(driver, "cuDeviceGet")(&d, device), "cuDeviceGet");
  check(symbol<int (*)(char *, int, int)>(driver, "cuDeviceGetName")(p->name, sizeof p->name, d), "cuDeviceGetName");
  const auto attribute = symbol<int (*)(int *, int, int)>(driver, "cuDeviceGetAttribute");
  check(attribute(&p->major, 75, d), "cuDeviceGetAttribute");  // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR
  check(attribute(&p->minor, 76, d), "cuDeviceGetAttribute");  // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR
  p->peers = 0;
  for (int i = 0; i < gpus && i < 32; i++) {
    int other = 0, can = 0;
    check(symbol<int (*)(int *, int)>(driver, "cuDeviceGet")(&other, i), "cuDeviceGet");
    if (i != device) check(symbol<int (*)(int *, int, int)>(driver, "cuDeviceCanAccessPeer")(&can, d, other), "peer");
    if (can) p->peers |= 1u << i;
  }
  const auto &hooks = at::detail::getCUDAHooks();
  p->runtime = (int)hooks.versionCUDART();
  p->cudnn = (int)hooks.versionCuDNN();
  p->nccl = 0;
  if (void *nccl = dlopen("libnccl.so.2", RTLD_NOW)) symbol<int (*)(int *)>(nccl, "ncclGetVersion")(&p->nccl);
}

char *ct_gpu_info(int device, ct_gpu_properties *p) {
  return guarded([&] { gpu_info(device, p); });
}

// ---- computed there

// topk_gpu ranks on the GPU: of the logits nothing reaches the host but the k best of each row, in one copy.
static void topk_gpu(const Tensor &logits, double inverse_temperature, int k, const int32_t *ban,
                     const int64_t *ban_end, int32_t *ids, float *logprobs) {
  at::NoGradGuard no_grad;
  TORCH_CHECK(logits.dim() == 2, "logits have ", logits.dim(), " dimensions, want 2");
  const int64_t R = logits.size(0), V = logits.size(1);
  TORCH_CHECK(k > 0 && k <= V, "k is ", k, ", want 1 to ", V);
  Tensor x = logits.detach().to(at::kFloat);  // [R, V]
  if (inverse_temperature != 1) x = x.mul(inverse_temperature);
  const Tensor norm = x.logsumexp(1, true);  // [R, 1]
  const int64_t banned = ban_end ? ban_end[R - 1] : 0;
  if (banned) {
    Tensor at = at::empty({banned}, at::kLong);  // places in x, row by row
    int64_t *p = at.data_ptr<int64_t>();
    for (int64_t r = 0, i = 0; r < R; r++)
      for (; i < ban_end[r]; i++) p[i] = r * V + ban[i];
    x = x.reshape(-1).index_fill(0, move(at, x.device(), at::kLong, false), -INFINITY).view({R, V});
  }
  const auto [values, columns] = x.topk(k, 1);
  const Tensor both = at::cat({values.sub(norm), columns.to(at::kInt).view(at::kFloat)}, 1).cpu();  // [R, 2k]
  const float *p = both.const_data_ptr<float>();
  for (int64_t r = 0; r < R; r++, p += 2 * k) {
    std::vector<std::pair<float, int32_t>> best(k);
    for (int j = 0; j < k; j++) {
      best[j].first = p[j];
      memcpy(&best[j].second, p + k + j, sizeof(int32_t));
      if (std::isinf(p[j])) best[j].second = -1;
    }
    std::sort(best.begin(), best.end(), [](const auto &a, const auto &b) {  // equal values: the lower column
      return a.first > b.first || (a.first == b.first && a.second < b.second);
    });
    for (int j = 0; j < k; j++) ids[r * k + j] = best[j].second, logprobs[r * k + j] = best[j].first;
  }
}

char *ct_topk_gpu(ct_tensor logits, double inverse_temperature, int k, const int32_t *ban, const int64_t *ban_end,
                  int32_t *ids, float *logprobs) {
  return guarded([&] { topk_gpu(tensor(logits), inverse_temperature, k, ban, ban_end, ids, logprobs); });
}
char *ct_dropout_gpu(ct_tensor *out, ct_tensor x, double p) {
  return returning(out, [&] { return at::dropout(tensor(x), p, true); });
}
