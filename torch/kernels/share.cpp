// The threads of share.h. They sleep until there is work, and live as long as the process.
#include "share.h"

#include "cpu.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

#include <pthread.h>

namespace share {

namespace {

constexpr int most_threads = 256;
constexpr int chunks = 32;   // of a thread's part
constexpr int spins = 1000;  // before a thread sleeps: about as long as it takes to be woken up

// Part is the chunks that one thread begins with. Each has a cache line of its own.
struct alignas(64) Part {
  std::atomic<int64_t> next{0};
  int64_t end = 0;
};

struct Job {
  Work work = nullptr;
  const void *of = nullptr;
  int64_t chunk = 1;
  int threads = 1;
  Part parts[most_threads];
};

thread_local bool inside = false;  // a job, on this thread

inline void pause() {
#ifdef CAPTIONER_X86
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

// Condition is what std::condition_variable is. The wait of that one, built by GCC 12, asks for a libstdc++ that is
// newer than the one of the oldest system that captioner runs on.
class Condition {
 public:
  template <class Predicate>
  void wait(std::unique_lock<std::mutex> &lock, Predicate done) {
    while (!done()) pthread_cond_wait(&condition, lock.mutex()->native_handle());
  }
  void notify_all() { pthread_cond_broadcast(&condition); }

 private:
  pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
};

class Pool {
 public:
  static Pool &instance() {
    static Pool *p = new Pool;  // never destroyed: its threads live to the end
    return *p;
  }

  // run is share::run on more than one thread; false where another thread has the pool.
  bool run(int64_t n, int64_t chunk, int threads, Work work, const void *of) {
    std::unique_lock<std::mutex> mine(owner, std::try_to_lock);
    if (!mine) return false;
    start(threads);
    job.work = work, job.of = of, job.chunk = chunk, job.threads = threads;
    for (int t = 0; t < threads; t++) {
      job.parts[t].next.store(n * t / threads, std::memory_order_relaxed);
      job.parts[t].end = n * (t + 1) / threads;
    }
    open();
    work_on(0);
    close();
    if (failed) std::rethrow_exception(std::exchange(failed, nullptr));
    return true;
  }

 private:
  // state counts jobs above, says whether one is open, and counts the threads beside the owner's that are in it.
  static constexpr uint32_t in_it = 0xffff, is_open = 0x10000, one_job = 0x20000;

  void open() {
    state.store((state.load(std::memory_order_relaxed) + one_job) | is_open);
    if (sleeping.load() > 0) {
      { std::lock_guard<std::mutex> lock(mutex); }
      wake.notify_all();
    }
  }

  // close lets nobody in any more and waits for those who are.
  void close() {
    state.fetch_and(~is_open);
    for (int i = 0; state.load() & in_it; i++) {
      if (i < spins) {
        pause();
        continue;
      }
      std::unique_lock<std::mutex> lock(mutex);
      waiting.store(true);
      left.wait(lock, [&] { return !(state.load() & in_it); });
      waiting.store(false);
    }
  }

  // enter takes part in the job of a state, unless it is over.
  bool enter(uint32_t s) {
    while (s & is_open)
      if (state.compare_exchange_weak(s, s + 1)) return true;
    return false;
  }

  void leave() {
    if ((state.fetch_sub(1) & (in_it | is_open)) != 1 || !waiting.load()) return;
    { std::lock_guard<std::mutex> lock(mutex); }
    left.notify_all();
  }

  void work_on(int thread) {
    inside = true;
    try {
      for (int i = 0; i < job.threads; i++) {
        Part &p = job.parts[(thread + i) % job.threads];
        for (;;) {
          const int64_t from = p.next.fetch_add(job.chunk, std::memory_order_relaxed);
          if (from >= p.end) break;
          job.work(job.of, from, std::min(p.end, from + job.chunk), thread);
        }
      }
    } catch (...) {
      std::lock_guard<std::mutex> lock(mutex);
      if (!failed) failed = std::current_exception();
    }
    inside = false;
  }

  void start(int threads) {
    for (; started < threads - 1; started++) std::thread(&Pool::serve, this, started + 1).detach();
  }

  void serve(int thread) {
    for (uint32_t seen = 0;;) {
      const uint32_t s = next(seen);
      seen = s & ~(in_it | is_open);
      if (!enter(s)) continue;
      if (thread < job.threads) work_on(thread);
      leave();
    }
  }

  // next waits for a job after the one that was seen.
  uint32_t next(uint32_t seen) {
    uint32_t s;
    const auto another = [&] {
      s = state.load();
      return (s & is_open) && (s & ~(in_it | is_open)) != seen;
    };
    for (int i = 0; i < spins; i++) {
      if (another()) return s;
      pause();
    }
    std::unique_lock<std::mutex> lock(mutex);
    sleeping.fetch_add(1);
    wake.wait(lock, another);
    sleeping.fetch_sub(1);
    return s;
  }

  std::mutex owner;  // of the pool, for a job
  Job job;
  int started = 0;
  std::atomic<uint32_t> state{0};
  std::atomic<int> sleeping{0};
  std::atomic<bool> waiting{false};
  std::mutex mutex;
  Condition wake, left;
  std::exception_ptr failed;
};

}  // namespace

void run(int64_t n, int64_t least, Work work, const void *of) {
  if (n <= 0) return;
  least = std::max<int64_t>(1, least);
  const int64_t threads = std::min<int64_t>({at::get_num_threads(), most_threads, (n + least - 1) / least});
  if (threads > 1 && !inside && !at::in_parallel_region()) {
    const int64_t chunk = std::max(least, (n + threads * chunks - 1) / (threads * chunks));
    if (Pool::instance().run(n, chunk, (int)threads, work, of)) return;
  }
  work(of, 0, n, 0);
}

}  // namespace share
