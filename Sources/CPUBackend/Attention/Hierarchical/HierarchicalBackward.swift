import Host
import Tensor

/// Inputs and gradients of one sequence and head.
struct HierarchicalGradientRows {
  let q: StridedRows  // [L, D]
  let k: StridedRows  // [L, D]
  let v: StridedRows  // [L, E]
  let dO: StridedRows  // [L, E]
  let o: StridedRows  // [L, E]
  let lse: UnsafePointer<Float>  // [L]
  let dq: StridedRows  // [L, D]
  let dk: StridedRows  // [L, D]
  let dv: StridedRows  // [L, E]
  let scale: Float

  /// What a segment will write, and what the segments to its left will read meanwhile.
  func enqueue(_ prefetcher: RowPrefetcher, _ range: Range<Int>, segment: Int) {
    for row in range {
      prefetcher.enqueue(dq, row)
      prefetcher.enqueue(dk, row)
      prefetcher.enqueue(dv, row)
      prefetcher.enqueue(q, row - segment)
      prefetcher.enqueue(dO, row - segment)
      prefetcher.enqueue(o, row - segment)
      prefetcher.enqueue(k, row - 2 * segment)
      prefetcher.enqueue(v, row - 2 * segment)
    }
  }
}

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
///
/// Segments are taken from right to left: every reader of a key, at any level, lies to its right, so
/// a segment's gradients are finished with the segment, and written once. What the lower levels
/// hold of two segments stays in L2; the levels above have few rows and are kept for
/// the whole sequence.
struct HierarchicalBackward {
  private let shape: HeadShape
  let bias: HierarchicalBias
  private let biasGradient: UnsafeMutablePointer<Float>
  private let fineQuery: Bool
  private let prefetcher: RowPrefetcher
  private let tile: AttentionBackwardTile
  private let slabs: (HierarchicalSlab, HierarchicalSlab)
  private let high: HierarchicalHighRows
  private let groups: HierarchicalGroups
  private let queries: UnsafeMutablePointer<Float>  // [segment, padded D], times the scale
  private let queryGradients: UnsafeMutablePointer<Float>  // [segment, padded D]
  private let blockQueries: UnsafeMutablePointer<Float>  // [blockSize, padded D], times the scale
  private let blockGradients: UnsafeMutablePointer<Float>  // [blockSize, padded D]

  /// Rows to prefetch for a segment where blocks of all high levels begin.
  private static func prefetchedRows(_ longest: HierarchicalLevels) -> Int {
    8 * longest.segment + 7 * longest.highLevels.count * longest.blockSize
  }

  init(
    _ shape: HeadShape, _ longest: HierarchicalLevels, _ bias: HierarchicalBias,
    _ biasGradient: UnsafeMutablePointer<Float>, fineQuery: Bool, _ scratch: inout Scratch
  ) {
    self.shape = shape
    self.bias = bias
    self.biasGradient = biasGradient
    self.fineQuery = fineQuery
    prefetcher = RowPrefetcher(
      width: max(shape.keyWidth, shape.valueWidth), capacity: Self.prefetchedRows(longest),
      &scratch)
    tile = AttentionBackwardTile(shape, prefetcher: prefetcher, &scratch)
    slabs = (
      HierarchicalSlab(shape, longest, &scratch), HierarchicalSlab(shape, longest, &scratch)
    )
    high = HierarchicalHighRows(shape, longest, &scratch)
    groups = HierarchicalGroups(shape, longest, fineQuery: fineQuery, &scratch)
    queries = scratch.take(longest.segment * shape.keyStride)
    queryGradients = scratch.take(longest.segment * shape.keyStride)
    blockQueries = scratch.take(longest.blockSize * shape.keyStride)
    blockGradients = scratch.take(longest.blockSize * shape.keyStride)
  }

  func run(_ rows: HierarchicalGradientRows, _ levels: HierarchicalLevels) {
    prefetcher.reset()
    high.build(rows.k, rows.v, levels, through: slabs.0)
    var (own, left) = slabs
    let last = (levels.length - 1) / levels.segment
    own.pack(rows.k, rows.v, levels, segment: last)
    own.clearGradients(levels, segment: last)
    for index in (0..<last + 1).reversed() {
      if index > 0 {
        left.pack(rows.k, rows.v, levels, segment: index - 1)
        left.clearGradients(levels, segment: index - 1)
      }
      segment(Segment(levels, index: index, own: own, left: left), rows)
      (own, left) = (left, own)
    }
  }

  /// One segment and the keys its rows meet.
  private struct Segment {
    let levels: HierarchicalLevels
    let range: Range<Int>
    let own: HierarchicalSlab
    let left: HierarchicalSlab

    init(_ levels: HierarchicalLevels, index: Int, own: HierarchicalSlab, left: HierarchicalSlab) {
      self.levels = levels
      range = levels.range(segment: index)
      self.own = own
      self.left = left
    }

    /// Key rows of one block of a low level.
    func keys(_ level: Int, from row: Int, count: Int) -> AttentionBackwardTile.Range {
      let local = row - (range.lowerBound >> level)
      return local >= 0
        ? own.range(levels, level, row: local, count: count)
        : left.range(levels, level, row: local + (levels.segment >> level), count: count)
    }
  }

  private func segment(_ segment: Segment, _ rows: HierarchicalGradientRows) {
    let (levels, range) = (segment.levels, segment.range)
    packRows(
      queries, stride: shape.keyStride, rows.q[range.lowerBound], sourceStride: rows.q.stride,
      rows: range.count, width: shape.keyWidth, scale: rows.scale)
    queryGradients.update(repeating: 0, count: range.count * shape.keyStride)
    groups.pack(rows, range)
    enqueuePrefetches(segment, rows)
    let size = levels.blockSize
    for block in range.lowerBound / size..<(range.upperBound + size - 1) / size {
      tokens(block, segment)
    }
    if !fineQuery {
      for level in levels.lowLevels { lowLevel(level, segment) }
    }
    unpackRows(
      rows.dq[range.lowerBound], stride: rows.dq.stride, queryGradients,
      sourceStride: shape.keyStride, rows: range.count, width: shape.keyWidth, scale: rows.scale)
    if !fineQuery {
      for level in levels.highLevels { highLevel(level, segment, rows) }
    }
    high.spreadGradients(levels, by: range)
    segment.own.spreadGradients(levels, range, from: high)
    segment.own.write(rows.dk, rows.dv, range)
  }

  /// Rows of a tile: more than one panel only where all panels of a block lie alike.
  private func tileRows(_ levels: HierarchicalLevels) -> Int {
    fineQuery && levels.blockSize % 16 != 0 ? 16 : AttentionTile.backwardRows
  }

  private func tokens(_ block: Int, _ segment: Segment) {
    let levels = segment.levels
    let size = levels.blockSize
    let start = block * size
    let local = start - segment.range.lowerBound
    let step = tileRows(levels)
    let end = min(size, levels.length - start)
    for row in stride(from: 0, to: end, by: step) {
      let count = min(step, end - row)
      let queries = tokenRows(from: local + row, count: count)
      tile.pack(queries)
      // Keys before the block that are in the segment's own slab.
      var before = min(size, start)
      if before > local {
        // The block before is in the other slab.
        tile.accumulate(
          queries, segment.keys(0, from: start - size, count: size),
          bias: bias.rows(level: 0, distance: size + row), mask: .causal(offset: size + row))
        before = 0
      }
      tile.accumulate(
        queries, segment.own.range(levels, 0, row: local - before, count: before + row + count),
        bias: bias.rows(level: 0, distance: before + row), mask: .causal(offset: before + row))
      if fineQuery { fineLevels(block, token: start + row, queries, segment) }
    }
  }

  /// Query rows of the segment, counted from its first.
  private func tokenRows(from row: Int, count: Int) -> AttentionBackwardTile.Rows {
    let query = row * shape.keyStride
    return groups.rows(
      groups.tokens + row, count: count, queries: queries + query, queryStride: shape.keyStride,
      queryGradients: queryGradients + query)
  }

  private func fineLevels(
    _ block: Int, token: Int, _ queries: AttentionBackwardTile.Rows, _ segment: Segment
  ) {
    let levels = segment.levels
    for level in 1..<HierarchicalLevels.topLevel(block: block) + 1 {
      let key = ((block >> level) - 1) * levels.blockSize
      let count = levels.visibleKeys(block: block, level: level)
      let range =
        level <= levels.lowTop
        ? segment.keys(level, from: key, count: count)
        : high.range(levels, level, row: key, count: count)
      tile.accumulate(
        queries, range, bias: bias.tokens(level: level, token: token, key: key), mask: .none)
      bias.leave(level: level, token: token, into: biasGradient)
    }
  }

  /// All groups of a level that lie in the segment.
  private func lowLevel(_ level: Int, _ segment: Segment) {
    let levels = segment.levels
    let size = levels.blockSize
    let first = segment.range.lowerBound >> level
    let end = first + groups.restrict(level, levels, segment.range)
    // Groups of the first block see nothing at this level.
    var query = max(size, first)
    while query < end {
      let row = query % size
      let count = min(AttentionTile.backwardRows, min(size - row, end - query))
      let local = (query - first) << level
      let queries = groups.rows(
        groups.low(level, levels) + query - first, count: count,
        queries: queries + local * shape.keyStride, queryStride: shape.keyStride << level,
        queryGradients: queryGradients + local * shape.keyStride)
      accumulate(
        level, row: row, queries, segment.keys(level, from: query - row - size, count: size), size)
      query += count
    }
  }

  /// What the segment's blocks of high levels touch, then what lies beside its tokens.
  private func enqueuePrefetches(_ segment: Segment, _ rows: HierarchicalGradientRows) {
    let levels = segment.levels
    let size = levels.blockSize
    let start = segment.range.lowerBound
    prefetcher.restart(rowsAtOnce: 1)
    if !fineQuery && start > 0 {
      for level in levels.highLevels where start % (size << level) == 0 {
        let query = start >> level
        high.enqueue(prefetcher, levels, level, rows: query - size..<query)
        for row in query..<min(query + size, levels.queryRows(level)) {
          prefetcher.enqueue(groups.gradient(groups.high(level, levels) + row))
          prefetcher.enqueue(rows.q, row << level)
          prefetcher.enqueue(rows.dq, row << level)
        }
      }
    }
    rows.enqueue(prefetcher, segment.range, segment: levels.segment)
  }

  /// Builds the groups of a level that begin in the segment; a block acts once its first is there.
  ///
  /// Its rows are tokens far apart, whose gradients are written already: it adds to them.
  private func highLevel(
    _ level: Int, _ segment: Segment, _ rows: HierarchicalGradientRows
  ) {
    let levels = segment.levels
    let size = levels.blockSize
    groups.restrictHigh(level, levels, segment.range)
    let start = segment.range.lowerBound
    if start == 0 || start % (size << level) != 0 { return }
    let block = start / (size << level)
    let end = min(size, levels.queryRows(level) - block * size)
    for row in stride(from: 0, to: end, by: AttentionTile.backwardRows) {
      let count = min(AttentionTile.backwardRows, end - row)
      let query = block * size + row
      packRows(
        blockQueries, stride: shape.keyStride, rows.q[query << level],
        sourceStride: rows.q.stride << level, rows: count, width: shape.keyWidth,
        scale: rows.scale)
      blockGradients.update(repeating: 0, count: count * shape.keyStride)
      let queries = groups.rows(
        groups.high(level, levels) + query, count: count, queries: blockQueries,
        queryStride: shape.keyStride, queryGradients: blockGradients)
      accumulate(
        level, row: row, queries,
        high.range(levels, level, row: (block - 1) * size, count: size), size)
      addUnpackedRows(
        rows.dq[query << level], stride: rows.dq.stride << level, blockGradients,
        sourceStride: shape.keyStride, rows: count, width: shape.keyWidth, scale: rows.scale)
    }
  }

  /// Rows from row `row` of a block on against the block to its left.
  private func accumulate(
    _ level: Int, row: Int, _ queries: AttentionBackwardTile.Rows,
    _ range: AttentionBackwardTile.Range, _ size: Int
  ) {
    tile.pack(queries)
    tile.accumulate(
      queries, range, bias: bias.rows(level: level, distance: size + row),
      mask: .half(rows: size / 2 - row, keys: size / 2))
  }
}
