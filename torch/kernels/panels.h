// Products with weights laid out in panels: y = act(norm(x) Wᵀ + bias) + residual.
//
// A weight is cut into panels of 32 output columns (Goto and van de Geijn 2008); a panel holds, word by word along the
// input, 32 words of 4 bytes: one float, two bfloat16 or four int8. The rows of x are prepared first: normalized,
// converted, quantized. Then a tile of up to 12 rows meets a panel in registers, one instruction a word and 16 columns.
// The sum of a result runs over the input in order, whatever the tile: a row gives the same bits in every batch and on
// any number of threads.
//
// panels.cpp packs weights and shares work among threads; panels_one.cpp is what a thread does. panels_avx512.cpp and
// panels_avx2.cpp make the sums. What goes before and after them is in panels_avx512.cpp too, and for processors
// without AVX-512 in panels_loops.cpp.
#pragma once
#include "cpu.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace panels {

enum Kind { F32, BF16, I8 };
enum Act { None, GeluErf, GeluTanh, Relu, Silu };

constexpr int64_t columns = 32, tallest = 12;  // of a panel; rows of a tile

inline int64_t panels_of(int64_t n) { return (n + columns - 1) / columns; }

// Weights are columns: n of k inputs each, padded to whole panels and words with zeros.
struct Weights {
  Kind kind;
  int64_t n, k, words;
  const uint32_t *data;
  const float *scale;  // of each column; for I8
  const int32_t *sum;  // of each column's weights; for I8
};

// Rows are prepared inputs. With I8 a row is unsigned and asymmetric: x = scale (q - zero).
struct Rows {
  const uint32_t *data;
  int64_t step;  // words from row to row
  const float *scale;
  const int32_t *zero;
};

struct Norm {
  const float *weight, *bias;
  float eps;
};

// Row is where a row of k inputs goes when it is prepared; values has room for k floats.
struct Row {
  int64_t k, words;
  float *values;
  uint32_t *out;
  float *scale;
  int32_t *zero;
};

// Finish is what is done with the sums: y = act(sums + bias) + residual.
struct Finish {
  const float *bias;      // [n], or null
  const float *residual;  // or null
  int act;
  int64_t step;   // from row to row of the residual and of y
  float *y;       // one of the two
  uint16_t *y16;  // in bfloat16
};

// Block is what one call multiplies: rows from r0 to r1 with panels from p0 to p1.
struct Block {
  int64_t r0, r1, p0, p1;
};

// Best holds the best columns of a row so far, the worst of them on top. Equal values: the lower column is better.
struct Best {
  struct Entry {
    float value;
    int32_t column;
    bool operator<(const Entry &o) const { return value > o.value || (value == o.value && column < o.column); }
  };
  std::vector<Entry> heap;
  float least = -INFINITY;  // what a value must exceed to get in

  void offer(float v, int32_t column, size_t k, const int32_t *ban, const int32_t *ban_end);
};

// Part is the softmax's denominator over some columns: sum e^(x - top).
struct Part {
  float top, sum;
};

// Ranking is what rank fills: for each row its part and its k best columns. ban lists columns that are not to be among
// the best: those of all rows end to end, ban_end where each row's end; both may be null.
struct Ranking {
  size_t k;
  const int32_t *ban;
  const int64_t *ban_end;
  Part *parts;
  int64_t parts_step;
  Best *best;
};

// Tile gives the sums of some rows, steps of words apart, and a panel: out [rows][columns].
using Tile = void (*)(const uint32_t *a, int64_t step, const uint32_t *panel, int64_t words, uint32_t *out);

// Path is how the sums of a kind are made on this processor: tiles[i] takes i + 1 rows.
struct Path {
  const Tile *tiles;
  int64_t height;  // of the tallest tile; 0 where there are no kernels for the kind
  bool wide;       // rows come with two words for each: its even numbers, and its odd ones
  bool avx512;     // of what goes before and after the sums
};

#ifdef CAPTIONER_X86
Path avx512_path(Kind kind, bool own_instruction);  // false: without AVX512-VNNI, or AVX512-BF16
Path avx2_path(Kind kind, bool with_vnni);
#endif
Path plain_path(Kind kind);

// HeadOf is where the queries, keys and values of one head lie: len tokens of size numbers.
struct HeadOf {
  int64_t len, size;
  float *q, *k, *v;
};

// HalfHeadOf is the same for products in bfloat16, whose queries stay where they are; size is even. Keys are panels of
// tokens, words along size; values are panels of size, words along the tokens.
struct HalfHeadOf {
  int64_t len, size;
  uint32_t *k, *v;
};

// Each namespace has what goes before and after the sums.
#ifdef CAPTIONER_X86
namespace avx512 {

// prepare writes a row, normalized where norm is not null, as words of a kind.
void prepare(const float *x, const Norm *norm, Kind kind, const Row &row);
void prepare(const uint16_t *x, const Norm *norm, Kind kind, const Row &row);  // from bfloat16

// finish turns the sums of count rows from r0 on and one panel into results.
void finish(const uint32_t *sums, int64_t r0, int64_t count, int64_t panel, const Weights &w, const Rows &x,
            const Finish &f);

// rank brings the sums of count rows from r0 on and one panel into the ranking.
void rank(const uint32_t *sums, int64_t r0, int64_t count, int64_t panel, const Weights &w, const Rows &x,
          const Ranking &to);

// load_token takes a token's query times scale, its key and its value, which follow after width numbers each, to where
// the products of a head want them. soften is softmax over len logits.
void load_token(const float *qkv, int64_t t, int64_t width, float scale, const HeadOf &to);
void load_token(const uint16_t *qkv, int64_t t, int64_t width, float scale, const HeadOf &to);
void soften(float *x, int64_t len);

// For heads in bfloat16, where it has an instruction. load_key takes in the key of token t, load_values the values of
// tokens t and t + 1, or null behind the last. lean adds bias times by to the logits of a row, len of them in panels
// that lie step apart. soften_half writes e^(scale x) over the largest logit of such a row, zeros to the end of the
// panel; it gives 1 over their sum. blend writes what count rows see: size columns of sums, each row times by.
void load_key(const uint16_t *key, int64_t t, const HalfHeadOf &to);
void load_values(const uint16_t *a, const uint16_t *b, int64_t t, const HalfHeadOf &to);
void lean(float *x, int64_t step, int64_t len, const float *bias, float by);
float soften_half(const float *x, int64_t step, int64_t len, float scale, uint16_t *out);
void blend(const uint32_t *sums, int64_t count, const float *by, int64_t size, const Finish &out);

}  // namespace avx512
#endif

// The same by loops that the compiler makes vectors of.
namespace loops {

void prepare(const float *x, const Norm *norm, Kind kind, const Row &row);
void prepare(const uint16_t *x, const Norm *norm, Kind kind, const Row &row);  // from bfloat16
void finish(const uint32_t *sums, int64_t r0, int64_t count, int64_t panel, const Weights &w, const Rows &x,
            const Finish &f);
void rank(const uint32_t *sums, int64_t r0, int64_t count, int64_t panel, const Weights &w, const Rows &x,
          const Ranking &to);

void load_token(const float *qkv, int64_t t, int64_t width, float scale, const HeadOf &to);
void load_token(const uint16_t *qkv, int64_t t, int64_t width, float scale, const HeadOf &to);
void soften(float *x, int64_t len);

}  // namespace loops

#ifndef CAPTIONER_X86
inline Path avx512_path(Kind kind, bool) { return plain_path(kind); }
inline Path avx2_path(Kind kind, bool) { return plain_path(kind); }
namespace avx512 = loops;
#endif

// multiply and rank do what one thread does: panels_one.cpp. rank begins the part of each row in b anew.
void multiply(const Path &path, const Weights &w, const Rows &x, const Finish &f, const Block &b);
void rank(const Path &path, const Weights &w, const Rows &x, const Block &b, const Ranking &to);

// Head is one head of one image at a time: softmax(q kᵀ scale + bias) v for len tokens of size numbers.
class Head {
 public:
  Head(const Path &path, int64_t len, int64_t size);
  ~Head();
  Head(const Head &) = delete;
  Head &operator=(const Head &) = delete;

  // qkv is the head's first query; its key and value follow after width numbers each, the next token after step. bias
  // is [len][len], or null.
  void run(const float *qkv, int64_t step, int64_t width, float scale, const float *bias, const Finish &out);
  void run(const uint16_t *qkv, int64_t step, int64_t width, float scale, const float *bias,
           const Finish &out);  // from bfloat16

 private:
  template <class E>
  void attend(const E *qkv, int64_t step, int64_t width, float scale, const float *bias, const Finish &out);

  Path path;        // of float32
  HeadOf h;         // keys and values lie as the products want their weights
  int64_t at_once;  // tokens whose logits are in w
  float *w;
};

#ifdef CAPTIONER_X86
// HalfHead is Head in bfloat16 for a path with its own instruction: keys, values and the softmax's weights are rounded
// to it. Logits, softmax and sums are float32.
class HalfHead {
 public:
  // fits says whether path makes the products of a head of size numbers.
  static bool fits(const Path &path, int64_t size) { return path.avx512 && !path.wide && size % 2 == 0; }

  HalfHead(const Path &path, int64_t len, int64_t size);
  ~HalfHead();
  HalfHead(const HalfHead &) = delete;
  HalfHead &operator=(const HalfHead &) = delete;

  void run(const uint16_t *qkv, int64_t step, int64_t width, float scale, const float *bias, const Finish &out);

 private:
  void load(const uint16_t *keys, int64_t step, int64_t width);

  Path path;  // of bfloat16
  HalfHeadOf h;
  float *logits;  // of a tile's rows: [panels][rows][columns]
  uint32_t *w;    // their weights
};
#endif

}  // namespace panels
