// Short sequences of hierarchical attention in shared memory.
//
// At most four tiles of 16 positions have a second level only if blocks are 16 wide and there are three
// tiles or four, so a block of threads has one such sequence at most. Of level 1 the positions of the
// last two tiles alone ask, rows 16 and further, and those of the first two alone are asked, rows 0 to 15.
#pragma once
#include "attention/hierarchical.h"

/// Rows of a tensor's level 1 that are staged.
constexpr int meanRows = 16;

/// What a block of the backward pass stages: behind the tensors level 1 of keys, values and gradients.
template <class T, int D> struct HierarchicalRoom : Staged<T, D, 4, 3 * meanRows> {
  float logs[16 * warpsPerBlock + meanRows], dots[16 * warpsPerBlock + meanRows];
};

/// Rows R, E and G of one node of the tree, eight columns of it in a lane.
struct Node { float log, dot, g[8]; };

DEVICE void join(Node &a, float log, float dot, const float (&g)[8]) {
  float least = fminf(a.log, log);
  float u = a.log < infinity() ? exp2Fast((least - a.log) * log2e) : 0.0f;
  float w = log < infinity() ? exp2Fast((least - log) * log2e) : 0.0f;
  a.log = least, a.dot = fmaf(w, dot, u * a.dot);
#pragma unroll
  for (int n = 0; n < 8; n++) a.g[n] = fmaf(w, g[n], u * a.g[n]);
}

/// A sequence that is staged; `tensors` are those of the room.
template <class T, int D, class Room, int tensors> struct StagedSequence : Sequence<T, D> {
  static constexpr bool isStaged = true;
  static constexpr int near = 1;
  Room &room;
  int begin;  // row of the block that is the sequence's first

  DEVICE StagedSequence(
      const AttentionArguments &p, const AttentionTile &tile, int head, Room &room)
      : Sequence<T, D>(p, tile, head), room(room) {
    begin = 16 * (int)(threadIdx.x >> 5) - tile.row;
  }
  DEVICE bool hasMeans() const { return topLevel(this->tile.length, this->p.blockSize) > 0; }

  DEVICE SharedRows<T> queries(int level) const {
    return {room.at(0, begin), Room::stride << level};
  }
  DEVICE SharedRows<T> keys(int level) const {
    return {level ? room.at(tensors, 0) : room.at(1, begin), Room::stride};
  }
  DEVICE SharedRows<T> values(int level) const {
    return {level ? room.at(tensors, meanRows) : room.at(2, begin), Room::stride};
  }
  DEVICE SharedRows<T> gradients(int level) const {
    // Row 16 of level 1 is the first that is staged.
    return {level ? room.at(tensors, 2 * meanRows - 16) : room.at(3, begin), Room::stride};
  }
  DEVICE const float *logs(int level) const { return room.logs + place(level); }
  DEVICE const float *dots(int level) const { return room.dots + place(level); }
  DEVICE StagedLevelScores scores(int level) const {
    return {stagedScores(room, this->p), (float)level};
  }
  DEVICE StagedScores slopes(int) const { return stagedScores(room, this->p); }
  DEVICE void store(
      void *x, int stride, int position, Sums<D> &sum, int u, float factor, bool turns) const {
    const float *table = turns ? this->p.rotation : nullptr;
    storeTurned<T, D>(this->output(x, stride, position), sum, u, factor,
                      position < this->tile.length, table ? table + (size_t)position * D : nullptr);
  }

  /// Means of pairs of keys and of values of this warp's tile, if it is one of the first two.
  DEVICE void stageMeans() {
    if (this->tile.row >= 32) return;
    eachPair([&](int row, int column, int to) {
#pragma unroll
      for (int tensor = 1; tensor <= 2; tensor++) {
        const T *from = room.at(tensor, row) + column;
        float a[8], b[8];
        loadRow(a, from, true), loadRow(b, from + Room::stride, true);
#pragma unroll
        for (int e = 0; e < 8; e++) a[e] = 0.5f * (a[e] + b[e]);
        storeRow(room.at(tensors, meanRows * (tensor - 1) + to) + column, a);
      }
    });
  }
  /// R, E and G of pairs of this warp's tile, if it is one of the last two; zeros for G of a fourth tile
  /// that the sequence lacks.
  DEVICE void stageNodes() {
    if (this->tile.row < 32) return;
    eachPair([&](int row, int column, int to) {
      Node node = {room.logs[row], room.dots[row]};
      const T *from = room.at(3, row) + column;
      float other[8];
      loadRow(node.g, from, true), loadRow(other, from + Room::stride, true);
      join(node, room.logs[row + 1], room.dots[row + 1], other);
      to -= 16;
      storeRow(room.at(tensors, 2 * meanRows + to) + column, node.g);
      if (column > 0) return;
      room.logs[16 * warpsPerBlock + to] = node.log;
      room.dots[16 * warpsPerBlock + to] = node.dot;
    });
    if (this->tile.row == 32 && this->tile.length <= 48)
      eachPair([&](int, int column, int to) {
        const float zeros[8] = {};
        storeRow(room.at(tensors, 2 * meanRows + to - 8) + column, zeros);
      });
  }

private:
  DEVICE int place(int level) const { return level ? 16 * warpsPerBlock - 16 : begin; }

  /// Calls `f` for eight columns from `column` on of every two rows of this warp's tile, of which `row`
  /// is the first one's row of the block and `to` their row of level 1.
  template <class F> DEVICE void eachPair(F f) const {
    for (int n = threadIdx.x & 31; n < D; n += 32) {
      int pair = n / (D / 8);
      f(begin + this->tile.row + 2 * pair, 8 * (n % (D / 8)), this->tile.row / 2 + pair);
    }
  }
};
