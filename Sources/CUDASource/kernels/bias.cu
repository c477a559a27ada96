// A learned number for every output of a product; its gradient is in sum_rows.cu.
#include "device.h"

/// x += bias, row by row. A thread owns eight columns of a row.
KERNEL(256, add_bias, Matrix x, Matrix bias) {
  int row, column;
  if (!ownEight(x, row, column)) return;
  float a[8], b[8];
  loadEight(a, x, row, column), loadEight(b, bias, 0, column);
  for (int e = 0; e < 8; e++) a[e] += b[e];
  storeEight(x, row, column, a);
}
