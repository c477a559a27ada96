// Pairs of YOSO attention: codes, how many of them agree, probabilities and their slopes.
#pragma once
#include "row_attention.h"

// ----------------------------------------------------------------------------------- codes

/// Hash codes that a forward pass saves: `codeRows` words a position and head, neighbouring positions
/// side by side; first the queries' codes, then the keys', in one or two bytes each.
struct Codes {
  const unsigned *words;  // of a head
  long long stride;
  int hashes, bytes;

  /// Code n of a row of the batch; those of its key follow on those of its query.
  DEVICE int code(long long row, int n) const {
    int at = n * bytes;
    return (int)(words[(at >> 2) * stride + row] >> (8 * (at & 3))) & (bytes == 1 ? 0xff : 0xffff);
  }
  /// Hashes that a query and a key agree in.
  DEVICE int agreements(long long query, long long key) const {
    int count = 0;
    if (hashes * bytes % 4 == 0) {
      unsigned low = bytes == 1 ? 0x7f7f7f7fu : 0x7fff7fffu;
      for (int w = 0; w < hashes * bytes / 4; w++) {
        unsigned x = words[w * stride + query] ^ words[(w + hashes * bytes / 4) * stride + key];
        count += __popc(~(((x & low) + low) | x | low));  // a bit for each zero
      }
    } else {
      for (int n = 0; n < hashes; n++) count += code(query, n) == code(key, hashes + n);
    }
    return count;
  }
};

DEVICE Codes codes(const Matrix &saved, const YosoParameters &p, int head) {
  return {(const unsigned *)saved.base + (size_t)(p.heads + head * p.codeRows) * saved.stride,
          saved.stride, p.hashes, p.codeBytes};
}

/// Words of bits that a vector's sides of all planes take.
DEVICE int sideWords(const YosoParameters &p) { return (p.hashes * p.bits + 31) / 32 + 1; }

/// The sides of all planes of a head that a row in shared memory lies on, bit by bit. Every product is
/// one chain of fused multiply-adds in the order of the columns.
DEVICE void findSides(unsigned *sides, const float *x, const float *planes, const YosoParameters &p,
                      int head, int width) {
  int lane = threadIdx.x & 31, count = p.hashes * p.bits;
  const float *own = planes + (size_t)head * width * count;
  for (int first = 0; first < count; first += 32) {
    int plane = min(first + lane, count - 1);
    float sum = 0;
    for (int c = 0; c < width; c++) sum = fmaf(x[c], own[(size_t)c * count + plane], sum);
    unsigned bits = __ballot_sync(FULL, sum > 0);
    if (lane == 0) sides[first / 32] = bits;
  }
  if (lane == 0) sides[(count + 31) / 32] = 0;
  __syncwarp();
}

/// Code of a hash.
DEVICE int codeOf(const unsigned *sides, int hash, int bits) {
  int at = hash * bits, shift = at & 31;
  unsigned long long both = sides[at / 32] | (unsigned long long)sides[at / 32 + 1] << 32;
  return (int)(both >> shift) & ((1 << bits) - 1);
}

// --------------------------------------------------------------------------- probabilities

/// 1 - arccos(x) / π; cosines that rounding carried past ±1 count as ±1 (Abramowitz and Stegun 4.4.46).
DEVICE float unitAngle(float x) {
  float size = fabsf(x), root = sqrtf(fmaxf(1 - size, 0.0f)), p = -0.00040186340f;
  p = fmaf(p, size, 0.00212315562f);
  p = fmaf(p, size, -0.00543931931f);
  p = fmaf(p, size, 0.00983319113f);
  p = fmaf(p, size, -0.01597097719f);
  p = fmaf(p, size, 0.02832289135f);
  p = fmaf(p, size, -0.06830892011f);
  p = fmaf(p, size, 0.49999999306f);
  float side = p * root;
  return x < 0 ? side : 1 - side;
}

DEVICE float power(float u, int exponent) {
  float a = 1;
  for (int bit = 16; bit > 0; bit >>= 1) {
    a *= a;
    if (exponent & bit) a *= u;
  }
  return a;
}

/// Weight of a pair, in units, from its cosine, and what its slope is without bits / 2 where it is the
/// lower bound.
DEVICE float2 weightAndSlope(float cosine, const YosoParameters &p) {
  float u = unitAngle(cosine);
  if (!p.exact) {
    float weight = power(u, p.bits) * p.unit;
    return {weight, weight};
  }
  // The slope is singular at ±1, where the projection on the tangent removes it.
  float below = power(u, p.bits - 1), square = fmaxf((1 - cosine) * (1 + cosine), 1e-6f);
  return {below * u, below * (p.bits / 3.14159265f) / sqrtf(square)};
}

/// Floor of the norm of a query or key.
constexpr float leastKeyNorm = 1e-12f;

/// 1 / norm of a row in shared memory, the same in all lanes.
DEVICE float inverseNorm(const float *x, int width) {
  float sum = 0;
  for (int c = threadIdx.x & 31; c < width; c += 32) sum = fmaf(x[c], x[c], sum);
  return 1 / fmaxf(sqrtf(warpSum(sum)), leastKeyNorm);
}

/// Adds the values of keys from `first` to `end`, weighted by probability, to the desk's sum; the desk's
/// key is the query. `inverses` are 1 / norms of the keys, `step` numbers apart.
DEVICE void addProbable(const Desk &desk, const YosoParameters &p, float inverse, const HeadRows &k,
                        const HeadRows &v, const float *inverses, long long step, int first, int end,
                        int keyWidth, int valueWidth) {
  int lane = threadIdx.x & 31;
  for (; first < end; first += 32) {
    int n = min(32, end - first), j = first + min(lane, n - 1);
    desk.a[lane] = k[j], desk.b[lane] = v[j];
    __syncwarp();
    float cosine = dots(desk.key, desk.a, keyWidth) * inverse * inverses[j * step];
    desk.weights[lane] = weightAndSlope(cosine, p).x;
    __syncwarp();
    addRows(desk.valueSum, 1, desk.weights, desk.b, n, valueWidth);
    __syncwarp();
  }
}

/// Writes the desk's sum at unit length, or zeros where there is nothing, and returns its length.
DEVICE float writeUnit(const Desk &desk, const YosoParameters &p, Row o, int width) {
  float norm = sqrtf(dotWithSum(desk.valueSum, desk.valueSum, width));
  writeRow(o, desk.valueSum, 1 / fmaxf(norm, p.leastNorm), width);
  return norm;
}
