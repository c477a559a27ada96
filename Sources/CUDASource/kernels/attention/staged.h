// Short sequences in shared memory. The rows of a block's sequences are loaded once, with all loads in
// flight at the same time, instead of one after the other as a tile comes to need them.
#pragma once
#include "attention/scores.h"
#include "attention/share.h"

/// Launch bounds of kernels that stage rows.
#ifdef __CUDACC_RTC__
#define SHORT_THREADS(blocks) 128, (sizeof(NUMBER) == 2 && WIDTH <= 64 ? blocks : 1)
#else
#define SHORT_THREADS(blocks) 128
#endif

/// Rows of a block's tiles in shared memory, tensor after tensor, and behind them `more` rows.
template <class T, int D, int tensors, int more = 0> struct alignas(16) Staged {
  static constexpr int stride = stagedStride<T, D>;
  static constexpr int rows = isStaged<T, D> ? tensors * 16 * warpsPerBlock + more : 1;
  T x[rows * stride];
  float bias[2 * 16 * warpsPerBlock];  // by distance from -64 on, base 2

  /// Row `row` of a tensor of the block; `tensors` for the first row of those behind.
  DEVICE T *at(int tensor, int row) { return x + (tensor * 16 * warpsPerBlock + row) * stride; }
  /// The first row of this warp's tile.
  DEVICE T *mine(int tensor) { return at(tensor, 16 * (int)(threadIdx.x >> 5)); }
};

/// Rows in shared memory. What tiles read of rows that a sequence lacks are zeros or another sequence's
/// rows, which zeros meet, so that nobody has to ask.
template <class T> struct SharedRows {
  static constexpr bool isShared = true;
  const T *base;
  int stride;
  DEVICE const T *at(int row) const { return base + row * stride; }
  DEVICE bool has(int) const { return true; }
};

/// What turns a product into a logit, where the bias is staged.
struct StagedScores {
  float scale;
  const float *bias;  // zeros where there is none
  int width;

  DEVICE float logit(float dot, int distance) const {
    return fmaf(dot, scale, bias[distance + 16 * warpsPerBlock]);
  }
};

/// The same at any level; the backward pass takes the level from the logarithm instead.
struct StagedLevelScores {
  StagedScores scores;
  float level;

  DEVICE float logit(float dot, int distance) const { return scores.logit(dot, distance) + level; }
};

/// The bias of a distance for each of the block's 128 threads. It is loaded before rows are and staged
/// behind them, so that nobody waits in between.
DEVICE float loadBias(const AttentionArguments &p, int head) {
  if (!p.bias) return 0;
  int distance = max((int)threadIdx.x - 16 * warpsPerBlock, 0);
  return p.bias[(size_t)head * p.biasStride + min(distance, p.biasLength - 1)];
}
template <class Room> DEVICE void stageBias(Room &room, float bias) {
  room.bias[threadIdx.x] = bias * log2e;
}
/// Zeros for a tensor of a warp that has no tile.
template <class T, int D, class Room> DEVICE void stageZeros(Room &room, int tensors) {
  Share<T, D> none = {};
  for (int n = 0; n < tensors; n++) none.put(room.mine(n));
}
template <class Room>
DEVICE StagedScores stagedScores(const Room &room, const AttentionArguments &p) {
  return {p.scale * log2e, room.bias, p.biasLength};
}

/// Stages queries (tensor 0), keys (1) and values (2) of this warp's tile, rotated if they are to be;
/// then they are rotated in memory as well.
template <class T, int D, class Room>
DEVICE void stageInputs(
    Room &room, const AttentionArguments &p, const AttentionTile &tile, int head) {
  Share<T, D> q, k, v;
  q.load(p.q, p.qStride, tile, head), k.load(p.k, p.kStride, tile, head);
  if (p.rotation) {
    Angles<T, D> angles;
    angles.load(p.rotation, tile);
    v.load(p.v, p.vStride, tile, head);
    angles.turn(q), angles.turn(k);
    q.store(p.q, p.qStride, tile, head), k.store(p.k, p.kStride, tile, head);
  } else {
    v.load(p.v, p.vStride, tile, head);
  }
  q.put(room.mine(0)), k.put(room.mine(1)), v.put(room.mine(2));
  __syncwarp();
}

/// Stages q, k, v and dO (3) of this warp's tile, the logarithms of its denominators, and <dO, o>.
template <class T, int D, class Room>
DEVICE void stageGradients(
    Room &room, const AttentionArguments &p, const AttentionTile &tile, int head) {
  using S = Share<T, D>;
  int lane = threadIdx.x & 31, first = 16 * (int)(threadIdx.x >> 5);
  S q, k, v, g, o;
  g.load(p.dO, p.dOStride, tile, head), o.load(p.o, p.oStride, tile, head);
  q.load(p.q, p.qStride, tile, head), k.load(p.k, p.kStride, tile, head);
  v.load(p.v, p.vStride, tile, head);
  float log = infinity();
  if (lane < 16 && tile.row + lane < tile.length)
    log = p.saved[(size_t)head * p.savedStride + tile.start + tile.row + lane];
  if (lane < 16) room.logs[first + lane] = log;
#pragma unroll
  for (int n = 0; n < S::tasks; n++) {
    float sum = 0;
#pragma unroll
    for (int e = 0; e < 8; e++) {
      sum = fmaf(lowOf(g.x[n][e / 4][e % 4]), lowOf(o.x[n][e / 4][e % 4]), sum);
      sum = fmaf(highOf(g.x[n][e / 4][e % 4]), highOf(o.x[n][e / 4][e % 4]), sum);
    }
#pragma unroll
    for (int by = S::lanes / 2; by > 0; by >>= 1) sum += __shfl_xor_sync(FULL, sum, by);
    if (S::column() == 0) room.dots[first + S::row(n)] = sum;
  }
  q.put(room.mine(0)), k.put(room.mine(1)), v.put(room.mine(2)), g.put(room.mine(3));
  __syncwarp();
}

/// Whether the lane that holds a column of a result holds, two lanes on, the one that a rotation pairs
/// with it.
template <int D> constexpr bool turnsInRegisters = D == 32 || D == 64;

DEVICE Pair<bf16> twoLanesOn(Pair<bf16> x) { return {__shfl_xor_sync(FULL, x.word, 2)}; }
DEVICE Pair<float> twoLanesOn(Pair<float> x) {
  return {__shfl_xor_sync(FULL, x.low, 2), __shfl_xor_sync(FULL, x.high, 2)};
}

/// Writes `factor` times row g or g + 8 of a gradient, if it is live, turned back by the angles of its
/// position if there are any. All lanes call it.
template <class T, int D>
DEVICE void storeTurned(
    T *to, Sums<D> &sum, int upper, float factor, bool live, const float *angles) {
  if constexpr (turnsInRegisters<D>) {
    constexpr int W = runWidth<D>;
    int t = threadIdx.x & 3;
#pragma unroll
    for (int half = 0; half < 2; half++) {
      Pair<T> x[W / 2];
#pragma unroll
      for (int n = 0; n < W / 2; n++)
        setPair(x[n], factor * sum.x[2 * n][2 * upper + half],
                factor * sum.x[2 * n + 1][2 * upper + half]);
      if (angles) {
        Pair<float> c[W / 2], s[W / 2];
        const float *from = angles + 2 * W * (t & 1) + W * half;
        loadPairs<W>(c, from, live), loadPairs<W>(s, from + D / 2, live);
#pragma unroll
        for (int n = 0; n < W / 2; n++) {
          Pair<T> y = twoLanesOn(x[n]);
          float low = t < 2 ? s[n].low : -s[n].low, high = t < 2 ? s[n].high : -s[n].high;
          setPair(x[n], fmaf(lowOf(x[n]), c[n].low, lowOf(y) * low),
                  fmaf(highOf(x[n]), c[n].high, highOf(y) * high));
        }
      }
      if (live) storePairs<W>(to + 2 * W * t + W * half, x);
    }
  } else {
    if (live) storeRow<T, D>(to, sum, upper, factor);
  }
}
