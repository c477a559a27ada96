// What every kernel begins with: numbers, rows of a matrix, sums of a warp.
//
// The same text is compiled by NVRTC for a card and, in tests, by a C++ compiler for this processor
// (`emulator.h`, which defines what CUDA's language has and C++ lacks). Rules that follow:
//   * no atomics, and every sum in an order that the shape alone decides;
//   * every lane of a warp takes part in every warp operation;
//   * a kernel is declared by KERNEL(threads, name, parameters...) and takes plain values;
//   * shared memory is declared by SHARED(type, name, dimensions), before its first use by any thread.
#pragma once
#include "cuda_source.h"

#ifdef __CUDACC_RTC__
#define DEVICE __device__ __forceinline__
#define DYNAMIC_SHARED(T, name)                                  \
  extern __shared__ __align__(16) unsigned char dynamicShared[]; \
  T *name = reinterpret_cast<T *>(dynamicShared)
#define SHARED(T, name, dimensions) __shared__ T name dimensions
#define KERNEL(threads, name, ...) \
  extern "C" __global__ void __launch_bounds__(threads) name(__VA_ARGS__)
#else
#include "emulator.h"
#endif

#define FULL 0xffffffffu
constexpr float log2e = 1.4426950408889634f;
constexpr float ln2 = 0.6931471805599453f;

// -------------------------------------------------------------------------------- numbers

struct bf16 { unsigned short bits; };

DEVICE float infinity() { return __uint_as_float(0x7f800000u); }
DEVICE float toFloat(bf16 x) { return __uint_as_float((unsigned)x.bits << 16); }
DEVICE float toFloat(float x) { return x; }

/// Two bf16 of one word, `low` in the low half, rounded to nearest even.
DEVICE unsigned packBf16(float low, float high) {
#ifdef __CUDA_ARCH__
  unsigned word;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
  return word;
#else
  unsigned word = 0;
  float x[2] = {low, high};
  for (int n = 0; n < 2; n++) {
    unsigned bits = __float_as_uint(x[n]);
    bits = (bits & 0x7fffffffu) > 0x7f800000u ? 0x7fffu << 16
                                              : bits + 0x7fffu + ((bits >> 16) & 1);
    word |= (bits >> 16) << (16 * n);
  }
  return word;
#endif
}

/// 2^x. On a card within 2 units in the last place, and results below 2^-126 are 0.
DEVICE float exp2Fast(float x) {
#ifdef __CUDA_ARCH__
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#else
  return exp2f(x);
#endif
}

template <class T> DEVICE T fromFloat(float x);
template <> DEVICE float fromFloat<float>(float x) { return x; }
template <> DEVICE bf16 fromFloat<bf16>(float x) { return {(unsigned short)packBf16(x, 0)}; }

// ------------------------------------------------------------------------------- matrices

/// Number of element (row, column) from the base on.
DEVICE size_t place(const Matrix &m, int row, int column) {
  return (size_t)row * m.stride + column;
}

/// One element as a float. The branch on the type is the same for all threads of a launch.
DEVICE float element(const Matrix &m, int row, int column) {
  size_t at = place(m, row, column);
  return m.type == NUMBER_FLOAT ? ((const float *)m.base)[at] : toFloat(((const bf16 *)m.base)[at]);
}

/// Sets one element, rounded to nearest even.
DEVICE void setElement(const Matrix &m, int row, int column, float x) {
  size_t at = place(m, row, column);
  if (m.type == NUMBER_FLOAT)
    ((float *)m.base)[at] = x;
  else
    ((bf16 *)m.base)[at] = fromFloat<bf16>(x);
}

/// Eight bf16 as floats.
DEVICE void spread(float (&x)[8], uint4 w) {
  unsigned words[4] = {w.x, w.y, w.z, w.w};
#pragma unroll
  for (int n = 0; n < 4; n++) {
    x[2 * n] = __uint_as_float(words[n] << 16);
    x[2 * n + 1] = __uint_as_float(words[n] & 0xffff0000u);
  }
}

/// Eight neighbours from a column that eight divides; those past the last column are 0.
DEVICE void loadEight(float (&x)[8], const Matrix &m, int row, int column) {
  if (m.aligned && column + 8 <= m.columns) {
    size_t at = place(m, row, column);
    if (m.type == NUMBER_FLOAT) {
      const float4 *from = (const float4 *)((const float *)m.base + at);
      float4 low = from[0], high = from[1];
      x[0] = low.x, x[1] = low.y, x[2] = low.z, x[3] = low.w;
      x[4] = high.x, x[5] = high.y, x[6] = high.z, x[7] = high.w;
    } else {
      spread(x, *(const uint4 *)((const bf16 *)m.base + at));
    }
    return;
  }
#pragma unroll
  for (int n = 0; n < 8; n++) x[n] = column + n < m.columns ? element(m, row, column + n) : 0.0f;
}

/// Sets eight neighbours from a column that eight divides; those past the last column are left out.
DEVICE void storeEight(const Matrix &m, int row, int column, const float (&x)[8]) {
  if (m.aligned && column + 8 <= m.columns) {
    size_t at = place(m, row, column);
    if (m.type == NUMBER_FLOAT) {
      float4 *to = (float4 *)((float *)m.base + at);
      to[0] = {x[0], x[1], x[2], x[3]};
      to[1] = {x[4], x[5], x[6], x[7]};
    } else {
      *(uint4 *)((bf16 *)m.base + at) = {packBf16(x[0], x[1]), packBf16(x[2], x[3]),
                                         packBf16(x[4], x[5]), packBf16(x[6], x[7])};
    }
    return;
  }
#pragma unroll
  for (int n = 0; n < 8; n++)
    if (column + n < m.columns) setElement(m, row, column + n, x[n]);
}

/// (a, b) = (a cos - b sin, b cos + a sin), with the same roundings wherever it is compiled.
DEVICE void turn(float (&a)[8], float (&b)[8], const float (&c)[8], const float (&s)[8], float sign) {
#pragma unroll
  for (int e = 0; e < 8; e++) {
    float sine = sign * s[e], first = fmaf(a[e], c[e], -(b[e] * sine));
    b[e] = fmaf(b[e], c[e], a[e] * sine), a[e] = first;
  }
}

// ---------------------------------------------------------------------------- threads

/// The sum over the lanes of a warp, the same in all of them.
DEVICE float warpSum(float x) {
  for (int by = 16; by > 0; by >>= 1) x += __shfl_xor_sync(FULL, x, by);
  return x;
}

/// The largest number of a warp, the same in all lanes.
DEVICE float warpMax(float x) {
  for (int by = 16; by > 0; by >>= 1) x = fmaxf(x, __shfl_xor_sync(FULL, x, by));
  return x;
}

/// Number of this thread, and of its warp, in a grid of one dimension.
DEVICE size_t globalThread() { return (size_t)blockIdx.x * blockDim.x + threadIdx.x; }
DEVICE int globalWarp() { return (int)(globalThread() >> 5); }

/// n / by and, in `rest`, n % by. A division of 64 bits takes as long as all else in a small kernel.
DEVICE size_t divide(size_t n, int by, int &rest) {
  if (n >> 32) {
    rest = (int)(n % by);
    return n / by;
  }
  unsigned whole = (unsigned)n / (unsigned)by;
  rest = (int)((unsigned)n - whole * (unsigned)by);
  return whole;
}

/// The eight columns of a row that this thread owns; false past the last row.
DEVICE bool ownEight(const Matrix &m, int &row, int &column) {
  int eights = (m.columns + 7) / 8, rest;
  size_t n = globalThread();
  if (n >= (size_t)m.rows * eights) return false;
  row = (int)divide(n, eights, rest), column = 8 * rest;
  return true;
}
