// Softmax and cross-entropy over rows of logits; the gradient takes the place of the logits.
#include "device.h"

#ifdef __CUDACC_RTC__
#define ROW_THREADS 512, 2
#else
#define ROW_THREADS 512
#endif

/// nats[0][n] = -ln softmax(logits[n])[target]; if scale is not 0, logits = scale (softmax - onehot).
///
/// One block of 256 threads a row.
KERNEL(256, cross_entropy, Matrix nats, Matrix logits, const int *targets, float scale) {
  SHARED(float, peaks, [8]);
  SHARED(float, sums, [8]);
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

/// The first `count` of eight bf16, -infinity in place of the others.
DEVICE uint4 firstOfEight(const bf16 *from, int count) {
  unsigned words[4];
#pragma unroll
  for (int n = 0; n < 4; n++) {
    unsigned low = 2 * n < count ? from[2 * n].bits : 0xff80u;
    unsigned high = 2 * n + 1 < count ? from[2 * n + 1].bits : 0xff80u;
    words[n] = low | high << 16;
  }
  return {words[0], words[1], words[2], words[3]};
}

/// Makes the compiler work a number out of these bits again: kept as floats, they would leave the registers.
DEVICE void forget(uint4 &w) {
#ifdef __CUDA_ARCH__
  asm volatile("" : "+r"(w.x), "+r"(w.y), "+r"(w.z), "+r"(w.w));
#endif
}

/// Numbers of a row that a thread keeps in registers, by eights.
constexpr int heldEights = 9;

/// The same for rows of at most 512 x 8 x 9 = 36,864 bf16 that begin on 16 bytes.
///
/// A thread holds its numbers of the row, so that memory is read once, all of it before the first use.
/// One block of 512 threads a row; two blocks share a multiprocessor.
KERNEL(ROW_THREADS, cross_entropy_held, Matrix nats, Matrix logits, const int *targets, float scale) {
  SHARED(float, peaks, [16]);
  SHARED(float, sums, [16]);
  int row = blockIdx.x, target = targets[row], lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  int V = logits.columns;
  bf16 *numbers = (bf16 *)logits.base + place(logits, row, 0);
  float hit = toFloat(numbers[target]), top = -infinity(), z = 0;
  uint4 held[heldEights];
#pragma unroll
  for (int n = 0; n < heldEights; n++) {
    int c = 8 * ((int)threadIdx.x + 512 * n);
    held[n] = {0xff80ff80u, 0xff80ff80u, 0xff80ff80u, 0xff80ff80u};  // -inf, which adds nothing
    if (c + 8 <= V)
      held[n] = *(const uint4 *)(numbers + c);
    else if (c < V)
      held[n] = firstOfEight(numbers + c, V - c);
  }
#pragma unroll
  for (int n = 0; n < heldEights; n++) {
    float v[8];
    spread(v, held[n]);
#pragma unroll
    for (int e = 0; e < 8; e++) top = fmaxf(top, v[e]);
  }
  top = warpMax(top);
  if (lane == 0) peaks[warp] = top;
  __syncthreads();
#pragma unroll
  for (int w = 0; w < 16; w++) top = fmaxf(top, peaks[w]);
  float shift = -top * log2e;
#pragma unroll
  for (int n = 0; n < heldEights; n++) {
    float v[8];
    forget(held[n]);
    spread(v, held[n]);
#pragma unroll
    for (int e = 0; e < 8; e++) z += exp2Fast(fmaf(v[e], log2e, shift));
  }
  z = warpSum(z);
  if (lane == 0) sums[warp] = z;
  __syncthreads();
  float total = 0;
#pragma unroll
  for (int w = 0; w < 16; w++) total += sums[w];
  if (threadIdx.x == 0) setElement(nats, 0, row, top - hit + log2f(total) * ln2);
  if (scale == 0) return;
  float factor = scale / total;
#pragma unroll
  for (int n = 0; n < heldEights; n++) {
    int c = 8 * ((int)threadIdx.x + 512 * n);
    if (c >= V) break;
    float v[8];
    forget(held[n]);
    spread(v, held[n]);
#pragma unroll
    for (int e = 0; e < 8; e++) {
      v[e] = factor * exp2Fast(fmaf(v[e], log2e, shift));
      if (c + e == target) v[e] -= scale;
    }
    storeEight(logits, row, c, v);
  }
}
