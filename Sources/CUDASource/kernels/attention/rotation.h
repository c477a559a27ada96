// Rotation of heads by their positions (Su et al., 2021), in place, by the warp that owns a tile: what it
// turns is in the cache when attention reads it, and what attention has written when it turns it back.
#pragma once
#include "attention/rows.h"

/// Turns the pairs (j, j + D/2) of 16 rows of a head, as `rotate_heads` does; `sign` is -1 to turn back.
///
/// `x` is the head's row of position 0, `table` holds D/2 cosines and D/2 sines a position.
template <class T, int D>
DEVICE void rotateTile(T *x, int stride, const AttentionTile &tile, const float *table, float sign) {
  constexpr int eights = D / 16;
  __syncwarp();
  for (int n = threadIdx.x & 31; n < 16 * eights; n += 32) {
    int row = tile.row + n / eights, j = 8 * (n % eights);
    if (row >= tile.length) continue;
    T *at = x + (size_t)row * stride + j;
    const float *angles = table + (size_t)row * D + j;
    float a[8], b[8], c[8], s[8];
    loadRow(a, at, true), loadRow(b, at + D / 2, true);
    loadRow(c, angles, true), loadRow(s, angles + D / 2, true);
    turn(a, b, c, s, sign);
    storeRow(at, a), storeRow(at + D / 2, b);
  }
  __syncwarp();
}

/// Queries and keys of a tile, if they are to be turned.
template <class T, int D>
DEVICE void rotateInputs(const AttentionArguments &p, const AttentionTile &tile, int head) {
  if (!p.rotation) return;
  rotateTile<T, D>((T *)p.q + (size_t)tile.start * p.qStride + head * D, p.qStride, tile, p.rotation, 1);
  rotateTile<T, D>((T *)p.k + (size_t)tile.start * p.kStride + head * D, p.kStride, tile, p.rotation, 1);
}

/// Their gradients, back.
template <class T, int D>
DEVICE void rotateGradients(const AttentionArguments &p, const AttentionTile &tile, int head) {
  if (!p.rotation) return;
  T *dq = (T *)p.dq + (size_t)tile.start * p.dqStride + head * D;
  T *dk = (T *)p.dk + (size_t)tile.start * p.dkStride + head * D;
  rotateTile<T, D>(dq, p.dqStride, tile, p.rotation, -1);
  rotateTile<T, D>(dk, p.dkStride, tile, p.rotation, -1);
}
