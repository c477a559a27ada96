import Tensor

/// Summaries of every prefix of a line of positions: a column from the top, a row from either end.
///
///     qbar_j, kbar_j = pools of q_0...q_j, k_0...k_j        vbar_j = Σ_{i <= j} p_ji v_i
///     p_ji = softmax_{i <= j}(<qbar_j, k_i>)
///
/// This is causal attention of the line to itself with pooled queries, 16 prefixes at a time.
/// Queries carry the scale and are pooled with it.
struct CombinerPrefixSummaries {
  let shape: HeadShape
  let pooling: CombinerShape.Pooling
  private let panel: AttentionPanel
  private let pooled: UnsafeMutablePointer<Float>  // [longest, padded D]

  init(
    _ shape: HeadShape, _ pooling: CombinerShape.Pooling, longest: Int, _ scratch: inout Scratch
  ) {
    self.shape = shape
    self.pooling = pooling
    panel = AttentionPanel(shape, &scratch)
    pooled = scratch.take(longest * shape.keyStride)
  }

  /// Where the summaries of a line go, steps in floats from one prefix to the next.
  struct Destination {
    let keys: UnsafeMutablePointer<Float>
    let keyStep: Int
    let values: UnsafeMutablePointer<Float>
    let valueStep: Int
    /// Log-sum-exp of every prefix, one after another, or nil.
    var lse: UnsafeMutablePointer<Float>?
  }

  /// Summarises the first `count` prefixes.
  func forward(_ destination: Destination, _ line: CombinerLine, count: Int) {
    if count == 0 { return }
    let width = shape.keyStride
    CombinerPrefixPooling.forward(
      .init(base: destination.keys, stride: destination.keyStep),
      .init(base: line.keys, stride: width), count: count, width: width, pooling)
    poolQueries(line, count: count)
    var prefix = 0
    while prefix < count {
      let rows = min(16, count - prefix)
      packTransposed(
        panel.queries, pooled + prefix * width, sourceStride: width, rows: rows,
        width: shape.keyWidth)
      panel.reset()
      panel.attend(
        keys: line.keys, valueRows: line.values, count: prefix + rows, bias: .none,
        mask: .causal(offset: prefix), rows: rows)
      for row in 0..<rows {
        writeSummary(
          destination.values + (prefix + row) * destination.valueStep,
          panel.values + row * shape.valueStride, divisor: panel.sum[row],
          count: shape.valueStride)
        if let lse = destination.lse { lse[prefix + row] = panel.logSumExp(row) }
      }
      prefix += rows
    }
  }

  /// Pooled queries of the first `count` prefixes.
  @discardableResult
  func poolQueries(_ line: CombinerLine, count: Int) -> UnsafeMutablePointer<Float> {
    let width = shape.keyStride
    CombinerPrefixPooling.forward(
      .init(base: pooled, stride: width), .init(base: line.queries, stride: width),
      count: count, width: width, pooling)
    return pooled
  }
}
