// RMSNorm (Zhang and Sennrich, 2019), forward and backward; one warp a row.
#include "device.h"

/// y = x rstd gain, rstd = 1 / sqrt(mean x^2 + epsilon). rstd and gain are one row.
KERNEL(256, rms_norm_forward, Matrix y, Matrix rstd, Matrix x, Matrix gain, float epsilon) {
  int row = globalWarp(), lane = threadIdx.x & 31;
  if (row >= x.rows) return;
  float sum = 0, v[8], w[8];
  for (int c = 8 * lane; c < x.columns; c += 256) {
    loadEight(v, x, row, c);
    for (int n = 0; n < 8; n++) sum = fmaf(v[n], v[n], sum);
  }
  float scale = 1 / sqrtf(warpSum(sum) / x.columns + epsilon);
  if (lane == 0) setElement(rstd, 0, row, scale);
  for (int c = 8 * lane; c < x.columns; c += 256) {
    loadEight(v, x, row, c), loadEight(w, gain, 0, c);
    for (int n = 0; n < 8; n++) v[n] *= scale * w[n];
    storeEight(y, row, c, v);
  }
}

/// dx += rstd (gain dy - x rstd^2 mean(gain dy x)).
KERNEL(256, rms_norm_backward, Matrix dx, Matrix dy, Matrix x, Matrix gain, Matrix rstd) {
  int row = globalWarp(), lane = threadIdx.x & 31;
  if (row >= x.rows) return;
  float sum = 0, a[8], b[8], w[8], old[8];
  for (int c = 8 * lane; c < x.columns; c += 256) {
    loadEight(a, dy, row, c), loadEight(b, x, row, c), loadEight(w, gain, 0, c);
    for (int n = 0; n < 8; n++) sum = fmaf(a[n] * w[n], b[n], sum);
  }
  float scale = element(rstd, 0, row), pull = warpSum(sum) / x.columns * scale * scale;
  for (int c = 8 * lane; c < x.columns; c += 256) {
    loadEight(a, dy, row, c), loadEight(b, x, row, c), loadEight(w, gain, 0, c);
    loadEight(old, dx, row, c);
    for (int n = 0; n < 8; n++) a[n] = old[n] + scale * (a[n] * w[n] - b[n] * pull);
    storeEight(dx, row, c, a);
  }
}

/// shares[chunk][c] = sum over 64 rows of dy x rstd. A thread owns a column, grid (C / 256, chunks).
KERNEL(256, rms_norm_gain_shares, Matrix shares, Matrix dy, Matrix x, Matrix rstd) {
  int c = blockIdx.x * blockDim.x + threadIdx.x, first = blockIdx.y * 64;
  if (c >= x.columns) return;
  float sum = 0;
  for (int row = first; row < min(first + 64, x.rows); row++)
    sum = fmaf(element(dy, row, c) * element(x, row, c), element(rstd, 0, row), sum);
  setElement(shares, blockIdx.y, c, sum);
}
