// A tile's rows on their way from memory to shared memory, in registers of the warp that owns it.
#pragma once
#include "attention/rotation.h"

/// Whether rows of this type and width are staged: four blocks of them share a multiprocessor.
template <class T, int D> constexpr bool isStaged = sizeof(T) * D <= 128;
/// Numbers from one staged row to the next: 16 bytes more than a row has, for the sake of the banks.
template <class T, int D> constexpr int stagedStride = D + 16 / (int)sizeof(T);

/// A lane's share of a tile's rows: eight neighbours of the first half of a row, and those of the other
/// half that a rotation pairs with them, once or twice.
template <class T, int D> struct Share {
  static constexpr int lanes = D <= 32 ? 2 : 4, tasks = lanes / 2;
  Pair<T> x[tasks][2][4];

  static DEVICE int row(int task) { return ((threadIdx.x & 31) + 32 * task) / lanes; }
  static DEVICE int column() { return 8 * (int)(threadIdx.x % lanes); }
  static DEVICE bool isInside() { return 2 * column() < D; }

  DEVICE void load(const void *from, int stride, const AttentionTile &tile, int head) {
    const T *rows = (const T *)from + (size_t)(tile.start + tile.row) * stride + head * D;
#pragma unroll
    for (int n = 0; n < tasks; n++)
#pragma unroll
      for (int half = 0; half < 2; half++)
        loadPairs<8>(x[n][half], rows + (size_t)row(n) * stride + column() + half * (D / 2),
                     isInside() && tile.row + row(n) < tile.length);
  }
  DEVICE void store(void *to, int stride, const AttentionTile &tile, int head) const {
    T *rows = (T *)to + (size_t)(tile.start + tile.row) * stride + head * D;
#pragma unroll
    for (int n = 0; n < tasks; n++)
#pragma unroll
      for (int half = 0; half < 2; half++)
        if (isInside() && tile.row + row(n) < tile.length)
          storePairs<8>(rows + (size_t)row(n) * stride + column() + half * (D / 2), x[n][half]);
  }
  /// Puts the share into a staged tile.
  DEVICE void put(T *to) const {
#pragma unroll
    for (int n = 0; n < tasks; n++)
#pragma unroll
      for (int half = 0; half < 2; half++)
        if (isInside())
          storePairs<8>(to + row(n) * stagedStride<T, D> + column() + half * (D / 2), x[n][half]);
  }
};

/// Cosines and sines of a share.
template <class T, int D> struct Angles {
  float c[Share<T, D>::tasks][8], s[Share<T, D>::tasks][8];

  DEVICE void load(const float *table, const AttentionTile &tile) {
    using S = Share<T, D>;
#pragma unroll
    for (int n = 0; n < S::tasks; n++) {
      bool live = S::isInside() && tile.row + S::row(n) < tile.length;
      const float *from = table + (size_t)(tile.row + S::row(n)) * D + S::column();
      loadRow(c[n], from, live), loadRow(s[n], from + D / 2, live);
    }
  }
  DEVICE void turn(Share<T, D> &share) const {
#pragma unroll
    for (int n = 0; n < Share<T, D>::tasks; n++) {
      float a[8], b[8];
#pragma unroll
      for (int e = 0; e < 4; e++) {
        a[2 * e] = lowOf(share.x[n][0][e]), a[2 * e + 1] = highOf(share.x[n][0][e]);
        b[2 * e] = lowOf(share.x[n][1][e]), b[2 * e + 1] = highOf(share.x[n][1][e]);
      }
      ::turn(a, b, c[n], s[n], 1);
#pragma unroll
      for (int e = 0; e < 4; e++) {
        setPair(share.x[n][0][e], a[2 * e], a[2 * e + 1]);
        setPair(share.x[n][1][e], b[2 * e], b[2 * e + 1]);
      }
    }
  }
};
