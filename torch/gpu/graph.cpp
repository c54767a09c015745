// Work of a GPU that is recorded once and done again by one call: a CUDA graph. The header of libtorch's class needs
// CUDA's own, so its methods are found by their names in the library that was opened, and an object lies in memory
// that is larger than it needs.
#include "gpu.h"
#include "../kernels/door.h"

#include <c10/core/Stream.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <dlfcn.h>

#include <map>
#include <memory>

namespace {

// Methods are those of at::cuda::CUDAGraph. Its two numbers name a pool of memory; both 0 make a new one.
struct Methods {
  using Pool = std::pair<unsigned long long, unsigned long long>;
  void (*make)(void *self, bool keep);
  void (*unmake)(void *self);
  void (*begin)(void *self, Pool pool, int mode);
  void (*end)(void *self);
  void (*replay)(void *self);
};

template <class F>
void find(F &f, const char *name) {
  void *p = dlsym(RTLD_DEFAULT, name);
  TORCH_CHECK(p, "libtorch's CUDA library has no ", name);
  f = reinterpret_cast<F>(p);
}

const Methods &methods() {
  static const Methods all = [] {
    Methods m;
    find(m.make, "_ZN2at4cuda9CUDAGraphC1Eb");
    find(m.unmake, "_ZN2at4cuda9CUDAGraphD1Ev");
    find(m.begin, "_ZN2at4cuda9CUDAGraph13capture_beginESt4pairIyyE21cudaStreamCaptureMode");
    find(m.end, "_ZN2at4cuda9CUDAGraph11capture_endEv");
    find(m.replay, "_ZN2at4cuda9CUDAGraph6replayEv");
    return m;
  }();
  return all;
}

constexpr int this_thread = 1;  // cudaStreamCaptureModeThreadLocal: other threads may use the GPU meanwhile

// Graph is an at::cuda::CUDAGraph.
struct Graph {
  Graph() { methods().make(object, false); }
  ~Graph() { methods().unmake(object); }
  alignas(16) char object[1024] = {};
};

ct_graph_calls stand_in = {};

// Aside is a device's stream on which graphs are recorded: the default stream cannot be. What was current before stands
// in it while work goes there.
struct Aside {
  c10::Stream stream;
  c10::Stream before;
  c10::Device device;
};
std::unique_ptr<Aside> aside;

c10::impl::VirtualGuardImpl guard_of(at::Device d) { return c10::impl::VirtualGuardImpl(d.type()); }

c10::Stream stream_of(at::Device d) {
  static std::map<int, c10::Stream> streams;
  auto found = streams.find(d.index());
  if (found == streams.end()) found = streams.emplace(d.index(), guard_of(d).getStreamFromGlobalPool(d)).first;
  return found->second;
}

void enter(at::Device d) {
  TORCH_CHECK(!aside, "a graph is being recorded");
  if (!stand_in.begin) methods();
  const auto guard = guard_of(d);
  const c10::Stream stream = stream_of(d);
  guard.synchronizeDevice(d.index());
  const c10::Device before = guard.exchangeDevice(d);
  aside.reset(new Aside{stream, guard.exchangeStream(stream), before});
}

void leave(at::Device d) {
  if (!aside) return;
  const std::unique_ptr<Aside> was = std::move(aside);
  const auto guard = guard_of(d);
  guard.exchangeStream(was->before);
  guard.exchangeDevice(was->device);
  guard.synchronizeDevice(d.index());
}

void *begin(at::Device d) {
  guard_of(d).synchronizeDevice(d.index());
  if (stand_in.begin) return stand_in.begin();
  auto graph = std::make_unique<Graph>();
  methods().begin(graph->object, {0, 0}, this_thread);
  return graph.release();
}

}  // namespace

void ct_use_graphs(const ct_graph_calls *calls) { stand_in = *calls; }

char *ct_graph_ready(void) {
  return guarded([] { methods(); });
}
char *ct_graph_enter(int device) {
  return guarded([&] { enter(device_of(device)); });
}
char *ct_graph_leave(int device) {
  return guarded([&] { leave(device_of(device)); });
}
char *ct_graph_begin(void **graph, int device) {
  return guarded([&] { *graph = begin(device_of(device)); });
}
char *ct_graph_end(void *graph) {
  return guarded([&] { stand_in.end ? stand_in.end(graph) : methods().end(static_cast<Graph *>(graph)->object); });
}
char *ct_graph_replay(void *graph) {
  return guarded([&] {
    stand_in.replay ? stand_in.replay(graph) : methods().replay(static_cast<Graph *>(graph)->object);
  });
}
char *ct_graph_free(void *graph) {
  return guarded([&] {
    if (stand_in.free) stand_in.free(graph);
    else delete static_cast<Graph *>(graph);
  });
}
