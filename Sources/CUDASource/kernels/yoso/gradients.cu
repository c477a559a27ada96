// YOSO attention backward; one warp a query or a key and head.
//
//     dX = (dO - o <o, dO>) / |X|     dV = Wᵀ dX     dQ = S K     dK = Sᵀ Q     S = slope(W) (dX Vᵀ)
//
// for unit q and k, then through their scaling. Pairs with counts are collected first, 32 at a time, so
// that only those that agree somewhere cost their rows: 2 m bytes of codes a pair, in lines of 32, and
// 2 D + 2 E numbers from L1 for a pair that counts.
#include "yoso/pairs.h"

/// dX, [N, H E] in single precision; zero for rows without weight.
KERNEL(256, yoso_output_gradients, const Matrix dX, const Matrix dO, const Matrix o,
       const Matrix saved, int heads, float leastNorm) {
  int row = globalWarp(), head = blockIdx.y, width = o.columns / heads;
  if (row >= o.rows) return;
  Row a = headRows(dO, head, width, row)[0], b = headRows(o, head, width, row)[0];
  Row to = headRows(dX, head, width, row)[0];
  float dot = 0, norm = element(saved, head, row), factor = norm > leastNorm ? 1 / norm : 0;
  int first = 2 * (threadIdx.x & 31);
  for (int c = first; c < width; c += 64) {
    float2 x = loadPair(a, c, width), y = loadPair(b, c, width);
    dot = fmaf(x.x, y.x, dot), dot = fmaf(x.y, y.y, dot);
  }
  dot = warpSum(dot);
  for (int c = first; c < width; c += 64) {
    float2 x = loadPair(a, c, width), y = loadPair(b, c, width);
    setNumber(to, c, fmaf(-dot, y.x, x.x) * factor);
    if (c + 1 < width) setNumber(to, c + 1, fmaf(-dot, y.y, x.y) * factor);
  }
}

/// One query or key at hand and those that it meets: `own` is its query or key, `ownOther` its dX or
/// value; rows of the others are in the same order.
struct Meeting {
  const YosoParameters &p;
  const Desk &desk;
  HeadRows rows, others;   // keys and values, or queries and dX
  const float *inverses;   // 1 / norms of the former
  int keyWidth, valueWidth;
  bool ofKey;              // whether a key is at hand, which has a value's gradient too

  /// Adds n <= 32 pairs whose addresses and weights the desk holds: `more` has factors of the slopes.
  DEVICE void add(int n) const {
    int lane = threadIdx.x & 31;
    __syncwarp();
    float slope = dots(desk.value, desk.b, valueWidth) * desk.more[lane];
    __syncwarp();
    desk.more[lane] = slope;
    __syncwarp();
    addRows(desk.keySum, 1, desk.more, desk.a, n, keyWidth);
    if (ofKey) addRows(desk.valueSum, 1, desk.weights, desk.b, n, valueWidth);
    __syncwarp();
  }

  /// Rows from `first` to `end` by probability.
  DEVICE void addProbable(int first, int end, float inverse) const {
    int lane = threadIdx.x & 31;
    for (; first < end; first += 32) {
      int n = min(32, end - first), j = first + min(lane, n - 1);
      desk.a[lane] = rows[j], desk.b[lane] = others[j];
      __syncwarp();
      float2 pair = weightAndSlope(dots(desk.key, desk.a, keyWidth) * inverse * inverses[j], p);
      desk.weights[lane] = pair.x, desk.more[lane] = pair.y * inverses[j];
      add(n);
    }
  }

  /// Rows from `first` to `end` by the counts of their agreements with row `own` of the batch.
  DEVICE void addCounted(int first, int end, const Codes &codes, long long start, int own) const {
    int lane = threadIdx.x & 31, waiting = 0;
    for (; first < end; first += 32) {
      int j = min(first + lane, end - 1);
      int count = ofKey ? codes.agreements(start + j, start + own)
                        : codes.agreements(start + own, start + j);
      bool counts = first + lane < end && count > 0;
      unsigned those = __ballot_sync(FULL, counts);
      if (counts) {
        int place = waiting + __popc(those & ((1u << lane) - 1));
        desk.a[place] = rows[j], desk.b[place] = others[j];
        desk.weights[place] = (float)count, desk.more[place] = (float)count * inverses[j];
      }
      waiting += __popc(those);
      if (waiting < 32) continue;
      add(32);
      waiting -= 32;
      if (lane < waiting) {
        desk.a[lane] = desk.a[32 + lane], desk.b[lane] = desk.b[32 + lane];
        desk.weights[lane] = desk.weights[32 + lane], desk.more[lane] = desk.more[32 + lane];
      }
      __syncwarp();
    }
    if (waiting == 0) return;
    __syncwarp();
    // Lanes without a pair take the first one's rows, and no part in the sums.
    if (lane >= waiting) desk.a[lane] = desk.a[0], desk.b[lane] = desk.b[0], desk.more[lane] = 0;
    add(waiting);
  }

  /// Writes the gradient of the row at hand from that of the row at unit length.
  DEVICE void finish(Row to, float inverse) const {
    float along = dotWithSum(desk.keySum, desk.key, keyWidth) * inverse * inverse;
    float factor = inverse < 1 / leastKeyNorm ? inverse : 0;
    if (!p.exact) factor *= 0.5f * p.bits;
    for (int c = 2 * (threadIdx.x & 31); c < keyWidth; c += 64) {
      setNumber(to, c, fmaf(-along, desk.key[c], desk.keySum[c]) * factor);
      if (c + 1 < keyWidth)
        setNumber(to, c + 1, fmaf(-along, desk.key[c + 1], desk.keySum[c + 1]) * factor);
    }
  }
};

/// dq.
KERNEL(WARPS, yoso_queries, const AttentionRows rows, const YosoParameters p, const Matrix q,
       const Matrix k, const Matrix v, const Matrix saved, const Matrix inverses, const Matrix dX,
       const Matrix dq) {
  DYNAMIC_SHARED(unsigned char, shared);
  int row = globalWarp(), head = blockIdx.y;
  int keyWidth = q.columns / p.heads, valueWidth = v.columns / p.heads;
  if (row >= q.rows) return;
  Standing at = standing(rows, row);
  Desk desk = ::desk(shared, keyWidth, valueWidth);
  copyRow(desk.key, headRows(q, head, keyWidth, row)[0], keyWidth);
  copyRow(desk.value, headRows(dX, head, valueWidth, row)[0], valueWidth);
  clearRow(desk.keySum, keyWidth);
  const float *norms = (const float *)inverses.base + head * inverses.stride;
  Meeting meeting = {p, desk, headRows(k, head, keyWidth, at.start),
                     headRows(v, head, valueWidth, at.start),
                     norms + p.heads * inverses.stride + at.start, keyWidth, valueWidth, false};
  int i = at.position, near = p.chunk > 0 ? i / p.chunk * p.chunk : i + 1;
  if (p.counted) meeting.addCounted(0, near, codes(saved, p, head), at.start, i);
  if (p.chunk > 0) meeting.addProbable(near, i + 1, norms[row]);
  meeting.finish(headRows(dq, head, keyWidth, row)[0], norms[row]);
}

/// dk and dv.
KERNEL(WARPS, yoso_keys, const AttentionRows rows, const YosoParameters p, const Matrix q,
       const Matrix k, const Matrix v, const Matrix saved, const Matrix inverses, const Matrix dX,
       const Matrix dk, const Matrix dv) {
  DYNAMIC_SHARED(unsigned char, shared);
  int row = globalWarp(), head = blockIdx.y;
  int keyWidth = q.columns / p.heads, valueWidth = v.columns / p.heads;
  if (row >= q.rows) return;
  Standing at = standing(rows, row);
  Desk desk = ::desk(shared, keyWidth, valueWidth);
  copyRow(desk.key, headRows(k, head, keyWidth, row)[0], keyWidth);
  copyRow(desk.value, headRows(v, head, valueWidth, row)[0], valueWidth);
  clearRow(desk.keySum, keyWidth), clearRow(desk.valueSum, valueWidth);
  const float *norms = (const float *)inverses.base + head * inverses.stride;
  float inverse = norms[p.heads * inverses.stride + row];
  Meeting meeting = {p, desk, headRows(q, head, keyWidth, at.start),
                     headRows(dX, head, valueWidth, at.start), norms + at.start, keyWidth,
                     valueWidth, true};
  // Without chunks every later position is far, itself among them.
  int j = at.position, far = p.chunk > 0 ? min(at.length, (j / p.chunk + 1) * p.chunk) : j;
  if (p.chunk > 0) meeting.addProbable(j, far, inverse);
  if (p.counted) meeting.addCounted(far, at.length, codes(saved, p, head), at.start, j);
  meeting.finish(headRows(dk, head, keyWidth, row)[0], inverse);
  writeRow(headRows(dv, head, valueWidth, row)[0], desk.valueSum, 1, valueWidth);
}
