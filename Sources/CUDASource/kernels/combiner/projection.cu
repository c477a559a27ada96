// The layer norm between the two products of projected addresses; one warp a row.
//
// Forward a row is read three times, from cache after the first, and written once; backward two rows are
// read and two written. Gains and biases of 64 rows at a time, then their sums.
#include "device.h"

/// Mean and 1 / deviation of a row, the same in all lanes.
DEVICE float2 moments(const Matrix &y, int row, float epsilon) {
  int lane = threadIdx.x & 31;
  float sum = 0, v[8];
  for (int c = 8 * lane; c < y.columns; c += 256) {
    loadEight(v, y, row, c);
    for (int n = 0; n < 8; n++) sum += v[n];
  }
  float mean = warpSum(sum) / y.columns, square = 0;
  for (int c = 8 * lane; c < y.columns; c += 256) {
    loadEight(v, y, row, c);
    for (int n = 0; n < 8; n++)
      if (c + n < y.columns) square = fmaf(v[n] - mean, v[n] - mean, square);
  }
  return {mean, 1 / sqrtf(warpSum(square) / y.columns + epsilon)};
}

/// x = (y - mean) / deviation, gain x + bias into `scaled`.
KERNEL(256, layer_norm_forward, const Matrix scaled, const Matrix y, const Matrix gain,
       const Matrix bias, float epsilon) {
  int row = globalWarp(), lane = threadIdx.x & 31;
  if (row >= y.rows) return;
  float2 m = moments(y, row, epsilon);
  float v[8], g[8], b[8];
  for (int c = 8 * lane; c < y.columns; c += 256) {
    loadEight(v, y, row, c), loadEight(g, gain, 0, c), loadEight(b, bias, 0, c);
    for (int n = 0; n < 8; n++) v[n] = fmaf((v[n] - m.x) * m.y, g[n], b[n]);
    storeEight(scaled, row, c, v);
  }
}

/// From the gradient of `scaled`, which d holds, to that of y, in place; y becomes x times the old d.
KERNEL(256, layer_norm_backward, const Matrix y, const Matrix d, const Matrix dy, const Matrix gain,
       float epsilon) {
  int row = globalWarp(), lane = threadIdx.x & 31;
  if (row >= y.rows) return;
  float2 m = moments(y, row, epsilon);
  float v[8], g[8], w[8], sum = 0, along = 0;
  for (int c = 8 * lane; c < y.columns; c += 256) {
    loadEight(v, y, row, c), loadEight(g, d, row, c), loadEight(w, gain, 0, c);
    for (int n = 0; n < 8; n++) {
      sum = fmaf(g[n], w[n], sum);
      along = fmaf(g[n] * w[n], (v[n] - m.x) * m.y, along);
    }
  }
  sum = warpSum(sum) / y.columns, along = warpSum(along) / y.columns;
  for (int c = 8 * lane; c < y.columns; c += 256) {
    loadEight(v, y, row, c), loadEight(g, d, row, c), loadEight(w, gain, 0, c);
    float shares[8], result[8];
    for (int n = 0; n < 8; n++) {
      float x = (v[n] - m.x) * m.y;
      shares[n] = g[n] * x;
      result[n] = m.y * (g[n] * w[n] - sum - x * along);
    }
    storeEight(y, row, c, shares);
    storeEight(dy, row, c, result);
  }
}

/// Sums of 64 rows, [N / 64, C]; a thread owns a column, grid (C / 256, N / 64).
KERNEL(256, sum_chunks, const Matrix chunks, const Matrix x) {
  int c = blockIdx.x * blockDim.x + threadIdx.x, first = blockIdx.y * 64;
  if (c >= x.columns) return;
  float sum = 0;
  for (int row = first; row < min(first + 64, x.rows); row++) sum += element(x, row, c);
  setElement(chunks, blockIdx.y, c, sum);
}
