// Sum of squares of a row of elements, in double and in one order.
#include "device.h"

constexpr int squareBlocks = 512;

/// shares[block] = sum over the block's run of elements; 512 blocks of 256 threads.
KERNEL(256, square_shares, double *shares, Matrix x) {
  SHARED(double, sums, [256]);
  int eights = (x.columns + 7) / 8, run = (eights + squareBlocks - 1) / squareBlocks;
  int first = run * (int)blockIdx.x, last = min(first + run, eights);
  double sum = 0;
  float v[8];
  for (int n = first + threadIdx.x; n < last; n += 256) {
    loadEight(v, x, 0, 8 * n);
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
  if (threadIdx.x == 0) shares[blockIdx.x] = sums[0];
}

/// total = sum of the 512 shares; one block of 512 threads.
KERNEL(squareBlocks, square_total, double *total, const double *shares) {
  SHARED(double, sums, [squareBlocks]);
  sums[threadIdx.x] = shares[threadIdx.x];
  __syncthreads();
  for (int half = squareBlocks / 2; half > 0; half >>= 1) {
    if ((int)threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
    __syncthreads();
  }
  if (threadIdx.x == 0) *total = sums[0];
}
