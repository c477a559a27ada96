#include "CProcessor.h"

unsigned cp_missing_features(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  return (__builtin_cpu_supports("avx2") ? 0 : CP_AVX2) |
         (__builtin_cpu_supports("fma") ? 0 : CP_FMA) |
         (__builtin_cpu_supports("bmi2") ? 0 : CP_BMI2);
#else
  return 0;
#endif
}

int cp_has_avx512(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
#else
  return 0;
#endif
}

int cp_has_bfloat16_pairs(void) {
#if defined(__x86_64__)
  return cp_has_avx512() && __builtin_cpu_supports("avx512bf16");
#else
  return 0;
#endif
}

// The registers that say how floats are rounded belong to a thread; code around the calls may not move across
// them, which calls into another file see to.
unsigned cp_flush_subnormals(void) {
#if defined(__x86_64__)
  const unsigned before = __builtin_ia32_stmxcsr();
  __builtin_ia32_ldmxcsr(before | 0x8040);
  return before;
#else
  return 0;
#endif
}

void cp_keep_subnormals(unsigned before) {
#if defined(__x86_64__)
  __builtin_ia32_ldmxcsr(before);
#else
  (void)before;
#endif
}
