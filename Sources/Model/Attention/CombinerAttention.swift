package import Tensor

/// Options of Combiner's attention.
package struct CombinerOptions: AttentionOptions {
  package static let kind = AttentionKind.combiner
  package static let help = [
    (key: "address", meaning: "keys of row summaries: wsum, none or proj; rowmajor only (wsum)"),
    (
      key: "pattern",
      meaning: "regions: fixed, rowmajor, logsparse, vertical or mixture (fixed)"
    ),
    (key: "pooling", meaning: "pooling of a region: max or mean; not for rowmajor (max)"),
    (key: "segment", meaning: "positions of a segment or row, m; not for logsparse (64)"),
  ]

  package var address = CombinerShape.Address.wsum
  package var pattern = CombinerShape.Pattern.fixed
  package var pooling = CombinerShape.Pooling.max
  package var segment = 64

  package init() {}

  private enum CodingKeys: String, CodingKey { case address, pattern, pooling, segment }

  package init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: CodingKeys.self)
    address = try fields.decodeIfPresent(CombinerShape.Address.self, forKey: .address) ?? address
    pattern = try fields.decodeIfPresent(CombinerShape.Pattern.self, forKey: .pattern) ?? pattern
    pooling = try fields.decodeIfPresent(CombinerShape.Pooling.self, forKey: .pooling) ?? pooling
    segment = try fields.decodeIfPresent(Int.self, forKey: .segment) ?? segment
  }

  package var defaultPosition: Position { .sinusoidal }

  package func validate(_ model: ModelConfig) throws(ModelError) {
    guard segment >= 1, segment <= 1 << 16 else {
      throw .invalid(
        "the segment of combiner attention is \(segment), expected 1 to \(1 << 16) positions")
    }
    // A region has one pooled key and query: a maximum over rotated channels mixes phases, and a
    // region has no distance to look up.
    switch model.position {
    case .sinusoidal: return
    case .rotary:
      throw .invalid(
        "combiner attention pools queries and keys, whose rotations would mix; use "
          + "--position sinusoidal (its default)")
    case .relativeBias:
      throw .invalid(
        "a region of combiner attention has no distance for a relative bias; use "
          + "--position sinusoidal (its default)")
    }
  }

  package func mechanism(_ model: ModelConfig) -> any AttentionMechanism {
    CombinerAttention(model, self)
  }
}

extension AttentionConfig {
  /// Combiner with one of its patterns.
  package static func combiner(
    _ pattern: CombinerShape.Pattern, segment: Int = 64, pooling: CombinerShape.Pooling = .max,
    address: CombinerShape.Address = .wsum
  ) -> AttentionConfig {
    var options = CombinerOptions()
    options.pattern = pattern
    options.segment = segment
    options.pooling = pooling
    options.address = address
    return AttentionConfig(options)
  }
}

/// Causal Combiner attention; what a stream remembers depends on the pattern.
package struct CombinerAttention: AttentionMechanism {
  let shape: CombinerShape
  let headWidth: Int
  private let modelWidth: Int
  /// Standard deviation of the initial weights of projected addresses.
  private let initialDeviation: Double

  init(_ config: ModelConfig, _ options: CombinerOptions) {
    shape = CombinerShape(
      heads: config.heads, scale: config.attentionScale, pattern: options.pattern,
      segment: options.segment, pooling: options.pooling, address: options.address)
    headWidth = config.headWidth
    modelWidth = config.width
    initialDeviation = config.initialDeviation
  }

  private var width: Int { shape.heads * headWidth }

  /// The projected address: summary to model width, layer norm, model width to keys; in the order of
  /// `CombinerProjection`.
  package var ownWeights: [AttentionWeight] {
    if !shape.needsProjection { return [] }
    return [
      AttentionWeight(
        name: "summary_proj.weight", rows: modelWidth, columns: width,
        deviation: initialDeviation),
      AttentionWeight(
        name: "address_proj.weight", rows: width, columns: modelWidth,
        deviation: initialDeviation),
      AttentionWeight(
        name: "address_norm.weight", role: .vector, rows: 1, columns: modelWidth, deviation: nil),
      AttentionWeight(
        name: "address_norm.bias", role: .vector, rows: 1, columns: modelWidth, deviation: 0),
    ]
  }

  package var readsInput: Bool { shape.needsProjection }

  package var savedRows: Int { shape.savedRows }

  package func makeOperator(
    on kernels: any Kernels
  ) throws(DeviceError) -> any AttentionOperator {
    try kernels.supporting((any CombinerAttentionKernels).self, .combiner).combinerAttention(shape)
  }

  /// Products counted as `docs/combiner-attention.md`, Cost, says; pooling is comparisons.
  package func work(length: Int) -> AttentionWork {
    let counts = CombinerPairs(shape, length: length)
    let width = Double(width)
    // Readers as in any softmax. A region attends once forward; backward it attends once more, to
    // have its value, and its own gradients take five products.
    var forward = 4 * counts.read + 4 * counts.summary
    var training = 14 * counts.read + 18 * counts.summary
    if shape.pattern == .rowmajor && shape.address == .wsum {
      // Keys are weighted beside the values: twice again, and two products backward.
      forward += 2 * counts.summary
      training += 8 * counts.summary
    }
    var work = AttentionWork(forward: width * forward, training: width * training)
    if shape.needsProjection {
      let product = 4 * width * Double(modelWidth) * counts.summarised
      work.forward += product
      work.training += 4 * product
    }
    return work
  }
}

/// Query–key pairs of one head over one sequence.
struct CombinerPairs: Equatable {
  /// Queries with direct keys and with regions.
  var read = 0.0
  /// Pooled queries with the members of their region.
  var summary = 0.0
  /// Positions in complete rows that are read later.
  var summarised = 0.0

  init(_ shape: CombinerShape, length: Int) {
    if length == 0 { return }
    switch shape.pattern {
    case .logsparse: countBlocks(length)
    default: countSegments(shape, length)
    }
  }

  private mutating func countSegments(_ shape: CombinerShape, _ length: Int) {
    let m = shape.segment
    let looked = (length - 1) / m
    let tail = length - looked * m
    let own = looked * (m * (m + 1) / 2) + tail * (tail + 1) / 2
    // A query for every row or segment before its own.
    let earlier = m * looked * (looked - 1) / 2 + tail * looked
    summarised = Double(looked * m)
    let otherColumns = looked > 0 ? (length - m) * (m - 1) : 0
    let columnMembers = m * looked * (looked + 1) / 2
    switch shape.pattern {
    case .fixed:
      read = Double(own + earlier)
      summary = summarised
    case .rowmajor:
      read = Double(own + earlier)
      summary = summarised * Double(m)
    case .vertical:
      read = Double(own + earlier + otherColumns)
      summary = Double(columnMembers)
    case .mixture:
      // Two parts of each row above, but for the outermost columns one.
      let edges = looked * (looked - 1) / 2 + looked
      let lastEdges = looked * (looked - 1) / 2 + (tail == m ? looked : 0)
      let rowParts = 2 * earlier - edges - lastEdges
      read = Double(own + earlier + otherColumns + rowParts)
      summary = Double(columnMembers + looked * m * (m - 1))
    case .logsparse: break
    }
  }

  private mutating func countBlocks(_ length: Int) {
    read = Double(length)
    var block = 1
    while block < length {
      // Positions whose bit is set; each reads one block.
      let (periods, rest) = length.quotientAndRemainder(dividingBy: 2 * block)
      read += Double(periods * block + max(0, rest - block))
      // Every other block that has a successor; a block of one token is that token.
      if block > 1 {
        summary += Double((length - block + 2 * block - 1) / (2 * block) * block)
      }
      block *= 2
    }
    summarised = summary
  }
}
