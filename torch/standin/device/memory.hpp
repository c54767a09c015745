//go:build standin

// The stand-in's memory. Each device has a range of addresses without access, which tensors' data pointers lead into,
// and a second mapping of the same pages, which the stand-in computes through.
#pragma once
#include <c10/core/Allocator.h>
#include <c10/core/Device.h>

#include <atomic>
#include <cstdint>

namespace standin {

constexpr int max_devices = 8;

extern std::atomic<int> device_count;

// host is the second mapping of a pointer into a device's memory; NULL for NULL.
void *host(const void *p);

c10::Allocator *allocator();
c10::Allocator *pinned_allocator();
bool is_pinned(const void *p);
int device_of(const void *p); // -1 where p is no device's

void set_limit(int device, size_t bytes);
size_t used(int device);
size_t peak(int device);

int current_device();
void set_current_device(int device);

// Counters of what passes between host and device; si_crossings in standin.h.
struct Counters {
  std::atomic<int64_t> uploads{0}, downloads{0}, items{0}, waits{0}, peers{0}, upload_bytes{0}, download_bytes{0}, ops{0};
};
extern Counters counters;

// recording says whether operators are recorded for a graph, in which nothing may cross. crossed counts, and checks that.
extern std::atomic<bool> recording;
void crossed(std::atomic<int64_t> &counter, const char *what, int64_t bytes);

}  // namespace standin
