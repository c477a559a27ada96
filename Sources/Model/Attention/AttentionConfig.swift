/// Which query a coarse level of hierarchical attention uses.
package enum QueryResolution: String, Codable, Sendable, CaseIterable {
  /// The query of the first token of the group, as in the published decoder.
  case coarse
  /// Every token's own query at every level.
  case fine
}

/// The attention of every layer, with its own parameters.
///
/// A new attention is one case here, one file in this folder that conforms to
/// `AttentionMechanism`, its kernels in `Tensor/CPU`, and their tests.
package enum AttentionConfig: Sendable, Equatable {
  case softmax
  /// H-Transformer-1D with blocks of `blockSize` positions.
  case hierarchical(blockSize: Int, query: QueryResolution)

  /// The names `--attention` takes.
  package static let kinds = ["softmax", "hierarchical"]

  /// Name of the case.
  package var kind: String {
    switch self {
    case .softmax: "softmax"
    case .hierarchical: "hierarchical"
    }
  }

  /// The positions an attention is used with unless told otherwise.
  package var defaultPosition: Position {
    switch self {
    case .softmax: .rotary
    case .hierarchical: .relativeBias
    }
  }

  /// Throws if the parameters make no attention or do not fit the rest of the model.
  package func validate(_ model: ModelConfig) throws(ModelError) {
    guard case .hierarchical(let blockSize, _) = self else { return }
    guard blockSize >= 2, blockSize % 2 == 0, blockSize <= 1 << 16 else {
      throw .invalid(
        "the block size of hierarchical attention is \(blockSize), expected an even number from 2 "
          + "to \(1 << 16)")
    }
    // Every level pools keys; a rotation by absolute position would cancel inside a group, so the
    // method takes its order from the bias table or from the embeddings.
    guard model.position != .rotary else {
      throw .invalid(
        "hierarchical attention pools keys, which cancels rotary positions; use "
          + "--position relativeBias (its default) or sinusoidal")
    }
    guard model.position != .relativeBias || model.relativeBiasLength == 2 * blockSize else {
      throw .invalid(
        "hierarchical attention with blocks of \(blockSize) needs a relative bias of "
          + "\(2 * blockSize) distances, found \(model.relativeBiasLength)")
    }
  }
}

extension AttentionConfig: Codable {
  private enum Key: String, CodingKey { case kind, blockSize, query }

  package func encode(to encoder: any Encoder) throws {
    var fields = encoder.container(keyedBy: Key.self)
    try fields.encode(kind, forKey: .kind)
    if case .hierarchical(let blockSize, let query) = self {
      try fields.encode(blockSize, forKey: .blockSize)
      try fields.encode(query, forKey: .query)
    }
  }

  package init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: Key.self)
    let kind = try fields.decode(String.self, forKey: .kind)
    switch kind {
    case "softmax": self = .softmax
    case "hierarchical":
      self = .hierarchical(
        blockSize: try fields.decodeIfPresent(Int.self, forKey: .blockSize) ?? 16,
        query: try fields.decodeIfPresent(QueryResolution.self, forKey: .query) ?? .coarse)
    default:
      throw ModelError.invalid(
        "attention kind is \"\(kind)\", expected one of \(Self.kinds.joined(separator: ", "))")
    }
  }
}
