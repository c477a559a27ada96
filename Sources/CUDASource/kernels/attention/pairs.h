// Pairs of numbers, the unit in which tensor cores take operands, and their product of tiles.
#pragma once
#include "device.h"

template <class T> struct Pair;
template <> struct Pair<bf16> { unsigned word; };
template <> struct Pair<float> { float low, high; };

DEVICE void setPair(Pair<bf16> &p, float low, float high) { p.word = packBf16(low, high); }
DEVICE void setPair(Pair<float> &p, float low, float high) { p.low = low, p.high = high; }
DEVICE float lowOf(Pair<bf16> p) { return __uint_as_float(p.word << 16); }
DEVICE float highOf(Pair<bf16> p) { return __uint_as_float(p.word & 0xffff0000u); }
DEVICE float lowOf(Pair<float> p) { return p.low; }
DEVICE float highOf(Pair<float> p) { return p.high; }

/// (a.low, b.low) and (a.high, b.high).
DEVICE Pair<bf16> lows(Pair<bf16> a, Pair<bf16> b) { return {__byte_perm(a.word, b.word, 0x5410)}; }
DEVICE Pair<bf16> highs(Pair<bf16> a, Pair<bf16> b) { return {__byte_perm(a.word, b.word, 0x7632)}; }
DEVICE Pair<float> lows(Pair<float> a, Pair<float> b) { return {a.low, b.low}; }
DEVICE Pair<float> highs(Pair<float> a, Pair<float> b) { return {a.high, b.high}; }

/// W neighbours, 4 or 8, in one or two loads; zeros where there is nothing to load.
template <int W> DEVICE void loadPairs(Pair<bf16> (&x)[W / 2], const bf16 *p, bool live) {
  if constexpr (W == 8) {
    uint4 w = {0, 0, 0, 0};
    if (live) w = *(const uint4 *)p;
    x[0].word = w.x, x[1].word = w.y, x[2].word = w.z, x[3].word = w.w;
  } else {
    uint2 w = {0, 0};
    if (live) w = *(const uint2 *)p;
    x[0].word = w.x, x[1].word = w.y;
  }
}
template <int W> DEVICE void loadPairs(Pair<float> (&x)[W / 2], const float *p, bool live) {
#pragma unroll
  for (int n = 0; n < W / 4; n++) {
    float4 w = {0, 0, 0, 0};
    if (live) w = ((const float4 *)p)[n];
    x[2 * n].low = w.x, x[2 * n].high = w.y;
    x[2 * n + 1].low = w.z, x[2 * n + 1].high = w.w;
  }
}
template <int W> DEVICE void storePairs(bf16 *p, const Pair<bf16> (&x)[W / 2]) {
  if constexpr (W == 8)
    *(uint4 *)p = {x[0].word, x[1].word, x[2].word, x[3].word};
  else
    *(uint2 *)p = {x[0].word, x[1].word};
}
template <int W> DEVICE void storePairs(float *p, const Pair<float> (&x)[W / 2]) {
#pragma unroll
  for (int n = 0; n < W / 4; n++)
    ((float4 *)p)[n] = {x[2 * n].low, x[2 * n].high, x[2 * n + 1].low, x[2 * n + 1].high};
}

/// c += a b, a 16 x 16 row-major, b 16 x 8, in the register layout of mma.sync m16n8k16.
DEVICE void mma(float (&c)[4], const Pair<bf16> (&a)[4], Pair<bf16> b0, Pair<bf16> b1) {
#ifdef __CUDA_ARCH__
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
      "{%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0].word), "r"(a[1].word), "r"(a[2].word), "r"(a[3].word), "r"(b0.word),
        "r"(b1.word));
#elif !defined(__CUDACC_RTC__)
  float x[8], y[4] = {lowOf(b0), highOf(b0), lowOf(b1), highOf(b1)};
  for (int n = 0; n < 4; n++) x[2 * n] = lowOf(a[n]), x[2 * n + 1] = highOf(a[n]);
  emulator::multiplyTile(c, x, y);
#endif
}

/// The nearest number of 11 bits, ties away from zero.
DEVICE float shortened(float x) {
#ifdef __CUDA_ARCH__
  unsigned bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
  return __uint_as_float(bits);
#else
  return __uint_as_float((__float_as_uint(x) + 0x1000u) & 0xffffe000u);
#endif
}

#ifdef __CUDA_ARCH__
/// c += a b of numbers of 11 bits, 8 of the summed dimension.
DEVICE void multiplyShortened(float (&c)[4], const float (&a)[4], const float (&b)[2]) {
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(__float_as_uint(a[0])), "r"(__float_as_uint(a[1])), "r"(__float_as_uint(a[2])),
        "r"(__float_as_uint(a[3])), "r"(__float_as_uint(b[0])), "r"(__float_as_uint(b[1])));
}
#endif

/// The same in single precision. Tensor cores take numbers of 11 bits: each number is the sum of two
/// of them and a rest of 2^-22 of its size, and three of the four products are added.
DEVICE void mma(float (&c)[4], const Pair<float> (&a)[4], Pair<float> b0, Pair<float> b1) {
  float large[8], small[8], largeB[4] = {b0.low, b0.high, b1.low, b1.high}, smallB[4];
#pragma unroll
  for (int n = 0; n < 8; n++) {
    float x = n % 2 ? a[n / 2].high : a[n / 2].low;
    large[n] = shortened(x), small[n] = shortened(x - large[n]);
  }
#pragma unroll
  for (int n = 0; n < 4; n++) {
    float x = largeB[n];
    largeB[n] = shortened(x), smallB[n] = shortened(x - largeB[n]);
  }
#ifdef __CUDA_ARCH__
#pragma unroll
  for (int half = 0; half < 2; half++) {
    // Both operands take a pair's numbers at places t and t + 4, so the sum is the same.
    auto left = [half](const float(&x)[8], float(&y)[4]) {
      y[0] = x[4 * half], y[1] = x[4 * half + 2], y[2] = x[4 * half + 1], y[3] = x[4 * half + 3];
    };
    float x[4], y[4], u[2] = {largeB[2 * half], largeB[2 * half + 1]};
    float w[2] = {smallB[2 * half], smallB[2 * half + 1]};
    left(large, x), left(small, y);
    multiplyShortened(c, y, u);
    multiplyShortened(c, x, w);
    multiplyShortened(c, x, u);
  }
#elif !defined(__CUDACC_RTC__)
  emulator::multiplyTile(c, small, largeB);
  emulator::multiplyTile(c, large, smallB);
  emulator::multiplyTile(c, large, largeB);
#endif
}
