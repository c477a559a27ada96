// Causal softmax attention, backward. Compiled for one type of numbers, NUMBER, and one width of
// heads, WIDTH.
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
  keyGradients<NUMBER, WIDTH>(SoftmaxSequence<NUMBER, WIDTH>{p, tile, (int)blockIdx.y});
}

/// dq of 16 positions, and the block's share of the slope of the bias; grid (tiles / 4, H).
KERNEL(TILE_THREADS, softmax_queries, AttentionArguments p, const AttentionTile *tiles, int count) {
  DYNAMIC_SHARED(float, room);
  BiasTally tally(room, p.biasLength, p.tallies);
  AttentionTile tile = {};
  if (findTile(tile, tiles, count))
    queryGradients<NUMBER, WIDTH>(SoftmaxSequence<NUMBER, WIDTH>{p, tile, (int)blockIdx.y}, tally);
  if (p.tallies) BiasTally::store(p, room, blockIdx.y, p.firstTally + blockIdx.x);
}

/// The whole backward pass of sequences of at most four tiles, which fall to one block each; rows are
/// read from memory once. Grid (tiles / 4, H).
KERNEL(SHORT_THREADS(4), softmax_short_backward, AttentionArguments p, const AttentionTile *tiles,
       int count) {
  DYNAMIC_SHARED(float, tallies);
  using Room = SoftmaxRoom<NUMBER, WIDTH>;
  SHARED(Room, room, );
  BiasTally tally(tallies, p.biasLength, p.tallies);
  AttentionTile tile = {};
  bool live = findTile(tile, tiles, count);
  int head = blockIdx.y;
  if constexpr (isStaged<NUMBER, WIDTH>) {
    float bias = loadBias(p, head);
    if (live) stageGradients<NUMBER, WIDTH>(room, p, tile, head);
    stageBias(room, bias);
    __syncthreads();
    if (live) {
      StagedSoftmaxSequence<NUMBER, WIDTH, decltype(room)> s(p, tile, head, room);
      keyGradients<NUMBER, WIDTH>(s), queryGradients<NUMBER, WIDTH>(s, tally);
      if (!turnsInRegisters<WIDTH>) rotateGradients<NUMBER, WIDTH>(p, tile, head);
    }
  } else {
    SoftmaxSequence<NUMBER, WIDTH> s = {p, tile, head};
    if (live) outputDots(s);
    __syncthreads();
    if (live) {
      keyGradients<NUMBER, WIDTH>(s), queryGradients<NUMBER, WIDTH>(s, tally);
      rotateGradients<NUMBER, WIDTH>(p, tile, head);
    }
  }
  if (p.tallies) BiasTally::store(p, tallies, head, p.firstTally + blockIdx.x);
}
