#include "cpu.h"

#include "bridge.h"

#ifdef CAPTIONER_X86
#include <cpuid.h>
#endif

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>

namespace cpu {

namespace {

#ifdef CAPTIONER_X86

bool has_amx() {
  unsigned a, b, c, d;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & (1u << 22));
}

Features found() {
  Features f{};
  f.avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  f.avxvnni = f.avx2 && __builtin_cpu_supports("avxvnni");
  f.avx512 = f.avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  f.vnni = f.avx512 && __builtin_cpu_supports("avx512vnni");
  f.bf16 = f.avx512 && __builtin_cpu_supports("avx512bf16");
  f.amx = f.bf16 && has_amx();
  return f;
}

#else

Features found() { return {}; }

#endif

// Narrower is a processor that has no more than this.
struct Narrower {
  const char *name;
  Features most;
};

constexpr Narrower limits[] = {
    {"all", {true, true, true, true, true, true}},          {"plain", {}},
    {"avx2", {true, false, false, false, false, false}},    {"avxvnni", {true, true, false, false, false, false}},
    {"avx512", {true, false, true, false, false, false}},   {"avx512vnni", {true, false, true, true, false, false}},
    {"avx512bf16", {true, true, true, true, true, false}},
};

// place is the limit of a name among limits, -1 for none.
int place(const char *name) {
  if (!name || !*name) return 0;
  for (int i = 0; i < (int)(sizeof limits / sizeof *limits); i++)
    if (strcmp(name, limits[i].name) == 0) return i;
  return -1;
}

std::atomic<int> &limited() {
  static std::atomic<int> at{std::max(0, place(getenv("CAPTIONER_ISA")))};
  return at;
}

}  // namespace

Features features() {
  static const Features here = found();
  const Features most = limits[limited()].most;
  return {here.avx2 && most.avx2, here.avxvnni && most.avxvnni, here.avx512 && most.avx512,
          here.vnni && most.vnni, here.bf16 && most.bf16,       here.amx && most.amx};
}

bool limit(const char *name) {
  const int at = place(name);
  if (at < 0) return false;
  limited() = at;
  return true;
}

}  // namespace cpu

int ct_isa_limit(const char *name) { return cpu::limit(name); }
int ct_isa_has(const char *name) {
  const cpu::Features f = cpu::features();
  const struct {
    const char *name;
    bool has;
  } all[] = {{"avx2", f.avx2}, {"avxvnni", f.avxvnni}, {"avx512", f.avx512},
             {"avx512vnni", f.vnni}, {"avx512bf16", f.bf16}, {"amx", f.amx}};
  for (auto &x : all)
    if (strcmp(name, x.name) == 0) return x.has;
  return 0;
}
