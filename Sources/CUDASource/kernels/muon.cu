// What Muon (Jordan et al., 2024) does to matrices beside its products. A thread owns eight columns of
// a row.
#include "device.h"

/// momentum = beta momentum + (1 - beta) scale g, update = beta momentum + (1 - beta) scale g.
KERNEL(256, muon_momentum, Matrix update, Matrix momentum, Matrix gradient, float beta, float scale) {
  int row, column;
  if (!ownEight(update, row, column)) return;
  float g[8], m[8], u[8];
  loadEight(g, gradient, row, column), loadEight(m, momentum, row, column);
  for (int e = 0; e < 8; e++) {
    float x = (1 - beta) * (g[e] * scale);
    m[e] = fmaf(beta, m[e], x), u[e] = fmaf(beta, m[e], x);
  }
  storeEight(momentum, row, column, m), storeEight(update, row, column, u);
}

/// x = x / max(sqrt(squares), 1e-30) for matrices of so many rows, one below the other, the sums of their
/// squares being there in double.
KERNEL(256, muon_normalize, Matrix x, const double *squares, int rows) {
  int row, column;
  if (!ownEight(x, row, column)) return;
  float scale = (float)(1 / max(sqrt(squares[row / rows]), 1e-30)), v[8];
  loadEight(v, x, row, column);
  for (int e = 0; e < 8; e++) v[e] *= scale;
  storeEight(x, row, column, v);
}

/// square = a I + b linear + c square, for matrices of so many rows, one below the other.
KERNEL(256, muon_polynomial, Matrix square, Matrix linear, float a, float b, float c, int rows) {
  int row, column;
  if (!ownEight(square, row, column)) return;
  float s[8], l[8];
  loadEight(s, square, row, column), loadEight(l, linear, row, column);
  for (int e = 0; e < 8; e++) {
    s[e] = fmaf(c, s[e], b * l[e]);
    if (column + e == row % rows) s[e] += a;
  }
  storeEight(square, row, column, s);
}

/// p = shrink p + stepSize direction.
KERNEL(256, muon_move, Matrix p, Matrix direction, float shrink, float stepSize) {
  int row, column;
  if (!ownEight(p, row, column)) return;
  float a[8], d[8];
  loadEight(a, p, row, column), loadEight(d, direction, row, column);
  for (int e = 0; e < 8; e++) a[e] = fmaf(stepSize, d[e], shrink * a[e]);
  storeEight(p, row, column, a);
}
