// Sums of squares of rows of elements, in double and in one order.
#include "device.h"

constexpr int squareBlocks = 512;

/// shares[row, block] = sum over the block's run of the row's elements; 512 by rows blocks of 256 threads.
KERNEL(256, square_shares, double *shares, Matrix x) {
  SHARED(double, sums, [256]);
  int eights = (x.columns + 7) / 8, run = (eights + squareBlocks - 1) / squareBlocks;
  int first = run * (int)blockIdx.x, last = min(first + run, eights);
  double sum = 0;
  float v[8];
  for (int n = first + threadIdx.x; n < last; n += 256) {
    loadEight(v, x, blockIdx.y, 8 * n);
    float part = 0;
    for (int e = 0; e < 8; e++) part = fmaf(v[e], v[e], part);
    sum += part;
  }
  sums[threadIdx.x] = sum;
  __syncthreads();
  for (int half = 128; half > 0; half >>= 1) {
    if ((int)threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
    __syncthreads();
  }
  if (threadIdx.x == 0) shares[blockIdx.y * squareBlocks + blockIdx.x] = sums[0];
}

/// totals[row] = sum of the row's 512 shares; a block of 512 threads for each.
KERNEL(squareBlocks, square_total, double *totals, const double *shares) {
  SHARED(double, sums, [squareBlocks]);
  sums[threadIdx.x] = shares[blockIdx.x * squareBlocks + threadIdx.x];
  __syncthreads();
  for (int half = squareBlocks / 2; half > 0; half >>= 1) {
    if ((int)threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
    __syncthreads();
  }
  if (threadIdx.x == 0) totals[blockIdx.x] = sums[0];
}
