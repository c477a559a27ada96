/// Forward pass of hierarchical attention over one sequence and head.
struct HierarchicalForward {
  let shape: HeadShape
  private let bias: HierarchicalBias
  private let keys: UnsafeMutablePointer<Float>  // [key rows of all levels, padded D]
  private let values: UnsafeMutablePointer<Float>  // [key rows of all levels, padded E]
  private let panel: AttentionPanel
  /// Partial sums of the levels above, for odd and for even levels.
  private let odd: Partials
  private let even: Partials

  /// Running softmax of all query rows of a level.
  private struct Partials {
    let maximum: UnsafeMutablePointer<Float>  // [rows]
    let sum: UnsafeMutablePointer<Float>  // [rows]
    let values: UnsafeMutablePointer<Float>  // [rows, padded E]

    static func floats(_ shape: HeadShape, rows: Int) -> Int {
      2 * Scratch.rounded(rows) + rows * shape.valueStride
    }

    init(_ shape: HeadShape, rows: Int, _ scratch: inout Scratch) {
      maximum = scratch.take(rows)
      sum = scratch.take(rows)
      values = scratch.take(rows * shape.valueStride)
    }
  }

  static func floats(_ shape: HeadShape, _ longest: HierarchicalLevels) -> Int {
    longest.keyRows * (shape.keyStride + shape.valueStride) + AttentionPanel.floats(shape)
      + Partials.floats(shape, rows: longest.length / 2 + 1)
      + Partials.floats(shape, rows: longest.length / 4 + 1)
  }

  init(
    _ shape: HeadShape, _ longest: HierarchicalLevels, _ bias: HierarchicalBias,
    _ scratch: inout Scratch
  ) {
    self.shape = shape
    self.bias = bias
    keys = scratch.take(longest.keyRows * shape.keyStride)
    values = scratch.take(longest.keyRows * shape.valueStride)
    panel = AttentionPanel(shape, &scratch)
    odd = Partials(shape, rows: longest.length / 2 + 1, &scratch)
    even = Partials(shape, rows: longest.length / 4 + 1, &scratch)
  }

  func run(
    _ o: View, _ lse: View, _ q: View, _ k: View, _ v: View, head: Int, first: Int,
    levels: HierarchicalLevels, scale: Float, fineQuery: Bool
  ) {
    packRows(
      keys, stride: shape.keyStride, k.base + first * k.stride + head * shape.keyWidth,
      sourceStride: k.stride, rows: levels.length, width: shape.keyWidth)
    packRows(
      values, stride: shape.valueStride, v.base + first * v.stride + head * shape.valueWidth,
      sourceStride: v.stride, rows: levels.length, width: shape.valueWidth)
    levels.buildPyramid(keys, stride: shape.keyStride)
    levels.buildPyramid(values, stride: shape.valueStride)
    let queries = q.rows(first..<first + levels.length).columns(
      head * shape.keyWidth..<(head + 1) * shape.keyWidth)
    let results = o.rows(first..<first + levels.length).columns(
      head * shape.valueWidth..<(head + 1) * shape.valueWidth)
    let logs = lse.base + head * lse.stride + first
    if !fineQuery {
      for level in (1..<levels.top + 1).reversed() {
        coarseLevel(level, queries, levels, scale)
      }
    }
    for block in 0..<levels.blocks {
      tokens(block, queries, results, logs, levels, scale, fineQuery: fineQuery)
    }
  }

  /// One level above 0, each group asking with the query of its first token.
  private func coarseLevel(
    _ level: Int, _ q: View, _ levels: HierarchicalLevels, _ scale: Float
  ) {
    let size = levels.blockSize
    let own = level % 2 == 1 ? odd : even
    let above = level % 2 == 1 ? even : odd
    let offset = levels.offset(level)
    let queryRows = levels.queryRows(level)
    for block in 1..<levels.leftBlocks(level) + 1 {
      let start = offset + (block - 1) * size
      var row = 0
      while row < size && block * size + row < queryRows {
        let query = block * size + row
        let rows = min(16, min(size - row, queryRows - query))
        packTransposed(
          panel.queries, q.base + (query << level) * q.stride, sourceStride: q.stride << level,
          rows: rows, width: shape.keyWidth, scale: scale)
        begin(above, query: query, rows: rows, isEmpty: block < 2)
        panel.attend(
          keys: keys + start * shape.keyStride, valueRows: values + start * shape.valueStride,
          count: size, bias: bias.rows(level: level, distance: size + row),
          mask: .half(rows: size / 2 - row, keys: size / 2), rows: rows)
        save(own, query: query, rows: rows)
        row += 16
      }
    }
  }

  /// The tokens of one block: the levels above, then their own block and the one before.
  private func tokens(
    _ block: Int, _ q: View, _ o: View, _ lse: UnsafeMutablePointer<Float>,
    _ levels: HierarchicalLevels, _ scale: Float, fineQuery: Bool
  ) {
    let size = levels.blockSize
    let start = max(0, (block - 1) * size)
    var row = 0
    while row < size && block * size + row < levels.length {
      let token = block * size + row
      let rows = min(16, min(size - row, levels.length - token))
      packTransposed(
        panel.queries, q.base + token * q.stride, sourceStride: q.stride, rows: rows,
        width: shape.keyWidth, scale: scale)
      if fineQuery {
        panel.reset()
        fineLevels(block, token: token, rows: rows, levels)
      } else {
        begin(odd, query: token, rows: rows, isEmpty: block < 2)
      }
      panel.attend(
        keys: keys + start * shape.keyStride, valueRows: values + start * shape.valueStride,
        count: token + rows - start, bias: bias.rows(level: 0, distance: token - start),
        mask: .causal(offset: token - start), rows: rows)
      panel.finish(o: o.base + token * o.stride, stride: o.stride, lse: lse + token, rows: rows)
      row += 16
    }
  }

  /// All levels above 0 for up to 16 tokens of one block, each asking for itself.
  private func fineLevels(_ block: Int, token: Int, rows: Int, _ levels: HierarchicalLevels) {
    for level in (1..<HierarchicalLevels.topLevel(block: block) + 1).reversed() {
      let key = ((block >> level) - 1) * levels.blockSize
      let start = levels.offset(level) + key
      panel.attend(
        keys: keys + start * shape.keyStride, valueRows: values + start * shape.valueStride,
        count: levels.visibleKeys(block: block, level: level),
        bias: bias.tokens(level: level, token: token, key: key), mask: .none, rows: rows)
    }
  }

  /// Starts the panel from the partial sums of the rows' parents.
  private func begin(_ parents: Partials, query: Int, rows: Int, isEmpty: Bool) {
    panel.reset()
    if isEmpty { return }
    for row in 0..<rows {
      let parent = (query + row) >> 1
      panel.maximum[row] = parents.maximum[parent]
      panel.sum[row] = parents.sum[parent]
      (panel.values + row * shape.valueStride).update(
        from: parents.values + parent * shape.valueStride, count: shape.valueStride)
    }
  }

  private func save(_ own: Partials, query: Int, rows: Int) {
    (own.maximum + query).update(from: panel.maximum, count: rows)
    (own.sum + query).update(from: panel.sum, count: rows)
    (own.values + query * shape.valueStride).update(
      from: panel.values, count: rows * shape.valueStride)
  }
}
