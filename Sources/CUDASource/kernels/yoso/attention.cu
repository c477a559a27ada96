// YOSO attention (Zeng et al., 2021) with a causal mask: norms and codes, outputs, steps of decoding; one
// warp a position and head.
//
//     X_i = Σ over hashes of Σ over earlier keys with the query's code of v_j, then the near keys by
//     probability; o_i = X_i / |X_i|
//
// A hash's sum runs over its keys in their order from 0, as a table that keys are added to would have
// it: decoding keeps such tables. Of a position and head, `yoso_norms` reads 2 D numbers and `yoso_codes`
// 2 D and the planes, from L1. `yoso_forward` reads a code for every hash and earlier position, 32 in a
// line, and E numbers for every agreement. In long sequences `yoso_scan` does that in a time linear in
// the length: it reads 2 codes for every hash and bucket, 32 in a line, and E numbers for every hash, and
// adds E floats for every hash; a warp is a bucket.
#include "yoso/pairs.h"

/// 1 / norms of queries and keys, [2 H, N].
KERNEL(256, yoso_norms, const Matrix inverses, const Matrix q, const Matrix k, int heads) {
  DYNAMIC_SHARED(unsigned char, shared);
  int row = globalWarp(), head = blockIdx.y, width = q.columns / heads;
  if (row >= q.rows) return;
  Desk desk = ::desk(shared, width, 0);
  copyRow(desk.key, headRows(q, head, width, row)[0], width);
  copyRow(desk.keySum, headRows(k, head, width, row)[0], width);
  float a = inverseNorm(desk.key, width), b = inverseNorm(desk.keySum, width);
  if ((threadIdx.x & 31) == 0)
    setElement(inverses, head, row, a), setElement(inverses, heads + head, row, b);
}

/// Rows of a warp of `yoso_codes`, whose queries and keys share what is read of the planes.
constexpr int hashedRows = 4;

/// Codes of queries and keys, into `saved`. Every product is one chain, as in `findSides`.
KERNEL(256, yoso_codes, const YosoParameters p, const Matrix saved, const Matrix q, const Matrix k,
       const float *planes) {
  DYNAMIC_SHARED(unsigned char, shared);
  int first = hashedRows * globalWarp(), head = blockIdx.y, lane = threadIdx.x & 31;
  int width = q.columns / p.heads, words = sideWords(p), planeCount = p.hashes * p.bits;
  if (first >= q.rows) return;
  // Column by column, the queries and keys of all rows side by side.
  float *x = (float *)shared + (threadIdx.x >> 5) * 2 * hashedRows * (width + words);
  unsigned *sides = (unsigned *)(x + 2 * hashedRows * width);
  for (int n = 0; n < hashedRows; n++) {
    int row = min(first + n, q.rows - 1);
    Row query = headRows(q, head, width, row)[0], key = headRows(k, head, width, row)[0];
    for (int c = lane; c < width; c += 32) {
      x[2 * hashedRows * c + n] = number(query, c);
      x[2 * hashedRows * c + hashedRows + n] = number(key, c);
    }
  }
  __syncwarp();
  const float *own = planes + (size_t)head * width * planeCount;
  for (int group = 0; 32 * group < planeCount; group++) {
    int plane = min(32 * group + lane, planeCount - 1);
    float sums[2 * hashedRows];
#pragma unroll
    for (int n = 0; n < 2 * hashedRows; n++) sums[n] = 0;
    for (int c = 0; c < width; c++) {
      float normal = own[(size_t)c * planeCount + plane];
      float4 queries = *(const float4 *)(x + 2 * hashedRows * c);
      float4 keys = *(const float4 *)(x + 2 * hashedRows * c + hashedRows);
      sums[0] = fmaf(queries.x, normal, sums[0]), sums[1] = fmaf(queries.y, normal, sums[1]);
      sums[2] = fmaf(queries.z, normal, sums[2]), sums[3] = fmaf(queries.w, normal, sums[3]);
      sums[4] = fmaf(keys.x, normal, sums[4]), sums[5] = fmaf(keys.y, normal, sums[5]);
      sums[6] = fmaf(keys.z, normal, sums[6]), sums[7] = fmaf(keys.w, normal, sums[7]);
    }
#pragma unroll
    for (int n = 0; n < 2 * hashedRows; n++) {
      unsigned bits = __ballot_sync(FULL, sums[n] > 0);
      if (lane == 0) sides[n * words + group] = bits;
    }
  }
  __syncwarp();
  unsigned *to = (unsigned *)codes(saved, p, head).words;
  for (int n = 0; n < hashedRows && first + n < q.rows; n++)
    for (int w = lane; w < p.codeRows; w += 32) {
      unsigned word = 0;
      for (int part = 0; part < 4 / p.codeBytes; part++) {
        int code = w * (4 / p.codeBytes) + part;
        const unsigned *own = sides + (code < p.hashes ? n : hashedRows + n) * words;
        if (code < 2 * p.hashes)
          word |= (unsigned)codeOf(own, code % p.hashes, p.bits) << (8 * p.codeBytes * part);
      }
      to[w * saved.stride + first + n] = word;
    }
}

/// Sets the desk's sum to the values of the keys before `end` whose codes agree with the query's, hash by
/// hash; two columns a lane, 64 at a time.
DEVICE void sumCounted(const Desk &desk, const Codes &codes, long long start, int i, int end,
                       const HeadRows &v, int width) {
  int lane = threadIdx.x & 31;
  for (int columns = 0; columns < width; columns += 64) {
    int c = columns + 2 * lane;
    float2 sum = {0, 0};
    for (int hash = 0; hash < codes.hashes; hash++) {
      int own = codes.code(start + i, hash);
      float2 bucket = {0, 0};
      for (int first = 0; first < end; first += 32) {
        int j = first + lane;
        unsigned agree = __ballot_sync(
            FULL, j < end && codes.code(start + min(j, end - 1), codes.hashes + hash) == own);
        for (; agree; agree &= agree - 1) {
          if (c >= width) continue;
          float2 x = loadPair(v[first + __popc(~agree & (agree - 1))], c, width);
          bucket.x += x.x, bucket.y += x.y;
        }
      }
      sum.x += bucket.x, sum.y += bucket.y;
    }
    if (c < width) desk.valueSum[c] = sum.x, desk.valueSum[c + 1] = sum.y;
  }
}

/// Adds what one hash gives to the sums X, `sums` [N, H E], of long sequences; the first sets them. A warp
/// goes through a sequence as the table's row of one code does: keys add to it, queries read it.
/// `sequences` has the first row and the length of each.
KERNEL(256, yoso_scan, const YosoParameters p, const int *sequences, int count, const Matrix saved,
       const Matrix v, const Matrix sums, int hash) {
  int task = globalWarp(), head = blockIdx.y, lane = threadIdx.x & 31, width = v.columns / p.heads;
  int number = task >> p.bits, code = task & ((1 << p.bits) - 1);
  if (number >= count) return;
  int row = sequences[2 * number], length = sequences[2 * number + 1];
  Codes codes = ::codes(saved, p, head);
  HeadRows values = headRows(v, head, width, row), to = headRows(sums, head, width, row);
  int window = p.chunk > 0 ? p.chunk : length;
  for (int columns = 0; columns < width; columns += 64) {
    int c = columns + 2 * lane;
    float2 bucket = {0, 0};
    // With chunks, queries read before the keys of their chunk are there.
    for (int pass = 0; pass < (p.chunk > 0 ? 2 * ((length + window - 1) / window) : 1); pass++) {
      int start = pass / 2 * window, end = min(start + window, length);
      bool reads = p.chunk == 0 || pass % 2 == 0, adds = p.chunk == 0 || pass % 2 == 1;
      for (int first = start; first < end; first += 32) {
        int j = min(first + lane, end - 1);
        bool inside = first + lane < end;
        unsigned queries = __ballot_sync(FULL, inside && reads && codes.code(row + j, hash) == code);
        unsigned keys =
            __ballot_sync(FULL, inside && adds && codes.code(row + j, p.hashes + hash) == code);
        for (unsigned any = queries | keys; any; any &= any - 1) {
          int bit = __popc(~any & (any - 1));
          if (c >= width) continue;
          if (keys >> bit & 1) {
            float2 x = loadPair(values[first + bit], c, width);
            bucket.x += x.x, bucket.y += x.y;
          }
          if (queries >> bit & 1) {
            float2 old = {0, 0};
            if (hash > 0) old = loadPair(to[first + bit], c, width);
            setNumber(to[first + bit], c, old.x + bucket.x);
            if (c + 1 < width) setNumber(to[first + bit], c + 1, old.y + bucket.y);
          }
        }
      }
    }
  }
}

/// o and |X|, the first H rows of `saved`. `inverses` are those of `yoso_norms` and `sums` those of
/// `yoso_scan`, where they are used.
KERNEL(WARPS, yoso_forward, const AttentionRows rows, const YosoParameters p, const Matrix q,
       const Matrix k, const Matrix v, const Matrix o, const Matrix saved, const Matrix inverses,
       const Matrix sums) {
  DYNAMIC_SHARED(unsigned char, shared);
  int row = globalWarp(), head = blockIdx.y;
  int keyWidth = q.columns / p.heads, valueWidth = v.columns / p.heads;
  if (row >= q.rows) return;
  Standing at = standing(rows, row);
  Desk desk = ::desk(shared, max(keyWidth, valueWidth), valueWidth);
  HeadRows values = headRows(v, head, valueWidth, at.start);
  clearRow(desk.valueSum, valueWidth);
  int near = p.chunk > 0 ? at.position / p.chunk * p.chunk : at.position + 1;
  if (p.counted && at.length >= p.scanned) {
    float one = 1;
    Row sum = headRows(sums, head, valueWidth, row)[0];
    addRows(desk.valueSum, 0, &one, &sum, 1, valueWidth);
  } else if (p.counted)
    sumCounted(desk, codes(saved, p, head), at.start, at.position, near, values, valueWidth);
  if (p.chunk > 0) {
    copyRow(desk.key, headRows(q, head, keyWidth, row)[0], keyWidth);
    addProbable(desk, p, inverseNorm(desk.key, keyWidth), headRows(k, head, keyWidth, at.start), values,
                (const float *)inverses.base + (p.heads + head) * inverses.stride + at.start, 1, near,
                at.position + 1, keyWidth, valueWidth);
  }
  float norm = writeUnit(desk, p, headRows(o, head, valueWidth, row)[0], valueWidth);
  if ((threadIdx.x & 31) == 0) setElement(saved, head, row, norm);
}

/// Memory of a stream, the kinds of `places`: tables [H m 2^τ, E]; of the near positions keys [H D],
/// values [H E], 1 / norms of keys [H] and codes of keys [H m].
enum { TABLES = 0, KEYS = 1, VALUES = 2, INVERSES = 3, CODES = 4 };

/// table[bucket] += value.
DEVICE void insert(float *table, const YosoParameters &p, int head, int hash, int code,
                   const float *value, int width) {
  float *to = table + ((((size_t)head * p.hashes + hash) << p.bits) + code) * width;
  for (int c = threadIdx.x & 31; c < width; c += 32) to[c] += value[c];
}

/// Steps of streams, `each` rows one after the other in each of them.
KERNEL(256, yoso_step, const AttentionRows rows, const YosoParameters p, const Matrix q,
       const Matrix k, const Matrix v, const Matrix o, const float *planes, int streams, int each) {
  DYNAMIC_SHARED(unsigned char, shared);
  int stream = globalWarp(), head = blockIdx.y, lane = threadIdx.x & 31;
  int keyWidth = q.columns / p.heads, valueWidth = v.columns / p.heads, words = sideWords(p);
  if (stream >= streams) return;
  int warps = blockDim.x / 32, width = max(keyWidth, valueWidth);
  Desk desk = ::desk(shared, width, valueWidth);
  unsigned *sides = (unsigned *)(shared + (size_t)warps * deskBytes(width, valueWidth)) +
                    (threadIdx.x >> 5) * 2 * words;
  const void *const *places = rows.places + (size_t)stream * rows.kinds;
  float *tables = (float *)places[TABLES], *keys = (float *)places[KEYS];
  float *values = (float *)places[VALUES], *inverses = (float *)places[INVERSES];
  int *codes = (int *)places[CODES];
  for (int n = 0; n < each; n++) {
    int row = stream * each + n, position = rows.positions[row];
    int slot = p.chunk > 0 ? position % p.chunk : 0;
    clearRow(desk.valueSum, valueWidth);
    copyRow(desk.twin, headRows(k, head, keyWidth, row)[0], keyWidth);
    copyRow(desk.key, headRows(q, head, keyWidth, row)[0], keyWidth);
    copyRow(desk.value, headRows(v, head, valueWidth, row)[0], valueWidth);
    if (p.counted) {
      findSides(sides, desk.key, planes, p, head, keyWidth);
      findSides(sides + words, desk.twin, planes, p, head, keyWidth);
      for (int hash = 0; hash < p.hashes; hash++) {
        if (p.chunk == 0)
          insert(tables, p, head, hash, codeOf(sides + words, hash, p.bits), desk.value, valueWidth);
        const float *from = tables + ((((size_t)head * p.hashes + hash) << p.bits) +
                                      codeOf(sides, hash, p.bits)) * valueWidth;
        __syncwarp();
        for (int c = 2 * lane; c < valueWidth; c += 64) {
          desk.valueSum[c] += from[c];
          if (c + 1 < valueWidth) desk.valueSum[c + 1] += from[c + 1];
        }
      }
    }
    if (p.chunk > 0) {
      float inverse = inverseNorm(desk.twin, keyWidth);
      for (int c = lane; c < keyWidth; c += 32)
        keys[((long long)slot * p.heads + head) * keyWidth + c] = desk.twin[c];
      for (int c = lane; c < valueWidth; c += 32)
        values[((long long)slot * p.heads + head) * valueWidth + c] = desk.value[c];
      if (lane == 0) inverses[(long long)slot * p.heads + head] = inverse;
      if (p.counted)
        for (int hash = lane; hash < p.hashes; hash += 32)
          codes[((long long)slot * p.heads + head) * p.hashes + hash] =
              codeOf(sides + words, hash, p.bits);
      __syncwarp();
      HeadRows k = {(Row)(size_t)(keys + head * keyWidth), 4ll * p.heads * keyWidth};
      HeadRows v = {(Row)(size_t)(values + head * valueWidth), 4ll * p.heads * valueWidth};
      addProbable(desk, p, inverseNorm(desk.key, keyWidth), k, v, inverses + head, p.heads, 0, slot + 1,
                  keyWidth, valueWidth);
      // A chunk that is complete moves into the tables, each hash in the order of the positions.
      if (p.counted && slot + 1 == p.chunk)
        for (int j = 0; j < p.chunk; j++)
          for (int hash = 0; hash < p.hashes; hash++)
            insert(tables, p, head, hash,
                   codes[((long long)j * p.heads + head) * p.hashes + hash],
                   values + ((long long)j * p.heads + head) * valueWidth, valueWidth);
    }
    writeUnit(desk, p, headRows(o, head, valueWidth, row)[0], valueWidth);
    __syncwarp();
  }
}
