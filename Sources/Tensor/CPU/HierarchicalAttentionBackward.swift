/// Backward pass of hierarchical attention over one sequence and head.
///
/// With coarse queries all tokens of a group share the scores of their level, so the group acts
/// as one row with
///
///     R = min lse,   G = Σ exp(R - lse_i) dO_i,   E = Σ exp(R - lse_i) <dO_i, o_i>
///     P = exp(s - R),   dS = P · (<G, V> - E)
///
/// where no exponent is positive. These are built level by level from the rows below. With fine
/// queries every level uses the tokens' own rows.
struct HierarchicalBackward {
  let rows: AttentionGradients
  /// Rows of the levels above 0; nil with fine queries.
  let coarse: CoarseGradients?
  let tile: AttentionBackwardTile
  let bias: HierarchicalBias
  let biasGradient: UnsafeMutablePointer<Float>

  /// Takes packed positions, all before them being done, to what they add to the gradients.
  ///
  /// A group acts once its last token is there. What a level holds lies to the left, so that the
  /// sequence is read once, from left to right, and a segment's rows are used while they are in
  /// the cache.
  func run(_ levels: HierarchicalLevels, _ range: Range<Int>, fineQuery: Bool) {
    let shape = rows.shape
    levels.extendPyramid(rows.keys, stride: shape.keyStride, by: range)
    levels.extendPyramid(rows.values, stride: shape.valueStride, by: range)
    for level in 1..<levels.top + 1 {
      let done = levels.completed(level, by: range)
      let offset = levels.offset(level)
      rows.clearKeys(offset + done.lowerBound..<offset + done.upperBound)
    }
    let size = levels.blockSize
    for block in range.lowerBound / size..<(range.upperBound + size - 1) / size {
      tokens(block, levels, fineQuery: fineQuery)
    }
    guard let coarse else { return }
    for level in 1..<levels.top + 1 {
      let isLast = range.upperBound == levels.length
      let end = isLast ? levels.queryRows(level) : range.upperBound >> level
      let groups = range.lowerBound >> level..<end
      coarse.restrict(rows, levels, level, groups)
      coarseLevel(level, levels, coarse, groups)
    }
  }

  /// Hands the gradients of the levels down to the keys and values they are means of.
  func finish(_ levels: HierarchicalLevels) {
    levels.spreadGradients(rows.keyGradients, stride: rows.shape.keyStride)
    levels.spreadGradients(rows.valueGradients, stride: rows.shape.valueStride)
  }

  /// Rows of a tile: more than one panel only where all panels of a block lie alike.
  private func tileRows(_ levels: HierarchicalLevels, fineQuery: Bool) -> Int {
    fineQuery && levels.blockSize % 16 != 0 ? 16 : AttentionTile.backwardRows
  }

  private func tokens(_ block: Int, _ levels: HierarchicalLevels, fineQuery: Bool) {
    let size = levels.blockSize
    let start = max(0, (block - 1) * size)
    let step = tileRows(levels, fineQuery: fineQuery)
    var row = 0
    while row < size && block * size + row < levels.length {
      let token = block * size + row
      let count = min(step, min(size - row, levels.length - token))
      let queries = rows.rows(from: token, count: count)
      tile.load(queries)
      tile.accumulate(
        queries, rows.range(from: start, count: token + count - start),
        bias: bias.rows(level: 0, distance: token - start), mask: .causal(offset: token - start))
      if fineQuery { fineLevels(block, token: token, queries, levels) }
      row += step
    }
  }

  private func fineLevels(
    _ block: Int, token: Int, _ queries: AttentionBackwardTile.Rows, _ levels: HierarchicalLevels
  ) {
    for level in 1..<HierarchicalLevels.topLevel(block: block) + 1 {
      let key = ((block >> level) - 1) * levels.blockSize
      let range = rows.range(
        from: levels.offset(level) + key, count: levels.visibleKeys(block: block, level: level))
      tile.accumulate(
        queries, range, bias: bias.tokens(level: level, token: token, key: key), mask: .none)
      bias.leave(level: level, token: token, into: biasGradient)
    }
  }

  private func coarseLevel(
    _ level: Int, _ levels: HierarchicalLevels, _ coarse: CoarseGradients, _ groups: Range<Int>
  ) {
    let size = levels.blockSize
    let offset = levels.offset(level)
    // Groups of the first block see nothing at this level.
    var query = max(size, groups.lowerBound)
    while query < groups.upperBound {
      let row = query % size
      let count = min(AttentionTile.backwardRows, min(size - row, groups.upperBound - query))
      let queries = coarse.rows(rows, levels, level, from: query, count: count)
      tile.load(queries)
      tile.accumulate(
        queries, rows.range(from: offset + query - row - size, count: size),
        bias: bias.rows(level: level, distance: size + row),
        mask: .half(rows: size / 2 - row, keys: size / 2))
      query += count
    }
  }
}

/// (R, G, E) of the groups of all levels above 0, level after level.
struct CoarseGradients {
  private let width: Int
  private let lse: UnsafeMutablePointer<Float>  // [rows], R
  private let dots: UnsafeMutablePointer<Float>  // [rows], E
  private let gradients: UnsafeMutablePointer<Float>  // [rows, padded E], G

  static func floats(_ shape: HeadShape, _ longest: HierarchicalLevels) -> Int {
    let rows = longest.coarseQueryRows
    return 2 * Scratch.rounded(rows) + Scratch.rounded(rows * shape.valueStride)
  }

  init(_ shape: HeadShape, _ longest: HierarchicalLevels, _ scratch: inout Scratch) {
    width = shape.valueStride
    lse = scratch.take(longest.coarseQueryRows)
    dots = scratch.take(longest.coarseQueryRows)
    gradients = scratch.take(longest.coarseQueryRows * shape.valueStride)
  }

  /// Groups of a level as rows of a tile: every 2^level-th query, gradients row by row.
  func rows(
    _ tokens: AttentionGradients, _ levels: HierarchicalLevels, _ level: Int, from row: Int,
    count: Int
  ) -> AttentionBackwardTile.Rows {
    let own = levels.queryOffset(level) + row
    let query = (row << level) * tokens.shape.keyStride
    return AttentionBackwardTile.Rows(
      count: count, queries: tokens.queries + query,
      queryStride: tokens.shape.keyStride << level, gradients: gradients + own * width,
      gradientStride: width, lse: lse + own, dots: dots + own,
      queryGradients: tokens.queryGradients + query)
  }

  /// Builds groups of a level from pairs of rows of the level below.
  func restrict(
    _ tokens: AttentionGradients, _ levels: HierarchicalLevels, _ level: Int, _ groups: Range<Int>
  ) {
    let below = level == 1 ? 0 : levels.queryOffset(level - 1)
    let fromLSE = level == 1 ? tokens.lse : lse + below
    let fromDots = level == 1 ? tokens.dots : dots + below
    let fromGradients = level == 1 ? tokens.gradients : gradients + below * width
    let own = levels.queryOffset(level)
    let children = levels.queryRows(level - 1)
    for group in groups {
      let left = 2 * group
      // A missing child repeats the left one with weight zero.
      let right = min(left + 1, children - 1)
      let smallest = min(fromLSE[left], fromLSE[right])
      let leftWeight = exponential(smallest - fromLSE[left])
      let rightWeight = right > left ? exponential(smallest - fromLSE[right]) : 0
      let from = fromGradients + left * width
      let other = fromGradients + right * width
      let to = gradients + (own + group) * width
      var column = 0
      while column < width {
        let sum = load(from + column) * leftWeight + load(other + column) * rightWeight
        store(sum, to + column)
        column += 8
      }
      dots[own + group] = fromDots[left] * leftWeight + fromDots[right] * rightWeight
      lse[own + group] = smallest
    }
  }
}
