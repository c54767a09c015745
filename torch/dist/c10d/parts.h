// What the C++ files of this room share.
#pragma once
#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

#include <chrono>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

using at::Tensor;
using std::chrono::milliseconds;

// One line, without the trace that libtorch's own text may carry.
inline char *message(const char *s) {
  const char *end = strstr(s, "\nException raised from");
  std::string m = end ? std::string(s, end - s) : std::string(s);
  for (char &c : m)
    if (c == '\n') c = ' ';
  while (!m.empty() && m.back() == ' ') m.pop_back();
  return strdup(m.empty() ? "unknown error" : m.c_str());
}

#define TRY(...)                                                                \
  try {                                                                         \
    __VA_ARGS__;                                                                \
    return nullptr;                                                             \
  } catch (const c10::Error &e) { return message(e.what_without_backtrace()); } \
  catch (const std::exception &e) { return message(e.what()); }                 \
  catch (...) { return strdup("unknown C++ exception"); }
#define T(x) (*static_cast<Tensor *>(x))

struct Nccl;   // a communicator of NCCL and the library's functions
struct Group;  // dist.cpp alone sees into it

int group_rank(Group &g);
int group_size(Group &g);
milliseconds group_timeout(Group &g);
void group_set(Group &g, const char *key, const std::vector<uint8_t> &value);
std::vector<uint8_t> group_get(Group &g, const char *key);  // waits for it
std::shared_ptr<Nccl> &group_nccl(Group &g);

// Sum is a sum under way.
struct Sum {
  Tensor t, host;  // host is t's copy where it travels through the host
  std::shared_ptr<void> work;
};
Sum begin_sum(Group &g, const Tensor &t);
void end_sum(Group &g, Sum &s);

void nccl_sum(Group &g, const Tensor &t);  // queued on the current stream
void nccl_broadcast(Group &g, const Tensor &t, int root);
void nccl_wait(Group &g, const Tensor &t);  // until what was queued is done, the peers fail, or the timeout
