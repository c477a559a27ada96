import Tensor

/// (R, G, E) of query rows: the tokens of one segment, the groups above it, and those of the
/// levels that are kept for the whole sequence.
///
///     R = lse,  G = dO,  E = <dO, o>    of a token
///     R = min R_ch,  G = Σ exp(R - R_ch) G_ch,  E = Σ exp(R - R_ch) E_ch    of a group of two
struct HierarchicalGroups {
  private let width: Int
  private let valueWidth: Int
  private let highStart: Int
  private let lse: UnsafeMutablePointer<Float>  // [rows], R
  private let dots: UnsafeMutablePointer<Float>  // [rows], E
  private let gradients: UnsafeMutablePointer<Float>  // [rows, padded E], G

  private static func rows(_ longest: HierarchicalLevels, fineQuery: Bool) -> Int {
    fineQuery ? longest.segment : longest.slabRows + longest.highQueryOffset(longest.top + 1)
  }

  init(
    _ shape: HeadShape, _ longest: HierarchicalLevels, fineQuery: Bool, _ scratch: inout Scratch
  ) {
    let rows = Self.rows(longest, fineQuery: fineQuery)
    width = shape.valueStride
    valueWidth = shape.valueWidth
    highStart = longest.slabRows
    lse = scratch.take(rows)
    dots = scratch.take(rows)
    gradients = scratch.take(rows * shape.valueStride)
  }

  /// First row of the segment's tokens.
  var tokens: Int { 0 }

  /// First row of the segment's groups of a low level.
  func low(_ level: Int, _ levels: HierarchicalLevels) -> Int { levels.slabOffset(level) }

  /// First row of all groups of a high level.
  func high(_ level: Int, _ levels: HierarchicalLevels) -> Int {
    highStart + levels.highQueryOffset(level)
  }

  /// G of a row.
  func gradient(_ row: Int) -> UnsafePointer<Float> { UnsafePointer(gradients + row * width) }

  /// Rows of a tile.
  func rows(
    _ row: Int, count: Int, queries: UnsafePointer<Float>, queryStride: Int,
    queryGradients: UnsafeMutablePointer<Float>
  ) -> AttentionBackwardTile.Rows {
    AttentionBackwardTile.Rows(
      count: count, queries: queries, queryStride: queryStride, gradients: gradients + row * width,
      gradientStride: width, lse: lse + row, dots: dots + row, queryGradients: queryGradients)
  }

  /// Packs the tokens of a segment.
  func pack(_ rows: HierarchicalGradientRows, _ range: Range<Int>) {
    packRows(
      gradients, stride: width, rows.dO[range.lowerBound], sourceStride: rows.dO.stride,
      rows: range.count, width: valueWidth)
    lse.update(from: rows.lse + range.lowerBound, count: range.count)
    rowDots(
      dots, rows.dO[range.lowerBound], strideDO: rows.dO.stride, rows.o[range.lowerBound],
      strideO: rows.o.stride, rows: range.count, width: valueWidth)
  }

  /// Builds the groups of a low level from the level below.
  ///
  /// - Returns: How many there are.
  func restrict(_ level: Int, _ levels: HierarchicalLevels, _ range: Range<Int>) -> Int {
    let groups = ((range.count - 1) >> level) + 1
    // Nobody asks for the groups of the first block.
    let first = max(0, levels.blockSize - (range.lowerBound >> level))
    for group in stride(from: first, to: groups, by: 1) {
      restrict(
        low(level, levels) + group, low(level - 1, levels) + 2 * group,
        hasRight: 2 * group + 1 <= (range.count - 1) >> (level - 1))
    }
    return groups
  }

  /// Builds the groups of a high level that begin in the segment; their children are there.
  func restrictHigh(_ level: Int, _ levels: HierarchicalLevels, _ range: Range<Int>) {
    let round = (1 << level) - 1
    let first = max(levels.blockSize, (range.lowerBound + round) >> level)
    let end = (range.upperBound + round) >> level
    let below =
      level == levels.lowTop + 1
      ? low(level - 1, levels) - (range.lowerBound >> (level - 1)) : high(level - 1, levels)
    for group in stride(from: first, to: end, by: 1) {
      restrict(
        high(level, levels) + group, below + 2 * group,
        hasRight: 2 * group + 1 < levels.queryRows(level - 1))
    }
  }

  private func restrict(_ group: Int, _ left: Int, hasRight: Bool) {
    // A missing child repeats the left one with weight zero.
    let right = hasRight ? left + 1 : left
    let smallest = min(lse[left], lse[right])
    let leftWeight = exponential(smallest - lse[left])
    let rightWeight = hasRight ? exponential(smallest - lse[right]) : 0
    let from = gradients + left * width
    let other = gradients + right * width
    let to = gradients + group * width
    var column = 0
    while column < width {
      let sum =
        load(from + column) * leftWeight + load(other + column) * rightWeight
      store(sum, to + column)
      column += 8
    }
    dots[group] = dots[left] * leftWeight + dots[right] * rightWeight
    lse[group] = smallest
  }
}
