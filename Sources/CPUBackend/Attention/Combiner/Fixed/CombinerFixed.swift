import Tensor

/// Fixed segments: a query meets its own segment causally and every earlier one as one key.
enum CombinerFixed: CombinerPass {
  /// Segments that a sequence reads as regions: complete, and with a successor.
  static func regions(length: Int, segment: Int) -> Int { max(0, length - 1) / segment }

  static func runForward(_ views: CombinerViews) {
    views.forEachHead(carving: {
      CombinerFixedForward(views.widths, longest: views.tasks.longest, views.shape, &$0)
    }) { pass, head in pass.run(head) }
  }

  static func runBackward(_ views: CombinerViews, _ gradients: CombinerViewGradients) {
    views.forEachHead(carving: {
      CombinerFixedBackward(views.widths, longest: views.tasks.longest, views.shape, &$0)
    }) { pass, head in pass.run(views, gradients, head) }
  }

  static func makeState(_ shape: CombinerShape, _ head: HeadShape) -> any CombinerPatternState {
    CombinerFixedState(shape, head)
  }
}

/// Forward pass over one sequence and head.
private struct CombinerFixedForward {
  let shape: CombinerShape
  let widths: HeadShape
  let panel: AttentionPanel
  let summary: CombinerSummary
  let keys: UnsafeMutablePointer<Float>  // [segment, padded D]
  let values: UnsafeMutablePointer<Float>  // [segment, padded E]
  let slotKeys: UnsafeMutablePointer<Float>  // [regions, padded D]
  let slotValues: UnsafeMutablePointer<Float>  // [regions, padded E]
  let queries: UnsafeMutablePointer<Float>  // [segment, padded D], times the scale
  let pooled: UnsafeMutablePointer<Float>  // [padded D]

  init(_ widths: HeadShape, longest: Int, _ shape: CombinerShape, _ scratch: inout Scratch) {
    // A sequence shorter than a segment has no region.
    let segment = min(shape.segment, longest)
    let regions = CombinerFixed.regions(length: longest, segment: shape.segment)
    self.shape = shape
    self.widths = widths
    panel = AttentionPanel(widths, &scratch)
    summary = CombinerSummary(widths, longest: segment, &scratch)
    keys = scratch.take(segment * widths.keyStride)
    values = scratch.take(segment * widths.valueStride)
    slotKeys = scratch.take(regions * widths.keyStride)
    slotValues = scratch.take(regions * widths.valueStride)
    queries = scratch.take(segment * widths.keyStride)
    pooled = scratch.take(widths.keyStride)
  }

  func run(_ head: CombinerHead) {
    let segment = shape.segment
    for start in stride(from: 0, to: head.length, by: segment) {
      let count = min(segment, head.length - start)
      head.pack(keys: keys, values: values, position: start, step: 1, rows: count)
      attend(head, start: start, count: count)
      if start + segment < head.length { summarise(head, start: start) }
    }
  }

  /// The rows of one segment: the summaries before it, then itself.
  private func attend(_ head: CombinerHead, start: Int, count: Int) {
    for row in stride(from: 0, to: count, by: 16) {
      let rows = min(16, count - row)
      let position = start + row
      head.packQueries(into: panel, position: position, step: 1, rows: rows)
      panel.reset()
      panel.attend(
        keys: slotKeys, valueRows: slotValues, count: start / shape.segment, bias: .none,
        mask: .none, rows: rows)
      panel.attend(
        keys: keys, valueRows: values, count: row + rows, bias: .none, mask: .causal(offset: row),
        rows: rows)
      head.finish(panel, position: position, step: 1, rows: rows)
    }
  }

  private func summarise(_ head: CombinerHead, start: Int) {
    let segment = shape.segment
    let region = start / segment
    let (keyStride, valueStride) = (widths.keyStride, widths.valueStride)
    head.packQueries(queries, position: start, step: 1, rows: segment)
    CombinerPooling.forward(
      pooled, queries, stride: keyStride, count: segment, width: keyStride, shape.pooling)
    CombinerPooling.forward(
      slotKeys + region * keyStride, keys, stride: keyStride, count: segment, width: keyStride,
      shape.pooling)
    summary.forward(
      slotValues + region * valueStride, query: pooled,
      CombinerSummary.Region(
        count: segment, keys: keys, keyStride: keyStride, values: values, valueStride: valueStride))
  }
}
