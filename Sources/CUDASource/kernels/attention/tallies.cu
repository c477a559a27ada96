// Slopes of biases, from the sums of blocks.
#include "device.h"

/// slope[h][d] += sum over blocks of their tallies, in an order that the number of blocks decides.
/// Grid (width / 32, H): 32 distances and 32 slices of blocks in a block of 1,024 threads.
KERNEL(1024, add_tallies, Matrix slope, const float *tallies, int blocks) {
  SHARED(float, slices, [32][33]);
  int lane = threadIdx.x & 31, slice = threadIdx.x >> 5, width = slope.columns;
  int d = blockIdx.x * 32 + lane, head = blockIdx.y;
  float sum = 0;
  if (d < width)
    for (int b = slice; b < blocks; b += 32) sum += tallies[((size_t)head * blocks + b) * width + d];
  slices[slice][lane] = sum;
  __syncthreads();
  if (slice > 0 || d >= width) return;
  float total = 0;
  for (int n = 0; n < 32; n++) total += slices[n][lane];
  setElement(slope, head, d, element(slope, head, d) + total);
}
