// Causal softmax attention, backward. Compiled for one type of numbers, NUMBER, and one width of
// heads, WIDTH.
#include "attention/rotation.h"
#include "attention/softmax.h"

/// <dO, o> of 16 positions; grid (tiles / 4, H).
KERNEL(TILE_THREADS, softmax_dots, AttentionArguments p, const AttentionTile *tiles, int count) {
  AttentionTile tile = {};
  if (!findTile(tile, tiles, count)) return;
  outputDots<NUMBER, WIDTH>({p, tile, (int)blockIdx.y});
}

/// dk and dv of 16 positions; grid (tiles / 4, H).
KERNEL(TILE_THREADS, softmax_keys, AttentionArguments p, const AttentionTile *tiles, int count) {
  AttentionTile tile = {};
  if (!findTile(tile, tiles, count)) return;
  keyGradients<NUMBER, WIDTH>({p, tile, (int)blockIdx.y});
}

/// dq of 16 positions, and the block's share of the slope of the bias; grid (tiles / 4, H).
KERNEL(TILE_THREADS, softmax_queries, AttentionArguments p, const AttentionTile *tiles, int count) {
  DYNAMIC_SHARED(float, room);
  BiasTally tally(room, p.biasLength, p.tallies);
  AttentionTile tile = {};
  if (findTile(tile, tiles, count))
    queryGradients<NUMBER, WIDTH>({p, tile, (int)blockIdx.y}, tally);
  if (p.tallies) BiasTally::store(p, room, blockIdx.y, p.firstTally + blockIdx.x);
}

/// The whole backward pass of sequences of at most four tiles, which fall to one block each; rows are
/// read from memory once. Grid (tiles / 4, H).
KERNEL(TILE_THREADS, softmax_short_backward, AttentionArguments p, const AttentionTile *tiles, int count) {
  DYNAMIC_SHARED(float, room);
  BiasTally tally(room, p.biasLength, p.tallies);
  AttentionTile tile = {};
  bool live = findTile(tile, tiles, count);
  SoftmaxSequence<NUMBER, WIDTH> s = {p, tile, (int)blockIdx.y};
  if (live) outputDots(s);
  __syncthreads();
  if (live) {
    keyGradients(s), queryGradients(s, tally);
    rotateGradients<NUMBER, WIDTH>(p, tile, blockIdx.y);
  }
  if (p.tallies) BiasTally::store(p, room, blockIdx.y, p.firstTally + blockIdx.x);
}
