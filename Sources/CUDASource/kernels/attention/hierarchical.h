// Hierarchical attention: where rows of every level are, as one head and one sequence see them.
//
// Row J of level l >= 1 stands for positions J 2^l ..< (J + 1) 2^l. Means of keys and values exist for
// complete rows alone and are kept as a tree in order: row J of level l is row J 2^l + 2^(l-1) - 1 of
// its matrix, so that no two share one, all lie below the sequence's length, and none moves when the
// sequence grows.
//
// With coarse queries a row asks with the query of its first position. Levels 1 ... `nearLevels` are
// computed for every position, even where the query repeats: sixteen keys a level cost less than
// results in memory. Rows of higher levels, at most one for every tile of 16 positions, are computed
// once: "far" rows.
#pragma once
#include "attention/gradients.h"
#include "attention/staged.h"

/// Levels that are computed inside a tile with coarse queries; 16 >> nearLevels rows of it differ.
constexpr int nearLevels = 3;

/// 2^-l.
DEVICE float powerOfHalf(int l) { return __uint_as_float((unsigned)(127 - l) << 23); }

/// Rows of levels from ..< level of a sequence, ceil(length / 2^m) each.
DEVICE int rowsBefore(int length, int from, int level) {
  unsigned x = length - 1;
  auto halvings = [x](int n) {  // sum of x >> m, m = 1 ... n
    return (int)((x - __popc(x)) - ((x >> n) - __popc(x >> n)));
  };
  return level - from + halvings(level - 1) - halvings(from - 1);
}

/// The highest level at which a sequence has a block left of its last.
DEVICE int topLevel(int length, int blockSize) {
  int last = (length - 1) / blockSize;
  return last ? 31 - __clz(last) : 0;
}

/// A sequence in memory.
template <class T, int D> struct Sequence {
  static constexpr bool isStaged = false;
  static constexpr int near = nearLevels;
  const AttentionArguments &p;
  AttentionTile tile;
  int head;
  const T *q, *k, *v, *keyMeans, *valueMeans;  // of this head, from position 0 on
  T *o;
  int first;  // position that is asked for first

  DEVICE Sequence(const AttentionArguments &p, const AttentionTile &tile, int head)
      : p(p), tile(tile), head(head) {
    q = batch(p.q, p.qStride), k = batch(p.k, p.kStride), v = batch(p.v, p.vStride);
    o = (T *)batch(p.o, p.oStride), first = 0;
    keyMeans = batch(p.keyMeans, width()), valueMeans = batch(p.valueMeans, width());
  }
  /// The same, of a batch or of streams.
  DEVICE void find() {
    if (!p.streams) return;
    const AttentionStream &stream = ((const AttentionStream *)p.streams)[tile.start];
    int column = head * D;
    q = (const T *)stream.q + column, k = (const T *)stream.k + column;
    v = (const T *)stream.v + column, o = (T *)stream.o + column;
    keyMeans = (const T *)stream.keyMeans + column;
    valueMeans = (const T *)stream.valueMeans + column;
    first = (int)stream.first;
  }

  DEVICE int width() const { return p.heads * D; }
  DEVICE int rows(int level) const { return ((tile.length - 1) >> level) + 1; }
  DEVICE const T *batch(const void *x, int stride) const {
    return (const T *)x + (size_t)tile.start * stride + head * D;
  }
  DEVICE T *output(void *x, int stride, int position) const {
    return (T *)x + (size_t)(tile.start + position) * stride + head * D;
  }

  /// Writes row g or g + 8 of a gradient; whoever turns it back does so in memory.
  DEVICE void store(void *x, int stride, int position, Sums<D> &sum, int u, float factor, bool) const {
    if (position < tile.length) storeRow<T, D>(output(x, stride, position), sum, u, factor);
  }

  /// Queries of every 2^level-th position.
  DEVICE Rows<T> queries(int level) const {
    return {q, (size_t)p.qStride << level, rows(level)};
  }
  DEVICE Rows<T> keys(int level) const { return pyramid(k, p.kStride, keyMeans, level); }
  DEVICE Rows<T> values(int level) const { return pyramid(v, p.vStride, valueMeans, level); }
  DEVICE Rows<T> pyramid(const T *x, int stride, const T *means, int level) const {
    if (level == 0) return {x, (size_t)stride, tile.length};
    size_t below = ((size_t)1 << (level - 1)) - 1;
    return {means + below * width(), (size_t)width() << level, tile.length >> level};
  }

  /// Row of a level in what the backward pass keeps of queries, incomplete rows as well.
  DEVICE size_t levelRow(int level) const {
    return (size_t)tile.start + rowsBefore(tile.length, 1, level);
  }
  /// Gradients of outputs, or their sums over the positions that ask together.
  DEVICE Rows<T> gradients(int level) const {
    if (level == 0) return {batch(p.dO, p.dOStride), (size_t)p.dOStride, tile.length};
    return {(const T *)p.gradientMeans + levelRow(level) * width() + head * D, (size_t)width(),
            rows(level)};
  }
  DEVICE float *saved() const { return p.saved + (size_t)head * p.savedStride + tile.start; }
  DEVICE float *logs(int level) const {
    return level ? p.rowLogs + (size_t)head * p.positions + levelRow(level) : saved();
  }
  DEVICE float *dots(int level) const {
    return level ? p.rowDots + (size_t)head * p.positions + levelRow(level)
                 : p.dots + (size_t)head * p.positions + tile.start;
  }
  DEVICE Scores scores(int level) const {
    return {p.scale * log2e, p.bias ? p.bias + (size_t)head * p.biasStride : nullptr,
            p.biasLength, level};
  }
  /// The same for the backward pass.
  DEVICE Scores slopes(int level) const { return scores(level); }
  /// Far row of row `row` of a level above `near`. Streams have rows of a tile for every level.
  DEVICE size_t farRow(int near, int level, int row) const {
    if (p.streams) return (size_t)tile.far + 16 * (level - near - 1) + row % 16;
    return (size_t)tile.far + rowsBefore(tile.length, near + 1, level) + row;
  }
};

/// Lanes that share a row where a lane holds eight neighbours of it.
template <int D> constexpr int rowLanes = D <= 32 ? 4 : D <= 64 ? 8 : 16;

/// Means of the 16 rows of a tile, up to four levels above its own.
///
/// Every lane holds neighbours of `rowLanes / 2` rows, so the first levels need no other lane.
template <class T, int D>
DEVICE void tileMeans(const Sequence<T, D> &s, const Rows<T> &from, const T *means, int top) {
  constexpr int L = rowLanes<D>, R = L / 2;
  int lane = threadIdx.x & 31, group = lane / L, column = 8 * (lane % L);
  int base = s.tile.level, first = s.tile.row + R * group;
  float x[R][8];
#pragma unroll
  for (int r = 0; r < R; r++)
    loadRow(x[r], from.at(first + r) + column, column < D && from.has(first + r));
  auto store = [&](const float(&mean)[8], int step, int row) {
    int level = base + step;
    if (column >= D || level > top || (long long)(row + 1) << level > s.tile.length) return;
    size_t at = ((size_t)row << level) + ((size_t)1 << (level - 1)) - 1;
    storeRow((T *)means + at * s.width() + column, mean);
  };
#pragma unroll
  for (int step = 1; 1 << step <= 16; step++) {
    if (1 << step <= R) {
#pragma unroll
      for (int n = 0; n < R >> step; n++) {
#pragma unroll
        for (int e = 0; e < 8; e++) x[n][e] = 0.5f * (x[2 * n][e] + x[2 * n + 1][e]);
        store(x[n], step, (first >> step) + n);
      }
    } else {
      int by = L * ((1 << step) / R / 2);  // lanes to the group beside this one
#pragma unroll
      for (int e = 0; e < 8; e++) x[0][e] = 0.5f * (x[0][e] + __shfl_xor_sync(FULL, x[0][e], by));
      if (group % ((1 << step) / R) == 0) store(x[0], step, first >> step);
    }
  }
}
