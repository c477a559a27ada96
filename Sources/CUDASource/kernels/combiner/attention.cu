// Combiner attention (Ren and others, 2021), forward: summaries of regions, then the queries; one warp a
// region or a query and head. The same kernels decode: rows are then those of the streams' next
// positions and keys are in memory of each stream.
//
// Of T numbers a position and head, `combiner_summaries` reads 2 D + E a member (from L1 where neighbours
// share members) and writes D + E; `combiner_forward` reads D + E a key or region that a query scores.
// Both wait for loads from L1: about 3 us a chunk of 32 keys and warp, 2,048 threads a multiprocessor.
#include "combiner/plan.h"

/// Pools of the members' queries and keys, into the desk's `key` and `twin` and to memory.
DEVICE void pool(const Desk &desk, const CombinerHead &h, const CombinerFamily &f, bool mean,
                 const Run &members, int region) {
  HeadRows q = h.q(), k = h.k();
  int width = h.keyWidth;
  for (int c = 2 * (threadIdx.x & 31); c < padded(width); c += 64) {
    float2 a = {0, 0}, b = {0, 0};
    int winners[4];
    if (c < width) {
      a = loadPair(q[members[0]], c, width), b = loadPair(k[members[0]], c, width);
      for (int n = 0; n < 4; n++) winners[n] = members[0];
#pragma unroll 4
      for (int n = 1; n < members.count; n++) {
        int j = members[n];
        float2 x = loadPair(q[j], c, width), y = loadPair(k[j], c, width);
        if (mean) {
          a.x += x.x, a.y += x.y, b.x += y.x, b.y += y.y;
        } else {
          // Of equal ones the first wins.
          if (x.x > a.x) a.x = x.x, winners[0] = j;
          if (x.y > a.y) a.y = x.y, winners[1] = j;
          if (y.x > b.x) b.x = y.x, winners[2] = j;
          if (y.y > b.y) b.y = y.y, winners[3] = j;
        }
      }
      if (mean) {
        float count = (float)members.count;
        a.x /= count, a.y /= count, b.x /= count, b.y /= count;
      }
      if (f.queryWinners) {
        size_t at = (size_t)(h.at.start + region) * h.t.q.columns + h.head * width + c;
        f.queryWinners[at] = winners[0], f.keyWinners[at] = winners[2];
        if (c + 1 < width) f.queryWinners[at + 1] = winners[1], f.keyWinners[at + 1] = winners[3];
      }
    }
    desk.key[c] = a.x, desk.key[c + 1] = a.y, desk.twin[c] = b.x, desk.twin[c + 1] = b.y;
  }
}

/// The region that a task makes: in a pass that of its position; in decoding those that are complete
/// with it, or -1.
DEVICE int regionOfTask(const Plan &plan, const Standing &at, int family, int task) {
  if (!at.places || plan.pattern == LOGSPARSE || (plan.axial() && family == 0)) return at.position;
  if ((at.position + 1) % plan.m != 0) return -1;
  return plan.pattern == FIXED ? at.position / plan.m : at.position - plan.m + 1 + task;
}

/// Keys and values of the regions of a family; zeros for those that nobody needs. `perRow` tasks a row.
KERNEL(WARPS, combiner_summaries, const AttentionRows rows, const CombinerParameters p,
       const __grid_constant__ CombinerTensors t, int family, int count, int perRow) {
  DYNAMIC_SHARED(unsigned char, shared);
  int task = globalWarp(), head = blockIdx.y, lane = threadIdx.x & 31;
  int keyWidth = t.q.columns / p.heads, valueWidth = t.v.columns / p.heads;
  if (task >= count * perRow) return;
  Standing at = standing(rows, task / perRow);
  Plan plan = ::plan(p, at);
  CombinerHead h = {t, at, head, keyWidth, valueWidth};
  const CombinerFamily &f = t.families[family];
  int region = regionOfTask(plan, at, family, task % perRow);
  Run members = region < 0 ? none() : plan.members(family, region);
  if (members.count == 0 && at.places) return;
  Desk desk = ::desk(shared, keyWidth, valueWidth);
  clearRow(desk.valueSum, valueWidth), clearRow(desk.keySum, keyWidth);
  HeadRows k = h.k(), v = h.v();
  Row key = h.keys(family)[region], value = h.values(family)[region];
  if (members.count == 0) {
    writeRow(value, desk.valueSum, 0, valueWidth);
    if (p.address != PROJECTED) writeRow(key, desk.keySum, 0, keyWidth);
    return;
  }
  bool isWeighted = plan.pattern == ROWMAJOR && p.address == WEIGHTED_SUM;
  if (plan.pattern == ROWMAJOR) {
    copyRow(desk.key, h.q()[region], keyWidth);
  } else {
    pool(desk, h, f, p.mean, members, region);
    writeRow(key, desk.twin, 1, keyWidth);
    if (f.queries.base) writeRow(h.keyRows(f.queries)[region], desk.key, 1, keyWidth);
    __syncwarp();
  }
  Softmax softmax = emptySoftmax();
  for (int first = 0; first < members.count; first += 32) {
    int n = min(32, members.count - first), j = members[first + min(lane, n - 1)];
    desk.a[lane] = k[j], desk.b[lane] = v[j];
    __syncwarp();
    float logit = dots(desk.key, desk.a, keyWidth) * (p.scale * log2e), weight;
    float keep = enter(softmax, lane < n ? logit : -infinity(), weight);
    desk.weights[lane] = weight;
    __syncwarp();
    addRows(desk.valueSum, keep, desk.weights, desk.b, n, valueWidth);
    if (isWeighted) addRows(desk.keySum, keep, desk.weights, desk.a, n, keyWidth);
    __syncwarp();
  }
  float sum = warpSum(softmax.part);
  writeRow(value, desk.valueSum, 1 / sum, valueWidth);
  if (isWeighted) writeRow(key, desk.keySum, 1 / sum, keyWidth);
  if (plan.pattern == ROWMAJOR && p.address == OWN_KEY)
    for (int c = lane; c < keyWidth; c += 32) setNumber(key, c, number(k[region], c));
  if (lane == 0 && f.lse.base)
    setElement(f.lse, head, (int)at.start + region, (softmax.top + log2f(sum)) * ln2);
}

/// Outputs and, in a pass, logs of the denominators, `saved` [H, N].
KERNEL(WARPS, combiner_forward, const AttentionRows rows, const CombinerParameters p,
       const __grid_constant__ CombinerTensors t, const Matrix o, const Matrix saved, int count) {
  DYNAMIC_SHARED(unsigned char, shared);
  int row = globalWarp(), head = blockIdx.y, lane = threadIdx.x & 31;
  int keyWidth = t.q.columns / p.heads, valueWidth = t.v.columns / p.heads;
  if (row >= count) return;
  Standing at = standing(rows, row);
  Plan plan = ::plan(p, at);
  CombinerHead h = {t, at, head, keyWidth, valueWidth};
  Desk desk = ::desk(shared, keyWidth, valueWidth);
  copyRow(desk.key, h.q()[at.position], keyWidth);
  clearRow(desk.valueSum, valueWidth);
  QueryItems items(plan, at.position);
  Softmax softmax = emptySoftmax();
  for (int first = 0; first < items.count; first += 32) {
    int n = min(32, items.count - first);
    items.find(h, first + min(lane, n - 1), desk.a[lane], desk.b[lane]);
    __syncwarp();
    float logit = dots(desk.key, desk.a, keyWidth) * (p.scale * log2e), weight;
    float keep = enter(softmax, lane < n ? logit : -infinity(), weight);
    desk.weights[lane] = weight;
    __syncwarp();
    addRows(desk.valueSum, keep, desk.weights, desk.b, n, valueWidth);
    __syncwarp();
  }
  float sum = warpSum(softmax.part);
  writeRow(headRows(o, head, valueWidth, row)[0], desk.valueSum, 1 / sum, valueWidth);
  if (lane == 0 && !at.places)
    setElement(saved, head, row, (softmax.top + log2f(sum)) * ln2);
}

/// Copies rows of a decoding step to their streams' memory of a kind; a thread a number.
KERNEL(256, append_rows, const AttentionRows rows, const Matrix from, int kind) {
  size_t n = globalThread();
  if (n >= (size_t)from.rows * from.columns) return;
  int row = (int)(n / from.columns), column = (int)(n % from.columns);
  float *to = (float *)rows.places[(size_t)row * rows.kinds + kind];
  to[(long long)rows.positions[row] * from.columns + column] = element(from, row, column);
}
