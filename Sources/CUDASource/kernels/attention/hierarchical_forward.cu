// Causal hierarchical attention (Zhu and Soricut, 2021), forward. Compiled for one type of numbers,
// NUMBER, and one width of heads, WIDTH.
//
// Which warp does what, and in what order sums are taken, follows from the sequence alone.
#include "attention/hierarchical_staged.h"

/// Means of keys (z = 0) or values (z = 1), four levels above that of the tiles; grid (tiles / 4, H, 2).
KERNEL(128, hierarchical_means, AttentionArguments p, const AttentionTile *tiles, int count) {
  AttentionTile tile = {};
  if (!findTile(tile, tiles, count)) return;
  // A stream grows: what it does not need now it needs later.
  int top = p.streams ? 30 : topLevel(tile.length, p.blockSize);
  if (top <= tile.level) return;
  Sequence<NUMBER, WIDTH> s(p, tile, blockIdx.y);
  s.find();
  if (blockIdx.z)
    tileMeans(s, s.values(tile.level), s.valueMeans, top);
  else
    tileMeans(s, s.keys(tile.level), s.keyMeans, top);
}

/// Parts of softmaxes of 16 far rows, coarse queries; grid (tiles / 4, H).
KERNEL(TILE_THREADS, hierarchical_far_forward, AttentionArguments p, const AttentionTile *tiles,
       int count) {
  AttentionTile tile = {};
  if (!findTile(tile, tiles, count)) return;
  Sequence<NUMBER, WIDTH> s(p, tile, blockIdx.y);
  s.find();
  int g = (threadIdx.x & 31) >> 2, t = threadIdx.x & 3, l = tile.level, size = p.blockSize;
  int i[2] = {tile.row + g, tile.row + g + 8}, first = (tile.row / size - 1) * size, limit[2];
  for (int u = 0; u < 2; u++) limit[u] = first + (i[u] % size < size / 2 ? size / 2 : size);
  int last = first + ((tile.row + 15) % size < size / 2 ? size / 2 : size);
  Left<NUMBER, WIDTH> q;
  loadLeft(q, s.queries(l), i[0], true, i[1], true);
  Partial<WIDTH> sum;
  sum.reset();
  attend<NUMBER, WIDTH>(sum, q, s.keys(l), s.values(l), first, last, limit, i, s.scores(l));
  sum.finish();
#pragma unroll
  for (int u = 0; u < 2; u++) {
    if (i[u] >= s.rows(l)) continue;
    size_t row = tile.out + g + 8 * u;
    storeRow<float, WIDTH>(p.farA + row * s.width() + s.head * WIDTH, sum.y, u, 1);
    if (t == 0)
      p.farMax[row * p.heads + s.head] = sum.m[u], p.farSum[row * p.heads + s.head] = sum.z[u];
  }
}

/// Outputs and logarithms of 16 positions of a sequence in memory or of one that is staged.
template <class S> DEVICE void hierarchicalTile(const S &s) {
  const AttentionArguments &p = s.p;
  int g = (threadIdx.x & 31) >> 2, t = threadIdx.x & 3, length = s.tile.length;
  int i[2] = {s.tile.row + g, s.tile.row + g + 8}, size = p.blockSize, block = s.tile.row / size;
  bool live[2] = {i[0] >= s.first && i[0] < length, i[1] >= s.first && i[1] < length};
  Partial<WIDTH> sum;
  sum.reset();
  for (int l = 0; l == 0 || (block >> l) > 0; l++) {
    if ((S::isStaged || !p.isFine) && l > S::near) break;
    int shift = !S::isStaged && p.isFine ? 0 : l;
    Left<NUMBER, WIDTH> q;
    loadLeft(q, s.queries(shift), i[0] >> shift, live[0], i[1] >> shift, live[1]);
    int first, last, limit[2], index[2] = {i[0] >> l, i[1] >> l};
    if (l == 0) {
      first = max(0, block - 1) * size, last = s.tile.row + 16;
      limit[0] = i[0] + 1, limit[1] = i[1] + 1;
    } else {
      first = ((block >> l) - 1) * size;
      limit[0] = limit[1] = last = first + ((block >> (l - 1)) & 1 ? size : size / 2);
    }
    attend<NUMBER, WIDTH>(sum, q, s.keys(l), s.values(l), first, last, limit, index, s.scores(l));
  }
  sum.finish();
#pragma unroll
  for (int u = 0; u < 2; u++) {
    int mine = min(i[u], length - 1);
    for (int l = S::near + 1; !S::isStaged && !p.isFine && (block >> l) > 0; l++) {
      size_t row = s.farRow(S::near, l, mine >> l);
      float m = p.farMax[row * p.heads + s.head], top = fmaxf(sum.m[u], m);
      float own = exp2Fast(sum.m[u] - top), other = exp2Fast(m - top);
      sum.m[u] = top;
      sum.z[u] = fmaf(p.farSum[row * p.heads + s.head], other, sum.z[u] * own);
      mixRow<WIDTH>(sum.y, u, own, p.farA + row * s.width() + s.head * WIDTH, other);
    }
    if (!live[u]) continue;
    storeRow<NUMBER, WIDTH>(s.o + (size_t)i[u] * p.oStride, sum.y, u, 1 / sum.z[u]);
    if (t == 0 && p.saved) s.saved()[i[u]] = (sum.m[u] + log2f(sum.z[u])) * ln2;
  }
}

/// Outputs of 16 positions, after means and far rows; grid (tiles / 4, H).
KERNEL(TILE_THREADS, hierarchical_forward, AttentionArguments p, const AttentionTile *tiles,
       int count) {
  AttentionTile tile = {};
  if (!findTile(tile, tiles, count)) return;
  Sequence<NUMBER, WIDTH> s(p, tile, blockIdx.y);
  s.find();
  hierarchicalTile(s);
}

/// The whole forward pass of sequences of at most four tiles, which fall to one block each; grid
/// (tiles / 4, H).
KERNEL(SHORT_THREADS(4), hierarchical_short_forward, AttentionArguments p, const AttentionTile *tiles,
       int count) {
  using Room = Staged<NUMBER, WIDTH, 3, 2 * meanRows>;
  SHARED(Room, room, );
  AttentionTile tile = {};
  bool live = findTile(tile, tiles, count);
  int head = blockIdx.y;
  if constexpr (isStaged<NUMBER, WIDTH>) {
    float bias = loadBias(p, head);
    StagedSequence<NUMBER, WIDTH, Room, 3> s(p, tile, head, room);
    if (live) {
      stageInputs<NUMBER, WIDTH>(room, p, tile, head);
      if (s.hasMeans()) s.stageMeans();
    }
    stageBias(room, bias);
    __syncthreads();
    if (live) hierarchicalTile(s);
  } else {
    Sequence<NUMBER, WIDTH> s(p, tile, head);
    int top = live ? topLevel(tile.length, p.blockSize) : 0;
    if (live) rotateInputs<NUMBER, WIDTH>(p, tile, head);
    if (top > 0)
      tileMeans(s, s.keys(0), s.keyMeans, top), tileMeans(s, s.values(0), s.valueMeans, top);
    __syncthreads();
    if (live) hierarchicalTile(s);
  }
}
