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

/// dx += rstd (gain dy - x rstd^2 mean(gain dy x)), of 64 rows a block; also `copy` = dx
/// unless it has no rows, and the block's row of `shares` = sum over its rows of dy x rstd.
///
/// Dynamic shared memory: C floats a warp, which keeps sums of its rows there.
KERNEL(256, rms_norm_backward, Matrix dx, Matrix copy, Matrix shares, Matrix dy, Matrix x, Matrix gain,
       Matrix rstd) {
  DYNAMIC_SHARED(float, sums);
  int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5, C = x.columns;
  float *mine = sums + warp * C, a[8], b[8], w[8], old[8];
  for (int c = 8 * lane; c < C; c += 256)
    for (int n = 0; n < 8 && c + n < C; n++) mine[c + n] = 0;
  int last = min(64 * (int)blockIdx.x + 64, x.rows);
  for (int row = 64 * blockIdx.x + warp; row < last; row += warps) {
    float sum = 0, scale = element(rstd, 0, row);
    for (int c = 8 * lane; c < C; c += 256) {
      loadEight(a, dy, row, c), loadEight(b, x, row, c), loadEight(w, gain, 0, c);
      for (int n = 0; n < 8; n++) {
        sum = fmaf(a[n] * w[n], b[n], sum);
        if (c + n < C) mine[c + n] = fmaf(a[n] * b[n], scale, mine[c + n]);
      }
    }
    float pull = warpSum(sum) / C * scale * scale;
    for (int c = 8 * lane; c < C; c += 256) {
      loadEight(a, dy, row, c), loadEight(b, x, row, c), loadEight(w, gain, 0, c);
      loadEight(old, dx, row, c);
      for (int n = 0; n < 8; n++) a[n] = old[n] + scale * (a[n] * w[n] - b[n] * pull);
      storeEight(dx, row, c, a);
      if (copy.rows) storeEight(copy, row, c, a);
    }
  }
  __syncthreads();
  for (int c = threadIdx.x; c < C; c += blockDim.x) {
    float total = 0;
    for (int n = 0; n < warps; n++) total += sums[n * C + c];
    setElement(shares, blockIdx.x, c, total);
  }
}
