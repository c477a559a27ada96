// Filling and copying of matrices; copying rounds where the types differ.
#include "device.h"

/// x = value. A thread owns eight columns of a row.
KERNEL(256, fill_matrix, Matrix x, float value) {
  int eights = (x.columns + 7) / 8;
  size_t n = globalThread();
  if (n >= (size_t)x.rows * eights) return;
  float v[8];
  for (int e = 0; e < 8; e++) v[e] = value;
  storeEight(x, (int)(n / eights), 8 * (int)(n % eights), v);
}

/// to = from. A thread owns eight columns of a row.
KERNEL(256, copy_matrix, Matrix to, Matrix from) {
  int eights = (to.columns + 7) / 8;
  size_t n = globalThread();
  if (n >= (size_t)to.rows * eights) return;
  float v[8];
  int row = (int)(n / eights), column = 8 * (int)(n % eights);
  loadEight(v, from, row, column);
  storeEight(to, row, column, v);
}
