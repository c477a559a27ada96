// Causal softmax attention, forward, as in FlashAttention (Dao and others, 2022): never an L x L
// buffer. Compiled for one type of numbers, NUMBER, and one width of heads, WIDTH.
#include "attention/rotation.h"
#include "attention/scores.h"

/// Outputs and logarithms of 16 positions of a batch or of a stream.
DEVICE void softmaxTile(const AttentionArguments &p, const AttentionTile &tile) {
  int g = (threadIdx.x & 31) >> 2, t = threadIdx.x & 3, head = blockIdx.y, first = 0;
  const NUMBER *base[3];  // of queries, keys, values of this head
  NUMBER *o;
  if (p.streams) {
    const AttentionStream &stream = ((const AttentionStream *)p.streams)[tile.start];
    first = (int)stream.first;
    base[0] = (const NUMBER *)stream.q, base[1] = (const NUMBER *)stream.k;
    base[2] = (const NUMBER *)stream.v, o = (NUMBER *)stream.o;
  } else {
    base[0] = (const NUMBER *)p.q + (size_t)tile.start * p.qStride;
    base[1] = (const NUMBER *)p.k + (size_t)tile.start * p.kStride;
    base[2] = (const NUMBER *)p.v + (size_t)tile.start * p.vStride;
    o = (NUMBER *)p.o + (size_t)tile.start * p.oStride;
  }
  int i[2] = {tile.row + g, tile.row + g + 8}, limit[2] = {i[0] + 1, i[1] + 1};
  Rows<NUMBER> queries = {base[0] + head * WIDTH, (size_t)p.qStride, tile.length};
  Rows<NUMBER> keys = {base[1] + head * WIDTH, (size_t)p.kStride, tile.length};
  Rows<NUMBER> values = {base[2] + head * WIDTH, (size_t)p.vStride, tile.length};
  Left<NUMBER, WIDTH> q;
  loadLeft(q, queries, i[0], i[0] >= first, i[1], i[1] >= first);
  Partial<WIDTH> sum;
  sum.reset();
  Scores scores = {p.scale * log2e, p.bias ? p.bias + (size_t)head * p.biasStride : nullptr,
                   p.biasLength, 0};
  attend<NUMBER, WIDTH>(sum, q, keys, values, 0, tile.row + 16, limit, i, scores);
  sum.finish();
#pragma unroll
  for (int u = 0; u < 2; u++) {
    if (i[u] < first || i[u] >= tile.length) continue;
    storeRow<NUMBER, WIDTH>(o + (size_t)i[u] * p.oStride + head * WIDTH, sum.y, u, 1 / sum.z[u]);
    if (t == 0 && p.saved)
      p.saved[(size_t)head * p.savedStride + tile.start + i[u]] =
          (sum.m[u] + log2f(sum.z[u])) * ln2;
  }
}

/// Tiles of any sequences; grid (tiles / 4, H).
KERNEL(TILE_THREADS, softmax_forward, AttentionArguments p, const AttentionTile *tiles, int count) {
  AttentionTile tile = {};
  if (findTile(tile, tiles, count)) softmaxTile(p, tile);
}

/// The whole forward pass of sequences of at most four tiles, which fall to one block each, rotation
/// included; grid (tiles / 4, H).
KERNEL(TILE_THREADS, softmax_short_forward, AttentionArguments p, const AttentionTile *tiles,
       int count) {
  AttentionTile tile = {};
  bool live = findTile(tile, tiles, count);
  if (live) rotateInputs<NUMBER, WIDTH>(p, tile, blockIdx.y);
  __syncthreads();
  if (live) softmaxTile(p, tile);
}
