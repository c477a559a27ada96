// Heads of keys and values that a group of queries shares: repeated for it, and summed over it.
#include "device.h"

/// Eight columns from `column` on, those of a head from its place in the head that `source` names:
/// neighbours where eight divides the width of a head. Columns from `columns` on are 0.
template <class Source>
DEVICE void loadHeads(float (&x)[8], const Matrix &m, int row, int column, int columns, int width,
                      Source source) {
  if (width % 8 == 0) {
    int head = column / width;
    loadEight(x, m, row, source(head) * width + column - head * width);
    return;
  }
  for (int e = 0; e < 8; e++) {
    int c = column + e, head = c / width;
    x[e] = c < columns ? element(m, row, source(head) * width + c - head * width) : 0.0f;
  }
}

/// Head h of y is head h / G of x. A thread owns eight columns of a row of y.
KERNEL(256, repeat_heads, Matrix y, Matrix x, int width) {
  int row, column;
  if (!ownEight(y, row, column)) return;
  int group = y.columns / x.columns;
  float v[8];
  loadHeads(v, x, row, column, y.columns, width, [=](int head) { return head / group; });
  storeEight(y, row, column, v);
}

/// A head of dx is the sum of its group in dy, from the first on. A thread owns eight columns of a row of
/// dx.
KERNEL(256, repeat_heads_backward, Matrix dx, Matrix dy, int width) {
  int row, column;
  if (!ownEight(dx, row, column)) return;
  int group = dy.columns / dx.columns;
  float sum[8], v[8];
  for (int member = 0; member < group; member++) {
    loadHeads(v, dy, row, column, dx.columns, width,
              [=](int head) { return head * group + member; });
    for (int e = 0; e < 8; e++) sum[e] = member ? sum[e] + v[e] : v[e];
  }
  storeEight(dx, row, column, sum);
}
