// Sums of the rows of a matrix, in an order that its shape decides.
#include "device.h"

/// to += sum of the rows of `from`; 32 columns and 32 slices of rows a block of 1,024 threads.
KERNEL(1024, add_rows, Matrix to, Matrix from) {
  __shared__ float slices[32][33];
  int lane = threadIdx.x & 31, slice = threadIdx.x >> 5, c = blockIdx.x * 32 + lane;
  float sum = 0;
  if (c < from.columns)
    for (int row = slice; row < from.rows; row += 32) sum += element(from, row, c);
  slices[slice][lane] = sum;
  __syncthreads();
  if (slice > 0 || c >= from.columns) return;
  float total = 0;
  for (int n = 0; n < 32; n++) total += slices[n][lane];
  setElement(to, 0, c, element(to, 0, c) + total);
}
