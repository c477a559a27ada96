#include "CProcessor.h"

#if defined(__x86_64__)
#include <immintrin.h>

// Compiled for processors that have these instructions whatever the file is compiled for; nothing here runs
// on others.
#define WITH_PAIRS __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))
#define WITHIN_PAIRS WITH_PAIRS __attribute__((always_inline)) static inline

// Columns of a panel of sixteen: `even` becomes the lower halves, `odd` the upper ones.
WITHIN_PAIRS __m512i joined(__m512 even, __m512 odd) {
  const __m512i order = _mm512_set_epi16(
      31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4, 19,
      3, 18, 2, 17, 1, 16, 0);
  return _mm512_permutexvar_epi16(order, (__m512i)_mm512_cvtne2ps_pbh(odd, even));
}

WITH_PAIRS void cp_pack_pairs_down(
    const float *from, long stride, long rows, int count, int width, unsigned *panel) {
  const __mmask16 there = (__mmask16)((1u << count) - 1);
  const __mmask16 columns = (__mmask16)((1u << width) - 1);
  for (long row = 0; row + 1 < rows; row += 2) {
    const __m512 even = _mm512_maskz_loadu_ps(there, from + row * stride);
    const __m512 odd = _mm512_maskz_loadu_ps(there, from + (row + 1) * stride);
    _mm512_mask_storeu_epi32(panel + row / 2 * width, columns, joined(even, odd));
  }
  if (rows % 2) {
    const __m512 even = _mm512_maskz_loadu_ps(there, from + (rows - 1) * stride);
    const __m512i pairs = joined(even, _mm512_setzero_ps());
    _mm512_mask_storeu_epi32(panel + rows / 2 * width, columns, pairs);
  }
}

// Sixteen neighbours of a row, of which `count` exist, as eight pairs.
WITHIN_PAIRS __m256i neighbours(const float *from, long count) {
  if (count >= 16)
    return (__m256i)_mm256_cvtne2ps_pbh(_mm256_loadu_ps(from + 8), _mm256_loadu_ps(from));
  const __mmask16 there = (__mmask16)((1u << count) - 1);
  const __m256 low = _mm256_maskz_loadu_ps((__mmask8)there, from);
  const __m256 high = _mm256_maskz_loadu_ps((__mmask8)(there >> 8), from + 8);
  return (__m256i)_mm256_cvtne2ps_pbh(high, low);
}

// Eight by eight pairs, transposed in registers.
WITHIN_PAIRS void transpose(__m256i r[8]) {
  __m256i t[8], u[8];
#pragma unroll
  for (int i = 0; i < 4; i++) {
    t[2 * i] = _mm256_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm256_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
  }
#pragma unroll
  for (int i = 0; i < 2; i++) {
    u[4 * i] = _mm256_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
    u[4 * i + 1] = _mm256_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
    u[4 * i + 2] = _mm256_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
    u[4 * i + 3] = _mm256_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
  }
#pragma unroll
  for (int i = 0; i < 4; i++) {
    r[i] = _mm256_permute2x128_si256(u[i], u[i + 4], 0x20);
    r[i + 4] = _mm256_permute2x128_si256(u[i], u[i + 4], 0x31);
  }
}

WITH_PAIRS void cp_pack_pairs_across(
    const float *from, long stride, long last, long count, int width, unsigned *panel) {
  for (int group = 0; group < width; group += 8) {
    const float *rows[8];
    for (int i = 0; i < 8; i++) rows[i] = from + (group + i < last ? group + i : last) * stride;
    for (long first = 0; first < count; first += 16) {
      const long left = count - first;
      __m256i pairs[8];
#pragma unroll
      for (int i = 0; i < 8; i++) pairs[i] = neighbours(rows[i] + first, left);
      transpose(pairs);
      unsigned *to = panel + first / 2 * width + group;
      if (left >= 16) {
        // Of six columns, two pairs of every store are overwritten by the next.
#pragma unroll
        for (int i = 0; i < 8; i++) _mm256_storeu_si256((__m256i *)(to + i * width), pairs[i]);
      } else {
        const __mmask8 columns = width < 8 ? (__mmask8)((1u << width) - 1) : 0xFF;
        for (long i = 0; i < (left + 1) / 2; i++)
          _mm256_mask_storeu_epi32(to + i * width, columns, pairs[i]);
      }
    }
  }
}

// The sums of a tile stay in registers: 24 of 32, two rows of B beside them, numbers of A from memory.
WITHIN_PAIRS void multiply(
    float *c, long stride, const unsigned *a, const unsigned *b, long pairs, const int tall,
    const int broad, int accumulate) {
  // As in Tile.c: C is not fetched by itself.
#pragma unroll
  for (int row = 0; row < 6 + 6 * tall; row++) {
    __builtin_prefetch(c + row * stride);
    if (broad) __builtin_prefetch(c + row * stride + 16);
  }
  __m512 sums[2][6][2];
#pragma unroll
  for (int i = 0; i < 6; i++)
    sums[0][i][0] = sums[0][i][1] = sums[1][i][0] = sums[1][i][1] = _mm512_setzero_ps();
  const long below = 6 * pairs, right = 16 * pairs;
  for (long k = 0; k < pairs; k++) {
    const __m512bh first = (__m512bh)_mm512_loadu_si512(b);
    const __m512bh next = broad ? (__m512bh)_mm512_loadu_si512(b + right) : first;
#pragma unroll
    for (int panel = 0; panel < 1 + tall; panel++) {
#pragma unroll
      for (int i = 0; i < 6; i++) {
        const __m512bh x = (__m512bh)_mm512_set1_epi32((int)a[panel * below + i]);
        sums[panel][i][0] = _mm512_dpbf16_ps(sums[panel][i][0], x, first);
        if (broad) sums[panel][i][1] = _mm512_dpbf16_ps(sums[panel][i][1], x, next);
      }
    }
    a += 6;
    b += 16;
  }
#pragma unroll
  for (int panel = 0; panel < 1 + tall; panel++) {
#pragma unroll
    for (int i = 0; i < 6; i++) {
      float *to = c + (panel * 6 + i) * stride;
#pragma unroll
      for (int half = 0; half < 1 + broad; half++) {
        __m512 sum = sums[panel][i][half];
        if (accumulate) sum = _mm512_add_ps(_mm512_loadu_ps(to + 16 * half), sum);
        _mm512_storeu_ps(to + 16 * half, sum);
      }
    }
  }
}

WITH_PAIRS void cp_multiply_pairs(
    float *c, long stride, const unsigned *a, const unsigned *b, long pairs, int is_tall,
    int is_broad, int accumulate) {
  if (is_tall && is_broad)
    multiply(c, stride, a, b, pairs, 1, 1, accumulate);
  else if (is_tall)
    multiply(c, stride, a, b, pairs, 1, 0, accumulate);
  else if (is_broad)
    multiply(c, stride, a, b, pairs, 0, 1, accumulate);
  else
    multiply(c, stride, a, b, pairs, 0, 0, accumulate);
}

#else

// No processor of another kind has these instructions: nobody calls what has no work.
void cp_pack_pairs_down(
    const float *from, long stride, long rows, int count, int width, unsigned *panel) {}
void cp_pack_pairs_across(
    const float *from, long stride, long last, long count, int width, unsigned *panel) {}
void cp_multiply_pairs(
    float *c, long stride, const unsigned *a, const unsigned *b, long pairs, int is_tall,
    int is_broad, int accumulate) {}

#endif
