// What the C++ files of the shim share: errors as text, handles as tensors, a fast exponential.
#pragma once
#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

using at::Tensor;

// Messages are one line: libtorch's own text may carry a trace after the first line end.
static char *message(const char *s) {
  const char *end = strstr(s, "\nException raised from");
  std::string m = end ? std::string(s, end - s) : std::string(s);
  for (char &c : m)
    if (c == '\n') c = ' ';
  while (!m.empty() && m.back() == ' ') m.pop_back();
  return strdup(m.c_str());
}

#define TRY(...)                                                                             \
  try {                                                                                      \
    __VA_ARGS__;                                                                             \
    return nullptr;                                                                          \
  } catch (const c10::Error &e) { return message(e.what_without_backtrace()); }              \
  catch (const std::exception &e) { return message(e.what()); }                              \
  catch (...) { return strdup("unknown C++ exception"); }
#define T(x) (*static_cast<Tensor *>(x))
#define OPT(x) ((x) ? std::optional<Tensor>(T(x)) : std::nullopt)
#define OUT(e) TRY(*o = new Tensor(e))

// e^x for x <= 0, relative error below 2e-7: 2^n times a polynomial on [-ln2/2, ln2/2]. A loop over it becomes vectors.
static inline float exp_neg(float x) {
  x = std::max(x, -87.0f);
  float n = std::floor(x * 1.44269504f + 0.5f);
  float r = x - n * 0.693359375f + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  int32_t e = ((int32_t)n + 127) << 23;
  float two;
  memcpy(&two, &e, 4);
  return p * two;
}
