// Filling and copying of matrices; copying rounds where the types differ.
#include "device.h"

/// x = value. A thread owns eight columns of a row.
KERNEL(256, fill_matrix, Matrix x, float value) {
  int row, column;
  if (!ownEight(x, row, column)) return;
  float v[8];
  for (int e = 0; e < 8; e++) v[e] = value;
  storeEight(x, row, column, v);
}

/// to = from. A thread owns eight columns of a row.
KERNEL(256, copy_matrix, Matrix to, Matrix from) {
  int row, column;
  if (!ownEight(to, row, column)) return;
  float v[8];
  loadEight(v, from, row, column);
  storeEight(to, row, column, v);
}
