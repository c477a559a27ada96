// Sums of the rows of a matrix and of products, in an order that shapes decide.
#include "device.h"

/// to += sum of the rows of `from`; 32 columns and 32 slices of rows a block of 1,024 threads.
KERNEL(1024, add_rows, Matrix to, Matrix from) {
  SHARED(float, slices, [32][33]);
  int lane = threadIdx.x & 31, slice = threadIdx.x >> 5, c = blockIdx.x * 32 + lane;
  float sum = 0;
  if (c < from.columns)
#pragma unroll 8
    for (int row = slice; row < from.rows; row += 32) sum += element(from, row, c);
  slices[slice][lane] = sum;
  __syncthreads();
  if (slice > 0 || c >= from.columns) return;
  float total = 0;
  for (int n = 0; n < 32; n++) total += slices[n][lane];
  setElement(to, 0, c, element(to, 0, c) + total);
}

/// to += the matrices of its shape that lie one below the other in `from`, in order, and the product of
/// few rows, aᵀ b. A thread owns eight columns of a row.
KERNEL(256, add_products, Matrix to, Matrix from, Matrix a, Matrix b) {
  int row, column;
  if (!ownEight(to, row, column)) return;
  float sum[8] = {}, v[8];
#pragma unroll 4
  for (int r = row; r < from.rows; r += to.rows) {
    loadEight(v, from, r, column);
    for (int e = 0; e < 8; e++) sum[e] += v[e];
  }
  for (int r = 0; r < a.rows; r++) {
    float factor = element(a, r, row);
    loadEight(v, b, r, column);
    for (int e = 0; e < 8; e++) sum[e] = fmaf(factor, v[e], sum[e]);
  }
  loadEight(v, to, row, column);
  for (int e = 0; e < 8; e++) v[e] += sum[e];
  storeEight(to, row, column, v);
}
