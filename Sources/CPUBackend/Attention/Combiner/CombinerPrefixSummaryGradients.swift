import Tensor

/// Backward pass of `CombinerPrefixSummaries`.
struct CombinerPrefixSummaryGradients {
  let summaries: CombinerPrefixSummaries
  private let tile: AttentionBackwardTile
  private let dPooled: UnsafeMutablePointer<Float>  // [longest, padded D]
  private let dValues: UnsafeMutablePointer<Float>  // [longest, padded E]
  private let dots: UnsafeMutablePointer<Float>  // [longest]

  init(_ summaries: CombinerPrefixSummaries, longest: Int, _ scratch: inout Scratch) {
    self.summaries = summaries
    let shape = summaries.shape
    tile = AttentionBackwardTile(shape, &scratch)
    dPooled = scratch.take(longest * shape.keyStride)
    dValues = scratch.take(longest * shape.valueStride)
    dots = scratch.take(longest)
  }

  /// Adds to the gradients of a line.
  ///
  /// - Parameters:
  ///   - results: What the forward pass wrote, lse included.
  ///   - dResults: Their gradients, at the same steps; its lse is not read.
  ///   - lateTies: Whether the line runs against the positions.
  func backward(
    _ gradients: CombinerLine, _ line: CombinerLine,
    _ results: CombinerPrefixSummaries.Destination,
    _ dResults: CombinerPrefixSummaries.Destination, count: Int, lateTies: Bool
  ) {
    guard count > 0, let lse = results.lse else { return }
    let shape = summaries.shape
    for prefix in 0..<count {
      let gradient = dResults.values + prefix * dResults.valueStep
      copyPacked(dValues + prefix * shape.valueStride, gradient, count: shape.valueStride)
      dots[prefix] = rowDot(
        gradient, results.values + prefix * results.valueStep, count: shape.valueStride)
    }
    let pooled = summaries.poolQueries(line, count: count)
    attention(gradients, line, pooled: pooled, lse: lse, count: count)
    let width = shape.keyStride
    CombinerPrefixPooling.backward(
      .init(base: gradients.queries, stride: width), .init(base: dPooled, stride: width),
      .init(base: line.queries, stride: width), .init(base: pooled, stride: width),
      count: count, width: width, summaries.pooling, lateTies: lateTies)
    CombinerPrefixPooling.backward(
      .init(base: gradients.keys, stride: width),
      .init(base: dResults.keys, stride: dResults.keyStep),
      .init(base: line.keys, stride: width),
      .init(base: results.keys, stride: results.keyStep), count: count, width: width,
      summaries.pooling, lateTies: lateTies)
  }

  private func attention(
    _ gradients: CombinerLine, _ line: CombinerLine, pooled: UnsafePointer<Float>,
    lse: UnsafePointer<Float>, count: Int
  ) {
    let shape = summaries.shape
    dPooled.update(repeating: 0, count: count * shape.keyStride)
    var prefix = 0
    while prefix < count {
      let rows = AttentionBackwardTile.Rows(
        count: min(AttentionTile.backwardRows, count - prefix),
        queries: pooled + prefix * shape.keyStride, queryStride: shape.keyStride,
        gradients: dValues + prefix * shape.valueStride, gradientStride: shape.valueStride,
        lse: lse + prefix, dots: dots + prefix,
        queryGradients: dPooled + prefix * shape.keyStride)
      tile.load(rows)
      tile.accumulate(
        rows, line.range(gradients, count: prefix + rows.count), bias: .none,
        mask: .causal(offset: prefix))
      prefix += rows.count
    }
  }
}
