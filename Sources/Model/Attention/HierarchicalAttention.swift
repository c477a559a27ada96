package import Tensor

/// Which query a coarse level of hierarchical attention uses.
package enum QueryResolution: String, Codable, Sendable, CaseIterable {
  /// The query of the first token of the group, as in the published decoder.
  case coarse
  /// Every token's own query at every level.
  case fine
}

/// Options of H-Transformer-1D's attention.
package struct HierarchicalOptions: AttentionOptions {
  package static let kind = AttentionKind.hierarchical
  package static let help = [
    (key: "blockSize", meaning: "positions of a block, Nr, even (16)"),
    (key: "query", meaning: "query of the coarse levels: coarse or fine (coarse)"),
  ]

  package var blockSize = 16
  package var query = QueryResolution.coarse

  package init() {}

  private enum CodingKeys: String, CodingKey { case blockSize, query }

  package init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: CodingKeys.self)
    blockSize = try fields.decodeIfPresent(Int.self, forKey: .blockSize) ?? blockSize
    query = try fields.decodeIfPresent(QueryResolution.self, forKey: .query) ?? query
  }

  package var defaultPosition: Position { .relativeBias }

  package var biasLength: Int? { 2 * blockSize }

  package func validate(_ model: ModelConfig) throws(ModelError) {
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

  package func mechanism(_ model: ModelConfig) -> any AttentionMechanism {
    HierarchicalAttention(model, self)
  }
}

extension AttentionConfig {
  /// H-Transformer-1D with blocks of `blockSize` positions.
  package static func hierarchical(blockSize: Int, query: QueryResolution) -> AttentionConfig {
    var options = HierarchicalOptions()
    options.blockSize = blockSize
    options.query = query
    return AttentionConfig(options)
  }
}

/// Causal hierarchical attention; a stream remembers two blocks of keys and values per level.
package struct HierarchicalAttention: AttentionMechanism {
  private let shape: HierarchicalShape
  private let width: Int
  package let biasLength: Int?

  init(_ config: ModelConfig, _ options: HierarchicalOptions) {
    shape = HierarchicalShape(
      heads: config.heads, scale: config.attentionScale, blockSize: options.blockSize,
      fineQuery: options.query == .fine)
    width = config.attentionWidth
    biasLength = config.position == .relativeBias ? shape.biasLength : nil
  }

  package var savedRows: Int { shape.savedRows }

  package func makeOperator(
    on kernels: any Kernels
  ) throws(DeviceError) -> any AttentionOperator {
    try kernels.supporting((any HierarchicalAttentionKernels).self, .hierarchical)
      .hierarchicalAttention(shape)
  }

  package func work(length: Int) -> AttentionWork {
    AttentionWork(pairs: scoredPairs(length: length), width: width)
  }

  /// `docs/hierarchical-attention.md`, Computation; counted pair by pair, so it holds for every
  /// length.
  private func scoredPairs(length: Int) -> Double {
    let (blockSize, fineQuery) = (shape.blockSize, shape.fineQuery)
    let blocks = (length + blockSize - 1) / blockSize
    var pairs = 0
    for block in 0..<blocks {
      let rows = min(blockSize, length - block * blockSize)
      pairs += rows * (rows + 1) / 2 + (block > 0 ? rows * blockSize : 0)
    }
    var level = 1
    while (blocks - 1) >> level >= 1 {
      // Rows of this level from its second block on; a row r sees half a block or a whole one.
      let group = 1 << level
      let queries = fineQuery ? length : (length + group - 1) >> level
      let perRow = fineQuery ? group : 1
      let blockRows = blockSize * perRow
      let full = queries / blockRows
      let rest = queries - full * blockRows
      let half = blockRows / 2
      func seen(_ rows: Int) -> Int {
        min(rows, half) * (blockSize / 2) + max(0, rows - half) * blockSize
      }
      pairs += max(0, full - 1) * seen(blockRows) + (full >= 1 ? seen(rest) : 0)
      level += 1
    }
    return Double(pairs)
  }
}
