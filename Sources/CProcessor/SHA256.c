#include "CProcessor.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

int cp_has_sha(void) {
  unsigned a, b, c, d;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & 1u << 29)) return 0;
  return __get_cpuid(1, &a, &b, &c, &d) && (c & 1u << 19) != 0;  // SSE 4.1
}

__attribute__((target("sha,sse4.1")))
void cp_sha256(unsigned state[8], const void *blocks, unsigned long count, const unsigned k[64]) {
  const __m128i order = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  const __m128i *next = blocks;
  // The instructions want the words of the state as (a, b, e, f) and (c, d, g, h).
  __m128i abcd = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state), 0xB1);
  __m128i efgh = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(state + 4)), 0x1B);
  __m128i abef = _mm_alignr_epi8(abcd, efgh, 8);
  __m128i cdgh = _mm_blend_epi16(efgh, abcd, 0xF0);
  for (; count > 0; count--, next += 4) {
    const __m128i first = abef, second = cdgh;
    __m128i w[4];  // the last sixteen words of the schedule
    for (int i = 0; i < 4; i++) w[i] = _mm_shuffle_epi8(_mm_loadu_si128(next + i), order);
#pragma clang loop unroll(full)
    for (int i = 0; i < 16; i++) {
      const __m128i words = _mm_add_epi32(w[i & 3], _mm_loadu_si128((const __m128i *)(k + 4 * i)));
      cdgh = _mm_sha256rnds2_epu32(cdgh, abef, words);
      abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(words, 0x0E));
      const __m128i late = w[(i + 3) & 3];
      const __m128i middle = _mm_alignr_epi8(late, w[(i + 2) & 3], 4);
      const __m128i early = _mm_sha256msg1_epu32(w[i & 3], w[(i + 1) & 3]);
      w[i & 3] = _mm_sha256msg2_epu32(_mm_add_epi32(early, middle), late);
    }
    abef = _mm_add_epi32(abef, first);
    cdgh = _mm_add_epi32(cdgh, second);
  }
  const __m128i feba = _mm_shuffle_epi32(abef, 0x1B);
  const __m128i dchg = _mm_shuffle_epi32(cdgh, 0xB1);
  _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(feba, dchg, 0xF0));
  _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}
#else
int cp_has_sha(void) { return 0; }

void cp_sha256(unsigned state[8], const void *blocks, unsigned long count, const unsigned k[64]) {
  (void)state, (void)blocks, (void)count, (void)k;
  __builtin_trap();
}
#endif
