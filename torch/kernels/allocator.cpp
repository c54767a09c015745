// The memory of large tensors on the CPU. libtorch's own allocator maps large tensors anew each time, and the kernel
// then clears their pages one by one, in every step of a training again. This one keeps what is freed for the next
// tensors: in the steady state it maps nothing and the kernel clears nothing.
//
// Address space comes in segments, which are cut into chunks of whole pages and never given back. A free chunk is
// either warm (it has pages) or cold (the kernel gives it pages when it is touched). A tensor takes the smallest warm
// chunk that has room, or else the smallest cold one; a freed chunk is warm, and joins its free neighbors of the same
// kind.
//
// What is kept is bounded: tensors and warm chunks together have at most an eighth more than the tensors alone had at
// their most, lately, and 64 MiB. What is above that turns cold. release turns all cold.
#include "bridge.h"
#include "cpu.h"

#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/alloc_cpu.h>
#include <c10/util/Exception.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <utility>

namespace {

#ifdef CAPTIONER_X86
constexpr size_t page = 4096;
#else
constexpr size_t page = 64 << 10;  // the largest that kernels for other processors have
#endif
constexpr size_t huge_page = 2 << 20;
constexpr size_t large = 64 << 10;        // smaller tensors are malloc's, which keeps them well
constexpr size_t min_segment = 64 << 20;  // segments grow with what there is
constexpr size_t slack = 64 << 20;        // kept in any case
constexpr int64_t window = 1 << 14;       // "lately": between one and two times so many large tensors ago

size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

enum State { Used, Warm, Cold };

class Memory final : public c10::Allocator {
 public:
  static Memory &instance() {
    static Memory *m = new Memory;  // never destroyed: static tensors are freed after everything else
    return *m;
  }

  c10::DataPtr allocate(size_t bytes) override {
    void *p = bytes < large ? c10::alloc_cpu(bytes) : take(round_up(bytes, page));
    return {p, p, &free_any, c10::Device(c10::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &free_any; }
  void copy_data(void *to, const void *from, size_t bytes) const override { default_copy_data(to, from, bytes); }

  void release() {
    std::lock_guard<std::mutex> lock(mutex);
    peak = earlier_peak = used;
    while (kept) cool(kept);
  }

  ct_memory now() {
    std::lock_guard<std::mutex> lock(mutex);
    return {(int64_t)used, (int64_t)std::max(peak, earlier_peak), (int64_t)kept, (int64_t)mapped};
  }

 private:
  struct Chunk {
    size_t size;
    State state;
  };
  using Chunks = std::map<char *, Chunk>;

  static void free_any(void *p) {
    if (p && !instance().give(static_cast<char *>(p))) c10::free_cpu(p);
  }

  void *take(size_t n) {
    std::lock_guard<std::mutex> lock(mutex);
    TORCH_CHECK(n >= page, "cannot allocate so much memory");  // rounding went around
    Chunks::iterator c = smallest(Warm, n);
    if (c == chunks.end()) c = smallest(Cold, n);
    if (c == chunks.end()) c = map_segment(n);
    c = set_state(split(c, n), Used);
    used += n;
    if (++taken % window == 0) earlier_peak = peak, peak = used;
    peak = std::max(peak, used);
    keep_bound();
    return c->first;
  }

  // give frees a chunk; it says whether p is one.
  bool give(char *p) {
    if (p < lowest || p >= highest) return false;
    std::lock_guard<std::mutex> lock(mutex);
    const Chunks::iterator c = chunks.find(p);
    if (c == chunks.end()) return false;
    used -= c->second.size;
    join(set_state(c, Warm));
    keep_bound();
    return true;
  }

  void keep_bound() {
    const size_t most = std::max(peak, earlier_peak), bound = most + most / 8 + slack;
    if (used + kept > bound) cool(used + kept - bound);
  }

  // cool takes at least n bytes of pages away, or all of the largest warm chunk.
  void cool(size_t n) {
    if (warm.empty()) return;
    Chunks::iterator c = chunks.find(warm.rbegin()->second);
    n = round_up(n, huge_page);
    if (n < c->second.size) c = std::next(split(c, c->second.size - n));
    madvise(c->first, c->second.size, MADV_DONTNEED);
    join(set_state(c, Cold));
  }

  // ---- chunks

  using Index = std::set<std::pair<size_t, char *>>;  // free chunks of one kind by size, then by address

  Index &index(State s) { return s == Warm ? warm : cold; }

  Chunks::iterator smallest(State s, size_t n) {
    const auto found = index(s).lower_bound({n, nullptr});
    return found == index(s).end() ? chunks.end() : chunks.find(found->second);
  }

  void enter(Chunks::iterator c) {
    if (c->second.state == Used) return;
    index(c->second.state).insert({c->second.size, c->first});
    if (c->second.state == Warm) kept += c->second.size;
  }

  void leave(Chunks::iterator c) {
    if (c->second.state == Used) return;
    index(c->second.state).erase({c->second.size, c->first});
    if (c->second.state == Warm) kept -= c->second.size;
  }

  Chunks::iterator set_state(Chunks::iterator c, State s) {
    leave(c);
    c->second.state = s;
    enter(c);
    return c;
  }

  // split cuts c after n bytes and returns the first part.
  Chunks::iterator split(Chunks::iterator c, size_t n) {
    if (c->second.size == n) return c;
    leave(c);
    const Chunks::iterator rest = chunks.emplace(c->first + n, Chunk{c->second.size - n, c->second.state}).first;
    c->second.size = n;
    enter(c);
    enter(rest);
    return c;
  }

  // join makes one chunk of c and its neighbors of the same kind.
  void join(Chunks::iterator c) {
    const Chunks::iterator next = std::next(c);
    if (next != chunks.end()) append(c, next);
    if (c != chunks.begin()) append(std::prev(c), c);
  }

  void append(Chunks::iterator c, Chunks::iterator next) {
    if (c->first + c->second.size != next->first || c->second.state != next->second.state) return;
    leave(c);
    leave(next);
    c->second.size += next->second.size;
    chunks.erase(next);
    enter(c);
  }

  // map_segment adds a cold chunk of n bytes or more.
  Chunks::iterator map_segment(size_t n) {
    size_t size = round_up(std::max({n, min_segment, mapped / 4}), huge_page);
    void *p = map(size);
    if (p == MAP_FAILED) p = map(size = n);  // where address space is scarce
    TORCH_CHECK(p != MAP_FAILED, "cannot allocate ", n, " bytes of memory");
#ifdef MADV_HUGEPAGE
    madvise(p, size, MADV_HUGEPAGE);  // fewer faults, and fewer misses on the way to memory
#endif
    mapped += size;
    char *from = static_cast<char *>(p);
    lowest = std::min(lowest.load(), from), highest = std::max(highest.load(), from + size);
    const Chunks::iterator c = chunks.emplace(from, Chunk{size, Cold}).first;
    enter(c);
    return c;
  }

  static void *map(size_t size) {
    return mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  }

  std::mutex mutex;
  Chunks chunks;
  Index warm, cold;
  size_t used = 0, kept = 0, mapped = 0, peak = 0, earlier_peak = 0;
  int64_t taken = 0;
  // Of all segments. A pointer of ours is always seen as such: it came from take, after these were set.
  std::atomic<char *> lowest{reinterpret_cast<char *>(UINTPTR_MAX)}, highest{nullptr};
};

}  // namespace

void ct_memory_install(void) {
#ifndef __SANITIZE_ADDRESS__  // which finds more with an allocator of its own
  c10::SetCPUAllocator(&Memory::instance(), 1);
#endif
}
void ct_memory_release(void) { Memory::instance().release(); }
ct_memory ct_memory_now(void) { return Memory::instance().now(); }
