package import Tensor

/// One attention with its options, as any back end makes it.
package struct AttentionSubject: Sendable, CustomStringConvertible {
  package enum Kind: Sendable {
    /// `group` heads of queries share a head of keys and values in a stream.
    case softmax(biasLength: Int?, group: Int = 1)
    case hierarchical(blockSize: Int, fineQuery: Bool, hasBias: Bool)
    case combiner(CombinerShape.Pattern, Int, CombinerShape.Pooling, CombinerShape.Address)
    case yoso(YosoShape.Estimate, bits: Int, hashes: Int, slope: YosoShape.Slope)
  }

  package static let heads = 2
  /// Factor of every logit, as a head of width 9 has it.
  package static let scale: Float = 1 / 3
  /// Width of the layer's input, where an attention reads it.
  package static let inputWidth = 11

  package let kind: Kind

  package init(kind: Kind) { self.kind = kind }

  package var description: String {
    switch kind {
    case .softmax(let biasLength, let group):
      "softmax" + (biasLength.map { ", bias of \($0)" } ?? "")
        + (group > 1 ? ", keys for \(group) heads" : "")
    case .hierarchical(let blockSize, let fineQuery, let hasBias):
      "hierarchical, blocks of \(blockSize)" + (fineQuery ? ", fine" : "")
        + (hasBias ? ", bias" : "")
    case .combiner(let pattern, let segment, let pooling, let address):
      "combiner \(pattern.rawValue) of \(segment), "
        + (pattern == .rowmajor ? address.rawValue : pooling.rawValue)
    case .yoso(let estimate, let bits, let hashes, let slope):
      "yoso \(estimate.rawValue), \(bits) bits, \(hashes) hashes, slope \(slope.rawValue)"
    }
  }

  /// The attention, or nil if the back end leaves it out.
  package func make(on kernels: any Kernels) throws -> (any AttentionOperator)? {
    switch kind {
    case .softmax(_, let group):
      return try (kernels as? any SoftmaxAttentionKernels)?.softmaxAttention(
        SoftmaxShape(heads: Self.heads, keyValueHeads: Self.heads / group, scale: Self.scale))
    case .hierarchical(let blockSize, let fineQuery, _):
      return try (kernels as? any HierarchicalAttentionKernels)?.hierarchicalAttention(
        HierarchicalShape(
          heads: Self.heads, scale: Self.scale, blockSize: blockSize, fineQuery: fineQuery))
    case .combiner:
      return try combinerShape.flatMap {
        try (kernels as? any CombinerAttentionKernels)?.combinerAttention($0)
      }
    case .yoso:
      return try yosoShape.flatMap {
        try (kernels as? any YosoAttentionKernels)?.yosoAttention($0, planes: nil)
      }
    }
  }

  private var combinerShape: CombinerShape? {
    guard case .combiner(let pattern, let segment, let pooling, let address) = kind else {
      return nil
    }
    return CombinerShape(
      heads: Self.heads, scale: Self.scale, pattern: pattern, segment: segment, pooling: pooling,
      address: address)
  }

  private var yosoShape: YosoShape? {
    guard case .yoso(let estimate, let bits, let hashes, let slope) = kind else { return nil }
    return YosoShape(
      heads: Self.heads, estimate: estimate, bits: bits, hashes: hashes, chunk: 9, slope: slope)
  }

  package var biasLength: Int? {
    switch kind {
    case .softmax(let biasLength, _): biasLength
    case .hierarchical(let blockSize, _, let hasBias): hasBias ? 2 * blockSize : nil
    case .combiner, .yoso: nil
    }
  }

  /// Heads of queries for each of keys and values in a stream.
  package var group: Int {
    if case .softmax(_, let group) = kind { return group }
    return 1
  }

  package var savedRows: Int { yosoShape?.savedRows ?? Self.heads }

  /// Whether the first rows of what is saved are logarithms of softmax denominators.
  package var savesLogarithms: Bool { yosoShape == nil }

  package var needsProjection: Bool { combinerShape?.needsProjection ?? false }

  /// Whether the gradients of queries and keys are slopes of the outputs; the published gradient of
  /// YOSO is a lower bound.
  package var hasSlopes: Bool { yosoShape.map { $0.slope == .exact } ?? true }

  /// A bound of its own, or nil for what the back end promises.
  ///
  /// The weight of two nearly parallel vectors has a slope without bound in their cosine.
  package var relativeError: Double? { yosoShape == nil ? nil : 1e-4 }

  /// Attentions that a card does by tiles, at widths that suit it.
  package static let tiled = [
    .softmax(biasLength: nil), .softmax(biasLength: 40), .softmax(biasLength: 40, group: 2),
    .hierarchical(blockSize: 16, fineQuery: false, hasBias: true),
    .hierarchical(blockSize: 16, fineQuery: true, hasBias: true),
    .hierarchical(blockSize: 32, fineQuery: false, hasBias: false),
  ].map(AttentionSubject.init)

  package static let all: [AttentionSubject] =
    [
      .softmax(biasLength: nil), .softmax(biasLength: 5), .softmax(biasLength: 200),
      .softmax(biasLength: 5, group: 2),
      .hierarchical(blockSize: 2, fineQuery: false, hasBias: true),
      .hierarchical(blockSize: 4, fineQuery: true, hasBias: true),
      .hierarchical(blockSize: 6, fineQuery: false, hasBias: false),
      .hierarchical(blockSize: 16, fineQuery: true, hasBias: false),
      .hierarchical(blockSize: 16, fineQuery: false, hasBias: true),
      .combiner(.rowmajor, 4, .max, .wsum), .combiner(.rowmajor, 7, .max, .none),
      .combiner(.rowmajor, 5, .max, .proj),
      .yoso(.expectation, bits: 1, hashes: 1, slope: .lower),
      .yoso(.expectation, bits: 8, hashes: 1, slope: .lower),
      .yoso(.expectation, bits: 5, hashes: 1, slope: .exact),
      .yoso(.sampled, bits: 2, hashes: 5, slope: .lower),
      .yoso(.sampled, bits: 9, hashes: 16, slope: .lower),
      .yoso(.hybrid, bits: 3, hashes: 6, slope: .lower),
    ].map(AttentionSubject.init)
    + [CombinerShape.Pattern.fixed, .logsparse, .vertical, .mixture].flatMap { pattern in
      CombinerShape.Pooling.allCases.map {
        AttentionSubject(kind: .combiner(pattern, $0 == .max ? 4 : 7, $0, .wsum))
      }
    }
}

/// Lengths of a batch's sequences and widths of a head.
package struct AttentionSize: Sendable, CustomStringConvertible {
  package let lengths: [Int]
  package let widths: HeadWidths

  package init(_ lengths: [Int], keys: Int, values: Int) {
    self.lengths = lengths
    widths = HeadWidths(keys: keys, values: values)
  }

  package var description: String { "\(lengths), \(widths.keys)/\(widths.values)" }

  package var starts: [Int] { lengths.reduce(into: [0]) { $0.append(($0.last ?? 0) + $1) } }

  /// Where tiles, their blocks and levels begin and end.
  package static let tiled = [
    AttentionSize(
      [1, 2, 15, 16, 17, 31, 33, 0, 64, 65, 100, 130, 257], keys: 32, values: 32),
    AttentionSize([1, 17, 70, 0, 150], keys: 48, values: 48),
    AttentionSize([129, 1, 33, 16], keys: 64, values: 64),
  ]

  /// One position, ragged and odd, whole vectors, past them.
  package static let all = [
    AttentionSize([1], keys: 4, values: 4), AttentionSize([1, 2, 0, 3, 17], keys: 5, values: 3),
    AttentionSize([33, 16, 50], keys: 8, values: 8), AttentionSize([7, 81], keys: 17, values: 9),
    AttentionSize([150, 9], keys: 16, values: 16),
  ]
}
