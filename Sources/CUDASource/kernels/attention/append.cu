// What streams remember of new positions.
#include "attention/plain.h"

/// Copies rows of keys (z = 0), values (1) and queries (2) behind those of their streams; a thread owns
/// eight columns of a row.
KERNEL(256, append_rows, Matrix k, Matrix v, Matrix q, const AttentionStream *streams,
       const AttentionRow *rows) {
  Matrix from = blockIdx.z == 0 ? k : blockIdx.z == 1 ? v : q;
  int eights = (from.columns + 7) / 8, n = (int)(globalThread() / eights);
  if (n >= from.rows) return;
  AttentionStream stream = streams[rows[n].start];
  Matrix to = from;
  to.base = blockIdx.z == 0 ? stream.k : blockIdx.z == 1 ? stream.v : stream.q;
  to.stride = to.columns, to.aligned = to.columns % 8 == 0;
  float x[8];
  int column = 8 * (int)(globalThread() % eights);
  loadEight(x, from, n, column);
  storeEight(to, rows[n].position, column, x);
}
