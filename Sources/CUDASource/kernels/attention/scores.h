// Softmax over keys, sixteen rows a warp, by the running maximum (Milakov and Gimelshein, 2018).
#pragma once
#include "attention.h"
#include "attention/tile.h"

/// What turns a product q . k of one level into a logit; logits are kept in base 2.
struct Scores {
  float scale;        // scale of logits times log2 e
  const float *bias;  // this head's table by distance, or null
  int width;          // entries of the table; larger distances use the last
  int level;          // a row of keys stands for 2^level positions

  DEVICE float logit(float dot, int distance) const {
    float b = bias ? __ldg(bias + min(max(distance, 0), width - 1)) * log2e : 0.0f;
    return fmaf(dot, scale, b) + (float)level;
  }
};

/// Parts of softmaxes of 16 rows; z is split over the four lanes of a quad until `finish`.
template <int D> struct Partial {
  Sums<D> y;
  float m[2], z[2];

  DEVICE void reset() {
    m[0] = m[1] = -infinity(), z[0] = z[1] = 0;
    clear(y);
  }
  DEVICE void finish() {
#pragma unroll
    for (int u = 0; u < 2; u++) {
      z[u] += __shfl_xor_sync(FULL, z[u], 1);
      z[u] += __shfl_xor_sync(FULL, z[u], 2);
    }
  }
};

/// Joins keys first ..< last, of which row g sees those below limit[0], row g + 8 below limit[1].
///
/// `index` are the rows' own numbers at this level. Every row must see a key of every run of 32 that
/// begins at first + 32 n, as those of causal blocks and of whole blocks do.
template <class T, int D, class R, class S>
DEVICE void attend(
    Partial<D> &sum, const Left<T, D> &q, const R &keys, const R &values, int first, int last,
    const int (&limit)[2], const int (&index)[2], const S &scores) {
  int t = threadIdx.x & 3;
  for (int j = first; j < last; j += 32) {
    float s[2][2][4];
    float top0 = sum.m[0], top1 = sum.m[1];
#pragma unroll
    for (int u = 0; u < 2; u++) {
      if (j + 16 * u < last) dotRows<T, D>(s[u], q, keys, j + 16 * u);
#pragma unroll
      for (int n = 0; n < 2; n++)
#pragma unroll
        for (int e = 0; e < 4; e++) {
          int key = j + 16 * u + 8 * n + 2 * t + (e & 1);
          bool live = j + 16 * u < last && key < limit[e >> 1];
          float x = scores.logit(s[u][n][e], index[e >> 1] - key);
          s[u][n][e] = live ? x : -infinity();
          if (e < 2) top0 = fmaxf(top0, s[u][n][e]);
          else top1 = fmaxf(top1, s[u][n][e]);
        }
    }
    top0 = fmaxf(top0, __shfl_xor_sync(FULL, top0, 1));
    top1 = fmaxf(top1, __shfl_xor_sync(FULL, top1, 1));
    top0 = fmaxf(top0, __shfl_xor_sync(FULL, top0, 2));
    top1 = fmaxf(top1, __shfl_xor_sync(FULL, top1, 2));
    float keep0 = exp2Fast(sum.m[0] - top0), keep1 = exp2Fast(sum.m[1] - top1);
    sum.m[0] = top0, sum.m[1] = top1;
    float z0 = 0, z1 = 0;
#pragma unroll
    for (int u = 0; u < 2; u++)
#pragma unroll
      for (int n = 0; n < 2; n++)
#pragma unroll
        for (int e = 0; e < 4; e++) {
          s[u][n][e] = exp2Fast(s[u][n][e] - (e < 2 ? top0 : top1));
          if (e < 2) z0 += s[u][n][e];
          else z1 += s[u][n][e];
        }
    sum.z[0] = fmaf(sum.z[0], keep0, z0), sum.z[1] = fmaf(sum.z[1], keep1, z1);
#pragma unroll
    for (int n = 0; n < tileColumns<D> / 8; n++) {
      sum.y.x[n][0] *= keep0, sum.y.x[n][1] *= keep0;
      sum.y.x[n][2] *= keep1, sum.y.x[n][3] *= keep1;
    }
#pragma unroll
    for (int u = 0; u < 2; u++)
      if (j + 16 * u < last) {
        Pair<T> p[4];
        asLeft(p, s[u]);
        addProduct<T, D>(sum.y, p, values, j + 16 * u);
      }
  }
}

/// This warp's tile; false if there is none.
DEVICE bool findTile(AttentionTile &tile, const AttentionTile *tiles, int count) {
  int n = blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5);
  if (n >= count) return false;
  tile = tiles[n];
  return tile.length > 0;
}
