// What the doors of this room share. A door is an extern "C" function of bridge.h: it turns handles into tensors and
// exceptions into text. The work stands in an ordinary function behind it, where a debugger can stop.
#pragma once
#include "bridge.h"

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

#include <cstring>
#include <exception>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using at::Tensor;

// one_line is a malloc'ed copy of a message without the trace that libtorch's own text may carry, on one line.
inline char *one_line(const char *text) {
  const char *end = strstr(text, "\nException raised from");
  std::string line = end ? std::string(text, end - text) : std::string(text);
  for (char &c : line)
    if (c == '\n') c = ' ';
  while (!line.empty() && line.back() == ' ') line.pop_back();
  return strdup(line.c_str());
}

// guarded runs work; it returns NULL, or the message of what work threw.
template <class Work>
char *guarded(Work &&work) {
  try {
    work();
    return nullptr;
  } catch (const c10::Error &e) {
    return one_line(e.what_without_backtrace());
  } catch (const std::exception &e) {
    return one_line(e.what());
  } catch (...) {
    return strdup("unknown C++ exception");
  }
}

// returning is guarded for work that returns a tensor: *out becomes its handle.
template <class Work>
char *returning(ct_tensor *out, Work &&work) {
  return guarded([&] { *out = new Tensor(work()); });
}

inline Tensor &tensor(ct_tensor t) { return *static_cast<Tensor *>(t); }

inline std::optional<Tensor> optional_tensor(ct_tensor t) {
  return t ? std::optional<Tensor>(tensor(t)) : std::nullopt;
}

inline std::vector<Tensor> tensors(ct_tensor *list, int n) {
  std::vector<Tensor> all;
  all.reserve(n);
  for (int i = 0; i < n; i++) all.push_back(tensor(list[i]));
  return all;
}

inline at::IntArrayRef ints(const int64_t *p, int n) { return at::IntArrayRef(p, n); }

// device_of is the device that Go numbers so: -1 for the CPU, else a GPU (gpu.cpp). gpu_count is how many were opened.
at::Device device_of(int index);
int gpu_count();
