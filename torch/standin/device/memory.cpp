//go:build standin

// See memory.hpp.
#include "memory.hpp"

#include "standin.h"

#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/impl/alloc_cpu.h>
#include <c10/util/Exception.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <map>
#include <mutex>
#include <set>

namespace standin {

std::atomic<int> device_count{0};
Counters counters;
std::atomic<bool> recording{false};

static std::atomic<bool> tracing{false};

void crossed(std::atomic<int64_t> &counter, const char *what, int64_t bytes) {
  TORCH_CHECK(!recording, "CUDA error: operation not permitted when stream is capturing (stand-in, ", what, ")");
  counter++;
  if (tracing) fprintf(stderr, "stand-in: %s, %lld bytes\n", what, (long long)bytes);
}

namespace {

constexpr size_t range = size_t(1) << 36, grain = 512;  // CUDA's allocator aligns to 512 bytes too

thread_local int current = 0;

// Arena is the memory of one device.
class Arena {
 public:
  void *take(size_t bytes, int device) {
    const size_t n = (bytes + grain - 1) / grain * grain;
    std::lock_guard<std::mutex> lock(mutex);
    map();
    if (limit && used + n > limit) {
      char text[256];
      snprintf(text, sizeof text,
               "CUDA out of memory. Tried to allocate %.2f MiB. GPU %d has a total capacity of %.2f MiB of which %.2f "
               "MiB is free.",
               n / 1048576.0, device, limit / 1048576.0, (limit - used) / 1048576.0);
      TORCH_CHECK_WITH(OutOfMemoryError, false, text);
    }
    auto f = by_size.lower_bound({n, 0});
    TORCH_CHECK_WITH(OutOfMemoryError, f != by_size.end(), "CUDA out of memory: the stand-in's addresses are used up");
    const size_t at = f->second, have = f->first;
    drop(at);
    if (have > n) add(at + n, have - n);
    taken[at] = n;
    used += n;
    if (used > peak) peak = used;
    memset(open + at, 0xff, n);  // NaNs
    return closed + at;
  }

  void give(void *p) {
    std::lock_guard<std::mutex> lock(mutex);
    size_t at = (char *)p - closed;
    auto t = taken.find(at);
    if (t == taken.end()) return;
    size_t n = t->second;
    taken.erase(t);
    used -= n;
    auto next = by_place.find(at + n);
    if (next != by_place.end()) {
      const size_t start = next->first, size = next->second;
      drop(start);
      n += size;
    }
    auto before = by_place.lower_bound(at);
    if (before != by_place.begin() && (--before)->first + before->second == at) {
      const size_t start = before->first, size = before->second;
      drop(start);
      at = start, n += size;
    }
    add(at, n);
  }

  bool has(const void *p) const { return closed && p >= closed && p < closed + range; }
  void *host(const void *p) const { return open + ((const char *)p - closed); }

  std::mutex mutex;
  size_t limit = 0, used = 0, peak = 0;

 private:
  void add(size_t at, size_t n) { by_place[at] = n, by_size.insert({n, at}); }
  void drop(size_t at) {
    auto i = by_place.find(at);
    by_size.erase({i->second, at});
    by_place.erase(i);
  }
  void map() {
    if (closed) return;
    const int fd = memfd_create("standin", MFD_CLOEXEC);
    TORCH_CHECK(fd >= 0 && ftruncate(fd, range) == 0, "stand-in: no memory file");
    void *a = mmap(nullptr, range, PROT_NONE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    void *b = mmap(nullptr, range, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    close(fd);
    TORCH_CHECK(a != MAP_FAILED && b != MAP_FAILED, "stand-in: no address space");
    open = (char *)b;
    add(0, range);
    closed = (char *)a;
  }

  char *closed = nullptr, *open = nullptr;
  std::map<size_t, size_t> by_place, taken;
  std::set<std::pair<size_t, size_t>> by_size;
};

Arena *arenas() {
  static Arena *all = new Arena[max_devices];  // never destroyed: static tensors are freed late
  return all;
}

void give(void *p) {
  const int d = device_of(p);
  if (d >= 0) arenas()[d].give(p);
}

struct Allocator final : c10::DeviceAllocator {
  bool initialized() override { return true; }
  void emptyCache(c10::MempoolId_t) override {}
  void recordStream(const c10::DataPtr &, c10::Stream) override {}
  c10::CachingDeviceAllocator::DeviceStats getDeviceStats(c10::DeviceIndex d) override {
    c10::CachingDeviceAllocator::DeviceStats s;
    s.allocated_bytes[0].current = s.reserved_bytes[0].current = (int64_t)arenas()[d].used;
    s.allocated_bytes[0].peak = s.reserved_bytes[0].peak = (int64_t)arenas()[d].peak;
    return s;
  }
  void resetAccumulatedStats(c10::DeviceIndex) override {}
  void resetPeakStats(c10::DeviceIndex d) override { arenas()[d].peak = arenas()[d].used; }
  std::pair<size_t, size_t> getMemoryInfo(c10::DeviceIndex d) override {
    const Arena &a = arenas()[d];
    const size_t total = a.limit ? a.limit : range;
    return {total - std::min(total, a.used), total};
  }

  c10::DataPtr allocate(size_t n) override {
    const c10::Device d(c10::kPrivateUse1, (c10::DeviceIndex)current);
    if (!n) return {nullptr, d};
    void *p = arenas()[current].take(n, current);
    return {p, p, &give, d};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &give; }
  void copy_data(void *to, const void *from, size_t n) const override { memcpy(host(to), host(from), n); }
};

std::mutex pinned_mutex;
std::map<const char *, size_t> &pinned() {
  static auto *m = new std::map<const char *, size_t>;
  return *m;
}

void give_pinned(void *p) {
  {
    std::lock_guard<std::mutex> lock(pinned_mutex);
    pinned().erase((const char *)p);
  }
  c10::free_cpu(p);
}

struct PinnedAllocator final : c10::Allocator {
  c10::DataPtr allocate(size_t n) override {
    void *p = c10::alloc_cpu(n ? n : 1);
    std::lock_guard<std::mutex> lock(pinned_mutex);
    pinned()[(const char *)p] = n;
    return {p, p, &give_pinned, c10::Device(c10::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &give_pinned; }
  void copy_data(void *to, const void *from, size_t n) const override { memcpy(to, from, n); }
};

}  // namespace

void *host(const void *p) {
  if (!p) return nullptr;
  const int d = device_of(p);
  TORCH_CHECK(d >= 0, "stand-in: a tensor of the device whose memory is not the device's");
  return arenas()[d].host(p);
}

int device_of(const void *p) {
  for (int d = 0; d < max_devices; d++)
    if (arenas()[d].has(p)) return d;
  return -1;
}

c10::Allocator *allocator() {
  static Allocator a;
  return &a;
}
c10::Allocator *pinned_allocator() {
  static PinnedAllocator a;
  return &a;
}
bool is_pinned(const void *p) {
  std::lock_guard<std::mutex> lock(pinned_mutex);
  auto i = pinned().upper_bound((const char *)p);
  return i != pinned().begin() && (--i)->first + i->second > (const char *)p;
}

void set_limit(int device, size_t bytes) { arenas()[device].limit = bytes; }
size_t used(int device) { return arenas()[device].used; }
size_t peak(int device) { return arenas()[device].peak; }

int current_device() { return current; }
void set_current_device(int device) { current = device; }

}  // namespace standin

using namespace standin;

si_crossings si_crossed(void) {
  auto &c = counters;
  return {c.uploads, c.downloads, c.items, c.waits, c.peers, c.upload_bytes, c.download_bytes, c.ops};
}
void si_limit(int device, size_t bytes) { set_limit(device, bytes); }
size_t si_used(int device) { return used(device); }
size_t si_peak(int device) { return peak(device); }
void si_trace(int on) { tracing = on; }
