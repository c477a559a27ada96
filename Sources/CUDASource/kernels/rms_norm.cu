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

/// What a row is normalised to before the gain, from the input (with its rstd) or from the output.
DEVICE float normalised(float from, float gain, float rstd, int isOutput) {
  return isOutput ? (gain != 0 ? from / gain : 0.0f) : from * rstd;
}

/// The rows of a warp where a lane keeps its columns of a row, and its sums, in registers.
template <int N>
DEVICE void backwardRows(const Matrix &dx, const Matrix &copy, const Matrix &dy, const Matrix &from,
                         const Matrix &gain, const Matrix &rstd, int isOutput, int accumulate,
                         int first, int last, float *mine) {
  int lane = threadIdx.x & 31, warps = blockDim.x >> 5, C = from.columns;
  float w[N][8], sums[N][8] = {};
#pragma unroll
  for (int n = 0; n < N; n++) loadEight(w[n], gain, 0, 256 * n + 8 * lane);
  for (int row = first; row < last; row += warps) {
    float a[N][8], x[N][8], old[N][8] = {}, scale = element(rstd, 0, row), sum = 0;
#pragma unroll
    for (int n = 0; n < N; n++) {
      int c = 256 * n + 8 * lane;
      loadEight(a[n], dy, row, c), loadEight(x[n], from, row, c);
      if (accumulate) loadEight(old[n], dx, row, c);
    }
#pragma unroll
    for (int n = 0; n < N; n++)
#pragma unroll
      for (int e = 0; e < 8; e++) {
        x[n][e] = normalised(x[n][e], w[n][e], scale, isOutput);
        sums[n][e] = fmaf(a[n][e], x[n][e], sums[n][e]);
        a[n][e] *= w[n][e];
        sum = fmaf(a[n][e], x[n][e], sum);
      }
    float pull = warpSum(sum) / C;
#pragma unroll
    for (int n = 0; n < N; n++) {
#pragma unroll
      for (int e = 0; e < 8; e++) a[n][e] = old[n][e] + scale * (a[n][e] - x[n][e] * pull);
      storeEight(dx, row, 256 * n + 8 * lane, a[n]);
      if (copy.rows) storeEight(copy, row, 256 * n + 8 * lane, a[n]);
    }
  }
#pragma unroll
  for (int n = 0; n < N; n++)
#pragma unroll
    for (int e = 0; e < 8; e++)
      if (256 * n + 8 * lane + e < C) mine[256 * n + 8 * lane + e] = sums[n][e];
}

/// The same where dx, dy and the output that is given are bf16 on 16 bytes, as in a step of training.
///
/// The next row is on its way while one is computed, and nothing is divided: with y = n gain,
/// sum gain dy n = sum dy y, and sums of dy n are sums of dy y, over the gain in the end.
template <int N>
DEVICE void backwardPairs(const Matrix &dx, const Matrix &, const Matrix &dy, const Matrix &from,
                          const Matrix &gain, const Matrix &rstd, int, int accumulate, int first,
                          int last, float *mine) {
  int lane = threadIdx.x & 31, warps = blockDim.x >> 5, C = from.columns;
  float w[N][8], inverse[N][8], sums[N][8] = {}, nextScale = 0;
  uint4 next[3][N];
  auto load = [&](int row) {
    if (row >= last) return;
    nextScale = element(rstd, 0, row);
#pragma unroll
    for (int n = 0; n < N; n++) {
      int c = 256 * n + 8 * lane;
      next[0][n] = next[1][n] = next[2][n] = {0, 0, 0, 0};
      if (c >= C) continue;
      next[0][n] = *(const uint4 *)((const bf16 *)dy.base + place(dy, row, c));
      next[1][n] = *(const uint4 *)((const bf16 *)from.base + place(from, row, c));
      if (accumulate) next[2][n] = *(const uint4 *)((const bf16 *)dx.base + place(dx, row, c));
    }
  };
  load(first);
#pragma unroll
  for (int n = 0; n < N; n++) {
    loadEight(w[n], gain, 0, 256 * n + 8 * lane);
#pragma unroll
    for (int e = 0; e < 8; e++) inverse[n][e] = w[n][e] != 0 ? 1 / w[n][e] : 0.0f;
  }
  for (int row = first; row < last; row += warps) {
    uint4 now[3][N];
    float scale = nextScale, sum = 0;
#pragma unroll
    for (int k = 0; k < 3; k++)
#pragma unroll
      for (int n = 0; n < N; n++) now[k][n] = next[k][n];
    load(row + warps);
#pragma unroll
    for (int n = 0; n < N; n++) {
      float a[8], y[8];
      spread(a, now[0][n]), spread(y, now[1][n]);
#pragma unroll
      for (int e = 0; e < 8; e++) {
        float both = a[e] * y[e];
        sums[n][e] += both, sum += both;
      }
    }
    float pull = scale * warpSum(sum) / C;
#pragma unroll
    for (int n = 0; n < N; n++) {
      float a[8], y[8], old[8];
      spread(a, now[0][n]), spread(y, now[1][n]), spread(old, now[2][n]);
#pragma unroll
      for (int e = 0; e < 8; e++)
        a[e] = fmaf(scale * w[n][e], a[e], fmaf(-pull * inverse[n][e], y[e], old[e]));
      storeEight(dx, row, 256 * n + 8 * lane, a);
    }
  }
#pragma unroll
  for (int n = 0; n < N; n++)
#pragma unroll
    for (int e = 0; e < 8; e++)
      if (256 * n + 8 * lane + e < C) mine[256 * n + 8 * lane + e] = sums[n][e] * inverse[n][e];
}

/// The same for rows of any length, whose sums are in shared memory.
DEVICE void backwardLongRows(const Matrix &dx, const Matrix &copy, const Matrix &dy, const Matrix &from,
                             const Matrix &gain, const Matrix &rstd, int isOutput, int accumulate,
                             int first, int last, float *mine) {
  int lane = threadIdx.x & 31, warps = blockDim.x >> 5, C = from.columns;
  float a[8], b[8], w[8];
  for (int c = 8 * lane; c < C; c += 256)
    for (int n = 0; n < 8 && c + n < C; n++) mine[c + n] = 0;
  for (int row = first; row < last; row += warps) {
    float sum = 0, scale = element(rstd, 0, row);
    for (int c = 8 * lane; c < C; c += 256) {
      loadEight(a, dy, row, c), loadEight(b, from, row, c), loadEight(w, gain, 0, c);
      for (int n = 0; n < 8; n++) {
        float x = normalised(b[n], w[n], scale, isOutput);
        sum = fmaf(a[n] * w[n], x, sum);
        if (c + n < C) mine[c + n] = fmaf(a[n], x, mine[c + n]);
      }
    }
    float pull = warpSum(sum) / C;
    for (int c = 8 * lane; c < C; c += 256) {
      float old[8] = {};
      loadEight(a, dy, row, c), loadEight(b, from, row, c), loadEight(w, gain, 0, c);
      if (accumulate) loadEight(old, dx, row, c);
      for (int n = 0; n < 8; n++) {
        float x = normalised(b[n], w[n], scale, isOutput);
        a[n] = old[n] + scale * (a[n] * w[n] - x * pull);
      }
      storeEight(dx, row, c, a);
      if (copy.rows) storeEight(copy, row, c, a);
    }
  }
}

/// dx (+)= rstd (gain dy - n mean(gain dy n)), n = x rstd, of 64 rows a block; also `copy` = dx unless it
/// has no rows, and the block's row of `shares` = sum over its rows of dy n. `from` is x or the output.
///
/// Dynamic shared memory: C floats a warp, which puts the sums of its rows there. A kernel by width: one for
/// all would have the registers of the widest.
#define BACKWARD(name, body)                                                                        \
  KERNEL(256, name, Matrix dx, Matrix copy, Matrix shares, Matrix dy, Matrix from, Matrix gain,     \
         Matrix rstd, int isOutput, int accumulate) {                                               \
    DYNAMIC_SHARED(float, sums);                                                                    \
    int warp = threadIdx.x >> 5, warps = blockDim.x >> 5, C = from.columns;                         \
    int first = 64 * blockIdx.x + warp, last = min(64 * (int)blockIdx.x + 64, from.rows);           \
    body(dx, copy, dy, from, gain, rstd, isOutput, accumulate, first, last, sums + warp * C);       \
    __syncthreads();                                                                                \
    for (int c = threadIdx.x; c < C; c += blockDim.x) {                                             \
      float total = 0;                                                                              \
      for (int n = 0; n < warps; n++) total += sums[n * C + c];                                     \
      setElement(shares, blockIdx.x, c, total);                                                     \
    }                                                                                               \
  }
BACKWARD(rms_norm_backward_512_bf16, backwardPairs<2>)
BACKWARD(rms_norm_backward_1024_bf16, backwardPairs<4>)
BACKWARD(rms_norm_backward_512, backwardRows<2>)
BACKWARD(rms_norm_backward_1024, backwardRows<4>)
BACKWARD(rms_norm_backward, backwardLongRows)
#undef BACKWARD
