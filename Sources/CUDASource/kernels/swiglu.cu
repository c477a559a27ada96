// SwiGLU (Shazeer, 2020), forward and backward. A thread owns eight columns of a row.
//
// gateUp [N, 2F] holds the gate in its first F columns; it comes as two matrices.
#include "device.h"

/// 1 / (1 + exp(-x)), within 4 units in the last place; a division to the last bit takes ten times as
/// long.
DEVICE float sigmoid(float x) { return __fdividef(1.0f, 1 + __expf(-x)); }

/// y = silu(gate) up.
KERNEL(256, swiglu_forward, Matrix y, Matrix gate, Matrix up) {
  int row, column;
  if (!ownEight(y, row, column)) return;
  float a[8], b[8];
  loadEight(a, gate, row, column), loadEight(b, up, row, column);
  for (int e = 0; e < 8; e++) a[e] = a[e] * sigmoid(a[e]) * b[e];
  storeEight(y, row, column, a);
}

/// dGate = dy up s (1 + gate (1 - s)), dUp = dy gate s, s the sigmoid of the gate; and y once more.
/// `dGate` and `dUp` may stand where `gate` and `up` do, and `y` where `dy` does.
KERNEL(256, swiglu_backward, Matrix dGate, Matrix dUp, Matrix y, Matrix dy, Matrix gate, Matrix up) {
  int row, column;
  if (!ownEight(y, row, column)) return;
  float a[8], b[8], d[8], first[8], second[8];
  loadEight(a, gate, row, column), loadEight(b, up, row, column), loadEight(d, dy, row, column);
  for (int e = 0; e < 8; e++) {
    float s = sigmoid(a[e]);
    first[e] = d[e] * b[e] * s * (1 + a[e] * (1 - s));
    second[e] = d[e] * a[e] * s;
    a[e] = a[e] * s * b[e];
  }
  storeEight(dGate, row, column, first), storeEight(dUp, row, column, second);
  storeEight(y, row, column, a);
}
