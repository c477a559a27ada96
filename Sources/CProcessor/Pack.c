#include "CProcessor.h"

#if defined(__x86_64__)
#include <immintrin.h>

// Compiled for processors that have these instructions whatever the file is compiled for; nothing here runs
// on others.
#define WITH_SIXTEEN __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl")))
#define WITHIN WITH_SIXTEEN __attribute__((always_inline)) static inline

// The nearest bfloat16, ties to even; what is below 2^-126 becomes zero, and what is no number stays none.
WITHIN __m512 rounded(__m512 x) {
  const __m512i bits = (__m512i)x;
  const __m512i upper = _mm512_set1_epi32((int)0xFFFF0000);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  __m512i result = _mm512_and_si512(
      _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7FFF)), odd), upper);
  const __mmask16 small = _mm512_testn_epi32_mask(bits, _mm512_set1_epi32(0x7F800000));
  result = _mm512_mask_and_epi32(result, small, bits, _mm512_set1_epi32((int)0x80000000));
  const __mmask16 none = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
  result = _mm512_mask_or_epi32(
      result, none, _mm512_and_si512(bits, upper), _mm512_set1_epi32(0x00400000));
  return (__m512)result;
}

WITHIN __m512 taken(__m512 x, const int rounds) { return rounds ? rounded(x) : x; }

// Sixteen terms of sixteen rows, transposed in registers.
WITHIN void transpose(__m512 r[16]) {
  __m512 t[16];
#pragma unroll
  for (int i = 0; i < 8; i++) {
    t[2 * i] = _mm512_unpacklo_ps(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm512_unpackhi_ps(r[2 * i], r[2 * i + 1]);
  }
#pragma unroll
  for (int i = 0; i < 4; i++) {
    const __m512d a = (__m512d)t[4 * i], b = (__m512d)t[4 * i + 1];
    const __m512d c = (__m512d)t[4 * i + 2], d = (__m512d)t[4 * i + 3];
    r[4 * i] = (__m512)_mm512_unpacklo_pd(a, c);
    r[4 * i + 1] = (__m512)_mm512_unpackhi_pd(a, c);
    r[4 * i + 2] = (__m512)_mm512_unpacklo_pd(b, d);
    r[4 * i + 3] = (__m512)_mm512_unpackhi_pd(b, d);
  }
#pragma unroll
  for (int i = 0; i < 4; i++) {
    t[i] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0xDD);
    t[i + 8] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0xDD);
  }
#pragma unroll
  for (int i = 0; i < 4; i++) {
    r[i] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0x88);
    r[i + 4] = _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0x88);
    r[i + 8] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0xDD);
    r[i + 12] = _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0xDD);
  }
}

WITHIN void pack_sixteen_across(
    const float *from, long stride, long last, long count, float *panel, const int rounds) {
  const float *rows[16];
#pragma unroll
  for (int i = 0; i < 16; i++) rows[i] = from + (i < last ? i : last) * stride;
  for (long first = 0; first < count; first += 16) {
    const long left = count - first;
    const __mmask16 there = left >= 16 ? 0xFFFF : (__mmask16)((1u << left) - 1);
    __m512 r[16];
    // The next panel's rows: the processor does not guess where a part of a row ends and the same part of
    // another begins.
#pragma unroll
    for (int i = 0; i < 16; i++) __builtin_prefetch(rows[i] + first + 16 * stride);
#pragma unroll
    for (int i = 0; i < 16; i++)
      r[i] = taken(_mm512_maskz_loadu_ps(there, rows[i] + first), rounds);
    transpose(r);
    float *to = panel + first * 16;
    if (left >= 16) {
#pragma unroll
      for (int i = 0; i < 16; i++) _mm512_storeu_ps(to + 16 * i, r[rounds ? i ^ 1 : i]);
    } else {
      const long steps = rounds ? (left + 1) & ~1 : left;
#pragma unroll
      for (int i = 0; i < 16; i++)
        if (i < steps) _mm512_storeu_ps(to + 16 * i, r[rounds ? i ^ 1 : i]);
    }
  }
}

// Word `16 i + lane` of sixteen terms of six rows is term `word / 6` of row `word % 6`. What comes of rows 0
// and 1 is found by one permutation of two registers, and so are 2 and 3, and 4 and 5; bit 4 of an index
// chooses the second of two rows, and of pairs the terms are exchanged where they are rounded.
static int indices[2][6][16];
static unsigned short masks[6][2];
__attribute__((constructor)) static void find_indices(void) {
  for (int i = 0; i < 6; i++)
    for (int lane = 0; lane < 16; lane++) {
      const int word = 16 * i + lane, term = word / 6, row = word % 6;
      for (int exchanged = 0; exchanged < 2; exchanged++)
        indices[exchanged][i][lane] = (term ^ exchanged) | (row & 1) << 4;
      if (row >= 2) masks[i][row / 2 - 1] |= (unsigned short)(1u << lane);
    }
}

WITHIN void pack_six_across(
    const float *from, long stride, long last, long count, float *panel, const int rounds) {
  const float *rows[6];
#pragma unroll
  for (int i = 0; i < 6; i++) rows[i] = from + (i < last ? i : last) * stride;
  __m512i order[6];
#pragma unroll
  for (int i = 0; i < 6; i++) order[i] = _mm512_loadu_si512(indices[rounds][i]);
  for (long first = 0; first < count; first += 16) {
    const long left = count - first;
    const __mmask16 there = left >= 16 ? 0xFFFF : (__mmask16)((1u << left) - 1);
    const long steps = left >= 16 ? 16 : rounds ? (left + 1) & ~1 : left;
    __m512 r[6];
#pragma unroll
    for (int i = 0; i < 6; i++) __builtin_prefetch(rows[i] + first + 6 * stride);
#pragma unroll
    for (int i = 0; i < 6; i++)
      r[i] = taken(_mm512_maskz_loadu_ps(there, rows[i] + first), rounds);
    float *to = panel + first * 6;
#pragma unroll
    for (int i = 0; i < 6; i++) {
      __m512 x = _mm512_permutex2var_ps(r[0], order[i], r[1]);
      x = _mm512_mask_mov_ps(x, masks[i][0], _mm512_permutex2var_ps(r[2], order[i], r[3]));
      x = _mm512_mask_mov_ps(x, masks[i][1], _mm512_permutex2var_ps(r[4], order[i], r[5]));
      const long words = 6 * steps - 16 * i;
      if (words >= 16)
        _mm512_storeu_ps(to + 16 * i, x);
      else if (words > 0)
        _mm512_mask_storeu_ps(to + 16 * i, (__mmask16)((1u << words) - 1), x);
    }
  }
}

WITHIN void pack_down(
    const float *from, long stride, long rows, int count, int width, float *panel, const int rounds) {
  const __mmask16 there = (__mmask16)((1u << count) - 1);
  const __mmask16 columns = (__mmask16)((1u << width) - 1);
  for (long row = 0; row < rows; row++) {
    const __m512 x = taken(_mm512_maskz_loadu_ps(there, from + row * stride), rounds);
    _mm512_mask_storeu_ps(panel + (rounds ? row ^ 1 : row) * width, columns, x);
  }
  if (rounds && rows % 2)
    _mm512_mask_storeu_ps(panel + (rows - 1) * width, columns, _mm512_setzero_ps());
}

WITH_SIXTEEN void cp_pack_across(
    const float *from, long stride, long last, long count, int width, float *panel, int rounds) {
  if (width == 16) {
    if (rounds)
      pack_sixteen_across(from, stride, last, count, panel, 1);
    else
      pack_sixteen_across(from, stride, last, count, panel, 0);
  } else if (rounds) {
    pack_six_across(from, stride, last, count, panel, 1);
  } else {
    pack_six_across(from, stride, last, count, panel, 0);
  }
}

WITH_SIXTEEN void cp_pack_down(
    const float *from, long stride, long rows, int count, int width, float *panel, int rounds) {
  if (rounds)
    pack_down(from, stride, rows, count, width, panel, 1);
  else
    pack_down(from, stride, rows, count, width, panel, 0);
}

#else

// No processor of another kind has these instructions: nobody calls what has no work.
void cp_pack_across(
    const float *from, long stride, long last, long count, int width, float *panel, int rounds) {}
void cp_pack_down(
    const float *from, long stride, long rows, int count, int width, float *panel, int rounds) {}

#endif
