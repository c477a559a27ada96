import Host
import Tensor

/// Dyadic blocks: a query meets itself, and as one key each the blocks of its position's binary
/// expansion.
///
/// Block b of level l is positions b·2^l ..< (b+1)·2^l. Query i reads level l where bit l of i is
/// set, and there block (i >> l) - 1, always an even one. For the 16 queries of a panel that means
///
///     their own 16 keys           itself, and for odd queries the key before, a block of level 0
///     7 blocks inside the panel   levels 1, 2 and 3, behind the same mask in every panel
///     a few shared blocks         levels from 4 on, one for every set bit of i >> 4, seen by all
///
/// so a panel is one dense product with 23 keys and the shared ones.
enum CombinerLogSparse: CombinerPass {
  static func runForward(_ views: CombinerViews) {
    views.forEachHead(carving: {
      CombinerLogSparseForward(views.widths, longest: views.tasks.longest, &$0)
    }) { pass, head in pass.run(head, views.shape.pooling) }
  }

  static func runBackward(_ views: CombinerViews, _ gradients: CombinerViewGradients) {
    views.forEachHead(carving: {
      CombinerLogSparseBackward(views.widths, longest: views.tasks.longest, &$0)
    }) { pass, head in
      gradients.pack(pass.rows, views, head, range: 0..<head.length)
      pass.run(length: head.length, views.shape.pooling)
      gradients.write(pass.rows, head, range: 0..<head.length)
    }
  }

  static func makeState(_ shape: CombinerShape, _ head: HeadShape) -> any CombinerPatternState {
    CombinerLogSparseState(shape, head)
  }
}

/// Forward pass over one sequence and head.
private struct CombinerLogSparseForward {
  let widths: HeadShape
  let panel: AttentionPanel
  let summary: CombinerSummary
  let pyramid: DyadicPyramid
  let gathered: DyadicPanel
  let queries: UnsafeMutablePointer<Float>  // [L, padded D], times the scale
  let keys: UnsafeMutablePointer<Float>  // [L, padded D]
  let values: UnsafeMutablePointer<Float>  // [L, padded E]

  init(_ widths: HeadShape, longest: Int, _ scratch: inout Scratch) {
    self.widths = widths
    panel = AttentionPanel(widths, &scratch)
    summary = CombinerSummary(widths, longest: longest, &scratch)
    pyramid = DyadicPyramid(widths, longest: longest, &scratch)
    gathered = DyadicPanel(widths, &scratch)
    queries = scratch.take(longest * widths.keyStride)
    keys = scratch.take(longest * widths.keyStride)
    values = scratch.take(longest * widths.valueStride)
  }

  func run(_ head: CombinerHead, _ pooling: CombinerShape.Pooling) {
    let length = head.length
    head.packQueries(queries, position: 0, step: 1, rows: length)
    head.pack(keys: keys, values: values, position: 0, step: 1, rows: length)
    let blocks = DyadicBlocks(length: length)
    pyramid.build(blocks, queries: queries, keys: keys, values: values, pooling, summary)
    for index in 0..<(length + 15) / 16 {
      let row = 16 * index
      let rows = min(16, length - row)
      let count = gathered.gather(index, blocks, pyramid, keys: keys, values: values)
      packTransposed(
        panel.queries, queries + row * widths.keyStride, sourceStride: widths.keyStride,
        rows: rows, width: widths.keyWidth)
      panel.reset()
      panel.attend(
        keys: gathered.keys, valueRows: gathered.values, count: count, bias: .none,
        mask: gathered.mask, rows: rows)
      head.finish(panel, position: row, step: 1, rows: rows)
    }
  }
}

/// Backward pass of dyadic blocks over one sequence and head.
///
/// All queries first; then the levels from the top down, each block handing the gradient of its
/// value to its tokens and those of its pools to its two halves.
private struct CombinerLogSparseBackward {
  let rows: AttentionGradientRows
  private let widths: HeadShape
  private let tile: AttentionBackwardTile
  private let summary: CombinerSummary
  private let pyramid: DyadicPyramid
  private let gathered: DyadicPanel
  /// Gradients of the pyramid.
  private let gradients: DyadicPyramid
  /// Gradients of the gathered keys and values.
  private let keyGradients: UnsafeMutablePointer<Float>  // [most, padded D]
  private let valueGradients: UnsafeMutablePointer<Float>  // [most, padded E]

  init(_ widths: HeadShape, longest: Int, _ scratch: inout Scratch) {
    self.widths = widths
    rows = AttentionGradientRows(widths, longest: longest, &scratch)
    tile = AttentionBackwardTile(widths, &scratch)
    summary = CombinerSummary(widths, longest: longest, &scratch)
    pyramid = DyadicPyramid(widths, longest: longest, &scratch)
    gradients = DyadicPyramid(widths, longest: longest, &scratch)
    gathered = DyadicPanel(widths, &scratch)
    keyGradients = scratch.take(DyadicPanel.most * widths.keyStride)
    valueGradients = scratch.take(DyadicPanel.most * widths.valueStride)
  }

  /// Computes the gradients of `rows`, which are packed, their gradients cleared.
  func run(length: Int, _ pooling: CombinerShape.Pooling) {
    let blocks = DyadicBlocks(length: length)
    pyramid.build(
      blocks, queries: rows.queries, keys: rows.keys, values: rows.values, pooling, summary)
    gradients.queries.update(repeating: 0, count: blocks.rows * widths.keyStride)
    gradients.keys.update(repeating: 0, count: blocks.rows * widths.keyStride)
    gradients.values.update(repeating: 0, count: blocks.rows * widths.valueStride)
    for panel in 0..<(length + 15) / 16 { attend(panel, blocks) }
    blocks.inPieces(reversed: true) { spread($0, $1, blocks, pooling) }
  }

  private func attend(_ panel: Int, _ blocks: DyadicBlocks) {
    let count = gathered.gather(panel, blocks, pyramid, keys: rows.keys, values: rows.values)
    keyGradients.update(repeating: 0, count: count * widths.keyStride)
    valueGradients.update(repeating: 0, count: count * widths.valueStride)
    let queries = rows.rows(from: 16 * panel, count: min(16, blocks.length - 16 * panel))
    tile.pack(queries)
    tile.accumulate(
      queries,
      AttentionBackwardTile.Range(
        count: count, keys: gathered.keys, values: gathered.values, keyGradients: keyGradients,
        valueGradients: valueGradients), bias: .none, mask: gathered.mask)
    let (keyStride, valueStride) = (widths.keyStride, widths.valueStride)
    addPacked(
      rows.keyGradients + 16 * panel * keyStride, keyGradients, count: queries.count * keyStride)
    addPacked(
      rows.valueGradients + 16 * panel * valueStride, valueGradients,
      count: queries.count * valueStride)
    var row = 16
    func give(_ block: Int?) {
      if let block {
        addPacked(
          gradients.keys + block * keyStride, keyGradients + row * keyStride, count: keyStride)
        addPacked(
          gradients.values + block * valueStride, valueGradients + row * valueStride,
          count: valueStride)
      }
      row += 1
    }
    blocks.inside(panel: panel) { give($0) }
    blocks.shared(panel: panel) { give($0) }
  }

  private func spread(
    _ level: Int, _ range: Range<Int>, _ blocks: DyadicBlocks, _ pooling: CombinerShape.Pooling
  ) {
    let (stride, valueStride) = (widths.keyStride, widths.valueStride)
    let offset = blocks.offset(level)
    // Children: blocks of the level below, or the tokens themselves.
    let below = level > 1 ? blocks.offset(level - 1) * stride : 0
    let childQueries = level > 1 ? pyramid.queries + below : rows.queries
    let childKeys = level > 1 ? pyramid.keys + below : rows.keys
    let dChildQueries = level > 1 ? gradients.queries + below : rows.queryGradients
    let dChildKeys = level > 1 ? gradients.keys + below : rows.keyGradients
    for block in range {
      let row = offset + block
      if blocks.isRead(level, block) {
        let token = block << level
        summary.backward(
          dQuery: gradients.queries + row * stride, rows.regionGradients(from: token),
          dVbar: gradients.values + row * valueStride, vbar: pyramid.values + row * valueStride,
          query: pyramid.queries + row * stride, rows.region(from: token, count: 1 << level))
      }
      let left = 2 * block * stride
      let right = left + stride
      CombinerPooling.joinBackward(
        dChildQueries + left, dChildQueries + right, gradients.queries + row * stride,
        childQueries + left, childQueries + right, width: stride, pooling)
      CombinerPooling.joinBackward(
        dChildKeys + left, dChildKeys + right, gradients.keys + row * stride, childKeys + left,
        childKeys + right, width: stride, pooling)
    }
  }
}
