#include "CProcessor.h"

// Written in C, as the order of these instructions decides the speed: what Swift's compiler made of the same
// loop over sixteen lanes kept some of the 24 sums in memory and reached four fifths of what this does.
#define WITHIN __attribute__((always_inline)) static inline

WITHIN void load(cp_sixteen *x, const float *from) { __builtin_memcpy(x, from, sizeof *x); }
WITHIN void store(float *to, const cp_sixteen *x) { __builtin_memcpy(to, x, sizeof *x); }

// With AVX-512 the sums of a tall and broad tile are 24 of 32 registers, two rows of B and one number of A
// beside them; with AVX2 those of a single panel are 12 of 16.
WITHIN void multiply(
    float *c, long stride, const float *a, const float *b, long k, const int tall, const int broad,
    int accumulate) {
  // The processor fetches the packed panels by itself, but not C: every tile would wait at its end.
#pragma unroll
  for (int row = 0; row < 6 + 6 * tall; row++) {
    __builtin_prefetch(c + row * stride);
    if (broad) __builtin_prefetch(c + row * stride + 16);
  }
  cp_sixteen sums[12][2];
#pragma unroll
  for (int row = 0; row < 12; row++) sums[row][0] = sums[row][1] = (cp_sixteen)(0.0f);
  const long below = 6 * k, right = 16 * k;
#pragma clang loop unroll_count(2)
  for (long step = 0; step < k; step++) {
    cp_sixteen first, next;
    load(&first, b);
    load(&next, broad ? b + right : b);
#pragma unroll
    for (int row = 0; row < 6 + 6 * tall; row++) {
      const cp_sixteen factor = (cp_sixteen)(row < 6 ? a[row] : a[below + row - 6]);
      sums[row][0] = __builtin_elementwise_fma(factor, first, sums[row][0]);
      if (broad) sums[row][1] = __builtin_elementwise_fma(factor, next, sums[row][1]);
    }
    a += 6;
    b += 16;
  }
#pragma unroll
  for (int row = 0; row < 6 + 6 * tall; row++) {
#pragma unroll
    for (int half = 0; half < 1 + broad; half++) {
      float *to = c + row * stride + 16 * half;
      cp_sixteen sum = sums[row][half];
      if (accumulate) {
        cp_sixteen before;
        load(&before, to);
        sum = before + sum;
      }
      store(to, &sum);
    }
  }
}

WITHIN void multiply_any(
    float *c, long stride, const float *a, const float *b, long k, int is_tall, int is_broad,
    int accumulate) {
  if (is_tall && is_broad)
    multiply(c, stride, a, b, k, 1, 1, accumulate);
  else if (is_tall)
    multiply(c, stride, a, b, k, 1, 0, accumulate);
  else if (is_broad)
    multiply(c, stride, a, b, k, 0, 1, accumulate);
  else
    multiply(c, stride, a, b, k, 0, 0, accumulate);
}

// Each is compiled for its processors whatever the file is compiled for.
#if defined(__x86_64__)
#define WITH_SIXTEEN __attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,fma")))
#define WITH_EIGHT __attribute__((target("avx2,fma")))
#else
#define WITH_SIXTEEN
#define WITH_EIGHT
#endif

WITH_SIXTEEN void cp_multiply_over_sixteen(
    float *c, long stride, const float *a, const float *b, long k, int is_tall, int is_broad,
    int accumulate) {
  multiply_any(c, stride, a, b, k, is_tall, is_broad, accumulate);
}

WITH_EIGHT void cp_multiply_over_eight(
    float *c, long stride, const float *a, const float *b, long k, int is_tall, int is_broad,
    int accumulate) {
  multiply_any(c, stride, a, b, k, is_tall, is_broad, accumulate);
}
