/// Work of the model in floating-point operations, a multiply and an add counted as two.
///
/// Matrix products and attention are counted, causal pairs once; norms, activations, softmax and
/// the optimizer are not, as everywhere in the literature.
package struct Cost: Sendable {
  private let config: ModelConfig
  private let mechanism: any AttentionMechanism

  package init(_ config: ModelConfig) {
    self.config = config
    mechanism = config.mechanism
  }

  /// Weights that multiply every position: all matrices but the embedding lookup.
  ///
  /// - Parameters:
  ///   - headRows: Rows of the head that are; nil for all.
  ///   - shares: Of positions whose token is in each tail of a vocabulary with clusters; nil for those that
  ///     are assumed.
  private func multiplied(headRows: Int? = nil, shares: [Double]? = nil) -> Double {
    let width = Double(config.width)
    let attention = Double(config.qkvWidth) + Double(config.attentionWidth)
    let layer = attention * width + 3 * width * Double(config.hidden)
    if let clusters = config.clusters {
      return Double(config.layers) * layer
        + clusters.multiplied(shares: shares ?? clusters.assumedShares)
    }
    return Double(config.layers) * layer + Double(headRows ?? config.vocabularySize) * width
  }

  /// FLOPs of scoring sequences of the given lengths.
  package func forward(lengths: [Int]) -> Double {
    2 * multiplied() * Double(lengths.reduce(0, +)) + attention(lengths, \.forward)
  }

  /// FLOPs of a training step on them: forward, and backward with the scores recomputed.
  ///
  /// - Parameters:
  ///   - lengths: Of the sequences.
  ///   - headRows: Tokens that the loss normalises over; nil for all.
  ///   - shares: Of positions whose token is in each tail of a vocabulary with clusters.
  package func training(
    lengths: [Int], headRows: Int? = nil, shares: [Double]? = nil
  ) -> Double {
    6 * multiplied(headRows: headRows, shares: shares) * Double(lengths.reduce(0, +))
      + attention(lengths, \.training)
  }

  /// FLOPs of scoring and of training on so many sequences of each length.
  ///
  /// - Parameters:
  ///   - sequences: How many there are of each length.
  ///   - headRows: Tokens that the loss of training normalises over; nil for all.
  ///   - shares: Of positions whose token is in each tail of a vocabulary with clusters.
  package func work(
    _ sequences: [Int: Double], headRows: Int? = nil, shares: [Double]? = nil
  ) -> (forward: Double, training: Double) {
    let tokens = sequences.sorted { $0.key < $1.key }.reduce(0.0) { $0 + Double($1.key) * $1.value }
    return (
      2 * multiplied(shares: shares) * tokens + attention(sequences, \.forward),
      3 * (2 * multiplied(headRows: headRows, shares: shares) * tokens)
        + attention(sequences, \.training)
    )
  }

  private func attention(_ lengths: [Int], _ part: KeyPath<AttentionWork, Double>) -> Double {
    var counts: [Int: Double] = [:]
    for length in lengths { counts[length, default: 0] += 1 }
    return attention(counts, part)
  }

  private func attention(
    _ sequences: [Int: Double], _ part: KeyPath<AttentionWork, Double>
  ) -> Double {
    // In the order of the lengths, so that the sum is the same for the same lengths.
    let sum = sequences.sorted { $0.key < $1.key }.reduce(0.0) {
      $0 + $1.value * mechanism.work(length: $1.key)[keyPath: part]
    }
    return Double(config.layers) * sum
  }
}
