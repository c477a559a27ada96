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
      tile.pack(rows)
      tile.accumulate(
        rows, line.range(gradients, count: prefix + rows.count), bias: .none,
        mask: .causal(offset: prefix))
      prefix += rows.count
    }
  }
}

/// Packed queries (times the scale), keys and values of a row or a column; or their gradients.
struct CombinerLine {
  let shape: HeadShape
  let queries: UnsafeMutablePointer<Float>  // [n, padded D]
  let keys: UnsafeMutablePointer<Float>  // [n, padded D]
  let values: UnsafeMutablePointer<Float>  // [n, padded E]

  init(
    _ shape: HeadShape, queries: UnsafeMutablePointer<Float>, keys: UnsafeMutablePointer<Float>,
    values: UnsafeMutablePointer<Float>
  ) {
    self.shape = shape
    self.queries = queries
    self.keys = keys
    self.values = values
  }

  init(_ shape: HeadShape, longest: Int, _ scratch: inout Scratch) {
    self.init(
      shape, queries: scratch.take(longest * shape.keyStride),
      keys: scratch.take(longest * shape.keyStride),
      values: scratch.take(longest * shape.valueStride))
  }

  /// Gathers rows from `from` on, `step` rows apart; a negative step runs against the positions.
  func gather(_ all: CombinerLine, from position: Int, step: Int, count: Int) {
    for row in 0..<count {
      let from = position + row * step
      copyPacked(
        queries + row * shape.keyStride, all.queries + from * shape.keyStride,
        count: shape.keyStride)
      copyPacked(
        keys + row * shape.keyStride, all.keys + from * shape.keyStride, count: shape.keyStride)
      copyPacked(
        values + row * shape.valueStride, all.values + from * shape.valueStride,
        count: shape.valueStride)
    }
  }

  /// Adds rows to those they were gathered from.
  func scatter(to all: CombinerLine, from position: Int, step: Int, count: Int) {
    for row in 0..<count {
      let to = position + row * step
      addPacked(
        all.queries + to * shape.keyStride, queries + row * shape.keyStride,
        count: shape.keyStride)
      addPacked(
        all.keys + to * shape.keyStride, keys + row * shape.keyStride, count: shape.keyStride)
      addPacked(
        all.values + to * shape.valueStride, values + row * shape.valueStride,
        count: shape.valueStride)
    }
  }

  func clear(count: Int) {
    queries.update(repeating: 0, count: count * shape.keyStride)
    keys.update(repeating: 0, count: count * shape.keyStride)
    values.update(repeating: 0, count: count * shape.valueStride)
  }

  /// Its first `count` keys and values for a backward tile.
  func range(_ gradients: CombinerLine, count: Int) -> AttentionBackwardTile.Range {
    AttentionBackwardTile.Range(
      count: count, keys: keys, values: values, keyGradients: gradients.keys,
      valueGradients: gradients.values)
  }

  /// The line that begins `rows` further on.
  func advanced(by rows: Int) -> CombinerLine {
    CombinerLine(
      shape, queries: queries + rows * shape.keyStride, keys: keys + rows * shape.keyStride,
      values: values + rows * shape.valueStride)
  }
}

extension CombinerHead {
  /// Packs queries (times the scale), keys and values `position`, `position + step` and so on.
  func pack(_ line: CombinerLine, position: Int, step: Int, rows: Int) {
    packQueries(line.queries, position: position, step: step, rows: rows)
    pack(keys: line.keys, values: line.values, position: position, step: step, rows: rows)
  }
}
