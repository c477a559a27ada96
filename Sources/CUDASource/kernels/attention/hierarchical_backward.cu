// Causal hierarchical attention, backward. Compiled for one type of numbers, NUMBER, and one width of
// heads, WIDTH.
//
// With coarse queries the positions of a row share their logits x, so they count as one query:
// sum_i exp(x - log_i) dO_i = exp(x - R) G for R = min_i log_i and G = sum_i exp(R - log_i) dO_i, and
// with E = sum_i exp(R - log_i) <dO_i, o_i> in place of <dO, o>.
#include "attention/hierarchical_staged.h"

/// <dO, o> of the 16 positions of a tile of level 0, and R, E, G of up to four levels above the tile's.
DEVICE void tileGradients(const Sequence<NUMBER, WIDTH> &s, int top) {
  constexpr int L = rowLanes<WIDTH>, R = L / 2;
  int lane = threadIdx.x & 31, group = lane / L, column = 8 * (lane % L);
  int base = s.tile.level, first = s.tile.row + R * group;
  Rows<NUMBER> gradients = s.gradients(base);
  Rows<NUMBER> outputs = {s.o, (size_t)s.p.oStride, s.tile.length};
  Node x[R];
#pragma unroll
  for (int r = 0; r < R; r++) {
    int row = first + r;
    bool live = gradients.has(row);
    loadRow(x[r].g, gradients.at(row) + column, column < WIDTH && live);
    x[r].log = live ? s.logs(base)[row] : infinity();
    if (base > 0) {
      x[r].dot = live ? s.dots(base)[row] : 0.0f;
    } else {
      float o[8];
      loadRow(o, outputs.at(row) + column, column < WIDTH && live);
      x[r].dot = 0;
#pragma unroll
      for (int e = 0; e < 8; e++) x[r].dot = fmaf(x[r].g[e], o[e], x[r].dot);
#pragma unroll
      for (int by = L / 2; by > 0; by >>= 1) x[r].dot += __shfl_xor_sync(FULL, x[r].dot, by);
      if (live && column == 0) s.dots(0)[row] = x[r].dot;
    }
  }
  if (top <= base) return;
  auto store = [&](const Node &node, int step, int row) {
    int level = base + step;
    if (level > top || row >= s.rows(level)) return;
    size_t at = s.levelRow(level) + row;
    if (column < WIDTH)
      storeRow((NUMBER *)s.p.gradientMeans + at * s.width() + s.head * WIDTH + column, node.g);
    if (column == 0) s.logs(level)[row] = node.log, s.dots(level)[row] = node.dot;
  };
#pragma unroll
  for (int step = 1; 1 << step <= 16; step++) {
    if (1 << step <= R) {
#pragma unroll
      for (int n = 0; n < R >> step; n++) {
        if (n > 0) x[n] = x[2 * n];
        join(x[n], x[2 * n + 1].log, x[2 * n + 1].dot, x[2 * n + 1].g);
        store(x[n], step, (first >> step) + n);
      }
    } else {
      int by = L * ((1 << step) / R / 2);  // lanes to the group beside this one
      float g[8], log = __shfl_xor_sync(FULL, x[0].log, by);
      float dot = __shfl_xor_sync(FULL, x[0].dot, by);
#pragma unroll
      for (int e = 0; e < 8; e++) g[e] = __shfl_xor_sync(FULL, x[0].g[e], by);
      join(x[0], log, dot, g);
      if (group % ((1 << step) / R) == 0) store(x[0], step, first >> step);
    }
  }
}

/// <dO, o>, and R, E, G of four levels above that of the tiles; grid (tiles / 4, H).
KERNEL(128, hierarchical_gradient_means, AttentionArguments p, const AttentionTile *tiles,
       int count) {
  AttentionTile tile = {};
  if (!findTile(tile, tiles, count)) return;
  tileGradients({p, tile, (int)blockIdx.y}, p.isFine ? 0 : topLevel(tile.length, p.blockSize));
}

/// Gradients of 16 far rows of keys and values, without the scale; grid (tasks / 4, H).
KERNEL(TILE_THREADS, hierarchical_far_keys, AttentionArguments p, const AttentionTile *tiles,
       int count) {
  AttentionTile tile = {};
  if (!findTile(tile, tiles, count)) return;
  Sequence<NUMBER, WIDTH> s(p, tile, blockIdx.y);
  int g = (threadIdx.x & 31) >> 2, l = tile.level, j[2] = {tile.row + g, tile.row + g + 8};
  Sums<WIDTH> dk, dv;
  clear(dk), clear(dv);
  int at = p.isFine ? 0 : l;
  using R = Rows<NUMBER>;
  KeySide<R> keys = {s.keys(l), s.values(l), {j[0], j[1]}, {true, true}};
  QuerySide<R> queries = {s.queries(at), s.gradients(at), s.logs(at), s.dots(at)};
  addKeyGradient<NUMBER, WIDTH>(dk, dv, keys, queries, tile.lo, tile.hi, p.isFine ? l : 0,
                                p.blockSize, 1, s.scores(l));
#pragma unroll
  for (int u = 0; u < 2; u++) {
    size_t row = (size_t)(tile.out + g + 8 * u) * s.width() + s.head * WIDTH;
    storeRow<float, WIDTH>(p.farA + row, dk, u, 1);
    storeRow<float, WIDTH>(p.farB + row, dv, u, 1);
  }
}

/// Adds the later chunks of a tile of far keys to the first, in order; a block a tile, grid (tasks, H).
KERNEL(128, hierarchical_far_chunks, AttentionArguments p, const AttentionTile *tiles) {
  AttentionTile tile = tiles[blockIdx.x];
  size_t width = (size_t)p.heads * WIDTH;
  for (int n = threadIdx.x; n < 16 * WIDTH; n += blockDim.x) {
    size_t at = (size_t)(n / WIDTH) * width + blockIdx.y * WIDTH + n % WIDTH;
    float dk = p.farA[tile.out * width + at], dv = p.farB[tile.out * width + at];
    for (int c = 0; c < tile.hi; c++) {
      size_t extra = (size_t)(tile.lo + 16 * c) * width + at;
      dk += p.farA[extra], dv += p.farB[extra];
    }
    p.farA[tile.out * width + at] = dk, p.farB[tile.out * width + at] = dv;
  }
}

/// dk and dv of 16 positions of a sequence in memory or of one that is staged.
template <class S> DEVICE void keyGradients(const S &s) {
  const AttentionArguments &p = s.p;
  int g = (threadIdx.x & 31) >> 2, size = p.blockSize, length = s.tile.length;
  int j[2] = {s.tile.row + g, s.tile.row + g + 8}, block = s.tile.row / size;
  int near = p.isFine ? 0 : S::near;
  Sums<WIDTH> dk, dv;
  clear(dk), clear(dv);
  for (int l = 0; l <= near; l++) {
    int next = (block >> l) + 1;  // the block of queries that looks at this one
    int last = min((next + 1) * size, s.rows(l)), first = s.tile.row;
    if (l > 0) {
      if (next * size >= s.rows(l)) break;
      first = next * size + ((s.tile.row >> l) % size < size / 2 ? 0 : size / 2);
    }
    // The weight 2^-l and the level, which counts 2^l times, cancel out where slopes lack the level.
    if (S::isStaged && first < last) first = first / 16 * 16;  // later rows are masked
    using R = decltype(s.keys(l));
    KeySide<R> keys = {s.keys(l), s.values(l), {j[0] >> l, j[1] >> l},
                       {j[0] < length, j[1] < length}};
    QuerySide<R> queries = {s.queries(l), s.gradients(l), s.logs(l), s.dots(l)};
    addKeyGradient<NUMBER, WIDTH>(dk, dv, keys, queries, first, last, 0, l ? size : 0,
                                  S::isStaged ? 1.0f : powerOfHalf(l), s.slopes(l));
  }
#pragma unroll
  for (int u = 0; u < 2; u++) {
    int mine = min(j[u], length - 1);
    for (int l = near + 1; !S::isStaged && ((block >> l) + 1) * size < s.rows(l); l++) {
      size_t row = s.farRow(near, l, mine >> l) * s.width() + s.head * WIDTH;
      mixRow<WIDTH>(dk, u, 1, p.farA + row, powerOfHalf(l));
      mixRow<WIDTH>(dv, u, 1, p.farB + row, powerOfHalf(l));
    }
    s.store(p.dk, p.dkStride, j[u], dk, u, p.scale, true);
    s.store(p.dv, p.dvStride, j[u], dv, u, 1, false);
  }
}

/// dq of 16 positions.
template <class S> DEVICE void queryGradients(const S &s, BiasTally &tally) {
  const AttentionArguments &p = s.p;
  int g = (threadIdx.x & 31) >> 2, size = p.blockSize, length = s.tile.length;
  int i[2] = {s.tile.row + g, s.tile.row + g + 8}, block = s.tile.row / size;
  Sums<WIDTH> dq;
  clear(dq);
  for (int l = 0; l == 0 || (block >> l) > 0; l++) {
    int at = !S::isStaged && p.isFine ? 0 : l;  // staged levels above 0 have coarse queries
    int others = (1 << at) - 1;  // positions whose query is not used at this level
    if (s.tile.row & others) break;
    int row[2] = {i[0] >> at, i[1] >> at};
    QueryTile<NUMBER, WIDTH> mine;
#pragma unroll
    for (int u = 0; u < 2; u++) {
      mine.live[u] = i[u] < length && !(i[u] & others);
      mine.log[u] = mine.live[u] ? s.logs(at)[row[u]] * log2e - (S::isStaged ? l : 0) : 0.0f;
      mine.dot[u] = mine.live[u] ? s.dots(at)[row[u]] : 0.0f;
    }
    loadLeft(mine.q, s.queries(0), i[0], mine.live[0], i[1], mine.live[1]);
    loadLeft(mine.g, s.gradients(at), row[0], mine.live[0], row[1], mine.live[1]);
    tally.begin();
    int first, last, limit[2], index[2] = {i[0] >> l, i[1] >> l};
    if (l == 0) {
      first = max(0, block - 1) * size, last = s.tile.row + 16;
      limit[0] = i[0] + 1, limit[1] = i[1] + 1;
    } else {
      first = ((block >> l) - 1) * size;
      limit[0] = limit[1] = last = first + ((block >> (l - 1)) & 1 ? size : size / 2);
    }
    addQueryGradient<NUMBER, WIDTH>(dq, mine, s.keys(l), s.values(l), first, last, limit, index,
                                    s.tile.row >> l, l, s.slopes(l), tally);
  }
#pragma unroll
  for (int u = 0; u < 2; u++) s.store(p.dq, p.dqStride, i[u], dq, u, p.scale, true);
}

/// dk and dv of 16 positions; grid (tiles / 4, H).
KERNEL(TILE_THREADS, hierarchical_keys, AttentionArguments p, const AttentionTile *tiles,
       int count) {
  AttentionTile tile = {};
  if (findTile(tile, tiles, count)) keyGradients(Sequence<NUMBER, WIDTH>(p, tile, blockIdx.y));
}

/// dq of 16 positions, and the block's share of the slope of the bias; grid (tiles / 4, H).
KERNEL(TILE_THREADS, hierarchical_queries, AttentionArguments p, const AttentionTile *tiles,
       int count) {
  DYNAMIC_SHARED(float, room);
  BiasTally tally(room, p.biasLength, p.tallies);
  AttentionTile tile = {};
  if (findTile(tile, tiles, count)) queryGradients(Sequence<NUMBER, WIDTH>(p, tile, blockIdx.y), tally);
  if (p.tallies) BiasTally::store(p, room, blockIdx.y, p.firstTally + blockIdx.x);
}

/// The whole backward pass of sequences of at most four tiles, which fall to one block each: rows are
/// read from memory once, and a sequence of one level costs what softmax attention costs. Grid
/// (tiles / 4, H).
KERNEL(SHORT_THREADS(4), hierarchical_short_backward, AttentionArguments p,
       const AttentionTile *tiles, int count) {
  DYNAMIC_SHARED(float, tallies);
  using Room = HierarchicalRoom<NUMBER, WIDTH>;
  SHARED(Room, room, );
  BiasTally tally(tallies, p.biasLength, p.tallies);
  AttentionTile tile = {};
  bool live = findTile(tile, tiles, count);
  int head = blockIdx.y;
  if constexpr (isStaged<NUMBER, WIDTH>) {
    float bias = loadBias(p, head);
    StagedSequence<NUMBER, WIDTH, Room, 4> s(p, tile, head, room);
    if (live) {
      stageGradients<NUMBER, WIDTH>(room, p, tile, head);
      if (s.hasMeans()) s.stageMeans(), s.stageNodes();
    } else {
      stageZeros<NUMBER, WIDTH>(room, 1);
    }
    stageBias(room, bias);
    __syncthreads();
    if (live) {
      keyGradients(s), queryGradients(s, tally);
      if (!turnsInRegisters<WIDTH>) rotateGradients<NUMBER, WIDTH>(p, tile, head);
    }
  } else {
    Sequence<NUMBER, WIDTH> s(p, tile, head);
    int top = live ? topLevel(tile.length, p.blockSize) : 0;
    if (top > 0)
      tileMeans(s, s.keys(0), s.keyMeans, top), tileMeans(s, s.values(0), s.valueMeans, top);
    if (live) tileGradients(s, p.isFine ? 0 : top);
    __syncthreads();
    if (live) {
      keyGradients(s), queryGradients(s, tally);
      rotateGradients<NUMBER, WIDTH>(p, tile, head);
    }
  }
  if (p.tallies) BiasTally::store(p, tallies, head, p.firstTally + blockIdx.x);
}
