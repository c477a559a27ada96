// AdamW (Loshchilov and Hutter, 2019, algorithm 2), one pass over parameters, gradients and moments.
#include "device.h"

/// Matrices of one row. A thread owns eight elements.
KERNEL(256, adamw, Matrix p, Matrix m, Matrix v, Matrix gradient, AdamWNumbers step) {
  size_t n = globalThread();
  if (n >= ((size_t)p.columns + 7) / 8) return;
  int at = 8 * (int)n;
  float a[8], b[8], c[8], g[8];
  loadEight(a, p, 0, at), loadEight(b, m, 0, at), loadEight(c, v, 0, at);
  loadEight(g, gradient, 0, at);
  for (int e = 0; e < 8; e++) {
    float x = g[e] * step.gradientScale;
    b[e] = fmaf(x, step.oneMinusBeta1, b[e] * step.beta1);
    c[e] = fmaf(x * x, step.oneMinusBeta2, c[e] * step.beta2);
    float root = fmaf(sqrtf(c[e]), step.rootScale, step.epsilon);
    a[e] = fmaf(b[e] / root, step.stepSize, a[e] * step.shrink);
  }
  storeEight(p, 0, at, a), storeEight(m, 0, at, b), storeEight(v, 0, at, c);
}
