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
