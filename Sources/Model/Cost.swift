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
  private var multiplied: Double {
    let width = Double(config.width)
    let layer = 4 * width * width + 3 * width * Double(config.hidden)
    return Double(config.layers) * layer + Double(config.vocabularySize) * width
  }

  /// FLOPs of scoring sequences of the given lengths.
  package func forward(lengths: [Int]) -> Double {
    2 * multiplied * Double(lengths.reduce(0, +)) + 4 * attentionUnit(lengths)
  }

  /// FLOPs of a training step on them: forward, and backward with the scores recomputed.
  package func training(lengths: [Int]) -> Double {
    6 * multiplied * Double(lengths.reduce(0, +)) + 14 * attentionUnit(lengths)
  }

  /// Layers · heads · head width · scored pairs.
  private func attentionUnit(_ lengths: [Int]) -> Double {
    var counts: [Int: Int] = [:]
    for length in lengths { counts[length, default: 0] += 1 }
    let pairs = counts.reduce(0.0) {
      $0 + Double($1.value) * mechanism.scoredPairs(length: $1.key)
    }
    return Double(config.layers * config.width) * pairs
  }
}
