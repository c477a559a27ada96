// Attention of any shape by plain loops: a warp for a row and a head, a lane for a key.
//
// Softmax attention is hierarchical attention whose one block has room for every sequence.
#pragma once
#include "attention.h"
#include "device.h"

/// The tensors of one sequence, from its position 0 on, and the row that the warp works on.
struct PlainSequence {
  const PlainAttention &a;
  int head, start, length, position;
  Matrix q, k, v, keyMeans, valueMeans;

  DEVICE PlainSequence(const PlainAttention &a, int n, int head)
      : a(a), head(head), q(a.q), k(a.k), v(a.v), keyMeans(a.keyMeans), valueMeans(a.valueMeans) {
    AttentionRow row = ((const AttentionRow *)a.rows)[n];
    start = row.start, length = row.length, position = row.position;
    if (a.streams) {
      AttentionStream stream = ((const AttentionStream *)a.streams)[start];
      q.base = stream.q, k.base = stream.k, v.base = stream.v;
      keyMeans.base = stream.keyMeans, valueMeans.base = stream.valueMeans;
      return;
    }
    advance(q), advance(k), advance(v), advance(keyMeans), advance(valueMeans);
  }
  DEVICE void advance(Matrix &m) const {
    if (m.base)
      m.base = (char *)m.base + (m.type == NUMBER_FLOAT ? 4 : 2) * (size_t)start * m.stride;
  }

  /// Widths of a head.
  DEVICE int keyWidth() const { return q.columns / a.heads; }
  DEVICE int valueWidth() const { return a.o.columns / a.heads; }
  /// The head of keys and values that the queries of this one share.
  DEVICE int shared() const { return head / a.group; }

  /// Where means of a level are: a tree in order (attention/hierarchical.h).
  static DEVICE int place(int level, int row) {
    return (row << level) + (1 << (level - 1)) - 1;
  }
  DEVICE float key(int level, int row, int c) const {
    int column = shared() * keyWidth() + c;
    return level ? element(keyMeans, place(level, row), column) : element(k, row, column);
  }
  DEVICE float value(int level, int row, int c) const {
    int column = shared() * valueWidth() + c;
    return level ? element(valueMeans, place(level, row), column) : element(v, row, column);
  }
  /// The position whose query a position asks with at a level.
  DEVICE int asking(int level, int i) const { return a.isFine ? i : i >> level << level; }
  DEVICE float query(int level, int i, int c) const {
    return element(q, asking(level, i), head * keyWidth() + c);
  }
  /// Gradient of the output of a position.
  DEVICE float slope(int i, int c) const {
    return element(a.dO, start + i, head * valueWidth() + c);
  }

  /// Rows of keys that a position sees at a level.
  DEVICE bool keys(int level, int i, int &first, int &last) const {
    int block = i / a.blockSize;
    if (level == 0) {
      first = max(0, block - 1) * a.blockSize, last = i + 1;
      return true;
    }
    if (block >> level == 0) return false;
    first = ((block >> level) - 1) * a.blockSize;
    last = first + ((block >> (level - 1)) & 1 ? a.blockSize : a.blockSize / 2);
    return true;
  }

  DEVICE int distance(int level, int i, int row) const {
    return min((i >> level) - row, a.bias.columns - 1);
  }
  /// Logit in base 2 of a position and a row of keys, which counts as 2^level keys.
  DEVICE float logit(int level, int i, int row) const {
    float dot = 0;
    for (int c = 0; c < keyWidth(); c++) dot = fmaf(query(level, i, c), key(level, row, c), dot);
    float bias = a.bias.base ? element(a.bias, head, distance(level, i, row)) * log2e : 0.0f;
    return fmaf(dot, a.scale * log2e, bias) + (float)level;
  }
  /// The weight of a row of keys for position i, and the slope of its logit.
  DEVICE void weigh(int level, int i, int row, float x, float &p, float &ds) const {
    float dp = 0;
    for (int c = 0; c < valueWidth(); c++) dp = fmaf(slope(i, c), value(level, row, c), dp);
    p = exp2Fast(x - element(a.saved, head, start + i) * log2e);
    ds = p * (dp - element(a.dots, head, start + i));
  }
};
