// Attention of one row by one warp: pieces that any pattern of keys can use.
//
// A warp holds a row, or a key, as floats in shared memory and meets other rows in chunks of 32, each
// given by its address. Logits come from eight lanes a row, 16 bytes a lane; sums of rows have two
// columns a lane and run in the order of the chunk. So a row's bits follow from the list of the rows
// that it meets, and decoding, which gives the same list, repeats them.
#pragma once
#include "device.h"

/// Threads of a block and, on a card, how many blocks share a multiprocessor: 24 warps hide most of the
/// waiting, and 80 registers a thread keep what they work on but for a few words.
#ifdef __CUDACC_RTC__
#define WARPS 256, 3
#else
#define WARPS 256
#endif

/// Address of a row of numbers; the lowest bit says that they are bf16.
typedef unsigned long long Row;

/// One head's columns in the rows of a matrix, or of memory that decoding keeps.
struct HeadRows {
  Row first;
  long long pitch;  // bytes from row to row
  DEVICE Row operator[](long long row) const { return first + row * pitch; }
};

/// Columns of a head from a row on; `place`, unless null, is where the first row is instead.
DEVICE HeadRows headRows(const Matrix &m, int head, int width, long long row,
                         const void *place = nullptr) {
  int bytes = m.type == NUMBER_FLOAT ? 4 : 2;
  const char *base = place ? (const char *)place : (const char *)m.base + row * m.stride * bytes;
  return {(Row)(size_t)(base + (long long)head * width * bytes) | (m.type == NUMBER_BF16 ? 1u : 0u),
          m.stride * bytes};
}

DEVICE float number(Row row, int column) {
  const char *at = (const char *)(size_t)(row & ~1ull);
  return row & 1 ? toFloat(((const bf16 *)at)[column]) : ((const float *)at)[column];
}

DEVICE void setNumber(Row row, int column, float x) {
  char *at = (char *)(size_t)(row & ~1ull);
  if (row & 1)
    ((bf16 *)at)[column] = fromFloat<bf16>(x);
  else
    ((float *)at)[column] = x;
}

/// Eight neighbours from a column that eight divides; those past the width are 0.
DEVICE void loadOctet(float (&x)[8], Row row, int column, int width) {
  const char *at = (const char *)(size_t)(row & ~1ull);
  if (((row & ~1ull) & 15) || column + 8 > width) {
#pragma unroll
    for (int n = 0; n < 8; n++) x[n] = column + n < width ? number(row, column + n) : 0.0f;
  } else if (row & 1) {
    uint4 w = *(const uint4 *)(at + 2 * column);
    unsigned words[4] = {w.x, w.y, w.z, w.w};
#pragma unroll
    for (int n = 0; n < 4; n++) {
      x[2 * n] = __uint_as_float(words[n] << 16);
      x[2 * n + 1] = __uint_as_float(words[n] & 0xffff0000u);
    }
  } else {
    const float4 *from = (const float4 *)(at + 4 * column);
    float4 low = from[0], high = from[1];
    x[0] = low.x, x[1] = low.y, x[2] = low.z, x[3] = low.w;
    x[4] = high.x, x[5] = high.y, x[6] = high.z, x[7] = high.w;
  }
}

/// Two neighbours from an even column; one past the width is 0.
DEVICE float2 loadPair(Row row, int column, int width) {
  Row address = row & ~1ull;
  const char *at = (const char *)(size_t)address;
  if (column + 1 >= width || (address & (row & 1 ? 3 : 7)))
    return {number(row, column), column + 1 < width ? number(row, column + 1) : 0.0f};
  if (row & 1) {
    unsigned word = *(const unsigned *)(at + 2 * column);
    return {__uint_as_float(word << 16), __uint_as_float(word & 0xffff0000u)};
  }
  return *(const float2 *)(at + 4 * column);
}

/// Floats that hold a row of some width.
DEVICE int padded(int width) { return (width + 7) & ~7; }

/// What a warp has in shared memory. Rows of floats end with zeros up to a multiple of eight.
struct Desk {
  float *key, *value;        // the row at hand, of D and of E columns
  float *keySum, *valueSum;  // sums of rows of D and of E columns
  float *twin;               // of D columns
  float *weights, *more;     // of the rows of a chunk, [64]
  Row *a, *b, *c;            // their addresses, [64]
};

/// Bytes of a warp; the host reserves as many.
DEVICE int deskBytes(int keyWidth, int valueWidth) {
  return 4 * (3 * padded(keyWidth) + 2 * padded(valueWidth) + 128) + 8 * 192;
}

/// The part of this warp.
DEVICE Desk desk(unsigned char *shared, int keyWidth, int valueWidth) {
  int d = padded(keyWidth), e = padded(valueWidth);
  unsigned char *mine = shared + (threadIdx.x >> 5) * (size_t)deskBytes(keyWidth, valueWidth);
  Desk desk;
  desk.a = (Row *)mine, desk.b = desk.a + 64, desk.c = desk.b + 64;
  desk.weights = (float *)(desk.c + 64), desk.more = desk.weights + 64;
  desk.key = desk.more + 64, desk.keySum = desk.key + d, desk.twin = desk.keySum + d;
  desk.value = desk.twin + d, desk.valueSum = desk.value + e;
  return desk;
}

/// Copies a row; every lane may read it afterwards.
DEVICE void copyRow(float *to, Row from, int width) {
  for (int c = threadIdx.x & 31; c < padded(width); c += 32)
    to[c] = c < width ? number(from, c) : 0.0f;
  __syncwarp();
}

/// Zeros that the lane itself adds to.
DEVICE void clearRow(float *to, int width) {
  for (int c = 2 * (threadIdx.x & 31); c < padded(width); c += 64) to[c] = to[c + 1] = 0;
}

/// The products of a row at hand with 32 rows; lane j gets that of row j.
DEVICE float dots(const float *x, const Row *rows, int width) {
  int lane = threadIdx.x & 31, part = lane & 7, group = lane >> 3;
  float s[8] = {0, 0, 0, 0, 0, 0, 0, 0};
  for (int column = 8 * part; column < width; column += 64) {
    float a[8], b[8];
#pragma unroll
    for (int n = 0; n < 8; n++) a[n] = x[column + n];
#pragma unroll
    for (int k = 0; k < 8; k++) {
      loadOctet(b, rows[8 * group + k], column, width);
#pragma unroll
      for (int n = 0; n < 8; n++) s[k] = fmaf(a[n], b[n], s[k]);
    }
  }
  // Eight sums in eight lanes become one a lane: each step halves the sums and adds a half of the lanes.
#pragma unroll
  for (int by = 4; by > 0; by >>= 1) {
    bool high = part & by;
#pragma unroll
    for (int n = 0; n < by; n++) {
      float keep = high ? s[n + by] : s[n], give = high ? s[n] : s[n + by];
      s[n] = keep + __shfl_xor_sync(FULL, give, by);
    }
  }
  return s[0];
}

/// sum = keep sum + Σ weights[j] rows[j], in the order of the rows.
DEVICE void addRows(float *sum, float keep, const float *weights, const Row *rows, int count,
                    int width) {
  for (int c = 2 * (threadIdx.x & 31); c < width; c += 64) {
    float x = sum[c] * keep, y = sum[c + 1] * keep;
#pragma unroll 4
    for (int j = 0; j < count; j++) {
      float2 v = loadPair(rows[j], c, width);
      x = fmaf(weights[j], v.x, x), y = fmaf(weights[j], v.y, y);
    }
    sum[c] = x, sum[c + 1] = y;
  }
}

/// Sets a row of memory to factor times a sum.
DEVICE void writeRow(Row to, const float *sum, float factor, int width) {
  for (int c = 2 * (threadIdx.x & 31); c < width; c += 64) {
    setNumber(to, c, sum[c] * factor);
    if (c + 1 < width) setNumber(to, c + 1, sum[c + 1] * factor);
  }
}

/// The product of two rows that this lane's columns of `sum` are half of; the same in all lanes.
DEVICE float dotWithSum(const float *sum, const float *x, int width) {
  float total = 0;
  for (int c = 2 * (threadIdx.x & 31); c < width; c += 64) {
    total = fmaf(sum[c], x[c], total);
    if (c + 1 < width) total = fmaf(sum[c + 1], x[c + 1], total);
  }
  return warpSum(total);
}

// --------------------------------------------------------------------------------- softmax

/// A running softmax in base 2; every lane has its own part of the sum.
struct Softmax {
  float top, part;
};

DEVICE Softmax emptySoftmax() { return {-infinity(), 0.0f}; }

/// Takes a chunk of logits in, -infinity where a lane has none, and returns what to multiply earlier
/// sums with. `weight` is the lane's.
DEVICE float enter(Softmax &softmax, float logit, float &weight) {
  float top = fmaxf(softmax.top, warpMax(logit)), keep = exp2Fast(softmax.top - top);
  weight = exp2Fast(logit - top);
  softmax.part = fmaf(softmax.part, keep, weight);
  softmax.top = top;
  return keep;
}

/// Where a row stands: a sequence of a batch, or a stream.
struct Standing {
  int position, length;  // in the sequence; so many positions of it are there
  long long start;       // its first row in the batch
  const void *const *places;  // in decoding, where its memory is; else null
};

DEVICE Standing standing(const AttentionRows &rows, int row) {
  int position = rows.positions[row];
  if (rows.places)
    return {position, position + 1, 0, rows.places + (size_t)row * rows.kinds};
  // The sequence that holds the row: the last that does not start behind it, empty ones aside.
  int low = 0, high = rows.sequences - 1;
  while (low < high) {
    int middle = (low + high + 1) / 2;
    if (rows.starts[middle] <= row) low = middle; else high = middle - 1;
  }
  int start = row - position;
  return {position, rows.starts[low + 1] - start, start, nullptr};
}
