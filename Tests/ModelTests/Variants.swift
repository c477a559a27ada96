import Model
import Tensor
import Testing

/// Small models of every attention and position that the tests run through.
struct Variant: Sendable, CustomTestStringConvertible {
  let testDescription: String
  let config: ModelConfig

  static let all: [Variant] =
    [
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
      make("softmax, tied clusters", .softmax, .rotary, cutoffs: [20, 41]),
      make(
        "hierarchical, untied clusters and pairs", .hierarchical(blockSize: 4, query: .coarse),
        .sinusoidal, layers: 1, ngrams: (40, 0), cutoffs: [9, 10, 30]),
    ] + headed

  /// Heads that share keys and values, that are wider than the model by their number, and biases.
  private static let headed: [Variant] = [
    make("Llama, shared keys", .softmax, .rotary).headed(4, keys: 2),
    make("Llama, biases", .softmax, .rotary).headed(3, qkvBias: true, outputBias: true),
    make("Qwen2", .softmax, .rotary).headed(4, keys: 2, qkvBias: true),
    make("Qwen3, shared keys, wide heads", .softmax, .rotary, qkNorm: true)
      .headed(3, keys: 1, width: 10),
    // Without biases: what all keys have in common is nothing to a softmax that rotates none.
    make("softmax relative bias, shared keys", .softmax, .relativeBias)
      .headed(4, keys: 2, width: 5),
    make(
      "hierarchical, shared keys", .hierarchical(blockSize: 4, query: .coarse), .relativeBias
    ).headed(6, keys: 2, width: 5, qkvBias: true),
    makeYoso("yoso exact, shared keys", .expectation, slope: .exact).headed(4, keys: 2, width: 8),
    makeYoso("yoso hybrid, shared keys", .hybrid, .sinusoidal).headed(4, keys: 1),
    make(
      "combiner rowmajor proj, shared keys",
      .combiner(.rowmajor, segment: 4, address: .proj), .sinusoidal, qkNorm: true
    ).headed(4, keys: 2, width: 10, qkvBias: true, outputBias: true),
    make("combiner logsparse, shared keys", .combiner(.logsparse, pooling: .mean), .sinusoidal)
      .headed(4, keys: 2),
    makeWindow("window, shared keys", .rotary).headed(4, keys: 2, width: 8),
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

  /// The same with other heads.
  private func headed(
    _ heads: Int, keys: Int? = nil, width: Int? = nil, qkvBias: Bool = false,
    outputBias: Bool = false
  ) -> Variant {
    var config = config
    config.heads = heads
    config.fewerKeyValueHeads = keys
    config.ownHeadWidth = width
    config.qkvBias = qkvBias
    config.outputBias = outputBias
    return Variant(testDescription: testDescription, config: config)
  }

  static func make(
    _ name: String, _ attention: AttentionConfig, _ position: Position, layers: Int = 2,
    qkNorm: Bool = false, ngrams: (pairs: Int, triples: Int) = (0, 0), cutoffs: [Int] = []
  ) -> Variant {
    var config = ModelConfig(
      vocabularySize: 61, width: 24, layers: layers, heads: 3, hidden: 40)
    config.attention = attention
    config.position = position
    config.relativeBiasLength = 8
    config.tiedHead = layers == 2
    config.qkNorm = qkNorm
    (config.bigramRows, config.trigramRows) = ngrams
    config.cutoffs = cutoffs
    if !cutoffs.isEmpty { config.clusterFactor = 2 }
    config.initialDeviation = 0.15
    return Variant(testDescription: name, config: config)
  }
}
