import Tensor

/// Up to 64 queries of one column in the backward pass, gathered.
///
/// The rows of a column lie a whole row apart, a stride that would crowd them into few sets of the
/// cache, and every one is read once for each of its keys.
struct CombinerColumnTile {
  let shape: HeadShape
  private let queries: UnsafeMutablePointer<Float>  // [64, padded D]
  private let queryGradients: UnsafeMutablePointer<Float>  // [64, padded D]
  private let gradients: UnsafeMutablePointer<Float>  // [64, padded E]
  private let lse: UnsafeMutablePointer<Float>  // [64]
  private let dots: UnsafeMutablePointer<Float>  // [64]

  init(_ shape: HeadShape, _ scratch: inout Scratch) {
    self.shape = shape
    let rows = AttentionTile.backwardRows
    queries = scratch.take(rows * shape.keyStride)
    queryGradients = scratch.take(rows * shape.keyStride)
    gradients = scratch.take(rows * shape.valueStride)
    lse = scratch.take(rows)
    dots = scratch.take(rows)
  }

  /// Gathers the positions `position`, `position + step` and so on, with gradients zero.
  func gather(
    _ all: AttentionGradients, position: Int, step: Int, count: Int
  ) -> AttentionBackwardTile.Rows {
    for row in 0..<count {
      let from = position + row * step
      copyPacked(
        queries + row * shape.keyStride, all.queries + from * shape.keyStride,
        count: shape.keyStride)
      copyPacked(
        gradients + row * shape.valueStride, all.gradients + from * shape.valueStride,
        count: shape.valueStride)
      lse[row] = all.lse[from]
      dots[row] = all.dots[from]
    }
    queryGradients.update(repeating: 0, count: count * shape.keyStride)
    return AttentionBackwardTile.Rows(
      count: count, queries: queries, queryStride: shape.keyStride, gradients: gradients,
      gradientStride: shape.valueStride, lse: lse, dots: dots, queryGradients: queryGradients)
  }

  /// Adds the gathered queries' gradients to where they came from.
  func scatter(_ all: AttentionGradients, position: Int, step: Int, count: Int) {
    for row in 0..<count {
      addPacked(
        all.queryGradients + (position + row * step) * shape.keyStride,
        queryGradients + row * shape.keyStride, count: shape.keyStride)
    }
  }
}
