// Softmax and cross-entropy over rows of logits; the gradient takes the place of the logits.
#include "device.h"

/// nats[0][n] = -ln softmax(logits[n])[target]; if scale is not 0, logits = scale (softmax - onehot).
///
/// One block of 256 threads a row.
KERNEL(256, cross_entropy, Matrix nats, Matrix logits, const int *targets, float scale) {
  __shared__ float peaks[8], sums[8];
  int row = blockIdx.x, target = targets[row], lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  int V = logits.columns;
  float hit = element(logits, row, target), m = -infinity(), z = 0, v[8];
  for (int c = 8 * threadIdx.x; c < V; c += 2048) {
    loadEight(v, logits, row, c);
    float top = m, part = 0;
    for (int e = 0; e < 8; e++)
      if (c + e < V) top = fmaxf(top, v[e]);
    for (int e = 0; e < 8; e++)
      if (c + e < V) part += exp2Fast((v[e] - top) * log2e);
    z = z * exp2Fast((m - top) * log2e) + part, m = top;
  }
  // Threads without a column hold (-inf, 0). Logits that are no numbers are passed over by fmaxf, and
  // come through in the sum.
  float top = m;
  for (int by = 16; by > 0; by >>= 1) top = fmaxf(top, __shfl_xor_sync(FULL, top, by));
  if (lane == 0) peaks[warp] = top;
  __syncthreads();
  for (int w = 0; w < 8; w++) top = fmaxf(top, peaks[w]);
  z = warpSum(m == -infinity() ? z : z * exp2Fast((m - top) * log2e));
  if (lane == 0) sums[warp] = z;
  __syncthreads();
  float total = 0;
  for (int w = 0; w < 8; w++) total += sums[w];
  if (threadIdx.x == 0) setElement(nats, 0, row, top - hit + log2f(total) * ln2);
  if (scale == 0) return;
  float factor = scale / total;
  for (int c = 8 * threadIdx.x; c < V; c += 2048) {
    loadEight(v, logits, row, c);
    for (int e = 0; e < 8; e++) {
      v[e] = factor * exp2Fast((v[e] - top) * log2e);
      if (c + e == target) v[e] -= scale;
    }
    storeEight(logits, row, c, v);
  }
}
