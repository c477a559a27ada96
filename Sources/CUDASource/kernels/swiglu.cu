// SwiGLU (Shazeer, 2020), forward and backward. A thread owns eight columns of a row.
//
// gateUp [N, 2F] holds the gate in its first F columns; it comes as two matrices.
#include "device.h"

/// y = silu(gate) up.
KERNEL(256, swiglu_forward, Matrix y, Matrix gate, Matrix up) {
  int eights = (y.columns + 7) / 8;
  size_t n = globalThread();
  if (n >= (size_t)y.rows * eights) return;
  int row = (int)(n / eights), column = 8 * (int)(n % eights);
  float a[8], b[8];
  loadEight(a, gate, row, column), loadEight(b, up, row, column);
  for (int e = 0; e < 8; e++) a[e] = a[e] / (1 + __expf(-a[e])) * b[e];
  storeEight(y, row, column, a);
}

/// dGate = dy up s (1 + gate (1 - s)), dUp = dy gate s, s the sigmoid of the gate; and y once more.
KERNEL(256, swiglu_backward, Matrix dGate, Matrix dUp, Matrix y, Matrix dy, Matrix gate, Matrix up) {
  int eights = (y.columns + 7) / 8;
  size_t n = globalThread();
  if (n >= (size_t)y.rows * eights) return;
  int row = (int)(n / eights), column = 8 * (int)(n % eights);
  float a[8], b[8], d[8], first[8], second[8];
  loadEight(a, gate, row, column), loadEight(b, up, row, column), loadEight(d, dy, row, column);
  for (int e = 0; e < 8; e++) {
    float s = 1 / (1 + __expf(-a[e]));
    first[e] = d[e] * b[e] * s * (1 + a[e] * (1 - s));
    second[e] = d[e] * a[e] * s;
    a[e] = a[e] / (1 + __expf(-a[e])) * b[e];
  }
  storeEight(dGate, row, column, first), storeEight(dUp, row, column, second);
  storeEight(y, row, column, a);
}
