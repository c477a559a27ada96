// The running average of weights.
#include "device.h"

/// a += share (x - a), matrices of one row. A thread owns eight elements.
KERNEL(256, move_average, Matrix a, Matrix x, float share) {
  size_t n = globalThread();
  if (n >= ((size_t)a.columns + 7) / 8) return;
  int at = 8 * (int)n;
  float old[8], values[8];
  loadEight(old, a, 0, at), loadEight(values, x, 0, at);
  for (int e = 0; e < 8; e++) old[e] = fmaf(values[e] - old[e], share, old[e]);
  storeEight(a, 0, at, old);
}
