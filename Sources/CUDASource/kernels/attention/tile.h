// One warp, sixteen rows: the pieces of which tiled attention is made.
//
// Everything stays in registers. A warp owns 16 rows, queries or keys, and walks over 16 rows of the
// other side at a time with mma.sync m16n8k16. Operands come straight from memory through L1, 16 bytes
// a lane, because the order of the summed dimension and of the result's columns is ours to choose:
//   * x . y over the head's width: lane t of a quad supplies columns 32s + 8t ... + 7 of a row for the
//     two steps 2s and 2s + 1. Both operands use the same order, so the sum is the same.
//   * P * V: column n of result tile W c + j stands for column 8 W c + W n + j, W a lane's run. So a
//     lane reads W neighbours of a row of V and ends up with 2W neighbours of a row of the result.
// The result of one product is the left operand of the next without any movement: the layouts of C
// and A agree pairwise.
//
// Names of lanes: g = lane / 4 (rows g and g + 8 of a tile), t = lane % 4. D is a head's width, a
// multiple of 8; columns up to the next multiple of 32 are zeros that nobody reads from memory.
#pragma once
#include "attention/pairs.h"

constexpr int warpsPerBlock = 4;
/// Threads of a block; at most 168 registers each where that costs no spills, so that three blocks
/// share a multiprocessor.
#ifdef __CUDACC_RTC__
#define TILE_THREADS 128, (sizeof(NUMBER) == 2 && WIDTH <= 64 ? 3 : 1)
#else
#define TILE_THREADS 128
#endif
template <int D> constexpr int tileColumns = (D + 31) / 32 * 32;
/// Width of a lane's run of columns of the result.
template <int D> constexpr int runWidth = tileColumns<D> % 64 == 0 ? 8 : 4;

/// Sixteen rows of results, in the layout of C.
template <int D> struct Sums { float x[tileColumns<D> / 8][4]; };

template <int D> DEVICE void clear(Sums<D> &sum) {
#pragma unroll
  for (int n = 0; n < tileColumns<D> / 8; n++)
    sum.x[n][0] = sum.x[n][1] = sum.x[n][2] = sum.x[n][3] = 0;
}

/// `count` rows, `stride` numbers apart; rows beyond read as zero.
template <class T> struct Rows {
  static constexpr bool isShared = false;
  const T *base;
  size_t stride;
  int count;
  DEVICE const T *at(int row) const { return base + (size_t)row * stride; }
  DEVICE bool has(int row) const { return row < count; }
};

/// The 16 rows that a warp owns, as left operand: rows `r0` (row g of the lane) and `r1` (row g + 8).
template <class T, int D> struct Left { Pair<T> x[tileColumns<D> / 16][4]; };

template <class T, int D, class R>
DEVICE void loadLeft(Left<T, D> &a, const R &rows, int r0, bool live0, int r1, bool live1) {
  int t = threadIdx.x & 3;
  live0 = live0 && rows.has(r0), live1 = live1 && rows.has(r1);
#pragma unroll
  for (int s = 0; s < tileColumns<D> / 32; s++) {
    int column = 32 * s + 8 * t;
    Pair<T> u[4], w[4];
    loadPairs<8>(u, rows.at(r0) + column, live0 && column < D);
    loadPairs<8>(w, rows.at(r1) + column, live1 && column < D);
#pragma unroll
    for (int half = 0; half < 2; half++) {
      a.x[2 * s + half][0] = u[2 * half], a.x[2 * s + half][1] = w[2 * half];
      a.x[2 * s + half][2] = u[2 * half + 1], a.x[2 * s + half][3] = w[2 * half + 1];
    }
  }
}

/// c[0], c[1] = owned rows times rows first ... + 7, + 8 ... + 15 of the other side.
template <class T, int D, class R>
DEVICE void dotRows(float (&c)[2][4], const Left<T, D> &a, const R &rows, int first) {
  int g = (threadIdx.x & 31) >> 2, t = threadIdx.x & 3;
#pragma unroll
  for (int n = 0; n < 2; n++) {
    int row = first + 8 * n + g;
    bool live = rows.has(row);
    c[n][0] = c[n][1] = c[n][2] = c[n][3] = 0;
#pragma unroll
    for (int s = 0; s < tileColumns<D> / 32; s++) {
      int column = 32 * s + 8 * t;
      Pair<T> u[4];
      loadPairs<8>(u, rows.at(row) + column, live && column < D);
      mma(c[n], a.x[2 * s], u[0], u[1]);
      mma(c[n], a.x[2 * s + 1], u[2], u[3]);
    }
  }
}

/// sum += p (16 x 16) times rows first ... first + 15.
template <class T, int D, class R>
DEVICE void addProduct(Sums<D> &sum, const Pair<T> (&p)[4], const R &rows, int first) {
  constexpr int W = runWidth<D>;
  int g = (threadIdx.x & 31) >> 2, t = threadIdx.x & 3;
  int row = first + 2 * t;
#pragma unroll
  for (int c = 0; c < tileColumns<D> / (8 * W); c++) {
    int column = 8 * W * c + W * g;
    bool inside = column < D;
    Pair<T> x0[W / 2], x1[W / 2], x2[W / 2], x3[W / 2];
    loadPairs<W>(x0, rows.at(row) + column, inside && rows.has(row));
    loadPairs<W>(x1, rows.at(row + 1) + column, inside && rows.has(row + 1));
    loadPairs<W>(x2, rows.at(row + 8) + column, inside && rows.has(row + 8));
    loadPairs<W>(x3, rows.at(row + 9) + column, inside && rows.has(row + 9));
#pragma unroll
    for (int j = 0; j < W / 2; j++) {
      mma(sum.x[W * c + 2 * j], p, lows(x0[j], x1[j]), lows(x2[j], x3[j]));
      mma(sum.x[W * c + 2 * j + 1], p, highs(x0[j], x1[j]), highs(x2[j], x3[j]));
    }
  }
}

/// The two result tiles of dotRows as left operand of addProduct.
template <class T> DEVICE void asLeft(Pair<T> (&p)[4], const float (&c)[2][4]) {
  setPair(p[0], c[0][0], c[0][1]);
  setPair(p[1], c[0][2], c[0][3]);
  setPair(p[2], c[1][0], c[1][1]);
  setPair(p[3], c[1][2], c[1][3]);
}

/// Calls `f(column, values)` for every run of W columns of row g (upper = 0) or g + 8 (1) that the
/// lane holds; what `f` changes stays.
template <int D, class F> DEVICE void eachRun(Sums<D> &sum, int upper, F f) {
  constexpr int W = runWidth<D>;
  int t = threadIdx.x & 3;
#pragma unroll
  for (int c = 0; c < tileColumns<D> / (8 * W); c++)
#pragma unroll
    for (int half = 0; half < 2; half++) {
      int column = 8 * W * c + 2 * W * t + W * half;
      float x[W];
#pragma unroll
      for (int n = 0; n < W; n++) x[n] = sum.x[W * c + n][2 * upper + half];
      if (column < D) f(column, x);
#pragma unroll
      for (int n = 0; n < W; n++) sum.x[W * c + n][2 * upper + half] = x[n];
    }
}

/// Writes `factor` times row g or g + 8 of the result.
template <class T, int D> DEVICE void storeRow(T *to, Sums<D> &sum, int upper, float factor) {
  constexpr int W = runWidth<D>;
  eachRun<D>(sum, upper, [&](int column, float(&x)[W]) {
    Pair<T> y[W / 2];
#pragma unroll
    for (int n = 0; n < W / 2; n++) setPair(y[n], factor * x[2 * n], factor * x[2 * n + 1]);
    storePairs<W>(to + column, y);
  });
}

/// Row g or g + 8 = `own` times itself + `other` times a row of floats.
template <int D>
DEVICE void mixRow(Sums<D> &sum, int upper, float own, const float *row, float other) {
  constexpr int W = runWidth<D>;
  eachRun<D>(sum, upper, [&](int column, float(&x)[W]) {
#pragma unroll
    for (int n = 0; n < W / 4; n++) {
      float4 r = ((const float4 *)(row + column))[n];
      x[4 * n] = fmaf(r.x, other, x[4 * n] * own);
      x[4 * n + 1] = fmaf(r.y, other, x[4 * n + 1] * own);
      x[4 * n + 2] = fmaf(r.z, other, x[4 * n + 2] * own);
      x[4 * n + 3] = fmaf(r.w, other, x[4 * n + 3] * own);
    }
  });
}
