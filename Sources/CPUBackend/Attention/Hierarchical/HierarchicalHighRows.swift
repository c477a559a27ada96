import CProcessor
import Tensor

/// Adds to each row half of the row that it and its neighbour are averaged to.
func addHalves(
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
      slab.packMeansAlone(k, v, levels, segment: segment)
      let below = levels.slabOffset(levels.lowTop) - (range.lowerBound >> levels.lowTop)
      for row in levels.completed(lowest, by: range) {
        averageRows(key(levels, lowest, row), slab.key(below + 2 * row), count: shape.keyStride)
        averageRows(
          value(levels, lowest, row), slab.value(below + 2 * row), count: shape.valueStride)
      }
      for level in levels.highLevels.dropFirst() {
        for row in levels.completed(level, by: range) {
          averageRows(
            key(levels, level, row), key(levels, level - 1, 2 * row), count: shape.keyStride)
          averageRows(
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

  /// Key rows of a level, values and gradients included.
  func enqueue(
    _ prefetcher: RowPrefetcher, _ levels: HierarchicalLevels, _ level: Int, rows: Range<Int>
  ) {
    let range = range(levels, level, row: rows.lowerBound, count: rows.count)
    for row in 0..<rows.count {
      prefetcher.enqueue(range.keys + row * shape.keyStride)
      prefetcher.enqueue(range.keyGradients + row * shape.keyStride)
      prefetcher.enqueue(range.values + row * shape.valueStride)
      prefetcher.enqueue(range.valueGradients + row * shape.valueStride)
    }
  }

  /// Gradients from a row of a level on.
  func gradients(
    _ levels: HierarchicalLevels, _ level: Int, row: Int
  ) -> (keys: UnsafeMutablePointer<Float>, values: UnsafeMutablePointer<Float>) {
    let row = levels.highOffset(level) + row
    return (keyGradients + row * shape.keyStride, valueGradients + row * shape.valueStride)
  }

  /// Passes halves down to the rows that end in `range`: all their readers are done.
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
