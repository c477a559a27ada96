import Model
import Tensor
import Testing

/// Small models of every attention and position that the tests run through.
struct Variant: Sendable, CustomTestStringConvertible {
  let testDescription: String
  let config: ModelConfig
  /// Whether the gradient is the slope of the loss; YOSO's published one is a lower bound.
  var hasExactGradient = true

  static let all: [Variant] = [
    make("softmax rotary", .softmax, .rotary),
    make("softmax relative bias", .softmax, .relativeBias),
    make("softmax sinusoidal", .softmax, .sinusoidal),
    make("hierarchical coarse", .hierarchical(blockSize: 4, query: .coarse), .relativeBias),
    make("hierarchical fine", .hierarchical(blockSize: 4, query: .fine), .relativeBias),
    make("hierarchical sinusoidal", .hierarchical(blockSize: 4, query: .coarse), .sinusoidal),
    makeYoso("yoso exact", .expectation, slope: .exact),
    makeYoso("yoso expectation", .expectation),
    makeYoso("yoso sampled", .sampled),
    makeYoso("yoso hybrid", .hybrid, .sinusoidal),
  ]

  private static func makeYoso(
    _ name: String, _ estimate: YosoShape.Estimate, _ position: Position = .rotary,
    slope: YosoShape.Slope = .lower
  ) -> Variant {
    var options = YosoOptions()
    options.estimate = estimate
    options.slope = slope
    options.bits = 3
    options.hashes = 16
    options.chunk = 8
    var variant = make(name, AttentionConfig(options), position)
    variant.hasExactGradient = slope == .exact
    return variant
  }

  static func make(
    _ name: String, _ attention: AttentionConfig, _ position: Position, layers: Int = 2
  ) -> Variant {
    var config = ModelConfig(
      vocabularySize: 61, width: 24, layers: layers, heads: 3, hidden: 40)
    config.attention = attention
    config.position = position
    config.relativeBiasLength = 8
    config.tiedHead = layers == 2
    config.initialDeviation = 0.15
    return Variant(testDescription: name, config: config)
  }
}
