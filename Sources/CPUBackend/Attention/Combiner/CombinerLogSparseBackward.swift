import Tensor

/// Backward pass of dyadic blocks over one sequence and head.
///
/// All queries first; then the levels from the top down, each block handing the gradient of its
/// value to its tokens and those of its pools to its two halves.
struct CombinerLogSparseBackward {
  let rows: AttentionGradients
  private let head: HeadShape
  private let tile: AttentionBackwardTile
  private let summary: CombinerSummary
  private let pyramid: DyadicPyramid
  private let gathered: DyadicPanel
  /// Gradients of the pyramid.
  private let gradients: DyadicPyramid
  /// Gradients of the gathered keys and values.
  private let keyGradients: UnsafeMutablePointer<Float>  // [most, padded D]
  private let valueGradients: UnsafeMutablePointer<Float>  // [most, padded E]

  init(_ head: HeadShape, longest: Int, _ scratch: inout Scratch) {
    self.head = head
    rows = AttentionGradients(head, longest: longest, &scratch)
    tile = AttentionBackwardTile(head, &scratch)
    summary = CombinerSummary(head, longest: longest, &scratch)
    pyramid = DyadicPyramid(head, longest: longest, &scratch)
    gradients = DyadicPyramid(head, longest: longest, &scratch)
    gathered = DyadicPanel(head, &scratch)
    keyGradients = scratch.take(DyadicPanel.most * head.keyStride)
    valueGradients = scratch.take(DyadicPanel.most * head.valueStride)
  }

  /// Takes packed rows and cleared gradients to finished gradients.
  func run(length: Int, _ pooling: CombinerShape.Pooling) {
    let blocks = DyadicBlocks(length: length)
    pyramid.build(
      blocks, queries: rows.queries, keys: rows.keys, values: rows.values, pooling, summary)
    gradients.queries.update(repeating: 0, count: blocks.rows * head.keyStride)
    gradients.keys.update(repeating: 0, count: blocks.rows * head.keyStride)
    gradients.values.update(repeating: 0, count: blocks.rows * head.valueStride)
    for panel in 0..<(length + 15) / 16 { attend(panel, blocks) }
    blocks.inPieces(reversed: true) { spread($0, $1, blocks, pooling) }
  }

  private func attend(_ panel: Int, _ blocks: DyadicBlocks) {
    let count = gathered.gather(panel, blocks, pyramid, keys: rows.keys, values: rows.values)
    keyGradients.update(repeating: 0, count: count * head.keyStride)
    valueGradients.update(repeating: 0, count: count * head.valueStride)
    let queries = rows.rows(from: 16 * panel, count: min(16, blocks.length - 16 * panel))
    tile.load(queries)
    tile.accumulate(
      queries,
      AttentionBackwardTile.Range(
        count: count, keys: gathered.keys, values: gathered.values, keyGradients: keyGradients,
        valueGradients: valueGradients), bias: .none, mask: gathered.mask)
    let (keyStride, valueStride) = (head.keyStride, head.valueStride)
    addFloats(
      rows.keyGradients + 16 * panel * keyStride, keyGradients, count: queries.count * keyStride)
    addFloats(
      rows.valueGradients + 16 * panel * valueStride, valueGradients,
      count: queries.count * valueStride)
    var row = 16
    func give(_ block: Int?) {
      if let block {
        addFloats(
          gradients.keys + block * keyStride, keyGradients + row * keyStride, count: keyStride)
        addFloats(
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
    let (stride, valueStride) = (head.keyStride, head.valueStride)
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

/// `y += x`; the count is a multiple of 16.
private func addFloats(
  _ y: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, count: Int
) {
  var index = 0
  while index < count {
    let (x0, x1) = loadPair(x + index)
    let (y0, y1) = loadPair(y + index)
    storePair(y0 + x0, y1 + x1, y + index)
    index += 16
  }
}
