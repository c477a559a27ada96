import Tensor

/// Keys and values of the last two blocks of every level.
///
/// Level 0 has room for three, so that a block and the one before it lie side by side: odd blocks
/// in the second, even ones in the third and, for the next, in the first. Levels above keep block
/// c in half c mod 2.
struct HierarchicalPast {
  private let shape: HeadShape
  private let size: Int
  private let keyRows: UnsafeMutablePointer<Float>  // [rows, padded D]
  private let valueRows: UnsafeMutablePointer<Float>  // [rows, padded E]

  private static func rows(_ longest: HierarchicalLevels) -> Int {
    (3 + 2 * longest.top) * longest.blockSize
  }

  init(_ shape: HeadShape, _ longest: HierarchicalLevels, _ scratch: inout Scratch) {
    self.shape = shape
    size = longest.blockSize
    keyRows = scratch.take(Self.rows(longest) * shape.keyStride)
    valueRows = scratch.take(Self.rows(longest) * shape.valueStride)
  }

  func keys(_ row: Int) -> UnsafeMutablePointer<Float> { keyRows + row * shape.keyStride }
  func values(_ row: Int) -> UnsafeMutablePointer<Float> { valueRows + row * shape.valueStride }

  /// First row of a token block; the block before it ends there.
  func ownStart(block: Int) -> Int { block == 0 ? 0 : block % 2 == 1 ? size : 2 * size }

  /// First row of a block of a level above 0.
  func start(_ level: Int, block: Int) -> Int { (1 + 2 * level + block % 2) * size }

  /// Packs the keys and values of a block.
  func pack(_ k: StridedRows, _ v: StridedRows, block: Int, _ range: Range<Int>) {
    let own = ownStart(block: block)
    packRows(
      keys(own), stride: shape.keyStride, k[range.lowerBound], sourceStride: k.stride,
      rows: range.count, width: shape.keyWidth)
    packRows(
      values(own), stride: shape.valueStride, v[range.lowerBound], sourceStride: v.stride,
      rows: range.count, width: shape.valueWidth)
    guard own == 2 * size else { return }
    keys(0).update(from: keys(own), count: range.count * shape.keyStride)
    values(0).update(from: values(own), count: range.count * shape.valueStride)
  }

  /// Means of neighbouring rows, `row_l[J] = (row_{l-1}[2J] + row_{l-1}[2J+1]) / 2`, as far as
  /// the block completes them.
  func extend(_ levels: HierarchicalLevels, block: Int, _ range: Range<Int>) {
    var level = 1
    while level <= levels.top {
      let rows = levels.completed(level, by: range)
      if rows.isEmpty { break }
      for row in rows {
        // The block size is even: both children are in the same half.
        let left = 2 * row
        let half =
          level == 1 ? ownStart(block: block) : start(level - 1, block: left / size)
        let below = half + left % size
        let own = start(level, block: row / size) + row % size
        averageRows(keys(own), keys(below), count: shape.keyStride)
        averageRows(values(own), values(below), count: shape.valueStride)
      }
      level += 1
    }
  }
}

/// Mean of a packed row and the one after it.
func averageRows(
  _ mean: UnsafeMutablePointer<Float>, _ row: UnsafePointer<Float>, count: Int
) {
  var column = 0
  while column < count {
    store((loadWide(row + column) + loadWide(row + count + column)) * 0.5, mean + column)
    column += 16
  }
}
