// Rotation of the tiles of long sequences, whose attention is several launches. Compiled for one type of
// numbers, NUMBER, and one width of heads, WIDTH.
#include "attention/rotation.h"
#include "attention/scores.h"

/// Queries and keys of 16 positions; grid (tiles / 4, H).
KERNEL(128, rotate_inputs, AttentionArguments p, const AttentionTile *tiles, int count) {
  AttentionTile tile = {};
  if (findTile(tile, tiles, count)) rotateInputs<NUMBER, WIDTH>(p, tile, blockIdx.y);
}

/// Back, their gradients; grid (tiles / 4, H).
KERNEL(128, rotate_gradients, AttentionArguments p, const AttentionTile *tiles, int count) {
  AttentionTile tile = {};
  if (findTile(tile, tiles, count)) rotateGradients<NUMBER, WIDTH>(p, tile, blockIdx.y);
}
