/// Fixed segments: a query meets its own segment causally and every earlier one as one key.
enum CombinerFixed: CombinerPass {
  /// Segments that a sequence reads as regions: complete, and with a successor.
  static func regions(length: Int, segment: Int) -> Int { max(0, length - 1) / segment }

  static func runForward(_ views: CombinerViews) {
    let shape = views.shape
    let tasks = AttentionTasks(starts: views.starts, heads: shape.heads)
    let floats = CombinerFixedForward.floats(views.head, longest: tasks.longest, shape)
    parallelFor(tasks.count) { task in
      Scratch.with(count: floats) { scratch in
        let pass = CombinerFixedForward(views.head, longest: tasks.longest, shape, &scratch)
        for sequence in tasks.group(task) {
          let first = views.starts[sequence]
          let length = views.starts[sequence + 1] - first
          if length > 0 { pass.run(views, head: tasks.head(task), first: first, length: length) }
        }
      }
    }
  }

  static func runBackward(_ views: CombinerViews, _ gradients: CombinerViewGradients) {
    let shape = views.shape
    let tasks = AttentionTasks(starts: views.starts, heads: shape.heads)
    let floats = CombinerFixedBackward.floats(views.head, longest: tasks.longest, shape)
    parallelFor(tasks.count) { task in
      Scratch.with(count: floats) { scratch in
        let head = tasks.head(task)
        let pass = CombinerFixedBackward(views.head, longest: tasks.longest, shape, &scratch)
        for sequence in tasks.group(task) {
          let first = views.starts[sequence]
          let length = views.starts[sequence + 1] - first
          if length == 0 { continue }
          pass.rows.pack(
            views.q, views.k, views.v, gradients.dO, views.o, views.saved, head: head,
            first: first, range: 0..<length, scale: shape.scale)
          pass.run(length: length)
          pass.rows.write(
            gradients.dq, gradients.dk, gradients.dv, head: head, first: first, length: length,
            scale: shape.scale)
        }
      }
    }
  }

  static func makeState(_ shape: CombinerShape, _ head: HeadShape) -> any CombinerPatternState {
    CombinerFixedState(shape, head)
  }
}

/// Forward pass over one sequence and head.
private struct CombinerFixedForward {
  let shape: CombinerShape
  let head: HeadShape
  let panel: AttentionPanel
  let none: LaneBias
  let summary: CombinerSummary
  let keys: UnsafeMutablePointer<Float>  // [L, padded D]
  let values: UnsafeMutablePointer<Float>  // [L, padded E]
  let slotKeys: UnsafeMutablePointer<Float>  // [regions, padded D]
  let slotValues: UnsafeMutablePointer<Float>  // [regions, padded E]
  let queries: UnsafeMutablePointer<Float>  // [segment, padded D], times the scale
  let pooled: UnsafeMutablePointer<Float>  // [padded D]

  /// Positions of one region, or of all if there is none.
  private static func segment(_ shape: CombinerShape, longest: Int) -> Int {
    min(shape.segment, longest)
  }

  static func floats(_ head: HeadShape, longest: Int, _ shape: CombinerShape) -> Int {
    let segment = segment(shape, longest: longest)
    let rows = longest + CombinerFixed.regions(length: longest, segment: shape.segment)
    return rows * (head.keyStride + head.valueStride) + (segment + 1) * head.keyStride
      + AttentionPanel.floats(head) + CombinerSummary.floats(longest: segment) + 16
  }

  init(_ head: HeadShape, longest: Int, _ shape: CombinerShape, _ scratch: inout Scratch) {
    let segment = Self.segment(shape, longest: longest)
    let regions = CombinerFixed.regions(length: longest, segment: shape.segment)
    self.shape = shape
    self.head = head
    panel = AttentionPanel(head, &scratch)
    none = .none(&scratch)
    summary = CombinerSummary(head, longest: segment, &scratch)
    keys = scratch.take(longest * head.keyStride)
    values = scratch.take(longest * head.valueStride)
    slotKeys = scratch.take(regions * head.keyStride)
    slotValues = scratch.take(regions * head.valueStride)
    queries = scratch.take(segment * head.keyStride)
    pooled = scratch.take(head.keyStride)
  }

  func run(_ views: CombinerViews, head number: Int, first: Int, length: Int) {
    let keyColumn = number * head.keyWidth
    let valueColumn = number * head.valueWidth
    packRows(
      keys, stride: head.keyStride, views.k.base + first * views.k.stride + keyColumn,
      sourceStride: views.k.stride, rows: length, width: head.keyWidth)
    packRows(
      values, stride: head.valueStride, views.v.base + first * views.v.stride + valueColumn,
      sourceStride: views.v.stride, rows: length, width: head.valueWidth)
    let q = views.q.base + first * views.q.stride + keyColumn
    let o = views.o.base + first * views.o.stride + valueColumn
    let lse = views.lse(head: number, first: first)
    let segment = shape.segment
    var start = 0
    while start < length {
      let count = min(segment, length - start)
      attend(
        q + start * views.q.stride, strideQ: views.q.stride, o + start * views.o.stride,
        strideO: views.o.stride, lse + start, start: start, count: count)
      if start + segment < length {
        summarise(q + start * views.q.stride, stride: views.q.stride, region: start / segment)
      }
      start += segment
    }
  }

  /// The rows of one segment: the summaries before it, then itself.
  private func attend(
    _ q: UnsafePointer<Float>, strideQ: Int, _ o: UnsafeMutablePointer<Float>, strideO: Int,
    _ lse: UnsafeMutablePointer<Float>, start: Int, count: Int
  ) {
    var row = 0
    while row < count {
      let rows = min(16, count - row)
      packTransposed(
        panel.queries, q + row * strideQ, sourceStride: strideQ, rows: rows, width: head.keyWidth,
        scale: shape.scale)
      panel.reset()
      panel.attend(
        keys: slotKeys, valueRows: slotValues, count: start / shape.segment, bias: none,
        mask: .none, rows: rows)
      panel.attend(
        keys: keys + start * head.keyStride, valueRows: values + start * head.valueStride,
        count: row + rows, bias: none, mask: .causal(offset: row), rows: rows)
      panel.finish(o: o + row * strideO, stride: strideO, lse: lse + row, rows: rows)
      row += 16
    }
  }

  private func summarise(_ q: UnsafePointer<Float>, stride: Int, region: Int) {
    let segment = shape.segment
    let row = region * segment
    packRows(
      queries, stride: head.keyStride, q, sourceStride: stride, rows: segment,
      width: head.keyWidth, scale: shape.scale)
    CombinerPooling.forward(
      pooled, queries, stride: head.keyStride, count: segment, width: head.keyStride,
      shape.pooling)
    CombinerPooling.forward(
      slotKeys + region * head.keyStride, keys + row * head.keyStride, stride: head.keyStride,
      count: segment, width: head.keyStride, shape.pooling)
    summary.forward(
      slotValues + region * head.valueStride, query: pooled,
      CombinerSummary.Region(
        count: segment, keys: keys + row * head.keyStride, keyStride: head.keyStride,
        values: values + row * head.valueStride, valueStride: head.valueStride))
  }
}
