// Causal softmax attention, forward, as in FlashAttention (Dao and others, 2022): never an L x L
// buffer. Compiled for one type of numbers, NUMBER, and one width of heads, WIDTH.
#include "attention/staged.h"

/// Outputs and logarithms of 16 positions, of which those before `first` are not asked for; `o` is the
/// head's output of position 0.
template <class R, class S>
DEVICE void attendTile(
    const AttentionArguments &p, const AttentionTile &tile, int first, const R &queries,
    const R &keys, const R &values, NUMBER *o, const S &scores) {
  int g = (threadIdx.x & 31) >> 2, t = threadIdx.x & 3;
  int i[2] = {tile.row + g, tile.row + g + 8}, limit[2] = {i[0] + 1, i[1] + 1};
  Left<NUMBER, WIDTH> q;
  loadLeft(q, queries, i[0], i[0] >= first, i[1], i[1] >= first);
  Partial<WIDTH> sum;
  sum.reset();
  attend<NUMBER, WIDTH>(sum, q, keys, values, 0, tile.row + 16, limit, i, scores);
  sum.finish();
#pragma unroll
  for (int u = 0; u < 2; u++) {
    if (i[u] < first || i[u] >= tile.length) continue;
    storeRow<NUMBER, WIDTH>(o + (size_t)i[u] * p.oStride, sum.y, u, 1 / sum.z[u]);
    if (t == 0 && p.saved)
      p.saved[(size_t)blockIdx.y * p.savedStride + tile.start + i[u]] =
          (sum.m[u] + log2f(sum.z[u])) * ln2;
  }
}

/// Outputs and logarithms of 16 positions of a batch or of a stream.
DEVICE void softmaxTile(const AttentionArguments &p, const AttentionTile &tile) {
  int head = blockIdx.y, first = 0;
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
  Rows<NUMBER> queries = {base[0] + head * WIDTH, (size_t)p.qStride, tile.length};
  int shared = head / p.group;
  Rows<NUMBER> keys = {base[1] + shared * WIDTH, (size_t)p.kStride, tile.length};
  Rows<NUMBER> values = {base[2] + shared * WIDTH, (size_t)p.vStride, tile.length};
  Scores scores = {p.scale * log2e, p.bias ? p.bias + (size_t)head * p.biasStride : nullptr,
                   p.biasLength, 0};
  attendTile(p, tile, first, queries, keys, values, o + head * WIDTH, scores);
}

/// Tiles of any sequences; grid (tiles / 4, H).
KERNEL(TILE_THREADS, softmax_forward, AttentionArguments p, const AttentionTile *tiles, int count) {
  AttentionTile tile = {};
  if (findTile(tile, tiles, count)) softmaxTile(p, tile);
}

/// The whole forward pass of sequences of at most four tiles, which fall to one block each, rotation
/// included; grid (tiles / 4, H).
KERNEL(SHORT_THREADS(4), softmax_short_forward, AttentionArguments p, const AttentionTile *tiles,
       int count) {
  using Room = Staged<NUMBER, WIDTH, 3>;
  SHARED(Room, room, );
  AttentionTile tile = {};
  bool live = findTile(tile, tiles, count);
  int head = blockIdx.y;
  if constexpr (isStaged<NUMBER, WIDTH>) {
    float bias = loadBias(p, head);
    if (live) stageInputs<NUMBER, WIDTH>(room, p, tile, head);
    stageBias(room, bias);
    __syncthreads();
    if (!live) return;
    int first = 16 * (int)(threadIdx.x >> 5) - tile.row;  // row of the block
    SharedRows<NUMBER> queries = {room.at(0, first), Room::stride};
    SharedRows<NUMBER> keys = {room.at(1, first), Room::stride};
    SharedRows<NUMBER> values = {room.at(2, first), Room::stride};
    NUMBER *o = (NUMBER *)p.o + (size_t)tile.start * p.oStride + head * WIDTH;
    attendTile(p, tile, 0, queries, keys, values, o, stagedScores(room, p));
  } else {
    if (live) rotateInputs<NUMBER, WIDTH>(p, tile, head);
    __syncthreads();
    if (live) softmaxTile(p, tile);
  }
}
