// What one thread does for depthwise.cpp, which includes this once for each width of vectors: LANES numbers, by the
// instructions ISA. The channels of a map are taken a few vectors at a time, and copied with zeros around them.

typedef float V __attribute__((vector_size(4 * LANES)));
typedef int32_t I __attribute__((vector_size(4 * LANES)));
typedef uint32_t U __attribute__((vector_size(4 * LANES)));
typedef uint16_t H __attribute__((vector_size(2 * LANES)));

#define HERE static inline __attribute__((always_inline)) ISA

HERE V whole(const float *p) {
  V v;
  memcpy(&v, p, sizeof v);
  return v;
}
HERE V whole(const uint16_t *p) {  // from bfloat16
  H h;
  memcpy(&h, p, sizeof h);
  return (V)(__builtin_convertvector(h, U) << 16);
}
HERE void put_whole(float *p, V v) { memcpy(p, &v, sizeof v); }
HERE void put_whole(uint16_t *p, V v) {  // to the nearest, of two the even one; NaN stays NaN
  const U u = (U)v, rounded = (u + 0x7fff + (u >> 16 & 1)) >> 16;
  const H h = __builtin_convertvector((u & 0x7fffffff) > 0x7f800000 ? (rounded & 0) + 0x7fc0 : rounded, H);
  memcpy(p, &h, sizeof h);
}

// load and put take the first n lanes; the others are 0.
template <class E>
HERE V load(const E *p, int64_t n) {
  if (n >= LANES) return whole(p);
  E part[LANES] = {};
  memcpy(part, p, n * sizeof *p);
  return whole(part);
}
template <class E>
HERE void put(E *p, int64_t n, V v) {
  if (n >= LANES) return put_whole(p, v);
  E part[LANES];
  put_whole(part, v);
  memcpy(p, part, n * sizeof *p);
}

HERE V relu6(V x) {  // NaN stays NaN
  const V zero = {}, six = zero + 6;
  x = x < zero ? zero : x;
  return x > six ? six : x;
}
// through is the gradient g through relu6, which gave y.
HERE V through(V g, V y) { return (V)((I)g & ~((y <= 0) | (y >= 6))); }

// Plane is a part of a map with zeros around it, a vector of channels after the other: [vectors][rows][columns].
struct Plane {
  int64_t r0, c0;  // what of the map its first element is; negative in the zeros
  int64_t rows, columns;
  float *to;

  const float *at(int64_t v, int64_t r, int64_t c) const {
    return to + ((v * rows + r - r0) * columns + c - c0) * LANES;
  }
};

// fill copies n channels of a map [height, width, C] of one image to a plane; where y is not null, through relu6.
template <class E>
HERE void fill(const E *x, const E *y, int64_t height, int64_t width, int64_t C, int64_t n, const Plane &p) {
  const int64_t vectors = (n + LANES - 1) / LANES, size = p.rows * p.columns * LANES;
  for (int64_t r = 0; r < p.rows; r++) {
    float *row = p.to + r * p.columns * LANES;
    for (int64_t c = 0; c < p.columns; c++) {
      const int64_t h = p.r0 + r, w = p.c0 + c, at = (h * width + w) * C;
      const bool inside = h >= 0 && h < height && w >= 0 && w < width;
      for (int64_t v = 0; v < vectors; v++) {
        V a = {};
        if (inside) {
          a = load(x + at + v * LANES, n - v * LANES);
          if (y) a = through(a, load(y + at + v * LANES, n - v * LANES));
        }
        put_whole(row + v * size + c * LANES, a);
      }
    }
  }
}

// row convolves: out[t step] = first + Σ in[k, t S + l] w[k, l], for n results; rows of in are columns apart.
template <int KH, int KW, int S>
HERE void row(const float *in, int64_t columns, const V *w, V first, int64_t n, V *out, int64_t step) {
  int64_t t = 0;
  for (; t + 4 <= n; t += 4) {
    V a = first, b = first, c = first, d = first;
    for (int k = 0; k < KH; k++)
      for (int l = 0; l < KW; l++) {
        const float *p = in + (k * columns + t * S + l) * LANES;
        const V by = w[k * KW + l];
        a += whole(p) * by, b += whole(p + S * LANES) * by;
        c += whole(p + 2 * S * LANES) * by, d += whole(p + 3 * S * LANES) * by;
      }
    out[t * step] = a, out[(t + 1) * step] = b, out[(t + 2) * step] = c, out[(t + 3) * step] = d;
  }
  for (; t < n; t++) {
    V a = first;
    for (int k = 0; k < KH; k++)
      for (int l = 0; l < KW; l++) a += whole(in + (k * columns + t * S + l) * LANES) * w[k * KW + l];
    out[t * step] = a;
  }
}

// gather adds Σ g[r, c] x[r S + k, c S + l] to sums[k, l] for ROWS rows k, over rows x n results.
template <int ROWS, int K, int S>
HERE void gather(const float *g, int64_t g_columns, const float *x, int64_t x_columns, int64_t rows, int64_t n,
                 V *sums) {
  V a[ROWS * K];
#pragma GCC unroll 25
  for (int i = 0; i < ROWS * K; i++) a[i] = sums[i];
  for (int64_t r = 0; r < rows; r++)
    for (int64_t c = 0; c < n; c++) {
      const V by = whole(g + (r * g_columns + c) * LANES);
      const float *p = x + (r * S * x_columns + c * S) * LANES;
#pragma GCC unroll 5
      for (int k = 0; k < ROWS; k++)
#pragma GCC unroll 5
        for (int l = 0; l < K; l++) a[k * K + l] += by * whole(p + (k * x_columns + l) * LANES);
    }
#pragma GCC unroll 25
  for (int i = 0; i < ROWS * K; i++) sums[i] = a[i];
}

// Rows of a kernel whose sums fit into the registers.
template <int K>
constexpr int gathered = LANES == 16 || K == 3 ? K : 1;

// flipped are the weights of the results with rest r and q on the way back: [KH][KW].
template <int K, int S, int KH, int KW>
HERE void flipped(const float *w, int64_t C, int64_t n, int r, int q, V *out) {
  for (int k = 0; k < KH; k++)
    for (int l = 0; l < KW; l++)
      out[k * KW + l] = load(w + ((r + S * (KH - 1 - k)) * K + q + S * (KW - 1 - l)) * C, n);
}

// Back makes rows of dx, the results of rest q of a row of rest r: row h has h + top = S a + r.
template <int K, int S, int R, int Q>
HERE void back_row(const Shape &s, const Plane &g, int64_t v, int64_t h, const float *w, int64_t n, V *out) {
  constexpr int KH = (K - R + S - 1) / S, KW = (K - Q + S - 1) / S;
  const int64_t first = ((Q - s.left) % S + S) % S;  // the first column of that rest
  if (first >= s.W) return;
  V by[KH * KW];
  flipped<K, S, KH, KW>(w, s.C, n, R, Q, by);
  const float *in = g.at(v, (h + s.top) / S - KH + 1, (first + s.left) / S - KW + 1);
  row<KH, KW, 1>(in, g.columns, by, V{}, (s.W - first + S - 1) / S, out + first, S);
}

template <int K, int S>
HERE void back(const Shape &s, const Plane &g, int64_t v, int64_t h, const float *w, int64_t n, V *out) {
  if (S == 1) return back_row<K, S, 0, 0>(s, g, v, h, w, n, out);
  constexpr int odd = S - 1;
  if ((h + s.top) % 2 == 0) {
    back_row<K, S, 0, 0>(s, g, v, h, w, n, out);
    back_row<K, S, 0, odd>(s, g, v, h, w, n, out);
  } else {
    back_row<K, S, odd, 0>(s, g, v, h, w, n, out);
    back_row<K, S, odd, odd>(s, g, v, h, w, n, out);
  }
}

// forward_part makes n channels of one image; all pointers are at the first of them.
template <int K, int S, class E>
ISA static void forward_part(const Shape &s, const E *x, const float *w, const float *bias, int64_t n, E *y,
                             Room room) {
  const int64_t vectors = (n + LANES - 1) / LANES, columns = (s.OW - 1) * S + K;
  V *out = (V *)room.out;
  for (int64_t o = 0; o < s.OH; o += room.rows) {
    const int64_t rows = std::min(room.rows, s.OH - o);
    const Plane p{o * S - s.top, -s.left, (rows - 1) * S + K, columns, room.x};
    fill<E>(x, nullptr, s.H, s.W, s.C, n, p);
    for (int64_t v = 0; v < vectors; v++) {
      V by[K * K];
      const int64_t c = v * LANES, lanes = n - c;
      for (int i = 0; i < K * K; i++) by[i] = load(w + i * s.C + c, lanes);
      const V first = load(bias + c, lanes);
      for (int64_t r = o; r < o + rows; r++) {
        row<K, K, S>(p.at(v, r * S - s.top, -s.left), columns, by, first, s.OW, out, 1);
        for (int64_t t = 0; t < s.OW; t++) put(y + (r * s.OW + t) * s.C + c, lanes, relu6(out[t]));
      }
    }
  }
}

// backward_part makes n channels of one image. It adds to the gradients of weight and bias and to the sums before.
template <int K, int S, class E>
ISA static void backward_part(const Shape &s, const Maps<E> &m, const float *w, int64_t n, const Sums &to, Room room) {
  const int64_t vectors = (n + LANES - 1) / LANES;
  const int64_t x_columns = (s.OW - 1) * S + K, left = (K - 1 - s.left + S - 1) / S;
  const int64_t g_columns = std::max(s.OW, (s.W - 1 + s.left) / S + 1) + left;
  V *out = (V *)room.out;
  for (int64_t o = 0; o < s.OH; o += room.rows) {
    const int64_t rows = std::min(room.rows, s.OH - o), h0 = o * S, h1 = std::min(s.H, (o + rows) * S);
    const Plane x{o * S - s.top, -s.left, (rows - 1) * S + K, x_columns, room.x};
    const int64_t up = (K - 1 + S - 1) / S, below = std::max(o + rows, (h1 - 1 + s.top) / S + 1);
    const Plane g{o - up, -left, below - o + up, g_columns, room.g};
    fill<E>(m.x, nullptr, s.H, s.W, s.C, n, x);
    fill<E>(m.dy, m.y, s.OH, s.OW, s.C, n, g);
    for (int64_t v = 0; v < vectors; v++) {
      const int64_t c = v * LANES, lanes = n - c;
      for (int k = 0; k < K; k += gathered<K>) {
        V sums[gathered<K> * K];
        for (int i = 0; i < gathered<K> * K; i++) sums[i] = load(to.weight + (k * K + i) * s.C + c, lanes);
        gather<gathered<K>, K, S>(g.at(v, o, 0), g_columns, x.at(v, o * S - s.top + k, -s.left), x_columns, rows, s.OW,
                                  sums);
        for (int i = 0; i < gathered<K> * K; i++) put(to.weight + (k * K + i) * s.C + c, lanes, sums[i]);
      }
      V all = load(to.bias + c, lanes);
      for (int64_t r = o; r < o + rows; r++)
        for (int64_t t = 0; t < s.OW; t++) all += whole(g.at(v, r, t));
      put(to.bias + c, lanes, all);
      if (!m.dx) continue;
      V before = m.x_is_relu6 ? load(to.before + c, lanes) : V{};
      for (int64_t h = h0; h < h1; h++) {
        back<K, S>(s, g, v, h, w + c, lanes, out);
        for (int64_t t = 0; t < s.W; t++) {
          V d = out[t];
          if (m.x_is_relu6) d = through(d, whole(x.at(v, h, t))), before += d;
          put(m.dx + (h * s.W + t) * s.C + c, lanes, d);
        }
      }
      if (m.x_is_relu6) put(to.before + c, lanes, before);
    }
  }
}

// kernels are those of a kernel size, a stride and a type.
template <class E>
Kernels<E> kernels(int kernel, int stride) {
  if (kernel == 3 && stride == 1) return {LANES, forward_part<3, 1, E>, backward_part<3, 1, E>};
  if (kernel == 3) return {LANES, forward_part<3, 2, E>, backward_part<3, 2, E>};
  if (stride == 1) return {LANES, forward_part<5, 1, E>, backward_part<5, 1, E>};
  return {LANES, forward_part<5, 2, E>, backward_part<5, 2, E>};
}

#undef HERE
#undef ISA
#undef LANES
