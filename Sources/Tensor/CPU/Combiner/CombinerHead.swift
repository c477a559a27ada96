/// One head of one sequence: where its rows lie in the views of a pass.
struct CombinerHead {
  let shape: HeadShape
  let scale: Float
  let q: UnsafePointer<Float>  // [L, D]
  let k: UnsafePointer<Float>  // [L, D]
  let v: UnsafePointer<Float>  // [L, E]
  let o: UnsafeMutablePointer<Float>  // [L, E]
  let lse: UnsafeMutablePointer<Float>  // [L]
  let qStride: Int
  let kStride: Int
  let vStride: Int
  let oStride: Int

  init(_ views: CombinerViews, head: Int, first: Int) {
    shape = views.head
    scale = views.shape.scale
    let (q, k, v, o) = (views.q, views.k, views.v, views.o)
    self.q = UnsafePointer(q.base + first * q.stride + head * shape.keyWidth)
    self.k = UnsafePointer(k.base + first * k.stride + head * shape.keyWidth)
    self.v = UnsafePointer(v.base + first * v.stride + head * shape.valueWidth)
    self.o = o.base + first * o.stride + head * shape.valueWidth
    lse = views.lse(head: head, first: first)
    qStride = q.stride
    kStride = k.stride
    vStride = v.stride
    oStride = o.stride
  }

  /// Loads queries `position`, `position + step` and so on into a panel, times the scale.
  func loadQueries(_ panel: AttentionPanel, position: Int, step: Int, rows: Int) {
    packTransposed(
      panel.queries, q + position * qStride, sourceStride: step * qStride, rows: rows,
      width: shape.keyWidth, scale: scale)
  }

  /// Packs keys and values `position`, `position + step` and so on.
  func pack(
    keys: UnsafeMutablePointer<Float>, values: UnsafeMutablePointer<Float>, position: Int,
    step: Int, rows: Int
  ) {
    packRows(
      keys, stride: shape.keyStride, k + position * kStride, sourceStride: step * kStride,
      rows: rows, width: shape.keyWidth)
    packRows(
      values, stride: shape.valueStride, v + position * vStride, sourceStride: step * vStride,
      rows: rows, width: shape.valueWidth)
  }

  /// Packs queries, times the scale.
  func packQueries(
    _ queries: UnsafeMutablePointer<Float>, position: Int, step: Int, rows: Int
  ) {
    packRows(
      queries, stride: shape.keyStride, q + position * qStride, sourceStride: step * qStride,
      rows: rows, width: shape.keyWidth, scale: scale)
  }

  /// Writes the finished rows of a panel; `logs` holds 16 floats.
  func finish(
    _ panel: AttentionPanel, position: Int, step: Int, rows: Int, logs: UnsafeMutablePointer<Float>
  ) {
    panel.finish(
      o: o + position * oStride, stride: step * oStride, lse: logs, rows: rows)
    for row in 0..<rows { lse[position + row * step] = logs[row] }
  }
}
