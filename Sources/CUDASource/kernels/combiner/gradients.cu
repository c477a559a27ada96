// Combiner attention backward; one warp a region, a query or a key and head. Every gradient gathers from
// those that met its row, so nothing is added from two places.
//
// Order: `combiner_dots`, `combiner_summaries` once more, then for each family
// `combiner_region_gradients`, `combiner_region_queries`, and `combiner_queries`, `combiner_keys`. A pair
// costs 2 D + 2 E numbers read, from L1 where neighbours share rows, and 3 to 4 products of its width.
#include "combiner/plan.h"

/// dots = <dO, o>, [H, N].
KERNEL(256, combiner_dots, const Matrix dots, const Matrix dO, const Matrix o, int heads) {
  int row = globalWarp(), head = blockIdx.y, width = o.columns / heads;
  if (row >= o.rows) return;
  Row a = headRows(dO, head, width, row)[0], b = headRows(o, head, width, row)[0];
  float sum = 0;
  for (int c = 2 * (threadIdx.x & 31); c < width; c += 64) {
    float2 x = loadPair(a, c, width), y = loadPair(b, c, width);
    sum = fmaf(x.x, y.x, sum), sum = fmaf(x.y, y.y, sum);
  }
  sum = warpSum(sum);
  if ((threadIdx.x & 31) == 0) setElement(dots, head, row, sum);
}

/// What a warp needs of the softmax that a pair belongs to.
struct Pair {
  float lse, dot;  // natural log of the denominator; <gradient, output> of its row
};

/// Weight of the lane's pair and the slope of its logit, times the scale; 0 without a pair.
DEVICE void differentiate(const Desk &desk, float logit, float dWeight, Pair pair, float scale,
                          bool exists) {
  int lane = threadIdx.x & 31;
  float weight = exists ? exp2Fast((logit * scale - pair.lse) * log2e) : 0;
  desk.weights[lane] = weight;
  desk.more[lane] = exists ? weight * (dWeight - pair.dot) * scale : 0;
}

/// A key at hand (desk.key, desk.value) and n <= 32 queries at desk.a whose outputs' gradients are at
/// desk.b and, where keys are weighted like values, at desk.c: adds to both sums.
DEVICE void meetQueries(const Desk &desk, const CombinerHead &h, Pair pair, float scale, int n,
                        bool isWeighted) {
  bool exists = (threadIdx.x & 31) < n;
  __syncwarp();
  float logit = dots(desk.key, desk.a, h.keyWidth);
  float dWeight = dots(desk.value, desk.b, h.valueWidth);
  if (isWeighted) dWeight += dots(desk.key, desk.c, h.keyWidth);
  differentiate(desk, logit, dWeight, pair, scale, exists);
  __syncwarp();
  addRows(desk.valueSum, 1, desk.weights, desk.b, n, h.valueWidth);
  addRows(desk.keySum, 1, desk.more, desk.a, n, h.keyWidth);
  if (isWeighted) addRows(desk.keySum, 1, desk.weights, desk.c, n, h.keyWidth);
  __syncwarp();
}

/// A query at hand (desk.key), its output's gradient (desk.value, desk.twin) and n <= 32 keys at desk.a
/// with values at desk.b: adds to the sum of keys.
DEVICE void meetKeys(const Desk &desk, const CombinerHead &h, Pair pair, float scale, int n,
                     bool isWeighted) {
  bool exists = (threadIdx.x & 31) < n;
  __syncwarp();
  float logit = dots(desk.key, desk.a, h.keyWidth);
  float dWeight = dots(desk.value, desk.b, h.valueWidth);
  if (isWeighted) dWeight += dots(desk.twin, desk.a, h.keyWidth);
  differentiate(desk, logit, dWeight, pair, scale, exists);
  __syncwarp();
  addRows(desk.keySum, 1, desk.more, desk.a, n, h.keyWidth);
  __syncwarp();
}

/// Lets the queries of a run meet the key at hand.
DEVICE void meetRun(const Desk &desk, const CombinerHead &h, const Run &queries, const Matrix &dO,
                    const Matrix &saved, const Matrix &dots, float scale) {
  int lane = threadIdx.x & 31;
  HeadRows q = h.q(), gradients = h.valueRows(dO);
  for (int first = 0; first < queries.count; first += 32) {
    int n = min(32, queries.count - first), i = queries[first + min(lane, n - 1)];
    int column = (int)h.at.start + i;
    desk.a[lane] = q[i], desk.b[lane] = gradients[i];
    Pair pair = {element(saved, h.head, column), element(dots, h.head, column)};
    meetQueries(desk, h, pair, scale, n, false);
  }
}

/// Gradients of the keys and values of a family's regions.
KERNEL(WARPS, combiner_region_gradients, const AttentionRows rows, const CombinerParameters p,
       const __grid_constant__ CombinerTensors t, int family, const Matrix dO, const Matrix saved,
       const Matrix dots) {
  DYNAMIC_SHARED(unsigned char, shared);
  int row = globalWarp(), keyWidth = t.q.columns / p.heads, valueWidth = t.v.columns / p.heads;
  if (row >= t.q.rows) return;
  Standing at = standing(rows, row);
  CombinerHead h = {t, at, (int)blockIdx.y, keyWidth, valueWidth};
  const CombinerFamily &f = t.families[family];
  Desk desk = ::desk(shared, keyWidth, valueWidth);
  clearRow(desk.valueSum, valueWidth), clearRow(desk.keySum, keyWidth);
  Run readers = plan(p, at).readers(family, at.position);
  if (readers.count > 0) {
    copyRow(desk.key, h.keys(family)[at.position], keyWidth);
    copyRow(desk.value, h.values(family)[at.position], valueWidth);
    meetRun(desk, h, readers, dO, saved, dots, p.scale);
  }
  writeRow(h.keyRows(f.dKeys)[at.position], desk.keySum, 1, keyWidth);
  writeRow(h.valueRows(f.dValues)[at.position], desk.valueSum, 1, valueWidth);
}

/// Gradients of the queries that summarise a family's regions, and <dValue, value>.
KERNEL(WARPS, combiner_region_queries, const AttentionRows rows, const CombinerParameters p,
       const __grid_constant__ CombinerTensors t, int family) {
  DYNAMIC_SHARED(unsigned char, shared);
  int row = globalWarp(), lane = threadIdx.x & 31;
  int keyWidth = t.q.columns / p.heads, valueWidth = t.v.columns / p.heads;
  if (row >= t.q.rows) return;
  Standing at = standing(rows, row);
  CombinerHead h = {t, at, (int)blockIdx.y, keyWidth, valueWidth};
  const CombinerFamily &f = t.families[family];
  Desk desk = ::desk(shared, keyWidth, valueWidth);
  clearRow(desk.keySum, keyWidth);
  Run members = plan(p, at).members(family, at.position);
  if (members.count > 0) {
    bool isRowMajor = p.pattern == ROWMAJOR, isWeighted = isRowMajor && p.address == WEIGHTED_SUM;
    HeadRows queries = isRowMajor ? h.q() : h.keyRows(f.queries);
    copyRow(desk.key, queries[at.position], keyWidth);
    copyRow(desk.value, h.valueRows(f.dValues)[at.position], valueWidth);
    copyRow(desk.twin, h.keyRows(f.dKeys)[at.position], keyWidth);
    Row value = h.values(family)[at.position], key = h.keys(family)[at.position];
    float dot = 0;
    for (int c = lane; c < valueWidth; c += 32) dot = fmaf(desk.value[c], number(value, c), dot);
    if (isWeighted)
      for (int c = lane; c < keyWidth; c += 32) dot = fmaf(desk.twin[c], number(key, c), dot);
    Pair pair = {element(f.lse, h.head, row), warpSum(dot)};
    if (lane == 0) setElement(f.dots, h.head, row, pair.dot);
    HeadRows k = h.k(), v = h.v();
    for (int first = 0; first < members.count; first += 32) {
      int n = min(32, members.count - first), j = members[first + min(lane, n - 1)];
      desk.a[lane] = k[j], desk.b[lane] = v[j];
      meetKeys(desk, h, pair, p.scale, n, isWeighted);
    }
  }
  writeRow(h.keyRows(f.dQueries)[at.position], desk.keySum, 1, keyWidth);
}

/// Adds what the pools of the regions that hold position j give it; `gradients` and `winners` are those
/// of pooled queries or keys.
DEVICE void unpool(const Desk &desk, const CombinerHead &h, const Plan &plan, int family, int j,
                   bool mean, const HeadRows &gradients, const int *winners) {
  Run regions = plan.regionsWith(family, j);
  for (int n = 0; n < regions.count; n++) {
    int region = regions[n];
    float share = mean ? 1.0f / plan.members(family, region).count : 1;
    size_t at = (size_t)(h.at.start + region) * h.t.q.columns + h.head * h.keyWidth;
    for (int c = 2 * (threadIdx.x & 31); c < h.keyWidth; c += 64) {
      float2 g = loadPair(gradients[region], c, h.keyWidth);
      if (mean || winners[at + c] == j) desk.keySum[c] += share * g.x;
      if (c + 1 < h.keyWidth && (mean || winners[at + c + 1] == j)) desk.keySum[c + 1] += share * g.y;
    }
  }
}

/// dq.
KERNEL(WARPS, combiner_queries, const AttentionRows rows, const CombinerParameters p,
       const __grid_constant__ CombinerTensors t, const Matrix dO, const Matrix saved,
       const Matrix dots, const Matrix dq) {
  DYNAMIC_SHARED(unsigned char, shared);
  int row = globalWarp(), lane = threadIdx.x & 31;
  int keyWidth = t.q.columns / p.heads, valueWidth = t.v.columns / p.heads;
  if (row >= t.q.rows) return;
  Standing at = standing(rows, row);
  Plan plan = ::plan(p, at);
  CombinerHead h = {t, at, (int)blockIdx.y, keyWidth, valueWidth};
  Desk desk = ::desk(shared, keyWidth, valueWidth);
  clearRow(desk.keySum, keyWidth);
  int i = at.position;
  for (int f = 0; f < plan.families(); f++) {
    HeadRows gradients = h.keyRows(t.families[f].dQueries);
    if (p.pattern == ROWMAJOR) {
      float one = 1;
      Row own = gradients[i];
      addRows(desk.keySum, 1, &one, &own, 1, keyWidth);
    } else {
      unpool(desk, h, plan, f, i, p.mean, gradients, t.families[f].queryWinners);
    }
  }
  copyRow(desk.key, h.q()[i], keyWidth);
  copyRow(desk.value, h.valueRows(dO)[i], valueWidth);
  Pair pair = {element(saved, h.head, row), element(dots, h.head, row)};
  QueryItems items(plan, i);
  for (int first = 0; first < items.count; first += 32) {
    int n = min(32, items.count - first);
    items.find(h, first + min(lane, n - 1), desk.a[lane], desk.b[lane]);
    meetKeys(desk, h, pair, p.scale, n, false);
  }
  writeRow(h.keyRows(dq)[i], desk.keySum, 1, keyWidth);
}

/// dk and dv.
KERNEL(WARPS, combiner_keys, const AttentionRows rows, const CombinerParameters p,
       const __grid_constant__ CombinerTensors t, const Matrix dO, const Matrix saved,
       const Matrix dots, const Matrix dk, const Matrix dv) {
  DYNAMIC_SHARED(unsigned char, shared);
  int row = globalWarp(), lane = threadIdx.x & 31;
  int keyWidth = t.q.columns / p.heads, valueWidth = t.v.columns / p.heads;
  if (row >= t.q.rows) return;
  Standing at = standing(rows, row);
  Plan plan = ::plan(p, at);
  CombinerHead h = {t, at, (int)blockIdx.y, keyWidth, valueWidth};
  Desk desk = ::desk(shared, keyWidth, valueWidth);
  clearRow(desk.keySum, keyWidth), clearRow(desk.valueSum, valueWidth);
  int j = at.position;
  bool isRowMajor = p.pattern == ROWMAJOR, isWeighted = isRowMajor && p.address == WEIGHTED_SUM;
  copyRow(desk.key, h.k()[j], keyWidth);
  copyRow(desk.value, h.v()[j], valueWidth);
#pragma unroll 1
  for (int line = 0; line < 2; line++) {
    Run readers = line == 0 ? plan.rowReaders(j) : plan.columnReaders(j);
    meetRun(desk, h, readers, dO, saved, dots, p.scale);
  }
  for (int number = 0; number < plan.families(); number++) {
    const CombinerFamily &f = t.families[number];
    HeadRows queries = isRowMajor ? h.q() : h.keyRows(f.queries);
    HeadRows dKeys = h.keyRows(f.dKeys), dValues = h.valueRows(f.dValues);
    if (!isRowMajor) {
      unpool(desk, h, plan, number, j, p.mean, dKeys, f.keyWinners);
    } else if (p.address == OWN_KEY) {
      float one = 1;
      Row own = dKeys[j];
      addRows(desk.keySum, 1, &one, &own, 1, keyWidth);
    }
    Run regions = plan.regionsWith(number, j);
    for (int first = 0; first < regions.count; first += 32) {
      int n = min(32, regions.count - first), region = regions[first + min(lane, n - 1)];
      int column = (int)at.start + region;
      desk.a[lane] = queries[region], desk.b[lane] = dValues[region], desk.c[lane] = dKeys[region];
      Pair pair = {element(f.lse, h.head, column), element(f.dots, h.head, column)};
      meetQueries(desk, h, pair, p.scale, n, isWeighted);
    }
  }
  writeRow(h.keyRows(dk)[j], desk.keySum, 1, keyWidth);
  writeRow(h.valueRows(dv)[j], desk.valueSum, 1, valueWidth);
}
