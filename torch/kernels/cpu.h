// What this processor has of the instructions that the kernels know.
#pragma once

// CAPTIONER_X86 stands where the kernels for AVX2 and AVX-512 are compiled. Elsewhere, and with -tags portable, the
// loops and libtorch do their work.
#if defined(__x86_64__) && !defined(CAPTIONER_PORTABLE)
#define CAPTIONER_X86 1
#endif

namespace cpu {

struct Features {
  bool avx2;     // with fma
  bool avxvnni;  // vpdpbusd on 256 bits
  bool avx512;   // f, bw, dq, vl
  bool vnni;     // vpdpbusd on 512 bits
  bool bf16;     // vdpbf16ps
  bool amx;      // tiles of bfloat16; oneDNN alone uses them
};

// features are what the processor has, within the limit.
Features features();

// limit keeps the kernels to a narrower processor from now on: plain, avx2, avxvnni, avx512, avx512vnni or avx512bf16;
// "" and all take the limit away. Any other name changes nothing and gives false. Before the first call the limit is
// what the environment says in CAPTIONER_ISA.
bool limit(const char *name);

}  // namespace cpu
