// Rows of a table by number, and the sum of gradients for each row.
//
// The backward pass follows a plan that the host makes from the ids: positions sorted by id, runs of at
// most 64 positions of one id ("shares"), and for each id its shares ("owners"). So every sum has one
// order, whatever the card.
#include "device.h"

/// y[n] = table[ids[n]]; one warp a row.
KERNEL(256, embedding_forward, Matrix y, const int *ids, Matrix table) {
  int row = globalWarp(), lane = threadIdx.x & 31;
  if (row >= y.rows) return;
  int id = ids[row];
  float v[8];
  for (int c = 8 * lane; c < y.columns; c += 256) {
    loadEight(v, table, id, c);
    storeEight(y, row, c, v);
  }
}

/// sums[n] = sum of dy over the positions order[first ..< first + count]; one warp a share.
KERNEL(256, embedding_shares, Matrix sums, Matrix dy, const int *order, const int2 *shares) {
  int n = globalWarp(), lane = threadIdx.x & 31;
  if (n >= sums.rows) return;
  int2 share = shares[n];
  for (int c = 8 * lane; c < sums.columns; c += 256) {
    float sum[8] = {}, v[8];
    for (int k = 0; k < share.y; k++) {
      loadEight(v, dy, order[share.x + k], c);
      for (int e = 0; e < 8; e++) sum[e] += v[e];
    }
    storeEight(sums, n, c, sum);
  }
}

/// dTable[id] += its shares, in order; one warp an owner (id, first share, shares, 0).
KERNEL(256, embedding_owners, Matrix dTable, Matrix sums, const int4 *owners, int count) {
  int n = globalWarp(), lane = threadIdx.x & 31;
  if (n >= count) return;
  int4 owner = owners[n];
  for (int c = 8 * lane; c < dTable.columns; c += 256) {
    float sum[8] = {}, v[8];
    for (int k = 0; k < owner.z; k++) {
      loadEight(v, sums, owner.y + k, c);
      for (int e = 0; e < 8; e++) sum[e] += v[e];
    }
    loadEight(v, dTable, owner.x, c);
    for (int e = 0; e < 8; e++) v[e] += sum[e];
    storeEight(dTable, owner.x, c, v);
  }
}
