// Where tensors of softmax attention are, as one head and one sequence see them, and its gradients.
#pragma once
#include "attention/gradients.h"
#include "attention/staged.h"

/// A sequence in memory.
template <class T, int D> struct SoftmaxSequence {
  const AttentionArguments &p;
  AttentionTile tile;
  int head;

  /// Rows of a tensor of the batch.
  DEVICE Rows<T> rows(const void *x, int stride) const {
    return {(const T *)x + (size_t)tile.start * stride + head * D, (size_t)stride, tile.length};
  }
  DEVICE Rows<T> queries() const { return rows(p.q, p.qStride); }
  DEVICE Rows<T> keys() const { return rows(p.k, p.kStride); }
  DEVICE Rows<T> values() const { return rows(p.v, p.vStride); }
  DEVICE Rows<T> gradients() const { return rows(p.dO, p.dOStride); }
  DEVICE T *row(void *x, int stride, int position) const {
    return (T *)x + (size_t)(tile.start + position) * stride + head * D;
  }
  DEVICE Scores scores() const {
    return {p.scale * log2e, p.bias ? p.bias + (size_t)head * p.biasStride : nullptr, p.biasLength,
            0};
  }
  DEVICE float *logs() const { return p.saved + (size_t)head * p.savedStride + tile.start; }
  DEVICE float *dots() const { return p.dots + (size_t)head * p.positions + tile.start; }
  /// Writes row g or g + 8 of a gradient; whoever turns it back does so in memory.
  DEVICE void store(void *x, int stride, int position, Sums<D> &sum, int u, float factor, bool) const {
    if (position < tile.length) storeRow<T, D>(row(x, stride, position), sum, u, factor);
  }
};

/// What a block of the backward pass stages.
template <class T, int D> struct SoftmaxRoom : Staged<T, D, 4> {
  float logs[16 * warpsPerBlock], dots[16 * warpsPerBlock];
};

/// A sequence that is staged.
template <class T, int D, class Room> struct StagedSoftmaxSequence : SoftmaxSequence<T, D> {
  Room &room;
  int first;  // row of the block that is the sequence's first

  DEVICE StagedSoftmaxSequence(
      const AttentionArguments &p, const AttentionTile &tile, int head, Room &room)
      : SoftmaxSequence<T, D>{p, tile, head}, room(room) {
    first = 16 * (int)(threadIdx.x >> 5) - tile.row;
  }
  DEVICE SharedRows<T> rows(int tensor) const {
    return {room.at(tensor, first), Room::stride};
  }
  DEVICE SharedRows<T> queries() const { return rows(0); }
  DEVICE SharedRows<T> keys() const { return rows(1); }
  DEVICE SharedRows<T> values() const { return rows(2); }
  DEVICE SharedRows<T> gradients() const { return rows(3); }
  DEVICE StagedScores scores() const { return stagedScores(room, this->p); }
  DEVICE const float *logs() const { return room.logs + first; }
  DEVICE const float *dots() const { return room.dots + first; }
  DEVICE void store(
      void *x, int stride, int position, Sums<D> &sum, int u, float factor, bool turns) const {
    const float *table = turns ? this->p.rotation : nullptr;
    storeTurned<T, D>(this->row(x, stride, position), sum, u, factor, position < this->tile.length,
                      table ? table + (size_t)position * D : nullptr);
  }
};

/// <dO, o> of 16 positions.
template <class T, int D> DEVICE void outputDots(const SoftmaxSequence<T, D> &s) {
  int g = (threadIdx.x & 31) >> 2, t = threadIdx.x & 3, first = s.tile.row + g;
  Left<T, D> a, b;
  loadLeft(a, s.gradients(), first, true, first + 8, true);
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

/// dk and dv of 16 positions of a sequence in memory or of one that is staged.
template <class T, int D, class Sequence> DEVICE void keyGradients(const Sequence &s) {
  const AttentionArguments &p = s.p;
  int g = (threadIdx.x & 31) >> 2, j[2] = {s.tile.row + g, s.tile.row + g + 8};
  Sums<D> dk, dv;
  clear(dk), clear(dv);
  using R = decltype(s.keys());
  KeySide<R> keys = {s.keys(), s.values(), {j[0], j[1]}, {true, true}};
  QuerySide<R> queries = {s.queries(), s.gradients(), s.logs(), s.dots()};
  addKeyGradient<T, D>(dk, dv, keys, queries, s.tile.row, s.tile.length, 0, 0, 1, s.scores());
#pragma unroll
  for (int u = 0; u < 2; u++) {
    s.store(p.dk, p.dkStride, j[u], dk, u, p.scale, true);
    s.store(p.dv, p.dvStride, j[u], dv, u, 1, false);
  }
}

/// dq of 16 positions.
template <class T, int D, class Sequence>
DEVICE void queryGradients(const Sequence &s, BiasTally &tally) {
  const AttentionArguments &p = s.p;
  int g = (threadIdx.x & 31) >> 2, i[2] = {s.tile.row + g, s.tile.row + g + 8};
  QueryTile<T, D> mine;
  loadLeft(mine.q, s.queries(), i[0], true, i[1], true);
  loadLeft(mine.g, s.gradients(), i[0], true, i[1], true);
#pragma unroll
  for (int u = 0; u < 2; u++) {
    mine.live[u] = i[u] < s.tile.length;
    mine.log[u] = mine.live[u] ? s.logs()[i[u]] * log2e : 0.0f;
    mine.dot[u] = mine.live[u] ? s.dots()[i[u]] : 0.0f;
  }
  Sums<D> dq;
  clear(dq);
  tally.begin();
  int limit[2] = {i[0] + 1, i[1] + 1};
  addQueryGradient<T, D>(dq, mine, s.keys(), s.values(), 0, s.tile.row + 16, limit, i, s.tile.row,
                         0, s.scores(), tally);
#pragma unroll
  for (int u = 0; u < 2; u++) s.store(p.dq, p.dqStride, i[u], dq, u, p.scale, true);
}
