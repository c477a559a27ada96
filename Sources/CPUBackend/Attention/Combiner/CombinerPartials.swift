import Tensor

/// Running softmax of every position between two sweeps, column by column.
struct CombinerPartials {
  let stride: Int
  private let maximum: UnsafeMutablePointer<Float>  // [columns, rows]
  private let sum: UnsafeMutablePointer<Float>  // [columns, rows]
  private let values: UnsafeMutablePointer<Float>  // [columns, rows, padded E]

  init(_ shape: HeadShape, _ longest: CombinerGrid, _ scratch: inout Scratch) {
    let places = longest.rows * longest.width
    stride = shape.valueStride
    maximum = scratch.take(places)
    sum = scratch.take(places)
    values = scratch.take(places * shape.valueStride)
  }

  /// Keeps the first `rows` rows of a panel at `place`, `place + step` and so on.
  func save(_ panel: AttentionPanel, place: Int, step: Int, rows: Int) {
    for row in 0..<rows {
      let to = place + row * step
      maximum[to] = panel.maximum[row]
      sum[to] = panel.sum[row]
      copyPacked(values + to * stride, panel.values + row * stride, count: stride)
    }
  }

  /// Starts a panel from where it was left; the lanes beyond `rows` from nothing.
  func restore(_ panel: AttentionPanel, place: Int, step: Int, rows: Int) {
    storePair(.zero, .zero, panel.maximum)
    storePair(.zero, .zero, panel.sum)
    for row in 0..<rows {
      let from = place + row * step
      panel.maximum[row] = maximum[from]
      panel.sum[row] = sum[from]
      copyPacked(panel.values + row * stride, values + from * stride, count: stride)
    }
  }
}
