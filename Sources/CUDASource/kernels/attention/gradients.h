// Gradients of queries, keys, values and of the bias, sixteen rows a warp.
//
// Scores are computed once more in either pass, so that every sum has one owner and needs no atomics.
#pragma once
#include "attention/scores.h"

/// What one warp sums up about the bias, and a tile to turn it in.
struct BiasTally {
  float *bins;  // [width], shared memory of this warp; null if nobody asks
  float *tile;  // [16, 36]: what belongs to a distance stands in a column of its own

  static constexpr int stride = 36;  // 31 are used; so few of a row's writers meet in a bank

  /// Floats of shared memory that a block needs.
  static DEVICE int floats(int width) { return warpsPerBlock * (width + 16 * stride); }

  DEVICE BiasTally(float *room, int width, bool wanted) {
    int warp = threadIdx.x >> 5;
    bins = wanted ? room + warp * width : nullptr;
    tile = room + warpsPerBlock * width + warp * 16 * stride;
    if (wanted)
      for (int d = threadIdx.x & 31; d < width; d += 32) bins[d] = 0;
  }

  /// Has to be called before `add` has another `shift` than before: it clears what nobody writes.
  DEVICE void begin() {
    if (!bins) return;
    __syncwarp();
    for (int n = threadIdx.x & 31; n < 16 * stride; n += 32) tile[n] = 0;
  }

  /// Adds ds (rows = queries, in C's layout) to the bins of distance base + (r >> shift) - c.
  DEVICE void add(const float (&ds)[2][4], int base, int shift, int width) {
    if (!bins) return;
    int lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3;
    __syncwarp();
#pragma unroll
    for (int n = 0; n < 2; n++)
#pragma unroll
      for (int e = 0; e < 4; e++) {
        int r = g + 8 * (e >> 1);
        tile[stride * r + (r >> shift) - (8 * n + 2 * t + (e & 1)) + 15] = ds[n][e];
      }
    __syncwarp();
    int distance = base + lane - 15;  // of this lane's column; lane 31 has none
    float sum = 0;
#pragma unroll
    for (int r = 0; r < 16; r++) sum += tile[stride * r + lane];
    if (base + 15 >= width - 1) {  // some diagonals share the last bin
      float far = warpSum(distance >= width - 1 ? sum : 0.0f);
      if (lane == 0) bins[width - 1] += far;
    }
    if (lane < 31 && distance >= 0 && distance < width - 1) bins[distance] += sum;
    __syncwarp();
  }

  /// Adds the sums of the block's warps and writes them to row `row` of the head's tallies; all
  /// threads of the block call it.
  static DEVICE void store(const AttentionArguments &p, const float *room, int head, int row) {
    __syncthreads();
    int width = p.biasLength;
    float *to = p.tallies + ((size_t)head * p.tallyRows + row) * width;
    for (int d = threadIdx.x; d < width; d += blockDim.x) {
      float sum = 0;
      for (int w = 0; w < warpsPerBlock; w++) sum += room[w * width + d];
      to[d] = sum;
    }
  }
};

/// 16 queries and what belongs to them; rows that are not live take no part.
template <class T, int D> struct QueryTile {
  Left<T, D> q, g;  // queries, and gradients of their outputs
  float log[2];     // logarithms of denominators, base 2
  float dot[2];     // <g, o>
  bool live[2];
};

/// dq += ds K over keys first ..< last, of which row u sees those below limit[u].
///
/// `index` are the rows' own numbers at this level, `base` that of the first; `shift` as in
/// `BiasTally.add`.
template <class T, int D, class R, class S>
DEVICE void addQueryGradient(
    Sums<D> &dq, const QueryTile<T, D> &mine, const R &keys, const R &values, int first, int last,
    const int (&limit)[2], const int (&index)[2], int base, int shift, const S &scores,
    BiasTally &tally) {
  int t = threadIdx.x & 3;
  for (int j = first; j < last; j += 16) {
    float s[2][4], dp[2][4];
    dotRows<T, D>(s, mine.q, keys, j);
    dotRows<T, D>(dp, mine.g, values, j);
#pragma unroll
    for (int n = 0; n < 2; n++)
#pragma unroll
      for (int e = 0; e < 4; e++) {
        int key = j + 8 * n + 2 * t + (e & 1), u = e >> 1;
        bool live = mine.live[u] && key < limit[u];
        float x = scores.logit(s[n][e], index[u] - key);
        float p = live ? exp2Fast(x - mine.log[u]) : 0.0f;
        s[n][e] = live ? p * (dp[n][e] - mine.dot[u]) : 0.0f;
      }
    tally.add(s, base - j, shift, scores.width);
    Pair<T> ds[4];
    asLeft(ds, s);
    addProduct<T, D>(dq, ds, keys, j);
  }
}

/// Queries of one level that rows of keys meet.
template <class R> struct QuerySide {
  R q, g;             // queries, and gradients of their outputs
  const float *logs;  // of every row, natural logarithm of the denominator
  const float *dots;  // of every row, <g, o>
};

/// The 16 rows of keys and values that a warp owns; those that are not live read as zero.
template <class R> struct KeySide {
  R k, v;
  int row[2];
  bool live[2];

  template <class T, int D> DEVICE void load(Left<T, D> &a, const R &rows, int further = 0) const {
    loadLeft(a, rows, row[0] + further, R::isShared || live[0], row[1] + further,
             R::isShared || live[1]);
  }
};

/// dk += ds^T Q and dv += P^T G, times `weight`, over query rows first ..< last.
///
/// Owned rows have their numbers at this level. A query row i has the number i >> shift.
/// `half`, if it is not 0, is the size of a block: query rows of the first half of a block see only
/// the first half of a block of keys; otherwise query i sees key j if j <= i.
template <class T, int D, class R, class S>
DEVICE void addKeyGradient(
    Sums<D> &dk, Sums<D> &dv, const KeySide<R> &keys, const QuerySide<R> &queries, int first,
    int last, int shift, int half, float weight, const S &scores) {
  int t = threadIdx.x & 3;
  const int(&key)[2] = keys.row;
  auto isLate = [half](int row) { return row % half >= half / 2; };
  // Staged blocks of a level above 0 have 16 rows (attention/hierarchical_staged.h).
  int mask = half ? 8 : -1;
  Left<T, D> k, v;
  keys.load(k, keys.k), keys.load(v, keys.v);
  for (int i = first; i < last; i += 16) {
    float s[2][4], dp[2][4];
    dotRows<T, D>(s, k, queries.q, i);
    // What is near is loaded again rather than kept where registers are few; no compiler may know that
    // the rows are the same.
    if constexpr (R::isShared) keys.load(v, keys.v, min(i, 0));
    dotRows<T, D>(dp, v, queries.g, i);
#pragma unroll
    for (int n = 0; n < 2; n++)
#pragma unroll
      for (int odd = 0; odd < 2; odd++) {
        int query = i + 8 * n + 2 * t + odd, index = query >> shift;
        bool inside = query < last;
        float log = inside || R::isShared ? queries.logs[query] * log2e : 0.0f;
        float dot = inside || R::isShared ? queries.dots[query] : 0.0f;
#pragma unroll
        for (int upper = 0; upper < 2; upper++) {
          int e = 2 * upper + odd;
          bool live = inside;
          if constexpr (R::isShared)
            live = live & ((key[upper] & mask) <= (query & mask));
          else
            live = live && (half ? isLate(index) || !isLate(key[upper]) : key[upper] <= query);
          float x = scores.logit(s[n][e], index - key[upper]);
          float p = live ? exp2Fast(x - log) : 0.0f;
          s[n][e] = live ? weight * p * (dp[n][e] - dot) : 0.0f;
          dp[n][e] = weight * p;
        }
      }
    Pair<T> left[4];
    asLeft(left, dp);
    addProduct<T, D>(dv, left, queries.g, i);
    asLeft(left, s);
    addProduct<T, D>(dk, left, queries.q, i);
  }
}
