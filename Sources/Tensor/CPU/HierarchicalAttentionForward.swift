/// Forward pass of hierarchical attention over one sequence and head.
struct HierarchicalForward {
  let shape: HeadShape
  private let bias: HierarchicalBias
  private let keys: UnsafeMutablePointer<Float>  // [key rows of all levels, padded D]
  private let values: UnsafeMutablePointer<Float>  // [key rows of all levels, padded E]
  private let panel: AttentionPanel
  /// Partial sums of all levels above 0, level after level.
  private let partials: Partials

  /// Running softmax of query rows.
  private struct Partials {
    let maximum: UnsafeMutablePointer<Float>  // [rows]
    let sum: UnsafeMutablePointer<Float>  // [rows]
    let values: UnsafeMutablePointer<Float>  // [rows, padded E]

    func advanced(by rows: Int, stride: Int) -> Partials {
      Partials(maximum: maximum + rows, sum: sum + rows, values: values + rows * stride)
    }
  }

  static func floats(_ shape: HeadShape, _ longest: HierarchicalLevels) -> Int {
    let rows = longest.coarseQueryRows
    return longest.keyRows * (shape.keyStride + shape.valueStride) + AttentionPanel.floats(shape)
      + 2 * Scratch.rounded(rows) + Scratch.rounded(rows * shape.valueStride)
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
    let rows = longest.coarseQueryRows
    partials = Partials(
      maximum: scratch.take(rows), sum: scratch.take(rows),
      values: scratch.take(rows * shape.valueStride))
  }

  /// From left to right: whatever a position sees at any level has been read before it, and a
  /// segment's rows are used while they are in the cache.
  func run(
    _ o: View, _ lse: View, _ q: View, _ k: View, _ v: View, head: Int, first: Int,
    levels: HierarchicalLevels, scale: Float, fineQuery: Bool
  ) {
    let queries = q.rows(first..<first + levels.length).columns(
      head * shape.keyWidth..<(head + 1) * shape.keyWidth)
    let results = o.rows(first..<first + levels.length).columns(
      head * shape.valueWidth..<(head + 1) * shape.valueWidth)
    let logs = lse.base + head * lse.stride + first
    let size = levels.blockSize
    for start in Swift.stride(from: 0, to: levels.length, by: levels.segment) {
      let range = start..<min(levels.length, start + levels.segment)
      packRows(
        keys + start * shape.keyStride, stride: shape.keyStride,
        k.base + (first + start) * k.stride + head * shape.keyWidth, sourceStride: k.stride,
        rows: range.count, width: shape.keyWidth)
      packRows(
        values + start * shape.valueStride, stride: shape.valueStride,
        v.base + (first + start) * v.stride + head * shape.valueWidth, sourceStride: v.stride,
        rows: range.count, width: shape.valueWidth)
      levels.extendPyramid(keys, stride: shape.keyStride, by: range)
      levels.extendPyramid(values, stride: shape.valueStride, by: range)
      if !fineQuery {
        for level in (1..<levels.top + 1).reversed() {
          coarseLevel(level, queries, range, levels, scale)
        }
      }
      for block in start / size..<(range.upperBound + size - 1) / size {
        tokens(block, queries, results, logs, levels, scale, fineQuery: fineQuery)
      }
    }
  }

  /// The groups of one level above 0 that begin in `range`, each asking with its first token.
  private func coarseLevel(
    _ level: Int, _ q: View, _ range: Range<Int>, _ levels: HierarchicalLevels, _ scale: Float
  ) {
    let size = levels.blockSize
    let own = partials.advanced(by: levels.queryOffset(level), stride: shape.valueStride)
    let above = partials.advanced(by: levels.queryOffset(level + 1), stride: shape.valueStride)
    let offset = levels.offset(level)
    let round = (1 << level) - 1
    // Groups of the first block see nothing at this level.
    var query = max(size, (range.lowerBound + round) >> level)
    let end = (range.upperBound + round) >> level
    while query < end {
      let row = query % size
      let rows = min(16, min(size - row, end - query))
      let start = offset + query - row - size
      packTransposed(
        panel.queries, q.base + (query << level) * q.stride, sourceStride: q.stride << level,
        rows: rows, width: shape.keyWidth, scale: scale)
      begin(above, query: query, rows: rows, isEmpty: query < 2 * size)
      panel.attend(
        keys: keys + start * shape.keyStride, valueRows: values + start * shape.valueStride,
        count: size, bias: bias.rows(level: level, distance: size + row),
        mask: .half(rows: size / 2 - row, keys: size / 2), rows: rows)
      save(own, query: query, rows: rows)
      query += rows
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
        begin(partials, query: token, rows: rows, isEmpty: block < 2)
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
