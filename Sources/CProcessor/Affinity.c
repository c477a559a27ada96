#define _GNU_SOURCE
#include "CProcessor.h"

#include <errno.h>
#include <sched.h>

int cp_allowed_processors(void) {
#if defined(__linux__)
  // The kernel's own set may be larger than the usual 1,024 bits.
  for (int bits = 1024; bits <= 1 << 20; bits *= 4) {
    cpu_set_t *set = CPU_ALLOC(bits);
    if (!set) return 0;
    size_t size = CPU_ALLOC_SIZE(bits);
    int failed = sched_getaffinity(0, size, set) != 0;
    int count = failed ? 0 : CPU_COUNT_S(size, set);
    int isSmall = failed && errno == EINVAL;
    CPU_FREE(set);
    if (!isSmall) return count;
  }
#endif
  return 0;
}
