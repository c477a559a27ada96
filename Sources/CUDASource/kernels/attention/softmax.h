// Where tensors of softmax attention are, as one head and one sequence see them.
#pragma once
#include "attention/gradients.h"

template <class T, int D> struct SoftmaxSequence {
  const AttentionArguments &p;
  AttentionTile tile;
  int head;

  /// Rows of a tensor of the batch.
  DEVICE Rows<T> rows(const void *x, int stride) const {
    return {(const T *)x + (size_t)tile.start * stride + head * D, (size_t)stride, tile.length};
  }
  DEVICE T *row(void *x, int stride, int position) const {
    return (T *)x + (size_t)(tile.start + position) * stride + head * D;
  }
  DEVICE Scores scores() const {
    return {p.scale * log2e, p.bias ? p.bias + (size_t)head * p.biasStride : nullptr, p.biasLength,
            0};
  }
  DEVICE float *logs() const { return p.saved + (size_t)head * p.savedStride + tile.start; }
  DEVICE float *dots() const { return p.dots + (size_t)head * p.positions + tile.start; }
};

/// <dO, o> of 16 positions.
template <class T, int D> DEVICE void outputDots(const SoftmaxSequence<T, D> &s) {
  int g = (threadIdx.x & 31) >> 2, t = threadIdx.x & 3, first = s.tile.row + g;
  Left<T, D> a, b;
  loadLeft(a, s.rows(s.p.dO, s.p.dOStride), first, true, first + 8, true);
  loadLeft(b, s.rows(s.p.o, s.p.oStride), first, true, first + 8, true);
  float sum[2] = {0, 0};
#pragma unroll
  for (int n = 0; n < tileColumns<D> / 16; n++)
#pragma unroll
    for (int m = 0; m < 4; m++) {  // m even: row g, odd: row g + 8
      sum[m & 1] = fmaf(lowOf(a.x[n][m]), lowOf(b.x[n][m]), sum[m & 1]);
      sum[m & 1] = fmaf(highOf(a.x[n][m]), highOf(b.x[n][m]), sum[m & 1]);
    }
#pragma unroll
  for (int u = 0; u < 2; u++) {
    sum[u] += __shfl_xor_sync(FULL, sum[u], 1);
    sum[u] += __shfl_xor_sync(FULL, sum[u], 2);
    if (t == 0 && first + 8 * u < s.tile.length) s.dots()[first + 8 * u] = sum[u];
  }
}

/// dk and dv of 16 positions.
template <class T, int D> DEVICE void keyGradients(const SoftmaxSequence<T, D> &s) {
  const AttentionArguments &p = s.p;
  int g = (threadIdx.x & 31) >> 2, j[2] = {s.tile.row + g, s.tile.row + g + 8};
  Left<T, D> k, v;
  loadLeft(k, s.rows(p.k, p.kStride), j[0], true, j[1], true);
  loadLeft(v, s.rows(p.v, p.vStride), j[0], true, j[1], true);
  Sums<D> dk, dv;
  clear(dk), clear(dv);
  QuerySide<T> queries = {s.rows(p.q, p.qStride), s.rows(p.dO, p.dOStride), s.logs(), s.dots()};
  addKeyGradient<T, D>(dk, dv, k, v, j, queries, s.tile.row, s.tile.length, 0, 0, 1, s.scores());
#pragma unroll
  for (int u = 0; u < 2; u++) {
    if (j[u] >= s.tile.length) continue;
    storeRow<T, D>(s.row(p.dk, p.dkStride, j[u]), dk, u, p.scale);
    storeRow<T, D>(s.row(p.dv, p.dvStride, j[u]), dv, u, 1);
  }
}

/// dq of 16 positions.
template <class T, int D>
DEVICE void queryGradients(const SoftmaxSequence<T, D> &s, BiasTally &tally) {
  const AttentionArguments &p = s.p;
  int g = (threadIdx.x & 31) >> 2, i[2] = {s.tile.row + g, s.tile.row + g + 8};
  QueryTile<T, D> mine;
  loadLeft(mine.q, s.rows(p.q, p.qStride), i[0], true, i[1], true);
  loadLeft(mine.g, s.rows(p.dO, p.dOStride), i[0], true, i[1], true);
#pragma unroll
  for (int u = 0; u < 2; u++) {
    mine.live[u] = i[u] < s.tile.length;
    mine.log[u] = mine.live[u] ? s.logs()[i[u]] * log2e : 0.0f;
    mine.dot[u] = mine.live[u] ? s.dots()[i[u]] : 0.0f;
  }
  Sums<D> dq;
  clear(dq);
  int limit[2] = {i[0] + 1, i[1] + 1};
  addQueryGradient<T, D>(dq, mine, s.rows(p.k, p.kStride), s.rows(p.v, p.vStride), 0,
                         s.tile.row + 16, limit, i, s.tile.row, 0, s.scores(), tally);
#pragma unroll
  for (int u = 0; u < 2; u++)
    if (mine.live[u]) storeRow<T, D>(s.row(p.dq, p.dqStride, i[u]), dq, u, p.scale);
}
