// The residual stream, and dropout with a mask that is computed and never stored.
#include "device.h"

/// x += y. A thread owns eight columns of a row.
KERNEL(256, residual_add, Matrix x, Matrix y) {
  int row, column;
  if (!ownEight(x, row, column)) return;
  float a[8], b[8];
  loadEight(a, x, row, column), loadEight(b, y, row, column);
  for (int e = 0; e < 8; e++) a[e] += b[e];
  storeEight(x, row, column, a);
}

/// Number `index` of a stream: the finaliser of SplitMix64 (Steele, Lea and Flood, 2014).
DEVICE unsigned long long randomBits(unsigned long long key, unsigned long long index) {
  unsigned long long z = key + (index + 1) * 0x9E3779B97F4A7C15ull;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}

/// x = 0 where the hash of (row, column) is below the threshold, else scale x; as the contract of
/// `Kernels.dropout` has it. A thread owns eight columns of a row.
KERNEL(256, dropout, Matrix x, unsigned long long key, unsigned long long rowOffset,
       unsigned threshold, float scale) {
  int row, column;
  if (!ownEight(x, row, column)) return;
  unsigned long long k = randomBits(key, rowOffset + row);
  unsigned low = (unsigned)k, high = (unsigned)(k >> 32);
  float v[8];
  loadEight(v, x, row, column);
  for (int e = 0; e < 8; e++) {
    unsigned h = (unsigned)(column + e) * 0x9E3779B1u + low;
    h = ((h ^ (h >> 16)) * 0x85EBCA6Bu) ^ high;
    h = (h ^ (h >> 13)) * 0xC2B2AE35u;
    h = (h ^ (h >> 16)) >> 8;
    v[e] = h < threshold ? 0 : v[e] * scale;
  }
  storeEight(x, row, column, v);
}
