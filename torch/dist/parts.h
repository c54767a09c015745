// What the C++ files of this room share.
#pragma once
#define USE_C10D_GLOO 1
#include <ATen/ATen.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

using at::Tensor;
using std::chrono::milliseconds;
using Work = c10::intrusive_ptr<c10d::Work>;

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

struct Nccl;  // a communicator of NCCL and the library's functions

struct Store {
  c10::intrusive_ptr<c10d::TCPStore> tcp;  // for its port
  c10::intrusive_ptr<c10d::Store> keys;    // the same under a prefix
};

// Group sends tensors on the CPU by Gloo; tensors on a GPU by NCCL where that was opened, else through the host.
struct Group {
  c10::intrusive_ptr<c10d::Store> keys;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo;
  std::shared_ptr<Nccl> nccl;
  milliseconds timeout;
};

// Sum is a sum under way.
struct Sum {
  Tensor t, host;  // host is t's copy where it travels through the host
  std::vector<Tensor> args;
  Work work;
};
Sum begin_sum(Group &g, const Tensor &t);
void end_sum(Group &g, Sum &s);

void nccl_sum(Group &g, const Tensor &t);        // queued on the current stream
void nccl_broadcast(Group &g, const Tensor &t, int root);
void nccl_wait(Group &g, const Tensor &t);       // until what was queued is done, the peers fail, or the timeout
