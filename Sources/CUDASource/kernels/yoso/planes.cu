// Hyperplanes of YOSO attention, drawn on the card with the bits that every other device has: each
// operation is rounded once, in one order, and none is fused that is not written so.
//
// Planes lie [H, D, m τ], neighbours in one column of the attention: lanes that hash one vector by 32
// planes read one line. A draw writes 4 H m τ D bytes, 256 KiB a layer at 8 heads of 64, m = 16, τ = 8.
#include "device.h"

#ifdef __CUDACC_RTC__
DEVICE float times(float a, float b) { return __fmul_rn(a, b); }
DEVICE float plus(float a, float b) { return __fadd_rn(a, b); }
#else
DEVICE float times(float a, float b) { return a * b; }
DEVICE float plus(float a, float b) { return a + b; }
#endif

/// One step of SplitMix64, as in Deterministic.
DEVICE unsigned long long mix(unsigned long long z) {
  z += 0x9E3779B97F4A7C15ull;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}

/// Number `index` of a stream, uniform in [1, 2) with 23 bits.
DEVICE float uniform(unsigned long long stream, unsigned long long index) {
  unsigned long long bits = mix(stream + index * 0x9E3779B97F4A7C15ull);
  return __uint_as_float((unsigned)(bits >> 41) | 0x3f800000u);
}

/// Natural logarithm of numbers in (0, 1] (Cephes `logf`).
DEVICE float logarithm(float x) {
  int bits = (int)__float_as_uint(x), exponent = (bits - 0x3f3504f3) >> 23;
  float f = plus(__uint_as_float((unsigned)(bits - (int)((unsigned)exponent << 23))), -1);
  float e = plus(__uint_as_float((unsigned)(exponent + 0x4b400000)), -12582912.0f);
  float square = times(f, f), p = 7.0376836e-2f;
  p = fmaf(p, f, -1.1514610e-1f);
  p = fmaf(p, f, 1.1676997e-1f);
  p = fmaf(p, f, -1.2420143e-1f);
  p = fmaf(p, f, 1.4249323e-1f);
  p = fmaf(p, f, -1.6668058e-1f);
  p = fmaf(p, f, 2.0000715e-1f);
  p = fmaf(p, f, -2.4999994e-1f);
  p = fmaf(p, f, 3.3333331e-1f);
  float small = fmaf(e, -2.1219444e-4f, times(times(p, f), square));
  return fmaf(e, 0.693359375f, plus(f, fmaf(square, -0.5f, small)));
}

/// Square root of a number that is not negative.
DEVICE float squareRoot(float x) {
  float guess = __uint_as_float((unsigned)(0x5f1ffff9 - ((int)__float_as_uint(x) >> 1)));
  float inverse =
      times(times(guess, 0.70395225f), fmaf(-times(x, guess), guess, 2.3892446f));
  float root = times(x, inverse), error = fmaf(-root, inverse, 1);
  return fmaf(times(root, error), fmaf(error, 0.375f, 0.5f), root);
}

/// Cosine and sine of a part of a full turn in [0, 1) (Cephes `sinf`, `cosf`).
DEVICE float2 turn(float part) {
  float four = times(part, 4), shifted = plus(four, 12582912.0f);
  unsigned quarter = __float_as_uint(shifted);
  float r = times(plus(four, -plus(shifted, -12582912.0f)), 1.5707963f), z = times(r, r);
  float s = fmaf(-1.9515296e-4f, z, 8.3321609e-3f);
  s = fmaf(s, z, -1.6666655e-1f);
  float sine = fmaf(times(s, z), r, r), c = fmaf(2.4433157e-5f, z, -1.3887316e-3f);
  c = fmaf(c, z, 4.1666646e-2f);
  float cosine = fmaf(times(c, z), z, plus(1, -times(z, 0.5f)));
  // Odd quarters exchange the two; the signs follow from the second bit.
  float a = quarter & 1 ? sine : cosine, b = quarter & 1 ? cosine : sine;
  return {__uint_as_float(__float_as_uint(a) ^ (((quarter + 1) & 2) << 30)),
          __uint_as_float(__float_as_uint(b) ^ ((quarter & 2) << 30))};
}

/// Draws the planes of all heads; a thread a pair of numbers, grid (pairs / 256, H).
KERNEL(256, yoso_draw, float *planes, const unsigned long long *streams, int count, int width) {
  int head = blockIdx.y, numbers = count * width;
  int first = 2 * (int)globalThread();
  if (first >= numbers) return;
  unsigned long long stream = streams[head];
  float radius = squareRoot(times(-2, logarithm(plus(2, -uniform(stream, first)))));
  float2 direction = turn(plus(uniform(stream, first + 1), -1));
  float pair[2] = {times(radius, direction.x), times(radius, direction.y)};
  for (int n = 0; n < 2 && first + n < numbers; n++) {
    int plane = (first + n) / width, column = (first + n) % width;
    planes[((size_t)head * width + column) * count + plane] = pair[n];
  }
}

/// The same from planes that are given, [H m τ, D]; a thread a number.
KERNEL(256, yoso_arrange, float *planes, const Matrix given, int count) {
  size_t n = globalThread();
  if (n >= (size_t)given.rows * given.columns) return;
  int row = (int)(n / given.columns), column = (int)(n % given.columns), head = row / count;
  planes[((size_t)head * given.columns + column) * count + row % count] = element(given, row, column);
}
