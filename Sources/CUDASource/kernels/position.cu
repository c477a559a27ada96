// Positions: the rotation of heads (Su et al., 2021) and added sines and cosines (Vaswani et al., 2017).
//
// Tables hold a row for every position; the host makes them in double.
#include "device.h"

/// (a, b) = (a cos - b sin, b cos + a sin) for the pairs (j, j + D/2) of every head, in place.
///
/// table [positions, D]: D/2 cosines, then D/2 sines; `sign` is -1 to turn back. A thread owns eight
/// neighbouring pairs of a head.
KERNEL(256, rotate_heads, Matrix x, const int *positions, Matrix table, float sign) {
  int half = table.columns / 2, eights = (half + 7) / 8, heads = x.columns / table.columns;
  size_t n = globalThread();
  if (n >= (size_t)x.rows * heads * eights) return;
  int part, head, row = (int)divide(divide(n, eights, part), heads, head), j = 8 * part;
  int column = head * table.columns + j, position = positions[row];
  float a[8], b[8], c[8], s[8];
  if (half % 8 == 0) {
    loadEight(a, x, row, column), loadEight(b, x, row, column + half);
    loadEight(c, table, position, j), loadEight(s, table, position, half + j);
    turn(a, b, c, s, sign);
    storeEight(x, row, column, a), storeEight(x, row, column + half, b);
    return;
  }
  for (int e = 0; e < 8 && j + e < half; e++) {
    float first = element(x, row, column + e), second = element(x, row, column + half + e);
    float cosine = element(table, position, j + e);
    float sine = sign * element(table, position, half + j + e);
    setElement(x, row, column + e, first * cosine - second * sine);
    setElement(x, row, column + half + e, second * cosine + first * sine);
  }
}

/// x[n] += table[positions[n]]. A thread owns eight columns of a row.
KERNEL(256, add_positions, Matrix x, const int *positions, Matrix table) {
  int eights = (table.columns + 7) / 8;
  size_t n = globalThread();
  if (n >= (size_t)x.rows * eights) return;
  int row = (int)(n / eights), column = 8 * (int)(n % eights);
  float a[8], b[8];
  loadEight(a, x, row, column), loadEight(b, table, positions[row], column);
  for (int e = 0; e < 8; e++) a[e] += b[e];
  storeEight(x, row, column, a);
}
