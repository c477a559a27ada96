import Deterministic
import Model
import Tensor

/// Random tokens in sequences of given lengths.
package struct RandomBatch: Sendable {
  package let lengths: [Int]
  package let ids: [Int32]
  package let targets: [Int32]
  package let starts: [Int]

  package init(lengths: [Int], vocabulary: Int, seed: UInt64 = 2) {
    let random = CounterRandom(seed: seed)
    let tokens = (0...lengths.reduce(0, +)).map {
      Int32(random.bits(UInt64($0)) % UInt64(vocabulary))
    }
    self.lengths = lengths
    ids = Array(tokens.dropLast())
    targets = Array(tokens.dropFirst())
    starts = lengths.reduce(into: [0]) { $0.append($0[$0.count - 1] + $1) }
  }
}

extension ModelConfig {
  /// A model of two layers that a check runs in an instant.
  static func small(_ attention: AttentionConfig) -> ModelConfig {
    var config = ModelConfig(
      vocabularySize: 2_000, width: 128, layers: 2, heads: 2, hidden: 344)
    config.use(attention)
    config.maximumLength = max(config.maximumLength, 1 << 16)
    return config
  }
}
