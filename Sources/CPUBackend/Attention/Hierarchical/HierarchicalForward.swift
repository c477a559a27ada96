import Tensor

/// Forward pass of hierarchical attention over one sequence and head.
///
/// Blocks are taken from left to right. A block sees one block to its left at every level, so two
/// blocks of each are all that is kept: every input is read once, and whatever is read again is
/// in L2, however long the sequence.
struct HierarchicalForward {
  let shape: HeadShape
  let bias: HierarchicalBias
  private let prefetcher: RowPrefetcher
  private let panel: AttentionPanel
  private let past: HierarchicalPast
  private let partials: Partials

  /// Running softmax of the query rows of one block of every level above 0.
  private struct Partials {
    let maximum: UnsafeMutablePointer<Float>  // [levels, blockSize]
    let sum: UnsafeMutablePointer<Float>  // [levels, blockSize]
    let values: UnsafeMutablePointer<Float>  // [levels, blockSize, padded E]
  }

  /// Rows to prefetch for a block: of every level above the first a whole one at the most.
  private static func prefetchedRows(_ longest: HierarchicalLevels) -> Int {
    5 * longest.blockSize + longest.top
  }

  init(
    _ shape: HeadShape, _ longest: HierarchicalLevels, _ bias: HierarchicalBias,
    _ scratch: inout Scratch
  ) {
    self.shape = shape
    self.bias = bias
    prefetcher = RowPrefetcher(
      width: max(shape.keyWidth, shape.valueWidth), capacity: Self.prefetchedRows(longest),
      &scratch)
    panel = AttentionPanel(shape, prefetcher: prefetcher, &scratch)
    past = HierarchicalPast(shape, longest, &scratch)
    let rows = longest.top * longest.blockSize
    partials = Partials(
      maximum: scratch.take(rows), sum: scratch.take(rows),
      values: scratch.take(rows * shape.valueStride))
  }

  func run(
    o: StridedRows, lse: UnsafeMutablePointer<Float>, q: StridedRows, k: StridedRows,
    v: StridedRows, _ levels: HierarchicalLevels, scale: Float, fineQuery: Bool
  ) {
    let size = levels.blockSize
    prefetcher.reset()
    for block in 0..<levels.blocks {
      let range = block * size..<min(levels.length, (block + 1) * size)
      enqueuePrefetches(block, o, q, k, v, levels, fineQuery: fineQuery)
      past.pack(k, v, block: block, range)
      if !fineQuery && block > 0 {
        for level in (1..<min(levels.top, block.trailingZeroBitCount) + 1).reversed() {
          coarseLevel(level, block >> level, q, levels, scale)
        }
      }
      tokens(block, q, o, lse, levels, scale, fineQuery: fineQuery)
      past.extend(levels, block: block, range)
    }
  }

  /// The rows of the block after the next, and the queries of later blocks of the levels above,
  /// which lie far to the right: one row of theirs to every 2^level tokens.
  private func enqueuePrefetches(
    _ block: Int, _ o: StridedRows, _ q: StridedRows, _ k: StridedRows, _ v: StridedRows,
    _ levels: HierarchicalLevels, fineQuery: Bool
  ) {
    let size = levels.blockSize
    prefetcher.restart(rowsAtOnce: 2)
    for row in min(levels.length, (block + 2) * size)..<min(levels.length, (block + 3) * size) {
      prefetcher.enqueue(q, row)
      prefetcher.enqueue(k, row)
      prefetcher.enqueue(v, row)
      prefetcher.enqueue(o, row)
    }
    if fineQuery { return }
    // The block after the next of tokens holds those of level 1.
    for level in stride(from: 2, through: levels.top, by: 1) {
      let next = ((block >> level) + 1) * size
      let part = size * (block & ((1 << level) - 1))
      let end = min(levels.queryRows(level), next + ((part + size) >> level))
      for row in stride(from: next + (part >> level), to: end, by: 1) {
        prefetcher.enqueue(q, row << level)
      }
    }
  }

  /// One block of a level above 0 at its first token, each group asking with its own first token.
  private func coarseLevel(
    _ level: Int, _ block: Int, _ q: StridedRows, _ levels: HierarchicalLevels, _ scale: Float
  ) {
    let size = levels.blockSize
    let left = past.start(level, block: block - 1)
    let end = min(size, levels.queryRows(level) - block * size)
    for row in stride(from: 0, to: end, by: 16) {
      let query = block * size + row
      let rows = min(16, end - row)
      packTransposed(
        panel.queries, q[query << level], sourceStride: q.stride << level, rows: rows,
        width: shape.keyWidth, scale: scale)
      begin(level: level + 1, query: query, rows: rows, size: size, isEmpty: block < 2)
      panel.attend(
        keys: past.keys(left), valueRows: past.values(left), count: size,
        bias: bias.rows(level: level, distance: size + row),
        mask: .half(rows: size / 2 - row, keys: size / 2), rows: rows)
      save(level: level, row: row, rows: rows, size: size)
    }
  }

  /// The tokens of one block: the levels above, then their own block and the one before.
  private func tokens(
    _ block: Int, _ q: StridedRows, _ o: StridedRows, _ lse: UnsafeMutablePointer<Float>,
    _ levels: HierarchicalLevels, _ scale: Float, fineQuery: Bool
  ) {
    let size = levels.blockSize
    let first = max(0, (block - 1) * size)
    let start = past.ownStart(block: block) - (block * size - first)
    var row = 0
    while row < size && block * size + row < levels.length {
      let token = block * size + row
      let rows = min(16, min(size - row, levels.length - token))
      packTransposed(
        panel.queries, q[token], sourceStride: q.stride, rows: rows, width: shape.keyWidth,
        scale: scale)
      if fineQuery {
        panel.reset()
        fineLevels(block, token: token, rows: rows, levels)
      } else {
        begin(level: 1, query: token, rows: rows, size: size, isEmpty: block < 2)
      }
      panel.attend(
        keys: past.keys(start), valueRows: past.values(start), count: token + rows - first,
        bias: bias.rows(level: 0, distance: token - first),
        mask: .causal(offset: token - first), rows: rows)
      panel.finish(o: o[token], stride: o.stride, lse: lse + token, rows: rows)
      row += 16
    }
  }

  /// All levels above 0 for up to 16 tokens of one block, each asking for itself.
  private func fineLevels(_ block: Int, token: Int, rows: Int, _ levels: HierarchicalLevels) {
    for level in (1..<HierarchicalLevels.topLevel(block: block) + 1).reversed() {
      let left = (block >> level) - 1
      let start = past.start(level, block: left)
      panel.attend(
        keys: past.keys(start), valueRows: past.values(start),
        count: levels.visibleKeys(block: block, level: level),
        bias: bias.tokens(level: level, token: token, key: left * levels.blockSize), mask: .none,
        rows: rows)
    }
  }

  /// Starts the panel from the partial sums of the rows' parents at `level`.
  private func begin(level: Int, query: Int, rows: Int, size: Int, isEmpty: Bool) {
    panel.reset()
    if isEmpty { return }
    let first = (level - 1) * size
    for row in 0..<rows {
      let parent = first + (query + row) / 2 % size
      panel.maximum[row] = partials.maximum[parent]
      panel.sum[row] = partials.sum[parent]
      (panel.values + row * shape.valueStride).update(
        from: partials.values + parent * shape.valueStride, count: shape.valueStride)
    }
  }

  private func save(level: Int, row: Int, rows: Int, size: Int) {
    let own = (level - 1) * size + row
    (partials.maximum + own).update(from: panel.maximum, count: rows)
    (partials.sum + own).update(from: panel.sum, count: rows)
    (partials.values + own * shape.valueStride).update(
      from: panel.values, count: rows * shape.valueStride)
  }
}
