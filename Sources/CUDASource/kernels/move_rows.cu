// AdaGrad with one number a row (Duchi et al., 2011), on the rows of a table that a step has touched.
#include "device.h"

/// s[r] += mean(g^2), p[r] -= rate g / sqrt(s[r]) for r = rows[n], each of which is there once; one warp a row.
KERNEL(256, move_rows, Matrix table, Matrix squares, Matrix gradients, const int *rows, float rate) {
  int n = globalWarp(), lane = threadIdx.x & 31;
  if (n >= gradients.rows) return;
  int row = rows[n];
  float g[8], p[8], sum = 0;
  for (int c = 8 * lane; c < gradients.columns; c += 256) {
    loadEight(g, gradients, n, c);
    for (int e = 0; e < 8; e++) sum = fmaf(g[e], g[e], sum);
  }
  float total = element(squares, 0, row) + warpSum(sum) / gradients.columns;
  if (lane == 0) setElement(squares, 0, row, total);
  if (!(total > 0)) return;
  float step = -rate / sqrtf(total);
  for (int c = 8 * lane; c < gradients.columns; c += 256) {
    loadEight(g, gradients, n, c), loadEight(p, table, row, c);
    for (int e = 0; e < 8; e++) p[e] = fmaf(step, g[e], p[e]);
    storeEight(table, row, c, p);
  }
}
