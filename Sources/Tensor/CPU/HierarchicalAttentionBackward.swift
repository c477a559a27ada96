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
  let tile: AttentionBackwardTile
  let bias: HierarchicalBias
  let biasGradient: UnsafeMutablePointer<Float>

  /// Takes packed rows and cleared gradients to finished gradients.
  func run(_ levels: HierarchicalLevels, fineQuery: Bool) {
    let shape = rows.shape
    levels.buildPyramid(rows.keys, stride: shape.keyStride)
    levels.buildPyramid(rows.values, stride: shape.valueStride)
    for block in 0..<levels.blocks { tokens(block, levels, fineQuery: fineQuery) }
    if !fineQuery {
      for level in 1..<levels.top + 1 {
        restrict(to: levels.queryRows(level), from: levels.queryRows(level - 1))
        coarseLevel(level, levels)
      }
    }
    levels.spreadGradients(rows.keyGradients, stride: shape.keyStride)
    levels.spreadGradients(rows.valueGradients, stride: shape.valueStride)
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

  private func coarseLevel(_ level: Int, _ levels: HierarchicalLevels) {
    let size = levels.blockSize
    let offset = levels.offset(level)
    let queryRows = levels.queryRows(level)
    for block in 1..<levels.leftBlocks(level) + 1 {
      let range = rows.range(from: offset + (block - 1) * size, count: size)
      var row = 0
      while row < size && block * size + row < queryRows {
        let query = block * size + row
        let count = min(AttentionTile.backwardRows, min(size - row, queryRows - query))
        let queries = rows.rows(from: query, count: count, level: level)
        tile.load(queries)
        tile.accumulate(
          queries, range, bias: bias.rows(level: level, distance: size + row),
          mask: .half(rows: size / 2 - row, keys: size / 2))
        row += AttentionTile.backwardRows
      }
    }
  }

  /// Replaces rows 2I and 2I+1 of (lse, dO, <dO, o>) by row I of (R, G, E), in place.
  private func restrict(to parents: Int, from children: Int) {
    let width = rows.shape.valueStride
    for parent in 0..<parents {
      let left = 2 * parent
      // A missing child repeats the left one with weight zero.
      let right = min(left + 1, children - 1)
      let smallest = min(rows.lse[left], rows.lse[right])
      let leftWeight = exponential(smallest - rows.lse[left])
      let rightWeight = right > left ? exponential(smallest - rows.lse[right]) : 0
      let from = rows.gradients + left * width
      let other = rows.gradients + right * width
      let to = rows.gradients + parent * width
      var column = 0
      while column < width {
        let sum = load(from + column) * leftWeight + load(other + column) * rightWeight
        store(sum, to + column)
        column += 8
      }
      rows.dots[parent] = rows.dots[left] * leftWeight + rows.dots[right] * rightWeight
      rows.lse[parent] = smallest
    }
  }
}
