// The sums of panels.h for processors with AVX2, with or without AVX-VNNI: tiles of 6 rows and 16 columns, 12 registers
// of 8 columns. bfloat16 and int8 have no instruction of their own in AVX2. Their words come in two halves, the even
// and the odd numbers of a word: as floats, or as 16-bit numbers for vpmaddwd. The sums are exact all the same.
#include "panels.h"

#ifdef CAPTIONER_X86
#include <immintrin.h>

namespace panels {

#define ISA __attribute__((target("avx2,fma")))
#define ISA_VNNI __attribute__((target("avx2,fma,avxvnni")))
#define INLINE static inline __attribute__((always_inline))

namespace {

constexpr int rows_of_tile = 6;

struct MacF32 {
  static constexpr int halves = 1;
  ISA INLINE __m256i weights(__m256i b, int) { return b; }
  ISA INLINE __m256i run(__m256i c, __m256i x, __m256i b) {
    return _mm256_castps_si256(_mm256_fmadd_ps(_mm256_castsi256_ps(x), _mm256_castsi256_ps(b), _mm256_castsi256_ps(c)));
  }
};

struct MacBF16 {
  static constexpr int halves = 2;
  ISA INLINE __m256i weights(__m256i b, int half) {
    return half ? _mm256_and_si256(b, _mm256_set1_epi32((int)0xffff0000)) : _mm256_slli_epi32(b, 16);
  }
  ISA INLINE __m256i run(__m256i c, __m256i x, __m256i b) { return MacF32::run(c, x, b); }
};

struct MacI8 {
  static constexpr int halves = 2;
  ISA INLINE __m256i weights(__m256i b, int half) {
    return _mm256_srai_epi16(half ? b : _mm256_slli_epi16(b, 8), 8);
  }
  ISA INLINE __m256i run(__m256i c, __m256i x, __m256i b) { return _mm256_add_epi32(c, _mm256_madd_epi16(x, b)); }
};

struct MacVnni {
  static constexpr int halves = 1;
  ISA INLINE __m256i weights(__m256i b, int) { return b; }
  ISA_VNNI INLINE __m256i run(__m256i c, __m256i x, __m256i b) { return _mm256_dpbusd_avx_epi32(c, x, b); }
};

// A tile's body stands in functions of two targets: what is inlined must not have more than what takes it in.
#define TILE(NAME, TARGET)                                                                          \
  template <class Mac, int R>                                                                       \
  TARGET void NAME(const uint32_t *a, int64_t step, const uint32_t *b, int64_t words, uint32_t *out) { \
    for (int64_t at = 0; at < columns; at += 16) {                                                  \
      __m256i c[R][2];                                                                              \
      _Pragma("GCC unroll 6") for (int r = 0; r < R; r++) c[r][0] = c[r][1] = _mm256_setzero_si256(); \
      const uint32_t *p = b + at;                                                                   \
      for (int64_t w = 0; w < words; w++, p += columns) {                                           \
        _Pragma("GCC unroll 2") for (int half = 0; half < Mac::halves; half++) {                    \
          const __m256i b0 = Mac::weights(_mm256_load_si256((const __m256i *)p), half);             \
          const __m256i b1 = Mac::weights(_mm256_load_si256((const __m256i *)(p + 8)), half);       \
          _Pragma("GCC unroll 6") for (int r = 0; r < R; r++) {                                     \
            const __m256i x = _mm256_set1_epi32((int)a[r * step + w * Mac::halves + half]);         \
            c[r][0] = Mac::run(c[r][0], x, b0);                                                     \
            c[r][1] = Mac::run(c[r][1], x, b1);                                                     \
          }                                                                                         \
        }                                                                                           \
      }                                                                                             \
      _Pragma("GCC unroll 6") for (int r = 0; r < R; r++) {                                         \
        _mm256_store_si256((__m256i *)(out + r * columns + at), c[r][0]);                           \
        _mm256_store_si256((__m256i *)(out + r * columns + at + 8), c[r][1]);                       \
      }                                                                                             \
    }                                                                                               \
  }

TILE(tile, ISA)
TILE(tile_vnni, ISA_VNNI)

#define TILES(F, MAC) {F<MAC, 1>, F<MAC, 2>, F<MAC, 3>, F<MAC, 4>, F<MAC, 5>, F<MAC, 6>}
const Tile f32[] = TILES(tile, MacF32), bf16[] = TILES(tile, MacBF16), i8[] = TILES(tile, MacI8),
           vnni[] = TILES(tile_vnni, MacVnni);

}  // namespace

Path avx2_path(Kind kind, bool with_vnni) {
  if (kind == I8 && with_vnni) return {vnni, rows_of_tile, false, false};
  const Tile *const all[] = {f32, bf16, i8};
  return {all[kind], rows_of_tile, kind != F32, false};
}

}  // namespace panels
#endif
