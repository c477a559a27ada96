// Who meets whom in Combiner attention: for every pattern, the keys and regions of a query, the members
// of a region, and both the other way round.
//
// Positions count from the start of a sequence; with m positions a segment, i stands in row i / m and
// column i % m. Regions have a number each: `fixed`, that of the segment; `logsparse`, the last position
// of the block, as in a Fenwick tree: block 2^l of the trailing zeros of number + 1; `vertical`, the
// last position of the column's part; `rowmajor`, the position that asks; beside a column of `mixture`,
// the position between its left and its right part.
#pragma once
#include "row_attention.h"

enum { FIXED = 0, ROWMAJOR = 1, LOGSPARSE = 2, VERTICAL = 3, MIXTURE = 4 };
enum { WEIGHTED_SUM = 0, OWN_KEY = 1, PROJECTED = 2 };

/// Numbers first + n step, where from `skip` on one is left out. A step of 0 goes through the ends of
/// the blocks of an expansion in powers of two, one of -1 through the blocks that hold a position.
struct Run {
  int first, step, count, skip;
  DEVICE int operator[](int n) const {
    if (step > 0) return first + step * (n + (n >= skip ? 1 : 0));
    int x = first;
    for (int k = 0; k < n; k++) x = step == 0 ? x & (x - 1) : x + (x & -x);
    return x - 1;
  }
};

DEVICE Run run(int first, int step, int count) { return {first, step, max(count, 0), 0x7fffffff}; }
DEVICE Run none() { return {0, 1, 0, 0}; }

struct Plan {
  int pattern, m, length;
  bool grows;  // later positions may come: decoding

  DEVICE bool axial() const { return pattern == VERTICAL || pattern == MIXTURE; }
  DEVICE int families() const { return pattern == MIXTURE ? 3 : 1; }

  // -------------------------------------------------------------------- a query and its keys

  DEVICE Run rowKeys(int i) const {
    return pattern == LOGSPARSE ? run(i, 1, 1) : run(i - i % m, 1, i % m + 1);
  }
  DEVICE Run columnKeys(int i) const { return axial() ? run(i % m, m, i / m) : none(); }
  DEVICE Run regions(int family, int i) const {
    int r = i / m, c = i % m;
    if (family == 1) return c > 0 ? run(c, m, r) : none();
    if (family == 2) return c < m - 1 ? run(c, m, r) : none();
    if (pattern == FIXED) return run(0, 1, r);
    if (pattern == ROWMAJOR) return run(c, m, r);
    if (pattern == LOGSPARSE) return run(i, 0, __popc((unsigned)i));
    return r > 0 ? Run{(r - 1) * m, 1, m - 1, c} : none();
  }

  // ------------------------------------------------------------------ a key and its queries

  DEVICE Run rowReaders(int j) const {
    return pattern == LOGSPARSE ? run(j, 1, 1) : run(j, 1, min(length, (j / m + 1) * m) - j);
  }
  DEVICE Run columnReaders(int j) const {
    return axial() ? run(j + m, m, (length - 1 - j) / m) : none();
  }

  // ------------------------------------------------------------- a region and who reads it

  /// Whether all members of a region are there and somebody reads it, or may later.
  DEVICE bool needs(int family, int region) const {
    int next = (region / m + 1) * m, c = region % m;  // the row below
    if (family == 1 && c == 0) return false;
    if (family == 2 && c == m - 1) return false;
    if (family > 0 || pattern == ROWMAJOR)
      return grows ? next <= length : region + m < length;
    if (pattern == FIXED) return grows ? (region + 1) * m <= length : (region + 1) * m < length;
    if (pattern == LOGSPARSE) return grows || region + 1 < length;
    return m > 1 && (grows || next < length);
  }
  DEVICE Run readers(int family, int region) const {
    if (!needs(family, region)) return none();
    if (family > 0 || pattern == ROWMAJOR) return run(region + m, m, (length - 1 - region) / m);
    if (pattern == FIXED) return run((region + 1) * m, 1, length - (region + 1) * m);
    if (pattern == LOGSPARSE) {
      int low = (region + 1) & -(region + 1);
      return run(region + 1, 1, min(length - region - 1, low));
    }
    int next = (region / m + 1) * m, c = region % m, count = min(m, length - next);
    return {next, 1, max(count - (c < count ? 1 : 0), 0), c};
  }
  DEVICE Run members(int family, int region) const {
    int r = region / m, c = region % m;
    if (!needs(family, region)) return none();
    if (family == 1) return run(r * m, 1, c);
    if (family == 2) return run(region + 1, 1, m - 1 - c);
    if (pattern == FIXED) return run(region * m, 1, m);
    if (pattern == ROWMAJOR) return run(r * m, 1, m);
    if (pattern == LOGSPARSE) {
      int low = (region + 1) & -(region + 1);
      return run(region + 1 - low, 1, low);
    }
    return run(c, m, r + 1);
  }

  // ------------------------------------------------------- a key and the regions that hold it

  /// All of them are needed, in a pass.
  DEVICE Run regionsWith(int family, int j) const {
    int r = j / m, c = j % m, below = min(m, length - (r + 1) * m);
    if (family == 1) return run(j + 1, 1, below - (c + 1));
    if (family == 2) return run(r * m, 1, min(c, below));
    if (pattern == FIXED) return run(r, 1, below > 0 ? 1 : 0);
    if (pattern == ROWMAJOR) return run(r * m, 1, below);
    if (pattern == LOGSPARSE) {
      int count = 0;
      for (int n = j + 1; n < length; n += n & -n) count++;
      return run(j + 1, -1, count);
    }
    return m > 1 ? run(j, m, (length - 1) / m - r) : none();
  }
};

DEVICE Plan plan(const CombinerParameters &p, const Standing &at) {
  return {p.pattern, p.pattern == LOGSPARSE ? 1 : p.segment, at.length, at.places != nullptr};
}

/// One head of the tensors where a row stands. The kinds of `places` are q, k, v, then keys and values
/// of each family.
struct CombinerHead {
  const CombinerTensors &t;
  const Standing &at;
  int head, keyWidth, valueWidth;

  DEVICE const void *place(int kind) const { return at.places ? at.places[kind] : nullptr; }
  DEVICE HeadRows q() const { return headRows(t.q, head, keyWidth, at.start, place(0)); }
  DEVICE HeadRows k() const { return headRows(t.k, head, keyWidth, at.start, place(1)); }
  DEVICE HeadRows v() const { return headRows(t.v, head, valueWidth, at.start, place(2)); }
  DEVICE HeadRows keys(int family) const {
    return headRows(t.families[family].keys, head, keyWidth, at.start, place(3 + 2 * family));
  }
  DEVICE HeadRows values(int family) const {
    return headRows(t.families[family].values, head, valueWidth, at.start, place(4 + 2 * family));
  }
  /// Columns of D or E of another matrix of a pass.
  DEVICE HeadRows keyRows(const Matrix &m) const { return headRows(m, head, keyWidth, at.start); }
  DEVICE HeadRows valueRows(const Matrix &m) const {
    return headRows(m, head, valueWidth, at.start);
  }
};

/// Everything that a query scores, in one list: its row, its column, its regions family by family.
struct QueryItems {
  Plan plan;
  int i, count;

  DEVICE QueryItems(const Plan &plan, int i) : plan(plan), i(i) {
    count = plan.rowKeys(i).count + plan.columnKeys(i).count;
    for (int f = 0; f < plan.families(); f++) count += plan.regions(f, i).count;
  }

  /// Addresses of key and value number n.
  DEVICE void find(const CombinerHead &h, int n, Row &key, Row &value) const {
    Run row = plan.rowKeys(i), column = plan.columnKeys(i);
    if (n < row.count + column.count) {
      int j = n < row.count ? row[n] : column[n - row.count];
      key = h.k()[j], value = h.v()[j];
      return;
    }
    n -= row.count + column.count;
    int family = 0;
    Run regions = plan.regions(0, i);
    while (n >= regions.count) n -= regions.count, regions = plan.regions(++family, i);
    key = h.keys(family)[regions[n]], value = h.values(family)[regions[n]];
  }
};
