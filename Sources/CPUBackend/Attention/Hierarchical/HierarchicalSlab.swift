import CProcessor
import Tensor

/// Keys, values and their gradients of one segment, at all levels whose blocks fit into it.
struct HierarchicalSlab {
  private let shape: HeadShape
  private let keys: UnsafeMutablePointer<Float>  // [rows, padded D], level after level
  private let values: UnsafeMutablePointer<Float>  // [rows, padded E]
  private let keyGradients: UnsafeMutablePointer<Float>  // [rows, padded D]
  private let valueGradients: UnsafeMutablePointer<Float>  // [rows, padded E]

  init(_ shape: HeadShape, _ longest: HierarchicalLevels, _ scratch: inout Scratch) {
    self.shape = shape
    keys = scratch.take(longest.slabRows * shape.keyStride)
    values = scratch.take(longest.slabRows * shape.valueStride)
    keyGradients = scratch.take(longest.slabRows * shape.keyStride)
    valueGradients = scratch.take(longest.slabRows * shape.valueStride)
  }

  /// Rows of a level that a segment completes.
  private static func rows(_ level: Int, _ range: Range<Int>) -> Int { range.count >> level }

  /// Packs the keys and values of a segment and builds their means.
  func pack(_ k: StridedRows, _ v: StridedRows, _ levels: HierarchicalLevels, segment: Int) {
    let range = levels.range(segment: segment)
    packRows(
      keys, stride: shape.keyStride, k[range.lowerBound], sourceStride: k.stride,
      rows: range.count, width: shape.keyWidth)
    packRows(
      values, stride: shape.valueStride, v[range.lowerBound], sourceStride: v.stride,
      rows: range.count, width: shape.valueWidth)
    average(levels, range, above: 0)
  }

  /// Builds the means from level 2 on alone, or from the highest if that is below.
  func packMeansAlone(
    _ k: StridedRows, _ v: StridedRows, _ levels: HierarchicalLevels, segment: Int
  ) {
    let level = min(2, levels.lowTop)
    if level == 0 { return pack(k, v, levels, segment: segment) }
    let range = levels.range(segment: segment)
    let own = levels.slabOffset(level)
    let rows = Self.rows(level, range)
    packMeans(
      key(own), stride: shape.keyStride, k[range.lowerBound], sourceStride: k.stride, rows: rows,
      level: level, width: shape.keyWidth)
    packMeans(
      value(own), stride: shape.valueStride, v[range.lowerBound], sourceStride: v.stride,
      rows: rows, level: level, width: shape.valueWidth)
    average(levels, range, above: level)
  }

  /// Means of the levels above one that is there.
  private func average(_ levels: HierarchicalLevels, _ range: Range<Int>, above base: Int) {
    for level in levels.lowLevels where level > base {
      let below = levels.slabOffset(level - 1)
      let own = levels.slabOffset(level)
      for row in 0..<Self.rows(level, range) {
        averageRows(key(own + row), key(below + 2 * row), count: shape.keyStride)
        averageRows(value(own + row), value(below + 2 * row), count: shape.valueStride)
      }
    }
  }

  func clearGradients(_ levels: HierarchicalLevels, segment: Int) {
    let range = levels.range(segment: segment)
    for level in 0..<levels.lowLevels.upperBound {
      let start = levels.slabOffset(level)
      let rows = Self.rows(level, range)
      (keyGradients + start * shape.keyStride).update(repeating: 0, count: rows * shape.keyStride)
      (valueGradients + start * shape.valueStride)
        .update(repeating: 0, count: rows * shape.valueStride)
    }
  }

  /// A row counted from the slab's first.
  func key(_ row: Int) -> UnsafeMutablePointer<Float> { keys + row * shape.keyStride }
  func value(_ row: Int) -> UnsafeMutablePointer<Float> { values + row * shape.valueStride }

  /// Key rows of a level, counted from the segment's first.
  func range(
    _ levels: HierarchicalLevels, _ level: Int, row: Int, count: Int
  ) -> AttentionBackwardTile.Range {
    let start = levels.slabOffset(level) + row
    return AttentionBackwardTile.Range(
      count: count, keys: key(start), values: value(start),
      keyGradients: keyGradients + start * shape.keyStride,
      valueGradients: valueGradients + start * shape.valueStride)
  }

  /// Adjoint of the means: gives half of each row's gradient to either child, from the levels of
  /// the whole sequence down to the tokens.
  func spreadGradients(
    _ levels: HierarchicalLevels, _ range: Range<Int>, from high: HierarchicalHighRows
  ) {
    for level in (0..<levels.lowLevels.upperBound).reversed() where level < levels.top {
      let base = range.lowerBound >> level
      let rows = min(Self.rows(level, range), 2 * levels.keyRows(level + 1) - base)
      if rows <= 0 { continue }
      let isHigh = level == levels.lowTop
      let parent =
        isHigh
        ? high.gradients(levels, level + 1, row: base / 2)
        : gradients(levels.slabOffset(level + 1))
      let own = gradients(levels.slabOffset(level))
      addHalves(own.keys, parent.keys, rows: rows, width: shape.keyStride)
      addHalves(own.values, parent.values, rows: rows, width: shape.valueStride)
    }
  }

  private func gradients(
    _ row: Int
  ) -> (keys: UnsafeMutablePointer<Float>, values: UnsafeMutablePointer<Float>) {
    (keyGradients + row * shape.keyStride, valueGradients + row * shape.valueStride)
  }

  /// Writes the finished gradients of the tokens.
  func write(_ dk: StridedRows, _ dv: StridedRows, _ range: Range<Int>) {
    unpackRows(
      dk[range.lowerBound], stride: dk.stride, keyGradients, sourceStride: shape.keyStride,
      rows: range.count, width: shape.keyWidth, scale: 1)
    unpackRows(
      dv[range.lowerBound], stride: dv.stride, valueGradients, sourceStride: shape.valueStride,
      rows: range.count, width: shape.valueWidth, scale: 1)
  }
}

/// Packs means of `2^level` strided rows each, level 1 or 2, as averaging twice gives them.
///
/// This is one pass over a long sequence that only waits for memory, so it prefetches what comes next.
private func packMeans(
  _ destination: UnsafeMutablePointer<Float>, stride: Int, _ source: UnsafePointer<Float>,
  sourceStride: Int, rows: Int, level: Int, width: Int
) {
  let whole = width / 8 * 8
  for row in 0..<rows {
    let r0 = source + (row << level) * sourceStride
    let r1 = r0 + sourceStride
    let r2 = level == 1 ? r0 : r1 + sourceStride
    let r3 = level == 1 ? r1 : r2 + sourceStride
    let to = destination + row * stride
    let upcoming = r0 + 32 * sourceStride
    for next in 0..<1 << level {
      for column in Swift.stride(from: 0, to: width, by: 16) {
        cp_prefetch(upcoming + next * sourceStride + column)
      }
    }
    var column = 0
    while column < whole {
      let left = (load(r0 + column) + load(r1 + column)) * 0.5
      let right = (load(r2 + column) + load(r3 + column)) * 0.5
      store((left + right) * 0.5, to + column)
      column += 8
    }
    while column < width {
      let left = (r0[column] + r1[column]) * 0.5
      let right = (r2[column] + r3[column]) * 0.5
      to[column] = (left + right) * 0.5
      column += 1
    }
    while column < stride {
      to[column] = 0
      column += 1
    }
  }
}
