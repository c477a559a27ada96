import Host
import Tensor

/// One head of one sequence: where its rows lie in the views of a pass.
struct CombinerHead {
  let number: Int
  let sequence: Int
  /// First position of the sequence in the batch.
  let first: Int
  let length: Int
  let shape: HeadShape
  let scale: Float
  let q: StridedRows  // [L, D]
  let k: StridedRows  // [L, D]
  let v: StridedRows  // [L, E]
  let o: StridedRows  // [L, E]
  let lse: UnsafeMutablePointer<Float>  // [L]

  init(_ views: CombinerViews, head: Int, sequence: Int) {
    number = head
    self.sequence = sequence
    first = views.starts[sequence]
    length = views.starts[sequence + 1] - first
    shape = views.widths
    scale = views.shape.scale
    let place = HeadView(first: first, head: head)
    q = place.keys(views.q, shape)
    k = place.keys(views.k, shape)
    v = place.values(views.v, shape)
    o = place.values(views.o, shape)
    lse = views.saved.base + head * views.saved.stride + first
  }

  /// Packs queries `position`, `position + step` and so on into a panel, times the scale.
  func packQueries(into panel: AttentionPanel, position: Int, step: Int, rows: Int) {
    packTransposed(
      panel.queries, q[position], sourceStride: step * q.stride, rows: rows,
      width: shape.keyWidth, scale: scale)
  }

  /// Packs keys and values `position`, `position + step` and so on.
  func pack(
    keys: UnsafeMutablePointer<Float>, values: UnsafeMutablePointer<Float>, position: Int,
    step: Int, rows: Int
  ) {
    packRows(
      keys, stride: shape.keyStride, k[position], sourceStride: step * k.stride,
      rows: rows, width: shape.keyWidth)
    packRows(
      values, stride: shape.valueStride, v[position], sourceStride: step * v.stride,
      rows: rows, width: shape.valueWidth)
  }

  /// Packs queries, times the scale.
  func packQueries(
    _ queries: UnsafeMutablePointer<Float>, position: Int, step: Int, rows: Int
  ) {
    packRows(
      queries, stride: shape.keyStride, q[position], sourceStride: step * q.stride,
      rows: rows, width: shape.keyWidth, scale: scale)
  }

  /// Writes the finished rows of a panel.
  func finish(_ panel: AttentionPanel, position: Int, step: Int, rows: Int) {
    panel.finish(
      o: o[position], stride: step * o.stride, lse: lse + position, lseStride: step, rows: rows)
  }
}
