// Work shared among threads, such that a thread that gets no processor keeps nobody waiting.
//
// OpenMP gives each thread its part, and the region ends when the last has come and gone. Where other programs run, a
// thread may wait for a processor much longer than the whole region takes. Here a thread that has done its part takes
// units of the others', and the region ends with the last unit: a thread that was not there in time is not waited for.
#pragma once
#include <cstdint>
#include <memory>

namespace share {

// Work does the units from from to to, without to, on the thread of that number: 0 is the caller's.
using Work = void (*)(const void *of, int64_t from, int64_t to, int thread);

// run does work for 0 to n, on at most at::get_num_threads() threads, in chunks of at least least. Inside another
// run, or a parallel_for, it does all on the calling thread. What work throws, run throws.
void run(int64_t n, int64_t least, Work work, const void *of);

// each is run with a function f(from, to, thread).
template <class F>
void each(int64_t n, int64_t least, const F &f) {
  run(
      n, least, [](const void *of, int64_t from, int64_t to, int thread) { (*(const F *)of)(from, to, thread); },
      std::addressof(f));
}

}  // namespace share
