// NCCL by its C interface, which has been the same since version 2: the library is looked up when it is wanted, so the binary needs no CUDA.
#include <c10/core/DeviceGuard.h>
#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <dlfcn.h>

#include <thread>

#include "dist.h"
#include "parts.h"

struct NcclId {
  char bytes[128];
};

// Nccl is one communicator. Result 0 is success; types and ops are numbers that nccl.h fixes.
struct Nccl {
  void *comm = nullptr;
  int device = 0;
  const char *(*error)(int) = nullptr;
  int (*unique_id)(NcclId *) = nullptr;
  int (*init)(void **, int, NcclId, int) = nullptr;
  int (*all_reduce)(const void *, void *, size_t, int, int, void *, void *) = nullptr;
  int (*broadcast)(const void *, void *, size_t, int, int, void *, void *) = nullptr;
  int (*async_error)(void *, int *) = nullptr;
  int (*abort)(void *) = nullptr;
  int (*destroy)(void *) = nullptr;

  void check(int r, const char *what) { TORCH_CHECK(r == 0, "NCCL: ", what, ": ", error(r)); }
  ~Nccl() {
    if (comm) destroy(comm);
  }
};

template <typename F>
static void find(void *lib, F &f, const char *name) {
  f = reinterpret_cast<F>(dlsym(lib, name));
  TORCH_CHECK(f, "NCCL: libnccl.so.2 has no ", name);
}

static std::shared_ptr<Nccl> load() {
  void *lib = dlopen("libnccl.so.2", RTLD_NOW | RTLD_LOCAL);
  TORCH_CHECK(lib, "NCCL: ", dlerror());
  auto n = std::make_shared<Nccl>();
  find(lib, n->error, "ncclGetErrorString");
  find(lib, n->unique_id, "ncclGetUniqueId");
  find(lib, n->init, "ncclCommInitRank");
  find(lib, n->all_reduce, "ncclAllReduce");
  find(lib, n->broadcast, "ncclBroadcast");
  find(lib, n->async_error, "ncclCommGetAsyncError");
  find(lib, n->abort, "ncclCommAbort");
  find(lib, n->destroy, "ncclCommDestroy");
  return n;
}

static c10::impl::VirtualGuardImpl cuda() { return c10::impl::VirtualGuardImpl(at::kCUDA); }

// Every rank must call this, each with a GPU of its own.
char *cd_nccl(void *gp, int device) {
  TRY(auto &g = *static_cast<Group *>(gp); auto n = load(); NcclId id;
      if (group_rank(g) == 0) {
        n->check(n->unique_id(&id), "make an id");
        auto p = reinterpret_cast<uint8_t *>(id.bytes);
        group_set(g, "nccl", std::vector<uint8_t>(p, p + sizeof id));
      }
      auto v = group_get(g, "nccl"); TORCH_CHECK(v.size() == sizeof id, "NCCL: found an id of ", v.size(), " bytes, want ", sizeof id);
      memcpy(id.bytes, v.data(), sizeof id); c10::DeviceGuard on(at::Device(at::kCUDA, device)); n->device = device;
      n->check(n->init(&n->comm, group_size(g), id, group_rank(g)), "join"); group_nccl(g) = n)
}

static int type(const Tensor &t) {
  switch (t.scalar_type()) {
    case at::kChar: return 0;
    case at::kByte: return 1;
    case at::kInt: return 2;
    case at::kLong: return 4;
    case at::kHalf: return 6;
    case at::kFloat: return 7;
    case at::kDouble: return 8;
    case at::kBFloat16: return 9;
    default: TORCH_CHECK(false, "NCCL: tensors of ", t.scalar_type(), " do not travel"); return -1;
  }
}

static void *stream(const Tensor &t) { return cuda().getStream(t.device()).native_handle(); }

void nccl_sum(Group &g, const Tensor &t) {
  TORCH_CHECK(t.is_contiguous(), "NCCL: the tensor has gaps");
  c10::DeviceGuard on(t.device());
  auto &n = *group_nccl(g);
  n.check(n.all_reduce(t.data_ptr(), t.data_ptr(), t.numel(), type(t), 0, n.comm, stream(t)), "all-reduce");
}

void nccl_broadcast(Group &g, const Tensor &t, int root) {
  TORCH_CHECK(t.is_contiguous(), "NCCL: the tensor has gaps");
  c10::DeviceGuard on(t.device());
  auto &n = *group_nccl(g);
  n.check(n.broadcast(t.data_ptr(), t.data_ptr(), t.numel(), type(t), root, n.comm, stream(t)), "broadcast");
}

// The host waits, so that a peer that died is found here and not by a kernel that never ends.
void nccl_wait(Group &g, const Tensor &t) {
  auto &n = *group_nccl(g);
  c10::DeviceGuard on(t.device());
  c10::Event done(at::kCUDA);
  done.record(cuda().getStream(t.device()));
  auto until = std::chrono::steady_clock::now() + group_timeout(g);
  while (!done.query()) {
    int r = 0;
    n.check(n.async_error(n.comm, &r), "ask for errors");
    bool late = std::chrono::steady_clock::now() > until;
    if (r != 0 || late) {
      n.abort(n.comm);
      n.comm = nullptr;
      TORCH_CHECK(!late, "NCCL: timed out after ", group_timeout(g).count(), " ms");
      n.check(r, "a peer failed");
    }
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
}
