// A head of attention that learns, forward and back, in float32: causalattention.cpp and crossattention.cpp say what
// its tokens are. Nothing is kept but what goes in: the way back makes the weights again.
#pragma once
#include <cmath>
#include <cstdint>
#include <vector>

namespace attention {

constexpr int64_t lanes = 16;

inline int64_t rounded(int64_t n) { return (n + lanes - 1) / lanes * lanes; }

// Head is one head: S keys and values of D numbers, at which queries look. Rows stand D apart; turned ones are
// [D][room], zeros behind S.
struct Head {
  int64_t S, D, room;
  float scale;
  const bool *seen;  // [S], which keys may be looked at; null for all
  float *k, *v, *kt, *vt, *w, *keep;
  float *dk, *dv, *dw;
};

// turn writes rows [n][D] as [D][room].
void turn(const float *rows, int64_t n, int64_t D, int64_t room, float *turned);

// attend writes what query q sees of the first n keys, [D]. drops says that h.keep has factors of the weights.
void attend(const Head &h, const float *q, int64_t n, bool drops, float *out);

// learn adds what d, the gradient of what query q saw, gives to dk and dv, and writes the gradient of q.
void learn(const Head &h, const float *q, const float *d, int64_t n, bool drops, float *dq);

// Memory is floats of one thread, of which each part begins a cache line.
class Memory {
 public:
  explicit Memory(int64_t size) : all(size + lanes) { at = (float *)(((uintptr_t)all.data() + 63) & ~(uintptr_t)63); }
  float *take(int64_t n) {
    float *p = at;
    at += rounded(n);
    return p;
  }

 private:
  std::vector<float> all;
  float *at;
};

}  // namespace attention
