import Model
import Tensor
import Testing

/// Small models of every attention and position that the tests run through.
struct Variant: Sendable, CustomTestStringConvertible {
  let testDescription: String
  let config: ModelConfig

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
    make("combiner fixed", .combiner(.fixed, segment: 4), .sinusoidal),
    make("combiner fixed mean", .combiner(.fixed, segment: 4, pooling: .mean), .sinusoidal),
    make("combiner logsparse", .combiner(.logsparse, pooling: .mean), .sinusoidal),
    make("combiner rowmajor", .combiner(.rowmajor, segment: 4), .sinusoidal),
    make(
      "combiner rowmajor proj", .combiner(.rowmajor, segment: 4, address: .proj), .sinusoidal),
    make("combiner vertical", .combiner(.vertical, segment: 4, pooling: .mean), .sinusoidal),
    make("combiner mixture", .combiner(.mixture, segment: 4, pooling: .mean), .sinusoidal),
    makeWindow("window", .rotary),
    make("softmax rotary, heads normed", .softmax, .rotary, qkNorm: true),
    make(
      "hierarchical coarse, heads normed", .hierarchical(blockSize: 4, query: .coarse),
      .relativeBias, layers: 1, qkNorm: true),
    make(
      "combiner rowmajor proj, heads normed", .combiner(.rowmajor, segment: 4, address: .proj),
      .sinusoidal, qkNorm: true),
    make("softmax with n-grams", .softmax, .rotary, ngrams: (40, 70)),
    make(
      "hierarchical with pairs", .hierarchical(blockSize: 4, query: .coarse), .relativeBias,
      ngrams: (500, 0)),
  ]

  /// Those whose gradient is the slope of the loss: without the kinks of a maximum, and not YOSO's
  /// published gradient, which is a lower bound.
  static let smooth = all.filter {
    if let options = $0.config.attention.options as? YosoOptions {
      return options.slope == .exact
    }
    guard let options = $0.config.attention.options as? CombinerOptions else { return true }
    return options.pattern == .rowmajor || options.pooling == .mean
  }

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
    return make(name, AttentionConfig(options), position)
  }

  private static func makeWindow(_ name: String, _ position: Position) -> Variant {
    var options = WindowOptions()
    options.window = 6
    return make(name, AttentionConfig(options), position)
  }

  static func make(
    _ name: String, _ attention: AttentionConfig, _ position: Position, layers: Int = 2,
    qkNorm: Bool = false, ngrams: (pairs: Int, triples: Int) = (0, 0)
  ) -> Variant {
    var config = ModelConfig(
      vocabularySize: 61, width: 24, layers: layers, heads: 3, hidden: 40)
    config.attention = attention
    config.position = position
    config.relativeBiasLength = 8
    config.tiedHead = layers == 2
    config.qkNorm = qkNorm
    (config.bigramRows, config.trigramRows) = ngrams
    config.initialDeviation = 0.15
    return Variant(testDescription: name, config: config)
  }
}
