package import Tensor

/// Options of YOSO attention.
package struct YosoOptions: AttentionOptions {
  package static let kind = AttentionKind.yoso
  package static let help = [
    (
      key: "estimate",
      meaning:
        "weights: expectation, sampled, or hybrid (exact in a chunk, sampled across) (sampled)"
    ),
    (key: "hashes", meaning: "hash functions, m (16)"),
    (key: "bits", meaning: "bits of a hash, τ, the power of the weights, 1 to 16 (8)"),
    (key: "chunk", meaning: "positions of a chunk of the hybrid (64)"),
    (key: "slope", meaning: "derivative of a weight: lower, or exact for the expectation (lower)"),
  ]

  /// The published method samples; its defaults here are those of `docs/yoso-attention.md`.
  package var estimate = YosoShape.Estimate.sampled
  package var hashes = 16
  package var bits = 8
  package var chunk = 64
  package var slope = YosoShape.Slope.lower

  package init() {}

  private enum CodingKeys: String, CodingKey { case estimate, hashes, bits, chunk, slope }

  package init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: CodingKeys.self)
    estimate =
      try fields.decodeIfPresent(YosoShape.Estimate.self, forKey: .estimate) ?? estimate
    hashes = try fields.decodeIfPresent(Int.self, forKey: .hashes) ?? hashes
    bits = try fields.decodeIfPresent(Int.self, forKey: .bits) ?? bits
    chunk = try fields.decodeIfPresent(Int.self, forKey: .chunk) ?? chunk
    slope = try fields.decodeIfPresent(YosoShape.Slope.self, forKey: .slope) ?? slope
  }

  package var defaultPosition: Position { .rotary }

  package func validate(_ model: ModelConfig) throws(ModelError) {
    guard (1...16).contains(bits) else {
      throw .invalid("YOSO attention hashes to \(bits) bits, expected 1 to 16")
    }
    guard (1...1 << 12).contains(hashes) else {
      throw .invalid("YOSO attention has \(hashes) hashes, expected 1 to \(1 << 12)")
    }
    guard (1...1 << 16).contains(chunk) else {
      throw .invalid("the chunk of YOSO attention is \(chunk), expected 1 to \(1 << 16)")
    }
    guard slope == .lower || estimate == .expectation else {
      throw .invalid(
        "YOSO attention has slope=exact only with estimate=expectation, found "
          + "estimate=\(estimate.rawValue); use slope=lower")
    }
    guard model.position != .relativeBias else {
      throw .invalid(
        "YOSO attention has no logits to which a relative bias could be added; use "
          + "--position rotary (its default) or sinusoidal")
    }
  }

  package func mechanism(_ model: ModelConfig) -> any AttentionMechanism {
    YosoAttention(model, self)
  }

  package var expectation: (any AttentionOptions)? {
    if estimate == .expectation { return nil }
    var options = self
    options.estimate = .expectation
    return options
  }
}

/// Causal YOSO attention; a stream remembers tables of sums, or keys and values for the expectation.
package struct YosoAttention: AttentionMechanism {
  private let shape: YosoShape
  private let headWidth: Int

  init(_ model: ModelConfig, _ options: YosoOptions) {
    headWidth = model.headWidth
    shape = YosoShape(
      heads: model.heads, estimate: options.estimate, bits: options.bits, hashes: options.hashes,
      chunk: options.chunk, slope: options.slope)
  }

  package var savedRows: Int { shape.savedRows }

  package var drawnNumbers: Int {
    shape.isRandom ? shape.heads * headWidth * shape.hashes * shape.bits : 0
  }

  package func makeOperator(
    on kernels: any Kernels
  ) throws(DeviceError) -> any AttentionOperator {
    try kernels.supporting((any YosoAttentionKernels).self, .yoso).yosoAttention(shape, planes: nil)
  }

  /// `docs/yoso-attention.md`, Cost.
  ///
  /// The pairs that collide depend on the data; counted are those of unrelated queries and keys.
  package func work(length: Int) -> AttentionWork {
    let width = Double(shape.heads * headWidth)
    let all = Double(length) * Double(length + 1) / 2
    if !shape.isRandom { return AttentionWork(pairs: all, width: shape.heads * headWidth) }
    let chunks = Double(length / shape.chunk)
    let rest = Double(length % shape.chunk)
    let inside = chunks * Double(shape.chunk * (shape.chunk + 1)) / 2 + rest * (rest + 1) / 2
    let near = shape.estimate == .hybrid ? inside : 0
    var work = AttentionWork(pairs: near, width: shape.heads * headWidth)
    let hashes = Double(shape.hashes)
    let tables = 2 * hashes * width * Double(length)
    let hashing = 4 * hashes * Double(shape.bits) * width * Double(length)
    var missed = 1.0
    for _ in 0..<shape.hashes { missed *= 1 - 1 / Double(1 << shape.bits) }
    work.forward += hashing + tables
    work.training += hashing + 2 * tables + 6 * width * (all - near) * (1 - missed)
    return work
  }
}
