// Softmax and hierarchical attention for shapes and types that tiles do not take.
#include "attention/plain.h"

/// Means of one level of keys and values; a thread owns a column of a row. The row of the last position
/// of a group makes its mean.
KERNEL(256, plain_means, PlainAttention a, int level, int count) {
  int keys = a.k.columns, columns = keys + a.v.columns, n = (int)(globalThread() / columns);
  if (n >= count) return;
  PlainSequence s(a, n, 0);
  int end = s.position + 1, c = (int)(globalThread() % columns);
  if (end & ((1 << level) - 1)) return;
  int row = (end >> level) - 1, left = 2 * row;
  Matrix from = c < keys ? s.k : s.v, means = c < keys ? s.keyMeans : s.valueMeans;
  if (c >= keys) c -= keys;
  int below = level - 1;
  float x = below ? element(means, s.place(below, left), c) : element(from, left, c);
  float y = below ? element(means, s.place(below, left + 1), c) : element(from, left + 1, c);
  setElement(means, s.place(level, row), c, 0.5f * (x + y));
}

/// One row's output and logarithm; grid (rows, H), dynamic shared memory of a head's values.
KERNEL(32, plain_forward, PlainAttention a) {
  DYNAMIC_SHARED(float, y);
  PlainSequence s(a, blockIdx.x, blockIdx.y);
  int lane = threadIdx.x, i = s.position, width = s.valueWidth(), first, last;
  float m = -infinity(), z = 0;
  for (int c = lane; c < width; c += 32) y[c] = 0;
  for (int l = 0; s.keys(l, i, first, last); l++)
    for (int j = first; j < last; j += 32) {
      float x = j + lane < last ? s.logit(l, i, j + lane) : -infinity();
      float top = fmaxf(m, warpMax(x)), keep = exp2Fast(m - top), p = exp2Fast(x - top);
      m = top, z = fmaf(z, keep, warpSum(p));
      for (int c = lane; c < width; c += 32) y[c] *= keep;
      for (int t = 0; t < min(32, last - j); t++) {
        float weight = __shfl_sync(FULL, p, t);
        for (int c = lane; c < width; c += 32) y[c] = fmaf(weight, s.value(l, j + t, c), y[c]);
      }
    }
  for (int c = lane; c < width; c += 32)
    setElement(a.o, blockIdx.x, s.head * width + c, y[c] / z);
  if (lane == 0 && a.saved.base)
    setElement(a.saved, s.head, blockIdx.x, (m + log2f(z)) * ln2);
}

/// <dO, o> of a row; grid (rows, H).
KERNEL(32, plain_dots, PlainAttention a) {
  PlainSequence s(a, blockIdx.x, blockIdx.y);
  float sum = 0;
  for (int c = threadIdx.x; c < s.valueWidth(); c += 32)
    sum = fmaf(s.slope(s.position, c), element(a.o, blockIdx.x, s.head * s.valueWidth() + c), sum);
  sum = warpSum(sum);
  if (threadIdx.x == 0) setElement(a.dots, s.head, blockIdx.x, sum);
}

/// dq of a row, from all positions that ask with it; grid (rows, H), dynamic shared memory of a head's
/// queries.
KERNEL(32, plain_queries, PlainAttention a) {
  DYNAMIC_SHARED(float, dq);
  PlainSequence s(a, blockIdx.x, blockIdx.y);
  int lane = threadIdx.x, i = s.position, width = s.keyWidth(), first, last;
  for (int c = lane; c < width; c += 32) dq[c] = 0;
  for (int l = 0; s.keys(l, i, first, last) && s.asking(l, i) == i; l++) {
    int end = a.isFine ? i + 1 : min(i + (1 << l), s.length);
    for (int j = first; j < last; j += 32) {
      float sum = 0, p, ds, x = j + lane < last ? s.logit(l, i, j + lane) : -infinity();
      for (int member = i; member < end && j + lane < last; member++) {
        s.weigh(l, member, j + lane, x, p, ds);
        sum += ds;
      }
      for (int t = 0; t < min(32, last - j); t++) {
        float weight = __shfl_sync(FULL, sum, t);
        for (int c = lane; c < width; c += 32) dq[c] = fmaf(weight, s.key(l, j + t, c), dq[c]);
      }
    }
  }
  for (int c = lane; c < width; c += 32)
    setElement(a.dq, blockIdx.x, s.head * width + c, a.scale * dq[c]);
}

/// Positions that see a row of keys of a level.
DEVICE void seers(const PlainSequence &s, int level, int row, int &first, int &last) {
  int size = s.a.blockSize, next = row / size + 1;
  last = s.length;
  if (level == 0) {
    first = row;
    if (next + 1 <= s.length / size) last = (next + 1) * size;
    return;
  }
  int half = row % size < size / 2 ? 0 : size / 2;
  long long from = (long long)(next * size + half) << level;
  long long to = (long long)((next + 1) * size) << level;
  first = from < last ? (int)from : last;
  if (to < last) last = (int)to;
}

/// Gradients of a row of keys and values of one level, which the row of its last position computes; at
/// level 0, after the others, dk and dv. Grid (rows, H), dynamic shared memory of a head's keys and
/// values.
KERNEL(32, plain_keys, PlainAttention a, int level) {
  DYNAMIC_SHARED(float, dk);
  PlainSequence s(a, blockIdx.x, blockIdx.y);
  int lane = threadIdx.x, D = s.keyWidth(), E = s.valueWidth(), first, last;
  if ((s.position + 1) & ((1 << level) - 1)) return;
  float *dv = dk + D;
  int row = ((s.position + 1) >> level) - 1;
  for (int c = lane; c < D; c += 32) dk[c] = 0;
  for (int c = lane; c < E; c += 32) dv[c] = 0;
  seers(s, level, row, first, last);
  for (int j = first; j < last; j += 32) {
    float p = 0, ds = 0;
    if (j + lane < last) s.weigh(level, j + lane, row, s.logit(level, j + lane, row), p, ds);
    for (int t = 0; t < min(32, last - j); t++) {
      float weight = __shfl_sync(FULL, p, t), slope = __shfl_sync(FULL, ds, t);
      for (int c = lane; c < D; c += 32) dk[c] = fmaf(slope, s.query(level, j + t, c), dk[c]);
      for (int c = lane; c < E; c += 32) dv[c] = fmaf(weight, s.slope(j + t, c), dv[c]);
    }
  }
  if (level > 0) {
    int to = s.start + s.place(level, row);
    for (int c = lane; c < D; c += 32) setElement(a.keySlopes, to, s.head * D + c, dk[c]);
    for (int c = lane; c < E; c += 32) setElement(a.valueSlopes, to, s.head * E + c, dv[c]);
    return;
  }
  for (int l = 1; (s.length - 1) / a.blockSize >> l > 0; l++) {
    int group = row >> l;
    if ((long long)(group + 1) << l > s.length) break;
    int at = s.start + s.place(l, group);
    float share = exp2f((float)-l);
    for (int c = lane; c < D; c += 32)
      dk[c] = fmaf(element(a.keySlopes, at, s.head * D + c), share, dk[c]);
    for (int c = lane; c < E; c += 32)
      dv[c] = fmaf(element(a.valueSlopes, at, s.head * E + c), share, dv[c]);
  }
  for (int c = lane; c < D; c += 32)
    setElement(a.dk, blockIdx.x, s.head * D + c, a.scale * dk[c]);
  for (int c = lane; c < E; c += 32) setElement(a.dv, blockIdx.x, s.head * E + c, dv[c]);
}

/// The slope of the bias of 64 rows, by distance; grid (chunks, H).
KERNEL(32, plain_bias, PlainAttention a, int count) {
  int lane = threadIdx.x, width = a.bias.columns, head = blockIdx.y, first, last;
  float *bins = (float *)a.tallies.base + (size_t)blockIdx.x * a.tallies.stride + head * width;
  for (int d = lane; d < width; d += 32) bins[d] = 0;
  for (int n = 64 * blockIdx.x; n < min(64 * (int)blockIdx.x + 64, count); n++) {
    PlainSequence s(a, n, head);
    int i = s.position;
    for (int l = 0; s.keys(l, i, first, last); l++)
      for (int j = first; j < last; j += 32) {
        float p, ds = 0;
        int distance = -1;
        if (j + lane < last) {
          s.weigh(l, i, j + lane, s.logit(l, i, j + lane), p, ds);
          distance = s.distance(l, i, j + lane);
        }
        // Lanes have distances of their own, but for the last, which many share.
        float far = warpSum(distance == width - 1 ? ds : 0.0f);
        if (distance >= 0 && distance < width - 1) bins[distance] += ds;
        if (lane == 0) bins[width - 1] += far;
        __syncwarp();
      }
  }
}
