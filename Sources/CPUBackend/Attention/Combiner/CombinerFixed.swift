import Deterministic
import Tensor

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
          if length > 0 { pass.run(views, gradients, head: head, first: first, length: length) }
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
  let keys: UnsafeMutablePointer<Float>  // [segment, padded D]
  let values: UnsafeMutablePointer<Float>  // [segment, padded E]
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
    let rows = segment + CombinerFixed.regions(length: longest, segment: shape.segment)
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
    keys = scratch.take(segment * head.keyStride)
    values = scratch.take(segment * head.valueStride)
    slotKeys = scratch.take(regions * head.keyStride)
    slotValues = scratch.take(regions * head.valueStride)
    queries = scratch.take(segment * head.keyStride)
    pooled = scratch.take(head.keyStride)
  }

  func run(_ views: CombinerViews, head number: Int, first: Int, length: Int) {
    let place = HeadRows(first: first, head: number)
    let (q, k) = (place.keys(views.q, head), place.keys(views.k, head))
    let (v, o) = (place.values(views.v, head), place.values(views.o, head))
    let lse = views.lse(head: number, first: first)
    let segment = shape.segment
    for start in stride(from: 0, to: length, by: segment) {
      let count = min(segment, length - start)
      packRows(
        keys, stride: head.keyStride, k[start], sourceStride: k.stride, rows: count,
        width: head.keyWidth)
      packRows(
        values, stride: head.valueStride, v[start], sourceStride: v.stride, rows: count,
        width: head.valueWidth)
      attend(
        q[start], strideQ: q.stride, o[start], strideO: o.stride, lse + start,
        region: start / segment, count: count)
      if start + segment < length {
        summarise(q[start], stride: q.stride, region: start / segment)
      }
    }
  }

  /// The rows of one segment: the summaries before it, then itself.
  private func attend(
    _ q: UnsafePointer<Float>, strideQ: Int, _ o: UnsafeMutablePointer<Float>, strideO: Int,
    _ lse: UnsafeMutablePointer<Float>, region: Int, count: Int
  ) {
    var row = 0
    while row < count {
      let rows = min(16, count - row)
      packTransposed(
        panel.queries, q + row * strideQ, sourceStride: strideQ, rows: rows, width: head.keyWidth,
        scale: shape.scale)
      panel.reset()
      panel.attend(
        keys: slotKeys, valueRows: slotValues, count: region, bias: none, mask: .none, rows: rows)
      panel.attend(
        keys: keys, valueRows: values, count: row + rows, bias: none, mask: .causal(offset: row),
        rows: rows)
      panel.finish(o: o + row * strideO, stride: strideO, lse: lse + row, rows: rows)
      row += 16
    }
  }

  private func summarise(_ q: UnsafePointer<Float>, stride: Int, region: Int) {
    let segment = shape.segment
    packRows(
      queries, stride: head.keyStride, q, sourceStride: stride, rows: segment,
      width: head.keyWidth, scale: shape.scale)
    CombinerPooling.forward(
      pooled, queries, stride: head.keyStride, count: segment, width: head.keyStride,
      shape.pooling)
    CombinerPooling.forward(
      slotKeys + region * head.keyStride, keys, stride: head.keyStride, count: segment,
      width: head.keyStride, shape.pooling)
    summary.forward(
      slotValues + region * head.valueStride, query: pooled,
      CombinerSummary.Region(
        count: segment, keys: keys, keyStride: head.keyStride, values: values,
        valueStride: head.valueStride))
  }
}
