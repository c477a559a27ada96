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

  /// Takes the keys and values of a segment and builds their means.
  func load(_ k: StridedRows, _ v: StridedRows, _ levels: HierarchicalLevels, segment: Int) {
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
  func loadMeans(_ k: StridedRows, _ v: StridedRows, _ levels: HierarchicalLevels, segment: Int) {
    let level = min(2, levels.lowTop)
    if level == 0 { return load(k, v, levels, segment: segment) }
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
        CPUBackend.average(key(own + row), key(below + 2 * row), count: shape.keyStride)
        CPUBackend.average(value(own + row), value(below + 2 * row), count: shape.valueStride)
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

  /// Adjoint of the means: hands half of each row's gradient to either child, from the levels of
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
/// One pass over a long sequence: it waits for memory alone, so it asks for what comes next.
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
    let ahead = r0 + 32 * sourceStride
    for next in 0..<1 << level {
      for column in Swift.stride(from: 0, to: width, by: 16) {
        cp_prefetch(ahead + next * sourceStride + column)
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

/// Adds to each row half of the row that it and its neighbour are averaged to.
private func addHalves(
  _ rows: UnsafeMutablePointer<Float>, _ parents: UnsafePointer<Float>, rows count: Int, width: Int
) {
  for row in 0..<count {
    let own = rows + row * width
    let parent = parents + row / 2 * width
    var column = 0
    while column < width {
      store(load(own + column) + load(parent + column) * 0.5, own + column)
      column += 8
    }
  }
}

/// Keys, values and their gradients of the levels whose blocks outgrow a segment, for a whole
/// sequence: few rows, a small part of its length.
struct HierarchicalHighRows {
  private let shape: HeadShape
  private let keys: UnsafeMutablePointer<Float>  // [rows, padded D], level after level
  private let values: UnsafeMutablePointer<Float>  // [rows, padded E]
  private let keyGradients: UnsafeMutablePointer<Float>  // [rows, padded D]
  private let valueGradients: UnsafeMutablePointer<Float>  // [rows, padded E]

  private static func rows(_ levels: HierarchicalLevels) -> Int {
    levels.highOffset(levels.top + 1)
  }

  init(_ shape: HeadShape, _ longest: HierarchicalLevels, _ scratch: inout Scratch) {
    let rows = Self.rows(longest)
    self.shape = shape
    keys = scratch.take(rows * shape.keyStride)
    values = scratch.take(rows * shape.valueStride)
    keyGradients = scratch.take(rows * shape.keyStride)
    valueGradients = scratch.take(rows * shape.valueStride)
  }

  /// Means of a whole sequence, built through a slab from left to right; gradients are cleared.
  func build(
    _ k: StridedRows, _ v: StridedRows, _ levels: HierarchicalLevels, through slab: HierarchicalSlab
  ) {
    let rows = Self.rows(levels)
    if rows == 0 { return }
    keyGradients.update(repeating: 0, count: rows * shape.keyStride)
    valueGradients.update(repeating: 0, count: rows * shape.valueStride)
    let lowest = levels.lowTop + 1
    for segment in 0..<(levels.length - 1) / levels.segment + 1 {
      let range = levels.range(segment: segment)
      if levels.completed(lowest, by: range).isEmpty { break }
      slab.loadMeans(k, v, levels, segment: segment)
      let below = levels.slabOffset(levels.lowTop) - (range.lowerBound >> levels.lowTop)
      for row in levels.completed(lowest, by: range) {
        average(key(levels, lowest, row), slab.key(below + 2 * row), count: shape.keyStride)
        average(value(levels, lowest, row), slab.value(below + 2 * row), count: shape.valueStride)
      }
      for level in levels.highLevels.dropFirst() {
        for row in levels.completed(level, by: range) {
          average(
            key(levels, level, row), key(levels, level - 1, 2 * row), count: shape.keyStride)
          average(
            value(levels, level, row), value(levels, level - 1, 2 * row), count: shape.valueStride)
        }
      }
    }
  }

  private func key(
    _ levels: HierarchicalLevels, _ level: Int, _ row: Int
  ) -> UnsafeMutablePointer<Float> {
    keys + (levels.highOffset(level) + row) * shape.keyStride
  }

  private func value(
    _ levels: HierarchicalLevels, _ level: Int, _ row: Int
  ) -> UnsafeMutablePointer<Float> {
    values + (levels.highOffset(level) + row) * shape.valueStride
  }

  /// Key rows of a level.
  func range(
    _ levels: HierarchicalLevels, _ level: Int, row: Int, count: Int
  ) -> AttentionBackwardTile.Range {
    let gradients = gradients(levels, level, row: row)
    return AttentionBackwardTile.Range(
      count: count, keys: key(levels, level, row), values: value(levels, level, row),
      keyGradients: gradients.keys, valueGradients: gradients.values)
  }

  /// Follows key rows of a level, everything of them.
  func lead(_ ahead: RowsAhead, _ levels: HierarchicalLevels, _ level: Int, rows: Range<Int>) {
    let range = range(levels, level, row: rows.lowerBound, count: rows.count)
    for row in 0..<rows.count {
      ahead.add(range.keys + row * shape.keyStride)
      ahead.add(range.keyGradients + row * shape.keyStride)
      ahead.add(range.values + row * shape.valueStride)
      ahead.add(range.valueGradients + row * shape.valueStride)
    }
  }

  /// Gradients from a row of a level on.
  func gradients(
    _ levels: HierarchicalLevels, _ level: Int, row: Int
  ) -> (keys: UnsafeMutablePointer<Float>, values: UnsafeMutablePointer<Float>) {
    let row = levels.highOffset(level) + row
    return (keyGradients + row * shape.keyStride, valueGradients + row * shape.valueStride)
  }

  /// Hands halves down to the rows that end in `range`: whoever reads them has been there.
  func spreadGradients(_ levels: HierarchicalLevels, by range: Range<Int>) {
    for level in levels.highLevels.dropLast().reversed() {
      let rows = levels.completed(level, by: range)
      let parents = 2 * levels.keyRows(level + 1)
      for row in stride(from: rows.lowerBound, to: min(rows.upperBound, parents), by: 1) {
        let own = gradients(levels, level, row: row)
        let parent = gradients(levels, level + 1, row: row / 2)
        addHalves(own.keys, parent.keys, rows: 1, width: shape.keyStride)
        addHalves(own.values, parent.values, rows: 1, width: shape.valueStride)
      }
    }
  }
}
